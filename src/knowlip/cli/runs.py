"""`knowlip runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowlip.cli.common import AsJson, show

app = typer.Typer(no_args_is_help=True, help="Pretraining runs beside each other.")


@app.callback()
def options() -> None:
    """Pretraining runs beside each other."""


@app.command("compare")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN…", help="Folders of runs, finished or not.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Draw the losses into this picture.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: settings that differ, rates, last losses, and curves."""
    from knowlip.training.compare import plot, read_run, table

    found = [read_run(run) for run in runs]
    rows = table(found)
    if out is not None:
        plot(found, out)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    answer = {run.name: {"settings": run.settings, "figures": run.figures()} for run in found}
    show(answer, as_json, "\n".join(lines))
