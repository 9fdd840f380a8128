import json

import numpy as np
import pytest
import torch

from knowlip.model.embedder import load_embedder
from knowlip.scio.rebuild import _replace
from knowlip.scio.screen import _fill_scores, screen, slot_values, with_value
from knowlip.training.data import TileSource


def source_of(corpus, embedder):
    return TileSource(corpus, embedder.processor, embedder.model.config.vit.polarisations)


def test_round_log_and_corpus_agree(trained):
    result, corpus, model = trained
    assert corpus.rounds() == [0, 1]
    changed = corpus.changes(1).to_pylist()
    assert result.scio.rebuilt + result.scio.masked == len(changed)
    assert result.scio.screened >= len(changed)
    assert result.scio.screened <= result.scio.slots
    assert json.loads((model / "scio.json").read_text()) == vars(result.scio)


def test_only_training_statements_are_changed(trained):
    _, corpus, _ = trained
    train = set(corpus.tile_ids("train"))
    assert {r["tile_id"] for r in corpus.changes(1).to_pylist()} <= train


def test_every_change_says_what_it_was_and_why(trained):
    _, corpus, _ = trained
    original = {r["statement_id"]: r for r in corpus.statements(0).to_pylist()}
    changed = corpus.changes(1).to_pylist()
    assert changed
    for row in changed:
        assert row["previous"] == original[row["statement_id"]]["text"]
        assert row["status"] in ("rebuilt", "masked")
        assert row["reason"]
        assert set(json.loads(row["scores"])) <= {s["name"] for s in row["slots"]}
        assert bool(row["masked_slots"]) == (row["status"] == "masked")
        if row["status"] == "rebuilt":
            assert row["text"] != row["previous"]
        for slot in row["slots"]:
            assert row["text"][slot["start"] : slot["end"]] == slot["value"]


def test_later_round_replaces_and_keeps_the_rest(trained):
    _, corpus, _ = trained
    before, after = corpus.statements(0), corpus.statements(1)
    assert after.num_rows == before.num_rows
    changed = {r["statement_id"]: r for r in corpus.changes(1).to_pylist()}
    original = {r["statement_id"]: r for r in before.to_pylist()}
    for row in after.to_pylist():
        assert row == changed.get(row["statement_id"], original[row["statement_id"]])


def test_screening_scores_are_masked_log_likelihoods(trained):
    """Against a plain computation of one slot, candidate by candidate."""
    _, corpus, folder = trained
    e = load_embedder(folder)
    row = next(r for r in corpus.statements(0).to_pylist() if r["dimension"] == "terrain")
    pixels, channels = source_of(corpus, e)([row["tile_id"]])
    options = [row["slots"][0]["value"].lower(), "open water", "coastal"]
    with torch.inference_mode():
        tokens, _ = e.model.encode_image(torch.from_numpy(pixels), torch.from_numpy(channels))
        (scores,) = _fill_scores(e.model, e.tokenizer, tokens, [(row, 0, options)])
        for option, score in zip(options, scores, strict=True):
            plain = e.tokenizer.encode([option], 16)
            pieces = plain.ids[0, 1 : int(plain.mask.sum()) - 1]
            text = e.tokenizer.encode([with_value(row, 0, " ".join(["[MASK]"] * len(pieces)))], 96)
            hidden = e.model.fuse(text.ids, text.mask, tokens)[0][text.ids[0] == e.tokenizer.mask_id]
            likelihood = torch.log_softmax(e.model.mlm_logits(hidden), -1)[torch.arange(len(pieces)), pieces].mean()
            assert score == pytest.approx(float(likelihood), abs=1e-4)


def test_larger_margin_screens_fewer(trained):
    _, corpus, folder = trained
    e = load_embedder(folder)
    rows = corpus.statements(0, corpus.tile_ids("train")[:4]).to_pylist()
    counts = [len(screen(e.model, e.tokenizer, source_of(corpus, e), rows, m)[0]) for m in (0.1, 1.0, 100.0)]
    assert counts[0] >= counts[1] >= counts[2] == 0
    assert counts[0] > 0


def test_values_come_from_the_same_slot_of_sentences_of_the_same_build(described):
    rows = described.statements(0).to_pylist()
    values = slot_values(rows)

    def of(*kind):
        return {v for key, found in values.items() if key[:3] == kind for v in found}

    assert of("landform", "terrain", "kind") <= {
        "plain", "hilly", "mountainous", "coastal", "open water", "river plain",
    }  # fmt: skip
    assert all(v.isdigit() for v in of("landform", "distribution", "share"))
    # "no buildings" is a whole sentence; where one tells which part is built-up, "no" is nonsense
    placed = [
        found for key, found in values.items() if key[:3] == ("landform", "buildings", "density") and len(key[3]) > 1
    ]
    assert placed
    assert not any("no" in found for found in placed)


@pytest.mark.parametrize("value", ["lake", "inland sea", "x"])
def test_replacing_a_value_moves_the_slots_behind_it(value):
    text = "A river covers about 30 percent, in the upper left."
    spans = [("kind", "river"), ("share", "30"), ("where", "the upper left")]
    slots = [
        {"name": n, "kind": "class", "value": v, "start": text.index(v), "end": text.index(v) + len(v)}
        for n, v in spans
    ]
    row = {"text": text, "slots": slots}
    _replace(row, 0, value)
    assert row["text"] == text.replace("river", value)
    for slot in row["slots"]:
        assert row["text"][slot["start"] : slot["end"]] == slot["value"]
    assert np.all(np.diff([s["start"] for s in row["slots"]]) > 0)
