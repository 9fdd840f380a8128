"""Questions with exact answers: from simulation truth, for tiles that have it. Their words are in `hcot.answers`.

Answers keep all land-cover classes apart, where the published ones call woodland and farmland vegetation.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from knowlip.core.statements import LANDCOVER, PRESENT_SHARE
from knowlip.corpus.store import Corpus


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
