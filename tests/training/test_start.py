"""Claims about runs that start from weights."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from knowlip.core.errors import ConfigError, ModelError
from knowlip.model.embedder import load_embedder
from knowlip.training.config import load_config
from knowlip.training.loop import begin
from pipeline_fixtures import TINY

transformers = pytest.importorskip("transformers")


@pytest.fixture
def bert(tmp_path, trained):
    """A BERT of the shape of `micro`, with the vocabulary that it goes with."""
    folder = tmp_path / "bert"
    folder.mkdir()
    shutil.copy(trained[2] / "tokenizer.json", folder)
    vocab_size = load_embedder(trained[2]).tokenizer.vocab_size
    shape = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512}
    config = transformers.BertConfig(vocab_size=vocab_size, max_position_embeddings=256, **shape)
    model = transformers.BertForMaskedLM(config)
    save_file({k: v.clone() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return folder, model


@pytest.fixture
def vit(tmp_path):
    """A ViT of the shape of `micro`, with patches of 16 pixels."""
    folder = tmp_path / "vit"
    folder.mkdir()
    shape = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512}
    model = transformers.ViTModel(transformers.ViTConfig(**shape, image_size=64), add_pooling_layer=False)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(shape | {"layer_norm_eps": 1e-6}))
    return folder, model


def test_encoders_start_from_published_weights(trained, bert, vit, tmp_path):
    _, corpus, _ = trained
    config = load_config(None, (*TINY, f"init.text={bert[0]}", f"init.image={vit[0]}"))
    run = begin(corpus, config, tmp_path / "out")
    state = run.model.state_dict()
    theirs = bert[1].state_dict()
    name = "encoder.layer.2.output.dense.weight"
    assert torch.equal(state[f"bert.{name}"], theirs[f"bert.{name}"])
    assert torch.equal(state["mlm_head.transform.dense.weight"], theirs["cls.predictions.transform.dense.weight"])
    kernel = vit[1].state_dict()["embeddings.patch_embeddings.projection.weight"]
    assert torch.equal(state["vit.patch_embed.proj.weight"][:, 3], kernel.sum(1))
    assert run.model.config.vit.stem == "patch"
    assert run.model.config.vit.image_size == 128
    assert run.model.config.bert.cross_attention_from == 2
    assert run.tokenizer.vocab_size == run.model.config.bert.vocab_size
    identity = json.loads((tmp_path / "out" / "run.json").read_text())
    assert set(identity["weights"]) == {"image", "text"}


def test_trained_model_starts_another_run(trained, tmp_path):
    _, corpus, folder = trained
    run = begin(corpus, load_config(None, (*TINY, f"init.model={folder}")), tmp_path / "out")
    before = load_embedder(folder).model.state_dict()
    assert all(torch.equal(before[n], v) for n, v in run.model.state_dict().items())
    assert run.step == 0


def test_weights_that_do_not_fit_leave_nothing_behind(trained, bert, tmp_path):
    _, corpus, _ = trained
    config = load_config(None, (*TINY, "preset=tiny", f"init.text={bert[0]}"))
    with pytest.raises(ModelError, match="has the text encoder 128 wide and 4 deep, the preset 192 and 6"):
        begin(corpus, config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_text_encoder_without_its_vocabulary_is_refused(trained, bert, tmp_path):
    (bert[0] / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"without a vocabulary .*Put its vocab\.txt or tokenizer\.json beside it"):
        begin(trained[1], load_config(None, (*TINY, f"init.text={bert[0]}")), tmp_path / "out")


def test_whole_model_and_an_encoder_are_refused_together(trained, tmp_path):
    with pytest.raises(ConfigError, match=r"init\.model"):
        begin(trained[1], load_config(None, (*TINY, f"init.model={trained[2]}", "init.text=x")), tmp_path / "out")


def test_whole_model_is_not_taken_for_an_encoder(trained, tmp_path):
    with pytest.raises(ModelError, match=r"is a whole model of this package\. Name its folder as init\.model"):
        begin(trained[1], load_config(None, (*TINY, f"init.image={trained[2]}")), tmp_path / "out")


def test_card_of_a_run_names_its_corpus_and_its_start(trained):
    _, corpus, folder = trained
    text = (folder / "README.md").read_text()
    for told in (corpus.info["fingerprint"], "random weights", "VH, VV", "steps: 8", "unmeasured"):
        assert told in text
    assert str(folder.parent) not in text
