"""`knowlip annotate`."""

from __future__ import annotations

from typing import Annotated

import typer

from knowlip.cli.common import AsJson, CorpusArgument, Quiet, Workers, processes, show
from knowlip.core.progress import progress_bar


def annotate(
    corpus: CorpusArgument,
    engine: Annotated[str, typer.Option(help="What writes: evidence.")] = "evidence",
    sources: Annotated[
        str, typer.Option(help="What is asked about places, comma-separated; empty for none.")
    ] = "places,coast,airports",
    workers: Workers = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write facts and statements for every tile, measured from its pixels and known of its place."""
    from knowlip.corpus.store import open_corpus
    from knowlip.hcot.annotate import annotate as run

    opened = open_corpus(corpus)
    asked = [s.strip() for s in sources.split(",") if s.strip()]
    with progress_bar("annotating", quiet) as progress:
        done = run(opened, engine, asked, processes(workers), progress)
    state = " (was complete already)" if done.already_complete else ""
    show(
        vars(done),
        as_json,
        f"{done.statements} statements and {done.facts} facts for {done.tiles} tiles{state}\n"
        f"next: knowlip pretrain {corpus} --out MODEL, or search it with a trained MODEL",
    )
