"""What a Sentinel-1 product name and the mission's orbit say about an acquisition.

Source: Sentinel-1 Product Specification, S1-RS-MDA-52-7441, section 3.4 (naming); Torres et al. 2012, "GMES Sentinel-1
mission" (dawn-dusk sun-synchronous orbit, inclination 98.18 degrees, 175 orbits in 12 days, right-looking).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np

CENTRE_FREQUENCY_GHZ = 5.405
INCLINATION_DEG = 98.18
ORBITS_PER_CYCLE, CYCLE_DAYS = 175, 12
RELATIVE_ORBIT_OFFSET = {"S1A": 73, "S1B": 27, "S1C": 172}
"""relative orbit = (absolute - offset) mod 175 + 1; ESA's Sentinel-1 acquisition notes."""

_NAME = re.compile(
    r"(?P<mission>S1[A-D])_(?P<mode>IW|EW|SM|WV|S[1-6])_(?P<type>GRD|SLC|OCN|RAW)(?P<resolution>[FHM_])_"
    r"\d[SAN](?P<polarisation>SH|SV|DH|DV|HH|HV|VV|VH)_(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})_(?P<orbit>\d{6})_[0-9A-F]{6}_[0-9A-F]{4}"
)
_POLARISATIONS = {"SH": ("HH",), "SV": ("VV",), "DH": ("HH", "HV"), "DV": ("VV", "VH")}


def from_product_name(text: str) -> dict[str, Any] | None:
    """Acquisition fields that a product name tells; None when the text holds no Sentinel-1 product name.

    Returns:
        Fields of `Acquisition`. `polarisations` are the product's, which a cut-out may hold only some of.
    """
    match = _NAME.search(text)
    if match is None:
        return None
    try:
        acquired = datetime.strptime(match["start"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    absolute_orbit = int(match["orbit"])
    fields: dict[str, Any] = {
        "product_name": match[0],
        "platform": f"sentinel-1{match['mission'][-1].lower()}",
        "instrument_mode": match["mode"],
        "product_type": match["type"] + match["resolution"].strip("_"),
        "acquired": acquired,
        "frequency_band": "C",
        "centre_frequency_ghz": CENTRE_FREQUENCY_GHZ,
        "polarisations": _POLARISATIONS.get(match["polarisation"], (match["polarisation"],)),
        "absolute_orbit": absolute_orbit,
        "look_side": "right",
    }
    if match["mission"] in RELATIVE_ORBIT_OFFSET:
        fields["relative_orbit"] = relative_orbit(match["mission"], absolute_orbit)
    return fields


def relative_orbit(mission: str, absolute_orbit: int) -> int:
    """The track of the repeat cycle that an orbit is on."""
    return (absolute_orbit - RELATIVE_ORBIT_OFFSET[mission]) % ORBITS_PER_CYCLE + 1


def orbit_state(acquired: datetime, lon_deg: float, lat_deg: float) -> str | None:
    """`ascending` near 18 h local solar time, `descending` near 6 h, by the dawn-dusk orbit; None towards the poles.

    Above 65 degrees latitude the two passes' local times run together and the time tells nothing.
    """
    if abs(lat_deg) > 65:
        return None
    local_hour = (acquired.hour + acquired.minute / 60 + lon_deg / 15) % 24
    return "descending" if local_hour < 12 else "ascending"


def look_azimuth_deg(lat_deg: float, state: str) -> float | None:
    """Azimuth from the ground track to the scene for a right-looking pass, degrees clockwise from north.

    The inertial heading follows from the inclination (`sin heading = cos i / cos lat`); the Earth's turning under the
    orbit adds an eastward velocity, as a share of the ground track's of 7.292e-5 rad/s over 1.0620e-3 rad/s.

    Returns:
        None beyond the orbit's northernmost latitude.
    """
    sine = np.cos(np.radians(INCLINATION_DEG)) / np.cos(np.radians(lat_deg))
    if abs(sine) >= 1:
        return None
    east = sine - 7.2921e-5 / (2 * np.pi * ORBITS_PER_CYCLE / (CYCLE_DAYS * 86400)) * np.cos(np.radians(lat_deg))
    north = np.sqrt(1 - sine**2) * (1 if state == "ascending" else -1)
    heading = np.degrees(np.arctan2(east, north))
    return float((heading + 90) % 360)
