"""Claims about the text encoder; the independent truth is transformers' BERT and BLIP."""

import pytest
import torch
from torch import nn

from knowlip.model.bert import Bert, BertConfig, MlmHead, fold_token_types

SIZE = {
    "vocab_size": 100,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 192,
    "max_position_embeddings": 32,
    "layer_norm_eps": 1e-12,
}


def config(**changes):
    base = {"vocab_size": 100, "width": 48, "depth": 3, "heads": 3, "max_length": 32, "image_width": 40}
    return BertConfig(**base | {"cross_attention_from": 3} | changes)


def randomised(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


def texts(padded=True):
    ids = torch.randint(5, 100, (4, 16))
    mask = torch.ones(4, 16, dtype=torch.long)
    if padded:
        mask[1, 9:] = 0
        mask[3, 2:] = 0
    return ids, mask


def close(ours, theirs, mask):
    torch.testing.assert_close(ours[mask.bool()], theirs[mask.bool()], atol=1e-5, rtol=0)


@pytest.mark.parametrize("padded", [False, True])
def test_equals_transformers_bert(padded):
    transformers = pytest.importorskip("transformers")
    theirs = randomised(transformers.BertModel(transformers.BertConfig(**SIZE), add_pooling_layer=False))
    ours = Bert(config()).eval()
    ours.load_state_dict(fold_token_types(theirs.state_dict()))
    ids, mask = texts(padded)
    with torch.no_grad():
        close(ours(ids, mask), theirs(ids, mask).last_hidden_state, mask)


def test_equals_transformers_masked_language_model_at_chosen_positions():
    transformers = pytest.importorskip("transformers")
    theirs = randomised(transformers.BertForMaskedLM(transformers.BertConfig(**SIZE)))
    ours, head = Bert(config()).eval(), MlmHead(config()).eval()
    ours.load_state_dict(fold_token_types(theirs.bert.state_dict()))
    state = theirs.cls.predictions.state_dict()
    head.load_state_dict({k: v for k, v in state.items() if not k.startswith("decoder.")})
    ids, mask = texts()
    at = torch.tensor([[0, 3], [8, 1], [15, 15], [1, 0]])
    with torch.no_grad():
        expected = theirs(ids, mask).logits.gather(1, at[..., None].expand(-1, -1, 100))
        logits = head(ours(ids, mask, at=at).flatten(0, 1), ours.embeddings.word_embeddings.weight)
    torch.testing.assert_close(logits, expected.flatten(0, 1), atol=1e-4, rtol=1e-5)


def test_cross_attention_equals_transformers_blip():
    transformers = pytest.importorskip("transformers")
    from transformers.models.blip.modeling_blip_text import BlipTextModel

    theirs = randomised(
        BlipTextModel(
            transformers.BlipTextConfig(
                **SIZE, encoder_hidden_size=40, is_decoder=True, bos_token_id=2, sep_token_id=3
            ),
            add_pooling_layer=False,
        )
    )
    ours = Bert(config(cross_attention_from=0)).eval()
    ours.load_state_dict(fold_token_types(theirs.state_dict()))
    ids, mask = texts()
    image = torch.randn(4, 7, 40)
    with torch.no_grad():
        alone = theirs(ids, mask, is_decoder=False).last_hidden_state
        fused = theirs(ids, mask, encoder_hidden_states=image, is_decoder=False).last_hidden_state
        close(ours(ids, mask), alone, mask)
        close(ours(ids, mask, image), fused, mask)


def test_masked_image_tokens_have_no_influence():
    # Not against transformers: its BLIP (5.23) drops the image's mask on the way to the cross-attention.
    model = randomised(Bert(config(cross_attention_from=1)))
    ids, mask = texts()
    image = torch.randn(4, 7, 40)
    image_mask = torch.ones(4, 7, dtype=torch.long)
    image_mask[:, 4:] = 0
    with torch.no_grad():
        close(model(ids, mask, image, image_mask), model(ids, mask, image[:, :4]), mask)


def test_image_is_seen_by_words_on_either_side():
    model = randomised(Bert(config(cross_attention_from=1)))
    ids, mask = texts(padded=False)
    image = torch.randn(4, 7, 40)
    changed = ids.clone()
    changed[:, 10] = (ids[:, 10] + 1) % 95 + 5
    with torch.no_grad():
        difference = (model(changed, mask, image) - model(ids, mask, image)).abs().amax(-1)
    assert (difference > 1e-6).all(), "a word must reach the words before it as well as those after it"


def test_lower_layers_are_shared_by_passes_with_and_without_image():
    model = randomised(Bert(config(cross_attention_from=1)))
    ids, mask = texts()
    image = torch.randn(4, 7, 40)
    with torch.no_grad():
        lower = model.lower(ids, mask)
        assert torch.equal(model.upper(lower, mask), model(ids, mask))
        assert torch.equal(model.upper(lower, mask, image), model(ids, mask, image))
        assert not torch.allclose(model(ids, mask), model(ids, mask, image))


def test_chosen_positions_equal_the_same_positions_of_the_whole():
    ids, mask = texts()
    at = torch.tensor([[0, 5], [0, 2], [7, 7], [0, 1]])
    for start in (0, 2, 3):
        model = randomised(Bert(config(cross_attention_from=start)))
        image = torch.randn(4, 7, 40)
        with torch.no_grad():
            whole = model(ids, mask, image).gather(1, at[..., None].expand(-1, -1, 48))
            torch.testing.assert_close(model(ids, mask, image, at=at), whole, atol=1e-5, rtol=0)


def test_padding_has_no_influence():
    model = randomised(Bert(config()))
    ids, mask = texts()
    with torch.no_grad():
        torch.testing.assert_close(model(ids, mask)[1, :9], model(ids[1:2, :9], mask[1:2, :9])[0], atol=1e-5, rtol=0)


def test_text_longer_than_the_model_is_refused():
    with pytest.raises(ValueError, match="33 tokens is longer than the model's 32"):
        Bert(config())(torch.zeros(1, 33, dtype=torch.long), torch.ones(1, 33))


@pytest.mark.parametrize("changes", [{"heads": 5}, {"cross_attention_from": 4}])
def test_impossible_configuration_is_refused(changes):
    with pytest.raises(ValueError, match=r"heads 5|cross_attention_from 4"):
        config(**changes)
