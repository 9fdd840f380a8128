"""One module a task. A task takes a corpus and a model and gives rows of figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        value, low, high: The figure with its 95 % interval over scenes.
        n: Items asked.
        chance: What guessing from the training split's answers reaches.
        truth: Where the right answers come from.
    """

    task: str
    metric: str
    model: str
    value: float
    low: float
    high: float
    n: int
    chance: float
    truth: str
