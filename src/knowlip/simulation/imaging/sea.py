"""How the sea scatters: its mean by wind and angle of view, and how wind and waves vary it.

C band VV is CMOD5.N. HH follows from it by a polarisation ratio, cross polarisation is linear in the wind. For X and Ku
band there is no model function whose coefficients are free to print here, so theirs is made from C band's by how much
more they were measured to change with wind and direction (`_SENSITIVITY`); that step is this project's.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
Number = float | NDArray[np.floating]

# Hersbach, "CMOD5.N: A C-band geophysical model function for equivalent neutral wind", ECMWF Technical Memorandum 554,
# 2008, table 1, c1 to c28 (also J. Atmos. Oceanic Technol. 27, 2010, 721-736).
CMOD5N = (
    *(-0.6878, -0.7957, 0.3380, -0.1728, 0.0000, 0.0040, 0.1103, 0.0159, 6.7329, 2.7713, -2.2885, 0.4971, -0.7250),
    *(0.0450, 0.0066, 0.3222, 0.0120, 22.7000, 2.0813, 3.0000, 8.3659, -3.3428, 1.3236, 6.2437, 2.3893, 0.3249),
    *(4.1590, 1.6930),
)  # fmt: skip

# Thompson, Elfouhaily & Chapron, "Polarization ratio for microwave backscattering from the ocean surface at low to
# moderate incidence angles", IGARSS 1998: alpha of their ratio.
_RATIO_ALPHA = 0.6

# Vachon & Wolfe, "C-band cross-polarization wind speed retrieval", IEEE GRSL 8(1), 2011: slope and offset in dB.
_CROSS_DB_PER_M_S, _CROSS_DB = 0.592, -35.6

# How many times as much as in C band sigma0 in dB departs from its mean at 10 m/s. Feindt, Wismann, Alpers & Keller,
# "Airborne measurements of the ocean radar cross section at 5.3 GHz as a function of wind speed", Radio Science 21(5),
# 1986: at C band the wind exponent and the upwind-crosswind ratio are 20 % less than at 13.9 GHz, hence 1 / 0.8 for Ku.
# X band lies between by the logarithm of the frequency, as Thompson et al., J. Geophys. Res. 117, C02035, 2012, place
# it. That the mean at 10 m/s is the same in all bands is Phillips' equilibrium range (k^-4), where Bragg scattering
# does not depend on the frequency.
_SENSITIVITY = {"C": 1.0, "X": 1.157, "Ku": 1.25}
_EQUAL_AT_M_S = 10.0

# Hasselmann et al., "Measurements of wind-wave growth and swell decay during JONSWAP", Dtsch. Hydrogr. Z. A8(12), 1973.
_PEAK_ENHANCEMENT = 3.3
_GRAVITY_M_S2 = 9.81
FETCH_M = 20e3
_WAVES = 32

# Gusts and roll vortices vary sigma0 by some tenths of a dB, in streaks along the wind a few times as long as wide.
# Width after Alpers & Brümmer, J. Geophys. Res. 99(C6), 1994 (rolls 0.5 to 3 km apart); strength and length are this
# project's choice.
_GUST_STD_DB = 0.3
_GUST_WIDTH_M, _GUST_LENGTH_M = 1000.0, 3000.0
_GUSTS = 48


def cmod5n(incidence_deg: Number, wind_speed_m_s: Number, wind_from_relative_deg: Number) -> Array:
    """C-band VV sigma0 of the open sea, linear; arguments broadcast.

    Args:
        incidence_deg: Incidence angle, 18 to 60 degrees.
        wind_speed_m_s: Equivalent neutral wind at 10 m.
        wind_from_relative_deg: Direction that the wind comes from, less that in which the radar looks.

    Source: Hersbach 2008, ECMWF Technical Memorandum 554.
    """
    c = (np.nan, *CMOD5N)
    v = np.maximum(np.asarray(wind_speed_m_s, np.float64), 0.2)
    x = (np.asarray(incidence_deg, np.float64) - 40) / 25
    cos_phi = np.cos(np.deg2rad(wind_from_relative_deg))

    a0 = c[1] + x * (c[2] + x * (c[3] + x * c[4]))
    a1 = c[5] + c[6] * x
    s = (c[7] + c[8] * x) * v
    s0 = c[12] + c[13] * x
    saturation = special.expit(np.maximum(s, s0))
    low = np.where(s < s0, (np.minimum(s, s0) / s0) ** (s0 * (1 - saturation)), 1.0) if np.any(s < s0) else 1.0
    gamma = c[9] + x * (c[10] + x * c[11])
    b0 = (saturation * low) ** gamma * 10 ** (a0 + a1 * v)

    b1 = c[14] * (1 + x) - c[15] * v * (0.5 + x - np.tanh(4 * (x + c[16] + c[17] * v)))
    b1 /= 1 + np.exp(0.34 * (v - c[18]))

    y0, n = c[19], c[20]
    y = v / (c[21] + x * (c[22] + x * c[23])) + 1
    y = np.where(y < y0, y0 - (y0 - 1) / n + (y - 1) ** n / (n * (y0 - 1) ** (n - 1)), y)
    d1 = c[24] + x * (c[25] + x * c[26])
    d2 = c[27] + c[28] * x
    b2 = (d2 * y - d1) * np.exp(-y)
    return np.asarray(b0 * (1 + b1 * cos_phi + b2 * (2 * cos_phi**2 - 1)) ** 1.6, np.float64)


def polarisation_ratio(incidence_deg: Number) -> Array:
    """sigma0 in VV over that in HH.

    Source: Thompson, Elfouhaily & Chapron 1998.
    """
    t2 = np.tan(np.deg2rad(incidence_deg)) ** 2
    return np.asarray(((1 + 2 * t2) / (1 + _RATIO_ALPHA * t2)) ** 2, np.float64)


def sea_sigma0(
    band: str, polarisation: str, incidence_deg: Number, wind_speed_m_s: Number, wind_from_relative_deg: Number = 45.0
) -> Array:
    """Mean sigma0 of the sea, linear; arguments broadcast.

    Args:
        band: "C", "X" or "Ku".
        polarisation: "VV", "HH", "VH" or "HV".
        incidence_deg: Incidence angle.
        wind_speed_m_s: Wind at 10 m.
        wind_from_relative_deg: Direction that the wind comes from, less that in which the radar looks: 0 where the
            radar looks into the wind, which is brightest, 180 with it, 90 across it. 45 is about the mean over all.

    Raises:
        ValueError: No such band or polarisation.
    """
    if band not in _SENSITIVITY:
        raise ValueError(f"no sea model for band {band!r}; there are {', '.join(_SENSITIVITY)}")
    if polarisation in ("VH", "HV"):
        level = 10 ** ((_CROSS_DB_PER_M_S * np.asarray(wind_speed_m_s, np.float64) + _CROSS_DB) / 10)
        return np.asarray(np.broadcast_to(level, np.broadcast_shapes(np.shape(level), np.shape(incidence_deg))))
    if polarisation not in ("VV", "HH"):
        raise ValueError(f"no sea model for polarisation {polarisation!r}; there are VV, HH, VH, HV")
    vv = cmod5n(incidence_deg, wind_speed_m_s, wind_from_relative_deg)
    if band != "C":
        middle = cmod5n(incidence_deg, _EQUAL_AT_M_S, 45.0)
        vv = middle * (vv / middle) ** _SENSITIVITY[band]
    return vv if polarisation == "VV" else vv / polarisation_ratio(incidence_deg)


def jonswap(frequency_hz: Array, wind_speed_m_s: float, fetch_m: float = FETCH_M) -> Array:
    """Spectrum of the sea's elevation in m^2/Hz that a wind raises over a fetch.

    Source: Hasselmann et al. 1973 (JONSWAP).
    """
    wind = max(wind_speed_m_s, 0.5)
    reach = _GRAVITY_M_S2 * fetch_m / wind**2
    # a longer fetch than this no longer lets the waves grow: Pierson & Moskowitz, J. Geophys. Res. 69(24), 1964
    peak_hz = max(3.5 * _GRAVITY_M_S2 / wind * reach**-0.33, 0.13 * _GRAVITY_M_S2 / wind)
    alpha = 0.076 * reach**-0.22
    f = frequency_hz / peak_hz
    width = np.where(f > 1, 0.09, 0.07)
    peak = _PEAK_ENHANCEMENT ** np.exp(-0.5 * ((f - 1) / width) ** 2)
    scale = alpha * _GRAVITY_M_S2**2 * (2 * np.pi) ** -4 * peak_hz**-5.0
    return np.asarray(scale * f**-5.0 * np.exp(-1.25 * f**-4.0) * peak, np.float64)


def _plane_waves(
    shape: tuple[int, int], gsd_m: float, kx: Array, ky: Array, amplitude: Array, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Sum (H, W) of plane waves of random phase; each factors into a row and a column, so that all are one product."""
    phase = rng.uniform(0, 2 * np.pi, len(kx))
    down = np.arange(shape[0])[:, None] * gsd_m * ky + phase
    right = np.arange(shape[1])[:, None] * gsd_m * kx
    rows = np.concatenate([np.cos(down) * amplitude, -np.sin(down) * amplitude], axis=1).astype(np.float32)
    cols = np.concatenate([np.cos(right), np.sin(right)], axis=1).astype(np.float32)
    return np.asarray(rows @ cols.T, np.float32)


def _wave_components(
    gsd_m: float, incidence_deg: float, look_azimuth_deg: float, wind_speed_m_s: float, wind_from_deg: float,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Wave numbers in x and y and amplitudes of the modulation by the waves that the pixels resolve."""
    longest = np.sqrt(_GRAVITY_M_S2 / (2 * np.pi * 400.0))
    shortest = np.sqrt(_GRAVITY_M_S2 / (2 * np.pi * 2 * gsd_m))
    if shortest <= longest:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    edges = np.geomspace(longest, shortest, _WAVES + 1)
    f = np.sqrt(edges[1:] * edges[:-1])
    height = np.sqrt(2 * jonswap(f, wind_speed_m_s) * np.diff(edges))
    k = (2 * np.pi * f) ** 2 / _GRAVITY_M_S2
    # quantiles of a cos^2 spread about downwind
    grid = np.linspace(-np.pi / 2, np.pi / 2, 181)
    spread = np.interp(
        rng.permutation((np.arange(_WAVES) + 0.5) / _WAVES), (grid + np.sin(2 * grid) / 2) / np.pi + 0.5, grid
    )
    towards = np.deg2rad(wind_from_deg + 180) + spread
    along_range = np.cos(towards - np.deg2rad(look_azimuth_deg))
    theta = np.deg2rad(incidence_deg)
    # Alpers, Ross & Rufenach, J. Geophys. Res. 86(C7), 1981: tilt and hydrodynamic modulation of a real aperture
    tilt = 4 / np.tan(theta) / (1 + np.sin(theta) ** 2) * np.abs(along_range)
    hydrodynamic = 4.5 * along_range**2
    pixel = np.sinc(k * gsd_m / (2 * np.pi))
    return k * np.sin(towards), -k * np.cos(towards), k * height * np.hypot(tilt, hydrodynamic) * pixel


def sea_texture(
    shape: tuple[int, int],
    gsd_m: float,
    incidence_deg: float,
    look_azimuth_deg: float,
    wind_speed_m_s: float,
    wind_from_deg: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """How waves and gusts vary the sea's sigma0 about its mean.

    Waves tilt and strain the surface that the radar sees; only those longer than two pixels show. Their displacement
    by their own motion in a synthetic aperture (velocity bunching) is left out, so waves along the flight are weak.

    Args:
        shape: (H, W) in pixels.
        gsd_m: Pixel spacing.
        incidence_deg: Incidence angle.
        look_azimuth_deg: Direction in which the radar looks, clockwise from the grid's north.
        wind_speed_m_s: Wind at 10 m.
        wind_from_deg: Direction that it comes from, clockwise from the grid's north.
        rng: Source of phases and directions.

    Returns:
        Factor (H, W) of about mean 1.
    """
    wx, wy, wave = _wave_components(gsd_m, incidence_deg, look_azimuth_deg, wind_speed_m_s, wind_from_deg, rng)
    along, across = rng.standard_normal((2, _GUSTS)) * np.sqrt(2) / np.array([[_GUST_LENGTH_M], [_GUST_WIDTH_M]]) * 2
    h = np.deg2rad(wind_from_deg)
    gx, gy = along * np.sin(h) + across * np.cos(h), -along * np.cos(h) + across * np.sin(h)
    gust = np.full(_GUSTS, _GUST_STD_DB * np.log(10) / 10 * np.sqrt(2 / _GUSTS))
    amplitude = np.concatenate([wave, gust])
    total = _plane_waves(shape, gsd_m, np.concatenate([wx, gx]), np.concatenate([wy, gy]), amplitude, rng)
    total -= np.float32(0.25 * np.sum(amplitude**2))
    return np.asarray(np.exp(total, out=total), np.float32)
