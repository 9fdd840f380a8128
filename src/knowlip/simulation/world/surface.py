"""Structures drawn on the pixels: as footprints where pixels are smaller than houses, else as shares of a pixel."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.simulation.ground import Kind, LandCover, Structures, Zone
from knowlip.simulation.world.countryside import Countryside
from knowlip.simulation.world.grid import Grid
from knowlip.simulation.world.plots import Plots
from knowlip.simulation.world.raster import boxes, discs, fill_in_parts

# Below this spacing footprints are drawn; above it a pixel is built-up or not as a whole.
HOUSES_BELOW_M = 5.5
_BUILT_UP_FROM = 0.13
_ROOFED = (Kind.BUILDING, Kind.TANK, Kind.CONTAINERS)


def draw_structures(
    grid: Grid,
    structures: Structures,
    landcover: NDArray[np.uint8],
    country: Countryside,
    plots: Plots,
    owner: NDArray[np.int32],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw roofs into the land cover, in place, and give the height above the ground.

    Args:
        grid: The world's grid.
        structures: All structures; what has no roof is not drawn.
        landcover: Classes (H, W).
        country: The ground, for the height of trees.
        plots: The plots.
        owner: Number of the plot of each pixel (H, W).
        rng: Source of all choices.

    Returns:
        Height of buildings and trees (H, W).
    """
    crop = (0.2 + 1.2 * plots.pick).astype(np.float32)
    wood = (9 + 10 * plots.pick - np.where(plots.built, 4, 0)).astype(np.float32)
    height = np.where(landcover == LandCover.FARMLAND, crop[owner], np.float32(0))
    trees = landcover == LandCover.WOODLAND
    height += np.where(trees, np.maximum(wood[owner] + np.float32(2.2) * country.crowns, 2), np.float32(0))
    roofs = structures.take(np.isin(structures.kind, _ROOFED))
    if not len(roofs):
        return height
    if grid.gsd_m <= HOUSES_BELOW_M:
        for flat, tall in _footprints(grid, roofs):
            landcover.reshape(-1)[flat] = LandCover.BUILDING
            height.reshape(-1)[flat] = tall
        return height
    share, sums = _shares(grid, roofs)
    near = ndimage.uniform_filter(share, 3)
    built = (near > _BUILT_UP_FROM) & (landcover != LandCover.ROAD) & (landcover != LandCover.WATER)
    built &= country.zone != Zone.WATER
    built |= (share > 0.5) & (landcover != LandCover.WATER)
    landcover[built] = LandCover.BUILDING
    height[built] = 0
    height += sums
    return height


def _footprints(grid: Grid, roofs: Structures) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Pixels of footprints and their heights, part by part."""
    parts = []
    round_ = roofs.kind == Kind.TANK
    for chosen, is_round in ((roofs.take(~round_), False), (roofs.take(round_), True)):
        if not len(chosen):
            continue
        shapes = (
            discs(chosen.x_m, chosen.y_m, chosen.width_m)
            if is_round
            else boxes(chosen.x_m, chosen.y_m, chosen.length_m, chosen.width_m, chosen.axis_deg)
        )
        for flat, owner in fill_in_parts(grid, shapes):
            parts.append((flat, chosen.height_m[owner]))
    return parts


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
        np.add(share, np.bincount(at, footprint, H * W), out=share, casting="unsafe")
        np.add(sums, np.bincount(at, footprint * chosen.height_m, H * W), out=sums, casting="unsafe")

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
    shares, means = share / over, sums / over
    return shares.astype(np.float32).reshape(H, W), means.astype(np.float32).reshape(H, W)
