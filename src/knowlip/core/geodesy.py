"""Coordinates on the Earth: a grid's positions in longitude and latitude, its steps in metres, its UTM zone.

Sources: PROJ (through pyproj) for coordinates and geodesics; GEOTRANS (through mgrs) for zones.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
from affine import Affine
from mgrs import MGRS
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from knowlip.core.scene import crs_of

GEOD = pyproj.Geod(ellps="WGS84")


@lru_cache(maxsize=64)
def _to_wgs84(crs_wkt: str) -> Any:
    return pyproj.Transformer.from_crs(pyproj.CRS.from_wkt(crs_wkt), "EPSG:4326", always_xy=True)


def to_lonlat(
    crs_wkt: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """CRS coordinates of any shape as WGS 84 longitude and latitude, infinite where the projection has no inverse."""
    lon, lat = _to_wgs84(crs_wkt).transform(x, y)
    with np.errstate(invalid="ignore"):
        return (np.asarray(lon) + 180) % 360 - 180, np.asarray(lat)


def applied(
    a: Affine, col: NDArray[np.float64], row: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An affine applied to coordinates of any shape: pixel coordinates to CRS units, or back with its inverse."""
    return a.a * col + a.b * row + a.c, a.d * col + a.e * row + a.f


def ground_steps_m(geobox: GeoBox) -> NDArray[np.float64]:
    """East and north metres of one column step and one row step at a grid's middle, `[[east, north], [east, north]]`.

    Rows of a grid follow its own north, which differs from true north by the meridians' convergence.
    """
    rows, cols = geobox.shape
    col = cols / 2 + np.array([-0.5, 0.5, 0, 0])
    row = rows / 2 + np.array([0, 0, -0.5, 0.5])
    lon, lat = to_lonlat(crs_of(geobox).to_wkt(), *applied(geobox.affine, col, row))
    azimuth, _, metres = GEOD.inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
    return np.stack([metres * np.sin(np.radians(azimuth)), metres * np.cos(np.radians(azimuth))], axis=1)


def along_look(geobox: GeoBox, look_azimuth_deg: float, row: Any, col: Any) -> Any:
    """How far pixel coordinates lie along the look direction, as a share of the grid's extent in it, 0 to 1.

    Args:
        row, col: Pixel coordinates, of any one shape; what lies outside the grid gives shares outside 0 to 1.
    """
    azimuth = np.radians(look_azimuth_deg)
    step_col, step_row = ground_steps_m(geobox) @ (np.sin(azimuth), np.cos(azimuth))
    rows, cols = geobox.shape
    along = [c * step_col + r * step_row for r in (0, rows) for c in (0, cols)]
    return (np.asarray(col) * step_col + np.asarray(row) * step_row - min(along)) / (max(along) - min(along))


def utm_zone(mgrs_square: str, lat_deg: float) -> str | None:
    """The UTM zone of a place in an MGRS square, such as `11N`; None at the poles."""
    digits = "".join(c for c in mgrs_square if c.isdigit())
    return f"{int(digits)}{'N' if lat_deg >= 0 else 'S'}" if digits else None


def utm_epsg(lon_deg: float, lat_deg: float) -> int | None:
    """EPSG code of the UTM zone of a place, with the zones of Norway and Svalbard; None at the poles."""
    zone = utm_zone(MGRS().toMGRS(lat_deg, lon_deg, MGRSPrecision=0), lat_deg)
    return None if zone is None else (32600 if zone.endswith("N") else 32700) + int(zone[:-1])
