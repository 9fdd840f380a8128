"""`annotate`: facts and statements for every tile of a corpus; resumable, one scene at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox
from platformdirs import user_cache_dir

from knowlip import __version__
from knowlip.core.errors import ConfigError, CorpusError
from knowlip.core.folder import Folder
from knowlip.core.parallel import map_items
from knowlip.corpus.stac import geoproperties
from knowlip.corpus.store import Corpus, TilePixels, open_corpus
from knowlip.hcot import cover
from knowlip.hcot.engines import evidence, vlm
from knowlip.hcot.engines.cache import AnswerCache
from knowlip.hcot.engines.client import ChatClient, Usage
from knowlip.hcot.engines.config import VlmConfig
from knowlip.hcot.engines.description import Description
from knowlip.hcot.parts import PARTS, is_finished, join_answers, join_parts, part, write_part
from knowlip.hcot.view import Surroundings, TileView
from knowlip.knowledge import BUILT_IN
from knowlip.knowledge.source import Answer, Footprint, Source, ask_all, joined, provenance

ENGINES = ("evidence", "vlm", "hybrid")
SOURCES = tuple(BUILT_IN)
_SAMPLE_TILES = 48
"""Tiles whose pixels tell a scene's level; each is read and measured once, and kept until its turn comes."""
_TILES_AT_ONCE = 64
"""Tiles of a scene whose grids are in memory together."""


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
    """What an annotation made.

    Attributes:
        answers: Claims of the model by what became of them, and tokens of all its answers; empty without a model.
        spent: Requests of this run, answers that it took from the cache, and its cost; empty without a model.
    """

    tiles: int
    facts: int
    statements: int
    already_complete: bool = False
    answers: dict[str, int] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """The model that the engines `vlm` and `hybrid` ask.

    Attributes:
        cache: Where its answers are kept; the user's cache folder without it.
        replay: Take answers from there only.
    """

    config: VlmConfig = field(default_factory=VlmConfig)
    cache: Folder | None = None
    replay: bool = False

    def client(self) -> ChatClient:
        """A client of its own. Raises ConfigError where no server or model is named."""
        folder = self.cache or Folder(str(Path(user_cache_dir("knowlip"), "answers")))
        return ChatClient(self.config, AnswerCache(folder), self.replay)


def annotate(
    corpus: Corpus,
    engine: str = "evidence",
    sources: Sequence[str] = SOURCES,
    maps: Sequence[Source] = (),
    workers: int = 1,
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
    model: Model | None = None,
) -> Annotation:
    """Write facts, round 0 of the statements, captions and questions; with a model, also `claims.parquet`.

    Args:
        engine: One of `ENGINES`.
        sources: Which of `SOURCES` are asked about the tiles' places.
        maps: Sources of the user's own files, asked after these.
        workers: Processes of the evidence engine; the others wait for a server most of the time and use one.
        progress: Called with (scenes done, scenes in all, scene).
        model: What the engines `vlm` and `hybrid` ask.

    Raises:
        ConfigError: Unknown engine or source; the model's server is not named, or refuses what it is sent.
        ServerError: The server is gone, the budget is spent, or a replay misses an answer.
        CorpusError: The corpus is annotated with other settings, or damaged.
    """
    if engine not in ENGINES:
        raise ConfigError(f"--engine {engine}", "no such engine", f"Choose one of {', '.join(ENGINES)}")
    folder = corpus.folder
    asked = [*built_in(sources), *maps]
    settings: dict[str, Any] = {
        "engine": engine,
        "sources": provenance(asked),
        "made_with": f"sar-knowlip {__version__}",
    }
    model = None if engine == "evidence" else model or Model()
    if model is not None:
        settings["vlm"] = model.config.identity() | {"prompts": vlm.prompts_version()}
    if (before := corpus.info.get("annotation")) is not None:
        if before["settings"] != settings:
            raise CorpusError(
                folder.path(), "is annotated with other settings", "Build a new corpus to annotate it differently"
            )
        return Annotation(**before["counts"], already_complete=True, answers=before.get("answers", {}))
    client = None if model is None else model.client()
    _begin(folder, settings)
    scenes = sorted(corpus.scenes.index)
    todo = [s for s in scenes if not is_finished(folder, s)]
    known = _known_at_once(corpus, todo, asked)
    later = tuple(s for s in asked if not s.at_once)
    tasks = [SceneTask(folder.root, corpus.info["fingerprint"], s, known[s], later) for s in todo]
    progress(len(scenes) - len(todo), len(scenes), "")
    if client is None:
        for done, scene_id in enumerate(map_items(annotate_scene, tasks, workers), len(scenes) - len(todo) + 1):
            progress(done, len(scenes), scene_id)
    else:
        _by_model(tasks, client, engine == "hybrid", len(scenes), progress)
    rows = join_parts(folder, scenes)
    counts: dict[str, Any] = {
        "tiles": len(corpus.tile_column("id")),
        "facts": rows["facts"],
        "statements": rows["statements"],
    }
    made: dict[str, Any] = {"settings": settings, "counts": counts}
    if client is not None:
        made["answers"] = join_answers(folder, scenes)
    folder.write_json("corpus.json", corpus.info | {"annotation": made})
    folder.remove(PARTS)
    return Annotation(**counts, answers=made.get("answers", {}), spent=_spent(client))


def views(corpus: Corpus, sources: Sequence[str] = SOURCES, maps: Sequence[Source] = ()) -> Iterator[TileView]:
    """The tiles of a corpus as the chain sees them, scene by scene; nothing is written.

    Args:
        sources, maps: As of `annotate`.
    """
    asked = [*(BUILT_IN[s] for s in SOURCES if s in sources), *maps]
    scenes = sorted(corpus.scenes.index)
    known, later = _known_at_once(corpus, scenes, asked), tuple(s for s in asked if not s.at_once)
    for scene in scenes:
        yield from _views(SceneTask(corpus.folder.root, corpus.info["fingerprint"], scene, known[scene], later))


def _by_model(
    tasks: list[SceneTask], client: ChatClient, hybrid: bool, total: int, progress: Callable[[int, int, str], None]
) -> None:
    done = total - len(tasks)

    def write(task: SceneTask, tiles: list[tuple[str, Description]]) -> None:
        nonlocal done
        write_part(Folder(task.root), task.scene_id, tiles, client.config.model)
        progress(done := done + 1, total, task.scene_id)

    asyncio.run(vlm.describe_scenes(tasks, _views, write, client, hybrid))


def _spent(client: ChatClient | None) -> dict[str, float]:
    if client is None:
        return {}
    usage: Usage = client.usage
    return {**vars(usage), "cost": round(usage.cost(client.config), 6)}


def built_in(names: Sequence[str]) -> list[Source]:
    """The built-in sources of these names, in the order in which they are asked.

    Raises:
        ConfigError: There is none of a name.
    """
    if unknown := set(names) - set(SOURCES):
        raise ConfigError(
            f"--sources {','.join(sorted(unknown))}", "no such source", f"Choose from {', '.join(SOURCES)}"
        )
    return [BUILT_IN[s] for s in SOURCES if s in names]


def _begin(folder: Folder, settings: dict[str, Any]) -> None:
    """Claim the unfinished parts for these settings, so that a resumed annotation does not mix two."""
    name = f"{PARTS}/settings.json"
    begun = folder.exists(name) and folder.read_json(name) != settings
    # settings with which nothing was finished, such as a model's misspelt name, claim nothing
    if begun and folder.names(part("*", "facts")):
        raise CorpusError(
            folder.path(), "holds an unfinished annotation with other settings", f"Finish that one, or remove {PARTS}"
        )
    folder.sweep()
    folder.write_json(name, settings)


def _known_at_once(corpus: Corpus, scenes: Sequence[str], sources: Sequence[Source]) -> dict[str, dict[str, Answer]]:
    """Ask those sources that are asked once for all tiles of the scenes still to do."""
    known: dict[str, dict[str, Answer]] = {s: {} for s in scenes}
    placed: list[Footprint] = []
    # a chip lies nowhere, so no source can be asked about it
    nowhere = Answer(missing=("the tile has no place on the Earth",) if sources else ())
    for batch in corpus.tile_batches(["id", "knowlip:scene", *_PLACE]):
        rows = [row for row in batch.to_pylist() if row["knowlip:scene"] in known]
        for row in rows:
            known[row["knowlip:scene"]][row["id"]] = nowhere
        placed += footprints(corpus, rows)
    at_once = [s for s in sources if s.at_once]
    answers = dict(zip((f.tile_id for f in placed), ask_all(at_once, placed) if placed else (), strict=True))
    return {s: {tile_id: answers.get(tile_id, nothing) for tile_id, nothing in own.items()} for s, own in known.items()}


_PLACE = ("proj:centroid", "proj:shape", "proj:transform", "proj:wkt2")
"""Columns of `tiles.parquet` that say where a tile lies."""


def footprints(corpus: Corpus, rows: Sequence[Mapping[str, Any]]) -> list[Footprint]:
    """Where those of a corpus's tiles lie that lie somewhere.

    Args:
        rows: Of `tiles.parquet`, with the columns `_PLACE`.
    """
    # a simulated scene lies at a real place, but its ground is made up: maps of the real one would mislead
    made_up = corpus.scenes["simulated"].to_dict()
    return [
        Footprint(
            t["id"], t["proj:centroid"]["lon"], t["proj:centroid"]["lat"], _geobox(t), bool(made_up[t["knowlip:scene"]])
        )
        for t in rows
        if t["proj:centroid"] is not None
    ]


def _geobox(tile: Mapping[str, Any]) -> GeoBox:
    rows, cols = map(int, tile["proj:shape"])
    return GeoBox((rows, cols), Affine(*tile["proj:transform"][:6]), tile["proj:wkt2"])


@lru_cache(maxsize=1)
def _opened(root: str, fingerprint: str) -> Corpus:
    """The corpus, opened once a process; the fingerprint keeps another one of the same path apart."""
    return open_corpus(root)


def annotate_scene(task: SceneTask) -> str:
    """Annotate one scene by evidence and write its part; returns the scene's name."""
    write_part(Folder(task.root), task.scene_id, [(v.tile_id, evidence.describe(v)) for v in _views(task)])
    return task.scene_id


def _views(task: SceneTask) -> Iterator[TileView]:
    """The scene's tiles, read one by one."""
    corpus = _opened(task.root, task.fingerprint)
    rows = corpus.scene_tiles(task.scene_id)
    sampled = {}
    for row in rows[:: max(1, len(rows) // _SAMPLE_TILES)]:
        pixels = corpus.pixels(row["id"])
        sampled[row["id"]] = pixels, cover.measure(pixels)
    level = _level(sampled, task.known)
    for start in range(0, len(rows), _TILES_AT_ONCE):
        some = rows[start : start + _TILES_AT_ONCE]
        surroundings = _surroundings(task, [r["id"] for r in some], footprints(corpus, some) if task.maps else [])
        for row in some:
            tile_id = row["id"]
            pixels, cells = sampled.pop(tile_id, None) or (corpus.pixels(tile_id), None)
            yield TileView(tile_id, geoproperties(row), pixels, surroundings[tile_id], level, cells)


def _surroundings(task: SceneTask, tile_ids: Sequence[str], placed: Sequence[Footprint]) -> dict[str, Surroundings]:
    """What was known of tiles before, and what the scene's maps add."""
    answers = {t: task.known[t] for t in tile_ids}
    for footprint, more in zip(placed, ask_all(task.maps, placed), strict=True):
        answers[footprint.tile_id] = joined(answers[footprint.tile_id], more)
    return {tile_id: Surroundings(a.facts_with_missing(), a.grids) for tile_id, a in answers.items()}


def _level(sampled: Mapping[str, tuple[TilePixels, cover.Cells]], known: Mapping[str, Answer]) -> cover.SceneLevel:
    """The scene's common level, from tiles spread over it."""
    first = next(iter(sampled.values()))[0]
    sea = [grid for t in sampled if (grid := known[t].grids.get("sea")) is not None]
    return cover.scene_level(
        [cells for _, cells in sampled.values()],
        first.polarisations,
        first.calibrated,
        sea if len(sea) == len(sampled) else None,
    )
