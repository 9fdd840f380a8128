"""WebDataset: shards of samples in tar files, read in sequence. The same corpus gives the same bytes.

Source: the WebDataset format (github.com/webdataset/webdataset): files of one sample share the name up to the first
dot and follow each other.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from knowlip.corpus.export.rows import href, statements_by_tile, tile_rows
from knowlip.corpus.stac import geoproperties
from knowlip.corpus.store import Corpus

if TYPE_CHECKING:
    from knowlip.corpus.export import ExportSpec, Progress

NO_SPLIT = "none"


def key_of(tile_id: str) -> str:
    """A tile's name in a shard: its id, without the dots that would end the name."""
    return tile_id.replace("%", "%25").replace(".", "%2E")


def write_webdataset(corpus: Corpus, out: Path, spec: ExportSpec, progress: Progress) -> dict[str, int]:
    """Write `SPLIT-NNNNNN.tar` and `index.json`, which names the shards with their numbers of samples."""
    texts, total = statements_by_tile(corpus), len(corpus.tile_ids(spec.split))
    open_shards: dict[str, tuple[tarfile.TarFile, int]] = {}
    index: dict[str, int] = {}
    try:
        for done, row in enumerate(tile_rows(corpus, spec.split), 1):
            split = row["knowlip:split"] or NO_SPLIT
            shard, count = open_shards.get(split, (None, 0))
            if shard is None or count % spec.shard_tiles == 0:
                if shard is not None:
                    shard.close()
                name = f"{split}-{count // spec.shard_tiles:06d}.tar"
                shard = tarfile.open(out / name, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - one open a split
                index[name] = 0
            _add_sample(shard, corpus, row, texts.get(row["id"], []), spec.pixels)
            open_shards[split] = shard, count + 1
            index[f"{split}-{count // spec.shard_tiles:06d}.tar"] += 1
            progress(done, total, row["id"])
    finally:
        for shard, _ in open_shards.values():
            shard.close()
    shards = [{"name": name, "samples": n} for name, n in sorted(index.items())]
    (out / "index.json").write_text(json.dumps({"corpus": corpus.info["name"], "shards": shards}, indent=2) + "\n")
    return {"shards": len(index)}


def _add_sample(
    shard: tarfile.TarFile, corpus: Corpus, row: dict[str, Any], texts: list[dict[str, Any]], pixels: str
) -> None:
    tile_id, key = row["id"], key_of(row["id"])
    stored, nodata = (None, None) if pixels == "tif" else corpus.stored_pixels(tile_id)
    if stored is None:
        _add(shard, f"{key}.tif", corpus.folder.read_bytes(href(row)))
    else:
        array = io.BytesIO()
        np.save(array, stored, allow_pickle=False)
        _add(shard, f"{key}.npy", array.getvalue())
    radiometry, polarisations, anchor_db = corpus.calibration(tile_id)
    told = {
        "tile_id": tile_id,
        "scene_id": row["knowlip:scene"],
        "geoproperties": geoproperties(row).model_dump(mode="json"),
        "radiometry": radiometry.model_dump(),
        "polarisations": polarisations,
        "anchor_db": [float(a) for a in anchor_db],
        "statements": [{k: t[k] for k in ("statement_id", "schema", "dimension", "text")} for t in texts],
    }
    if stored is not None:
        told["nodata"] = None if nodata is None else str(nodata)
    _add(shard, f"{key}.json", json.dumps(told, ensure_ascii=False, sort_keys=True).encode())
    if texts:
        _add(shard, f"{key}.txt", "".join(f"{t['text']}\n" for t in texts).encode())


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    # no time, user or mode of this machine: the bytes depend on the content alone
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o644
    shard.addfile(member, io.BytesIO(data))
