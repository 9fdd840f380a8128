"""Check a corpus against its own records and against the standards it follows, by the standards' own readers."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_validate

from knowlip.corpus.export.rows import tile_rows
from knowlip.corpus.splits import split_counts
from knowlip.corpus.stac import geoproperties, stac_item
from knowlip.corpus.store import Corpus

Progress = Callable[[int, int, str], None]


def validate(corpus: Corpus, progress: Progress = lambda done, total, name: None) -> list[str]:
    """Problems found, one line each; none for a sound corpus.

    Every tile's file is checked against its SHA-256 and as a COG by rio-cogeo, every row for GeoProperties (present, or
    null with a reason) and as a STAC item by pystac (against STAC's schema where `jsonschema` is installed);
    `tiles.parquet` as GeoParquet, `croissant.json` by mlcroissant, the counts of `corpus.json` against the tables, and
    that no footprint overlaps one of another split.
    """
    problems: list[str] = []
    errors_of = _stac_schema()
    total = len(corpus.tile_column("id"))
    for done, row in enumerate(tile_rows(corpus, None), 1):
        problems += _file(corpus, "tiles", row)
        if row["knowlip:landcover"]:
            problems += _file(corpus, "landcover", row)
        problems += _row(row, errors_of)
        progress(done, total, row["id"])
    return [*problems, *check_tables(corpus)]


def check_tables(corpus: Corpus) -> Iterator[str]:
    """Problems of a corpus's tables and of what describes them, apart from those of single tiles."""
    for check in (_geoparquet, _croissant, _counts, _overlaps):
        yield from check(corpus)


def _file(corpus: Corpus, kind: str, row: dict[str, Any]) -> Iterator[str]:
    name = f"{kind}/{row['knowlip:scene']}/{row['id']}.tif"
    try:
        data = corpus.folder.read_bytes(name)
    except OSError:
        yield f"{name}: is missing"
        return
    if kind == "tiles" and hashlib.sha256(data).hexdigest() != row["knowlip:sha256"]:
        yield f"{name}: content differs from its record"
        return
    try:
        with MemoryFile(data) as memory:
            valid, errors, complaints = cog_validate(memory.name, strict=True, quiet=True)
    except Exception as error:  # rio-cogeo and GDAL have many ways to say that a file is not theirs
        yield f"{name}: is not a GeoTIFF ({error})"
        return
    if not valid:
        yield f"{name}: is not a Cloud-Optimised GeoTIFF ({'; '.join([*errors, *complaints])})"


def _stac_schema() -> Callable[[dict[str, Any]], list[str]]:
    try:
        from pystac.validation.local_validator import LocalValidator

        schema = LocalValidator().item_validator("1.1.0")
    except ImportError:
        return lambda item: []
    return lambda item: [str(e.message) for e in schema.iter_errors(item)]


def _row(row: dict[str, Any], errors_of: Callable[[dict[str, Any]], list[str]]) -> Iterator[str]:
    import pystac

    try:
        geoproperties(row)
    except ValueError as error:
        yield f"{row['id']}: {' '.join(str(error).split())}"
    try:
        item = json.loads(json.dumps(stac_item(row).to_dict(), allow_nan=False))
        pystac.Item.from_dict(item)
    except (ValueError, KeyError, TypeError, pystac.STACError) as error:
        yield f"{row['id']}: is not a STAC item ({error})"
        return
    for message in errors_of(item):
        yield f"{row['id']}: is not a valid STAC item ({message})"


def _geoparquet(corpus: Corpus) -> Iterator[str]:
    """GeoParquet 1.1: metadata that GeoPandas understands, and valid geometries of the kinds that they list."""
    import geopandas

    kinds: set[str] | None = None
    seen: set[str] = set()
    for table in corpus.tile_batches(["id", "geometry"]):
        if kinds is None:
            try:
                geo = json.loads(table.schema.metadata[b"geo"])
                kinds = set(geo["columns"][geo["primary_column"]]["geometry_types"])
                some = pa.BufferOutputStream()
                pq.write_table(table.slice(0, 100), some)
                geopandas.read_parquet(pa.BufferReader(some.getvalue()))
            except (KeyError, ValueError, TypeError) as error:
                yield f"tiles.parquet: is not GeoParquet ({error})"
                return
        # a chip has no geometry
        shapes = shapely.from_wkb(table["geometry"].to_numpy())
        here = ~shapely.is_missing(shapes)
        ids = np.array(table["id"].to_pylist(), object)
        if found := {g.geom_type for g in shapes[here]} - kinds:
            yield f"tiles.parquet: has geometries that its metadata do not name ({', '.join(sorted(found))})"
        yield from (
            f"{tile_id}: has a footprint that is not valid" for tile_id in ids[here & ~shapely.is_valid(shapes)]
        )
        twice = [i for i in ids if i in seen or seen.add(i)]  # type: ignore[func-returns-value]
        yield from (f"{tile_id}: is there twice" for tile_id in twice)


def _croissant(corpus: Corpus) -> Iterator[str]:
    import mlcroissant

    try:
        described = corpus.folder.read_json("croissant.json")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            issues = mlcroissant.Dataset(jsonld=described).metadata.ctx.issues
    except (OSError, ValueError, mlcroissant.ValidationError) as error:
        yield f"croissant.json: {' '.join(str(error).split())}"
        return
    yield from (f"croissant.json: {message}" for message in sorted(issues.errors))
    if corpus.folder.sha256("tiles.parquet") not in {f.get("sha256") for f in described.get("distribution", ())}:
        yield "croissant.json: describes another tiles.parquet"


def _counts(corpus: Corpus) -> Iterator[str]:
    counts = corpus.info["counts"]
    splits = corpus.tile_column("knowlip:split").to_pylist()
    found = {"tiles": len(splits), "scenes": len(corpus.scenes), "objects": len(corpus.table("objects"))}
    for name, number in (found | split_counts(splits)).items():
        if counts.get(name) != number:
            yield f"corpus.json: counts {counts.get(name)} {name.replace('_', ' ')}, the tables have {number}"


def _overlaps(corpus: Corpus) -> Iterator[str]:
    """Footprints that overlap one of another split.

    Those of validation and test are kept, and those of training and validation come past them a piece at a time.
    """
    held = [_footprints(t, ("val", "test")) for t in corpus.tile_batches(_SPLIT_COLUMNS)]
    if not held:
        return
    ids, splits, shapes = (np.concatenate([h[k] for h in held]) for k in range(3))
    tree = shapely.STRtree(shapes)
    for table in corpus.tile_batches(_SPLIT_COLUMNS):
        here_ids, here_splits, here = _footprints(table, ("train", "val"))
        a, b = tree.query(here, predicate="intersects")
        # two of validation and test are met from the side of validation alone
        clash = here_splits[a] != splits[b]
        for i, j in zip(a[clash], b[clash], strict=True):
            yield f"{here_ids[i]} ({here_splits[i]}) overlaps {ids[j]} ({splits[j]})"


_SPLIT_COLUMNS = ["id", "knowlip:split", "geometry"]


def _footprints(table: pa.Table, of: tuple[str, ...]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Ids, splits and footprints of the tiles of some splits."""
    table = table.filter(pc.is_in(table["knowlip:split"], pa.array(of)))
    ids, splits = (np.array(table[n].to_pylist(), object) for n in _SPLIT_COLUMNS[:2])
    return ids, splits, shapely.from_wkb(table["geometry"].to_numpy())
