import numpy as np
import pytest
import torch

from knowlip.corpus.store import TilePixels
from knowlip.model.processor import Processor, stack
from knowlip.model.tokenizer import Tokenizer
from knowlip.training.config import DataConfig, load_config
from knowlip.training.data import Batch, PretrainData, join, sentences_of
from knowlip.training.loop import model_config
from knowlip.training.objectives import OBJECTIVES, Moment
from knowlip.training.objectives.knowlip import mask_slots

ROW = {
    "statement_id": "a/landform/water",
    "text": "A river covers about 30 percent, in the upper left.",
    "slots": [
        {"name": "kind", "kind": "class", "value": "river", "start": 2, "end": 7},
        {"name": "share", "kind": "number", "value": "30", "start": 21, "end": 23},
        {"name": "where", "kind": "position", "value": "the upper left", "start": 36, "end": 50},
    ],
}


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([ROW["text"]] * 5, 300)


def test_slot_tokens_spell_the_slot_values(tokenizer):
    (sentence,) = sentences_of([ROW], tokenizer)
    spelled = [tokenizer.decode(sentence.ids[sentence.slot_of == k]) for k in range(3)]
    assert spelled == ["river", "30", "the upper left"]


def test_masked_slot_is_neither_seen_nor_asked(tokenizer):
    (sentence,) = sentences_of([ROW | {"masked_slots": ["share"]}], tokenizer)
    ids, slots = join([sentence], tokenizer, 64)
    assert "30" not in tokenizer.decode(ids)
    assert (ids == tokenizer.mask_id).sum() == 1
    assert (slots[ids == tokenizer.mask_id] == -1).all()


def test_whole_slots_are_masked_and_their_words_wanted(tokenizer):
    ids, slots = join(sentences_of([ROW], tokenizer), tokenizer, 64)
    text, of = torch.from_numpy(ids)[None], torch.from_numpy(slots)[None]
    seen = set()
    for seed in range(30):
        chosen = torch.rand(1, 3, generator=torch.Generator().manual_seed(seed)) < 0.5
        hidden, at, wanted = mask_slots(text, of, chosen, tokenizer.mask_id)
        masked = (hidden[0] == tokenizer.mask_id).numpy()
        for k in range(3):
            assert masked[slots == k].all() or not masked[slots == k].any()
        assert not masked[slots == -1].any()
        there = wanted[0] >= 0
        assert int(there.sum()) == masked.sum()
        assert torch.equal(text[0, at[0][there]], wanted[0][there])
        seen.add(tuple(masked[slots >= 0]))
    assert len(seen) > 3


def test_wrong_image_costs_more_than_the_right_one_after_fitting():
    torch.manual_seed(0)
    texts = ["dark water everywhere", "bright buildings in rows"]
    tokenizer = Tokenizer.train(texts * 3, 200)
    config = model_config("micro", tokenizer.vocab_size, Processor(image_size=64))
    from knowlip.model.knowlip import KnowLIP

    model = KnowLIP(config)
    pixels = torch.stack([torch.full((1, 64, 64), -2.0), torch.full((1, 64, 64), 2.0)])
    encoded = tokenizer.encode(texts, 16)
    slots = torch.where(encoded.mask, 0, -1)
    slots[:, 0] = -1
    batch = Batch(pixels, torch.zeros(2, 1, dtype=torch.long), encoded.ids, encoded.mask, slots)
    objective = OBJECTIVES["knowlip"](model, load_config(None, ["loss.contrast_first=0"]), tokenizer.mask_id)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for step in range(30):
        losses = objective(batch, Moment(step, 30, torch.Generator().manual_seed(step)))
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
    model.eval()
    with torch.inference_mode():
        _, image = model.encode_image(pixels, batch.channels)
        _, text = model.encode_text(encoded.ids, encoded.mask)
        similarity = image @ text.T
    assert similarity[0, 0] > similarity[0, 1]
    assert similarity[1, 1] > similarity[1, 0]


def test_batches_depend_on_nothing_but_seed_and_step(described):
    from knowlip.training.data import TileSource
    from knowlip.training.loop import training_texts

    words = [r["text"] for r in described.statements(0).to_pylist()]
    tokenizer = Tokenizer.train(words, 500)
    source = TileSource(described, Processor(image_size=128), ("HH", "HV", "VH", "VV", "unknown"))
    texts = training_texts(described, tokenizer, 0)
    data = PretrainData(source, texts, tokenizer, DataConfig(batch_size=6), seed=3)
    late = list(data.batches(4, 6))
    again = PretrainData(source, texts, tokenizer, DataConfig(batch_size=6), seed=3)
    for step, batch in zip((4, 5), late, strict=True):
        fresh = again.batch(step)
        assert torch.equal(batch.ids, fresh.ids)
        assert torch.equal(batch.pixels, fresh.pixels)
    assert not torch.equal(late[0].pixels, late[1].pixels)


def test_same_ground_in_three_radiometries_looks_the_same_to_the_model():
    from knowlip.core.radiometry import Radiometry

    power = np.random.default_rng(0).gamma(4, 0.02, (1, 32, 32)).astype(np.float32)
    stored = {
        "power": (power, Radiometry(quantity="power", convention="sigma0")),
        "db": (10 * np.log10(power), Radiometry(quantity="db", convention="sigma0")),
        "amplitude": (
            np.round(np.sqrt(power) * 10**3.5).astype(np.uint16),
            Radiometry(quantity="amplitude", convention="sigma0", calibration_db=-70),
        ),
    }
    processor = Processor()
    seen = [
        processor(TilePixels(r.to_db(p), ("VV",), r.calibrated, np.zeros(1, np.float32))) for p, r in stored.values()
    ]
    assert np.abs(seen[0] - seen[1]).max() < 1e-4
    assert np.abs(seen[0] - seen[2]).max() * 6.0 < 0.05


def test_uncalibrated_scene_is_measured_from_its_own_bright_level():
    db = np.random.default_rng(0).normal(-14, 3, (1, 16, 16)).astype(np.float32)
    processor = Processor()
    a = processor(TilePixels(db, ("VH",), False, np.array([-10.0], np.float32)))
    b = processor(TilePixels(db + 57, ("VH",), False, np.array([47.0], np.float32)))
    assert np.allclose(a, b, atol=1e-4)


def test_no_data_becomes_the_middle_of_the_scale():
    db = np.full((1, 4, 4), np.nan, np.float32)
    assert (Processor()(TilePixels(db, ("VV",), True, np.zeros(1, np.float32))) == 0).all()


def test_tiles_of_different_channels_stack_with_absent_ones_marked():
    pixels, channels = stack([np.ones((1, 4, 4), np.float32), np.ones((2, 4, 4), np.float32)], [[3], [3, 2]])
    assert pixels.shape == (2, 2, 4, 4)
    assert channels.tolist() == [[3, -1], [3, 2]]
    assert (pixels[0, 1] == 0).all()
