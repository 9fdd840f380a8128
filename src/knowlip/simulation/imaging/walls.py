"""Walls of buildings and stacks of containers: corner with the ground, windows and balconies, eaves, bright corners."""

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import Kind, Structures
from knowlip.simulation.imaging.geometry import Look
from knowlip.simulation.imaging.scatterers import Scatterers

Floats = NDArray[np.float32]

# Levels are set so that 15 m x 12 m x 12 m houses on 35 % of the ground, in all directions, have a mean sigma0 of about
# -2 dB at 38 deg, a middle of C-band values of cities; the imaging core scales them to the level it wants.
# Cross sections in m2 for each m2 of wall (length times height): the dihedral met squarely at tan(incidence) of one,
# the windows, and the eaves per metre of wall.
_DIHEDRAL = 6.2
_FACADE = 0.5
_EAVES = 0.3
# One wall in so many has a corner that outshines it, by a log-normal strength of that mean and spread.
_CORNER_SHARE = 0.06
_CORNER_M2 = 260.0
_CORNER_SPREAD_DB = 5.0
# Root-mean-square slopes of the ground before the walls, asphalt and grass, and the share of walls' strength on each.
_SLOPES = ((0.07, 0.75), (0.28, 0.25))
# What never goes away however a wall is turned: steps, bays, fences.
_TURNED_FLOOR = 0.015
_STOREY_M = 3.0
_METAL_GAIN = 2.5
_RAD = np.float32(np.pi / 180)
_TABLE_DEG = np.arange(0.0, 90.5, 0.5)


def dihedral_law(turned_deg: NDArray[np.floating], incidence_deg: float) -> NDArray[np.float64]:
    """Relative strength of a wall's corner with the ground, by how far the wall is turned from facing the radar.

    In the geometrical-optics solution for a wall on rough ground the power goes with the length and height of the wall,
    cos(turn), and exp(-tan^2(incidence) sin^2(turn) / (2 s^2)) for a ground of root-mean-square slope s; two grounds
    are mixed here, so that it falls fast within some 5-10 deg and slowly after, as measured with asphalt and grass.

    Args:
        turned_deg: Angle in the ground plane between the wall's normal and the direction to the radar.
        incidence_deg: Incidence angle.

    Returns:
        1 where the wall is met squarely.

    Source: Franceschetti, Iodice & Riccio 2002, "A canonical problem in electromagnetic backscattering from buildings",
    IEEE TGRS 40(8); Ferro, Brunner, Bruzzone & Lemoine 2011, "On the relationship between double bounce and the
    orientation of buildings in VHR SAR images", IEEE GRSL 8(4). Slopes and their shares are assumed.
    """
    turn = np.deg2rad(np.asarray(turned_deg, np.float64))
    met = (np.tan(np.deg2rad(incidence_deg)) * np.sin(turn)) ** 2
    mixed = sum(share * np.exp(-met / (2 * slope**2)) for slope, share in _SLOPES)
    return np.asarray(np.cos(turn) * np.maximum(mixed, _TURNED_FLOOR), np.float64)


def cross_share(turned_deg: NDArray[np.floating], incidence_deg: float) -> NDArray[np.float64]:
    """Cross- over like-polarised power of a wall's corner: a turned wall turns the polarisation.

    The orientation angle is tan(psi) = tan(turn) / cos(incidence), and the ratio rises with sin^2(2 psi) to a plateau
    of -5 dB that is reached at about 30 deg.

    Source: Kimura 2008, "Radar polarization orientation shifts in built-up areas", IEEE GRSL 5(2), for the angle;
    Thirion-Lefevre, Guinvarc'h & Colin-Koeniguer 2020, "The combined effect of orientation angle and material on PolSAR
    images of urban areas", Remote Sensing 12(10), for the plateau. The -14 dB of a wall met squarely are assumed.
    """
    turn = np.deg2rad(np.minimum(np.asarray(turned_deg, np.float64), 89.0))
    psi = np.minimum(np.arctan(np.tan(turn) / np.cos(np.deg2rad(incidence_deg))), np.pi / 4)
    return np.asarray(10**-1.4 + (10**-0.5 - 10**-1.4) * np.sin(2 * psi) ** 2, np.float64)


class _Draws:
    """Log-normal factors of mean 1 from a pool drawn once, read from a random place: a city needs millions."""

    def __init__(self, rng: np.random.Generator, walls: int) -> None:
        self._rng = rng
        self._size = 1 << min(16, max(10, (4 * walls).bit_length()))
        self._normal = rng.standard_normal(self._size, dtype=np.float32)

    def __call__(self, n: int, spread_db: float) -> Floats:
        s = np.float32(spread_db * np.log(10) / 10)
        pool = np.exp(s * self._normal - np.float32(0.5) * s * s)
        start = int(self._rng.integers(self._size))
        # a stride that shares no factor with the pool's length
        stride = int(self._rng.integers(self._size // 4)) * 2 + 1
        return np.asarray(pool[(np.arange(n, dtype=np.int64) * stride + start) & (self._size - 1)], np.float32)


def _spread(whose: NDArray[np.intp], counts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Index of each point among its owner's."""
    return np.arange(whose.size) - np.repeat(np.cumsum(counts) - counts, counts)


def wall_scatterers(structures: Structures, look: Look, rng: np.random.Generator, detail_m: float) -> Scatterers:
    """Scatterers of the two walls that each building or stack of containers turns to the radar.

    Args:
        structures: All structures; other kinds are passed over.
        look: Geometry of the acquisition.
        rng: Source of the strengths.
        detail_m: Resolution that decides how finely walls are sampled.

    Returns:
        Corners with the ground, facades, eaves, and single bright corners.
    """
    boxes = structures.take((structures.kind == Kind.BUILDING) | (structures.kind == Kind.CONTAINERS))
    if len(boxes) == 0:
        return Scatterers.join([])
    toward_x, toward_y = -np.float32(look.along_xy[0]), -np.float32(look.along_xy[1])
    axis = boxes.axis_deg * _RAD
    sin, cos = np.sin(axis), np.cos(axis)
    # normals of the end walls (the axis) and the long walls (across), each on the side towards the radar
    ahead, right = sin * toward_x - cos * toward_y, cos * toward_x + sin * toward_y
    facing = np.concatenate([np.abs(ahead), np.abs(right)])
    ends, sides = np.sign(ahead), np.sign(right)
    half_l, half_w = np.float32(0.5) * boxes.length_m, np.float32(0.5) * boxes.width_m
    x = np.concatenate([boxes.x_m + ends * half_l * sin, boxes.x_m + sides * half_w * cos])
    y = np.concatenate([boxes.y_m - ends * half_l * cos, boxes.y_m + sides * half_w * sin])
    run_x, run_y = np.concatenate([cos, sin]), np.concatenate([sin, -cos])
    long, high = np.concatenate([boxes.width_m, boxes.length_m]), np.concatenate([boxes.height_m, boxes.height_m])
    turned = np.arccos(np.minimum(facing, np.float32(1))) / _RAD
    gain = np.where(boxes.kind == Kind.CONTAINERS, np.float32(_METAL_GAIN), np.float32(1))
    area = long * high * np.concatenate([gain, gain])

    draws = _Draws(rng, long.size)
    step = (turned * np.float32(2) + np.float32(0.5)).astype(np.intp)
    law = dihedral_law(_TABLE_DEG, look.incidence_deg).astype(np.float32)[step]
    crossed = cross_share(_TABLE_DEG, look.incidence_deg).astype(np.float32)[step]
    tangent = np.float32(np.tan(np.deg2rad(look.incidence_deg)))
    # houses differ in material and yards
    foot = np.float32(_DIHEDRAL) * tangent * area * law * draws(long.size, 2.5)

    counts = np.maximum(np.round(long / np.float32(max(detail_m, 0.7))), 1).astype(np.intp)
    whose = np.repeat(np.arange(long.size), counts)
    share = np.float32(1) / counts[whose]
    at = ((_spread(whose, counts) + np.float32(0.5)) * share - np.float32(0.5)) * long[whose]
    co = foot[whose] * share * draws(whose.size, 3.0)
    px, py = (x[whose] + at * run_x[whose]), (y[whose] + at * run_y[whose])
    out = [_scatterers(px, py, np.zeros_like(px), co, co * crossed[whose])]

    eaves = np.float32(_EAVES) * (long * facing)[whose] * share * draws(whose.size, 4.0)
    out.append(_scatterers(px, py, high[whose], eaves, eaves * np.float32(0.12)))

    out.append(
        _facades(
            x, y, run_x, run_y, long, high, np.asarray(np.float32(_FACADE) * area * facing, np.float32), draws, detail_m
        )
    )

    chosen = np.flatnonzero(rng.random(long.size, dtype=np.float32) < _CORNER_SHARE * facing)
    strong = np.float32(_CORNER_M2) * draws(chosen.size, _CORNER_SPREAD_DB)
    off = (rng.random(chosen.size, dtype=np.float32) - np.float32(0.5)) * long[chosen]
    up = high[chosen] * rng.random(chosen.size, dtype=np.float32) ** 2
    out.append(
        _scatterers(
            x[chosen] + off * run_x[chosen], y[chosen] + off * run_y[chosen], up, strong, np.float32(0.1) * strong
        )
    )
    return Scatterers.join(out)


def _facades(
    x: Floats,
    y: Floats,
    run_x: Floats,
    run_y: Floats,
    long: Floats,
    high: Floats,
    total: Floats,
    draws: _Draws,
    detail_m: float,
) -> Scatterers:
    """Windows and balconies in rows and columns up each wall, as in images that resolve them."""
    cell = np.float32(max(_STOREY_M, detail_m))
    rows = np.maximum(np.round(high / cell), 1).astype(np.intp)
    columns = np.maximum(np.round(long / (cell * np.float32(1.15))), 1).astype(np.intp)
    counts = rows * columns
    whose = np.repeat(np.arange(long.size), counts)
    k = _spread(whose, counts)
    row, column = np.divmod(k, columns[whose])
    at = ((column + np.float32(0.5)) / columns[whose] - np.float32(0.5)).astype(np.float32) * long[whose]
    up = ((row + np.float32(0.5)) / rows[whose]).astype(np.float32) * high[whose]
    co = (total / counts)[whose].astype(np.float32) * draws(whose.size, 5.0)
    return _scatterers(x[whose] + at * run_x[whose], y[whose] + at * run_y[whose], up, co, co * np.float32(0.16))


def _scatterers(x: Floats, y: Floats, z: Floats, co: Floats, cross: Floats) -> Scatterers:
    return Scatterers(*(np.asarray(column, np.float32) for column in (x, y, z, co, cross)))
