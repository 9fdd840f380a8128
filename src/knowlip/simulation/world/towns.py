"""Towns: where they stand and how densely they are built."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.world.grid import Coarse, Grid


@dataclass(frozen=True)
class Town:
    """A built-up area that thins out from its centre.

    Attributes:
        centre_xy_m: Centre in the grid's metres.
        radius_m: Distance at which the density has fallen to about a third.
        stretch: Ratio of the long to the short axis.
        angle_rad: Direction of the long axis.
    """

    centre_xy_m: tuple[float, float]
    radius_m: float
    stretch: float
    angle_rad: float

    def density(self, x_m: NDArray[np.float32], y_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Building density in [0, 1] at points."""
        c, s = np.float32(np.cos(self.angle_rad)), np.float32(np.sin(self.angle_rad))
        dx, dy = x_m - np.float32(self.centre_xy_m[0]), y_m - np.float32(self.centre_xy_m[1])
        a = (dx * c + dy * s) / np.float32(self.radius_m * np.sqrt(self.stretch))
        b = (dy * c - dx * s) / np.float32(self.radius_m / np.sqrt(self.stretch))
        return np.exp(-(a * a + b * b)).astype(np.float32)


def place_towns(grid: Grid, rng: np.random.Generator) -> tuple[Town, ...]:
    """The main town, first, and as many satellites and villages as the area holds."""
    width, height = grid.size_m
    extent = grid.extent_m

    def town(radius_m: float, margin: float) -> Town:
        x, y = rng.uniform(margin, 1 - margin, 2)
        stretch, angle = float(rng.uniform(1, 1.8)), float(rng.uniform(0, np.pi))
        return Town((float(x) * width, float(y) * height), radius_m, stretch, angle)

    # a close look at a city shows the city
    main = town(max(extent, 3500.0) * float(rng.uniform(0.12, 0.6)), 0.2)
    n_villages = int(rng.poisson(grid.area_km2 / 10))
    villages = tuple(town(float(min(rng.lognormal(6.1, 0.5), 0.15 * extent)), 0.0) for _ in range(min(n_villages, 800)))
    return main, *villages


def density_of(
    coarse: Coarse, towns: tuple[Town, ...], steepness: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Building density (h, w), mottled and thinned on steep ground; a village is dense at most half as a city."""
    density = towns[0].density(coarse.x_m, coarse.y_m)
    step, (x0, y0) = coarse.step_m, (float(coarse.x_m[0, 0]), float(coarse.y_m[0, 0]))
    for town in towns[1:]:
        reach = 2 * town.radius_m * float(np.sqrt(town.stretch))
        x, y = town.centre_xy_m
        rows = slice(max(0, int((y - reach - y0) / step)), max(0, int((y + reach - y0) / step)))
        cols = slice(max(0, int((x - reach - x0) / step)), max(0, int((x + reach - x0) / step)))
        part = density[rows, cols]
        np.maximum(part, np.float32(0.55) * town.density(coarse.x_m[:, cols], coarse.y_m[rows]), out=part)
    density *= 1 + np.float32(0.3) * coarse.noise(1400.0, rng, octaves=2)
    density -= np.float32(0.35) * steepness
    return density
