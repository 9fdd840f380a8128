"""Discrete scatterers: what is bright at one place, such as a ship's bridge or the foot of a wall."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.imaging.geometry import Look


@dataclass(frozen=True)
class Scatterers:
    """Point scatterers, a column each, all float32 of length N.

    Attributes:
        x_m: Metres east of the grid's left edge.
        y_m: Metres south of its top edge.
        z_m: Height above the ground or water at that place.
        co_m2: Radar cross section in square metres, like polarisation (HH, VV).
        cross_m2: Radar cross section, cross polarisation (HV, VH).
    """

    x_m: NDArray[np.float32]
    y_m: NDArray[np.float32]
    z_m: NDArray[np.float32]
    co_m2: NDArray[np.float32]
    cross_m2: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of scatterers."""
        return len(self.x_m)

    def moved(self, dx_m: float, dy_m: float) -> "Scatterers":
        """All at another place."""
        return Scatterers(self.x_m + np.float32(dx_m), self.y_m + np.float32(dy_m), self.z_m, self.co_m2, self.cross_m2)

    @staticmethod
    def join(parts: "list[Scatterers]") -> "Scatterers":
        """All of several sets in one; an empty list gives an empty set."""
        if not parts:
            empty = np.zeros(0, np.float32)
            return Scatterers(empty, empty, empty, empty, empty)
        names = Scatterers.__dataclass_fields__
        return Scatterers(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def moving_target_offset_xy_m(look: Look, heading_deg: float, speed_m_s: float) -> tuple[float, float]:
    """Where in the image a moving target appears, as an offset in metres from where it is.

    Its speed in range v_r shifts its Doppler history, and azimuth compression turns that into a shift along the flight
    direction of -R v_r / V: "the train off the track". v_r is positive away from the radar.

    Source: Raney 1971, "Synthetic aperture imaging radar and moving targets", IEEE TAES 7(3).
    """
    h = np.deg2rad(heading_deg)
    vx, vy = speed_m_s * np.sin(h), -speed_m_s * np.cos(h)
    away = (vx * look.along_xy[0] + vy * look.along_xy[1]) * np.sin(np.deg2rad(look.incidence_deg))
    shift = -look.slant_range_m * away / look.speed_m_s
    return shift * look.flight_xy[0], shift * look.flight_xy[1]
