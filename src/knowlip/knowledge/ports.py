"""The nearest port of the World Port Index (NGA, Pub. 150; public domain), from the table that the user has of it.

Source: NGA, "World Port Index, explanation of data fields", for the columns of `UpdatedPub150.csv`; earlier editions
have the columns PORT_NAME, LATITUDE, LONGITUDE and HARBORSIZE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from knowlip.core.errors import SceneError
from knowlip.knowledge.places import chord_to_km, unit_vectors
from knowlip.knowledge.source import Answer, Footprint, Ground, fact, file_version
from knowlip.knowledge.tables import read_table

_NAME = ("Main Port Name", "PORT_NAME", "Port Name")
_LAT, _LON = ("Latitude", "LATITUDE"), ("Longitude", "LONGITUDE")
_SIZE = ("Harbor Size", "HARBORSIZE")
_SIZES = {"V": "very small", "S": "small", "M": "medium", "L": "large"}


@dataclass(frozen=True)
class Ports:
    """A table of ports. Make one with `ports`."""

    path: Path
    version: str
    licence: str = "public domain, NGA World Port Index"
    name: str = "ports"
    ground: Ground = "real"
    at_once: bool = True

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """`port.name`, `port.km` and, where the table says it, `port.size` of the nearest port."""
        from scipy.spatial import cKDTree

        table = read_table(self.path, (_NAME, _LAT, _LON), "--ports")
        lon, lat = _numbers(table[_LON[0]]), _numbers(table[_LAT[0]])
        placed = np.flatnonzero((np.abs(lon) <= 180) & (np.abs(lat) <= 90))
        if placed.size == 0:
            raise SceneError(self.path, "has no port with a latitude and longitude", "Check --ports")
        tree = cKDTree(unit_vectors(lon[placed], lat[placed]))
        chords, found = tree.query(unit_vectors([f.lon_deg for f in footprints], [f.lat_deg for f in footprints]))
        size = next((table[c] for c in _SIZE if c in table), None)
        return [
            self._answer(str(table[_NAME[0]][i]), float(km), "" if size is None else str(size[i]))
            for i, km in zip(placed[found], chord_to_km(chords), strict=True)
        ]

    def _answer(self, name: str, km: float, size: str) -> Answer:
        facts = [
            fact(self, "port.name", name, 0.95, None, "the nearest port"),
            fact(self, "port.km", round(km, 2), 0.95, "km", "to the port's reference point"),
        ]
        if (word := _SIZES.get(size.strip()[:1].upper())) is not None:
            facts.append(fact(self, "port.size", word, 0.9, None, "harbour size after the World Port Index"))
        return Answer(tuple(facts))


def ports(path: Path) -> Ports:
    """The World Port Index at a path: a CSV file or anything else that pyogrio reads.

    Raises:
        SceneError: It has not the columns.
    """
    read_table(path, (_NAME, _LAT, _LON), "--ports")
    return Ports(path, file_version(path))


def _numbers(values: Any) -> Any:
    import pandas as pd

    return pd.to_numeric(values, errors="coerce").to_numpy(float)
