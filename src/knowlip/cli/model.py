"""`knowlip model`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from knowlip.cli.common import AsJson, show

app = typer.Typer(no_args_is_help=True, help="Hand a trained model on.")
Folder = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a model.", show_default=False)]


@app.command()
def export(
    model: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the ONNX files.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Write both encoders as ONNX, with the vocabulary and how images are prepared."""
    from knowlip.model.embedder import load_embedder
    from knowlip.model.export import export_onnx

    files = [str(f) for f in export_onnx(load_embedder(model), out)]
    show({"files": files}, as_json, "\n".join(files))


@app.command()
def card(
    model: Folder,
    results: Annotated[Path, typer.Option(help="Folder that `knowlip bench run` wrote.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Put a benchmark's figures into the model's card."""
    from knowlip.model.hub import add_figures

    count = add_figures(model, results)
    show({"card": str(model / "README.md"), "figures": count}, as_json, f"{model / 'README.md'}: {count} figures")


@app.command()
def push(
    model: Folder,
    repository: Annotated[str, typer.Argument(help="owner/name on the Hugging Face Hub.", show_default=False)],
    public: Annotated[bool, typer.Option("--public", help="Let everybody see a repository made here.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload weights, configuration, vocabulary and card to the Hugging Face Hub."""
    from knowlip.model.hub import push_model

    address = push_model(model, repository, private=not public)
    show({"commit": address}, as_json, address)
