"""Batches of tiles and texts: any batch can be made from its step number alone, so a run resumes exactly."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from knowlip.core.errors import ConfigError
from knowlip.corpus.store import Corpus
from knowlip.model.geo import geo_properties
from knowlip.model.processor import Processor, stack
from knowlip.model.tokenizer import Tokenizer
from knowlip.training.config import DataConfig


@dataclass(frozen=True)
class Sentence:
    """A tokenised statement.

    Attributes:
        statement_id: Its row.
        ids: `(n,)` token ids without CLS and SEP.
        slot_of: `(n,)` index of the slot that a token belongs to, -1 for none.
        trusted: `(n,)` False where the token's slot is masked as suspicious.
    """

    statement_id: str
    ids: NDArray[np.int64]
    slot_of: NDArray[np.int64]
    trusted: NDArray[np.bool_]


def sentences_of(rows: Sequence[dict[str, Any]], tokenizer: Tokenizer) -> list[Sentence]:
    """Tokenise statements and find each slot's tokens."""
    if not rows:
        return []
    encoded = tokenizer.encode([r["text"] for r in rows], 256)
    result = []
    for row, ids, mask, offsets in zip(
        rows, encoded.ids.numpy(), encoded.mask.numpy(), encoded.offsets.numpy(), strict=True
    ):
        inner = slice(1, int(mask.sum()) - 1)
        start, end = offsets[inner, 0], offsets[inner, 1]
        slot_of = np.full(len(start), -1, np.int64)
        for k, slot in enumerate(row["slots"]):
            slot_of[(start < slot["end"]) & (end > slot["start"])] = k
        suspicious = [k for k, slot in enumerate(row["slots"]) if slot["name"] in (row.get("masked_slots") or ())]
        result.append(Sentence(row["statement_id"], ids[inner].copy(), slot_of, ~np.isin(slot_of, suspicious)))
    return result


@dataclass(frozen=True)
class Batch:
    """One training step's input.

    Attributes:
        pixels: `(B, C, H, W)`.
        channels: `(B, C)`.
        ids: `(B, L)` token ids; suspicious slots are already the mask token.
        mask: `(B, L)`.
        slots: `(B, L)` running number of the slot within the text, -1 outside slots and for suspicious ones.
        geo: `(B, G)` properties that the image encoder reads as tokens, None where it reads none.
    """

    pixels: Tensor
    channels: Tensor
    ids: Tensor
    mask: Tensor
    slots: Tensor
    geo: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return replace(self, **{k: t.to(device, non_blocking=True) for k, t in self._tensors.items()})

    def parts(self, count: int) -> list[Batch]:
        """The batch cut into `count` batches of as many tiles."""
        cuts = {k: t.chunk(count) for k, t in self._tensors.items()}
        return [replace(self, **{k: cut[i] for k, cut in cuts.items()}) for i in range(count)]

    @property
    def _tensors(self) -> dict[str, Tensor]:
        return {k: t for k, t in vars(self).items() if t is not None}


class TileSource:
    """Normalised tiles of a corpus, by id, and their properties that become tokens."""

    def __init__(
        self, corpus: Corpus, processor: Processor, polarisations: Sequence[str], geo_tokens: Sequence[str] = ()
    ) -> None:
        self.corpus, self.processor = corpus, processor
        self._index = {p: i for i, p in enumerate(polarisations)}
        self._geo = geo_properties(corpus, geo_tokens) if geo_tokens else None

    def geo(self, tile_ids: Sequence[str]) -> Tensor | None:
        """Properties `(B, G)`, NaN for unknown; None where the encoder reads none."""
        return None if self._geo is None else torch.from_numpy(np.stack([self._geo[t] for t in tile_ids]))

    def __call__(self, tile_ids: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Pixels `(B, C, H, W)` and channels `(B, C)`."""
        tiles = [self.corpus.pixels(t) for t in tile_ids]
        return stack([self.processor(t) for t in tiles], [[self._index[p] for p in t.polarisations] for t in tiles])

    def most_channels(self, tile_ids: Sequence[str]) -> int:
        """Channels of the tile that has most, without reading any."""
        return max(len(self.corpus.calibration(t)[1]) for t in tile_ids)


class PretrainData:
    """Training batches by step number.

    Args:
        texts: Sentences of each tile; tiles without any are left out.
        rank, ranks: Which share of every batch this process reads, of how many.
        accumulate: Parts that a step is passed in; the n-th part of all ranks together is the n-th of the whole batch.

    Raises:
        ConfigError: A batch cannot be divided into so many equal shares.
    """

    def __init__(
        self,
        source: TileSource,
        texts: dict[str, list[Sentence]],
        tokenizer: Tokenizer,
        config: DataConfig,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        accumulate: int = 1,
    ) -> None:
        self.source, self.texts, self.tokenizer, self.config, self.seed = source, texts, tokenizer, config, seed
        self.tile_ids = sorted(t for t, s in texts.items() if s)
        self.batch_size = min(config.batch_size, len(self.tile_ids))
        self.steps_per_epoch = max(1, len(self.tile_ids) // self.batch_size)
        if self.batch_size % (ranks * accumulate):
            raise ConfigError(
                "data.batch_size",
                f"{self.batch_size} tiles cannot be shared by {ranks} ranks in {accumulate} parts each",
                "Choose a multiple of ranks times optim.accumulate, at most the number of training tiles",
            )
        self.rows = np.arange(self.batch_size).reshape(accumulate, ranks, -1)[:, rank].ravel()

    def batch(self, step: int) -> Batch:
        """The batch of a step, always the same."""
        epoch, k = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.tile_ids))
        chosen = [self.tile_ids[i] for i in order[k * self.batch_size : (k + 1) * self.batch_size]]
        rng = np.random.default_rng([self.seed, 2, step])
        pixels, channels = self.source([chosen[i] for i in self.rows])
        ids, mask, slots = self._texts(chosen, rng)
        if len(self.rows) < len(chosen) and (missing := self.source.most_channels(chosen) - channels.shape[1]):
            pixels = np.pad(pixels, ((0, 0), (0, missing), (0, 0), (0, 0)))
            channels = np.pad(channels, ((0, 0), (0, missing)), constant_values=-1)
        return Batch(
            torch.from_numpy(self._seen_again(pixels, rng)),
            torch.from_numpy(channels),
            torch.from_numpy(ids[self.rows]),
            torch.from_numpy(mask[self.rows]),
            torch.from_numpy(slots[self.rows]),
            self.source.geo([chosen[i] for i in self.rows]),
        )

    def _seen_again(self, pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """The same ground at another time: new speckle, a slightly other level. Nothing moves, as texts tell places.

        Noise is drawn for the whole batch, so that a tile's is the same however many ranks share it.
        """
        spread, whole = np.float32(self.source.processor.level_db["VV"][1]), self.batch_size
        if self.config.level_jitter_db:
            shift = rng.normal(0, self.config.level_jitter_db, (whole, 1, 1, 1)).astype(np.float32)
            pixels = pixels + self._own(shift) / spread
        if self.config.speckle_looks:
            looks = self.config.speckle_looks
            # the log of gamma noise is near enough to normal at several looks, and ten times cheaper to draw
            sigma = np.float32(10 / np.log(10) / np.sqrt(looks)) / spread
            pixels = pixels + self._own(rng.standard_normal((whole, *pixels.shape[1:]), np.float32)) * sigma
        return pixels

    def _own(self, drawn: NDArray[np.float32]) -> NDArray[np.float32]:
        return drawn if len(self.rows) == len(drawn) else drawn[self.rows]

    def _texts(
        self, tile_ids: Sequence[str], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
        t, rows = self.tokenizer, []
        for tile_id in tile_ids:
            sentences = self.texts[tile_id]
            n = int(rng.integers(1, min(self.config.sentences, len(sentences)) + 1))
            rows.append(join([sentences[i] for i in rng.permutation(len(sentences))[:n]], t, self.config.max_tokens))
        return pad(rows, t.pad_id)

    def batches(self, start: int, stop: int) -> Generator[Batch]:
        """Batches of the steps `[start, stop)`, read one ahead in a thread."""
        ready: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=2)
        ended = threading.Event()

        def offer(item: Batch | BaseException) -> bool:
            while not ended.is_set():
                try:
                    ready.put(item, timeout=0.2)
                except queue.Full:
                    continue
                return True
            return False

        def read() -> None:
            try:
                for step in range(start, stop):
                    if not offer(self.batch(step)):
                        return
            except BaseException as error:
                offer(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            for _ in range(start, stop):
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            # a thread that still computes while the interpreter goes down would abort it
            ended.set()
            reader.join()


def join(
    sentences: Sequence[Sentence], tokenizer: Tokenizer, max_tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sentences as one text `(L,)` with CLS and SEP, and its slots `(L,)` numbered; suspicious tokens masked."""
    ids, slots, first = [np.array([tokenizer.cls_id])], [np.array([-1])], 0
    for s in sentences:
        ids.append(np.where(s.trusted, s.ids, tokenizer.mask_id))
        slots.append(np.where((s.slot_of >= 0) & s.trusted, s.slot_of + first, -1))
        first += int(s.slot_of.max(initial=-1)) + 1
    text, slot = np.concatenate(ids)[: max_tokens - 1], np.concatenate(slots)[: max_tokens - 1]
    return np.append(text, tokenizer.sep_id), np.append(slot, -1)


def pad(
    rows: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Texts of different lengths as `ids`, `mask` and `slots`, each `(B, L)`."""
    longest = max(len(ids) for ids, _ in rows)
    ids, slots = np.full((len(rows), longest), pad_id, np.int64), np.full((len(rows), longest), -1, np.int64)
    mask = np.zeros((len(rows), longest), bool)
    for i, (row, slot) in enumerate(rows):
        ids[i, : len(row)], slots[i, : len(row)], mask[i, : len(row)] = row, slot, True
    return ids, mask, slots
