"""Scenes of one id in several corpora that are put together: the same scene twice, or two that share a name."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from knowlip.corpus.store import Corpus

_ALSO = (
    "polarisations",
    "acquired",
    "platform",
    "radiometry_quantity",
    "radiometry_convention",
    "radiometry_calibration_db",
)
"""What makes scenes of the same pixels different ones."""


@dataclass(frozen=True)
class Clash:
    """A scene whose id an earlier corpus has too.

    Attributes:
        scene: Its id.
        corpus: Name of the corpus that it is in.
        renamed: Its id in the merged corpus; None where it is the same scene, and left out.
    """

    scene: str
    corpus: str
    renamed: str | None


@dataclass(frozen=True)
class Taken:
    """What goes from one corpus into the merged one.

    Attributes:
        clashes: The scenes that do not go as they are, by id.
        tiles: New ids of their tiles by old ones; None for those left out.
    """

    clashes: dict[str, Clash] = field(default_factory=dict)
    tiles: dict[str, str | None] = field(default_factory=dict)

    def scene(self, scene_id: str) -> str | None:
        """The id that a scene has in the merged corpus; None for one that is left out."""
        clash = self.clashes.get(scene_id)
        return scene_id if clash is None else clash.renamed

    def tile(self, tile_id: str) -> str | None:
        """The id that a tile has in the merged corpus; None for one that is left out."""
        return self.tiles.get(tile_id, tile_id)

    def rows(self, table: pa.Table) -> pa.Table:
        """Rows about scenes or tiles under their new ids, without those of what is left out."""
        if not self.clashes:
            return table
        column, new = ("scene_id", self.scene) if "scene_id" in table.column_names else ("tile_id", self.tile)
        if column not in table.column_names:
            return table
        old = table[column].to_pylist()
        ids = [new(i) for i in old]
        columns = {column: ids}
        if "statement_id" in table.column_names:
            # a statement's id begins with its tile's
            said = table["statement_id"].to_pylist()
            columns["statement_id"] = [i and i + s[len(o) :] for i, s, o in zip(ids, said, old, strict=True)]
        for name, values in columns.items():
            table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))
        return table.filter(pc.is_valid(table[column]))


def taken_from(corpora: Sequence[Corpus]) -> list[Taken]:
    """What goes from each corpus into the merged one; the first that has a scene keeps its name.

    A scene of the same tiles, radiometry and acquisition is the same one, and is left out. Another one of the same name
    is renamed after the fingerprint of its corpus, so that every merge of these corpora gives it the same name.
    """
    found = Counter(s for c in corpora for s in c.scenes.index)
    twice = {s for s, n in found.items() if n > 1}
    seen: dict[str, set[str]] = {}
    names, result = set(found), []
    for corpus in corpora:
        part = Taken()
        content, tiles = _content(corpus, twice)
        for scene_id in sorted(content):
            known = seen.setdefault(scene_id, set())
            if content[scene_id] in known:
                new = None
            elif known:
                new = _name(scene_id, corpus, names)
            else:
                known.add(content[scene_id])
                continue
            known.add(content[scene_id])
            part.clashes[scene_id] = Clash(scene_id, str(corpus.info["name"]), new)
            part.tiles.update({t: new and new + t[len(scene_id) :] for t in tiles[scene_id]})
        result.append(part)
    return result


def _name(scene_id: str, corpus: Corpus, names: set[str]) -> str:
    fingerprint = str(corpus.info["fingerprint"])
    lengths = range(8, len(fingerprint) + 1)
    new = next(n for k in lengths if (n := f"{scene_id}-{fingerprint[:k]}") not in names)
    names.add(new)
    return new


def _content(corpus: Corpus, scene_ids: set[str]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """What scenes hold, as a digest, and their tiles' ids."""
    sums: dict[str, list[str]] = {}
    tiles: dict[str, list[str]] = {}
    if not scene_ids:
        return {}, {}
    for table in corpus.tile_batches(["id", "knowlip:scene", "knowlip:sha256"]):
        for tile_id, scene_id, sha256 in zip(*(table[n].to_pylist() for n in table.column_names), strict=True):
            if scene_id in scene_ids:
                sums.setdefault(scene_id, []).append(sha256)
                tiles.setdefault(scene_id, []).append(tile_id)
    also = {s: repr([corpus.scenes.at[s, name] for name in _ALSO]) for s in sums}
    return {s: hashlib.sha256(repr((sorted(v), also[s])).encode()).hexdigest() for s, v in sums.items()}, tiles
