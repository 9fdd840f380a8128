"""Where a satellite was, and when and how far away it passed a point: the range-Doppler equations.

Source: UZH, Guide to Sentinel-1 Geocoding, UZH-S1-GC-AD 1.10, 2019; Curlander and McDonough 1991, "Synthetic Aperture
Radar", section 8.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray
from scipy.interpolate import CubicHermiteSpline

LIGHT_M_S = 299_792_458.0
_TO_ECEF = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)


@dataclass(frozen=True)
class Orbit:
    """State vectors in the Earth-fixed frame.

    Attributes:
        time_s: `(N,)` seconds since an epoch of the caller's, ascending.
        position_m: `(N, 3)`.
        velocity_m_s: `(N, 3)`, of the Earth-fixed frame.
    """

    time_s: NDArray[np.float64]
    position_m: NDArray[np.float64]
    velocity_m_s: NDArray[np.float64]

    @cached_property
    def _curves(self) -> tuple[Any, Any, Any]:
        # through position and velocity, cubic pieces 10 s long stay within a millimetre of the orbit
        position = CubicHermiteSpline(self.time_s, self.position_m, self.velocity_m_s)
        return position, position.derivative(), position.derivative(2)

    def closest_approach(self, points_m: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """When the Doppler frequency of points was zero, and their distance then.

        Args:
            points_m: `(…, 3)` Earth-fixed coordinates.

        Returns:
            Time in s and distance in m, `(…)`, NaN where the orbit does not reach.
        """
        position, velocity, acceleration = self._curves
        first, last = self.time_s[0], self.time_s[-1]
        time = np.full(points_m.shape[:-1], (first + last) / 2)
        for _ in range(20):
            sight, v = points_m - position(time), velocity(time)
            slope = (sight * acceleration(time)).sum(-1) - (v * v).sum(-1)
            step = (sight * v).sum(-1) / slope
            time = np.clip(time - step, first - 10, last + 10)
            if not np.any(np.abs(step) > 1e-9):
                break
        away = np.linalg.norm(points_m - position(time), axis=-1)
        inside = (time >= first) & (time <= last)
        return np.where(inside, time, np.nan), np.where(inside, away, np.nan)


def ecef(
    lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64], height_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Earth-fixed coordinates `(…, 3)` in m of places whose height is above the WGS 84 ellipsoid."""
    return np.stack(_TO_ECEF.transform(lon_deg, lat_deg, height_m), axis=-1)


def seen_from(
    position_m: NDArray[np.float64], lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64], height_m: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How places are seen from a sensor.

    Args:
        position_m: `(3,)` Earth-fixed.
        lon_deg, lat_deg: Places, of any one shape.

    Returns:
        Incidence angle from the ellipsoid's normal, and azimuth from the sensor to the place clockwise from north; both
        in degrees.
    """
    sight = position_m - ecef(lon_deg, lat_deg, np.full(np.shape(lon_deg), height_m))
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    up = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=-1)
    north = np.cross(up, east)
    height = (sight * up).sum(-1) / np.linalg.norm(sight, axis=-1)
    azimuth = np.degrees(np.arctan2((sight * east).sum(-1), (sight * north).sum(-1)))
    return np.degrees(np.arccos(np.clip(height, -1, 1))), (azimuth + 180) % 360


def above(
    lon_deg: float, lat_deg: float, height_m: float, azimuth_deg: float, incidence_deg: float, away_m: float
) -> NDArray[np.float64]:
    """Where a sensor is that a place sees in a direction: Earth-fixed coordinates `(3,)`.

    Args:
        azimuth_deg: From the place to the sensor, clockwise from north.
        incidence_deg: From the zenith.
        away_m: Distance.
    """
    lon, lat, azimuth, incidence = np.radians([lon_deg, lat_deg, azimuth_deg, incidence_deg])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    level = np.sin(azimuth) * east + np.cos(azimuth) * np.cross(up, east)
    place = ecef(np.array(lon_deg), np.array(lat_deg), np.array(height_m))
    return np.asarray(place + away_m * (np.cos(incidence) * up + np.sin(incidence) * level))
