"""Controls: hand-made features with linear heads, fitted on the same training split as the model under test.

Sources: Dalal, Triggs 2005, "Histograms of oriented gradients for human detection"; a histogram of levels is what a
radar analyst's thresholds look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from knowlip.corpus.store import Corpus
from knowlip.model.processor import Processor

_BINS = np.linspace(-4, 4, 33)


def _histogram(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Levels of the pixels and of 4 x 4 multilooked cells, with mean, spreads and gradient."""
    smooth = image.reshape(image.shape[0] // 4, 4, image.shape[1] // 4, 4).mean(axis=(1, 3))
    counts = [np.histogram(x, _BINS)[0] / x.size for x in (image, smooth)]
    return np.concatenate([*counts, [image.mean(), image.std(), smooth.std(), np.abs(np.diff(smooth, axis=0)).mean()]])


def _hog(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Oriented gradients of 2 x 2 multilooked cells on a 4 x 4 grid."""
    from skimage.feature import hog

    small = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2).mean(axis=(1, 3))
    cell = small.shape[0] // 4
    found: NDArray[np.float64] = hog(small, orientations=9, pixels_per_cell=(cell, cell), cells_per_block=(2, 2))
    return found


_KINDS = {"histogram": _histogram, "hog": _hog}


class HandMade:
    """Histograms of levels, gradients, or both, with ridge regression to TF-IDF for retrieval.

    Args:
        kind: `histogram`, `hog` or `hog+histogram`.
    """

    def __init__(self, kind: str) -> None:
        self.name, self._kind = f"control-{kind}", kind
        # the same normalisation as the model's, so that the control sees what the model sees
        self._processor = Processor()
        self._cache: dict[str, list[NDArray[np.float32]]] = {}

    def _of_tile(self, corpus: Corpus, tile_id: str) -> list[NDArray[np.float32]]:
        """Each kind's features of every polarisation in its own place, 0 for those absent."""
        tile = corpus.pixels(tile_id)
        image = dict(zip(tile.polarisations, self._processor(tile), strict=True))
        levels = []
        for kind in self._kind.split("+"):
            of_channel = {p: _KINDS[kind](x) for p, x in image.items()}
            empty = np.zeros_like(next(iter(of_channel.values())))
            placed = [of_channel.get(p, empty) for p in self._processor.level_db]
            levels.append(np.concatenate(placed).astype(np.float32))
        return levels

    def features(self, corpus: Corpus, tile_ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """One level a kind."""
        for t in tile_ids:
            if t not in self._cache:
                self._cache[t] = self._of_tile(corpus, t)
        return [np.stack(level) for level in zip(*(self._cache[t] for t in tile_ids), strict=True)]

    def similarity(
        self, corpus: Corpus, texts: Mapping[str, str], train: Sequence[str], test: Sequence[str]
    ) -> NDArray[np.float32]:
        """Cosine of predicted and true TF-IDF vectors."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2)
        target = words.fit_transform([texts[t] for t in train]).toarray()
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 6)))
        ridge.fit(np.hstack(self.features(corpus, train)), target - target.mean(0))
        guess = ridge.predict(np.hstack(self.features(corpus, test)))
        truth = words.transform([texts[t] for t in test]).toarray() - target.mean(0)
        norm = np.linalg.norm(guess, axis=1, keepdims=True) * np.linalg.norm(truth, axis=1)
        return np.asarray(guess @ truth.T / np.maximum(norm, 1e-12), np.float32)
