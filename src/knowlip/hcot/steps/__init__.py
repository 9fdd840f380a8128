"""The chain's steps. Each is `run(view, facts) -> list[Fact]`: from the tile and the facts so far, new ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from knowlip.core.statements import Fact
from knowlip.hcot.steps import calibration, geoscience, initial, instances, sar, society
from knowlip.hcot.view import Facts, TileView

Step = Callable[[TileView, Facts], list[Fact]]

CHAIN: tuple[Step, ...] = (initial.run, geoscience.run, society.run, sar.run, instances.run, calibration.run)
"""Steps 0 to 5, in order."""


def run_chain(view: TileView, steps: Sequence[Step] = CHAIN) -> Facts:
    """All facts about a tile that these steps find."""
    facts = Facts()
    for step in steps:
        facts.add(step(view, facts))
    return facts
