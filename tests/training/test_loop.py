import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from knowlip.core.errors import ConfigError, CorpusError, ModelError
from knowlip.scio.loop import pretrain
from knowlip.training.config import OptimConfig, load_config
from knowlip.training.loop import begin, train, training_texts
from knowlip.training.optim import Average, schedule
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


def started(described, out, *overrides):
    command = [sys.executable, "-m", "knowlip.cli.app", "pretrain", described.folder.path(), "--out", str(out)]
    command += [f"--set={value}" for value in (*TINY, *overrides)]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for_step(process, out, step):
    """Wait until the log has a line for a step, or the process has ended."""
    waited, log = time.monotonic() + 90, out / "losses.jsonl"
    while time.monotonic() < waited and process.poll() is None:
        if log.is_file() and f'"step": {step},' in log.read_text():
            return
        time.sleep(0.01)


def test_killed_run_resumes_to_the_same_weights(described, trained, tmp_path):
    out, chance = tmp_path / "killed", random.Random(0)
    for step in (2, 5):
        # a log that is flushed only with a checkpoint tells of a step late, which is as random as any moment
        process = started(described, out)
        wait_for_step(process, out, step)
        time.sleep(chance.uniform(0, 0.6))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    pretrain(described, load_config(None, TINY), out)
    assert same(weights(out), weights(trained[2]))


def test_terminated_run_keeps_the_step_it_was_in(described, tmp_path):
    out, slow = tmp_path / "terminated", load_config(None, [*TINY, "checkpoint_every=1000"])

    def stop_after_two(step, total, losses):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    run = begin(described, slow, out)
    texts = training_texts(described, run.tokenizer, 0)
    with pytest.raises(KeyboardInterrupt):
        train(run, texts, 8, stop_after_two)
    kept = begin(described, slow, out)
    # told after its second step, it ends and saves with the third
    assert (run.step, kept.step) == (3, 3)
    mine, truth = kept.model.state_dict(), run.model.state_dict()
    assert all(torch.equal(mine[k], truth[k]) for k in truth)


def test_average_schedule_and_momentum_resume_exactly(described, tmp_path):
    config = load_config(
        None, [*TINY, "objective=mocov3", "optim.ema=0.9", "optim.schedule=wsd", "optim.accumulate=2", "seed=4"]
    )
    texts = None
    states = []
    for name, stops in (("straight", (4,)), ("broken", (2, 4))):
        for stop in stops:
            run = begin(described, config, tmp_path / name)
            texts = texts or training_texts(described, run.tokenizer, 0)
            train(run, texts, stop, lambda step, total, losses: None)
        states.append({**run.objective.state_dict(), **{f"average.{k}": v for k, v in run.average.weights.items()}})
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def test_unreadable_tile_is_named_and_the_run_goes_on_when_it_is_mended(described, tmp_path):
    out, config = tmp_path / "corrupt", load_config(None, [*TINY, "checkpoint_every=1"])
    run = begin(described, config, out)
    texts = training_texts(described, run.tokenizer, 0)
    train(run, texts, 2, lambda step, total, losses: None)
    tiles = [Path(described.folder.path(n)) for n in described.folder.names("tiles/*/*.tif")]
    whole = {tile: tile.read_bytes() for tile in tiles}
    for tile in tiles:
        tile.write_bytes(whole[tile][:200])
    with pytest.raises(CorpusError, match=r"\.tif.*cannot be read"):
        train(run, texts, 8, lambda step, total, losses: None)
    for tile, content in whole.items():
        tile.write_bytes(content)
    again = begin(described, config, out)
    assert again.step == 2
    train(again, texts, 3, lambda step, total, losses: None)


def test_short_memory_is_explained(described, tmp_path, monkeypatch):
    run = begin(described, load_config(None, TINY), tmp_path / "big")
    texts = training_texts(described, run.tokenizer, 0)

    def refuse(part, moment):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")

    monkeypatch.setattr(run, "spread", run.spread)
    monkeypatch.setattr(run.spread, "forward", refuse)
    with pytest.raises(ModelError, match=r"step 0 does not fit into memory.*optim.accumulate"):
        train(run, texts, 2, lambda step, total, losses: None)


def test_batch_that_ranks_and_parts_cannot_share_is_refused(described, tmp_path):
    run = begin(described, load_config(None, [*TINY, "optim.accumulate=3"]), tmp_path / "odd")
    with pytest.raises(ConfigError, match="8 tiles cannot be shared by 1 ranks in 3 parts"):
        train(run, training_texts(described, run.tokenizer, 0), 2, lambda step, total, losses: None)


def test_bfloat16_and_checkpointed_activations_learn_nearly_the_same(described, tmp_path):
    told = []
    for name, overrides in (
        ("plain", ()),
        ("saving", ("activation_checkpointing=true",)),
        ("half", ("precision=bfloat16",)),
    ):
        run = begin(described, load_config(None, [*TINY, "loss.contrast_first=0", *overrides]), tmp_path / name)
        train(run, training_texts(described, run.tokenizer, 0), 2, lambda step, total, losses: None)
        told.append([json.loads(line)["total"] for line in (run.out / "losses.jsonl").read_text().splitlines()])
    assert told[1] == pytest.approx(told[0], rel=1e-5)
    assert told[2] == pytest.approx(told[0], rel=0.03)
    assert told[2] != told[0]


def test_average_of_weights_is_the_one_pytorch_keeps():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 3)
    truth = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    mine = Average(model, 0.9)
    truth.update_parameters(model)
    for _ in range(5):
        with torch.no_grad():
            model.weight.add_(torch.randn(3, 3))
        truth.update_parameters(model)
        # late enough for the decay to be the one asked for
        mine.update(model, 1000)
    assert torch.allclose(mine.weights["weight"], truth.module.weight, atol=1e-6)


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
    with pytest.raises(ModelError, match="step-00000003: cannot be loaded"):
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


def test_stable_schedule_stays_at_its_peak_until_it_decays():
    config = OptimConfig(schedule="wsd", warmup=0.1, decay=0.2)
    rates = [schedule(step, 100, config) for step in range(100)]
    assert all(rate == 1.0 for rate in rates[9:81])
    # 1 - sqrt, halfway through the decay
    assert rates[90] == pytest.approx(0.01 + 0.99 * (1 - 0.5**0.5))
    assert rates[99] < 0.05


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


def test_tensorboard_has_every_step_once_after_a_resume(described, tmp_path):
    # TFRecord framing and protobuf, read by tensorboardX's own messages rather than by its writer
    from tensorboardX.proto.event_pb2 import Event

    config = load_config(None, [*TINY, "checkpoint_every=2"])
    for stop in (2, 4):
        run = begin(described, config, tmp_path / "run")
        train(run, training_texts(described, run.tokenizer, 0), stop, lambda step, total, losses: None)
    told = {}
    for file in sorted((tmp_path / "run" / "tensorboard").iterdir()):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                told.setdefault(value.tag, []).append((event.step, value.simple_value))
    lines = [json.loads(line) for line in (tmp_path / "run" / "losses.jsonl").read_text().splitlines()]
    assert [step for step, _ in told["loss/itc"]] == [1, 2, 3, 4]
    assert [value for _, value in told["loss/itc"]] == pytest.approx([line["itc"] for line in lines])


def test_tracker_that_is_not_installed_is_named(described, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    run = begin(described, load_config(None, [*TINY, "tracker=trackio"]), tmp_path / "run")
    with pytest.raises(ConfigError, match="pip install trackio"):
        train(run, training_texts(described, run.tokenizer, 0), 2, lambda step, total, losses: None)


def test_tracker_hears_of_every_step(described, tmp_path, monkeypatch):
    told = []
    service = SimpleNamespace(
        init=lambda **run: told.append(run["name"]),
        log=lambda values, step: told.append((step, sorted(values))),
        finish=lambda: told.append("end"),
    )
    monkeypatch.setitem(sys.modules, "wandb", service)
    run = begin(described, load_config(None, [*TINY, "tracker=wandb"]), tmp_path / "run")
    train(run, training_texts(described, run.tokenizer, 0), 1, lambda step, total, losses: None)
    assert told == ["run", (1, ["gradient_norm", "itc", "itm", "lr", "mlm", "seconds", "total"]), "end"]
