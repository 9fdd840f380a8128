"""How an image was seen, as numbers: the projection properties that can become tokens of the image encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from knowlip.corpus.store import Corpus

GEO_PROPERTIES = (
    "gsd_m",
    "incidence_deg",
    "look_azimuth_deg",
    "centre_frequency_ghz",
    "lat_deg",
    "lon_deg",
    "season",
)
"""What there is; `season` is the fraction of the year that has passed, in [0, 1)."""
_COLUMN = {
    "gsd_m": "gsd",
    "incidence_deg": "view:incidence_angle",
    "look_azimuth_deg": "view:azimuth",
    "centre_frequency_ghz": "sar:center_frequency",
}


def geo_properties(corpus: Corpus, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Properties `(G,)` of every tile by its id, in the order of `names`, each in its own unit; NaN for unknown."""
    ids = corpus.tile_column("id").to_pylist()
    columns = [_column(corpus, name) for name in names]
    table = np.stack(columns, 1) if columns else np.zeros((len(ids), 0), np.float32)
    return dict(zip(ids, table, strict=True))


def _column(corpus: Corpus, name: str) -> NDArray[np.float32]:
    if name in ("lat_deg", "lon_deg"):
        found = [(c or {}).get(name[:3]) for c in corpus.tile_column("proj:centroid").to_pylist()]
    elif name == "season":
        found = [season(t) for t in corpus.tile_column("datetime").to_pylist()]
    else:
        found = corpus.tile_column(_COLUMN[name]).to_pylist()
    return np.array([np.nan if v is None else v for v in found], np.float32)


def season(acquired: object) -> float | None:
    """The fraction of the year that has passed at a time, None where the time is not known."""
    if acquired is None:
        return None
    time = pd.Timestamp(acquired)  # type: ignore[arg-type]
    begin = pd.Timestamp(year=time.year, month=1, day=1, tz=time.tz)
    return float((time - begin) / (begin + pd.DateOffset(years=1) - begin))
