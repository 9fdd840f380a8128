"""KnowLIP under test: ITC similarities, and its frozen features for answer heads."""

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
        self._cache: dict[str, tuple[NDArray[np.float32], ...]] = {}

    def features(self, corpus: Corpus, tile_ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """Two levels: embeddings, and the distribution of the stem's moments."""
        missing = [t for t in tile_ids if t not in self._cache]
        if missing:
            rows = zip(*self._embedder.corpus_features(corpus, missing), strict=True)
            self._cache |= dict(zip(missing, rows, strict=True))
        return [np.stack(level) for level in zip(*(self._cache[t] for t in tile_ids), strict=True)]

    def similarity(
        self, corpus: Corpus, texts: Mapping[str, str], train: Sequence[str], test: Sequence[str]
    ) -> NDArray[np.float32]:
        """Cosine of image and text embeddings; nothing is fitted."""
        return np.asarray(self._embedder.corpus_images(corpus, test) @ self._embedder.texts([texts[t] for t in test]).T)
