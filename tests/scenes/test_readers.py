"""Readers of other families, on products written from their specifications."""

import json
import math

import numpy as np
import pyproj
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

import fakes_products as fake
from fakes import as_amplitude, ground_power
from knowlip.core.errors import KnowlipError, SceneError
from knowlip.scenes.geotiff import read_window, valid_mask
from knowlip.scenes.heights import Terrain
from knowlip.scenes.prepare import prepared
from knowlip.scenes.products import find_scenes, open_scene, scene_id_of
from knowlip.scenes.rpc import parse_rpc, rpc_of
from knowlip.scenes.sidecar import Declared

POWER = ground_power((300, 320))


NOTHING = Declared()


def levels_db(path, folder, declared=NOTHING):
    """Backscatter `(C, H, W)` of a whole scene, no-data as NaN, as the build measures it."""
    scene = prepared(open_scene(path, declared), folder)
    with rasterio.open(scene.path) as dataset:
        stored = read_window(dataset, scene.path, 0, 0, *scene.geobox.shape)
    return np.where(valid_mask(stored, scene.nodata), scene.radiometry.to_db(stored), np.nan)


def test_capella_amplitudes_are_calibrated_by_their_scale_factor(tmp_path):
    path = fake.write_capella(tmp_path, as_amplitude(POWER, -80))
    scene = open_scene(path)
    assert (scene.radiometry.quantity, scene.radiometry.convention) == ("amplitude", "sigma0")
    np.testing.assert_allclose(levels_db(path, tmp_path)[0], 10 * np.log10(POWER), atol=0.05)
    known = scene.acquisition
    assert (known.platform, known.instrument_mode, known.product_type) == ("capella-6", "spotlight", "GEO")
    assert (known.look_side, known.orbit_state, known.frequency_band) == ("left", "ascending", "X")
    assert known.polarisations == ("HH",)
    assert scene.nodata == 0


def test_capella_incidence_is_that_of_the_sensor_s_place(tmp_path):
    known = open_scene(fake.write_capella(tmp_path, as_amplitude(POWER, -80))).acquisition
    # from the scene's middle, by PROJ's own local frame
    x, y, z = fake.SATELLITE_M
    pipe = "+proj=topocentric +ellps=WGS84 +lon_0=3 +lat_0=48 +h_0=0"
    east, north, up = pyproj.Transformer.from_pipeline(pipe).transform(x, y, z)
    incidence = math.degrees(math.atan2(math.hypot(east, north), up))
    assert known.incidence_near_deg < incidence < known.incidence_far_deg
    assert known.incidence_far_deg - known.incidence_near_deg < 0.4
    assert known.look_azimuth_deg == pytest.approx((math.degrees(math.atan2(east, north)) + 180) % 360, abs=0.05)


def test_capella_metadata_in_the_tiff_s_tag_say_the_same(tmp_path):
    one = open_scene(fake.write_capella(tmp_path / "a", as_amplitude(POWER, -80)))
    two = open_scene(fake.write_capella(tmp_path / "b", as_amplitude(POWER, -80), beside=False))
    assert (one.acquisition, one.radiometry) == (two.acquisition, two.radiometry)


def test_capella_without_a_convention_is_uncalibrated(tmp_path):
    meta = fake.capella_json(radiometry=None)
    scene = open_scene(fake.write_capella(tmp_path, as_amplitude(POWER, -80), meta))
    assert not scene.radiometry.calibrated


@pytest.mark.parametrize("kind", ["SLC", "SICD", "CPHD"])
def test_capella_complex_products_are_refused(tmp_path, kind):
    meta = fake.capella_json(kind=kind)
    with pytest.raises(SceneError, match="GEO and GEC are read"):
        open_scene(fake.write_capella(tmp_path, as_amplitude(POWER, -80), meta, kind=kind))


def test_umbra_amplitudes_are_uncalibrated_and_their_view_is_known(tmp_path):
    scene = open_scene(fake.write_umbra(tmp_path, as_amplitude(POWER, -40, np.uint8)))
    known = scene.acquisition
    assert not scene.radiometry.calibrated
    assert (known.platform, known.instrument_mode, known.product_type) == ("umbra-04", "SPOTLIGHT", "GEC")
    assert (known.orbit_state, known.look_side, known.polarisations) == ("ascending", "left", ("VV",))
    assert known.look_azimuth_deg == pytest.approx(302.1, abs=0.1)
    assert known.incidence_near_deg < 47.4 < known.incidence_far_deg
    assert known.incidence_far_deg - known.incidence_near_deg < 0.1


def test_products_without_their_metadata_are_refused_with_the_file_s_name(tmp_path):
    capella = fake.write_capella(tmp_path, as_amplitude(POWER, -80))
    capella.with_name(f"{capella.stem}_extended.json").unlink()
    umbra = fake.write_umbra(tmp_path, as_amplitude(POWER, -40, np.uint8))
    umbra.with_name("2023-07-18-02-30-33_UMBRA-04_METADATA.json").unlink()
    for path, name in ((capella, "_extended.json"), (umbra, "_METADATA.json")):
        with pytest.raises(SceneError, match=name):
            open_scene(path)


def complex_of(power, factor, seed=1):
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, power.shape)
    return np.sqrt(power / factor) * np.exp(1j * phase)


def test_gaofen3_complex_images_become_calibrated_power_on_a_map(tmp_path):
    flat = np.full((200, 240), 0.2)
    factors = [((800 + 10 * i) / 32767) ** 2 * 10 ** (-(32.5 - i) / 10) for i in range(2)]
    bands = {p: complex_of(flat, f) for p, f in zip(("HH", "HV"), factors, strict=True)}
    folder = fake.write_gaofen3(tmp_path / "gf3", bands)
    scene = open_scene(folder)
    assert find_scenes(tmp_path) == [folder]
    assert scene.polarisations == ("HH", "HV")
    known = scene.acquisition
    assert (known.platform, known.orbit_state, known.look_side) == ("gaofen-3", "descending", "right")
    assert (known.instrument_mode, known.product_type, known.frequency_band) == ("QPSI", "SLC", "C")
    db = levels_db(folder, tmp_path / "out")
    assert 0.4 < np.isfinite(db[0]).mean() < 1
    for band in db:
        np.testing.assert_allclose(band[np.isfinite(band)], 10 * np.log10(0.2), atol=0.05)


def test_gaofen3_geocoded_images_keep_their_grid(tmp_path):
    factor = (800 / 65535) ** 2 * 10 ** (-32.5 / 10)
    stored = np.sqrt(POWER / factor)
    assert stored.max() < 65535
    folder = fake.write_gaofen3(tmp_path / "gf3", {"VV": stored.round().astype(np.uint16)}, "L2")
    db = levels_db(folder, tmp_path / "out")
    assert db.shape == (1, 300, 320)
    np.testing.assert_allclose(db[0], 10 * np.log10(POWER), atol=0.05)


def test_gaofen3_without_calibration_is_refused_with_what_to_do(tmp_path):
    folder = fake.write_gaofen3(tmp_path / "gf3", {"VV": as_amplitude(POWER, -80)}, "L2")
    meta = next(folder.glob("*.meta.xml"))
    meta.write_text(meta.read_text().replace("<VV>800.0</VV>", "<VV>NULL</VV>"))
    with pytest.raises(SceneError, match="--radiometry amplitude"):
        open_scene(folder)


def test_rpcs_of_both_text_forms_and_gdal_agree(tmp_path):
    rpc = fake.rpc_of((200, 240))
    text = fake.rpb_text(rpc).encode()
    lines = []
    for name, value in rpc.to_dict().items():
        many = value if isinstance(value, list) else [value]
        ending = [f"_{i}" for i in range(1, 21)] if isinstance(value, list) else [""]
        lines += [f"{name.upper()}{e}: {v!r}" for e, v in zip(ending, many, strict=True) if v is not None]
    one = parse_rpc(text, "a")
    assert one == parse_rpc("\n".join(lines).encode(), "b") == rpc_of(rpc.to_dict(), "c")
    lon, lat = np.array([2.999, 3.001]), np.array([48.0005, 47.9991])
    height = np.array([100.0, 300.0])
    line, sample = one.image_of(lon, lat, height)
    with rasterio.transform.RPCTransformer(rpc) as gdal:
        row, col = gdal.rowcol(lon, lat, zs=height, op=lambda v: v)
    # GDAL counts from the first pixel's corner
    np.testing.assert_allclose([line + 0.5, sample + 0.5], [row, col], atol=1e-3)


def test_iceye_amplitudes_are_calibrated_on_a_map_and_by_rpcs(tmp_path):
    stored = np.full((200, 240), 100, np.uint16)
    on_map = fake.write_iceye(tmp_path / "map", stored)
    by_rpc = fake.write_iceye(tmp_path / "rpc", stored, fake.rpc_of(stored.shape))
    for path in (on_map, by_rpc):
        scene = open_scene(path)
        assert (scene.radiometry.convention, scene.polarisations) == ("sigma0", ("VV",))
        known = scene.acquisition
        assert (known.platform, known.look_side, known.orbit_state) == ("iceye-x7", "right", "descending")
        assert known.look_azimuth_deg == pytest.approx(282.5)
        db = levels_db(path, tmp_path / "out")
        np.testing.assert_allclose(db[np.isfinite(db)], 10 * math.log10(2e-5 * 1e4), atol=0.01)


@pytest.mark.parametrize("turned", [False, True])
def test_iceye_hdf5_is_calibrated_and_lies_where_the_orbit_puts_it(tmp_path, turned):
    import fakes_s1 as orbit
    from knowlip.core.geodesy import applied

    path = fake.write_iceye_hdf5(tmp_path, turned=turned)
    scene = open_scene(path)
    assert find_scenes(tmp_path) == [path]
    assert scene_id_of(path) == scene.scene_id == path.stem
    known = scene.acquisition
    assert (known.platform, known.look_side, known.orbit_state) == ("iceye-x2", "right", "descending")
    assert (known.polarisations, known.frequency_band, known.product_type) == (("VV",), "X", "GRD")
    assert (known.acquired, known.look_azimuth_deg) == (orbit.FIRST, pytest.approx(280))
    assert (scene.radiometry.quantity, scene.radiometry.convention) == ("power", "sigma0")
    made = prepared(scene, tmp_path / "out")
    points = orbit.grid(steps=7)
    inner = points[(points[:, 0] > 5) & (points[:, 0] < 250) & (points[:, 1] > 5) & (points[:, 1] < 290)]
    with rasterio.open(made.path) as dataset:
        power = dataset.read(1)
        x, y = pyproj.Transformer.from_crs("EPSG:4326", dataset.crs.to_wkt(), always_xy=True).transform(
            *inner[:, 2:4].T
        )
        col, row = applied(~dataset.transform, x, y)
    ours = np.sqrt(map_coordinates(power / 2e-5, [row - 0.5, col - 0.5], order=1))
    # a tenth of a pixel is at most 0.5 of DN
    np.testing.assert_allclose(ours, 200 + 3 * inner[:, 0] + 2 * inner[:, 1], atol=0.6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"calibration_factor": None}, "has no calibration_factor"),
        ({"number_of_range_samples": 7}, "its metadata say 260 lines of 7 samples"),
        ({"grsr_coefficients": np.array([1.0, np.nan])}, "has no table grsr_coefficients"),
        ({"grsr_coefficients": np.array([8e5, -1.0])}, "give no slant ranges"),
        ({"zerodoppler_start_utc": "soon"}, "has no time zerodoppler_start_utc"),
        ({"posX": np.zeros(9)}, "that are no orbit"),
        ({"coord_last_far": np.array([1, 1, 45.0, 9.9])}, "miss its corners by"),
        ({"s_i": np.zeros((2, 2))}, "is complex"),
    ],
)
def test_iceye_hdf5_that_cannot_be_used_is_refused(tmp_path, change, reason):
    with pytest.raises(SceneError, match=reason):
        open_scene(fake.write_iceye_hdf5(tmp_path, change=change))


def test_iceye_hdf5_that_takes_its_pixels_from_elsewhere_is_refused(tmp_path):
    import h5py

    path = fake.write_iceye_hdf5(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["s_amplitude"]
        file["s_amplitude"] = h5py.ExternalLink("/etc/other.h5", "/s_amplitude")
    with pytest.raises(SceneError, match="links to another file"):
        open_scene(path)


def test_terrain_shifts_an_image_by_its_rpcs(tmp_path):
    columns = np.tile(np.arange(240, dtype=np.uint16) + 100, (200, 1))
    path = fake.write_iceye(tmp_path / "in", columns, fake.rpc_of(columns.shape, shift_px_m=0.05))
    dem = tmp_path / "dem.tif"
    grid = {
        "count": 1,
        "height": 50,
        "width": 50,
        "crs": "EPSG:4326",
        "transform": rasterio.Affine(0.001, 0, 2.97, 0, -0.001, 48.02),
    }
    with rasterio.open(dem, "w", driver="GTiff", dtype="float32", **grid) as out:
        out.write(np.full((1, 50, 50), 200, np.float32))
    flat, high = (levels_db(path, tmp_path / "out", Declared(terrain=t)) for t in (None, Terrain(dem, "ellipsoid")))
    dn = [np.sqrt(10 ** (v[0] / 10) / 2e-5) for v in (flat, high)]
    assert dn[0].shape == dn[1].shape
    # 100 m above the RPCs' own height, 0.05 pixels a metre
    assert np.nanmedian(dn[1] - dn[0]) == pytest.approx(5, abs=0.05)


def test_terrasar_is_radar_brightness(tmp_path):
    stored = as_amplitude(POWER, -80)
    one = fake.write_terrasar(tmp_path / "one", {"HH": stored})
    two = fake.write_terrasar(tmp_path / "two", {"HH": stored, "VV": stored})
    for path, count in ((one, 1), (two, 2)):
        scene = open_scene(path)
        assert (scene.radiometry.convention, len(scene.polarisations)) == ("beta0", count)
        known = scene.acquisition
        assert (known.platform, known.product_type, known.relative_orbit) == ("terrasar-x", "EEC", 83)
        assert known.look_azimuth_deg == pytest.approx(78.5)
        assert 34.8 < known.incidence_near_deg < 35 < known.incidence_far_deg < 35.2
        db = levels_db(path, tmp_path / "out")
        for i, band in enumerate(db, 1):
            np.testing.assert_allclose(band, 10 * np.log10(POWER * i), atol=0.05)


@pytest.mark.parametrize("variant", ["SSC", "MGD"])
def test_terrasar_in_sensor_geometry_is_refused(tmp_path, variant):
    with pytest.raises(SceneError, match="GEC and EEC are read"):
        open_scene(fake.write_terrasar(tmp_path, {"HH": as_amplitude(POWER, -50)}, variant=variant))


def test_a_product_that_names_a_file_outside_it_is_refused(tmp_path):
    with pytest.raises(SceneError, match="outside the product"):
        open_scene(fake.write_terrasar(tmp_path, {"HH": as_amplitude(POWER, -50)}, inside="../.."))


def test_a_nitf_needs_sarpy_or_is_refused(tmp_path):
    path = tmp_path / "x.nitf"
    path.write_bytes(b"NITF02.10" + b"\0" * 400)
    with pytest.raises(SceneError, match=r"sarpy|SICD"):
        open_scene(path)


def test_the_same_ground_in_three_forms_gives_the_same_levels(tmp_path):
    from fakes import as_db, as_power, write_scene
    from knowlip.core.radiometry import parse_radiometry

    forms = {
        "power": (as_power(POWER), "sigma0-power"),
        "db": (as_db(POWER), "sigma0-db"),
        "amplitude": (as_amplitude(POWER, -80), "sigma0-amplitude:-80"),
    }
    found = [
        levels_db(write_scene(tmp_path / f"{n}.tif", p), tmp_path, Declared(radiometry=parse_radiometry(r)))
        for n, (p, r) in forms.items()
    ]
    product = levels_db(fake.write_capella(tmp_path, as_amplitude(POWER, -80)), tmp_path)
    for other in (*found[1:], product):
        np.testing.assert_allclose(other, found[0], atol=0.05)


MAKERS = {
    "capella": lambda f: fake.write_capella(f, as_amplitude(POWER, -80)),
    "umbra": lambda f: fake.write_umbra(f, as_amplitude(POWER, -40, np.uint8)),
    "gaofen3": lambda f: fake.write_gaofen3(f / "gf3", {"HH": complex_of(POWER[:64, :64], 1e-7)}),
    "iceye": lambda f: fake.write_iceye(f, as_amplitude(POWER[:64, :64], -40), fake.rpc_of((64, 64))),
    "terrasar": lambda f: fake.write_terrasar(f, {"HH": as_amplitude(POWER[:64, :64], -50)}),
}


@pytest.fixture(scope="module", params=sorted(MAKERS))
def victim(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    path = MAKERS[request.param](folder)
    return path, {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@given(st.integers(0, 5), st.floats(0, 1), st.sampled_from(["cut", "flip", "drop", "digit"]), st.integers(0, 255))
def test_broken_products_fail_with_nothing_but_our_errors(victim, tmp_path_factory, which, where, how, byte):
    path, files = victim
    file = sorted(files)[which % len(files)]
    data = bytearray(files[file])
    at = min(int(where * len(data)), len(data) - 1)
    if how == "cut":
        data = data[:at]
    elif how == "flip":
        data[at] = byte
    elif how == "drop":
        del data[at : at + 40]
    else:
        data[at : at + 1] = b"9e9"
    file.write_bytes(bytes(data))
    try:
        scene = open_scene(path)
        scene_id_of(path)
        if np.prod(scene.geobox.shape) < 1e6:
            made = prepared(scene, tmp_path_factory.mktemp("out"))
            with rasterio.open(made.path) as dataset:
                read_window(dataset, made.path, 0, 0, *dataset.shape)
    except KnowlipError as error:
        said = str(error)
    else:
        said = ""
    finally:
        file.write_bytes(files[file])
    assert "\n" not in said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PATHS = st.sampled_from(
    (
        "collect",
        "collect.radar",
        "collect.image",
        "collect.image.scale_factor",
        "collect.image.center_pixel.center_time",
        "collect.state.state_vectors",
        "collect.radar.center_frequency",
        "collect.platform",
    )
)


@given(PATHS, JSON)
def test_any_json_in_a_capella_product_is_read_or_refused(tmp_path_factory, path, value):
    folder = tmp_path_factory.mktemp("json")
    meta = fake.capella_json()
    *inner, last = path.split(".")
    part = meta
    for name in inner:
        part = part[name]
    part[last] = value
    raster = fake.write_capella(folder, as_amplitude(POWER[:32, :32], -80), json.loads(json.dumps(meta)))
    try:
        open_scene(raster)
    except SceneError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said


@pytest.mark.parametrize("name", ["x.tif", "ICEYE_X7_GRD_SM_1_20210525T154630.tif", "chip.tif"])
def test_headers_of_an_absurd_size_are_refused(tmp_path, name):
    path = tmp_path / name
    grid = {"crs": "EPSG:32631", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)} if name == "x.tif" else {}
    with rasterio.open(
        path, "w", driver="GTiff", width=300_000, height=300_000, count=1, dtype="uint16", SPARSE_OK=True, **grid
    ):
        pass
    path.with_suffix(".xml").write_text(fake.iceye_xml())
    with pytest.raises(SceneError, match="states 300000 x 300000 pixels"):
        open_scene(path, Declared(chips=True))


def test_info_shows_what_was_understood_of_each_product(tmp_path):
    from typer.testing import CliRunner

    from knowlip.cli.app import app

    for name, make in MAKERS.items():
        make(tmp_path / name)
    fake.write_chip(tmp_path / "chips" / "1_HH.png", as_amplitude(POWER, -40, np.uint8))
    ran = CliRunner().invoke(app, ["scenes", "info", str(tmp_path), "--chips", "--json"])
    assert ran.exit_code == 0, ran.output
    found = {s["format"]: s for s in json.loads(ran.stdout)["scenes"]}
    assert sorted(found) == ["Capella", "Gaofen-3", "ICEYE", "TerraSAR-X", "Umbra", "chip"]
    assert [k for k, s in found.items() if s["made"]] == ["Gaofen-3", "ICEYE"]
    assert found["chip"]["crs"] is None
    assert found["Capella"]["radiometry"]["convention"] == "sigma0"
    text = CliRunner().invoke(app, ["scenes", "info", str(tmp_path), "--chips"]).output
    assert "without georeference" in text
