"""A simulated scene on disk: a georeferenced amplitude GeoTIFF, a sidecar that describes it, and its truth.

A scene's sidecar is written last and every file under a temporary name first, so a scene that has its sidecar is whole.
"""

import json
import re
import unicodedata
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Proj, Transformer

from knowlip.simulation.cities import City
from knowlip.simulation.imaging import image_world
from knowlip.simulation.map_files import has_maps, write_maps
from knowlip.simulation.preview import write_preview
from knowlip.simulation.sensors import Sensor
from knowlip.simulation.truth_files import replacing, truth_names, write_raster, write_truth
from knowlip.simulation.world import make_world

DN_PER_AMPLITUDE = 1000.0
CALIBRATION_DB = -60.0
"""sigma0 in dB is 20 log10(DN) plus this."""

_WHITE_QUANTILE = 0.995
_MAX_OFFSET_M = 3000.0
_EARTH_RADIUS_KM = 6371.0


def scene_id(city: City, sensor: Sensor, index: int) -> str:
    """The id of a scene, such as `sim-sentinel1-iw-rotterdam-00`."""
    plain = unicodedata.normalize("NFKD", city.name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return f"sim-{sensor.name}-{slug}-{index:02d}"


def utm_epsg(lat_deg: float, lon_deg: float) -> int:
    """EPSG code of the WGS 84 / UTM zone of a place, by its six degrees of longitude."""
    zone = int((lon_deg + 180) // 6) % 60 + 1
    return (32600 if lat_deg >= 0 else 32700) + zone


def _look_azimuth_deg(sensor: Sensor, lat_deg: float, ascending: bool, side: str) -> float:
    """Direction of view over ground, clockwise from true north, of an orbit of the sensor's inclination."""
    sine = np.cos(np.deg2rad(sensor.inclination_deg)) / max(np.cos(np.deg2rad(lat_deg)), 0.2)
    northward = float(np.rad2deg(np.arcsin(np.clip(sine, -1, 1))))
    heading = northward if ascending else 180 - northward
    return round((heading + (90 if side == "right" else -90)) % 360, 3) % 360


def _incidence_deg(
    shape: tuple[int, int], gsd_m: float, middle_deg: float, look_deg: float, altitude_km: float
) -> NDArray[np.float32]:
    """Incidence angle (H, W) in degrees, growing along the look direction as over a spherical earth."""
    theta = np.deg2rad(middle_deg)
    # law of sines in the triangle of the earth's centre, the satellite and the ground point; d(incidence)/d(ground)
    look = np.arcsin(np.sin(theta) * _EARTH_RADIUS_KM / (_EARTH_RADIUS_KM + altitude_km))
    slant_km = _EARTH_RADIUS_KM * np.sin(theta - look) / np.sin(look)
    per_km = np.cos(theta) / slant_km + 1 / _EARTH_RADIUS_KM
    azimuth = np.deg2rad(look_deg)
    rows = -(np.arange(shape[0]) - (shape[0] - 1) / 2)[:, None] * np.cos(azimuth)
    cols = (np.arange(shape[1]) - (shape[1] - 1) / 2)[None, :] * np.sin(azimuth)
    grown = np.rad2deg((rows + cols) * (gsd_m / 1000 * per_km))
    return np.asarray(np.clip(middle_deg + grown, 5.0, 80.0), np.float32)


def _acquired(lon_deg: float, ascending: bool, rng: np.random.Generator) -> datetime:
    """A time of pass of a dawn-dusk orbit in 2024: about 6 h local solar time descending, 18 h ascending."""
    local_s = (18 if ascending else 6) * 3600 + float(rng.normal(0, 600))
    day = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=int(rng.integers(366)))
    return day + timedelta(seconds=round(local_s - lon_deg * 240) % 86400)


def is_complete(folder: Path, scene: str) -> bool:
    """Whether the scene and all that its sidecar names are there."""
    files = (f"{scene}.json", f"{scene}.tif", *truth_names(scene).values())
    return all((folder / name).is_file() for name in files)


def simulate_scene(
    city: City,
    sensor: Sensor,
    shape: tuple[int, int],
    seed: int,
    out_dir: Path,
    index: int = 0,
    incidence_deg: float | None = None,
    preview: bool = False,
    maps: Path | None = None,
) -> Path:
    """Simulate a scene near a city and write it with its truth, unless it is there already.

    Args:
        city: Where the scene lies and whose traits it has.
        sensor: The radar.
        shape: (H, W) in pixels.
        seed: Sets everything random; the same arguments give the same bytes.
        out_dir: Folder to write to.
        index: Which of the city's scenes this is; goes into its id.
        incidence_deg: Incidence angle in the middle; drawn from the sensor's range when None.
        preview: Also write a picture.
        maps: Folder for maps of its ground as a user would have them; none are written without it.

    Returns:
        Path of the scene's GeoTIFF.
    """
    scene = scene_id(city, sensor, index)
    tif, picture = out_dir / f"{scene}.tif", out_dir / f"{scene}.png"
    mapped = maps is None or has_maps(maps, scene)
    if is_complete(out_dir, scene) and mapped and (picture.is_file() or not preview):
        return tif
    (out_dir / "truth").mkdir(parents=True, exist_ok=True)

    rng = np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(scene.encode())]))
    ascending = bool(rng.integers(2))
    acquired = _acquired(city.lon_deg, ascending, rng)
    drawn_deg = float(rng.uniform(*sensor.incidence_range_deg))
    middle_deg = drawn_deg if incidence_deg is None else incidence_deg
    offset_m = rng.uniform(-_MAX_OFFSET_M, _MAX_OFFSET_M, 2)
    world_seed, image_seed = (int(s) for s in rng.integers(0, 2**63, 2))
    side = str(rng.choice(sensor.look_sides))

    epsg = utm_epsg(city.lat_deg, city.lon_deg)
    east, north = Transformer.from_crs(4326, epsg, always_xy=True).transform(city.lon_deg, city.lat_deg)
    gsd = sensor.gsd_m
    left = round((east + offset_m[0] - shape[1] * gsd / 2) / gsd) * gsd
    top = round((north + offset_m[1] + shape[0] * gsd / 2) / gsd) * gsd
    transform = rasterio.Affine(gsd, 0, left, 0, -gsd, top)

    look_deg = _look_azimuth_deg(sensor, city.lat_deg, ascending, side)
    # rows follow the grid's north, which turns away from true north by the meridian's convergence
    convergence = float(Proj(epsg).get_factors(city.lon_deg, city.lat_deg).meridian_convergence)
    grid_look_deg = (look_deg - convergence) % 360
    incidence = _incidence_deg(shape, gsd, middle_deg, grid_look_deg, sensor.altitude_km)

    world = make_world(city, shape, gsd, world_seed)
    image = image_world(world, sensor, incidence, grid_look_deg, image_seed, side)
    calibrated = sensor.bits == 16
    stored = np.stack([_amplitude_dn(image.sigma0[p], calibrated) for p in sensor.polarisations])

    write_truth(out_dir, scene, world, image.offsets_xy_m, epsg, transform)
    # speckle does not compress, so more than the fastest level costs time for nothing
    write_raster(tif, stored, sensor.polarisations, epsg, transform, ZLEVEL=1, PREDICTOR=2)
    if maps is not None:
        write_maps(maps, scene, world, epsg, transform, world_seed)
    if preview:
        write_preview(picture, image.sigma0[sensor.polarisations[0]], world, image.offsets_xy_m)
    radiometry = {"quantity": "amplitude", "convention": "sigma0", "calibration_db": CALIBRATION_DB}
    sidecar = {
        "scene_id": scene,
        "platform": sensor.platform,
        "instrument_mode": sensor.mode,
        "product_type": sensor.product_type,
        "frequency_band": sensor.band,
        "centre_frequency_ghz": sensor.centre_frequency_ghz,
        "polarisations": list(sensor.polarisations),
        "acquired": acquired.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "orbit_state": "ascending" if ascending else "descending",
        "look_side": side,
        "look_azimuth_deg": look_deg,
        "incidence_near_deg": round(float(incidence.min()), 3),
        "incidence_far_deg": round(float(incidence.max()), 3),
        "radiometry": radiometry if calibrated else {"quantity": "amplitude"},
        "simulated": True,
        "place": city.name,
        "truth": truth_names(scene),
    }
    with replacing(out_dir / f"{scene}.json") as temporary:
        temporary.write_text(json.dumps(sidecar, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return tif


def _amplitude_dn(sigma0: NDArray[np.float32], calibrated: bool) -> NDArray[np.uint16] | NDArray[np.uint8]:
    """Amplitude as stored (H, W); 0 is left to no-data.

    Calibrated products hold 16 bit; those of 8 bit are stretched scene by scene and clip the brightest, as products
    made to be looked at do.
    """
    amplitude = np.sqrt(sigma0)
    if calibrated:
        return np.clip(np.round(amplitude * np.float32(DN_PER_AMPLITUDE)), 1, 65535).astype(np.uint16)
    white = np.float32(np.quantile(amplitude[::4, ::4], _WHITE_QUANTILE))
    return np.clip(np.round(amplitude * (np.float32(255) / white)), 1, 255).astype(np.uint8)
