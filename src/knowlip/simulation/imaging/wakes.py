"""Wakes of ships under way: the dark turbulent track, the bright arms beside it and those of the Kelvin pattern.

A wake lies on the ship's true track, while the image of a ship that moves in range is shifted along the flight
direction: it is off its wake.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.imaging.geometry import Look

# arcsin(1/3): Kelvin's angle, whatever the speed in deep water.
KELVIN_HALF_ANGLE_DEG = float(np.rad2deg(np.arcsin(1 / 3)))
_LOWEST_SPEED_M_S = 1.0
_WAVELENGTH_M = {"C": 0.0555, "X": 0.0311, "Ku": 0.0197}
_GRAVITY_M_S2 = 9.81
_TENSION_M3_S2 = 7.4e-5
# Depths and heights in dB and how they fade with wind and distance are this project's assumption: turbulent tracks are
# the usual mark, arms are seen at light winds only, the Kelvin ones are weak in C band.
_TURBULENT_DB = -4.5
_TURBULENT_WIND_M_S = 9.0
_LONGEST_M = 8000.0
_NARROW_DB = {"C": 2.5, "X": 2.0, "Ku": 1.8}
_NARROW_WIND_M_S = 4.0
_KELVIN_DB = {"C": 1.2, "X": 1.0, "Ku": 0.8}
_KELVIN_WIND_M_S = 5.0

Patch = tuple[slice, slice, NDArray[np.float32]]


def narrow_half_angle_deg(speed_m_s: float, incidence_deg: float, band: str) -> float:
    """Half angle of the narrow V: Bragg waves made at the ship drift away with their group velocity.

    Source: Lyden, Hammond, Lyzenga & Shuchman 1988, "Synthetic aperture radar imaging of surface ship wakes", JGR
    93(C10).
    """
    k = 4 * np.pi * np.sin(np.deg2rad(incidence_deg)) / _WAVELENGTH_M[band]
    omega = np.sqrt(_GRAVITY_M_S2 * k + _TENSION_M3_S2 * k**3)
    group_m_s = (_GRAVITY_M_S2 + 3 * _TENSION_M3_S2 * k**2) / (2 * omega)
    return float(np.rad2deg(np.arctan2(group_m_s, speed_m_s)))


def turbulent_width_m(behind_m: NDArray[np.floating], ship: WorldObject) -> NDArray[np.floating]:
    """Full width of the turbulent track: it widens with the fifth root of distance, four beams at four lengths.

    Source: Zilman, Zapolski & Marom 2004, "The speed and beam of a ship from its wake's SAR images", IEEE TGRS 42(10).
    """
    ratio = np.maximum(np.asarray(behind_m), 0.02 * ship.length_m) / (4 * ship.length_m)
    return np.asarray(4 * ship.width_m * ratio**0.2)


def _fade(wind_speed_m_s: float, limit_m_s: float) -> float:
    return float(np.exp(-((wind_speed_m_s / limit_m_s) ** 2)))


def _arms(
    behind: NDArray[np.floating], right: NDArray[np.floating], half_angle_deg: float, reach_m: float, gsd_m: float
) -> NDArray[np.floating]:
    """Relative strength of two arms that open from the stern, of a width that a pixel can carry."""
    thick = np.maximum(0.7 * gsd_m, 4.0 + 0.006 * np.maximum(behind, 0))
    off = np.abs(right) - np.maximum(behind, 0) * np.tan(np.deg2rad(half_angle_deg))
    across = np.exp(-0.5 * (off * np.cos(np.deg2rad(half_angle_deg)) / thick) ** 2)
    return np.asarray(across * np.exp(-np.maximum(behind, 0) / reach_m) * (behind > 0))


def _wake_db(
    behind: NDArray[np.floating],
    right: NDArray[np.floating],
    ship: WorldObject,
    look: Look,
    gsd_m: float,
    wind: float,
    band: str,
) -> NDArray[np.floating]:
    """Change of the sea's level in dB at places that far behind the stern and to the right of the track."""
    reach = min(10 * ship.length_m + 150 * ship.speed_m_s, _LONGEST_M) / 2.5
    width = np.maximum(turbulent_width_m(behind, ship), 1e-3)
    # a track narrower than a pixel darkens it in part
    seen = np.maximum(0.5 * width, 0.6 * gsd_m)
    filled = np.minimum(0.5 * width / seen, 1)
    flat = np.exp(-0.5 * (right / (0.75 * seen)) ** 4)
    start = 1 / (1 + np.exp(-np.clip(behind / (0.1 * ship.length_m), -30, 30)))
    track = _TURBULENT_DB * _fade(wind, _TURBULENT_WIND_M_S) * filled * flat * np.exp(-np.maximum(behind, 0) / reach)
    # arms show best for tracks along the flight direction, whose waves run in range
    along = abs(float(np.cos(np.deg2rad(ship.heading_deg - look.azimuth_deg - 90))))
    narrow = narrow_half_angle_deg(ship.speed_m_s, look.incidence_deg, band)
    inner = _NARROW_DB[band] * _fade(wind, _NARROW_WIND_M_S) * along**2 * _arms(behind, right, narrow, 1200.0, gsd_m)
    strong = _KELVIN_DB[band] * _fade(wind, _KELVIN_WIND_M_S) * min(ship.speed_m_s / 8.0, 1.5) * (0.4 + 0.6 * along)
    outer = strong * _arms(behind, right, KELVIN_HALF_ANGLE_DEG, 900.0, gsd_m)
    return np.asarray(track * start + inner + outer)


def wake_factor(
    objects: Iterable[WorldObject],
    look: Look,
    shape: tuple[int, int],
    gsd_m: float,
    wind_speed_m_s: float,
    band: str,
) -> list[Patch]:
    """What the sea's mean sigma0 is to be multiplied with, in a patch of the grid for each ship under way.

    Patches overlap where wakes cross and multiply; nothing is known of land, so the caller applies them to water only.

    Args:
        objects: Ships and whatever else; those that lie still leave no wake.
        look: Geometry of the acquisition.
        shape: Rows and columns of the grid.
        gsd_m: Pixel spacing.
        wind_speed_m_s: Wind at 10 m: wakes drown in wind.
        band: "C", "X" or "Ku".

    Returns:
        Rows, columns and the factor (rows, columns) of each wake.

    Source: Lyden et al. 1988, JGR 93(C10); Reed & Milgram 2002, "Ship wakes and their radar images", Annual Review of
    Fluid Mechanics 34; Shemdin 1990, "Synthetic aperture radar imaging of ship wakes in the Gulf of Alaska", JGR 95,
    for lengths (arms of some 3 km, tracks of up to 41 km).
    """
    patches: list[Patch] = []
    for ship in objects:
        if ship.cls != "ship" or ship.speed_m_s < _LOWEST_SPEED_M_S:
            continue
        h = np.deg2rad(ship.heading_deg)
        ahead, right = np.array([np.sin(h), -np.cos(h)]), np.array([np.cos(h), np.sin(h)])
        stern = np.array(ship.centre_xy_m) - 0.5 * ship.length_m * ahead
        reach = min(10 * ship.length_m + 150 * ship.speed_m_s, _LONGEST_M)
        arm = min(reach, 2500.0)
        wing = arm * np.tan(np.deg2rad(KELVIN_HALF_ANGLE_DEG)) + 30.0
        track = 4 * ship.width_m + 2 * gsd_m
        # the arms' triangle and the track's strip, in one box
        outline = np.array(
            [
                stern - u * ahead + v * right
                for u, v in ((-10, -track), (-10, track), (arm, -wing), (arm, wing), (reach, -track), (reach, track))
            ]
        )
        low, high = np.floor(outline.min(0) / gsd_m).astype(int), np.ceil(outline.max(0) / gsd_m).astype(int) + 1
        c0, r0 = (max(int(v), 0) for v in low)
        c1, r1 = min(int(high[0]), shape[1]), min(int(high[1]), shape[0])
        if c0 >= c1 or r0 >= r1:
            continue
        dx = ((np.arange(c0, c1) + 0.5) * gsd_m - stern[0]).astype(np.float32)
        dy = ((np.arange(r0, r1) + 0.5) * gsd_m - stern[1]).astype(np.float32)[:, None]
        ahead, right = ahead.astype(np.float32), right.astype(np.float32)
        behind, off = -(dx * ahead[0] + dy * ahead[1]), dx * right[0] + dy * right[1]
        change = _wake_db(behind, off, ship, look, gsd_m, wind_speed_m_s, band)
        patches.append((slice(r0, r1), slice(c0, c1), np.exp(change * (np.log(10) / 10)).astype(np.float32)))
    return patches
