"""A LanceDB table of tiles: image vectors for meaning, and their words for names and places, searched together."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from knowlip.core.errors import ConfigError, CorpusError
from knowlip.corpus.store import DROPPED, Corpus
from knowlip.model.embedder import Embedder

# read when the library is first loaded; its notes on a table that does not exist yet are not for who searches
os.environ.setdefault("LANCEDB_LOG", "error")

INDEX_FOLDER, TABLE = "search", "tiles"
_BATCH = 64
_COLUMNS = [
    "id",
    "datetime",
    "platform",
    "proj:centroid",
    "knowlip:nearest_city",
    "knowlip:admin1",
    "knowlip:country",
    "knowlip:split",
]
_POOL = 200
"""Candidates that each of the two rankings contributes."""

MAX_RESULTS = 1000


@dataclass(frozen=True)
class Hit:
    """A tile found.

    Attributes:
        similarity: Cosine of the query's and the tile's vector.
        score: Mean of how well meaning and words fit, each 0 to 1 over the candidates; what the hits are ordered by.
    """

    tile_id: str
    score: float
    similarity: float
    lon_deg: float | None
    lat_deg: float | None
    place: str
    acquired: str | None
    text: str


def build_index(
    corpus: Corpus, embedder: Embedder, progress: Callable[[int, int, str], None] = lambda done, total, name: None
) -> int:
    """Index every tile with its vector, place and statements; replaces an index of another model or round.

    Returns:
        Tiles indexed.

    Raises:
        CorpusError: The corpus is not on a local disk, or has no statements.
    """
    if not corpus.folder.is_local:
        raise CorpusError(
            corpus.folder.path(),
            "is not on a local disk, where the search index lives",
            "Copy the corpus and index the copy",
        )
    words: dict[str, list[str]] = defaultdict(list)
    for row in corpus.statements().to_pylist():
        # a sentence that says what is absent would be found by the word for it
        if row["status"] != DROPPED and not any(slot["value"].lower() == "no" for slot in row["slots"]):
            words[row["tile_id"]].append(row["text"])
    tiles = {row["id"]: row for row in corpus.tiles_table.select(_COLUMNS).to_pylist()}
    ids, rows = corpus.tile_ids(), []
    for start in range(0, len(ids), _BATCH):
        chunk = ids[start : start + _BATCH]
        for tile_id, vector in zip(chunk, embedder.corpus_images(corpus, chunk), strict=True):
            rows.append(_row(tiles[tile_id], vector, " ".join(words[tile_id])))
        progress(min(start + _BATCH, len(ids)), len(ids), "")
    from lancedb.index import FTS

    table = _connect(corpus).create_table(TABLE, pa.Table.from_pylist(rows), mode="overwrite")
    table.create_index("words", config=FTS(ascii_folding=True), replace=True)
    corpus.folder.write_json(f"{INDEX_FOLDER}/index.json", _identity(corpus, embedder))
    return len(ids)


def _row(tile: dict[str, Any], vector: np.ndarray, text: str) -> dict[str, Any]:
    parts = [tile["knowlip:nearest_city"], tile["knowlip:admin1"], tile["knowlip:country"]]
    place = ", ".join(str(p) for p in parts if p)
    at = tile["datetime"]
    centre = tile["proj:centroid"] or {"lon": float("nan"), "lat": float("nan")}
    return {
        "tile_id": tile["id"],
        "vector": vector,
        "place": place,
        "text": text,
        "words": f"{place}. {text}",
        "lon_deg": centre["lon"],
        "lat_deg": centre["lat"],
        "platform": tile["platform"],
        "split": tile["knowlip:split"],
        "country": tile["knowlip:country"],
        "city": tile["knowlip:nearest_city"],
        "acquired": at.isoformat() if at else None,
    }


def _connect(corpus: Corpus) -> Any:
    import lancedb

    return lancedb.connect(corpus.folder.path(INDEX_FOLDER))


def _identity(corpus: Corpus, embedder: Embedder) -> dict[str, Any]:
    weights = hashlib.sha256((embedder.folder / "model.safetensors").read_bytes()).hexdigest()
    return {
        "model": str(embedder.folder.resolve()),
        "weights": weights,
        "rounds": corpus.rounds(),
        "tiles": len(corpus.tiles),
    }


def index_is_current(corpus: Corpus, embedder: Embedder) -> bool:
    """Whether the corpus has an index made with this model from the statements as they stand."""
    name = f"{INDEX_FOLDER}/index.json"
    return corpus.folder.exists(name) and corpus.folder.read_json(name) == _identity(corpus, embedder)


def indexed_model(corpus: Corpus) -> Path | None:
    """The model folder that the corpus's index was made with."""
    name = f"{INDEX_FOLDER}/index.json"
    return Path(corpus.folder.read_json(name)["model"]) if corpus.folder.exists(name) else None


def search(corpus: Corpus, embedder: Embedder, text: str, limit: int = 5, where: str | None = None) -> list[Hit]:
    """The tiles that fit a text best, by vector and by words.

    Scores are averaged rather than ranks: a rare name in the query, a town's, then weighs as much as it tells.

    Args:
        where: A filter in SQL over the index's columns, such as `country = 'Germany'`.

    Raises:
        ConfigError: An empty text, a limit out of range, or a filter that cannot be understood.
    """
    if not text.strip():
        raise ConfigError("the query", "is empty", 'Say what to look for, such as "ships near the coast"')
    if not 1 <= limit <= MAX_RESULTS:
        raise ConfigError(f"--limit {limit}", "is out of range", f"Choose 1 to {MAX_RESULTS}")
    vector = embedder.texts([text])[0]
    table = _connect(corpus).open_table(TABLE)
    near = table.search(vector).distance_type("cosine").limit(max(_POOL, limit))
    worded = table.search(text, query_type="fts", fts_columns="words").limit(max(_POOL, limit))
    if where:
        near, worded = near.where(where, prefilter=True), worded.where(where, prefilter=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            by_vector, by_words = near.to_list(), worded.to_list()
    except (ValueError, RuntimeError, OSError) as error:
        logging.getLogger(__name__).debug("search failed", exc_info=True)
        line = str(error).splitlines()[0]
        raise ConfigError(
            f"--where {where}" if where else "the query",
            f"is not understood ({line})",
            "Use columns such as country, city, platform",
        ) from error
    found: dict[str, dict[str, Any]] = {r["tile_id"]: r for r in [*by_words, *by_vector]}
    cosine = {t: float(np.dot(r["vector"], vector)) for t, r in found.items()}
    relevance = {r["tile_id"]: float(r["_score"]) for r in by_words}
    low, high, most = (
        min(cosine.values(), default=0),
        max(cosine.values(), default=0),
        max(relevance.values(), default=0),
    )
    score = {
        t: ((cosine[t] - low) / (high - low) if high > low else 1.0) / 2
        + (relevance.get(t, 0.0) / most if most else 0.0) / 2
        for t in found
    }
    best = sorted(found, key=lambda t: (-score[t], t))[:limit]
    return [_hit(found[t], score[t], cosine[t]) for t in best]


def _known(degrees: float | None) -> float | None:
    """None for a chip, which lies nowhere."""
    return None if degrees is None or degrees != degrees else degrees


def _hit(row: dict[str, Any], score: float, similarity: float) -> Hit:
    return Hit(
        tile_id=row["tile_id"],
        score=round(score, 4),
        similarity=round(similarity, 4),
        lon_deg=_known(row["lon_deg"]),
        lat_deg=_known(row["lat_deg"]),
        place=row["place"],
        acquired=row["acquired"],
        text=row["text"],
    )
