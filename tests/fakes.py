"""Small georeferenced radar scenes of made-up ground, written with rasterio."""

import json
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from pyproj import Transformer

S1_PRODUCT = "S1A_IW_GRDH_1SDV_20201107T135241_20201107T135306_035143_041A16_322B"

SIDECAR = {
    "platform": "gaofen-3",
    "instrument_mode": "FSII",
    "product_type": "L2",
    "acquired": "2024-05-06T07:08:09Z",
    "frequency_band": "C",
    "centre_frequency_ghz": 5.4,
    "orbit_state": "ascending",
    "absolute_orbit": 40000,
    "relative_orbit": 12,
    "look_side": "right",
    "look_azimuth_deg": 79.5,
    "incidence_near_deg": 30.0,
    "incidence_far_deg": 32.0,
    "product_name": "GF3-1",
}
"""Everything that a sidecar can say of an acquisition, apart from its polarisations."""


def ground_power(shape=(300, 420), seed=0, looks=4.4):
    """Linear sigma0 (H, W) from -40 to 15 dB: sea, fields and town in patches of 40 pixels, with gamma speckle."""
    rng = np.random.default_rng(seed)
    patches = rng.choice([0.01, 0.08, 0.5], (shape[0] // 40 + 1, shape[1] // 40 + 1))
    mean = np.kron(patches, np.ones((40, 40)))[: shape[0], : shape[1]]
    return np.clip(mean * rng.gamma(looks, 1 / looks, shape), 1e-4, 30)


def as_power(power):
    return power.astype(np.float32)


def as_db(power):
    return (10 * np.log10(power)).astype(np.float32)


def as_amplitude(power, calibration_db, dtype=np.uint16):
    """Calibrated integer amplitude: 20 log10(DN) + calibration_db is sigma0 in dB."""
    amplitude = np.sqrt(power) * 10 ** (-calibration_db / 20)
    return np.clip(np.round(amplitude), 1, np.iinfo(dtype).max).astype(dtype)


def grid_at(lon_deg, lat_deg, crs, gsd, shape):
    """North-up affine of a grid whose middle is at a longitude and latitude; `gsd` is in units of the CRS."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon_deg, lat_deg)
    return Affine(gsd, 0, x - shape[1] / 2 * gsd, 0, -gsd, y + shape[0] / 2 * gsd)


def write_scene(
    path,
    bands,
    crs="EPSG:32631",
    at=(3.0, 48.0),
    gsd=10.0,
    transform=None,
    descriptions=(),
    tags=None,
    sidecar=None,
    **profile,
):
    """Write a GeoTIFF of (H, W) or (C, H, W) pixels, and `sidecar` as JSON beside it."""
    bands = bands if bands.ndim == 3 else bands[None]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if transform is None:
        transform = grid_at(*at, crs or "EPSG:32631", gsd, bands.shape[1:])
    count, height, width = bands.shape
    grid = {"count": count, "height": height, "width": width, "crs": crs, "transform": transform}
    with rasterio.open(path, "w", driver="GTiff", dtype=bands.dtype.name, **grid, **profile) as out:
        out.write(bands)
        if descriptions:
            out.descriptions = descriptions
        if tags:
            out.update_tags(**tags)
    if sidecar is not None:
        path.with_suffix(".json").write_text(json.dumps(sidecar), encoding="utf-8")
    return path


def write_photograph(path):
    """A three-band picture with a georeference."""
    pixels = np.random.default_rng(0).integers(0, 255, (3, 300, 300)).astype(np.uint8)
    return write_scene(path, pixels, photometric="RGB")


def truncated(path, share=0.5):
    """Cut a file off."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def files_of(folder):
    """Content of every file below a folder, hidden ones too, by relative name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}
