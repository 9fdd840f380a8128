"""Whether an elevation model counts from where it is said to, told by the heights in a Sentinel-1 product's annotation.

The geolocation grid of a product has a height at each of its points. The processor's own model counts them from sea
level: where the grid lies on the sea it says 0, wherever the geoid may be. So an elevation model above the geoid agrees
with the grid, and one above the ellipsoid differs from it by the geoid's height, alike everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from knowlip.core.errors import SceneError
from knowlip.scenes.heights import Heights
from knowlip.scenes.s1_annotation import Geolocation

FEWEST_POINTS = 8
CLOSE_M, FARTHEST_M = 5.0, 15.0
"""Medians that lie this close are the same; the ground is too rough to tell where their error is larger than that."""
SEA_M = 0.01
"""The processor writes the sea's height as a fraction of a millimetre."""


def refuse_other_datum(heights: Heights, grid: Geolocation, subject: object) -> None:
    """Refuse an elevation model whose heights show that they count from the other datum.

    Nothing is refused where fewer than eight points of the grid lie in the model, or the ground is too rough to tell.

    Raises:
        SceneError: It does.
    """
    above_m = heights.stored_at(grid.lon_deg, grid.lat_deg) - grid.height_m
    seen = np.isfinite(above_m)
    if np.count_nonzero(seen) < FEWEST_POINTS:
        return
    offset_m, error_m = _median_and_error(above_m[seen])
    close_m = max(CLOSE_M, 3 * error_m)
    if close_m > FARTHEST_M:
        return
    known = heights.undulation
    geoid_m = None if known is None else float(np.median(known(grid.lon_deg[seen], grid.lat_deg[seen])))
    from_sea = bool((np.abs(grid.height_m) < SEA_M).any())
    if geoid_m is not None and abs(geoid_m) < 2 * close_m:
        # the two lie too close to each other to tell them apart, or to matter
        return
    found = (
        f"lies {offset_m:.0f} m above the heights of the product's annotation, alike at {np.count_nonzero(seen)} places"
    )
    if heights.datum == "geoid" and geoid_m is not None and abs(offset_m - geoid_m) < close_m:
        reason = (
            f"{found}, as heights above the ellipsoid do (the geoid is at {geoid_m:.0f} m), not those above the geoid"
        )
        raise SceneError(subject, reason, "Give --dem-height ellipsoid")
    if heights.datum == "ellipsoid" and from_sea and abs(offset_m) < close_m:
        remedy = "Give --dem-height geoid"
        if geoid_m is None:
            remedy += "; where the geoid is within some metres of the ellipsoid, say so with --undulation"
        reason = f"{found}, which count from the sea: so do its heights, and not from the ellipsoid"
        raise SceneError(subject, reason, remedy)


def _median_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """The median, and its standard error by the median absolute deviation."""
    median = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - median)))
    return median, 1.2533 * spread / float(np.sqrt(values.size))
