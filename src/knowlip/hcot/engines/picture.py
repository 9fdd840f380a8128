"""A tile as a picture that a vision model takes."""

from __future__ import annotations

import numpy as np

from knowlip.corpus.picture import averaged, to_png
from knowlip.corpus.store import TilePixels

DARKEST_DB, BRIGHTEST_DB = -22.0, 8.0
"""Range shown, against the scene's own bright level: from calm water to walls that face the sensor."""


def picture(pixels: TilePixels, longest_px: int) -> bytes:
    """PNG of the first polarisation, 8-bit grey, on one scale for the whole scene; no-data is black.

    Args:
        longest_px: Longest side; a larger tile is averaged down in power.
    """
    db = averaged(np.nan_to_num(pixels.db[0] - pixels.anchor_db[0], nan=-60.0), longest_px)
    grey = np.clip((db - DARKEST_DB) / (BRIGHTEST_DB - DARKEST_DB) * 255, 0, 255).astype(np.uint8)
    return to_png(grey)
