"""Claims about the image encoder; the independent truth is transformers' ViTModel."""

import pytest
import torch
from torch import nn

from knowlip.model.geo import GEO_PROPERTIES
from knowlip.model.stems import convolve_polarisations
from knowlip.model.vit import ViT, ViTConfig

RENAMED = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "layernorm.": "norm.",
    "layers.": "blocks.",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "attention.o_proj": "attn.proj",
}


def small(**changes):
    return ViTConfig(**{"image_size": 64, "patch_size": 16, "width": 48, "depth": 2, "heads": 3} | changes)


def randomised(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


def from_transformers(state, polarisations):
    """Weights of transformers' ViTModel by timm's names; sums over channels become averages."""
    out = {}
    for name, value in state.items():
        for old, new in RENAMED.items():
            name = name.replace(old, new)
        out[name] = value
    out["patch_embed.proj.weight"] = out["patch_embed.proj.weight"] * polarisations
    for i in range(1 + max(int(name.split(".")[1]) for name in out if name.startswith("blocks."))):
        for part in ("weight", "bias"):
            qkv = [out.pop(f"blocks.{i}.attention.{which}_proj.{part}") for which in "qkv"]
            out[f"blocks.{i}.attn.qkv.{part}"] = torch.cat(qkv)
    return {name: value for name, value in out.items() if not name.startswith("pooler")}


@pytest.fixture
def pair():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        image_size=64,
        patch_size=16,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=192,
        layer_norm_eps=1e-6,
    )
    theirs = randomised(transformers.ViTModel(config, add_pooling_layer=False))
    ours = ViT(small(polarisations=("HH", "HV", "VV"))).eval()
    ours.load_state_dict(from_transformers(theirs.state_dict(), 3))
    return ours, theirs


def test_equals_transformers_vit(pair):
    ours, theirs = pair
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(pixels).last_hidden_state
        tokens = ours(pixels, torch.arange(3).expand(2, 3))
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=0)


def test_order_of_channels_does_not_matter(pair):
    ours, theirs = pair
    pixels = torch.randn(2, 3, 64, 64)
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        torch.testing.assert_close(
            ours(pixels[:, order], order.expand(2, 3)), theirs(pixels).last_hidden_state, atol=1e-5, rtol=0
        )


def test_positions_of_another_image_size_equal_transformers(pair):
    ours, theirs = pair
    pixels = torch.randn(2, 3, 96, 128)
    with torch.no_grad():
        expected = theirs(pixels, interpolate_pos_encoding=True).last_hidden_state
        tokens = ours(pixels, torch.arange(3).expand(2, 3))
    assert tokens.shape == (2, 1 + 6 * 8, 48)
    torch.testing.assert_close(tokens, expected, atol=1e-5, rtol=0)


def test_average_over_channels_is_the_average_of_one_channel_convolutions():
    conv = nn.Conv2d(4, 8, 3, 2, 1)
    pixels = torch.randn(2, 2, 16, 16)
    channels = torch.tensor([[3, 0], [1, -1]])
    with torch.no_grad():
        both = convolve_polarisations(conv, pixels, channels)

        def alone(image, channel):
            return nn.functional.conv2d(image[None, None], conv.weight[:, [channel]], None, 2, 1)[0]

        bias = conv.bias[:, None, None]
        first = (alone(pixels[0, 0], 3) + alone(pixels[0, 1], 0)) / 2 + bias
        second = alone(pixels[1, 0], 1) + bias
    torch.testing.assert_close(both, torch.stack([first, second]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("stem", ["patch", "conv"])
def test_absent_channel_has_no_influence(stem):
    model = randomised(ViT(small(stem=stem)))
    pixels = torch.randn(3, 1, 64, 64)
    channels = torch.tensor([[3], [0], [1]])
    padding = torch.full((3, 1, 64, 64), torch.nan)
    with torch.no_grad():
        alone = model(pixels, channels)
        padded = model(torch.cat([padding, pixels], 1), torch.cat([torch.full((3, 1), -1), channels], 1))
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=0)


def test_absent_channel_gets_no_gradient():
    model = ViT(small())
    pixels = torch.randn(2, 2, 64, 64, requires_grad=True)
    model(pixels, torch.tensor([[3, -1], [3, 0]])).square().sum().backward()
    assert pixels.grad[0, 0].abs().sum() > 0
    assert pixels.grad[0, 1].abs().sum() == 0
    kernels = model.patch_embed.proj.weight.grad.abs().sum((0, 2, 3))
    assert (kernels > 0).tolist() == [True, False, False, True]


def test_polarisation_decides_the_kernel():
    model = randomised(ViT(small()))
    pixels = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(model(pixels, torch.tensor([[0]])), model(pixels, torch.tensor([[3]])))


def test_conv_stem_has_the_stride_of_the_patch():
    model = ViT(small(stem="conv", patch_size=32, image_size=256, width=64, heads=2)).eval()
    with torch.no_grad():
        assert model(torch.randn(2, 1, 256, 256), torch.zeros(2, 1, dtype=torch.long)).shape == (2, 1 + 64, 64)


def test_token_dropping_keeps_cls_and_only_in_training():
    model = ViT(small(depth=0))
    pixels, channels = torch.randn(4, 1, 64, 64), torch.zeros(4, 1, dtype=torch.long)
    with torch.no_grad():
        dropped = model.train()(pixels, channels, keep=0.25)
        whole = model.eval()(pixels, channels, keep=0.25)
    assert whole.shape == (4, 17, 48)
    assert dropped.shape == (4, 5, 48)
    torch.testing.assert_close(dropped[:, 0], whole[:, 0])
    kept = [
        [i for i in range(1, 17) if (whole[b, i] - token).abs().max() < 1e-6]
        for b in range(4)
        for token in dropped[b, 1:]
    ]
    assert all(len(matches) == 1 for matches in kept)
    assert len({tuple(i for (i,) in kept[4 * b : 4 * b + 4]) for b in range(4)}) > 1


def test_geo_tokens_are_off_by_default_and_each_is_one_token():
    pixels, channels = torch.randn(2, 1, 64, 64), torch.zeros(2, 1, dtype=torch.long)
    with torch.no_grad():
        assert ViT(small())(pixels, channels).shape[1] == 17
        model = randomised(ViT(small(geo_tokens=GEO_PROPERTIES)))
        geo = torch.tensor([[10.0, 35.0, 80.0, 5.4, 48.1, 11.6, 0.3], [1.0, 20.0, 260.0, 9.6, -33.9, 151.2, 0.9]])
        tokens = model(pixels, channels, geo)
        assert tokens.shape[1] == 24
        assert tokens.isfinite().all()
        for i in range(len(GEO_PROPERTIES)):
            changed = geo.clone()
            changed[:, i] *= 0.9
            assert not torch.allclose(model(pixels, channels, changed)[:, 0], tokens[:, 0])


def test_unknown_geo_properties_become_learned_tokens():
    model = ViT(small(geo_tokens=("gsd_m", "lat_deg")))
    unknown = torch.full((2, 2), torch.nan)
    pixels, channels = torch.randn(2, 1, 64, 64), torch.zeros(2, 1, dtype=torch.long)
    torch.testing.assert_close(model(pixels, channels, unknown), model(pixels, channels))
    torch.testing.assert_close(model.geo_embed(torch.tensor([[0.0, torch.nan]]))[0], model.geo_embed.unknown)
    model(pixels, channels, torch.tensor([[10.0, torch.nan], [torch.nan, 48.0]])).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.geo_embed.parameters())


def test_azimuth_and_season_are_periodic():
    geo = ViT(small(geo_tokens=("look_azimuth_deg", "season"))).geo_embed
    torch.testing.assert_close(
        geo(torch.tensor([[359.999, 0.0]])), geo(torch.tensor([[-0.001, 1.0]])), atol=1e-4, rtol=0
    )


def test_bad_input_is_refused():
    model = ViT(small(geo_tokens=("gsd_m",)))
    channels = torch.zeros(1, 1, dtype=torch.long)
    with pytest.raises(ValueError, match="60 x 64 pixels"):
        model(torch.randn(1, 1, 60, 64), channels)
    with pytest.raises(ValueError, match=r"expects \(1, 1\)"):
        model(torch.randn(1, 1, 64, 64), channels, torch.zeros(1, 2))


@pytest.mark.parametrize(
    "changes",
    [{"heads": 5}, {"image_size": 60}, {"stem": "conv", "patch_size": 12, "image_size": 48}, {"geo_tokens": ("gsd",)}],
)
def test_impossible_configuration_is_refused(changes):
    with pytest.raises(ValueError, match=r"multiple|power of two|unknown"):
        small(**changes)
