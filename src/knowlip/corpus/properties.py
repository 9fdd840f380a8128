"""The GeoProperties of a scene's tiles, made together: one call to PROJ, one CRS text, one set of reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj.enums import WktVersion

from knowlip.core.errors import SceneError
from knowlip.core.geodesy import applied
from knowlip.core.geoproperties import GeoProperties
from knowlip.corpus.geometry import locate_tiles
from knowlip.corpus.grids import TileGrid
from knowlip.corpus.measure import incidence_at
from knowlip.corpus.records import PENDING, TileRecord
from knowlip.scenes.chips import NO_PLACE

_FROM_ACQUISITION = (
    "acquired",
    "platform",
    "instrument_mode",
    "product_type",
    "frequency_band",
    "centre_frequency_ghz",
    "polarisations",
    "orbit_state",
    "look_side",
    "look_azimuth_deg",
)
_PLACED = ("footprint_wkt", "bbox", "lon_deg", "lat_deg", "gsd_x_m", "gsd_y_m", "utm_zone", "mgrs_square")
_UNTOLD = "the scene's metadata do not tell"


@dataclass(frozen=True)
class CutTile:
    """A tile that was written.

    Attributes:
        index: Which of its grid's corners it has.
        sha256: Of its file.
    """

    index: int
    tile_id: str
    sha256: str
    valid_share: float
    equivalent_looks: float | None
    has_landcover: bool


def tile_records(grid: TileGrid, cut: list[CutTile]) -> list[TileRecord]:
    """Records of the tiles of one grid, in their order.

    Raises:
        SceneError: A tile lies outside the domain of its projection.
    """
    return records_of(grid, grid.corners[[t.index for t in cut]], (grid.size, grid.size), cut)


def records_of(
    grid: TileGrid, first: NDArray[np.int64], shape: tuple[int, int], cut: list[CutTile]
) -> list[TileRecord]:
    """Records of windows of a grid.

    Args:
        first: `(N, 2)` first row and column of each.
        shape: Rows and columns of all.

    Raises:
        SceneError: One lies outside the domain of its projection.
    """
    corners = first.reshape(-1, 2).astype(float)
    located = _located(grid, corners, shape)
    incidence = incidence_at(grid.scene, *grid.in_scene(*(corners + np.array(shape) / 2).T))
    common = _common(grid, shape)
    a = grid.box.affine
    bounds = _bounds(grid, corners, shape)
    records = []
    for i, (tile, at) in enumerate(zip(cut, located, strict=True)):
        row, col = (int(v) for v in first[i])
        c, f = a.a * col + a.b * row + a.c, a.d * col + a.e * row + a.f
        unknown = dict(common["unknown"])
        if tile.equivalent_looks is None:
            unknown["equivalent_looks"] = "too few valid uniform blocks to measure"
        if grid.box.crs is not None and at["utm_zone"] is None:
            unknown["utm_zone"] = "polar, outside the UTM zones"
        own = {
            "transform": (a.a, a.b, c, a.d, a.e, f),
            "bounds": bounds[i],
            **at,
            "incidence_deg": None if incidence is None else float(incidence[i]),
            "valid_share": tile.valid_share,
            "equivalent_looks": tile.equivalent_looks,
            "sha256": tile.sha256,
            "unknown": unknown,
        }
        records.append(
            TileRecord(
                tile_id=tile.tile_id,
                scene_id=grid.scene.scene_id,
                row=row,
                col=col,
                properties=GeoProperties.model_validate(common | own),
                has_landcover=tile.has_landcover,
                bands=len(grid.scene.polarisations),
                dtype=grid.dtype,
                nodata=grid.nodata,
            )
        )
    return records


def _located(grid: TileGrid, corners: NDArray[np.float64], shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Where tiles lie, as fields of `GeoProperties`; all null for a chip, which has no place."""
    if grid.box.crs is None:
        return [dict.fromkeys(_PLACED)] * len(corners)
    try:
        found = locate_tiles(grid.box, corners, shape)
    except ValueError as error:
        raise SceneError(grid.scene.path, str(error), "Check its CRS and affine") from error
    outlines = shapely.to_wkt([at.footprint for at in found], rounding_precision=-1, trim=True)
    return [
        {"footprint_wkt": wkt} | {n: getattr(at, n) for n in _PLACED[1:]}
        for wkt, at in zip(outlines.tolist(), found, strict=True)
    ]


def _bounds(grid: TileGrid, corners: NDArray[np.float64], shape: tuple[int, int]) -> list[list[float]]:
    """Left, bottom, right and top of each tile in units of the CRS."""
    rows, cols = shape
    x, y = applied(grid.box.affine, corners[:, 1:] + [0, cols, 0, cols], corners[:, :1] + [0, 0, rows, rows])
    return np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], axis=1).tolist()


def _common(grid: TileGrid, shape: tuple[int, int]) -> dict[str, Any]:
    """What all tiles of a grid share."""
    acquisition, radiometry = grid.scene.acquisition, grid.scene.radiometry
    unknown = {f: acquisition.unknown.get(f, _UNTOLD) for f in _FROM_ACQUISITION if getattr(acquisition, f) is None}
    unknown |= dict.fromkeys(("country", "admin1", "nearest_city", "nearest_city_km", "split"), PENDING)
    if grid.box.crs is None:
        unknown |= dict.fromkeys(
            (*_PLACED, "crs_wkt2", "country", "admin1", "nearest_city", "nearest_city_km", "split"), NO_PLACE
        )
    if incidence_at(grid.scene, 0.0, 0.0) is None:
        unknown["incidence_deg"] = acquisition.unknown.get("incidence_near_deg", _UNTOLD)
    if authority_of(grid.box) is None:
        custom = "a custom CRS without an authority code; see crs_wkt2"
        unknown["crs"] = custom if grid.box.crs is not None else NO_PLACE
    return {
        "crs": authority_of(grid.box),
        "crs_wkt2": wkt2_of(grid.box),
        "shape": shape,
        **{f: getattr(acquisition, f) for f in _FROM_ACQUISITION},
        "radiometry": f"{radiometry.convention} {radiometry.quantity}",
        "unit": radiometry.unit,
        "country": None,
        "admin1": None,
        "nearest_city": None,
        "nearest_city_km": None,
        "split": None,
        "unknown": unknown,
    }


def authority_of(box: GeoBox) -> str | None:
    """The authority code of a grid's CRS, None where it has none."""
    epsg = box.crs.epsg if box.crs is not None else None
    return f"EPSG:{epsg}" if epsg else None


def wkt2_of(box: GeoBox) -> str | None:
    """A grid's CRS as WKT2:2019, None where it has none."""
    return box.crs.to_wkt(version=WktVersion.WKT2_2019) if box.crs is not None else None
