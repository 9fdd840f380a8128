"""`knowlip index` and `knowlip search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from knowlip.cli.common import AsJson, CorpusArgument, Quiet, show
from knowlip.core.progress import progress_bar

Model = Annotated[
    Path | None, typer.Option("--model", "-m", help="Model folder; the index's own by default.", show_default=False)
]


def index(
    corpus: CorpusArgument,
    model: Annotated[Path, typer.Option("--model", "-m", help="Model folder.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Index a corpus for search with a model's vectors and the tiles' words."""
    from knowlip.corpus.store import open_corpus

    opened = open_corpus(corpus)
    from knowlip.model.embedder import load_embedder
    from knowlip.search.index import build_index

    embedder = load_embedder(model)
    with progress_bar("indexing", quiet) as progress:
        n = build_index(opened, embedder, progress)
    show({"tiles": n}, as_json, f'{n} tiles indexed\nnext: knowlip search {corpus} "ships near the coast"')


def search(
    corpus: CorpusArgument,
    query: Annotated[str, typer.Argument(help="What to look for, in words.", show_default=False)],
    model: Model = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many tiles.")] = 5,
    where: Annotated[str | None, typer.Option(help="SQL filter, such as \"country = 'Germany'\".")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find the tiles that fit a text best; makes the index first where it is missing or of another model."""
    from knowlip.core.errors import ModelError
    from knowlip.corpus.store import open_corpus

    opened = open_corpus(corpus)
    from knowlip.model.embedder import load_embedder
    from knowlip.search.index import build_index, index_is_current, indexed_model
    from knowlip.search.index import search as run

    folder = model or indexed_model(opened)
    if folder is None:
        raise ModelError(
            corpus, "has no search index, and no model was given", "Add --model MODEL, made by `knowlip pretrain`"
        )
    embedder = load_embedder(folder)
    if not index_is_current(opened, embedder):
        with progress_bar("indexing", quiet) as progress:
            build_index(opened, embedder, progress)
    hits = run(opened, embedder, query, limit, where)

    def where_is(hit: Any) -> str:
        known = hit.lat_deg is not None and hit.lon_deg is not None
        return f"{hit.lat_deg:9.4f} {hit.lon_deg:10.4f}" if known else f"{'no place':>20}"

    lines = []
    for rank, h in enumerate(hits, 1):
        lines.append(f"{rank:3}  {h.score:.3f}  {where_is(h)}  {h.place}\n     {h.tile_id}\n     {h.text[:150]}")
    show({"query": query, "hits": [vars(h) for h in hits]}, as_json, "\n".join(lines) or "nothing found")
