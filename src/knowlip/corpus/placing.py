"""Place names and splits, filled into rows of `tiles.parquet` that have neither yet, or other ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from knowlip.corpus.splits import Where
from knowlip.knowledge import places
from knowlip.scenes.chips import NO_PLACE

NEAR_SPLIT = "lies within one tile of another split, so that it may be in neither"

WHERE_COLUMNS = ["id", "knowlip:scene", "platform", "bbox", "knowlip:gsd_x_m", "knowlip:gsd_y_m", "proj:shape"]
WHERE_COLUMNS += ["knowlip:country", "knowlip:nearest_city"]


def where_of(tables: Iterable[pa.Table]) -> list[Where | None]:
    """What a split needs of each row of tables like `tiles.parquet`; None for a row that has no place."""
    found: list[Where | None] = []
    for table in tables:
        for row in table.select(WHERE_COLUMNS).to_pylist():
            box, (rows, cols) = row["bbox"], row["proj:shape"]
            if box is None:
                found.append(None)
                continue
            east = box["xmax"] if box["xmax"] >= box["xmin"] else box["xmax"] + 360
            size_km = max(row["knowlip:gsd_x_m"] * cols, row["knowlip:gsd_y_m"] * rows) / 1000
            bbox = (box["xmin"], box["ymin"], east, box["ymax"])
            city = f"{row['knowlip:country']}/{row['knowlip:nearest_city']}"
            # millions of rows share these texts
            scene, stratum = sys.intern(row["knowlip:scene"]), sys.intern(row["platform"] or "unknown")
            found.append(Where(row["id"], scene, stratum, bbox, size_km, sys.intern(city)))
    return found


def with_places(table: pa.Table) -> pa.Table:
    """Fill in country, first-level division and nearest city of the rows that have a place."""
    centres = table["proj:centroid"].to_pylist()
    placed = [i for i, c in enumerate(centres) if c is not None]
    lon, lat = (np.array([centres[i][k] for i in placed], np.float64) for k in ("lon", "lat"))
    at = dict(zip(placed, places.nearest_places(lon, lat) if placed else (), strict=True))
    found = [at.get(i) for i in range(len(centres))]
    columns: dict[str, list[Any]] = {
        "country": [p and p.country for p in found],
        "admin1": [p and p.admin1 for p in found],
        "nearest_city": [p and p.city for p in found],
        "nearest_city_km": [p and round(p.distance_km, 3) for p in found],
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
            if why.get(name) == NO_PLACE:
                continue
            why.pop(name, None)
            if value is None:
                why[name] = reasons[name]
        table = _set(table, f"knowlip:{name}", values)
    return _set(table, "knowlip:unknown", [json.dumps(why, sort_keys=True) for why in unknown])


def _set(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))
