import hashlib
import json
import os
import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from typer.testing import CliRunner

from corpora import CONFIG
from fakes import as_db, files_of, ground_power, write_scene
from knowlip.cli.app import app
from knowlip.core import folder as folder_module
from knowlip.core.errors import CorpusError
from knowlip.corpus.build import build_corpus
from knowlip.corpus.merge import merge
from knowlip.corpus.resplit import resplit
from knowlip.corpus.splits import SplitSpec
from knowlip.corpus.store import open_corpus
from knowlip.corpus.validate import validate
from knowlip.hcot.annotate import annotate


def corpus_of(folder, name, places, seed=0):
    for k, at in enumerate(places):
        write_scene(
            folder / name / f"{name}{k}.tif", as_db(ground_power((140, 390), seed + k)), at=at, descriptions=("VV",)
        )
    return build_corpus([folder / name], str(folder / f"{name}-corpus"), CONFIG).corpus


@pytest.fixture
def two(tmp_path):
    """Corpora of the same places, seen twice, and of places of their own."""
    shared = [(3.0 + k / 2, 48.0) for k in range(5)]
    return corpus_of(tmp_path, "a", shared), corpus_of(tmp_path, "b", [*shared, (1.0, 47.0)], 20)


def overlaps_between_splits(corpus):
    frame = corpus.tiles[corpus.tiles["knowlip:split"].notna()]
    shapes, splits = shapely.from_wkb(frame["geometry"].to_numpy()), frame["knowlip:split"].to_numpy()
    return sum(shapes[i].intersects(shapes[j]) for i in range(len(shapes)) for j in range(i) if splits[i] != splits[j])


def test_a_merged_corpus_holds_all_and_keeps_places_apart(tmp_path, two):
    made = merge(two, str(tmp_path / "out"), name="both")
    assert validate(made) == []
    assert made.tile_ids() == sorted(two[0].tile_ids() + two[1].tile_ids())
    assert overlaps_between_splits(made) == 0
    assert len(set(made.tiles["knowlip:split"].dropna())) == 3
    assert set(made.tiles["collection"]) == {made.info["name"]} == {"both"}
    for corpus in two:
        for tile_id in corpus.tile_ids():
            scene = corpus.tiles.at[tile_id, "knowlip:scene"]
            ours, theirs = (c.folder.path(f"tiles/{scene}/{tile_id}.tif") for c in (made, corpus))
            assert os.path.samefile(ours, theirs)


def test_the_order_of_corpora_does_not_matter(tmp_path, two):
    for name, corpora in (("x", two), ("y", two[::-1])):
        merge(corpora, str(tmp_path / name), name="both")
    assert files_of(tmp_path / "x") == files_of(tmp_path / "y")


def test_all_that_annotation_wrote_comes_along(tmp_path, two):
    annotate(two[0], sources=())
    with pytest.raises(CorpusError, match="is not annotated"):
        merge([open_corpus(two[0].folder.root), two[1]], str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    annotate(two[1], sources=())
    corpora = [open_corpus(c.folder.root) for c in two]
    made = merge(corpora, str(tmp_path / "out"))
    for name in ("facts", "captions", "questions", "statements"):
        found, *parts = (c.statements() if name == "statements" else c.table(name) for c in (made, *corpora))
        assert found.num_rows == sum(p.num_rows for p in parts) > 0
        for part in parts:
            tile = part["tile_id"][0]
            mine = found.filter(pc.equal(found["tile_id"], tile)).to_pylist()
            assert mine == part.filter(pc.equal(part["tile_id"], tile)).to_pylist()
    assert annotate(made, sources=()).already_complete


def test_scenes_that_two_corpora_have_are_kept_once_and_said(tmp_path, two):
    made = merge([two[0], two[0]], str(tmp_path / "out"))
    assert made.tile_ids() == two[0].tile_ids()
    assert made.info["counts"]["scenes"] == len(made.scenes) == 5
    assert made.info["clashes"] == [
        {"scene": s, "corpus": "fakes", "renamed": None} for s in sorted(two[0].scenes.index)
    ]
    assert len(made.info["lineage"]) == 5
    assert validate(made) == []
    twice = [two[0].folder.root] * 2
    ran = CliRunner().invoke(app, ["corpus", "merge", *twice, "--out", str(tmp_path / "said"), "-q"])
    assert "scene a0 of fakes is there already, and kept once" in ran.output


@pytest.mark.parametrize("annotated", [False, True])
def test_scenes_that_share_their_id_are_told_apart(tmp_path, annotated):
    corpora = []
    for name, seed in (("x", 0), ("y", 50), ("z", 90)):
        # a0 and a1 have the same id everywhere; a0 is the same scene in x and y
        for k in range(2):
            pixels = as_db(ground_power((140, 390), k if name == "y" and k == 0 else seed + k))
            write_scene(tmp_path / name / f"a{k}.tif", pixels, at=(3.0 + k / 2, 48.0), descriptions=("VV",))
        config = CONFIG.model_copy(update={"name": name})
        corpora.append(build_corpus([tmp_path / name], str(tmp_path / f"{name}-corpus"), config).corpus)
    if annotated:
        for corpus in corpora:
            annotate(corpus, sources=())
        corpora = [open_corpus(c.folder.root) for c in corpora]
    made, _ = merge(corpora, str(tmp_path / "out")), merge(corpora[::-1], str(tmp_path / "again"))
    assert files_of(tmp_path / "out") == files_of(tmp_path / "again")
    assert validate(made) == []
    # of six scenes, one is there twice
    assert len(made.scenes) == made.info["counts"]["scenes"] == len(made.info["lineage"]) == 5
    renamed = [c["renamed"] for c in made.info["clashes"]]
    assert renamed.count(None) == 1
    assert len(set(renamed)) == 4
    assert {"a0", "a1", *renamed} - {None} == set(made.scenes.index) == set(made.tiles["knowlip:scene"])
    stored = {c.stored_pixels(t)[0].tobytes() for c in corpora for t in c.tile_ids()}
    assert {made.stored_pixels(t)[0].tobytes() for t in made.tile_ids()} == stored
    if annotated:
        assert annotate(made, sources=()).already_complete
        ids = made.statements()["statement_id"].to_pylist()
        assert len(set(ids)) == len(ids) == made.info["annotation"]["counts"]["statements"]
        assert set(made.statements()["tile_id"].to_pylist()) == set(made.tile_ids())
        assert set(made.table("facts")["tile_id"].to_pylist()) == set(made.tile_ids())
        assert all(s.startswith(t + "/") for s, t in zip(ids, made.statements()["tile_id"].to_pylist(), strict=True))


def test_a_split_that_was_stopped_is_finished_by_whoever_opens_the_corpus(tmp_path, two, monkeypatch):
    spec = SplitSpec(seed=9, train=0.4, val=0.3, test=0.3)
    truth = shutil.copytree(two[1].folder.root, tmp_path / "truth")
    resplit(open_corpus(str(truth)), spec)
    written = 0

    def replace(source, target):
        nonlocal written
        written += ".split" not in str(target)
        if written == 2:
            raise KeyboardInterrupt
        os.rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(folder_module.os, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            resplit(two[1], spec)
    # tiles.parquet is new, corpus.json is not
    assert (tmp_path / "b-corpus" / ".split").is_dir()
    assert validate(open_corpus(two[1].folder.root)) == []
    assert files_of(two[1].folder.root) == files_of(truth)


def test_a_merge_or_split_stopped_at_any_write_ends_with_the_same_bytes(tmp_path, two, monkeypatch):
    class StoppedError(BaseException):
        pass

    def stopping(n):
        left = n

        def replace(source, target):
            nonlocal left
            left -= 1
            if left == 0:
                raise StoppedError
            os.rename(source, target)

        return replace

    def run(out):
        merge(two, str(out))

    def run_split(out):
        if not out.exists():
            shutil.copytree(tmp_path / "whole", out)
        resplit(open_corpus(str(out)), SplitSpec(seed=9, train=0.4, val=0.3, test=0.3))

    merge(two, str(tmp_path / "whole"))
    for work, name in ((run, "m"), (run_split, "s")):
        work(tmp_path / f"{name}-truth")
        truth = files_of(tmp_path / f"{name}-truth")
        n = 1
        while True:
            out = tmp_path / f"{name}{n}"
            try:
                with monkeypatch.context() as patch:
                    patch.setattr(folder_module.os, "replace", stopping(n))
                    work(out)
                break
            except StoppedError:
                work(out)
            assert files_of(out) == truth, f"{name}: stopped at write {n}"
            shutil.rmtree(out)
            n += 3 if name == "m" else 1
        assert n > 5


def test_a_new_split_follows_its_shares_and_says_where_it_came_from(two):
    corpus = two[1]
    before = files_of(corpus.folder.root)
    made = resplit(corpus, SplitSpec(seed=5, train=0.4, val=0.3, test=0.3))
    after = files_of(corpus.folder.root)
    assert {n for n in after if after[n] != before.get(n)} == {"corpus.json", "croissant.json", "tiles.parquet"}
    assert validate(made) == []
    assert made.info["history"][-1]["before"] == corpus.info["fingerprint"] != made.info["fingerprint"]
    assert made.info["history"][-1]["split"]["seed"] == 5
    assert resplit(made, SplitSpec(seed=5, train=0.4, val=0.3, test=0.3)).info == made.info


def test_by_city_no_city_is_in_two_splits(two):
    made = resplit(two[1], SplitSpec(by="city", train=0.4, val=0.3, test=0.3))
    frame = made.tiles[made.tiles["knowlip:split"].notna()]
    assert (frame.groupby("knowlip:nearest_city")["knowlip:split"].nunique() == 1).all()
    assert overlaps_between_splits(made) == 0
    assert len(set(frame["knowlip:split"])) > 1


def test_validate_names_what_is_wrong(tmp_path, two):
    out = tmp_path / "a-corpus"
    tiles = sorted((out / "tiles").rglob("*.tif"))
    table = pq.read_table(out / "tiles.parquet")
    rows = table.to_pylist()
    rows[0]["knowlip:country"] = None
    # a sound GeoTIFF that is no COG: its directory lies behind its pixels
    with rasterio.open(tiles[1]) as tile:
        profile, pixels = tile.profile, tile.read()
    tiles[1].unlink()
    with rasterio.open(tiles[1], "w", **profile) as tile:
        tile.write(pixels)
        tile.update_tags(more="than fits before" * 50)
    row = next(r for r in rows if r["id"] == tiles[1].stem)
    row["knowlip:sha256"] = hashlib.sha256(tiles[1].read_bytes()).hexdigest()
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), out / "tiles.parquet")
    info = json.loads((out / "corpus.json").read_text())
    info["counts"]["scenes"] += 1
    (out / "corpus.json").write_text(json.dumps(info))
    problems = "\n".join(validate(open_corpus(str(out))))
    for expected in ("null without a reason: country", "Cloud-Optimised", "another tiles.parquet", "counts 6 scenes"):
        assert expected in problems
