"""Step 2, social development: what kind of settlement this is part of, and what may be expected here."""

from __future__ import annotations

from knowlip.core.statements import Fact
from knowlip.hcot.view import Facts, TileView

AIRPORT_REACH_KM = 2.5
"""A runway's half length and a little: nearer than this to the reference point, a tile may show the airport itself."""

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
                "an airport's reference point is near",
            )
        )
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
