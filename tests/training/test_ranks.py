import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from one_rank import main as one_rank
from torch.distributed.checkpoint import FileSystemReader

STEPS = ("data.batch_size=8", "optim.steps=4", "checkpoint_every=2", "scio.rounds=0", "threads=1")
# AdamW: Muon orthogonalises in bfloat16, which makes much of the last bit of a sum
PLAIN = (*STEPS, "optim.optimizer=adamw", "loss.contrast_first=0", "optim.learning_rate=1e-4")


def ranks(n, corpus, runs):
    """Run some steps on n processes, as torchrun would start them; exit codes and what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {
        "WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    command = [sys.executable, str(Path(__file__).with_name("one_rank.py")), corpus, json.dumps(runs)]
    started = [
        subprocess.Popen(
            command, env=shared | {"RANK": str(i), "LOCAL_RANK": str(i)}, stderr=subprocess.PIPE, text=True
        )
        for i in range(n)
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    return [process.returncode for process in started], said


def losses(out):
    return [json.loads(line) for line in (Path(out) / "losses.jsonl").read_text().splitlines()]


def assert_same_losses(a, b):
    assert [line["step"] for line in a] == [line["step"] for line in b]
    for one, two in zip(a, b, strict=True):
        for name in ("itc", "itm", "mlm", "total", "contrast", "lm"):
            assert one.get(name) == pytest.approx(two.get(name), abs=1e-4), (name, one, two)


@pytest.fixture(scope="module")
def corpus(_described, tmp_path_factory):
    return str(shutil.copytree(_described, tmp_path_factory.mktemp("ranks") / "corpus"))


@pytest.fixture(scope="module")
def two_ranks(corpus, tmp_path_factory):
    """Runs on two ranks, all made by the same two processes."""
    folder = tmp_path_factory.mktemp("two")
    runs = {
        "knowlip": (4, PLAIN),
        "fsdp": (3, (*PLAIN, "sharding=fsdp")),
        "parts": (2, (*PLAIN, "optim.accumulate=2", "activation_checkpointing=true")),
        "half": (2, PLAIN),
        "blip": (2, (*PLAIN, "objective=blip")),
        "mocov3": (2, (*PLAIN, "objective=mocov3")),
        "queue": (3, (*PLAIN, "loss.queue=12")),
        # the second rank dies in it, which ends all
        "lost": (4, PLAIN),
    }
    codes, said = ranks(2, corpus, [(str(folder / n), stop, overrides) for n, (stop, overrides) in runs.items()])
    assert codes == [1, 9], said
    (folder / "said.txt").write_text(said[0])
    return folder


@pytest.fixture(scope="module")
def one(corpus, tmp_path_factory):
    """The same runs on one rank, made when asked for."""
    folder = tmp_path_factory.mktemp("one")

    def run(name, stop, *overrides):
        one_rank(corpus, json.dumps([(str(folder / name), stop, (*PLAIN, *overrides))]))
        return losses(folder / name)

    return run


def test_two_ranks_have_the_losses_of_one(two_ranks, one):
    assert_same_losses(losses(two_ranks / "knowlip"), one("knowlip", 4))


def test_sharded_weights_have_the_losses_of_whole_ones(two_ranks):
    assert_same_losses(losses(two_ranks / "fsdp"), losses(two_ranks / "knowlip")[:3])


@pytest.mark.parametrize("name", ["blip", "mocov3"])
def test_controls_have_the_losses_of_one_rank(two_ranks, one, name):
    assert_same_losses(losses(two_ranks / name), one(name, 2, f"objective={name}"))


def test_queue_of_two_ranks_is_that_of_one(two_ranks, one):
    assert_same_losses(losses(two_ranks / "queue"), one("queue", 3, "loss.queue=12"))


def test_a_step_in_parts_has_the_contrast_of_a_whole_one(two_ranks):
    # in the first step, before the draws of matching in each part have moved the weights
    parts, whole = losses(two_ranks / "parts")[0], losses(two_ranks / "knowlip")[0]
    assert parts["itc"] == pytest.approx(whole["itc"], abs=1e-4)


def test_run_goes_on_with_another_number_of_ranks(corpus, two_ranks, tmp_path):
    # in the midst of its first epoch, which has six steps
    out = shutil.copytree(two_ranks / "half", tmp_path / "half")
    one_rank(corpus, json.dumps([(str(out), 4, PLAIN)]))
    assert_same_losses(losses(out), losses(two_ranks / "knowlip"))
    state = json.loads((out / "checkpoint" / "step-00000004" / "state.json").read_text())
    assert state == {"step": 4, "ranks": 1}


def test_sharded_run_goes_on_whole_on_one_rank(corpus, two_ranks, tmp_path):
    out = shutil.copytree(two_ranks / "fsdp", tmp_path / "fsdp")
    one_rank(corpus, json.dumps([(str(out), 4, PLAIN)]))
    assert_same_losses(losses(out), losses(two_ranks / "knowlip"))


def test_lost_rank_is_told_and_its_run_goes_on(corpus, two_ranks, tmp_path):
    said = (two_ranks / "said.txt").read_text()
    assert "another rank was lost in step 3" in said
    out = shutil.copytree(two_ranks / "lost", tmp_path / "lost")
    assert [p.name for p in (out / "checkpoint").glob("step-*")] == ["step-00000002"]
    one_rank(corpus, json.dumps([(str(out), 4, PLAIN)]))
    assert_same_losses(losses(out), losses(two_ranks / "knowlip"))


def test_checkpoint_is_readable_by_torch_alone(two_ranks):
    names = FileSystemReader(two_ranks / "knowlip" / "checkpoint" / "step-00000004").read_metadata().state_dict_metadata
    assert "weights.model.vit.cls_token" in names
    assert "optimizer0.exp_avg.model.vit.cls_token" in names
