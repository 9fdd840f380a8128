"""Blocks and parcels: the quadrilaterals that a neighbourhood's net of streets or lanes cuts the ground into."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.noise import mix, unit
from knowlip.simulation.world.cells import POLAR, SHARED, Cells, Lattices
from knowlip.simulation.world.grid import Coarse
from knowlip.simulation.world.raster import extremes, strips

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Blocks:
    """Blocks, a column each.

    Attributes:
        corners_xy_m: (N, 4, 2): along the row's first edge, then back along its second.
        cell: The cell each lies in.
        lattice: The net each belongs to.
        row: Its row in the net.
        pick: A random number of its own in [0, 1), float32.
        density: Building density at its centre, float32.
    """

    corners_xy_m: NDArray[np.float32]
    cell: Ints
    lattice: NDArray[np.int32]
    row: NDArray[np.int32]
    pick: NDArray[np.float32]
    density: NDArray[np.float32]

    def take(self, which: NDArray[np.bool_] | Ints) -> "Blocks":
        """Those that a mask or an index chooses."""
        return Blocks(*(getattr(self, f)[which] for f in Blocks.__dataclass_fields__))

    def streets(self, width_m: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Strips (2 N, 4, 2) along each block's first row edge and its first cross street, of one or (2 N,) widths."""
        p = self.corners_xy_m
        return strips(np.concatenate([p[:, 0], p[:, 0]]), np.concatenate([p[:, 1], p[:, 3]]), width_m)


def _expand(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Owner and value of runs that start at `first` and hold `count` numbers."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(owner.size) + np.repeat(first - (np.cumsum(count) - count), count)


def _straight(cells: Cells, lattices: Lattices) -> tuple[Floats, Ints, Ints, NDArray[np.uint32]]:
    """Unbent corners (N, 4, 2), cell, row and number of the blocks near the cells of straight nets."""
    cell = np.nonzero(cells.lattice != POLAR)[0]
    lat = cells.lattice[cell]
    angle, length, depth = lattices.angle_rad[lat], lattices.length_m[lat], lattices.depth_m[lat]
    c, s = np.cos(angle), np.sin(angle)
    dx, dy = cells.seeds_xy_m[cell, 0] - lattices.x_m[lat], cells.seeds_xy_m[cell, 1] - lattices.y_m[lat]
    along, across = dx * c + dy * s, dy * c - dx * s
    reach = cells.radius_m[cell] + lattices.bend_m[lat]
    first = np.floor((across - reach) / depth).astype(np.intp)
    at, row = _expand(first, np.floor((across + reach) / depth).astype(np.intp) - first + 1)
    hashed = mix(row, lat[at], 77)
    # rows are shifted and their cells vary in length, so that crossings do not line up over a whole neighbourhood
    loose = ~lattices.strict[lat][at]
    size = length[at] * np.where(loose, 0.75 + 0.5 * unit(hashed), 1.0)
    shift = np.where(loose, unit(mix(hashed, 5)), 0.0) * size
    # only as far along the row as the cell's circle reaches
    half = np.sqrt(
        np.maximum(reach[at] ** 2 - np.maximum(np.abs((row + 0.5) * depth[at] - across[at]) - depth[at], 0) ** 2, 0)
    )
    begin = np.floor((along[at] - half + shift) / size).astype(np.intp)
    of, column = _expand(begin, np.floor((along[at] + half + shift) / size).astype(np.intp) - begin + 1)
    at, row, size, shift, hashed = at[of], row[of], size[of], shift[of], hashed[of]
    lo, hi = column * size - shift, (column + 1) * size - shift
    top, low = row * depth[at], (row + 1) * depth[at]
    u, v = np.stack([lo, hi, hi, lo], axis=1), np.stack([top, top, low, low], axis=1)
    cc, ss = c[at][:, None], s[at][:, None]
    x0, y0 = lattices.x_m[lat[at]][:, None], lattices.y_m[lat[at]][:, None]
    corners = np.stack([x0 + u * cc - v * ss, y0 + u * ss + v * cc], axis=2)
    return corners, cell[at], row, mix(hashed, column)


def _rings(lattices: Lattices, reach_m: float) -> tuple[Floats, Ints, NDArray[np.uint32]]:
    """Corners (N, 4, 2), ring and number of the blocks of the rings about the centre."""
    depth, pitch = float(lattices.depth_m[POLAR]), float(lattices.length_m[POLAR])
    rings = np.arange(1, max(2, int(reach_m / depth)))
    # doubling the sectors as rings grow keeps the radial streets continuous from ring to ring
    sectors = (6 * 2 ** np.maximum(np.round(np.log2(2 * np.pi * (rings + 0.5) * depth / pitch / 6)), 0)).astype(np.intp)
    of, sector = _expand(np.zeros(len(rings), np.intp), sectors)
    r0, r1 = rings[of] * depth, (rings[of] + 1) * depth
    a0, a1 = sector / sectors[of] * 2 * np.pi, (sector + 1) / sectors[of] * 2 * np.pi
    r, a = np.stack([r0, r0, r1, r1], axis=1), np.stack([a0, a1, a1, a0], axis=1)
    a = a + lattices.angle_rad[0]
    corners = np.stack([lattices.x_m[POLAR] + r * np.cos(a), lattices.y_m[POLAR] + r * np.sin(a)], axis=2)
    return corners, rings[of], mix(rings[of], sector, 1234)


def make_blocks(
    coarse: Coarse,
    cells: Cells,
    lattices: Lattices,
    owner: NDArray[np.int32],
    density: NDArray[np.float32],
    rng: np.random.Generator,
) -> Blocks:
    """All blocks that touch the grid and the cells of their net.

    Args:
        coarse: The world's coarse nodes.
        cells: The neighbourhoods.
        lattices: Their nets.
        owner: Number of the cell each pixel lies in (H, W); larger where something else has taken the ground.
        density: Building density (h, w).
        rng: Source of all choices.
    """
    corners, cell, row, number = _straight(cells, lattices)
    middle = corners.mean(axis=1)
    half = 0.5 * np.hypot(*(corners[:, 2] - corners[:, 0]).T)
    near = cells.inside_m(middle[:, 0], middle[:, 1], cell) > -half - lattices.bend_m[cells.lattice[cell]]
    corners, cell, row, number = corners[near], cell[near], row[near], number[near]
    # cells that share a net all propose its blocks near them: the nearest one's stands
    shared = np.nonzero(cells.lattice[cell] == SHARED)[0]
    to_seed = ((corners[shared].mean(axis=1) - cells.seeds_xy_m[cell[shared]]) ** 2).sum(axis=1)
    order = shared[np.lexsort((to_seed, number[shared]))]
    again = order[1:][number[order[1:]] == number[order[:-1]]]
    once = np.ones(len(cell), bool)
    once[again] = False
    corners, cell, row, number = corners[once], cell[once], row[once], number[once]
    bend = lattices.bend_m[cells.lattice[cell]]
    if (bend > 0).any():
        sway_x, sway_y = coarse.noise(560.0, rng), coarse.noise(560.0, rng)
        x, y = corners[..., 0].copy(), corners[..., 1].copy()
        corners[..., 0] += bend[:, None] * coarse.at(sway_x, x, y)
        corners[..., 1] += bend[:, None] * coarse.at(sway_y, x, y)
    if (cells.lattice == POLAR).any():
        own = cells.lattice == POLAR
        centre = np.array([lattices.x_m[POLAR], lattices.y_m[POLAR]])
        far = float((np.hypot(*(cells.seeds_xy_m[own] - centre).T) + cells.radius_m[own]).max())
        ring_corners, ring, ring_number = _rings(lattices, far)
        middle = ring_corners.mean(axis=1)
        rows, cols = coarse.grid.pixel(middle[:, 0], middle[:, 1])
        ring_cell = owner[rows, cols].astype(np.intp)
        known = ring_cell < len(cells.zone)
        fits = known & (cells.lattice[np.where(known, ring_cell, 0)] == POLAR)
        corners = np.concatenate([corners, ring_corners[fits]])
        cell, row = np.concatenate([cell, ring_cell[fits]]), np.concatenate([row, ring[fits]])
        number = np.concatenate([number, ring_number[fits]])
    width, height = coarse.grid.size_m
    (x0, x1), (y0, y1) = extremes(corners[..., 0]), extremes(corners[..., 1])
    seen = (x1 > 0) & (y1 > 0) & (x0 < width) & (y0 < height)
    corners, cell, row, number = corners[seen], cell[seen], row[seen], number[seen]
    middle = corners.mean(axis=1)
    return Blocks(
        corners_xy_m=corners.astype(np.float32),
        cell=cell,
        lattice=cells.lattice[cell],
        row=row.astype(np.int32),
        pick=unit(number),
        density=coarse.at(density, middle[:, 0], middle[:, 1]),
    )
