"""KnowLIP under test: ITC similarities, and its frozen patches for answer heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowlip.corpus.store import Corpus
from knowlip.model.embedder import load_embedder


class KnowLIPModel:
    """A pretrained KnowLIP folder."""

    def __init__(self, folder: str | Path) -> None:
        self.name = f"knowlip:{Path(folder).name}"
        self._embedder = load_embedder(folder)
        self._cache: dict[str, NDArray[np.float32]] = {}

    def patches(self, corpus: Corpus, tile_ids: Sequence[str]) -> NDArray[np.float32]:
        """What its image encoder sees in each patch."""
        missing = [t for t in tile_ids if t not in self._cache]
        if missing:
            self._cache |= dict(zip(missing, self._embedder.corpus_patches(corpus, missing), strict=True))
        return np.stack([self._cache[t] for t in tile_ids])

    def similarity(
        self, corpus: Corpus, texts: Mapping[str, str], train: Sequence[str], test: Sequence[str]
    ) -> NDArray[np.float32]:
        """Cosine of image and text embeddings; nothing is fitted."""
        return np.asarray(self._embedder.corpus_images(corpus, test) @ self._embedder.texts([texts[t] for t in test]).T)
