"""Roads as dark lines with brighter ground on both sides."""

from __future__ import annotations

from collections.abc import Sequence

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
    around = _edged(near_db, _LENGTH // 2)
    for offsets, (down, right) in _LINES:
        line = _along(around, offsets)
        beside = _edged(line, _SIDE)
        sides = [_part(beside, _SIDE + s * down, _SIDE + s * right, line.shape) for s in (-1, 1)]
        found |= np.minimum(*sides) - line > _CONTRAST_DB
    found &= allowed
    labels, count = ndimage.label(found, np.ones((3, 3)))
    if count == 0:
        return found
    size = np.bincount(labels.ravel())
    size[0] = 0
    kept: NDArray[np.bool_] = (size >= _MIN_CELLS)[labels]
    return kept


Offset = tuple[int, int]
"""Rows and columns."""


def _line(angle: float) -> tuple[tuple[Offset, ...], Offset]:
    """Offsets along a line through a cell, and of what lies beside it."""
    dy, dx = np.sin(angle), np.cos(angle)
    steps = np.arange(_LENGTH) - _LENGTH // 2
    rows, cols = (np.rint(steps * d).astype(int).tolist() for d in (dy, dx))
    return tuple(zip(rows, cols, strict=True)), (round(_SIDE * dx), round(-_SIDE * dy))


_LINES = tuple(_line(float(angle)) for angle in np.arange(8) * np.pi / 8)


def _along(around: NDArray[np.float32], offsets: Sequence[Offset]) -> NDArray[np.float32]:
    """Mean along a line of offsets, as a sum of shifted images, which beats a dense convolution at this size.

    Args:
        around: The image with half a line's length of its edge repeated on all sides.
    """
    margin = _LENGTH // 2
    shape = around.shape[0] - 2 * margin, around.shape[1] - 2 * margin
    total = np.zeros(shape, np.float32)
    for row, col in offsets:
        total += _part(around, margin + row, margin + col, shape)
    total /= np.float32(len(offsets))
    return total


def _edged(image: NDArray[np.float32], by: int) -> NDArray[np.float32]:
    """An image with its edges repeated so many times on all sides; `np.pad` takes five times as long."""
    edged = np.empty((image.shape[0] + 2 * by, image.shape[1] + 2 * by), np.float32)
    edged[by:-by, by:-by] = image
    edged[:by, by:-by], edged[-by:, by:-by] = image[0], image[-1]
    edged[:, :by], edged[:, -by:] = edged[:, by, None], edged[:, -by - 1, None]
    return edged


def _part(image: NDArray[np.float32], row: int, col: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The part of an image of a shape that starts at a row and column."""
    return image[row : row + shape[0], col : col + shape[1]]
