"""Every phrase of every dimension, filled with all that the facts can give."""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import made_up

from knowlip.core.statements import DIMENSIONS, Fact
from knowlip.hcot.phrasing import HEDGE_BELOW, HEDGES, Agree, Value, _walk, joined, parse, phrasebook, say
from knowlip.hcot.prose import _values, captions, description
from knowlip.hcot.sentences import MISSING, contents, missing, statements
from knowlip.hcot.surface import caption_rows, question_rows, surface
from knowlip.hcot.view import Facts
from knowlip.hcot.words import article, metres, percent

SEEDS = range(600)
AN = {"airport", "industrial", "open", "irregular", "obvious", "evident", "analyst", "airliner", "exact"}
A = set(
    """planner single line constant small little minor few calm smooth dark median larger hull radar sar port harbour
    dense residential commercial military parkland quarry farmland woodland transport mixed coastal mountainous hilly
    river plain uniform linear grid-like patchy lake pond cargo coaster large helicopter village town city
    metropolis whole narrow minimum pixel ground""".split()  # noqa: SIM905
)
SINGULAR = "lies|is|was|stands|appears|shows|holds|contains|floats|rests|covers|fills|marks|crosses|occupies|takes"
PLURAL = "lie|are|were|stand|appear|show|hold|contain|float|rest|cover|fill|mark|indicate|cross|run|occupy|take"


@pytest.fixture(scope="module")
def tiles():
    return [made_up(seed, complete=True) for seed in SEEDS]


def grammatical(text):
    assert re.fullmatch(r"[A-Z0-9].*\.", text), text
    assert not re.search(r"[\[\]{}<>|~/]|\s\s|\s[,.;:]|,,|\.\.|\bNone\b", text), text
    for a, word in re.findall(r"\b(a|an) ([\w-]+)", text, re.IGNORECASE):
        assert word.lower() in (AN if a.lower() == "an" else A), f"'{a} {word}' in '{text}'"
    text = re.sub(r"largest of \w+ ships", "largest", text)
    assert not re.search(rf"\b(ships|[Tt]hey|traces|roads) ({SINGULAR})\b", text), text
    assert not re.search(rf"\b([Ii]t|[Oo]ne ship|trace|[Tt]he ship) ({PLURAL})\b", text), text
    assert not re.search(r"\b[Oo]ne (ships|traces)\b|\b(two|several) (ship|trace)\b|\bno land \w+ (are|lie)\b", text), (
        text
    )
    assert not re.search(r"\b(\w+) \1\b", text, re.IGNORECASE), text


def spans_hold(said):
    for slot in said.slots:
        assert said.text[slot.start : slot.end] == slot.value
    assert [s.start for s in said.slots] == sorted(s.start for s in said.slots)


CASES = [
    (schema, dimension, case)
    for schema in DIMENSIONS
    for dimension in DIMENSIONS[schema]
    for case in phrasebook(schema)[dimension]
]


@pytest.mark.parametrize(("schema", "dimension", "case"), CASES)
def test_every_phrase_of_every_dimension_is_english_and_hedges_only_when_told(tiles, schema, dimension, case):
    told = [t for f in tiles if not isinstance(t := contents(f)[schema, dimension], str) and t.case == case]
    assert told
    phrases = phrasebook(schema)[dimension][case]
    assert any(p.hedges for p in phrases)
    for phrase in phrases:
        used = 0
        for k, content in enumerate(told[:60]):
            facts = {f for v in content.values.values() for f in v.facts} | set(content.rests_on)
            for sure in (0.9, HEDGE_BELOW - 0.01):
                confidence = dict.fromkeys(facts, sure)
                said = say([phrase], str(k), content.values, confidence, content.plural, content.rests_on)
                if said is None:
                    continue
                used += 1
                grammatical(said.text)
                spans_hold(said)
                assert said.slots
                assert set(said.facts) <= facts
                assert bool(HEDGES.search(said.text)) == (sure < HEDGE_BELOW), said.text
        assert used, phrase.source


@pytest.mark.parametrize("name", ["description", "caption"])
def test_every_phrase_of_longer_texts_is_english_and_hedges_only_when_told(tiles, name):
    values = [_values(f) for f in tiles]
    for steps in phrasebook(name).values():
        assert any(p.hedges for phrases in steps for p in phrases) or name == "description"
        for phrase in (p for phrases in steps for p in phrases):
            # the subject of a longer text's sentence is always named
            assert all(p.subject for p in _walk(phrase.parts) if isinstance(p, Agree)), phrase.source
            used = [v for v in values if phrase.slots <= v.keys()][:40]
            assert used, phrase.source
            for k, known in enumerate(used):
                for sure in (0.9, 0.1):
                    said = say(
                        [phrase], str(k), known, dict.fromkeys((f for v in known.values() for f in v.facts), sure)
                    )
                    if said is not None:
                        grammatical(said.text)
                        spans_hold(said)
                        assert bool(HEDGES.search(said.text)) == (sure < HEDGE_BELOW), said.text


@pytest.mark.parametrize("schema", DIMENSIONS)
def test_phrase_files_have_the_schema_s_dimensions(schema):
    assert set(phrasebook(schema)) == set(DIMENSIONS[schema])


@given(st.integers(0, 10**6))
def test_whatever_is_known_is_said_and_nothing_else(seed):
    facts = made_up(seed)
    confidence = {f.name: f.confidence for f in facts}
    said = statements(f"t{seed}", facts)
    for s in said:
        grammatical(s.text)
        spans_hold(s)
        assert s.slots
        assert set(s.facts) <= confidence.keys()
        assert s.confidence == min(confidence[n] for n in s.facts)
        assert bool(HEDGES.search(s.text)) == (s.confidence < HEDGE_BELOW)
    written = [f"{s.schema}/{s.dimension}" for s in said]
    every = [f"{a}/{d}" for a in DIMENSIONS for d in DIMENSIONS[a]]
    assert written == [d for d in every if d in written]
    left_out = missing(facts)
    listed = [reason.split(": ")[0] for reason in (left_out.value if left_out else [])]
    whole = {f"{schema}/{d}" for schema in listed if "/" not in schema for d in DIMENSIONS[schema]}
    assert whole | {x for x in listed if "/" in x} == set(every) - set(written)


@given(st.integers(0, 10**6))
def test_one_description_and_five_different_captions(seed):
    facts = made_up(seed, complete=True)
    whole, five = description(f"t{seed}", facts), captions(f"t{seed}", facts)
    assert whole is not None
    assert 40 <= len(whole.text.split()) <= 160
    assert len(five) == len({c.text for c in five}) == (5 if "target.count" in facts else 0)
    for said in (whole, *five):
        spans_hold(said)
        assert set(said.facts) <= {f.name for f in facts}
        for sentence in re.split(r"(?<=\.) (?=[A-Z0-9])", said.text):
            grammatical(sentence)


def test_same_tile_same_words_and_other_tiles_other_words():
    facts = made_up(1, complete=True)
    again = Facts(reversed(list(facts)))  # whatever order they were found in
    assert all(surface("a", facts)[k] == surface("a", again)[k] for k in ("statements", "description", "answers"))
    assert len({statements(f"tile {k}", facts)[0].text for k in range(40)}) > 5


def test_surface_is_plain_json_and_says_what_is_left_out():
    said = surface("t", made_up(3))
    assert json.loads(json.dumps(said)) == json.loads(json.dumps(said, default=list))
    assert set(said) == {"facts", "statements", "description", "captions", "answers"}
    assert MISSING in {f["name"] for f in said["facts"]}


def test_nothing_known_nothing_said():
    said = surface("t", Facts())
    assert (said["statements"], said["description"], said["captions"], said["answers"]) == ([], None, [], [])
    (unsaid,) = said["facts"]
    assert unsaid["value"][0] == "target: no target was detected"
    assert len(unsaid["value"]) == 9


def test_corpus_has_the_same_words_as_a_tile_alone(described):
    facts = {}
    for r in described.table("facts").to_pylist():
        r.pop("number")
        facts.setdefault(r.pop("tile_id"), []).append(Fact(**r | {"value": json.loads(r["value"])}))
    of_captions, of_questions = (described.table(n).to_pylist() for n in ("captions", "questions"))
    assert {r["tile_id"] for r in of_captions if r["kind"] == "description"} == set(described.tile_ids())
    assert {r["tile_id"] for r in of_questions} == set(described.tile_ids())
    for tile_id in described.tile_ids():
        known = Facts(facts[tile_id])
        assert [r for r in of_captions if r["tile_id"] == tile_id] == caption_rows(tile_id, known)
        assert [r for r in of_questions if r["tile_id"] == tile_id] == question_rows(tile_id, known)
        unsaid = known[MISSING].value if MISSING in known else []
        assert all(": " in reason for reason in unsaid)


@pytest.mark.parametrize(
    ("source", "key_values", "text"),
    [
        ("{x} lies here", {"x": "water"}, "Water lies here"),
        ("we see {a x}", {"x": "open field"}, "We see an open field"),
        ("[one|one] {x} is/are", {"x": "ship"}, "One ship is"),
        ("x:goes/go {x}", {"x": "two ships"}, "Go two ships"),
        ("<is~may be> {x}", {"x": "y"}, "Is y"),
    ],
)
def test_phrases_fill_as_they_are_written(source, key_values, text):
    values = {n: Value("class", v, ("f",), v.endswith("s")) for n, v in key_values.items()}
    assert say([parse(source)], "k", values, {"f": 0.9}).text == text


@pytest.mark.parametrize("source", ["[a {x}|b]", "[a|b", "a|b", "a]", "<a>", "<a~b~c>", "<a~b", "x > y"])
def test_phrase_with_a_stray_bracket_is_refused(source):
    with pytest.raises(ValueError, match="phrase"):
        parse(source)


def test_phrase_without_a_known_slot_or_a_needed_hedge_is_not_said():
    value = {"x": Value("class", "y", ("f",))}
    assert say([parse("{z}")], "k", value, {"f": 0.9}) is None
    assert say([parse("{x}")], "k", value, {"f": 0.1}) is None
    assert say([parse("{x}"), parse("<~perhaps >{x}")], "k", value, {"f": 0.1}).text == "Perhaps y"


def test_spans_survive_joining():
    parts = [say([parse("it is {x}.")], "k", {"x": Value("class", w, ("f",))}, {"f": 0.9}) for w in ("red", "blue")]
    both = joined(parts)
    assert both.text == "It is red. It is blue."
    assert [both.text[s.start : s.end] for s in both.slots] == ["red", "blue"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [("uniform", "a"), ("open water", "an"), ("8 metres", "an"), ("80", "an"), ("11", "an"), ("18", "an"), ("1", "a"),
     ("one", "a"), ("hilly", "a"), ("European", "a"), ("sea", "the"), ("110", "a")],
)  # fmt: skip
def test_article_goes_by_sound(words, expected):
    assert article(words) == expected


def test_shares_and_lengths_are_rounded_to_what_can_be_measured():
    assert [percent(s) for s in (0.001, 0.07, 0.13, 0.22, 0.96)] == ["5", "5", "15", "20", "100"]
    assert [metres(m) for m in (2, 14, 156)] == ["10", "10", "160"]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("words", Path(__file__).parents[2] / "benchmarks" / "words.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lexical_diversity_of_texts_whose_factors_can_be_counted(benchmark):
    assert benchmark.mtld(["same"] * 100) == 2  # the ratio falls to 1/2 at every second word
    assert benchmark.mtld(["one", "other"] * 60) == 3  # to 2/3 at every third
    assert benchmark.mtld([str(k) for k in range(50)]) == 50  # never: no factor ends
    # 10 words with one repeated: ratio 0.9, which is 0.1 / 0.28 of a factor
    assert benchmark.mtld([*"abcdefghi", "a"]) == pytest.approx(10 / (0.1 / 0.28))
