"""All that is said of one tile, as rows of a corpus's tables and as one value in JSON."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from knowlip.corpus.store import STATEMENT_SCHEMA
from knowlip.hcot.answers import answers
from knowlip.hcot.phrasing import Said
from knowlip.hcot.prose import captions, description
from knowlip.hcot.sentences import missing, statements
from knowlip.hcot.view import Facts

CAPTION_SCHEMA = pa.schema(
    [
        ("tile_id", pa.string()),
        ("kind", pa.string()),
        ("number", pa.int64()),
        *(STATEMENT_SCHEMA.field(n) for n in ("text", "slots", "facts", "confidence")),
    ]
)
"""Columns of `captions.parquet`: a tile's description, number 0, and the captions of tiles with targets, 1 to 5."""


def caption_rows(tile_id: str, facts: Facts) -> list[dict[str, Any]]:
    """Rows of `captions.parquet`."""
    whole = description(tile_id, facts)
    found = [("description", 0, whole)] if whole is not None else []
    found += [("caption", number, said) for number, said in enumerate(captions(tile_id, facts), 1)]
    return [{"tile_id": tile_id, "kind": kind, "number": number, **_plain(said)} for kind, number, said in found]


def question_rows(tile_id: str, facts: Facts) -> list[dict[str, object]]:
    """Rows of `questions.parquet`."""
    return [a.row(tile_id) for a in answers(facts)]


def surface(tile_id: str, facts: Facts) -> dict[str, Any]:
    """One tile's words and what they rest on, as plain JSON values.

    Args:
        tile_id: Chooses the phrases: the same id and facts always give the same words.

    Returns:
        `facts`, `statements`, `description` (None without any fact), `captions` (five with targets, else none) and
        `answers`, with the keys that the corpus's tables have as columns.
    """
    said = statements(tile_id, facts)
    if (unsaid := missing(facts)) is not None:
        facts = Facts([*facts, unsaid])
    whole = description(tile_id, facts)
    return {
        "facts": [_without(vars(f) | {"confidence": round(f.confidence, 4)}) for f in facts],
        "statements": [_without(s.row(tile_id)) for s in said],
        "description": None if whole is None else _plain(whole),
        "captions": [_plain(c) for c in captions(tile_id, facts)],
        "answers": [_without(row) for row in question_rows(tile_id, facts)],
    }


def _plain(said: Said) -> dict[str, Any]:
    return {
        "text": said.text,
        "slots": [vars(s) for s in said.slots],
        "facts": list(said.facts),
        "confidence": round(said.confidence, 4),
    }


def _without(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the tile that all are of."""
    return {k: v for k, v in row.items() if k != "tile_id"}
