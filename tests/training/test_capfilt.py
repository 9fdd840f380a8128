import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

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


def test_run_learns_on_from_what_is_left_and_resumes(described, tmp_path):
    config = load_config(None, [*TINY, "objective=blip+capfilt", "loss.contrast_first=0"])
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    done = pretrain(described, config, whole)
    assert done.steps == 10
    record = json.loads((whole / "capfilt.json").read_text())
    statements = described.statements(0, described.tile_ids("train")).num_rows
    assert record["kept"] + record["dropped"] == statements
    assert record["written"] + record["refused"] <= len(described.tile_ids("train"))
    assert described.rounds() == [0]

    def stop_after_nine(step, total, losses):
        if step == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(described, config, stopped, stop_after_nine)
    pretrain(described, config, stopped)
    one, other = (load_file(f / "model.safetensors") for f in (whole, stopped))
    assert all(np.array_equal(one[k], other[k]) for k in one)
