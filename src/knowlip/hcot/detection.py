"""Bright compact returns on a dark ground, by a constant false alarm rate, on cells of `CELL_PX` pixels.

Detection is the same for every kind of target: clutter is fitted on the ground that the target would stand on, what
exceeds it is grouped, and each group is told by how much of that ground lies around it.

Source: Crisp 2004, "The State-of-the-Art in Ship Detection in Synthetic Aperture Radar Imagery", DSTO-RR-0272.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.core.radiometry import power_of_db
from knowlip.corpus.store import TilePixels
from knowlip.hcot import clutter
from knowlip.hcot.cover import CELL_PX
from knowlip.hcot.masks import closed, dilated

FALSE_ALARM_RATE = 1e-7
"""Of a cell; a tile of 256 x 256 pixels has 16,384."""
GROWN_RATE = 1e-4
"""A detection's further cells exceed the clutter at this rate."""
SIDE_LOBE = 0.012
"""Returns that far under the brightest nearby may be its side lobes: -19 dB, over those of usual windows."""
_SIDE_LOBE_CELLS = 15
_CLUTTER_CELLS = 25
_LEAST_CLUTTER_CELLS = 150
_PASSES = 2
_SPREAD_CELLS = 7
"""Window that a strong return takes out of the clutter."""
_GAP_M = 16.0
"""Parts of one target lie nearer to each other than this; ships lie further apart."""
LARGEST_M = 600.0
"""No target is larger, with its side lobes."""
_NEAR_CELLS, FAR_CELLS = 4, 10
"""How far around a group is looked for what stands in its way, and from there on for the ground it stands on."""
_IN_THE_WAY = 0.03
"""What stands beside a target returns at least this share of its peak, over any window's side lobes."""
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Group:
    """A group of bright cells.

    Attributes:
        window: Rows and columns of the cells.
        mask: `(h, w)` its cells within the window.
        ground: Share of what lies further around it and in the frame that is the ground looked for, 0 to 1.
        contrast: Its peak in multiples of the clutter's mean.
        least: What a cell has to exceed, in the same multiples.
        at_edge: Whether it touches the frame's edge.
        large: Whether it is larger than any target.
        label: Its number in the detections' labels.
    """

    window: tuple[slice, slice]
    mask: NDArray[np.bool_]
    ground: float
    contrast: float
    least: float
    at_edge: bool
    large: bool
    label: int


@dataclass(frozen=True)
class Detections:
    """What stands out in a tile.

    Attributes:
        level: `(h, w)` power of the cells in multiples of the clutter's mean, the mean over polarisations.
        grown: `(h, w)` cells that exceed the clutter.
        seed: `(h, w)` those of them that are detections.
        valid, ground: `(h, w)` cells with data, and those of them that are the ground looked for.
        least: What a cell has to exceed, in multiples of the clutter's mean.
        cell_m: Side of a cell, metres.
    """

    level: NDArray[np.float32]
    grown: NDArray[np.bool_]
    seed: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    ground: NDArray[np.bool_]
    least: float
    cell_m: float

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All groups with a detection in them, in no particular order."""
        peaks = np.zeros(self._labels.max() + 1, np.float32)
        np.maximum.at(peaks, self._labels[self.seed], self.level[self.seed])
        found = []
        for k, window in enumerate(ndimage.find_objects(self._labels), 1):
            if peaks[k] <= 0:
                continue
            mask = (self._labels[window] == k) & self.grown[window]
            share = _around(self.ground, window) / max(_around(self.valid, window), 1)
            at_edge = any(s.start == 0 or s.stop == size for s, size in zip(window, self.level.shape, strict=True))
            large = max(mask.shape) * self.cell_m > LARGEST_M
            found.append(Group(window, mask, share, float(peaks[k]), self.least, at_edge, large, k))
        return tuple(found)

    def clear_around(self, group: Group) -> float:
        """Share of what lies within `_NEAR_CELLS` of a group that no other group's strong cells take, 0 to 1."""
        around = grown_window(group.window, _NEAR_CELLS)
        labels = self._labels[around]
        own = labels == group.label
        ring = dilated(own, _NEAR_CELLS) & ~dilated(own, 1)
        # side lobes beside it are not in its way
        other = (labels > 0) & (self.level[around] > _IN_THE_WAY * group.contrast) & ring
        return 1 - float(np.count_nonzero(other)) / max(float(np.count_nonzero(ring)), 1.0)

    @cached_property
    def _labels(self) -> NDArray[np.int32]:
        """`(h, w)` numbers of groups, over what is linked by gaps smaller than between targets."""
        labels: NDArray[np.int32] = ndimage.label(closed(self.grown, round(_GAP_M / 2 / self.cell_m)), _EIGHT)[0]
        return labels


def cell_power(pixels: TilePixels) -> NDArray[np.float32]:
    """`(C, h, w)` mean power of each cell, NaN where a pixel is missing."""
    _, h, w = pixels.db.shape
    h, w = h // CELL_PX * CELL_PX, w // CELL_PX * CELL_PX
    fine = power_of_db(pixels.db[:, :h, :w])
    parts = [fine[:, i::CELL_PX, j::CELL_PX] for i in range(CELL_PX) for j in range(CELL_PX)]
    cells: NDArray[np.float32] = sum(parts[1:], parts[0]) / np.float32(len(parts))
    return cells


def detect(power: NDArray[np.float32], ground: NDArray[np.bool_], looks: float, cell_m: float) -> Detections | None:
    """Bright groups of a tile in the clutter of its ground.

    Args:
        power: `(C, h, w)` linear power of cells, NaN where there is none.
        ground: `(h, w)` cells of the ground that targets stand on.
        looks: Equivalent number of looks of a cell's speckle in one polarisation.
        cell_m: Side of a cell, metres.

    Returns:
        None where too little ground is there to fit its clutter, or nothing exceeds it.
    """
    valid: NDArray[np.bool_] = np.isfinite(power.sum(axis=0))
    power = np.where(valid, power, np.float32(0))
    fitted = fit_clutter(power, ground & valid, looks)
    if fitted is None:
        return None
    level, looks, order = fitted
    seed: NDArray[np.bool_] = valid & (level > clutter.threshold(FALSE_ALARM_RATE, looks, order))
    if not seed.any():
        return None
    least = clutter.threshold(GROWN_RATE, looks, order)
    grown = level > np.maximum(least, SIDE_LOBE * ndimage.maximum_filter(level, _SIDE_LOBE_CELLS, mode="nearest"))
    return Detections(level, grown, seed & grown, valid, ground & valid, least, cell_m)


class Fitted(NamedTuple):
    """Clutter of a tile.

    Attributes:
        level: `(h, w)` power in multiples of the clutter's local mean, the mean over polarisations.
        looks: Equivalent number of looks of this mean.
        order: Of the clutter's texture, as in `clutter.threshold`.
    """

    level: NDArray[np.float32]
    looks: float
    order: float


def fit_clutter(power: NDArray[np.float32], clear: NDArray[np.bool_], looks: float, step: int = 1) -> Fitted | None:
    """Mean and texture of the ground's clutter, without what stands out from it.

    Args:
        power: `(C, h, w)` linear power, 0 where there is none.
        clear: `(h, w)` ground.
        looks: Equivalent number of looks in one polarisation.
        step: Samples along a cell's side.

    Returns:
        None where too little ground is there, or nothing stands out.
    """
    least_cells = _LEAST_CLUTTER_CELLS * step**2
    if np.count_nonzero(clear) < least_cells:
        return None
    looks *= len(power)
    window, spread = _CLUTTER_CELLS * step | 1, _SPREAD_CELLS * step // 2
    level, order = _normalised(power, clear, window), clutter.SMOOTH_ORDER
    if level.max() < clutter.threshold(FALSE_ALARM_RATE, looks, order):
        return None
    # each pass takes what stood out in the one before, with its surroundings, out of the clutter
    for _ in range(_PASSES):
        bright = level > clutter.threshold(1e-3, looks, order)
        strong = dilated(level > clutter.threshold(FALSE_ALARM_RATE, looks, order), spread)
        fair = clear & ~strong & ~bright
        if np.count_nonzero(fair) < least_cells:
            return None
        level = _normalised(power, fair, window)
        order = clutter.texture_order(level[clear & ~strong], looks)
    return Fitted(level, looks, order)


def _normalised(power: NDArray[np.float32], clear: NDArray[np.bool_], window: int) -> NDArray[np.float32]:
    """`(h, w)` power over the clutter's local mean, or far from clutter its global mean; mean over polarisations."""
    weight = clear.astype(np.float32)[None]
    means = ndimage.uniform_filter(np.concatenate([weight, power * weight]), window, mode="constant", axes=(1, 2))
    share = means[0] + np.float32(1 / 50)
    # a fiftieth of the global mean in every window steadies windows that hold little clutter
    total = np.zeros(clear.shape, np.float32)
    for p, local in zip(power, means[1:], strict=True):
        total += p * share / np.maximum(local + np.float32(p[clear].mean() / 50), np.float32(1e-12))
    return total / np.float32(len(power))


def grown_window(window: tuple[slice, slice], by: int) -> tuple[slice, slice]:
    """Rows and columns with so many more on every side; what lies beyond the frame's end is cut by slicing."""
    rows, cols = (slice(max(0, s.start - by), s.stop + by) for s in window)
    return rows, cols


def _around(mask: NDArray[np.bool_], window: tuple[slice, slice]) -> int:
    """Cells of a mask from `_NEAR_CELLS` to `FAR_CELLS` around a window."""
    far, near = (np.count_nonzero(mask[grown_window(window, by)]) for by in (FAR_CELLS, _NEAR_CELLS))
    return int(far - near)
