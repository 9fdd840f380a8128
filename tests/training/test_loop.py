import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file

from knowlip.core.errors import ConfigError, CorpusError, ModelError
from knowlip.scio.loop import pretrain
from knowlip.training.config import load_config
from knowlip.training.config import OptimConfig
from knowlip.training.loop import begin, train, training_texts
from knowlip.training.optim import schedule
from pipeline_fixtures import TINY


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_same_seed_gives_the_same_weights(described, trained, tmp_path):
    pretrain(described, load_config(None, TINY), tmp_path / "again")
    assert same(weights(tmp_path / "again"), weights(trained[2]))


def test_another_seed_gives_other_weights(described, trained, tmp_path):
    pretrain(described, load_config(None, [*TINY, "seed=1"]), tmp_path / "other")
    assert not same(weights(tmp_path / "other"), weights(trained[2]))


def test_stopped_run_resumes_to_the_same_weights(described, trained, tmp_path):
    out, config = tmp_path / "stopped", load_config(None, TINY)

    def stop_after_five(step, total, losses):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(described, config, out, stop_after_five)
    assert not (out / "model.safetensors").exists()
    pretrain(described, config, out)
    assert same(weights(out), weights(trained[2]))
    steps = [json.loads(line)["step"] for line in (out / "losses.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 11))


def test_killed_run_resumes_to_the_same_weights(described, trained, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "knowlip.cli.app", "pretrain", described.folder.path(), "--out", str(out)]
    command += [f"--set={value}" for value in TINY]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waited = time.monotonic() + 90
    while not list((out / "checkpoint").glob("step-*")) and time.monotonic() < waited and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    pretrain(described, load_config(None, TINY), out)
    assert same(weights(out), weights(trained[2]))


def test_finished_run_is_left_alone(trained):
    result, corpus, model = trained
    before = (model / "model.safetensors").stat().st_mtime_ns
    again = pretrain(corpus, load_config(None, TINY), model)
    assert again.steps == result.steps
    assert again.scio == result.scio
    assert (model / "model.safetensors").stat().st_mtime_ns == before


def test_another_configuration_into_the_same_folder_is_refused(trained):
    with pytest.raises(ModelError, match="another configuration"):
        pretrain(trained[1], load_config(None, [*TINY, "seed=9"]), trained[2])


def test_folder_that_holds_something_else_is_refused(described, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"x")
    with pytest.raises(ModelError, match="not empty"):
        pretrain(described, load_config(None, TINY), tmp_path / "photos")


def test_damaged_checkpoint_is_named(described, tmp_path):
    out, config = tmp_path / "damaged", load_config(None, TINY)
    run = begin(described, config, out)
    train(run, training_texts(described, run.tokenizer, 0), 3, lambda step, total, losses: None)
    (next((out / "checkpoint").glob("step-*")) / "__0_0.distcp").write_bytes(b"torn")
    with pytest.raises(ModelError, match="step-00000003"):
        begin(described, config, out)


def test_diverging_loss_stops_with_the_last_checkpoint_whole(described, tmp_path):
    out = tmp_path / "diverged"
    config = load_config(None, [*TINY, "checkpoint_every=1"])
    run = begin(described, config, out)
    texts = training_texts(described, run.tokenizer, 0)
    train(run, texts, 2, lambda step, total, losses: None)
    run.model.logit_scale.data.fill_(float("nan"))
    with pytest.raises(ModelError, match="not a number at step 2"):
        train(run, texts, 4, lambda step, total, losses: None)
    assert begin(described, config, out).step == 2


def test_training_learns_the_batch_it_sees(described, tmp_path):
    config = load_config(
        None,
        [
            *TINY,
            "optim.steps=40",
            "loss.contrast_first=0",
            "data.speckle_looks=0",
            "data.level_jitter_db=0",
            "scio.rounds=0",
        ],
    )
    result = pretrain(described, config, tmp_path / "fit")
    losses = [json.loads(line) for line in (result.out / "losses.jsonl").read_text().splitlines()]
    filling = [line["mlm"] for line in losses if line["mlm"] > 0]
    assert np.mean(filling[-5:]) < 0.8 * np.mean(filling[:3])


def test_learning_rate_warms_up_to_its_peak_and_decays():
    rates = [schedule(step, 100, OptimConfig()) for step in range(100)]
    assert max(rates) == pytest.approx(1.0)
    assert int(np.argmax(rates)) == pytest.approx(10, abs=1)
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.02
    assert all(a >= b for a, b in pairwise(rates[10:]))


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("optim.stepz=5", "Did you mean 'optim.steps'"),
        ("optim.steps=-1", "optim.steps"),
        ("optim.steps=many", "optim.steps"),
        ("steps", "no '='"),
        ("preset.size=3", "preset"),
    ],
)
def test_wrong_override_is_explained(override, says):
    with pytest.raises(ConfigError, match=says):
        load_config(None, [override])


def test_configuration_that_is_not_yaml_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("optim: [1, 2")
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        load_config(tmp_path / "c.yaml")


def test_unknown_preset_names_the_known_ones(described, tmp_path):
    with pytest.raises(ConfigError, match="micro, tiny, small, base"):
        pretrain(described, load_config(None, [*TINY, "preset=huge"]), tmp_path / "m")


def test_corpus_without_statements_is_refused(simulated_scenes, tmp_path):
    from knowlip.corpus.build import BuildConfig, build_corpus
    from knowlip.corpus.grids import TileSpec

    corpus = build_corpus([simulated_scenes], str(tmp_path / "bare"), BuildConfig(tiles=TileSpec(tile_size=128))).corpus
    with pytest.raises(CorpusError, match="has no statements"):
        pretrain(corpus, load_config(None, TINY), tmp_path / "m")
