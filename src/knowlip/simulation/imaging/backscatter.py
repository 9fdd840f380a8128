"""Mean backscatter of the land-cover classes by band, polarisation and incidence angle, as data.

Where the levels come from, in dB at 38 degrees of incidence:

- Woodland, farmland, road and bare ground in C and X band: typical values, rounded, after the ranges for trees, short
  vegetation and grasses, road surfaces, and soil and rock of Ulaby & Dobson, "Handbook of Radar Scattering Statistics
  for Terrain", Artech House 1989. Woodland agrees with the rain forest that calibrates C-band radars, gamma nought
  -6.5 dB (Hawkins et al., "RADARSAT-1 and ERS calibration", CEOS SAR workshop 2000).
- The same in Ku band: this project's, as far again from X as X lies from C; land then lies within the -14 to -6 dB that
  Seasat saw above 20 degrees (Bracalente et al., IEEE J. Oceanic Eng. 5(2), 1980).
- Cross polarisation in C band of farmland, building and bare ground: measured against woodland, at -13.5 dB, on
  Sentinel-1 scenes of the development places of benchmarks/realism.py. Fields lie 6 dB below woods there after noise,
  which is the lower half of the -15 to -22 dB that fields run through in a year; built-up land equals woods; yards and
  lots of bare ground among houses are brighter than smooth soil.
- Building: the mean over built-up land with its double bounces. C band, like polarisation, is typical of Sentinel-1
  over cities; X and Ku band are this project's, half a dB up in each step.
- Water: `sea` at a wind of 5 m/s, seen at 45 degrees to the wind.

The fall with incidence is cos(incidence)^p. It gives woodland -0.06 and farmland -0.11 dB per degree, within what
Sentinel-1 time series show (about -0.05 dB per degree over forest to -0.15 over fields; Widhalm, Bartsch & Goler,
Remote Sens. 10(4), 2018, 551). The levels are typical ones: a place and a day may differ by several dB.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import LandCover
from knowlip.simulation.imaging.sea import sea_sigma0

REFERENCE_INCIDENCE_DEG = 38.0
REFERENCE_WIND_M_S = 5.0

BANDS = ("C", "X", "Ku")
POLARISATIONS = ("VV", "HH", "VH", "HV")


@dataclass(frozen=True)
class ClassBackscatter:
    """How one class of land scatters.

    Attributes:
        cosine_power: p of sigma0 ~ cos(incidence)^p; 1-2 over rough ground and canopies, more over smooth surfaces.
        levels_db: By band, sigma0 in VV, in HH and in cross polarisation at the reference incidence.
    """

    cosine_power: float
    levels_db: dict[str, tuple[float, float, float]]


LAND: dict[LandCover, ClassBackscatter] = {
    LandCover.WOODLAND: ClassBackscatter(
        1.0, {"C": (-8.0, -8.0, -13.5), "X": (-8.5, -8.5, -14.0), "Ku": (-9.0, -9.0, -14.5)}
    ),
    LandCover.FARMLAND: ClassBackscatter(
        1.8, {"C": (-12.0, -12.0, -20.2), "X": (-11.0, -11.0, -19.2), "Ku": (-10.0, -10.0, -18.2)}
    ),
    LandCover.BUILDING: ClassBackscatter(
        1.0, {"C": (-4.0, -3.0, -13.0), "X": (-3.5, -2.5, -12.5), "Ku": (-3.0, -2.0, -12.0)}
    ),
    LandCover.ROAD: ClassBackscatter(
        4.0, {"C": (-17.0, -18.0, -24.0), "X": (-16.0, -17.0, -23.0), "Ku": (-15.0, -16.0, -22.0)}
    ),
    LandCover.BARE: ClassBackscatter(
        2.5, {"C": (-14.0, -14.5, -20.5), "X": (-12.5, -13.0, -19.0), "Ku": (-11.0, -11.5, -17.5)}
    ),
}

_STEPS_PER_DEG = 8
_ROWS = 16
_COLUMN = {"VV": 0, "HH": 1, "VH": 2, "HV": 2}


def level_db(
    band: str, polarisation: str, landcover: LandCover, incidence_deg: float = REFERENCE_INCIDENCE_DEG
) -> float:
    """Mean sigma0 in dB of a class at an incidence angle.

    Raises:
        ValueError: There are no values for that band, polarisation or class.
    """
    if band not in BANDS:
        raise ValueError(f"no backscatter values for band {band!r}; there are {', '.join(BANDS)}")
    if polarisation not in _COLUMN:
        raise ValueError(f"no backscatter values for polarisation {polarisation!r}; there are {', '.join(_COLUMN)}")
    if landcover == LandCover.WATER:
        return float(10 * np.log10(sea_sigma0(band, polarisation, incidence_deg, REFERENCE_WIND_M_S)))
    if landcover not in LAND:
        raise ValueError(f"no backscatter values for class {landcover!r}; there are {', '.join(c.name for c in LAND)}")
    scattering = LAND[landcover]
    fall = np.cos(np.deg2rad(incidence_deg)) / np.cos(np.deg2rad(REFERENCE_INCIDENCE_DEG))
    return scattering.levels_db[band][_COLUMN[polarisation]] + 10 * scattering.cosine_power * float(np.log10(fall))


@cache
def _table(band: str, polarisation: str) -> NDArray[np.float32]:
    """Linear sigma0 by incidence in eighths of a degree up to 90, and class (721, 7)."""
    angles = np.minimum(np.arange(90 * _STEPS_PER_DEG + 1) / _STEPS_PER_DEG, 85.0)
    table = np.zeros((len(angles), len(LandCover)), np.float32)
    for cls in (LandCover.WATER, *LAND):
        table[:, cls] = [10 ** (level_db(band, polarisation, cls, float(a)) / 10) for a in angles]
    return table


def mean_sigma0(
    landcover: NDArray[np.uint8], band: str, polarisation: str, incidence_deg: NDArray[np.float32] | float
) -> NDArray[np.float32]:
    """Mean linear sigma0 of each pixel by its class and incidence, to the next eighth of a degree.

    Args:
        landcover: Class codes (H, W).
        band: "C", "X" or "Ku".
        polarisation: Transmit-receive pair.
        incidence_deg: Incidence angle in degrees, one or for each pixel (H, W).

    Returns:
        Linear sigma0 (H, W); 0 where the class is unknown.

    Raises:
        ValueError: There are no values for that band or polarisation.
    """
    level_db(band, polarisation, LandCover.WATER)
    table = _table(band, polarisation)
    if np.ndim(incidence_deg) == 0:
        return np.take(table[round(float(incidence_deg) * _STEPS_PER_DEG)], landcover)
    flat, n = table.ravel(), table.shape[1]
    angles = np.broadcast_to(np.asarray(incidence_deg, np.float32), landcover.shape)
    out = np.empty(landcover.shape, np.float32)
    # few rows at a time stay in the cache, which halves the time
    for r in range(0, landcover.shape[0], _ROWS):
        steps = (angles[r : r + _ROWS] * np.float32(_STEPS_PER_DEG) + np.float32(0.5)).astype(np.int16)
        steps *= np.int16(n)
        steps += landcover[r : r + _ROWS]
        np.take(flat, steps, out=out[r : r + _ROWS], mode="clip")
    return out
