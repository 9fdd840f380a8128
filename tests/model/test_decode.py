import pytest
import torch
from torch import nn

from knowlip.model.bert import BertConfig
from knowlip.model.decode import Writing, draw, write
from knowlip.model.importers.models import import_blip
from knowlip.model.importers.weights import read_weights
from knowlip.model.knowlip import KnowLIP, KnowLIPConfig
from knowlip.model.vit import ViTConfig
from published import TEXT, VISION, randomised

BEGIN, END = 2, 3


def sharpen(model):
    """Let texts depend on their images, so that some end soon, some late and some never."""
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.data += 1.0
        if name.endswith(("crossattention.output.dense", "crossattention.self.value")):
            module.weight.data *= 3.0


@pytest.fixture(scope="module")
def captioners(tmp_path_factory):
    """The same weights in transformers and here."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BlipConfig(
        text_config=TEXT | {"encoder_hidden_size": VISION["hidden_size"]}, vision_config=VISION
    )
    theirs = randomised(transformers.BlipForConditionalGeneration(config))
    sharpen(theirs)
    theirs.text_decoder.cls.predictions.decoder.bias.data[END] += 0.7
    folder = tmp_path_factory.mktemp("blip")
    theirs.save_pretrained(folder)
    return theirs, import_blip(read_weights(folder)).model


def images(n):
    return torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def until_end(ids):
    ids = ids.tolist()
    return ids[: ids.index(END) + 1] if END in ids else ids


@pytest.mark.parametrize("penalty", [1.0, 1.7])
@pytest.mark.parametrize("most", [1, 2, 9, 25])
@pytest.mark.parametrize("beams", [1, 2, 3, 5])
def test_texts_are_those_of_transformers(captioners, beams, most, penalty):
    theirs, ours = captioners
    pixels = images(24)
    with torch.inference_mode():
        told = theirs.generate(
            pixels, num_beams=beams, max_new_tokens=most, do_sample=False, repetition_penalty=penalty
        )
        tokens, _ = ours.encode_image(pixels, torch.tensor([[0, 1, 2]] * 24))
    written = write(ours, tokens, Writing((BEGIN,), END, most, beams, penalty))
    assert written == [until_end(row[1:]) for row in told]
    if most == 25 and penalty > 1:
        assert len({len(text) for text in written}) > 3


@pytest.mark.parametrize("beams", [1, 3])
def test_texts_after_a_prompt_are_those_of_transformers(captioners, beams):
    theirs, ours = captioners
    pixels, prompt = images(6), (BEGIN, 17, 40)
    # the last id of a prompt is taken for its SEP and dropped
    given = torch.tensor([[*prompt, END]] * 6)
    with torch.inference_mode():
        told = theirs.generate(pixels, given, num_beams=beams, max_new_tokens=12, do_sample=False)
        tokens, _ = ours.encode_image(pixels, torch.tensor([[0, 1, 2]] * 6))
    assert write(ours, tokens, Writing(prompt, END, 12, beams)) == [until_end(row[3:]) for row in told]


@pytest.fixture
def small():
    vit = ViTConfig(64, 16, 32, 1, 2, polarisations=("VV",))
    bert = BertConfig(50, 32, 4, 2, max_length=20, cross_attention_from=2, image_width=32)
    model = randomised(KnowLIP(KnowLIPConfig(vit, bert, 16)))
    sharpen(model)
    model.mlm_head.bias.data[END] += 0.7
    return model


@pytest.mark.parametrize("how", [{}, {"beams": 3}, {"top_p": 0.9}])
def test_a_text_does_not_depend_on_the_others(small, how):
    tokens = torch.randn(12, 17, 32)
    together = write(small, tokens, Writing((BEGIN,), END, 15, **how))
    assert len({len(t) for t in together}) > 1
    first = write(small, tokens[:1], Writing((BEGIN,), END, 15, **how))
    if "top_p" not in how:
        assert together == [write(small, tokens[i : i + 1], Writing((BEGIN,), END, 15, **how))[0] for i in range(12)]
    assert first[0] == together[0]


def test_greedy_words_are_the_likeliest_after_those_before(small):
    """Against a whole pass over each text, upper layers with the image and lower ones without."""
    tokens = torch.randn(3, 17, 32)
    for i, text in enumerate(write(small, tokens, Writing((BEGIN,), END, 10))):
        for n in range(len(text)):
            x = small.bert.embeddings(torch.tensor([[BEGIN, *text[:n]]]))
            back = torch.ones(n + 1, n + 1, dtype=torch.bool).tril()[None, None]
            for number, layer in enumerate(small.bert.encoder.layer):
                x = layer(x, back, tokens[i : i + 1] if number >= 2 else None)
            assert int(small.mlm_logits(x[:, -1]).argmax()) == text[n]


def test_a_nucleus_is_the_fewest_words_with_its_probability():
    scores = torch.tensor([[0.1, 0.5, 0.15, 0.25]]).log()
    chance = torch.linspace(0, 0.9999, 1000)
    words = draw(scores.expand(1000, -1), 0.7, chance)
    # 0.5 and 0.25 are enough for 0.7
    assert words.unique().tolist() == [1, 3]
    assert (words == 1).float().mean() == pytest.approx(2 / 3, abs=0.01)
    assert draw(scores, 1.0, torch.tensor([0.9999])).tolist() == [0]


def test_too_long_a_text_is_refused(small):
    with pytest.raises(ValueError, match="21 tokens"):
        write(small, torch.randn(1, 17, 32), Writing((BEGIN,), END, 21))
    with pytest.raises(ValueError, match="beams"):
        Writing((BEGIN,), END, beams=3, top_p=0.9)
