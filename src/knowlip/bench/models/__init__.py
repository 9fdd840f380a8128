"""Compared models, one module a family. A model gives patches of tiles, and similarities of tiles and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from knowlip.corpus.store import Corpus


class BenchModel(Protocol):
    """What every compared model offers."""

    name: str

    def __hash__(self) -> int:
        """By identity, so that what was fitted on a model is found again."""
        ...

    def patches(self, corpus: Corpus, tile_ids: Sequence[str]) -> NDArray[np.float32]:
        """Frozen features of tiles' patches `(N, P, F)`, for heads that are fitted the same way for every model."""
        ...

    def similarity(
        self, corpus: Corpus, texts: Mapping[str, str], train: Sequence[str], test: Sequence[str]
    ) -> NDArray[np.float32]:
        """Similarity `(N, N)` of the test tiles (rows) with the test tiles' texts (columns).

        Args:
            texts: Text of every training and test tile.
            train: Tiles that a model without pretraining may be fitted on.
        """
        ...
