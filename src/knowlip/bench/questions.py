"""Questions with exact answers: from simulation truth, for tiles that have it. The forms are the published ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from knowlip.core.statements import LANDCOVER
from knowlip.corpus.store import Corpus

PRESENT_SHARE = 0.03
"""A class counts as present from this share of the tile on."""

MAIN_LANDFORM = "What is the most dominant class in the image?"
ALL_LANDFORMS = "What classes are present in the image?"
COUNT = "How many targets are in this image?"


@dataclass(frozen=True)
class Truth:
    """True answers of one split, by tile.

    Attributes:
        main: Dominant land-cover class.
        present: All classes present, in the order of their codes.
        count: Number of targets, 0 included.
    """

    main: dict[str, str]
    present: dict[str, tuple[str, ...]]
    count: dict[str, int]


@lru_cache(maxsize=6)
def true_answers(corpus: Corpus, split: str) -> Truth:
    """True answers for the tiles of a split that carry simulation truth; others are not asked."""
    frame = corpus.tiles
    tiles = [t for t in corpus.tile_ids(split) if frame.at[t, "knowlip:landcover"]]
    main, present = {}, {}
    for tile_id in tiles:
        cover = corpus.landcover(tile_id)
        assert cover is not None
        shares = np.bincount(cover.ravel(), minlength=max(LANDCOVER) + 1)[1:] / np.count_nonzero(cover)
        main[tile_id] = LANDCOVER[int(shares.argmax()) + 1]
        present[tile_id] = tuple(name for code, name in LANDCOVER.items() if shares[code - 1] >= PRESENT_SHARE)
    counts = Counter(corpus.table("objects")["tile_id"].to_pylist())
    return Truth(main, present, {t: counts[t] for t in tiles})
