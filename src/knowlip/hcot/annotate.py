"""`annotate`: facts and statements for every tile of a corpus; resumable, one scene at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from knowlip import __version__
from knowlip.core.errors import ConfigError, CorpusError
from knowlip.core.folder import Folder
from knowlip.core.geodesy import to_lonlat
from knowlip.core.parallel import map_items
from knowlip.core.statements import Fact, Statement
from knowlip.corpus.stac import geoproperties
from knowlip.corpus.store import ORIGINAL, STATEMENT_SCHEMA, Corpus, open_corpus
from knowlip.hcot import cover
from knowlip.hcot.sentences import statements
from knowlip.hcot.steps import run_chain
from knowlip.hcot.view import Surroundings, TileView
from knowlip.knowledge import airports, coast, places

ENGINES = ("evidence",)
SOURCES = ("places", "coast", "airports")
TOWN_REACH_KM = 20.0
SEA_GRID = 8
_SAMPLE_TILES = 48

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
    """A work item: one scene's tiles and what is known about their places."""

    root: str
    fingerprint: str
    scene_id: str
    surroundings: dict[str, Surroundings] = field(default_factory=dict)


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
    workers: int = 1,
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> Annotation:
    """Write `facts.parquet` and round 0 of the statements.

    Args:
        sources: Which of `SOURCES` are asked about the tiles' places.
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
    settings = {
        "engine": engine,
        "sources": [s for s in SOURCES if s in sources],
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
    known = _surroundings(corpus, todo, sources)
    tasks = [SceneTask(folder.root, corpus.info["fingerprint"], s, known[s]) for s in todo]
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


def _surroundings(corpus: Corpus, scenes: Sequence[str], sources: Sequence[str]) -> dict[str, dict[str, Surroundings]]:
    """Ask every source once for all tiles of the scenes still to do."""
    if not scenes:
        return {}
    named = {"places": places.source(), "coast": coast.source(), "airports": airports.source()}
    asked = {s: named[s] for s in sources}
    frame = corpus.tiles[corpus.tiles["knowlip:scene"].isin(scenes)]
    placed = frame["proj:centroid"].notna()
    result: dict[str, dict[str, Surroundings]] = {s: {} for s in scenes}
    for tile_id, scene in frame["knowlip:scene"][~placed].items():
        # a chip lies nowhere, so nothing is known about its place
        result[scene][str(tile_id)] = Surroundings()
    frame = frame[placed]
    if frame.empty:
        return result
    lon = np.array([c["lon"] for c in frame["proj:centroid"]])
    lat = np.array([c["lat"] for c in frame["proj:centroid"]])
    towns = places.largest_within(lon, lat, TOWN_REACH_KM) if "places" in sources else [None] * len(frame)
    people = places.people_per_km2(lon, lat).tolist() if "places" in sources else [None] * len(frame)
    fields = airports.nearest_airports(lon, lat) if "airports" in sources else [None] * len(frame)
    sea = ~coast.on_land(*_grid_points(frame)) if "coast" in sources else [None] * len(frame)
    simulated = corpus.scenes["simulated"]
    for tile_id, scene, town, density, airport, grid in zip(
        frame.index, frame["knowlip:scene"], towns, people, fields, sea, strict=True
    ):
        # a simulated scene lies at a real place, but its ground is made up: maps of the real ground would mislead
        known = (
            Surroundings(town, sources=asked) if simulated[scene] else Surroundings(town, density, airport, grid, asked)
        )
        result[scene][tile_id] = known
    return result


def _grid_points(frame: Any) -> tuple[Any, Any]:
    """Longitudes and latitudes `(N, k, k)` of a regular grid over each tile, rows as the tile's rows."""
    share = (np.arange(SEA_GRID) + 0.5) / SEA_GRID
    lon, lat = np.empty((len(frame), SEA_GRID, SEA_GRID)), np.empty((len(frame), SEA_GRID, SEA_GRID))
    for i, (wkt, affine, shape) in enumerate(
        zip(frame["proj:wkt2"], frame["proj:transform"], frame["proj:shape"], strict=True)
    ):
        col, row = share[None, :] * shape[1], share[:, None] * shape[0]
        a, b, c, d, e, f = affine
        lon[i], lat[i] = to_lonlat(wkt, a * col + b * row + c, d * col + e * row + f)
    return lon, lat


@lru_cache(maxsize=1)
def _opened(root: str, fingerprint: str) -> Corpus:
    """The corpus, opened once a process; the fingerprint keeps another one of the same path apart."""
    return open_corpus(root)


def annotate_scene(task: SceneTask) -> str:
    """Annotate one scene and write its part; returns the scene's name."""
    corpus = _opened(task.root, task.fingerprint)
    rows = corpus.tiles[corpus.tiles["knowlip:scene"] == task.scene_id].sort_index()
    level = _level(corpus, list(rows.index), task.surroundings)
    fact_rows: list[dict[str, Any]] = []
    statement_rows: list[dict[str, Any]] = []
    for row in rows.to_dict("records"):
        tile_id = row["id"]
        facts, said = describe(
            TileView(tile_id, geoproperties(_plain(row)), corpus.pixels(tile_id), task.surroundings[tile_id], level)
        )
        fact_rows += [f.row(tile_id) for f in facts]
        statement_rows += [statement_row(s, tile_id, 0, ORIGINAL, "evidence") for s in said]
    folder = Folder(task.root)
    folder.write_table(
        _part(task.scene_id, "statements"), pa.Table.from_pylist(statement_rows, schema=STATEMENT_SCHEMA)
    )
    folder.write_table(_part(task.scene_id, "facts"), pa.Table.from_pylist(fact_rows, schema=FACT_SCHEMA))
    return task.scene_id


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


def _level(corpus: Corpus, tile_ids: list[str], surroundings: dict[str, Surroundings]) -> cover.SceneLevel:
    """The scene's common level, from up to `_SAMPLE_TILES` tiles spread over it."""
    chosen = tile_ids[:: max(1, len(tile_ids) // _SAMPLE_TILES)]
    pixels = [corpus.pixels(t) for t in chosen]
    grids = [surroundings[t].sea for t in chosen]
    sea = [g for g in grids if g is not None]
    return cover.scene_level(
        [cover.measure(p) for p in pixels],
        pixels[0].polarisations,
        pixels[0].calibrated,
        sea if len(sea) == len(chosen) else None,
    )
