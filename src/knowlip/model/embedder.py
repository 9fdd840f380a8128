"""A trained model folder, opened, for those who only want its vectors and scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from knowlip.core.errors import ModelError
from knowlip.corpus.store import Corpus, TilePixels
from knowlip.model.knowlip import KnowLIP
from knowlip.model.processor import Processor, stack
from knowlip.model.stems import patch_moments
from knowlip.model.tokenizer import Tokenizer

_BATCH = 32
_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Embedder:
    """A model with its processor and tokenizer. Open one with `load_embedder`."""

    model: KnowLIP
    processor: Processor
    tokenizer: Tokenizer
    folder: Path

    def _prepare(self, tiles: Sequence[TilePixels]) -> tuple[torch.Tensor, torch.Tensor]:
        patch, size = self.model.config.vit.patch_size, tiles[0].db.shape[1:]
        if any(side % patch for side in size):
            raise ModelError(
                self.folder,
                f"reads tiles of whole {patch}-pixel patches, not {size[1]} x {size[0]} pixels",
                "Build the corpus with another --tile-size",
            )
        index = {p: i for i, p in enumerate(self.model.config.vit.polarisations)}
        pixels, channels = stack(
            [self.processor(t) for t in tiles], [[index[p] for p in t.polarisations] for t in tiles]
        )
        return torch.from_numpy(pixels), torch.from_numpy(channels)

    @torch.inference_mode()
    def images(self, tiles: Sequence[TilePixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Tokens `(B, N, D)` and unit embeddings `(B, E)` of tiles."""
        tokens, embedded = self.model.encode_image(*self._prepare(tiles))
        return tokens.numpy(), embedded.numpy()

    def corpus_images(self, corpus: Corpus, tile_ids: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings `(N, E)` of a corpus's tiles."""
        parts = [
            self.images([corpus.pixels(t) for t in tile_ids[i : i + _BATCH]])[1]
            for i in range(0, len(tile_ids), _BATCH)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.model.config.projection), np.float32)

    @torch.inference_mode()
    def corpus_features(self, corpus: Corpus, tile_ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """Frozen features of a corpus's tiles for linear heads, one array `(N, F)` a level.

        The embedding; and with the `sar` stem the distribution over the image of what each patch measures: quantiles of
        its moments, per polarisation, 0 for those absent.
        """
        levels: list[list[NDArray[np.float32]]] = [[], []]
        for i in range(0, len(tile_ids), _BATCH):
            pixels, channels = self._prepare([corpus.pixels(t) for t in tile_ids[i : i + _BATCH]])
            levels[0].append(self.model.encode_image(pixels, channels)[1].numpy())
            if self.model.config.vit.stem == "sar":
                levels[1].append(self._moment_quantiles(pixels, channels).numpy())
        return [np.concatenate(parts) for parts in levels if parts]

    def _moment_quantiles(self, pixels: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        B, C = channels.shape
        moments = patch_moments(pixels.flatten(0, 1)[:, None], self.model.config.vit.patch_size).flatten(2)
        spread = torch.quantile(moments, torch.tensor(_QUANTILES), dim=2).permute(1, 0, 2).reshape(B, C, -1)
        placed = spread.new_zeros(B, len(self.model.config.vit.polarisations) + 1, spread.shape[2])
        # absent channels go to a last place that is cut off again
        placed.scatter_(
            1, torch.where(channels < 0, placed.shape[1] - 1, channels)[..., None].expand_as(spread), spread
        )
        return placed[:, :-1].flatten(1)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings `(N, E)` of texts."""
        parts = []
        for i in range(0, len(texts), _BATCH):
            encoded = self.tokenizer.encode(texts[i : i + _BATCH], self.model.config.bert.max_length)
            parts.append(self.model.encode_text(encoded.ids, encoded.mask)[1].numpy())
        return np.concatenate(parts) if parts else np.zeros((0, self.model.config.projection), np.float32)


def load_embedder(folder: str | Path) -> Embedder:
    """Open a model folder.

    Raises:
        ModelError: There is none, its training did not finish, or its files are damaged.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ModelError(path, "no such model folder", "Train one with `knowlip pretrain CORPUS --out FOLDER`")
    if not (path / "model.safetensors").is_file():
        unfinished = (path / "run.json").is_file()
        why = "holds a run that did not finish" if unfinished else "holds no model (no model.safetensors)"
        raise ModelError(
            path, why, "Run the same `knowlip pretrain` again" if unfinished else "Train one with `knowlip pretrain`"
        )
    try:
        model = KnowLIP.from_pretrained(path)
        return Embedder(model, Processor.from_dict(model.config.processor), Tokenizer.load(path), path)
    except Exception as error:
        raise ModelError(
            path, f"cannot be loaded ({type(error).__name__}: {error})", "Train or fetch the model again"
        ) from error
