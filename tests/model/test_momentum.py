"""Claims about the momentum copy and its queue."""

import pytest
import torch

from knowlip.model import KnowLIP, preset
from knowlip.model.momentum import Momentum, text_keys


@pytest.fixture
def model():
    return KnowLIP(preset("micro", 120, 64)).eval()


def unit(n, E=128):
    return torch.nn.functional.normalize(torch.randn(n, E), dim=-1)


def test_copy_gives_the_models_embeddings_until_the_model_moves(model):
    momentum = Momentum(model, 8)
    pixels, channels = torch.randn(2, 1, 64, 64), torch.zeros(2, 1, dtype=torch.long)
    ids, mask = torch.randint(5, 120, (2, 9)), torch.ones(2, 9, dtype=torch.bool)
    image, text = momentum(pixels, channels, ids, mask)
    with torch.no_grad():
        torch.testing.assert_close(image, model.encode_image(pixels, channels)[1])
        torch.testing.assert_close(text, model.encode_text(ids, mask)[1])
    assert not image.requires_grad
    assert not momentum.train().copies.training


def test_copy_follows_as_a_geometric_mean_of_past_weights(model):
    momentum = Momentum(model, 8, 0.9)
    before = model.vision_proj.weight.detach().clone()
    model.vision_proj.weight.data += 1
    for _ in range(3):
        momentum.follow(model)
    torch.testing.assert_close(momentum.copies["vision_proj"].weight, before + 1 - 0.9**3)
    assert momentum.copies["vision_proj"].weight.grad_fn is None


def test_queue_keeps_the_latest_and_only_what_was_put_in(model):
    momentum = Momentum(model, 8)
    assert len(momentum.seen()[2]) == 0
    batches = [(unit(3), unit(3), torch.arange(3) + 3 * i) for i in range(4)]
    for i, batch in enumerate(batches, 1):
        momentum.push(*batch)
        assert sorted(momentum.seen()[2].tolist()) == list(range(max(0, 3 * i - 8), 3 * i))
    images, texts, keys = momentum.seen()
    for image, text, key in zip(images, texts, keys.tolist(), strict=True):
        assert torch.equal(image, batches[key // 3][0][key % 3])
        assert torch.equal(text, batches[key // 3][1][key % 3])


def test_key_of_a_text_depends_on_its_tokens_alone():
    ids = torch.tensor([[2, 7, 8, 3, 0, 0], [2, 8, 7, 3, 0, 0], [2, 7, 8, 3, 0, 0]])
    mask = ids > 0
    a, b, c = text_keys(ids, mask).tolist()
    assert a == c != b
    assert text_keys(ids[:, :4], mask[:, :4]).tolist() == [a, b, c]
    many = torch.randint(5, 2000, (5000, 12))
    assert len(set(text_keys(many, torch.ones_like(many)).tolist())) == len({tuple(r) for r in many.tolist()})
