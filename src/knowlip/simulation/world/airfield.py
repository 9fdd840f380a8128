"""An airport: runway, taxiway, apron, terminal, and the stands on the apron."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import LandCover
from knowlip.simulation.world.grid import Frame, Grid


@dataclass(frozen=True)
class Airfield:
    """An airport on the ground.

    Attributes:
        landcover: Classes (H, W), 0 outside the fence.
        height_m: Height of its buildings (H, W).
        stands: Frames of the aircraft stands, u along the runway and v to the terminal.
    """

    landcover: NDArray[np.uint8]
    height_m: NDArray[np.float32]
    stands: tuple[Frame, ...]


def place_airfield(
    grid: Grid, obstacle: NDArray[np.float32], rng: np.random.Generator, tries: int = 40
) -> Airfield | None:
    """Put an airport where the least stands in its way, or nowhere when all places are bad.

    Args:
        grid: The world's grid.
        obstacle: Cost of building on each pixel in [0, 1], (H, W): 1 for water.
        rng: Source of all choices.
        tries: How many places to compare.
    """
    width, height = grid.size_m
    length = float(min(rng.uniform(2000, 3600), 0.62 * grid.extent_m))
    breadth = float(min(rng.uniform(800, 1150), 0.3 * grid.extent_m))
    best, best_cost = None, 0.17
    probe_u, probe_v = np.meshgrid(np.linspace(-0.5, 0.5, 30) * length, np.linspace(-0.5, 0.5, 10) * breadth)
    for _ in range(tries):
        centre = (float(rng.uniform(0.25, 0.75)) * width, float(rng.uniform(0.25, 0.75)) * height)
        frame = Frame(centre, float(rng.uniform(0, 2 * np.pi)))
        c, s = np.cos(frame.angle_rad), np.sin(frame.angle_rad)
        rows, cols = grid.pixel(centre[0] + probe_u * c - probe_v * s, centre[1] + probe_u * s + probe_v * c)
        cost = float(obstacle[rows, cols].mean())
        if cost < best_cost:
            best, best_cost = frame, cost
    if best is None:
        return None
    u, v = best.to_local(grid.x_m, grid.y_m)
    landcover, high = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.float32)
    landcover[(np.abs(u) < length / 2) & (np.abs(v) < breadth / 2)] = LandCover.BARE

    def strip(u0: float, u1: float, v0: float, v1: float) -> NDArray[np.bool_]:
        return np.asarray((u > u0) & (u < u1) & (v > v0) & (v < v1))

    runway_v, taxi_v = -0.3 * breadth, -0.3 * breadth + 200.0
    apron_v, apron_u = taxi_v + 60, 0.26 * length
    depth = float(np.clip(0.5 * breadth - 110 - apron_v, 90.0, 260.0))
    thin = max(12.0, 0.55 * grid.gsd_m)
    pavement = strip(-0.48 * length, 0.48 * length, runway_v - 26, runway_v + 26)
    pavement |= strip(-0.47 * length, 0.47 * length, taxi_v - thin, taxi_v + thin)
    for at in (-0.47, -0.2, 0.2, 0.47):
        pavement |= strip(at * length - thin, at * length + thin, runway_v, taxi_v)
    pavement |= strip(-apron_u, apron_u, taxi_v, apron_v + depth)
    landcover[pavement] = LandCover.ROAD
    terminal = strip(-0.8 * apron_u, 0.8 * apron_u, apron_v + depth, apron_v + depth + 45)
    landcover[terminal] = LandCover.BUILDING
    high[terminal] = 18
    pitch = 78.0
    rows_of_stands = max(1, int((depth - 60) // 95))
    stands = tuple(
        Frame(best.to_grid(float(at), apron_v + depth - 50 - 95 * k), best.angle_rad)
        for k in range(rows_of_stands)
        for at in np.arange(-apron_u + 45, apron_u - 45, pitch)
    )
    return Airfield(landcover, high, stands)
