"""Ships on water and aircraft on aprons: which bright groups are targets, and where it cannot be told.

A tile about whose targets there is doubt has its targets, but no count: what touches a quay may be a ship or a crane.

Source of a ship's expected radar cross section: Vachon et al. 1997, "Ship detection by the RADARSAT SAR: validation of
detection model predictions", Canadian Journal of Remote Sensing 23(1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.core.statements import TargetObject
from knowlip.corpus.store import TilePixels
from knowlip.hcot import detection
from knowlip.hcot.boxes import Box, oriented_box
from knowlip.hcot.cover import CELL_PX, CODE, CoverMap
from knowlip.hcot.cover.cells import AROUND

MAX_LENGTH_M = 450.0
_MAX_WIDTH_M = 90.0
_BERTH_M = 60.0
"""How far from open water a berthed ship's far side lies at most."""
_SHORE = 20.0
"""Multiples of the water's mean that a berthed ship's peak reaches."""
_QUAY = "bright returns touch land or each other"
SPREAD_PX = 2.0
"""Width of the point spread: products are sampled with 1.4 to 2 pixels to a resolution cell."""
_LEAST_WATER = 0.02
_AS_DARK_DB = 3.0
_FINE = 4
"""Points across a cell at which a target's outline is drawn."""
_EDGE, _EDGE_REACH = 0.04, 5
"""A target ends where its returns fall to this share of the brightest within so many cells."""
_CLEAR, _ON_WATER, _ON_LAND = 0.85, 0.7, 0.25
"""Shares of dark surroundings and of water around a ship, and of water around what stands on land."""
_HALF_SEEN = 3.2
"""More than half of a ship is in the frame if what is seen is that many times as long as wide."""
_SLENDER, _FILLED = 2.2, 0.35
_GHOST, _FAINT_GHOST, _SHORTEST_M = 10**-0.9, 10**-0.5, 20.0
"""A group with less than this of the cross section expected of its length is an ambiguity's ghost, not a ship."""
_FAINT = 4.0
"""Multiples of what a cell has to exceed that a ship's peak reaches."""
_SIDE_LOBE = 4.0
"""Multiples of an untapered spectrum's side lobes, 1 / (pi n)^2 at n resolution cells, that several points may give."""


@dataclass(frozen=True)
class Targets:
    """What was found in a tile.

    Attributes:
        objects: Targets, the surest first.
        doubt: Why their number cannot be told; empty where it can.
    """

    objects: tuple[TargetObject, ...] = ()
    doubt: str = ""


def water_cells(cover: CoverMap) -> NDArray[np.bool_]:
    """`(h, w)` cells of water, with the dark halo that a bright target's texture takes from it."""
    water: NDArray[np.bool_] = cover.codes == CODE["water"]
    if not water.any():
        return water
    dark = cover.mean_db < cover.mean_db[water].mean() + _AS_DARK_DB
    return water | (dark & ndimage.maximum_filter(water, AROUND))


def find_targets(
    pixels: TilePixels, cover: CoverMap, looks: float, gsd_m: float, look_azimuth_deg: float | None
) -> Targets:
    """Find ships in a tile.

    Args:
        pixels: The tile.
        cover: Its land cover.
        looks: Equivalent number of looks of a cell's speckle.
        gsd_m: Ground sample distance, metres.
        look_azimuth_deg: Direction of range, clockwise from the grid's up; None where it is not known.
    """
    water = water_cells(cover)
    if water.mean() < _LEAST_WATER:
        return Targets()
    found = detection.detect(detection.cell_power(pixels), water, looks, CELL_PX * gsd_m)
    if found is None:
        return Targets()
    ships, doubts = [], []
    for group in found.groups:
        verdict = _judged(group, found, pixels, water, gsd_m, look_azimuth_deg)
        if isinstance(verdict, TargetObject):
            ships.append(verdict)
        elif verdict:
            doubts.append(verdict)
    return Targets(tuple(sorted(ships, key=lambda t: -t.confidence)), doubts[0] if doubts else "")


def _judged(
    group: detection.Group,
    found: detection.Detections,
    pixels: TilePixels,
    water: NDArray[np.bool_],
    gsd_m: float,
    look_azimuth_deg: float | None,
) -> TargetObject | str | None:
    """A ship, a reason to doubt, or None where it is neither."""
    if group.large:
        return _QUAY if _has_bright_shore(group, found, water, gsd_m) else None
    if group.ground < _ON_LAND:
        return None
    box = _box(group, found.level)
    length_m, width_m = box.length_px * gsd_m, box.width_px * gsd_m
    faint = group.contrast < _FAINT * group.least
    if faint and group.ground < _ON_WATER:
        # shores have many
        return None
    if length_m > MAX_LENGTH_M or width_m > _MAX_WIDTH_M:
        return _QUAY if _has_bright_shore(group, found, water, gsd_m) else None
    if group.clear < _CLEAR or group.ground < _ON_WATER:
        return _QUAY
    if _is_side_lobe(group, found, look_azimuth_deg):
        return None
    if pixels.calibrated:
        usual_m2 = 0.08 * max(length_m, _SHORTEST_M) ** (7 / 3)
        share = _cross_section_m2(group, pixels, gsd_m) / usual_m2
        if faint and share < _FAINT_GHOST:
            return None
        if share < _GHOST:
            return "a return is too faint for its length, as the ghost of a target elsewhere is"
    if faint:
        return "a return is faint"
    if group.at_edge and (
        _depth(group, found) < max(group.mask.shape) / 2 or box.length_px < _HALF_SEEN * box.width_px
    ):
        return "a target is cut by the frame"
    if length_m > 6 * CELL_PX * gsd_m and (box.length_px < _SLENDER * box.width_px or box.fill < _FILLED):
        return "a bright return has no ship's shape"
    return TargetObject(
        cls="ship",
        subtype=None,
        corners=box.corners,
        length_m=length_m,
        width_m=width_m,
        heading_deg=box.heading_deg,
        source="cfar",
        confidence=0.9,
    )


def _has_bright_shore(
    group: detection.Group, found: detection.Detections, water: NDArray[np.bool_], gsd_m: float
) -> bool:
    """Whether land has returns by the water that may be ships at berth."""
    reach = int(np.ceil(_BERTH_M / (CELL_PX * gsd_m)))
    near = ndimage.binary_dilation(water & ~found.grown, iterations=reach)
    shore = group.mask & near[group.window]
    return bool((found.level[group.window][shore] > _SHORE).any())


def _is_side_lobe(group: detection.Group, found: detection.Detections, look_azimuth_deg: float | None) -> bool:
    """Whether a group lies in range or azimuth of one so bright that its side lobes reach there."""
    here = _middle(group)
    for other in found.groups:
        off = _middle(other) - here
        beyond = np.hypot(*off) - max(other.mask.shape) / 2
        if other is group or group.contrast > _SIDE_LOBE * other.contrast / max(np.pi * beyond, 1.0) ** 2:
            continue
        if look_azimuth_deg is None:
            return True
        turn = np.deg2rad(look_azimuth_deg)
        along = np.array([-np.cos(turn), np.sin(turn)])
        apart = min(abs(off @ along), abs(off[0] * along[1] - off[1] * along[0]))
        if apart <= max(other.mask.shape) / 2 + 2:
            return True
    return False


def _depth(group: detection.Group, found: detection.Detections) -> int:
    """How many cells a group at the frame's edge reaches into the frame."""
    (rows, cols), (h, w) = group.window, found.level.shape
    deep = [group.mask.shape[0]] * (rows.start == 0 or rows.stop == h)
    return min(deep + [group.mask.shape[1]] * (cols.start == 0 or cols.stop == w))


def _middle(group: detection.Group) -> NDArray[np.float64]:
    """Row and column of a group's middle, in cells."""
    return np.array([(s.start + s.stop) / 2 for s in group.window])


def _cross_section_m2(group: detection.Group, pixels: TilePixels, gsd_m: float) -> float:
    """Radar cross section of a group: the sum of sigma nought over its ground, in its strongest polarisation."""
    rows, cols = (slice(s.start * CELL_PX, s.stop * CELL_PX) for s in group.window)
    mask = group.mask.repeat(CELL_PX, 0).repeat(CELL_PX, 1)
    power = np.power(10, pixels.db[:, rows, cols][:, mask] / 10)
    return float(power.sum(axis=1).max() * gsd_m**2)


def _box(group: detection.Group, level: NDArray[np.float32]) -> Box:
    """The box of a group, whose outline runs between the cells' middles."""
    rows, cols = group.window
    around = tuple(slice(max(0, s.start - 2), s.stop + 2) for s in (rows, cols))
    top, left = rows.start - around[0].start, cols.start - around[1].start
    own = np.zeros(level[around].shape, bool)
    own[top : top + group.mask.shape[0], left : left + group.mask.shape[1]] = group.mask
    near = ndimage.binary_dilation(own)
    # the outline of the cells' logarithmic level, at twice the pixels' fineness
    fine = ndimage.zoom(np.log(np.maximum(level[around], 1e-3)), _FINE, order=1, grid_mode=True, mode="nearest")
    least = np.log(group.least)
    limit = ndimage.maximum_filter(fine, round(_EDGE_REACH * _FINE), mode="nearest") + np.log(_EDGE)
    mask = (fine > np.maximum(limit, least)) & near.repeat(_FINE, 0).repeat(_FINE, 1)
    if np.count_nonzero(mask) < 4:
        mask = own.repeat(_FINE, 0).repeat(_FINE, 1)
    box = oriented_box(mask, SPREAD_PX * _FINE / CELL_PX)
    return box.scaled(CELL_PX / _FINE, around[1].start * CELL_PX, around[0].start * CELL_PX)
