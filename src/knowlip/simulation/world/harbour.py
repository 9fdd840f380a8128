"""Ports: quay fronts with piers on the sea, basins dug into a river's bank, and the yards behind the quays."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from knowlip.simulation.world.grid import Coarse, Frame, Grid
from knowlip.simulation.world.styles import Style

_APRON_M = 32.0
_LANE_M = 14.0
_TERMINALS = (Style.CONTAINERS, Style.WAREHOUSES, Style.TANKS, Style.NONE)


@dataclass(frozen=True)
class Quay:
    """A straight berth: ships lie along it, on the side its normal points to.

    Attributes:
        start_xy_m: One end.
        end_xy_m: The other end.
        normal_xy: Unit vector (x, y) towards the water.
        terminal: What stands on the yards behind, which says what ships call.
    """

    start_xy_m: tuple[float, float]
    end_xy_m: tuple[float, float]
    normal_xy: tuple[float, float]
    terminal: Style


@dataclass(frozen=True)
class Harbour:
    """A port; polygons are (N, 4, 2) in the grid's metres.

    Attributes:
        basins: Water dug or fenced off.
        ground: Dry, level ground of the port with its piers.
        moles: Breakwaters.
        yards: Rectangles to be built up, the first side along the quay.
        styles: What each yard is built up with.
        quays: Berths.
    """

    basins: NDArray[np.float64]
    ground: NDArray[np.float64]
    moles: NDArray[np.float64]
    yards: NDArray[np.float64]
    styles: tuple[Style, ...]
    quays: tuple[Quay, ...]


def _stacked(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.stack(parts) if parts else np.zeros((0, 4, 2))


def _quay(
    frame: Frame, start: tuple[float, float], end: tuple[float, float], normal: tuple[float, float], terminal: Style
) -> Quay:
    c, s = float(np.cos(frame.angle_rad)), float(np.sin(frame.angle_rad))
    turned = (normal[0] * c - normal[1] * s, normal[0] * s + normal[1] * c)
    return Quay(frame.to_grid(*start), frame.to_grid(*end), turned, terminal)


def _place(
    coarse: Coarse, coast: Frame, distance_m: NDArray[np.float32], town_xy_m: tuple[float, float], half_m: float
) -> tuple[float, float] | None:
    """The quay front's middle (u, v) in the coast's frame: on the shore nearest to the town."""
    u, v = coast.to_local(coarse.x_m, coarse.y_m)
    near = np.abs(distance_m) < max(1.5 * coarse.step_m, 30.0)
    if near.sum() < 8:
        return None
    shore_u, shore_v = u[near], v[near]
    x, y = np.broadcast_to(coarse.x_m, u.shape)[near], np.broadcast_to(coarse.y_m, u.shape)[near]
    target = int(np.argmin((x - town_xy_m[0]) ** 2 + (y - town_xy_m[1]) ** 2))
    middle = float(shore_u[target])
    beside = np.abs(shore_u - middle) < half_m
    return middle, float(np.quantile(shore_v[beside], 0.6)) if beside.any() else float(shore_v[target])


def sea_harbour(
    coarse: Coarse,
    coast: Frame,
    distance_m: NDArray[np.float32],
    town_xy_m: tuple[float, float],
    rng: np.random.Generator,
) -> Harbour | None:
    """A straight quay front with piers behind breakwaters; None where the scene shows no shore.

    Args:
        coarse: The world's coarse nodes.
        coast: Frame whose v points out to sea.
        distance_m: Distance (h, w) from the shore, positive at sea.
        town_xy_m: The port lies on the shore nearest to it.
        rng: Source of all choices.
    """
    grid = coarse.grid
    half = float(min(rng.uniform(900, 2200), 0.3 * grid.extent_m))
    placed = _place(coarse, coast, distance_m, town_xy_m, half)
    if placed is None:
        return None
    local = Frame(coast.to_grid(*placed), coast.angle_rad)
    length = float(min(rng.uniform(350, 850), 0.16 * grid.extent_m))
    depth = float(min(rng.uniform(280, 620), 0.14 * grid.extent_m))
    reach = length + 400.0
    width, gap = float(rng.uniform(70, 180)), float(rng.uniform(190, 330))
    pitch = width + gap
    count = max(1, int((2 * half - gap) // pitch))
    first = -0.5 * count * pitch
    basins, ground = [local.box(-half, half, 0, reach)], [local.box(-half, half, -depth, 0)]
    yards, styles, quays = list[NDArray[np.float64]](), list[Style](), list[Quay]()

    def yard(u0: float, u1: float, v0: float, v1: float, style: Style) -> None:
        if u1 - u0 > 25 and v1 - v0 > 25:
            yards.append(local.box(u0, u1, v0, v1))
            styles.append(style)

    terminal = _TERMINALS[int(rng.integers(4))]
    for k in range(count):
        if rng.random() < 0.5:
            terminal = _TERMINALS[int(rng.choice(4, p=(0.4, 0.3, 0.2, 0.1)))]
        left = first + k * pitch + gap / 2
        right = left + width
        out = length * float(rng.uniform(0.55, 1.0))
        # without its pier, a stretch of quay is a long berth
        pier = rng.random() < 0.8
        if pier:
            ground.append(local.box(left, right, -20, out))
            along = local.box(left + 18, right - 18, 12, out - 16)
            yards.append(np.roll(along, -1, axis=0))
            # an oil jetty carries pipes, its tanks stand ashore
            styles.append(Style.NONE if terminal == Style.TANKS else terminal)
            quays.append(_quay(local, (left, 0), (left, out), (-1, 0), terminal))
            quays.append(_quay(local, (right, 0), (right, out), (1, 0), terminal))
        quays.append(_quay(local, (right if pier else left, 0), (left + pitch, 0), (0, 1), terminal))
        v, back = -_APRON_M, 0
        while v - 60 > -depth:
            bottom = max(-depth, v - float(rng.uniform(110, 190)))
            style = terminal if back == 0 or rng.random() < 0.4 else _TERMINALS[int(rng.choice(3, p=(0.2, 0.5, 0.3)))]
            yard(left - gap / 2 + _LANE_M, left + pitch - gap / 2, bottom + _LANE_M, v, style)
            v, back = bottom, back + 1
    thick = max(30.0, 1.2 * grid.gsd_m)
    moles = [
        local.box(-half, 0.45 * half, reach - 60 - thick / 2, reach - 60 + thick / 2),
        local.box(-half - thick / 2, -half + thick / 2, -10, reach - 60),
    ]
    return Harbour(_stacked(basins), _stacked(ground), _stacked(moles), _stacked(yards), tuple(styles), tuple(quays))


def river_harbour(
    grid: Grid, tangent: Callable[[float], Frame], u_m: float, width_m: float, rng: np.random.Generator
) -> Harbour:
    """Basins dug into one bank of a river, each with yards on both sides.

    Args:
        grid: The world's grid.
        tangent: Gives the river's frame at a place along it.
        u_m: Place along the river nearest to the town.
        width_m: Width of the river.
        rng: Source of all choices.
    """
    basins, ground, yards = list[NDArray[np.float64]](), list[NDArray[np.float64]](), list[NDArray[np.float64]]()
    styles, quays, taken = list[Style](), list[Quay](), list[shapely.Polygon]()
    side = float(rng.choice([-1.0, 1.0]))
    lean = float(rng.uniform(-0.4, 0.4))
    at = u_m + float(rng.uniform(-0.15, 0.15)) * grid.extent_m
    for _ in range(int(rng.integers(2, 6))):
        bank = tangent(at)
        frame = Frame(bank.origin_xy_m, bank.angle_rad + side * (np.pi / 2 + lean))
        start = width_m / 2
        end = start + float(min(rng.uniform(500, 1100), 0.18 * grid.extent_m))
        half, deep = float(rng.uniform(65, 120)), float(rng.uniform(110, 170))
        terminal = _TERMINALS[int(rng.choice(4, p=(0.35, 0.35, 0.2, 0.1)))]
        at += 2 * (half + deep) + float(rng.uniform(60, 160))
        # where the bank bends inwards, basins would run into each other
        whole = shapely.Polygon(frame.box(start, end + 150, -half - deep, half + deep))
        if any(whole.intersects(other) for other in taken):
            continue
        taken.append(whole)
        basins.append(frame.box(0, end, -half, half))
        ground.append(frame.box(start + 20, end, half, half + deep))
        ground.append(frame.box(start + 20, end, -half - deep, -half))
        ground.append(frame.box(end, end + 150, -half - deep, half + deep))
        for sign in (-1.0, 1.0):
            inner, outer = sorted((sign * (half + _APRON_M), sign * (half + deep - 6)))
            for u0, u1 in ((start + 45, (start + end) / 2 - 7), ((start + end) / 2 + 7, end)):
                if u1 - u0 > 30:
                    yards.append(frame.box(u0, u1, inner, outer))
                    styles.append(terminal if rng.random() < 0.7 else Style.WAREHOUSES)
            quays.append(_quay(frame, (start + 120, sign * half), (end, sign * half), (0, -sign), terminal))
        yards.append(frame.box(end + _LANE_M, end + 140, -half - deep + 10, half + deep - 10))
        styles.append(Style.TANKS if rng.random() < 0.5 else Style.HALLS)
    return Harbour(_stacked(basins), _stacked(ground), _stacked([]), _stacked(yards), tuple(styles), tuple(quays))
