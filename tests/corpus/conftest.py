from dataclasses import dataclass
from pathlib import Path

import pytest

from corpora import CONFIG, write_bad_scenes, write_good_scenes
from fakes import as_db, ground_power, write_scene
from knowlip.corpus.build import BuildResult, build_corpus
from knowlip.corpus.store import Corpus


@dataclass
class Built:
    scenes: Path
    out: Path
    result: BuildResult
    corpus: Corpus


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A corpus of all good scenes and all bad ones."""
    scenes, out = tmp_path_factory.mktemp("scenes"), tmp_path_factory.mktemp("corpus")
    write_good_scenes(scenes)
    write_bad_scenes(scenes / "bad")
    result = build_corpus([scenes], str(out), CONFIG)
    return Built(scenes, out, result, result.corpus)


@pytest.fixture
def two_scenes(tmp_path):
    """A folder of two small scenes of two tiles each, for builds that are disturbed."""
    for k in range(2):
        write_scene(tmp_path / "scenes" / f"s{k}.tif", as_db(ground_power((140, 260), k)), at=(3.0 + k, 48.0))
    return tmp_path / "scenes"
