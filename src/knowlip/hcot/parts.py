"""What is finished of an annotation: a part for each scene, and the corpus's tables, joined from all parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from knowlip.core.folder import LONG_ROW_GROUP, Folder
from knowlip.core.statements import Statement
from knowlip.corpus.store import ORIGINAL, STATEMENT_SCHEMA
from knowlip.hcot.answers import QUESTION_SCHEMA
from knowlip.hcot.engines.description import CLAIM_SCHEMA, Description
from knowlip.hcot.surface import CAPTION_SCHEMA, caption_rows, question_rows
from knowlip.hcot.view import Facts

PARTS = ".annotate"
"""Folder of the parts, removed when their tables are joined."""

_TEXT, _REAL, _WHOLE = pa.string(), pa.float64(), pa.int64()
FACT_SCHEMA = pa.schema(
    [
        ("tile_id", _TEXT),
        ("name", _TEXT),
        ("value", _TEXT),
        ("number", _REAL),
        ("unit", _TEXT),
        ("step", _WHOLE),
        ("source", _TEXT),
        ("confidence", _REAL),
        ("why", _TEXT),
    ]
)
_SCHEMAS = {
    "statements": STATEMENT_SCHEMA,
    "captions": CAPTION_SCHEMA,
    "questions": QUESTION_SCHEMA,
    "facts": FACT_SCHEMA,
}


def part(scene_id: str, kind: str) -> str:
    """Name of a scene's table of a kind."""
    return f"{PARTS}/{scene_id}.{kind}.parquet"


def is_finished(folder: Folder, scene_id: str) -> bool:
    """Whether a scene's part is whole."""
    return folder.exists(part(scene_id, "facts"))


def write_part(
    folder: Folder, scene_id: str, tiles: Sequence[tuple[str, Description]], model: str | None = None
) -> None:
    """Write a scene's part; its facts come last, and say that the part is whole.

    Args:
        tiles: Each one's id and what is said of it, in their order.
        model: Name of the model that was asked; None for evidence alone.
    """

    def write(kind: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
        folder.write_table(part(scene_id, kind), pa.Table.from_pylist(rows, schema=schema))

    if model is not None:
        write("claims", [c.row(t, f"vlm:{model}") for t, d in tiles for c in d.claims], CLAIM_SCHEMA)
        tokens = {n: sum(getattr(d, n) for _, d in tiles) for n in ("prompt_tokens", "completion_tokens")}
        folder.write_json(_tokens(scene_id), tokens)
    known = [(tile_id, Facts(described.facts)) for tile_id, described in tiles]
    rows: dict[str, list[dict[str, Any]]] = {
        "statements": [_statement_row(s, t, _engine(s, d)) for t, d in tiles for s in d.statements],
        "captions": [row for tile_id, facts in known for row in caption_rows(tile_id, facts)],
        "questions": [row for tile_id, facts in known for row in question_rows(tile_id, facts)],
        "facts": [f.row(tile_id) for tile_id, described in tiles for f in described.facts],
    }
    for kind, schema in _SCHEMAS.items():
        write(kind, rows[kind], schema)


def join_parts(folder: Folder, scenes: Sequence[str]) -> dict[str, int]:
    """Join the parts of these scenes, in this order, into the corpus's tables; one part at a time is in memory.

    Returns:
        Rows by kind.
    """
    rows = dict.fromkeys(_SCHEMAS, 0)
    for kind, schema in _SCHEMAS.items():
        name = "statements/round=00/statements" if kind == "statements" else kind
        for table in _joined(folder, scenes, kind, f"{name}.parquet", schema):
            rows[kind] += len(table)
    return rows


def join_answers(folder: Folder, scenes: Sequence[str]) -> dict[str, int]:
    """Write `claims.parquet`, and count what became of the claims and the tokens of all answers used."""
    counted: Counter[str] = Counter()
    for table in _joined(folder, scenes, "claims", "claims.parquet", CLAIM_SCHEMA):
        counted.update(table["outcome"].to_pylist())
    for scene in scenes:
        counted.update(folder.read_json(_tokens(scene)))
    return dict(sorted(counted.items()))


def _joined(folder: Folder, scenes: Sequence[str], kind: str, name: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """Write the scenes' tables of a kind as one; each comes by as it is written."""
    with folder.table_writer(name, schema, LONG_ROW_GROUP) as write:
        for scene in scenes:
            table = folder.read_table(part(scene, kind))
            write(table)
            yield table


def _tokens(scene_id: str) -> str:
    return f"{PARTS}/{scene_id}.tokens.json"


def _engine(statement: Statement, described: Description) -> str:
    """What a statement rests on: a model's answer, or evidence alone."""
    sources = {f.source for f in described.facts if f.name in statement.facts}
    return next((s for s in sorted(sources) if s.startswith("vlm:")), "evidence")


def _statement_row(statement: Statement, tile_id: str, engine: str) -> dict[str, Any]:
    """A row of round 0."""
    return {
        "statement_id": f"{tile_id}/{statement.schema}/{statement.dimension}",
        **statement.row(tile_id),
        "round": 0,
        "status": ORIGINAL,
        "engine": engine,
        "masked_slots": [],
    }
