"""What the verbs share: options, progress, output."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Out = Annotated[str, typer.Option("--out", "-o", help="Folder or fsspec URL to write to.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Workers = Annotated[int, typer.Option("--workers", "-j", min=0, help="Processes; 0 takes every processor.")]
CorpusArgument = Annotated[str, typer.Argument(metavar="CORPUS", help="Folder or URL of a corpus.", show_default=False)]


def processes(workers: int) -> int:
    """The number of processes that `--workers` asks for."""
    from knowlip.core.parallel import default_workers

    return workers or default_workers()


def show(value: Any, as_json: bool, text: str) -> None:
    """Print an answer: one JSON object, or lines for a person."""
    if as_json:
        typer.echo(json.dumps(value, ensure_ascii=False, default=str))
    else:
        typer.echo(text)


def show_rejected(rejected: list[Any]) -> None:
    """List inputs that gave nothing, one line each, on standard error."""
    for r in rejected:
        typer.echo(f"rejected: {r.path}: {r.reason}. {r.remedy}", err=True)
