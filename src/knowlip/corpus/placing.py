"""Place names and splits, filled into rows of `tiles.parquet` that have neither yet, or other ones."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from knowlip.corpus.splits import Where
from knowlip.knowledge import places

NEAR_SPLIT = "lies within one tile of another split, so that it may be in neither"

_WHERE_COLUMNS = ["id", "knowlip:scene", "platform", "bbox", "knowlip:gsd_x_m", "knowlip:gsd_y_m", "proj:shape"]
_WHERE_COLUMNS += ["knowlip:country", "knowlip:nearest_city"]


def where_of(tables: Iterable[pa.Table]) -> list[Where]:
    """What a split needs of each row of tables like `tiles.parquet`."""
    found = []
    for table in tables:
        for row in table.select(_WHERE_COLUMNS).to_pylist():
            box, (rows, cols) = row["bbox"], row["proj:shape"]
            east = box["xmax"] if box["xmax"] >= box["xmin"] else box["xmax"] + 360
            size_km = max(row["knowlip:gsd_x_m"] * cols, row["knowlip:gsd_y_m"] * rows) / 1000
            bbox = (box["xmin"], box["ymin"], east, box["ymax"])
            city = f"{row['knowlip:country']}/{row['knowlip:nearest_city']}"
            found.append(Where(row["id"], row["knowlip:scene"], row["platform"] or "unknown", bbox, size_km, city))
    return found


def with_places(table: pa.Table) -> pa.Table:
    """Fill in country, first-level division and nearest city."""
    centre = table["proj:centroid"].combine_chunks()
    found = places.nearest_places(centre.field("lon").to_numpy(), centre.field("lat").to_numpy())
    columns: dict[str, list[Any]] = {
        "country": [p.country for p in found],
        "admin1": [p.admin1 for p in found],
        "nearest_city": [p.city for p in found],
        "nearest_city_km": [round(p.distance_km, 3) for p in found],
    }
    return _filled(table, columns, {"admin1": f"{places.source()} names no first-level division here"})


def with_splits(table: pa.Table, splits: Sequence[str | None]) -> pa.Table:
    """Fill in the split of each row; None is one that lies too near to another split."""
    return _filled(table, {"split": list(splits)}, {"split": NEAR_SPLIT})


def _filled(table: pa.Table, columns: dict[str, list[Any]], reasons: dict[str, str]) -> pa.Table:
    """Set GeoProperties by name, with the reason of each null."""
    unknown = [json.loads(text) for text in table["knowlip:unknown"].to_pylist()]
    for name, values in columns.items():
        for value, why in zip(values, unknown, strict=True):
            why.pop(name, None)
            if value is None:
                why[name] = reasons[name]
        table = _set(table, f"knowlip:{name}", values)
    return _set(table, "knowlip:unknown", [json.dumps(why, sort_keys=True) for why in unknown])


def _set(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
