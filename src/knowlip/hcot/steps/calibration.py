"""Step 5, knowledge calibration: facts that contradict each other are settled by strength of evidence."""

from __future__ import annotations

from knowlip.core.statements import Fact
from knowlip.hcot.rules.settle import SETTLED, settle
from knowlip.hcot.view import Facts, TileView
from knowlip.hcot.words import boundary_word, density_word, layout_word

DERIVED = ("terrain.kind", "function.main")
"""What follows from calibrated facts, unless it was claimed and stands."""


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Settle contradictions between map and measurement, and say what kind of ground and function this is.

    Facts that lose are dropped in place.
    """
    before = {f.name: f for f in facts}
    after = calibrate(facts)
    for name in before:
        if name not in after:
            facts.drop(name)
    return [f for f in after if before.get(f.name) != f]


def calibrate(facts: Facts, measured: Facts | None = None) -> Facts:
    """Facts without the contradictions that the rule base knows, and with terrain and function.

    Args:
        facts: What is known, measured or claimed.
        measured: The calibrated facts of evidence alone, which claims are held against; none where all is evidence.
    """
    ground = None if measured is None else as_ground(measured)
    settled = settle(facts, ground)
    derived = [
        derive(settled) for name, derive in zip(DERIVED, (_terrain, _function), strict=True) if name not in settled
    ]
    quiet = not any(f.name.startswith(SETTLED) for f in settled)
    settled.add(derived)
    # what follows from facts that contradict each other may contradict them
    added = frozenset(f.name for f in derived) if quiet else frozenset[str]()
    return settle(settled, ground, added=added) if derived else settled


def as_ground(measured: Facts) -> Facts:
    """Measured facts, with what they say in a model's or a person's words, and what they say is absent."""
    ground, said = Facts(measured), []
    if "pattern.edge_density" in measured and "layout.kind" not in measured:
        said.append(_in_words(measured["pattern.grid"], "layout.kind", layout_word(measured)))
    if "boundary.kind" not in measured and (word := boundary_word(measured)) is not None:
        said.append(_in_words(measured["boundary.step_db"], "boundary.kind", word))
    if "cover.building.share" in measured:
        share = measured["cover.building.share"]
        said.append(_in_words(share, "building.density", density_word(measured.number(share.name))))
    if "cover.water.share" in measured and "water.kind" not in measured:
        said.append(_in_words(measured["cover.water.share"], "water.kind", "none"))
    if "cover.road.share" in measured and "road.lines" not in measured:
        said.append(_in_words(measured["cover.road.share"], "road.lines", 0))
    if "image.gsd_m" in measured and "target.count" not in measured and "target.doubt" not in measured:
        said.append(Fact("target.count", 0, 4, "cfar", NOTHING_FOUND, None, "no bright target on water"))
    ground.add(said)
    return ground


NOTHING_FOUND = 0.8
"""Confidence of finding no target, which is no fact of the chain but the ground that claims stand on."""


def _in_words(fact: Fact, name: str, word: str | int) -> Fact:
    return Fact(name, word, fact.step, fact.source, fact.confidence, None, fact.why)


def _terrain(facts: Facts) -> Fact:
    sea, water = facts.number("coast.sea_share", -1), facts.number("cover.water.share")
    source = "coastline, water and relief"
    if water > 0.9:
        return Fact("terrain.kind", "open water", 5, source, 0.9, None, f"{water:.0%} water")
    if sea >= 0.02 or (facts.value("water.kind", "") == "sea" and water > 0.05):
        return Fact("terrain.kind", "coastal", 5, source, 0.85, None, "sea and land in one frame")
    kind, source, sure, why = _relief(facts)
    if kind == "plain" and facts.value("water.kind", "") == "river" and water > 0.03:
        return Fact("terrain.kind", "river plain", 5, source, 0.6, None, "a river crosses level ground")
    return Fact("terrain.kind", kind, 5, source, sure, None, why)


HILLS_M, MOUNTAINS_M = 90.0, 300.0
"""Relief over 6 x 6 miles from which ground that is mostly not gentle makes hills (300 feet) or mountains (1,000).

Source: Hammond 1964, "Analysis of properties in land form geography", Annals of the AAG 54(1)."""


def _relief(facts: Facts) -> tuple[str, str, float, str]:
    """Plain, hilly or mountainous, its source, confidence and reason: by the elevation model, else by brightness."""
    if "elevation.relief_m" in facts:
        relief_m, gentle = facts.number("elevation.relief_m"), facts.number("slope.gentle_share")
        why = f"{relief_m:.0f} m of relief around, {gentle:.0%} of the tile gentle"
        kind = "plain" if gentle > 0.5 or relief_m < HILLS_M else "hilly" if relief_m < MOUNTAINS_M else "mountainous"
        return kind, facts["elevation.relief_m"].source, 0.9, why
    relief = facts.number("relief.index")
    kind, sure = ("mountainous", 0.5) if relief > 1.9 else ("hilly", 0.5) if relief > 1.6 else ("plain", 0.6)
    return kind, "coastline, water and relief", sure, f"relief index {relief:.1f} dB"


_FUNCTION_OF = {
    "water": "open water",
    "woodland": "woodland",
    "farmland": "farmland",
    "building": "residential",
    "bare": "open ground",
    "road": "transport",
}


_FUNCTION_OF_USE = {"park": "parkland", "bare": "open ground"}
"""Where the function's word is not the mapped land use's."""


def _mapped_function(facts: Facts) -> Fact | None:
    """What a map says that most of a tile is used for."""
    use = next(iter(facts.value("society.land_use", [""])), "")
    share = facts.number(f"map.landuse.{use}.share")
    if share < 0.5:
        return None
    source = facts["society.land_use"].source
    return Fact("function.main", _FUNCTION_OF_USE.get(use, use), 5, source, 0.8, None, f"mapped so on {share:.0%}")


def _function(facts: Facts) -> Fact:
    order = facts.value("cover.order", list[str]()) or ["bare"]
    main = order[0]
    built = facts.number("cover.building.share")
    source = "land cover and place"
    if facts.value("society.airport_expected", False) and facts.number("cover.water.share") < 0.5:
        return Fact(
            "function.main",
            "airport",
            5,
            source,
            0.6,
            None,
            facts["society.airport_expected"].why,
        )
    if facts.value("society.port_expected", False) and facts.number("cover.water.share") > 0.1:
        return Fact("function.main", "port", 5, source, 0.6, None, facts["society.port_expected"].why)
    if (mapped := _mapped_function(facts)) is not None:
        return mapped
    if facts.number("coast.sea_share") > 0.1 and built > 0.25 and facts.number("cover.water.share") > 0.1:
        return Fact("function.main", "harbour front", 5, source, 0.5, None, "dense building beside the sea")
    if built > 0.7:
        return Fact("function.main", "dense urban", 5, source, 0.6, None, f"{built:.0%} built up")
    if 0.25 < built < 0.55 and main != "building":
        return Fact(
            "function.main",
            f"mixed {_FUNCTION_OF[main]} and residential",
            5,
            source,
            0.6,
            None,
            f"{built:.0%} built up",
        )
    function = _FUNCTION_OF[main]
    if main == "water" and len(order) > 1 and facts.number("cover.water.share") < 0.5:
        function = f"mixed {function} and {_FUNCTION_OF[order[1]]}"
    return Fact("function.main", function, 5, source, 0.7, None, f"{main} covers most")
