"""Map extracts on disk, read by box: Overture's GeoParquet where it lies, all others from a copy that is made once.

OpenStreetMap's pbf stores points by number and not by place, so a tile's features lie all over it. Overture's files are
ordered by place already and have the features' boxes as a column, and so have the copies. Either way a query reads only
the row groups whose boxes it touches.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from knowlip.core.errors import SceneError
from knowlip.core.folder import Folder
from knowlip.knowledge import tags
from knowlip.knowledge.convert import BOUNDS, LAYOUT, Box, convert
from knowlip.knowledge.source import file_version
from knowlip.knowledge.tags import KINDS, Kind, Meaning


@dataclass(frozen=True)
class Features:
    """Features of a map around a place.

    Attributes:
        kind, cls, name: `(N,)` text; a name may be None.
        geometry: `(N,)` shapely geometries in longitude and latitude.
    """

    kind: NDArray[Any]
    cls: NDArray[Any]
    name: NDArray[Any]
    geometry: NDArray[Any]

    def where(self, chosen: NDArray[np.bool_]) -> Features:
        """Some of them."""
        return Features(self.kind[chosen], self.cls[chosen], self.name[chosen], self.geometry[chosen])

    def of(self, kind: Kind) -> Features:
        """Those of one kind."""
        return self.where(self.kind == kind)

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True)
class Extract:
    """GeoParquet files that can be read by box.

    Attributes:
        overture_type: Overture's type, or empty for files in our own `SCHEMA`.
        kinds: What they hold, if any of it is there.
        bounds: The box that they cover.
    """

    files: tuple[str, ...]
    overture_type: str
    kinds: tuple[Kind, ...]
    bounds: Box

    def read(self, box: Box, kinds: Sequence[Kind] = KINDS) -> Features:
        """The features whose boxes touch a box.

        Raises:
            SceneError: A file cannot be read.
        """
        if not set(kinds) & set(self.kinds):
            return gathered([])
        west, south, east, north = box
        b = {side: ds.field("bbox", side) for side in ("xmin", "ymin", "xmax", "ymax")}
        touches = (b["xmin"] <= east) & (b["xmax"] >= west) & (b["ymin"] <= north) & (b["ymax"] >= south)
        try:
            data = ds.dataset(list(self.files), format="parquet")
            if not self.overture_type:
                return _own(data.to_table(columns=["kind", "class", "name", "geometry"], filter=touches), kinds)
            columns = [c for c in ("subtype", "class", "names", "road_flags", "geometry") if c in data.schema.names]
            return gathered(_overture(data.to_table(columns=columns, filter=touches), self.overture_type, kinds))
        except (OSError, pa.ArrowException) as error:
            raise SceneError(self.files[0], f"cannot be read ({error})", "Fetch the map extract again") from error


def gathered(rows: Iterable[tuple[Meaning, str | None, Any]]) -> Features:
    """Features of a meaning, a name and a geometry each."""
    found = list(rows)
    geometry = np.empty(len(found), object)
    geometry[:] = [g for _, _, g in found]
    kind, cls, name = ([m[0] for m, _, _ in found], [m[1] for m, _, _ in found], [n for _, n, _ in found])
    return Features(np.array(kind, object), np.array(cls, object), np.array(name, object), geometry)


def _own(table: pa.Table, kinds: Sequence[Kind]) -> Features:
    kind, cls, name = (table[c].to_numpy(zero_copy_only=False).astype(object) for c in ("kind", "class", "name"))
    found = Features(kind, cls, name, shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False)))
    return found.where(np.isin(kind.astype(str), list(kinds)))


def _overture(table: pa.Table, type_: str, kinds: Sequence[Kind]) -> Iterator[tuple[Meaning, str | None, Any]]:
    none = [None] * len(table)
    columns = ("subtype", "class", "names", "road_flags")
    said = [table[c].to_pylist() if c in table.column_names else none for c in columns]
    geometry = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    for subtype, class_, names, flags, shape in zip(*said, geometry, strict=True):
        # a flag without a range holds for the whole segment
        if any("is_tunnel" in (f.get("values") or ()) and not f.get("between") for f in flags or ()):
            continue
        for meaning in tags.of_overture(type_, subtype, class_, tags.shape_of(shape)):
            if meaning[0] in kinds:
                yield meaning, (names or {}).get("primary"), shape


def extracts(
    path: Path, cache: Path | None = None, note: Callable[[str], None] = lambda text: None
) -> tuple[list[Extract], str]:
    """The extracts at a path, made readable by box where they are not, and their version.

    Args:
        path: An OpenStreetMap extract (.osm.pbf, .osm), GeoParquet with tags of OpenStreetMap as columns or as one
            column `tags`, or Overture's GeoParquet, one file or a folder of types. Which of Overture's types a file
            holds is told by its path, as in `type=segment/part-0.parquet` or `rome_segment.parquet`.
        cache: Where copies are kept; the user's cache folder by default.
        note: Called with what is about to take long.

    Raises:
        SceneError: Not one of these, or damaged.
    """
    files = sorted(p for p in path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not path.exists():
        raise SceneError(path, "holds no map extract (.osm.pbf or .parquet)", "Check --osm")
    version = file_version(path, files)
    if path.is_file() and path.suffix != ".parquet":
        return [_converted(path, version, cache, note)], version
    by_type: dict[str, list[Path]] = {}
    for file in files:
        by_type.setdefault(_overture_type(file), []).append(file)
    found = [_converted(f, file_version(f), cache, note) for f in by_type.pop("", [])]
    themes = [_overture_extract(t, several) for t, several in by_type.items() if t in tags.OVERTURE]
    if themes:
        # types of one download cover the same ground, though some have few features on it
        west, south, east, north = zip(*(e.bounds for e in themes), strict=True)
        together = (min(west), min(south), max(east), max(north))
        found += [replace(e, bounds=together) for e in themes]
    return found, version


_TYPES = (*tags.OVERTURE, "land_cover", "connector", "bathymetry", "building_part")
"""Overture's types that are told apart; those that are not understood are passed over."""


def _parquet(path: Path) -> Any:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise SceneError(path, f"cannot be read as GeoParquet ({error})", "Check --osm") from error


def _overture_type(path: Path) -> str:
    """Overture's type of a GeoParquet file, empty for one of OpenStreetMap's tags."""
    names = _parquet(path).schema_arrow.names
    _check_crs(path)
    if "geometry" not in names:
        raise SceneError(path, "is no GeoParquet: it has no column `geometry`", "Check --osm")
    if any(key in names for key in (*tags.MEANINGFUL, "tags")):
        return ""
    for part in (path.stem, *reversed(path.parts[:-1])):
        # longest first, as land_use is not land; whole words, as an island is none either
        if said := re.search(r"(?<![a-z])(" + "|".join(sorted(_TYPES, key=len, reverse=True)) + r")(?![a-z_])", part):
            return said[1]
    raise SceneError(
        path, "does not say what it holds", f"Name the file after its Overture type: {', '.join(tags.OVERTURE)}"
    )


def _check_crs(path: Path) -> None:
    geo = json.loads((_parquet(path).schema_arrow.metadata or {}).get(b"geo", b"{}"))
    crs = geo.get("columns", {}).get("geometry", {}).get("crs")
    code = (crs or {}).get("id", {}).get("code", "CRS84" if crs is None else None)
    if code not in ("CRS84", 4326):
        raise SceneError(path, "is not in longitude and latitude", "Convert it to EPSG:4326")


def _overture_extract(type_: str, files: list[Path]) -> Extract:
    if without := next((f for f in files if "bbox" not in _parquet(f).schema_arrow.names), None):
        raise SceneError(without, "has no column `bbox`, as Overture's files have", "Fetch it again with bbox")
    return Extract(tuple(map(str, files)), type_, tags.OVERTURE_KINDS[type_], _bounds(files))


def _bounds(files: Iterable[Path]) -> Box:
    """The box of all features, from the row groups' statistics."""
    sides: dict[str, list[float]] = {"xmin": [], "ymin": [], "xmax": [], "ymax": []}
    for file in files:
        meta = _parquet(file).metadata
        for group in range(meta.num_row_groups):
            for index in range(meta.num_columns):
                column = meta.row_group(group).column(index)
                side = column.path_in_schema.removeprefix("bbox.")
                if side in sides and column.statistics is not None:
                    sides[side].append(column.statistics.min if side.endswith("min") else column.statistics.max)
    if not all(sides.values()):
        return (0.0, 0.0, 0.0, 0.0)
    return min(sides["xmin"]), min(sides["ymin"]), max(sides["xmax"]), max(sides["ymax"])


def _converted(path: Path, version: str, cache: Path | None, note: Callable[[str], None]) -> Extract:
    """A copy of a file in our own schema, made when it is not there yet."""
    folder = Folder(str(cache or Path(user_cache_dir("knowlip"), "maps")))
    name = f"{path.name.split('.')[0]}-{version[-13:-1]}-{LAYOUT}.parquet"
    if not folder.exists(name):
        note(f"reading {path.name} into {folder.path(name)}, once")
        with folder.file_writer(name) as target:
            convert(path, target)
    made = Path(folder.path(name))
    said = (_parquet(made).schema_arrow.metadata or {}).get(BOUNDS)
    return Extract((str(made),), "", KINDS, tuple(json.loads(said)) if said else _bounds([made]))
