"""What a scene's tiles have in common: its level where it is not calibrated, its speckle, and what ground it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.hcot.cover.cells import Cells
from knowlip.hcot.cover.table import (
    KINDS,
    SPECKLE_TEXTURE,
    ZONE_PRIOR,
    ZONES,
    is_cross,
    zone_log_likelihood,
)


@dataclass(frozen=True)
class SceneLevel:
    """What a scene's cells say together.

    Attributes:
        offset_db: `(C,)` added to the tile's dB to reach sigma nought; 0 for calibrated scenes.
        speckle_texture: Texture of plain speckle in this scene.
        prior: `(5,)` shares of `ZONES` in the scene.
    """

    offset_db: NDArray[np.float64]
    speckle_texture: float
    prior: NDArray[np.float64]


_MAX_SAMPLES, _MAX_FIT_SAMPLES = 20_000, 4_000
_MIN_SEA = 0.03
_GENERAL = 0.1
"""Weight of the general shares of zones against a scene's own."""
_BRIGHT_PERCENT = 95
_BRIGHT_DB = {True: (-12.8, 1.2), False: (-4.5, 1.8)}
"""The 95th percentile of a scene's wide levels, cross- and co-polarised: crowns and houses are as bright nearly
everywhere, whatever sea or fields do to the median (14 simulated cities; western Los Angeles agrees by its sea)."""
_BRIGHT_WEIGHT = 0.4


def on_cells(grid: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A coarse grid over a tile, repeated onto its cells."""
    rows, cols = (np.arange(n) * k // n for n, k in zip(shape, grid.shape, strict=True))
    return grid[rows[:, None], cols]


def scene_level(
    samples: Sequence[Cells],
    polarisations: tuple[str, ...],
    calibrated: bool,
    sea: Sequence[NDArray[np.bool_]] | None,
) -> SceneLevel:
    """Fit what the scene's tiles have in common.

    Args:
        samples: Cells of some of the scene's tiles.
        sea: Coastline grid of each of these tiles; the sea's level fixes an uncalibrated scene's scale.
    """
    valid = np.concatenate([s.valid.ravel() for s in samples])
    kept = np.flatnonzero(valid)[:: max(1, valid.size // _MAX_SAMPLES)]
    wide = np.concatenate([s.wide_db.reshape(len(polarisations), -1) for s in samples], axis=1)[:, kept]
    texture = np.concatenate([s.texture.ravel() for s in samples])[kept]
    prior = np.array([ZONE_PRIOR[z] for z in ZONES])
    if wide.shape[1] == 0:
        return SceneLevel(np.zeros(len(polarisations)), SPECKLE_TEXTURE, prior)
    at_sea = np.zeros(wide.shape[1], bool)
    if sea is not None:
        grids = [on_cells(g, s.valid.shape).ravel() for g, s in zip(sea, samples, strict=True)]
        at_sea = np.concatenate(grids)[kept]
        prior[0] = np.clip(at_sea.mean(), 0.03, 0.97)
        prior[1:] *= (1 - prior[0]) / prior[1:].sum()
    speckle = _speckle_texture(texture)
    texture = texture + np.float32(SPECKLE_TEXTURE - speckle)
    offset = np.zeros(len(polarisations))
    if not calibrated:
        offset = (
            _self_calibrate(wide, texture, polarisations, prior)
            if at_sea.mean() < _MIN_SEA
            else _sea_level(wide[:, at_sea], polarisations)
        )
    likelihood = zone_log_likelihood(wide + offset[:, None], texture, polarisations)
    return SceneLevel(offset, speckle, fitted_shares(likelihood, prior, _GENERAL))


_SMOOTHEST_PERCENT, _BELOW_MEAN = 1.0, 0.15
"""The first percentile of plain speckle's texture lies so far below its mean (calm sea of development scenes)."""
_GROUNDS_OWN = 0.5
"""A scene without smooth ground looks rougher by up to so much; only what goes beyond is the sensor's speckle."""


def _speckle_texture(texture: NDArray[np.float32]) -> float:
    """Texture of plain speckle: Sentinel-1's, unless the scene's smoothest ground says that looks were far others."""
    smoothest = float(np.percentile(texture, _SMOOTHEST_PERCENT)) + _BELOW_MEAN
    return SPECKLE_TEXTURE if abs(smoothest - SPECKLE_TEXTURE) < _GROUNDS_OWN else smoothest


def fitted_shares(
    likelihood: NDArray[np.floating], prior: NDArray[np.float64], weight_of_prior: float
) -> NDArray[np.float64]:
    """Shares `(5,)` of the zones by expectation maximisation, drawn towards a prior that keeps each zone possible.

    Args:
        likelihood: `(5, N)` log likelihoods.
        weight_of_prior: 0 to 1, how much of the answer the prior is.
    """
    relative, _ = _relative(likelihood)
    shares = prior
    for _ in range(10):
        shares = (1 - weight_of_prior) * _found(relative, shares) + weight_of_prior * prior
    return shares


def _relative(likelihood: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Likelihoods `(5, N)` against the largest of each sample, and the log `(N,)` of that one."""
    best = likelihood.max(axis=0).astype(np.float64)
    return np.exp(likelihood - best), best


def _found(relative: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean probabilities `(5,)` of the zones under these shares."""
    return np.asarray(shares * (relative @ (1 / (shares @ relative))) / relative.shape[1])


def _sea_level(wide_db: NDArray[np.float32], polarisations: tuple[str, ...]) -> NDArray[np.float64]:
    """The offset that brings the sea to its usual level, each channel for itself."""
    water = KINDS["water"][0]
    usual = np.array([(water.cross_db if is_cross(p) else water.co_db)[0] for p in polarisations])
    return usual - np.median(wide_db, axis=1)


def _self_calibrate(
    wide_db: NDArray[np.float32],
    texture: NDArray[np.float32],
    polarisations: tuple[str, ...],
    prior: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The offset, common to all channels, under which the class table explains the scene's cells best."""
    thin = max(1, wide_db.shape[1] // _MAX_FIT_SAMPLES)
    wide_db, texture = wide_db[:, ::thin], texture[::thin]
    bright = np.percentile(wide_db[0], _BRIGHT_PERCENT)
    usual, spread = _BRIGHT_DB[is_cross(polarisations[0])]
    candidates = np.arange(-26.0, 4.0, 0.5) - bright

    def fit(offset: float) -> float:
        relative, best = _relative(zone_log_likelihood(wide_db + np.float32(offset), texture, polarisations))
        weights = prior
        for _ in range(3):
            before, weights = weights, 0.5 * _found(relative, weights) + 0.5 * prior
        total = best + np.log(before @ relative)
        surprise = _BRIGHT_WEIGHT * ((bright + offset - usual) / spread) ** 2 / 2
        return float(total.mean()) - float((prior * np.log(prior / weights)).sum()) - surprise

    return np.full(len(polarisations), max(candidates, key=fit))
