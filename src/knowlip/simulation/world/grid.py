"""The metric grid a world is laid out on, the coarse one its smooth fields live on, and rotated frames."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.noise import spline_noise


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
class Coarse:
    """Nodes every `step` pixels, one beyond each edge, on which smooth fields are made before they are drawn fine.

    Node (i, j) lies on the centre of pixel ((i - 1) * step, (j - 1) * step).
    """

    grid: Grid

    @property
    def step(self) -> int:
        """Pixels from node to node: about 8 m, at least two pixels."""
        return max(2, round(8 / self.grid.gsd_m))

    @property
    def step_m(self) -> float:
        """Metres from node to node."""
        return self.step * self.grid.gsd_m

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) in nodes."""
        H, W = self.grid.shape
        return -(-H // self.step) + 3, -(-W // self.step) + 3

    @property
    def x_m(self) -> NDArray[np.float32]:
        """Nodes' x (1, w)."""
        return ((np.arange(self.shape[1]) - 1) * self.step_m + self.grid.gsd_m / 2).astype(np.float32)[None, :]

    @property
    def y_m(self) -> NDArray[np.float32]:
        """Nodes' y (h, 1)."""
        return ((np.arange(self.shape[0]) - 1) * self.step_m + self.grid.gsd_m / 2).astype(np.float32)[:, None]

    def noise(self, wavelength_m: float, rng: np.random.Generator, octaves: int = 1) -> NDArray[np.float32]:
        """Smooth noise (h, w) of about zero mean and unit variance."""
        return spline_noise(self.shape, self.step_m, wavelength_m, rng, octaves)

    def thin(self, mask: NDArray[Any]) -> NDArray[Any]:
        """What an array (H, W) of pixels holds at the nodes (h, w), edges repeated outside."""
        return np.pad(mask[:: self.step, :: self.step], ((1, 2), (1, 2)), mode="edge")

    def touched(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Nodes (h, w) at or just before which a mask (H, W) holds; half steps are probed, not to miss ponds."""
        half = self.step // 2
        found = self.thin(mask)
        for rows, cols in ((half, 0), (0, half), (half, half)):
            found = found | self.thin(np.pad(mask, ((0, rows), (0, cols)), mode="edge")[rows:, cols:])
        return found

    def at(
        self, field: NDArray[np.float32], x_m: NDArray[np.floating], y_m: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """A field (h, w) at points, linearly between nodes; points outside are moved to the edge."""
        h, w = field.shape
        half, per_m = np.float32(0.5 * self.grid.gsd_m), np.float32(1 / self.step_m)
        c = np.clip((np.asarray(x_m, np.float32) - half) * per_m + 1, 0, w - 1.001)
        r = np.clip((np.asarray(y_m, np.float32) - half) * per_m + 1, 0, h - 1.001)
        ci, ri = c.astype(np.intp), r.astype(np.intp)
        fc, fr = c - ci, r - ri
        base = ri * w + ci
        flat = np.ascontiguousarray(field).ravel()
        top = flat[base] * (1 - fc) + flat[base + 1] * fc
        low = flat[base + w] * (1 - fc) + flat[base + w + 1] * fc
        return np.asarray(top * (1 - fr) + low * fr, np.float32)

    def fine(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        """A field (h, w) drawn on the pixels (H, W) by a cubic B-spline, which smooths it by about a node."""
        H, W = self.grid.shape
        k, (h, w) = self.step, self.shape
        across = np.empty((h, (w - 3) * k), np.float32)
        for j, taps in enumerate(_bspline(k)):
            across[:, j::k] = sum(t * field[:, n : n + w - 3] for n, t in enumerate(taps))
        across = np.ascontiguousarray(across[:, :W])
        out = np.empty(((h - 3) * k, W), np.float32)
        # a few rows of nodes at a time, which stay in the processor's cache
        few = max(1, 32768 // W)
        for i in range(0, h - 3, few):
            m = min(few, h - 3 - i)
            part = np.empty((m, W), np.float32)
            for j, taps in enumerate(_bspline(k)):
                rows = out[i * k + j : (i + m) * k : k]
                np.multiply(across[i : i + m], taps[0], out=rows)
                for n in (1, 2, 3):
                    np.multiply(across[i + n : i + n + m], taps[n], out=part)
                    rows += part
        return out[:H]


@cache
def _bspline(k: int) -> tuple[tuple[np.float32, ...], ...]:
    """Weights of four nodes for each of the k places between two."""
    f = np.arange(k) / k
    taps = np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3], axis=1) / 6
    return tuple(tuple(np.float32(t) for t in row) for row in taps)


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

    def box(self, u0_m: float, u1_m: float, v0_m: float, v1_m: float) -> NDArray[np.float64]:
        """Corners (4, 2) in the grid's metres of a local rectangle."""
        corners = ((u0_m, v0_m), (u1_m, v0_m), (u1_m, v1_m), (u0_m, v1_m))
        return np.array([self.to_grid(u, v) for u, v in corners])

    @property
    def axis_deg(self) -> float:
        """Direction of u, clockwise from the grid's north, in [0, 360)."""
        return float((np.rad2deg(self.angle_rad) + 90) % 360)

    def to_grid(self, u_m: float, v_m: float) -> tuple[float, float]:
        """The grid's (x, y) in metres of a local point."""
        c, s = float(np.cos(self.angle_rad)), float(np.sin(self.angle_rad))
        return self.origin_xy_m[0] + u_m * c - v_m * s, self.origin_xy_m[1] + u_m * s + v_m * c
