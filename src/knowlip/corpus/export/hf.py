"""Hugging Face: Parquet shards with the tiles' files inside, which `datasets.load_dataset("parquet", …)` opens.

Source: the Hub's documentation of data set repositories: `data/SPLIT-NNNNN-of-NNNNN.parquet`, features in the Parquet
schema's metadata under `huggingface`, the card's YAML with the files of each split.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from knowlip.corpus.export.rows import href, objects_by_tile, statements_by_tile, tile_rows
from knowlip.corpus.export.webdataset import NO_SPLIT
from knowlip.corpus.stac import geoproperties
from knowlip.corpus.store import Corpus

if TYPE_CHECKING:
    from knowlip.corpus.export import ExportSpec, Progress

_TEXT = pa.string()
_STATEMENT = pa.struct([("schema", _TEXT), ("dimension", _TEXT), ("text", _TEXT)])
_OBJECT = pa.struct([("cls", _TEXT), ("subtype", _TEXT), ("corners", pa.list_(pa.float64())), ("source", _TEXT)])
_PLAIN = ("platform", "frequency_band", "orbit_state", "country", "nearest_city", "radiometry", "unit")
_NUMBERS = ("lon_deg", "lat_deg", "gsd_x_m", "gsd_y_m", "incidence_deg", "look_azimuth_deg")
SCHEMA = pa.schema(
    [("tile_id", _TEXT), ("scene_id", _TEXT), ("tif", pa.binary()), ("acquired", pa.timestamp("us", tz="UTC"))]
    + [(n, _TEXT) for n in _PLAIN]
    + [(n, pa.float64()) for n in _NUMBERS]
    + [("polarisations", pa.list_(_TEXT)), ("geoproperties", _TEXT)]
    + [("statements", pa.list_(_STATEMENT)), ("objects", pa.list_(_OBJECT))]
)


def write_hf(corpus: Corpus, out: Path, spec: ExportSpec, progress: Progress) -> dict[str, int]:
    """Write `data/SPLIT-NNNNN-of-NNNNN.parquet` and the card `README.md`."""
    texts, objects = statements_by_tile(corpus), objects_by_tile(corpus)
    total, done, shards = len(corpus.tile_ids(spec.split)), 0, 0
    splits = sorted({s or NO_SPLIT for s in corpus.tile_column("knowlip:split").unique().to_pylist()})
    if spec.split is not None:
        splits = [spec.split]
    (out / "data").mkdir()
    for split in splits:
        rows = [r for r in tile_rows(corpus, spec.split) if (r["knowlip:split"] or NO_SPLIT) == split]
        count = -(-len(rows) // spec.shard_tiles)
        for k in range(count):
            chosen = rows[k * spec.shard_tiles : (k + 1) * spec.shard_tiles]
            path = out / "data" / f"{split}-{k:05d}-of-{count:05d}.parquet"
            with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
                for i in range(0, len(chosen), 100):
                    part = [_row(corpus, r, texts, objects) for r in chosen[i : i + 100]]
                    writer.write_table(pa.Table.from_pylist(part, schema=SCHEMA))
                    progress(done := done + len(part), total, split)
        shards += count
    (out / "README.md").write_text(_card(corpus, splits), encoding="utf-8")
    return {"shards": shards}


def _row(
    corpus: Corpus,
    row: dict[str, Any],
    texts: dict[str, list[dict[str, Any]]],
    objects: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    p = geoproperties(row)
    return {
        "tile_id": row["id"],
        "scene_id": row["knowlip:scene"],
        "tif": corpus.folder.read_bytes(href(row)),
        "acquired": p.acquired,
        **{n: getattr(p, n) for n in (*_PLAIN, *_NUMBERS)},
        "polarisations": list(p.polarisations or ()),
        "geoproperties": json.dumps(p.model_dump(mode="json"), ensure_ascii=False),
        "statements": [{k: t[k] for k in ("schema", "dimension", "text")} for t in texts.get(row["id"], ())],
        "objects": [{k: o[k] for k in ("cls", "subtype", "corners", "source")} for o in objects.get(row["id"], ())],
    }


def _card(corpus: Corpus, splits: list[str]) -> str:
    files = "".join(f"  - split: {s}\n    path: data/{s}-*.parquet\n" for s in splits)
    counts = corpus.info["counts"]
    return (
        f"---\npretty_name: {json.dumps(corpus.info['name'])}\nlicense: other\n"
        f"license_name: {json.dumps(corpus.info['licence'])}\n"
        f"configs:\n- config_name: default\n  data_files:\n{files}---\n\n"
        f"# {corpus.info['name']}\n\n{counts['tiles']} georeferenced SAR tiles of {counts['scenes']} scenes, "
        f"made with {corpus.info['made_with']}.\n\n`tif` holds the tile as a Cloud-Optimised GeoTIFF, "
        "`geoproperties` everything known of its place and acquisition as JSON.\n"
    )
