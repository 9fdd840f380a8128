"""Airports with an ICAO code near a point: `airportsdata` (MIT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from knowlip.knowledge.places import chord_to_km, unit_vectors
from knowlip.knowledge.source import Answer, Footprint, Ground, fact

LICENCE = "MIT, airportsdata"


@dataclass(frozen=True)
class Airport:
    """An airport's reference point, seen from somewhere."""

    name: str
    icao: str
    iata: str | None
    distance_km: float


def source() -> str:
    """Name and version of the data."""
    return f"airportsdata {version('airportsdata')}"


@lru_cache(maxsize=1)
def _airports() -> tuple[Any, list[dict[str, Any]]]:
    import airportsdata
    from scipy.spatial import cKDTree

    # fields without a IATA code are mostly airstrips and helipads that no radar image at 10 m shows
    rows: list[Any] = [r for r in airportsdata.load("ICAO").values() if r["iata"]]
    return cKDTree(unit_vectors([r["lon"] for r in rows], [r["lat"] for r in rows])), rows


def nearest_airports(lon_deg: ArrayLike, lat_deg: ArrayLike) -> list[Airport]:
    """The nearest airport with scheduled-service codes (ICAO and IATA) of each point."""
    tree, rows = _airports()
    chords, indices = tree.query(unit_vectors(lon_deg, lat_deg))
    return [
        Airport(rows[i]["name"], rows[i]["icao"], rows[i]["iata"] or None, float(km))
        for i, km in zip(np.atleast_1d(indices), np.atleast_1d(chord_to_km(chords)), strict=True)
    ]


@dataclass(frozen=True)
class Airports:
    """The nearest airport with scheduled-service codes."""

    name: str = "airports"
    version: str = source()
    licence: str = LICENCE
    ground: Ground = "real"
    at_once: bool = True

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """`airport.name` and `airport.km`."""
        found = nearest_airports([f.lon_deg for f in footprints], [f.lat_deg for f in footprints])
        return [
            Answer(
                (
                    fact(self, "airport.name", a.name, 0.99),
                    fact(self, "airport.km", round(a.distance_km, 2), 0.99, "km", "to the airport's reference point"),
                )
            )
            for a in found
        ]
