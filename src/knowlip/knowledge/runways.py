"""Bearing and length of the nearest airport's runways, from OurAirports' table `runways.csv` (public domain).

Source: OurAirports, "Data dictionary", for the columns; lengths are in feet, headings true.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowlip.core.geodesy import GEOD
from knowlip.knowledge.airports import nearest_airports
from knowlip.knowledge.source import Answer, Footprint, Ground, fact, file_version
from knowlip.knowledge.tables import read_table

FOOT_M = 0.3048
_COLUMNS = [
    ("airport_ident",),
    ("length_ft",),
    ("closed",),
    ("le_heading_degT",),
    ("le_latitude_deg",),
    ("le_longitude_deg",),
    ("he_latitude_deg",),
    ("he_longitude_deg",),
]


@dataclass(frozen=True)
class Runways:
    """A table of runways. Make one with `runways`."""

    path: Path
    version: str
    licence: str = "public domain, OurAirports"
    name: str = "runways"
    ground: Ground = "real"
    at_once: bool = True

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """`airport.runway_bearing_deg`, true, 0 to 180, one for each direction, and `airport.runway_m`, the longest."""
        nearest = nearest_airports([f.lon_deg for f in footprints], [f.lat_deg for f in footprints])
        wanted = {a.icao for a in nearest}
        table = read_table(self.path, _COLUMNS, "--runways")
        table = table[table["airport_ident"].isin(wanted) & (table["closed"].astype(str) != "1")]
        by_airport = {ident: rows.to_dict("records") for ident, rows in table.groupby("airport_ident")}
        return [self._answer(a.icao, a.name, by_airport.get(a.icao, [])) for a in nearest]

    def _answer(self, icao: str, name: str, runways: list[dict[Any, Any]]) -> Answer:
        if not runways:
            return Answer(missing=(f"the table has no open runway of {name} ({icao})",))
        bearings = sorted({round(b, 1) for r in runways if (b := bearing_deg(r)) is not None})
        lengths = [feet * FOOT_M for r in runways if (feet := _number(r["length_ft"])) is not None]
        facts = []
        if bearings:
            why = f"true bearings, 0 to 180, of the runways of {name}"
            facts.append(fact(self, "airport.runway_bearing_deg", bearings, 0.95, "deg", why))
        if lengths:
            facts.append(fact(self, "airport.runway_m", round(max(lengths)), 0.95, "m", f"longest runway of {name}"))
        return Answer(tuple(facts), missing=() if bearings else (f"the bearing of no runway of {name} is known",))


def bearing_deg(row: Mapping[Any, Any]) -> float | None:
    """True bearing of a runway, 0 to 180, from its ends or, where they are not known, its heading."""
    said = (_number(row[f"{end}_{axis}_deg"]) for end in ("le", "he") for axis in ("longitude", "latitude"))
    ends = [value for value in said if value is not None]
    if len(ends) == 4 and ends[:2] != ends[2:]:
        lon, lat, lon2, lat2 = ends
        return float(GEOD.inv(lon, lat, lon2, lat2)[0]) % 180
    heading = _number(row["le_heading_degT"])
    return None if heading is None else heading % 180


def runways(path: Path) -> Runways:
    """OurAirports' runways at a path.

    Raises:
        SceneError: It has not the columns.
    """
    read_table(path, _COLUMNS, "--runways")
    return Runways(path, file_version(path))


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
