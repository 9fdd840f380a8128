import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

import knowlip.training.capfilt as capfilt_module
from knowlip.model.bert import BertConfig
from knowlip.model.knowlip import KnowLIP, KnowLIPConfig
from knowlip.model.tokenizer import Tokenizer
from knowlip.model.vit import ViTConfig
from knowlip.scio.loop import pretrain
from knowlip.training.capfilt import capfilt
from knowlip.training.config import load_config
from knowlip.training.data import Batch
from knowlip.training.objectives import Moment
from knowlip.training.objectives.blip import Blip
from pipeline_fixtures import TINY

TEXTS = {
    "a": "A river crosses the lower left.",
    "b": "Hills rise steeply in the north.",
    "c": "Open water without any ships.",
    "d": "A dense town of 12 blocks.",
}


class Noise:
    """Four tiles of which each is another noise."""

    def __call__(self, tile_ids):
        pixels = [np.random.default_rng(ord(t)).standard_normal((1, 32, 32)).astype(np.float32) for t in tile_ids]
        return np.stack(pixels), np.zeros((len(tile_ids), 1), np.int64)

    def geo(self, tile_ids):
        return None


def row(tile_id, text):
    return {"statement_id": f"{tile_id}/{text}", "tile_id": tile_id, "text": text, "schema": "landform", "slots": []}


@pytest.fixture(scope="module")
def overfit():
    """BLIP that knows four tiles and their texts by heart."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = Tokenizer.train([*TEXTS.values()] * 2, 1200)
    vit = ViTConfig(32, 16, 32, 2, 2, polarisations=("VV",))
    bert = BertConfig(tokenizer.vocab_size, 32, 2, 2, max_length=32, image_width=32)
    model = KnowLIP(KnowLIPConfig(vit, bert, 16))
    objective = Blip(model, load_config(None, ["objective=blip", "loss.contrast_first=0"]), tokenizer.mask_id)
    pixels, channels = (torch.from_numpy(v) for v in Noise()(list(TEXTS)))
    encoded = tokenizer.encode(list(TEXTS.values()), 32)
    batch = Batch(pixels, channels, encoded.ids, encoded.mask, torch.full_like(encoded.ids, -1))
    optimizer = torch.optim.AdamW(objective.parameters(), 3e-3)
    for step in range(120):
        optimizer.zero_grad()
        objective(batch, Moment(step, 120, torch.Generator().manual_seed(step)))["total"].backward()
        optimizer.step()
    return objective, tokenizer


def test_matching_texts_stay_and_mismatching_ones_go(overfit):
    objective, tokenizer = overfit
    right = [row(t, text) for t, text in TEXTS.items()]
    wrong = [row(t, text) for t, text in zip(TEXTS, [*TEXTS.values()][1:], strict=False)]
    found = capfilt(objective, objective.model, tokenizer, Noise(), right + wrong, 32)
    assert sorted(r["statement_id"] for r in found.kept) == sorted(r["statement_id"] for r in right)
    assert sorted(r["statement_id"] for r in found.dropped) == sorted(r["statement_id"] for r in wrong)
    for gone in found.dropped:
        assert gone["status"] == "dropped"
        assert json.loads(gone["scores"])["itm"] <= 0
    assert all(r in right for r in found.kept)


def test_captions_are_written_from_the_image_and_filtered_too(overfit):
    objective, tokenizer = overfit
    # whatever the tiles are said to be
    rows = [row(t, "Open water without any ships.") for t in TEXTS]
    found = capfilt(objective, objective.model, tokenizer, Noise(), rows, 32)
    # what is drawn from a nucleus may be any word now and then
    told = {r["tile_id"]: r["text"] for r in found.written}
    assert len(told) >= 3
    assert all(text == TEXTS[t].lower() for t, text in told.items())
    assert len(found.written) + len(found.refused) == 4
    again = capfilt(objective, objective.model, tokenizer, Noise(), rows, 32)
    assert again == found


CONFIG = (*TINY, "objective=blip+capfilt", "loss.contrast_first=0")


def test_a_filter_that_leaves_next_to_nothing_is_not_obeyed(described, tmp_path):
    # ten steps are too few for a head that sees two wrong pairs for each right one
    done = pretrain(described, load_config(None, CONFIG), tmp_path / "model")
    record = json.loads((tmp_path / "model/capfilt.json").read_text())
    train = described.tile_ids("train")
    assert done.steps == 10
    assert not record["obeyed"]
    assert record["kept"] + record["dropped"] == described.statements(0, train).num_rows
    assert record["written"] + record["refused"] <= len(train)


def test_run_learns_on_from_what_is_left_and_resumes(described, tmp_path, monkeypatch):
    def even_ones(model, tokenizer, tokens, where, texts):
        return torch.tensor([1.0 - 2.0 * (len(text) % 2) for text in texts])

    seen = []

    class Told(capfilt_module.PretrainData):
        def __init__(self, source, texts, *others):
            super().__init__(source, texts, *others)
            seen.append({s.statement_id for sentences in texts.values() for s in sentences})

    monkeypatch.setattr(capfilt_module, "matching", even_ones)
    monkeypatch.setattr("knowlip.training.loop.PretrainData", Told)
    config, whole, stopped = load_config(None, CONFIG), tmp_path / "whole", tmp_path / "stopped"
    pretrain(described, config, whole)
    record = json.loads((whole / "capfilt.json").read_text())
    changed = pq.read_table(whole / "capfilt.parquet").to_pylist()
    said = {r["statement_id"]: r["text"] for r in described.statements(0, described.tile_ids("train")).to_pylist()}
    written = {r["statement_id"] for r in changed if r["status"] == "original"}
    assert record["obeyed"]
    assert len(written) == record["written"] > 0
    assert seen[0] == said.keys()
    assert seen[1] == {i for i, text in said.items() if len(text) % 2 == 0} | written
    # a control keeps its texts to itself
    assert described.rounds() == [0]

    def stop_after_nine(step, total, losses):
        if step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(described, config, stopped, stop_after_nine)
    # what was chosen is read again, and not chosen again
    monkeypatch.setattr(capfilt_module, "matching", None)
    pretrain(described, config, stopped)
    one, other = (load_file(f / "model.safetensors") for f in (whole, stopped))
    assert all(np.array_equal(one[k], other[k]) for k in one)
