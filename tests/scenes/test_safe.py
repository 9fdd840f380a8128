"""Sentinel-1 SAFE: against the products' own tables and grids, and an orbit solved by scipy."""

import io
import zipfile

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import NearestNDInterpolator, RegularGridInterpolator

import fakes_s1 as fake
from knowlip.core.errors import KnowlipError, SceneError
from knowlip.core.geodesy import applied
from knowlip.core.radiometry import parse_radiometry
from knowlip.scenes.heights import Terrain, datum_of
from knowlip.scenes.package import Package
from knowlip.scenes.prepare import forget, prepared
from knowlip.scenes.products import find_scenes, open_scene, scene_id_of
from knowlip.scenes.s1_annotation import parse_annotation
from knowlip.scenes.s1_tables import calibrated, parse_calibration, parse_noise
from knowlip.scenes.sentinel1_safe import located
from knowlip.scenes.sidecar import Declared
from knowlip.scenes.xml import parse_xml


@pytest.fixture(scope="module")
def safe(tmp_path_factory):
    return fake.write_safe(tmp_path_factory.mktemp("safe"))


def raster(scene, folder):
    made = prepared(scene, folder)
    with rasterio.open(made.path) as dataset:
        return dataset.read(), dataset.transform, dataset.crs


def sampled(pixels, transform, crs, lon, lat):
    x, y = pyproj.Transformer.from_crs("EPSG:4326", crs.to_wkt(), always_xy=True).transform(lon, lat)
    col, row = applied(~transform, np.asarray(x), np.asarray(y))
    rows, cols = np.arange(pixels.shape[0]) + 0.5, np.arange(pixels.shape[1]) + 0.5
    return RegularGridInterpolator((rows, cols), pixels)(np.stack([row, col], axis=-1))


def real_products(real_data):
    return sorted((real_data / "s1_safe").glob("*.SAFE"))


def test_real_annotations_are_met_within_half_a_pixel(real_data):
    found = 0
    for product in real_products(real_data):
        for path in sorted((product / "annotation").glob("s1*.xml")):
            note = parse_annotation(parse_xml(path.read_bytes(), path))
            at = note.geolocation
            line, pixel = located(note)(at.lon_deg, at.lat_deg, at.height_m)
            off = np.sqrt(np.mean((line - at.line) ** 2 + (pixel - at.pixel) ** 2))
            assert off < 0.5, (path.name, off)
            found += 1
    assert found == 3


def test_real_calibration_is_its_table(real_data):
    (path,) = (real_data / "s1_safe").glob("*/annotation/calibration/calibration-*.xml")
    root = parse_xml(path.read_bytes(), path)
    for convention, name in (("sigma0", "sigmaNought"), ("beta0", "betaNought"), ("gamma0", "gamma")):
        lut = parse_calibration(root, convention)
        for vector in root.all("calibrationVectorList/calibrationVector")[::5]:
            pixels, table = vector.numbers("pixel").astype(int), vector.numbers(name)
            row = vector.whole("line")
            for at in (0, 100, len(pixels) - 1):
                power = calibrated(np.array([[1000]], np.uint16), lut, None, row, pixels[at])[0, 0]
                assert power == pytest.approx(1e6 / table[at] ** 2, rel=1e-5)
    # between its vectors, against scipy
    lut = parse_calibration(root, "sigma0")
    same = [s for s in lut.samples if len(s) == len(lut.samples[0])]
    if len(same) == len(lut.samples):
        truth = RegularGridInterpolator((lut.lines, lut.samples[0]), np.stack(lut.values))
        rows, cols = np.meshgrid(np.arange(700, 760), np.arange(5000, 5090), indexing="ij")
        np.testing.assert_allclose(lut.window(700, 5000, 60, 90), truth((rows, cols)), rtol=1e-9)


def test_real_noise_is_range_times_azimuth(real_data):
    (path,) = (real_data / "s1_safe").glob("*/annotation/calibration/noise-*.xml")
    root = parse_xml(path.read_bytes(), path)
    noise = parse_noise(root)
    block = root.all("noiseAzimuthVectorList/noiseAzimuthVector")[1]
    first = root.all("noiseRangeVectorList/noiseRangeVector")[0]
    pixels, along = first.numbers("pixel").astype(int), first.numbers("noiseRangeLut")
    inside = np.flatnonzero((pixels > block.number("firstRangeSample")) & (pixels < block.number("lastRangeSample")))
    factor = block.numbers("noiseAzimuthLut")[0]
    for at in inside[::40]:
        assert noise.window(0, pixels[at], 1, 1)[0, 0] == pytest.approx(along[at] * factor, rel=1e-9)


def test_the_product_is_understood(safe):
    scene = open_scene(safe)
    assert scene.scene_id == fake.NAME == scene_id_of(safe)
    assert scene.polarisations == ("VV", "VH")
    assert (scene.radiometry.quantity, scene.radiometry.convention) == ("power", "sigma0")
    known = scene.acquisition
    assert (known.platform, known.instrument_mode, known.product_type) == ("sentinel-1a", "IW", "GRDH")
    assert (known.orbit_state, known.look_side, known.absolute_orbit) == ("descending", "right", 47000)
    assert known.look_azimuth_deg == pytest.approx(280)
    assert 31.5 < known.incidence_near_deg < 33
    assert 35 < known.incidence_far_deg < 36.5
    assert known.acquired == fake.FIRST
    assert not known.unknown
    assert scene.geobox.crs.epsg == 32632


def test_geocoded_values_lie_where_the_orbit_puts_them(safe, tmp_path):
    pixels, transform, crs = raster(open_scene(safe), tmp_path)
    points = fake.grid(steps=7)
    inner = points[(points[:, 0] > 5) & (points[:, 0] < 250) & (points[:, 1] > 5) & (points[:, 1] < 290)]
    table = RegularGridInterpolator((fake.CAL_LINES, fake.CAL_PIXELS), fake.sigma_table())(inner[:, :2])
    along = np.interp(inner[:, 1], [0, 150, 299], fake.NOISE_RANGE)
    across = np.where(inner[:, 1] < 200, np.interp(inner[:, 0], [0, 130, 259], fake.NOISE_AZIMUTH), 1.0)
    dn = 200 + 3 * inner[:, 0] + 2 * inner[:, 1]
    truth = (dn**2 - along * across) / table**2
    for band in pixels:
        ours = sampled(band, transform, crs, inner[:, 2], inner[:, 3])
        # a tenth of a pixel is at most 0.5 of DN, 0.1 to 0.3 %
        np.testing.assert_allclose(ours, truth, rtol=3e-3)


def test_a_zip_gives_the_same_raster_as_its_folder(safe, tmp_path):
    packed = fake.write_zip(safe)
    one, two = (raster(open_scene(p), tmp_path / n) for p, n in ((safe, "a"), (packed, "b")))
    np.testing.assert_array_equal(one[0], two[0])
    assert one[1:] == two[1:]


def test_polarisations_convention_and_crs_can_be_chosen(safe, tmp_path):
    said = Declared(radiometry=parse_radiometry("gamma0-power"), polarisations=("VH",), crs="EPSG:3395")
    scene = open_scene(safe, said)
    assert (scene.polarisations, scene.radiometry.convention, scene.geobox.crs.epsg) == (("VH",), "gamma0", 3395)
    for wrong in (
        Declared(radiometry=parse_radiometry("sigma0-db")),
        Declared(polarisations=("HH",)),
        Declared(crs="EPSG:4326"),
        Declared(crs="EPSG:99999999"),
    ):
        with pytest.raises(SceneError):
            open_scene(safe, wrong)


def write_dem(path, height, crs="EPSG:4326", name="dem.tif"):
    path.mkdir(exist_ok=True, parents=True)
    grid = {"count": 1, "height": 60, "width": 80, "crs": crs, "transform": Affine(0.01, 0, 8.6, 0, -0.01, 45.3)}
    with rasterio.open(path / name, "w", driver="GTiff", dtype="float32", **grid) as out:
        out.write(np.full((1, 60, 80), height, np.float32))
    return path / name


def test_heights_above_the_geoid_are_raised_by_the_undulation(safe, tmp_path):
    above_ellipsoid = Terrain(write_dem(tmp_path / "e", 148.0), "ellipsoid")
    above_geoid = Terrain(write_dem(tmp_path / "g", 100.0), "geoid", "48")
    named = Terrain(write_dem(tmp_path / "n", 100.0, "EPSG:4326+5773"), None, "48")
    made = [raster(open_scene(safe, Declared(terrain=t)), tmp_path)[0] for t in (above_ellipsoid, above_geoid, named)]
    np.testing.assert_allclose(made[0], made[1], rtol=1e-6, equal_nan=True)
    np.testing.assert_allclose(made[0], made[2], rtol=1e-6, equal_nan=True)
    wrong = raster(open_scene(safe, Declared(terrain=Terrain(above_geoid.path, "ellipsoid"))), tmp_path)[0]
    # 48 m of height are 1.9 pixels of ground range at 32 degrees
    assert np.nanmedian(np.abs(wrong - made[0]) / made[0]) > 3e-3


def test_an_undulation_grid_is_as_good_as_its_value(safe, tmp_path):
    dem = write_dem(tmp_path / "d", 100.0)
    grid = write_dem(tmp_path / "u", 48.0, name="undulation.tif")
    one, two = (
        raster(open_scene(safe, Declared(terrain=Terrain(dem, "geoid", u))), tmp_path)[0] for u in ("48", str(grid))
    )
    np.testing.assert_allclose(one, two, rtol=1e-5, equal_nan=True)


def test_a_dem_that_does_not_say_what_it_counts_from_is_refused(safe, tmp_path):
    dem = write_dem(tmp_path, 100.0)
    with pytest.raises(SceneError, match=r"--dem-height geoid .*--dem-height ellipsoid"):
        open_scene(safe, Declared(terrain=Terrain(dem)))
    copernicus = write_dem(tmp_path, 100.0, name="Copernicus_DSM_COG_10_N45_00_E009_00_DEM.tif")
    with rasterio.open(copernicus) as dataset:
        assert datum_of(dataset, copernicus) == "geoid"


def dem_of_annotation(path, note, above_m, spread_m=20.0):
    """A DEM that lies some metres above an annotation's heights, with rough ground on land as a finer model has."""
    at = note.geolocation
    west, north = at.lon_deg.min() - 0.05, at.lat_deg.max() + 0.05
    step = max(np.ptp(at.lon_deg), np.ptp(at.lat_deg)) / 200
    shape = (int(np.ptp(at.lat_deg) / step) + 60, int(np.ptp(at.lon_deg) / step) + 60)
    affine = Affine(step, 0, west, 0, -step, north)
    lon, lat = applied(affine, *(v + 0.5 for v in np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))))
    ground = NearestNDInterpolator(np.column_stack([at.lon_deg, at.lat_deg]), at.height_m)(lon, lat)
    rough = np.random.default_rng(0).normal(0, spread_m, shape) * (ground > 0.1)
    grid = {"count": 1, "height": shape[0], "width": shape[1], "crs": "EPSG:4326", "transform": affine}
    with rasterio.open(path, "w", driver="GTiff", dtype="float32", **grid) as out:
        out.write((ground + rough + above_m).astype(np.float32), 1)
    return path


def annotation_of(product):
    path = min(product.glob("annotation/s1*.xml"))
    return parse_annotation(parse_xml(path.read_bytes(), path))


def test_a_dem_that_counts_from_the_other_datum_is_refused_with_the_right_option(tmp_path):
    safe = fake.write_safe(tmp_path, ("VV",), height=0.0)
    note = annotation_of(safe)
    above_geoid = dem_of_annotation(tmp_path / "geoid.tif", note, 0.0)
    above_ellipsoid = dem_of_annotation(tmp_path / "ellipsoid.tif", note, 48.0)

    def opened(dem, datum, undulation):
        return open_scene(safe, Declared(terrain=Terrain(dem, datum, undulation)))

    for dem, datum, undulation in (
        (above_geoid, "geoid", "48"),
        (above_ellipsoid, "ellipsoid", "48"),
        (above_ellipsoid, "ellipsoid", None),
        # the geoid touches the ellipsoid somewhere
        (above_geoid, "ellipsoid", "2"),
    ):
        assert opened(dem, datum, undulation).recipe is not None
    with pytest.raises(SceneError, match=r"lies 48 m above .* alike at 2\d places.* Give --dem-height ellipsoid$"):
        opened(above_ellipsoid, "geoid", "48")
    for undulation in ("48", None):
        with pytest.raises(SceneError, match=r"count from the sea.* Give --dem-height geoid"):
            opened(above_geoid, "ellipsoid", undulation)


def test_ground_too_rough_or_too_small_to_tell_is_not_refused(safe, tmp_path):
    note = annotation_of(safe)
    rough = dem_of_annotation(tmp_path / "rough.tif", note, 48.0, spread_m=150)
    assert open_scene(safe, Declared(terrain=Terrain(rough, "geoid", "48"))).recipe is not None
    few = write_dem(tmp_path / "few", 168.0)
    with rasterio.open(few, "r+") as dem:
        dem.transform = Affine(
            0.0002, 0, note.geolocation.lon_deg[12] - 0.008, 0, -0.0002, note.geolocation.lat_deg[12] + 0.006
        )
    assert open_scene(safe, Declared(terrain=Terrain(few, "geoid", "48"))).recipe is not None


def test_real_annotations_tell_what_a_dem_counts_from(real_data, tmp_path):
    found = 0
    for product in real_products(real_data):
        note = annotation_of(product)
        if np.abs(note.geolocation.height_m).min() > 0.01:
            # no sea in it
            continue
        found += 1
        above_geoid = dem_of_annotation(tmp_path / "geoid.tif", note, 0.0)
        above_ellipsoid = dem_of_annotation(tmp_path / "ellipsoid.tif", note, 47.0)
        for dem, right, wrong in ((above_geoid, "geoid", "ellipsoid"), (above_ellipsoid, "ellipsoid", "geoid")):
            assert open_scene(product, Declared(terrain=Terrain(dem, right, "47"))).recipe is not None
            with pytest.raises(SceneError, match=f"Give --dem-height {right}"):
                open_scene(product, Declared(terrain=Terrain(dem, wrong, "47")))
    if not found:
        pytest.skip("needs a product with sea in it")
    rome = real_data / "dem" / "Rome-30m-DEM.tif"
    if rome.is_file():
        # too few points of the grid lie in it to tell, and so it is taken at its word
        covered = max(real_products(real_data), key=lambda p: p.name)
        assert open_scene(covered, Declared(terrain=Terrain(rome, None, "48.5"))).recipe is not None


def test_terrain_moves_pixels_as_the_orbit_says(tmp_path):
    safe = fake.write_safe(tmp_path, height=700.0)
    dem = write_dem(tmp_path / "d", 700.0)
    flat, high = (raster(open_scene(safe, Declared(terrain=t)), tmp_path) for t in (None, Terrain(dem, "ellipsoid")))
    points = fake.grid(700.0)
    inner = points[(points[:, 0] > 20) & (points[:, 0] < 240) & (points[:, 1] > 20) & (points[:, 1] < 280)]
    one, two = (sampled(r[0][0], *r[1:], inner[:, 2], inner[:, 3]) for r in (flat, high))
    # the annotation's own heights are 700 m too
    np.testing.assert_allclose(one, two, rtol=1e-3)


def test_nodes_and_levels_interpolate_within_a_hundredth_of_a_pixel(safe):
    from knowlip.core.geodesy import to_lonlat
    from knowlip.scenes.geocode import image_positions

    (path,) = (safe / "annotation").glob("*-vv-*.xml")
    note = parse_annotation(parse_xml(path.read_bytes(), path))
    box = open_scene(safe).geobox[40:240, 30:330]
    rows, cols = box.shape
    y, x = np.mgrid[:rows, :cols]
    height = 1500 + 1400 * np.sin(x / 30) * np.cos(y / 25)
    ours = image_positions(box, height, located(note))
    lon, lat = to_lonlat(box.crs.to_wkt(), *applied(box.affine, x + 0.5, y + 0.5))
    exact = located(note)(lon, lat, height)
    for a, b in zip(ours, exact, strict=True):
        assert np.abs(a - b).max() < 0.01


def test_a_write_that_was_cut_short_goes_on_and_ends_with_the_same_bytes(safe, tmp_path):
    scene = open_scene(safe)
    made = prepared(scene, tmp_path / "a")
    whole = {p.name: p.read_bytes() for p in made.path.parent.iterdir()}
    again = prepared(scene, tmp_path / "b").path.parent
    lost = sorted(again.glob("*.tif"))[-1]
    kept = {p: p.stat().st_mtime_ns for p in again.glob("*.tif") if p != lost}
    lost.unlink()
    (again / made.path.name).unlink()
    prepared(scene, tmp_path / "b")
    assert {p.name: p.read_bytes() for p in again.iterdir()} == whole
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    forget(scene, tmp_path / "b")
    assert not again.exists()


def test_a_folder_of_scenes_holds_a_product_once(safe, tmp_path):
    fake.write_safe(tmp_path / "in")
    (tmp_path / "in" / "truth").mkdir()
    assert [p.name for p in find_scenes(tmp_path / "in")] == [f"{fake.NAME}.SAFE"]
    assert find_scenes(safe) == [safe]


def test_a_product_without_its_calibration_is_refused_by_name(tmp_path):
    safe = fake.write_safe(tmp_path, ("VV",))
    next(safe.glob("annotation/calibration/calibration-*")).unlink()
    with pytest.raises(SceneError, match="VV lacks its calibration table"):
        open_scene(safe)


BOMB = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><product>&y;</product>'


def test_an_entity_bomb_is_refused(tmp_path):
    safe = fake.write_safe(tmp_path, ("VV",))
    next(safe.glob("annotation/*.xml")).write_text(BOMB)
    with pytest.raises(SceneError, match="declares a DTD or entities"):
        open_scene(safe)


@pytest.mark.parametrize("name", ["../../evil.xml", "/etc/evil.xml", "a/../../b", "c:\\evil", "..\\evil"])
def test_a_zip_whose_names_lead_out_of_it_is_refused(tmp_path, name):
    path = tmp_path / f"{fake.NAME}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.safe", "x")
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        archive.writestr(info, "x")
    with pytest.raises(SceneError, match="leads out of it"):
        open_scene(path)


def test_a_zip_member_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big.xml", b"\0" * (70 << 20))
    path = tmp_path / f"{fake.NAME}.zip"
    path.write_bytes(buffer.getvalue())
    with pytest.raises(SceneError, match="is larger than 64 MiB"):
        Package(path).read("big.xml")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"<numberOfLines>{fake.LINES}</numberOfLines>", "<numberOfLines>99999999</numberOfLines>"),
        (f"<numberOfLines>{fake.LINES}</numberOfLines>", "<numberOfLines>261</numberOfLines>"),
        ("<productType>GRD</productType>", "<productType>SLC</productType>"),
        ("<latitude>", "<latitude>9"),
        ("<pass>Descending</pass>", "<pass>Sideways</pass>"),
    ],
)
def test_absurd_annotations_are_refused_with_one_line(tmp_path, old, new):
    safe = fake.write_safe(tmp_path, ("VV",))
    path = next(safe.glob("annotation/*.xml"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(SceneError) as caught:
        open_scene(safe)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    safe = fake.write_safe(tmp_path_factory.mktemp("victim"), ("VV",))
    return safe, {p: p.read_bytes() for p in safe.rglob("*") if p.is_file() and p.name != "manifest.safe"}


@given(st.integers(0, 3), st.floats(0, 1), st.sampled_from(["cut", "flip", "drop", "digit"]), st.integers(0, 255))
def test_broken_products_fail_with_nothing_but_our_errors(victim, tmp_path_factory, which, where, how, byte):
    safe, files = victim
    path = sorted(files)[which % len(files)]
    data = bytearray(files[path])
    at = min(int(where * len(data)), len(data) - 1)
    if how == "cut":
        data = data[:at]
    elif how == "flip":
        data[at] = byte
    elif how == "drop":
        del data[at : at + 40]
    else:
        data[at : at + 1] = b"9e9"
    path.write_bytes(bytes(data))
    folder = tmp_path_factory.mktemp("out")
    try:
        scene = open_scene(safe)
        if np.prod(scene.geobox.shape) < 1e6:
            prepared(scene, folder)
    except KnowlipError as error:
        said = str(error)
    else:
        said = ""
    finally:
        path.write_bytes(files[path])
    assert "\n" not in said
