"""A corpus at the scale of the reference: time, memory and disk of `configs/corpus/geovl.yaml`, simulated and stored.

    python benchmarks/geovl.py [--quick] [--out FOLDER]

Runs `knowlip corpus build` as a user would and watches it: wall time, the largest sum of its processes' memory (the
proportional set size, in which what processes share counts once), and bytes on disk. `--quick` orders two cities and
one scene a city of each sensor. The full run needs two processors, 12 GB of disk and the better part of an hour; with
`--out` the corpus is kept, and a run that was stopped goes on. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

CONFIG = Path(__file__).parents[1] / "configs" / "corpus" / "geovl.yaml"
POLL_S = 0.5


def processes_of(root: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        try:
            fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(entry))
        except (OSError, ValueError, IndexError):
            continue
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def memory_mib(root: int) -> float:
    """Memory of a process and all below it, shared pages counted once."""
    total = 0
    for process in processes_of(root):
        try:
            lines = Path("/proc", str(process), "smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total / 1024


def disk_gb(folder: Path) -> tuple[float, float]:
    """Bytes of the files, and of the blocks that they take, in GB."""
    sizes = [f.stat() for f in folder.rglob("*") if f.is_file()]
    return sum(s.st_size for s in sizes) / 1e9, sum(s.st_blocks * 512 for s in sizes) / 1e9


def orders(quick: bool) -> list[str]:
    """What is set beside the configuration."""
    if not quick:
        return []
    simulate = [s | {"cities": 2, "scenes_per_city": 1} for s in yaml.safe_load(CONFIG.read_text())["simulate"]]
    return ["--set", f"simulate={json.dumps(simulate)}"]


def measured(out: Path, quick: bool) -> dict[str, float]:
    """Build, and watch it."""
    program = [sys.executable, "-m", "knowlip.cli.app", "corpus", "build", "--config", str(CONFIG), "--out", str(out)]
    started, peak = time.perf_counter(), 0.0
    build = subprocess.Popen([*program, "--json", "--workers", "2", *orders(quick)], stdout=subprocess.PIPE, text=True)
    while build.poll() is None:
        peak = max(peak, memory_mib(build.pid))
        time.sleep(POLL_S)
    seconds = time.perf_counter() - started
    if build.returncode or build.stdout is None:
        raise SystemExit(build.returncode or 1)
    counts = json.loads(build.stdout.read())
    apparent, taken = disk_gb(out)
    return {
        "tiles": counts["tiles"],
        "scenes": counts["scenes"],
        "minutes": round(seconds / 60, 2),
        "tiles_per_s": round(counts["tiles"] / seconds, 1),
        "peak_mib": round(peak),
        "disk_gb": round(apparent, 3),
        "disk_blocks_gb": round(taken, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A corpus at the scale of the reference.")
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--out", type=Path, help="keep the corpus in this folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(given.out or Path(folder) / "corpus", given.quick)
    for name, value in figures.items():
        print(f"{name:16}{value:>12}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
