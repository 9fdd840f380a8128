"""WebDataset shards of a corpus as PyTorch samples, without the corpus.

A tar's members are found once, by its headers; after that any sample is one read at its place, so shards resume and
shuffle like a corpus does. Loaders read shard after shard.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowlip.core.errors import CorpusError
from knowlip.core.radiometry import Radiometry
from knowlip.corpus.cogread import decode_cog
from knowlip.corpus.dataset import CHANNELS, Sample
from knowlip.corpus.normalise import Normaliser


@dataclass(frozen=True)
class _Member:
    """Where a file lies in its shard, bytes."""

    start: int
    size: int


class ShardDataset:
    """The samples of WebDataset shards that `knowlip corpus export --format webdataset` wrote, in their order.

    Args:
        folder: Where the shards and `index.json` lie.
        split: Only shards of this split.
        texts: The statements go with the tiles.

    Raises:
        CorpusError: There are no shards, or one is damaged.
    """

    def __init__(
        self,
        folder: str | Path,
        split: str | None = None,
        normaliser: Normaliser | None = None,
        texts: bool = False,
        channels: Sequence[str] = CHANNELS,
    ) -> None:
        self.folder, self.normaliser, self.texts = Path(folder), normaliser or Normaliser(), texts
        self._channel = {p: i for i, p in enumerate(channels)}
        self.paths = sorted(self.folder.glob(f"{split or '*'}-*.tar"))
        if not self.paths:
            remedy = "Make them with `knowlip corpus export CORPUS --format webdataset`"
            raise CorpusError(folder, f"holds no shards{f' of {split}' if split else ''}", remedy)
        self._samples: list[dict[str, _Member]] = []
        shard_of = []
        for shard, path in enumerate(self.paths):
            found = _members(path)
            self._samples += found
            shard_of += [shard] * len(found)
        self._shard_of = np.array(shard_of, np.int64)

    @property
    def shard_of(self) -> NDArray[np.int64]:
        """`(N,)` the shard of each sample."""
        return self._shard_of

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:
        """A tile, read and normalised.

        Raises:
            CorpusError: The shard is damaged there.
        """
        path, members = self.paths[self._shard_of[index]], self._samples[index]
        with open(path, "rb", buffering=0) as file:
            told = json.loads(_read(file, members["json"]))
            if "tif" in members:
                decoded = decode_cog(_read(file, members["tif"]))
                if decoded is None:
                    raise CorpusError(path, f"holds a tile of another layout ({told['tile_id']})", "Export it again")
                stored, nodata = decoded
            else:
                stored = np.load(io.BytesIO(_read(file, members["npy"])), allow_pickle=False)
                nodata = None if told["nodata"] is None else float(told["nodata"])
        polarisations = told["polarisations"]
        pixels = self.normaliser.stored(
            stored,
            nodata,
            Radiometry.model_validate(told["radiometry"]),
            polarisations,
            np.array(told["anchor_db"], np.float32),
            told["geoproperties"]["frequency_band"],
        )
        channels = np.array([self._channel[p] for p in polarisations], np.int64)
        texts = tuple(t["text"] for t in told["statements"]) if self.texts else ()
        return Sample(told["tile_id"], pixels, channels, texts)


def _members(path: Path) -> list[dict[str, _Member]]:
    samples: dict[str, dict[str, _Member]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                samples.setdefault(key, {})[ending] = _Member(member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        raise CorpusError(path, f"cannot be read ({error})", "Export the corpus again") from error
    return list(samples.values())


def _read(file: io.FileIO, member: _Member) -> bytes:
    file.seek(member.start)
    data = file.read(member.size)
    if len(data) < member.size:
        raise CorpusError(str(file.name), "is cut off", "Export the corpus again")
    return data
