"""Parked aircraft on aprons: compact groups of bright points with dark, smooth, level ground all around them.

An aircraft is a few strong points, at its engines, nose, wing roots and tail, with gaps between; what one has of them
is linked, and judged by its extent and by how much pavement lies around it. Buildings are larger or long, and stand at
the pavement's edge. Bare ground may be as dark as an apron, so that where no map or table knows of an airport one group
alone is no aircraft: several compact ones in the open are, and then what is less clear beside them is one too.

Limits without another source were set on simulated scenes of seeds 1 to 3, never on those that figures are given of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.core.statements import TargetObject
from knowlip.corpus.store import TilePixels
from knowlip.hcot.boxes import Box, oriented_box
from knowlip.hcot.cover import CELL_PX, CLASSES, CoverMap
from knowlip.hcot.cover.table import SPECKLE_TEXTURE
from knowlip.hcot.detection import Detections, cell_power, detect, grown_window
from knowlip.hcot.targets import CUT, SPREAD_PX, Targets

FINEST_M, COARSEST_M = 1.2, 3.0
"""Ground sample distances between which aircraft are looked for: coarser ones leave too few cells, and in finer ones
four of five groups found were something else (`benchmarks/detection.py --platforms gaofen3-sl`)."""
_DARK_DB, _BRIGHT_DB = -12.5, -9.0
"""Concrete and asphalt return less than the first, and what stands on them more than the second."""
_VOTE_M, _OPEN_M = 30.0, 60.0
"""Windows in which ground is taken for pavement, and pavement for an open apron."""
_PAVED, _OPEN, _PLAIN = 0.6, 0.8, 0.6
"""Shares of such a window that are dark, pavement, and clear."""
_LEAST_HA, _LEAST_SHARE = 2.0, 0.3
"""The smallest apron, and the share of a tile that is enough where a tile is hardly larger."""
_ROUGHER, _WATER = 0.35, 0.6
"""How much rougher than speckle alone an apron is at most, and how probable water on it."""
_GAP_M = 10.0
"""Points of one aircraft lie nearer to each other than this; wing tips of neighbours are further apart."""
_BESIDE_M, _AROUND_M = 4.0, 16.0
"""From where to where the ground around a group is looked at."""
_LEAST_CELLS, _SHORTEST_M, _LONGEST_M, _NARROWEST_M = 3, 8.0, 75.0, 4.0
"""Extents of an aircraft's returns: the largest airliners are 74 m long, and small ones return from their middle."""
_CLEAR, _NEARLY = 0.8, 0.5
"""Shares of pavement around an aircraft, and around what may be one beside something else."""
_SURELY_CLEAR, _SURELY_OPEN, _SURELY_COMPACT, _SURELY_M = 0.85, 0.6, 0.4, 10.0
"""The same share, the open apron's within `_REACH_M`, width by length, and extent of a group that tells of others."""
_REACH_M = 120.0
_WITNESSES = 2
"""So many groups tell an airport where nothing else does."""
_VISIBLE = 0.82
"""Share of an aircraft's length over all that its returns span, in the median."""
_LEAST_SURE, _MOST_SURE = 0.45, 0.85
_EIGHT = np.ones((3, 3), bool)


def find_aircraft(pixels: TilePixels, cover: CoverMap, looks: float, gsd_m: float, airport: bool = False) -> Targets:
    """Find parked aircraft in a tile.

    Args:
        pixels: The tile.
        cover: Its land cover.
        looks: Equivalent number of looks of a cell's speckle.
        gsd_m: Ground sample distance, metres.
        airport: Whether maps or tables know of an airport there.
    """
    if not FINEST_M <= gsd_m <= COARSEST_M:
        return Targets()
    apron = _apron(cover, CELL_PX * gsd_m)
    found = None if apron is None else detect(cell_power(pixels), apron.paved, looks, CELL_PX * gsd_m)
    if apron is None or found is None:
        return Targets()
    groups = _groups(found, apron, gsd_m)
    parked = [g for g in groups if g.paved >= _CLEAR and not g.at_edge]
    if sum(g.surely for g in parked) < (1 if airport else _WITNESSES):
        return Targets()
    return Targets(tuple(g.aircraft(gsd_m) for g in parked), _doubt(groups))


@dataclass(frozen=True)
class _Apron:
    """Pavement of a tile.

    Attributes:
        paved: `(h, w)` cells of pavement, with what stands on it.
        open: `(h, w)` cells of it that pavement surrounds.
        near_open: `(h, w)` share of the latter within `_REACH_M`.
    """

    paved: NDArray[np.bool_]
    open: NDArray[np.bool_]
    near_open: NDArray[np.float32]


@dataclass(frozen=True)
class _Group:
    """Linked bright cells near an apron, of an aircraft's extent.

    Attributes:
        paved: Share of what lies around them that is free pavement.
        surely: Whether they stand so clear in the open that they tell of an airport.
    """

    box: Box
    paved: float
    surely: bool
    at_edge: bool

    def aircraft(self, gsd_m: float) -> TargetObject:
        """The aircraft, as long as usual for the extent that is seen of it."""
        box, sure = self.box, _LEAST_SURE + (_MOST_SURE - _LEAST_SURE) * (self.paved - _CLEAR) / (1 - _CLEAR)
        length_m, width_m = box.length_px * gsd_m / _VISIBLE, box.width_px * gsd_m / _VISIBLE
        return TargetObject("aircraft", None, box.corners, length_m, width_m, box.heading_deg, "cfar", sure)


def _doubt(groups: list[_Group]) -> str:
    """Why the number of aircraft cannot be told; empty where it can."""
    if any(g.at_edge and g.paved >= _NEARLY for g in groups):
        return CUT
    if any(_NEARLY <= g.paved < _CLEAR for g in groups):
        return "bright returns beside others may be aircraft"
    return ""


def _apron(cover: CoverMap, cell_m: float) -> _Apron | None:
    """Where aircraft may stand; None where nowhere."""
    dark = (cover.mean_db < _DARK_DB) & (cover.codes > 0)
    least = min(_LEAST_HA * 1e4 / cell_m**2, _LEAST_SHARE * dark.size)
    if np.count_nonzero(dark) < least:
        return None
    # what stands on pavement counts neither for nor against it
    plain = ndimage.minimum_filter(cover.mean_db < _BRIGHT_DB, 3)
    seen, voted = _share(plain, _VOTE_M, cell_m), _share(dark & plain, _VOTE_M, cell_m)
    paved: NDArray[np.bool_] = voted > _PAVED * np.maximum(seen, 0.2)
    middle = (_share(paved, _OPEN_M, cell_m) > _OPEN) & (_share(plain, _OPEN_M, cell_m) > _PLAIN)
    labels, count = ndimage.label(middle)
    if not count:
        return None
    # around the middle lies half a window of pavement more
    area = _sums(ndimage.grey_dilation(labels, _cells(_OPEN_M / 2, cell_m)), None, count)
    size = np.maximum(_sums(labels, None, count), 1)
    smooth = _sums(labels, cover.texture, count) / size < SPECKLE_TEXTURE + _ROUGHER
    dry = _sums(labels, cover.probability[CLASSES.index("water")], count) / size < _WATER
    fit = smooth & dry & (area >= least)
    fit[0] = False
    middle = fit[labels]
    if not middle.any():
        return None
    return _Apron(paved, middle, _share(middle, _REACH_M, cell_m))


def _sums(labels: NDArray[np.int32], values: NDArray[np.float32] | None, count: int) -> NDArray[np.float64]:
    """Sum of values, or number of cells, by label."""
    weights = None if values is None else values.ravel()
    return np.bincount(labels.ravel(), weights, count + 1).astype(np.float64)


def _share(mask: NDArray[np.bool_], window_m: float, cell_m: float) -> NDArray[np.float32]:
    """Share of a window around each cell that a mask takes."""
    share: NDArray[np.float32] = ndimage.uniform_filter(mask.astype(np.float32), _cells(window_m, cell_m))
    return share


def _cells(window_m: float, cell_m: float) -> int:
    """An odd number of cells."""
    return 2 * round(window_m / 2 / cell_m) + 1


def _groups(found: Detections, apron: _Apron, gsd_m: float) -> list[_Group]:
    """Groups of an aircraft's extent within reach of an apron."""
    cell_m = CELL_PX * gsd_m
    reach = max(1, round(_GAP_M / 2 / cell_m))
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) < reach + 0.5
    linked = ndimage.binary_closing(np.pad(found.grown, reach), disc)[reach:-reach, reach:-reach]
    labels, _ = ndimage.label(linked, _EIGHT)
    beside, around = max(1, round(_BESIDE_M / cell_m)), max(2, round(_AROUND_M / cell_m))
    groups = []
    for k, window in enumerate(ndimage.find_objects(labels), 1):
        centre = tuple((s.start + s.stop) // 2 for s in window)
        longest = max(s.stop - s.start for s in window) * cell_m
        if apron.near_open[centre] == 0 or longest > 1.2 * _LONGEST_M:
            continue
        own = (labels[window] == k) & found.grown[window]
        if np.count_nonzero(own) < _LEAST_CELLS:
            continue
        box = oriented_box(own, SPREAD_PX / CELL_PX)
        box = box.scaled(CELL_PX, window[1].start * CELL_PX, window[0].start * CELL_PX)
        length_m, width_m = box.length_px * gsd_m, box.width_px * gsd_m
        if not _SHORTEST_M < length_m < _LONGEST_M or width_m < _NARROWEST_M:
            continue
        wide = grown_window(window, beside + around)
        far = ndimage.distance_transform_edt(labels[wide] != k)
        ring = (far > beside) & (far <= beside + around)
        paved = float((apron.paved[wide] & ~found.grown[wide])[ring].mean()) if ring.any() else 0.0
        surely = (
            paved >= _SURELY_CLEAR
            and apron.near_open[centre] >= _SURELY_OPEN
            and width_m >= _SURELY_COMPACT * length_m
            and length_m >= _SURELY_M
        )
        at_edge = any(s.start == 0 or s.stop == n for s, n in zip(window, labels.shape, strict=True))
        groups.append(_Group(box, paved, surely and not at_edge, at_edge))
    return groups
