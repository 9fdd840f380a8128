"""Tiles as STAC: the columns of `tiles.parquet`, and a valid pystac Item from any row.

Sources: STAC 1.1; stac-geoparquet specification 1.1; extensions projection 2.0, sar 1.0, sat 1.1, view 1.0, mgrs 1.0,
raster 1.1; GeoParquet 1.1 (OGC 24-013).
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import shapely

from knowlip.core.geoproperties import GeoProperties
from knowlip.corpus.records import SceneRecord, TileRecord

if TYPE_CHECKING:
    import pystac

EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/sar/v1.0.0/schema.json",
    "https://stac-extensions.github.io/sat/v1.1.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
    "https://stac-extensions.github.io/mgrs/v1.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
]

_NEEDED = {
    # what an extension asks of an item that declares it: all of these, and one of those where there are any
    "sar": (("sar:instrument_mode", "sar:frequency_band", "sar:polarizations", "sar:product_type"), ()),
    "sat": (("sat:orbit_state",), ()),
    "view": ((), ("view:azimuth", "view:incidence_angle")),
    "mgrs": (("mgrs:latitude_band", "mgrs:grid_square"), ()),
}

COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"

_PLAIN = {
    # GeoProperties field -> column; the rest are knowlip:<field>
    "crs": "proj:code",
    "crs_wkt2": "proj:wkt2",
    "transform": "proj:transform",
    "shape": "proj:shape",
    "bounds": "proj:bbox",
    "acquired": "datetime",
    "platform": "platform",
    "instrument_mode": "sar:instrument_mode",
    "product_type": "sar:product_type",
    "frequency_band": "sar:frequency_band",
    "centre_frequency_ghz": "sar:center_frequency",
    "polarisations": "sar:polarizations",
    "orbit_state": "sat:orbit_state",
    "look_side": "sar:observation_direction",
    "look_azimuth_deg": "view:azimuth",
    "incidence_deg": "view:incidence_angle",
    "equivalent_looks": "sar:looks_equivalent_number",
}
_SPECIAL = ("footprint_wkt", "bbox", "lon_deg", "lat_deg", "gsd_x_m", "gsd_y_m", "mgrs_square", "unknown")
COLUMN = {f: _PLAIN.get(f, f"knowlip:{f}") for f in GeoProperties.model_fields if f not in _SPECIAL}


def tile_row(tile: TileRecord, collection: str, geometry: bytes | None) -> dict[str, Any]:
    """A row of `tiles.parquet`.

    Args:
        geometry: The footprint as WKB.
    """
    p = tile.properties
    gsd = max(p.gsd_x_m, p.gsd_y_m) if p.gsd_x_m and p.gsd_y_m else None
    band = {
        "data_type": tile.dtype,
        "nodata": tile.nodata,
        "unit": p.unit,
        "spatial_resolution": gsd,
        "sampling": "area",
    }
    asset = {
        "href": f"tiles/{tile.scene_id}/{tile.tile_id}.tif",
        "type": COG_TYPE,
        "roles": ["data"],
        "raster:bands": [band] * tile.bands,
    }
    row = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": tile.tile_id,
        "collection": collection,
        "geometry": geometry,
        "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), p.bbox, strict=True)) if p.bbox else None,
        "links": [],
        "assets": {"data": asset},
        "gsd": gsd,
        **{column: getattr(p, field) for field, column in COLUMN.items()},
        "proj:centroid": {"lat": p.lat_deg, "lon": p.lon_deg} if p.lat_deg is not None else None,
        "mgrs:utm_zone": int(p.utm_zone[:-1]) if p.utm_zone else None,
        "mgrs:latitude_band": p.mgrs_square[-3] if p.utm_zone and p.mgrs_square else None,
        "mgrs:grid_square": p.mgrs_square[-2:] if p.mgrs_square else None,
        "knowlip:mgrs_square": p.mgrs_square,
        "knowlip:gsd_x_m": p.gsd_x_m,
        "knowlip:gsd_y_m": p.gsd_y_m,
        "knowlip:unknown": json.dumps(p.unknown, sort_keys=True),
        "knowlip:scene": tile.scene_id,
        "knowlip:row": tile.row,
        "knowlip:col": tile.col,
        "knowlip:landcover": tile.has_landcover,
    }
    return row | {"stac_extensions": [url for url in EXTENSIONS if _may_declare(url.split("/")[3], row)]}


def _may_declare(extension: str, row: dict[str, Any]) -> bool:
    every, some = _NEEDED.get(extension, ((), ()))
    return all(row[c] is not None for c in every) and (not some or any(row[c] is not None for c in some))


_STRINGS = pa.list_(pa.string())
_BAND = pa.struct(
    [(n, pa.string()) for n in ("data_type", "unit", "sampling")]
    + [(n, pa.float64()) for n in ("nodata", "spatial_resolution")]
)
_ASSET = pa.struct(
    [("href", pa.string()), ("type", pa.string()), ("roles", _STRINGS), ("raster:bands", pa.list_(_BAND))]
)
_SCHEMA_HEAD = [
    ("type", pa.string()),
    ("stac_version", pa.string()),
    ("stac_extensions", _STRINGS),
    ("id", pa.string()),
    ("collection", pa.string()),
    ("geometry", pa.binary()),
    ("bbox", pa.struct([(k, pa.float64()) for k in ("xmin", "ymin", "xmax", "ymax")])),
    ("links", pa.list_(pa.struct([("href", pa.string()), ("rel", pa.string())]))),
    ("assets", pa.struct([("data", _ASSET)])),
    ("gsd", pa.float64()),
]
_TYPES = {
    "transform": pa.list_(pa.float64()),
    "shape": pa.list_(pa.int64()),
    "bounds": pa.list_(pa.float64()),
    "acquired": pa.timestamp("us", tz="UTC"),
    "polarisations": _STRINGS,
} | dict.fromkeys(
    ("centre_frequency_ghz", "look_azimuth_deg", "incidence_deg", "valid_share", "equivalent_looks", "nearest_city_km"),
    pa.float64(),
)
_SCHEMA_TAIL = [
    ("proj:centroid", pa.struct([("lat", pa.float64()), ("lon", pa.float64())])),
    ("mgrs:utm_zone", pa.int64()),
    ("mgrs:latitude_band", pa.string()),
    ("mgrs:grid_square", pa.string()),
    ("knowlip:mgrs_square", pa.string()),
    ("knowlip:gsd_x_m", pa.float64()),
    ("knowlip:gsd_y_m", pa.float64()),
    ("knowlip:unknown", pa.string()),
    ("knowlip:scene", pa.string()),
    ("knowlip:row", pa.int64()),
    ("knowlip:col", pa.int64()),
    ("knowlip:landcover", pa.bool_()),
]
TILE_SCHEMA = pa.schema(_SCHEMA_HEAD + [(c, _TYPES.get(f, pa.string())) for f, c in COLUMN.items()] + _SCHEMA_TAIL)


def tile_schema() -> pa.Schema:
    """The schema of `tiles.parquet` as GeoParquet 1.1, bounding boxes being the covering that readers filter by."""
    covering = {"bbox": {edge: ["bbox", edge] for edge in ("xmin", "ymin", "xmax", "ymax")}}
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Polygon", "MultiPolygon"],
                "edges": "planar",
                "covering": covering,
            }
        },
    }
    return TILE_SCHEMA.with_metadata({"geo": json.dumps(geo), "stac-geoparquet": json.dumps({"version": "1.1.0"})})


def tile_table(tiles: list[TileRecord], collection: str) -> pa.Table:
    """Rows of `tiles.parquet`."""
    outlines = shapely.to_wkb(shapely.from_wkt([t.properties.footprint_wkt for t in tiles])).tolist()
    rows = [tile_row(t, collection, wkb) for t, wkb in zip(tiles, outlines, strict=True)]
    schema = tile_schema()
    # column by column is three times as fast as pyarrow's own way from rows
    columns = [pa.array([row[f.name] for row in rows], f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def geoproperties(row: dict[str, Any]) -> GeoProperties:
    """The GeoProperties of a row of `tiles.parquet`."""
    box, centre = row["bbox"], row["proj:centroid"] or {}
    fields = {field: row[column] for field, column in COLUMN.items()}
    return GeoProperties.model_validate(
        fields
        | {
            "footprint_wkt": shapely.from_wkb(row["geometry"]).wkt if row["geometry"] else None,
            "bbox": (box["xmin"], box["ymin"], box["xmax"], box["ymax"]) if box else None,
            "lon_deg": centre.get("lon"),
            "lat_deg": centre.get("lat"),
            "gsd_x_m": row["knowlip:gsd_x_m"],
            "gsd_y_m": row["knowlip:gsd_y_m"],
            "mgrs_square": row["knowlip:mgrs_square"],
            "unknown": json.loads(row["knowlip:unknown"]),
        }
    )


def stac_item(row: dict[str, Any], base: str = "") -> pystac.Item:
    """A row of `tiles.parquet` as a STAC item; hrefs are made absolute with `base`.

    A tile without an acquisition time gets the open interval that STAC asks for in its place.
    """
    import pystac

    box, skip = row["bbox"], {name for name, _ in _SCHEMA_HEAD} - {"gsd"} | {"datetime", "knowlip:unknown"}
    properties = {k: v for k, v in row.items() if k not in skip and v is not None}
    properties["knowlip:unknown"] = json.loads(row["knowlip:unknown"])
    if (at := row["datetime"]) is None:
        # STAC 1.1: a null datetime needs start and end; these are the limits of spaceborne imaging radar
        properties |= {
            "start_datetime": "1978-06-27T00:00:00Z",
            "end_datetime": datetime.now(UTC).strftime("%Y-%m-%dT00:00:00Z"),
        }
    item = pystac.Item(
        id=row["id"],
        geometry=json.loads(shapely.to_geojson(shapely.from_wkb(row["geometry"]))) if row["geometry"] else None,
        bbox=[box["xmin"], box["ymin"], box["xmax"], box["ymax"]] if box else None,
        datetime=at,
        properties=properties,
        stac_extensions=list(row["stac_extensions"]),
    )
    for name, asset in row["assets"].items():
        href = f"{base.rstrip('/')}/{asset['href']}" if base else asset["href"]
        # a corpus built before the extension was declared has no such column
        bands = [_band(b) for b in asset.get("raster:bands") or ()]
        fields = {"raster:bands": bands} if bands else None
        roles = list(asset["roles"])
        item.add_asset(name, pystac.Asset(href=href, media_type=asset["type"], roles=roles, extra_fields=fields))
    return item


def _band(band: dict[str, Any]) -> dict[str, Any]:
    told = {k: v for k, v in band.items() if v is not None}
    if isinstance(value := told.get("nodata"), float):
        # JSON has no NaN, and whole numbers should look like it
        told["nodata"] = "nan" if math.isnan(value) else int(value) if value.is_integer() else value
    return told


def scene_table(scenes: list[SceneRecord]) -> pa.Table:
    """`scenes.parquet`: one row a scene, acquisition fields as columns."""
    rows = []
    for s in scenes:
        row = s.model_dump()
        acquisition = row.pop("acquisition") | {"unknown": json.dumps(s.acquisition.unknown, sort_keys=True)}
        acquisition.pop("polarisations")
        radiometry = {f"radiometry_{k}": v for k, v in row.pop("radiometry").items()}
        rows.append(row | acquisition | radiometry)
    real, whole, words = pa.float64(), pa.int64(), pa.string()
    types = {
        "transform": pa.list_(real),
        "shape": pa.list_(whole),
        "nodata": real,
        "polarisations": _STRINGS,
        "tiles": whole,
        "tiles_without_data": whole,
        "db_percentiles": pa.list_(pa.list_(real)),
        "acquired": pa.timestamp("us", tz="UTC"),
        "centre_frequency_ghz": real,
        "absolute_orbit": whole,
        "relative_orbit": whole,
        "look_azimuth_deg": real,
        "incidence_near_deg": real,
        "incidence_far_deg": real,
        "simulated": pa.bool_(),
        "radiometry_calibration_db": real,
    }
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, types.get(name, words)) for name in rows[0]]))
