"""Sea, rivers, lakes and harbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.noise import spline_noise
from knowlip.simulation.world.grid import Frame, Grid


@dataclass(frozen=True)
class Quay:
    """A straight berth: ships lie along it, on the side its normal points to.

    Attributes:
        start_xy_m: One end.
        end_xy_m: The other end.
        normal_xy: Unit vector (x, y) towards the water.
    """

    start_xy_m: tuple[float, float]
    end_xy_m: tuple[float, float]
    normal_xy: tuple[float, float]


@dataclass(frozen=True)
class River:
    """A meandering river: its centre line is v = sum of sines of u in a rotated frame."""

    frame: Frame
    width_m: float
    amplitudes_m: tuple[float, ...]
    wavelengths_m: tuple[float, ...]
    phases_rad: tuple[float, ...]

    def centre_v_m(self, u_m: NDArray[np.floating]) -> NDArray[np.float64]:
        """Local v of the centre line at u."""
        waves = zip(self.amplitudes_m, self.wavelengths_m, self.phases_rad, strict=True)
        return np.asarray(np.sum([a * np.sin(2 * np.pi * u_m / w + p) for a, w, p in waves], axis=0), np.float64)

    def slope(self, u_m: NDArray[np.floating]) -> NDArray[np.float64]:
        """dv/du of the centre line."""
        waves = zip(self.amplitudes_m, self.wavelengths_m, self.phases_rad, strict=True)
        slopes = [a * 2 * np.pi / w * np.cos(2 * np.pi * u_m / w + p) for a, w, p in waves]
        return np.asarray(np.sum(slopes, axis=0), np.float64)

    def distance_m(self, grid: Grid) -> NDArray[np.float32]:
        """Distance of each pixel (H, W) from the centre line, to first order."""
        u, v = self.frame.to_local(grid.x_m, grid.y_m)
        reach = float(np.hypot(*grid.size_m)) + float(np.hypot(*self.frame.origin_xy_m))
        knots = np.arange(-reach, reach, 25.0)
        index = (u + np.float32(reach)) * np.float32(1 / 25.0)
        base = index.astype(np.int32)
        f = index - base
        line = self.centre_v_m(knots).astype(np.float32)
        stretch = (1.0 / np.sqrt(1.0 + self.slope(knots) ** 2)).astype(np.float32)
        centre = line[base] * (1 - f) + line[np.minimum(base + 1, len(line) - 1)] * f
        return np.asarray(np.abs(v - centre) * stretch[base], np.float32)

    def tangent(self, u_m: float) -> Frame:
        """The frame at the centre line's point at u, its u axis along the river."""
        at = np.array([u_m])
        turn = float(np.arctan(self.slope(at)[0]))
        return Frame(self.frame.to_grid(u_m, float(self.centre_v_m(at)[0])), self.frame.angle_rad + turn)


@dataclass(frozen=True)
class Waters:
    """Water bodies of a world, masks (H, W).

    Attributes:
        sea: Open sea and harbour basins.
        river: Rivers, where bridges may cross.
        lake: Standing inland water.
        pier: Man-made ground of harbours, reaching into or along the water.
        mole: Breakwaters.
        beach: Sand along the open coast.
        quays: Berths.
        rivers: The rivers' courses.
    """

    sea: NDArray[np.bool_]
    river: NDArray[np.bool_]
    lake: NDArray[np.bool_]
    pier: NDArray[np.bool_]
    mole: NDArray[np.bool_]
    beach: NDArray[np.bool_]
    quays: tuple[Quay, ...]
    rivers: tuple[River, ...]

    @property
    def water(self) -> NDArray[np.bool_]:
        """All water (H, W)."""
        return (self.sea | self.river | self.lake) & ~self.pier & ~self.mole


def _quay(frame: Frame, start: tuple[float, float], end: tuple[float, float], normal: tuple[float, float]) -> Quay:
    c, s = float(np.cos(frame.angle_rad)), float(np.sin(frame.angle_rad))
    turned = (normal[0] * c - normal[1] * s, normal[0] * s + normal[1] * c)
    return Quay(frame.to_grid(*start), frame.to_grid(*end), turned)


def _coast(grid: Grid, share: float, rng: np.random.Generator) -> tuple[Frame, NDArray[np.float32]]:
    """A frame whose v points out to sea, and the distance (H, W) from the shore in metres, positive at sea."""
    width, height = grid.size_m
    frame = Frame((width / 2, height / 2), float(rng.uniform(0, 2 * np.pi)))
    _, v = frame.to_local(grid.x_m, grid.y_m)
    warp = spline_noise(grid.shape, grid.gsd_m, 0.45 * grid.extent_m, rng, octaves=6)
    v = v + warp * np.float32(grid.extent_m * rng.uniform(0.02, 0.09))
    return frame, v - np.float32(np.quantile(v[::8, ::8], 1 - share))


def _harbour(
    grid: Grid, coast: Frame, distance: NDArray[np.float32], town_xy_m: tuple[float, float], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_], list[Quay]]:
    """A straight quay front with piers: masks (H, W) of its zone, water, piers and moles, and the berths."""
    u, v = coast.to_local(grid.x_m, grid.y_m)
    span = 0.3 * grid.extent_m
    near = np.abs(distance) < max(2 * grid.gsd_m, 30.0)
    shore_u, shore_v = u[near], v[near]
    none = np.zeros(grid.shape, bool)
    if shore_u.size < 20:
        return none, none, none, none, []
    x, y = np.broadcast_to(grid.x_m, grid.shape)[near], np.broadcast_to(grid.y_m, grid.shape)[near]
    target = int(np.argmin((x - town_xy_m[0]) ** 2 + (y - town_xy_m[1]) ** 2))
    middle = float(shore_u[target])
    half = float(min(rng.uniform(900, 2200), span))
    in_zone = np.abs(shore_u - middle) < half
    line = float(np.quantile(shore_v[in_zone], 0.6)) if in_zone.any() else float(shore_v[target])
    length = float(min(rng.uniform(350, 850), 0.16 * grid.extent_m))
    reach = length + 400.0
    uu, vv = u - np.float32(middle), v - np.float32(line)
    zone = (np.abs(uu) < half) & (vv > -350) & (vv < reach)
    water = zone & (vv > 0)
    width, gap = float(rng.uniform(60, 130)), float(rng.uniform(190, 330))
    pitch = width + gap
    count = max(1, int((2 * half - gap) // pitch))
    first = -0.5 * count * pitch
    pier, quays = none.copy(), []
    local = Frame(coast.to_grid(middle, line), coast.angle_rad)
    for k in range(count):
        left = first + k * pitch + gap / 2
        out = length * float(rng.uniform(0.55, 1.0))
        pier |= (uu > left) & (uu < left + width) & (vv > -20) & (vv < out)
        quays.append(_quay(local, (left, 0), (left, out), (-1, 0)))
        quays.append(_quay(local, (left + width, 0), (left + width, out), (1, 0)))
        quays.append(_quay(local, (left + width, 0), (left + pitch, 0), (0, 1)))
    mole = (np.abs(vv - np.float32(reach - 60)) < max(18.0, 0.6 * grid.gsd_m)) & (uu > -half) & (uu < half * 0.45)
    mole |= (np.abs(uu + np.float32(half)) < max(18.0, 0.6 * grid.gsd_m)) & (vv > -10) & (vv < reach - 60)
    front = zone & (vv <= 0) & (vv > -250)
    return zone, water, pier | front, mole, quays


def _river_port(
    grid: Grid, river: River, town_xy_m: tuple[float, float], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[Quay]]:
    """Basins dug into one bank: masks (H, W) of basin water and of the ground around, and the berths."""
    basin, ground, quays = np.zeros(grid.shape, bool), np.zeros(grid.shape, bool), list[Quay]()
    u0, _ = river.frame.to_local(np.float32(town_xy_m[0]), np.float32(town_xy_m[1]))  # type: ignore[arg-type]
    side = float(rng.choice([-1.0, 1.0]))
    at = float(u0) + float(rng.uniform(-0.15, 0.15)) * grid.extent_m
    lean = float(rng.uniform(-0.5, 0.5))
    for _ in range(int(rng.integers(2, 5))):
        bank = river.tangent(at)
        frame = Frame(bank.origin_xy_m, bank.angle_rad + side * (np.pi / 2 + lean))
        u, v = frame.to_local(grid.x_m, grid.y_m)
        start = river.width_m / 2
        end = start + float(min(rng.uniform(500, 1100), 0.18 * grid.extent_m))
        half = float(rng.uniform(65, 120))
        basin |= (u > 0) & (u < end) & (np.abs(v) < half)
        ground |= (u > start) & (u < end + 120) & (np.abs(v) < half + 140)
        quays.append(_quay(frame, (start + 120, half), (end, half), (0, -1)))
        quays.append(_quay(frame, (start + 120, -half), (end, -half), (0, 1)))
        at += 2 * half + float(rng.uniform(260, 420))
    return basin, ground & ~basin, quays


def _river(grid: Grid, through_xy_m: tuple[float, float], width_m: float, rng: np.random.Generator) -> River:
    scale = grid.extent_m
    waves = tuple(scale * float(rng.uniform(*ends)) for ends in ((0.7, 1.3), (0.3, 0.5), (0.14, 0.22)))
    swings = ((0.03, 0.1), (0.03, 0.1), (0.0, 0.06))
    amplitudes = tuple(w * float(rng.uniform(*ends)) for w, ends in zip(waves, swings, strict=True))
    phases = tuple(float(p) for p in rng.uniform(0, 2 * np.pi, 3))
    return River(Frame(through_xy_m, float(rng.uniform(0, 2 * np.pi))), width_m, amplitudes, waves, phases)


def make_waters(
    grid: Grid, character: tuple[str, ...], town_xy_m: tuple[float, float], sea_share: float, rng: np.random.Generator
) -> Waters:
    """Lay out the water bodies.

    Args:
        grid: The world's grid.
        character: The city's traits.
        town_xy_m: Where the main town stands.
        sea_share: Share of the scene that is sea; 0 for an inland scene.
        rng: Source of all choices.
    """
    none = np.zeros(grid.shape, bool)
    sea, river, lake, pier, mole, beach = none, none, none, none, none, none
    quays, rivers = list[Quay](), list[River]()
    if sea_share > 0:
        coast, distance = _coast(grid, sea_share, rng)
        sea = distance > 0
        beach = (distance > -float(rng.uniform(20, 90))) & ~sea
        if "port" in character:
            zone, harbour, pier, mole, quays = _harbour(grid, coast, distance, town_xy_m, rng)
            sea = (sea & ~pier) | harbour
            beach &= ~zone
    if "river" in character or rng.random() < 0.35:
        wide = float(rng.uniform(90, 420)) if "river" in character else float(rng.uniform(25, 60))
        if "port" in character and "river" in character:
            wide = max(wide, 220.0)
        wide = min(wide, 0.06 * grid.extent_m)
        off = rng.normal(0, 0.08, 2) * grid.extent_m
        course = _river(grid, (town_xy_m[0] + float(off[0]), town_xy_m[1] + float(off[1])), wide, rng)
        rivers.append(course)
        river = (course.distance_m(grid) < max(wide / 2, 0.75 * grid.gsd_m)) & ~sea & ~pier & ~mole
        if "port" in character and sea_share == 0:
            basin, pier, quays = _river_port(grid, course, town_xy_m, rng)
            sea = basin & ~river
            pier &= ~river
    if rng.random() < 0.4:
        share = float(rng.uniform(0.01, 0.12) if rng.random() < 0.7 else rng.uniform(0.15, 0.5))
        field = spline_noise(grid.shape, grid.gsd_m, float(rng.uniform(0.15, 0.5)) * grid.extent_m, rng, octaves=5)
        lake = (field > np.quantile(field[::8, ::8], 1 - share)) & ~pier & ~mole & ~river & ~sea
    return Waters(sea, river, lake, pier, mole, beach, tuple(quays), tuple(rivers))
