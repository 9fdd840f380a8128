"""What the exports share: a corpus's tiles in order, with their statements and objects."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow.compute as pc

from knowlip.corpus.store import DROPPED, Corpus


def tile_rows(corpus: Corpus, split: str | None) -> Iterator[dict[str, Any]]:
    """Rows of `tiles.parquet`, by tile id, a few in memory at a time."""
    order = pc.sort_indices(corpus.tile_column("id")).to_numpy().astype(np.int64)
    if split is not None:
        chosen = pc.equal(corpus.tile_column("knowlip:split"), split).fill_null(False).to_numpy()
        order = order[chosen[order]]
    with corpus.folder.parquet("tiles.parquet") as file:
        sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
        first = np.cumsum([0, *sizes])
        # a build writes scene by scene, so that the order by id moves from group to group
        group = lru_cache(maxsize=4)(file.read_row_group)
        for start in range(0, len(order), 1024):
            rows = order[start : start + 1024]
            at = np.searchsorted(first, rows, "right") - 1
            found: dict[int, dict[str, Any]] = {}
            for k in np.unique(at).tolist():
                of_group = rows[at == k]
                found |= zip(of_group.tolist(), group(k).take(of_group - first[k]).to_pylist(), strict=True)
            yield from (found[r] for r in rows.tolist())


def statements_by_tile(corpus: Corpus) -> dict[str, list[dict[str, Any]]]:
    """Statements as they stand after the latest round, dropped ones left out; none where there are none."""
    found: dict[str, list[dict[str, Any]]] = {}
    if corpus.rounds():
        columns = ["statement_id", "tile_id", "schema", "dimension", "text", "confidence", "round", "status"]
        for row in corpus.statements().select(columns).to_pylist():
            if row["status"] != DROPPED:
                found.setdefault(row["tile_id"], []).append(row)
    return found


def objects_by_tile(corpus: Corpus) -> dict[str, list[dict[str, Any]]]:
    """Rows of `objects.parquet`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in corpus.table("objects").to_pylist():
        found.setdefault(row["tile_id"], []).append(row)
    return found


def href(row: dict[str, Any]) -> str:
    """Where a row's tile lies in its corpus."""
    return str(row["assets"]["data"]["href"])
