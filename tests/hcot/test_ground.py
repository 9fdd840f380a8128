"""Claims of a model against measured facts, one by one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowlip.core.statements import Fact
from knowlip.hcot.engines.cache import Reply, question_key
from knowlip.hcot.engines.dialogue import is_english, read_answer
from knowlip.hcot.engines.ground import MODEL_CONFIDENCE, as_fact, judge
from knowlip.hcot.engines.questions import LAST_STEP, QUESTIONS, answer_model
from knowlip.hcot.steps.calibration import as_ground
from knowlip.hcot.view import Facts

NAMED = {q.name: q for q in QUESTIONS}


def ground(confidence=0.9, **values):
    return Facts(Fact(name.replace("__", "."), value, 3, "test", confidence) for name, value in values.items())


INLAND = {"coast__sea_share": 0.0, "cover__water__share": 0.0, "cover__building__share": 0.3, "relief__index": 0.8}


@pytest.mark.parametrize(
    ("question", "value", "facts", "outcome"),
    [
        ("country", "Atlantis", {"place__country": "Norway"}, "dropped"),
        ("country", " norway", {"place__country": "Norway"}, "agrees"),
        ("city", "Oslo", {}, "dropped"),
        ("airport_in_frame", True, {"airport__km": 40.0}, "dropped"),
        ("airport_in_frame", True, {"airport__km": 1.0}, "agrees"),
        ("airport_in_frame", True, {}, "dropped"),
        ("ships", 3, {"target__count": 2}, "dropped"),
        ("ships", 2, {"target__count": 2}, "agrees"),
        ("ships", 1, INLAND, "dropped"),
        ("ships", -1, {}, "dropped"),
        ("aircraft", 2, {}, "dropped"),
        ("longest_ship_m", 120.0, {"target__longest_m": 100.0}, "agrees"),
        ("longest_ship_m", 300.0, {"target__longest_m": 100.0}, "dropped"),
        ("longest_ship_m", float("nan"), {"target__longest_m": 100.0}, "dropped"),
        ("arrangement", "in a line", {"target__count": 1}, "dropped"),
        ("water", "sea", INLAND, "dropped"),
        ("water", "none", {"cover__water__share": 0.4}, "dropped"),
        ("water", "river", {"coast__sea_share": 0.99, "cover__water__share": 1.0}, "dropped"),
        ("buildings", "dense", {"cover__building__share": 0.05}, "dropped"),
        ("buildings", "scattered", {"cover__building__share": 0.4}, "agrees"),
        ("main_cover", "road", {"cover__order": ["farmland"], "cover__farmland__share": 0.9}, "dropped"),
        ("main_roads", "several", {"road__lines": 0}, "dropped"),
        ("terrain", "open water", INLAND, "dropped"),
        ("terrain", "coastal", INLAND, "dropped"),
        ("terrain", "mountainous", INLAND, "dropped"),
        ("function", "airport", INLAND | {"airport__km": 12.0}, "dropped"),
        ("function", "harbour front", INLAND, "dropped"),
        ("function", "industrial", INLAND, "accepted"),
    ],
)
def test_claims_that_contradict_the_measurement_are_dropped(question, value, facts, outcome):
    verdict, reason = judge(NAMED[question], value, as_ground(ground(**facts)))
    assert verdict == outcome
    assert reason


@pytest.mark.parametrize(
    ("confidence", "outcome"), [(0.5, "accepted"), (MODEL_CONFIDENCE, "dropped"), (0.9, "dropped")]
)
def test_a_possible_claim_stands_only_against_a_weaker_measure(confidence, outcome):
    facts = ground(confidence, terrain__kind="plain", relief__index=1.8)
    assert judge(NAMED["terrain"], "hilly", as_ground(facts))[0] == outcome


def test_an_accepted_claim_says_whose_it_is():
    fact = as_fact(NAMED["main_roads"], "two", "m")
    assert (fact.name, fact.value, fact.source, fact.confidence) == ("road.lines", 2, "vlm:m", MODEL_CONFIDENCE)


STEP_3 = answer_model(3, tuple(q for q in QUESTIONS if q.step == 3))


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_any_answer_is_read_or_refused(text):
    assert isinstance(read_answer(Reply(text, "stop", 0, 0), STEP_3), str)


@pytest.mark.parametrize("step", range(LAST_STEP + 1))
def test_schemas_are_as_strict_servers_want_them(step):
    """OpenAI's strict mode: every object closed, every key required, no keyword that it does not know."""
    schema = answer_model(step, tuple(q for q in QUESTIONS if q.step == step)).model_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["required"] == list(schema["properties"])
    known = {"type", "enum", "anyOf", "title", "description", "properties", "required", "additionalProperties"}

    def keywords(node):
        for key, value in node.items():
            yield key
            for inner in value.values() if key == "properties" else value if key == "anyOf" else ():
                yield from keywords(inner)

    assert set(keywords(schema)) <= known


@pytest.mark.parametrize(
    "note",
    [
        "Das Bild zeigt eine Stadt an der Küste und viele helle Punkte am Ufer.",
        "L'image montre une ville sur la côte avec beaucoup de points brillants.",
        "La imagen muestra una ciudad en la costa con muchos puntos brillantes en el agua.",
        "На снимке виден порт и много судов",
        "画像には港と多くの船が写っています",
    ],
)
def test_other_languages_are_told_from_english(note):
    assert not is_english(note)


@pytest.mark.parametrize(
    "note", ["Bright points on dark water, probably ships.", "The river Düna crosses the plain of Riga.", "Sea.", ""]
)
def test_english_is_english(note):
    assert is_english(note)


def test_answers_are_kept_by_all_that_they_depend_on():
    asked = ("m", [{"role": "user", "content": "picture"}], {"type": "object"}, {"temperature": 0.0})
    changed = [
        ("n", *asked[1:]),
        ("m", [{"role": "user", "content": "another picture"}], *asked[2:]),
        (*asked[:2], {"type": "array"}, asked[3]),
        (*asked[:3], {"temperature": 1.0}),
    ]
    keys = {question_key(*a) for a in [asked, *changed]}
    assert len(keys) == 5
    assert question_key(*asked) in keys
