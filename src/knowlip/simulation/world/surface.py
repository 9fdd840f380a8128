"""Structures drawn on the pixels: as footprints where pixels are smaller than houses, else as shares of a pixel."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import Kind, LandCover, Structures, Zone
from knowlip.simulation.world.countryside import Countryside
from knowlip.simulation.world.grid import Grid
from knowlip.simulation.world.raster import boxes, discs, fill_in_parts

# Below this spacing footprints are drawn; above it a pixel is built-up or not as a whole.
HOUSES_BELOW_M = 5.5
_BUILT_UP_FROM = 0.085
_ROOFED = (Kind.BUILDING, Kind.TANK, Kind.CONTAINERS)


def draw_structures(
    grid: Grid, structures: Structures, landcover: NDArray[np.uint8], country: Countryside
) -> NDArray[np.float32]:
    """Draw roofs into the land cover, in place, and give the height above the ground.

    Args:
        grid: The world's grid.
        structures: All structures; what has no roof is not drawn.
        landcover: Classes (H, W).
        country: The ground, for the height of trees.

    Returns:
        Height of buildings and trees (H, W).
    """
    height = _plants(landcover, country)
    roofs = structures.take(np.isin(structures.kind, _ROOFED))
    if not len(roofs):
        return height
    if grid.gsd_m <= HOUSES_BELOW_M:
        round_ = roofs.kind == Kind.TANK
        for chosen in (roofs.take(~round_), roofs.take(round_)):
            for flat, tall in _footprints(grid, chosen):
                landcover.reshape(-1)[flat] = LandCover.BUILDING
                height.reshape(-1)[flat] = tall
        return height
    share, sums = _shares(grid, roofs)
    sums *= landcover != LandCover.WATER
    near = share.copy()
    near[1:] += share[:-1]
    near[:-1] += share[1:]
    rows = near.copy()
    near[:, 1:] += rows[:, :-1]
    near[:, :-1] += rows[:, 1:]
    built = (near > 9 * _BUILT_UP_FROM) & (landcover != LandCover.ROAD)
    built |= share > 0.5
    built &= landcover != LandCover.WATER
    np.copyto(landcover, np.uint8(LandCover.BUILDING), where=built)
    np.copyto(height, sums, where=built | (sums > 0))
    return height


def _plants(landcover: NDArray[np.uint8], country: Countryside) -> NDArray[np.float32]:
    """Height of crops and trees (H, W); trees of town are lower than those of woods, and stands differ by plot."""
    height = np.zeros(landcover.shape, np.float32)
    base = np.full(256, 5, np.float32)
    base[Zone.WOODLAND] = 9
    rows = max(1, (1 << 16) // landcover.shape[1])
    for r in range(0, landcover.shape[0], rows):
        part = slice(r, r + rows)
        own = country.pick[part]
        trees = np.take(base, country.zone[part]) + 9 * own + np.float32(2.2) * country.crowns[part]
        np.copyto(height[part], np.maximum(trees, 2), where=landcover[part] == LandCover.WOODLAND)
        crops = np.float32(0.2) + np.float32(1.2) * own
        np.copyto(height[part], crops, where=landcover[part] == LandCover.FARMLAND)
    return height


def _footprints(grid: Grid, roofs: Structures) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Pixels of footprints and their heights, part by part; all are tanks or none is."""
    if len(roofs):
        if roofs.kind[0] == Kind.TANK:
            shapes = discs(roofs.x_m, roofs.y_m, roofs.width_m)
        else:
            shapes = boxes(roofs.x_m, roofs.y_m, roofs.length_m, roofs.width_m, roofs.axis_deg)
        for flat, owner in fill_in_parts(grid, shapes):
            yield flat, roofs.height_m[owner]


def _shares(grid: Grid, roofs: Structures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Share of each pixel under roofs (H, W), and the height averaged over the pixel."""
    H, W = grid.shape
    area = np.float32(grid.gsd_m**2)
    big = roofs.length_m > 2.2 * grid.gsd_m
    share, sums = np.zeros(H * W, np.float32), np.zeros(H * W, np.float32)

    def heap(chosen: Structures) -> None:
        """Put each on the pixel that holds its centre."""
        rows, cols = grid.pixel(chosen.x_m, chosen.y_m)
        footprint = chosen.length_m * chosen.width_m / area
        at = rows * W + cols
        np.add.at(share, at, footprint)
        np.add.at(sums, at, footprint * chosen.height_m)

    heap(roofs.take(~big))
    large = roofs.take(big)
    # the footprint is spread over the pixels whose centres it holds, or its own pixel when it holds none
    shapes = boxes(large.x_m, large.y_m, large.length_m, large.width_m, large.axis_deg)
    covered = np.zeros(len(large), bool)
    for flat, owner in fill_in_parts(grid, shapes):
        count = np.bincount(owner, minlength=len(large))
        covered |= count > 0
        each = (large.length_m * large.width_m / area)[owner] / count[owner]
        np.add.at(share, flat, each.astype(np.float32))
        np.add.at(sums, flat, (each * large.height_m[owner]).astype(np.float32))
    heap(large.take(~covered))
    over = np.maximum(share, np.float32(1))
    share /= over
    sums /= over
    return share.reshape(H, W), sums.reshape(H, W)
