"""What a radar sees of the ground: from a world to the backscatter of each polarisation.

The ground's mean power goes through the geometry (slopes, layover, shadow), discrete scatterers are added at their
places between pixels, and the system's response with its speckle turns both into an image. Images of one look are
focused as a complex field, from which speckle, side lobes and resolution follow; images of several looks are made from
their mean intensity and a speckle field of the product's looks and correlation, and only ships are focused one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from knowlip.simulation.ground import LandCover, World, WorldObject
from knowlip.simulation.imaging.aircraft import aircraft_scatterers
from knowlip.simulation.imaging.geometry import Look, look_of
from knowlip.simulation.imaging.reflectivity import ground_power, wall_gain
from knowlip.simulation.imaging.response import (
    ComplexField,
    focus,
    focus_points,
    intensity_taps,
    speckle_taps,
    spread,
    transfer,
)
from knowlip.simulation.imaging.scatterers import Scatterers, moving_target_offset_xy_m, smeared
from knowlip.simulation.imaging.ships import ship_scatterers
from knowlip.simulation.imaging.speckle import filtered, speckle
from knowlip.simulation.imaging.structures import fixture_scatterers
from knowlip.simulation.imaging.surface import deposit, lay_over, shadow_height
from knowlip.simulation.imaging.wakes import wake_factor
from knowlip.simulation.imaging.walls import wall_scatterers
from knowlip.simulation.sensors import Sensor

Field = NDArray[np.float32]

HOUSES_SEEN_BELOW_M = 5.5
"""Pixel spacing below which single houses have their own layover and shadow."""
_BLOCK_PX, _MARGIN_PX = 2048, 32
# What reaches the radar from shadow, by way of multiple scattering and side lobes; this project's assumption.
_SHADOW_LEAK = np.float32(0.003)


@dataclass(frozen=True)
class Image:
    """An image.

    Attributes:
        sigma0: Linear sigma nought (H, W) by polarisation, with the thermal noise's power in it, as in products from
            which it was not subtracted.
        complex: The complex field (H, W) of an image of one look, whose squared magnitude is `sigma0`; else empty.
        offsets_xy_m: Of each of the world's objects, how far from its place it appears (N, 2).
    """

    sigma0: Mapping[str, Field]
    complex: Mapping[str, ComplexField]
    offsets_xy_m: NDArray[np.float64]


def image_world(
    world: World,
    sensor: Sensor,
    incidence_deg: float | Field,
    look_azimuth_deg: float,
    seed: int,
    side: str = "right",
) -> Image:
    """Image a piece of ground.

    Args:
        world: The ground, at the sensor's pixel spacing.
        sensor: The radar.
        incidence_deg: Incidence angle in degrees, one or for each pixel (H, W).
        look_azimuth_deg: Direction from the radar to the scene over ground, clockwise from the image's up direction.
        seed: Sets texture, speckle and the targets' strengths.
        side: Side of the flight direction that the radar looks to.
    """
    # streams of their own keep one part's draws from shifting another's
    ground, built, ships, *looks = (
        np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3 + len(sensor.polarisations))
    )
    look = look_of(sensor, float(np.mean(incidence_deg)), look_azimuth_deg, side)
    fine = sensor.gsd_m <= HOUSES_SEEN_BELOW_M

    power = ground_power(world, sensor, incidence_deg, look, fine, ground)
    for rows, cols, factor in _wakes(world, sensor, look):
        for field in power.values():
            field[rows, cols] *= factor
    if fine:
        # where a pixel is larger than a house, shadows are part of the classes' means, and no slope is steep enough
        surface = world.terrain_m + world.height_m
        ray = shadow_height(surface, sensor.gsd_m, look)
        lit = np.where(ray > surface + np.float32(1e-3), _SHADOW_LEAK, np.float32(1))
        for field in power.values():
            field *= lit
        power = {p: lay_over(field, world.height_m, sensor.gsd_m, look) for p, field in power.items()}

    detail_m = min(sensor.range_resolution_m, sensor.azimuth_resolution_m)
    walls = wall_scatterers(world.structures, look, built, detail_m)
    fixtures = fixture_scatterers(world.structures, look, built, detail_m)
    structures = Scatterers.join([walls.scaled(wall_gain(world, sensor, look, fine)), fixtures])
    if fine:
        structures = _visible(structures, world.terrain_m, ray, sensor.gsd_m)
    offsets, targets = _targets(world.objects, sensor, look, ships)

    several = sensor.looks > 1
    ghosts = _ghosts(targets, sensor, look)
    bright = Scatterers.join([structures, *ghosts] if several else [structures, *targets, *ghosts])
    sigma0: dict[str, Field] = {}
    fields: dict[str, ComplexField] = {}
    for (polarisation, field), rng in zip(power.items(), looks, strict=True):
        cross = polarisation[0] != polarisation[1]
        _add_ghosts(field, sensor, look)
        if several:
            sigma0[polarisation] = _multilooked(field, bright, cross, sensor, look, rng)
        else:
            fields[polarisation] = _focused(field, bright, cross, sensor, look, rng)
            sigma0[polarisation] = np.square(np.abs(fields[polarisation]))
    if several:
        _add_targets(sigma0, targets, sensor, look, ships)
    return Image(sigma0, fields, offsets)


def _wakes(world: World, sensor: Sensor, look: Look) -> list[tuple[slice, slice, Field]]:
    shape = (world.landcover.shape[0], world.landcover.shape[1])
    wakes = wake_factor(world.objects, look, shape, world.gsd_m, world.wind_speed_m_s, sensor.band)
    water = world.landcover == LandCover.WATER
    return [(rows, cols, np.where(water[rows, cols], factor, np.float32(1))) for rows, cols, factor in wakes]


def _visible(points: Scatterers, terrain_m: Field, ray_m: Field, gsd_m: float) -> Scatterers:
    """Those that no nearer building hides; what lies under the ground is the mirror image of something above it."""
    rows = np.clip(points.y_m / np.float32(gsd_m), 0, terrain_m.shape[0] - 1).astype(np.int32)
    cols = np.clip(points.x_m / np.float32(gsd_m), 0, terrain_m.shape[1] - 1).astype(np.int32)
    return points.take(ray_m[rows, cols] <= terrain_m[rows, cols] + np.maximum(points.z_m, 0) + np.float32(0.5))


def _targets(
    objects: tuple[WorldObject, ...], sensor: Sensor, look: Look, rng: np.random.Generator
) -> tuple[NDArray[np.float64], list[Scatterers]]:
    """Offsets (N, 2) of all objects in the image, and each one's scatterers where the image has them."""
    offsets, sets = np.zeros((len(objects), 2)), list[Scatterers]()
    for k, o in enumerate(objects):
        is_ship = o.cls == "ship"
        points = ship_scatterers(o, look, sensor.band, rng) if is_ship else aircraft_scatterers(o, look, rng)
        if o.speed_m_s > 0:
            offsets[k] = moving_target_offset_xy_m(look, o.heading_deg, o.speed_m_s)
            points = smeared(points, o, look, sensor).moved(float(offsets[k, 0]), float(offsets[k, 1]))
        sets.append(points)
    return offsets, sets


def _ghost_offsets_px(sensor: Sensor, look: Look) -> list[tuple[float, float]]:
    """Columns and rows by which the first azimuth ambiguities lie off: lambda R PRF / (2 V) along the flight.

    Source: Cumming, Wong 2005, "Digital processing of synthetic aperture radar data", ch. 5. Range ambiguities lie
    c / (2 PRF) of slant range away, tens of kilometres, and come from outside any scene of this size.
    """
    off = sensor.wavelength_m * look.slant_range_m * sensor.prf_hz / (2 * look.speed_m_s) / sensor.gsd_m
    x, y = look.flight_xy
    return [(off * x, off * y), (-off * x, -off * y)]


def _add_ghosts(power: Field, sensor: Sensor, look: Look) -> None:
    """Add the power's azimuth ambiguities, which show where land faces dark water, in place."""
    H, W = power.shape
    level = np.float32(10 ** (sensor.ambiguity_db / 10))
    ghosts = []
    for dx, dy in _ghost_offsets_px(sensor, look):
        c, r = round(dx), round(dy)
        if abs(c) < W and abs(r) < H:
            to = (slice(max(0, r), H + min(0, r)), slice(max(0, c), W + min(0, c)))
            of = (slice(max(0, -r), H + min(0, -r)), slice(max(0, -c), W + min(0, -c)))
            ghosts.append((to, level * power[of]))
    for to, ghost in ghosts:
        power[to] += ghost


def _ghosts(targets: list[Scatterers], sensor: Sensor, look: Look) -> list[Scatterers]:
    level = 10 ** (sensor.ambiguity_db / 10)
    return [
        t.scaled((level, level)).moved(dx * sensor.gsd_m, dy * sensor.gsd_m)
        for t in targets
        for dx, dy in _ghost_offsets_px(sensor, look)
    ]


def _place(points: Scatterers, gsd_m: float, look: Look) -> tuple[Field, Field]:
    """Columns and rows (N,) where the image has the scatterers, laid over; a pixel's centre is its index."""
    shift = points.z_m * np.float32(look.cot_incidence)
    x, y = look.along_xy
    col = (points.x_m - shift * np.float32(x)) / np.float32(gsd_m) - np.float32(0.5)
    row = (points.y_m - shift * np.float32(y)) / np.float32(gsd_m) - np.float32(0.5)
    return col.astype(np.float32), row.astype(np.float32)


def _amplitudes(rcs_m2: Field, gsd_m: float, rng: np.random.Generator) -> ComplexField:
    """Complex amplitudes (N,) of random phase whose energy in an image of sigma nought is the cross section."""
    phase = rng.uniform(0, 2 * np.pi, len(rcs_m2)).astype(np.float32)
    return np.asarray(np.sqrt(rcs_m2) / np.float32(gsd_m) * np.exp(1j * phase), np.complex64)


def _focused(
    power: Field, bright: Scatterers, cross: bool, sensor: Sensor, look: Look, rng: np.random.Generator
) -> ComplexField:
    """The complex image, block by block; a block's margin keeps what leaks round its edges out of the image."""
    H, W = power.shape
    noise = np.float32(10 ** (sensor.nesz_db / 10))
    col, row = _place(bright, sensor.gsd_m, look)
    amplitude = _amplitudes(bright.rcs_m2(cross), sensor.gsd_m, rng)
    out: ComplexField = np.empty(power.shape, np.complex64)
    weights = np.zeros((0, 0), np.float32)
    for top in range(0, H, _BLOCK_PX):
        for left in range(0, W, _BLOCK_PX):
            h, w = min(_BLOCK_PX, H - top), min(_BLOCK_PX, W - left)
            shape = (fft.next_fast_len(h + 2 * _MARGIN_PX), fft.next_fast_len(w + 2 * _MARGIN_PX))
            r = np.clip(np.arange(shape[0]) + top - _MARGIN_PX, 0, H - 1)
            c = np.clip(np.arange(shape[1]) + left - _MARGIN_PX, 0, W - 1)
            if weights.shape != shape:
                weights = transfer(shape, sensor, look)
            points = spread(col - (left - _MARGIN_PX), row - (top - _MARGIN_PX), amplitude, shape)
            block = focus(power[r][:, c] + noise, points, weights, rng)
            inside = (slice(_MARGIN_PX, _MARGIN_PX + h), slice(_MARGIN_PX, _MARGIN_PX + w))
            out[top : top + h, left : left + w] = block[inside]
    return out


def _multilooked(
    power: Field, bright: Scatterers, cross: bool, sensor: Sensor, look: Look, rng: np.random.Generator
) -> Field:
    """The intensity of several looks: mean power of ground and scatterers, blurred by the response, and speckle."""
    col, row = _place(bright, sensor.gsd_m, look)
    deposit(power, col, row, bright.rcs_m2(cross) / np.float32(sensor.gsd_m**2))
    mean = filtered(power, intensity_taps(sensor, look)) + np.float32(10 ** (sensor.nesz_db / 10))
    return mean * speckle((power.shape[0], power.shape[1]), sensor.looks, speckle_taps(sensor, look), rng)


def _add_targets(
    images: Mapping[str, Field], targets: list[Scatterers], sensor: Sensor, look: Look, rng: np.random.Generator
) -> None:
    """Add targets' intensities to images of several looks, in place: each is focused on a patch of its own.

    Every look has its own phases, so that what interferes in one does not in another; side lobes stay.
    """
    looks = max(1, round(sensor.looks))
    spectra: dict[int, Field] = {}
    H, W = next(iter(images.values())).shape
    for points in targets:
        col, row = _place(points, sensor.gsd_m, look)
        reach = int(max(np.ptp(col), np.ptp(row))) + 2 * _MARGIN_PX
        size = 1 << (reach - 1).bit_length()
        left, top = round(float(col.mean())) - size // 2, round(float(row.mean())) - size // 2
        if left + size <= 0 or top + size <= 0 or left >= W or top >= H:
            continue
        if size not in spectra:
            spectra[size] = transfer((size, size), sensor, look)
        r, c = max(0, top), max(0, left)
        for polarisation, image in images.items():
            rcs_m2 = points.rcs_m2(polarisation[0] != polarisation[1])
            amplitude = np.stack([_amplitudes(rcs_m2, sensor.gsd_m, rng) for _ in range(looks)])
            field = focus_points(spread(col - left, row - top, amplitude, (size, size)), spectra[size])
            seen = np.square(np.abs(field)).mean(axis=0)
            part = image[r : top + size, c : left + size]
            part += seen[r - top : r - top + part.shape[0], c - left : c - left + part.shape[1]]
