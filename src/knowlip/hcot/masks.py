"""Square windows over masks, by shifts: many times cheaper than filters that know any window and any type."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dilated(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """`(h, w)` what lies within so many rows and columns of a mask; beyond the frame nothing does."""
    for axis in (0, 1):
        reached = 0
        while reached < by:
            # a shift by more would leave gaps beside the frame, where nothing comes from beyond
            step = min(reached + 1, by - reached)
            here, there = mask.swapaxes(0, axis), mask.copy()
            grown = there.swapaxes(0, axis)
            grown[step:] |= here[:-step]
            grown[:-step] |= here[step:]
            mask, reached = there, reached + step
    return mask


def closed(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """`(h, w)` a mask, and the gaps in it of at most twice so many cells: its dilation, shrunk by as much."""
    if by == 0:
        return mask
    shrunk = ~dilated(~dilated(np.pad(mask, by), by), by)
    return shrunk[by:-by, by:-by]
