"""Thresholds of a constant false alarm rate in gamma and K clutter.

Sources: Crisp 2004, "The State-of-the-Art in Ship Detection in Synthetic Aperture Radar Imagery", DSTO-RR-0272; K
clutter of several looks is of Ward 1981, "Compound representation of high resolution sea clutter", Electronics Letters
17(16).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import gammaincc, gammaln

SMOOTH_ORDER = 100.0
"""From this order of the texture on, K clutter is gamma clutter for any purpose here."""

_LOG_TEXTURE = np.linspace(-9.0, 5.0, 281)


def false_alarm_rate(threshold: float, looks: float, order: float) -> float:
    """Probability that clutter of mean 1 exceeds a threshold.

    Args:
        threshold: In multiples of the clutter's mean.
        looks: Equivalent number of looks of the speckle.
        order: Shape of the gamma-distributed texture that multiplies it; `SMOOTH_ORDER` and more for none.
    """
    if order >= SMOOTH_ORDER:
        return float(gammaincc(looks, looks * threshold))
    texture = np.exp(_LOG_TEXTURE)
    density = np.exp(order * (np.log(order) + _LOG_TEXTURE) - order * texture - gammaln(order))
    step = _LOG_TEXTURE[1] - _LOG_TEXTURE[0]
    return float((density * gammaincc(looks, looks * threshold / texture)).sum() * step)


@cache
def _threshold(rate: float, looks: float, order: float) -> float:
    def above(log_threshold: float) -> float:
        return float(np.log(false_alarm_rate(np.exp(log_threshold), looks, order) + 1e-300) - np.log(rate))

    return float(np.exp(brentq(above, 0.0, 9.0)))


def threshold(rate: float, looks: float, order: float) -> float:
    """The multiple of the clutter's mean that it exceeds at a rate; looks and order are taken to 5 %.

    Args:
        rate: Probability of a false alarm in one cell, at most 0.01.
        looks: As in `false_alarm_rate`.
        order: As in `false_alarm_rate`.
    """
    looks, order = (float(np.exp(np.round(np.log(v) * 20) / 20)) for v in (looks, order))
    # what rounds to smooth is
    return _threshold(rate, looks, SMOOTH_ORDER if order > 0.96 * SMOOTH_ORDER else order)


def texture_order(normalised: NDArray[np.floating], looks: float) -> float:
    """Order of the texture by the method of moments: <I²>/<I>² = (1 + 1/L)(1 + 1/ν).

    Args:
        normalised: Clutter over its local mean, any shape.
        looks: Of the speckle.
    """
    first, second = float(normalised.mean()), float(np.square(normalised).mean())
    excess = second / max(first, 1e-12) ** 2 / (1 + 1 / looks) - 1
    return SMOOTH_ORDER if excess < 1 / SMOOTH_ORDER else max(1 / excess, 0.3)
