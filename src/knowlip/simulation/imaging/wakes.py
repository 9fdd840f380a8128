"""Wakes of ships under way: the dark turbulent wake, and the bright arms of the Kelvin and narrow-V wakes.

A wake lies where the ship sailed, while the ship's own image is displaced by its motion, so the two come apart.

Sources: Lyden, Hammond, Lyzenga, Shuchman 1988, "Synthetic aperture radar imaging of surface ship wakes", J. Geophys. Res.
93(C10); Reed, Milgram 2002, "Ship wakes and their radar images", Annu. Rev. Fluid Mech. 34. Depths and lengths are within
what these show; which of them applies to a ship is drawn from its speed and the wind, as this project assumes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.imaging.geometry import Look

Field = NDArray[np.float32]

KELVIN_HALF_ANGLE_DEG = float(np.rad2deg(np.arcsin(1 / 3)))
"""Half angle of the cusp lines in deep water, whatever the speed: 19.47 deg (Kelvin 1887)."""
NARROW_HALF_ANGLE_DEG = 2.5
_GRAVITY_M_S2 = 9.81
_SLOWEST_M_S = 1.5
_CALM_M_S, _ROUGH_M_S = 3.0, 12.0
_TURBULENT_DB, _NARROW_DB, _CUSP_DB = -5.0, 3.0, 1.5


def wake_factor(
    objects: Sequence[WorldObject], look: Look, shape: tuple[int, int], gsd_m: float, wind_speed_m_s: float, band: str
) -> list[tuple[slice, slice, Field]]:
    """What wakes do to the sea's sigma nought.

    Args:
        objects: Ships and others; only those that move have a wake.
        look: The geometry.
        shape: (H, W) of the image.
        gsd_m: Pixel spacing.
        wind_speed_m_s: Wind; a rough sea hides wakes.
        band: "C", "X" or "Ku"; short waves show narrow arms better.

    Returns:
        For each wake its rows, columns and the factor on linear power there.
    """
    visible = float(np.clip((_ROUGH_M_S - wind_speed_m_s) / (_ROUGH_M_S - _CALM_M_S), 0, 1))
    if visible == 0:
        return []
    sharper = {"C": 1.0, "X": 1.3, "Ku": 1.5}[band]
    ships = (o for o in objects if o.cls == "ship" and o.speed_m_s > _SLOWEST_M_S)
    found = (_wake(ship, look, shape, gsd_m, visible, sharper) for ship in ships)
    return [wake for wake in found if wake is not None]


def _wake(
    ship: WorldObject, look: Look, shape: tuple[int, int], gsd_m: float, visible: float, sharper: float
) -> tuple[slice, slice, Field] | None:
    length_m = (6.0 + 2.0 * ship.speed_m_s) * ship.length_m
    reach_m = length_m * np.tan(np.deg2rad(KELVIN_HALF_ANGLE_DEG))
    h = np.deg2rad(ship.heading_deg)
    ahead, right = np.array([np.sin(h), -np.cos(h)]), np.array([np.cos(h), np.sin(h)])
    stern = np.array(ship.centre_xy_m) - ahead * ship.length_m / 2
    ends = np.array([stern, *(stern - ahead * length_m + s * right * reach_m for s in (-1, 1))]) / gsd_m
    left, top = np.floor(ends.min(0)).astype(int)
    far_col, far_row = np.ceil(ends.max(0)).astype(int)
    rows, cols = slice(max(0, top), min(shape[0], far_row)), slice(max(0, left), min(shape[1], far_col))
    if rows.start >= rows.stop or cols.start >= cols.stop:
        return None
    x = (np.arange(cols.start, cols.stop, dtype=np.float32) + 0.5) * gsd_m - np.float32(stern[0])
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5)[:, None] * gsd_m - np.float32(stern[1])
    behind = -(x * np.float32(ahead[0]) + y * np.float32(ahead[1]))
    aside = np.abs(x * np.float32(right[0]) + y * np.float32(right[1]))
    there = (behind > 0).astype(np.float32)

    # turbulence damps the short waves; the strip widens with the cube root of the distance
    half = 0.5 * ship.width_m * np.cbrt(np.maximum(behind, 1) / ship.length_m + 1) + 0.5 * gsd_m
    fade = np.exp(-behind / np.float32(length_m / 2)) * there
    level_db = _TURBULENT_DB * np.exp(-np.square(aside / half)) * fade

    # short waves of the ship's own show to a radar that looks across the track, so its arms are brightest there
    across = abs(float(look.along_xy[0] * right[0] + look.along_xy[1] * right[1]))
    wave_m = 2 * np.pi * ship.speed_m_s**2 / _GRAVITY_M_S2
    for angle_deg, arm_db, width_m, start_m in (
        # the narrow arms leave from the edges of the turbulent strip, the cusp lines from the ship's middle line
        (NARROW_HALF_ANGLE_DEG, _NARROW_DB * sharper, 0.5 * ship.width_m, 2 * half),
        (KELVIN_HALF_ANGLE_DEG, _CUSP_DB, 0.5 * wave_m, 0.0),
    ):
        spread = np.float32(max(width_m, gsd_m))
        off = aside - start_m - behind * np.float32(np.tan(np.deg2rad(angle_deg)))
        arm = np.exp(-np.square(off / spread)) * fade
        if angle_deg == KELVIN_HALF_ANGLE_DEG and wave_m > 4 * gsd_m:
            # crests of the diverging waves along the cusp line
            arm = arm * (1 + np.cos(2 * np.pi * behind / np.float32(wave_m)))
        level_db = level_db + arm_db * across * arm
    factor = np.exp(level_db * np.float32(visible * np.log(10) / 10))
    return rows, cols, factor.astype(np.float32)
