"""Roads as dark lines with brighter ground on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_LENGTH, _SIDE = 13, 3
_CONTRAST_DB = 2.5
_MIN_CELLS = 30


def dark_lines(near_db: NDArray[np.float32], allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells `(h, w)` of dark lines of at least `_MIN_CELLS` cells in one piece.

    Args:
        near_db: `(h, w)` levels.
        allowed: `(h, w)` where roads may be.
    """
    found = np.zeros(near_db.shape, bool)
    for angle in np.arange(8) * np.pi / 8:
        dy, dx = np.sin(angle), np.cos(angle)
        steps = np.arange(_LENGTH) - _LENGTH // 2
        line = _along(near_db, np.rint(steps * dy).astype(int), np.rint(steps * dx).astype(int))
        across = round(_SIDE * dx), round(-_SIDE * dy)
        sides = [_moved(line, s * across[0], s * across[1]) for s in (-1, 1)]
        found |= np.minimum(*sides) - line > _CONTRAST_DB
    found &= allowed
    labels, count = ndimage.label(found, np.ones((3, 3)))
    if count == 0:
        return found
    size = np.bincount(labels.ravel())
    size[0] = 0
    kept: NDArray[np.bool_] = (size >= _MIN_CELLS)[labels]
    return kept


def _along(image: NDArray[np.float32], rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float32]:
    """Mean along a line of offsets, as a sum of shifted images, which beats a dense convolution at this size."""
    k = _LENGTH // 2
    padded = np.pad(image, k, mode="edge")
    h, w = image.shape
    total = np.zeros_like(image)
    for y, x in zip(rows + k, cols + k, strict=True):
        total += padded[y : y + h, x : x + w]
    return total / np.float32(len(rows))


def _moved(image: NDArray[np.float32], down: int, right: int) -> NDArray[np.float32]:
    """The image moved by whole cells; its edge is repeated."""
    h, w = image.shape
    padded = np.pad(image, _SIDE, mode="edge")
    return padded[_SIDE - down : _SIDE - down + h, _SIDE - right : _SIDE - right + w]
