"""Random fields of gamma law: speckle, and the texture of ground that makes clutter K-distributed.

A field of given law and correlation is made from a smoothed Gaussian one by matching quantiles, so the law is exact for
any, also fractional, number of looks.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special, stats

# Full width at half maximum of the intensity impulse response, in pixels, and of a Gaussian per its deviation.
IMPULSE_RESPONSE_PX = 1.3
_FWHM_PER_STD = 2.3548
IMPULSE_RESPONSE_STD_PX = IMPULSE_RESPONSE_PX / _FWHM_PER_STD

_Z_MAX = 6.0
_KNOTS = 2049


def smooth_gaussian(shape: tuple[int, int], std_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A standard normal field (H, W), smoothed by a Gaussian of that deviation and scaled back to unit variance."""
    radius = int(np.ceil(4 * std_px)) if std_px > 0 else 0
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(std_px, 1e-6)) ** 2)
    taps /= np.sqrt(np.sum(taps**2))
    field = rng.standard_normal((shape[0] + 2 * radius, shape[1] + 2 * radius), dtype=np.float32)
    if radius == 0:
        return field
    out = np.zeros((shape[0], field.shape[1]), np.float32)
    for k, tap in enumerate(taps.astype(np.float32)):
        out += tap * field[k : k + shape[0]]
    smooth = ndimage.correlate1d(out, taps.astype(np.float32), axis=1, mode="nearest")
    return np.asarray(smooth[:, radius : radius + shape[1]], np.float32)


def gamma_from_normal(normal: NDArray[np.float32], order: float) -> NDArray[np.float32]:
    """A gamma field of mean 1 and that order (variance 1/order) with the ranks of a standard normal field."""
    z = np.linspace(-_Z_MAX, _Z_MAX, _KNOTS)
    # the upper half through the survival function, where 1 - p would lose its digits
    upper = stats.gamma.isf(special.ndtr(-np.abs(z)), order)
    quantiles = (np.where(z > 0, upper, stats.gamma.ppf(special.ndtr(z), order)) / order).astype(np.float32)
    steps = np.diff(quantiles)
    position = (np.clip(normal, -_Z_MAX, 0.9999 * _Z_MAX) + np.float32(_Z_MAX)) * np.float32(
        0.5 * (_KNOTS - 1) / _Z_MAX
    )
    base = position.astype(np.int32)
    return np.asarray(quantiles[base] + (position - base) * steps[base], np.float32)


def speckle(shape: tuple[int, int], looks: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Speckle (H, W) to multiply with, of mean 1 and that number of looks, correlated like the impulse response."""
    return gamma_from_normal(smooth_gaussian(shape, IMPULSE_RESPONSE_STD_PX, rng), looks)
