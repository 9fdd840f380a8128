"""`annotate`: facts and statements for every tile of a corpus; resumable, one scene at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from affine import Affine
from odc.geo.geobox import GeoBox

from knowlip import __version__
from knowlip.core.errors import ConfigError, CorpusError
from knowlip.core.folder import Folder
from knowlip.core.parallel import map_items
from knowlip.core.statements import Fact, Statement
from knowlip.corpus.stac import geoproperties
from knowlip.corpus.store import ORIGINAL, STATEMENT_SCHEMA, Corpus, open_corpus
from knowlip.hcot import cover
from knowlip.hcot.sentences import statements
from knowlip.hcot.steps import run_chain
from knowlip.hcot.view import Surroundings, TileView
from knowlip.knowledge import BUILT_IN
from knowlip.knowledge.source import Answer, Footprint, Source, ask_all, joined, provenance

ENGINES = ("evidence",)
SOURCES = tuple(BUILT_IN)
_SAMPLE_TILES = 48
_TILES_AT_ONCE = 64
"""Tiles of a scene whose grids are in memory together."""

_TEXT, _REAL, _WHOLE = pa.string(), pa.float64(), pa.int64()
FACT_SCHEMA = pa.schema(
    [
        ("tile_id", _TEXT),
        ("name", _TEXT),
        ("value", _TEXT),
        ("number", _REAL),
        ("unit", _TEXT),
        ("step", _WHOLE),
        ("source", _TEXT),
        ("confidence", _REAL),
        ("why", _TEXT),
    ]
)


@dataclass(frozen=True)
class SceneTask:
    """A work item: one scene's tiles, what is known about their places, and the maps still to ask."""

    root: str
    fingerprint: str
    scene_id: str
    known: dict[str, Answer] = field(default_factory=dict)
    maps: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Annotation:
    """What an annotation made."""

    tiles: int
    facts: int
    statements: int
    already_complete: bool = False


def annotate(
    corpus: Corpus,
    engine: str = "evidence",
    sources: Sequence[str] = SOURCES,
    maps: Sequence[Source] = (),
    workers: int = 1,
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> Annotation:
    """Write `facts.parquet` and round 0 of the statements.

    Args:
        sources: Which of `SOURCES` are asked about the tiles' places.
        maps: Sources of the user's own files, asked after these.
        progress: Called with (scenes done, scenes in all, scene).

    Raises:
        ConfigError: Unknown engine or source.
        CorpusError: The corpus is annotated with other settings, or damaged.
    """
    if engine not in ENGINES:
        raise ConfigError(f"--engine {engine}", "no such engine", f"Choose one of {', '.join(ENGINES)}")
    if unknown := set(sources) - set(SOURCES):
        raise ConfigError(
            f"--sources {','.join(sorted(unknown))}", "no such source", f"Choose from {', '.join(SOURCES)}"
        )
    folder = corpus.folder
    asked = [*(BUILT_IN[s] for s in SOURCES if s in sources), *maps]
    settings = {
        "engine": engine,
        "sources": provenance(asked),
        "made_with": f"sar-knowlip {__version__}",
    }
    if (before := corpus.info.get("annotation")) is not None:
        if before["settings"] != settings:
            raise CorpusError(
                folder.path(), "is annotated with other settings", "Build a new corpus to annotate it differently"
            )
        return Annotation(**before["counts"], already_complete=True)
    _begin(folder, settings)
    scenes = sorted(corpus.scenes.index)
    todo = [s for s in scenes if not folder.exists(_part(s, "facts"))]
    known = _known_at_once(corpus, todo, asked)
    later = tuple(s for s in asked if not s.at_once)
    tasks = [SceneTask(folder.root, corpus.info["fingerprint"], s, known[s], later) for s in todo]
    progress(len(scenes) - len(todo), len(scenes), "")
    for done, scene_id in enumerate(map_items(annotate_scene, tasks, workers), len(scenes) - len(todo) + 1):
        progress(done, len(scenes), scene_id)
    facts = pa.concat_tables([folder.read_table(_part(s, "facts")) for s in scenes])
    said = pa.concat_tables([folder.read_table(_part(s, "statements")) for s in scenes])
    folder.write_table("statements/round=00/statements.parquet", said)
    folder.write_table("facts.parquet", facts)
    counts = {"tiles": len(corpus.tiles), "facts": facts.num_rows, "statements": said.num_rows}
    folder.write_json("corpus.json", corpus.info | {"annotation": {"settings": settings, "counts": counts}})
    folder.remove(".annotate")
    return Annotation(**counts)


def _begin(folder: Folder, settings: dict[str, Any]) -> None:
    """Claim the unfinished parts for these settings, so that a resumed annotation does not mix two."""
    name = ".annotate/settings.json"
    if folder.exists(name) and folder.read_json(name) != settings:
        raise CorpusError(
            folder.path(), "holds an unfinished annotation with other settings", "Finish that one, or remove .annotate"
        )
    folder.sweep()
    folder.write_json(name, settings)


def _part(scene_id: str, kind: str) -> str:
    return f".annotate/{scene_id}.{kind}.parquet"


def _known_at_once(corpus: Corpus, scenes: Sequence[str], sources: Sequence[Source]) -> dict[str, dict[str, Answer]]:
    """Ask those sources that are asked once for all tiles of the scenes still to do."""
    frame = corpus.tiles[corpus.tiles["knowlip:scene"].isin(list(scenes))]
    placed, at_once = footprints(corpus, frame), [s for s in sources if s.at_once]
    answers = dict(zip((f.tile_id for f in placed), ask_all(at_once, placed) if placed else (), strict=True))
    # a chip lies nowhere, so no source can be asked about it
    nowhere = Answer(missing=("the tile has no place on the Earth",) if sources else ())
    known: dict[str, dict[str, Answer]] = {s: {} for s in scenes}
    for tile_id, scene in frame["knowlip:scene"].items():
        known[scene][str(tile_id)] = answers.get(str(tile_id), nowhere)
    return known


def footprints(corpus: Corpus, frame: Any) -> list[Footprint]:
    """Where those of a corpus's tiles lie that lie somewhere.

    Args:
        frame: Rows of `corpus.tiles`.
    """
    # a simulated scene lies at a real place, but its ground is made up: maps of the real one would mislead
    made_up = corpus.scenes["simulated"]
    placed = frame[frame["proj:centroid"].notna()].to_dict("records")
    return [
        Footprint(
            t["id"], t["proj:centroid"]["lon"], t["proj:centroid"]["lat"], _geobox(t), bool(made_up[t["knowlip:scene"]])
        )
        for t in placed
    ]


def _geobox(tile: Mapping[Any, Any]) -> GeoBox:
    rows, cols = map(int, tile["proj:shape"])
    return GeoBox((rows, cols), Affine(*tile["proj:transform"][:6]), tile["proj:wkt2"])


@lru_cache(maxsize=1)
def _opened(root: str, fingerprint: str) -> Corpus:
    """The corpus, opened once a process; the fingerprint keeps another one of the same path apart."""
    return open_corpus(root)


def annotate_scene(task: SceneTask) -> str:
    """Annotate one scene and write its part; returns the scene's name."""
    corpus = _opened(task.root, task.fingerprint)
    rows = corpus.tiles[corpus.tiles["knowlip:scene"] == task.scene_id].sort_index()
    level = _level(corpus, list(rows.index), task.known)
    fact_rows: list[dict[str, Any]] = []
    statement_rows: list[dict[str, Any]] = []
    for start in range(0, len(rows), _TILES_AT_ONCE):
        part = rows.iloc[start : start + _TILES_AT_ONCE]
        surroundings = _surroundings(task, list(part.index), footprints(corpus, part))
        for row in part.to_dict("records"):
            tile_id = row["id"]
            facts, said = describe(
                TileView(tile_id, geoproperties(_plain(row)), corpus.pixels(tile_id), surroundings[tile_id], level)
            )
            fact_rows += [f.row(tile_id) for f in facts]
            statement_rows += [statement_row(s, tile_id, 0, ORIGINAL, "evidence") for s in said]
    folder = Folder(task.root)
    folder.write_table(
        _part(task.scene_id, "statements"), pa.Table.from_pylist(statement_rows, schema=STATEMENT_SCHEMA)
    )
    folder.write_table(_part(task.scene_id, "facts"), pa.Table.from_pylist(fact_rows, schema=FACT_SCHEMA))
    return task.scene_id


def _surroundings(task: SceneTask, tile_ids: Sequence[str], placed: Sequence[Footprint]) -> dict[str, Surroundings]:
    """What was known of tiles before, and what the scene's maps add."""
    answers = {t: task.known[t] for t in tile_ids}
    for footprint, more in zip(placed, ask_all(task.maps, placed), strict=True):
        answers[footprint.tile_id] = joined(answers[footprint.tile_id], more)
    return {tile_id: Surroundings(a.facts_with_missing(), a.grids) for tile_id, a in answers.items()}


def describe(view: TileView) -> tuple[list[Fact], list[Statement]]:
    """Facts and statements of one tile."""
    facts = run_chain(view)
    return list(facts), statements(view.tile_id, facts)


def statement_row(statement: Statement, tile_id: str, round_: int, status: str, engine: str) -> dict[str, Any]:
    """A row of a round's statements."""
    name = f"{tile_id}/{statement.schema}/{statement.dimension}"
    return {
        "statement_id": name,
        **statement.row(tile_id),
        "round": round_,
        "status": status,
        "engine": engine,
        "masked_slots": [],
    }


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A pandas record with pandas' stand-ins for null turned back into None and arrays into lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.tolist()
        if value is None or isinstance(value, dict | str | bytes | list | bool):
            return value
        return None if value != value else value

    return {k: plain(v) for k, v in row.items()}


def _level(corpus: Corpus, tile_ids: list[str], known: dict[str, Answer]) -> cover.SceneLevel:
    """The scene's common level, from up to `_SAMPLE_TILES` tiles spread over it."""
    chosen = tile_ids[:: max(1, len(tile_ids) // _SAMPLE_TILES)]
    pixels = [corpus.pixels(t) for t in chosen]
    grids = [known[t].grids.get("sea") for t in chosen]
    sea = [g for g in grids if g is not None]
    return cover.scene_level(
        [cover.measure(p) for p in pixels],
        pixels[0].polarisations,
        pixels[0].calibrated,
        sea if len(sea) == len(chosen) else None,
    )
