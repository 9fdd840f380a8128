"""A model's claims against what was measured: the measurement is the ground, and a claim is a guest on it."""

from __future__ import annotations

from knowlip.core.statements import Fact, FactValue
from knowlip.hcot.engines.description import Outcome
from knowlip.hcot.engines.questions import Question
from knowlip.hcot.rules.settle import examine
from knowlip.hcot.view import Facts

MODEL_CONFIDENCE = 0.65
"""Of a claim that nothing speaks against: over the evidence engine's weak measures, under its strong ones."""

_ROADS = {"none": 0, "one": 1, "two": 2, "several": 3}

Verdict = tuple[Outcome, str]


def judge(question: Question, value: FactValue, ground: Facts, model: str = "") -> Verdict:
    """What becomes of a claim, and why: the rules of calibration speak about it as about any other fact.

    Args:
        ground: What was measured, and known of the place, as from `calibration.as_ground`.
    """
    claim = as_fact(question, value, model)
    found = examine(claim.name, Facts([*ground, claim]), ground)
    verdict, measured = found.verdict, ground.get(claim.name)
    if verdict is not None and (verdict.outcome != "lowered" or not question.taken):
        return "dropped", verdict.why
    if not question.taken:
        if not found.checked:
            return "dropped", "nothing to check it against"
        return "agrees", "nothing measured speaks against it" if measured is None else f"measured: {measured.value}"
    if measured is None:
        return "accepted", "possible, and not measured"
    if measured.value == claim.value:
        return "agrees", f"measured: {measured.value}"
    return "accepted", f"possible, and {measured.value} was measured with confidence {measured.confidence:.2f} only"


def as_fact(question: Question, value: FactValue, model: str) -> Fact:
    """An accepted claim as a fact."""
    why = f"{question.ask[0].lower()}{question.ask[1:]}, as a model sees it; nothing measured speaks against it"
    said = _ROADS.get(str(value), value) if question.name == "main_roads" else value
    return Fact(question.fact, said, question.step, f"vlm:{model}", MODEL_CONFIDENCE, None, why)
