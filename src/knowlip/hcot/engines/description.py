"""What an engine gives for a tile: facts, statements, and what became of each claim that a model made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from knowlip.core.statements import Fact, FactValue, Statement
from knowlip.hcot.sentences import missing, statements
from knowlip.hcot.view import Facts

Outcome = Literal["accepted", "agrees", "dropped", "unanswered"]

CLAIM_SCHEMA = pa.schema(
    [
        ("tile_id", pa.string()),
        ("step", pa.int64()),
        ("question", pa.string()),
        ("fact", pa.string()),
        ("value", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("source", pa.string()),
    ]
)
"""Columns of `claims.parquet`."""


@dataclass(frozen=True)
class Claim:
    """One answer of a model, and what calibration made of it.

    Attributes:
        question: Name of the question.
        fact: Name of the fact it would be.
        value: The answer; None where there was no usable one.
        outcome: `accepted` as a fact; `agrees` with what was measured, which stays; `dropped`; `unanswered`.
        reason: In words.
    """

    step: int
    question: str
    fact: str
    value: FactValue | None
    outcome: Outcome
    reason: str

    def row(self, tile_id: str, source: str) -> dict[str, object]:
        """A row of `claims.parquet`; values are text, as the model gave them."""
        value = None if self.value is None else str(self.value)
        return {"tile_id": tile_id, "source": source, **vars(self), "value": value}


@dataclass(frozen=True)
class Description:
    """One tile, described.

    Attributes:
        claims: What a model said; empty for the evidence engine.
        prompt_tokens, completion_tokens: Of all answers used, whether just asked for or kept from before.
    """

    facts: tuple[Fact, ...]
    statements: tuple[Statement, ...]
    claims: tuple[Claim, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0


def described(
    tile_id: str, facts: Facts, claims: tuple[Claim, ...] = (), prompt_tokens: int = 0, completion_tokens: int = 0
) -> Description:
    """A tile's statements from its facts, and the fact that says what they leave out and why."""
    said, unsaid = tuple(statements(tile_id, facts)), missing(facts)
    known = tuple(facts) if unsaid is None else (*facts, unsaid)
    return Description(known, said, claims, prompt_tokens, completion_tokens)
