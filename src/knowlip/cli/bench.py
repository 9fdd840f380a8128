"""`knowlip bench`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from knowlip.cli.common import AsJson, CorpusArgument, Out, Quiet, show
from knowlip.core.progress import progress_bar

app = typer.Typer(no_args_is_help=True, help="Compare models on places that were never trained on.")


@app.command()
def run(
    corpus: CorpusArgument,
    out: Out,
    models: Annotated[str, typer.Option(help="Comma-separated model folders and controls.", show_default=False)],
    suite: Annotated[str, typer.Option(help="core, retrieval or questions.")] = "core",
    controls: Annotated[bool, typer.Option(help="Also run every control.")] = True,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run a suite of tasks on models, each beside chance and controls fitted on the same training split."""
    from knowlip.corpus.store import open_corpus

    opened = open_corpus(corpus)
    from knowlip.bench.runner import CONTROLS
    from knowlip.bench.runner import run as run_suite

    named = [m.strip() for m in models.split(",") if m.strip()]
    with progress_bar("benchmark", quiet) as progress:
        rows = run_suite(opened, suite, [*named, *(c for c in CONTROLS if controls and c not in named)], out, progress)
    show({"rows": [vars(r) for r in rows]}, as_json, table([vars(r) for r in rows]))


@app.command()
def report(
    results: Annotated[str, typer.Argument(metavar="DIR", help="Folder that `bench run` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Show the figures of a benchmark run."""
    from knowlip.core.errors import CorpusError
    from knowlip.core.folder import Folder

    folder = Folder(results)
    if not folder.exists("results.json"):
        raise CorpusError(results, "holds no benchmark results", "Make them with `knowlip bench run`")
    known = folder.read_json("results.json")
    show(known, as_json, table(known["rows"]))


def table(rows: list[dict[str, Any]]) -> str:
    """Figures as aligned lines, models side by side in the order of the tasks."""
    lines = [f"{'task':16} {'metric':22} {'model':24} {'value':>6}  {'95 %':^13} {'chance':>6} {'n':>5}"]
    for r in sorted(rows, key=lambda r: (r["task"], r["metric"])):
        lines.append(
            f"{r['task']:16} {r['metric']:22} {r['model']:24} {r['value']:6.3f}  {r['low']:.3f}-{r['high']:.3f}  "
            f"{r['chance']:6.3f} {r['n']:5}"
        )
    return "\n".join(lines)
