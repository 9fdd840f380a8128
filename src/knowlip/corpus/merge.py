"""Corpora put together into a new one; the tiles' files stay as they are."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from knowlip import __version__
from knowlip.core.errors import CorpusError
from knowlip.core.folder import Folder, cannot_write
from knowlip.corpus.clashes import Taken, taken_from
from knowlip.corpus.croissant import croissant
from knowlip.corpus.placing import WHERE_COLUMNS, where_of, with_splits
from knowlip.corpus.splits import SplitSpec, split_by_place, split_counts
from knowlip.corpus.stac import tile_schema
from knowlip.corpus.store import FORMAT_VERSION, STATEMENT_SCHEMA, Corpus, open_corpus

Progress = Callable[[int, int, str], None]
Part = tuple[Corpus, Taken]
"""A corpus, and what goes from it into the merged one."""


def merge(
    corpora: Sequence[Corpus],
    out: str,
    spec: SplitSpec | None = None,
    name: str | None = None,
    progress: Progress = lambda done, total, name: None,
) -> Corpus:
    """Put corpora together, of one sensor or of several, with the splits made anew by place over all their tiles.

    Facts, statements of every round, targets and land cover come along. Files are hard links where the disk allows it.
    A merge that was stopped goes on where it was; the same call on a finished corpus changes nothing.

    A scene that several corpora have is kept once. Scenes that only share their id are told apart: the first by the
    order of the corpora's fingerprints keeps it, the others' ids end with their corpus's fingerprint. `clashes` of
    `corpus.json` lists both.

    Args:
        spec: How places are divided.
        name: Name of the new corpus; that of the first without it.
        progress: Called with (files done, files in all, name).

    Raises:
        CorpusError: Only some corpora are annotated, or `out` holds something else.
        OutputError: `out` cannot be written.
    """
    spec, folder = spec or SplitSpec(), Folder(out)
    _refuse_half_annotated(corpora)
    corpora = sorted(corpora, key=lambda c: str(c.info["fingerprint"]))
    sources = [{k: c.info.get(k) for k in ("name", "fingerprint", "licence", "build", "declared")} for c in corpora]
    identity = repr([sources, spec.model_dump(), name, [_annotated(c) for c in corpora]])
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    if folder.exists("corpus.json"):
        if (finished := open_corpus(out)).info.get("fingerprint") == fingerprint:
            folder.remove(".build")
            return finished
        raise CorpusError(out, "already holds another corpus", "Choose another --out, or remove it first")
    _claim(folder, fingerprint)
    parts = list(zip(corpora, taken_from(corpora), strict=True))
    _place_files(parts, folder, progress)
    info = _merged_info(parts, sources, spec, name, fingerprint)
    info["counts"] |= _write_tables(parts, folder, spec, info["name"])
    statements = _write_statements(parts, folder)
    if "annotation" in info:
        with folder.parquet("facts.parquet") as facts:
            rows = {"facts": facts.metadata.num_rows, "statements": statements}
        info["annotation"]["counts"] = {"tiles": info["counts"]["tiles"]} | rows
    folder.write_json("croissant.json", croissant(folder, info))
    # last of all: its presence says that everything else is there
    folder.write_json("corpus.json", info)
    folder.remove(".build")
    return open_corpus(out)


def _refuse_half_annotated(corpora: Sequence[Corpus]) -> None:
    annotated = [bool(_annotated(c)) for c in corpora]
    if any(annotated) and not all(annotated):
        bare = corpora[annotated.index(False)].folder.path()
        raise CorpusError(bare, "is not annotated, and another one is", f"Run `knowlip annotate {bare}` first")


def _annotated(corpus: Corpus) -> Any:
    return corpus.info.get("annotation")


def _claim(folder: Folder, fingerprint: str) -> None:
    if folder.exists(".build/fingerprint.json"):
        if folder.read_json(".build/fingerprint.json")["fingerprint"] != fingerprint:
            reason = "holds unfinished work of other corpora or settings"
            raise CorpusError(folder.path(), reason, "Run that command again, or choose another --out")
        folder.sweep()
    elif folder.exists() and set(folder.names("*")) - {".build"}:
        raise CorpusError(folder.path(), "is not empty and not a corpus", "Choose an empty or new folder for --out")
    folder.write_json(".build/fingerprint.json", {"fingerprint": fingerprint})


def _place_files(parts: Sequence[Part], folder: Folder, progress: Progress) -> None:
    """Every tile's files at their new places, those excepted that an earlier run placed."""
    total, done = sum(c.info["counts"]["tiles"] for c, _ in parts), 0
    for corpus, taken in parts:
        scene, there = "", set[str]()
        for table in corpus.tile_batches(["id", "knowlip:scene", "knowlip:landcover"]):
            for tile_id, scene_id, cover in zip(*(table[n].to_pylist() for n in table.column_names), strict=True):
                new_scene, new_tile = taken.scene(scene_id), taken.tile(tile_id)
                progress(done := done + 1, total, tile_id)
                if new_scene is None or new_tile is None:
                    continue
                if new_scene != scene:
                    scene = new_scene
                    there = {
                        n for kind in ("tiles", "landcover") for n in folder.names(f"{kind}/{glob.escape(scene)}/*.tif")
                    }
                for kind in ("tiles", "landcover") if cover else ("tiles",):
                    if (name := f"{kind}/{new_scene}/{new_tile}.tif") not in there:
                        place_file(corpus.folder, f"{kind}/{scene_id}/{tile_id}.tif", folder, name)


def place_file(source: Folder, old: str, target: Folder, name: str) -> None:
    """A file of one folder in another: a hard link on one disk, otherwise a copy; whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    if not (source.is_local and target.is_local):
        target.write_bytes(name, source.read_bytes(old))
        return
    path = Path(target.path(name))
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source.path(old), temporary)
        except OSError:
            shutil.copyfile(source.path(old), temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, FileNotFoundError) and not os.path.exists(source.path(old)):
            raise CorpusError(source.path(old), "is missing", "Build its corpus again") from error
        raise cannot_write(str(path), error) from error


def _tiles(parts: Sequence[Part], columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Rows of all corpora's `tiles.parquet`, under their new ids."""
    for corpus, taken in parts:
        for table in corpus.tile_batches(columns):
            yield _renamed_tiles(table, taken) if taken.clashes else table


def _renamed_tiles(table: pa.Table, taken: Taken) -> pa.Table:
    rows = table.to_pylist()
    kept = []
    for row in rows:
        scene, tile = taken.scene(row["knowlip:scene"]), taken.tile(row["id"])
        if scene is not None and tile is not None:
            if "assets" in row:
                row["assets"]["data"]["href"] = f"tiles/{scene}/{tile}.tif"
            kept.append(row | {"id": tile, "knowlip:scene": scene})
    return pa.Table.from_pylist(kept, schema=table.schema)


def _write_tables(parts: Sequence[Part], folder: Folder, spec: SplitSpec, name: str) -> dict[str, int]:
    splits = split_by_place(where_of(_tiles(parts, WHERE_COLUMNS)), spec)
    at = 0
    with folder.table_writer("tiles.parquet", tile_schema()) as write:
        for table in _tiles(parts):
            new = with_splits(table, splits[at : at + len(table)])
            column = new.schema.get_field_index("collection")
            new = new.set_column(column, new.schema.field(column), pa.array([name] * len(new), pa.string()))
            write(new.cast(tile_schema()))
            at += len(table)
    rows = {n: _write_table(parts, folder, f"{n}.parquet") for n in ("scenes", "objects", "rejected")}
    if _annotated(parts[0][0]):
        _write_table(parts, folder, "facts.parquet")
        # only a model makes claims, only a person marks, and earlier versions wrote neither captions nor questions
        for name in ("captions.parquet", "questions.parquet", "claims.parquet", "marks.parquet"):
            if any(c.folder.exists(name) for c, _ in parts):
                _write_table(parts, folder, name)
    return {"tiles": len(splits), **rows} | split_counts(splits)


def _write_table(parts: Sequence[Part], folder: Folder, name: str) -> int:
    """Put a table of all corpora that have it together, a piece at a time, and count its rows."""
    having = [(c, taken) for c, taken in parts if c.folder.exists(name)]
    schemas = []
    for corpus, _ in having:
        with corpus.folder.parquet(name) as file:
            schemas.append(file.schema_arrow)
    # a column that is null throughout a corpus may have another type there, and an older corpus lacks some
    schema, total = pa.unify_schemas(schemas, promote_options="permissive"), 0
    empty = schema.empty_table()
    with folder.table_writer(name, schema) as write:
        for corpus, taken in having:
            for table in corpus.folder.table_batches(name):
                new = taken.rows(table)
                write(pa.concat_tables([empty, new], promote_options="permissive").cast(schema))
                total += len(new)
    return total


def _write_statements(parts: Sequence[Part], folder: Folder) -> int:
    """Each round of any corpus; a corpus without it did not change in it. Returns the rows of the first."""
    counts = []
    for number in sorted({r for c, _ in parts for r in c.rounds()}):
        name, total = f"statements/round={number:02d}/statements.parquet", 0
        with folder.table_writer(name, STATEMENT_SCHEMA) as write:
            for corpus, taken in parts:
                for source in corpus.folder.names(f"statements/round={number:02d}/*.parquet"):
                    for table in corpus.folder.table_batches(source):
                        new = taken.rows(table)
                        write(new.cast(STATEMENT_SCHEMA))
                        total += len(new)
        counts.append(total)
    return counts[0] if counts else 0


def _merged_info(
    parts: Sequence[Part], sources: list[dict[str, Any]], spec: SplitSpec, name: str | None, fingerprint: str
) -> dict[str, Any]:
    corpora = [c for c, _ in parts]
    first = corpora[0].info
    simulated = sum(bool(s) for c, t in parts for i, s in c.scenes["simulated"].items() if t.scene(str(i)) is not None)
    info = {
        "name": name or first["name"],
        "format_version": FORMAT_VERSION,
        "made_with": f"sar-knowlip {__version__}",
        "licence": " AND ".join(sorted({str(c.info["licence"]) for c in corpora})),
        "fingerprint": fingerprint,
        # the order that a build gives them
        "counts": dict.fromkeys(first["counts"], 0) | {"simulated_scenes": simulated},
        "build": {"name": name or first["name"], "split": spec.model_dump()},
        "declared": {},
        "merged": sources,
        "clashes": [vars(clash) for _, t in parts for clash in t.clashes.values()],
        "lineage": [entry for c, t in parts for entry in _lineage(c, t)],
        "knowledge": first["knowledge"],
    }
    if annotations := [a for c in corpora if (a := _annotated(c))]:
        settings = [a["settings"] for a in annotations]
        same = all(s == settings[0] for s in settings)
        info["annotation"] = {"settings": settings[0] if same else {"merged": settings}}
    return info


def _lineage(corpus: Corpus, taken: Taken) -> list[str]:
    """The products that a corpus's scenes were made of, one a scene and in their order, where these are taken."""
    lineage = corpus.info["lineage"]
    return [entry for entry, s in zip(lineage, corpus.scenes.index, strict=True) if taken.scene(str(s)) is not None]
