"""A tile as a picture: for the eye, and as what a page or a message carries."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from knowlip.corpus.store import Corpus

LONGEST_PX = 1024
"""Longest side of a tile's picture on a page."""


def picture(corpus: Corpus, tile_id: str) -> str:
    """A tile's first polarisation as an inline PNG."""
    return data_url(to_png(to_grey(averaged(corpus.pixels(tile_id).db[0], LONGEST_PX))))


def averaged(db: NDArray[np.float32], longest_px: int) -> NDArray[np.float32]:
    """A polarisation `(H, W)` in dB with at most so many pixels a side; a pixel over no-data is no-data.

    Averaged in power, as multilooking does: the mean of decibels would lose bright points.
    """
    if (factor := -(-max(db.shape) // longest_px)) <= 1:
        return db
    h, w = (n // factor * factor for n in db.shape)
    power = np.power(10.0, db[:h, :w] / 10).reshape(h // factor, factor, w // factor, factor)
    return (10 * np.log10(np.maximum(power.mean((1, 3)), 1e-30))).astype(np.float32)


def to_grey(db: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A polarisation `(H, W)` in dB for the eye: its 2nd to 98th percentile to 0 to 255; no-data is black."""
    low, high = np.nanpercentile(db, (2, 98))
    return (np.clip((np.nan_to_num(db, nan=low) - low) / max(high - low, 1e-3), 0, 1) * 255).astype(np.uint8)


def to_png(grey: NDArray[np.uint8]) -> bytes:
    """An 8-bit picture `(H, W)` as PNG."""
    # Pillow is loaded only where a picture is made
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(grey).save(data, format="png")
    return data.getvalue()


def data_url(png: bytes) -> str:
    """A PNG as the `data:` URL that pages and chat messages carry."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
