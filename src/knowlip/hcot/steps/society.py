"""Step 2, social development: what kind of settlement this is part of, and what may be expected here."""

from __future__ import annotations

from knowlip.core.statements import Fact
from knowlip.hcot.view import AIRPORT_REACH_KM, Facts, TileView

USED_SHARE = 0.1
"""A mapped land use says what a tile is for from this share on: about one cell of the nine-grid."""

PORT_SHARE = 0.05
"""From this share of a tile on, mapped quays and yards make it part of a port."""

PORT_REACH_KM = 2.0
"""Nearer than this to a port's reference point, a tile may show its basins."""

_SIZES = ((1_000_000, "metropolis"), (200_000, "city"), (20_000, "town"), (0, "village"))


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Settlement size, and whether an airport or harbour may be in the frame."""
    found = []
    if "place.town" in facts:
        name, people = facts.value("place.town", ""), int(facts.number("place.town_population"))
        size = next(word for least, word in _SIZES if people >= least)
        source = facts["place.town"].source
        found.append(Fact("society.town", name, 2, source, 0.9, None, facts["place.town"].why))
        found.append(Fact("society.settlement", size, 2, source, 0.9, None, f"{name} has {people:,} people"))
    if "airport.km" in facts and facts.number("airport.km") <= AIRPORT_REACH_KM:
        found.append(
            Fact(
                "society.airport_expected",
                True,
                2,
                facts["airport.km"].source,
                0.7,
                None,
                f"{facts.value('airport.name', 'an airport')} is {facts.number('airport.km'):.1f} km away",
            )
        )
    found += _mapped(facts)
    if 0.0 < facts.number("coast.sea_share") < 1.0:
        found.append(
            Fact(
                "society.harbour_possible",
                True,
                2,
                facts["coast.sea_share"].source,
                0.4,
                None,
                "the coast runs through the tile",
            )
        )
    return found


def _mapped(facts: Facts) -> list[Fact]:
    """What people use the ground for, by mapped land use, and the airport and port that maps and tables know of."""
    found = []
    prefix, suffix = "map.landuse.", ".share"
    uses = {f.name[len(prefix) : -len(suffix)]: f for f in facts if f.name.startswith(prefix)}
    if uses:
        order = sorted(uses, key=lambda use: (-facts.number(uses[use].name), use))
        used = [use for use in order if facts.number(uses[use].name) >= USED_SHARE]
        why = ", ".join(f"{use} {facts.number(uses[use].name):.0%}" for use in order[:4])
        found.append(Fact("society.land_use", used, 2, uses[order[0]].source, 0.8, None, why))
    if "airport.runway_bearing_deg" in facts and facts.number("map.landuse.airport.share") >= USED_SHARE:
        source = facts["airport.runway_bearing_deg"].source
        found.append(
            Fact("society.airport_expected", True, 2, source, 0.95, None, "an airfield with runways is mapped")
        )
    if (
        facts.number("map.landuse.port.share") >= PORT_SHARE
        or facts.number("port.km", PORT_REACH_KM + 1) <= PORT_REACH_KM
    ):
        source = facts["port.km"].source if "port.km" in facts else facts["map.landuse.port.share"].source
        found.append(Fact("society.port_expected", True, 2, source, 0.8, None, "a port is mapped here or near"))
    return found
