"""A model's claims against what was measured: the measurement is the ground, and a claim is a guest on it."""

from __future__ import annotations

import math
from collections.abc import Callable

from knowlip.core.statements import Fact, FactValue
from knowlip.hcot.engines.description import Outcome
from knowlip.hcot.engines.questions import Question
from knowlip.hcot.steps.society import AIRPORT_REACH_KM
from knowlip.hcot.view import Facts, TileView
from knowlip.hcot.words import boundary_word, density_word, layout_word

MODEL_CONFIDENCE = 0.65
"""Of a claim that nothing speaks against: over the evidence engine's weak measures, under its strong ones."""

_DENSITIES = ("no", "sparse", "scattered", "many", "dense")
_ROADS = {"none": 0, "one": 1, "two": 2, "several": 3}

Verdict = tuple[Outcome, str]
Judge = Callable[[FactValue, Facts, TileView], Verdict | None]
"""A verdict, or None where the claim is possible and the measured fact's confidence has to decide."""


def judge(question: Question, value: FactValue, facts: Facts, view: TileView) -> Verdict:
    """What becomes of a claim, and why.

    Args:
        facts: What was measured, and known of the place.
    """
    verdict = _JUDGES[question.name](value, facts, view)
    if verdict is not None:
        return verdict
    measured, confidence = _measured(question, facts)
    if measured is None:
        return "accepted", "possible, and not measured"
    if measured == _value(question, value):
        return "agrees", f"measured: {measured}"
    if confidence >= MODEL_CONFIDENCE:
        return "dropped", f"measured: {measured}, with confidence {confidence:.2f}"
    return "accepted", f"possible, and {measured} was measured with confidence {confidence:.2f} only"


def as_fact(question: Question, value: FactValue, model: str) -> Fact:
    """An accepted claim as a fact."""
    why = f"{question.ask[0].lower()}{question.ask[1:]}, as a model sees it; nothing measured speaks against it"
    return Fact(question.fact, _value(question, value), question.step, f"vlm:{model}", MODEL_CONFIDENCE, None, why)


def _value(question: Question, value: FactValue) -> FactValue:
    return _ROADS[str(value)] if question.name == "main_roads" else value


def _measured(question: Question, facts: Facts) -> tuple[FactValue | None, float]:
    """The measured value in the question's own words, and its confidence."""
    if question.name == "layout" and "pattern.edge_density" in facts:
        return layout_word(facts), facts["pattern.grid"].confidence
    if question.name == "boundaries" and "boundary.step_db" in facts:
        return boundary_word(facts), facts["boundary.step_db"].confidence
    if question.fact in facts:
        return facts[question.fact].value, facts[question.fact].confidence
    return None, 0.0


def _drop(reason: str) -> Verdict:
    return "dropped", reason


def _agree(reason: str) -> Verdict:
    return "agrees", reason


def _same_name(fact: str) -> Judge:
    """Names are never taken from a model: it would put any word into the corpus."""

    def of(value: FactValue, facts: Facts, view: TileView) -> Verdict:
        known = facts.value(fact, "")
        if not known:
            return _drop("nothing to check it against")
        if str(value).strip().casefold() == known.casefold():
            return _agree(f"the gazetteer says {known}")
        return _drop(f"the gazetteer says {known}")

    return of


def _airport(value: FactValue, facts: Facts, view: TileView) -> Verdict:
    if "airport.km" not in facts:
        return _drop("nothing to check it against")
    km = facts.number("airport.km")
    here = km <= AIRPORT_REACH_KM
    reason = f"the nearest airport is {km:.1f} km away"
    return _agree(reason) if bool(value) == here else _drop(reason)


def _water(value: FactValue, facts: Facts, view: TileView) -> Verdict | None:
    share, sea = facts.number("cover.water.share"), facts.number("coast.sea_share", -1)
    if value == "none":
        return _agree("no water measured") if share < 0.005 else _drop(f"{share:.0%} of the tile is water")
    if share < 0.005 and sea <= 0:
        return _drop("no water measured")
    if value == "sea" and sea == 0:
        return _drop("the coastline puts no sea here")
    if value != "sea" and sea > 0.9:
        return _drop(f"the coastline puts {sea:.0%} of the tile in the sea")
    return None


def _main_cover(value: FactValue, facts: Facts, view: TileView) -> Verdict:
    order = facts.value("cover.order", [""])
    if not order or not order[0]:
        return _drop("nothing to check it against")
    reason = f"measured: {order[0]} on {facts.number(f'cover.{order[0]}.share'):.0%}"
    return _agree(reason) if value == order[0] else _drop(reason)


def _buildings(value: FactValue, facts: Facts, view: TileView) -> Verdict:
    share = facts.number("cover.building.share")
    apart = abs(_DENSITIES.index(str(value)) - _DENSITIES.index(density_word(share)))
    reason = f"{share:.0%} of the tile is measured as built up, which is {density_word(share)}"
    return _agree(reason) if apart <= 1 else _drop(reason)


def _roads(value: FactValue, facts: Facts, view: TileView) -> Verdict | None:
    lines = min(int(facts.number("road.lines")), 3)
    if abs(_ROADS[str(value)] - lines) > 1:
        return _drop(f"the line filter finds {int(facts.number('road.lines'))}")
    return None if lines or value != "none" else _agree("the line filter finds none")


def _ships(value: FactValue, facts: Facts, view: TileView) -> Verdict:
    found = int(facts.number("target.count"))
    reason = f"detection at a constant false alarm rate finds {found}"
    return _agree(reason) if value == found else _drop(reason)


def _aircraft(value: FactValue, facts: Facts, view: TileView) -> Verdict:
    # nothing measures aircraft yet, so that a number of them cannot be checked
    return _agree("none is looked for") if value == 0 else _drop("no detector of aircraft confirms it")


def _longest(value: FactValue, facts: Facts, view: TileView) -> Verdict:
    measured, claimed = facts.number("target.longest_m"), float(str(value))
    if not measured:
        return _drop("no ship was detected")
    bound = max(2 * (view.gsd_m or 0.0), 0.3 * measured)
    reason = f"measured: {measured:.0f} m"
    return _agree(reason) if math.isfinite(claimed) and abs(claimed - measured) <= bound else _drop(reason)


def _arrangement(value: FactValue, facts: Facts, view: TileView) -> Verdict | None:
    n = int(facts.number("target.count"))
    if n < 2:
        return _drop(f"{n} detected")
    if (value in ("close together", "far apart")) != (n == 2):
        return _drop(f"not said of {n} ships")
    return None


def _terrain(value: FactValue, facts: Facts, view: TileView) -> Verdict | None:
    water, sea = facts.number("cover.water.share"), facts.number("coast.sea_share", -1)
    relief = facts.number("relief.index")
    if value == "open water":
        return None if water > 0.6 else _drop(f"{water:.0%} of the tile is water")
    if water > 0.9:
        return _drop(f"{water:.0%} of the tile is water")
    if value == "coastal" and (sea == 0 or (sea < 0 and water < 0.03)):
        return _drop("there is no sea here" if sea == 0 else f"{water:.0%} of the tile is water")
    if value == "river plain" and water < 0.005:
        return _drop("no water measured")
    if value == "mountainous" and relief < 1.3:
        return _drop(f"the relief index is {relief:.1f} dB")
    if value in ("plain", "river plain") and relief > 2.2:
        return _drop(f"the relief index is {relief:.1f} dB")
    return None


_LEAST_SHARE = {
    "open water": ("water", 0.5),
    "woodland": ("woodland", 0.15),
    "farmland": ("farmland", 0.15),
    "residential": ("building", 0.1),
    "dense urban": ("building", 0.4),
    "industrial": ("building", 0.1),
    "harbour front": ("water", 0.03),
    "transport": ("road", 0.01),
}


def _function(value: FactValue, facts: Facts, view: TileView) -> Verdict | None:
    if value == "airport":
        verdict = _airport(True, facts, view)
        return verdict if verdict[0] == "dropped" else None
    cover, least = _LEAST_SHARE.get(str(value), ("bare", 0.0))
    share = facts.number(f"cover.{cover}.share")
    if share < least:
        return _drop(f"{share:.0%} of the tile is measured as {cover}")
    if value == "harbour front" and facts.number("coast.sea_share", -1) == 0 and share < 0.1:
        return _drop("there is no sea here")
    return None


def _settlement(value: FactValue, facts: Facts, view: TileView) -> Verdict:
    known = facts.value("society.settlement", "")
    if not known:
        return _drop("nothing to check it against")
    return _agree(f"the gazetteer says {known}") if value == known else _drop(f"the gazetteer says {known}")


def _open(value: FactValue, facts: Facts, view: TileView) -> None:
    """Nothing but the measured fact itself speaks against it."""


_JUDGES: dict[str, Judge] = {
    "country": _same_name("place.country"),
    "city": _same_name("place.city"),
    "airport_in_frame": _airport,
    "settlement": _settlement,
    "water": _water,
    "main_cover": _main_cover,
    "buildings": _buildings,
    "main_roads": _roads,
    "layout": _open,
    "boundaries": _open,
    "ships": _ships,
    "aircraft": _aircraft,
    "longest_ship_m": _longest,
    "arrangement": _arrangement,
    "terrain": _terrain,
    "function": _function,
}
