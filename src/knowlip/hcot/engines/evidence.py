"""The evidence engine: the chain measures, and no model is asked."""

from __future__ import annotations

from knowlip.hcot.engines.description import Description
from knowlip.hcot.sentences import statements
from knowlip.hcot.steps import run_chain
from knowlip.hcot.view import TileView


def describe(view: TileView) -> Description:
    """Facts and statements of one tile."""
    facts = run_chain(view)
    return Description(tuple(facts), tuple(statements(view.tile_id, facts)))
