"""Ships on water: which bright groups are targets, and where it cannot be told.

What touches a quay may be a ship or a crane, and of what the frame cuts nobody sees the middle: then the number is in
doubt, and is what it most often is in such tiles, or what it is at least. Limits without another source were set on
simulated scenes of seeds 1 to 5, never on those that figures are given of.

Source of a ship's expected radar cross section: Vachon et al. 1997, "Ship detection by the RADARSAT SAR: validation of
detection model predictions", Canadian Journal of Remote Sensing 23(1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.core.statements import TargetObject
from knowlip.corpus.store import TilePixels
from knowlip.hcot.boxes import Box, oriented_box
from knowlip.hcot.cover import CELL_PX, CLASSES, CODE, CoverMap
from knowlip.hcot.cover.cells import AROUND
from knowlip.hcot.detection import FAR_CELLS, Detections, Group, cell_power, detect, grown_window
from knowlip.hcot.masks import dilated

MAX_LENGTH_M, _MAX_WIDTH_M = 450.0, 90.0
"""Seawise Giant, the longest ship ever, had 458 m; the widest hulls have some 70 m, and returns spread."""
SPREAD_PX = 2.0
"""Width of the point spread: products are sampled with 1.4 to 2 pixels to a resolution cell."""
_LEAST_WATER = 0.02
_AS_DARK_DB = 3.0
"""Ground within the reach of the cover map's windows is water too if it is no brighter than water's mean by more."""
_CLEAR, _ON_WATER, _ON_LAND = 0.85, 0.7, 0.25
"""Shares of clear surroundings and of water around a ship, and of water around what stands on land."""
_LEAST_SURE, _MOST_SURE = 0.4, 0.9
"""Confidence in a ship on what is hardly and what is surely water."""
_LISTED = (_LEAST_SURE + _MOST_SURE) / 2
"""Confidence from which a ship is one: where there is more water than not around it."""
_FAINT = 5.0
"""Multiples of what a cell has to exceed that a ship's peak reaches."""
_GHOST, _FAINT_GHOST, _SHORTEST_M = 10**-0.9, 10**-0.5, 20.0
"""A group with less than this of the cross section expected of its length is an ambiguity's ghost, not a ship."""
_SIDE_LOBE = 4.0
"""Multiples of an untapered spectrum's side lobes, 1 / (pi n)^2 at n resolution cells, that several points may give."""
_SLENDER, _FILLED = 2.2, 0.35
"""A ship of six cells and more is at least so many times as long as wide, and fills so much of its box."""
_BERTH_M, _HULL_M = 60.0, 100.0
"""How far from open water a berthed ship's far side lies at most, and a window in which one hull is the brightest."""
_MAY_BE_HULL_M2, _HULL_M2, _HULL_ENDS, _HULL_EDGE = 60_000.0, 200_000.0, 0.25, 0.05
"""A cell by the shore that returns as much as so much water may be a ship at berth, and surely is one: 85 % of the
tiles with nothing brighter have as many ships as are found off the shore, and 93 % of those with hulls no fewer than
these. A hull ends at the given shares of the second limit, and of the brightest cell in its window."""
FINEST_GSD_M = 4.0
"""Finer images resolve decks, cranes and piers, so that ships at berths are not told from these."""
CUT, _FAINT_RETURN, _SHAPE = "a target is cut by the frame", "a return is faint", "a bright return has no ship's shape"
_BY_SHORE = "bright returns by the shore may be ships at berth"
AT_BERTHS = "ships at berths lie close to each other and to what stands on the quay"
_FINE = 4
"""Points across a cell at which a target's outline is drawn."""
_EDGE, _EDGE_REACH = 0.04, 5
"""A target ends where its returns fall to this share of the brightest within so many cells."""


@dataclass(frozen=True)
class Targets:
    """What was found in a tile.

    Attributes:
        objects: Targets, in no particular order.
        doubt: Why their number is in doubt; empty where it is not.
        others: Centres `(x, y)`, pixels, of those which are there as well, but not seen whole.
        hidden: How many more there probably are.
    """

    objects: tuple[TargetObject, ...] = ()
    doubt: str = ""
    others: tuple[tuple[float, float], ...] = ()
    hidden: int = 0

    @property
    def centres(self) -> tuple[tuple[float, float], ...]:
        """Centres `(x, y)` of all, pixels."""
        return (*(t.centre for t in self.objects), *self.others)


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
    found = detect(cell_power(pixels), water, looks, CELL_PX * gsd_m)
    if found is None:
        return Targets()
    tile = _Tile(found, pixels, water, cover.probability[CLASSES.index("water")], gsd_m, look_azimuth_deg)
    verdicts = [(g, v) for g in found.groups if (v := _judged(g, tile)) is not None]
    ships = tuple(v for _, v in verdicts if not isinstance(v, str) and v.confidence >= _LISTED)
    reasons = {v for _, v in verdicts if isinstance(v, str)}
    if not ships:
        # faint returns alone are hardly ever ships
        reasons -= {_FAINT_RETURN}
    if not reasons:
        return Targets(ships)
    hulls = [h for g, v in verdicts if v == _BY_SHORE for h in _hulls(g, tile)]
    if hulls:
        # where ships lie side by side, about half of them stand out
        return Targets(ships, AT_BERTHS, tuple(hulls), len(hulls))
    doubt = next(r for r in (_BY_SHORE, CUT, _FAINT_RETURN, _SHAPE) if r in reasons)
    if not ships:
        return Targets((), doubt)
    # beside ships what is cut is mostly one as well, and so is one of several faint returns
    others = [g for g, v in verdicts if v == CUT]
    if doubt == _FAINT_RETURN:
        others = [max((g for g, v in verdicts if v == _FAINT_RETURN), key=lambda g: g.contrast)]
    return Targets(ships, doubt, tuple(_centre(g) for g in others))


def water_cells(cover: CoverMap) -> NDArray[np.bool_]:
    """`(h, w)` cells of water, with the dark halo that a bright target's texture takes from it."""
    water: NDArray[np.bool_] = cover.codes == CODE["water"]
    if not water.any():
        return water
    dark = cover.mean_db < cover.mean_db[water].mean() + _AS_DARK_DB
    return water | (dark & dilated(water, AROUND // 2))


@dataclass(frozen=True)
class _Tile:
    """What every group of a tile is judged by."""

    found: Detections
    pixels: TilePixels
    water: NDArray[np.bool_]
    probability: NDArray[np.float32]
    gsd_m: float
    look_azimuth_deg: float | None

    def water_around(self, group: Group) -> float:
        """Mean probability of water over the dark cells around a group."""
        around = grown_window(group.window, FAR_CELLS)
        dark = self.water[around] & ~self.found.grown[around]
        return float(self.probability[around][dark].mean()) if dark.any() else 0.0

    @cached_property
    def shore_m2(self) -> NDArray[np.float32]:
        """Area of water that returns as much as each cell by the shore, where ships lie at berth; 0 elsewhere."""
        cell_m = CELL_PX * self.gsd_m
        near = dilated(self.water & ~self.found.grown, int(np.ceil(_BERTH_M / cell_m)))
        return np.where(near, self.found.level * np.float32(cell_m**2), np.float32(0))

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """`(N, 4)` of all groups: row and column of the middle and half the larger side, in cells; contrast."""
        return np.array([[*_middle(g), max(g.mask.shape) / 2, g.contrast] for g in self.found.groups])


def _judged(group: Group, tile: _Tile) -> TargetObject | str | None:
    """A ship, a reason to doubt, or None where it is neither."""
    faint = group.contrast < _FAINT * group.least
    if not group.large and group.ground < (_ON_WATER if faint else _ON_LAND):
        # shores have many faint ones
        return None
    on_water = not group.large and group.ground >= _ON_WATER
    if on_water and tile.found.clear_around(group) < _CLEAR:
        # side lobes and ghosts of something large
        return None
    box = _box(group, tile.found.level) if on_water else None
    if box is None or box.length_px * tile.gsd_m > MAX_LENGTH_M or box.width_px * tile.gsd_m > _MAX_WIDTH_M:
        return _BY_SHORE if (tile.shore_m2[group.window][group.mask] > _MAY_BE_HULL_M2).any() else None
    if _is_side_lobe(group, tile):
        return None
    length_m, width_m = box.length_px * tile.gsd_m, box.width_px * tile.gsd_m
    if tile.pixels.calibrated:
        usual_m2 = 0.08 * max(length_m, _SHORTEST_M) ** (7 / 3)
        share = _cross_section_m2(group, tile) / usual_m2
        if share < (_FAINT_GHOST if faint else _GHOST):
            return None
    if faint:
        return _FAINT_RETURN
    if group.at_edge:
        return CUT
    large = length_m > 6 * CELL_PX * tile.gsd_m
    if large and (box.length_px < _SLENDER * box.width_px or box.fill < _FILLED):
        return _SHAPE
    sure = _LEAST_SURE + (_MOST_SURE - _LEAST_SURE) * tile.water_around(group)
    return TargetObject("ship", None, box.corners, length_m, width_m, box.heading_deg, "cfar", sure)


def _is_side_lobe(group: Group, tile: _Tile) -> bool:
    """Whether a group lies in range or azimuth of one so bright that its side lobes reach there."""
    off = tile.places[:, :2] - _middle(group)
    half, contrast = tile.places[:, 2:].T
    cells = np.maximum(np.pi * (np.hypot(*off.T) - half), 1.0)
    lobes = group.contrast < _SIDE_LOBE * contrast / cells**2
    if tile.look_azimuth_deg is not None:
        turn = np.deg2rad(tile.look_azimuth_deg)
        along, across = (np.abs(off @ v) for v in ((-np.cos(turn), np.sin(turn)), (np.sin(turn), np.cos(turn))))
        lobes &= np.minimum(along, across) <= half + 2
    # a group is no side lobe of its own
    return bool((lobes & off.any(axis=1)).any())


def _hulls(group: Group, tile: _Tile) -> list[tuple[float, float]]:
    """Centres `(x, y)`, pixels, of the hulls at berth in a group by the shore."""
    if tile.gsd_m < FINEST_GSD_M:
        return []
    shore_m2 = np.where(group.mask, tile.shore_m2[group.window], np.float32(0))
    if shore_m2.max() < _HULL_M2:
        return []
    window = 2 * round(_HULL_M / (2 * CELL_PX * tile.gsd_m)) + 1
    bright = (shore_m2 > _HULL_ENDS * _HULL_M2) & (shore_m2 > _HULL_EDGE * ndimage.maximum_filter(shore_m2, window))
    labels, count = ndimage.label(bright, np.ones((3, 3)))
    brightest = ndimage.maximum_position(shore_m2, labels, range(1, count + 1))
    top, left = group.window[0].start, group.window[1].start
    return [
        ((left + col + 0.5) * CELL_PX, (top + row + 0.5) * CELL_PX)
        for row, col in brightest
        if shore_m2[row, col] >= _HULL_M2
    ]


def _centre(group: Group) -> tuple[float, float]:
    """Centre `(x, y)` of a group, pixels."""
    row, col = _middle(group)
    return float(col) * CELL_PX, float(row) * CELL_PX


def _middle(group: Group) -> NDArray[np.float64]:
    """Row and column of a group's middle, in cells."""
    return np.array([(s.start + s.stop) / 2 for s in group.window])


def _cross_section_m2(group: Group, tile: _Tile) -> float:
    """Radar cross section of a group: the sum of sigma nought over its ground, in its strongest polarisation."""
    rows, cols = (slice(s.start * CELL_PX, s.stop * CELL_PX) for s in group.window)
    mask = group.mask.repeat(CELL_PX, 0).repeat(CELL_PX, 1)
    power = np.power(10, tile.pixels.db[:, rows, cols][:, mask] / 10)
    return float(power.sum(axis=1).max() * tile.gsd_m**2)


def _box(group: Group, level: NDArray[np.float32]) -> Box:
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
