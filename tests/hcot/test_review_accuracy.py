import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowlip.core.statements import DIMENSIONS
from knowlip.hcot.review.accuracy import PUBLISHED, accuracy, agreement, consensus, share


@pytest.mark.parametrize(
    ("right", "judged", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_that_newcombe_published(right, judged, low, high):
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    found = share(right, judged)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_nothing_judged_has_no_share():
    assert share(0, 0).accuracy is None
    assert share(0, 0).low is None


def test_published_accuracies_have_the_means_of_the_paper():
    # the paper's own means, in percent, to whole numbers
    means = {kind: np.mean(list(f.values())) for figures in PUBLISHED.values() for kind, f in figures.items()}
    assert means == pytest.approx({"aircraft": 0.74, "ships": 0.82, "landforms": 0.84}, abs=0.006)
    assert all(set(f) == set(DIMENSIONS[schema]) for schema, figures in PUBLISHED.items() for f in figures.values())


def mark(verdict, reviewer="ada", start=0, statement="t/landform/water"):
    schema, dimension = statement.split("/")[1:]
    return {
        "statement_id": statement,
        "schema": schema,
        "dimension": dimension,
        "round": 0,
        "start": start,
        "verdict": verdict,
        "reviewer": reviewer,
    }


def test_a_statement_is_right_when_all_its_slots_are_and_open_while_one_is():
    slots = {f"{t}/landform/water": [0, 10] for t in "abcd"}
    marks = [
        *(mark("right", statement="a/landform/water", start=s) for s in (0, 10)),
        *(mark(v, statement="b/landform/water", start=s) for v, s in (("right", 0), ("wrong", 10))),
        *(mark(v, statement="c/landform/water", start=s) for v, s in (("right", 0), ("unclear", 10))),
        mark("right", statement="d/landform/water"),
    ]
    water, whole = accuracy(marks, slots)
    assert (water.dimension, whole.dimension) == ("water", None)
    assert (water.slots.right, water.slots.judged, water.unclear) == (5, 6, 1)
    assert (water.statements.right, water.statements.judged) == (1, 2)
    assert water.published == {"landforms": 0.90}


def test_several_reviewers_count_a_slot_once_and_a_tie_is_open():
    assert consensus(["right", "right", "wrong"]) == "right"
    assert consensus(["right", "wrong"]) == "unclear"
    assert consensus(["unclear", "wrong"]) == "wrong"
    assert consensus([]) is None
    (line, _) = accuracy([mark("wrong", r) for r in "abc"], {"t/landform/water": [0]})
    assert line.slots.judged == 1


def test_kappa_is_the_textbooks():
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 0.7, by chance 0.5, kappa 0.4
    pairs = [("right", "right")] * 20 + [("right", "wrong")] * 5 + [("wrong", "right")] * 10 + [("wrong", "wrong")] * 15
    marks = [mark(v, r, start=i) for i, both in enumerate(pairs) for r, v in zip("ab", both, strict=True)]
    (found,) = agreement([*marks, mark("right", "a", start=999)])
    assert (found.reviewers, found.slots) == (("a", "b"), 50)
    assert (found.agree, found.kappa) == (pytest.approx(0.7), pytest.approx(0.4))


def test_kappa_of_one_verdict_throughout_is_not_defined():
    (found,) = agreement([mark("right", r, start=i) for r in "ab" for i in range(5)])
    assert (found.agree, found.kappa) == (1, None)
    assert agreement([mark("right", "a"), mark("right", "b", start=5)]) == []


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.sampled_from(["right", "wrong", "unclear"]))))
def test_every_marked_slot_is_judged_or_open(given_marks):
    marks = [mark(v, r, start=s) for (r, s), v in {(r, s): v for r, s, v in given_marks}.items()]
    lines = accuracy(marks, {"t/landform/water": range(6)})
    assert [x.slots.judged + x.unclear for x in lines] == [len({m["start"] for m in marks})] * len(lines)
    assert all(x.slots.accuracy is None or x.slots.low <= x.slots.accuracy <= x.slots.high for x in lines)
