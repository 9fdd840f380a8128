"""A GeoPackage of footprints, targets and statements, for QGIS and anything else that GDAL's vectors open in.

Source: OGC GeoPackage 1.3 (OGC 12-128r17); a table without geometry is one of `attributes`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pandas as pd
import pyogrio
import shapely
from affine import Affine

from knowlip.core.geodesy import applied, to_lonlat
from knowlip.corpus.export.rows import href, objects_by_tile, statements_by_tile, tile_rows
from knowlip.corpus.stac import COLUMN
from knowlip.corpus.store import Corpus

if TYPE_CHECKING:
    from knowlip.corpus.export import ExportSpec, Progress

NAME = "corpus.gpkg"
_LEFT_OUT = ("crs_wkt2", "transform", "shape", "bounds")


def write_gpkg(corpus: Corpus, out: Path, spec: ExportSpec, progress: Progress) -> dict[str, int]:
    """Write `corpus.gpkg` with the layers `tiles` and `objects` (WGS 84) and the table `statements`."""
    path, total = out / NAME, len(corpus.tile_ids(spec.split))
    objects, texts = objects_by_tile(corpus), statements_by_tile(corpus)
    tiles, targets, said = [], [], []
    for done, row in enumerate(tile_rows(corpus, spec.split), 1):
        tiles.append(_tile(row, corpus.folder.path(href(row))))
        targets += [_target(o, row) for o in objects.get(row["id"], ())]
        said += texts.get(row["id"], [])
        progress(done, total, row["id"])
    _write(path, "tiles", tiles, ["tile_id"])
    _write(path, "objects", targets, ["tile_id", "object_id", "cls"])
    columns = ["statement_id", "tile_id", "schema", "dimension", "text", "confidence", "round", "status"]
    pyogrio.write_dataframe(pd.DataFrame(said, columns=columns), path, layer="statements", driver="GPKG", append=True)
    return {"objects": len(targets), "statements": len(said)}


def _tile(row: dict[str, Any], path: str) -> dict[str, Any]:
    kept = {field: row[column] for field, column in COLUMN.items() if field not in _LEFT_OUT}
    kept["polarisations"] = ",".join(kept["polarisations"] or ()) or None
    return {
        "tile_id": row["id"],
        "scene_id": row["knowlip:scene"],
        **kept,
        "gsd_x_m": row["knowlip:gsd_x_m"],
        "gsd_y_m": row["knowlip:gsd_y_m"],
        "mgrs_square": row["knowlip:mgrs_square"],
        "unknown": json.dumps(json.loads(row["knowlip:unknown"]), ensure_ascii=False),
        "file": path,
        "geometry": shapely.from_wkb(row["geometry"]) if row["geometry"] else None,
    }


def _target(o: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    x, y = applied(Affine(*row["proj:transform"]), np.array(o["corners"][0::2]), np.array(o["corners"][1::2]))
    lon, lat = to_lonlat(row["proj:wkt2"], x, y)
    # a target across the antimeridian keeps its shape, beyond 180 degrees
    lon = np.unwrap(lon, period=360)
    plain = {k: o[k] for k in ("tile_id", "object_id", "cls", "subtype", "length_m", "width_m", "heading_deg")}
    return plain | {
        "state": o["state"],
        "source": o["source"],
        "geometry": shapely.Polygon(np.column_stack([lon, lat])),
    }


def _write(path: Path, layer: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    frame = geopandas.GeoDataFrame(rows or pd.DataFrame(columns=[*columns, "geometry"]), geometry="geometry", crs=4326)
    pyogrio.write_dataframe(
        frame, path, layer=layer, driver="GPKG", append=path.exists(), geometry_type=None if rows else "Polygon"
    )
