"""A corpus on disk, opened: its tables and its pixels."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from knowlip.core.errors import CorpusError
from knowlip.core.folder import Folder
from knowlip.core.radiometry import Radiometry
from knowlip.corpus.cogread import decode_cog
from knowlip.corpus.stac import TILE_SCHEMA
from knowlip.scenes.geotiff import valid_mask

FORMAT_VERSION = 1

SPLIT_STAGE = ".split"
"""Where the files of a new split wait until all are there; `ready.json` says that they are."""

_TEXT, _WHOLE = pa.string(), pa.int64()
_SLOT = pa.struct([("name", _TEXT), ("kind", _TEXT), ("value", _TEXT), ("start", _WHOLE), ("end", _WHOLE)])
STATEMENT_SCHEMA = pa.schema(
    [
        ("statement_id", _TEXT),
        ("tile_id", _TEXT),
        ("schema", _TEXT),
        ("dimension", _TEXT),
        ("text", _TEXT),
        ("slots", pa.list_(_SLOT)),
        ("facts", pa.list_(_TEXT)),
        ("confidence", pa.float64()),
        ("round", _WHOLE),
        ("status", _TEXT),
        ("engine", _TEXT),
        ("masked_slots", pa.list_(_TEXT)),
        ("previous", _TEXT),
        ("scores", _TEXT),
        ("reason", _TEXT),
    ]
)
"""A row of `statements/round=NN/*.parquet`. Round 0 has every statement; later rounds have only those they changed,
with the text before, the scores that decided (JSON) and the reason."""

ORIGINAL, MASKED, REBUILT, DROPPED = "original", "masked", "rebuilt", "dropped"
"""What `status` may be."""

DB_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
"""What `scenes.parquet` keeps of each band's backscatter."""
BRIGHT_PERCENTILES = (75, 95)
"""Those whose mean is a scene's bright level, `TilePixels.anchor_db`."""
_P75, _P95 = (DB_PERCENTILES.index(p) for p in BRIGHT_PERCENTILES)


@dataclass(frozen=True)
class TilePixels:
    """A tile's pixels as backscatter.

    Attributes:
        db: `(C, H, W)` float32 dB; no-data is NaN. Absolute when `calibrated`.
        polarisations: Labels of the C channels.
        anchor_db: `(C,)` the scene's own bright level (mean of its 75th and 95th percentile), from which uncalibrated
            values are measured; a scene's sea or fields move its median, but hardly this.
    """

    db: NDArray[np.float32]
    polarisations: tuple[str, ...]
    calibrated: bool
    anchor_db: NDArray[np.float32]


@dataclass(frozen=True)
class Corpus:
    """A finished corpus. Open one with `open_corpus`.

    Attributes:
        folder: Where it lies.
        info: The content of `corpus.json`.
    """

    folder: Folder
    info: dict[str, Any] = field(compare=False)

    @cached_property
    def tiles_table(self) -> pa.Table:
        """`tiles.parquet`, as it is."""
        return self.folder.read_table("tiles.parquet")

    @cached_property
    def tiles(self) -> pd.DataFrame:
        """`tiles.parquet` indexed by tile id."""
        frame: pd.DataFrame = self.tiles_table.to_pandas()
        return frame.set_index("id", drop=False)

    @cached_property
    def scenes(self) -> pd.DataFrame:
        """`scenes.parquet` indexed by scene id."""
        frame: pd.DataFrame = self.folder.read_table("scenes.parquet").to_pandas()
        return frame.set_index("scene_id", drop=False)

    def tile_batches(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """`tiles.parquet` in order, some thousand rows at a time."""
        yield from self.folder.table_batches("tiles.parquet", columns)

    def scene_tiles(self, scene_id: str) -> list[dict[str, Any]]:
        """The rows of `tiles.parquet` of one scene, by tile id; a thousand scenes cost no table in pandas."""
        own = self.tiles_table.filter(pc.equal(self.tiles_table["knowlip:scene"], scene_id))
        return sorted(own.to_pylist(), key=lambda row: str(row["id"]))

    def tile_column(self, name: str) -> pa.ChunkedArray:
        """One column of `tiles.parquet`."""
        return pa.chunked_array(
            [c for t in self.tile_batches([name]) for c in t[name].chunks], TILE_SCHEMA.field(name).type
        )

    def tile_ids(self, split: str | None = None) -> list[str]:
        """Sorted ids of all tiles or of one split."""
        ids = self.tile_column("id")
        return sorted(
            (ids if split is None else ids.filter(pc.equal(self.tile_column("knowlip:split"), split))).to_pylist()
        )

    def table(self, name: str) -> pa.Table:
        """Any of the corpus's tables by file name without ending, such as `facts`.

        Raises:
            CorpusError: It has not been made yet.
        """
        if not self.folder.exists(f"{name}.parquet"):
            raise CorpusError(
                self.folder.path(), f"has no {name}.parquet", "Run `knowlip annotate` on the corpus first"
            )
        return self.folder.read_table(f"{name}.parquet")

    def rounds(self) -> list[int]:
        """The rounds of statements that are there, ascending."""
        return sorted(
            {int(n.split("round=")[1].split("/")[0]) for n in self.folder.names("statements/round=*/*.parquet")}
        )

    def statements(self, round_: int | None = None, tile_ids: Iterable[str] | None = None) -> pa.Table:
        """Statements as they stand after a round (the latest by default), dropped ones included with their status.

        Raises:
            CorpusError: The corpus has not been annotated, or has no such round.
        """
        rounds = self.rounds()
        if not rounds:
            raise CorpusError(self.folder.path(), "has no statements", "Run `knowlip annotate` on the corpus first")
        if round_ is not None and round_ not in rounds:
            raise CorpusError(
                self.folder.path(), f"has no round {round_} of statements", f"It has {', '.join(map(str, rounds))}"
            )
        tables = [self.changes(r) for r in rounds if round_ is None or r <= round_]
        table = tables[0]
        for later in tables[1:]:
            unchanged = pc.invert(pc.is_in(table["statement_id"], later["statement_id"].combine_chunks()))
            table = pa.concat_tables([table.filter(unchanged), later])
        if len(tables) > 1:
            table = table.sort_by([("statement_id", "ascending")])
        if tile_ids is not None:
            table = table.filter(pc.is_in(table["tile_id"], pa.array(sorted(set(tile_ids)), pa.string())))
        return table

    def changes(self, round_: int) -> pa.Table:
        """The rows that one round wrote: all statements for round 0, the changed ones for later rounds."""
        names = self.folder.names(f"statements/round={round_:02d}/*.parquet")
        return pa.concat_tables([self.folder.read_table(n) for n in names])

    def _raster(self, kind: str, tile_id: str) -> tuple[NDArray[Any], float | None]:
        name = f"{kind}/{self._scene_of[tile_id]}/{tile_id}.tif"
        try:
            if (decoded := decode_cog(self.folder.read_bytes(name))) is not None:
                return decoded
            if self.folder.is_local:
                with rasterio.open(self.folder.path(name)) as dataset:
                    return dataset.read(), dataset.nodata
            with MemoryFile(self.folder.read_bytes(name)) as memory, memory.open() as dataset:
                return dataset.read(), dataset.nodata
        except (RasterioError, OSError, ValueError) as error:
            raise CorpusError(self.folder.path(name), f"cannot be read ({error})", "Build the corpus again") from error

    def pixels(self, tile_id: str) -> TilePixels:
        """A tile's pixels as backscatter in dB."""
        raw, nodata = self.stored_pixels(tile_id)
        scene = self._scene_records[self._scene_of[tile_id]]
        db = np.where(valid_mask(raw, nodata), scene["radiometry"].to_db(raw), np.float32(np.nan))
        return TilePixels(db, scene["polarisations"], scene["radiometry"].calibrated, scene["anchor_db"])

    def stored_pixels(self, tile_id: str) -> tuple[NDArray[Any], float | None]:
        """A tile's pixels `(C, H, W)` as they are stored, and its no-data value."""
        return self._raster("tiles", tile_id)

    def calibration(self, tile_id: str) -> tuple[Radiometry, tuple[str, ...], NDArray[np.float32]]:
        """What a tile's stored pixels mean: radiometry, polarisations and `TilePixels.anchor_db` of its scene."""
        scene = self._scene_records[self._scene_of[tile_id]]
        return scene["radiometry"], scene["polarisations"], scene["anchor_db"]

    @cached_property
    def _scene_of(self) -> dict[str, str]:
        ids, scenes = self.tile_column("id"), self.tile_column("knowlip:scene")
        return dict(zip(ids.to_pylist(), map(sys.intern, scenes.to_pylist()), strict=True))

    @cached_property
    def _scene_records(self) -> dict[str, dict[str, Any]]:
        return {
            str(s["scene_id"]): {
                "radiometry": Radiometry(**{f: s[f"radiometry_{f}"] for f in Radiometry.model_fields}),
                "polarisations": tuple(s["polarisations"]),
                "anchor_db": np.array([(band[_P75] + band[_P95]) / 2 for band in s["db_percentiles"]], np.float32),
            }
            for s in self.scenes.to_dict("records")
        }

    def landcover(self, tile_id: str) -> NDArray[np.uint8] | None:
        """True class codes `(H, W)` of a simulated tile, or None."""
        if not self.tiles.at[tile_id, "knowlip:landcover"]:
            return None
        return self._raster("landcover", tile_id)[0][0]


def open_corpus(path: str) -> Corpus:
    """Open a finished corpus.

    Raises:
        CorpusError: Not a corpus, unfinished, or of a newer format.
    """
    folder = Folder(path)
    if not folder.exists():
        raise CorpusError(path, "no such folder", "Make a corpus with `knowlip corpus build SCENES --out FOLDER`")
    if not folder.exists("corpus.json"):
        if folder.exists(".build"):
            raise CorpusError(
                path,
                "is a corpus whose build did not finish",
                "Run the same `knowlip corpus build` again; it goes on where it stopped",
            )
        raise CorpusError(
            path, "is not a corpus (no corpus.json)", "Make one with `knowlip corpus build SCENES --out FOLDER`"
        )
    try:
        info = folder.read_json("corpus.json")
        version = int(info["format_version"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CorpusError(folder.path("corpus.json"), f"is damaged ({error})", "Build the corpus again") from error
    if version > FORMAT_VERSION:
        raise CorpusError(path, f"has format version {version}, newer than {FORMAT_VERSION}", "Update sar-knowlip")
    if folder.exists(f"{SPLIT_STAGE}/ready.json"):
        take_split(folder)
        info = folder.read_json("corpus.json")
    return Corpus(folder, info)


def take_split(folder: Folder) -> None:
    """Put the files of a new split in their places; one that was stopped on the way is finished by whoever comes next.

    Raises:
        OutputError: The corpus cannot be written.
    """
    stage = Folder(folder.path(SPLIT_STAGE))
    for name in ("tiles.parquet", "croissant.json", "corpus.json"):
        folder.write_bytes(name, stage.read_bytes(name))
    folder.remove(SPLIT_STAGE)
