import os
import shutil

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from fakes import as_amplitude, as_db, as_power, ground_power, truncated, write_photograph, write_scene
from knowlip.core.errors import SceneError
from knowlip.scenes.geotiff import find_rasters, open_scene, read_window, valid_mask
from knowlip.scenes.sidecar import Declared

POWER = ground_power((300, 320))


@pytest.mark.parametrize(
    ("crs", "at", "gsd"),
    [("EPSG:32733", (16.0, -22.5), 12.5), ("EPSG:3395", (-118.2, 33.9), 10.0), ("EPSG:4326", (24.9, 60.2), 1e-4)],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_scene_has_the_grid_that_rasterio_reads(tmp_path, crs, at, gsd, dtype):
    pixels = as_db(POWER) if dtype == "float32" else as_amplitude(POWER, -40, dtype)
    path = write_scene(tmp_path / "x.tif", np.stack([pixels] * 2), crs=crs, at=at, gsd=gsd)
    scene = open_scene(path)
    with rasterio.open(path) as dataset:
        assert tuple(scene.geobox.shape) == dataset.shape
        assert scene.geobox.affine == dataset.transform
        assert scene.geobox.crs.epsg == dataset.crs.to_epsg()
        assert scene.dtype == dtype
        window = dataset.read(window=Window(40, 30, 60, 50))
        np.testing.assert_array_equal(read_window(dataset, path, 30, 40, 50, 60), window)


def test_an_old_definition_without_its_code_gets_the_code(tmp_path):
    wkt = rasterio.crs.CRS.from_epsg(32631).to_wkt()
    path = write_scene(tmp_path / "x.tif", as_db(POWER), crs=wkt.replace(',AUTHORITY["EPSG","32631"]', ""))
    assert open_scene(path).geobox.crs.epsg == 32631


def test_a_custom_projection_is_kept(tmp_path):
    crs = "+proj=laea +lat_0=48 +lon_0=3 +datum=WGS84"
    scene = open_scene(write_scene(tmp_path / "x.tif", as_db(POWER), crs=crs))
    assert scene.geobox.crs.epsg is None
    assert "Azimuthal" in scene.geobox.crs.to_wkt()


def test_valid_share_is_gdal_s(tmp_path):
    db = as_db(POWER)
    db[:40], db[:, :25] = -99, np.nan
    path = write_scene(tmp_path / "x.tif", np.stack([db, db]), nodata=-99)
    with rasterio.open(path) as dataset:
        ours = valid_mask(dataset.read(), dataset.nodata)
        # GDAL's mask knows the no-data value; NaN is no measurement either
        truth = (dataset.dataset_mask() > 0) & np.isfinite(dataset.read(1))
    np.testing.assert_array_equal(ours, truth)
    assert 0.7 < ours.mean() < 0.9


def test_valid_share_of_a_real_scene_is_gdal_s(real_data):
    (path,) = (real_data / "s1_geocoded").glob("*.tif")
    scene = open_scene(path)
    assert (scene.radiometry.quantity, scene.polarisations) == ("db", ("VV",))
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(valid_mask(dataset.read(), scene.nodata), dataset.dataset_mask() > 0)


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", -9999.0), ("uint16", 1e6), ("uint8", 0.5)])
def test_a_no_data_value_that_no_pixel_can_have_is_none(tmp_path, dtype, nodata):
    path = write_scene(tmp_path / "x.tif", as_amplitude(POWER, -40, dtype))
    assert open_scene(path, Declared(nodata=nodata)).nodata is None
    assert open_scene(path, Declared(nodata=0.0)).nodata == 0.0


def no_crs(path):
    write_scene(path, as_db(POWER), crs=None)


def no_georeference(path):
    write_scene(path, as_db(POWER), crs=None, transform=rasterio.Affine.identity())


def ground_control_points_only(path):
    with rasterio.open(path, "w", driver="GTiff", dtype="uint16", count=1, height=300, width=300) as out:
        out.write(np.ones((1, 300, 300), np.uint16))
        points = [(0, 0, 3.0, 48.0), (0, 300, 3.1, 48.0), (300, 0, 3.0, 47.9)]
        out.gcps = [rasterio.control.GroundControlPoint(*p) for p in points], rasterio.crs.CRS.from_epsg(4326)


def five_bands(path):
    write_scene(path, np.stack([as_db(POWER)] * 5))


def complex_pixels(path):
    write_scene(path, (as_power(POWER) * (1 + 1j)).astype(np.complex64))


def zero_bytes(path):
    path.write_bytes(b"")


def cut_in_its_header(path):
    write_scene(path, as_db(POWER))
    path.write_bytes(path.read_bytes()[:100])


def text(path):
    path.write_text("scene,path\n1,a.tif\n")


def collapsed_affine(path):
    write_scene(path, as_db(POWER), transform=rasterio.Affine(10, 10, 5e5, 10, 10, 5e6))


def local_crs(path):
    write_scene(
        path, as_db(POWER), crs='LOCAL_CS["site",UNIT["metre",1]]', transform=rasterio.Affine(1, 0, 0, 0, -1, 9)
    )


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (write_photograph, "is a photograph or a picture"),
        (five_bands, "has 5 bands"),
        (complex_pixels, "complex64"),
        (no_crs, "has no CRS"),
        (no_georeference, "has no georeference"),
        (ground_control_points_only, "has no georeference"),
        (collapsed_affine, "onto a line"),
        (local_crs, "local CRS"),
        (zero_bytes, "zero bytes"),
        (cut_in_its_header, "cannot be read as a GeoTIFF"),
        (text, "cannot be read as a GeoTIFF"),
    ],
)
def test_what_is_no_georeferenced_radar_scene_is_refused(tmp_path, make, reason):
    path = tmp_path / "x.tif"
    make(path)
    with pytest.raises(SceneError, match=reason) as caught:
        open_scene(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_products_without_a_grid_are_refused(real_data):
    measurement = next((real_data / "s1_safe").glob("*.SAFE/measurement/*.tiff"))
    for path in (measurement, real_data / "gf3_quadpol" / "1_HH.tiff"):
        with pytest.raises(SceneError, match="has no georeference"):
            open_scene(path)


def test_a_missing_crs_can_be_declared(tmp_path):
    path = tmp_path / "x.tif"
    no_crs(path)
    assert open_scene(path, Declared(crs="EPSG:32611")).geobox.crs.epsg == 32611
    with pytest.raises(SceneError, match="EPSG:99999999"):
        open_scene(path, Declared(crs="EPSG:99999999"))


def test_pixels_behind_a_cut_are_refused_when_read(tmp_path):
    path = truncated(write_scene(tmp_path / "x.tif", as_amplitude(POWER, -40)))
    with rasterio.open(path) as dataset:
        read_window(dataset, path, 0, 0, 16, 16)
        with pytest.raises(SceneError, match="truncated or damaged"):
            read_window(dataset, path, 200, 0, 100, 100)


def test_four_8_bit_bands_are_no_picture_when_their_polarisations_are_told(tmp_path):
    labels = ("HH", "HV", "VH", "VV")
    bands = np.stack([as_amplitude(POWER, -40, np.uint8)] * 4)
    plain = write_scene(tmp_path / "plain.tif", bands)
    with pytest.raises(SceneError, match="picture"):
        open_scene(plain)
    assert open_scene(plain, Declared(polarisations=labels)).polarisations == labels
    described = write_scene(tmp_path / "described.tif", bands, descriptions=labels)
    assert open_scene(described).polarisations == labels
    told = write_scene(tmp_path / "told.tif", bands, sidecar={"polarisations": labels})
    assert open_scene(told).polarisations == labels


@pytest.mark.parametrize("labels", [("VV",), ("VV", "VV"), ("VV", "XX"), ("VV", "VH", "HH")])
def test_wrong_polarisations_are_refused(tmp_path, labels):
    path = write_scene(tmp_path / "x.tif", np.stack([as_db(POWER)] * 2))
    with pytest.raises(SceneError, match="polarisations"):
        open_scene(path, Declared(polarisations=labels))


def test_scenes_of_a_folder_are_found_without_truth_and_unfinished_files(tmp_path):
    scenes = [tmp_path / "a.tif", tmp_path / "deep" / "B.TIFF"]
    others = [tmp_path / "truth" / "a.tif", tmp_path / "deep" / "truth" / "b.tif", tmp_path / ".a.4711.tif"]
    for path in (*scenes, *others, tmp_path / "a.json", tmp_path / "picture.jpg"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert find_rasters(tmp_path) == scenes
    assert find_rasters(others[0]) == [others[0]]


def test_a_folder_without_scenes_and_a_missing_path_are_refused(tmp_path):
    with pytest.raises(SceneError, match="holds no GeoTIFF"):
        find_rasters(tmp_path)
    with pytest.raises(SceneError, match="no such file or folder"):
        find_rasters(tmp_path / "missing")


def test_a_file_name_that_is_not_text_is_refused_in_text(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.tif")
    try:
        shutil.move(write_scene(tmp_path / "x.tif", as_db(POWER)), path)
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(SceneError, match="not valid UTF-8") as caught:
        open_scene(path)
    assert str(caught.value).encode()


def signed_scene(path, values):
    profile = {"driver": "GTiff", "dtype": "int16", "count": 1, "height": 64, "width": 64, "crs": "EPSG:32631"}
    with rasterio.open(path, "w", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), **profile) as out:
        out.write(np.full((1, 64, 64), values, np.int16))
        out.set_band_description(1, "VV")
    return path


def test_signed_integers_below_zero_are_not_taken_for_amplitude(tmp_path):
    with pytest.raises(SceneError, match="may be scaled dB"):
        open_scene(signed_scene(tmp_path / "db.tif", -1200))
    assert open_scene(signed_scene(tmp_path / "dn.tif", 120)).radiometry.quantity == "amplitude"
