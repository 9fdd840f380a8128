"""Claims about the joined model: embeddings, heads, temperature, saving and loading."""

import copy
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from knowlip.model import PRESETS, KnowLIP, KnowLIPConfig, preset


@pytest.fixture
def model():
    config = preset("micro", vocab_size=120, image_size=64)
    config = replace(
        config,
        vit=replace(config.vit, geo_tokens=("gsd_m", "incidence_deg")),
        processor={"unit": "sigma0_db", "range": [-35.0, 5.0], "note": "Ångström"},
    )
    return KnowLIP(config).eval()


def batch(B=3):
    pixels = torch.randn(B, 2, 64, 64)
    channels = torch.tensor([[3, 2]] * (B - 1) + [[0, -1]])
    ids = torch.randint(5, 120, (B, 12))
    mask = torch.ones(B, 12, dtype=torch.bool)
    mask[0, 7:] = False
    geo = torch.tensor([[10.0, torch.nan]] * B)
    return pixels, channels, geo, ids, mask


def outputs(model):
    torch.manual_seed(1)
    pixels, channels, geo, ids, mask = batch()
    with torch.no_grad():
        image_tokens, image = model.encode_image(pixels, channels, geo)
        text_tokens, text = model.encode_text(ids, mask)
        fused = model.fuse(ids, mask, image_tokens)
        return image_tokens, image, text_tokens, text, fused, model.itm_logits(fused), model.mlm_logits(fused[mask])


def test_shapes_and_unit_embeddings(model):
    image_tokens, image, text_tokens, text, fused, itm, mlm = outputs(model)
    assert image_tokens.shape == (3, 1 + 2 + 4, 128)
    assert text_tokens.shape == fused.shape == (3, 12, 128)
    assert image.shape == text.shape == (3, 128)
    assert itm.shape == (3, 2)
    assert mlm.shape == (31, 120)
    torch.testing.assert_close(image.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(3))


def test_saved_model_loads_bit_equal(model, tmp_path, capsys):
    expected = outputs(model)
    model.save_pretrained(tmp_path / "model")
    assert {"config.json", "model.safetensors"} <= {p.name for p in (tmp_path / "model").iterdir()}
    loaded = KnowLIP.from_pretrained(tmp_path / "model")
    assert loaded.config == model.config
    assert not loaded.training
    assert all(torch.equal(a, b) for a, b in zip(outputs(loaded), expected, strict=True))
    loaded.save_pretrained(tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
    assert capsys.readouterr().out == "", "a machine-readable answer may be on its way to standard output"


def test_momentum_copy_is_equal_and_apart(model):
    twin = copy.deepcopy(model)
    expected = outputs(model)
    twin.itm_head.weight.data.add_(1.0)
    assert all(torch.equal(a, b) for a, b in zip(outputs(model), expected, strict=True))
    assert torch.equal(outputs(twin)[1], expected[1])
    assert not torch.equal(outputs(twin)[5], expected[5])


def test_config_survives_json(model):
    assert KnowLIPConfig.from_dict(json.loads(json.dumps(model.config.to_dict()))) == model.config


def test_config_of_a_later_version_loads(model):
    value = model.config.to_dict() | {"novelty": 1}
    value["vit"]["novelty"] = 2
    assert KnowLIPConfig.from_dict(value) == model.config


def test_incomplete_folders_are_not_loaded(model, tmp_path):
    model.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        KnowLIP.from_pretrained(tmp_path)
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError):
        KnowLIP.from_pretrained(tmp_path)


def test_weights_of_another_model_are_refused(model, tmp_path):
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["vit"]["depth"] += 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(RuntimeError, match=r"vit\.blocks\.4"):
        KnowLIP.from_pretrained(tmp_path)


def test_temperature_starts_at_007_and_returns_from_outside_its_range(model):
    torch.testing.assert_close(1 / model.scale(), torch.tensor(0.07))
    for wild, temperature in ((50.0, 0.001), (-50.0, 0.5)):
        model.logit_scale.data.fill_(wild)
        scale = model.scale()
        torch.testing.assert_close(1 / scale, torch.tensor(temperature))
        scale.backward()
        assert model.logit_scale.grad != 0
        model.zero_grad()


def test_shared_lower_layers_and_first_token_change_no_result(model):
    pixels, channels, geo, ids, mask = batch()
    first = torch.zeros(3, 1, dtype=torch.long)
    with torch.no_grad():
        image_tokens, _ = model.encode_image(pixels, channels, geo)
        lower = model.text_lower(ids, mask)
        _, text = model.encode_text(ids, mask)
        torch.testing.assert_close(model.encode_text(ids, mask, lower, first)[1], text, atol=1e-5, rtol=0)
        itm = model.itm_logits(model.fuse(ids, mask, image_tokens))
        cheap = model.itm_logits(model.fuse(ids, mask, image_tokens, lower, first))
        torch.testing.assert_close(cheap, itm, atol=1e-5, rtol=0)


def test_every_parameter_learns(model):
    model.train()
    pixels, channels, geo, ids, mask = batch()
    image_tokens, image = model.encode_image(pixels, channels, geo)
    _, text = model.encode_text(ids, mask)
    fused = model.fuse(ids, mask, image_tokens)
    loss = (image @ text.T * model.scale()).logsumexp(1).sum() + model.itm_logits(fused).logsumexp(1).sum()
    loss = loss + model.mlm_logits(fused[mask])[:, 7].square().sum()
    loss.backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()}
    assert still == set()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build(name):
    with torch.device("meta"):
        model = KnowLIP(preset(name, vocab_size=1000))
    assert model.config.vit.width == {"micro": 128, "tiny": 192, "small": 384, "base": 768, "large": 1024}[name]
    assert model.config.vit.image_size == 256


def test_base_is_vit_b_and_bert_base():
    with torch.device("meta"):
        model = KnowLIP(preset("base", vocab_size=30522, image_size=224))
    blocks = sum(p.numel() for p in model.vit.blocks.parameters())
    layers = sum(p.numel() for n, p in model.bert.encoder.named_parameters() if "crossattention" not in n)
    assert blocks == layers == 12 * (12 * 768**2 + 13 * 768)
    assert all(layer.crossattention is not None for layer in model.bert.encoder.layer)


def test_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="'huge'; allowed: micro, tiny, small, base, large"):
        preset("huge", vocab_size=100)


def test_encoders_that_do_not_fit_are_refused(model):
    with pytest.raises(ValueError, match=r"image_width 64 is not vit\.width 128"):
        replace(model.config, bert=replace(model.config.bert, image_width=64))


def test_importing_the_package_does_not_import_torch():
    code = "import sys, knowlip.model; assert 'torch' not in sys.modules; assert 'tokenizers' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
