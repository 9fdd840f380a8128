"""The system's impulse response: a complex field as a processor focuses it.

A detected single-look image is the squared magnitude of ground that scatters with random phase, filtered by the
processed spectrum. Speckle, resolution, side lobes and correlation between pixels all follow from that one filter.

Sources: Cumming, Wong 2005, "Digital processing of synthetic aperture radar data", ch. 2; for scatterers between pixels
Fessler, Sutton 2003, "Nonuniform fast Fourier transforms using min-max interpolation", IEEE TSP 51(2) (Kaiser-Bessel).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from knowlip.simulation.imaging.geometry import Look
from knowlip.simulation.imaging.speckle import Taps
from knowlip.simulation.sensors import Sensor

Field = NDArray[np.float32]
ComplexField = NDArray[np.complex64]

_TAPS = 4
_BETA = 7.7
_TABLE = np.i0(_BETA * np.sqrt(np.clip(1 - np.linspace(0, 1, 2049) ** 2, 0, 1))).astype(np.float32)


def transfer(shape: tuple[int, int], sensor: Sensor, look: Look) -> Field:
    """Weights (H, W) of the spectrum in FFT order, of unit mean square, so that white noise keeps its power.

    The spectrum is a rectangle along range and azimuth with the sensor's taper, turned by the look azimuth.
    """
    fx, fy = np.fft.fftfreq(shape[1], sensor.gsd_m)[None, :], np.fft.fftfreq(shape[0], sensor.gsd_m)[:, None]
    weights = np.ones(shape, np.float32)
    for (x, y), resolution_m in (
        (look.along_xy, sensor.range_resolution_m),
        (look.flight_xy, sensor.azimuth_resolution_m),
    ):
        bandwidth = sensor.window.width / resolution_m
        a, b = fx * x / bandwidth, fy * y / bandwidth
        taper = np.ones(shape, np.float32)
        for m, cosine in enumerate(sensor.window.cosines, start=1):
            u, v = 2 * np.pi * m * a, 2 * np.pi * m * b
            # cos(u + v) from vectors, which is much cheaper than the cosine of a field
            taper += np.float32(2 * cosine) * np.cos(v).astype(np.float32) * np.cos(u).astype(np.float32)
            taper -= np.float32(2 * cosine) * np.sin(v).astype(np.float32) * np.sin(u).astype(np.float32)
        f = a.astype(np.float32) + b.astype(np.float32)
        taper[np.abs(f) > 0.5] = 0
        weights *= taper
    weights *= np.float32(1 / np.sqrt(np.mean(np.square(weights), dtype=np.float64)))
    return weights


def intensity_taps(sensor: Sensor, look: Look) -> Taps:
    """The intensity's impulse response along rows' and columns' axes, of sum 1 each.

    The turned response is taken as the product of its cuts along the axes, which is close where both resolutions are.
    """
    rows, cols = (_spectrum(f, sensor) for f in _axis_bandwidths(sensor, look))
    return _centre(np.square(np.fft.ifft(rows).real)), _centre(np.square(np.fft.ifft(cols).real))


def speckle_taps(sensor: Sensor, look: Look) -> Taps:
    """Weights along rows' and columns' axes that give white noise the correlation of the intensity's speckle.

    Intensities of focused ground are correlated by |r|^2, with r the Fourier transform of the power spectrum
    (Madsen 1987, "Spectral properties of homogeneous and nonhomogeneous radar images", IEEE TAES 23(4)).
    """
    taps = []
    for f in _axis_bandwidths(sensor, look):
        power = np.square(_spectrum(f, sensor))
        correlation = np.square(np.fft.ifft(power).real)
        taps.append(_centre(np.fft.ifft(np.sqrt(np.abs(np.fft.fft(correlation)))).real))
    return taps[0], taps[1]


_AXIS_SAMPLES, _AXIS_RADIUS = 256, 4


def _axis_bandwidths(sensor: Sensor, look: Look) -> tuple[float, float]:
    """Cycles per pixel that the spectrum spans along rows' and columns' axes."""
    x, y = look.along_xy
    across, along = sensor.azimuth_resolution_m, sensor.range_resolution_m
    resolutions_m = float(np.hypot(along * y, across * x)), float(np.hypot(along * x, across * y))
    down, right = (sensor.window.width * sensor.gsd_m / r for r in resolutions_m)
    return down, right


def _spectrum(bandwidth: float, sensor: Sensor) -> NDArray[np.float64]:
    f = np.fft.fftfreq(_AXIS_SAMPLES) / bandwidth
    taper = np.ones(len(f))
    for m, cosine in enumerate(sensor.window.cosines, start=1):
        taper += 2 * cosine * np.cos(2 * np.pi * m * f)
    return np.where(np.abs(f) <= 0.5, taper, 0.0)


def _centre(response: NDArray[np.float64]) -> NDArray[np.float32]:
    taps = np.roll(response, _AXIS_RADIUS)[: 2 * _AXIS_RADIUS + 1]
    return np.asarray(taps / taps.sum(), np.float32)


def spread(
    col: NDArray[np.floating], row: NDArray[np.floating], amplitude: ComplexField, shape: tuple[int, int]
) -> ComplexField:
    """Complex scatterers between pixels on a grid, to be corrected by `spread_correction` in the spectrum.

    Args:
        col: Columns (N,), a pixel's centre being its index.
        row: Rows (N,).
        amplitude: Complex amplitudes (N,), or several sets of them (K, N).
        shape: (H, W); what lies within two pixels of the edge or outside is left out.

    Returns:
        Field (H, W), or (K, H, W).
    """
    H, W = shape
    c, r = np.floor(col).astype(np.int32) - 1, np.floor(row).astype(np.int32) - 1
    inside = (c >= 0) & (r >= 0) & (c < W - _TAPS) & (r < H - _TAPS)
    sets = np.atleast_2d(amplitude)
    if not inside.all():
        c, r, sets, col, row = c[inside], r[inside], sets[:, inside], col[inside], row[inside]
    k = np.arange(_TAPS, dtype=np.int32)
    wc, wr = (_kernel(k - (np.asarray(at) - low)[:, None]) for at, low in ((col, c), (row, r)))
    flat = ((r[:, None, None] + k[:, None]) * np.int32(W) + c[:, None, None] + k).ravel()
    weight = wr[:, :, None] * wc[:, None, :]
    fields: ComplexField = np.empty((len(sets), H * W), np.complex64)
    for field, one in zip(fields, sets, strict=True):
        field.real = np.bincount(flat, (weight * one.real[:, None, None]).ravel(), H * W)
        field.imag = np.bincount(flat, (weight * one.imag[:, None, None]).ravel(), H * W)
    return fields.reshape(shape if np.ndim(amplitude) == 1 else (len(sets), *shape))


def _kernel(x: NDArray[np.floating]) -> Field:
    at = np.minimum(np.abs(x) * (2 / _TAPS), 1) * (len(_TABLE) - 1)
    low = np.minimum(at.astype(np.int32), len(_TABLE) - 2)
    f = (at - low).astype(np.float32)
    return np.asarray(_TABLE[low] * (1 - f) + _TABLE[low + 1] * f, np.float32)


@lru_cache(maxsize=8)
def spread_correction(shape: tuple[int, int]) -> tuple[Field, Field]:
    """What the spectrum of spread scatterers is multiplied with along rows (H, 1) and columns (1, W)."""

    def along(n: int) -> NDArray[np.float64]:
        s = _BETA**2 - (np.pi * _TAPS * np.fft.fftfreq(n)) ** 2
        root = np.sqrt(np.abs(s))
        spectrum = _TAPS * np.where(s > 0, np.sinh(root), np.sin(root)) / np.maximum(root, 1e-9)
        return 1 / spectrum

    return along(shape[0])[:, None].astype(np.float32), along(shape[1])[None, :].astype(np.float32)


def focus(power: Field, scatterers: ComplexField, weights: Field, rng: np.random.Generator) -> ComplexField:
    """The focused complex image of ground and scatterers.

    Args:
        power: Mean power (H, W) of ground whose phase is random, noise included.
        scatterers: Field of `spread` (H, W).
        weights: The field of `transfer`.
        rng: Draws the phases of the ground.

    Returns:
        Complex image (H, W); its squared magnitude has the mean `power`, and a scatterer of amplitude a has the energy
        |a|^2 in all.
    """
    ground: ComplexField = np.empty(weights.shape, np.complex64)
    rng.standard_normal(out=ground.view(np.float32).reshape(*weights.shape, 2), dtype=np.float32)
    ground *= np.sqrt(power * np.float32(0.5))
    spectrum = fft.fft2(ground, overwrite_x=True)
    spectrum *= weights
    spectrum += _points_spectrum(scatterers, weights)
    return np.asarray(fft.ifft2(spectrum, overwrite_x=True), np.complex64)


def focus_points(scatterers: ComplexField, weights: Field) -> ComplexField:
    """The focused complex image of scatterers alone, of a field (H, W) or several (K, H, W) of `spread`."""
    return np.asarray(fft.ifft2(_points_spectrum(scatterers, weights), overwrite_x=True), np.complex64)


def _points_spectrum(scatterers: ComplexField, weights: Field) -> ComplexField:
    rows, cols = spread_correction(weights.shape)
    spectrum: ComplexField = fft.fft2(scatterers)
    spectrum *= rows
    spectrum *= cols
    spectrum *= weights
    return spectrum
