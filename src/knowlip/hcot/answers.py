"""Questions about a tile with their answers, in the published forms: six kinds, answered from the facts.

The published answers know four classes of ground: building, road, vegetation, water. Woodland and farmland are both
vegetation there; bare ground, for which they have no word, stays `bare`.

Source: the question kinds of SAR-KnowLIP's visual question answering (arXiv 2509.23927). What a target's coordinates
count is not said there; here they are percent of the image's width and height from its upper left corner, `[x, y]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from knowlip.core.statements import LANDCOVER, LANDFORM, NINE_GRID, PRESENT_SHARE
from knowlip.hcot.view import Facts

KINDS = (
    "count",
    "target recognition",
    "target positioning",
    "main landform",
    "all landforms",
    "regional landform",
)

COUNT = "How many targets are in this image?"
MAIN_LANDFORM = "What is the most dominant class in the image?"
ALL_LANDFORMS = "What classes are present in the image?"

REGIONS = dict(
    zip(
        NINE_GRID,
        ("top-left", "top", "top-right", "left", "center", "right", "bottom-left", "bottom", "bottom-right"),
        strict=True,
    )
)
"""What each cell of the nine-grid is called in questions."""

QUESTION_SCHEMA = pa.schema(
    [
        ("tile_id", pa.string()),
        ("kind", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("facts", pa.list_(pa.string())),
        ("confidence", pa.float64()),
    ]
)
"""Columns of `questions.parquet`."""


@dataclass(frozen=True)
class Answer:
    """A question and its answer.

    Attributes:
        kind: One of `KINDS`.
        facts: Names of the facts that answer it.
        confidence: The smallest of these facts', 0 to 1.
    """

    kind: str
    question: str
    answer: str
    facts: tuple[str, ...]
    confidence: float

    def row(self, tile_id: str) -> dict[str, object]:
        """A row of `questions.parquet`."""
        return {"tile_id": tile_id} | vars(self) | {"facts": list(self.facts), "confidence": round(self.confidence, 4)}


def recognition(cls: str, x_percent: float, y_percent: float) -> str:
    """The question for a target's type, by where its centre lies."""
    return f"What type of {cls} is at the coordinates [{x_percent:.1f}, {y_percent:.1f}]?"


def positioning(cls: str) -> str:
    """The question for the cells of the nine-grid that hold targets of a class."""
    return f"Divide the picture into nine grids and number them in sequence. Which grid(s) contain the {cls}?"


def regional(cell: str) -> str:
    """The question for the class that covers most of a cell of the nine-grid."""
    return f"What is the most dominant class in the {REGIONS[cell]} region of the image?"


def grids(cells: Sequence[str]) -> str:
    """Cells as their numbers in reading order, from 1."""
    return ",".join(str(n) for n in sorted({NINE_GRID.index(c) + 1 for c in cells}))


def landforms(shares: Mapping[str, float]) -> dict[str, float]:
    """Shares of land-cover classes as shares of the classes of answers, largest first.

    Args:
        shares: By names of `LANDCOVER`.
    """
    total: dict[str, float] = {}
    for name in LANDCOVER.values():
        total[LANDFORM[name]] = total.get(LANDFORM[name], 0.0) + shares.get(name, 0.0)
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def answers(facts: Facts) -> list[Answer]:
    """All questions of the six kinds that the facts answer, in the order of `KINDS`.

    Targets are asked about where there are any; every target whose type is known, and every cell of the nine-grid, is a
    question of its own.
    """
    return [
        Answer(kind, question, answer, names, min(facts[n].confidence for n in names))
        for kind, question, answer, names in (*_about_targets(facts), *_about_ground(facts))
    ]


_Asked = tuple[str, str, str, tuple[str, ...]]


def _about_targets(f: Facts) -> Iterator[_Asked]:
    n, cls = int(f.number("target.count")), f.value("target.class", "")
    if n <= 0:
        return
    yield "count", COUNT, str(n), ("target.count", *(d for d in ("target.doubt",) if d in f))
    positions, types = f.value("target.positions", [0.0]), f.value("target.types", [""])
    if cls and len(positions) == 2 * len(types):
        for x, y, kind in zip(positions[0::2], positions[1::2], types, strict=True):
            if kind:
                yield "target recognition", recognition(cls, x, y), kind, ("target.positions", "target.types")
    cells = [c for c in f.value("target.cells", [""]) if c]
    if cls and cells:
        yield "target positioning", positioning(cls), grids(cells), ("target.cells", "target.class")


def _about_ground(f: Facts) -> Iterator[_Asked]:
    names = tuple(n for c in LANDCOVER.values() if (n := f"cover.{c}.share") in f)
    if len(names) == len(LANDCOVER):
        total = landforms({c: f.number(f"cover.{c}.share") for c in LANDCOVER.values()})
        if any(total.values()):
            yield "main landform", MAIN_LANDFORM, next(iter(total)), names
            present = [c for c, share in total.items() if share >= PRESENT_SHARE]
            yield "all landforms", ALL_LANDFORMS, ", ".join(present), names
    regions = f.value("cover.cell_landform", [""])
    if len(regions) == len(NINE_GRID):
        for cell, landform in zip(NINE_GRID, regions, strict=True):
            if landform != "unknown":
                yield "regional landform", regional(cell), landform, ("cover.cell_landform",)
