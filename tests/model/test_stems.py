"""Claims about the learned histogram of the sar stem."""

import pytest
import torch

from knowlip.model.stems import CellStem, cell_features


@pytest.fixture
def stem():
    return CellStem(polarisations=3, width=16, patch_size=16)


def test_features_of_a_cell_are_those_of_its_pixels():
    x = torch.randn(1, 1, 32, 32)
    level, roughness, peak, *_ = cell_features(x)[0, :, 2, 3]
    cell = x[0, 0, 8:12, 12:16]
    assert level * 0.7 == pytest.approx(cell.mean().item(), abs=1e-5)
    assert roughness * 0.2 + 0.45 == pytest.approx(cell.std(correction=0).item(), abs=1e-5)
    assert peak * 0.4 + 0.8 == pytest.approx((cell.max() - cell.mean()).item(), abs=1e-5)


def test_surroundings_of_a_cell_are_those_of_the_multilooked_image():
    x = torch.randn(1, 1, 64, 64)
    looked = x.reshape(16, 4, 16, 4).mean((1, 3))
    features = cell_features(x)[0, :, 8, 8]
    for i, side in enumerate((3, 7)):
        around = looked[8 - side // 2 : 9 + side // 2, 8 - side // 2 : 9 + side // 2]
        assert features[3 + 2 * i] * 0.6 == pytest.approx(around.mean().item(), abs=1e-5)
        assert features[4 + 2 * i] * 0.18 + 0.3 == pytest.approx(around.std(correction=0).item(), abs=1e-4)


def test_mean_of_a_bin_lies_below_its_maximum_and_both_are_shares(stem):
    mean, maximum = stem.measure(torch.randn(2, 2, 64, 64), torch.tensor([[0, 1], [2, 0]])).chunk(2, 1)
    assert mean.shape == (2, 8, 4, 4)
    assert (mean >= 0).all()
    assert (mean <= maximum).all()
    assert (maximum <= 1).all()


def test_bins_see_polarisations_together(stem):
    """Two images whose channels have the same levels, once in the same places and once not, are told apart."""
    with torch.no_grad():
        stem.weight[:, 1:] = 0
        stem.weight[:, 0] = 0.5
        stem.bias[:] = -0.5
    bright = torch.zeros(1, 1, 64, 64)
    bright[..., :32] = 1.0
    channels = torch.tensor([[0, 1]])
    together = stem.measure(torch.cat([bright, bright], 1), channels)
    apart = stem.measure(torch.cat([bright, bright.flip(-1)], 1), channels)
    assert together[:, 8:].amax() > apart[:, 8:].amax() + 0.2


def test_absent_channels_have_no_influence(stem):
    x = torch.randn(1, 1, 64, 64)
    padded = torch.cat([x, torch.full_like(x, torch.nan)], 1)
    alone = stem(x, torch.tensor([[1]]))
    assert torch.allclose(stem(padded, torch.tensor([[1, -1]])), alone, atol=1e-5)
    assert torch.allclose(stem(padded.flip(1), torch.tensor([[-1, 1]])), alone, atol=1e-5)


def test_turned_ground_is_measured_the_same(stem):
    x, channels = torch.randn(1, 2, 64, 64), torch.tensor([[0, 2]])
    turned = stem.measure(x.rot90(1, (2, 3)), channels)
    assert torch.allclose(turned, stem.measure(x, channels).rot90(1, (2, 3)), atol=1e-5)
