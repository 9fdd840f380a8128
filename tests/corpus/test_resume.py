import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from corpora import CONFIG
from fakes import as_db, files_of, ground_power, write_scene
from knowlip.core import folder as folder_module
from knowlip.core.errors import CorpusError, OutputError
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.store import open_corpus


def build_until_the_write(scenes, out, n):
    """Build, and end as by SIGKILL at the n-th write: the temporary file is there, its rename did not happen."""
    left = n

    def replace(source, target):
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(9)
        os.rename(source, target)

    folder_module.os.replace = replace
    build_corpus([scenes], str(out), CONFIG)
    os._exit(0)


def killed_at_write(scenes, out, n):
    process = multiprocessing.get_context("fork").Process(target=build_until_the_write, args=(scenes, out, n))
    process.start()
    process.join()
    return process.exitcode == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_build_killed_at_any_write_resumes_to_the_same_bytes(tmp_path, two_scenes):
    truth_folder = tmp_path / "undisturbed"
    build_corpus([two_scenes], str(truth_folder), CONFIG)
    truth = files_of(truth_folder)
    out, n = tmp_path / "out", 1
    while killed_at_write(two_scenes, out, n):
        assert not (out / "corpus.json").exists()
        with pytest.raises(CorpusError, match="did not finish"):
            open_corpus(str(out))
        build_corpus([two_scenes], str(out), CONFIG)
        assert files_of(out) == truth, f"after a kill at write {n}"
        shutil.rmtree(out)
        n += 1
    # one write for each file, two for what each scene leaves, and one for the claim of the folder
    assert n - 1 == len(truth) + 2 * 2 + 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_build_killed_again_and_again_still_ends_with_the_same_bytes(tmp_path, two_scenes):
    truth_folder, out = tmp_path / "undisturbed", tmp_path / "out"
    build_corpus([two_scenes], str(truth_folder), CONFIG)
    kills = sum(killed_at_write(two_scenes, out, 3) for _ in range(4))
    assert kills == 4
    build_corpus([two_scenes], str(out), CONFIG)
    assert files_of(out) == files_of(truth_folder)


def test_a_build_killed_while_it_tidied_up_is_finished(tmp_path, two_scenes):
    out = tmp_path / "out"
    build_corpus([two_scenes], str(out), CONFIG)
    truth = files_of(out)
    (out / ".build" / "scenes").mkdir(parents=True)
    (out / ".build" / "scenes" / "s1.json").write_text("{}")
    assert build_corpus([two_scenes], str(out), CONFIG).already_complete
    assert files_of(out) == truth


def test_an_unfinished_build_is_not_continued_with_other_settings(tmp_path, two_scenes):
    out = tmp_path / "out"
    folder = folder_module.Folder(str(out))
    folder.write_json(".build/fingerprint.json", {"fingerprint": "of another build"})
    with pytest.raises(CorpusError, match="unfinished build of other scenes or settings"):
        build_corpus([two_scenes], str(out), CONFIG)
    assert list(files_of(out)) == [".build/fingerprint.json"]


SMALL_TILES = BuildConfig(tiles=TileSpec(tile_size=64))


@pytest.fixture(scope="module")
def many_tiles(tmp_path_factory):
    """Scenes that take a second or two to build, and the corpus of an undisturbed build."""
    scenes, out = tmp_path_factory.mktemp("scenes"), tmp_path_factory.mktemp("undisturbed")
    for k in range(4):
        write_scene(scenes / f"s{k}.tif", as_db(ground_power((520, 520), k)), at=(3.0 + k, 48.0))
    (scenes / "bad.tif").write_text("not an image")
    build_corpus([scenes], str(out), SMALL_TILES)
    return scenes, files_of(out)


def start(scenes, out, workers):
    command = [sys.executable, "-m", "knowlip.cli.app", "corpus", "build", str(scenes), "--out", str(out)]
    command += ["--tile-size", "64", "--workers", str(workers)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, start_new_session=True)


def wait_for_files(out, pattern, seconds=60.0):
    end = time.monotonic() + seconds
    while not any(out.glob(pattern)):
        assert time.monotonic() < end, f"no {pattern} in {seconds} s"
        time.sleep(0.01)


def test_two_workers_write_the_same_bytes_as_one(tmp_path, many_tiles):
    scenes, truth = many_tiles
    process = start(scenes, tmp_path / "out", 2)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert files_of(tmp_path / "out") == truth


@pytest.mark.slow
def test_a_build_killed_at_twenty_random_moments_ends_with_the_same_bytes_each_time(tmp_path, many_tiles):
    scenes, truth = many_tiles
    moment = random.Random(5)
    unfinished = 0
    for attempt in range(20):
        out = tmp_path / f"out{attempt}"
        process = start(scenes, out, 1 + attempt % 2)
        wait_for_files(out, moment.choice([".build/*", "tiles/*/*", ".build/scenes/*", "tiles/s2*/*"]))
        time.sleep(moment.uniform(0, 0.3))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        unfinished += not (out / "corpus.json").exists()
        build_corpus([scenes], str(out), SMALL_TILES)
        assert files_of(out) == truth, f"attempt {attempt}"
        shutil.rmtree(out)
    assert unfinished > 10


def test_workers_end_with_a_killed_parent(tmp_path, many_tiles):
    scenes, truth = many_tiles
    out = tmp_path / "out"
    process = start(scenes, out, 2)
    wait_for_files(out, "tiles/*/*")
    process.kill()
    # the pipe closes when the last process that holds it has ended
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    build_corpus([scenes], str(out), SMALL_TILES)
    assert files_of(out) == truth


@pytest.mark.parametrize(("workers", "pattern"), [(1, "tiles/*/*"), (2, ".build/fingerprint.json"), (2, "tiles/*/*")])
def test_an_interrupted_build_ends_with_130_and_one_line_and_goes_on(tmp_path, many_tiles, workers, pattern):
    scenes, truth = many_tiles
    out = tmp_path / "out"
    process = start(scenes, out, workers)
    wait_for_files(out, pattern)
    # as a terminal does: to the whole process group
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert len(errors.splitlines()) == 1, errors
    assert "interrupted" in errors
    assert not list(out.rglob("*.part"))
    assert not (out / "corpus.json").exists()
    build_corpus([scenes], str(out), SMALL_TILES)
    assert files_of(out) == truth


def test_a_full_disk_leaves_a_build_that_can_go_on(tmp_path, two_scenes, monkeypatch):
    build_corpus([two_scenes], str(tmp_path / "undisturbed"), CONFIG)
    out = tmp_path / "out"
    writes = 0

    class FullAfterFive:
        def __init__(self, path, mode):
            self.file = open(path, mode)  # noqa: SIM115 - stands in for open

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            nonlocal writes
            writes += 1
            if writes > 5:
                self.file.write(data[: len(data) // 2])
                raise OSError(28, "No space left on device")
            self.file.write(data)

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "open", FullAfterFive, raising=False)
        with pytest.raises(OutputError, match="no space left on the disk"):
            build_corpus([two_scenes], str(out), CONFIG)
    assert not list(out.rglob("*.part"))
    build_corpus([two_scenes], str(out), CONFIG)
    assert files_of(out) == files_of(tmp_path / "undisturbed")
