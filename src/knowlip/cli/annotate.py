"""`knowlip annotate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from knowlip.cli.common import AsJson, CorpusArgument, Quiet, Workers, processes, show
from knowlip.core.progress import progress_bar

if TYPE_CHECKING:
    from knowlip.hcot.annotate import Annotation, Model


def annotate(
    corpus: CorpusArgument,
    engine: Annotated[
        str, typer.Option(help="What writes: evidence; vlm, which asks a model; hybrid, where evidence is weak.")
    ] = "evidence",
    sources: Annotated[
        str, typer.Option(help="What is asked about places, comma-separated; empty for none.")
    ] = "places,coast,airports",
    base_url: Annotated[
        str, typer.Option(help="OpenAI-compatible server of the model; OPENAI_BASE_URL without it.", show_default=False)
    ] = "",
    vlm_model: Annotated[str, typer.Option(help="The model's name at the server.", show_default=False)] = "",
    cache: Annotated[
        str, typer.Option(help="Where the model's answers are kept; your cache folder without it.", show_default=False)
    ] = "",
    replay: Annotated[
        bool, typer.Option("--replay", help="Take answers from the cache only, without a server.")
    ] = False,
    max_cost: Annotated[
        float | None, typer.Option(help="Send no request once this is spent, by price_in and price_out.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of the model's settings.", show_default=False)] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a setting, such as concurrency=8.", show_default=False)
    ] = None,
    workers: Workers = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write facts and statements for every tile, measured from its pixels and known of its place."""
    from knowlip.corpus.store import open_corpus
    from knowlip.hcot.annotate import annotate as run

    opened = open_corpus(corpus)
    asked = [s.strip() for s in sources.split(",") if s.strip()]
    given = {"base_url": base_url or None, "model": vlm_model or None, "max_cost": max_cost}
    model = _model(config, overrides or [], {k: v for k, v in given.items() if v is not None}, cache, replay)
    with progress_bar("annotating", quiet) as progress:
        done = run(opened, engine, asked, processes(workers), progress, model)
    state = " (was complete already)" if done.already_complete else ""
    show(
        vars(done),
        as_json,
        f"{done.statements} statements and {done.facts} facts for {done.tiles} tiles{state}\n{_answers(done)}"
        f"next: knowlip pretrain {corpus} --out MODEL, or search it with a trained MODEL",
    )


def _model(config: Path | None, overrides: list[str], given: dict[str, Any], cache: str, replay: bool) -> Model:
    from knowlip.core.folder import Folder
    from knowlip.core.settings import read_settings
    from knowlip.hcot.annotate import Model
    from knowlip.hcot.engines.config import VlmConfig

    # an option is an override that came last
    settings = [*overrides, *(f"{key}={json.dumps(value)}" for key, value in given.items())]
    return Model(read_settings(VlmConfig, config, settings, "concurrency=8"), Folder(cache) if cache else None, replay)


def _answers(done: Annotation) -> str:
    """One line on what the model said and cost, or nothing."""
    if not done.answers:
        return ""
    n = {k: done.answers.get(k, 0) for k in ("accepted", "agrees", "dropped", "unanswered")}
    said = (
        f"the model's answers: {n['accepted']} accepted, {n['agrees']} agree, {n['dropped']} dropped, "
        f"{n['unanswered']} missing"
    )
    if not done.spent:
        return f"{said}\n"
    s = {k: int(v) for k, v in done.spent.items()}
    return (
        f"{said}; {s['requests']} requests, {s['from_cache']} from the cache, "
        f"{s['prompt_tokens']} + {s['completion_tokens']} tokens, cost {done.spent['cost']:g}\n"
    )
