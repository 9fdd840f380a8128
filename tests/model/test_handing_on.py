"""Claims about models handed on: card, Hub, ONNX, compiled graphs."""

import json
from dataclasses import replace

import huggingface_hub
import numpy as np
import pytest
import torch

from knowlip.core.errors import ModelError
from knowlip.model import KnowLIP, Tokenizer, preset
from knowlip.model.embedder import load_embedder
from knowlip.model.export import export_onnx
from knowlip.model.hub import add_figures, push_model
from knowlip.model.processor import Processor

TEXTS = ["dark water in the upper left", "three aircraft near the runway"] * 3


def small(name="micro", **vit):
    """The preset with two shallow encoders."""
    config = preset(name, 1400, 64)
    config = replace(
        config,
        vit=replace(config.vit, depth=1, width=128, heads=4, **vit),
        bert=replace(config.bert, depth=2, width=128, heads=4, image_width=128, cross_attention_from=1),
        processor=Processor(image_size=64, polarisations=("VH", "VV"), gsd_range_m=(10.0, 10.0)).to_dict(),
    )
    return config


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    tokenizer = Tokenizer.train(TEXTS, 1200)
    config = replace(small(), bert=replace(small().bert, vocab_size=tokenizer.vocab_size))
    training = {
        "name": "model",
        "corpus": {"name": "cities", "licence": "CC-BY-4.0"},
        "steps": 3,
        "config": {"seed": 0},
    }
    KnowLIP(replace(config, training=training)).save_pretrained(path)
    tokenizer.save(path)
    return path


def inputs():
    ids = torch.randint(5, 1000, (2, 12))
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[0, 7:] = False
    return torch.randn(2, 2, 64, 64), torch.tensor([[3, 2], [0, -1]]), ids, mask


@pytest.mark.parametrize(("name", "vit"), [("micro", {}), ("base", {"geo_tokens": ("gsd_m", "season")})])
def test_whole_model_compiles_to_one_graph(name, vit):
    model = KnowLIP(small(name, **vit))

    def step(pixels, channels, ids, mask):
        tokens, image = model.encode_image(pixels, channels, keep=1.0)
        fused = model.fuse(ids, mask, tokens)
        text = model.encode_text(ids, mask)[1]
        return image, text, model.itm_logits(fused), model.mlm_logits(fused.flatten(0, 1)), model.scale()

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    for got, expected in zip(compiled(*inputs()), step(*inputs()), strict=True):
        assert got.shape == expected.shape
    given = inputs()
    for got, expected in zip(compiled(*given), step(*given), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_exported_encoders_equal_torch(folder, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    embedder = load_embedder(folder)
    files = export_onnx(embedder, tmp_path / "onnx")
    assert [f.name for f in files] == ["image.onnx", "text.onnx", "processor.json", "tokenizer.json"]
    text = onnxruntime.InferenceSession(files[1])
    encoded = embedder.tokenizer.encode([*TEXTS[:2], "water"], 64)
    tokens, vector = text.run(None, {"ids": encoded.ids.numpy(), "mask": encoded.mask.numpy()})
    with torch.no_grad():
        expected = embedder.model.encode_text(encoded.ids, encoded.mask)
    np.testing.assert_allclose(vector, expected[1], atol=1e-5)
    np.testing.assert_allclose(tokens[encoded.mask], expected[0][encoded.mask], atol=1e-4)
    image = onnxruntime.InferenceSession(files[0])
    for channels in ([[3]], [[3, 2], [0, -1], [1, 3]], [[0, 1, 2, 3]] * 5):
        pixels = torch.randn(len(channels), len(channels[0]), 64, 64)
        tokens, vector = image.run(None, {"pixels": pixels.numpy(), "channels": np.array(channels)})
        with torch.no_grad():
            expected = embedder.model.encode_image(pixels, torch.tensor(channels))
        np.testing.assert_allclose(vector, expected[1], atol=1e-5)
        np.testing.assert_allclose(tokens, expected[0], atol=1e-4)
    carried = json.loads(image.get_modelmeta().custom_metadata_map["knowlip"])
    assert Processor.from_dict(carried["processor"]) == embedder.processor
    assert carried["channels"] == list(embedder.model.config.vit.polarisations)


def test_card_says_what_was_measured_and_what_not(folder, tmp_path):
    card = huggingface_hub.ModelCard.load(folder / "README.md")
    assert card.data.library_name == "knowlip"
    assert card.text.count("unmeasured") == 4
    for told in ("cities", "CC-BY-4.0", "VH, VV", "10 to 10 m", "sigma0 in dB", "seed: 0"):
        assert told in card.text
    row = {"task": "retrieval", "metric": "mean recall", "model": "knowlip:model", "value": 0.25, "low": 0.2}
    row |= {"high": 0.3, "n": 40, "chance": 0.05, "truth": "statements"}
    results = tmp_path / "results"
    results.mkdir()
    (results / "results.json").write_text(json.dumps({"rows": [row, row | {"model": "control-hog"}]}))
    assert add_figures(folder, results) == 1
    text = (folder / "README.md").read_text()
    assert "| retrieval | mean recall | 0.250 | 0.200 | 0.300 | 0.050 | 40 |" in text
    assert text.count("unmeasured") == 3
    assert load_embedder(folder).model.generate_model_card().content == text


def test_card_of_a_model_that_was_never_trained_claims_nothing():
    text = KnowLIP(replace(small(), processor={})).generate_model_card().content
    assert text.count("unmeasured") == 4
    assert text.count("Not recorded.") == 3


def test_figures_of_another_model_are_refused(folder, tmp_path):
    with pytest.raises(ModelError, match="holds no benchmark results"):
        add_figures(folder, tmp_path)
    (tmp_path / "results.json").write_text(json.dumps({"rows": [{"model": "knowlip:other"}]}))
    with pytest.raises(ModelError, match="has no figures of model"):
        add_figures(folder, tmp_path)


class Hub:
    """Keeps what would be uploaded."""

    def __init__(self):
        self.made, self.uploaded = None, None

    def create_repo(self, api, repo_id, **options):
        self.made = (repo_id, options.get("private"))
        return huggingface_hub.RepoUrl(f"https://hub.invalid/{repo_id}", endpoint="https://hub.invalid")

    def upload_folder(self, api, *, repo_id, folder_path, allow_patterns=None, **options):
        from pathlib import Path

        files = {p.name: p.read_bytes() for p in Path(folder_path).iterdir() if p.is_file()}
        self.uploaded = {n: b for n, b in files.items() if allow_patterns is None or n in allow_patterns}
        return type("Commit", (), {"commit_url": f"https://hub.invalid/{repo_id}/commit/0"})()


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    for name in ("create_repo", "upload_folder"):
        kept = getattr(hub, name)
        monkeypatch.setattr(huggingface_hub.HfApi, name, lambda api, *a, _kept=kept, **k: _kept(api, *a, **k))
    return hub


def test_pushed_folder_is_the_model_and_nothing_of_the_run(folder, hub, tmp_path):
    (folder / "run.json").write_text('{"init": "/home/someone/weights.pth"}')
    assert push_model(folder, "someone/model") == "https://hub.invalid/someone/model/commit/0"
    assert hub.made == ("someone/model", True)
    assert set(hub.uploaded) == {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    (tmp_path / "fetched").mkdir()
    for name, content in hub.uploaded.items():
        (tmp_path / "fetched" / name).write_bytes(content)
    a, b = load_embedder(folder), load_embedder(tmp_path / "fetched")
    np.testing.assert_array_equal(a.texts(TEXTS), b.texts(TEXTS))


def test_push_to_hub_of_the_model_itself_uploads_weights_configuration_and_card(folder, hub):
    model = KnowLIP.from_pretrained(folder)
    model.push_to_hub("someone/model")
    assert set(hub.uploaded) == {"config.json", "model.safetensors", "README.md"}
    assert hub.uploaded["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert b"cities" in hub.uploaded["README.md"]


def test_refusal_of_the_hub_is_one_line(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to the hub\nsecond line")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(ModelError, match=r"was not uploaded \(no route to the hub\)\. Log in"):
        push_model(folder, "someone/model")


def test_export_without_its_packages_says_what_to_install(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(
        ModelError, match=r"onnxscript is not installed\. Install it: pip install 'sar-knowlip\[onnx\]'"
    ):
        export_onnx(load_embedder(folder), tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
