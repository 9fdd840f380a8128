"""Land cover measured from backscatter and texture, without training: class likelihoods from published statistics.

A tile is multilooked to cells of 2 x 2 pixels. Each cell has a local mean per polarisation and a local texture; each
class has an expected level and spread. Uncalibrated scenes get the level that explains their own histogram best.

Sources of the levels (C band, 30 to 45 degrees): Ulaby, Dobson 1989, "Radar Scattering Statistics for Terrain";
Torres et al. 2012 and ESA's Sentinel-1 performance reports for noise-limited water in cross polarisation; Abdelfattah,
Nicolas 2006 for built-up texture. Spreads and textures of cells, and how levels vary within built-up land, are those of
simulated Sentinel-1 scenes, whose levels follow the same sources and are checked against real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import logsumexp

from knowlip.core.statements import LANDCOVER
from knowlip.corpus.store import TilePixels

CELL_PX = 2
AREA_CLASSES: Final = ("water", "woodland", "farmland", "building", "bare")
CODE = {name: code for code, name in LANDCOVER.items()}


@dataclass(frozen=True)
class Component:
    """One kind of ground within a class: mean and spread of local means in dB, and of texture.

    Texture is the ln of local squared variation over the scene's own speckle level. Levels of polarisations rise and
    fall together by the correlation, so that what lies between them tells more than either: cross polarisation is
    weak over walls that face the radar and over a windy sea, and strong in crowns of trees.
    """

    weight: float
    co_db: tuple[float, float]
    cross_db: tuple[float, float]
    texture: tuple[float, float]
    correlation: float


_CLASSES: dict[str, tuple[Component, ...]] = {
    # thermal noise holds water up in cross polarisation; wind spreads it in co-polarisation, and so do ships and shores
    "water": (
        Component(0.85, (-18.0, 3.4), (-25.0, 1.2), (0.2, 0.4), 0.2),
        Component(0.15, (-14.7, 5.0), (-22.3, 3.0), (1.5, 1.0), 0.7),
    ),
    "woodland": (Component(1.0, (-8.3, 1.8), (-13.8, 1.7), (0.6, 0.6), 0.7),),
    "farmland": (Component(1.0, (-11.9, 1.8), (-19.0, 1.7), (0.5, 0.55), 0.7),),
    "building": (
        # houses among trees are as bright as woodland but rougher, though hardly where 8 bits clip bright points
        Component(0.15, (-6.5, 2.0), (-13.3, 1.8), (0.95, 0.4), 0.6),
        Component(0.4, (-5.6, 1.6), (-13.4, 1.4), (1.4, 0.6), 0.6),
        # walls that face the radar, and quarters that none face
        Component(0.2, (-2.2, 2.4), (-11.5, 2.0), (1.8, 0.8), 0.6),
        Component(0.25, (-8.9, 1.8), (-16.0, 1.6), (1.4, 0.7), 0.6),
    ),
    "bare": (Component(1.0, (-13.4, 2.2), (-19.6, 1.9), (0.7, 0.7), 0.85),),
}

_PRIOR = {"water": 0.12, "woodland": 0.22, "farmland": 0.28, "building": 0.24, "bare": 0.14}
_MEAN_WINDOW, _TEXTURE_WINDOW, _VOTE_WINDOW = 3, 7, 5


@dataclass(frozen=True)
class SceneLevel:
    """What a scene's cells say together.

    Attributes:
        offset_db: `(C,)` added to the tile's dB to reach sigma nought; 0 for calibrated scenes.
        texture_floor: ln of the squared variation of plain speckle.
        prior: `(5,)` shares of `AREA_CLASSES` in the scene.
    """

    offset_db: NDArray[np.float64]
    texture_floor: float
    prior: NDArray[np.float64]


@dataclass(frozen=True)
class CoverMap:
    """A tile's land cover on cells of `CELL_PX` pixels.

    Attributes:
        codes: `(h, w)` uint8, codes of `LANDCOVER`, 0 where there is no data.
        confidence: `(h, w)` posterior of the chosen class.
        mean_db: `(h, w)` local mean of the first polarisation, on the class table's scale.
        texture: `(h, w)` ln of squared variation over speckle.
    """

    codes: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    mean_db: NDArray[np.float32]
    texture: NDArray[np.float32]

    def share(self, name: str) -> float:
        """Share of the cells with data that are of a class."""
        known = np.count_nonzero(self.codes)
        return np.count_nonzero(self.codes == CODE[name]) / known if known else 0.0


@dataclass(frozen=True)
class Cells:
    """Features on cells: `mean_db (C, h, w)`, `texture (h, w)` raw ln of squared variation, `valid (h, w)`."""

    mean_db: NDArray[np.float32]
    texture: NDArray[np.float32]
    valid: NDArray[np.bool_]


def measure(pixels: TilePixels) -> Cells:
    """Local mean and texture of every cell."""
    c, h, w = pixels.db.shape
    h, w = h // CELL_PX, w // CELL_PX
    blocks = pixels.db[:, : h * CELL_PX, : w * CELL_PX].reshape(c, h, CELL_PX, w, CELL_PX)
    absent: NDArray[np.bool_] = np.asarray(np.isnan(blocks).any(axis=(0, 2, 4)))
    power = np.exp(np.where(absent[None, :, None, :, None], 0, blocks) * np.float32(np.log(10) / 10)).mean(axis=(2, 4))
    weight = (~absent).astype(np.float32)
    power *= weight

    def local(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        smooth: NDArray[np.float32] = ndimage.uniform_filter(values, size, mode="nearest")
        return smooth

    near, wide = (np.maximum(local(weight, size), np.float32(1e-6)) for size in (_MEAN_WINDOW, _TEXTURE_WINDOW))
    mean = np.stack([local(p, _MEAN_WINDOW) for p in power]) / near
    first = np.maximum(local(power[0], _TEXTURE_WINDOW) / wide, 1e-9)
    second = local(power[0] ** 2, _TEXTURE_WINDOW) / wide
    variation = np.maximum(second / first**2 - 1, 1e-3)
    return Cells(np.float32(10) * np.log10(np.maximum(mean, 1e-9)), np.log(variation), ~absent)


def _log_likelihood(
    mean_db: NDArray[np.floating], texture: NDArray[np.floating], polarisations: tuple[str, ...]
) -> NDArray[np.float64]:
    """`(5, …)` class log likelihoods of levels `(C, …)` and texture `(…)` above speckle."""
    total = []
    for name in AREA_CLASSES:
        parts = []
        for part in _CLASSES[name]:
            t_mean, t_spread = part.texture
            value = np.log(part.weight / t_spread) - 0.5 * ((texture - t_mean) / t_spread) ** 2
            levels = [part.cross_db if p in ("VH", "HV") else part.co_db for p in polarisations]
            first = (mean_db[0] - levels[0][0]) / levels[0][1]
            value = value - 0.5 * first**2 - np.log(levels[0][1])
            rest = np.sqrt(1 - part.correlation**2)
            for k, (mean, spread) in enumerate(levels[1:], 1):
                # what is left once the first level is known
                own = ((mean_db[k] - mean) / spread - part.correlation * first) / rest
                value = value - 0.5 * own**2 - np.log(spread * rest)
            parts.append(value)
        total.append(reduce(np.logaddexp, parts))
    return np.stack(total)


def scene_level(
    samples: list[Cells], polarisations: tuple[str, ...], calibrated: bool, sea: list[NDArray[np.bool_]] | None
) -> SceneLevel:
    """Fit what the scene's tiles have in common.

    Args:
        samples: Cells of some of the scene's tiles.
        sea: Coastline grid of each of these tiles; the sea's level fixes an uncalibrated scene's scale.
    """
    step = max(1, sum(s.valid.size for s in samples) // 20_000)
    mean = np.concatenate([s.mean_db[:, s.valid] for s in samples], axis=1)[:, ::step].astype(np.float64)
    raw_texture = np.concatenate([s.texture[s.valid] for s in samples])[::step].astype(np.float64)
    if mean.shape[1] == 0:
        return SceneLevel(np.zeros(len(polarisations)), 0.0, np.array(list(_PRIOR.values())))
    # the smoothest tenth is plain speckle: water, fields, meadows exist in nearly every scene
    floor = float(np.percentile(raw_texture, 10))
    prior = np.array([_PRIOR[c] for c in AREA_CLASSES])
    at_sea = np.zeros(mean.shape[1], bool)
    if sea is not None:
        at_sea = np.concatenate([_on_cells(g, s.valid.shape)[s.valid] for g, s in zip(sea, samples, strict=True)])[
            ::step
        ]
        prior[0] = np.clip(at_sea.mean(), 0.03, 0.97)
        prior[1:] *= (1 - prior[0]) / prior[1:].sum()
    texture = raw_texture - floor
    offset = np.zeros(len(polarisations))
    if not calibrated:
        offset = (
            _self_calibrate(mean, texture, polarisations, prior)
            if at_sea.mean() < 0.03
            else _sea_level(mean[:, at_sea], polarisations)
        )
    likelihood = _log_likelihood(mean + offset[:, None], texture, polarisations)
    fitted = prior
    for _ in range(10):
        posterior = np.exp(
            likelihood + np.log(fitted)[:, None] - logsumexp(likelihood + np.log(fitted)[:, None], axis=0)
        )
        # ten per cent of the general prior keeps every class possible everywhere
        fitted = 0.9 * posterior.mean(axis=1) + 0.1 * prior
    return SceneLevel(offset, floor, fitted)


def _sea_level(mean_db: NDArray[np.float64], polarisations: tuple[str, ...]) -> NDArray[np.float64]:
    """The offset that brings the sea to its usual level, each channel for itself."""
    water = _CLASSES["water"][0]
    usual = np.array([(water.cross_db if p in ("VH", "HV") else water.co_db)[0] for p in polarisations])
    return usual - np.median(mean_db, axis=1)


_MEDIAN_DB = {True: (-14.5, 2.0), False: (-8.5, 2.0)}
"""Median of a scene of land, cross- and co-polarised: what keeps a scene of one kind of ground from drifting."""
_MEDIAN_WEIGHT = 0.4


def _self_calibrate(
    mean_db: NDArray[np.float64],
    texture: NDArray[np.float64],
    polarisations: tuple[str, ...],
    prior: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The offset, common to all channels, under which the class table explains the scene's cells best."""
    thin = max(1, mean_db.shape[1] // 4000)
    mean_db, texture = mean_db[:, ::thin], texture[::thin]
    median = np.median(mean_db[0])
    usual, spread = _MEDIAN_DB[polarisations[0] in ("VH", "HV")]
    candidates = np.arange(-26.0, -2.0, 0.5) - median

    def fit(offset: float) -> float:
        likelihood = _log_likelihood(mean_db + offset, texture, polarisations)
        weights = prior
        for _ in range(3):
            joint = likelihood + np.log(weights)[:, None]
            total = logsumexp(joint, axis=0)
            weights = 0.5 * np.exp(joint - total).mean(axis=1) + 0.5 * prior
        surprise = _MEDIAN_WEIGHT * ((median + offset - usual) / spread) ** 2 / 2
        return float(total.mean()) - float((prior * np.log(prior / weights)).sum()) - surprise

    best = max(candidates, key=fit)
    return np.full(len(polarisations), best)


def classify(
    pixels: TilePixels, scene: SceneLevel, sea: NDArray[np.bool_] | None = None, people_per_km2: float | None = None
) -> CoverMap:
    """Land cover of a tile.

    Args:
        pixels: The tile.
        scene: From `scene_level`.
        sea: `(k, k)` coastline grid; where it says sea, water is far more likely, and inland less so.
        people_per_km2: Population density around; houses under trees look like woodland, but not where people live.
    """
    cells = measure(pixels)
    polarisations = pixels.polarisations
    mean, texture = (
        cells.mean_db + scene.offset_db.astype(np.float32)[:, None, None],
        cells.texture - np.float32(scene.texture_floor),
    )
    prior = scene.prior if people_per_km2 is None else _settled(scene.prior, people_per_km2)
    joint = _log_likelihood(mean, texture, polarisations) + np.log(prior)[:, None, None]
    if sea is not None:
        joint[0] += np.where(_on_cells(sea, texture.shape), 2.0, -0.5)
    # neighbours vote: cells are far smaller than the patches that a class comes in
    joint = ndimage.uniform_filter(
        np.maximum(joint, joint.max(axis=0) - 12), (0, _VOTE_WINDOW, _VOTE_WINDOW), mode="nearest"
    )
    best = joint.argmax(axis=0)
    confidence = np.exp(joint.max(axis=0) - logsumexp(joint, axis=0)).astype(np.float32)
    codes = np.array([CODE[c] for c in AREA_CLASSES], np.uint8)[best]
    codes = np.where(_roads(mean[0], codes), np.uint8(CODE["road"]), codes)
    codes[~cells.valid] = 0
    return CoverMap(codes, confidence, mean[0], texture)


def _on_cells(grid: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A coarse grid over a tile, repeated onto its cells."""
    rows, cols = (np.arange(n) * k // n for n, k in zip(shape, grid.shape, strict=True))
    return grid[rows[:, None], cols]


def _settled(prior: NDArray[np.float64], people_per_km2: float) -> NDArray[np.float64]:
    """A prior that knows how many people live around: from a quarter to four times the built-up share.

    500 people per square kilometre is neutral; 1,500 makes an urban centre by the UN's Degree of Urbanisation.
    """
    factor = np.ones(len(AREA_CLASSES))
    factor[AREA_CLASSES.index("building")] = np.clip(np.sqrt((people_per_km2 + 30) / 500), 0.25, 4.0)
    settled = prior * factor
    return np.asarray(settled / settled.sum())


_LINE_LENGTH, _LINE_SIDE = 13, 3
_LINE_CONTRAST_DB = 2.5
_LINE_MIN_CELLS = 30


def _roads(mean_db: NDArray[np.float32], codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Dark lines with brighter ground on both sides, at least `_LINE_MIN_CELLS` cells in one piece."""
    found = np.zeros(mean_db.shape, bool)
    for angle in np.arange(8) * np.pi / 8:
        dy, dx = np.sin(angle), np.cos(angle)
        steps = np.arange(_LINE_LENGTH) - _LINE_LENGTH // 2
        kernel = np.zeros((_LINE_LENGTH, _LINE_LENGTH), np.float32)
        kernel[
            np.rint(steps * dy).astype(int) + _LINE_LENGTH // 2, np.rint(steps * dx).astype(int) + _LINE_LENGTH // 2
        ] = 1
        line = _along(mean_db, kernel / kernel.sum())
        sides = [
            ndimage.shift(line, (s * _LINE_SIDE * dx, -s * _LINE_SIDE * dy), order=0, mode="nearest") for s in (-1, 1)
        ]
        found |= np.minimum(*sides) - line > _LINE_CONTRAST_DB
    found &= codes != CODE["water"]
    labels, count = ndimage.label(found, np.ones((3, 3)))
    if count == 0:
        return found
    size = np.bincount(labels.ravel())
    size[0] = 0
    kept: NDArray[np.bool_] = (size >= _LINE_MIN_CELLS)[labels]
    return kept


def _along(image: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Correlation with a sparse kernel as a sum of shifted images, which beats a dense convolution at this size."""
    k = kernel.shape[0] // 2
    padded = np.pad(image, k, mode="edge")
    h, w = image.shape
    total = np.zeros_like(image)
    for y, x in zip(*np.nonzero(kernel), strict=True):
        total += kernel[y, x] * padded[y : y + h, x : x + w]
    return total
