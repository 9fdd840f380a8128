"""Which tiles and statements a person is shown: a sample of equal probability within each schema."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from knowlip.core.errors import ConfigError, CorpusError
from knowlip.core.statements import DIMENSIONS, Schema
from knowlip.corpus.store import DROPPED, Corpus

ALL = "all"
_AGREEING = ("be", "lie")
"""Slots that only agree in number with a count beside them: nothing to judge."""


@dataclass(frozen=True)
class SampleSpec:
    """What a sample is drawn from, and how large it is.

    Attributes:
        split: A split of the corpus, or `all`.
        tiles: Most tiles of the sample.
        seed: Fixes the draw.
        round: The statements are those that stand after this round; the last one without it.
    """

    split: str = "test"
    tiles: int = 60
    seed: int = 0
    round: int | None = None


def draw(corpus: Corpus, spec: SampleSpec) -> dict[str, list[dict[str, Any]]]:
    """Draw tiles, each with the statements to judge, in the order of the dimensions.

    Every schema has a sample of its own, of which a tile shows the statements, so that accuracies of the sample are
    unbiased for the corpus: up to half of the tiles for targets, which are rare, the rest for landforms. Samples are
    systematic, over tiles in the order of their scenes and of the dimensions stated, with a random start; scenes and
    dimensions come in their own proportions.

    Returns:
        Rows of statements by tile id, tiles in order.

    Raises:
        ConfigError: The split has no tiles.
        CorpusError: The corpus, or the split, has no statements.

    Source: Madow, Madow 1944, "On the theory of systematic sampling".
    """
    tile_ids = corpus.tile_ids(None if spec.split == ALL else spec.split)
    if not tile_ids:
        raise ConfigError(f"--split {spec.split}", "has no tiles in this corpus", "Choose another split, or `all`")
    drawn = _drawn(corpus, tile_ids, spec)
    shown: dict[str, list[dict[str, Any]]] = {}
    for row in corpus.statements(spec.round, {t for t, _ in drawn}).to_pylist():
        if (row["tile_id"], row["schema"]) in drawn and row["status"] != DROPPED and judged_slots(row):
            shown.setdefault(row["tile_id"], []).append(row)
    if not shown:
        raise CorpusError(corpus.folder.path(), f"has no statements to judge in {spec.split}", "Choose another --split")
    for rows in shown.values():
        rows.sort(key=lambda r: (r["schema"] != "target", DIMENSIONS[r["schema"]].index(r["dimension"])))
    return dict(sorted(shown.items()))


def _drawn(corpus: Corpus, tile_ids: list[str], spec: SampleSpec) -> set[tuple[str, Schema]]:
    """Tiles, and for which schema; by round 0, which has every statement, so that all rounds have the same."""
    stated: dict[Schema, dict[str, list[str]]] = {schema: {} for schema in DIMENSIONS}
    for row in corpus.statements(0, tile_ids).select(["tile_id", "schema", "dimension"]).to_pylist():
        stated[row["schema"]].setdefault(row["tile_id"], []).append(row["dimension"])
    scene_of = dict(zip(corpus.tiles["id"], corpus.tiles["knowlip:scene"], strict=True))
    targets = min(spec.tiles // 2, len(stated["target"]))
    landforms = min(spec.tiles - targets, len(stated["landform"]))
    sizes: dict[Schema, int] = {"target": min(spec.tiles - landforms, len(stated["target"])), "landform": landforms}
    drawn: set[tuple[str, Schema]] = set()
    for schema, size in sizes.items():
        rng = np.random.default_rng([spec.seed, zlib.crc32(schema.encode())])
        ranked = {t: (scene_of[t], sorted(dimensions)) for t, dimensions in sorted(stated[schema].items())}
        mixed = [list(ranked)[i] for i in rng.permutation(len(ranked))]
        drawn |= {(tile_id, schema) for tile_id in systematic(sorted(mixed, key=ranked.__getitem__), size, rng)}
    return drawn


def judged_slots(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The slots of a statement that claim something: without those that training masks, and without mere grammar."""
    masked = set(row["masked_slots"] or ())
    return [s for s in row["slots"] if s["name"] not in masked and s["name"] not in _AGREEING]


def systematic(items: Sequence[str], size: int, rng: np.random.Generator) -> list[str]:
    """So many of the items at equal steps from a random start; each is drawn with probability `size / len(items)`."""
    if size == 0:
        return []
    step = len(items) / size
    at = np.floor(rng.uniform(0, step) + step * np.arange(size)).astype(int)
    return [items[i] for i in np.minimum(at, len(items) - 1)]
