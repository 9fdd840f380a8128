"""A bad scene among good ones is refused with its reason, and no tile of the good ones is lost."""

import os
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bad_kinds import KINDS
from fakes import as_db, files_of, ground_power, write_scene
from knowlip.corpus.store import open_corpus
from knowlip.corpus.validate import validate


def write_good(folder):
    for k in (1, 2):
        write_scene(folder / f"s{k}.tif", as_db(ground_power((140, 140), k)), at=(3.0 + k, 48.0), descriptions=("VV",))


def build(knowlip, scenes, out, *options):
    return knowlip("corpus", "build", scenes, "--out", out, "--tile-size", "128", "-j", "1", "-q", *options)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    from knowlip.corpus.build import BuildConfig, build_corpus
    from knowlip.corpus.grids import TileSpec

    folder = tmp_path_factory.mktemp("undisturbed")
    write_good(folder / "scenes")
    build_corpus([folder / "scenes"], str(folder / "out"), BuildConfig(tiles=TileSpec(tile_size=128)))
    return files_of(folder / "out")


def test_there_are_at_least_thirty_kinds_and_the_documentation_lists_each():
    assert len(KINDS) >= 30
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "refused.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| {kind} |" not in page] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_scene_is_refused_with_its_reason_and_nothing_good_is_lost(knowlip, tmp_path, undisturbed, kind):
    make, reason = KINDS[kind]
    scenes, out = tmp_path / "scenes", tmp_path / "out"
    write_good(scenes)
    bad = make(scenes)
    ran = build(knowlip, scenes, out)
    assert ran.code == 0, ran.err
    said = [line for line in ran.err.splitlines() if line.startswith("rejected: ")]
    assert ran.err.splitlines() == said
    assert len(said) == 1
    assert re.search(reason, said[0])
    assert str(scenes) in said[0]
    assert said[0].rstrip().count(". ") >= 1, "no remedy"
    (row,) = pq.read_table(out / "rejected.parquet").to_pylist()
    assert said[0] == f"rejected: {row['path']}: {row['reason']}. {row['remedy']}"
    made = files_of(out)
    assert {n: d for n, d in made.items() if n.startswith("tiles")} == {
        n: d for n, d in undisturbed.items() if n.startswith("tiles")
    }
    assert set(made) == set(undisturbed)
    assert validate(open_corpus(str(out))) == []
    if kind not in ("another scene of the same name", "a copy under another name"):
        alone = build(knowlip, bad, tmp_path / "alone")
        assert re.search(reason, alone.refusal)
        assert files_of(tmp_path / "alone") == {}


ODD = {
    "a turned affine": {"transform": True},
    "a name with spaces and non-Latin letters": {"name": "雷达 сцена ä.tif"},
    "a name that starts with a dash": {"name": "-rf --out.tif"},
    "NaN and infinity in part of the pixels": {"holes": True},
    "another polarisation than the rest": {"descriptions": ("HH", "HV")},
    "the antimeridian": {"crs": "EPSG:32760", "at": (180.0, -17.0)},
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_but_good_scene_is_kept(knowlip, tmp_path, undisturbed, kind):
    odd = dict(ODD[kind])
    scenes, out = tmp_path / "scenes", tmp_path / "out"
    write_good(scenes)
    pixels = as_db(ground_power((200, 200), 5))
    if odd.pop("holes", False):
        pixels[::7, ::5], pixels[50:60] = np.nan, np.inf
    if odd.get("descriptions"):
        pixels = np.stack([pixels, pixels - 6])
    if odd.pop("transform", False):
        from affine import Affine

        from fakes import grid_at

        odd["transform"] = grid_at(5.0, 48.0, "EPSG:32631", 10, (200, 200)) @ Affine.rotation(31)
    write_scene(scenes / odd.pop("name", "odd.tif"), pixels, **({"at": (5.5, 48.0)} | odd))
    ran = build(knowlip, scenes, out)
    assert ran.code == 0, ran.err
    assert "3 tiles of 3 scenes" in ran.out
    corpus = open_corpus(str(out))
    assert validate(corpus) == []
    assert pq.read_table(out / "rejected.parquet").num_rows == 0
    for name, data in undisturbed.items():
        if name.startswith("tiles/"):
            assert (out / name).read_bytes() == data
    new = next(t for t in corpus.tile_ids() if not t.startswith(("s1", "s2")))
    db = corpus.pixels(new).db
    assert not np.isinf(db).any()
    assert np.isfinite(db).mean() == pytest.approx(corpus.tiles.at[new, "knowlip:valid_share"], abs=1e-6)


def test_scenes_of_the_same_ground_are_in_one_split(knowlip, tmp_path):
    scenes, out = tmp_path / "scenes", tmp_path / "out"
    for k in range(8):
        at = (3.0 + k // 2, 48.0 + 0.004 * (k % 2))
        write_scene(scenes / f"s{k}.tif", as_db(ground_power((140, 140), k)), at=at)
    assert build(knowlip, scenes, out).code == 0
    tiles = open_corpus(str(out)).tiles
    assert len(set(tiles["knowlip:split"])) > 1
    for k in range(0, 8, 2):
        assert len({s for t, s in tiles["knowlip:split"].items() if t[:2] in (f"s{k}", f"s{k + 1}")}) == 1
    assert validate(open_corpus(str(out))) == []


def test_a_tile_of_one_value_is_left_out_and_counted(knowlip, tmp_path):
    pixels = as_db(ground_power((130, 300), 5))
    pixels[:, :150] = -30
    write_scene(tmp_path / "scenes" / "half.tif", pixels)
    assert build(knowlip, tmp_path / "scenes", tmp_path / "out").code == 0
    scene = open_corpus(str(tmp_path / "out")).scenes.loc["half"]
    assert (scene["tiles"], scene["tiles_constant"], scene["tiles_without_data"]) == (1, 1, 0)


def test_a_folder_that_may_not_be_read_is_listed(knowlip, tmp_path, monkeypatch):
    scenes, scandir = tmp_path / "scenes", os.scandir
    write_good(scenes)
    write_scene(scenes / "closed" / "x.tif", as_db(ground_power((140, 140), 7)))

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    ran = build(knowlip, scenes, tmp_path / "out")
    assert ran.code == 0
    assert "2 tiles of 2 scenes" in ran.out
    assert "closed: is a folder that may not be read. Change its permissions" in ran.err
