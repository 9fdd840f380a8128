"""OpenStreetMap's data as a GeoParquet file that can be read by box: a stream in, row groups of little ground out.

Memory does not grow with the extract: positions of points are kept in a file meanwhile, and rows are sorted by place
some hundred thousand at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from knowlip.core.errors import SceneError
from knowlip.knowledge import tags
from knowlip.knowledge.tags import Meaning, Shape

Box = tuple[float, float, float, float]
"""`(west, south, east, north)` in degrees, west < east."""
Row = tuple[Meaning, str | None, bytes]
"""What a feature is, its name, and its geometry as WKB in longitude and latitude."""

_BBOX = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])
SCHEMA = pa.schema(
    [("kind", pa.string()), ("class", pa.string()), ("name", pa.string()), ("bbox", _BBOX), ("geometry", pa.binary())]
)
LAYOUT = 1
"""Part of a copy's name: another number makes copies anew, as a change of `SCHEMA` or of `knowledge.tags` needs."""
BOUNDS = b"knowlip:bounds"
"""Key of the file's metadata under which the box lies that an extract says it covers."""
_IN_MEMORY, _ROW_GROUP = 100_000, 5_000


def convert(path: Path, target: str) -> None:
    """Write the features of an OpenStreetMap file (.osm.pbf, .osm), or of a GeoParquet of its tags, in `SCHEMA`.

    Raises:
        SceneError: It is neither, or damaged.
    """
    bounds, rows = (None, _of_parquet(path)) if path.suffix == ".parquet" else _of_osm(path)
    _write(target, rows, bounds)


def _write(target: str, rows: Iterator[Row], bounds: Box | None) -> None:
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": [],
                "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
            }
        },
    }
    metadata = {b"geo": json.dumps(geo).encode()} | ({BOUNDS: json.dumps(bounds).encode()} if bounds else {})
    waiting: list[Row] = []
    with pq.ParquetWriter(target, SCHEMA.with_metadata(metadata), compression="zstd") as writer:
        for row in rows:
            waiting.append(row)
            if len(waiting) >= _IN_MEMORY:
                writer.write_table(_by_place(waiting), row_group_size=_ROW_GROUP)
                waiting.clear()
        if waiting:
            writer.write_table(_by_place(waiting), row_group_size=_ROW_GROUP)


def _by_place(rows: list[Row]) -> pa.Table:
    """Rows as a table, neighbours on the ground beside each other, so that a row group's box is small."""
    import geopandas

    shapes = geopandas.GeoSeries(shapely.from_wkb([wkb for _, _, wkb in rows]))
    order = shapes.hilbert_distance(total_bounds=(-180, -90, 180, 90), level=16).to_numpy().argsort(kind="stable")
    box = shapely.bounds(shapes.to_numpy())[order]
    sorted_ = [rows[i] for i in order]
    return pa.table(
        {
            "kind": [m[0] for m, _, _ in sorted_],
            "class": [m[1] for m, _, _ in sorted_],
            "name": [n for _, n, _ in sorted_],
            "bbox": pa.StructArray.from_arrays([pa.array(box[:, i]) for i in range(4)], fields=list(_BBOX)),
            "geometry": [wkb for _, _, wkb in sorted_],
        },
        schema=SCHEMA,
    )


def _of_osm(path: Path) -> tuple[Box | None, Iterator[Row]]:
    """The box that an OpenStreetMap file says it covers, and its features."""
    try:
        import osmium
    except ImportError as error:
        raise SceneError(path, "needs osmium, which is not installed", "pip install 'sar-knowlip[osm]'") from error
    try:
        box = osmium.FileProcessor(str(path)).header.box()
    except RuntimeError as error:
        raise SceneError(path, f"cannot be read as OpenStreetMap data ({error})", "Check --osm") from error
    bounds = (box.bottom_left.lon, box.bottom_left.lat, box.top_right.lon, box.top_right.lat) if box.valid() else None
    return bounds, _stream(path, osmium)


def _stream(path: Path, osmium: Any) -> Iterator[Row]:
    factory = osmium.geom.WKBFactory()
    makers = {"area": factory.create_multipolygon, "line": factory.create_linestring, "point": factory.create_point}
    entities, keys = osmium.osm, osmium.filter.KeyFilter(*tags.MEANINGFUL)
    lines = osmium.filter.KeyFilter(*tags.OF_LINES).enable_for(entities.WAY)
    others = osmium.filter.KeyFilter(*tags.MEANINGFUL).enable_for(entities.AREA | entities.NODE)
    # areas come as areas, whether drawn as one way or several
    wanted = osmium.filter.EntityFilter(entities.NODE | entities.WAY | entities.AREA)
    with TemporaryDirectory() as folder:
        index = osmium.index.create_map(f"sparse_file_array,{os.path.join(folder, 'points')}")
        try:
            stream = osmium.FileProcessor(str(path)).with_locations(index).with_areas(keys)
            for item in stream.with_filter(wanted).with_filter(lines).with_filter(others):
                shape: Shape = "area" if item.is_area() else "line" if item.is_way() else "point"
                said = dict(item.tags)
                meanings = tags.of_osm(said, shape)
                if shape == "line" and item.is_closed():
                    # a runway drawn as an outline comes again as an area
                    meanings = [m for m in meanings if m[0] != "runway"]
                if not meanings:
                    continue
                try:
                    geometry = bytes.fromhex(makers[shape](item))
                except (RuntimeError, osmium.InvalidLocationError):
                    # a way that leaves the extract has points that are not in it, and some areas do not close
                    continue
                yield from ((meaning, _name(said), geometry) for meaning in meanings)
        except RuntimeError as error:
            raise SceneError(path, f"cannot be read as OpenStreetMap data ({error})", "Fetch it again") from error


def _name(said: dict[str, str]) -> str | None:
    return said.get("name") or said.get("ref")


def _of_parquet(path: Path) -> Iterator[Row]:
    """Features of a GeoParquet file that has OpenStreetMap's tags as columns, or as a map in one column."""
    file = pq.ParquetFile(path)
    columns = [c for c in file.schema_arrow.names if c in (*tags.TAGS, "tags", "geometry")]
    for batch in file.iter_batches(columns=columns):
        for row in batch.to_pylist():
            if (geometry := row.pop("geometry")) is None:
                continue
            said = dict(row.pop("tags", None) or {}) | row
            said = {str(k): str(v) for k, v in said.items() if v is not None}
            shape = tags.shape_of(shapely.from_wkb(geometry))
            yield from ((meaning, _name(said), geometry) for meaning in tags.of_osm(said, shape))
