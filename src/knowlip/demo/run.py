"""The demonstration: simulated scenes, and real ones where they are, through every verb to a report."""

from __future__ import annotations

import importlib.resources
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from knowlip.bench.runner import CONTROLS
from knowlip.bench.runner import run as run_bench
from knowlip.bench.tasks import Row
from knowlip.core.folder import Folder
from knowlip.core.progress import progress_bar
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.store import Corpus, open_corpus
from knowlip.demo.report import write_report
from knowlip.hcot.annotate import annotate
from knowlip.model.embedder import load_embedder
from knowlip.scio.loop import pretrain
from knowlip.search.index import build_index, index_is_current, search
from knowlip.simulation.simulate import simulate
from knowlip.training.config import load_config

CITIES, SCENE_PX, SENSOR, SEED = 40, 1024, "sentinel1-iw", 7
QUERIES = (
    "ships on the sea near a harbour",
    "dense buildings in a city",
    "farmland with few buildings",
    "woodland on hilly terrain",
    "a river crossing a plain",
    "open water",
    "an airport beside a town",
    "a lake in the lower left",
    "many ships",
    "bare ground without roads",
)


def real_scenes(data: Path | None) -> Path | None:
    """The folder of real Sentinel-1 scenes: in the folder given, or in `../shared/data` beside the project."""
    for base in (data, Path.cwd().parent / "shared" / "data"):
        if base is not None and (base / "s1_scenes").is_dir():
            return base / "s1_scenes"
    return None


def run(out: Path, data: Path | None, config: Path | None, workers: int, quiet: bool) -> tuple[dict[str, Any], str]:
    """Run everything; a stopped run goes on where it was.

    Returns:
        The summary, which is also in `summary.json`, and what to tell a person.
    """
    seconds: dict[str, float] = {}

    def bar(label: str) -> AbstractContextManager[Callable[[int, int, str], None]]:
        return progress_bar(label, quiet)

    with _timed(seconds, "simulate"), bar("simulating cities") as show:
        scenes = simulate(
            out / "scenes",
            CITIES,
            1,
            SENSOR,
            SCENE_PX,
            SEED,
            workers=workers,
            progress=lambda done, total: show(done, total, ""),
        )
    real = real_scenes(data)
    with _timed(seconds, "corpus"), bar("building the corpus") as show:
        inputs = [out / "scenes", *([real] if real else [])]
        built = build_corpus(
            inputs, str(out / "corpus"), BuildConfig(name="demo", licence="CC-BY-4.0"), workers=workers, progress=show
        )
    with _timed(seconds, "annotate"), bar("describing the tiles") as show:
        annotate(built.corpus, workers=workers, progress=show)
    corpus = open_corpus(str(out / "corpus"))
    settings = load_config(config or Path(str(importlib.resources.files("knowlip.demo") / "demo.yaml")))
    with _timed(seconds, "pretrain"), bar("pretraining") as show:
        trained = pretrain(
            corpus, settings, out / "model", lambda s, n, losses: show(s, n, f"loss {losses['total']:.2f}")
        )
    with _timed(seconds, "bench"), bar("benchmark") as show:
        rows = run_bench(corpus, "core", [str(out / "model"), *CONTROLS], str(out / "bench"), show)
    with _timed(seconds, "search"), bar("search index") as show:
        search_ms = _search_ms(corpus, out / "model", show)
    summary = _summary(corpus, len(scenes), trained.train_seconds, rows, trained.scio, search_ms, seconds)
    Folder(str(out)).write_json("summary.json", summary)
    write_report(out, corpus, rows, summary, QUERIES[0])
    return summary, _last_words(out, summary)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - started, 1)


def _search_ms(corpus: Corpus, model: Path, show: Callable[[int, int, str], None]) -> float:
    """Median time of a query, milliseconds, index and model loaded."""
    embedder = load_embedder(model)
    if not index_is_current(corpus, embedder):
        build_index(corpus, embedder, show)
    search(corpus, embedder, QUERIES[0])
    took = []
    for query in QUERIES * 2:
        started = time.perf_counter()
        search(corpus, embedder, query)
        took.append((time.perf_counter() - started) * 1000)
    return round(float(np.median(took)), 1)


def _summary(
    corpus: Corpus,
    simulated: int,
    train_seconds: float,
    rows: list[Row],
    scio: Any,
    search_ms: float,
    seconds: dict[str, float],
) -> dict[str, Any]:
    ours = {(r.task, r.metric): r for r in rows if r.model.startswith("knowlip:")}

    def best_control(task: str, metric: str) -> float | None:
        values = [r.value for r in rows if r.task == task and r.metric == metric and r.model in CONTROLS]
        return round(max(values), 4) if values else None

    def figure(task: str, metric: str, field: str = "value") -> float | None:
        row = ours.get((task, metric))
        return round(float(getattr(row, field)), 4) if row else None

    counts = corpus.info["counts"]
    return {
        "tiles": counts["tiles"],
        "scenes": counts["scenes"],
        "real_scenes": counts["scenes"] - counts["simulated_scenes"],
        "statements": corpus.info["annotation"]["counts"]["statements"],
        "facts": corpus.info["annotation"]["counts"]["facts"],
        "train_seconds": train_seconds,
        "retrieval.mean_recall": figure("retrieval", "mean recall"),
        "retrieval.chance": figure("retrieval", "mean recall", "chance"),
        "retrieval.control": best_control("retrieval", "mean recall"),
        "vqa.main_landform": figure("main landform", "accuracy"),
        "vqa.main_landform_chance": figure("main landform", "accuracy", "chance"),
        "vqa.main_landform_control": best_control("main landform", "accuracy"),
        "vqa.all_landforms": figure("all landforms", "accuracy"),
        "vqa.all_landforms_chance": figure("all landforms", "accuracy", "chance"),
        "vqa.all_landforms_control": best_control("all landforms", "accuracy"),
        "vqa.count": figure("count", "accuracy"),
        "vqa.count_chance": figure("count", "accuracy", "chance"),
        "vqa.count_control": best_control("count", "accuracy"),
        "scio.slots": scio.slots if scio else 0,
        "scio.screened": scio.screened if scio else 0,
        "scio.rebuilt": scio.rebuilt if scio else 0,
        "scio.masked": scio.masked if scio else 0,
        "search_ms_p50": search_ms,
        "seconds": seconds,
    }


def _last_words(out: Path, s: dict[str, Any]) -> str:
    def beside(key: str) -> str:
        return (
            f"{s[key]:.3f} (chance {s[key + '_chance']:.3f}, best control {s[key + '_control']:.3f})"
            if s[key] is not None
            else "not asked"
        )

    return "\n".join(
        [
            f"{s['tiles']} tiles of {s['scenes']} scenes ({s['real_scenes']} real), "
            f"{s['statements']} statements, {s['facts']} facts: {out}/corpus",
            f"model pretrained in {s['train_seconds']:.0f} s, SCIO found {s['scio.screened']} doubtful slots "
            f"and rebuilt {s['scio.rebuilt']} statements: {out}/model",
            "on places never trained on:",
            f"  retrieval mean recall {s['retrieval.mean_recall']:.3f} "
            f"(chance {s['retrieval.chance']:.3f}, best control {s['retrieval.control']:.3f})",
            f"  main landform         {beside('vqa.main_landform')}",
            f"  all landforms         {beside('vqa.all_landforms')}",
            f"  count                 {beside('vqa.count')}",
            f"report: {out}/report.html",
            "next: . .venv/bin/activate",
            f'      knowlip search {out}/corpus "ships near the coast"',
            "      knowlip corpus build YOUR_SCENE.tif --out my-corpus && knowlip annotate my-corpus",
            f'      knowlip search my-corpus "buildings beside water" --model {out}/model',
        ]
    )
