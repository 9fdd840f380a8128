"""Towns: where they are dense, their blocks, streets and buildings, and the trunk roads between them."""

from dataclasses import dataclass

import numpy as np
import rasterio.features
from numpy.typing import NDArray
from shapely.geometry import LineString

from knowlip.simulation.ground import LandCover
from knowlip.simulation.noise import mix, spline_noise, unit
from knowlip.simulation.world.districts import Cells, divide, divide_radially
from knowlip.simulation.world.grid import Grid
from knowlip.simulation.world.waters import River

# Below this spacing single houses are drawn; above it a lot is built on or not as a whole.
_HOUSES_BELOW_M = 5.5
_STREET_M = 11.0
_AVENUE_M = 20.0


@dataclass(frozen=True)
class Town:
    """A built-up area that thins out from its centre.

    Attributes:
        centre_xy_m: Centre in the grid's metres.
        radius_m: Distance at which the density has fallen to about a third.
        stretch: Ratio of the long to the short axis.
        angle_rad: Direction of the long axis.
    """

    centre_xy_m: tuple[float, float]
    radius_m: float
    stretch: float
    angle_rad: float

    def density(self, x_m: NDArray[np.float32], y_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Building density in [0, 1] at points."""
        c, s = np.float32(np.cos(self.angle_rad)), np.float32(np.sin(self.angle_rad))
        dx, dy = x_m - np.float32(self.centre_xy_m[0]), y_m - np.float32(self.centre_xy_m[1])
        a = (dx * c + dy * s) / np.float32(self.radius_m * np.sqrt(self.stretch))
        b = (dy * c - dx * s) / np.float32(self.radius_m / np.sqrt(self.stretch))
        return np.exp(-(a * a + b * b)).astype(np.float32)


@dataclass(frozen=True)
class Settlement:
    """What towns put on the ground, arrays (H, W).

    Attributes:
        landcover: Classes, 0 outside built-up blocks.
        block: Mixed number of each block.
        height_m: Height of buildings and of trees in parks and gardens, above the ground.
    """

    landcover: NDArray[np.uint8]
    block: NDArray[np.uint32]
    height_m: NDArray[np.float32]


def place_towns(grid: Grid, rng: np.random.Generator) -> tuple[Town, ...]:
    """The main town, first, and as many satellites and villages as the area holds."""
    width, height = grid.size_m
    extent = grid.extent_m

    def town(radius_m: float, margin: float) -> Town:
        x, y = rng.uniform(margin, 1 - margin, 2)
        stretch, angle = float(rng.uniform(1, 1.8)), float(rng.uniform(0, np.pi))
        return Town((float(x) * width, float(y) * height), radius_m, stretch, angle)

    main = town(extent * float(rng.uniform(0.08, 0.55)), 0.2)
    n_villages = int(rng.poisson(grid.area_km2 / 14))
    villages = tuple(town(float(min(rng.lognormal(6.2, 0.5), 0.15 * extent)), 0.0) for _ in range(min(n_villages, 600)))
    return main, *villages


def _density(grid: Grid, towns: tuple[Town, ...]) -> NDArray[np.float32]:
    """Building density (H, W): the densest town's; a village is dense at most half as a city."""
    density = towns[0].density(grid.x_m, grid.y_m)
    for town in towns[1:]:
        reach = 2 * town.radius_m * np.sqrt(town.stretch)
        (x, y), gsd = town.centre_xy_m, grid.gsd_m
        rows = slice(max(0, int((y - reach) / gsd)), max(0, int((y + reach) / gsd)))
        cols = slice(max(0, int((x - reach) / gsd)), max(0, int((x + reach) / gsd)))
        part = density[rows, cols]
        np.maximum(part, np.float32(0.6) * town.density(grid.x_m[:, cols], grid.y_m[rows]), out=part)
    return density


def _ensure(width_m: float, gsd_m: float) -> np.float32:
    """A strip's width in metres, at least what shows as an unbroken line of pixels in any direction."""
    return np.float32(max(width_m, 1.02 * gsd_m))


def build(
    grid: Grid,
    towns: tuple[Town, ...],
    ground: NDArray[np.bool_],
    harbour: NDArray[np.bool_],
    steepness: NDArray[np.float32],
    rng: np.random.Generator,
) -> Settlement:
    """Fill the towns with blocks, streets and buildings.

    Args:
        grid: The world's grid.
        towns: Main town and others.
        ground: Where there is dry land (H, W).
        harbour: Ground of harbours (H, W), built on with halls and yards only.
        steepness: Relief in [0, 1], (H, W), which towns avoid.
        rng: Source of all choices.
    """
    plan = str(rng.choice(["grid", "radial", "organic"]))
    main = towns[0]
    bend = {"grid": 0.0, "radial": 15.0, "organic": 55.0}[plan]
    direction = float(rng.uniform(0, np.pi / 2))
    cells = divide(grid, float(rng.uniform(900, 2200)), (110, 210), (75, 140), bend, 11, rng, direction)
    if plan == "radial":
        rings = divide_radially(grid, main.centre_xy_m, float(rng.uniform(90, 140)), 12)
        inner = rings.row * rings.depth_m < 0.8 * main.radius_m
        cells = Cells(*(np.where(inner, getattr(rings, f), getattr(cells, f)) for f in Cells.__dataclass_fields__))
    density = _density(grid, towns)
    density *= 1 + np.float32(0.35) * spline_noise(grid.shape, grid.gsd_m, 1400.0, rng, octaves=2)
    density -= np.float32(0.35) * steepness
    pick, kind, tall = unit(cells.ids), unit(mix(cells.ids, 1)), unit(mix(cells.ids, 2))
    # a block's own threshold makes the town's edge ragged by blocks, not by pixels
    built = (density > np.float32(0.16) + np.float32(0.10) * pick) & ground & ~harbour
    halls = spline_noise(grid.shape, grid.gsd_m, max(0.2 * grid.extent_m, 1500.0), rng)
    industry = built & (halls > 0.9) & (density < 0.75)
    core = built & ~industry & (density > np.float32(0.62) + np.float32(0.1) * pick)
    industry |= harbour
    built |= harbour

    narrow, wide = _ensure(_STREET_M, grid.gsd_m), _ensure(_AVENUE_M, grid.gsd_m)
    street = np.where((cells.row % 5 == 0) | ((cells.district & np.uint32(7)) == 0), wide, narrow).astype(np.float32)
    is_street = built & ~harbour & ((cells.across_m < street) | (cells.along_m < narrow))
    is_street |= harbour & (cells.across_m < narrow) & (cells.row % 3 == 0)

    lot_m = np.where(industry, np.float32(64), np.where(core, np.float32(32), np.float32(26)))
    lot_u, lot_v = np.floor(cells.along_m / lot_m), np.floor(cells.across_m / lot_m)
    lot = mix(cells.ids, lot_u.astype(np.int32), lot_v.astype(np.int32))
    lot_pick, lot_tall = unit(lot), unit(mix(lot, 3))
    if grid.gsd_m > _HOUSES_BELOW_M:
        cover = np.where(core, np.float32(0.95), np.where(industry, np.float32(0.78), np.float32(0.8)))
        roof = lot_pick < cover
    else:
        roof = _roofs(cells, core, industry, lot_m, lot_u, lot_v, lot_pick, street)
    park = built & ~harbour & (kind < np.where(core, np.float32(0.03), np.float32(0.06)))
    vacant = built & (kind > np.where(industry, np.float32(0.86), np.float32(0.97)))

    landcover = np.zeros(grid.shape, np.uint8)
    yard = np.where(industry | core | (lot_tall > 0.75), np.uint8(LandCover.BARE), np.uint8(LandCover.WOODLAND))
    landcover[built] = np.where(roof, np.uint8(LandCover.BUILDING), yard)[built]
    landcover[park] = LandCover.WOODLAND
    landcover[vacant] = LandCover.BARE
    landcover[is_street] = LandCover.ROAD

    storeys = np.where(
        core,
        10 + 22 * np.maximum(density, 0) * (0.5 + tall) + np.where(lot_tall > 0.97, 45 * tall, 0) + 5 * lot_tall,
        np.where(industry, 8 + 7 * tall, 5 + 4 * lot_tall + np.where(tall > 0.93, 18, 0)),
    ).astype(np.float32)
    height = np.where(landcover == LandCover.BUILDING, storeys, np.float32(0))
    height += np.where(landcover == LandCover.WOODLAND, 4 + 7 * lot_tall, np.float32(0))
    return Settlement(landcover, cells.ids, height.astype(np.float32))


def _roofs(
    cells: Cells,
    core: NDArray[np.bool_],
    industry: NDArray[np.bool_],
    lot_m: NDArray[np.float32],
    lot_u: NDArray[np.float32],
    lot_v: NDArray[np.float32],
    lot_pick: NDArray[np.float32],
    street_m: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Footprints (H, W) of buildings: closed rows round a court in the core, houses and halls on lots elsewhere."""
    along, across = cells.along_m - _STREET_M, cells.across_m - street_m
    edge = np.minimum(
        np.minimum(along, cells.length_m - cells.along_m), np.minimum(across, cells.depth_m - cells.across_m)
    )
    rows = core & (edge > 1.5) & (edge < 17) & (lot_pick < 0.97)
    du = np.abs(cells.along_m - (lot_u + np.float32(0.5)) * lot_m)
    dv = np.abs(cells.across_m - (lot_v + np.float32(0.5)) * lot_m)
    half_u = np.where(industry, np.float32(28), np.float32(9.5))
    half_v = np.where(industry, np.float32(24), np.float32(7.5))
    lots = ~core & (du < half_u) & (dv < half_v) & (edge > 2) & (lot_pick < 0.92)
    return np.asarray(rows | lots, np.bool_)


def trunk_roads(
    grid: Grid, towns: tuple[Town, ...], rivers: tuple[River, ...], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Motorways through and round the main town, roads to the villages, and bridges in town, as a mask (H, W)."""
    main = towns[0]
    cx, cy = main.centre_xy_m
    far = float(np.hypot(*grid.size_m))
    lines: list[tuple[LineString, float]] = []

    def curve(start: tuple[float, float], end: tuple[float, float], sway: float) -> LineString:
        t = np.linspace(0, 1, 40)
        a, p = rng.normal(0, sway, 3), rng.uniform(0, np.pi, 3)
        off = np.sum([a[k] * np.sin((k + 1) * np.pi * t + p[k]) * np.minimum(1, 4 * t) for k in range(3)], axis=0)
        dx, dy = end[0] - start[0], end[1] - start[1]
        return LineString(np.column_stack([start[0] + dx * t - dy * off, start[1] + dy * t + dx * off]))

    spokes = int(rng.integers(3, 7))
    turn = float(rng.uniform(0, 2 * np.pi))
    for k in range(spokes):
        angle = turn + 2 * np.pi * k / spokes + float(rng.normal(0, 0.15))
        end = (cx + far * float(np.cos(angle)), cy + far * float(np.sin(angle)))
        lines.append((curve(main.centre_xy_m, end, 0.03), 34.0 if k % 2 == 0 else 22.0))
    if rng.random() < 0.7:
        t = np.linspace(0, 2 * np.pi, 120)
        a, b = main.radius_m * np.sqrt(main.stretch), main.radius_m / np.sqrt(main.stretch)
        wave = 1.05 + 0.06 * np.sin(3 * t + turn) + 0.04 * np.sin(5 * t)
        c, s = np.cos(main.angle_rad), np.sin(main.angle_rad)
        u, v = a * wave * np.cos(t), b * wave * np.sin(t)
        lines.append((LineString(np.column_stack([cx + u * c - v * s, cy + u * s + v * c])), 30.0))
    centres = np.array([town.centre_xy_m for town in towns])
    for k in range(1, len(towns)):
        # each village is joined to the nearest town placed before it, so that all hang together
        to = int(np.argmin(np.sum((centres[:k] - centres[k]) ** 2, axis=1)))
        lines.append((curve(towns[k].centre_xy_m, towns[to].centre_xy_m, 0.05), 12.0))
    for river in rivers:
        u0, _ = river.frame.to_local(np.float32(cx), np.float32(cy))  # type: ignore[arg-type]
        for k in range(int(rng.integers(1, 5))):
            frame = river.tangent(float(u0) + (k - 1.5) * float(rng.uniform(0.6, 1.0)) * 0.5 * main.radius_m)
            reach = 0.5 * river.width_m + 250
            lines.append((LineString([frame.to_grid(0, -reach), frame.to_grid(0, reach)]), 20.0))
    shapes = [line.buffer(float(_ensure(width, grid.gsd_m)) / 2 * 1.05) for line, width in lines]
    mask = rasterio.features.rasterize(
        shapes, out_shape=grid.shape, transform=rasterio.Affine(grid.gsd_m, 0, 0, 0, grid.gsd_m, 0), dtype=np.uint8
    )
    return np.asarray(mask, np.bool_)
