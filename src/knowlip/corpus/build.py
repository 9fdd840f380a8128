"""`build_corpus`: scenes in, a finished corpus out; resumable, atomic, the same bytes for any number of workers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from knowlip import __version__
from knowlip.core.errors import CorpusError, SceneError
from knowlip.core.folder import Folder
from knowlip.core.parallel import Engine, map_items
from knowlip.corpus.croissant import croissant
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.merge import split_counts
from knowlip.corpus.parts import OBJECT_SCHEMA, object_parts, tile_parts
from knowlip.corpus.placing import where_of, with_places, with_splits
from knowlip.corpus.records import Rejected, ScenePart, SceneRecord
from knowlip.corpus.simulated import SimulatedJob, SimulateSpec, simulated_jobs, tile_simulated
from knowlip.corpus.splits import SplitSpec, split_by_place
from knowlip.corpus.stac import scene_table, tile_schema
from knowlip.corpus.store import FORMAT_VERSION, Corpus, open_corpus
from knowlip.corpus.tiling import SceneJob, tile_scene
from knowlip.knowledge import places
from knowlip.scenes.products import find_scenes, identity_of, scene_id_of
from knowlip.scenes.sidecar import Declared, read_sidecar


class BuildConfig(BaseModel):
    """Configuration of a build.

    Attributes:
        name: Name of the corpus, used as the STAC collection.
        licence: SPDX expression of the scenes' licence, for `croissant.json`.
        simulate: Scenes that are simulated on the way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "corpus"
    licence: str = "other"
    tiles: TileSpec = Field(default_factory=TileSpec)
    split: SplitSpec = Field(default_factory=SplitSpec)
    simulate: tuple[SimulateSpec, ...] = ()


@dataclass(frozen=True)
class BuildResult:
    """What a build made: the corpus, and what it could not use."""

    corpus: Corpus
    rejected: list[Rejected]
    already_complete: bool = False


def build_corpus(
    inputs: Sequence[str | Path],
    out: str,
    config: BuildConfig | None = None,
    declared: Declared | None = None,
    workers: int = 1,
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
    engine: Engine = "local",
    rasters: Path | None = None,
) -> BuildResult:
    """Cut scenes into tiles, give every tile its GeoProperties, split by place, and write the corpus.

    A build that was stopped goes on where it was; the same call on a finished corpus changes nothing.

    Args:
        inputs: Scene files, or folders of them.
        out: Folder or fsspec URL of the corpus.
        declared: What the scenes do not say themselves.
        progress: Called with (scenes done, scenes in all, scene's name).
        engine: Where scenes are cut: processes of this machine, or a Ray cluster.
        rasters: Folder that keeps the rasters made of products; None drops each when its tiles are cut.

    Raises:
        ConfigError: Ray is asked for and not there.
        SceneError: No input can be used.
        CorpusError: `out` holds another corpus, or something that is not one.
        OutputError: `out` cannot be written.
    """
    config, declared, folder = config or BuildConfig(), declared or Declared(), Folder(out)
    template = SceneJob(Path(), declared, folder, config.tiles, config.name, rasters)
    simulated = simulated_jobs(config.simulate, template)
    paths, rejected = ([], []) if simulated and not inputs else _gather(inputs, folder, declared.chips)
    taken = {job.order.scene_id for job in simulated}
    for path in [p for p in paths if scene_id_of(p, declared.chips) in taken]:
        paths.remove(path)
        rejected.append(Rejected(str(path), "has the name of a scene that is simulated", "Rename it"))
    lineage = {
        "config": config.model_dump(),
        "declared": _said(declared),
        "inputs": [_identity(p, declared.chips) for p in paths],
    }
    fingerprint = hashlib.sha256(repr(lineage).encode()).hexdigest()
    if (finished := _begin(folder, fingerprint)) is not None:
        return BuildResult(finished, _read_rejected(folder), already_complete=True)

    parts: list[ScenePart] = []
    jobs: list[SceneJob | SimulatedJob] = [*simulated, *(replace(template, path=path) for path in paths)]
    try:
        for done, result in enumerate(map_items(_tiled, jobs, workers, engine), 1):
            (parts if isinstance(result, ScenePart) else rejected).append(result)  # type: ignore[arg-type]
            progress(done, len(jobs), _name(jobs[done - 1]))
    except BaseException:
        folder.sweep()
        raise
    if engine == "ray":
        # a worker that was killed left its half-written file, and another one did its work
        folder.sweep()
    if not parts:
        for name in (".build", "tiles", "landcover"):
            folder.remove(name)
        first = rejected[0]
        more = f" (and {len(rejected) - 1} more scenes were refused)" if len(rejected) > 1 else ""
        raise SceneError(first.path, first.reason + more, first.remedy)
    return BuildResult(_finish(folder, config, fingerprint, lineage, parts, rejected), rejected)


def _tiled(job: SceneJob | SimulatedJob) -> ScenePart | Rejected:
    return tile_simulated(job) if isinstance(job, SimulatedJob) else tile_scene(job)


def _name(job: SceneJob | SimulatedJob) -> str:
    return job.order.scene_id if isinstance(job, SimulatedJob) else job.path.name


def _said(declared: Declared) -> dict[str, Any]:
    """Declarations as `corpus.json` keeps them: an elevation model by its name, since its place is nobody else's."""
    said = {k: v.model_dump() if isinstance(v, BaseModel) else v for k, v in vars(declared).items() if k != "terrain"}
    if declared.terrain is not None:
        said["terrain"] = {"name": declared.terrain.path.name, "identity": declared.terrain.identity()}
    return said


def _identity(path: Path, take_chips: bool) -> str:
    """Name, size and what the sidecar says of a scene: a change of one of them makes another corpus."""
    try:
        said = repr(read_sidecar(path))
    except SceneError as error:
        said = error.reason
    return f"{identity_of(path, take_chips)}:{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def _gather(inputs: Sequence[str | Path], out: Folder, take_chips: bool) -> tuple[list[Path], list[Rejected]]:
    """All rasters, each once, in an order that does not depend on the order of the inputs."""
    found: dict[Path, None] = {}
    rejected = []
    for given in inputs:
        try:
            rasters = (p.resolve() for p in find_scenes(Path(given), take_chips))
            # an --out below the scenes' folder holds tiles, not scenes
            found |= dict.fromkeys(p for p in rasters if not (out.is_local and p.is_relative_to(out.path())))
        except SceneError as error:
            rejected.append(Rejected(error.subject, error.reason, error.remedy))
    unique: dict[str, Path] = {}
    for path in sorted(found, key=lambda p: (p.stem, str(p))):
        scene_id = scene_id_of(path, take_chips)
        if scene_id in unique:
            rejected.append(Rejected(str(path), f"has the same name as {unique[scene_id]}", "Rename one of the two"))
        else:
            unique[scene_id] = path
    if not (unique or rejected):
        raise SceneError(out.path(), "is given no scenes that lie outside it", "Choose another --out")
    if not unique:
        first = rejected[0]
        raise SceneError(first.path, first.reason, first.remedy)
    return list(unique.values()), rejected


def _begin(folder: Folder, fingerprint: str) -> Corpus | None:
    """Claim the folder for this build, or return the finished corpus of the same build."""
    if folder.exists("corpus.json"):
        corpus = open_corpus(folder.root)
        if corpus.info.get("fingerprint") == fingerprint:
            folder.remove(".build")
            return corpus
        raise CorpusError(
            folder.path(),
            "already holds a corpus of other scenes or settings",
            "Choose another --out, or remove it first",
        )
    if folder.exists(".build/fingerprint.json"):
        if folder.read_json(".build/fingerprint.json")["fingerprint"] != fingerprint:
            raise CorpusError(
                folder.path(),
                "holds an unfinished build of other scenes or settings",
                "Run that command again, choose another --out, or remove the folder",
            )
        folder.sweep()
    elif folder.exists() and set(folder.names("*")) - {".build"}:
        raise CorpusError(folder.path(), "is not empty and not a corpus", "Choose an empty or new folder for --out")
    folder.write_json(".build/fingerprint.json", {"fingerprint": fingerprint})
    return None


def _finish(
    folder: Folder,
    config: BuildConfig,
    fingerprint: str,
    lineage: dict[str, Any],
    parts: list[ScenePart],
    rejected: list[Rejected],
) -> Corpus:
    """Write the tables, scene by scene, then what describes them."""
    parts = sorted(parts, key=lambda p: p.scene.scene_id)
    scene_ids = [p.scene.scene_id for p in parts]
    where = where_of(with_places(t) if config.split.by == "city" else t for t in tile_parts(folder, scene_ids))
    splits = split_by_place(where, config.split)
    folder.write_table("scenes.parquet", scene_table([p.scene for p in parts]))
    with folder.table_writer("tiles.parquet", tile_schema()) as write:
        at = 0
        for table in tile_parts(folder, scene_ids):
            write(with_splits(with_places(table), splits[at : at + len(table)]))
            at += len(table)
    with folder.table_writer("objects.parquet", OBJECT_SCHEMA) as write:
        for table in object_parts(folder, parts):
            write(table)
    folder.write_table("rejected.parquet", rejected_table(rejected))
    info = {
        "name": config.name,
        "format_version": FORMAT_VERSION,
        "made_with": f"sar-knowlip {__version__}",
        "licence": config.licence,
        "fingerprint": fingerprint,
        "counts": counts([p.scene for p in parts], splits, sum(p.objects for p in parts), len(rejected)),
        "build": config.model_dump(),
        "declared": lineage["declared"],
        "lineage": [p.scene.acquisition.product_name or p.scene.source for p in parts],
        "knowledge": {"places": places.source(), "places_licence": places.LICENCE},
    }
    folder.write_json("croissant.json", croissant(folder, info))
    # last of all: its presence says that everything else is there
    folder.write_json("corpus.json", info)
    folder.remove(".build")
    return open_corpus(folder.root)


def counts(scenes: Sequence[SceneRecord], splits: Sequence[str | None], objects: int, rejected: int) -> dict[str, int]:
    """The counts of `corpus.json`."""
    return {
        "scenes": len(scenes),
        "tiles": len(splits),
        "objects": objects,
        "rejected": rejected,
        "simulated_scenes": sum(s.acquisition.simulated for s in scenes),
    } | split_counts(splits)


def rejected_table(rejected: list[Rejected]) -> pa.Table:
    """`rejected.parquet`."""
    schema = pa.schema([(n, pa.string()) for n in ("path", "reason", "remedy")])
    return pa.Table.from_pylist([vars(r) for r in rejected], schema=schema)


def _read_rejected(folder: Folder) -> list[Rejected]:
    return [Rejected(**row) for row in folder.read_table("rejected.parquet").to_pylist()]
