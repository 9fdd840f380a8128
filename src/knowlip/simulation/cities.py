"""Real cities, with their true places, that simulated scenes are named after and put at.

Coordinates are GeoNames' (https://www.geonames.org, CC BY 4.0), frozen into `cities.csv`.
"""

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from importlib import resources

CHARACTERS = frozenset({"coastal", "river", "plain", "hilly", "port", "airport"})


@dataclass(frozen=True)
class City:
    """A city and the traits of its region that shape a simulated scene.

    Attributes:
        name: Unique English name.
        country_code: ISO 3166-1 alpha-2 code.
        lat_deg: Latitude of the centre, WGS 84 degrees north.
        lon_deg: Longitude of the centre, WGS 84 degrees east.
        character: Words out of `CHARACTERS`.
    """

    name: str
    country_code: str
    lat_deg: float
    lon_deg: float
    character: tuple[str, ...]


@cache
def _table() -> tuple[City, ...]:
    text = resources.files("knowlip.simulation").joinpath("cities.csv").read_text(encoding="utf-8")
    return tuple(
        City(row["name"], row["country"], float(row["lat"]), float(row["lon"]), tuple(row["character"].split(";")))
        for row in csv.DictReader(text.splitlines())
    )


def cities() -> list[City]:
    """All cities that scenes can be simulated for, by name."""
    return list(_table())


def find_city(name: str) -> City:
    """The city of that name, whatever its letter case.

    Raises:
        ValueError: No such city; the text lists the names closest to it.
    """
    by_key = {city.name.casefold(): city for city in _table()}
    if (city := by_key.get(name.strip().casefold())) is not None:
        return city
    close = difflib.get_close_matches(name.strip().casefold(), by_key, n=5, cutoff=0.5)
    hint = f"; did you mean {', '.join(by_key[key].name for key in close)}?" if close else ""
    raise ValueError(f"unknown city {name!r}{hint}")
