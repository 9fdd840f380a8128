"""How a radar looks at a piece of ground."""

from dataclasses import dataclass

import numpy as np

from knowlip.simulation.sensors import Sensor

EARTH_RADIUS_M = 6.371e6
EARTH_GM_M3_S2 = 3.986004418e14


@dataclass(frozen=True)
class Look:
    """The geometry of one acquisition over a scene, small against the orbit.

    Attributes:
        azimuth_deg: Direction from the radar to the scene over ground, clockwise from the grid's north.
        incidence_deg: Incidence angle in the middle of the scene.
        slant_range_m: Distance of the radar from the middle of the scene.
        speed_m_s: Speed of the radar in its orbit.
        side: "right" or "left" of the flight direction.
    """

    azimuth_deg: float
    incidence_deg: float
    slant_range_m: float
    speed_m_s: float
    side: str

    @property
    def along_xy(self) -> tuple[float, float]:
        """Unit vector of ground range, away from the radar; x east, y south."""
        a = np.deg2rad(self.azimuth_deg)
        return float(np.sin(a)), float(-np.cos(a))

    @property
    def flight_xy(self) -> tuple[float, float]:
        """Unit vector of the flight direction (azimuth); x east, y south."""
        turn = np.deg2rad(self.azimuth_deg + (-90 if self.side == "right" else 90))
        return float(np.sin(turn)), float(-np.cos(turn))

    @property
    def cot_incidence(self) -> float:
        """Metres of ground range that a metre of height is moved towards the radar (layover)."""
        return float(1 / np.tan(np.deg2rad(self.incidence_deg)))


def look_of(sensor: Sensor, incidence_deg: float, azimuth_deg: float, side: str = "right") -> Look:
    """The look of a sensor at an incidence angle, from a circular orbit over a spherical earth.

    Args:
        sensor: The radar, whose altitude counts.
        incidence_deg: Incidence angle on the ground.
        azimuth_deg: Direction of view over ground, clockwise from the grid's north.
        side: Which side of the flight direction it looks to.
    """
    theta = np.deg2rad(incidence_deg)
    orbit = EARTH_RADIUS_M + sensor.altitude_km * 1000
    nadir = np.arcsin(np.sin(theta) * EARTH_RADIUS_M / orbit)
    slant = EARTH_RADIUS_M * np.sin(theta - nadir) / np.sin(nadir)
    return Look(azimuth_deg, incidence_deg, float(slant), float(np.sqrt(EARTH_GM_M3_S2 / orbit)), side)
