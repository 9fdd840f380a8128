import json

import pytest
from typer.testing import CliRunner

from corpora import CONFIG
from fakes import as_db, files_of, ground_power, write_scene
from knowlip.cli.corpus import app
from knowlip.core.errors import ConfigError, KnowlipError
from knowlip.corpus.build import build_corpus
from knowlip.corpus.store import open_corpus
from knowlip.corpus.validate import validate


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    for name, lon in (("a", 3.0), ("b", 6.0)):
        for k in range(4):
            pixels = as_db(ground_power((140, 260), k))
            write_scene(folder / name / f"{name}{k}.tif", pixels, at=(lon + k / 2, 48.0), crs="EPSG:32631")
        build_corpus([folder / name], str(folder / f"{name}-corpus"), CONFIG)
    return folder


def answer(*words):
    result = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_merge_split_and_export_say_what_they_made(corpora, tmp_path):
    merged = answer("merge", corpora / "a-corpus", corpora / "b-corpus", "--out", tmp_path / "c", "--name", "both")
    assert (merged["name"], merged["scenes"], merged["tiles"]) == ("both", 8, 16)
    divided = answer("split", tmp_path / "c", "--fractions", "0.5,0.25,0.25", "--seed", 2)
    corpus = open_corpus(str(tmp_path / "c"))
    assert validate(corpus) == []
    for split in ("train", "val", "test"):
        assert divided[f"{split}_tiles"] == len(corpus.tile_ids(split)) > 0
    for kind in ("webdataset", "stac", "coco", "gpkg", "hf"):
        made = answer("export", tmp_path / "c", "--format", kind, "--out", tmp_path / kind)
        assert made["tiles"] == 16
        assert made["files"] == len(files_of(tmp_path / kind))


@pytest.mark.parametrize("size", ["640m", "0.64km", "640"])
def test_a_ground_size_may_have_its_unit(corpora, tmp_path, size):
    made = answer("build", corpora / "a", "--out", tmp_path / "c", "--ground-size", size, "--workers", 1)
    assert made["tiles"] == 4 * 2 * 4
    assert {tuple(s) for s in open_corpus(str(tmp_path / "c")).tiles["proj:shape"]} == {(64, 64)}


BAD = {
    "fractions": ("split", "a-corpus", "--fractions", "0.5,0.6,0.2"),
    "fraction words": ("split", "a-corpus", "--fractions", "most"),
    "by": ("split", "a-corpus", "--by", "street"),
    "format": ("export", "a-corpus", "--format", "csv", "--out", "x"),
    "pixels": ("export", "a-corpus", "--format", "webdataset", "--pixels", "png", "--out", "x"),
    "export split": ("export", "a-corpus", "--format", "coco", "--split", "dev", "--out", "x"),
    "no corpus": ("merge", "a-corpus", "nowhere", "--out", "x"),
    "ground size": ("build", "a", "--out", "x", "--ground-size", "wide"),
    "kernel": ("build", "a", "--out", "x", "--resample-gsd", "10m", "--kernel", "sinc"),
    "engine": ("build", "a", "--out", "x", "--engine", "slurm"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options_are_one_line_and_leave_nothing(corpora, name, monkeypatch):
    monkeypatch.chdir(corpora)
    before = files_of(corpora)
    with pytest.raises(KnowlipError) as caught:
        CliRunner().invoke(app, BAD[name], catch_exceptions=False)
    assert len(str(caught.value).splitlines()) == 1
    assert isinstance(caught.value, ConfigError) or name == "no corpus"
    assert files_of(corpora) == before
