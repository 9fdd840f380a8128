"""Elevation, relief and slope of a tile from an elevation model.

Slope is that of Horn 1981, "Hill shading and the reflectance map", Proceedings of the IEEE 69(1): differences over the
eight neighbours, the nearer ones with twice the weight. It is taken on a grid of the tile's orientation with the
coarser of the model's and the tile's pixels, as interpolation between a model's points makes facets and no slopes.

Relief is the difference in height over 6 x 6 miles around the tile's middle, and a slope of up to 8 % is gentle, after
Hammond 1964, "Analysis of properties in land form geography", Annals of the AAG 54(1); a slope over 30 % is steep after
FAO 2006, "Guidelines for soil description", table 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy import ndimage

from knowlip.core.geodesy import ground_steps_m
from knowlip.core.scene import crs_of
from knowlip.core.statements import Fact
from knowlip.knowledge.source import Answer, Footprint, Ground, fact, file_version, ground_of
from knowlip.scenes.heights import Elevations, datum_of

RELIEF_WINDOW_M = 6 * 1609.344
_RELIEF_STEP_M = 30.0
_NARROW_M = 90.0
GENTLE, STEEP = 0.08, 0.30
"""Slopes as rise over run."""
_COUNTED_FROM = {
    "geoid": "above the geoid",
    "ellipsoid": "above the ellipsoid",
    None: "the model does not say from what",
}


def horn_slope_deg(height_m: NDArray[np.float64], steps_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope of a grid's inner pixels.

    Args:
        height_m: `(H, W)`, NaN where there is none.
        steps_m: East and north metres of a column step and a row step, as `core.geodesy.ground_steps_m` gives them.

    Returns:
        `(H - 2, W - 2)` degrees, NaN beside what has no height.
    """
    z = height_m
    along_cols = (z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]) - (z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2])
    along_rows = (z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]) - (z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:])
    # the rise along both steps gives the gradient east and north
    inverse = np.linalg.inv(steps_m)
    east = (inverse[0, 0] * along_cols + inverse[0, 1] * along_rows) / 8
    north = (inverse[1, 0] * along_cols + inverse[1, 1] * along_rows) / 8
    return np.degrees(np.arctan(np.hypot(east, north)))


def relief_m(height_m: NDArray[np.float64]) -> float:
    """Highest less lowest ground of heights on `_RELIEF_STEP_M`, NaN where there is none.

    Models of surfaces stand on roofs and masts. A morphological opening takes off what is narrower than a hill.
    """
    known = np.isfinite(height_m)
    opened = ndimage.grey_opening(np.where(known, height_m, np.inf), round(_NARROW_M / _RELIEF_STEP_M))
    seen = opened[known & np.isfinite(opened)]
    return float(np.ptp(seen)) if seen.size else 0.0


@dataclass(frozen=True)
class Elevation:
    """A DEM: a raster, a VRT, or a folder of GeoTIFFs. Make one with `elevation`."""

    path: Path
    version: str
    licence: str
    ground: Ground
    name: str = "elevation"
    at_once: bool = False

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """`elevation.mean_m`, `elevation.range_m`, `elevation.relief_m`, and mean, gentle and steep share of slope."""
        with ExitStack() as stack:
            model = Elevations(self.path, stack)
            finest_m = min(_step_m(dataset) for dataset, _ in model.sets)
            datum = datum_of(*model.sets[0])
            return [self._answer(model, f.geobox, finest_m, _COUNTED_FROM[datum]) for f in footprints]

    def _answer(self, model: Elevations, tile: GeoBox, finest_m: float, counted: str) -> Answer:
        gsd_m = float(np.linalg.norm(ground_steps_m(tile), axis=1).mean())
        coarser = max(1.0, finest_m / gsd_m)
        grid = _grid(tile, max(3, round(tile.shape[0] / coarser)), max(3, round(tile.shape[1] / coarser)))
        height = model.block(grid.pad(1))
        inside = height[1:-1, 1:-1]
        here = np.isfinite(inside)
        if not here.any():
            return Answer(missing=("the elevation model has no heights here",))
        facts = [
            self._fact("elevation.mean_m", round(float(inside[here].mean()), 1), "m", counted),
            self._fact("elevation.range_m", round(float(np.ptp(inside[here])), 1), "m", "highest less lowest"),
        ]
        reasons = (
            [] if here.mean() > 0.99 else [f"the elevation model has heights for only {here.mean():.0%} of the tile"]
        )
        slope = horn_slope_deg(height, ground_steps_m(grid))
        if (known := slope[np.isfinite(slope)]).size:
            rise = np.tan(np.radians(known))
            at = f"Horn's slope at {max(gsd_m, finest_m):.0f} m"
            facts += [
                self._fact("slope.mean_deg", round(float(known.mean()), 2), "deg", at),
                self._fact("slope.gentle_share", round(float((rise <= GENTLE).mean()), 3), None, "up to 8 %"),
                self._fact("slope.steep_share", round(float((rise > STEEP).mean()), 3), None, "over 30 %"),
            ]
        around = model.block(_window(tile, RELIEF_WINDOW_M, max(finest_m, _RELIEF_STEP_M)))
        if np.isfinite(around).mean() > 0.5:
            why = "highest less lowest ground over 6 x 6 miles around the tile's middle"
            facts.append(self._fact("elevation.relief_m", round(relief_m(around), 1), "m", why))
        else:
            reasons.append("the elevation model ends too near for the relief over 6 x 6 miles")
        return Answer(tuple(facts), missing=tuple(reasons))

    def _fact(self, name: str, value: float, unit: str | None, why: str) -> Fact:
        return fact(self, name, value, 0.9, unit, why)


def elevation(path: Path) -> Elevation:
    """The elevation model at a path.

    Raises:
        SceneError: Not one.
    """
    with ExitStack() as stack:
        parts = {Path(f) for dataset, file in Elevations(path, stack).sets for f in [file, *dataset.files]}
    copernicus = any("Copernicus_DSM" in part.name for part in parts)
    licence = "Copernicus DEM licence, free with attribution" if copernicus else "as its publisher says"
    return Elevation(path, file_version(path, sorted(parts)), licence, ground_of(path))


def _step_m(dataset: Any) -> float:
    """Metres of a raster's row step at its middle."""
    steps = ground_steps_m(GeoBox(dataset.shape, dataset.transform, dataset.crs))
    return float(np.linalg.norm(steps[1]))


def _grid(tile: GeoBox, rows: int, cols: int) -> GeoBox:
    """A tile's extent in other pixels."""
    scale = Affine.scale(tile.shape[1] / cols, tile.shape[0] / rows)
    return GeoBox((rows, cols), tile.affine * scale, crs_of(tile))


def _window(tile: GeoBox, side_m: float, step_m: float) -> GeoBox:
    """A square around a tile's middle, of the tile's orientation."""
    size = round(side_m / step_m)
    col_m, row_m = np.linalg.norm(ground_steps_m(tile), axis=1)
    middle = tile.affine * Affine.translation(tile.shape[1] / 2, tile.shape[0] / 2)
    return GeoBox(
        (size, size),
        middle * Affine.scale(step_m / col_m, step_m / row_m) * Affine.translation(-size / 2, -size / 2),
        crs_of(tile),
    )
