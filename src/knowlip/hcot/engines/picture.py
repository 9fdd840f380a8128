"""A tile as a picture that a vision model takes."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from knowlip.corpus.store import TilePixels

DARKEST_DB, BRIGHTEST_DB = -22.0, 8.0
"""Range shown, against the scene's own bright level: from calm water to walls that face the sensor."""


def picture(pixels: TilePixels, longest_px: int) -> bytes:
    """PNG of the first polarisation, 8-bit grey, on one scale for the whole scene; no-data is black.

    Args:
        longest_px: Longest side; a larger tile is averaged down in power, as multilooking does.
    """
    # averaged in power: the mean of decibels would lose bright points
    power = np.power(10.0, np.nan_to_num(pixels.db[0] - pixels.anchor_db[0], nan=-60.0) / 10).astype(np.float32)
    if (factor := -(-max(power.shape) // longest_px)) > 1:
        h, w = (n // factor * factor for n in power.shape)
        power = power[:h, :w].reshape(h // factor, factor, w // factor, factor).mean((1, 3))
    db = 10 * np.log10(np.maximum(power, 1e-6))
    grey = np.clip((db - DARKEST_DB) / (BRIGHTEST_DB - DARKEST_DB) * 255, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()


def data_url(png: bytes) -> str:
    """A PNG as the `data:` URL that chat messages carry."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
