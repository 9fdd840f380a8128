"""Thresholds between two kinds of ground, from an image's own histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BINS = 128
_LEAST_SHARE = 0.02
DISTINCT = 2.0
"""Ashman's D from which two populations are distinct (Ashman, Bird, Zepf 1994; for floods, Chini et al. 2017)."""


@dataclass(frozen=True)
class Split:
    """Two populations of a histogram: where they part, their means, and how distinct they are (Ashman's D)."""

    threshold: float
    low: float
    high: float
    distinctness: float


def minimum_error(values: NDArray[np.floating]) -> Split | None:
    """The threshold under which two normal populations are confused least; None where there are no two.

    Source: Kittler and Illingworth 1986, "Minimum error thresholding".
    """
    if values.size < _BINS or np.ptp(values) < 1e-3:
        return None
    count, edges = np.histogram(values, _BINS)
    centre, share = (edges[:-1] + edges[1:]) / 2, count / count.sum()
    p = np.cumsum(share)
    first, second = np.cumsum(share * centre), np.cumsum(share * centre**2)
    inside = (p > _LEAST_SHARE) & (p < 1 - _LEAST_SHARE)
    p, m, v = p[inside], first[inside], second[inside]
    if p.size == 0:
        return None
    low, high = m / p, (first[-1] - m) / (1 - p)
    # a population is never narrower than a bin
    least = (edges[1] - edges[0]) ** 2 / 12
    low_var = np.maximum(v / p - low**2, least)
    high_var = np.maximum((second[-1] - v) / (1 - p) - high**2, least)
    error = 1 + p * np.log(low_var) + (1 - p) * np.log(high_var) - 2 * (p * np.log(p) + (1 - p) * np.log(1 - p))
    k = int(error.argmin())
    distinct = np.sqrt(2) * (high[k] - low[k]) / np.sqrt(low_var[k] + high_var[k])
    return Split(float(edges[1:][inside][k]), float(low[k]), float(high[k]), float(distinct))
