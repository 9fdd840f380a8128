"""Land or sea, exactly: the GSHHG full-resolution coastline (LGPL) through `roaring-landmask`.

Loading takes about 8 s and 1.5 GB, so the question is put once for all points, in a process that ends afterwards.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from knowlip.core.parallel import in_own_process

LICENCE = "LGPL-3.0, GSHHG"


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
