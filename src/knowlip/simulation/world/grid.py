"""The metric grid a world is laid out on, and rotated rectangular frames upon it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """Pixel centres in metres: x to the east from the left edge, y to the south from the top edge.

    Attributes:
        shape: (H, W) in pixels.
        gsd_m: Pixel spacing in metres.
    """

    shape: tuple[int, int]
    gsd_m: float

    @property
    def x_m(self) -> NDArray[np.float32]:
        """Columns' x (1, W)."""
        return ((np.arange(self.shape[1], dtype=np.float32) + np.float32(0.5)) * np.float32(self.gsd_m))[None, :]

    @property
    def y_m(self) -> NDArray[np.float32]:
        """Rows' y (H, 1)."""
        return ((np.arange(self.shape[0], dtype=np.float32) + np.float32(0.5)) * np.float32(self.gsd_m))[:, None]

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height of the grid in metres."""
        return self.shape[1] * self.gsd_m, self.shape[0] * self.gsd_m

    @property
    def extent_m(self) -> float:
        """The shorter side in metres, within which features of the layout are scaled: at least 1.5, at most 20 km."""
        return float(np.clip(min(self.size_m), 1500.0, 20000.0))

    @property
    def area_km2(self) -> float:
        """Area in square kilometres."""
        return self.size_m[0] * self.size_m[1] / 1e6

    def pixel(self, x_m: NDArray[np.floating], y_m: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column of the pixels that hold the points, those outside moved to the edge."""
        rows = np.clip(y_m / np.float32(self.gsd_m), 0, self.shape[0] - 1).astype(np.intp)
        cols = np.clip(x_m / np.float32(self.gsd_m), 0, self.shape[1] - 1).astype(np.intp)
        return rows, cols


@dataclass(frozen=True)
class Frame:
    """A rotated frame: `u` runs along the angle (from x towards y), `v` a quarter turn further."""

    origin_xy_m: tuple[float, float]
    angle_rad: float

    def to_local(self, x_m: NDArray[np.float32], y_m: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """(u, v) in metres of points given in the grid's metres."""
        c, s = np.float32(np.cos(self.angle_rad)), np.float32(np.sin(self.angle_rad))
        dx, dy = x_m - np.float32(self.origin_xy_m[0]), y_m - np.float32(self.origin_xy_m[1])
        return dx * c + dy * s, dy * c - dx * s

    def to_grid(self, u_m: float, v_m: float) -> tuple[float, float]:
        """The grid's (x, y) in metres of a local point."""
        c, s = float(np.cos(self.angle_rad)), float(np.sin(self.angle_rad))
        return self.origin_xy_m[0] + u_m * c - v_m * s, self.origin_xy_m[1] + u_m * s + v_m * c
