"""Where a tile lies: footprint, true ground sample distance, UTM and MGRS, from a grid's affine and CRS.

Sources: PROJ (through pyproj) for coordinates and geodesics; GEOTRANS (through mgrs) for grid letters; RFC 7946 section
3.1.9 for footprints that cross the antimeridian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
import shapely.affinity
from mgrs import MGRS
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from knowlip.core.geodesy import GEOD, applied, to_lonlat, utm_zone
from knowlip.core.scene import crs_of

EDGE_POINTS = 9
"""Points along each edge of a footprint; a tile's edge is straight in its own CRS but not in longitude and latitude."""


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


def locate(geobox: GeoBox) -> Located:
    """Place a tile on the Earth.

    Raises:
        ValueError: The tile lies outside the domain of its projection.
    """
    rows, cols = geobox.shape
    return locate_tiles(geobox, np.zeros((1, 2)), (rows, cols))[0]


def locate_tiles(geobox: GeoBox, corners: NDArray[np.float64], shape: tuple[int, int]) -> list[Located]:
    """Place the tiles of a grid on the Earth, with one call to PROJ for all.

    Args:
        corners: `(N, 2)` first row and column of each tile, pixels.
        shape: Rows and columns of a tile.

    Raises:
        ValueError: A tile lies outside the domain of its projection.
    """
    rows, cols = shape
    t = np.linspace(0, 1, EDGE_POINTS)[:-1]
    ring_col = np.concatenate([t, np.ones_like(t), 1 - t, np.zeros_like(t)]) * cols
    ring_row = np.concatenate([np.zeros_like(t), t, np.ones_like(t), 1 - t]) * rows
    at_col = np.concatenate([ring_col, [cols / 2, cols / 2 - 0.5, cols / 2 + 0.5, cols / 2, cols / 2]])
    at_row = np.concatenate([ring_row, [rows / 2, rows / 2, rows / 2, rows / 2 - 0.5, rows / 2 + 0.5]])
    row, col = corners[:, :1] + at_row, corners[:, 1:] + at_col
    lon, lat = to_lonlat(crs_of(geobox).to_wkt(), *applied(geobox.affine, col, row))
    if not (np.isfinite(lon).all() and (np.abs(lat) <= 90).all()):
        raise ValueError("lies outside the domain of its projection")
    gsd_x = np.abs(GEOD.inv(lon[:, -4], lat[:, -4], lon[:, -3], lat[:, -3])[2])
    gsd_y = np.abs(GEOD.inv(lon[:, -2], lat[:, -2], lon[:, -1], lat[:, -1])[2])
    ring_lon, ring_lat, centre_lon, centre_lat = lon[:, :-5], lat[:, :-5], lon[:, -5], lat[:, -5]
    # counterclockwise, RFC 7946 section 3.1.6
    plain = shapely.orient_polygons(shapely.polygons(np.stack([ring_lon, ring_lat], axis=-1)))
    bounds = shapely.bounds(plain)
    jumps = np.abs(np.diff(ring_lon, axis=1, append=ring_lon[:, :1])).max(axis=1) > 180
    letters = MGRS()
    result = []
    for i in range(len(corners)):
        if jumps[i]:
            footprint, bbox = _footprint(ring_lon[i], ring_lat[i])
        else:
            footprint, bbox = plain[i], (bounds[i, 0], bounds[i, 1], bounds[i, 2], bounds[i, 3])
        square = letters.toMGRS(float(centre_lat[i]), float(centre_lon[i]), MGRSPrecision=0)
        result.append(
            Located(
                footprint=footprint,
                bbox=(float(bbox[0]), float(bbox[1]), float(bbox[2]), float(bbox[3])),
                lon_deg=float(centre_lon[i]),
                lat_deg=float(centre_lat[i]),
                gsd_x_m=float(gsd_x[i]),
                gsd_y_m=float(gsd_y[i]),
                utm_zone=utm_zone(square, float(centre_lat[i])),
                mgrs_square=square,
            )
        )
    return result


def _footprint(
    lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> tuple[BaseGeometry, tuple[float, float, float, float]]:
    """The outline of a tile whose ring steps across the antimeridian, and its bbox."""
    unwrapped = np.unwrap(lon, period=360)
    ring = np.column_stack([unwrapped, lat])
    around_pole = abs(unwrapped[-1] - unwrapped[0]) > 180
    if around_pole:
        pole, turn = np.copysign(90.0, lat.mean()), np.copysign(360.0, unwrapped[-1] - unwrapped[0])
        ring = np.vstack([ring, [unwrapped[0] + turn, lat[0]], [unwrapped[0] + turn, pole], [unwrapped[0], pole]])
    polygon = shapely.Polygon(ring)
    west, south, east, north = (float(v) for v in polygon.bounds)
    if west >= -180 and east <= 180:
        return shapely.orient_polygons(polygon), (west, south, east, north)
    pieces = [
        shapely.affinity.translate(polygon.intersection(shapely.box(-180 + k, -90, 180 + k, 90)), -k)
        for k in (-360.0, 0.0, 360.0)
    ]
    halves = shapely.orient_polygons(
        shapely.union_all([p for p in pieces if p.geom_type == "Polygon" and not p.is_empty])
    )
    if around_pole:
        return halves, (-180.0, south, 180.0, north)
    return halves, ((west + 180) % 360 - 180, south, (east + 180) % 360 - 180, north)
