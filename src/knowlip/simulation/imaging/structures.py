"""Tanks, masts, bridges and rails as point scatterers, all at once.

Levels in m2 are this project's assumption, orders of magnitude after what such things look like beside ships.
"""

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import Kind, Structures
from knowlip.simulation.imaging.geometry import Look
from knowlip.simulation.imaging.scatterers import Scatterers

Floats = NDArray[np.float32]

_RAD = np.float32(np.pi / 180)
# Like-polarised cross sections: of tanks per metre of diameter (the foot: and of height), of masts per metre of height,
# of bridges and rails per metre of length.
_TANK_FOOT_M2 = 2.5
_TANK_NEAR_RIM_M2 = 6.0
_TANK_FAR_RIM_M2 = 2.0
_MAST_FOOT_M2 = {Kind.CHIMNEY: 5.0, Kind.PYLON: 3.0, Kind.CRANE: 10.0}
_MAST_STEM_M2 = {Kind.CHIMNEY: 1.0, Kind.PYLON: 1.5, Kind.CRANE: 6.0}
_BRIDGE_M2 = (5.0, 15.0, 4.0)
_BRIDGE_LOBE_STD_DEG = 20.0
_RAIL_M2 = 0.6
_RAIL_LOBE_STD_DEG = 6.0
_METAL_CROSS_LOSS_DB = 9.0


def _strengths(mean: Floats, spread_db: float, rng: np.random.Generator) -> Floats:
    """Log-normal strengths of that mean each."""
    s = np.float32(spread_db * np.log(10) / 10)
    normal = rng.standard_normal(mean.size, dtype=np.float32)
    return np.asarray(mean * np.exp(s * normal - np.float32(0.5) * s * s), np.float32)


def _repeat(counts: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats]:
    """For each of the points, whose it is and where it sits in (0, 1) of its owner's."""
    whose = np.repeat(np.arange(counts.size), counts)
    first = np.cumsum(counts) - counts
    place = (np.arange(whose.size) - first[whose] + 0.5) / counts[whose]
    return whose, place.astype(np.float32)


def _metal(x: Floats, y: Floats, z: Floats, co: Floats, rng: np.random.Generator) -> Scatterers:
    cross = co * np.float32(10 ** (-_METAL_CROSS_LOSS_DB / 10))
    return Scatterers(x, y, z, co, _strengths(cross, 2.0, rng))


def _tanks(tanks: Structures, look: Look, rng: np.random.Generator, detail_m: float) -> list[Scatterers]:
    """Near rim at the top, the crescent at the foot, the far rim: the three marks of a tank.

    Source: Zhang et al. 2012, "The understanding of SAR images of cylindrical oil tanks", Journal of Radars (doi
    10.3724/SP.J.1300.2012.20020) for rims and foot; Villamil Lopez & Stilla 2021, "Monitoring of oil tank filling with
    spaceborne SAR using coherent scatterers", IEEE JSTARS 14, for the semicircular double reflection.
    """
    radius = 0.5 * tanks.width_m
    to_radar = np.float32((look.azimuth_deg + 180) * np.pi / 180)
    size = tanks.width_m * tanks.height_m
    out = []
    counts = np.maximum(np.round(np.float32(np.pi) * radius / max(detail_m, 1.0)), 5).astype(np.intp)
    whose, place = _repeat(counts)
    turn = (place - np.float32(0.5)) * np.float32(np.pi) * np.float32(0.96)
    x = tanks.x_m[whose] + radius[whose] * np.sin(to_radar + turn)
    y = tanks.y_m[whose] - radius[whose] * np.cos(to_radar + turn)
    for up, level, width in ((np.zeros_like(x), _TANK_FOOT_M2, 0.6), (tanks.height_m[whose], _TANK_NEAR_RIM_M2, 0.25)):
        law = np.exp(np.float32(-0.5) * (turn / np.float32(width)) ** 2) + np.float32(0.04)
        total = np.bincount(whose, law, len(tanks)).astype(np.float32)
        scale = size if level == _TANK_FOOT_M2 else tanks.width_m
        mean = np.float32(level) * (law / total[whose]) * scale[whose]
        out.append(_metal(x, y, up, _strengths(mean, 2.5, rng), rng))
    away_x, away_y = np.float32(look.along_xy[0]), np.float32(look.along_xy[1])
    far = _strengths(np.float32(_TANK_FAR_RIM_M2) * tanks.width_m, 3.0, rng)
    out.append(_metal(tanks.x_m + radius * away_x, tanks.y_m + radius * away_y, tanks.height_m, far, rng))
    return out


def _masts(kind: Kind, masts: Structures, rng: np.random.Generator, detail_m: float) -> list[Scatterers]:
    """A chain from the bright foot, a double bounce with the ground, to the top."""
    foot = _strengths(np.float32(_MAST_FOOT_M2[kind]) * masts.height_m, 3.0, rng)
    out = [_metal(masts.x_m, masts.y_m, np.zeros_like(masts.x_m), foot, rng)]
    counts = np.maximum(np.round(masts.height_m / max(detail_m, 2.0)), 3).astype(np.intp)
    whose, place = _repeat(counts)
    # the footprint narrows to the top
    spread = np.float32(0.5) * (np.float32(1.1) - place) * (rng.random(place.size, dtype=np.float32) - np.float32(0.5))
    axis = masts.axis_deg[whose] * _RAD
    off = spread * np.where(rng.random(place.size) < 0.5, masts.length_m[whose], masts.width_m[whose])
    x = masts.x_m[whose] + off * np.sin(axis)
    y = masts.y_m[whose] - off * np.cos(axis)
    share = np.where(place > 1 - 1.01 / counts[whose], np.float32(2.5), np.float32(1.0))
    mean = np.float32(_MAST_STEM_M2[kind]) * masts.height_m[whose] / counts[whose] * share
    out.append(
        _metal(
            x.astype(np.float32),
            y.astype(np.float32),
            masts.height_m[whose] * place,
            _strengths(mean.astype(np.float32), 4.0, rng),
            rng,
        )
    )
    return out


def _lines(
    lines: Structures, look: Look, rng: np.random.Generator, detail_m: float, std_deg: float, floor: float
) -> tuple[NDArray[np.intp], Floats, Floats, Floats, Floats]:
    """Points along the axes: owner, x, y, metres of line each stands for, and strength by how squarely it is met."""
    counts = np.maximum(np.ceil(lines.length_m / max(detail_m, 1.0)), 1).astype(np.intp)
    whose, place = _repeat(counts)
    axis = lines.axis_deg[whose] * _RAD
    along = (place - np.float32(0.5)) * lines.length_m[whose]
    off = np.arccos(np.clip(np.abs(np.sin(axis - np.float32(look.azimuth_deg) * _RAD)), 0, 1)) / _RAD
    met = np.float32(floor) + np.float32(1 - floor) * np.exp(np.float32(-0.5) * (off / np.float32(std_deg)) ** 2)
    x, y = lines.x_m[whose] + along * np.sin(axis), lines.y_m[whose] - along * np.cos(axis)
    metres = lines.length_m[whose] / counts[whose].astype(np.float32)
    return whose, x, y, metres, np.asarray(met, np.float32)


def _bridges(bridges: Structures, look: Look, rng: np.random.Generator, detail_m: float) -> list[Scatterers]:
    """Three parallel lines: the deck's near side laid over, its corner with the water, and a triple bounce behind.

    The double bounce appears on the water under the near side; water, deck, water makes a path as from the deck's
    mirror image, as deep as the deck is high. The lines lie h / tan(incidence) apart where the bridge crosses the look.

    Source: Soergel, Gross, Thiele & Thoennessen 2007, "Extraction of bridges over water in multi-aspect high-resolution
    InSAR data", ISPRS Archives 36. Levels and lobe are assumed.
    """
    whose, x, y, metres, met = _lines(bridges, look, rng, detail_m, _BRIDGE_LOBE_STD_DEG, 0.06)
    axis = bridges.axis_deg[whose] * _RAD
    across = np.cos(axis) * np.float32(look.along_xy[0]) + np.sin(axis) * np.float32(look.along_xy[1])
    near = -np.sign(across) * np.float32(0.5) * bridges.width_m[whose]
    x, y = x + near * np.cos(axis), y + near * np.sin(axis)
    high = bridges.height_m[whose]
    out = []
    for up, level, spread in ((high, _BRIDGE_M2[0], 3.0), (0 * high, _BRIDGE_M2[1], 3.0), (-high, _BRIDGE_M2[2], 4.0)):
        out.append(_metal(x, y, up, _strengths(np.float32(level) * met * metres, spread, rng), rng))
    return out


def _rails(rails: Structures, look: Look, rng: np.random.Generator, detail_m: float) -> list[Scatterers]:
    """A faint line, bright where it crosses the look."""
    _, x, y, metres, met = _lines(rails, look, rng, detail_m, _RAIL_LOBE_STD_DEG, 0.03)
    return [_metal(x, y, np.zeros_like(x), _strengths(np.float32(_RAIL_M2) * met * metres, 4.0, rng), rng)]


def fixture_scatterers(structures: Structures, look: Look, rng: np.random.Generator, detail_m: float) -> Scatterers:
    """Tanks, chimneys, pylons, cranes, bridges and rails, as the radar meets them.

    Args:
        structures: What stands on the ground; buildings and containers are passed over (see `walls`).
        look: Geometry of the acquisition.
        rng: Source of the strengths.
        detail_m: Resolution of the image, which decides how finely things are sampled.

    Returns:
        Scatterers of all kinds in square metres; the triple bounce under bridges has heights below zero.
    """
    chosen = {kind: structures.take(structures.kind == kind) for kind in (*_MAST_FOOT_M2, *_OTHERS)}
    parts = [p for kind in _MAST_FOOT_M2 if len(chosen[kind]) for p in _masts(kind, chosen[kind], rng, detail_m)]
    for kind, made in _OTHERS.items():
        if len(chosen[kind]):
            parts += made(chosen[kind], look, rng, detail_m)
    return Scatterers.join(parts)


_OTHERS = {Kind.TANK: _tanks, Kind.BRIDGE: _bridges, Kind.RAIL: _rails}
