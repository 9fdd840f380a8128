"""Ships on water that a map has: at berths too, which without a map cannot be told from the quay.

Everything bright on mapped water that is no bridge and no ghost is taken for a ship. What lies beyond the shore is cut
off, so that cranes and sheds behind a ship do not grow into it. Detection is as in `detection`, on pixels, since ships
at berth lie closer to each other than cells tell apart; what has no ship's shape is cut at higher and higher levels, as
ships beside each other are darker between them. Limits without another source were set on simulated scenes of
`--seed 3` at 10 and 5 m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.core.radiometry import power_of_db
from knowlip.core.statements import TargetObject
from knowlip.corpus.store import TilePixels
from knowlip.hcot import clutter
from knowlip.hcot.boxes import Box, oriented_box
from knowlip.hcot.cover import CELL_PX
from knowlip.hcot.detection import FALSE_ALARM_RATE, GROWN_RATE, SIDE_LOBE, fit_clutter
from knowlip.hcot.targets import AT_BERTHS, CUT, SPREAD_PX, Targets

LEAST_WATER = 0.01
"""Share of a tile that mapped water has to have to be looked at."""
_SHORE_M = 10.0
"""How far maps of shores are wrong or out of place; what is bright only so near to one is the shore."""
_GAP_M, _LOBE_REACH_PX, _EDGE_REACH_PX = 12.0, 31, 11
_EDGE = 0.04
"""A target ends where its returns fall to this share of the brightest within reach, and side lobes reach so far."""
_AWAY, _AT_SHORE = 0.97, 0.35
"""Share of a target's pixels off the shore: of one in open water, and the least of one at a berth."""
_CONTRAST_AWAY, _CONTRAST_AT_SHORE = 5.0, 10.0
"""Multiples of what a pixel has to exceed that a ship's peak reaches; shores and piers return something themselves."""
_LONGEST_M, _WIDEST_M = 420.0, 75.0
_LEAST_PX, _FILLED, _SLENDER, _LARGE_PX = 3, 0.55, 1.5, 12.0
"""A ship fills so much of its box; one longer than so many pixels is that much longer than wide."""
_CUT, _DEEPEST = 2.5, 1000.0
"""Factor between levels at which groups are cut, and how far below a group's peak the first of them lies at most."""
_METAL = 80.0
"""Multiples of what a pixel has to exceed that hulls reach, and bridges do not."""
_BEYOND_M, _NO_BRIDGE_M = 20.0, 40.0
"""Land so near beyond both ends of what is longer than a boat makes it a bridge."""
_SURE_AWAY, _SURE_AT_SHORE = 0.85, 0.65
_EIGHT = np.ones((3, 3), bool)


def ships_on_mapped_water(pixels: TilePixels, water: NDArray[np.bool_], looks: float, gsd_m: float) -> Targets:
    """Find ships on mapped water; where some lie at berths, their number is in doubt.

    Args:
        pixels: The tile.
        water: `(H, W)` pixels of water by the map.
        looks: Equivalent number of looks of a cell's speckle.
        gsd_m: Ground sample distance, metres.
    """
    valid = np.isfinite(pixels.db).all(axis=0)
    water = water & valid
    away = ndimage.binary_erosion(water, _EIGHT, iterations=max(1, round(_SHORE_M / gsd_m)), border_value=1)
    power = np.where(water, power_of_db(pixels.db), np.float32(0))
    # the mean of a cell around every pixel; its middle lies half a pixel up and left
    power = ndimage.uniform_filter(power, (0, CELL_PX, CELL_PX), mode="nearest")
    fitted = fit_clutter(power, away, looks, CELL_PX)
    if fitted is None:
        return Targets()
    level = np.where(water, fitted.level, np.float32(0))
    seed = away & (level > clutter.threshold(FALSE_ALARM_RATE, fitted.looks, fitted.order))
    if not seed.any():
        return Targets()
    least = clutter.threshold(GROWN_RATE, fitted.looks, fitted.order)
    bright = level > least
    for share, reach in ((SIDE_LOBE, _LOBE_REACH_PX), (_EDGE, _EDGE_REACH_PX)):
        bright &= level > share * ndimage.maximum_filter(level, reach, mode="nearest")
    scene = _Water(water, away, level, least, gsd_m)
    ships = tuple(ship for part in _parts(bright, seed, water, gsd_m) for ship in _ships(*part, scene, least))
    if any(s.confidence < _SURE_AWAY for s in ships):
        return Targets(ships, AT_BERTHS)
    edge = seed[[0, -1]].any() or seed[:, [0, -1]].any()
    return Targets(ships, CUT if edge else "")


@dataclass(frozen=True)
class _Water:
    """What a target is judged by; all `(H, W)`."""

    water: NDArray[np.bool_]
    away: NDArray[np.bool_]
    level: NDArray[np.float32]
    least: float
    gsd_m: float


Window = tuple[slice, slice]


def _parts(
    bright: NDArray[np.bool_], seed: NDArray[np.bool_], water: NDArray[np.bool_], gsd_m: float
) -> list[tuple[Window, NDArray[np.bool_]]]:
    """Window and mask of each group of bright pixels with a detection in it; gaps of less than `_GAP_M` are closed."""
    linked, reach = bright, round(_GAP_M / 2 / gsd_m)
    if reach:
        padded = ndimage.binary_closing(np.pad(bright, reach), _EIGHT, iterations=reach)
        linked = padded[reach:-reach, reach:-reach] & water
    labels, _ = ndimage.label(linked, _EIGHT)
    found = []
    for k, window in enumerate(ndimage.find_objects(labels), 1):
        own = (labels[window] == k) & bright[window]
        if np.count_nonzero(own) >= _LEAST_PX and (seed[window] & own).any():
            found.append((window, own))
    return found


def _ships(window: Window, own: NDArray[np.bool_], scene: _Water, limit: float) -> list[TargetObject]:
    """The ships of a group of bright pixels: itself, or those that it falls into above higher levels."""
    off_shore = float(scene.away[window][own].mean())
    in_open = off_shore >= _AWAY
    least = scene.least * (_CONTRAST_AWAY if in_open else _CONTRAST_AT_SHORE)
    peak = float(scene.level[window][own].max())
    if off_shore < _AT_SHORE or peak < least:
        return []
    box = oriented_box(own, SPREAD_PX).scaled(1.0, window[1].start - 0.5, window[0].start - 0.5)
    if _has_ships_shape(box, scene.gsd_m):
        if box.length_px * scene.gsd_m > _NO_BRIDGE_M and _lands_beyond(box, scene) == 2:
            return []
        sizes = box.length_px * scene.gsd_m, box.width_px * scene.gsd_m
        sure = _SURE_AWAY if in_open else _SURE_AT_SHORE
        return [TargetObject("ship", None, box.corners, *sizes, box.heading_deg, "cfar", sure)]
    higher = max(_CUT * limit, peak / _DEEPEST)
    # bridges and piers are not so bright, and fall into many parts
    if peak < _METAL * scene.least or higher > peak / _CUT:
        return []
    labels, _ = ndimage.label(own & (scene.level[window] > higher), _EIGHT)
    found = []
    for k, part in enumerate(ndimage.find_objects(labels), 1):
        mask = labels[part] == k
        strong = scene.level[window][part][mask].max(initial=0) >= _METAL / 2 * scene.least
        if np.count_nonzero(mask) >= _LEAST_PX and strong:
            here = tuple(slice(w.start + p.start, w.start + p.stop) for w, p in zip(window, part, strict=True))
            found += _ships((here[0], here[1]), mask, scene, higher)
    return found


def _has_ships_shape(box: Box, gsd_m: float) -> bool:
    """Whether a box is no larger than ships are, is filled, and is slender where it is large enough to tell."""
    small = box.length_px * gsd_m <= _LONGEST_M and box.width_px * gsd_m <= _WIDEST_M
    return small and box.fill >= _FILLED and (box.length_px <= _LARGE_PX or box.length_px >= _SLENDER * box.width_px)


def _lands_beyond(box: Box, scene: _Water) -> int:
    """At how many of its ends a target has land within `_BEYOND_M`."""
    steps = np.arange(1.0, max(3.0, _BEYOND_M / scene.gsd_m) + 1)
    ends = 0
    for side in (-1, 1):
        at = np.array(box.centre) + side * (box.length_px / 2 + 1 + steps[:, None]) * np.array(box.ahead)
        col, row = np.floor(at).astype(int).T
        inside = (row >= 0) & (col >= 0) & (row < scene.water.shape[0]) & (col < scene.water.shape[1])
        ends += bool((~scene.water[row[inside], col[inside]]).any())
    return ends
