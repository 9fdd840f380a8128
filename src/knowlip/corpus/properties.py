"""The GeoProperties of a scene's tiles, made together: one call to PROJ, one CRS text, one set of reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj.enums import WktVersion

from knowlip.core.errors import SceneError
from knowlip.core.geoproperties import GeoProperties
from knowlip.core.scene import crs_of
from knowlip.corpus.geometry import applied, locate_tiles
from knowlip.corpus.grids import TileGrid
from knowlip.corpus.measure import incidence_at
from knowlip.corpus.records import PENDING, TileRecord

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
    corners = grid.corners[[t.index for t in cut]].reshape(-1, 2).astype(float)
    try:
        located = locate_tiles(grid.box, corners, (grid.size, grid.size))
    except ValueError as error:
        raise SceneError(grid.scene.path, str(error), "Check its CRS and affine") from error
    incidence = incidence_at(grid.scene, *grid.in_scene(*(corners + grid.size / 2).T))
    common = _common(grid)
    a = grid.box.affine
    records = []
    for i, (tile, at) in enumerate(zip(cut, located, strict=True)):
        row, col = (int(v) for v in grid.corners[tile.index])
        c, f = a @ (col, row)
        unknown = dict(common["unknown"])
        if tile.equivalent_looks is None:
            unknown["equivalent_looks"] = "too few valid uniform blocks to measure"
        if at.utm_zone is None:
            unknown["utm_zone"] = "polar, outside the UTM zones"
        own = {
            "transform": (a.a, a.b, c, a.d, a.e, f),
            "bounds": _bounds(grid, row, col),
            "footprint_wkt": at.footprint.wkt,
            "bbox": at.bbox,
            "lon_deg": at.lon_deg,
            "lat_deg": at.lat_deg,
            "gsd_x_m": at.gsd_x_m,
            "gsd_y_m": at.gsd_y_m,
            "utm_zone": at.utm_zone,
            "mgrs_square": at.mgrs_square,
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


def _bounds(grid: TileGrid, row: int, col: int) -> tuple[float, float, float, float]:
    across, down = np.array([0, 0, grid.size, grid.size]) + col, np.array([0, grid.size, 0, grid.size]) + row
    x, y = applied(grid.box.affine, across.astype(float), down.astype(float))
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _common(grid: TileGrid) -> dict[str, Any]:
    """What all tiles of a grid share."""
    acquisition, radiometry = grid.scene.acquisition, grid.scene.radiometry
    unknown = {f: acquisition.unknown.get(f, _UNTOLD) for f in _FROM_ACQUISITION if getattr(acquisition, f) is None}
    unknown |= dict.fromkeys(("country", "admin1", "nearest_city", "nearest_city_km", "split"), PENDING)
    if incidence_at(grid.scene, 0.0, 0.0) is None:
        unknown["incidence_deg"] = acquisition.unknown.get("incidence_near_deg", _UNTOLD)
    if authority_of(grid.box) is None:
        unknown["crs"] = "a custom CRS without an authority code; see crs_wkt2"
    return {
        "crs": authority_of(grid.box),
        "crs_wkt2": wkt2_of(grid.box),
        "shape": (grid.size, grid.size),
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
    epsg = crs_of(box).epsg
    return f"EPSG:{epsg}" if epsg else None


def wkt2_of(box: GeoBox) -> str:
    """A grid's CRS as WKT2:2019."""
    return crs_of(box).to_wkt(version=WktVersion.WKT2_2019)
