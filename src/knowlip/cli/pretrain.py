"""`knowlip pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowlip.cli.common import AsJson, CorpusArgument, Quiet, show
from knowlip.core.progress import progress_bar


def pretrain(
    corpus: CorpusArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model.", show_default=False)],
    config: Annotated[Path | None, typer.Option(help="YAML configuration.")] = None,
    preset: Annotated[str | None, typer.Option(help="Model size: micro, tiny, small, base, large.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key of the configuration, such as optim.steps=500; repeat for more."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Pretrain a model on an annotated corpus with ITC, ITM and slot MLM, with one self-consistent round at the end."""
    import os
    from dataclasses import asdict

    from knowlip.corpus.store import open_corpus
    from knowlip.training.config import load_config

    settings = load_config(config, [*([f"preset={preset}"] if preset else []), *(set_ or [])])
    opened = open_corpus(corpus)
    # torch warns of parts of the model that only some steps train, which is meant
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # after the cheap checks: torch takes seconds to import
    from knowlip.scio.loop import pretrain as run

    first = os.environ.get("RANK", "0") == "0"
    with progress_bar("pretraining", quiet or not first) as progress:
        done = run(
            opened,
            settings,
            out,
            lambda step, total, losses: progress(step, total, " ".join(f"{k} {v:.3f}" for k, v in losses.items())),
        )
    if not first:
        return
    scio = (
        f"; SCIO: {done.scio.screened} of {done.scio.slots} slots doubtful, {done.scio.rebuilt} statements rebuilt"
        if done.scio
        else ""
    )
    search = f'\n      knowlip search {corpus} --model {out} "a harbour with ships"' if settings.reads_text else ""
    show(
        asdict(done),
        as_json,
        f"{done.parameters / 1e6:.1f} M parameters, {done.steps} steps in {done.train_seconds:.0f} s{scio}\n"
        f"next: knowlip bench run {corpus} --models {out} --out RESULTS{search}",
    )
