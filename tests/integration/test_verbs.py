"""Every verb as a person runs it, from simulated scenes to a search answer."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from knowlip.cli.app import main
from pipeline_fixtures import TINY


def call(capsys, *args):
    """Run a verb; returns its exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as exit_:
        main([str(a) for a in args])
    out, err = capsys.readouterr()
    return exit_.value.code, out, err


def ok(capsys, *args):
    code, out, err = call(capsys, *args, "--json")
    assert code == 0, err
    return json.loads(out)


def test_the_whole_way(capsys, tmp_path):
    scenes, corpus, model, results = (tmp_path / n for n in ("scenes", "corpus", "model", "results"))
    assert (
        len(ok(capsys, "simulate", "--cities", 6, "--size", 512, "--seed", 3, "--out", scenes, "-j", 1)["scenes"]) == 6
    )
    built = ok(capsys, "corpus", "build", scenes, "--out", corpus, "--tile-size", 128, "-j", 1)
    assert built["tiles"] == 96
    assert min(built["train_tiles"], built["test_tiles"]) > 0
    assert ok(capsys, "corpus", "validate", corpus)["problems"] == []
    assert ok(capsys, "corpus", "info", corpus)["counts"]["scenes"] == 6
    described = ok(capsys, "annotate", corpus, "--sources", "places", "-j", 1)
    assert described["statements"] > 500
    trained = ok(capsys, "pretrain", corpus, "--out", model, *(f"--set={v}" for v in TINY))
    assert trained["steps"] == 10
    assert trained["scio"]["slots"] > 0
    rows = ok(capsys, "bench", "run", corpus, "--models", model, "--out", results)["rows"]
    assert {r["model"] for r in rows} >= {"knowlip:model", "control-hog", "control-histogram"}
    code, out, _ = call(capsys, "bench", "report", results)
    assert code == 0
    assert "mean recall" in out
    hits = ok(capsys, "search", corpus, "open water", "--model", model)["hits"]
    assert len(hits) == 5
    assert {"score", "lon_deg", "lat_deg", "place"} <= hits[0].keys()
    # the index remembers its model
    assert ok(capsys, "search", corpus, "open water")["hits"] == hits


def test_each_finished_verb_run_again_changes_nothing(capsys, trained):
    _, corpus, model = trained
    files = {p: p.stat().st_mtime_ns for p in model.iterdir()}
    assert ok(capsys, "annotate", corpus.folder.path(), "--sources", "places,airports")["already_complete"]
    ok(capsys, "pretrain", corpus.folder.path(), "--out", model, *(f"--set={v}" for v in TINY))
    assert {p: p.stat().st_mtime_ns for p in model.iterdir()} == files


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("annotate", "{tmp}/nowhere"), "no such folder"),
        (("annotate", "{tmp}"), "not a corpus"),
        (("annotate", "{corpus}", "--engine", "oracle"), "no such engine"),
        (("annotate", "{corpus}", "--sources", "rumour"), "no such source"),
        (("annotate", "{corpus}", "--sources", "places"), "other settings"),
        (("pretrain", "{tmp}/nowhere", "--out", "{tmp}/m"), "no such folder"),
        (("pretrain", "{corpus}", "--out", "{tmp}/m", "--preset", "giant"), "giant"),
        (("pretrain", "{corpus}", "--out", "{tmp}/m", "--set", "optim.stepz=3"), "Did you mean"),
        (("pretrain", "{corpus}", "--out", "{tmp}/m", "--config", "{tmp}/none.yaml"), "no such file"),
        (("pretrain", "{corpus}", "--out", "{file}"), "file is where a folder should be"),
        (
            ("bench", "run", "{corpus}", "--models", "{tmp}/nowhere", "--out", "{tmp}/r"),
            "neither a control nor a folder",
        ),
        (
            ("bench", "run", "{corpus}", "--models", "{model}", "--suite", "olympics", "--out", "{tmp}/r"),
            "no such suite",
        ),
        (("bench", "report", "{tmp}/nowhere"), "no benchmark results"),
        (("index", "{corpus}", "--model", "{tmp}/nowhere"), "no such model folder"),
        (("search", "{corpus}", "water"), "no search index"),
        (("search", "{corpus}", " ", "--model", "{model}"), "is empty"),
        (("simulate", "--out", "{tmp}/s", "--city", "Atlantis"), "Atlantis"),
        (("simulate", "--out", "{tmp}/s", "--sensor", "eyes"), "eyes"),
        (("simulate", "--out", "{tmp}/s", "--size", "0"), "256"),
        (("simulate",), "--out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, trained, tmp_path, args, says):
    _, corpus, model = trained
    (tmp_path / "afile").write_text("x")
    names = {"tmp": tmp_path, "corpus": corpus.folder.path(), "model": model, "file": tmp_path / "afile"}
    code, _, err = call(capsys, *(a.format(**names) for a in args))
    assert code == 2
    assert says in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_damaged_model_is_refused_by_name(capsys, trained):
    _, corpus, model = trained
    (model / "model.safetensors").write_bytes(b"torn")
    code, _, err = call(capsys, "index", corpus.folder.path(), "--model", model)
    assert code == 2
    assert "model" in err
    assert "Traceback" not in err


def interrupted(args, ready, timeout_s=90):
    """Start a verb in its own process, interrupt it once `ready()` is true; its exit code and error text."""
    command = [sys.executable, "-m", "knowlip.cli.app", *map(str, args)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + timeout_s
    while not ready() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    return process.returncode, err


def test_interrupted_pretraining_says_so_and_keeps_its_checkpoint(described, tmp_path):
    out = tmp_path / "model"
    args = [
        "pretrain",
        described.folder.path(),
        "--out",
        out,
        "--set",
        "checkpoint_every=2",
        "--set",
        "data.batch_size=8",
    ]
    code, err = interrupted([*args, "--set", "threads=1"], lambda: bool(list((out / "checkpoint").glob("step-*"))))
    assert code == 130
    assert err.strip() == "interrupted; the same command goes on where it stopped"
    assert not list(out.rglob("*.part"))
    assert len(list((out / "checkpoint").glob("step-*"))) >= 1


def test_interrupted_annotation_goes_on(capsys, simulated_scenes, tmp_path):
    corpus = tmp_path / "corpus"
    ok(capsys, "corpus", "build", simulated_scenes, "--out", corpus, "--tile-size", 128, "-j", 1)
    args = ["annotate", corpus, "--sources", "places", "-j", "1"]
    code, err = interrupted(args, lambda: bool(list((corpus / ".annotate").glob("*.facts.parquet"))))
    assert (code, err.strip()) == (130, "interrupted; the same command goes on where it stopped")
    assert ok(capsys, *args)["tiles"] == 96
    assert not (corpus / ".annotate").exists()
    assert not list(corpus.rglob("*.part"))
