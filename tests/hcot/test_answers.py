"""Questions and answers in the published forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import made_up

from knowlip.core.statements import LANDCOVER, NINE_GRID, Fact
from knowlip.hcot.answers import KINDS, REGIONS, answers, grids, landforms
from knowlip.hcot.view import Facts

TILE = {
    "target.count": 3,
    "target.class": "aircraft",
    "target.cells": ["upper centre", "upper left", "lower left"],
    "target.positions": [30.0, 60.0, 12.5, 7.0, 40.0, 5.0],
    "target.types": ["transport aircraft", "", "airliner"],
    "cover.water.share": 0.2,
    "cover.woodland.share": 0.19,
    "cover.farmland.share": 0.0,
    "cover.building.share": 0.45,
    "cover.road.share": 0.14,
    "cover.bare.share": 0.02,
    "cover.cell_landform": ["water"] * 8 + ["building"],
}


def of(values):
    return answers(Facts(Fact(n, v, 4, "test", 0.8) for n, v in values.items()))


@pytest.mark.parametrize(
    ("kind", "question", "answer"),
    [
        ("count", "How many targets are in this image?", "3"),
        ("target recognition", "What type of aircraft is at the coordinates [30.0, 60.0]?", "transport aircraft"),
        (
            "target positioning",
            "Divide the picture into nine grids and number them in sequence. Which grid(s) contain the aircraft?",
            "1,2,7",
        ),
        ("main landform", "What is the most dominant class in the image?", "building"),
        ("all landforms", "What classes are present in the image?", "building, water, vegetation, road"),
        (
            "regional landform",
            "What is the most dominant class in the bottom-right region of the image?",
            "building",
        ),
    ],
)
def test_questions_have_the_published_forms(kind, question, answer):
    assert (kind, question, answer) in {(a.kind, a.question, a.answer) for a in of(TILE)}


def test_woodland_and_farmland_together_are_vegetation():
    shares = {"cover.woodland.share": 0.3, "cover.farmland.share": 0.3, "cover.building.share": 0.4}
    asked = {a.kind: a.answer for a in of({f"cover.{c}.share": 0.0 for c in LANDCOVER.values()} | shares)}
    assert asked == {"main landform": "vegetation", "all landforms": "vegetation, building"}


def test_target_of_unknown_type_is_not_asked_about():
    assert [a.answer for a in of(TILE) if a.kind == "target recognition"] == ["transport aircraft", "airliner"]


def test_no_targets_no_questions_about_them():
    assert {a.kind for a in of(TILE | {"target.count": 0})} == {"main landform", "all landforms", "regional landform"}


def test_grids_are_numbered_in_reading_order():
    assert [grids([c]) for c in NINE_GRID] == [str(n) for n in range(1, 10)]
    assert REGIONS["upper left"] == "top-left"
    assert REGIONS["lower right"] == "bottom-right"


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_landforms_keep_all_ground(parts):
    shares = dict(zip(LANDCOVER.values(), parts, strict=True))
    total = landforms(shares)
    assert sum(total.values()) == pytest.approx(sum(parts))
    assert list(total.values()) == sorted(total.values(), reverse=True)


@given(st.integers(0, 10**6))
def test_every_answer_rests_on_facts_that_are_there(seed):
    facts = made_up(seed)
    known = {f.name: f.confidence for f in facts}
    asked = answers(facts)
    assert [a.kind for a in asked] == sorted((a.kind for a in asked), key=KINDS.index)
    assert len({a.question for a in asked}) >= len({a.kind for a in asked})
    for a in asked:
        assert a.answer
        assert set(a.facts) <= known.keys()
        assert a.confidence == min(known[n] for n in a.facts)


def test_regions_and_positions_of_a_corpus_agree_with_its_cells(described):
    """Positions, cells and regions come from different measurements of the same tile."""
    rows = described.table("questions").to_pylist()
    assert {r["kind"] for r in rows} >= {"main landform", "all landforms", "regional landform"}
    by_tile = {}
    for r in rows:
        by_tile.setdefault(r["tile_id"], {}).setdefault(r["kind"], []).append(r)
    for asked in by_tile.values():
        if "target recognition" not in asked:
            continue
        points = [r["question"].split("[")[1].rstrip("]?").split(", ") for r in asked["target recognition"]]
        cells = {str(min(int(float(y) * 3 / 100), 2) * 3 + min(int(float(x) * 3 / 100), 2) + 1) for x, y in points}
        answered = set(asked["target positioning"][0]["answer"].split(","))
        # what is not seen whole has a place and no type
        in_doubt = "target.doubt" in asked["count"][0]["facts"]
        assert cells <= answered if in_doubt else cells == answered
        number = int(asked["count"][0]["answer"])
        assert len(points) <= number if in_doubt else len(points) == number
