"""How fast `knowlip annotate` describes tiles by evidence, and what it spends its time on.

    python benchmarks/annotation.py [--quick]

Two corpora of simulated Sentinel-1 scenes, 16 tiles of 256 pixels each: VV and VH calibrated, and VH at 8 bits with an
unknown scale, as quick looks are. Each is described in a process of its own with one and with two workers, in turns;
the best of several rounds counts, and both have to write the same bytes. Beside it stands the time that reading the
same tiles takes, which no description can do without. The start, until the first scene is done, is told apart from the
rate of the scenes after it: gazetteers and rules load once, and workers start. The coastline and the climate grid, 8 s
and 2 s once a run, are not asked. Shares of steps are of processor time, in one process. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from hcot import as_8_bit
from knowlip.core.parallel import default_workers
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.store import Corpus, open_corpus
from knowlip.hcot.annotate import annotate, views
from knowlip.hcot.engines.description import described
from knowlip.hcot.steps import CHAIN
from knowlip.hcot.surface import caption_rows, question_rows
from knowlip.hcot.view import Facts
from knowlip.simulation.simulate import simulate

SOURCES = ("places", "airports")
STEPS = ("pixels", "coordinates", "place", "backscatter", "targets", "calibration")
"""The chain's steps 0 to 5, in a reader's words."""
WORKERS = (1, 2)
SHOWN = ("tiles_per_s", "statements_per_s", "start_s", "s", "peak_mb")

Result = TypeVar("Result")


def corpora(work: Path, scenes: int) -> dict[str, Path]:
    """The two corpora, not yet described."""
    simulate(work / "scenes", scenes, 1, "sentinel1-iw", 1024, 7, workers=default_workers())
    as_8_bit(work / "scenes", work / "bytes")
    config = BuildConfig(tiles=TileSpec(tile_size=256))
    found = {"calibrated": work / "scenes", "8 bits": work / "bytes"}
    for name, source in found.items():
        build_corpus([str(source)], str(work / name), config)
    return {name: work / name for name in found}


def run_alone(corpus: Path, workers: int) -> dict[str, float]:
    """Describe a corpus, as a process of its own is asked to: rates after the first scene, seconds, peak memory."""
    opened = open_corpus(str(corpus))
    started = time.perf_counter()
    at: list[float] = []
    done = annotate(opened, sources=SOURCES, workers=workers, progress=lambda *_: at.append(time.perf_counter()))
    ended = time.perf_counter()
    # the first call says that the run begins, the second that a scene is done
    later = (1 - 1 / len(opened.scenes)) / (ended - at[1])
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "tiles": done.tiles,
        "statements": done.statements,
        "tiles_per_s": done.tiles * later,
        "statements_per_s": done.statements * later,
        "start_s": at[1] - started,
        "s": ended - started,
        "peak_mb": max(peaks) / 1024,
    }


def in_process(corpus: Path, workers: int, out: Path) -> tuple[dict[str, float], dict[str, bytes]]:
    """Figures of `run_alone` on a copy of a corpus, and the tables that it wrote."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(corpus, out)
    command = [sys.executable, __file__, "--alone", str(out), "--workers", str(workers)]
    figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    tables = sorted([*out.glob("*.parquet"), *out.glob("statements/*/*.parquet")])
    return figures, {str(t.relative_to(out)): t.read_bytes() for t in tables}


def reading(corpus: Path) -> float:
    """Seconds that reading every tile takes."""
    opened = open_corpus(str(corpus))
    ids = opened.tile_ids()
    opened.pixels(ids[0])
    started = time.perf_counter()
    for tile_id in ids:
        opened.pixels(tile_id)
    return time.perf_counter() - started


def step_times(corpus: Corpus) -> dict[str, float]:
    """Milliseconds of processor time a tile for each part of its description; no table is written."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[[], Result]) -> Result:
        started = time.process_time()
        result = function()
        spent[name] += time.process_time() - started
        return result

    tiles = views(corpus, SOURCES)
    # gazetteers, rules and phrases are read with the first
    next(tiles)
    while (view := timed("reading, level", lambda: next(tiles, None))) is not None:
        facts = Facts()
        timed("land cover", lambda v=view: v.cover)
        for name, step in zip(STEPS, CHAIN, strict=True):
            facts.add(timed(name, lambda s=step, v=view, f=facts: s(v, f)))
        timed("statements", lambda v=view, f=facts: described(v.tile_id, f))
        timed("captions, questions", lambda v=view, f=facts: (caption_rows(v.tile_id, f), question_rows(v.tile_id, f)))
    return {name: 1000 * s / (len(corpus.tiles) - 1) for name, s in spent.items()}


def measured(corpus: Path, work: Path, rounds: int) -> dict[str, Any]:
    """All figures of one corpus."""
    best: dict[int, dict[str, float]] = {}
    written: list[dict[str, bytes]] = []
    read_s = float("inf")
    for _ in range(rounds):
        read_s = min(read_s, reading(corpus))
        for workers in WORKERS:
            figures, tables = in_process(corpus, workers, work / "copy")
            best[workers] = min(best.get(workers, figures), figures, key=lambda f: -f["tiles_per_s"])
            written.append(tables)
    if any(tables != written[0] for tables in written):
        raise RuntimeError(f"{corpus.name}: runs wrote different tables")
    out: dict[str, Any] = {"tiles": best[1]["tiles"], "statements": best[1]["statements"]}
    for workers, figures in best.items():
        out[f"workers_{workers}"] = {k: round(figures[k], 1) for k in SHOWN}
    out["two_over_one"] = round(best[2]["tiles_per_s"] / best[1]["tiles_per_s"], 2)
    out["reading_tiles_per_s"] = round(out["tiles"] / read_s, 1)
    runs = [step_times(open_corpus(str(corpus))) for _ in range(rounds)]
    out["ms_per_tile"] = {name: round(min(r[name] for r in runs), 2) for name in runs[0]}
    return out


def show(name: str, figures: dict[str, Any]) -> None:
    print(f"\n{name}: {figures['tiles']} tiles, {figures['statements']} statements")
    print(f"{'':16}{'tiles/s':>9}{'statements/s':>14}{'start, s':>10}{'whole, s':>10}{'peak MB':>9}")
    for workers in WORKERS:
        rate, said, start, whole, peak = (figures[f"workers_{workers}"][k] for k in SHOWN)
        name = f"{workers} worker{'s' * (workers > 1)}"
        print(f"{name:16}{rate:9.1f}{said:14.0f}{start:10.1f}{whole:10.1f}{peak:9.0f}")
    print(f"{'reading alone':16}{figures['reading_tiles_per_s']:9.1f}")
    total = sum(figures["ms_per_tile"].values())
    print(f"one process, {total:.1f} ms of processor time a tile, {1000 / total:.1f} tiles/s, without writing tables:")
    for step, ms in figures["ms_per_tile"].items():
        print(f"  {step:22}{ms:7.2f} ms{ms / total:7.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the evidence engine.")
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(run_alone(options.alone, options.workers)))
        return
    figures = {}
    with TemporaryDirectory() as folder:
        work = Path(folder)
        for name, corpus in corpora(work, 4 if options.quick else 32).items():
            figures[name] = measured(corpus, work, 2 if options.quick else 3)
            show(name, figures[name])
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
