"""Controls: hand-made features with linear heads, fitted on the same training split as the model under test.

Sources: Dalal, Triggs 2005, "Histograms of oriented gradients for human detection"; a histogram of levels is what a
radar analyst's thresholds look at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from knowlip.corpus.store import Corpus
from knowlip.model.processor import Processor

_BINS = np.linspace(-4, 4, 33)
PATCH = 32
"""Side of a patch in pixels; on the demonstration's scenes 16 was no better in cross-validation."""


def _multilook(images: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Means of k x k pixels of the last two axes."""
    *first, H, W = images.shape
    return images.reshape(*first, H // k, k, W // k, k).mean(axis=(-3, -1))


def _histograms(images: NDArray[np.float32]) -> NDArray[np.floating]:
    """Levels of the pixels and of 4 x 4 multilooked cells `(n, H, W)`, with mean, spreads and gradient `(n, F)`."""
    n, bins = len(images), len(_BINS) - 1
    smooth = _multilook(images, 4)

    def histogram(values: NDArray[np.float32]) -> NDArray[np.floating]:
        level = np.clip(np.digitize(values.reshape(n, -1), _BINS) - 1, 0, bins - 1)
        found = np.bincount((level + bins * np.arange(n)[:, None]).ravel(), minlength=n * bins)
        return found.reshape(n, bins) / level.shape[1]

    sides = (1, 2)
    moments = [images.mean(sides), images.std(sides), smooth.std(sides), np.abs(np.diff(smooth, axis=1)).mean(sides)]
    return np.concatenate([histogram(images), histogram(smooth), np.stack(moments, 1)], 1)


def _histogram_patches(image: NDArray[np.float32]) -> NDArray[np.floating]:
    rows, columns = (side // PATCH for side in image.shape)
    cut = image.reshape(rows, PATCH, columns, PATCH).swapaxes(1, 2).reshape(-1, PATCH, PATCH)
    return _histograms(cut)


def _hog(image: NDArray[np.float32]) -> NDArray[np.floating]:
    """Oriented gradients of 2 x 2 multilooked cells on a 4 x 4 grid."""
    from skimage.feature import hog

    small = _multilook(image, 2)
    cell = small.shape[0] // 4
    found: NDArray[np.floating] = hog(small, orientations=9, pixels_per_cell=(cell, cell), cells_per_block=(2, 2))
    return found


def _hog_patches(image: NDArray[np.float32]) -> NDArray[np.floating]:
    """Oriented gradients of 2 x 2 multilooked cells, each patch a block of 2 x 2."""
    from skimage.feature import hog

    cell = PATCH // 4
    found = hog(_multilook(image, 2), 9, (cell, cell), (2, 2), feature_vector=False)
    blocks: NDArray[np.floating] = found[::2, ::2].reshape(-1, 4 * 9)
    return blocks


Features = Callable[[NDArray[np.float32]], NDArray[np.floating]]
_WHOLE: dict[str, Features] = {"histogram": lambda image: _histograms(image[None])[0], "hog": _hog}
_PATCHES: dict[str, Features] = {"histogram": _histogram_patches, "hog": _hog_patches}


class HandMade:
    """Histograms of levels, gradients, or both, with ridge regression to TF-IDF for retrieval.

    Args:
        kind: `histogram`, `hog` or `hog+histogram`.
    """

    def __init__(self, kind: str) -> None:
        self.name, self._kind = f"control-{kind}", kind
        # the same normalisation as the model's, so that the control sees what the model sees
        self._processor = Processor()
        self._cache: dict[str, NDArray[np.float32]] = {}

    def _of_tile(self, corpus: Corpus, tile_id: str, kinds: Mapping[str, Features]) -> NDArray[np.float32]:
        """Features of every polarisation in its own place along the last axis, 0 for those absent."""
        tile = corpus.pixels(tile_id)
        image = dict(zip(tile.polarisations, self._processor(tile), strict=True))
        parts = []
        for kind in self._kind.split("+"):
            of_channel = {p: kinds[kind](x) for p, x in image.items()}
            empty = np.zeros_like(next(iter(of_channel.values())))
            parts += [of_channel.get(p, empty) for p in self._processor.level_db]
        return np.concatenate(parts, -1).astype(np.float32)

    def patches(self, corpus: Corpus, tile_ids: Sequence[str]) -> NDArray[np.float32]:
        """Features of patches as large as those of the smallest model under test."""
        for t in tile_ids:
            if t not in self._cache:
                self._cache[t] = self._of_tile(corpus, t, _PATCHES)
        return np.stack([self._cache[t] for t in tile_ids])

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
        known, asked = (np.stack([self._of_tile(corpus, t, _WHOLE) for t in ids]) for ids in (train, test))
        ridge.fit(known, target - target.mean(0))
        guess = ridge.predict(asked)
        truth = words.transform([texts[t] for t in test]).toarray() - target.mean(0)
        norm = np.linalg.norm(guess, axis=1, keepdims=True) * np.linalg.norm(truth, axis=1)
        return np.asarray(guess @ truth.T / np.maximum(norm, 1e-12), np.float32)
