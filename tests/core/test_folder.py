import errno
import json
import os
import pickle

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import files_of
from knowlip.core.errors import ConfigError, KnowlipError, OutputError, SceneError
from knowlip.core.folder import Folder, cannot_write


@pytest.fixture(params=["path", "file", "memory"])
def folder(request, tmp_path):
    root = {"path": f"{tmp_path}/f", "file": f"file://{tmp_path}/f", "memory": f"memory://{tmp_path.name}/f"}
    return Folder(root[request.param])


@given(st.binary(max_size=200))
def test_what_is_written_is_read_anywhere(folder, data):
    folder.write_bytes("deep/er/x.bin", data)
    assert folder.read_bytes("deep/er/x.bin") == data
    assert folder.exists("deep/er/x.bin")


def test_names_and_removal_are_the_same_anywhere(folder):
    assert not folder.exists()
    for name in ("b/2.txt", "a/1.txt", "a/2.bin", "top.txt"):
        folder.write_bytes(name, b"x")
    assert folder.exists()
    assert folder.names("*/*.txt") == ["a/1.txt", "b/2.txt"]
    assert folder.names("*.txt") == ["top.txt"]
    folder.remove("a")
    folder.remove("a")
    assert not folder.exists("a/1.txt")
    assert folder.names("*/*.txt") == ["b/2.txt"]


def test_json_and_tables_come_back(folder):
    value = {"å": [1, 2.5, None], "b": {"c": True}}
    folder.write_json("x.json", value)
    assert folder.read_json("x.json") == value
    table = pa.table({"n": [1, 2], "s": ["a", None]})
    folder.write_table("x.parquet", table)
    assert folder.read_table("x.parquet") == table
    assert folder.read_table("x.parquet", ["s"]).column_names == ["s"]


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 30))
def test_a_table_written_in_pieces_has_all_rows_in_whole_groups(folder, pieces, row_group):
    rows = iter(range(sum(pieces)))
    tables = [pa.table({"n": pa.array([next(rows) for _ in range(n)], pa.int64())}) for n in pieces]
    with folder.table_writer("x.parquet", pa.schema([("n", pa.int64())]), row_group) as write:
        for table in tables:
            write(table)
    assert folder.read_table("x.parquet")["n"].to_pylist() == list(range(sum(pieces)))
    with folder.parquet("x.parquet") as file:
        sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert all(size == row_group for size in sizes[:-1])
    assert 0 not in sizes


def test_a_path_is_one_that_others_open(tmp_path):
    for root in (tmp_path, f"file://{tmp_path}", f"{tmp_path}/"):
        folder = Folder(str(root))
        folder.write_json("x.json", 1)
        assert folder.is_local
        with open(folder.path("x.json")) as file:
            assert json.load(file) == 1


@pytest.mark.parametrize("failing", ["write", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing):
    folder = Folder(str(tmp_path))
    folder.write_bytes("x", b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if failing == "replace":
        monkeypatch.setattr(os, "replace", fail)
    else:
        monkeypatch.setattr("builtins.open", lambda *a, **k: _Failing())
    with pytest.raises(OutputError, match="no space left"):
        folder.write_bytes("x", b"new")
    monkeypatch.undo()
    assert files_of(tmp_path) == {"x": b"old"}


class _Failing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def write(self, data):
        return len(data)


def test_an_interrupt_in_the_middle_of_a_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Folder(str(tmp_path)).write_bytes("x", b"data")
    assert files_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EACCES, "may not be written"),
        (errno.EROFS, "may not be written"),
        (errno.ENOTDIR, "a file is where a folder should be"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_every_reason_why_a_place_refuses_is_named(code, words):
    error = cannot_write("/a/b", OSError(code, os.strerror(code)))
    assert str(error).startswith("/a/b: ")
    assert words in str(error)


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(OutputError, match="a file is where a folder should be"):
        Folder(str(tmp_path / "f")).write_bytes("deep/x", b"")


def test_a_protocol_that_is_not_known_is_refused_in_words():
    with pytest.raises(ConfigError, match="Protocol not known"):
        Folder("nosuch://bucket/x").exists()


TEXT = st.text(st.characters(blacklist_categories=()), max_size=40)


@given(TEXT, TEXT)
def test_an_error_is_one_line_of_text_and_survives_the_way_between_processes(subject, reason):
    error = SceneError(subject, reason, "Mend it")
    assert "\n" not in str(error)
    assert str(error).encode().decode() == str(error)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is SceneError
    assert isinstance(again, KnowlipError)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_sweep_removes_what_killed_writers_left_and_nothing_else(tmp_path):
    folder = Folder(str(tmp_path))
    folder.write_bytes("tiles/a.tif", b"whole")
    (tmp_path / "tiles" / "b.tif.4711.part").write_bytes(b"hal")
    folder.sweep()
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.tif"]
