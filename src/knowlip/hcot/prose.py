"""More text on a tile than its statements: one description of all of it, and five captions where it has targets.

Both are made of the statements' own contents and of what is known of the place; their slots are named
`DIMENSION.CASE.SLOT` and `place.NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from knowlip.hcot.phrasing import Phrase, Said, Value, joined, phrasebook, say
from knowlip.hcot.sentences import contents
from knowlip.hcot.view import Facts

_PLACE = {
    "city": "place.city",
    "country": "place.country",
    "region": "place.admin1",
    "climate": "climate.zone",
}
_NEAREST_KM = 0.5
"""Nearer than this, a tile is not said to be some kilometres away."""


def description(tile_id: str, facts: Facts) -> Said | None:
    """A paragraph on all that is known of a tile; None when nothing is."""
    values, confidence = _values(facts), {f.name: f.confidence for f in facts}
    said = [_first(steps, f"{tile_id}/description/{name}", values, confidence) for name, steps in _book("description")]
    parts = [s for s in said if s is not None]
    return joined(parts) if parts else None


def captions(tile_id: str, facts: Facts) -> list[Said]:
    """Five captions that say different things; none for a tile without targets."""
    if facts.number("target.count") <= 0:
        return []
    values, confidence = _values(facts), {f.name: f.confidence for f in facts}
    said = [_first(steps, f"{tile_id}/caption/{name}", values, confidence) for name, steps in _book("caption")]
    return [s for s in said if s is not None]


def _book(name: str) -> Sequence[tuple[str, Sequence[Sequence[Phrase]]]]:
    return list(phrasebook(name).items())


def _first(
    steps: Sequence[Sequence[Phrase]], key: str, values: Mapping[str, Value], confidence: Mapping[str, float]
) -> Said | None:
    """The first step's phrase that can be said."""
    return next((s for phrases in steps if (s := say(phrases, key, values, confidence)) is not None), None)


def _values(facts: Facts) -> dict[str, Value]:
    """Slots of all contents and of the place."""
    known = {name: (fact, word) for name, fact in _PLACE.items() if (word := facts.value(fact, ""))}
    found = {f"place.{name}": Value("class", word, (fact,)) for name, (fact, word) in known.items()}
    town, size = facts.value("society.town", ""), facts.value("society.settlement", "")
    if town and size:
        kind = Value("class", size, ("society.settlement",))
        # the largest town around may be the nearest city itself
        if town == facts.value("place.city", ""):
            found["place.city_kind"] = kind
        else:
            found |= {"place.town": Value("class", town, ("society.town",)), "place.town_kind": kind}
    if (km := facts.number("place.city_km", -1)) >= _NEAREST_KM:
        found["place.km"] = Value("number", f"{km:.0f}", ("place.city_km",), round(km) != 1)
    if "elevation.mean_m" in facts:
        found["place.height_m"] = Value("number", f"{facts.number('elevation.mean_m'):.0f}", ("elevation.mean_m",))
    for (_, dimension), told in contents(facts).items():
        if not isinstance(told, str):
            for name, value in told.values.items():
                basis = tuple(dict.fromkeys([*value.facts, *told.rests_on]))
                found[f"{dimension}.{told.case}.{name}"] = replace(value, facts=basis)
    return found
