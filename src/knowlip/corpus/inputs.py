"""What a build is given: every scene once, in an order that does not depend on that of the inputs."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from knowlip.core.errors import SceneError
from knowlip.core.folder import Folder
from knowlip.corpus.records import Rejected
from knowlip.scenes.chips import files_of
from knowlip.scenes.products import find_scenes, identity_of, reader_of, scene_id_of
from knowlip.scenes.sidecar import read_sidecar

_SAMPLE_BYTES = 4096


def gather(inputs: Sequence[str | Path], out: Folder, take_chips: bool) -> tuple[list[Path], list[Rejected]]:
    """The scenes to cut, and the inputs that are none or that are there twice.

    Args:
        inputs: Scene files, or folders of them.
        out: Where the corpus goes; what lies in it are tiles, not scenes.
        take_chips: Also pictures without georeference.

    Raises:
        SceneError: No input can be used.
    """
    found: dict[Path, None] = {}
    rejected = []
    for given in inputs:
        try:
            scenes = find_scenes(Path(given), take_chips)
            rejected += [r for p in scenes if (r := _out_of_reach(p))]
            rasters = (p.resolve() for p in scenes if not _out_of_reach(p))
            found |= dict.fromkeys(p for p in rasters if not (out.is_local and p.is_relative_to(out.path())))
        except SceneError as error:
            rejected.append(Rejected(error.subject, error.reason, error.remedy))
    unique: dict[str, Path] = {}
    ordered = sorted(found, key=lambda p: (p.stem, str(p)))
    twins = _twins([p for p in ordered if p.is_file() and not (take_chips and len(files_of(p)) > 1)])
    for path in ordered:
        scene_id = scene_id_of(path, take_chips)
        if path in twins:
            rejected.append(Rejected(str(path), f"holds the same bytes as {twins[path]}", "Remove one of the two"))
        elif scene_id in unique:
            rejected.append(Rejected(str(path), f"has the same name as {unique[scene_id]}", "Rename one of the two"))
        else:
            unique[scene_id] = path
    if not (unique or rejected):
        raise SceneError(out.path(), "is given no scenes that lie outside it", "Choose another --out")
    if not unique:
        first = rejected[0]
        raise SceneError(first.path, first.reason, first.remedy)
    return list(unique.values()), rejected


def identity(path: Path, take_chips: bool) -> str:
    """Name, size and what the sidecar says of a scene: a change of one of them makes another corpus."""
    try:
        said = repr(read_sidecar(path))
    except SceneError as error:
        said = error.reason
    return f"{identity_of(path, take_chips)}:{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def _out_of_reach(path: Path) -> Rejected | None:
    if not path.exists():
        return Rejected(str(path), "is a link to nothing", "Check the path")
    if path.is_dir() and reader_of(path) is None:
        return Rejected(str(path), "is a folder that may not be read", "Change its permissions")
    return None


def _twins(paths: Sequence[Path]) -> dict[Path, Path]:
    """Files that hold the same bytes as an earlier one, which each is mapped to; empty files are no twins."""
    alike: dict[object, list[Path]] = defaultdict(list)
    for path in paths:
        if size := path.stat().st_size:
            alike[size].append(path)
    # files are only read where others have their size, and whole where beginning, middle and end agree too
    for key in (_sample, _digest):
        groups = [g for g in alike.values() if len(g) > 1]
        alike = defaultdict(list)
        for path in (p for g in groups for p in g):
            alike[key(path)].append(path)
    return {twin: g[0] for g in alike.values() for twin in g[1:]}


def _sample(path: Path) -> object:
    size = path.stat().st_size
    pieces = [size.to_bytes(8)]
    try:
        with path.open("rb") as file:
            for at in (0, size // 2, max(0, size - _SAMPLE_BYTES)):
                file.seek(at)
                pieces.append(file.read(_SAMPLE_BYTES))
    except OSError:
        # its reader says why
        return path
    return b"".join(pieces)


def _digest(path: Path) -> object:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return path
