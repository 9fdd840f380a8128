"""Small georeferenced radar scenes of made-up ground, written with rasterio."""

import json
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from pyproj import Transformer

S1_PRODUCT = "S1A_IW_GRDH_1SDV_20201107T135241_20201107T135306_035143_041A16_322B"


def ground_power(shape=(300, 420), seed=0, looks=4.4):
    """Linear sigma0 (H, W): sea, fields and a town in patches of 40 pixels, with gamma speckle; between -45 and 20 dB."""
    rng = np.random.default_rng(seed)
    patches = rng.choice([0.01, 0.08, 0.5], (shape[0] // 40 + 1, shape[1] // 40 + 1))
    mean = np.kron(patches, np.ones((40, 40)))[: shape[0], : shape[1]]
    return mean * rng.gamma(looks, 1 / looks, shape)


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
    path, bands, crs="EPSG:32631", at=(3.0, 48.0), gsd=10.0, transform=None, nodata=None, descriptions=(), tags=None, sidecar=None, **profile
):
    """Write a GeoTIFF of (H, W) or (C, H, W) pixels, and `sidecar` as JSON beside it."""
    bands = np.atleast_3d(bands) if bands.ndim == 3 else bands[None]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if transform is None:
        transform = grid_at(*at, crs, gsd, bands.shape[1:])
    options = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype.name}
    with rasterio.open(path, "w", **options, crs=crs, transform=transform, nodata=nodata, **profile) as out:
        out.write(bands)
        if descriptions:
            out.descriptions = descriptions
        if tags:
            out.update_tags(**tags)
    if sidecar is not None:
        path.with_suffix(".json").write_text(json.dumps(sidecar), encoding="utf-8")
    return path


def write_truth(path, landcover, transform, crs):
    """A land-cover truth raster on a scene's grid."""
    return write_scene(path, landcover.astype(np.uint8), crs=crs, transform=transform, nodata=0)
