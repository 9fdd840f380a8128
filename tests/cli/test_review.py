import json

from fakes_review import data_of, marks_of


def test_a_page_is_written_and_its_marks_come_back_as_a_table(described, tmp_path, knowlip):
    corpus, out = described.folder.path(), tmp_path / "page" / "review.html"
    made = json.loads(knowlip("review", corpus, "--split", "all", "--tiles", 6, "--out", out, "--json").out)
    data = data_of(out.read_text())
    assert made["tiles"] == len(data["tiles"])
    marks = tmp_path / "marks.json"
    marks.write_text(json.dumps(marks_of(data, "Ada", lambda said, slot: "right")))
    found = json.loads(knowlip("review", corpus, "--marks", marks, "--json").out)
    assert found["marks"] == made["slots"]
    whole = [line for line in found["accuracy"] if line["dimension"] is None]
    assert sum(line["slots"]["judged"] for line in whole) == made["slots"]
    assert sum(line["statements"]["right"] for line in whole) == made["statements"]
    said = knowlip("review", corpus, "--marks", marks).out
    assert "landforms 84%" in said
    assert f"{made['slots']} marks in the corpus" in said


def test_what_cannot_be_reviewed_is_refused_in_one_line(described, tmp_path, knowlip):
    corpus = described.folder.path()
    assert "has no tiles" in knowlip("review", corpus, "--split", "none", "--out", tmp_path / "r.html").refusal
    assert "has no round 5" in knowlip("review", corpus, "--round", 5, "--out", tmp_path / "r.html").refusal
    assert not (tmp_path / "r.html").exists()
    assert "is a folder" in knowlip("review", corpus, "--out", f"{tmp_path}/").refusal
    marks = tmp_path / "marks.json"
    marks.write_text("{}")
    assert "is not a file of marks" in knowlip("review", corpus, "--marks", marks).refusal
