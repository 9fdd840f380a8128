"""Discrete scatterers: what is bright at one place, such as a ship's bridge or the foot of a wall."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.imaging.geometry import Look
from knowlip.simulation.sensors import Sensor


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

    def rcs_m2(self, cross: bool) -> NDArray[np.float32]:
        """Cross sections of like or cross polarisation."""
        return self.cross_m2 if cross else self.co_m2

    def scaled(self, factors: tuple[float, float]) -> "Scatterers":
        """All with other cross sections, like and cross polarised."""
        return replace(self, co_m2=self.co_m2 * np.float32(factors[0]), cross_m2=self.cross_m2 * np.float32(factors[1]))

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> "Scatterers":
        """Those that a mask or an index chooses."""
        return Scatterers(*(getattr(self, name)[which] for name in Scatterers.__dataclass_fields__))

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


def smeared(points: Scatterers, target: WorldObject, look: Look, sensor: Sensor) -> Scatterers:
    """A moving target's scatterers, drawn out along the flight direction as a processor for still ground leaves them.

    A speed v_a along the flight changes the Doppler rate by 2 v_a / V, which over the aperture time
    T = lambda R / (2 rho V) spreads the response over 2 v_a T.

    Source: Raney 1971 as above; Cumming, Wong 2005, ch. 5.

    Args:
        points: The scatterers of the target at rest.
        target: Its heading and speed.
        look: The geometry.
        sensor: Wavelength and resolution in azimuth.
    """
    aperture_s = sensor.wavelength_m * look.slant_range_m / (2 * sensor.azimuth_resolution_m * look.speed_m_s)
    h = np.deg2rad(target.heading_deg)
    vx, vy = target.speed_m_s * np.sin(h), -target.speed_m_s * np.cos(h)
    spread_m = abs(2 * aperture_s * (vx * look.flight_xy[0] + vy * look.flight_xy[1]))
    copies = min(int(np.ceil(spread_m / sensor.azimuth_resolution_m)), 64)
    if copies < 2:
        return points
    one = points.scaled((1 / copies, 1 / copies))
    places = (np.arange(copies) + 0.5) / copies - 0.5
    return Scatterers.join(
        [one.moved(float(a * spread_m * look.flight_xy[0]), float(a * spread_m * look.flight_xy[1])) for a in places]
    )
