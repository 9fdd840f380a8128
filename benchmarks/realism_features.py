"""What a patch of a radar picture looks like, in numbers: tails, correlation, texture, spectrum."""

import numpy as np
from numpy.typing import NDArray

FEATURES = (
    "log-cumulant 2",
    "log-cumulant 3",
    "correlation length",
    "contrast",
    "homogeneity",
    "energy",
    "correlation",
    "entropy",
)
"""The figures that are compared one by one."""

GREY_LEVELS = 32
_SPECTRUM_BINS = 8
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def log_cumulants(patch: NDArray[np.uint8]) -> tuple[float, float]:
    """Second and third cumulant of the logarithm of the intensity, natural units.

    Source: Nicolas 2002, "Introduction aux statistiques de deuxième espèce", Traitement du Signal 19(3).
    """
    x = 2 * np.log(np.maximum(patch, 1).astype(np.float64))
    d = x - x.mean()
    return float(np.mean(d**2)), float(np.mean(d**3))


def correlation_length_px(patch: NDArray[np.uint8]) -> float:
    """Lag at which the amplitude's autocorrelation falls below 1/e, the mean of both axes."""
    x = patch.astype(np.float64) - patch.mean()
    variance = np.mean(x * x)
    if variance == 0:
        return 0.0
    lengths = []
    for axis in (0, 1):
        y = np.moveaxis(x, axis, 0)
        n = len(y) // 2
        r = np.array([np.mean(y[: len(y) - k] * y[k:]) / variance for k in range(n)])
        below = np.nonzero(r < 1 / np.e)[0]
        k = int(below[0]) if len(below) else n - 1
        lengths.append(k - (1 / np.e - r[k]) / (r[k - 1] - r[k]) if k and r[k] < 1 / np.e else float(k))
    return float(np.mean(lengths))


def co_occurrence(patch: NDArray[np.uint8]) -> tuple[float, float, float, float, float]:
    """Contrast, homogeneity, energy, correlation and entropy over the four next neighbours.

    Source: Haralick, Shanmugam & Dinstein 1973, "Textural features for image classification", IEEE TSMC 3(6).
    """
    q = (patch.astype(np.int64) * GREY_LEVELS) >> 8
    counts = np.zeros(GREY_LEVELS * GREY_LEVELS)
    H, W = q.shape
    for dr, dc in _NEIGHBOURS:
        a = q[: H - dr, max(0, -dc) : W - max(0, dc)]
        b = q[dr:, max(0, dc) : W + min(0, dc)]
        counts += np.bincount((a * GREY_LEVELS + b).ravel(), minlength=counts.size)
    p = counts.reshape(GREY_LEVELS, GREY_LEVELS)
    p = (p + p.T) / (2 * p.sum())
    i = np.arange(GREY_LEVELS)
    apart = (i[:, None] - i[None, :]) ** 2
    margin = p.sum(axis=1)
    mean = float(margin @ i)
    variance = float(margin @ (i - mean) ** 2)
    covariance = float((i - mean) @ p @ (i - mean))
    filled = p[p > 0]
    return (
        float((p * apart).sum()),
        float((p / (1 + apart)).sum()),
        float(np.sqrt((p * p).sum())),
        covariance / variance if variance else 1.0,
        float(-(filled * np.log2(filled)).sum()),
    )


def spectrum(patch: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Logarithm of the shares of the patch's variance in rings of spatial frequency."""
    x = patch.astype(np.float64) - patch.mean()
    power = np.abs(np.fft.rfft2(x * np.outer(np.hanning(len(x)), np.hanning(x.shape[1])))) ** 2
    radius = np.hypot(np.fft.fftfreq(len(x))[:, None], np.fft.rfftfreq(x.shape[1])[None, :])
    bins = np.minimum((radius / 0.5 * _SPECTRUM_BINS).astype(int), _SPECTRUM_BINS)
    ring = np.bincount(bins.ravel(), power.ravel(), minlength=_SPECTRUM_BINS + 1)
    return np.log(ring / max(ring.sum(), 1e-9) + 1e-6)


def compared(patch: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The figures of `FEATURES` (8,)."""
    return np.array([*log_cumulants(patch), correlation_length_px(patch), *co_occurrence(patch)])


def described(patch: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the classifier sees: the compared figures, level, percentiles and spectrum (24,)."""
    percentiles = np.percentile(patch, (5, 25, 50, 75, 95, 99))
    return np.concatenate([compared(patch), [patch.mean()], percentiles, spectrum(patch)])
