import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes_review import data_of, marks_of
from knowlip.core.errors import ConfigError
from knowlip.corpus.merge import merge
from knowlip.corpus.store import open_corpus
from knowlip.hcot.review.accuracy import evaluate
from knowlip.hcot.review.marks import MARK_SCHEMA, keep_marks, merged_marks, read_marks
from knowlip.hcot.review.page import page
from knowlip.hcot.review.sample import SampleSpec


@pytest.fixture
def data(described):
    return data_of(page(described, SampleSpec("all", tiles=4))[0])


@pytest.fixture
def write(tmp_path):
    def to(value, name="marks.json"):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return to


def take(corpus, *paths):
    rows = merged_marks(corpus, paths)
    keep_marks(corpus, rows)
    return rows


def half(said, slot):
    return ("right", "wrong", "unclear")[(len(said["id"]) + slot["start"]) % 3]


def test_marks_come_back_as_rows_and_as_facts(described, data, write):
    before = described.table("facts")
    file = marks_of(data, "Ada Lovelace", half)
    take(described, write(file))
    rows = described.table("marks")
    assert rows.schema.equals(MARK_SCHEMA)
    wanted = {(m["statement_id"], m["slot"], m["start"], m["end"], m["verdict"]) for m in file["marks"]}
    assert {(r["statement_id"], r["slot"], r["start"], r["end"], r["verdict"]) for r in rows.to_pylist()} == wanted
    facts = described.table("facts").to_pylist()
    assert facts[: len(before)] == before.to_pylist()
    own = facts[len(before) :]
    assert {f["source"] for f in own} == {"reviewer:Ada Lovelace"}
    names = {r["statement_id"]: f"review.{r['schema']}.{r['dimension']}" for r in rows.to_pylist()}
    told = {
        (m["statement_id"].partition("/")[0], f"{names[m['statement_id']]}.{m['slot']}", m["verdict"] == "right")
        for m in file["marks"]
        if m["verdict"] != "unclear"
    }
    assert {(f["tile_id"], f["name"], json.loads(f["value"])) for f in own} == told


def test_the_same_marks_twice_change_nothing_and_later_ones_replace_earlier(described, data, write):
    first = marks_of(data, "Ada", lambda said, slot: "wrong")
    rows = take(described, write(first))
    tables = [described.folder.read_bytes(f"{n}.parquet") for n in ("marks", "facts")]
    assert take(described, write(first), write(first)) == rows
    assert [described.folder.read_bytes(f"{n}.parquet") for n in ("marks", "facts")] == tables
    first["marks"] = [m | {"verdict": "right", "time": "2026-03-02T12:00:00+01:00"} for m in first["marks"][:1]]
    after = take(described, write(first))
    assert len(after) == len(rows)
    assert sum(r["verdict"] == "right" for r in after) == 1


def test_reviewers_stand_beside_each_other(described, data, write):
    paths = [write(marks_of(data, name, half), name) for name in ("Ada", "Bo")]
    found = evaluate(described, take(described, *paths))
    assert found.marks == 2 * sum(len(s["slots"]) for t in data["tiles"] for s in t["statements"])
    (agreed,) = found.agreement
    assert (agreed.reviewers, agreed.agree, agreed.kappa) == (("Ada", "Bo"), 1, 1)


def test_a_merged_corpus_keeps_the_marks(described, data, write, tmp_path):
    rows = take(described, write(marks_of(data, "Ada", half)))
    merged = merge([described], str(tmp_path / "merged"))
    assert merged.table("marks").to_pylist() == rows
    assert evaluate(merged, merged.table("marks").to_pylist()).accuracy == evaluate(described, rows).accuracy


CHANGES = {
    "of another corpus": (("fingerprint",), "0" * 64, "marks another corpus"),
    "of another statement": (("marks", 0, "statement_id"), "nowhere/landform/water", "does not have"),
    "of a round to come": (("marks", 0, "round"), 7, "of round 7, which the corpus does not have"),
    "at another place": (("marks", 0, "start"), 1000, "does not have there"),
    "with another end": (("marks", 0, "end"), 1000, "does not have there"),
    "of another value": (("marks", 0, "value"), "purple", "does not have there"),
    "of another slot": (("marks", 0, "slot"), "purple", "does not have there"),
    "with another verdict": (("marks", 0, "verdict"), "perhaps", "marks.0.verdict"),
    "without time zone": (("marks", 0, "time"), "2026-03-01T12:00:00", "marks.0.time"),
    "before the calendar": (("marks", 0, "time"), "0001-01-01T00:00:00+10:00", "outside the calendar"),
    "of nobody": (("reviewer",), "  ", "reviewer"),
    "of a name with a bell": (("reviewer",), "A\ada", "cannot be printed"),
    "of a newer version": (("version",), 2, "version"),
    "of something else": (("format",), "geojson", "format"),
    "with more than marks": (("also",), 1, "also"),
    "with numbers as words": (("marks", 0, "start"), "0", "marks.0.start"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_marks_that_do_not_fit_are_refused_in_one_line_and_nothing_is_written(described, data, write, change):
    (*where, last), value, said = CHANGES[change]
    file = marks_of(data, "Ada", half)
    at = file
    for key in where:
        at = at[key]
    at[last] = value
    good = write(marks_of(data, "Bo", half), "good.json")
    with pytest.raises(ConfigError, match=said) as refused:
        merged_marks(described, [good, write(file)])
    assert "\n" not in str(refused.value)
    assert not described.folder.exists("marks.parquet")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_marks(tmp_path / "none.json")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MARK = {
    "statement_id": "t/landform/water",
    "round": 0,
    "slot": "kind",
    "start": 0,
    "end": 1,
    "value": "x",
    "verdict": "right",
    "time": "2026-03-01T12:00:00Z",
}
FILE = {"format": "knowlip-marks", "version": 1, "corpus": "c", "fingerprint": "f", "reviewer": "Ada", "marks": [MARK]}


def read_or_refusal(path):
    try:
        return read_marks(path)
    except ConfigError as error:
        return str(error)


@given(st.dictionaries(st.sampled_from([*FILE]), VALUES, max_size=2), st.dictionaries(st.sampled_from([*MARK]), VALUES))
def test_any_json_is_either_marks_or_one_line(tmp_path, outer, inner):
    path = tmp_path / "any.json"
    path.write_text(json.dumps({**FILE, "marks": [MARK | inner], **outer}))
    found = read_or_refusal(path)
    assert "\n" not in found if isinstance(found, str) else found.reviewer.strip()


@given(st.binary(max_size=40) | st.integers(0, 400).map(lambda n: json.dumps(FILE).encode()[:n]) | st.just(b"[" * 9999))
def test_any_bytes_are_either_marks_or_one_line(tmp_path, data):
    path = tmp_path / "any.json"
    path.write_bytes(data)
    found = read_or_refusal(path)
    assert "\n" not in found if isinstance(found, str) else data == json.dumps(FILE).encode()


def test_marks_of_an_earlier_round_are_told_apart(trained, write):
    _, corpus, _ = trained
    changed = [r["statement_id"] for r in corpus.changes(1).to_pylist()]
    data = data_of(page(corpus, SampleSpec("train", tiles=2000, round=0))[0])
    rows = take(corpus, write(marks_of(data, "Ada", half)))
    assert {r["round"] for r in rows} == {0}
    replaced = len([r for r in rows if r["statement_id"] in changed])
    assert replaced > 0
    assert evaluate(corpus, rows, 0).other_rounds == 0
    assert evaluate(open_corpus(corpus.folder.path()), rows).other_rounds == replaced
