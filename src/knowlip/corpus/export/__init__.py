"""A corpus in the formats that other programs read: WebDataset, STAC, COCO, GeoPackage, Hugging Face."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from knowlip.core.errors import ConfigError, OutputError
from knowlip.core.folder import cannot_write
from knowlip.corpus.store import Corpus

Progress = Callable[[int, int, str], None]
FORMATS = ("webdataset", "stac", "coco", "gpkg", "hf")


@dataclass(frozen=True)
class ExportSpec:
    """How a corpus is written.

    Attributes:
        split: Only tiles of this split; None for all tiles, those of no split included.
        shard_tiles: Tiles of one WebDataset or Parquet shard, at most.
        pixels: WebDataset's pixels: the tiles' files, or NumPy arrays as they are stored.
    """

    split: str | None = None
    shard_tiles: int = 1000
    pixels: Literal["tif", "npy"] = "tif"


def export(
    corpus: Corpus,
    kind: str,
    out: str,
    spec: ExportSpec | None = None,
    progress: Progress = lambda done, total, name: None,
) -> dict[str, Any]:
    """Write a corpus in another format into a new folder, which appears when it is complete.

    Args:
        kind: One of `FORMATS`.
        progress: Called with (tiles done, tiles in all, name).

    Returns:
        What was written: `tiles`, `files` and counts of the format's own.

    Raises:
        ConfigError: The format is none of them, or no tile is chosen.
        OutputError: `out` is there already, or cannot be written.
        CorpusError: A tile is missing or damaged.
    """
    if kind not in FORMATS:
        raise ConfigError(f"--format {kind}", "is not a format to export to", f"Use one of {', '.join(FORMATS)}")
    spec = spec or ExportSpec()
    if not corpus.tile_ids(spec.split):
        raise ConfigError(f"--split {spec.split}", "has no tiles in this corpus", "Choose another split")
    with new_folder(out) as folder:
        counts = _writer(kind)(corpus, folder, spec, progress)
        files = sum(1 for p in folder.rglob("*") if p.is_file())
    return {"tiles": len(corpus.tile_ids(spec.split)), "files": files} | counts


def _writer(kind: str) -> Callable[[Corpus, Path, ExportSpec, Progress], dict[str, int]]:
    # each format's libraries are loaded only for it
    if kind == "webdataset":
        from knowlip.corpus.export.webdataset import write_webdataset as write
    elif kind == "stac":
        from knowlip.corpus.export.stac_catalog import write_stac as write
    elif kind == "coco":
        from knowlip.corpus.export.coco import write_coco as write
    elif kind == "gpkg":
        from knowlip.corpus.export.gpkg import write_gpkg as write
    else:
        from knowlip.corpus.export.hf import write_hf as write
    return partial(write)


@contextmanager
def new_folder(out: str) -> Iterator[Path]:
    """A folder to write into that gets its name when the block ends without an error, and vanishes otherwise.

    Raises:
        OutputError: It is there already and not empty, or cannot be made.
    """
    target = Path(out).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputError(out, "is there already", "Choose a new folder for --out, or remove it first")
    part = target.with_name(f".{target.name}.part")
    try:
        # what a killed export left
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        if target.exists():
            target.rmdir()
        os.replace(part, target)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
