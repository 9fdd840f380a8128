"""Neighbourhoods: a Voronoi partition of the ground, each cell with a use, a direction and a net of streets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Voronoi

from knowlip.simulation.ground import Zone
from knowlip.simulation.world.grid import Coarse, Grid
from knowlip.simulation.world.styles import Style
from knowlip.simulation.world.towns import Town

_MAX_SIDES = 14
SHARED, POLAR, FIRST_OWN = 0, 1, 2
URBAN_ZONES = (Zone.RESIDENTIAL_DENSE, Zone.RESIDENTIAL_SPARSE, Zone.COMMERCIAL, Zone.INDUSTRIAL)


@dataclass(frozen=True)
class Lattices:
    """Nets of streets or field lanes, a column each.

    Number 0 is the grid that cells of a planned city share, 1 the rings about a centre, the others are one cell's own.

    Attributes:
        angle_rad: Direction of the rows.
        x_m: Origin.
        y_m: Origin.
        length_m: A block's extent along its row.
        depth_m: Extent of a row.
        bend_m: How far lines stray from straight.
        strict: Whether crossings line up from row to row.
    """

    angle_rad: NDArray[np.float64]
    x_m: NDArray[np.float64]
    y_m: NDArray[np.float64]
    length_m: NDArray[np.float64]
    depth_m: NDArray[np.float64]
    bend_m: NDArray[np.float64]
    strict: NDArray[np.bool_]


@dataclass(frozen=True)
class Cells:
    """The partition; N cells, up to K sides each.

    Attributes:
        seeds_xy_m: (N, 2).
        polygons_xy_m: Corners (N, K, 2), the last repeated.
        radius_m: Distance from the seed to the farthest corner (N,).
        zone: `Zone` codes (N,): an urban zone, park, or farmland for open country.
        lattice: The net each cell follows (N,).
        style: Main `Style` of building (N,).
        normal_x: Unit vectors to the neighbours of another lattice (N, K), 0 where there is none.
        normal_y: The same in y.
        offset_m: Distance of the border from the grid's origin along that vector (N, K), huge where there is none.
        borders_xy_m: Borders between cells of different lattices (M, 2, 2).
        border_cells: The two cells of each border (M, 2).
    """

    seeds_xy_m: NDArray[np.float64]
    polygons_xy_m: NDArray[np.float64]
    radius_m: NDArray[np.float64]
    zone: NDArray[np.uint8]
    lattice: NDArray[np.int32]
    style: NDArray[np.uint8]
    normal_x: NDArray[np.float32]
    normal_y: NDArray[np.float32]
    offset_m: NDArray[np.float32]
    borders_xy_m: NDArray[np.float64]
    border_cells: NDArray[np.int32]

    def inside_m(
        self, x_m: NDArray[np.floating], y_m: NDArray[np.floating], cell: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """How far points lie inside their cell's lattice, negative outside."""
        x, y = x_m.astype(np.float32), y_m.astype(np.float32)
        inside = np.full(x.shape, 1e9, np.float32)
        for k in range(self.offset_m.shape[1]):
            offset = self.offset_m[:, k]
            if (offset < 1e8).any():
                off = offset[cell] - x * self.normal_x[:, k][cell] - y * self.normal_y[:, k][cell]
                np.minimum(inside, off, out=inside)
        return inside


@dataclass(frozen=True)
class Plan:
    """How the main town is laid out.

    Attributes:
        name: "grid", "radial" or "organic".
        angle_rad: Main direction.
        cell_m: Size of a neighbourhood.
    """

    name: str
    angle_rad: float
    cell_m: float


def draw_plan(grid: Grid, rng: np.random.Generator) -> Plan:
    """Draw a town plan."""
    name = str(rng.choice(["grid", "radial", "organic"]))
    return Plan(name, float(rng.uniform(0, np.pi / 2)), float(np.clip(0.3 * grid.extent_m, 380, rng.uniform(560, 780))))


def _seeds(grid: Grid, towns: tuple[Town, ...], plan: Plan, rng: np.random.Generator) -> NDArray[np.float64]:
    def jittered(size: float) -> NDArray[np.float64]:
        nx, ny = (int(np.ceil(s / size)) + 4 for s in grid.size_m)
        j, i = np.meshgrid(np.arange(nx) - 1.5, np.arange(ny) - 1.5)
        points = np.stack([j.ravel(), i.ravel()], axis=1) + rng.uniform(-0.4, 0.4, (nx * ny, 2))
        return np.asarray(points * size)

    seeds = jittered(plan.cell_m)
    main = towns[0]
    if plan.name == "organic":
        close = jittered(0.55 * plan.cell_m)
        reach = min(0.7 * main.radius_m, 2500.0)
        off = [np.hypot(*(s - main.centre_xy_m).T) for s in (seeds, close)]
        width, height = grid.size_m
        within = (close > -plan.cell_m).all(axis=1) & (close < np.array([width, height]) + plan.cell_m).all(axis=1)
        seeds = np.concatenate([seeds[off[0] > reach], close[(off[1] <= reach) & within]])
    return seeds


def make_cells(
    coarse: Coarse,
    towns: tuple[Town, ...],
    plan: Plan,
    density: NDArray[np.float32],
    port_xy_m: NDArray[np.float64] | None,
    rng: np.random.Generator,
) -> tuple[Cells, Lattices]:
    """Part the ground into neighbourhoods.

    Args:
        coarse: The world's coarse nodes.
        towns: Main town first.
        plan: The main town's plan.
        density: Building density (h, w).
        port_xy_m: Places (P, 2) in the port, or None.
        rng: Source of all choices.
    """
    seeds = _seeds(coarse.grid, towns, plan, rng)
    diagram = Voronoi(seeds)
    whole = np.array([len(r) > 0 and -1 not in r for r in (diagram.regions[k] for k in diagram.point_region)])
    # cells at the hull reach far out, but only those that show in the grid count
    limit = np.array(coarse.grid.size_m)
    for k in np.nonzero(whole)[0]:
        corners = diagram.vertices[diagram.regions[diagram.point_region[k]]]
        whole[k] = bool((corners.max(axis=0) > 0).all() and (corners.min(axis=0) < limit).all())
    number = np.where(whole, np.cumsum(whole) - 1, -1).astype(np.int32)
    kept = np.nonzero(whole)[0]
    n = len(kept)
    polygons = np.zeros((n, _MAX_SIDES, 2))
    for c, k in enumerate(kept):
        corners = diagram.vertices[diagram.regions[diagram.point_region[k]]]
        turn = np.argsort(np.arctan2(corners[:, 1] - seeds[k, 1], corners[:, 0] - seeds[k, 0]))
        corners = corners[turn][:_MAX_SIDES]
        polygons[c, : len(corners)] = corners
        polygons[c, len(corners) :] = corners[-1]
    seeds = seeds[kept]
    radius = np.sqrt(((polygons - seeds[:, None]) ** 2).sum(axis=2).max(axis=1))
    zone, style = _uses(coarse, seeds, density, port_xy_m, plan, rng)
    lattice, lattices = _lattices(seeds, zone, towns, plan, rng)

    pairs, ends = number[diagram.ridge_points], np.asarray(diagram.ridge_vertices)
    real = (pairs >= 0).all(axis=1) & (ends >= 0).all(axis=1)
    pairs, ends = pairs[real], ends[real]
    apart = lattice[pairs[:, 0]] != lattice[pairs[:, 1]]
    pairs, borders = pairs[apart], diagram.vertices[ends[apart]]
    normal_x, normal_y = (np.zeros((n, _MAX_SIDES), np.float32) for _ in range(2))
    offset = np.full((n, _MAX_SIDES), 1e9, np.float32)
    a, b = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.argsort(a, kind="stable")
    a, b = a[order], b[order]
    slot = np.arange(len(a)) - np.searchsorted(a, a)
    a, b, slot = (v[slot < _MAX_SIDES] for v in (a, b, slot))
    across = seeds[b] - seeds[a]
    across /= np.hypot(*across.T)[:, None]
    normal_x[a, slot], normal_y[a, slot] = across.T
    offset[a, slot] = (0.5 * (seeds[a] + seeds[b]) * across).sum(axis=1)
    cells = Cells(seeds, polygons, radius, zone, lattice, style, normal_x, normal_y, offset, borders, pairs)
    return cells, lattices


def _uses(
    coarse: Coarse,
    seeds: NDArray[np.float64],
    density: NDArray[np.float32],
    port_xy_m: NDArray[np.float64] | None,
    plan: Plan,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Zone and main style of building of each cell (N,)."""
    n = len(seeds)
    x, y = seeds.T
    at = coarse.at(density, x, y)
    pick, kind = rng.random(n), rng.random(n)
    works = coarse.at(coarse.noise(max(0.2 * coarse.grid.extent_m, 1500.0), rng), x, y)
    industrial = (works > 0.8) & (at < 0.75)
    if port_xy_m is not None:
        away = np.hypot(x[:, None] - port_xy_m[:, 0], y[:, None] - port_xy_m[:, 1]).min(axis=1)
        industrial |= (away < 0.9 * plan.cell_m) & (kind < 0.6)
    zone = np.select(
        [at < 0.14, industrial, at > 0.7 + 0.14 * pick, at > 0.4 + 0.16 * kind],
        [Zone.FARMLAND, Zone.INDUSTRIAL, Zone.COMMERCIAL, Zone.RESIDENTIAL_DENSE],
        Zone.RESIDENTIAL_SPARSE,
    )
    zone = np.where((at >= 0.2) & (pick < 0.045), Zone.PARK, zone).astype(np.uint8)
    # city by city, one way of building rules
    tall = float(rng.uniform(0.1, 0.45))
    closed = float(rng.uniform(0.2, 0.75))
    style = np.select(
        [zone == Zone.COMMERCIAL, zone == Zone.RESIDENTIAL_DENSE, zone == Zone.RESIDENTIAL_SPARSE],
        [
            np.where(kind < tall, Style.TOWERS, Style.PERIMETER),
            np.where(kind < closed, Style.PERIMETER, np.where(pick < 0.75, Style.SLABS, Style.ROWS)),
            np.where(kind < 0.7, Style.HOUSES, np.where(pick < 0.7, Style.ROWS, Style.SLABS)),
        ],
        np.where(zone == Zone.INDUSTRIAL, np.where(kind < 0.15, Style.TANKS, Style.HALLS), Style.NONE),
    )
    return zone, style.astype(np.uint8)


def _lattices(
    seeds: NDArray[np.float64], zone: NDArray[np.uint8], towns: tuple[Town, ...], plan: Plan, rng: np.random.Generator
) -> tuple[NDArray[np.int32], Lattices]:
    """The net each cell follows (N,), and the nets."""
    n = len(seeds)
    total = n + FIRST_OWN
    main = towns[0]
    centre = np.array(main.centre_xy_m)
    off = seeds - centre
    away = np.hypot(*off.T)
    urban = np.isin(zone, URBAN_ZONES) | (zone == Zone.PARK)
    homes = urban & (zone != Zone.INDUSTRIAL) & (zone != Zone.PARK)
    angle = rng.uniform(0, np.pi, n)
    lattice = np.arange(n, dtype=np.int32) + FIRST_OWN
    bend = np.where(rng.random(n) < 0.5, 0.0, rng.uniform(8, 22, n))
    close = away < 1.8 * main.radius_m
    if plan.name == "grid":
        lattice[homes & close & (rng.random(n) < 0.8)] = SHARED
        turned = rng.random(n) < 0.6
        angle = np.where(turned, plan.angle_rad + rng.normal(0, 0.04, n), angle)
    elif plan.name == "radial":
        outward = np.arctan2(off[:, 1], off[:, 0])
        angle = np.where(urban, outward + rng.normal(0, 0.06, n), angle)
        lattice[homes & (away < 0.9 * main.radius_m)] = POLAR
    else:
        bend = np.where(urban, rng.uniform(12, 34, n), bend)
    # farm country: one manner of dividing land for the region, with turns of its own in each cell
    field_length, field_depth = rng.uniform(170, 380), rng.uniform(80, 230)
    drawn_length, drawn_depth = rng.uniform(0.7, 1.25, n), rng.uniform(0.7, 1.25, n)
    organic = plan.name == "organic"
    length = np.where(urban, (95 if organic else 140) * drawn_length, field_length * drawn_length)
    depth = np.where(urban, (70 if organic else 95) * drawn_depth, field_depth * drawn_depth)
    works = zone == Zone.INDUSTRIAL
    length[works], depth[works] = 240 * drawn_length[works], 160 * drawn_depth[works]
    bend[works] = 0
    park = zone == Zone.PARK
    length[park] = depth[park] = 260
    straight = float(rng.choice([0.0, 0.0, 25.0]))
    bend[~urban] = straight
    first = np.array([plan.angle_rad, 0.0])
    lattices = Lattices(
        angle_rad=np.concatenate([first, angle]),
        x_m=np.concatenate([[centre[0]] * 2, seeds[:, 0]]),
        y_m=np.concatenate([[centre[1]] * 2, seeds[:, 1]]),
        length_m=np.concatenate([[rng.uniform(110, 230), rng.uniform(90, 140)], length]),
        depth_m=np.concatenate([[rng.uniform(75, 120), rng.uniform(85, 125)], depth]),
        bend_m=np.concatenate([[0.0, 0.0], bend]),
        strict=np.concatenate([[rng.random() < 0.6, True], rng.random(total - FIRST_OWN) < 0.3]),
    )
    return lattice, lattices
