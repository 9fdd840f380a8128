from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowlip.core.errors import ConfigError, CorpusError
from knowlip.corpus.store import STATEMENT_SCHEMA
from knowlip.hcot.review.sample import SampleSpec, draw, judged_slots, systematic


@given(st.integers(1, 200), st.data(), st.integers(0, 9))
def test_a_systematic_sample_has_its_size_no_item_twice_and_even_steps(n, data, seed):
    size = data.draw(st.integers(0, n))
    items = [f"{i:03}" for i in range(n)]
    found = systematic(items, size, np.random.default_rng(seed))
    assert len(set(found)) == size
    gaps = np.diff([int(i) for i in found])
    assert size < 2 or {int(g) for g in gaps} <= {n // size, n // size + 1}


def test_every_item_is_drawn_equally_often():
    drawn = Counter(i for seed in range(3000) for i in systematic([*"abcdefg"], 3, np.random.default_rng(seed)))
    assert np.array([drawn[i] for i in "abcdefg"]) / 3000 == pytest.approx(3 / 7, abs=0.04)


def test_a_sample_has_half_targets_where_there_are_as_many_and_scenes_by_their_share(described):
    spec = SampleSpec("all", tiles=24)
    found = draw(described, spec)
    schemas = Counter(s for rows in found.values() for s in {r["schema"] for r in rows})
    said = described.statements().to_pylist()
    stated = {s: {r["tile_id"] for r in said if r["schema"] == s} for s in ("target", "landform")}
    targets = min(12, len(stated["target"]))
    assert schemas == {"target": targets, "landform": 24 - targets}
    for rows in found.values():
        assert all(r["tile_id"] == rows[0]["tile_id"] for r in rows)
    # within one of its share, as far as even steps can keep it
    scene = described.tiles["knowlip:scene"]
    landforms = Counter(scene[t] for t, rows in found.items() if rows[-1]["schema"] == "landform")
    of_all = Counter(scene[t] for t in stated["landform"])
    for name, n in of_all.items():
        assert abs(landforms[name] - n * (24 - targets) / len(stated["landform"])) <= 1


def test_a_seed_fixes_the_sample_and_another_one_changes_it(described):
    spec = SampleSpec("all", tiles=10)
    assert draw(described, spec) == draw(described, spec)
    assert draw(described, spec) != draw(described, SampleSpec("all", tiles=10, seed=1))


def test_only_the_split_is_drawn_from_and_no_more_than_it_has(described):
    found = draw(described, SampleSpec("test", tiles=2000))
    assert set(found) <= set(described.tile_ids("test"))
    assert sum(any(r["schema"] == "landform" for r in rows) for rows in found.values()) == len(
        described.tile_ids("test")
    )


def test_a_split_without_tiles_and_a_corpus_without_statements_are_refused(described):
    with pytest.raises(ConfigError, match="has no tiles"):
        draw(described, SampleSpec("nowhere"))
    described.folder.write_table("statements/round=00/statements.parquet", pa.Table.from_pylist([], STATEMENT_SCHEMA))
    with pytest.raises(CorpusError, match="has no statements"):
        draw(described, SampleSpec())


def test_a_masked_slot_claims_nothing():
    slots = [{"name": n} for n in ("count", "noun", "be")]
    assert [s["name"] for s in judged_slots({"slots": slots, "masked_slots": ["noun"]})] == ["count"]


def test_every_round_is_judged_on_the_same_tiles(trained):
    _, corpus, _ = trained
    before, after = (draw(corpus, SampleSpec("train", tiles=10, round=r)) for r in (0, 1))
    assert before.keys() == after.keys()
    assert {r["round"] for rows in after.values() for r in rows} == {0, 1}
