"""Smooth random fields and per-cell random numbers, the raw material of worlds and textures."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

# A cubic B-spline on unit white noise keeps 151/315 of the variance per axis, so this is the field's deviation.
_SPLINE_STD = 151.0 / 315.0


def _weights(n: int, step: float) -> sparse.csr_array:
    """Cubic B-spline weights (n, knots) that turn knots into n samples lying `step` knots apart."""
    t = np.arange(n, dtype=np.float64) * step
    base = np.floor(t).astype(np.int32)
    f = t - base
    taps = np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3], axis=1) / 6.0
    columns = base[:, None] + np.arange(4, dtype=np.int32)
    starts = np.arange(0, 4 * n + 1, 4, dtype=np.int32)
    return sparse.csr_array((taps.astype(np.float32).ravel(), columns.ravel(), starts), shape=(n, int(base[-1]) + 4))


def spline_noise(
    shape: tuple[int, int], gsd_m: float, wavelength_m: float, rng: np.random.Generator, octaves: int = 1
) -> NDArray[np.float32]:
    """Smooth noise of about zero mean and unit variance.

    Args:
        shape: (H, W) in pixels.
        gsd_m: Pixel spacing in metres.
        wavelength_m: Size of the largest features; knots lie half of it apart.
        rng: Source of the knots.
        octaves: How many fields, each of half the features' size and half the amplitude, are added up.

    Returns:
        Field (H, W).
    """
    H, W = shape
    total = np.zeros((W, H), np.float32)
    power = 0.0
    for octave in range(octaves):
        step = gsd_m / (wavelength_m / 2 ** (octave + 1))
        if octave and step > 1.0:
            break
        rows, cols = _weights(H, step), _weights(W, step)
        knots = rng.standard_normal((rows.shape[1], cols.shape[1]), dtype=np.float32)
        amplitude = 0.5**octave
        total += cols @ np.ascontiguousarray((rows @ (knots * np.float32(amplitude))).T)
        power += amplitude**2
    total *= np.float32(1 / (_SPLINE_STD * np.sqrt(power)))
    return np.ascontiguousarray(total.T)


def mix(*parts: NDArray[np.integer] | int) -> NDArray[np.uint32]:
    """A well-mixed 32-bit number for each cell given by integer coordinates (broadcast together)."""
    h: NDArray[np.uint32] = np.asarray(0x9E3779B9, np.uint32)
    for part in parts:
        value = np.asarray(part).astype(np.uint32)
        with np.errstate(over="ignore"):
            h = np.asarray((h ^ value) * np.uint32(0x85EBCA6B))
            h = np.asarray(h ^ (h >> np.uint32(15)))
    with np.errstate(over="ignore"):
        h = np.asarray(h * np.uint32(0xC2B2AE35))
    return np.asarray(h ^ (h >> np.uint32(16)), np.uint32)


def unit(h: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The mixed numbers as float32 in [0, 1)."""
    return (h >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
