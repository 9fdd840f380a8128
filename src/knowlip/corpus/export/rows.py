"""What the exports share: a corpus's tiles in order, with their statements and objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc

from knowlip.corpus.store import DROPPED, Corpus


def tile_rows(corpus: Corpus, split: str | None) -> Iterator[dict[str, Any]]:
    """Rows of `tiles.parquet`, by tile id, a few in memory at a time."""
    table = corpus.tiles_table
    if split is not None:
        table = table.filter(pc.equal(table["knowlip:split"], split))
    table = table.take(pc.sort_indices(table["id"]))
    for batch in table.to_batches(max_chunksize=1024):
        yield from batch.to_pylist()


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
