"""Bright compact returns on a dark ground, by a constant false alarm rate, on cells of `CELL_PX` pixels.

Detection is the same for every kind of target: clutter is fitted on the ground that the target would stand on, what
exceeds it is grouped, and each group is told by how much of that ground lies around it.

Source: Crisp 2004, "The State-of-the-Art in Ship Detection in Synthetic Aperture Radar Imagery", DSTO-RR-0272.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.corpus.store import TilePixels
from knowlip.hcot import clutter
from knowlip.hcot.cover import CELL_PX

FALSE_ALARM_RATE = 1e-7
"""Of a cell; a tile of 256 x 256 pixels has 16,384."""
GROWN_RATE = 1e-4
"""A detection's further cells exceed the clutter at this rate."""
SIDE_LOBE = 0.012
"""Returns that far under the brightest nearby may be its side lobes: -19 dB, over those of usual windows."""
_SIDE_LOBE_CELLS = 15
_CLUTTER_CELLS = 25
_LEAST_CLUTTER_CELLS = 150
_PASSES = 3
_GAP_M = 16.0
"""Parts of one target lie nearer to each other than this; ships lie further apart."""
LARGEST_M = 600.0
"""No target is larger, with its side lobes."""
_NEAR_CELLS, _FAR_CELLS = 4, 10
_IN_THE_WAY = 0.03
"""What stands beside a target returns at least this share of its peak, over any window's side lobes."""
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class Group:
    """A group of bright cells.

    Attributes:
        window: Rows and columns of the cells.
        mask: `(h, w)` its cells within the window.
        clear: Share of what lies close around it and in the frame that nothing stands on, 0 to 1.
        ground: Share of what lies further around it and in the frame that is the ground looked for, 0 to 1.
        contrast: Its peak in multiples of the clutter's mean.
        least: What a cell has to exceed, in the same multiples.
        at_edge: Whether it touches the frame's edge.
        large: Whether it is larger than any target; then what lies around it is not measured.
    """

    window: tuple[slice, slice]
    mask: NDArray[np.bool_]
    clear: float
    ground: float
    contrast: float
    least: float
    at_edge: bool
    large: bool


@dataclass(frozen=True)
class Detections:
    """All groups of a tile.

    Attributes:
        groups: In no particular order.
        level: `(h, w)` power of the cells in multiples of the clutter's mean, the mean over polarisations.
        grown: `(h, w)` cells that exceed the clutter.
    """

    groups: tuple[Group, ...]
    level: NDArray[np.float32]
    grown: NDArray[np.bool_]


def cell_power(pixels: TilePixels) -> NDArray[np.float32]:
    """`(C, h, w)` mean power of each cell, NaN where a pixel is missing."""
    c, h, w = pixels.db.shape
    h, w = h // CELL_PX, w // CELL_PX
    power = np.exp(pixels.db[:, : h * CELL_PX, : w * CELL_PX] * np.float32(np.log(10) / 10))
    cells: NDArray[np.float32] = power.reshape(c, h, CELL_PX, w, CELL_PX).mean(axis=(2, 4))
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
    valid = ~np.isnan(power).any(axis=0)
    clear = ground & valid
    if np.count_nonzero(clear) < _LEAST_CLUTTER_CELLS:
        return None
    power = np.where(valid, power, np.float32(0))
    looks *= len(power)
    level, order = _normalised(power, clear), clutter.SMOOTH_ORDER
    if level[valid].max() < clutter.threshold(FALSE_ALARM_RATE, looks, order):
        return None
    # each pass takes what stood out in the one before, with its surroundings, out of the clutter
    for _ in range(_PASSES):
        bright = level > clutter.threshold(1e-3, looks, order)
        strong = ndimage.binary_dilation(level > clutter.threshold(FALSE_ALARM_RATE, looks, order), iterations=3)
        fair = clear & ~strong & ~bright
        if np.count_nonzero(fair) < _LEAST_CLUTTER_CELLS:
            return None
        level = _normalised(power, fair)
        order = clutter.texture_order(level[clear & ~strong], looks)
    seed = valid & (level > clutter.threshold(FALSE_ALARM_RATE, looks, order))
    if not seed.any():
        return None
    least = clutter.threshold(GROWN_RATE, looks, order)
    grown = level > np.maximum(least, SIDE_LOBE * ndimage.maximum_filter(level, _SIDE_LOBE_CELLS, mode="nearest"))
    return Detections(_groups(level, grown, seed & grown, valid, ground, least, cell_m), level, grown)


def _normalised(power: NDArray[np.float32], clear: NDArray[np.bool_]) -> NDArray[np.float32]:
    """`(h, w)` power over the clutter's local mean, or far from clutter its global mean; averaged over polarisations."""
    weight = clear.astype(np.float32)
    share = ndimage.uniform_filter(weight, _CLUTTER_CELLS, mode="constant")
    # a fiftieth of the global mean in every window steadies windows that hold little clutter
    total = np.zeros(clear.shape, np.float32)
    for p in power:
        overall = np.float32(p[clear].mean())
        local = ndimage.uniform_filter(p * weight, _CLUTTER_CELLS, mode="constant")
        total += p / np.maximum((local + overall / 50) / (share + np.float32(1 / 50)), np.float32(1e-12))
    return total / np.float32(len(power))


def _groups(
    level: NDArray[np.float32],
    grown: NDArray[np.bool_],
    seed: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    ground: NDArray[np.bool_],
    least: float,
    cell_m: float,
) -> tuple[Group, ...]:
    linked, reach = grown, round(_GAP_M / 2 / cell_m)
    if reach:
        pad = np.pad(grown, reach)
        linked = ndimage.binary_closing(pad, _EIGHT, iterations=reach)[reach:-reach, reach:-reach]
    labels, count = ndimage.label(linked, _EIGHT)
    if not count:
        return ()
    peak = np.zeros(count + 1, np.float32)
    np.maximum.at(peak, labels[seed], level[seed])
    found = []
    for k, window in enumerate(ndimage.find_objects(labels), 1):
        if peak[k] <= 0:
            continue
        rows, cols = window
        mask = labels[window] == k
        h, w = level.shape
        at_edge = rows.start == 0 or cols.start == 0 or rows.stop == h or cols.stop == w
        if max(mask.shape) * cell_m > LARGEST_M:
            found.append(Group(window, mask & grown[window], 0.0, 0.0, float(peak[k]), least, at_edge, True))
            continue
        top, left = max(0, rows.start - _FAR_CELLS), max(0, cols.start - _FAR_CELLS)
        around = (slice(top, rows.stop + _FAR_CELLS), slice(left, cols.stop + _FAR_CELLS))
        own = labels[around] == k
        close = ndimage.binary_dilation(own, _EIGHT, iterations=1)
        near = ndimage.binary_dilation(close, _EIGHT, iterations=_NEAR_CELLS - 1) & valid[around]
        ring = near & ~close
        far = ndimage.binary_dilation(near, _EIGHT, iterations=_FAR_CELLS - _NEAR_CELLS) & ~near & valid[around]
        # side lobes beside it are not in its way
        in_the_way = (labels[around][ring] > 0) & (level[around][ring] > _IN_THE_WAY * peak[k])
        found.append(
            Group(
                window,
                mask & grown[window],
                1 - float(in_the_way.mean()) if in_the_way.size else 0.0,
                float(ground[around][far].mean()) if far.any() else 0.0,
                float(peak[k]),
                least,
                at_edge,
                False,
            )
        )
    return tuple(found)
