"""The lie of the land: hills and valleys that fall to the water."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.simulation.world.grid import Coarse

_VALLEY_M = 900.0
_STEEPEST = 0.55


def distance_to(coarse: Coarse, mask: NDArray[np.bool_], limit_m: float = 1e5) -> NDArray[np.float32]:
    """Distance in metres (h, w) from each node to the nearest one in the mask, found on every other node."""
    if not mask.any():
        return np.full(mask.shape, limit_m, np.float32)
    h, w = mask.shape
    even = np.pad(mask, ((0, h % 2), (0, w % 2)), mode="edge")
    any_of_four = even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]
    away = ndimage.distance_transform_edt(~any_of_four).astype(np.float32) * np.float32(2 * coarse.step_m)
    rows = np.repeat(away, 2, axis=0)[: h + 1]
    rows[1:-1:2] = 0.5 * (away[:-1] + away[1:])[: len(rows[1:-1:2])]
    both = np.repeat(rows, 2, axis=1)
    both[:, 1:-1:2] = 0.5 * (rows[:, :-1] + rows[:, 1:])
    return np.minimum(both[:h, :w], np.float32(limit_m))


def make_relief(
    coarse: Coarse, hilly: bool, from_water_m: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Terrain height in metres and its steepness scaled to about [0, 1], both (h, w); the height is 0 at the water.

    Args:
        coarse: The world's coarse nodes.
        hilly: Whether there are hills of hundreds of metres.
        from_water_m: Distance (h, w) to the nearest water.
        rng: Source of all choices.
    """
    extent = coarse.grid.extent_m
    tallest = float(rng.uniform(120, 580)) if hilly else float(rng.uniform(5, 45))
    wavelength = float(np.clip(0.45 * extent, 2500, 6000))
    ground = coarse.noise(wavelength, rng, octaves=5)
    # valleys are where a second field crosses zero: a branching net of lows between rounded crests
    crossing = np.abs(coarse.noise(0.6 * wavelength, rng, octaves=3))
    valley = crossing * crossing / (crossing * crossing + np.float32(0.12))
    field = np.maximum(ground + np.float32(0.7), 0) * valley
    field += np.float32(0.04) * (1 + coarse.noise(float(max(240, 6 * coarse.step_m)), rng, octaves=2))
    away = np.maximum(from_water_m - np.float32(2.5 * coarse.step_m), 0)
    # a flood plain first, then the valley's side
    rise = (1 - np.exp(-away / np.float32(_VALLEY_M))) * (away / (away + np.float32(80)))
    terrain = np.maximum(field, 0) * rise
    terrain *= np.float32(tallest / max(float(terrain.max()), 1.6))
    down, right = np.gradient(terrain, np.float32(coarse.step_m))
    slope = np.sqrt(down * down + right * right)
    # no walls: where a scene is too small for such hills, they are lower
    gentler = np.float32(min(1.0, _STEEPEST / max(float(np.quantile(slope[::2, ::2], 0.998)), 1e-6)))
    terrain *= gentler
    slope *= gentler
    steep = np.minimum(slope / np.float32(0.3), 1)
    steep += np.minimum(terrain / np.float32(500), 1) * np.float32(0.6)
    return terrain.astype(np.float32), np.minimum(steep, 1).astype(np.float32)


def flattened(
    coarse: Coarse,
    terrain_m: NDArray[np.float32],
    density: NDArray[np.float32],
    from_water_m: NDArray[np.float32],
    level: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """Terrain (h, w) with gentler ground under towns, and level where an airport is.

    Args:
        coarse: The world's coarse nodes.
        terrain_m: Height (h, w).
        density: Building density (h, w).
        from_water_m: Distance (h, w) to the nearest water.
        level: How far the ground is levelled in [0, 1] (h, w), or None.
    """
    size = max(3, round(260 / coarse.step_m)) | 1
    smooth, share = terrain_m, np.clip(density * np.float32(1.3), 0, np.float32(0.8))
    for _ in range(2):
        smooth, share = ndimage.uniform_filter(smooth, size), ndimage.uniform_filter(share, size)
    # water stays at zero, so what is smoothed may not rise where the ground was level with it
    low = terrain_m / (terrain_m + np.float32(1.5))
    out = terrain_m + share * low * (smooth - terrain_m)
    if level is not None and (level > 0.5).any():
        mean = float(out[level > 0.5].mean())
        shore = np.clip((from_water_m - np.float32(2.5 * coarse.step_m)) / np.float32(150), 0, 1)
        out = out + level * shore * (np.float32(mean) - out)
    return np.asarray(np.maximum(out, 0), np.float32)
