"""What a step of the chain sees: one tile with its pixels and properties, its scene, and the facts found so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from knowlip.core.geoproperties import GeoProperties
from knowlip.core.statements import Fact
from knowlip.corpus.store import TilePixels
from knowlip.hcot import aircraft, berths, cover, targets

Value = TypeVar("Value")
_MAPPED = 0.9
"""Share of a tile that maps know, from which on what they call water is all the water there is."""
_NORTH_UP = ("EPSG:326", "EPSG:327", "EPSG:4326")
AIRPORT_REACH_KM = 2.5
"""A runway's half length and a little: nearer than this to the reference point, a tile may show the airport itself."""


@dataclass(frozen=True)
class Surroundings:
    """What sources know about a tile's place.

    Attributes:
        facts: Of step 1, with what is missing.
        grids: Where things are in the tile, as in `knowledge.source.Answer`.
    """

    facts: tuple[Fact, ...] = ()
    grids: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def sea(self) -> NDArray[np.bool_] | None:
        """`(k, k)` grid of what the coastline puts in the sea, rows as the tile's rows; None when it was not asked."""
        return self.grids.get("sea")

    @property
    def people_per_km2(self) -> float | None:
        """Population of the named places around, by area; None when it is not known."""
        return self._number("place.people_per_km2")

    @property
    def airport(self) -> bool:
        """Whether a map has airport ground in the tile, or a table has an airport within its reach."""
        mapped, away_km = self._number("map.landuse.airport.share"), self._number("airport.km")
        return bool(mapped) or (away_km is not None and away_km <= AIRPORT_REACH_KM)

    def _number(self, name: str) -> float | None:
        found = next((f.value for f in self.facts if f.name == name), None)
        return float(found) if isinstance(found, int | float) else None

    @property
    def map_cover(self) -> NDArray[np.uint8] | None:
        """Class codes `(H, W)` of maps, 0 where they do not say: mapped features, and a land-cover raster between."""
        features, raster = self.grids.get("map"), self.grids.get("land_cover")
        if features is None or raster is None:
            return raster if features is None else features
        return np.where(features > 0, features, raster)


class Facts:
    """Facts by name, in the order they were found; a later fact of the same name replaces an earlier one."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self._by_name = {f.name: f for f in facts}

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Fact:
        return self._by_name[name]

    def get(self, name: str) -> Fact | None:
        """A fact, or None when it is not known."""
        return self._by_name.get(name)

    def value(self, name: str, default: Value) -> Value:
        """The value of a fact, or the default when it is not known or of another kind."""
        fact = self._by_name.get(name)
        return fact.value if fact is not None and isinstance(fact.value, type(default)) else default

    def number(self, name: str, default: float = 0.0) -> float:
        """The numeric value of a fact."""
        fact = self._by_name.get(name)
        return float(fact.value) if fact is not None and isinstance(fact.value, int | float) else default

    def add(self, facts: Iterable[Fact]) -> None:
        """Add facts in place."""
        self._by_name |= {f.name: f for f in facts}

    def drop(self, name: str) -> None:
        """Take a fact back."""
        self._by_name.pop(name, None)


@dataclass(frozen=True)
class TileView:
    """One tile as the chain sees it. Measurements that several steps use are made once.

    Attributes:
        scene: Level and texture baseline of the tile's scene.
        cells: Of the tile, where they were measured for its scene's level.
    """

    tile_id: str
    properties: GeoProperties
    pixels: TilePixels
    surroundings: Surroundings
    scene: cover.SceneLevel
    cells: cover.Cells | None = None

    @property
    def gsd_m(self) -> float | None:
        """Ground sample distance, None for a chip, whose pixels have no size on the ground."""
        x, y = self.properties.gsd_x_m, self.properties.gsd_y_m
        return None if x is None or y is None else (x + y) / 2

    @cached_property
    def cover(self) -> cover.CoverMap:
        """Land cover measured from backscatter and texture."""
        known = self.surroundings
        return cover.classify(self.pixels, self.scene, known.sea, known.people_per_km2, known.map_cover, self.cells)

    @property
    def map_cover(self) -> NDArray[np.uint8] | None:
        """Class codes `(H, W)` of maps on the tile's pixels, 0 where they do not say; None without maps."""
        return self.surroundings.map_cover

    @property
    def look_from_up_deg(self) -> float | None:
        """The look azimuth, clockwise from the grid's up, to the few degrees that north is off it.

        None where it is not known, and on other grids than UTM's and of longitude and latitude.
        """
        north_up = self.properties.transform[1] == 0 == self.properties.transform[3]
        known = (self.properties.crs or "").startswith(_NORTH_UP)
        return self.properties.look_azimuth_deg if north_up and known else None

    @cached_property
    def detections(self) -> targets.Targets:
        """Targets of the class that most are of, and what makes their number doubtful; none on a chip without scale."""
        if self.gsd_m is None:
            return targets.Targets()
        # the ln of gamma clutter has a variance near 1 / looks
        looks = float(np.exp(-self.scene.speckle_texture))
        if (water := self._mapped_water) is not None:
            return berths.ships_on_mapped_water(self.pixels, water, looks, self.gsd_m)
        ships = targets.find_targets(self.pixels, self.cover, looks, self.gsd_m, self.look_from_up_deg)
        parked = aircraft.find_aircraft(self.pixels, self.cover, looks, self.gsd_m, self.surroundings.airport)
        # an apron looks much like water, so that compact ships there may be aircraft, and are not both
        return parked if len(parked.objects) >= max(1, len(ships.objects)) else ships

    @property
    def _mapped_water(self) -> NDArray[np.bool_] | None:
        """Water by maps that know nearly all of the tile, where ships are to be looked for by it; None elsewhere."""
        codes = self.map_cover
        if codes is None or (self.gsd_m or 0) < targets.FINEST_GSD_M or np.mean(codes > 0) < _MAPPED:
            return None
        water: NDArray[np.bool_] = codes == cover.CODE["water"]
        return water if water.mean() >= berths.LEAST_WATER else None
