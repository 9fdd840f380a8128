"""Products and chips through `corpus build`."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import fakes_products
import fakes_s1
from fakes import as_amplitude, as_db, as_power, files_of, ground_power, write_photograph, write_scene
from knowlip.core.errors import CorpusError, SceneError
from knowlip.core.radiometry import parse_radiometry
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.resplit import resplit
from knowlip.corpus.stac import geoproperties, stac_item
from knowlip.corpus.validate import validate
from knowlip.scenes.chips import NO_PLACE
from knowlip.scenes.sidecar import Declared

TILES = BuildConfig(name="t", tiles=TileSpec(tile_size=64))
CHIPS = Declared(chips=True)


def quad_pol(folder, count=3):
    for k in range(count):
        for i, label in enumerate(("HH", "HV", "VH", "VV")):
            pixels = as_amplitude(ground_power((140, 150), seed=10 * k + i), -40)
            fakes_products.write_chip(folder / f"{k}_{label}.tiff", pixels)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Chips, and a scene that has a place."""
    folder = tmp_path_factory.mktemp("mixed")
    quad_pol(folder / "chips")
    fakes_products.write_chip(folder / "chips" / "ship.png", as_amplitude(ground_power((70, 70)), -40, np.uint8))
    write_scene(folder / "scene.tif", as_db(ground_power((200, 200))))
    return build_corpus([folder], str(folder / "out"), TILES, CHIPS)


def test_polarisations_of_one_chip_are_the_bands_of_one_scene(mixed):
    assert mixed.rejected == []
    scenes = mixed.corpus.scenes
    assert sorted(scenes.index) == ["0", "1", "2", "scene", "ship"]
    assert list(scenes.loc["1"]["polarisations"]) == ["HH", "HV", "VH", "VV"]
    tile = mixed.corpus.pixels("1_r000_c001")
    truth = as_amplitude(ground_power((140, 150), seed=12), -40)[6:70, 75:139]
    np.testing.assert_allclose(tile.db[2], 20 * np.log10(truth), atol=1e-3)


def test_a_chip_has_no_place_and_no_split_and_says_so(mixed):
    rows = mixed.corpus.tiles_table.to_pylist()
    chips = [r for r in rows if r["knowlip:scene"] != "scene"]
    assert len(chips) == 3 * 4 + 1
    for row in chips:
        p = geoproperties(row)
        for field in (
            "crs",
            "crs_wkt2",
            "footprint_wkt",
            "bbox",
            "lon_deg",
            "gsd_x_m",
            "mgrs_square",
            "country",
            "split",
        ):
            assert getattr(p, field) is None
            assert p.unknown[field] == NO_PLACE
        item = stac_item(row).to_dict()
        assert item["geometry"] is None
        assert "bbox" not in item
    assert mixed.corpus.info["counts"]["train_tiles"] == len(rows) - len(chips) == 9


def test_chips_are_valid_and_stay_without_split(mixed):
    assert validate(mixed.corpus) == []
    again = resplit(mixed.corpus, TILES.split.model_copy(update={"by": "city", "seed": 4}))
    assert {r["knowlip:split"] for r in again.tiles_table.to_pylist() if r["knowlip:scene"] != "scene"} == {None}
    assert validate(again) == []


def test_chips_are_taken_only_where_the_user_says_so(tmp_path):
    quad_pol(tmp_path / "in", 1)
    with pytest.raises(SceneError, match=r"--chips"):
        build_corpus([tmp_path / "in"], str(tmp_path / "out"), TILES)
    write_photograph(tmp_path / "in" / "photo.tif")
    result = build_corpus([tmp_path / "in"], str(tmp_path / "out"), TILES, CHIPS)
    assert [r.reason.split(" (")[0] for r in result.rejected] == ["is a photograph or a picture"]
    assert list(result.corpus.scenes.index) == ["0"]


@pytest.mark.parametrize("spec", [TileSpec(ground_size_m=640), TileSpec(resample_gsd_m=10)])
def test_chips_have_no_metres(tmp_path, spec):
    quad_pol(tmp_path / "in", 1)
    with pytest.raises(SceneError, match="no size on the ground"):
        build_corpus([tmp_path / "in"], str(tmp_path / "out"), TILES.model_copy(update={"tiles": spec}), CHIPS)


def test_real_gaofen3_chips_become_quad_pol_tiles(real_data, tmp_path):
    result = build_corpus([real_data / "gf3_quadpol"], str(tmp_path), BuildConfig(), CHIPS)
    assert result.rejected == []
    counts = result.corpus.info["counts"]
    assert (counts["scenes"], counts["tiles"], counts["train_tiles"]) == (5, 20, 0)
    assert {tuple(p) for p in result.corpus.scenes["polarisations"]} == {("HH", "HV", "VH", "VV")}
    assert validate(result.corpus) == []


def test_a_safe_product_becomes_placed_tiles_and_leaves_no_raster(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    safe = fakes_s1.write_safe(tmp_path / "in")
    result = build_corpus([tmp_path / "in"], str(tmp_path / "out"), TILES)
    assert result.rejected == []
    rows = result.corpus.tiles_table.to_pylist()
    assert len(rows) > 5
    for row in rows:
        p = geoproperties(row)
        assert (p.crs, p.radiometry, p.polarisations) == ("EPSG:32632", "sigma0 power", ("VV", "VH"))
        assert (p.platform, p.orbit_state) == ("sentinel-1a", "descending")
        assert p.gsd_x_m == pytest.approx(40, rel=2e-3)
        assert 32 < p.incidence_deg < 36.5
    assert not list((tmp_path / "cache").rglob("*.tif"))
    assert list(result.corpus.scenes["source"]) == [safe.name]
    assert safe.name not in json.dumps(result.corpus.info["declared"])
    again = build_corpus([tmp_path / "in"], str(tmp_path / "kept"), TILES, rasters=tmp_path / "rasters")
    assert list((tmp_path / "rasters").rglob("*.vrt"))
    one, two = files_of(tmp_path / "out"), files_of(tmp_path / "kept")
    assert one == two
    assert again.corpus.info["fingerprint"] == result.corpus.info["fingerprint"]
    with pytest.raises(CorpusError, match="other scenes or settings"):
        build_corpus([tmp_path / "in"], str(tmp_path / "out"), TILES, Declared(polarisations=("VV",)))


def test_tiles_of_the_same_ground_agree_in_any_form(tmp_path):
    """Linear power, dB and calibrated 16-bit amplitude, within 0.05 dB."""
    power = ground_power((140, 150))
    forms = {
        "a": (as_power(power), "sigma0-power"),
        "b": (as_db(power), "sigma0-db"),
        "c": (as_amplitude(power, -80), "sigma0-amplitude:-80"),
    }
    found = []
    for name, (pixels, radiometry) in forms.items():
        write_scene(tmp_path / name / "s.tif", pixels)
        said = Declared(radiometry=parse_radiometry(radiometry))
        corpus = build_corpus([tmp_path / name], str(tmp_path / f"{name}-out"), TILES, said).corpus
        found.append([corpus.pixels(t).db for t in corpus.tile_ids()])
    assert len(found[0]) == 4
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=0.05)


def test_a_corpus_of_chips_alone_has_null_geometries(tmp_path):
    quad_pol(tmp_path / "in", 1)
    build_corpus([tmp_path / "in"], str(tmp_path / "out"), TILES, CHIPS)
    table = pq.read_table(tmp_path / "out" / "tiles.parquet")
    assert table["geometry"].null_count == table.num_rows == 4


def test_chips_are_described_and_exported_without_a_place(mixed, tmp_path):
    from knowlip.corpus.export import ExportSpec, export
    from knowlip.corpus.store import open_corpus
    from knowlip.hcot.annotate import annotate

    annotate(mixed.corpus, sources=("places",))
    corpus = open_corpus(mixed.corpus.folder.root)
    said = corpus.table("facts").to_pylist()
    assert {f["tile_id"].split("_")[0] for f in said} == {"0", "1", "2", "scene", "ship"}
    assert not [
        f for f in said if f["name"].startswith(("place.", "society.")) and not f["tile_id"].startswith("scene")
    ]
    for kind in ("stac", "coco", "gpkg", "hf"):
        export(corpus, kind, str(tmp_path / kind), ExportSpec())


def test_a_blank_product_is_refused_by_its_own_name_and_leaves_no_raster(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    safe = fakes_s1.write_safe(tmp_path / "in", ("VV",), np.zeros((fakes_s1.LINES, fakes_s1.SAMPLES), np.uint16))
    with pytest.raises(SceneError, match="has no tile with at least") as caught:
        build_corpus([tmp_path / "in"], str(tmp_path / "out"), TILES)
    assert caught.value.subject == str(safe)
    assert not list((tmp_path / "cache").rglob("*.tif"))
