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
from knowlip.simulation.imaging.speckle import smooth_gaussian
from knowlip.simulation.noise import mix, spline_noise

Field = NDArray[np.float32]


@dataclass(frozen=True)
class ClassTexture:
    """How much one class varies, in dB, each part a standard deviation.

    Attributes:
        parcel_db: Between parcels.
        slow_db: Within the class over `SLOW_M`.
        fine_db: Between places much smaller than the correlation length.
    """

    parcel_db: float
    slow_db: float
    fine_db: float


SLOW_M = 600.0
FINE_M = 12.0

CLASS_TEXTURE: dict[LandCover, ClassTexture] = {
    LandCover.WATER: ClassTexture(0.0, 0.0, 0.0),
    LandCover.WOODLAND: ClassTexture(0.5, 0.5, 2.0),
    LandCover.FARMLAND: ClassTexture(2.0, 0.3, 0.5),
    LandCover.BUILDING: ClassTexture(1.5, 0.5, 3.0),
    LandCover.ROAD: ClassTexture(0.0, 0.3, 0.5),
    LandCover.BARE: ClassTexture(1.2, 0.5, 0.8),
}

_NEPER_PER_DB = np.log(10) / 10


def _by_class(values: dict[LandCover, float]) -> Field:
    table = np.zeros(256, np.float32)
    for cls, value in values.items():
        table[cls] = value
    return table


def ground_texture(
    landcover: NDArray[np.uint8], parcel: NDArray[np.int32], gsd_m: float, rng: np.random.Generator
) -> Field:
    """Factor (H, W) on sigma0, of mean 1 in each class.

    Args:
        landcover: Class codes (H, W).
        parcel: Number of the parcel of each pixel (H, W).
        gsd_m: Pixel spacing.
        rng: Source of it all.
    """
    shape = (landcover.shape[0], landcover.shape[1])
    pixel = 1 / np.sqrt(1 + (gsd_m / FINE_M) ** 2)
    fine = _by_class({c: t.fine_db * _NEPER_PER_DB * pixel for c, t in CLASS_TEXTURE.items()})
    slow = _by_class({c: t.slow_db * _NEPER_PER_DB for c, t in CLASS_TEXTURE.items()})
    between = _by_class({c: t.parcel_db * _NEPER_PER_DB for c, t in CLASS_TEXTURE.items()})
    half_variance = 0.5 * (fine**2 + slow**2 + between**2)

    total = fine[landcover] * smooth_gaussian(shape, FINE_M / gsd_m / np.sqrt(2), rng)
    total += slow[landcover] * spline_noise(shape, gsd_m, SLOW_M, rng, octaves=3)
    normals = rng.standard_normal(1 << 14, dtype=np.float32)
    total += between[landcover] * normals[mix(parcel) & np.uint32((1 << 14) - 1)]
    total -= half_variance[landcover]
    return np.asarray(np.exp(total, out=total), np.float32)
