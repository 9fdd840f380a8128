"""Convex shapes into pixels, many at a time: a pixel belongs to a shape when its centre does."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.world.grid import Grid

_CHUNK_PX = 1 << 21


def extremes(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Least and largest of each row (N, K), column by column, which for few columns is faster than a reduction."""
    low, high = values[:, 0].copy(), values[:, 0].copy()
    for k in range(1, values.shape[1]):
        np.minimum(low, values[:, k], out=low)
        np.maximum(high, values[:, k], out=high)
    return low, high


def fill(grid: Grid, polygons_xy_m: NDArray[np.floating]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pixels of convex polygons, row by row of each.

    Args:
        grid: The pixels.
        polygons_xy_m: Corners in metres, (N, K, 2); a polygon of fewer corners repeats its last.

    Returns:
        Flat indices of pixels (M,) and the index of the polygon each belongs to (M,), polygons in order.
    """
    H, W = grid.shape
    n, corners = polygons_xy_m.shape[:2]
    scaled = polygons_xy_m / grid.gsd_m - 0.5  # pixel centres fall on whole numbers
    x, y = scaled[..., 0].astype(np.float32), scaled[..., 1].astype(np.float32)
    top, bottom = extremes(y)
    leftmost, rightmost = extremes(x)
    first = np.maximum(np.ceil(top), 0).astype(np.intp)
    last = np.minimum(np.floor(bottom), H - 1).astype(np.intp)
    count = np.maximum(last - first + 1, 0)
    count[(rightmost < 0) | (leftmost > W - 1)] = 0
    owner = np.repeat(np.arange(n), count)
    row = np.arange(owner.size) + np.repeat(first - (np.cumsum(count) - count), count)
    level = row.astype(np.float32)
    left, right = np.full(owner.size, np.inf, np.float32), np.full(owner.size, -np.inf, np.float32)
    for k in range(corners):
        x0, y0, x1, y1 = x[:, k], y[:, k], x[:, (k + 1) % corners], y[:, (k + 1) % corners]
        rise = y1 - y0
        slope = (x1 - x0) / np.where(rise == 0, np.float32(1), rise)
        a, b = y0[owner], y1[owner]
        crosses = (a <= level) != (b <= level)
        at = x0[owner] + (level - a) * slope[owner]
        np.minimum(left, at, out=left, where=crosses)
        np.maximum(right, at, out=right, where=crosses)
    start = np.ceil(np.clip(left, 0, W)).astype(np.intp)
    stop = np.floor(np.clip(right, -1, W - 1)).astype(np.intp)
    length = np.maximum(stop - start + 1, 0)
    offset = row * W + start - (np.cumsum(length) - length)
    flat = np.repeat(offset, length)
    flat += np.arange(flat.size)
    return flat, np.repeat(owner, length)


def fill_in_parts(
    grid: Grid, polygons_xy_m: NDArray[np.floating]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """As `fill`, some polygons at a time, so that memory does not grow with the scene."""
    if len(polygons_xy_m) == 0:
        return
    (x0, x1), (y0, y1) = extremes(polygons_xy_m[..., 0]), extremes(polygons_xy_m[..., 1])
    across, down = (x1 - x0) / grid.gsd_m + 1, (y1 - y0) / grid.gsd_m + 1
    sizes = np.minimum(across, grid.shape[1]) * np.minimum(down, grid.shape[0])
    part = (np.cumsum(sizes) // _CHUNK_PX).astype(np.int64)
    edges = np.concatenate([[0], np.nonzero(np.diff(part))[0] + 1, [len(part)]])
    for i, j in pairwise(edges):
        flat, owner = fill(grid, polygons_xy_m[i:j])
        yield flat, owner + i


def paint(raster: NDArray[np.generic], grid: Grid, polygons_xy_m: NDArray[np.floating], values: object) -> None:
    """Set the pixels of a raster (H, W) inside polygons (N, K, 2) to one value or each polygon's own (N,)."""
    out = raster.reshape(-1)
    each = np.asarray(values, raster.dtype)
    for flat, owner in fill_in_parts(grid, polygons_xy_m):
        out[flat] = each if each.ndim == 0 else each[owner]


def strips(starts_xy_m: NDArray[np.floating], ends_xy_m: NDArray[np.floating], widths_m: object) -> NDArray[np.float64]:
    """Rectangles (N, 4, 2) about line segments, a little longer than they are so that joints close.

    Args:
        starts_xy_m: (N, 2).
        ends_xy_m: (N, 2).
        widths_m: One or each segment's (N,).
    """
    ahead = np.asarray(ends_xy_m, np.float64) - starts_xy_m
    length = np.maximum(np.hypot(ahead[:, 0], ahead[:, 1]), 1e-6)[:, None]
    ahead /= length
    half = np.broadcast_to(np.asarray(widths_m, np.float64) / 2, (len(ahead),))[:, None]
    across = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) * half
    reach = ahead * np.minimum(0.4 * half, 0.5 * length)
    a, b = starts_xy_m - reach, ends_xy_m + reach
    return np.stack([a - across, b - across, b + across, a + across], axis=1)


def line_strips(line_xy_m: NDArray[np.floating], width_m: float) -> NDArray[np.float64]:
    """Rectangles (N - 1, 4, 2) along a polyline (N, 2)."""
    return strips(line_xy_m[:-1], line_xy_m[1:], width_m)


def boxes(
    x_m: NDArray[np.floating],
    y_m: NDArray[np.floating],
    length_m: NDArray[np.floating],
    width_m: NDArray[np.floating],
    axis_deg: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Corners (N, 4, 2) of upright rectangles whose long side points along the axis, clockwise from north."""
    a = np.deg2rad(np.asarray(axis_deg, np.float32))
    sin, cos = np.sin(a), np.cos(a)
    hl, hw = np.asarray(length_m, np.float32) / 2, np.asarray(width_m, np.float32) / 2
    lx, ly, wx, wy = hl * sin, -hl * cos, hw * cos, hw * sin
    xs = np.stack([x_m + lx + wx, x_m + lx - wx, x_m - lx - wx, x_m - lx + wx], axis=1)
    ys = np.stack([y_m + ly + wy, y_m + ly - wy, y_m - ly - wy, y_m - ly + wy], axis=1)
    return np.stack([xs, ys], axis=2).astype(np.float32)


def discs(
    x_m: NDArray[np.floating], y_m: NDArray[np.floating], diameter_m: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Sixteen-sided polygons (N, 16, 2) of circles' area."""
    t = (np.arange(16) + 0.5) * (np.pi / 8)
    # a regular 16-gon of this circumradius has the circle's area
    r = np.asarray(diameter_m)[:, None] / 2 * np.sqrt(np.pi / (8 * np.sin(np.pi / 8)))
    return np.stack([x_m[:, None] + r * np.cos(t), y_m[:, None] + r * np.sin(t)], axis=2).astype(np.float32)


def unbroken_m(width_m: float, gsd_m: float) -> float:
    """A line's width in metres, at least what shows as an unbroken row of pixels in any direction."""
    return max(width_m, 1.05 * gsd_m)
