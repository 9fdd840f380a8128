"""What a radar sees of the ground: mean backscatter, texture, walls and shadows, targets, speckle and noise.

This is a ground-range picture without layover: every pixel's energy stays in that pixel. Anything that puts it
elsewhere belongs here, behind the same function.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.simulation.ground import LandCover, World, WorldObject
from knowlip.simulation.imaging.backscatter import mean_sigma0
from knowlip.simulation.imaging.speckle import IMPULSE_RESPONSE_STD_PX, speckle
from knowlip.simulation.imaging.texture import ground_texture
from knowlip.simulation.sensors import Sensor

Field = NDArray[np.float32]

_WALL_FROM_M = 4.0
# Walls return strongly when they face the radar within some 12 degrees (double bounce off wall and ground), the
# "cardinal effect" of street grids: Raney, in Manual of Remote Sensing 2 (3rd ed.), Wiley 1998.
_FACING_STD_DEG = 12.0
_SHADOW_LEVEL = np.float32(0.02)
_SHADOW_STEPS = 40
_SHIP_MEAN_DB = (5.0, 15.0)
_AIRCRAFT_MEAN_DB = (0.0, 8.0)
_TARGET_CROSS_LOSS_DB = (5.0, 8.0)
_SUBPIXELS = 5


def _shifted(field: Field, rows: int, cols: int) -> Field:
    """The field (H, W) read `rows` above and `cols` left of each pixel, edges repeated."""
    H, W = field.shape
    r = np.clip(np.arange(H) - rows, 0, H - 1)
    c = np.clip(np.arange(W) - cols, 0, W - 1)
    return field[r][:, c]


def _shadow(height_m: Field, gsd_m: float, incidence_deg: float, look_row: float, look_col: float) -> NDArray[np.bool_]:
    """Pixels (H, W) in shadow: height h is, x metres behind a height of more than h + x / tan(incidence)."""
    tangent = float(np.tan(np.deg2rad(incidence_deg)))
    # relief is gentler than the ray, so only what rises within one pixel can cast a shadow, and no farther than this
    tallest = float(np.percentile(height_m[::4, ::4], 99.9) - height_m.min()) + 60.0
    steps = int(min(np.ceil(min(tallest, 160.0) * tangent / gsd_m), _SHADOW_STEPS))
    hidden = np.zeros(height_m.shape, bool)
    for k in range(1, steps + 1):
        rows, cols = round(k * look_row), round(k * look_col)
        drop = np.float32(np.hypot(rows, cols) * gsd_m / tangent)
        hidden |= _shifted(height_m, rows, cols) - height_m > drop
    return hidden


def _built_factor(
    height_m: Field,
    is_building: NDArray[np.bool_],
    gsd_m: float,
    look_row: float,
    look_col: float,
    rng: np.random.Generator,
) -> Field:
    """Relative brightness (H, W) of built-up pixels: dull roofs and yards, bright walls that face the radar, glints."""
    rise = height_m - _shifted(height_m, round(1.2 * look_row), round(1.2 * look_col))
    down, right = np.gradient(height_m)
    steep = np.sqrt(down * down + right * right)
    along = (down * np.float32(look_row) + right * np.float32(look_col)) / np.maximum(steep, np.float32(1e-3))
    off_deg = np.rad2deg(np.arccos(np.clip(along, -1, 1))).astype(np.float32)
    facing = np.exp(-0.5 * (off_deg / np.float32(_FACING_STD_DEG)) ** 2)
    # the bounce grows with the wall it comes off
    wall = np.clip(rise - np.float32(_WALL_FROM_M), 0, 30) / np.float32(10)
    factor = np.where(rise > _WALL_FROM_M, 1 + wall * (np.float32(0.6) + np.float32(9) * facing), np.float32(0.45))
    n = int(0.004 * height_m.size * min(1.0, (gsd_m / 10) ** 2) + 1)
    rows, cols = rng.integers(0, height_m.shape[0], n), rng.integers(0, height_m.shape[1], n)
    factor[rows, cols] *= 10 ** rng.uniform(0.6, 1.6, n).astype(np.float32)
    return np.where(is_building, factor, np.float32(1)).astype(np.float32)


def _slope_factor(height_m: Field, gsd_m: float, incidence_deg: float, look_row: float, look_col: float) -> Field:
    """Relative brightness (H, W) of slopes, brighter towards the radar.

    The area a slope shows is Ulander's, IEEE TGRS 34(5), 1996, for slopes in the plane of incidence.
    """
    width = max(3, round(50 / gsd_m))
    relief = ndimage.uniform_filter(ndimage.uniform_filter(height_m, width), width)
    down, right = np.gradient(relief, np.float32(gsd_m))
    slope = down * np.float32(look_row) + right * np.float32(look_col)
    theta = np.deg2rad(incidence_deg)
    local = np.maximum(theta - np.arctan(slope), np.float32(0.12))
    factor = np.sin(theta) / np.sin(local) * np.cos(np.minimum(local, np.float32(1.45))) / np.cos(theta)
    return np.asarray(np.clip(factor, 0.3, 4.0), np.float32)


def _target_patch(
    target: WorldObject, gsd_m: float, shape: tuple[int, int]
) -> tuple[slice, slice, Field, Field] | None:
    """Rows, columns, share of each pixel the target covers, place along it (-0.5 to 0.5); None outside the image."""
    reach = 0.5 * float(np.hypot(target.length_m, target.width_m)) + gsd_m
    x, y = target.centre_xy_m
    r0, r1 = max(0, int((y - reach) / gsd_m)), min(shape[0], int((y + reach) / gsd_m) + 1)
    c0, c1 = max(0, int((x - reach) / gsd_m)), min(shape[1], int((x + reach) / gsd_m) + 1)
    if r0 >= r1 or c0 >= c1:
        return None
    n = _SUBPIXELS
    dy = ((np.arange(r0 * n, r1 * n) + 0.5) / n * gsd_m - y)[:, None]
    dx = ((np.arange(c0 * n, c1 * n) + 0.5) / n * gsd_m - x)[None, :]
    h = np.deg2rad(target.heading_deg)
    along, across = dx * np.sin(h) - dy * np.cos(h), dx * np.cos(h) + dy * np.sin(h)
    if target.cls == "aircraft":
        body = (np.abs(across) < 0.06 * target.length_m) & (np.abs(along) < target.length_m / 2)
        swept = (along + 0.35 * np.abs(across)) / target.length_m
        wing = (np.abs(across) < target.width_m / 2) & (np.abs(swept - 0.05) < 0.09)
        tail = (np.abs(across) < 0.18 * target.width_m) & (np.abs(swept + 0.42) < 0.05)
        inside = body | wing | tail
    else:
        # hulls taper over the last eighth before the bow
        taper = np.clip((0.5 - along / target.length_m) * 8, 0, 1)
        inside = (np.abs(along) < target.length_m / 2) & (np.abs(across) < target.width_m / 2 * taper)
    blocks = (r1 - r0, n, c1 - c0, n)
    cover = inside.reshape(blocks).mean(axis=(1, 3)).astype(np.float32)
    place = (along / target.length_m).reshape(blocks).mean(axis=(1, 3)).astype(np.float32)
    return slice(r0, r1), slice(c0, c1), cover, place


def _add_targets(
    sigma0: dict[str, Field], objects: Sequence[WorldObject], sensor: Sensor, rng: np.random.Generator
) -> None:
    """Add ships and aircraft to the sigma0 of each polarisation, in place."""
    shape = next(iter(sigma0.values())).shape
    for target in objects:
        low, high = _SHIP_MEAN_DB if target.cls == "ship" else _AIRCRAFT_MEAN_DB
        level_db = float(rng.uniform(low, high))
        loss_db = float(rng.uniform(*_TARGET_CROSS_LOSS_DB))
        # a few structures (bridge, cranes, hatches) return much of the energy
        spots, strengths = rng.uniform(-0.45, 0.45, 5), rng.exponential(1.6, 5)
        patch = _target_patch(target, sensor.gsd_m, (shape[0], shape[1]))
        if patch is None:
            continue
        rows, cols, cover, place = patch
        ridge = 0.5 + sum(s * np.exp(-0.5 * ((place - a) / 0.06) ** 2) for a, s in zip(spots, strengths, strict=True))
        weight = cover * ridge
        if weight.sum() == 0:
            continue
        weight *= cover.sum() / weight.sum()
        for polarisation, field in sigma0.items():
            cross = polarisation[0] != polarisation[1]
            level = 10 ** ((level_db - (loss_db if cross else 0.0)) / 10)
            field[rows, cols] = field[rows, cols] * (1 - cover) + np.float32(level) * weight.astype(np.float32)


def image_world(
    world: World,
    sensor: Sensor,
    incidence_deg: float | NDArray[np.float32],
    look_azimuth_deg: float,
    seed: int,
) -> dict[str, Field]:
    """Image a piece of ground.

    Args:
        world: The ground, at the sensor's pixel spacing.
        sensor: The radar.
        incidence_deg: Incidence angle in degrees, one or for each pixel (H, W).
        look_azimuth_deg: Direction from the radar to the scene over ground, clockwise from the image's up direction.
        seed: Sets texture, speckle and target strengths.

    Returns:
        Linear sigma0 (H, W) by polarisation, with the thermal noise's power in it, as in products from which it was
        not subtracted.
    """
    landcover, parcel, objects = world.landcover, world.parcel, world.objects
    height_m = world.terrain_m + world.height_m
    # streams of their own keep one part's draws from shifting another's
    ground, glints, ships, *looks = (
        np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3 + len(sensor.polarisations))
    )
    azimuth = np.deg2rad(look_azimuth_deg)
    look_row, look_col = float(-np.cos(azimuth)), float(np.sin(azimuth))
    middle_deg = float(np.mean(incidence_deg))
    is_building = landcover == LandCover.BUILDING

    built = _built_factor(height_m, is_building, sensor.gsd_m, look_row, look_col, glints)
    slope = np.where(
        is_building | (landcover == LandCover.WATER),
        np.float32(1),
        _slope_factor(height_m, sensor.gsd_m, middle_deg, look_row, look_col),
    )
    lit = np.where(_shadow(height_m, sensor.gsd_m, middle_deg, look_row, look_col), _SHADOW_LEVEL, np.float32(1))
    common = built * slope * lit
    if is_building.any():
        # the table's value is a mean over built-up ground with its roofs, walls and shadows, which share it here
        common[is_building] /= common[is_building].mean(dtype=np.float64)
    common *= ground_texture(landcover, parcel, sensor.gsd_m, ground)

    sigma0 = {p: mean_sigma0(landcover, sensor.band, p, incidence_deg) * common for p in sensor.polarisations}
    _add_targets(sigma0, objects, sensor, ships)
    noise = np.float32(10 ** (sensor.nesz_db / 10))
    for (polarisation, field), rng in zip(list(sigma0.items()), looks, strict=True):
        seen = ndimage.gaussian_filter(field, IMPULSE_RESPONSE_STD_PX, mode="nearest") + noise
        sigma0[polarisation] = (seen * speckle((field.shape[0], field.shape[1]), sensor.looks, rng)).astype(np.float32)
    return sigma0
