"""The class table: what ground of each kind looks like to a C-band radar, without training.

Two scales are told apart. A *zone* is a piece of ground some 200 m wide, known by its mean level and its texture. A
zone is a mosaic of *classes*: built-up land holds houses, streets, yards and trees. Which of them a cell is, is told by
its own level.

Sources of the levels (C band, 30 to 45 degrees): Ulaby, Dobson 1989, "Radar Scattering Statistics for Terrain"; Torres
et al. 2012 and ESA's Sentinel-1 performance reports for noise-limited water in cross polarisation. Spreads, textures
and mosaics are those of simulated Sentinel-1 scenes of 14 cities (`knowlip simulate --cities 14 --seed 101`), whose
levels follow the same sources. Textures of woodland and of houses among trees, and how much of the ground is thought
built up beforehand, are set between these and the real development scenes of western Los Angeles and northern San
Antonio (`benchmarks/hcot_optical.py`), where built-up land is smoother than the simulator makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from knowlip.core.statements import LANDCOVER

CODE = {name: code for code, name in LANDCOVER.items()}
CLASSES: Final = tuple(LANDCOVER.values())
ZONES: Final = ("water", "woodland", "farmland", "building", "bare")

_CROSS = ("HV", "VH")


def is_cross(polarisation: str) -> bool:
    """Whether a channel is of cross polarisation; a channel of unknown polarisation is taken for one."""
    return polarisation in (*_CROSS, "unknown")


@dataclass(frozen=True)
class Kind:
    """One kind of ground within a zone: mean and spread of wide levels in dB, and of texture.

    Levels of polarisations rise and fall together by the correlation, so that what lies between them tells more than
    either: cross polarisation is weak over walls that face the radar and over a windy sea, strong in crowns of trees.
    """

    weight: float
    co_db: tuple[float, float]
    cross_db: tuple[float, float]
    texture: tuple[float, float]
    correlation: float


SPECKLE_TEXTURE = -2.2
"""Texture of plain speckle of Sentinel-1 IW GRDH on cells: calm water in simulated and real development scenes."""

KINDS: dict[str, tuple[Kind, ...]] = {
    # thermal noise holds water up in cross polarisation; wind spreads it in co-polarisation
    "water": (
        Kind(0.85, (-17.0, 4.5), (-24.7, 1.5), (-2.2, 0.18), 0.2),
        # ships, piers and shores
        Kind(0.15, (-13.5, 4.5), (-21.0, 2.5), (-1.4, 0.5), 0.7),
    ),
    "woodland": (
        # closed crowns are hardly rougher than speckle
        Kind(0.9, (-8.1, 1.1), (-13.6, 1.15), (-2.05, 0.15), 0.92),
        # clearings are, and darker
        Kind(0.1, (-9.1, 1.2), (-14.8, 1.3), (-1.65, 0.25), 0.92),
    ),
    "farmland": (Kind(1.0, (-11.6, 1.15), (-18.6, 1.3), (-1.93, 0.22), 0.85),),
    "building": (
        Kind(0.35, (-7.0, 2.2), (-14.3, 1.5), (-1.05, 0.38), 0.7),
        # houses among trees, and where 8 bits clip bright points
        Kind(0.55, (-7.5, 2.0), (-14.2, 1.2), (-1.75, 0.2), 0.75),
        # large dark lots between large bright walls
        Kind(0.1, (-7.0, 3.0), (-17.0, 2.0), (-0.9, 0.4), 0.6),
    ),
    "bare": (Kind(1.0, (-13.3, 1.3), (-19.2, 1.35), (-1.92, 0.28), 0.9),),
}

ZONE_PRIOR = {"water": 0.12, "woodland": 0.2, "farmland": 0.24, "building": 0.32, "bare": 0.12}


_MAP_SAYS = {
    "water": (0.93, 0.01, 0.02, 0.01, 0.005, 0.025),
    "woodland": (0.005, 0.82, 0.12, 0.02, 0.015, 0.02),
    "farmland": (0.005, 0.09, 0.79, 0.03, 0.015, 0.07),
    "building": (0.01, 0.09, 0.14, 0.64, 0.05, 0.07),
    "bare": (0.02, 0.03, 0.24, 0.08, 0.05, 0.58),
}
"""How often a map shows each of `CLASSES` on ground of each zone. Products of 10 m err on a quarter of the ground, most
between sparse vegetation, grass and bare ground, least on water; in town they show gardens and yards as well (after
Tsendbazar et al. 2022, ESA WorldCover Product Validation Report v2.0, whose classes are finer)."""

MAP_LOG_LIKELIHOOD = np.zeros((len(ZONES), len(CLASSES) + 1), np.float32)
"""`(5, 7)` by zone and code of `LANDCOVER`; code 0 says nothing."""
MAP_LOG_LIKELIHOOD[:, 1:] = np.log([_MAP_SAYS[z] for z in ZONES])


@dataclass(frozen=True)
class Part:
    """A class within a zone's mosaic: its share there, and mean and spread of its cells' near levels in dB."""

    share: float
    co_db: tuple[float, float]
    cross_db: tuple[float, float]


_WATER = Part(0.01, (-19.0, 3.5), (-24.6, 1.6))
MOSAIC: dict[str, dict[str, Part]] = {
    "water": {
        "water": Part(0.97, (-16.7, 5.0), (-24.6, 2.2)),
        "building": Part(0.015, (-6.0, 4.0), (-14.0, 3.5)),
        "bare": Part(0.015, (-10.5, 2.5), (-17.5, 2.5)),
    },
    "woodland": {
        "woodland": Part(0.92, (-8.1, 1.3), (-13.4, 1.3)),
        "road": Part(0.03, (-9.0, 1.5), (-14.5, 1.4)),
        "bare": Part(0.03, (-11.0, 1.7), (-16.3, 1.7)),
        "building": Part(0.01, (-6.0, 3.0), (-14.0, 2.0)),
        "water": _WATER,
    },
    "farmland": {
        "farmland": Part(0.91, (-11.9, 1.5), (-19.2, 1.4)),
        "bare": Part(0.03, (-13.0, 1.4), (-19.4, 1.2)),
        "woodland": Part(0.025, (-8.5, 1.6), (-14.2, 1.6)),
        "road": Part(0.025, (-12.3, 1.5), (-19.6, 1.5)),
        "water": _WATER,
    },
    "building": {
        "building": Part(0.51, (-6.1, 3.0), (-13.8, 2.1)),
        "bare": Part(0.22, (-9.4, 3.3), (-16.1, 2.4)),
        "woodland": Part(0.16, (-8.2, 2.2), (-14.4, 1.7)),
        "road": Part(0.11, (-9.7, 3.6), (-16.4, 2.5)),
        "water": _WATER,
    },
    "bare": {
        "bare": Part(0.91, (-13.4, 1.4), (-19.2, 1.3)),
        "road": Part(0.04, (-14.1, 1.6), (-19.9, 1.5)),
        "woodland": Part(0.03, (-9.5, 1.9), (-15.2, 1.8)),
        "building": Part(0.01, (-6.0, 3.0), (-14.0, 2.0)),
        "water": _WATER,
    },
}


def zone_log_likelihood(
    wide_db: NDArray[np.floating], texture: NDArray[np.floating], polarisations: tuple[str, ...]
) -> NDArray[np.float32]:
    """`(5, …)` log likelihoods of `ZONES` from wide levels `(C, …)` and texture `(…)`."""
    whitening, means, log_weights = _normals(polarisations)
    measured = np.concatenate([texture[None], wide_db]).astype(np.float32).reshape(len(wide_db) + 1, -1)
    apart = whitening @ measured - means[..., None]
    apart *= apart
    kinds = log_weights[:, None] - np.float32(0.5) * apart.sum(axis=1)
    zones = np.empty((len(ZONES), measured.shape[1]), np.float32)
    first = 0
    for zone, name in zip(zones, ZONES, strict=True):
        own = kinds[first : (first := first + len(KINDS[name]))]
        best = own.max(axis=0)
        zone[...] = best + np.log(np.exp(own - best).sum(axis=0))
    return zones.reshape(len(ZONES), *texture.shape)


@cache
def _normals(polarisations: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """All kinds, zone by zone, as normal distributions of texture and levels.

    Returns:
        Matrices `(K, 1 + C, 1 + C)` that turn measurements into independent ones of spread 1, the means `(K, 1 + C)`
        of these, and log weights `(K,)` over the spreads.
    """
    kinds = [kind for zone in ZONES for kind in KINDS[zone]]
    size = 1 + len(polarisations)
    whitening, means, log_weights = np.zeros((len(kinds), size, size)), np.zeros((len(kinds), size)), []
    for matrix, mean, kind in zip(whitening, means, kinds, strict=True):
        levels = [kind.cross_db if is_cross(p) else kind.co_db for p in polarisations]
        centre, spread = np.array([kind.texture, *levels]).T
        # other levels are what is left of them once the first is known
        rest = np.array([1.0, 1.0, *[np.sqrt(1 - kind.correlation**2)] * (size - 2)])
        mix = np.eye(size)
        mix[2:, 1] = -kind.correlation
        matrix[...] = mix / spread / rest[:, None]
        mean[...] = matrix @ centre
        log_weights.append(np.log(kind.weight / (spread * rest).prod()))
    return whitening.astype(np.float32), means.astype(np.float32), np.array(log_weights, np.float32)


def class_posterior(
    near_db: NDArray[np.floating], polarisations: tuple[str, ...], zone: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`(6, …)` probabilities of `CLASSES`, given near levels `(C, …)` and probabilities `(5, …)` of `ZONES`."""
    levels = near_db.reshape(len(polarisations), -1) - np.float32(_MIDDLE_DB)
    powers = np.concatenate([np.ones_like(levels[:1]), levels, levels * levels])
    posterior = np.zeros((len(CLASSES), levels.shape[1]), np.float32)
    for name, probability in zip(ZONES, zone.reshape(len(ZONES), -1), strict=True):
        parts = _quadratics(name, polarisations) @ powers
        parts -= parts.max(axis=0)
        np.exp(parts, out=parts)
        parts *= probability / parts.sum(axis=0)
        for share, cls in zip(parts, MOSAIC[name], strict=True):
            posterior[CLASSES.index(cls)] += share
    return posterior.reshape(len(CLASSES), *near_db.shape[1:])


_MIDDLE_DB = -14.0
"""Levels are counted from here, so that their squares stay small."""


@cache
def _quadratics(zone: str, polarisations: tuple[str, ...]) -> NDArray[np.float32]:
    """Log likelihoods of a zone's parts with their shares, as factors `(P, 1 + 2 C)` of 1, levels and squares."""
    rows = []
    for part in MOSAIC[zone].values():
        mean, spread = np.array([part.cross_db if is_cross(p) else part.co_db for p in polarisations]).T
        mean = mean - _MIDDLE_DB
        constant = np.log(part.share / spread.prod()) - (mean**2 / spread**2).sum() / 2
        rows.append([constant, *(mean / spread**2), *(-0.5 / spread**2)])
    return np.array(rows, np.float32)
