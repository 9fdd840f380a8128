"""Sea, rivers and lakes: level sets on coarse nodes and courses as lines, drawn on the pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.world.grid import Coarse, Frame, Grid
from knowlip.simulation.world.harbour import Harbour, river_harbour, sea_harbour
from knowlip.simulation.world.raster import line_strips, paint

_COURSE_STEP_M = 20.0


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

    def course(self, grid: Grid) -> NDArray[np.float64]:
        """Points (N, 2) of the centre line, from beyond one edge of the grid to beyond the other."""
        reach = float(np.hypot(*grid.size_m)) + 4 * self.width_m
        u = np.arange(-reach, reach, _COURSE_STEP_M)
        v = self.centre_v_m(u)
        c, s = np.cos(self.frame.angle_rad), np.sin(self.frame.angle_rad)
        x, y = self.frame.origin_xy_m
        return np.column_stack([x + u * c - v * s, y + u * s + v * c])

    def nearest_u_m(self, xy_m: tuple[float, float]) -> float:
        """Where along u a point lies."""
        c, s = np.cos(self.frame.angle_rad), np.sin(self.frame.angle_rad)
        x, y = self.frame.origin_xy_m
        return float((xy_m[0] - x) * c + (xy_m[1] - y) * s)

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
        river: Rivers.
        lake: Standing inland water.
        mole: Breakwaters.
        beach: Sand along the open coast.
        harbour: Ground, yards and berths of the port; None where there is no port.
        rivers: The rivers' courses.
        coastal: Whether there is open sea; where not, basins are a river's.
    """

    sea: NDArray[np.bool_]
    river: NDArray[np.bool_]
    lake: NDArray[np.bool_]
    mole: NDArray[np.bool_]
    beach: NDArray[np.bool_]
    harbour: Harbour | None
    rivers: tuple[River, ...]
    coastal: bool

    @property
    def water(self) -> NDArray[np.bool_]:
        """All water (H, W)."""
        return self.sea | self.river | self.lake


def _coast(coarse: Coarse, share: float, rng: np.random.Generator) -> tuple[Frame, NDArray[np.float32]]:
    """A frame whose v points out to sea, and the distance (h, w) from the shore in metres, positive at sea."""
    grid = coarse.grid
    width, height = grid.size_m
    frame = Frame((width / 2, height / 2), float(rng.uniform(0, 2 * np.pi)))
    _, v = frame.to_local(coarse.x_m, coarse.y_m)
    warp = coarse.noise(0.45 * grid.extent_m, rng, octaves=6)
    v = v + warp * np.float32(grid.extent_m * rng.uniform(0.02, 0.09))
    return frame, v - np.float32(np.quantile(v[::4, ::4], 1 - share))


def _river(grid: Grid, through_xy_m: tuple[float, float], width_m: float, rng: np.random.Generator) -> River:
    scale = grid.extent_m
    waves = tuple(scale * float(rng.uniform(*ends)) for ends in ((0.7, 1.3), (0.3, 0.5), (0.14, 0.22)))
    swings = ((0.03, 0.1), (0.03, 0.1), (0.0, 0.06))
    amplitudes = tuple(w * float(rng.uniform(*ends)) for w, ends in zip(waves, swings, strict=True))
    phases = tuple(float(p) for p in rng.uniform(0, 2 * np.pi, 3))
    return River(Frame(through_xy_m, float(rng.uniform(0, 2 * np.pi))), width_m, amplitudes, waves, phases)


def make_waters(
    coarse: Coarse,
    character: tuple[str, ...],
    town_xy_m: tuple[float, float],
    sea_share: float,
    rng: np.random.Generator,
) -> Waters:
    """Lay out the water bodies.

    Args:
        coarse: The world's coarse nodes.
        character: The city's traits.
        town_xy_m: Where the main town stands.
        sea_share: Share of the scene that is sea; 0 for an inland scene.
        rng: Source of all choices.
    """
    grid = coarse.grid
    sea, river, lake, mole, beach = (np.zeros(grid.shape, bool) for _ in range(5))
    harbour: Harbour | None = None
    rivers = list[River]()
    if sea_share > 0:
        coast, distance = _coast(coarse, sea_share, rng)
        level = coarse.fine(distance)
        np.greater(level, 0, out=sea)
        beach = (level > -np.float32(rng.uniform(15, 60))) & ~sea
        if "port" in character:
            harbour = sea_harbour(coarse, coast, distance, town_xy_m, rng)
        if harbour is not None:
            paint(beach, grid, harbour.ground, False)
            paint(sea, grid, harbour.basins, True)
            paint(beach, grid, harbour.basins, False)
            paint(sea, grid, harbour.ground, False)
            paint(mole, grid, harbour.moles, True)
            mole &= sea
            sea &= ~mole
    if "river" in character or rng.random() < 0.35:
        wide = float(rng.uniform(90, 420)) if "river" in character else float(rng.uniform(25, 60))
        if "port" in character and "river" in character:
            wide = max(wide, 220.0)
        wide = min(wide, 0.06 * grid.extent_m)
        off = rng.normal(0, 0.08, 2) * grid.extent_m
        course = _river(grid, (town_xy_m[0] + float(off[0]), town_xy_m[1] + float(off[1])), wide, rng)
        rivers.append(course)
        paint(river, grid, line_strips(course.course(grid), max(wide, 1.5 * grid.gsd_m)), True)
        river &= ~sea & ~mole
        if harbour is not None:
            paint(river, grid, harbour.ground, False)
        elif "port" in character and sea_share == 0:
            u0 = course.nearest_u_m(town_xy_m)
            harbour = river_harbour(grid, course.tangent, u0, course.width_m, rng)
            paint(sea, grid, harbour.basins, True)
            sea &= ~river
    if rng.random() < 0.4:
        share = float(rng.uniform(0.01, 0.12) if rng.random() < 0.7 else rng.uniform(0.15, 0.5))
        field = coarse.noise(float(rng.uniform(0.15, 0.5)) * grid.extent_m, rng, octaves=5)
        lake = coarse.fine(field - np.float32(np.quantile(field[::4, ::4], 1 - share))) > 0
        lake &= ~mole & ~river & ~sea
        if harbour is not None:
            paint(lake, grid, harbour.ground, False)
    return Waters(sea, river, lake, mole, beach, harbour, tuple(rivers), sea_share > 0)
