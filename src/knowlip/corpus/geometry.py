"""Where a tile lies: footprint, true ground sample distance, UTM and MGRS, from a grid's affine and CRS.

Sources: PROJ (through pyproj) for coordinates and geodesics; GEOTRANS (through mgrs) for grid letters; RFC 7946 section
3.1.9 for footprints that cross the antimeridian.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
import shapely
import shapely.affinity
from mgrs import MGRS
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from knowlip.core.scene import crs_of

EDGE_POINTS = 9
"""Points along each edge of a footprint; a tile's edge is straight in its own CRS but not in longitude and latitude."""

_GEOD = pyproj.Geod(ellps="WGS84")


@dataclass(frozen=True)
class Located:
    """A tile's position on the Earth.

    Attributes:
        footprint: WGS 84 polygon, or multipolygon across the antimeridian.
        bbox: `(west, south, east, north)` degrees, west > east across the antimeridian.
        gsd_x_m: Geodesic length of one column step at the centre, metres.
        gsd_y_m: The same along rows.
    """

    footprint: BaseGeometry
    bbox: tuple[float, float, float, float]
    lon_deg: float
    lat_deg: float
    gsd_x_m: float
    gsd_y_m: float
    utm_zone: str | None
    mgrs_square: str


@lru_cache(maxsize=64)
def _to_wgs84(crs_wkt: str) -> Any:
    return pyproj.Transformer.from_crs(pyproj.CRS.from_wkt(crs_wkt), "EPSG:4326", always_xy=True)


def to_lonlat(
    crs_wkt: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """CRS coordinates of any shape as WGS 84 longitude and latitude, infinite where the projection has no inverse."""
    lon, lat = _to_wgs84(crs_wkt).transform(x, y)
    return (np.asarray(lon) + 180) % 360 - 180, np.asarray(lat)


def locate(geobox: GeoBox) -> Located:
    """Place a tile on the Earth.

    Raises:
        ValueError: The tile lies outside the domain of its projection.
    """
    rows, cols = geobox.shape
    t = np.linspace(0, 1, EDGE_POINTS)[:-1]
    ring_col = np.concatenate([t, np.ones_like(t), 1 - t, np.zeros_like(t)]) * cols
    ring_row = np.concatenate([np.zeros_like(t), t, np.ones_like(t), 1 - t]) * rows
    col = np.concatenate([ring_col, [cols / 2, cols / 2 - 0.5, cols / 2 + 0.5, cols / 2, cols / 2]])
    row = np.concatenate([ring_row, [rows / 2, rows / 2, rows / 2, rows / 2 - 0.5, rows / 2 + 0.5]])
    a = geobox.affine
    lon, lat = to_lonlat(crs_of(geobox).to_wkt(), a.a * col + a.b * row + a.c, a.d * col + a.e * row + a.f)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise ValueError("lies outside the domain of its projection")
    ring_lon, ring_lat = lon[: ring_col.size], lat[: ring_col.size]
    (lon0, x0, x1, y0, y1), (lat0, u0, u1, v0, v1) = lon[-5:], lat[-5:]
    gsd_x, gsd_y = (abs(_GEOD.inv(a0, b0, a1, b1)[2]) for a0, b0, a1, b1 in ((x0, u0, x1, u1), (y0, v0, y1, v1)))
    footprint, bbox = _footprint(ring_lon, ring_lat)
    square = MGRS().toMGRS(float(lat0), float(lon0), MGRSPrecision=0)
    return Located(
        footprint=footprint,
        bbox=bbox,
        lon_deg=float(lon0),
        lat_deg=float(lat0),
        gsd_x_m=float(gsd_x),
        gsd_y_m=float(gsd_y),
        utm_zone=_utm_zone(square, float(lat0)),
        mgrs_square=square,
    )


def _utm_zone(mgrs_square: str, lat_deg: float) -> str | None:
    digits = "".join(c for c in mgrs_square if c.isdigit())
    return f"{int(digits)}{'N' if lat_deg >= 0 else 'S'}" if digits else None


def _footprint(
    lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> tuple[BaseGeometry, tuple[float, float, float, float]]:
    unwrapped = np.degrees(np.unwrap(np.radians(lon)))
    polygon = shapely.Polygon(np.column_stack([unwrapped, lat]))
    west, east = float(unwrapped.min()), float(unwrapped.max())
    if west >= -180 and east <= 180:
        return polygon, (west, float(lat.min()), east, float(lat.max()))
    pieces = [
        shapely.affinity.translate(polygon.intersection(shapely.box(-180 + k, -90, 180 + k, 90)), -k)
        for k in (-360.0, 0.0, 360.0)
    ]
    halves = shapely.MultiPolygon([p for p in pieces if p.geom_type == "Polygon" and not p.is_empty])
    return halves, ((west + 180) % 360 - 180, float(lat.min()), (east + 180) % 360 - 180, float(lat.max()))
