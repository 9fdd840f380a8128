"""A made-up city region on a metric grid: what covers the ground, how high it stands, what floats and stands on it."""

import zlib

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.cities import City
from knowlip.simulation.ground import LandCover, World, WorldObject, Zone
from knowlip.simulation.world.aircraft import park_aircraft
from knowlip.simulation.world.airfield import Airfield, place_airfield
from knowlip.simulation.world.blocks import make_blocks
from knowlip.simulation.world.cells import draw_plan, make_cells
from knowlip.simulation.world.countryside import draw_shares, make_countryside
from knowlip.simulation.world.fleet import place_ships
from knowlip.simulation.world.grid import Coarse, Grid
from knowlip.simulation.world.plots import Plots, claim
from knowlip.simulation.world.relief import distance_to, flattened, make_relief
from knowlip.simulation.world.surface import draw_structures
from knowlip.simulation.world.towns import density_of, place_towns
from knowlip.simulation.world.townscape import furnish
from knowlip.simulation.world.waters import Waters, make_waters

_AIRCRAFT_SEEN_UP_TO_M = 3.0
_AIRPORT_SHARE = 0.6


def _sea_share(city: City, rng: np.random.Generator) -> float:
    if "coastal" not in city.character:
        return 0.0
    return float(rng.uniform(0.1, 0.7))


def make_world(city: City, shape: tuple[int, int], gsd_m: float, seed: int) -> World:
    """Lay out a city region with the city's traits.

    Smooth fields are made on coarse nodes, everything with an edge is a convex polygon, and both are drawn on the
    pixels last, so that the layout is the same in kind at any pixel size.

    Args:
        city: Whose traits to follow; the layout is invented, not the real city's.
        shape: (H, W) in pixels.
        gsd_m: Pixel spacing in metres.
        seed: Sets all choices, together with the city.

    Returns:
        The world; the same arguments give the same one.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(city.name.encode())]))
    grid = Grid(shape, gsd_m)
    coarse = Coarse(grid)
    towns = place_towns(grid, rng)
    plan = draw_plan(grid, rng)
    shares = draw_shares(city.character, city.lat_deg, rng)
    waters = make_waters(coarse, city.character, towns[0].centre_xy_m, _sea_share(city, rng), rng)
    water = waters.water
    wet = coarse.touched(water)
    from_water = distance_to(coarse, wet)
    terrain, steepness = make_relief(coarse, "hilly" in city.character, from_water, rng)
    density = density_of(coarse, towns, steepness, rng)

    airfield = _airfield(city, coarse, wet, density, steepness, waters, rng)
    port = None if waters.harbour is None else waters.harbour.ground.mean(axis=1)
    cells, lattices = make_cells(coarse, towns, plan, density, port, rng)
    owner = np.zeros(shape, np.int32)
    claim(owner, grid, cells, waters.harbour, airfield)
    blocks = make_blocks(coarse, cells, lattices, owner, density, rng)
    plots = Plots.of(cells, blocks, waters.harbour, airfield, rng)
    net = plots.draw(owner, grid, blocks)

    country = make_countryside(coarse, shares, plots, owner, steepness, rng)
    country.landcover[waters.beach] = LandCover.BARE
    country.landcover[waters.mole] = LandCover.BARE
    country.zone[waters.mole] = Zone.PORT
    structures = furnish(coarse, towns, cells, blocks, plots, net, waters, airfield, country, rng)
    landcover, zone = country.landcover, country.zone
    height = draw_structures(grid, structures, landcover, country)
    height[waters.mole] = 4

    levelled = None if airfield is None else _levelled(coarse, airfield)
    terrain_m = coarse.fine(flattened(coarse, terrain, density, from_water, levelled))
    np.maximum(terrain_m, 0, out=terrain_m)
    terrain_m[water] = 0

    objects: list[WorldObject] = []
    if airfield is not None and gsd_m <= _AIRCRAFT_SEEN_UP_TO_M:
        objects += [a for a in park_aircraft(airfield, grid, rng) if _stands_on_pavement(a, landcover, grid)]
    wind_speed = float(np.clip(6.5 * rng.weibull(2.0), 1.0, 20.0))
    wind_from = float(rng.uniform(0, 360))
    afloat = landcover == LandCover.WATER
    quays = () if waters.harbour is None else waters.harbour.quays
    is_port = "port" in city.character
    objects += place_ships(
        coarse, afloat, afloat & (waters.sea | waters.river), quays, waters.rivers, is_port, wind_from, rng
    )
    return World(
        landcover=landcover,
        zone=zone,
        parcel=owner,
        terrain_m=terrain_m,
        height_m=height,
        structures=structures,
        objects=tuple(objects),
        wind_speed_m_s=wind_speed,
        wind_from_deg=wind_from,
        gsd_m=gsd_m,
    )


def _airfield(
    city: City,
    coarse: Coarse,
    wet: NDArray[np.bool_],
    density: NDArray[np.float32],
    steepness: NDArray[np.float32],
    waters: Waters,
    rng: np.random.Generator,
) -> Airfield | None:
    if "airport" not in city.character or rng.random() >= _AIRPORT_SHARE:
        return None
    cost = np.where(wet, np.float32(1), 0.2 * np.clip(density, 0, 1) + 0.8 * steepness).astype(np.float32)
    kept_off = [river.course(coarse.grid) for river in waters.rivers]
    if waters.harbour is not None:
        kept_off.append(waters.harbour.ground.reshape(-1, 2))
    taken = np.concatenate([np.zeros((0, 2)), *kept_off])
    return place_airfield(coarse.grid, cost[1:-2, 1:-2], coarse.step_m, taken, rng)


def _levelled(coarse: Coarse, airfield: Airfield) -> NDArray[np.float32]:
    """How far the ground is levelled (h, w): 1 within the fence, falling to 0 some 400 m outside."""
    u, v = airfield.frame.to_local(coarse.x_m, coarse.y_m)
    half_u, half_v = airfield.half_m
    out = np.hypot(np.maximum(np.abs(u) - half_u, 0), np.maximum(np.abs(v) - half_v, 0))
    t = np.clip(1 - out / np.float32(400), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _stands_on_pavement(aircraft: WorldObject, landcover: NDArray[np.uint8], grid: Grid) -> bool:
    """Whether the whole outline stands on the apron."""
    a, b = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9))
    p = aircraft.corners_xy_m
    x, y = (p[0, k] + a * (p[1, k] - p[0, k]) + b * (p[3, k] - p[0, k]) for k in (0, 1))
    return bool((landcover[grid.pixel(x, y)] == LandCover.ROAD).all())
