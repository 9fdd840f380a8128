"""Mean backscatter of the land-cover classes, as data.

Levels are rounded middles of the ranges that Ulaby & Dobson, "Handbook of Radar Scattering Statistics for Terrain",
Artech House 1989, tabulate by terrain, band and polarisation (trees, short vegetation, soil, road surfaces), at about
38 deg of incidence; water is CMOD5.N's level for some 5 m/s of wind (Hersbach, J. Atmos. Oceanic Technol. 27, 2010),
and its cross-polarised level after Vachon & Wolfe, IEEE GRSL 8(1), 2011; built-up ground follows C-band medians over
cities. They are typical values: a place and a day may differ by several dB.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import LandCover

REFERENCE_INCIDENCE_DEG = 38.0


@dataclass(frozen=True)
class ClassBackscatter:
    """How one class scatters.

    Attributes:
        cosine_power: p of sigma0 ~ cos(incidence)^p; 1-2 over rough ground and canopies, more over smooth surfaces.
        parcel_std_db: Deviation between parcels in dB (moisture, crop, building style).
        texture_order: Order of the gamma-distributed texture, which makes the clutter K-distributed; inf for none.
    """

    cosine_power: float
    parcel_std_db: float
    texture_order: float


CLASS_BACKSCATTER: dict[LandCover, ClassBackscatter] = {
    LandCover.WATER: ClassBackscatter(7.0, 0.0, np.inf),
    LandCover.WOODLAND: ClassBackscatter(1.0, 0.5, 6.0),
    LandCover.FARMLAND: ClassBackscatter(1.8, 2.0, np.inf),
    LandCover.BUILDING: ClassBackscatter(1.0, 1.5, 1.6),
    LandCover.ROAD: ClassBackscatter(4.0, 0.0, np.inf),
    LandCover.BARE: ClassBackscatter(2.5, 1.2, np.inf),
}

# dB at the reference incidence: (co-polarised VV, co-polarised HH, cross-polarised)
_LEVELS_DB: dict[str, dict[LandCover, tuple[float, float, float]]] = {
    "C": {
        LandCover.WATER: (-20.0, -23.0, -28.0),
        LandCover.WOODLAND: (-8.0, -8.0, -14.0),
        LandCover.FARMLAND: (-11.0, -11.0, -18.0),
        LandCover.BUILDING: (-3.0, -2.0, -11.0),
        LandCover.ROAD: (-17.0, -18.0, -24.0),
        LandCover.BARE: (-14.0, -14.5, -22.0),
    },
    "X": {
        LandCover.WATER: (-18.5, -21.0, -27.0),
        LandCover.WOODLAND: (-8.5, -8.5, -14.5),
        LandCover.FARMLAND: (-10.0, -10.0, -17.0),
        LandCover.BUILDING: (-2.5, -1.5, -10.5),
        LandCover.ROAD: (-16.0, -17.0, -23.0),
        LandCover.BARE: (-12.5, -13.0, -20.5),
    },
}


def level_db(band: str, polarisation: str, landcover: LandCover) -> float:
    """Mean sigma0 in dB of a class at the reference incidence.

    Raises:
        ValueError: The table has no such band or polarisation.
    """
    if band not in _LEVELS_DB:
        raise ValueError(f"no backscatter values for band {band!r}; there are {', '.join(_LEVELS_DB)}")
    columns = {"VV": 0, "HH": 1, "VH": 2, "HV": 2}
    if polarisation not in columns:
        raise ValueError(f"no backscatter values for polarisation {polarisation!r}; there are {', '.join(columns)}")
    return _LEVELS_DB[band][landcover][columns[polarisation]]


def mean_sigma0(
    landcover: NDArray[np.uint8], band: str, polarisation: str, incidence_deg: NDArray[np.float32] | float
) -> NDArray[np.float32]:
    """Mean linear sigma0 of each pixel by its class and incidence.

    Args:
        landcover: Class codes (H, W).
        band: "C" or "X".
        polarisation: Transmit-receive pair.
        incidence_deg: Incidence angle in degrees, one or for each pixel (H, W).

    Returns:
        Linear sigma0 (H, W).
    """
    levels, powers = np.zeros(256, np.float32), np.zeros(256, np.float32)
    for cls, scattering in CLASS_BACKSCATTER.items():
        levels[cls] = level_db(band, polarisation, cls) * np.log(10) / 10
        powers[cls] = scattering.cosine_power
    ratio = np.log(np.cos(np.deg2rad(incidence_deg)) / np.cos(np.deg2rad(REFERENCE_INCIDENCE_DEG)))
    exponent = levels[landcover] + powers[landcover] * np.asarray(ratio, np.float32)
    return np.asarray(np.exp(exponent), np.float32)
