"""Random fields of gamma law: speckle, and the texture of ground that makes clutter K-distributed.

A field of given law and correlation is made from a smoothed Gaussian one by matching quantiles, so the law is exact for
any, also fractional, number of looks.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special, stats

_Z_MAX = 6.0
_KNOTS, _COMPUTED = 1 << 15, 4097


Taps = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weights of a filter along rows' and columns' axes, an odd number each."""


def filtered(field: NDArray[np.float32], taps: Taps) -> NDArray[np.float32]:
    """A field (H, W) weighted along both axes, edges repeated."""
    rows, cols = taps
    r = len(rows) // 2
    padded = np.pad(field, ((r, r), (0, 0)), mode="edge")
    out = rows[0] * padded[: field.shape[0]]
    for k, tap in enumerate(rows[1:], start=1):
        out += tap * padded[k : k + field.shape[0]]
    return np.asarray(ndimage.correlate1d(out, cols, axis=1, mode="nearest"), np.float32)


def smooth_normal(shape: tuple[int, int], taps: Taps, rng: np.random.Generator) -> NDArray[np.float32]:
    """White normal noise (H, W), filtered and scaled back to unit variance."""
    r, c = (len(t) // 2 for t in taps)
    field = filtered(rng.standard_normal((shape[0] + 2 * r, shape[1] + 2 * c), dtype=np.float32), taps)
    left = np.sqrt(np.prod([np.square(t).sum(dtype=np.float64) for t in taps]))
    return np.asarray(field[r : r + shape[0], c : c + shape[1]] * np.float32(1 / left))


def gaussian_taps(std_px: float) -> NDArray[np.float32]:
    """A Gaussian's weights, of sum 1."""
    radius = int(np.ceil(4 * std_px)) if std_px > 0 else 0
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(std_px, 1e-6)) ** 2)
    return np.asarray(taps / taps.sum(), np.float32)


def smooth_gaussian(shape: tuple[int, int], std_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A standard normal field (H, W), smoothed by a Gaussian of that deviation and scaled back to unit variance."""
    taps = gaussian_taps(std_px)
    return smooth_normal(shape, (taps, taps), rng)


def gamma_from_normal(normal: NDArray[np.float32], order: float) -> NDArray[np.float32]:
    """A gamma field of mean 1 and that order (variance 1/order) with the ranks of a standard normal field."""
    index = (normal * np.float32((_KNOTS - 1) / (2 * _Z_MAX)) + np.float32(0.5 * (_KNOTS - 1) + 0.5)).astype(np.int32)
    return np.take(_gamma_quantiles(order), index, mode="clip")


@lru_cache(maxsize=8)
def _gamma_quantiles(order: float) -> NDArray[np.float32]:
    """Quantiles at the ranks of normal values from -6 to 6, finer than any image tells apart."""
    z = np.linspace(-_Z_MAX, _Z_MAX, _KNOTS)
    coarse = np.linspace(-_Z_MAX, _Z_MAX, _COMPUTED)
    # the upper half through the survival function, where 1 - p would lose its digits
    upper = stats.gamma.isf(special.ndtr(-np.abs(coarse)), order)
    quantiles = np.where(coarse > 0, upper, stats.gamma.ppf(special.ndtr(coarse), order)) / order
    # between computed ones the logarithm is all but straight
    return np.exp(np.interp(z, coarse, np.log(np.maximum(quantiles, 1e-30)))).astype(np.float32)


def speckle(shape: tuple[int, int], looks: float, taps: Taps, rng: np.random.Generator) -> NDArray[np.float32]:
    """Speckle (H, W) to multiply with, of mean 1 and that number of looks, for images of several looks.

    Args:
        shape: (H, W).
        looks: Equivalent number of looks.
        taps: Weights that correlate neighbours, of `response.speckle_taps`.
        rng: Source of the field.
    """
    return gamma_from_normal(smooth_normal(shape, taps, rng), looks)
