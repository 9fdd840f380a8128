"""How the ground varies about its class's mean before speckle: parcels, slow changes, and what is in a pixel.

All of it is multiplicative and log-normal, so parts add in dB and one exponential makes the factor. Three scales:

- parcels (fields, blocks of houses) differ by moisture, crop, style;
- within a class the ground changes slowly, over hundreds of metres;
- pixels differ by what happens to stand in them, with a correlation length of a few metres to tens of metres.

The finest part is what makes clutter heavier-tailed than speckle alone, as K-distributed clutter (Jakeman & Pusey,
IEEE Trans. Antennas Propag. 24(6), 1976); its variance falls with the pixel's area once a pixel is larger than the
correlation length, as the order of K-distributed clutter grows with it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import LandCover
from knowlip.simulation.noise import mix, spline_noise

Field = NDArray[np.float32]


@dataclass(frozen=True)
class ClassTexture:
    """How much one class varies, in dB, each part a standard deviation.

    Attributes:
        parcel_db: Between parcels.
        slow_db: Within the class over `SLOW_M` and its halves down to an eighth.
        fine_db: Between places, with the correlation length `FINE_M`.
    """

    parcel_db: float
    slow_db: float
    fine_db: float


SLOW_M = 600.0
FINE_M = 8.0

# Found on Sentinel-1 scenes of the development places of benchmarks/realism.py, as far as 10 m show it. What only finer
# pixels show, crowns of trees and furrows, is this project's choice: woodland's 1.5 dB are K-distributed clutter of an
# order of some 8, as spaceborne pictures of a few metres have it over woods.
CLASS_TEXTURE: dict[LandCover, ClassTexture] = {
    LandCover.WATER: ClassTexture(0.0, 0.0, 0.0),
    LandCover.WOODLAND: ClassTexture(0.3, 0.8, 1.5),
    LandCover.FARMLAND: ClassTexture(1.3, 0.5, 0.5),
    LandCover.BUILDING: ClassTexture(1.5, 1.8, 2.5),
    LandCover.ROAD: ClassTexture(0.0, 0.3, 0.5),
    LandCover.BARE: ClassTexture(1.0, 0.5, 0.8),
}

_NEPER_PER_DB = np.log(10) / 10
_ROWS = 32
_NORMALS = 1 << 14
# A cubic B-spline has an autocorrelation of 1/e at this many times the distance of its knots.
_KNOTS_TO_CORRELATION = 1.2


def _by_class(values: dict[LandCover, float]) -> Field:
    table = np.zeros(256, np.float32)
    for cls, value in values.items():
        table[cls] = value * _NEPER_PER_DB
    return table


def _fine(shape: tuple[int, int], gsd_m: float, rng: np.random.Generator) -> Field:
    """Unit normal noise (H, W) of the fine correlation length, averaged over the pixel; its variance says how much."""
    if gsd_m < FINE_M:
        # knots of a spline this far apart make a correlation of 1/e at FINE_M
        return spline_noise(shape, gsd_m, 2 * FINE_M / _KNOTS_TO_CORRELATION, rng)
    return rng.standard_normal(shape, dtype=np.float32)


def ground_texture(
    landcover: NDArray[np.uint8], parcel: NDArray[np.int32], gsd_m: float, rng: np.random.Generator
) -> Field:
    """How the ground's sigma0 varies about its class's mean.

    Args:
        landcover: Class codes (H, W).
        parcel: Number of the parcel of each pixel (H, W).
        gsd_m: Pixel spacing.
        rng: Source of it all.

    Returns:
        Factor (H, W), of mean 1 in each class.
    """
    shape = (landcover.shape[0], landcover.shape[1])
    # a pixel holds more than one independent place once it is larger than the correlation length
    pixel = 1 / np.sqrt(1 + (gsd_m / FINE_M) ** 2)
    fine = _by_class({c: t.fine_db * pixel for c, t in CLASS_TEXTURE.items()})
    slow = _by_class({c: t.slow_db for c, t in CLASS_TEXTURE.items()})
    between = _by_class({c: t.parcel_db for c, t in CLASS_TEXTURE.items()})
    total = _fine(shape, gsd_m, rng)
    slowly = spline_noise(shape, gsd_m, SLOW_M, rng, octaves=3)
    # a scene smaller than the variation would be brighter or darker as a whole
    slowly -= np.float32(slowly.mean(dtype=np.float64))
    varied = np.float32(np.mean(np.square(slowly[::4, ::4]), dtype=np.float64))
    half_variance = np.float32(0.5) * (fine**2 + slow**2 * varied + between**2)

    normals = rng.standard_normal(_NORMALS, dtype=np.float32)
    for r in range(0, shape[0], _ROWS):
        rows = slice(r, r + _ROWS)
        cover, out = landcover[rows], total[rows]
        out *= fine[cover]
        out += slow[cover] * slowly[rows]
        out += between[cover] * normals[mix(parcel[rows]) & np.uint32(_NORMALS - 1)]
        out -= half_variance[cover]
        np.exp(out, out=out)
    return total
