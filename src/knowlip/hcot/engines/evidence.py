"""The evidence engine: the chain measures, and no model is asked."""

from __future__ import annotations

from knowlip.hcot.engines.description import Description, described
from knowlip.hcot.steps import run_chain
from knowlip.hcot.view import TileView


def describe(view: TileView) -> Description:
    """Facts and statements of one tile."""
    facts = run_chain(view)
    return described(view.tile_id, facts)
