"""Corpora put together into a new one, and the splits of one made anew; both leave the tiles' files as they are."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from knowlip import __version__
from knowlip.core.errors import CorpusError
from knowlip.core.folder import Folder, cannot_write
from knowlip.core.geoproperties import SPLITS
from knowlip.corpus.croissant import croissant
from knowlip.corpus.placing import where_of, with_splits
from knowlip.corpus.splits import SplitSpec, split_by_place
from knowlip.corpus.stac import tile_schema
from knowlip.corpus.store import FORMAT_VERSION, Corpus, open_corpus

STAGE = ".split"
"""Where a new split waits until all its files are there."""

Progress = Callable[[int, int, str], None]


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

    Args:
        spec: How places are divided.
        name: Name of the new corpus; that of the first without it.
        progress: Called with (files done, files in all, name).

    Raises:
        CorpusError: Scenes of one id are in two corpora, only some corpora are annotated, or `out` holds something
            else.
        OutputError: `out` cannot be written.
    """
    spec, folder = spec or SplitSpec(), Folder(out)
    _refuse_clashes(corpora)
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
    _place_files(corpora, folder, progress)
    info = _merged_info(corpora, sources, spec, name, fingerprint)
    info["counts"] |= _write_tables(corpora, folder, spec, info["name"])
    _write_statements(corpora, folder)
    folder.write_json("croissant.json", croissant(folder, info))
    # last of all: its presence says that everything else is there
    folder.write_json("corpus.json", info)
    folder.remove(".build")
    return open_corpus(out)


def _refuse_clashes(corpora: Sequence[Corpus]) -> None:
    found = Counter(s for c in corpora for s in c.scenes.index)
    if twice := sorted(s for s, n in found.items() if n > 1):
        where = [c.folder.path() for c in corpora if twice[0] in c.scenes.index]
        more = f" and {len(twice) - 1} others" if len(twice) > 1 else ""
        raise CorpusError(
            where[1], f"holds scene {twice[0]}{more}, as {where[0]} does", "Merge corpora of different scenes"
        )
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


def _place_files(corpora: Sequence[Corpus], folder: Folder, progress: Progress) -> None:
    """Every tile's files at their new places, those excepted that an earlier run placed."""
    there = {n for kind in ("tiles", "landcover") for n in folder.names(f"{kind}/*/*.tif")}
    total, done = sum(len(c.tiles) for c in corpora), 0
    for corpus in corpora:
        tiles = corpus.tiles
        for tile_id, scene_id, cover in zip(
            tiles.index, tiles["knowlip:scene"], tiles["knowlip:landcover"], strict=True
        ):
            for kind in ("tiles", "landcover") if cover else ("tiles",):
                if (file := f"{kind}/{scene_id}/{tile_id}.tif") not in there:
                    place_file(corpus.folder, folder, file)
            progress(done := done + 1, total, tile_id)


def place_file(source: Folder, target: Folder, name: str) -> None:
    """A file at the same name in another folder: a hard link on one disk, otherwise a copy; whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    if not (source.is_local and target.is_local):
        target.write_bytes(name, source.read_bytes(name))
        return
    path = Path(target.path(name))
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source.path(name), temporary)
        except OSError:
            shutil.copyfile(source.path(name), temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, FileNotFoundError) and not os.path.exists(source.path(name)):
            raise CorpusError(source.path(name), "is missing", "Build its corpus again") from error
        raise cannot_write(str(path), error) from error


def _write_tables(corpora: Sequence[Corpus], folder: Folder, spec: SplitSpec, name: str) -> dict[str, int]:
    tables = [c.tiles_table for c in corpora]
    splits = split_by_place(where_of(tables), spec)
    at = 0
    with folder.table_writer("tiles.parquet", tile_schema()) as write:
        for table in tables:
            new = with_splits(table, splits[at : at + len(table)])
            column = new.schema.get_field_index("collection")
            new = new.set_column(column, new.schema.field(column), pa.array([name] * len(new), pa.string()))
            write(new.cast(tile_schema()))
            at += len(table)
    for table_name in ("scenes", "objects", "rejected", *(["facts", "claims"] if _annotated(corpora[0]) else [])):
        # only a model makes claims
        parts = [c.table(table_name) for c in corpora if table_name != "claims" or c.folder.exists("claims.parquet")]
        if not parts:
            continue
        # a column that is null throughout a corpus may have another type there
        folder.write_table(f"{table_name}.parquet", pa.concat_tables(parts, promote_options="permissive"))
    return split_counts(splits)


def split_counts(splits: Sequence[str | None]) -> dict[str, int]:
    """The counts of `corpus.json` that a split decides."""
    return {f"{s}_tiles": sum(split == s for split in splits) for s in SPLITS}


def _write_statements(corpora: Sequence[Corpus], folder: Folder) -> None:
    """Each round of any corpus; a corpus without it did not change in it."""
    for number in sorted({r for c in corpora for r in c.rounds()}):
        parts = [c.changes(number) for c in corpora if number in c.rounds()]
        folder.write_table(f"statements/round={number:02d}/statements.parquet", pa.concat_tables(parts))


def _merged_info(
    corpora: Sequence[Corpus], sources: list[dict[str, Any]], spec: SplitSpec, name: str | None, fingerprint: str
) -> dict[str, Any]:
    first = corpora[0].info
    counts = {k: sum(c.info["counts"][k] for c in corpora) for k in first["counts"]}
    info = {
        "name": name or first["name"],
        "format_version": FORMAT_VERSION,
        "made_with": f"sar-knowlip {__version__}",
        "licence": " AND ".join(sorted({str(c.info["licence"]) for c in corpora})),
        "fingerprint": fingerprint,
        "counts": counts,
        "build": {"name": name or first["name"], "split": spec.model_dump()},
        "declared": {},
        "merged": sources,
        "lineage": [entry for c in corpora for entry in c.info["lineage"]],
        "knowledge": first["knowledge"],
    }
    if annotations := [a for c in corpora if (a := _annotated(c))]:
        settings = [a["settings"] for a in annotations]
        same = all(s == settings[0] for s in settings)
        summed = {k: sum(a["counts"][k] for a in annotations) for k in annotations[0]["counts"]}
        info["annotation"] = {"settings": settings[0] if same else {"merged": settings}, "counts": summed}
    return info


def resplit(corpus: Corpus, spec: SplitSpec) -> Corpus:
    """Divide a corpus's places anew; its tiles, statements and everything else stay.

    All new files are written aside first and then take their places; a run that was stopped in between is finished by
    the next one.

    Raises:
        OutputError: The corpus cannot be written.
    """
    folder = corpus.folder
    if folder.exists(f"{STAGE}/ready.json"):
        _take_place(folder)
        corpus = open_corpus(folder.root)
    table = corpus.tiles_table
    splits = split_by_place(where_of([table]), spec)
    if splits == table["knowlip:split"].to_pylist() and corpus.info["build"].get("split") == spec.model_dump():
        return corpus
    stage = Folder(folder.path(STAGE))
    stage.write_table("tiles.parquet", with_splits(table, splits))
    entry = {"verb": "split", "made_with": f"sar-knowlip {__version__}", "before": corpus.info["fingerprint"]}
    history = [*corpus.info.get("history", []), entry | {"split": spec.model_dump()}]
    info = corpus.info | {
        "fingerprint": hashlib.sha256(repr(history[-1]).encode()).hexdigest(),
        "counts": corpus.info["counts"] | split_counts(splits),
        "build": corpus.info["build"] | {"split": spec.model_dump()},
        "history": history,
    }
    stage.write_json("croissant.json", croissant(stage, info))
    stage.write_json("corpus.json", info)
    stage.write_json("ready.json", {})
    _take_place(folder)
    return open_corpus(folder.root)


def _take_place(folder: Folder) -> None:
    stage = Folder(folder.path(STAGE))
    for name in ("tiles.parquet", "croissant.json", "corpus.json"):
        folder.write_bytes(name, stage.read_bytes(name))
    folder.remove(STAGE)


def tiles_without_split(corpus: Corpus) -> int:
    """How many tiles lie too near to another split to be in any."""
    return int(pc.sum(pc.is_null(corpus.tiles_table["knowlip:split"])).as_py() or 0)
