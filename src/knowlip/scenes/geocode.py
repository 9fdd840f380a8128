"""Bring an image in sensor geometry onto a map grid, block by block.

Where each pixel of the grid lies in the image is a smooth function of its position and its height. So it is solved
exactly on nodes 32 pixels apart for the lowest, middle and highest ground of a block, and interpolated: linear between
nodes, quadratic between heights, within a hundredth of a pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.ndimage import map_coordinates

from knowlip.core.errors import SceneError
from knowlip.core.geodesy import along_look, applied, to_lonlat, utm_epsg
from knowlip.core.scene import crs_of
from knowlip.scenes.heights import between, nodes
from knowlip.scenes.strips import part_of

Locator = Callable[
    [NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]
]
"""Image row and column, 0 at the first pixel's middle, of longitude, latitude (degrees) and ellipsoidal height (m)."""

PixelReader = Callable[[int, int, int, int], NDArray[np.float32]]
"""Pixels `(C, h, w)` of a window (row, column, height, width) of the image; NaN where there are none."""

MAX_GRID_PX = 1 << 17
LEVEL_M = 1.0
"""Heights closer than this are one level: a metre moves an image by about one."""
UNCOVERED = "Give the elevation model of the scene's ground"


def image_positions(
    box: GeoBox, height_m: NDArray[np.float64], locate: Locator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Image row and column `(H, W)` of the middle of each pixel of a block.

    Args:
        height_m: `(H, W)` above the ellipsoid.
    """
    rows, cols = box.shape
    low, high = float(height_m.min()), float(height_m.max())
    levels = [(low + high) / 2] if high - low < LEVEL_M else [low, (low + high) / 2, high]
    x, y = applied(box.affine, *np.meshgrid(nodes(cols), nodes(rows)))
    lon, lat = to_lonlat(crs_of(box).to_wkt(), x, y)
    down, across = between(rows), between(cols)
    found = [[down @ v @ across.T for v in locate(lon, lat, np.full(lon.shape, level))] for level in levels]
    if len(levels) == 1:
        return found[0][0], found[0][1]
    # quadratic through three levels, u from -1 to 1
    u = (height_m - levels[1]) / (levels[2] - levels[1])
    weights = (u * (u - 1) / 2, 1 - u * u, u * (u + 1) / 2)
    row, col = (sum(w * f[k] for w, f in zip(weights, found, strict=True)) for k in (0, 1))
    return np.asarray(row), np.asarray(col)


def resampled(
    row: NDArray[np.float64], col: NDArray[np.float64], shape: tuple[int, int], bands: int, read: PixelReader
) -> NDArray[np.float32]:
    """An image's pixels at fractional positions, bilinear; NaN outside and beside absent pixels.

    Args:
        row, col: `(H, W)` image coordinates.
        shape: Rows and columns of the image.

    Returns:
        `(bands, H, W)`.
    """
    out = np.full((bands, *row.shape), np.nan, np.float32)
    inside = (row >= 0) & (row <= shape[0] - 1) & (col >= 0) & (col <= shape[1] - 1)
    if not inside.any():
        return out
    top, left = (int(np.floor(v[inside].min())) for v in (row, col))
    bottom = min(shape[0], int(np.floor(row[inside].max())) + 2)
    right = min(shape[1], int(np.floor(col[inside].max())) + 2)
    pixels = read(top, left, bottom - top, right - left)
    at = [np.where(inside, row - top, -9.0), np.where(inside, col - left, -9.0)]
    for band, target in zip(pixels, out, strict=True):
        map_coordinates(band, at, output=target, order=1, mode="constant", cval=np.nan)
    return out


def map_grid(
    lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64], gsd_m: float, subject: object, crs: str | None = None
) -> GeoBox:
    """The north-up grid around places, in UTM unless another CRS is asked for; its lines are multiples of its pixel.

    Raises:
        SceneError: The places are none, too far apart, or polar without a CRS.
    """
    if not (np.isfinite(lon_deg).all() and np.isfinite(lat_deg).all() and np.abs(lat_deg).max() <= 90):
        raise SceneError(subject, "has a geolocation that is no place on Earth", "Fetch the product again")
    turned = (lon_deg - lon_deg.flat[0] + 180) % 360 - 180 + lon_deg.flat[0]
    middle = (float((turned.mean() + 180) % 360 - 180), float(lat_deg.mean()))
    epsg = None if crs else utm_epsg(*middle)
    if crs is None and epsg is None:
        raise SceneError(subject, "lies at a pole, outside the UTM zones", "Give --crs EPSG:3995 or EPSG:3031")
    name = crs or f"EPSG:{epsg}"
    x, y = _projected(name, lon_deg, lat_deg, subject)
    west, north = np.floor(x.min() / gsd_m) * gsd_m, np.ceil(y.max() / gsd_m) * gsd_m
    across, down = np.ceil((x.max() - west) / gsd_m), np.ceil((north - y.min()) / gsd_m)
    if not (0 < down <= MAX_GRID_PX and 0 < across <= MAX_GRID_PX):
        raise SceneError(subject, f"would cover {across:g} x {down:g} pixels of {gsd_m:g} m", "Check its geolocation")
    return GeoBox((int(down), int(across)), Affine(gsd_m, 0, west, 0, -gsd_m, north), name)


def _projected(crs: str, lon: Any, lat: Any, subject: object) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        target = pyproj.CRS.from_user_input(crs)
        x, y = pyproj.Transformer.from_crs("EPSG:4326", target, always_xy=True).transform(lon, lat)
    except pyproj.exceptions.ProjError as error:
        reason = f"cannot be brought to CRS '{crs}' ({error})"
        raise SceneError(subject, reason, "Use a code such as EPSG:32611") from error
    if not target.is_projected:
        raise SceneError(subject, f"is geocoded in metres, and {crs} counts in degrees", "Give a projected --crs")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise SceneError(subject, f"lies outside the domain of {crs}", "Give another --crs, or none")
    return np.asarray(x), np.asarray(y)


def _to_grid(box: GeoBox, lon: Any, lat: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Column and row of places, infinite outside the grid's projection."""
    crossing = pyproj.Transformer.from_crs("EPSG:4326", crs_of(box).to_wkt(), always_xy=True)
    return applied(~box.affine, *(np.asarray(v) for v in crossing.transform(lon, lat)))


def cropped(box: GeoBox, bounds: tuple[float, float, float, float], subject: object) -> GeoBox:
    """The part of a grid that lies in a box of degrees (west, south, east, north).

    Raises:
        SceneError: None does.
    """
    west, south, east, north = bounds
    t = np.linspace(0, 1, 33)
    lon = np.concatenate([west + t * (east - west)] * 2 + [np.full(33, west), np.full(33, east)])
    lat = np.concatenate([np.full(33, south), np.full(33, north)] + [south + t * (north - south)] * 2)
    col, row = _to_grid(box, lon, np.clip(lat, -89, 89))
    seen = np.isfinite(row) & np.isfinite(col)
    if not seen.any():
        raise SceneError(subject, "does not cover the scene", UNCOVERED)
    rows, cols = box.shape
    top, left = (max(0, int(np.floor(v[seen].min()))) for v in (row, col))
    bottom, right = min(rows, int(np.ceil(row[seen].max()))), min(cols, int(np.ceil(col[seen].max())))
    if bottom <= top or right <= left:
        raise SceneError(subject, "does not cover the scene", UNCOVERED)
    return part_of(box, top, left, bottom - top, right - left)


def incidence_edges(
    box: GeoBox,
    look_azimuth_deg: float,
    lon_deg: NDArray[np.float64],
    lat_deg: NDArray[np.float64],
    incidence_deg: NDArray[np.float64],
) -> tuple[float, float]:
    """Incidence at the near and far edge of a grid, from places `(N,)` in or around it: a line through them.

    `Acquisition` counts both from the grid's own edges along the look direction, not from those of the swath.
    """
    col, row = _to_grid(box, lon_deg, lat_deg)
    share = along_look(box, look_azimuth_deg, row, col)
    near_by = (share > -0.5) & (share < 1.5)
    use = near_by if near_by.sum() >= 4 and np.ptp(share[near_by]) > 0.1 else np.ones(len(share), bool)
    slope, near = np.polyfit(share[use], incidence_deg[use], 1)
    return float(np.clip(near, 0.1, 89.9)), float(np.clip(near + slope, 0.1, 89.9))
