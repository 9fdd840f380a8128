"""The rule base: the language of its conditions, each rule by its own example, and what settling guarantees."""

import ast

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from knowlip.core.errors import ConfigError
from knowlip.core.statements import LANDCOVER, NINE_GRID, Fact
from knowlip.hcot.engines.questions import QUESTIONS
from knowlip.hcot.rules.expressions import FUNCTIONS, parse, parse_text, reads
from knowlip.hcot.rules.rule import read_rules, rule_base
from knowlip.hcot.rules.settle import DISPUTED, SETTLED, RuleBase, examine, settle
from knowlip.hcot.steps.calibration import as_ground, calibrate
from knowlip.hcot.view import AIRPORT_REACH_KM, Facts

RULES = {r.text.name: r for r in rule_base().rules}


class Known:
    """Names with values, for expressions alone."""

    counts = True

    def __init__(self, **values):
        self.values = {k.replace("__", "."): v for k, v in values.items()}

    def look_up(self, name):
        return self.values.get(name)

    def matching(self, pattern):
        return list(self.values.values())

    def table(self, name, key):
        return None


def facts(confidence=0.9, source="measured", **values):
    return Facts(Fact(n.replace("__", "."), v, 3, source, confidence) for n, v in values.items())


def example_of(values):
    """Facts and ground that a rule's example writes."""
    here = Facts(Fact(n, v, 3, "measured", 0.9) for n, v in values.items() if not n.startswith("ground."))
    ground = Facts(Fact(n[7:], v, 3, "measured", 0.9) for n, v in values.items() if n.startswith("ground."))
    return here, ground


def verdicts(rule, values):
    here, ground = example_of(values)
    alone = RuleBase((rule,), rule_base().tables, rule_base().sources)
    found = [examine(f.name, here, ground, alone).verdict for f in here]
    return [v for v in found if v is not None]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_speaks_in_its_example_and_is_silent_in_its_counter_example(name):
    text = RULES[name].text
    spoken = verdicts(RULES[name], text.example)
    assert spoken, "says nothing about its example"
    assert not verdicts(RULES[name], text.counter), "speaks about its counter-example"
    expected = {"drop": "dropped", "replace": "replaced", "lower": "lowered"}[text.then]
    assert {v.outcome for v in spoken} == {expected}
    assert all("unknown" not in v.why for v in spoken)


@pytest.mark.parametrize(
    ("text", "values", "value"),
    [
        (
            "cover.water.share < 0.05 and coast.sea_share == 0",
            {"cover__water__share": 0.01, "coast__sea_share": 0},
            True,
        ),
        ("a and b", {"a": False}, False),
        ("a and b", {"a": True}, None),
        ("a or b", {"b": True}, True),
        ("not a", {}, None),
        ("1 < a <= 3", {"a": 3}, True),
        ("known(a)", {}, False),
        ("default(a, 7) * 2", {}, 14),
        ("a in ['sea', 'lake']", {"a": "sea"}, True),
        ("a / 0 > 1", {"a": 1}, None),
        ("a < 'text'", {"a": 1}, None),
        ("pick(a, [50, 120], ['small', 'medium', 'large'])", {"a": 50}, "medium"),
        ("overlap(a, b)", {"a": ["x", "y"], "b": ["y", "z"]}, pytest.approx(1 / 3)),
        ("fact('cover.' + a)", {"a": "water", "cover__water": 0.5}, 0.5),
        ("finite(a)", {"a": float("nan")}, False),
    ],
)
def test_expressions_are_what_they_say_and_unknown_where_it_matters(text, values, value):
    assert parse(text)(Known(**values)) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('x')",
        "a.b.c()",
        "(lambda: 1)()",
        "[x for x in a]",
        "a[0]",
        "f'{a}'",
        "a := 1",
        "a ** 9 ** 9",
        "{1: 2}",
        "known(a, b)",
        "len(*a)",
        "1 if a else 2",
        "b'x' == a",
        "target.class == 1",
        "",
    ],
)
def test_nothing_else_can_be_written(text):
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@given(st.text(max_size=40) | st.sampled_from(FUNCTIONS).map(lambda f: f"{f}(a, b)"))
@example("(" * 300)
def test_any_text_is_read_or_refused_and_never_raises_when_it_is_evaluated(text):
    try:
        expression = parse(text)
    except ValueError:
        return
    ast.parse(text.strip() or "0", mode="eval")
    expression(Known(a=1, b=["x"]))


def test_sentences_write_values_in_their_format():
    write = parse_text("{a:.0%} of {b}, {c}")
    assert write(Known(a=0.256, b=["x", "y"])) == "26% of x, y, unknown"


def test_names_that_an_expression_reads_are_found():
    assert reads("abs(this - ground.a.b) > fact('ground.' + which)") == {"this", "ground.a.b", "ground.", "which"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("rules: [", "cannot be read as YAML"),
        ("rules: [{name: a}]", "says"),
        ("rulez: []", "rulez"),
        (
            "rules: [{name: a, says: b, doubts: c, when: eval(1), then: drop, why: d, example: {}, counter: {}}]",
            "eval",
        ),
        ("rules: [{name: a, says: b, doubts: c, when: c > 1, then: burn, why: d, example: {}, counter: {}}]", "then"),
    ],
)
def test_a_bad_rule_file_is_one_line_that_names_it(tmp_path, content, reason):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=reason) as error:
        read_rules([path])
    assert "mine.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_rule_names_the_table_that_it_lacks(tmp_path):
    path = tmp_path / "mine.yaml"
    rule = (
        "{name: a, says: b, doubts: c, when: \"this > table('t', 'x')\", then: drop, why: d, example: {}, counter: {}}"
    )
    path.write_text(f"rules: [{rule}]")
    with pytest.raises(ConfigError, match="no table 't'"):
        read_rules([path])
    path.write_text(f"tables: {{t: {{x: 2}}}}\nrules: [{rule}]")
    assert settle(facts(c=3.0), base=read_rules([path]))["settled.c"].value == "dropped"


def test_airports_reach_as_far_as_in_step_two():
    assert f"airport.km > {AIRPORT_REACH_KM}" in RULES["airport out of reach"].text.when


def test_the_weaker_side_loses_and_what_cannot_be_decided_is_marked():
    ground = facts(0.9, terrain__kind="plain")
    sure = settle(facts(0.65, "vlm:m", terrain__kind="hilly"), ground)
    assert (sure["terrain.kind"].value, sure["settled.terrain.kind"].value) == ("plain", "replaced")
    weak = settle(facts(0.65, "vlm:m", terrain__kind="hilly"), facts(0.5, terrain__kind="plain"))
    assert (weak["terrain.kind"].value, weak["terrain.kind"].confidence) == ("hilly", DISPUTED)
    assert "plain" in weak["settled.terrain.kind"].why


def test_a_wrong_fact_does_not_take_a_right_one_with_it():
    measured = facts(cover__water__share=0.6, water__kind="lake", coast__sea_share=0.0)
    claimed = Facts([*measured, Fact("cover.water.share", 0.0, 3, "vlm:m", 0.65)])
    after = settle(claimed, measured)
    assert after["water.kind"].value == "lake"
    assert after["cover.water.share"].value == 0.6
    # without the measurement, the water's kind has nothing to be the kind of
    assert settle(claimed)["settled.water.kind"].value == "lowered"


def test_what_a_measurement_confirms_is_doubted_only_by_stronger_evidence():
    measured = facts(0.6, target__length_m=80.0, target__longest_m=90.0, target__count=2)
    claimed = Facts([*measured, Fact("target.longest_m", 30.0, 4, "vlm:m", 0.65)])
    after = settle(claimed, measured)
    assert after["target.longest_m"].confidence == DISPUTED
    assert after["target.length_m"] == measured["target.length_m"]
    # alone, nobody knows which of the two lengths is wrong
    assert settle(claimed)["target.length_m"].confidence == DISPUTED


def test_a_disputed_count_does_not_take_a_measured_arrangement_away():
    measured = facts(0.6, target__count=3, target__arrangement="in a line")
    claimed = Facts([*measured, Fact("target.count", 1, 4, "vlm:m", 0.65)])
    after = settle(claimed, measured)
    assert after["target.count"].confidence == DISPUTED
    assert after["target.arrangement"] == measured["target.arrangement"]


def test_what_vanishes_leaves_its_reason():
    known = facts(0.6, target__count=2, target__cells=["centre"], cover__water__share=0.0, coast__sea_share=0.0)
    after = settle(known)
    assert not [f for f in after if f.name.startswith("target.")]
    assert "ship" in after["settled.target.count"].why
    assert after["settled.target.cells"].value == "dropped"


CLASSES = list(LANDCOVER.values())
SHARE = st.floats(0, 1).map(lambda v: round(v, 3))
CELLS = st.lists(st.sampled_from(NINE_GRID), min_size=1, max_size=9, unique=True)
VALUES = {
    **{f"cover.{c}.share": SHARE for c in CLASSES},
    **{f"cover.{c}.cells": CELLS for c in CLASSES},
    "cover.order": st.lists(st.sampled_from(CLASSES), min_size=1, max_size=4, unique=True),
    "cover.cell_main": st.lists(st.sampled_from(CLASSES), min_size=9, max_size=9),
    "coast.sea_share": st.sampled_from([0.0, 0.3, 0.99, 1.0]),
    "airport.km": st.sampled_from([0.5, 20.0]),
    "elevation.relief_m": st.sampled_from([20.0, 200.0, 900.0]),
    "slope.gentle_share": SHARE,
    "relief.index": st.floats(0, 4),
    "water.kind": st.sampled_from(["sea", "river", "lake", "pond", "none"]),
    "terrain.kind": st.sampled_from(["open water", "coastal", "mountainous", "hilly", "river plain", "plain"]),
    "function.main": st.sampled_from(["airport", "port", "woodland", "open water", "dense urban", "harbour front"]),
    "target.count": st.integers(-1, 9),
    "target.cells": CELLS,
    "target.length_m": st.floats(10, 600),
    "target.longest_m": st.floats(10, 600),
    "target.category": st.sampled_from(["small craft", "large merchant ship"]),
    "target.arrangement": st.sampled_from(["in a line", "far apart"]),
    "road.lines": st.integers(-1, 9),
    "layout.kind": st.sampled_from(["grid-like", "linear"]),
}
SURE = st.sampled_from([0.3, 0.5, 0.65, 0.8, 0.95])


CLAIMED = sorted({q.fact for q in QUESTIONS if q.taken} & set(VALUES))
"""What a model's answer may become a fact of."""


@st.composite
def some_facts(draw, source, among=()):
    names = draw(st.lists(st.sampled_from(among or sorted(VALUES)), max_size=12, unique=True))
    return [Fact(n, draw(VALUES[n]), 3, source, draw(SURE)) for n in names]


def plain(known):
    return {f.name: f for f in known}


def outcome(known):
    """What the facts say; the reasons tell how it came to that, and grow where two rules pull at one fact."""
    return {f.name: (f.value, f.source, f.confidence) for f in known}


@given(some_facts("measured"), some_facts("vlm:m", CLAIMED))
def test_settling_twice_changes_nothing_more(measured, claimed):
    ground = as_ground(calibrate(Facts(measured)))
    once = settle(Facts([*ground, *claimed]), ground)
    assert outcome(settle(once, ground)) == outcome(once)
    alone = settle(Facts(claimed))
    assert outcome(settle(alone)) == outcome(alone)


@given(some_facts("measured"), some_facts("vlm:m"), st.randoms())
def test_the_order_of_facts_and_rules_does_not_matter(measured, claimed, random):
    ground, rules = Facts(measured), list(rule_base().rules)
    once = settle(Facts([*measured, *claimed]), ground)
    random.shuffle(rules)
    shuffled = list(Facts([*measured, *claimed]))
    random.shuffle(shuffled)
    again = settle(Facts(shuffled), ground, RuleBase(tuple(rules), rule_base().tables, rule_base().sources))
    assert plain(again) == plain(once)


@given(some_facts("measured"))
def test_what_agrees_with_the_measurement_is_never_lost(measured):
    """Claims that repeat the calibrated measurement contradict nothing that it does not contradict itself."""
    ground = calibrate(Facts(measured))
    repeated = [Fact(f.name, f.value, f.step, "vlm:m", f.confidence) for f in ground if not f.name.startswith(SETTLED)]
    after = settle(Facts([*(f for f in ground if f.name.startswith(SETTLED)), *repeated]), ground)
    assert {f.name: f.value for f in after} == {f.name: f.value for f in ground}


@given(some_facts("measured"), some_facts("vlm:m"))
def test_a_fact_that_nothing_speaks_against_takes_nothing_away(measured, more):
    before = settle(Facts(measured))
    for fact in more:
        joined = Facts([*before, fact])
        if fact.name in before or any(
            examine(f.name, joined).verdict for f in joined if not f.name.startswith(SETTLED)
        ):
            continue
        assert set(plain(settle(joined))) >= set(plain(before)) | {fact.name}


@given(some_facts("measured"), some_facts("measured"))
def test_where_all_was_quiet_only_rules_about_what_is_new_have_anything_to_say(measured, more):
    before = settle(Facts(measured))
    assume(not any(f.name.startswith(SETTLED) for f in before))
    new = [f for f in more if f.name not in before]
    known = Facts([*before, *new])
    assert plain(settle(known, added=frozenset(f.name for f in new))) == plain(settle(known))


@given(some_facts("measured"))
def test_nothing_vanishes_silently(measured):
    after = settle(Facts(measured))
    for fact in measured:
        if after.get(fact.name) != fact:
            assert after[SETTLED + fact.name].why
