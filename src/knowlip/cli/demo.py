"""`knowlip demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowlip.cli.common import AsJson, Quiet, Workers, processes, show


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for all that the demonstration makes.")] = Path(
        "demo"
    ),
    data: Annotated[
        Path | None, typer.Option(envvar="KNOWLIP_DATA", help="Folder with real scenes in `s1_scenes`.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML configuration of the pretraining.")] = None,
    workers: Workers = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Do the main job once: scenes, corpus, statements, pretraining with SCIO, benchmark, search, report."""
    from knowlip.demo.run import run

    summary, last_words = run(out, data, config, processes(workers), quiet)
    show(summary, as_json, last_words)
