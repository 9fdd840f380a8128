"""Land cover of a tile: zones by level and texture, classes within them by their own level, roads by shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.corpus.store import TilePixels
from knowlip.hcot.cover.cells import CELL_PX, Cells, measure
from knowlip.hcot.cover.levels import SceneLevel, fitted_shares, on_cells
from knowlip.hcot.cover.roads import dark_lines
from knowlip.hcot.cover.shares import corrected_shares
from knowlip.hcot.cover.table import (
    CLASSES,
    CODE,
    MAP_LOG_LIKELIHOOD,
    SPECKLE_TEXTURE,
    ZONES,
    class_posterior,
    zone_log_likelihood,
)

_ZONE_STEP, _VOTE = 2, 5
_SCENES = 0.4
"""Weight of a scene's shares of zones against a tile's own."""
_WITNESSES = 2.0
"""How many independent observations the votes together are worth; their windows overlap."""
_SEA, _INLAND = np.float32(2.0), np.float32(-1.5)
"""What the coastline adds to the log likelihood of water. Inland, runways are as dark as lakes, and commoner."""
_MOST_AGAINST = 12.0
"""Log likelihood that one cell can hold against a zone, so that a ship does not turn its surroundings to land."""


@dataclass(frozen=True)
class CoverMap:
    """A tile's land cover on cells of `CELL_PX` pixels.

    Attributes:
        codes: `(h, w)` uint8, codes of `LANDCOVER`, 0 where there is no data.
        confidence: `(h, w)` probability of the chosen class.
        mean_db: `(h, w)` local mean of the first polarisation, on the class table's scale.
        texture: `(h, w)` texture on the class table's scale.
        probability: `(6, h, w)` of `CLASSES`; 0 where there is no data. Roads' lines are in the codes alone.
        with_map: Whether maps took part.
    """

    codes: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    mean_db: NDArray[np.float32]
    texture: NDArray[np.float32]
    probability: NDArray[np.float32]
    with_map: bool = False

    def share(self, name: str) -> float:
        """Expected share of a class: many cells that are each a little likely a street make some street."""
        return float(self._shares[CLASSES.index(name)])

    @cached_property
    def _shares(self) -> NDArray[np.float64]:
        known = np.count_nonzero(self.codes)
        return corrected_shares(self.probability.sum(axis=(1, 2), dtype=np.float64) / max(known, 1), self.with_map)


def classify(
    pixels: TilePixels,
    scene: SceneLevel,
    sea: NDArray[np.bool_] | None = None,
    people_per_km2: float | None = None,
    map_cover: NDArray[np.uint8] | None = None,
    cells: Cells | None = None,
) -> CoverMap:
    """Land cover of a tile.

    Args:
        pixels: The tile.
        scene: From `scene_level`.
        sea: `(k, k)` coastline grid; where it says sea, water is far more likely, and inland less so.
        people_per_km2: Population density around; houses under trees look like woodland, but not where people live.
        map_cover: `(H, W)` codes of maps on the tile's pixels, 0 where they do not say; evidence like any other, as
            maps are wrong in places, out of date or out of place.
        cells: What `measure` gives for the tile, where that is known already.
    """
    cells = measure(pixels) if cells is None else cells
    offset = scene.offset_db.astype(np.float32)[:, None, None]
    near, wide = cells.near_db + offset, cells.wide_db + offset
    texture = cells.texture + np.float32(SPECKLE_TEXTURE - scene.speckle_texture)
    prior = scene.prior if people_per_km2 is None else _settled(scene.prior, people_per_km2)
    zone = _zones(wide, texture, pixels.polarisations, prior, sea, map_cover)
    posterior = class_posterior(near, pixels.polarisations, zone)
    best = posterior.argmax(axis=0)
    codes = np.array([CODE[c] for c in CLASSES], np.uint8)[best]
    codes = np.where(dark_lines(near[0], codes != CODE["water"]), np.uint8(CODE["road"]), codes)
    codes[~cells.valid] = 0
    posterior[:, ~cells.valid] = 0
    return CoverMap(codes, posterior.max(axis=0), near[0], texture, posterior, map_cover is not None)


def _zones(
    wide_db: NDArray[np.float32],
    texture: NDArray[np.float32],
    polarisations: tuple[str, ...],
    prior: NDArray[np.float64],
    sea: NDArray[np.bool_] | None,
    map_cover: NDArray[np.uint8] | None,
) -> NDArray[np.float32]:
    """Probabilities `(5, h, w)` of `ZONES`; their windows are so wide that every other cell is enough."""
    h, w = texture.shape
    wide_db, texture = wide_db[:, ::_ZONE_STEP, ::_ZONE_STEP], texture[::_ZONE_STEP, ::_ZONE_STEP]
    likelihood = zone_log_likelihood(wide_db, texture, polarisations)
    if sea is not None:
        likelihood[0] += np.where(on_cells(sea, texture.shape), _SEA, _INLAND)
    mapped = np.float32(0) if map_cover is None else _mapped(map_cover, texture.shape)
    prior = fitted_shares((likelihood + mapped).reshape(len(ZONES), -1), prior, _SCENES)
    likelihood = np.maximum(likelihood, likelihood.max(axis=0) - np.float32(_MOST_AGAINST))
    # neighbours vote: cells are far smaller than the patches that a zone comes in
    votes = ndimage.uniform_filter(likelihood, (0, _VOTE, _VOTE), mode="nearest")
    joint = np.float32(_WITNESSES) * votes + mapped + np.log(prior).astype(np.float32)[:, None, None]
    zone = np.exp(joint - joint.max(axis=0))
    zone /= zone.sum(axis=0)
    return zone.repeat(_ZONE_STEP, axis=1).repeat(_ZONE_STEP, axis=2)[:, :h, :w]


def _mapped(map_cover: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Log likelihoods `(5, h, w)` of what maps say, at every other cell."""
    step = CELL_PX * _ZONE_STEP
    codes = map_cover[::step, ::step][: shape[0], : shape[1]]
    return MAP_LOG_LIKELIHOOD[:, codes]


def _settled(prior: NDArray[np.float64], people_per_km2: float) -> NDArray[np.float64]:
    """A prior that knows how many people live around: from 0.8 to four times the built-up share.

    300 people per square kilometre make suburbs by the UN's Degree of Urbanisation, and are neutral. Few known people
    say little, since gazetteers leave out villages.
    """
    factor = np.ones(len(ZONES))
    factor[ZONES.index("building")] = np.clip(people_per_km2 / 300, 0.8, 4.0)
    settled = prior * factor
    return np.asarray(settled / settled.sum())
