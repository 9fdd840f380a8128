"""Ships at their berths, in anchorages and on their way."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.world.grid import Coarse, Grid
from knowlip.simulation.world.harbour import Quay
from knowlip.simulation.world.relief import distance_to
from knowlip.simulation.world.styles import Style
from knowlip.simulation.world.waters import River


@dataclass(frozen=True)
class _Kind:
    """Length range in m, length-to-beam range, weights of being moored, anchored and under way, and speed range."""

    length_m: tuple[float, float]
    slenderness: tuple[float, float]
    weights: tuple[float, float, float]
    speed_m_s: tuple[float, float]


# Lengths and beams span the usual size classes (feeder to ultra-large container ship, coaster to VLCC, handysize to
# capesize bulk carrier) as in the Equasis yearly report and IHS size classes; slenderness is length over beam.
# Speeds are those usual near ports, slower than design speeds (UNCTAD, Review of Maritime Transport, on slow steaming).
SHIP_KINDS: dict[str, _Kind] = {
    "container ship": _Kind((130, 400), (6.2, 7.2), (3.0, 1.5, 2.0), (8, 11)),
    "tanker": _Kind((90, 333), (5.6, 6.6), (1.8, 3.0, 1.6), (6, 8)),
    "bulk carrier": _Kind((110, 300), (5.8, 6.8), (1.8, 3.0, 1.4), (5.5, 7.5)),
    "general cargo": _Kind((70, 170), (5.8, 7.0), (2.5, 2.0, 2.0), (5, 8)),
    "ferry": _Kind((60, 220), (5.0, 7.2), (1.2, 0.0, 1.6), (7.5, 12)),
    "cruise ship": _Kind((150, 360), (6.5, 8.2), (0.5, 0.2, 0.4), (7, 11)),
    "fishing vessel": _Kind((20, 80), (3.4, 5.0), (0.8, 0.6, 2.4), (2, 5)),
    "tug or patrol boat": _Kind((22, 48), (2.6, 4.6), (0.8, 0.4, 1.4), (3, 9)),
}

_STATES = ("moored", "anchored", "under way")
# Ships that call at each kind of terminal.
_TRADES: dict[Style, tuple[str, ...]] = {
    Style.CONTAINERS: ("container ship",),
    Style.TANKS: ("tanker",),
    Style.WAREHOUSES: ("general cargo", "ferry", "cruise ship"),
    Style.NONE: ("bulk carrier", "fishing vessel", "tug or patrol boat"),
}
_IN_RIVER_SHARE = 0.7
_CLEAR_GAP_M = 60.0
_BERTH_GAP_M = 45.0


def _draw_ship(
    state: str, longest_m: float, rng: np.random.Generator, only: tuple[str, ...] | None = None
) -> tuple[str, float, float] | None:
    """Subtype, length and beam of a ship no longer than that, or None when no kind is so short."""
    at = _STATES.index(state)
    names = [n for n, k in SHIP_KINDS.items() if k.length_m[0] < longest_m and k.weights[at] > 0]
    if only is not None:
        names = [n for n in names if n in only]
    if not names:
        return None
    weights = np.array([SHIP_KINDS[n].weights[at] for n in names])
    name = str(rng.choice(names, p=weights / weights.sum()))
    kind = SHIP_KINDS[name]
    low, high = kind.length_m[0], min(kind.length_m[1], longest_m)
    length = float(np.round(low + (high - low) * rng.beta(1.3, 2.0), 1))
    return name, length, float(np.round(length / rng.uniform(*kind.slenderness), 1))


class _Roads:
    """The water as ships find it: takes a ship if it floats there and keeps clear of all others."""

    def __init__(self, grid: Grid, water: NDArray[np.bool_]) -> None:
        self.grid, self.water = grid, water
        self.ships: list[WorldObject] = []
        self._shapes: list[shapely.Geometry] = []
        self._places: list[tuple[float, float, float]] = []

    def _floats(self, ship: WorldObject, margin_m: float) -> bool:
        h = np.deg2rad(ship.heading_deg)
        ahead, right = np.array([np.sin(h), -np.cos(h)]), np.array([np.cos(h), np.sin(h)])
        half_l, half_w = ship.length_m / 2 + margin_m, ship.width_m / 2 + margin_m
        n = int(2 * half_l / self.grid.gsd_m * 1.5) + 3
        a, b = np.meshgrid(np.linspace(-half_l, half_l, n), np.linspace(-half_w, half_w, 5))
        x = ship.centre_xy_m[0] + a * ahead[0] + b * right[0]
        y = ship.centre_xy_m[1] + a * ahead[1] + b * right[1]
        width, height = self.grid.size_m
        if x.min() < 0 or y.min() < 0 or x.max() >= width or y.max() >= height:
            return False
        return bool(self.water[self.grid.pixel(x, y)].all())

    def take(self, ship: WorldObject, gap_m: float, margin_m: float) -> bool:
        """Place the ship if it can lie there; says whether it did."""
        if not self._floats(ship, margin_m):
            return False
        shape = shapely.Polygon(ship.corners_xy_m)
        (x, y), reach = ship.centre_xy_m, 0.5 * float(np.hypot(ship.length_m, ship.width_m))
        if self._places:
            apart = np.array(self._places)
            close = np.hypot(apart[:, 0] - x, apart[:, 1] - y) < apart[:, 2] + reach + gap_m
            near = [self._shapes[k] for k in np.nonzero(close)[0]]
            if near and float(shapely.distance(np.array(near), shape).min()) < gap_m:
                return False
        self._places.append((x, y, reach))
        self.ships.append(ship)
        self._shapes.append(shape)
        return True


def _moor(roads: _Roads, quays: tuple[Quay, ...], rng: np.random.Generator) -> None:
    busy = float(rng.beta(1.6, 1.6))
    for quay in quays:
        start, end, normal = np.array(quay.start_xy_m), np.array(quay.end_xy_m), np.array(quay.normal_xy)
        total = float(np.hypot(*(end - start)))
        if total < 60:
            continue
        along = (end - start) / total
        heading = float(np.rad2deg(np.arctan2(along[0], -along[1])))
        trade = _TRADES.get(quay.terminal) if rng.random() < 0.8 else None
        at = float(rng.uniform(15, 60))
        while at < total - 40:
            drawn = _draw_ship("moored", total - at - 15, rng, trade) if rng.random() < busy else None
            if drawn is None:
                at += float(rng.uniform(60, 160))
                continue
            name, length, width = drawn
            turned = (heading + 180.0 * float(rng.integers(2))) % 360
            # a quay drawn in pixels may stick out, so the ship moves off until it floats
            for off in np.arange(2.0, 2.0 + 2.5 * roads.grid.gsd_m, max(1.0, 0.4 * roads.grid.gsd_m)):
                centre = start + along * (at + length / 2) + normal * (width / 2 + off)
                ship = WorldObject("ship", name, (float(centre[0]), float(centre[1])), length, width, turned, "moored")
                if roads.take(ship, _BERTH_GAP_M, 0.0):
                    break
            at += length + float(rng.uniform(_BERTH_GAP_M, 120))


def _scatter(
    roads: _Roads,
    coarse: Coarse,
    room_m: NDArray[np.float32],
    spots_xy_m: NDArray[np.float64],
    state: str,
    headings_deg: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Put ships at the spots (N, 2) where there is room; `room_m` (h, w) is the distance to land."""
    width, height = roads.grid.size_m
    room = coarse.at(room_m, spots_xy_m[:, 0], spots_xy_m[:, 1])
    for (x, y), heading, free_m in zip(spots_xy_m, headings_deg, room, strict=True):
        if not (0 <= x < width and 0 <= y < height):
            continue
        # a narrow water is lived on by short ships
        drawn = _draw_ship(state, 1.6 * float(free_m), rng)
        if drawn is not None:
            name, length, beam = drawn
            speed = 0.0
            if state == "under way":
                low, high = SHIP_KINDS[name].speed_m_s
                # in narrow waters ships go slower
                share = 1.0 if free_m > 400 else _IN_RIVER_SHARE
                speed = float(np.round(rng.uniform(low, low + share * (high - low)), 1))
            turned = float(np.round(heading % 360, 1)) % 360
            ship = WorldObject("ship", name, (float(x), float(y)), length, beam, turned, state, speed)
            roads.take(ship, max(_CLEAR_GAP_M, length), 25.0)


def place_ships(
    coarse: Coarse,
    water: NDArray[np.bool_],
    open_water: NDArray[np.bool_],
    quays: tuple[Quay, ...],
    rivers: tuple[River, ...],
    is_port: bool,
    wind_from_deg: float,
    rng: np.random.Generator,
) -> list[WorldObject]:
    """Ships at berth, at anchor and under way; often few, sometimes none, sometimes a crowded anchorage.

    Args:
        coarse: The world's coarse nodes.
        water: All water (H, W).
        open_water: Sea and rivers (H, W), where ships go.
        quays: Berths.
        rivers: Courses of the rivers.
        is_port: Whether the city is a port, with more traffic.
        wind_from_deg: Where the wind comes from, which anchored ships point into.
        rng: Source of all choices.
    """
    grid = coarse.grid
    roads = _Roads(grid, water)
    _moor(roads, quays, rng)
    if not open_water.any():
        return roads.ships
    room = distance_to(coarse, ~coarse.thin(open_water))
    wide_km2 = float((room > 150).mean()) * grid.area_km2
    if wide_km2 > 0.3:
        _anchor(roads, coarse, room, wide_km2, is_port, wind_from_deg, rng)
        _sail(roads, coarse, room, wide_km2, is_port, rng)
    for river in rivers:
        if river.width_m < 110:
            continue
        reach = float(np.hypot(*grid.size_m))
        n = int(rng.poisson(reach / 1000 * float(rng.uniform(0, 1.6))))
        for u in rng.uniform(-reach / 2, reach / 2, n):
            frame = river.tangent(float(u))
            side = float(rng.choice([-1.0, 1.0]))
            x, y = frame.to_grid(0, side * 0.12 * river.width_m)
            heading = np.rad2deg(frame.angle_rad) + 90 + (0 if side > 0 else 180)
            _scatter(roads, coarse, room, np.array([[x, y]]), "under way", np.array([heading]), rng)
    return roads.ships


def _anchor(
    roads: _Roads,
    coarse: Coarse,
    room_m: NDArray[np.float32],
    wide_km2: float,
    is_port: bool,
    wind_from_deg: float,
    rng: np.random.Generator,
) -> None:
    """Anchorages: groups of ships some ship's lengths apart, all turned into the wind."""
    count = min(int(rng.poisson((0.5 if is_port else 0.15) + wide_km2 / (9 if is_port else 40))), 400)
    rows, cols = np.nonzero(room_m > 300 if (room_m > 300).any() else room_m > 150)
    for _ in range(count):
        k = int(rng.integers(rows.size))
        middle = np.array([coarse.x_m[0, cols[k]], coarse.y_m[rows[k], 0]])
        n = int(rng.integers(2, 18))
        spots = middle + rng.normal(0, float(rng.uniform(400, 1000)), (n, 2))
        _scatter(roads, coarse, room_m, spots, "anchored", wind_from_deg + rng.normal(0, 8, n), rng)


def _sail(
    roads: _Roads, coarse: Coarse, room_m: NDArray[np.float32], wide_km2: float, is_port: bool, rng: np.random.Generator
) -> None:
    """Ships under way: most in a fairway of two lanes, one each way, kept to the right; the others anywhere."""
    n = min(int(rng.poisson(wide_km2 * float(rng.lognormal(-0.6 if is_port else -2.2, 0.8)))), 3000)
    width, height = roads.grid.size_m
    course = float(rng.uniform(0, 2 * np.pi))
    ahead, right = np.array([np.sin(course), -np.cos(course)]), np.array([np.cos(course), np.sin(course)])
    rows, cols = np.nonzero(room_m >= np.quantile(room_m, 0.9))
    k = int(rng.integers(rows.size))
    middle = np.array([coarse.x_m[0, cols[k]], coarse.y_m[rows[k], 0]])
    in_lane = rng.random(n) < 0.55
    back = rng.random(n) < 0.5
    far = float(np.hypot(width, height))
    off = np.where(back, -1, 1) * np.abs(rng.normal(450, 160, n))
    lane = middle + rng.uniform(-0.6 * far, 0.6 * far, n)[:, None] * ahead + off[:, None] * right
    anywhere = rng.uniform(0, 1, (n, 2)) * (width, height)
    spots = np.where(in_lane[:, None], lane, anywhere)
    heading = np.rad2deg(course) + 180 * back + rng.normal(0, np.where(in_lane, 4, 25), n)
    _scatter(roads, coarse, room_m, spots, "under way", heading, rng)
