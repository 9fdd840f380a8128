"""`run`: every task of a suite on every model; rows that are there already are not computed again."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from knowlip.bench.models import BenchModel
from knowlip.bench.models.control import HandMade
from knowlip.bench.models.knowlip import KnowLIPModel
from knowlip.bench.tasks import Row, retrieval, vqa
from knowlip.core.errors import ConfigError, CorpusError
from knowlip.core.folder import Folder
from knowlip.corpus.store import Corpus

Task = Callable[[Corpus, BenchModel], list[Row]]

TASKS: dict[str, Task] = {
    "retrieval": retrieval.run,
    "main landform": vqa.main_landform,
    "all landforms": vqa.all_landforms,
    "count": vqa.count,
}
SUITES: dict[str, tuple[str, ...]] = {
    "core": tuple(TASKS),
    "retrieval": ("retrieval",),
    "questions": ("main landform", "all landforms", "count"),
}
CONTROLS = ("control-histogram", "control-hog", "control-hog+histogram")

Progress = Callable[[int, int, str], None]


def run(
    corpus: Corpus, suite: str, models: Sequence[str], out: str, progress: Progress = lambda done, total, name: None
) -> list[Row]:
    """Run a suite and write `results.json` and `results.csv`.

    Args:
        suite: A name in `SUITES`.
        models: Names of `CONTROLS`, or folders of pretrained models.
        out: Folder for results; an interrupted run goes on there.

    Raises:
        ConfigError: Unknown suite, or a model that is neither a control nor a folder.
        CorpusError: The corpus has no test split, or `out` holds results of another corpus.
        ModelError: A model folder cannot be opened.
        OutputError: `out` cannot be written.
    """
    if suite not in SUITES:
        raise ConfigError(f"--suite {suite}", "no such suite", f"Choose one of {', '.join(SUITES)}")
    if not models:
        raise ConfigError("--models", "names no model", f"Give model folders or {', '.join(CONTROLS)}")
    for name in models:
        if name not in CONTROLS and not Path(name).exists():
            raise ConfigError(
                f"--models {name}", "is neither a control nor a folder", f"Controls: {', '.join(CONTROLS)}"
            )
    if not corpus.tile_ids("test") or not corpus.tile_ids("train"):
        raise CorpusError(
            corpus.folder.path(), "has no test or no training split", "Build a corpus of scenes of several places"
        )
    folder = Folder(out)
    rows = _before(folder, corpus)
    done = 0
    for name in models:
        identity = name if name in CONTROLS else f"knowlip:{Path(name).name}"
        todo = [t for t in SUITES[suite] if (t, identity) not in {(r.task, r.model) for r in rows}]
        done += len(SUITES[suite]) - len(todo)
        model: BenchModel | None = None
        for task in todo:
            model = model or (HandMade(name.removeprefix("control-")) if name in CONTROLS else KnowLIPModel(name))
            progress(done, len(models) * len(SUITES[suite]), f"{identity}: {task}")
            rows += TASKS[task](corpus, model)
            _write(folder, corpus, rows)
            done += 1
    progress(done, done, "")
    _write(folder, corpus, rows)
    return rows


def _before(folder: Folder, corpus: Corpus) -> list[Row]:
    if not folder.exists("results.json"):
        return []
    known = folder.read_json("results.json")
    if known["corpus"] != corpus.info["fingerprint"]:
        raise CorpusError(folder.path(), "holds results of another corpus", "Choose another --out, or remove it")
    return [Row(**r) for r in known["rows"]]


def _write(folder: Folder, corpus: Corpus, rows: Sequence[Row]) -> None:
    splits = {s: len(corpus.tile_ids(s)) for s in ("train", "val", "test")}
    folder.write_json(
        "results.json", {"corpus": corpus.info["fingerprint"], "tiles": splits, "rows": [vars(r) for r in rows]}
    )
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(Row.__dataclass_fields__), lineterminator="\n")
    table.writeheader()
    table.writerows(vars(r) for r in rows)
    folder.write_bytes("results.csv", text.getvalue().encode())
