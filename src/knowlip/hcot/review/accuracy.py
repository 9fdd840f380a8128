"""How often statements are right: per schema and dimension, with intervals, and how far reviewers agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from knowlip.core.statements import DIMENSIONS, Schema
from knowlip.corpus.store import Corpus
from knowlip.hcot.review.marks import RIGHT, UNCLEAR, WRONG
from knowlip.hcot.review.sample import judged_slots

_AIRCRAFT = (0.72, 0.64, 0.69, 0.72, 0.78, 0.76, 0.80, 0.81)
_SHIPS = (0.78, 0.73, 0.85, 0.79, 0.79, 0.84, 0.88, 0.87)
_LANDFORMS = (0.78, 0.83, 0.86, 0.83, 0.83, 0.82, 0.84, 0.90)
PUBLISHED: dict[Schema, dict[str, dict[str, float]]] = {
    "target": {
        "aircraft": dict(zip(DIMENSIONS["target"], _AIRCRAFT, strict=True)),
        "ships": dict(zip(DIMENSIONS["target"], _SHIPS, strict=True)),
    },
    "landform": {"landforms": dict(zip(DIMENSIONS["landform"], _LANDFORMS, strict=True))},
}
"""Share of right statements of SAR-GEOVL-1M, judged by its authors' expert sampling. Source: arXiv 2509.23927."""


@dataclass(frozen=True)
class Share:
    """How many of those judged are right, with Wilson's 95 % interval; no share without any judged."""

    right: int
    judged: int
    accuracy: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Line:
    """Accuracy of one dimension, or of a whole schema where that is None.

    Attributes:
        statements: A statement is judged when all its slots are, and right when all of them are right.
        unclear: Marked slots that nobody could tell, or over which reviewers are evenly divided; not among the judged.
        published: The same figure of statements, as published for the reference, by kind of target.
    """

    schema: Schema
    dimension: str | None
    slots: Share
    statements: Share
    unclear: int
    published: dict[str, float]


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree on the slots that both marked, as right, wrong or unclear.

    Attributes:
        kappa: Cohen's; None where both gave one and the same verdict throughout, which chance would too.
    """

    reviewers: tuple[str, str]
    slots: int
    agree: float
    kappa: float | None


@dataclass(frozen=True)
class Review:
    """What all marks of a corpus say.

    Attributes:
        marks: Marks in the corpus.
        other_rounds: Those of them about statements that another round has replaced, or has yet to write; not counted.
    """

    marks: int
    other_rounds: int
    accuracy: list[Line]
    agreement: list[Agreement]


def evaluate(corpus: Corpus, marks: Sequence[dict[str, Any]], round_: int | None = None) -> Review:
    """Accuracy and agreement, from the marks about statements as they stand after a round, the latest by default.

    Args:
        marks: Rows of `marks.parquet`.

    Raises:
        CorpusError: The corpus has no such round.
    """
    rows = corpus.statements(round_, {m["tile_id"] for m in marks}).to_pylist()
    said = {r["statement_id"]: r for r in rows}
    standing = [m for m in marks if m["statement_id"] in said and said[m["statement_id"]]["round"] == m["round"]]
    slots = {i: [s["start"] for s in judged_slots(r)] for i, r in said.items()}
    return Review(len(marks), len(marks) - len(standing), accuracy(standing, slots), agreement(standing))


def share(right: int, judged: int) -> Share:
    """A share with Wilson's score interval at 95 %, without continuity correction.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    from scipy.stats import binomtest

    if judged == 0:
        return Share(right, judged, None, None, None)
    interval = binomtest(right, judged).proportion_ci(0.95, method="wilson")
    return Share(right, judged, right / judged, float(interval.low), float(interval.high))


def accuracy(marks: Iterable[dict[str, Any]], slots: Mapping[str, Sequence[int]]) -> list[Line]:
    """Accuracy per dimension that has marks, and of each schema as a whole.

    Args:
        marks: Rows of `marks.parquet`, one standing of the statements.
        slots: Where the slots to be judged begin, by statement.
    """
    given: dict[tuple[Schema, str], dict[str, dict[int, list[str]]]] = defaultdict(dict)
    for m in marks:
        of_slot = given[m["schema"], m["dimension"]].setdefault(m["statement_id"], {})
        of_slot.setdefault(m["start"], []).append(m["verdict"])
    lines = []
    for schema, dimensions in DIMENSIONS.items():
        here = {
            d: [[consensus(of_slot.get(at, ())) for at in slots[i]] for i, of_slot in given[schema, d].items()]
            for d in dimensions
            if (schema, d) in given
        }
        lines += [_line(schema, d, statements) for d, statements in here.items()]
        if here:
            lines.append(_line(schema, None, [s for statements in here.values() for s in statements]))
    return lines


def consensus(verdicts: Sequence[str]) -> str | None:
    """What most of those who can tell say of a slot; unclear where they are evenly divided; None without a mark."""
    if not verdicts:
        return None
    count = Counter(verdicts)
    if count[RIGHT] == count[WRONG]:
        return UNCLEAR
    return RIGHT if count[RIGHT] > count[WRONG] else WRONG


def _line(schema: Schema, dimension: str | None, statements: Sequence[Sequence[str | None]]) -> Line:
    slots = Counter(v for s in statements for v in s)
    judged = [s for s in statements if set(s) <= {RIGHT, WRONG}]
    return Line(
        schema,
        dimension,
        share(slots[RIGHT], slots[RIGHT] + slots[WRONG]),
        share(sum(WRONG not in s for s in judged), len(judged)),
        slots[UNCLEAR],
        {kind: _published(figures, dimension) for kind, figures in PUBLISHED[schema].items()},
    )


def _published(figures: Mapping[str, float], dimension: str | None) -> float:
    return figures[dimension] if dimension else round(sum(figures.values()) / len(figures), 4)


def agreement(marks: Iterable[dict[str, Any]]) -> list[Agreement]:
    """Cohen's kappa of each two reviewers who marked slots in common.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales".
    """
    from sklearn.metrics import cohen_kappa_score

    given: dict[str, dict[tuple[str, int, int], str]] = defaultdict(dict)
    for m in marks:
        given[m["reviewer"]][m["statement_id"], m["round"], m["start"]] = m["verdict"]
    found = []
    for a, b in combinations(sorted(given), 2):
        if not (common := sorted(given[a].keys() & given[b].keys())):
            continue
        one, other = ([given[r][k] for k in common] for r in (a, b))
        agree = sum(x == y for x, y in zip(one, other, strict=True)) / len(common)
        kappa = None if len({*one, *other}) == 1 else float(cohen_kappa_score(one, other))
        found.append(Agreement((a, b), len(common), agree, kappa))
    return found
