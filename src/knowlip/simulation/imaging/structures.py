"""What is built, as point scatterers: walls with the ground before them, facades, roof corners, tanks, masts, bridges.

A wall and the ground form a dihedral. It returns strongly when the wall faces the radar, falls off within some ten
degrees, and then keeps a level that windows, balconies and street furniture give it; what it returns in cross
polarisation grows as it turns away. How much a wall returns in all is set by the caller, who knows the mean backscatter
of built-up land; strengths here are relative to that for walls, and square metres for all else.

Sources: Franceschetti, Iodice, Riccio 2002, "A canonical problem in electromagnetic backscattering from buildings", IEEE
TGRS 40(8); Ferro, Brunner, Bruzzone, Lemoine 2011, "On the relationship between double bounce and the orientation of
buildings in VHR SAR images", IEEE GRSL 8(4); Thirion-Lefevre, Guinvarc'h 2018, "The double Brewster angle effect",
Comptes Rendus Physique 19, and Yamaguchi et al. 2011, IEEE TGRS 49(6), for cross polarisation of turned buildings.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import Kind, Structures
from knowlip.simulation.imaging.geometry import Look
from knowlip.simulation.imaging.scatterers import Scatterers

Array = NDArray[np.float32]

# Width and floor of the fall-off with the wall's angle: Ferro et al. 2011 measured a drop of some 10 dB within ten
# degrees and a slow one after that.
FACING_STD_DEG = 8.0
FACING_FLOOR = 0.06
# Shares of a wall's power; this project's assumption.
_FACADE_SHARE, _CORNER_SHARE = 0.3, 0.15
_CROSS_FACING, _CROSS_TURNED = 0.08, 0.35
# Deviations in dB between buildings and between places on one wall; project's assumption. The heavy upper tail that
# real cities show comes from the two together and from corners.
_BUILDING_DB, _PLACE_DB, _CORNER_DB = 3.0, 4.0, 6.0
_METAL_GAIN = 3.0
_CORNER_CHANCE = 0.15
_MOST_POINTS = 64

# Square metres; orders of magnitude of this project, after what such things look like beside ships in C- and X-band
# images. Per metre of height, or of length for bridges and rails.
_TANK_M2 = 2.0
_MAST_M2 = {Kind.CHIMNEY: 1.0, Kind.PYLON: 4.0, Kind.CRANE: 8.0}
_BRIDGE_M2, _RAIL_M2 = 4.0, 0.4
_CROSS_OF_METAL = 0.15


@dataclass(frozen=True)
class _Walls:
    """The walls that face the radar, one a row; all (N,) float32."""

    x_m: Array
    y_m: Array
    along_x: Array
    along_y: Array
    length_m: Array
    height_m: Array
    off_deg: Array
    strength: Array


def wall_scatterers(structures: Structures, look: Look, rng: np.random.Generator, detail_m: float) -> Scatterers:
    """Buildings and stacks of containers.

    Args:
        structures: Any structures; others are passed over.
        look: The geometry.
        rng: Source of the strengths.
        detail_m: Distance between scatterers on a wall, the sensor's resolution.

    Returns:
        Scatterers whose cross sections are relative: square metres of wall times a factor of about 1.
    """
    boxes = structures.take((structures.kind == Kind.BUILDING) | (structures.kind == Kind.CONTAINERS))
    if len(boxes) == 0:
        return Scatterers.join([])
    walls = _facing_walls(boxes, look, rng)
    facing = np.float32(FACING_FLOOR) + np.float32(1 - FACING_FLOOR) * np.exp(
        np.float32(-0.5) * np.square(walls.off_deg / np.float32(FACING_STD_DEG))
    )
    turned = np.square(np.sin(np.deg2rad(2 * walls.off_deg)))
    area = walls.length_m * walls.height_m * walls.strength
    like = area * facing
    # turning a dihedral by an angle moves power from like to cross polarisation with the sine of twice the angle
    cross = area * (np.float32(_CROSS_FACING) * facing + np.float32(_CROSS_TURNED * FACING_FLOOR) * turned)
    fine = detail_m < 5.0
    parts = [_along_walls(walls, like, cross, 1 - _FACADE_SHARE if fine else 1.0, 0.0, rng, detail_m)]
    if fine:
        slant = np.maximum(np.cos(np.deg2rad(walls.off_deg)), 0)
        mean = np.float32(0.15) * area * slant
        parts.append(_along_walls(walls, mean, mean * np.float32(0.3), _FACADE_SHARE, 1.0, rng, detail_m))
    parts.append(_corners(boxes, look, rng))
    return Scatterers.join(parts)


def _facing_walls(boxes: Structures, look: Look, rng: np.random.Generator) -> _Walls:
    """Of each box the two walls that the radar sees."""
    to_radar = np.float32(look.azimuth_deg + 180)
    # of each pair of parallel walls the one whose normal is nearer to the radar
    walls = []
    strength = _log_normal(len(boxes), _BUILDING_DB, rng)
    strength[boxes.kind == Kind.CONTAINERS] *= np.float32(_METAL_GAIN)
    for normal_deg, length, depth in (
        (boxes.axis_deg + np.float32(90), boxes.length_m, boxes.width_m),
        (boxes.axis_deg, boxes.width_m, boxes.length_m),
    ):
        off = (normal_deg - to_radar + np.float32(180)) % np.float32(360) - np.float32(180)
        away = np.abs(off) > 90
        normal = np.deg2rad(np.where(away, normal_deg + np.float32(180), normal_deg))
        nx, ny = np.sin(normal), -np.cos(normal)
        x, y = boxes.x_m + nx * depth / 2, boxes.y_m + ny * depth / 2
        off_deg = np.where(away, 180 - np.abs(off), np.abs(off)).astype(np.float32)
        walls.append((x, y, -ny, nx, length, boxes.height_m, off_deg, strength))
    return _Walls(*(np.concatenate(c).astype(np.float32) for c in zip(*walls, strict=True)))


def _along_walls(
    walls: _Walls, like: Array, cross: Array, share: float, up: float, rng: np.random.Generator, detail_m: float
) -> Scatterers:
    """Points along the foot of each wall (`up` 0) or all over it (`up` 1)."""
    n = np.clip(np.rint(walls.length_m / detail_m), 1, _MOST_POINTS).astype(np.int32)
    if up:
        n = np.minimum(n * np.clip(np.rint(walls.height_m / 4), 1, 8).astype(np.int32), _MOST_POINTS)
    which = np.repeat(np.arange(len(n)), n)
    # jittered places: rank within the wall, plus a part of the spacing
    rank = (np.arange(len(which)) - np.repeat(np.cumsum(n) - n, n)).astype(np.float32)
    at = (rank + rng.random(len(which), dtype=np.float32)) / n[which] - np.float32(0.5)
    if up:
        at = rng.random(len(which), dtype=np.float32) - np.float32(0.5)
    offset = at * walls.length_m[which]
    high = rng.random(len(which), dtype=np.float32) * walls.height_m[which] * np.float32(up)
    weight = _log_normal(len(which), _PLACE_DB, rng) * np.float32(share) / n[which]
    return Scatterers(
        walls.x_m[which] + walls.along_x[which] * offset,
        walls.y_m[which] + walls.along_y[which] * offset,
        high,
        like[which] * weight,
        cross[which] * weight,
    )


def _corners(boxes: Structures, look: Look, rng: np.random.Generator) -> Scatterers:
    """Trihedrals that some buildings form with roofs, courts and balconies, bright whatever the direction."""
    some = boxes.take(np.flatnonzero(rng.random(len(boxes)) < _CORNER_CHANCE))
    n = len(some)
    u, v = (rng.random((2, n), dtype=np.float32) - np.float32(0.5)) * np.stack([some.length_m, some.width_m])
    a = np.deg2rad(some.axis_deg)
    mean = some.height_m * (some.length_m + some.width_m) * np.float32(_CORNER_SHARE / _CORNER_CHANCE * 0.2)
    rcs = mean * _log_normal(n, _CORNER_DB, rng)
    return Scatterers(
        some.x_m + u * np.sin(a) + v * np.cos(a),
        some.y_m - u * np.cos(a) + v * np.sin(a),
        some.height_m * rng.random(n, dtype=np.float32),
        rcs,
        rcs * np.float32(0.25),
    )


def fixture_scatterers(structures: Structures, look: Look, rng: np.random.Generator, detail_m: float) -> Scatterers:
    """Tanks, chimneys, pylons, cranes, bridges and rails, in square metres.

    Args:
        structures: Any structures; buildings and containers are passed over.
        look: The geometry.
        rng: Source of the strengths.
        detail_m: Distance between scatterers, the sensor's resolution.
    """
    parts = [_tanks(structures.take(structures.kind == Kind.TANK), look, rng)]
    parts += [
        _masts(structures.take(structures.kind == kind), per_m, rng, detail_m) for kind, per_m in _MAST_M2.items()
    ]
    parts.append(_lines(structures.take(structures.kind == Kind.RAIL), look, rng, detail_m, _RAIL_M2, (0.0,)))
    bridges = structures.take(structures.kind == Kind.BRIDGE)
    # over water a bridge is three lines: its edge laid over, the bounce between edge and water, and the one that takes
    # the water twice, as far behind as the first lies before (Soergel, Cadario, Gross, Thiele, Thoennessen 2006,
    # "Bridge detection in multi-aspect high-resolution interferometric SAR data", EUSAR)
    parts.append(_lines(bridges, look, rng, detail_m, _BRIDGE_M2, (1.0, 0.0, -1.0)))
    return Scatterers.join(parts)


def _tanks(tanks: Structures, look: Look, rng: np.random.Generator) -> Scatterers:
    """The near rim laid over, the crescent of the wall's foot towards the radar, and the far rim.

    Source: Guida, Iodice, Riccio, Stilla 2008, "Model-based interpretation of high-resolution SAR images of buildings",
    IEEE JSTARS 1(2), for cylinders as rows of facets; three bright features as in reports on tank farms in SAR.
    """
    n = len(tanks)
    points = 24
    turn = np.linspace(-70, 70, points, dtype=np.float32)
    radius = tanks.width_m[:, None] / 2
    total = np.float32(_TANK_M2) * tanks.width_m * tanks.height_m
    parts = []
    for towards_deg, height_share, share in ((180.0, 1.0, 0.3), (180.0, 0.0, 0.5), (0.0, 1.0, 0.2)):
        direction = np.deg2rad(np.float32(look.azimuth_deg + towards_deg) + turn)[None, :]
        shape = np.exp(-0.5 * np.square(turn / 30))[None, :]
        weight = shape / shape.sum() * _log_normal(n * points, 3.0, rng).reshape(n, points)
        rcs = (total[:, None] * np.float32(share) * weight).ravel()
        parts.append(
            Scatterers(
                (tanks.x_m[:, None] + radius * np.sin(direction)).ravel(),
                (tanks.y_m[:, None] - radius * np.cos(direction)).ravel(),
                np.repeat(tanks.height_m * np.float32(height_share), points),
                rcs.astype(np.float32),
                (rcs * _CROSS_OF_METAL).astype(np.float32),
            )
        )
    return Scatterers.join(parts)


def _masts(masts: Structures, per_m: float, rng: np.random.Generator, detail_m: float) -> Scatterers:
    """Upright things: the foot with the ground returns half, the rest is spread up to the top and laid over."""
    n = np.clip(np.rint(masts.height_m / max(detail_m, 2.0)), 2, _MOST_POINTS).astype(np.int32)
    which = np.repeat(np.arange(len(n)), n)
    rank = (np.arange(len(which)) - np.repeat(np.cumsum(n) - n, n)).astype(np.float32)
    share = np.where(rank == 0, np.float32(0.5), np.float32(0.5) / np.maximum(n[which] - 1, 1))
    rcs = np.float32(per_m) * masts.height_m[which] * share * _log_normal(len(which), 3.0, rng)
    jitter = (rng.random((2, len(which)), dtype=np.float32) - np.float32(0.5)) * masts.width_m[which]
    return Scatterers(
        masts.x_m[which] + jitter[0],
        masts.y_m[which] + jitter[1],
        masts.height_m[which] * rank / np.maximum(n[which] - 1, 1),
        rcs.astype(np.float32),
        (rcs * np.float32(_CROSS_OF_METAL)).astype(np.float32),
    )


def _lines(
    lines: Structures, look: Look, rng: np.random.Generator, detail_m: float, per_m: float, levels: tuple[float, ...]
) -> Scatterers:
    """Long low things, bright where they run across the look; one line at each of the levels, shares of the height."""
    off = np.abs((lines.axis_deg + 90 - np.float32(look.azimuth_deg) + 90) % 180 - 90)
    facing = np.float32(0.1) + np.float32(0.9) * np.exp(np.float32(-0.5) * np.square(off / np.float32(10)))
    n = np.clip(np.rint(lines.length_m / detail_m), 1, 1000).astype(np.int32)
    which = np.repeat(np.arange(len(n)), n)
    rank = (np.arange(len(which)) - np.repeat(np.cumsum(n) - n, n)).astype(np.float32)
    offset = ((rank + rng.random(len(which), dtype=np.float32)) / n[which] - np.float32(0.5)) * lines.length_m[which]
    a = np.deg2rad(lines.axis_deg)[which]
    side = lines.width_m[which] / 2
    # the edge that faces the radar
    x, y = look.along_xy
    x_m = lines.x_m[which] + offset * np.sin(a) - side * np.float32(x)
    y_m = lines.y_m[which] - offset * np.cos(a) - side * np.float32(y)
    mean = np.float32(per_m) * (lines.length_m * facing / n)[which]
    parts = []
    for level in levels:
        rcs = (mean * _log_normal(len(which), 3.0, rng)).astype(np.float32)
        parts.append(
            Scatterers(x_m, y_m, lines.height_m[which] * np.float32(level), rcs, rcs * np.float32(_CROSS_OF_METAL))
        )
    return Scatterers.join(parts)


def _log_normal(n: int, std_db: float, rng: np.random.Generator) -> Array:
    """Factors (n,) of mean 1."""
    s = np.float32(std_db * np.log(10) / 10)
    return np.asarray(np.exp(s * rng.standard_normal(n, dtype=np.float32) - np.float32(0.5) * s * s), np.float32)
