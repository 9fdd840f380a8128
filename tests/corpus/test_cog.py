import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile
from rio_cogeo import cog_validate

from knowlip.corpus.cog import cog_bytes, halved
from knowlip.corpus.cogread import decode_cog

NORTH, TURNED, SOUTH_UP = (
    Affine(10, 0, 5e5, 0, -10, 5e6),
    Affine(10, 1, 5e5, 1, -10, 5e6),
    Affine(10, 0, 5e5, 0, 10, 5e6),
)
CUSTOM = "+proj=laea +lat_0=-8 +lon_0=-35 +datum=WGS84 +units=m"


def pixels_of(dtype, shape):
    values = np.random.default_rng(0).gamma(4, 20, shape)
    return values.clip(0, 127).astype(dtype) if dtype[0] in "ui" else (values - 60).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("bands", [1, 2, 4])
@pytest.mark.parametrize("shape", [(32, 64), (256, 256), (272, 300), (528, 1040)])
def test_gdal_and_we_read_the_same_from_every_kind_of_tile(tmp_path, dtype, bands, shape):
    pixels, path = pixels_of(dtype, (bands, *shape)), tmp_path / "x.tif"
    nodata = float("nan") if dtype[0] == "f" else 3
    labels = ("VV", "VH", "HH", "HV")[:bands]
    data = cog_bytes(pixels, GeoBox(shape, NORTH, "EPSG:32631"), nodata, labels)
    path.write_bytes(data)
    assert cog_validate(str(path), strict=True, quiet=True)[0]
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), pixels)
        np.testing.assert_equal(dataset.nodata, nodata)
        assert dataset.descriptions == labels
    read, read_nodata = decode_cog(data)
    np.testing.assert_array_equal(read, pixels)
    assert read.dtype == pixels.dtype
    np.testing.assert_equal(read_nodata, nodata)


@pytest.mark.parametrize("affine", [NORTH, TURNED, SOUTH_UP])
@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:4326", "EPSG:3395", CUSTOM])
def test_gdal_reads_the_grid_that_was_given(affine, crs):
    pixels = pixels_of("uint8", (1, 64, 64))
    with (
        MemoryFile(cog_bytes(pixels, GeoBox((64, 64), affine, crs), None, ("VV",))) as memory,
        memory.open() as dataset,
    ):
        assert dataset.transform == affine
        assert dataset.crs == rasterio.crs.CRS.from_user_input(crs)
        assert dataset.nodata is None


def test_overviews_are_gdal_s_averages_without_no_data():
    pixels = pixels_of("float32", (1, 64, 96))
    pixels[:, 10:21, 5:30] = np.nan
    profile = {"width": 96, "height": 64, "count": 1, "dtype": "float32", "nodata": np.nan, "crs": "EPSG:32631"}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", transform=NORTH, **profile) as dataset:
            dataset.write(pixels)
            dataset.build_overviews([2], rasterio.enums.Resampling.average)
        with memory.open(overview_level=0) as overview:
            np.testing.assert_allclose(halved(pixels, np.nan), overview.read(), rtol=1e-6)
    assert halved(pixels[:, :63, :33], np.nan).shape == (1, 32, 17)


def test_files_of_other_programs_are_left_to_gdal():
    pixels = pixels_of("uint8", (1, 64, 64))
    for profile in ({"compress": "lzw"}, {"compress": "deflate", "predictor": 1}, {"compress": None}):
        grid = {"width": 64, "height": 64, "count": 1, "dtype": "uint8", "crs": "EPSG:32631", "transform": NORTH}
        with MemoryFile() as memory:
            with memory.open(driver="GTiff", **grid, **profile) as dataset:
                dataset.write(pixels)
            assert decode_cog(memory.read()) is None
    assert decode_cog(b"not a TIFF") is None


def test_a_file_of_gdal_s_in_our_layout_is_read_as_gdal_reads_it():
    pixels = pixels_of("float32", (2, 300, 270))
    grid = {"width": 270, "height": 300, "count": 2, "dtype": "float32", "crs": "EPSG:32631", "transform": NORTH}
    blocks = {"tiled": True, "blockxsize": 128, "blockysize": 64, "interleave": "pixel"}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", compress="deflate", predictor=3, **grid, **blocks) as dataset:
            dataset.write(pixels)
        np.testing.assert_array_equal(decode_cog(memory.read())[0], pixels)


def test_a_damaged_block_is_an_error_and_not_pixels():
    data = cog_bytes(pixels_of("uint8", (1, 64, 64)), GeoBox((64, 64), NORTH, "EPSG:32631"), None, ("VV",))
    with pytest.raises(ValueError, match="inflated"):
        decode_cog(data[:-300])
