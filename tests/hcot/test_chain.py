import json
import shutil

import numpy as np
import pytest

from knowlip.core.statements import DIMENSIONS, LANDCOVER, NINE_GRID, Fact
from knowlip.corpus.store import TilePixels, open_corpus
from knowlip.hcot import cover, targets
from knowlip.hcot.annotate import annotate
from knowlip.hcot.sentences import statements
from knowlip.hcot.steps.sar import cells_of
from knowlip.hcot.view import Facts
from knowlip.hcot.words import number_word, place_words

LOOKS = 4.4 * 4
LEVEL = cover.SceneLevel(np.zeros(2), -2.0, np.full(5, 0.2))


def speckled(mean_db, seed=0, looks=4.4):
    """A dual-polarised tile of a mean level per pixel: `mean_db` (2, H, W) with gamma speckle."""
    rng = np.random.default_rng(seed)
    power = 10 ** (np.asarray(mean_db) / 10) * rng.gamma(looks, 1 / looks, np.shape(mean_db))
    return TilePixels((10 * np.log10(power)).astype(np.float32), ("VV", "VH"), True, np.zeros(2, np.float32))


def flat(vv_db, vh_db, size=128):
    return np.stack([np.full((size, size), vv_db), np.full((size, size), vh_db)])


@pytest.mark.parametrize(
    ("vv_db", "vh_db", "name"),
    [(-21, -26, "water"), (-8.5, -14, "woodland"), (-11.5, -18, "farmland"), (-15, -22, "bare")],
)
def test_uniform_ground_of_a_published_level_is_named(vv_db, vh_db, name):
    tile = speckled(flat(vv_db, vh_db))
    level = cover.scene_level([cover.measure(tile)], tile.polarisations, True, None)
    assert (cover.classify(tile, level).codes == cover.CODE[name]).mean() > 0.9


def test_rough_bright_ground_is_building():
    rng = np.random.default_rng(1)
    texture = rng.gamma(0.6, 1 / 0.6, (64, 64)).repeat(2, 0).repeat(2, 1)
    tile = speckled(flat(-4, -10) + 10 * np.log10(texture + 0.02))
    smooth = cover.measure(speckled(flat(-11.5, -18)))
    level = cover.scene_level([smooth, cover.measure(tile)], tile.polarisations, True, None)
    found = cover.classify(tile, level)
    assert found.probability[cover.CLASSES.index("building")].mean() > 0.8
    assert found.share("building") > 0.6


def test_level_of_an_uncalibrated_scene_does_not_matter():
    mean = np.concatenate([flat(-8.5, -14, 128), flat(-11.5, -18, 128), flat(-15, -22, 128)], axis=2)
    sure = speckled(mean)
    shares = []
    for shift in (0.0, 57.0):
        tile = TilePixels(sure.db + shift, sure.polarisations, False, sure.anchor_db)
        level = cover.scene_level([cover.measure(tile)], tile.polarisations, False, None)
        shares.append([cover.classify(tile, level).share(n) for n in LANDCOVER.values()])
    assert np.allclose(shares[0], shares[1], atol=0.02)


def test_sea_fixes_the_level_of_an_uncalibrated_coast():
    mean = np.concatenate([flat(-17.5, -24.9, 128), flat(-11.5, -18, 128)], axis=2)
    tile = speckled(mean)
    tile = TilePixels(tile.db + 40, tile.polarisations, False, tile.anchor_db)
    sea = np.zeros((8, 8), bool)
    sea[:, :4] = True
    level = cover.scene_level([cover.measure(tile)], tile.polarisations, False, [sea])
    assert level.offset_db == pytest.approx([-40, -40], abs=0.7)
    assert cover.classify(tile, level, sea).share("water") == pytest.approx(0.5, abs=0.03)


def test_no_data_has_no_class():
    tile = speckled(flat(-11.5, -18))
    tile.db[:, :, :64] = np.nan
    level = cover.scene_level([cover.measure(tile)], tile.polarisations, True, None)
    found = cover.classify(tile, level)
    assert (found.codes[:, :31] == 0).all()
    assert (found.codes[:, 33:] > 0).all()


def ships_on_water(places, length_px=12, width_px=3, size=256):
    mean = flat(-20, -25, size)
    for row, col in places:
        mean[:, row : row + width_px, col : col + length_px] = [[[6.0]], [[-2.0]]]
    return speckled(mean)


def ships_in(tile, level, sea, gsd_m=10.0):
    """Ships of a tile whose number is not in doubt."""
    found = targets.find_targets(tile, cover.classify(tile, level, sea), LOOKS, gsd_m, None)
    assert not found.doubt
    return found.objects


@pytest.mark.parametrize(
    "places", [[], [(60, 60)], [(40, 30), (120, 190), (200, 80)], [(30 + 70 * k, 20 + 60 * k) for k in range(3)]]
)
def test_ships_on_open_water_are_counted_exactly(places):
    tile = ships_on_water(places)
    level = cover.scene_level([cover.measure(tile)], tile.polarisations, True, [np.ones((8, 8), bool)])
    found = ships_in(tile, level, np.ones((8, 8), bool))
    assert len(found) == len(places)
    for row, col in places:
        assert min(np.hypot(t.centre[0] - (col + 6), t.centre[1] - (row + 1.5)) for t in found) < 1.5


def test_ship_length_and_heading_are_measured():
    tile = ships_on_water([(100, 100)], length_px=24, width_px=4)
    level = cover.scene_level([cover.measure(tile)], tile.polarisations, True, [np.ones((8, 8), bool)])
    (ship,) = ships_in(tile, level, np.ones((8, 8), bool))
    assert ship.length_m == pytest.approx(240, abs=40)
    assert abs((ship.heading_deg - 90 + 90) % 180 - 90) < 8


def test_bright_dots_on_land_are_not_ships():
    mean = flat(-11.5, -18, 256)
    mean[:, 100:104, 100:110] = 10
    tile = speckled(mean)
    level = cover.scene_level([cover.measure(tile)], tile.polarisations, True, [np.zeros((8, 8), bool)])
    assert ships_in(tile, level, np.zeros((8, 8), bool)) == ()


@pytest.mark.parametrize("k", range(9))
def test_cells_name_the_ninth_that_is_filled(k):
    mask = np.zeros((90, 90), bool)
    mask[30 * (k // 3) : 30 * (k // 3 + 1), 30 * (k % 3) : 30 * (k % 3 + 1)] = True
    assert cells_of(mask) == [NINE_GRID[k]]


def test_place_words_name_sides_before_lists():
    assert place_words(["upper left", "middle left", "lower left"]) == "the left part"
    assert place_words(["upper left", "upper centre", "upper right"]) == "the upper part"
    assert place_words(list(NINE_GRID)) == "the whole frame"
    assert place_words(["centre"]) == "the centre"


def test_number_words_are_the_published_ones():
    assert [number_word(n) for n in (1, 3, 12, 13)] == ["one", "three", "twelve", "13"]


def test_every_slot_stands_where_it_says_and_rests_on_facts(described):
    facts = {(r["tile_id"], r["name"]) for r in described.table("facts").to_pylist()}
    for row in described.statements().to_pylist():
        assert row["slots"], row["text"]
        assert row["dimension"] in DIMENSIONS[row["schema"]]
        for slot in row["slots"]:
            assert row["text"][slot["start"] : slot["end"]] == slot["value"]
        assert row["facts"]
        assert all((row["tile_id"], name) in facts for name in row["facts"])


def test_every_tile_has_landform_statements_and_they_differ(described):
    rows = described.statements().to_pylist()
    of_tile = {}
    for row in rows:
        of_tile.setdefault(row["tile_id"], []).append(row["text"])
    assert set(of_tile) == set(described.tile_ids())
    assert len({" ".join(t) for t in of_tile.values()}) > 0.9 * len(of_tile)


def test_statements_say_what_the_facts_say(described):
    facts = {}
    for r in described.table("facts").to_pylist():
        facts.setdefault(r["tile_id"], {})[r["name"]] = json.loads(r["value"])
    checked = 0
    for row in described.statements().to_pylist():
        known = facts[row["tile_id"]]
        values = {s["name"]: s["value"].lower() for s in row["slots"]}
        if row["dimension"] == "buildings" and "share" in values:
            assert abs(int(values["share"]) - 100 * known["cover.building.share"]) <= 5.01
            checked += 1
        if row["dimension"] == "terrain":
            assert values["kind"] == known["terrain.kind"]
            checked += 1
        if row["dimension"] == "count":
            said = "least" if "target.least" in known else "count"
            assert values[said] == number_word(known[f"target.{said}"])
            checked += 1
    assert checked > 50


def test_dimension_without_evidence_is_not_written():
    facts = Facts([Fact("cover.order", ["water"], 3, "test", 0.9), Fact("cover.water.share", 0.97, 3, "test", 0.9)])
    said = {s.dimension for s in statements("t", facts)}
    assert "boundary" not in said
    assert "count" not in said


def test_annotation_does_not_look_at_the_truth(described, tmp_path):
    blind = tmp_path / "blind"
    shutil.copytree(described.folder.path(), blind)
    for name in ("landcover", "statements"):
        shutil.rmtree(blind / name)
    for name in ("objects.parquet", "facts.parquet"):
        (blind / name).unlink()
    info = json.loads((blind / "corpus.json").read_text())
    del info["annotation"]
    (blind / "corpus.json").write_text(json.dumps(info))
    annotate(open_corpus(str(blind)), sources=("places", "airports"))
    assert open_corpus(str(blind)).statements().equals(described.statements())


def test_measured_cover_agrees_with_simulation_truth(described):
    """First version: the dominant class is right on most tiles, far above always naming the commonest."""
    measured = {
        r["tile_id"]: json.loads(r["value"]) for r in described.table("facts").to_pylist() if r["name"] == "cover.order"
    }
    right, usual = [], []
    for tile_id in described.tile_ids():
        truth = described.landcover(tile_id)
        shares = np.bincount(truth.ravel(), minlength=7)[1:]
        main = LANDCOVER[int(shares.argmax()) + 1]
        usual.append(main)
        right.append(measured[tile_id][0] == main if measured[tile_id] else False)
    commonest = max(usual.count(n) for n in set(usual)) / len(usual)
    assert np.mean(right) > max(0.6, commonest)


def test_same_words_with_one_worker_and_two(described, tmp_path):
    again = undescribed(described, tmp_path / "again")
    annotate(again, sources=("places", "airports"), workers=2)
    assert all(again.folder.read_bytes(t) == described.folder.read_bytes(t) for t in TABLES)


def test_a_killed_annotation_goes_on_where_it_was_and_ends_with_the_same_bytes(described, tmp_path):
    killed = undescribed(described, tmp_path / "killed")
    read, pixels = [], type(killed).pixels

    def stop(done, total, scene_id):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate(killed, sources=("places", "airports"), progress=stop)
    assert "annotation" not in open_corpus(killed.folder.root).info
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(killed), "pixels", lambda corpus, t: read.append(t) or pixels(corpus, t))
        annotate(open_corpus(killed.folder.root), sources=("places", "airports"))
    first = sorted(killed.scenes.index)[0]
    # the scene that was done stays, and of all others every tile is read once
    assert sorted(read) == sorted(killed.tiles.index[killed.tiles["knowlip:scene"] != first])
    assert all(killed.folder.read_bytes(t) == described.folder.read_bytes(t) for t in TABLES)
    assert not killed.folder.exists(".annotate")


TABLES = ("facts.parquet", "captions.parquet", "questions.parquet", "statements/round=00/statements.parquet")


def undescribed(corpus, folder):
    """A copy of a described corpus, before it was."""
    shutil.copytree(corpus.folder.path(), folder)
    shutil.rmtree(folder / "statements")
    info = json.loads((folder / "corpus.json").read_text())
    del info["annotation"]
    (folder / "corpus.json").write_text(json.dumps(info))
    return open_corpus(str(folder))
