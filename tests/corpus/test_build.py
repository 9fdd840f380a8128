import hashlib
from datetime import UTC, datetime

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pyproj
import pytest
import rasterio
import shapely
from rasterio.windows import Window, transform

from corpora import BAD, CONFIG, CUSTOM_CRS, OBJECTS, SHAPE, SIGMA0_DN, TILE
from fakes import SIDECAR, as_db, files_of, ground_power, write_scene
from knowlip.core.errors import CorpusError, SceneError
from knowlip.core.geoproperties import GeoProperties
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.records import PENDING
from knowlip.corpus.stac import geoproperties
from knowlip.corpus.store import open_corpus
from knowlip.corpus.validate import validate
from knowlip.knowledge.places import nearest_places
from knowlip.scenes.sidecar import Declared

SCENE_FILES = {"a-simulated-scene": "sim"}
EDGE = ((SHAPE[0] % TILE) // 2, (SHAPE[1] % TILE) // 2)
"""What is left over at the top and left of a scene."""


@pytest.fixture(scope="module")
def rows(built):
    return pq.read_table(built.out / "tiles.parquet").to_pylist()


def tile_path(built, row):
    return built.out / "tiles" / row["knowlip:scene"] / f"{row['id']}.tif"


def scene_path(built, row):
    return built.scenes / f"{SCENE_FILES.get(row['knowlip:scene'], row['knowlip:scene'])}.tif"


def rows_of(rows, scene):
    return [r for r in rows if r["knowlip:scene"] == scene]


def test_every_geoproperty_of_every_tile_is_filled_or_null_with_a_reason(rows):
    assert len(rows) == 58
    for row in rows:
        properties = geoproperties(row)
        for field in set(GeoProperties.model_fields) - {"unknown"}:
            value, reason = getattr(properties, field), properties.unknown.get(field)
            assert (value is None) == (reason is not None), (row["id"], field)
            assert value is None or value == value, (row["id"], field)  # not NaN
            assert value is None or value not in ("", (), "unknown"), (row["id"], field)
            assert reason is None or (len(reason) > 10 and reason != PENDING), (row["id"], field)


def test_tiles_carry_what_the_sidecar_said(rows):
    for row in rows_of(rows, "dual"):
        p = geoproperties(row)
        said = {k: SIDECAR[k] for k in set(SIDECAR) & set(GeoProperties.model_fields) if k != "acquired"}
        assert p.model_dump(include=set(said)) == said
        assert p.acquired == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
        assert p.polarisations == ("HH", "HV")
        assert (p.radiometry, p.unit) == ("sigma0 amplitude", "DN (amplitude)")
        assert SIDECAR["incidence_near_deg"] < p.incidence_deg < SIDECAR["incidence_far_deg"]


def test_tiles_carry_what_the_product_name_told(rows):
    for row in rows_of(rows, "mercator"):
        p = geoproperties(row)
        assert (p.platform, p.instrument_mode, p.product_type) == ("sentinel-1a", "IW", "GRDH")
        assert (p.frequency_band, p.centre_frequency_ghz) == ("C", 5.405)
        assert (p.orbit_state, p.look_side) == ("descending", "right")
        assert p.acquired == datetime(2020, 11, 7, 13, 52, 41, tzinfo=UTC)
        # the product has VV and VH, the cut-out only VH
        assert p.polarisations == ("VH",)


def test_tile_pixels_and_grid_are_the_scene_s_window(built, rows):
    for row in rows:
        window = Window(row["knowlip:col"], row["knowlip:row"], TILE, TILE)
        with rasterio.open(scene_path(built, row)) as scene, rasterio.open(tile_path(built, row)) as tile:
            np.testing.assert_array_equal(tile.read(), scene.read(window=window))
            assert tile.dtypes == scene.dtypes
            assert tile.nodata == scene.nodata
            assert tile.transform.almost_equals(transform(window, scene.transform), 1e-9)
            assert pyproj.CRS(tile.crs.to_wkt()).equals(pyproj.CRS(scene.crs.to_wkt()), ignore_axis_order=True)
            assert tile.bounds == pytest.approx(row["proj:bbox"])
            assert list(tile.transform)[:6] == row["proj:transform"]
            assert list(tile.shape) == row["proj:shape"]


def test_tiles_fill_the_scene_without_overlap(built, rows):
    for scene in {r["knowlip:scene"] for r in rows} - {"border_VV"}:
        corners = sorted((r["knowlip:row"], r["knowlip:col"]) for r in rows_of(rows, scene))
        assert corners == [(EDGE[0] + TILE * i, EDGE[1] + TILE * k) for i in range(2) for k in range(3)]


def test_tile_footprint_matches_pyproj(built, rows):
    geod = pyproj.Geod(ellps="WGS84")
    for row in rows:
        with rasterio.open(scene_path(built, row)) as scene:
            a, crs = scene.transform, scene.crs.to_wkt()
        to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        vertices = shapely.get_coordinates(shapely.from_wkb(row["geometry"]))
        for dr, dc in ((0, 0), (0, TILE), (TILE, TILE), (TILE, 0)):
            c, r = row["knowlip:col"] + dc, row["knowlip:row"] + dr
            lon, lat = to_degrees.transform(a.a * c + a.b * r + a.c, a.d * c + a.e * r + a.f)
            metres = geod.inv(*np.broadcast_arrays(lon, lat, *vertices.T))[2]
            assert np.min(metres) < 0.1 * min(row["knowlip:gsd_x_m"], row["knowlip:gsd_y_m"]), row["id"]


def test_valid_share_is_that_of_gdal_s_mask(built, rows):
    shares = []
    for row in rows_of(rows, "border_VV"):
        with rasterio.open(tile_path(built, row)) as tile:
            assert row["knowlip:valid_share"] == pytest.approx((tile.dataset_mask() > 0).mean())
        shares.append(row["knowlip:valid_share"])
    # the border leaves tiles whole, cut, and below the half that a tile needs
    assert min(shares) >= 0.5
    assert min(shares) < 1
    assert len(shares) < 6


def test_custom_crs_has_no_code_but_its_definition(rows):
    for row in rows_of(rows, "custom"):
        p = geoproperties(row)
        assert p.crs is None
        assert pyproj.CRS.from_wkt(p.crs_wkt2).equals(pyproj.CRS(CUSTOM_CRS), ignore_axis_order=True)
    for row in rows_of(rows, "mercator"):
        assert pyproj.CRS.from_wkt(row["proj:wkt2"]).to_epsg() == 3395
        assert row["proj:code"] == "EPSG:3395"


def test_places_are_the_nearest_ones_and_of_the_right_country(rows):
    countries = {
        "dual": "France",
        "degrees": "Finland",
        "mercator": "United States",
        "antimeridian": "Fiji",
        "svalbard": "Svalbard and Jan Mayen",
        "turned": "Ghana",
        "custom": "Brazil",
        "a-simulated-scene": "Australia",
    }
    for scene, country in countries.items():
        for row in rows_of(rows, scene):
            assert row["knowlip:country"] == country
            at = row["proj:centroid"]
            (place,) = nearest_places([at["lon"]], [at["lat"]])
            assert (row["knowlip:nearest_city"], row["knowlip:admin1"]) == (place.city, place.admin1)
            assert row["knowlip:nearest_city_km"] == pytest.approx(place.distance_km, abs=1e-3)


def test_sha256_is_that_of_the_file(built, rows):
    for row in rows:
        assert hashlib.sha256(tile_path(built, row).read_bytes()).hexdigest() == row["knowlip:sha256"]


def test_a_sound_corpus_has_no_problems_and_a_damaged_one_has(tmp_path, two_scenes):
    corpus = build_corpus([two_scenes], str(tmp_path / "out"), CONFIG).corpus
    assert validate(corpus) == []
    changed, missing = sorted((tmp_path / "out" / "tiles").rglob("*.tif"))[:2]
    changed.write_bytes(changed.read_bytes()[:-1] + b"x")
    missing.unlink()
    problems = validate(corpus)
    assert len(problems) == 2
    assert any(changed.name in p and "differs" in p for p in problems)
    assert any(missing.name in p and "missing" in p for p in problems)


def test_pixels_come_back_in_decibel_with_no_data_as_nan(built):
    for tile_id in built.corpus.tile_ids():
        scene = built.corpus.tiles.at[tile_id, "knowlip:scene"]
        pixels = built.corpus.pixels(tile_id)
        with rasterio.open(built.out / "tiles" / scene / f"{tile_id}.tif") as tile:
            raw = tile.read().astype(float)
            valid = tile.dataset_mask() > 0
        assert pixels.db.shape == raw.shape
        np.testing.assert_array_equal(np.isfinite(pixels.db), np.broadcast_to(valid, raw.shape))
        if scene == "dual":
            truth = 20 * np.log10(raw) + SIGMA0_DN["calibration_db"]
            assert pixels.calibrated
            np.testing.assert_allclose(pixels.db, truth, atol=1e-3)
        if scene == "border_VV":
            np.testing.assert_allclose(pixels.db[:, valid], raw[:, valid])


def test_scene_percentiles_are_those_of_its_tiles(built):
    for scene in ("border_VV", "dual"):
        db = np.concatenate(
            [built.corpus.pixels(t).db.reshape(-1, TILE**2) for t in built.corpus.tile_ids() if scene in t], 1
        )
        truth = np.nanpercentile(db, [1, 5, 25, 50, 75, 95, 99], axis=1).T
        # one pixel in sixteen is asked
        np.testing.assert_allclose(np.stack(built.corpus.scenes.at[scene, "db_percentiles"]), truth, atol=0.4)


def test_truth_is_cut_with_the_tiles(built, rows):
    with rasterio.open(built.scenes / "truth" / "sim.landcover.tif") as dataset:
        landcover = dataset.read(1)
    simulated = rows_of(rows, "a-simulated-scene")
    for row in simulated:
        r, c = row["knowlip:row"], row["knowlip:col"]
        np.testing.assert_array_equal(built.corpus.landcover(row["id"]), landcover[r : r + TILE, c : c + TILE])
    others = [r for r in rows if r not in simulated]
    assert all(built.corpus.landcover(r["id"]) is None for r in others)
    assert all(r["knowlip:landcover"] for r in simulated)
    assert not any(r["knowlip:landcover"] for r in others)


def test_objects_lie_in_the_tile_that_holds_their_centre(built, rows):
    at = {r["id"]: r for r in rows}
    found = {o["object_id"]: o for o in pq.read_table(built.out / "objects.parquet").to_pylist()}
    # one lies on the rim that no tile covers
    assert set(found) == {o["object_id"] for o in OBJECTS} - {"on the rim"}
    for given in OBJECTS[:3]:
        o = found[given["object_id"]]
        tile = at[o["tile_id"]]
        assert 0 <= o["centre_x"] < TILE
        assert 0 <= o["centre_y"] < TILE
        assert (o["centre_x"] + tile["knowlip:col"], o["centre_y"] + tile["knowlip:row"]) == (
            given["centre_col"],
            given["centre_row"],
        )
        assert np.mean(o["corners"][0::2]) == pytest.approx(o["centre_x"])
        assert np.mean(o["corners"][1::2]) == pytest.approx(o["centre_y"])
        assert (o["cls"], o["subtype"], o["state"]) == (given["cls"], given["subtype"], "moored")


@pytest.mark.parametrize("damage", ["missing", "other grid", "not parquet", "outside"])
def test_a_scene_whose_truth_is_broken_is_refused(tmp_path, damage):
    truth = {"landcover": "truth/x.tif", "objects": "truth/x.parquet"}
    if damage == "outside":
        truth = {"objects": "../../x.parquet"}
    pixels = as_db(ground_power((140, 140)))
    folder = tmp_path / "scenes"
    path = write_scene(folder / "x.tif", pixels, sidecar={"simulated": True, "truth": truth})
    with rasterio.open(path) as dataset:
        grid = dataset.transform
    if damage != "missing":
        moved = grid @ rasterio.Affine.translation(3, 0) if damage == "other grid" else grid
        write_scene(folder / "truth" / "x.tif", np.ones((140, 140), np.uint8), transform=moved)
        (folder / "truth" / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(SceneError, match="truth"):
        build_corpus([folder / "x.tif"], str(tmp_path / "out"), CONFIG)


def test_bad_scenes_are_listed_and_good_ones_go_on(built):
    listed = pq.read_table(built.out / "rejected.parquet").to_pylist()
    by_name = {r["path"].rsplit("/", 1)[1].split(".")[0]: r for r in listed}
    assert set(by_name) == set(BAD)
    for name, reason in BAD.items():
        assert reason in by_name[name]["reason"]
        assert by_name[name]["remedy"]
    assert built.corpus.info["counts"]["rejected"] == len(BAD)
    assert built.corpus.info["counts"]["scenes"] == 10
    assert len(built.corpus.scenes) == 10
    # a scene that failed halfway leaves no tiles
    assert not (built.out / "tiles" / "cut_off").exists()


def test_only_bad_scenes_make_no_corpus_and_leave_no_file(built, tmp_path):
    with pytest.raises(SceneError, match="and 7 more scenes were refused"):
        build_corpus([built.scenes / "bad"], str(tmp_path / "out"), CONFIG)
    assert files_of(tmp_path / "out") == {}


def test_two_scenes_of_one_name_are_not_mixed(tmp_path):
    pixels = as_db(ground_power((140, 140)))
    for level, name in enumerate(("a b", "a-b", "deep/a b"), 1):
        write_scene(tmp_path / "scenes" / f"{name}.tif", pixels + level)
    write_scene(tmp_path / "scenes" / "c.tif", pixels, sidecar={"platform": "x", "scene_id": "a-b"})
    result = build_corpus([tmp_path / "scenes"], str(tmp_path / "out"), CONFIG)
    assert result.corpus.tile_ids() == ["a-b_r000_c000"]
    assert [r.reason.split(" as ")[0] for r in result.rejected] == ["has the same name"] * 3


def test_a_scene_may_have_any_name(tmp_path):
    names = ["fingerprint", "雷" * 75, "corpus.json", "with space"]
    for seed, name in enumerate(names):
        write_scene(tmp_path / "scenes" / f"{name}.tif", as_db(ground_power((140, 140), seed)))
    result = build_corpus([tmp_path / "scenes"], str(tmp_path / "out"), CONFIG)
    assert result.rejected == []
    assert len(result.corpus.tile_ids()) == len(names)
    assert validate(result.corpus) == []


def test_a_few_valid_pixels_are_enough_when_asked_for(tmp_path):
    pixels = np.full((128, 128), -99, np.float32)
    pixels[41, 43] = -12.5
    path = write_scene(tmp_path / "x.tif", pixels, nodata=-99)
    config = BuildConfig(tiles=TileSpec(tile_size=128, min_valid=0))
    corpus = build_corpus([path], str(tmp_path / "out"), config).corpus
    assert corpus.scenes.at["x", "db_percentiles"][0] == pytest.approx([-12.5] * 7)
    assert corpus.tiles["knowlip:valid_share"].item() == 128**-2


def test_a_no_data_value_out_of_the_type_s_range_does_no_harm(tmp_path):
    path = write_scene(tmp_path / "x.tif", np.arange(128**2, dtype=np.uint16).reshape(128, 128))
    corpus = build_corpus([path], str(tmp_path / "out"), CONFIG, Declared(nodata=-9999.0)).corpus
    assert corpus.tiles["knowlip:valid_share"].item() == 1


def test_building_again_changes_nothing(tmp_path, two_scenes):
    out = tmp_path / "out"
    build_corpus([two_scenes], str(out), CONFIG)
    before = files_of(out)
    times = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    again = build_corpus([two_scenes], str(out), CONFIG)
    assert again.already_complete
    assert files_of(out) == before
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == times


@pytest.mark.parametrize("change", ["settings", "scenes", "declared", "sidecar"])
def test_another_build_into_a_finished_corpus_is_refused_and_changes_nothing(tmp_path, two_scenes, change):
    out = tmp_path / "out"
    build_corpus([two_scenes], str(out), CONFIG)
    before = files_of(out)
    inputs, config, declared = [two_scenes], CONFIG, Declared()
    if change == "settings":
        config = CONFIG.model_copy(update={"name": "other"})
    elif change == "scenes":
        inputs = [two_scenes / "s0.tif"]
    elif change == "declared":
        declared = Declared(crs="EPSG:32632")
    else:
        (two_scenes / "s0.json").write_text('{"platform": "gaofen-3"}')
    with pytest.raises(CorpusError, match="already holds a corpus"):
        build_corpus(inputs, str(out), config, declared)
    assert files_of(out) == before


def test_a_folder_of_other_things_is_left_alone(tmp_path, two_scenes):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(CorpusError, match="is not empty"):
        build_corpus([two_scenes], str(out), CONFIG)
    assert files_of(out) == {"notes.txt": b"mine"}


def test_a_corpus_below_its_scenes_does_not_take_its_tiles_for_scenes(two_scenes):
    out = two_scenes / "corpus"
    first = build_corpus([two_scenes], str(out), CONFIG)
    assert first.corpus.info["counts"]["scenes"] == 2
    assert build_corpus([two_scenes], str(out), CONFIG).already_complete


def test_a_corpus_has_the_same_bytes_in_a_folder_a_file_url_and_in_memory(tmp_path, two_scenes):
    build_corpus([two_scenes], str(tmp_path / "out"), CONFIG)
    truth = files_of(tmp_path / "out")
    build_corpus([two_scenes], f"file://{tmp_path}/url", CONFIG)
    assert files_of(tmp_path / "url") == truth
    in_memory = f"memory://{tmp_path.name}/out"
    corpus = build_corpus([two_scenes], in_memory, CONFIG).corpus
    fs, base = fsspec.url_to_fs(in_memory)
    assert {p[len(base) + 1 :]: fs.cat_file(p) for p in fs.find(base)} == truth
    assert validate(corpus) == []
    assert build_corpus([two_scenes], in_memory, CONFIG).already_complete
    tile = open_corpus(in_memory).pixels("s0_r000_c001")
    local = open_corpus(str(tmp_path / "out")).pixels("s0_r000_c001")
    np.testing.assert_array_equal(tile.db, local.db)


def test_the_order_of_inputs_does_not_matter(tmp_path, two_scenes):
    build_corpus([two_scenes], str(tmp_path / "a"), CONFIG)
    build_corpus([two_scenes / "s1.tif", two_scenes / "s0.tif", two_scenes], str(tmp_path / "b"), CONFIG)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_real_scenes_become_a_sound_corpus(real_data, tmp_path):
    paths = sorted((real_data / "s1_scenes").glob("*.tif"))[::25]
    paths += [next((real_data / "s1_geocoded").glob("*.tif")), real_data / "sen1floods11" / "Spain_7370579_S1Hand.tif"]
    result = build_corpus(paths, str(tmp_path / "out"), BuildConfig(tiles=TileSpec(tile_size=128)))
    assert result.rejected == []
    assert validate(result.corpus) == []
    countries = result.corpus.tiles.groupby("knowlip:scene")["knowlip:country"].agg(set)
    assert countries["Spain_7370579_S1Hand"] == {"Spain"}
    # 10 m pixels in a Mercator grid are shorter over ground: by the cosine of the latitude
    mercator = result.corpus.tiles[result.corpus.tiles["proj:code"] == "EPSG:3395"]
    for row in mercator.to_dict("records"):
        expected = 10 * np.cos(np.radians(row["proj:centroid"]["lat"]))
        assert row["knowlip:gsd_x_m"] == pytest.approx(expected, rel=0.005)
