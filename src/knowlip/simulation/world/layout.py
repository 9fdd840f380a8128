"""A made-up city region on a metric grid: what covers the ground, how high it stands, what floats and stands on it."""

import zlib

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.simulation.cities import City
from knowlip.simulation.ground import LandCover, Structures, World, WorldObject, Zone
from knowlip.simulation.noise import spline_noise
from knowlip.simulation.world.airfield import place_airfield
from knowlip.simulation.world.countryside import draw_shares, make_countryside
from knowlip.simulation.world.fleet import park_aircraft, place_ships
from knowlip.simulation.world.grid import Grid
from knowlip.simulation.world.settlement import build, place_towns, trunk_roads
from knowlip.simulation.world.waters import make_waters

_AIRCRAFT_SEEN_UP_TO_M = 3.0
_ZONE_OF_COVER = np.array(
    [Zone.UNKNOWN, Zone.WATER, Zone.WOODLAND, Zone.FARMLAND, Zone.RESIDENTIAL_DENSE, Zone.COMMERCIAL, Zone.BARE],
    np.uint8,
)


def _relief(
    grid: Grid, hilly: bool, water: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Terrain height in metres and the same scaled to [0, 1], both (H, W) and 0 at the water."""
    amplitude = float(rng.uniform(70, 320)) if hilly else float(rng.uniform(1, 8))
    field = spline_noise(grid.shape, grid.gsd_m, float(np.clip(0.4 * grid.extent_m, 2500, 6000)), rng, octaves=6)
    field = np.maximum(field + np.float32(0.8), 0) / np.float32(2.6)
    if water.any():
        step = max(1, round(40 / grid.gsd_m))
        away = ndimage.distance_transform_edt(~water[::step, ::step]).astype(np.float32) * np.float32(step * grid.gsd_m)
        rise = 1 - np.exp(-away / np.float32(900))
        rows = np.minimum(np.arange(grid.shape[0]) / step, rise.shape[0] - 1).astype(np.float32)
        cols = np.minimum(np.arange(grid.shape[1]) / step, rise.shape[1] - 1).astype(np.float32)
        r, c = rows.astype(int), cols.astype(int)
        fr, fc = rows - r, cols - c
        lines = rise[r] * (1 - fr)[:, None] + rise[np.minimum(r + 1, len(rise) - 1)] * fr[:, None]
        field *= lines[:, c] * (1 - fc) + lines[:, np.minimum(c + 1, rise.shape[1] - 1)] * fc
    field[water] = 0
    steepness = np.minimum(field, 1) * np.float32(min(1.0, amplitude / 200))
    return field * np.float32(amplitude), steepness


def _sea_share(city: City, rng: np.random.Generator) -> float:
    if "coastal" not in city.character:
        return 0.0
    return float(rng.uniform(0.1, 0.7))


def make_world(city: City, shape: tuple[int, int], gsd_m: float, seed: int) -> World:
    """Lay out a city region with the city's traits.

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
    towns = place_towns(grid, rng)
    shares = draw_shares(city.character, city.lat_deg, rng)
    waters = make_waters(grid, city.character, towns[0].centre_xy_m, _sea_share(city, rng), rng)
    water = waters.water
    relief, steepness = _relief(grid, "hilly" in city.character, water, rng)
    country = make_countryside(grid, shares, steepness, rng)
    town = build(grid, towns, ~water, waters.pier, steepness, rng)

    landcover, height = country.landcover, country.height_m
    landcover[waters.beach] = LandCover.BARE
    height[waters.beach] = 0
    built = town.landcover > 0
    parcel = np.where(built, town.block, country.parcel)
    landcover = np.where(built, town.landcover, landcover)
    height = np.where(built, town.height_m, height)
    landcover[waters.mole] = LandCover.BARE
    height[waters.mole] = 4
    roads = trunk_roads(grid, towns, waters.rivers, rng) & (~water | waters.river) & ~waters.pier
    landcover[water] = LandCover.WATER
    landcover[roads] = LandCover.ROAD
    height[water | roads] = 0

    objects: list[WorldObject] = []
    if "airport" in city.character and rng.random() < 0.6:
        taken = water | waters.pier | waters.mole
        obstacle = np.where(taken, np.float32(1), np.float32(0.15) * built + np.float32(0.8) * steepness)
        airfield = place_airfield(grid, obstacle, rng)
        if airfield is not None:
            inside = (airfield.landcover > 0) & ~taken
            landcover = np.where(inside, airfield.landcover, landcover)
            height = np.where(inside, airfield.height_m, height)
            if gsd_m <= _AIRCRAFT_SEEN_UP_TO_M:
                on_apron = inside & (landcover == LandCover.ROAD)
                objects += [a for a in park_aircraft(airfield, grid, rng) if _stands_on(a, on_apron, grid)]
    afloat = landcover == LandCover.WATER
    objects += place_ships(
        grid, afloat, afloat & (waters.sea | waters.river), waters.quays, waters.rivers, "port" in city.character, rng
    )
    return World(
        landcover=np.ascontiguousarray(landcover, np.uint8),
        zone=_ZONE_OF_COVER[landcover],
        parcel=(parcel >> np.uint32(1)).astype(np.int32),
        terrain_m=relief.astype(np.float32),
        height_m=height.astype(np.float32),
        structures=Structures.join([]),
        objects=tuple(objects),
        wind_speed_m_s=float(np.clip(6.5 * rng.weibull(2.0), 1.0, 20.0)),
        wind_from_deg=float(rng.uniform(0, 360)),
        gsd_m=gsd_m,
    )


def _stands_on(aircraft: WorldObject, ground: NDArray[np.bool_], grid: Grid) -> bool:
    x, y = (np.append(aircraft.corners_xy_m[:, k], aircraft.centre_xy_m[k]) for k in (0, 1))
    return bool(ground[grid.pixel(x, y)].all())
