"""Exact percentiles of many values without sorting them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 2048
_SPREADS = 5.0
"""So many standard deviations around a sample's percentile lies the one looked for, or all values are sorted."""


def percentiles(values: NDArray[np.float32], percents: Sequence[float]) -> list[float]:
    """What `np.nanpercentile` gives, to the bit: each from the few values around it, which a sample bounds.

    Source: Floyd and Rivest 1975, "Expected time bounds for selection", CACM 18(3).

    Args:
        values: Of any shape, at least one of them a number.
        percents: 0 to 100.
    """
    known = values[~np.isnan(values)] if np.isnan(values).any() else values.ravel()
    sample = np.sort(known[:: max(1, known.size // _SAMPLE)])
    return [_percentile(known, sample, p) for p in percents]


def _percentile(known: NDArray[np.float32], sample: NDArray[np.float32], percent: float) -> float:
    share = percent / 100
    off = _SPREADS * np.sqrt(sample.size * share * (1 - share)) + 2
    first, last = int(share * sample.size - off), int(share * sample.size + off)
    if first < 0 or last >= sample.size:
        return float(np.percentile(known, [percent])[0])
    low, high = sample[first], sample[last]
    from_low = known >= low
    near = np.sort(known[from_low & (known <= high)])
    place = share * (known.size - 1)
    index = int(place) - (known.size - np.count_nonzero(from_low))
    if not 0 <= index < near.size - 1:
        return float(np.percentile(known, [percent])[0])
    # as NumPy's, from the nearer end
    below, above = near[index], near[index + 1]
    step, part = float(above - below), place - int(place)
    return float(above) - step * (1 - part) if part >= 0.5 else float(below) + step * part
