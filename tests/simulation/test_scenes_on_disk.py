import hashlib
import json
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from pyproj import CRS, Geod
from rasterio.warp import transform as warp

from knowlip.simulation.cities import cities, find_city
from knowlip.simulation.scene_files import is_complete, scene_id, simulate_scene, utm_epsg
from knowlip.simulation.sensors import find_sensor
from knowlip.simulation.simulate import city_order, simulate

KEYS = {
    "scene_id", "platform", "instrument_mode", "product_type", "frequency_band", "centre_frequency_ghz",
    "polarisations", "acquired", "orbit_state", "look_side", "look_azimuth_deg", "incidence_near_deg",
    "incidence_far_deg", "radiometry", "simulated", "place", "truth",
}  # fmt: skip


def digests(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    out = tmp_path_factory.mktemp("scene")
    path = simulate_scene(find_city("Rotterdam"), find_sensor("sentinel1-iw"), (512, 640), 5, out)
    return path, json.loads(path.with_suffix(".json").read_text())


def test_a_scene_lies_at_its_city(scene):
    path, _ = scene
    city = find_city("Rotterdam")
    with rasterio.open(path) as src:
        assert src.crs.to_epsg() == 32631
        assert src.res == (10.0, 10.0)
        assert src.transform.b == src.transform.d == 0
        x, y = src.xy(src.height / 2, src.width / 2, offset="ul")
        (lon,), (lat,) = warp(src.crs, "EPSG:4326", [x], [y])
    _, _, distance_m = Geod(ellps="WGS84").inv(city.lon_deg, city.lat_deg, lon, lat)
    assert distance_m < 4300


def test_every_city_gets_a_utm_zone_whose_area_holds_it():
    for city in cities():
        area = CRS.from_epsg(utm_epsg(city.lat_deg, city.lon_deg)).area_of_use
        assert area.west <= city.lon_deg <= area.east
        assert area.south <= city.lat_deg <= area.north


def test_amplitudes_describe_themselves(scene):
    path, sidecar = scene
    assert set(sidecar) == KEYS
    assert sidecar["scene_id"] == path.stem == "sim-sentinel1-iw-rotterdam-00"
    assert 29.1 - 0.5 < sidecar["incidence_near_deg"] < sidecar["incidence_far_deg"] < 46.0 + 0.5
    # a right-looking, near-polar satellite looks east going up and west coming down
    eastward = math.sin(math.radians(sidecar["look_azimuth_deg"])) > 0.9
    assert eastward == (sidecar["orbit_state"] == "ascending")
    with rasterio.open(path) as src:
        assert src.descriptions == ("VV", "VH")
        assert src.dtypes == ("uint16", "uint16")
        assert src.nodata == 0
        assert src.profile["tiled"]
        assert src.compression.name == "deflate"
        dn = src.read()
    assert dn.min() >= 1
    with rasterio.open(path.parent / sidecar["truth"]["landcover"]) as src:
        landcover = src.read(1)
        assert src.nodata == 0
        assert src.colormap(1)[1][2] > src.colormap(1)[1][0]
    sigma0_db = (
        10 * np.log10((dn[0].astype(float) ** 2).mean(where=landcover == 2)) + sidecar["radiometry"]["calibration_db"]
    )
    assert sigma0_db == pytest.approx(-8, abs=2)


def truth_of(path, kind):
    return path.parent / "truth" / f"{path.stem}.{kind}"


def test_objects_are_where_the_image_shows_them(tmp_path):
    sensor = find_sensor("sentinel1-iw")
    seen, moved = 0, 0
    for seed in range(4):
        path = simulate_scene(find_city("Hong Kong"), sensor, (640, 640), seed, tmp_path / str(seed))
        objects = pq.read_table(truth_of(path, "objects.parquet")).to_pylist()
        with rasterio.open(path) as src:
            vv, transform = src.read(1).astype(float) ** 2, src.transform
        with rasterio.open(truth_of(path, "landcover.tif")) as src:
            landcover = src.read(1)
        sea = np.median(vv[landcover == 1])
        assert len({o["object_id"] for o in objects}) == len(objects)
        for o in objects:
            col, row = int(o["centre_col"]), int(o["centre_row"])
            assert landcover[int(o["true_centre_row"]), int(o["true_centre_col"])] == 1
            assert np.mean(o["corners"][0::2]) == pytest.approx(o["centre_col"])
            assert np.mean(o["corners"][1::2]) == pytest.approx(o["centre_row"])
            assert transform @ tuple(o["corners"][:2]) == pytest.approx(tuple(o["corners_m"][:2]))
            assert o["source"] == "simulation"
            off_px = math.hypot(o["centre_col"] - o["true_centre_col"], o["centre_row"] - o["true_centre_row"])
            if o["state"] == "under way":
                # Raney 1971: at most R v / V, for some 900 km and 7.6 km/s
                assert off_px * 10 <= 135 * o["speed_m_s"]
                moved += off_px > 3
            else:
                assert off_px == 0
            if o["length_m"] > 80 and o["state"] != "moored" and 2 < col < 637 and 2 < row < 637:
                box = vv[row - 2 : row + 3, col - 2 : col + 3]
                assert box.max() > 5 * sea
                seen += 1
    assert seen > 3
    assert moved > 0


def test_truth_lies_on_the_scenes_grid_and_says_what_it_is(scene):
    path, sidecar = scene
    assert set(sidecar["truth"]) == {"landcover", "zone", "height", "objects"}
    with rasterio.open(path) as src:
        grid = (src.shape, src.transform, src.crs)
    for kind in ("landcover", "zone", "height"):
        with rasterio.open(path.parent / sidecar["truth"][kind]) as src:
            assert (src.shape, src.transform, src.crs) == grid
            values = src.read(1)
            if kind == "height":
                assert src.scales == (0.1,)
                assert 0 <= values.min() * 0.1 <= values.max() * 0.1 < 900
            else:
                assert values.min() >= 1


def test_products_of_8_bit_are_stretched_and_claim_no_calibration(tmp_path):
    path = simulate_scene(find_city("Lisbon"), find_sensor("umbra-spotlight"), (300, 300), 1, tmp_path)
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar["radiometry"] == {"quantity": "amplitude"}
    with rasterio.open(path) as src:
        assert src.dtypes == ("uint8",)
        values = src.read(1)
    assert values.min() >= 1
    assert 0 < (values == 255).mean() < 0.02


def test_an_incidence_angle_asked_for_is_kept_and_a_preview_is_a_picture(tmp_path):
    (path,) = simulate(tmp_path, 1, 1, "capella-spotlight", 256, 2, incidence_deg=31.0, preview=True)
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar["incidence_near_deg"] <= 31.0 <= sidecar["incidence_far_deg"]
    with rasterio.open(path.with_suffix(".png")) as picture:
        assert picture.count == 3
        assert picture.shape == (256, 2 * 256 + 8)


def test_workers_do_not_change_a_byte(tmp_path):
    calls = []
    one = simulate(tmp_path / "one", 2, 2, "sentinel1-iw", 256, 9, progress=lambda n, of: calls.append((n, of)))
    two = simulate(tmp_path / "two", 2, 2, "sentinel1-iw", 256, 9, workers=2)
    assert [p.name for p in one] == [p.name for p in two]
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert len(digests(tmp_path / "one")) == 4 * 6
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_broken_run_is_taken_up_again(tmp_path):
    args = (2, 1, "gaofen3-ufs", 256, 3)
    paths = simulate(tmp_path, *args)
    before = digests(tmp_path)
    kept = paths[0].stat().st_mtime_ns
    paths[1].with_suffix(".json").unlink()
    (tmp_path / "truth" / f"{paths[1].stem}.objects.parquet").write_bytes(b"")
    simulate(tmp_path, *args)
    assert digests(tmp_path) == before
    assert paths[0].stat().st_mtime_ns == kept
    assert is_complete(tmp_path, paths[1].stem)


def test_few_cities_already_show_harbours_fields_and_hills():
    for seed in range(5):
        first = city_order(seed)[:6]
        for word in ("port", "plain", "hilly", "river", "coastal"):
            assert any(word in c.character for c in first), (seed, word)
        assert len(set(city_order(seed))) == len(cities())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sensor_name": "seasat"}, "unknown sensor 'seasat'"),
        ({"city_names": ["Atlantis"]}, "unknown city 'Atlantis'"),
        ({"size_px": 255}, "size must be 256 to 32768 pixels, not 255"),
        ({"size_px": 40000}, "not 40000"),
        ({"cities_n": 0}, "number of cities must be 1 to"),
        ({"cities_n": 10_000}, "number of cities must be 1 to"),
        ({"scenes_per_city": 0}, "scenes per city must be at least 1"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
        ({"incidence_deg": 60.0}, "incidence of hongtu1 must be 20 to 45 degrees, not 60"),
    ],
)
def test_bad_values_are_refused_and_nothing_is_written(tmp_path, change, text):
    good = {"cities_n": 1, "scenes_per_city": 1, "sensor_name": "hongtu1", "size_px": 256, "seed": 1}
    with pytest.raises(ValueError, match=text):
        simulate(tmp_path / "out", **{**good, **change})
    assert not (tmp_path / "out").exists()


def test_scene_ids_are_plain_and_distinct():
    sensor = find_sensor("hongtu1")
    ids = [scene_id(c, sensor, 3) for c in cities()]
    assert len(set(ids)) == len(ids)
    assert scene_id(find_city("St. Louis"), sensor, 3) == "sim-hongtu1-st-louis-03"
