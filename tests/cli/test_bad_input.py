import json
import os
import subprocess

import numpy as np
import pytest

from corpora import BAD, CONFIG, write_bad_scenes
from fakes import as_db, files_of, ground_power, write_scene
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec

DEFAULT = BuildConfig(tiles=TileSpec(tile_size=128))


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    write_bad_scenes(folder)
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    for k in range(2):
        write_scene(folder / f"s{k}.tif", as_db(ground_power((140, 260), k)), at=(3.0 + k, 48.0))
    return folder


@pytest.fixture
def built(good, tmp_path):
    """A finished corpus that a test may damage."""
    out = tmp_path / "built"
    build_corpus([good], str(out), DEFAULT)
    return out


def build(knowlip, scenes, out, *options):
    return knowlip("corpus", "build", scenes, "--out", out, "--tile-size", "128", "-j", "1", *options)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_scene_alone_is_refused_in_one_line_and_leaves_nothing(knowlip, bad, tmp_path, name):
    ran = build(knowlip, bad / f"{name}.tif", tmp_path / "out")
    assert name in ran.refusal
    assert BAD[name] in ran.refusal
    assert files_of(tmp_path / "out") == {}


@pytest.mark.parametrize("name", sorted(set(BAD) - {"cut_off", "no_data", "small"}))
def test_a_bad_scene_is_refused_by_scenes_info_too(knowlip, bad, name):
    assert BAD[name] in knowlip("scenes", "info", bad / f"{name}.tif").refusal


def test_good_scenes_go_on_and_bad_ones_are_listed(knowlip, bad, good, tmp_path):
    ran = build(knowlip, bad, tmp_path / "out", str(good), str(tmp_path / "missing.tif"))
    assert ran.code == 0
    assert "4 tiles of 2 scenes" in ran.out
    lines = ran.err.splitlines()
    assert len(lines) == len(BAD) + 1
    assert all(line.startswith("rejected: ") for line in lines)
    assert any("missing.tif: no such file or folder" in line for line in lines)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: folder / "missing.tif", "no such file or folder"),
        (lambda folder: folder, "holds no GeoTIFF"),
    ],
)
def test_no_scenes_at_all_are_refused(knowlip, tmp_path, make, reason):
    path = make(tmp_path)
    assert reason in build(knowlip, path, tmp_path / "out").refusal
    assert reason in knowlip("scenes", "info", path).refusal
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tile-size", "100"), "tile-size 100"),
        (("--tile-size", "16"), "tile-size 16"),
        (("--min-valid", "2"), "min-valid 2"),
        (("--radiometry", "loud"), "radiometry"),
        (("--radiometry", "sigma0-db:nan"), "--radiometry"),
        (("--crs", "EPSG:nonsense"), "EPSG:nonsense"),
        (("--polarisations", "VV,VH"), "polarisations"),
        (("--polarisations", "XX"), "polarisations"),
    ],
)
def test_a_bad_option_is_refused_by_name(knowlip, good, tmp_path, options, words):
    ran = build(knowlip, good / "s0.tif", tmp_path / "out", *options)
    assert words in ran.refusal
    assert files_of(tmp_path / "out") == {}


def test_a_build_into_a_file_is_refused(knowlip, good, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "a file is where a folder should be" in build(knowlip, good, tmp_path / "file").refusal
    assert "a file is where a folder should be" in build(knowlip, good, tmp_path / "file" / "deep").refusal
    assert (tmp_path / "file").read_text() == "mine"


def test_a_build_where_nothing_can_be_written_is_refused(knowlip, good):
    assert "/proc/nothing" in build(knowlip, good, "/proc/nothing").refusal


def test_a_build_to_an_unknown_protocol_is_refused(knowlip, good):
    assert "Protocol not known" in build(knowlip, good, "nosuch://bucket/corpus").refusal


@pytest.fixture
def mounted(tmp_path):
    """Mount a small file system of its own; skips where that is not permitted."""
    place = tmp_path / "mounted"
    place.mkdir()

    def mount(options):
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
        return place

    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


def test_a_build_on_a_read_only_disk_is_refused(knowlip, good, mounted):
    assert "may not be written" in build(knowlip, good, mounted("ro,size=1m") / "out").refusal


def test_a_build_on_a_full_disk_is_refused_and_goes_on_when_there_is_room(knowlip, good, mounted, tmp_path):
    place = mounted("size=160k")
    out = place / "out"
    assert "no space left on the disk" in build(knowlip, good, out).refusal
    assert not list(out.rglob("*.part"))
    assert not (out / "corpus.json").exists()
    subprocess.run(["mount", "-o", "remount,size=20m", str(place)], check=True)
    assert build(knowlip, good, out).code == 0
    build_corpus([good], str(tmp_path / "undisturbed"), DEFAULT)
    assert files_of(out) == files_of(tmp_path / "undisturbed")


def test_simulating_on_a_full_disk_is_refused_and_leaves_no_scene(knowlip, mounted):
    out = mounted("size=200k") / "scenes"
    ran = knowlip("simulate", "--out", out, "--cities", "1", "--size", "512", "-j", "1")
    assert ran.code == 2
    # libtiff says a word of its own before
    assert ran.err.splitlines()[-1].startswith(f"error: {out}: ")
    assert "Traceback" not in ran.err
    assert not list(out.glob("*.*"))


def test_a_second_build_says_so_and_changes_nothing(knowlip, good, built):
    before = files_of(built)
    ran = build(knowlip, good, built)
    assert ran.code == 0
    assert "was complete already" in ran.out
    refused = build(knowlip, good, built, "--seed", "7")
    assert "already holds a corpus of other scenes or settings" in refused.refusal
    assert files_of(built) == before


def test_a_folder_with_other_things_is_not_built_into(knowlip, good, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert "is not empty and not a corpus" in build(knowlip, good, tmp_path).refusal
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


CORPUS_VERBS = [
    ("corpus", "info"),
    ("corpus", "validate"),
    ("annotate",),
    ("pretrain", "--out", "MODEL"),
    ("index", "--model", "MODEL"),
    ("search",),
    ("bench", "run", "--out", "RESULTS", "--models", "none"),
]


def of_corpus(knowlip, verb, corpus, tmp_path):
    words = [str(tmp_path / w) if w.isupper() else w for w in verb]
    return knowlip(*words, corpus, *(["ships"] if verb == ("search",) else []))


@pytest.mark.parametrize("verb", CORPUS_VERBS, ids=" ".join)
def test_every_verb_refuses_what_is_no_corpus(knowlip, verb, tmp_path):
    assert "no such folder" in of_corpus(knowlip, verb, tmp_path / "missing", tmp_path).refusal
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "is not a corpus" in of_corpus(knowlip, verb, empty, tmp_path).refusal
    (empty / ".build").mkdir()
    assert "did not finish" in of_corpus(knowlip, verb, empty, tmp_path).refusal
    file = tmp_path / "file"
    file.write_text("x")
    assert "is not a corpus" in of_corpus(knowlip, verb, file, tmp_path).refusal
    assert set(files_of(tmp_path)) == {"file"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format_version": "new"}', "{}"])
def test_a_damaged_corpus_json_is_refused(knowlip, built, content):
    (built / "corpus.json").write_text(content)
    assert "corpus.json: is damaged" in knowlip("corpus", "info", built).refusal


def test_a_corpus_of_a_newer_format_is_refused(knowlip, built):
    info = json.loads((built / "corpus.json").read_text())
    (built / "corpus.json").write_text(json.dumps(info | {"format_version": 99}))
    assert "format version 99" in knowlip("corpus", "info", built).refusal


@pytest.mark.parametrize("verb", [("corpus", "info"), ("corpus", "validate"), ("annotate",)], ids=" ".join)
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_table_is_refused(knowlip, built, verb, damage, tmp_path):
    table = built / "tiles.parquet"
    if damage == "missing":
        table.unlink()
    else:
        table.write_bytes(table.read_bytes()[:-200])
    refusal = of_corpus(knowlip, verb, built, tmp_path).refusal
    assert "tiles.parquet" in refusal
    assert "cannot be read" in refusal


def test_a_corpus_with_problems_is_refused_after_they_are_listed(knowlip, built):
    next((built / "tiles").rglob("*.tif")).unlink()
    ran = knowlip("corpus", "validate", built)
    assert ran.code == 2
    assert "is missing" in ran.out
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "--out"),
        (("--city", "Atlantis"), "Atlantis"),
        (("--sensor", "seasat"), "seasat"),
        (("--size", "10"), "size must be 256"),
    ],
)
def test_a_bad_simulation_is_refused(knowlip, tmp_path, options, words):
    out = ("--out", tmp_path / "out") if options else ()
    assert words in knowlip("simulate", *out, *options).refusal
    assert not (tmp_path / "out").exists()


def test_simulating_into_a_file_is_refused(knowlip, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", "/proc/nothing"):
        assert str(out) in knowlip("simulate", "--out", out, "--cities", "1", "--size", "256", "-j", "1").refusal
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--config", "missing.yaml"), "missing.yaml"),
        (("--preset", "nosuch"), "nosuch"),
        (("--set", "nonsense=1"), "nonsense"),
        (("--set", "nonsense"), "nonsense"),
    ],
)
def test_a_bad_training_option_is_refused_before_anything_is_done(knowlip, built, tmp_path, options, words):
    ran = knowlip("pretrain", built, "--out", tmp_path / "model", *options)
    assert words in ran.refusal
    assert not (tmp_path / "model").exists()


def test_a_missing_benchmark_is_refused(knowlip, tmp_path):
    assert "holds no benchmark results" in knowlip("bench", "report", tmp_path).refusal


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("nosuch",), "No such command 'nosuch'. See `knowlip --help`"),
        (("corpus", "build"), "See `knowlip corpus build --help`"),
        (("corpus", "build", "x"), "--out"),
        (("corpus", "build", "x", "--out", "y", "--nodata", "abc"), "--nodata"),
        (("corpus", "build", "x", "--out", "y", "-j", "-1"), "--workers"),
        (("simulate", "--cities", "0"), "--cities"),
        (("--nosuch",), "--nosuch"),
    ],
)
def test_a_wrong_call_is_refused_and_points_to_its_help(knowlip, args, words):
    assert words in knowlip(*args).refusal


@pytest.mark.parametrize("group", [(), ("corpus",), ("scenes",), ("bench",)])
def test_a_group_without_a_verb_shows_its_help(knowlip, group):
    ran = knowlip(*group)
    assert ran.code == 2
    assert "Usage: " in ran.out
    assert ran.err == ""


def test_all_no_data_with_a_declared_value_is_refused(knowlip, tmp_path):
    path = write_scene(tmp_path / "x.tif", np.zeros((140, 140), np.uint16))
    assert "all no-data?" in build(knowlip, path, tmp_path / "out", "--nodata", "0").refusal


def test_the_same_settings_give_the_same_corpus_from_the_command_and_the_library(knowlip, good, tmp_path):
    assert build(knowlip, good, tmp_path / "a", "--name", "fakes", "--licence", "CC-BY-4.0").code == 0
    build_corpus([good], str(tmp_path / "b"), CONFIG)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
