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
from knowlip.model.geo import geo_properties
from knowlip.model.knowlip import KnowLIP
from knowlip.model.processor import Image, Processor, stack
from knowlip.model.stems import SarStem
from knowlip.model.tokenizer import Tokenizer

_BATCH = 32


@dataclass(frozen=True)
class Embedder:
    """A model with its processor and tokenizer. Open one with `load_embedder`."""

    model: KnowLIP
    processor: Processor
    tokenizer: Tokenizer
    folder: Path

    def _prepare(self, tiles: Sequence[TilePixels]) -> tuple[torch.Tensor, torch.Tensor]:
        return self._batch([self.processor(t) for t in tiles], [t.polarisations for t in tiles])

    def _batch(
        self, pixels: Sequence[NDArray[np.float32]], polarisations: Sequence[tuple[str, ...]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        patch, size = self.model.config.vit.patch_size, pixels[0].shape[1:]
        if any(side % patch for side in size):
            raise ModelError(
                self.folder,
                f"reads tiles of whole {patch}-pixel patches, not {size[1]} x {size[0]} pixels",
                "Build the corpus with another --tile-size",
            )
        index = {p: i for i, p in enumerate(self.model.config.vit.polarisations)}
        if strange := {p for row in polarisations for p in row} - index.keys():
            raise ModelError(self.folder, f"knows no polarisation {sorted(strange)[0]}", f"It reads {', '.join(index)}")
        batch, channels = stack(pixels, [[index[p] for p in row] for row in polarisations])
        return torch.from_numpy(batch), torch.from_numpy(channels)

    @torch.inference_mode()
    def image(self, image: Image) -> NDArray[np.float32]:
        """Unit embedding `(E,)` of an image of any radiometry; `Processor.read` says what is converted or refused."""
        pixels = self.processor.read(image)
        known = {"gsd_m": image.gsd_m, "incidence_deg": image.incidence_deg}
        geo = [np.nan if (v := known.get(name)) is None else v for name in self.model.config.vit.geo_tokens]
        batch = self._batch([pixels], [image.polarisations])
        _, embedded = self.model.encode_image(*batch, torch.tensor([geo]) if geo else None)
        vector: NDArray[np.float32] = embedded[0].numpy()
        return vector

    @torch.inference_mode()
    def images(
        self, tiles: Sequence[TilePixels], geo: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Tokens `(B, N, D)` and unit embeddings `(B, E)` of tiles with properties `(B, G)`, None for unknown ones."""
        told = None if geo is None else torch.from_numpy(geo)
        tokens, embedded = self.model.encode_image(*self._prepare(tiles), told)
        return tokens.numpy(), embedded.numpy()

    def corpus_images(self, corpus: Corpus, tile_ids: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings `(N, E)` of a corpus's tiles."""
        names, parts = self.model.config.vit.geo_tokens, []
        geo = geo_properties(corpus, names) if names else None
        for i in range(0, len(tile_ids), _BATCH):
            chunk = tile_ids[i : i + _BATCH]
            told = np.stack([geo[t] for t in chunk]) if geo else None
            parts.append(self.images([corpus.pixels(t) for t in chunk], told)[1])
        return np.concatenate(parts) if parts else np.zeros((0, self.model.config.projection), np.float32)

    @torch.inference_mode()
    def corpus_patches(self, corpus: Corpus, tile_ids: Sequence[str]) -> NDArray[np.float32]:
        """What the image encoder sees in each patch of a corpus's tiles `(N, P, F)`, for answer heads.

        What the stem makes of a patch before it is squeezed into a token: with the `sar` stem its bins, otherwise its
        features.
        """
        stem = self.model.vit.patch_embed
        measure = stem.cells.measure if isinstance(stem, SarStem) else stem
        parts = []
        for i in range(0, len(tile_ids), _BATCH):
            seen = measure(*self._prepare([corpus.pixels(t) for t in tile_ids[i : i + _BATCH]]))
            parts.append(seen.flatten(2).mT.numpy())
        return np.concatenate(parts)

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
