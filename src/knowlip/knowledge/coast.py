"""Land or sea, exactly: the GSHHG full-resolution coastline (LGPL) through `roaring-landmask`.

Loading takes about 8 s and 1.5 GB, so the question is put once for all points, in a process that ends afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from knowlip.core.geodesy import applied, to_lonlat
from knowlip.core.parallel import in_own_process
from knowlip.core.scene import crs_of
from knowlip.knowledge.source import Answer, Footprint, Ground, fact

LICENCE = "LGPL-3.0, GSHHG"
SEA_GRID = 8
"""Points along each side of a tile that are asked about."""


def source() -> str:
    """Name and version of the data."""
    return f"GSHHG coastline (roaring-landmask {version('roaring-landmask')})"


def _ask(lon_lat_deg: tuple[NDArray[np.float64], NDArray[np.float64]]) -> NDArray[np.bool_]:
    from roaring_landmask import RoaringLandmask

    land: NDArray[np.bool_] = RoaringLandmask.new().contains_many(*lon_lat_deg)
    return land


def on_land(lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points lie on land (lakes and rivers count as land: the coastline knows only the sea).

    Args:
        lon_deg: Longitudes of any shape, degrees.
        lat_deg: Latitudes of the same shape.

    Returns:
        bool of the same shape.
    """
    flat = np.ascontiguousarray(lon_deg, float).ravel(), np.ascontiguousarray(lat_deg, float).ravel()
    return in_own_process(_ask, flat).reshape(np.shape(lon_deg))


@dataclass(frozen=True)
class Coast:
    """Where in a tile the sea is."""

    name: str = "coast"
    version: str = source()
    licence: str = LICENCE
    ground: Ground = "real"
    at_once: bool = True

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """`coast.sea_share`, and the grid `sea` `(SEA_GRID, SEA_GRID)` bool."""
        points = [_grid_points(f) for f in footprints]
        sea = ~on_land(np.stack([lon for lon, _ in points]), np.stack([lat for _, lat in points]))
        why = f"share of {SEA_GRID} x {SEA_GRID} points that the coastline puts in the sea"
        return [
            Answer((fact(self, "coast.sea_share", round(float(g.mean()), 3), 0.95, None, why),), {"sea": g})
            for g in sea
        ]


def _grid_points(footprint: Footprint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes `(SEA_GRID, SEA_GRID)` of a regular grid over a tile."""
    share = (np.arange(SEA_GRID) + 0.5) / SEA_GRID
    box = footprint.geobox
    col, row = np.meshgrid(share * box.shape[1], share * box.shape[0])
    return to_lonlat(crs_of(box).to_wkt(), *applied(box.affine, col, row))
