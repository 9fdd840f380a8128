"""Step 1, geoscience cognition: what the coordinates say."""

from __future__ import annotations

from knowlip.core.statements import Fact
from knowlip.hcot.view import Facts, TileView


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Country, city, coast and airport of the tile's place."""
    p, s = view.properties, view.surroundings
    found = []
    for name, value in (("country", p.country), ("admin1", p.admin1), ("city", p.nearest_city)):
        if value is not None:
            found.append(Fact(f"place.{name}", value, 1, s.sources.get("places", "gazetteer"), 0.99))
    if p.nearest_city_km is not None:
        found.append(Fact("place.city_km", p.nearest_city_km, 1, s.sources.get("places", "gazetteer"), 0.99, "km"))
    if s.sea_share is not None:
        why = "share of a grid of points that the coastline puts in the sea"
        found.append(
            Fact("coast.sea_share", round(s.sea_share, 3), 1, s.sources.get("coast", "coastline"), 0.95, None, why)
        )
    if s.airport is not None:
        source = s.sources.get("airports", "airports")
        found.append(Fact("airport.name", s.airport.name, 1, source, 0.99))
        found.append(Fact("airport.km", round(s.airport.distance_km, 2), 1, source, 0.99, "km"))
    return found
