"""Fill in how a scene on a map grid was seen, from where its sensor was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from knowlip.core.geodesy import applied, to_lonlat
from knowlip.core.scene import Scene, crs_of
from knowlip.scenes.geocode import incidence_edges
from knowlip.scenes.orbit import seen_from

GRID_POINTS = 9


def places_of(box: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of 9 x 9 places over a grid, row by row; the middle one is its centre."""
    rows, cols = box.shape
    t = np.linspace(0, 1, GRID_POINTS)
    col, row = (v.ravel() for v in np.meshgrid(t * cols, t * rows))
    return to_lonlat(crs_of(box).to_wkt(), *applied(box.affine, col, row))


def view_of(box: GeoBox, position_m: NDArray[np.float64], height_m: float = 0.0) -> dict[str, Any]:
    """Look azimuth and incidence at the edges of a grid, as fields of `Acquisition`; nothing where it is not visible.

    Args:
        position_m: `(3,)` of the sensor, Earth-fixed.
        height_m: Of the ground.
    """
    lon, lat = places_of(box)
    if not np.isfinite(lon).all():
        return {}
    incidence, azimuth = seen_from(position_m, lon, lat, height_m)
    if not (incidence.min() > 0 and incidence.max() < 90):
        return {}
    look = float(azimuth[len(azimuth) // 2]) % 360
    near, far = incidence_edges(box, look, lon, lat, incidence)
    return {"look_azimuth_deg": look, "incidence_near_deg": near, "incidence_far_deg": far}


def with_view(scene: Scene, fields: dict[str, Any]) -> Scene:
    """A scene whose acquisition has these fields too."""
    known = scene.acquisition
    unknown = {k: v for k, v in known.unknown.items() if k not in fields}
    return replace(scene, acquisition=known.model_copy(update=fields | {"unknown": unknown}))
