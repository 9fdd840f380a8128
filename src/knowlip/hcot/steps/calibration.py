"""Step 5, knowledge calibration: facts that contradict each other are settled by strength of evidence."""

from __future__ import annotations

from knowlip.core.statements import NINE_GRID, Fact
from knowlip.hcot.view import Facts, TileView


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Settle contradictions between map and measurement, and say what kind of ground and function this is."""
    settled = _water_against_coast(facts) + _targets_need_water(facts)
    trial = Facts([*facts, *settled])
    if view.tile_id and any(f.name == "target.count" and f.value == 0 for f in settled):
        for name in [f.name for f in facts if f.name.startswith("target.")]:
            facts.drop(name)
        settled = [f for f in settled if f.name != "target.count"]
        trial = Facts([*facts, *settled])
    return [*settled, _terrain(trial), _function(trial)]


def _water_against_coast(facts: Facts) -> list[Fact]:
    """The open sea is water, whatever wind made of its brightness."""
    sea, water = facts.number("coast.sea_share", -1), facts.number("cover.water.share")
    if sea < 0.98 or water > 0.9:
        return []
    why = f"the coastline puts {sea:.0%} of the tile in the sea, backscatter only {water:.0%}; the coastline is exact"
    return [
        Fact("cover.water.share", round(sea, 3), 5, facts["coast.sea_share"].source, 0.9, None, why),
        Fact("cover.order", ["water"], 5, facts["coast.sea_share"].source, 0.9, None, why),
        Fact("water.kind", "sea", 5, facts["coast.sea_share"].source, 0.9, None, why),
        Fact("cover.water.cells", list(NINE_GRID), 5, facts["coast.sea_share"].source, 0.9, None, why),
        *(
            Fact(f"cover.{n}", ["water"] * len(NINE_GRID), 5, facts["coast.sea_share"].source, 0.9, None, why)
            for n in ("cell_main", "cell_landform")
        ),
        *(
            Fact(f"cover.{n}.share", 0.0, 5, facts["coast.sea_share"].source, 0.8, None, why)
            for n in ("woodland", "farmland", "building", "road", "bare")
        ),
    ]


def _targets_need_water(facts: Facts) -> list[Fact]:
    """Ships where the map knows no sea and the water is smaller than they are would be on land."""
    if "target.count" not in facts:
        return []
    if facts.number("coast.sea_share", -1) == 0 and facts.number("cover.water.share") < 0.05:
        return [Fact("target.count", 0, 5, "calibration", 0.8, None, "too little water for ships, and no sea here")]
    return []


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
    if "elevation.relief_m" in facts and "slope.gentle_share" in facts:
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
    order = facts.value("cover.order", [""]) or ["bare"]
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
    return Fact("function.main", _FUNCTION_OF[main], 5, source, 0.7, None, f"{main} covers most")
