"""Tiles for PyTorch: a map-style data set of a corpus or of shards, and a loader that resumes within an epoch.

The order of an epoch follows from the seed and its number alone, so it is the same whatever the number of workers, and
a loader that was stopped goes on with the very next batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from knowlip.corpus.normalise import Normaliser
from knowlip.corpus.pixelcache import PixelCache, pixel_cache
from knowlip.corpus.store import Corpus

CHANNELS = ("HH", "HV", "VH", "VV", "unknown")
"""What a channel's number means."""


@dataclass(frozen=True)
class Sample:
    """One tile.

    Attributes:
        pixels: `(C, H, W)` float32, normalised; no-data is 0.
        channels: `(C,)` int64 numbers of the polarisations.
        texts: Its statements, where they are asked for.
    """

    tile_id: str
    pixels: NDArray[np.float32]
    channels: NDArray[np.int64]
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class SampleBatch:
    """Several tiles of one size.

    Attributes:
        pixels: `(B, C, H, W)` float32, zero where a tile has fewer channels.
        channels: `(B, C)` int64, -1 there.
    """

    tile_ids: list[str]
    pixels: Tensor
    channels: Tensor
    texts: list[tuple[str, ...]]


class Samples(Protocol):
    """What a loader reads: samples by number, and the shard that each lies in, or None where there are none."""

    @property
    def shard_of(self) -> NDArray[np.int64] | None:
        """`(N,)` ascending."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class TileDataset:
    """The tiles of a corpus, map-style, in the order of their ids.

    Args:
        split: `train`, `val`, `test`, or None for all tiles.
        texts: Statements as they stand after the latest round go with the tiles, dropped ones left out.
        channels: Names of the channels' numbers.
        cache: Folder that keeps normalised tiles in half precision as they are first read, 2 bytes a pixel and
            channel, so that later epochs inflate nothing.

    Raises:
        CorpusError: Texts are asked for and there are none.
        OutputError: The cache's folder cannot be written, or has no room.
    """

    shard_of = None

    def __init__(
        self,
        corpus: Corpus,
        split: str | None = None,
        normaliser: Normaliser | None = None,
        texts: bool = False,
        channels: Sequence[str] = CHANNELS,
        cache: str | Path | None = None,
    ) -> None:
        self.corpus, self.normaliser = corpus, normaliser or Normaliser()
        self.tile_ids = corpus.tile_ids(split)
        self._channel = {p: i for i, p in enumerate(channels)}
        self._bands = dict(zip(corpus.tiles.index, corpus.tiles["sar:frequency_band"], strict=True))
        if self.tile_ids:
            # tables are read here, before a loader's workers are made, and not once in each of them
            corpus.calibration(self.tile_ids[0])
        self._texts: dict[str, list[str]] = {}
        if texts:
            table = corpus.statements(tile_ids=self.tile_ids).select(["tile_id", "status", "text"])
            for row in table.to_pylist():
                if row["status"] != "dropped":
                    self._texts.setdefault(row["tile_id"], []).append(row["text"])
        self._cache = self._kept_in(cache) if cache is not None else None

    def _kept_in(self, folder: str | Path) -> PixelCache:
        rows = self.corpus.tiles.loc[self.tile_ids]
        bands = [len(self.corpus.calibration(t)[1]) for t in self.tile_ids]
        shapes = [(c, int(h), int(w)) for c, (h, w) in zip(bands, rows["proj:shape"], strict=True)]
        files = "".join(rows["knowlip:sha256"])
        return pixel_cache(folder, f"{self.corpus.info['fingerprint']}{self.normaliser}{files}", shapes)

    def __len__(self) -> int:
        return len(self.tile_ids)

    def __getitem__(self, index: int) -> Sample:
        """A tile, read and normalised.

        Raises:
            CorpusError: Its file is missing or damaged.
        """
        tile_id = self.tile_ids[index]
        radiometry, polarisations, anchor_db = self.corpus.calibration(tile_id)

        def read() -> NDArray[np.float32]:
            stored, nodata = self.corpus.stored_pixels(tile_id)
            return self.normaliser.stored(stored, nodata, radiometry, polarisations, anchor_db, self._bands[tile_id])

        pixels = read() if self._cache is None else self._cache.get(index, read)
        channels = np.array([self._channel[p] for p in polarisations], np.int64)
        return Sample(tile_id, pixels, channels, tuple(self._texts.get(tile_id, ())))


def collate(samples: Sequence[Sample]) -> SampleBatch:
    """Samples with different numbers of channels as one batch.

    Raises:
        ValueError: The tiles differ in size.
    """
    if len(sizes := {s.pixels.shape[1:] for s in samples}) > 1:
        raise ValueError(f"tiles of {sorted(sizes)} pixels do not fit into one batch")
    most = max(len(s.channels) for s in samples)
    # with NumPy: PyTorch's own copies wake its threads, which then wait for work on processors that have other work
    pixels = np.zeros((len(samples), most, *samples[0].pixels.shape[1:]), np.float32)
    channels = np.full((len(samples), most), -1, np.int64)
    for i, s in enumerate(samples):
        pixels[i, : len(s.channels)], channels[i, : len(s.channels)] = s.pixels, s.channels
    ids, texts = [s.tile_id for s in samples], [s.texts for s in samples]
    return SampleBatch(ids, torch.from_numpy(pixels), torch.from_numpy(channels), texts)


def epoch_order(samples: Samples, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of an epoch: shuffled, or shards shuffled and samples within each, so that shards are read in turn."""
    rng = np.random.default_rng([seed, epoch])
    shard_of = samples.shard_of
    if shard_of is None:
        return rng.permutation(len(samples))
    starts = np.searchsorted(shard_of, np.arange(shard_of.max(initial=-1) + 2))
    order = [starts[s] + rng.permutation(starts[s + 1] - starts[s]) for s in rng.permutation(len(starts) - 1)]
    return np.concatenate([np.zeros(0, np.int64), *order])


class TileLoader:
    """Batches without end, epoch after epoch, from where `state_dict` says.

    Each pass over it gives what is left of an epoch; the next pass gives the next epoch.

    Args:
        batch_size: Tiles of a batch; what is left over at an epoch's end is left out.
        seed: Fixes the order of every epoch.
        workers: Processes that read ahead; 0 reads in this one. The batches are the same.
        rank, world: Which share of every batch's tiles is read, for training on several devices.
        make: What makes a batch of samples.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        seed: int = 0,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        make: Callable[[Sequence[Sample]], Any] = collate,
    ) -> None:
        self.samples, self.batch_size, self.seed, self.workers = samples, batch_size, seed, workers
        self.rank, self.world, self.make = rank, world, make
        self.epoch, self.step = 0, 0

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.samples) // (self.batch_size * self.world)

    def __iter__(self) -> Iterator[Any]:
        order = epoch_order(self.samples, self.seed, self.epoch)
        share = self.batch_size * self.world
        batches = [
            order[k * share + self.rank * self.batch_size :][: self.batch_size].tolist()
            for k in range(self.step, len(self))
        ]
        loader: DataLoader[Any] = DataLoader(
            self.samples,  # type: ignore[arg-type]
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=self.make,
        )
        for batch in loader:
            # workers are ahead of this; what counts is what was handed out
            self.step += 1
            yield batch
        self.epoch, self.step = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands: the batches handed out so far, and what fixes their order."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "world": self.world,
            "samples": len(self.samples),
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a state.

        Raises:
            ValueError: It is of other samples, another seed or batch size, whose order would be another.
        """
        now = self.state_dict()
        other = [k for k in ("seed", "batch_size", "world", "samples") if state[k] != now[k]]
        if other:
            raise ValueError(f"the state is of another order: {', '.join(f'{k} {state[k]}' for k in other)}")
        self.epoch, self.step = state["epoch"], state["step"]
