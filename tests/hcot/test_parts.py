"""Parts of an annotation and the tables joined from them, on made-up facts; no pixel is read."""

import pyarrow as pa
import pytest
from made_up import made_up

from knowlip.core.folder import Folder
from knowlip.hcot import parts
from knowlip.hcot.engines.description import described

JOINED = {
    "statements": "statements/round=00/statements.parquet",
    "captions": "captions.parquet",
    "questions": "questions.parquet",
    "facts": "facts.parquet",
}


def annotated(root, scenes, tiles=4) -> tuple[Folder, list[str]]:
    """Parts of so many scenes; one of them has no tile."""
    folder = Folder(str(root))
    names = [f"scene-{k:03d}" for k in range(scenes)]
    for k, scene in enumerate(names):
        ids = [f"{scene}-{t}" for t in range(tiles if k != 1 else 0)]
        parts.write_part(folder, scene, [(i, described(i, made_up(100 * k + t))) for t, i in enumerate(ids)])
    return folder, names


def together(folder, scenes, kind) -> pa.Table:
    return pa.concat_tables([folder.read_table(parts.part(s, kind)) for s in scenes])


@pytest.mark.parametrize("row_group", [7, 64, 32_768])
def test_joined_tables_hold_the_parts_rows_in_the_scenes_order(tmp_path, monkeypatch, row_group):
    monkeypatch.setattr(parts, "LONG_ROW_GROUP", row_group)
    folder, scenes = annotated(tmp_path, 6)
    rows = parts.join_parts(folder, scenes)
    for kind, name in JOINED.items():
        expected = together(folder, scenes, kind)
        assert folder.read_table(name).equals(expected)
        assert rows[kind] == len(expected) > 0


def test_a_part_is_finished_when_its_last_table_is_there(tmp_path):
    folder, scenes = annotated(tmp_path, 1)
    assert parts.is_finished(folder, scenes[0])
    folder.remove(parts.part(scenes[0], "facts"))
    assert not parts.is_finished(folder, scenes[0])
    assert not parts.is_finished(folder, "scene")


@pytest.mark.parametrize("reads", [0, 3, 8, 15, 23])
def test_a_join_that_is_killed_leaves_whole_tables_and_is_done_again_to_the_same_bytes(tmp_path, monkeypatch, reads):
    monkeypatch.setattr(parts, "LONG_ROW_GROUP", 16)
    folder, scenes = annotated(tmp_path / "whole", 6)
    parts.join_parts(folder, scenes)
    killed, _ = annotated(tmp_path / "killed", 6)
    left, read = iter(range(reads)), Folder.read_table

    def dying(self, name, columns=None):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return read(self, name, columns)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "read_table", dying)
        with pytest.raises(KeyboardInterrupt):
            parts.join_parts(killed, scenes)
    there = [name for name in JOINED.values() if killed.exists(name)]
    assert there == list(JOINED.values())[: reads // len(scenes)]
    assert all(killed.read_bytes(n) == folder.read_bytes(n) for n in there)
    assert not killed.names("**/*.part")
    parts.join_parts(killed, scenes)
    assert all(killed.read_bytes(n) == folder.read_bytes(n) for n in JOINED.values())


def test_memory_does_not_grow_with_the_number_of_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "LONG_ROW_GROUP", 64)
    folder, scenes = annotated(tmp_path, 4)
    read = Folder.read_table

    def most(times) -> int:
        """Bytes of Arrow's tables at once, at most, over before."""
        before, seen = pa.total_allocated_bytes(), [0]

        def watching(self, name, columns=None):
            seen.append(pa.total_allocated_bytes() - before)
            return read(self, name, columns)

        with monkeypatch.context() as patch:
            patch.setattr(Folder, "read_table", watching)
            parts.join_parts(folder, scenes * times)
        return max(seen)

    assert most(64) < 1.5 * most(8)
