"""Districts: patches of ground that share one direction, in which blocks and parcels are laid out in rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.noise import mix, spline_noise, unit
from knowlip.simulation.world.grid import Grid


@dataclass(frozen=True)
class Cells:
    """The rectangles that ground is divided into; all arrays (H, W).

    Attributes:
        ids: Mixed number of each pixel's cell.
        along_m: Distance from the cell's first edge, along its row.
        across_m: Distance from the cell's first edge, across its row.
        length_m: The cell's extent along its row.
        depth_m: The cell's extent across its row.
        row: Index of the row.
        column: Index of the cell in the row.
        district: Mixed number of the district.
    """

    ids: NDArray[np.uint32]
    along_m: NDArray[np.float32]
    across_m: NDArray[np.float32]
    length_m: NDArray[np.float32]
    depth_m: NDArray[np.float32]
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    district: NDArray[np.uint32]


def divide(
    grid: Grid,
    district_m: float,
    length_range_m: tuple[float, float],
    depth_range_m: tuple[float, float],
    bend_m: float,
    salt: int,
    rng: np.random.Generator,
    base_angle_rad: float | None = None,
) -> Cells:
    """Divide the ground into districts and these into rows of rectangles.

    Args:
        grid: The world's grid.
        district_m: Size of a district in metres.
        length_range_m: Range that districts draw their cells' length from.
        depth_range_m: The same for the depth of a row.
        bend_m: How far lines stray from straight: 0 gives a strict grid, 60 an organic plan.
        salt: Sets the random numbers of this division apart from others'.
        rng: Source of all choices.
        base_angle_rad: Direction that half of the districts follow closely; any direction when None.
    """
    x, y = np.broadcast_to(grid.x_m, grid.shape), np.broadcast_to(grid.y_m, grid.shape)
    wander = np.float32(0.22 * district_m)
    wx = x + wander * spline_noise(grid.shape, grid.gsd_m, district_m, rng)
    wy = y + wander * spline_noise(grid.shape, grid.gsd_m, district_m, rng)
    size = np.float32(district_m)
    i, j = np.floor(wx / size).astype(np.int32), np.floor(wy / size).astype(np.int32)
    i -= i.min()
    j -= j.min()
    n_j = int(j.max()) + 1
    index = i * n_j + j
    n = int(index.max()) + 1
    angles = rng.uniform(0, np.pi, n)
    if base_angle_rad is not None:
        angles = np.where(rng.random(n) < 0.5, base_angle_rad + rng.normal(0, 0.04, n), angles)
    lengths = rng.uniform(*length_range_m, n).astype(np.float32)
    depths = rng.uniform(*depth_range_m, n).astype(np.float32)
    if bend_m > 0:
        bend = np.float32(bend_m)
        x = x + bend * spline_noise(grid.shape, grid.gsd_m, 12 * bend_m, rng)
        y = y + bend * spline_noise(grid.shape, grid.gsd_m, 12 * bend_m, rng)
    cos, sin = np.cos(angles).astype(np.float32)[index], np.sin(angles).astype(np.float32)[index]
    along, across = x * cos + y * sin, y * cos - x * sin
    length, depth = lengths[index], depths[index]
    row = np.floor(across / depth).astype(np.int32)
    district = mix(index, salt)
    # rows are shifted and their cells vary in length, so that crossings do not line up over a whole district
    row_hash = mix(row, district)
    length = length * (np.float32(0.75) + np.float32(0.5) * unit(row_hash))
    shifted = along + unit(row_hash * np.uint32(2654435761)) * length
    column = np.floor(shifted / length).astype(np.int32)
    return Cells(
        ids=mix(row_hash, column),
        along_m=shifted - column * length,
        across_m=across - row * depth,
        length_m=length,
        depth_m=depth,
        row=row,
        column=column,
        district=district,
    )


def divide_radially(grid: Grid, centre_xy_m: tuple[float, float], pitch_m: float, salt: int) -> Cells:
    """Divide the ground into rings about a centre and these into sectors of about equal size.

    Args:
        grid: The world's grid.
        centre_xy_m: Centre of the rings.
        pitch_m: Width of a ring and about the length of a sector.
        salt: Sets the random numbers of this division apart from others'.
    """
    dx, dy = grid.x_m - np.float32(centre_xy_m[0]), grid.y_m - np.float32(centre_xy_m[1])
    radius = np.sqrt(dx * dx + dy * dy)
    turn = (np.arctan2(dy, dx) / np.float32(2 * np.pi) + np.float32(0.5)).astype(np.float32)
    depth = np.full(grid.shape, pitch_m, np.float32)
    ring = np.floor(radius / depth).astype(np.int32)
    # doubling the sectors as rings grow keeps the radial streets continuous from ring to ring
    middle = (ring + 0.5) * np.float32(pitch_m)
    sectors = (6 * 2 ** np.maximum(np.round(np.log2(2 * np.pi * middle / pitch_m / 6)), 0)).astype(np.float32)
    column = np.floor(turn * sectors).astype(np.int32)
    length = (2 * np.pi * np.maximum(radius, 1.0) / sectors).astype(np.float32)
    district = np.full(grid.shape, mix(salt, 977)[()], np.uint32)
    return Cells(
        ids=mix(ring, column, salt),
        along_m=(turn * sectors - column) * length,
        across_m=radius - ring * depth,
        length_m=length,
        depth_m=depth,
        row=ring,
        column=column,
        district=district,
    )
