"""What is measured of a tile's pixels and of a scene's geometry: looks, levels, incidence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowlip.core.geodesy import along_look
from knowlip.core.scene import Scene

LOOK_BLOCK_PX = 8
_LOG_LOOKS, _LOG_BINS = (-2.0, 6.0), 64
_LOG_STEP = (_LOG_LOOKS[1] - _LOG_LOOKS[0]) / _LOG_BINS
LEVEL_SAMPLES = 1 << 14
"""Pixels of a band that a large scene's percentiles are taken from: 0.04 dB of standard error at the lowest one."""


def equivalent_looks(power: NDArray[np.floating[Any]], valid: NDArray[np.bool_]) -> float | None:
    """Equivalent number of looks: the most frequent mean²/variance of power over 8 x 8 pixel blocks.

    The mode over small blocks is that of the uniform ones, as mixed blocks spread to low values.
    Source: Anfinsen et al. 2009, "Estimation of the equivalent number of looks in polarimetric SAR imagery".

    Args:
        power: `(H, W)` linear power in any unit.
        valid: `(H, W)` mask.

    Returns:
        None with fewer than 64 valid blocks.
    """
    return looks_of_tiles(*block_moments(power, valid), 1)[0]


def looks_of_tiles(mean: NDArray[np.float64], variance: NDArray[np.float64], tiles: int) -> list[float | None]:
    """The equivalent number of looks of tiles side by side, as `equivalent_looks` has it.

    Args:
        mean, variance: `(H, tiles * W)` of power in blocks.
    """
    with np.errstate(invalid="ignore"):
        # blocks with a missing pixel are NaN, which compares as not uniform; the bound is above float32's rounding
        uniform = variance > 1e-5 * mean**2
    tile = np.broadcast_to(np.arange(mean.shape[1]) * tiles // max(1, mean.shape[1]), mean.shape)[uniform]
    looks = np.log(mean[uniform] ** 2 / variance[uniform])
    bins = np.floor((looks - _LOG_LOOKS[0]) / _LOG_STEP).astype(np.int64)
    inside = (bins >= 0) & (bins < _LOG_BINS)
    counts = np.bincount(tile[inside] * _LOG_BINS + bins[inside], minlength=tiles * _LOG_BINS)
    enough = np.bincount(tile, minlength=tiles) >= 64
    return [_modal_looks(c) if many else None for c, many in zip(counts.reshape(tiles, _LOG_BINS), enough, strict=True)]


def _modal_looks(counts: NDArray[np.int64]) -> float:
    peak = int(np.convolve(counts, [1, 2, 3, 2, 1], mode="same").argmax())
    return round(math.exp(_LOG_LOOKS[0] + (peak + 0.5) * _LOG_STEP), 2)


def block_moments(
    power: NDArray[np.floating[Any]], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of power in each block of 8 x 8 pixels, NaN where a pixel is missing.

    Args:
        power: `(H, W)` linear power in any unit.
        valid: `(H, W)` mask.

    Returns:
        Two of `(H // 8, W // 8)`.
    """
    side, n = LOOK_BLOCK_PX, LOOK_BLOCK_PX**2
    rows, cols = (s // side for s in power.shape)
    inside = np.s_[: rows * side, : cols * side]
    x = power[inside]
    if not valid.all():
        x = np.where(valid[inside], x, np.float32(np.nan))
    # rows first: adding whole rows is far faster than reducing over two axes of a four-dimensional view
    strips = x.reshape(rows, side, cols * side)
    along, ones = (rows, cols, side), np.ones(side)
    total = strips.sum(axis=1).astype(np.float64).reshape(along) @ ones
    squares = np.einsum("rkc,rkc->rc", strips, strips).astype(np.float64).reshape(along) @ ones
    mean = total / n
    return mean, (squares - n * mean**2) / (n - 1)


def sample_step(rows: int, cols: int) -> int:
    """Every how many rows and columns a scene is sampled for its percentiles; 4, or more where it is very large."""
    return max(4, int(np.ceil(np.sqrt(rows * cols / LEVEL_SAMPLES))))


def incidence_at(
    scene: Scene, row: NDArray[np.float64] | float, col: NDArray[np.float64] | float
) -> NDArray[np.float64] | None:
    """Incidence angle at pixels, linear in ground range between the scene's near and far edges, degrees.

    Args:
        row, col: Pixel coordinates in the scene, of any one shape.

    Returns:
        That shape, or None where the acquisition does not tell.
    """
    q = scene.acquisition
    if q.incidence_near_deg is None or q.incidence_far_deg is None or q.look_azimuth_deg is None:
        return None
    if scene.geobox.crs is None:
        return None
    share = along_look(scene.geobox, q.look_azimuth_deg, row, col)
    return np.asarray(q.incidence_near_deg + share * (q.incidence_far_deg - q.incidence_near_deg))
