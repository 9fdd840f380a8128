"""What the radar's geometry does to a surface: slopes, layover and shadow.

Products are taken to be geocoded with a model of the bare terrain, as those an archive is made of: the ground lies
where a map has it, while what stands on the ground is laid over towards the radar, since no terrain model knows it.
"""

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.imaging.geometry import Look

Field = NDArray[np.float32]

_SLOPE_EVERY_M = 40.0
_STEEPEST_LOCAL_DEG = 7.0


def shadow_height(surface_m: Field, gsd_m: float, look: Look) -> Field:
    """Height (H, W) up to which nearer ground hides a place from the radar; minus infinity where nothing does.

    A point is hidden when another one nearer by x is higher by more than x / tan(incidence). A ray that has grazed one
    line of pixels sinks by that much until the next, so one pass along the look direction with a running maximum finds
    all.

    Args:
        surface_m: Height of the surface with all that stands on it (H, W).
        gsd_m: Pixel spacing.
        look: The geometry.
    """
    x, y = look.along_xy
    by_column = abs(x) >= abs(y)
    lines = np.ascontiguousarray(surface_m.T) if by_column else surface_m
    ahead, aside = (x, y) if by_column else (y, x)
    slope = aside / abs(ahead)
    drop = np.float32(gsd_m / abs(ahead) * look.cot_incidence)
    rays = np.empty(lines.shape, np.float32)
    ray = np.full(lines.shape[1], -np.inf, np.float32)
    for step, k in enumerate(range(len(lines)) if ahead > 0 else range(len(lines) - 1, -1, -1)):
        # lines of sight that run askew to the grid change pixel rows now and then
        turn = round(step * slope) - round((step - 1) * slope)
        np.subtract(_moved(ray, turn), drop, out=rays[k])
        ray = np.maximum(rays[k], lines[k])
    return np.ascontiguousarray(rays.T) if by_column else rays


def _moved(line: Field, by: int) -> Field:
    """A line moved by some pixels; nothing comes in from outside."""
    if by == 0:
        return line
    out = np.full_like(line, -np.inf)
    if by > 0:
        out[by:] = line[:-by]
    else:
        out[:by] = line[-by:]
    return out


def lay_over(power: Field, height_m: Field, gsd_m: float, look: Look, from_m: float = 0.5) -> Field:
    """Move the power of what stands on the ground towards the radar by height / tan(incidence) in ground range.

    Args:
        power: Backscattered power of each pixel's surface (H, W).
        height_m: Height of that surface above the ground (H, W).
        gsd_m: Pixel spacing.
        look: The geometry.
        from_m: Height from which on a surface is moved.

    Returns:
        Power (H, W) where the image has it; what is moved out of the image is lost.
    """
    rows, cols = np.nonzero(height_m > from_m)
    if rows.size == 0:
        return power
    moved = power[rows, cols]
    rest = power.copy()
    rest[rows, cols] = 0
    shift = height_m[rows, cols] * np.float32(look.cot_incidence / gsd_m)
    x, y = look.along_xy
    deposit(rest, cols - shift * np.float32(x), rows - shift * np.float32(y), moved)
    return rest


def deposit(field: Field, col: NDArray[np.floating], row: NDArray[np.floating], power: Field) -> None:
    """Add power at places between pixel centres to the four pixels around, in place.

    Args:
        field: Where to add (H, W).
        col: Columns (N,), a pixel's centre being its index.
        row: Rows (N,).
        power: What to add (N,).
    """
    H, W = field.shape
    c, r = np.floor(col), np.floor(row)
    fc, fr = (col - c).astype(np.float32), (row - r).astype(np.float32)
    ci, ri = c.astype(np.int32), r.astype(np.int32)
    inside = (ci >= 0) & (ri >= 0) & (ci < W - 1) & (ri < H - 1)
    if not inside.all():
        ci, ri, fc, fr, power = ci[inside], ri[inside], fc[inside], fr[inside], power[inside]
    at = ri * np.int32(W) + ci
    upper, lower = power * (1 - fr), power * fr
    # one count over all four corners, since each costs a pass over the whole field
    index = np.concatenate([at, at + 1, at + W, at + W + 1])
    parts = np.concatenate([upper * (1 - fc), upper * fc, lower * (1 - fc), lower * fc])
    flat = field.reshape(-1)
    np.add(flat, np.bincount(index, parts, flat.size), out=flat, casting="same_kind")


def slope_factor(terrain_m: Field, gsd_m: float, look: Look) -> Field | None:
    """Relative brightness (H, W) of terrain, brighter where it leans towards the radar; None over flat ground.

    The area that a slope shows to the radar goes with 1 / sin(local incidence) (Ulander 1996, "Radiometric slope
    correction of synthetic-aperture radar images", IEEE TGRS 34(5)); what a unit of that area returns falls with the
    cosine of the local incidence.
    """
    step = max(1, round(_SLOPE_EVERY_M / gsd_m))
    coarse = terrain_m[step // 2 :: step, step // 2 :: step]
    if min(coarse.shape) < 2 or float(coarse.max() - coarse.min()) < 5.0:
        return None
    down, right = np.gradient(coarse, np.float32(step * gsd_m))
    x, y = look.along_xy
    slope = right * np.float32(x) + down * np.float32(y)
    theta = np.deg2rad(look.incidence_deg)
    # terrain that rises away from the radar is seen at a smaller angle
    local = np.clip(theta - np.arctan(slope), np.deg2rad(_STEEPEST_LOCAL_DEG), np.deg2rad(88))
    factor = np.sin(theta) / np.sin(local) * np.cos(local) / np.cos(theta)
    return upsampled(factor.astype(np.float32), terrain_m.shape, step)


def upsampled(coarse: Field, shape: tuple[int, ...], step: int) -> Field:
    """Bilinear interpolation of a field sampled at every `step`-th pixel, from `step // 2` on, to `shape`."""

    def weights(n: int, knots: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Field]:
        at = np.clip((np.arange(n) - step // 2) / step, 0, knots - 1)
        low = np.minimum(at.astype(np.intp), knots - 1)
        return low, np.minimum(low + 1, knots - 1), (at - low).astype(np.float32)

    low, high, f = weights(shape[0], coarse.shape[0])
    rows = coarse[low] * (1 - f)[:, None] + coarse[high] * f[:, None]
    low, high, f = weights(shape[1], coarse.shape[1])
    return np.asarray(rows[:, low] * (1 - f) + rows[:, high] * f, np.float32)
