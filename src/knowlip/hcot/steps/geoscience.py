"""Step 1, geoscience cognition: what the coordinates say."""

from __future__ import annotations

from knowlip.core.statements import Fact
from knowlip.hcot.view import Facts, TileView


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Country and city as the tile's properties have them, and what the sources know about the place."""
    p, known = view.properties, view.surroundings.facts
    gazetteer = next((f.source for f in known if f.name.startswith("place.")), "gazetteer")
    found = [
        Fact(f"place.{name}", value, 1, gazetteer, 0.99)
        for name, value in (("country", p.country), ("admin1", p.admin1), ("city", p.nearest_city))
        if value is not None
    ]
    if p.nearest_city_km is not None:
        found.append(Fact("place.city_km", p.nearest_city_km, 1, gazetteer, 0.99, "km"))
    return [*found, *known]
