import json
import shutil
import subprocess

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from knowlip.core.errors import ConfigError, SceneError
from knowlip.knowledge.elevation import elevation, horn_slope_deg
from knowlip.knowledge.landcover import WORLDCOVER, class_raster
from knowlip.knowledge.source import ask_all


def write(path, values, affine, crs="EPSG:32633", nodata=None, **tags):
    profile = {"driver": "GTiff", "count": 1, "height": values.shape[0], "width": values.shape[1], "nodata": nodata}
    with rasterio.open(path, "w", dtype=values.dtype, transform=affine, crs=CRS.from_user_input(crs), **profile) as out:
        out.write(values, 1)
        out.update_tags(**tags)
    return path


def facts_of(answer):
    return {f.name: f.value for f in answer.facts}


@pytest.fixture
def surface(tmp_path, tile):
    """Writes a DEM of heights z(east, north) in m from a tile's middle, 30 m apart, 20 km wide."""

    def make(z, size=700, name="dem.tif"):
        affine = tile(gsd_m=30.0, size=size).geobox.affine
        col, row = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
        east, north = (col - size / 2) * 30.0, (size / 2 - row) * 30.0
        return write(tmp_path / name, z(east, north).astype(np.float32), affine, nodata=-9999)

    return make


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 360), st.floats(5, 50), st.floats(5, 50))
def test_the_slope_of_a_plane_is_that_of_its_gradient(east, north, turned_deg, col_m, row_m):
    turn = np.radians(turned_deg)
    steps = np.array([[np.cos(turn) * col_m, np.sin(turn) * col_m], [np.sin(turn) * row_m, -np.cos(turn) * row_m]])
    col, row = np.meshgrid(np.arange(6.0), np.arange(5.0))
    ground = col[..., None] * steps[0] + row[..., None] * steps[1]
    slope = horn_slope_deg(ground @ (east, north), steps)
    assert slope.shape == (3, 4)
    assert slope == pytest.approx(np.degrees(np.arctan(np.hypot(east, north))), abs=1e-6)


def test_horn_s_differences_weigh_near_neighbours_twice():
    # the formula as gdaldem's manual and Horn's paper give it, for one pixel of random neighbours
    z = np.random.default_rng(3).uniform(0, 30, (3, 3))
    (a, b, c), (d, _, f), (g, h, i) = z
    dx = ((c + 2 * f + i) - (a + 2 * d + g)) / (8 * 10)
    dy = ((g + 2 * h + i) - (a + 2 * b + c)) / (8 * 20)
    slope = horn_slope_deg(z, np.array([[10.0, 0.0], [0.0, -20.0]]))
    assert slope[0, 0] == pytest.approx(np.degrees(np.arctan(np.hypot(dx, dy))))


@pytest.mark.parametrize("rotated_deg", [0.0, 25.0])
@pytest.mark.parametrize("gsd_m", [10.0, 30.0, 45.0])
def test_a_hillside_has_its_slope_and_heights_on_any_tile_grid(surface, tile, gsd_m, rotated_deg):
    source = elevation(surface(lambda east, north: 500 + 0.2 * east - 0.1 * north))
    (answer,) = source.ask([tile(gsd_m=gsd_m, size=128, rotated_deg=rotated_deg)])
    facts = facts_of(answer)
    assert facts["slope.mean_deg"] == pytest.approx(np.degrees(np.arctan(np.hypot(0.2, 0.1))), abs=0.1)
    assert facts["elevation.mean_m"] == pytest.approx(500, abs=1)
    assert (facts["slope.gentle_share"], facts["slope.steep_share"]) == (0, 0)
    turn = np.radians(rotated_deg)
    along_sides = abs(0.2 * np.cos(turn) - 0.1 * np.sin(turn)) + abs(0.2 * np.sin(turn) + 0.1 * np.cos(turn))
    assert facts["elevation.relief_m"] == pytest.approx(along_sides * 9656, rel=0.03)
    assert not answer.missing


def test_a_round_hill_has_the_slopes_of_calculus(surface, tile):
    # z = -k r^2 has the slope 2 k r: a quarter of a circle's radius holds a sixteenth of its area
    k = 0.30 / 2 / 1000
    source = elevation(surface(lambda east, north: -k * (east**2 + north**2)))
    (answer,) = source.ask([tile(gsd_m=30.0, size=66)])
    facts = facts_of(answer)
    inside = 1980.0**2
    assert facts["slope.gentle_share"] == pytest.approx(np.pi * (0.08 / 2 / k) ** 2 / inside, abs=0.01)
    # the square reaches 990 m from its middle: only its corners are steeper than 30 %, at 1000 m
    theta = np.arccos(0.99)
    corners = inside - (np.pi - 4 * theta) * 1000**2 - 4 * 990 * 1000 * np.sin(theta)
    assert facts["slope.steep_share"] == pytest.approx(corners / inside, abs=0.01)


def test_degrees_and_mercator_give_the_metres_of_the_ground(tmp_path, tile):
    # a plane that rises 0.1 to the east, in degrees at 60 north, where a degree of longitude is half as long
    step = 1 / 3600
    lon = 12.5 + (np.arange(900) - 450 + 0.5) * step
    metres = pyproj.Geod(ellps="WGS84").inv(12.5, 60, 13.5, 60)[2]
    heights = np.tile((lon - 12.5) * metres * 0.1, (900, 1)).astype(np.float32)
    path = write(
        tmp_path / "dem.tif", heights, Affine(step, 0, lon[0] - step / 2, 0, -step, 60 + 450 * step), "EPSG:4326"
    )
    for crs, gsd in (("EPSG:32633", 20.0), ("EPSG:3395", 40.0), ("EPSG:3857", 40.0)):
        (answer,) = elevation(path).ask([tile(lat=60.0, gsd_m=gsd, size=64, crs=crs)])
        assert facts_of(answer)["slope.mean_deg"] == pytest.approx(np.degrees(np.arctan(0.1)), rel=0.02)


def test_a_tile_beyond_the_elevation_model_is_said_to_be(surface, tile):
    source = elevation(surface(lambda east, north: east * 0, size=60))
    away, edge = source.ask([tile(lon=14.0), tile(size=256)])
    assert away.facts == ()
    assert "no heights" in away.missing[0]
    assert any("only" in m for m in edge.missing)
    assert "elevation.relief_m" not in facts_of(edge)


def test_what_is_no_elevation_model_is_refused_in_one_line(tmp_path):
    (tmp_path / "dem.tif").write_text("no raster")
    with pytest.raises(SceneError, match="cannot be read as an elevation model"):
        elevation(tmp_path / "dem.tif")


def test_the_hills_of_rome_are_hills(real_data, tile):
    source = elevation(real_data / "dem" / "Rome-30m-DEM.tif")
    (answer,) = source.ask([tile(lon=12.5, lat=42.0, size=512)])
    with rasterio.open(real_data / "dem" / "Rome-30m-DEM.tif") as dataset:
        window = dataset.window(12.469, 41.977, 12.531, 42.023)
        heights = dataset.read(1, window=window)
    facts = facts_of(answer)
    assert facts["elevation.mean_m"] == pytest.approx(heights.mean(), abs=1.5)
    assert facts["elevation.range_m"] == pytest.approx(np.ptp(heights), abs=6)
    assert "geoid" in next(f.why for f in answer.facts if f.name == "elevation.mean_m")


@pytest.fixture
def worldcover(tmp_path):
    """WorldCover's codes in a 10 m raster in degrees: water west of 12.5 east, below 42 north trees, else snow."""
    step = 1 / 12000
    lon = 12.4 + (np.arange(2400) + 0.5) * step
    lat = 42.1 - (np.arange(2400) + 0.5) * step
    codes = np.where(lon[None, :] < 12.5, 80, np.where(lat[:, None] < 42.0, 10, 70)).astype(np.uint8)
    tags = {"product_type": "WorldCover", "product_version": "V2.0.0", "license": "CC-BY 4.0"}
    return write(tmp_path / "map.tif", codes, Affine(step, 0, 12.4, 0, -step, 42.1), "EPSG:4326", 0, **tags)


def test_worldcover_s_classes_fall_where_they_lie(worldcover, tile):
    source = class_raster(worldcover)
    here = tile(lon=12.5, lat=42.0, size=200)
    (answer,) = source.ask([here])
    col, row = np.meshgrid(np.arange(200) + 0.5, np.arange(200) + 0.5)
    x, y = here.geobox.affine * (col, row)
    lon, lat = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(x, y)
    expected = np.where(lon < 12.5, 1, np.where(lat < 42.0, 2, 0))
    grid = answer.grids["land_cover"]
    assert grid.dtype == np.uint8
    assert (grid == expected).mean() > 0.99
    facts = facts_of(answer)
    assert facts["map.cover.water.share"] == pytest.approx(2 / 3, abs=0.01)
    assert facts["map.cover.woodland.share"] == pytest.approx(1 / 3, abs=0.01)
    assert facts["map.cover.bare.share"] == 0
    # WorldCover has no roads, so nothing is said of them
    assert "map.cover.road.share" not in facts
    assert answer.missing[0].startswith("25%")
    assert source.version.startswith("ESA WorldCover V2.0.0 map.tif (sha256 ")
    assert source.licence == "CC-BY 4.0"


def test_any_raster_of_classes_is_read_through_a_mapping(worldcover, tmp_path, tile):
    (tmp_path / "ours.json").write_text(json.dumps({"road": 70, "farmland": [10, 80]}))
    (answer,) = class_raster(worldcover, tmp_path / "ours.json").ask([tile(lon=12.55, lat=42.0, size=100)])
    assert facts_of(answer) == {
        "map.cover.road.share": pytest.approx(0.5, abs=0.02),
        "map.cover.farmland.share": pytest.approx(0.5, abs=0.02),
    }


def test_outside_the_raster_nothing_is_known(worldcover, tmp_path, tile):
    (answer,) = class_raster(worldcover).ask([tile(lon=13.5)])
    assert not answer.facts
    assert answer.missing
    bare = write(tmp_path / "all.tif", np.full((50, 50), 60, np.uint8), tile(size=50).geobox.affine)
    (partly,) = class_raster(bare).ask([tile(size=100)])
    assert facts_of(partly)["map.cover.bare.share"] == 1
    assert (partly.grids["land_cover"] > 0).mean() == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- 1", "does not name our classes"),
        ("lake: [1]", "does not name our classes"),
        ("water: [a]", "whole numbers"),
        ("water: [1]\nbare: [1]", "two classes"),
        ("{", "cannot be read"),
    ],
)
def test_a_mapping_that_says_nothing_clear_is_refused(worldcover, tmp_path, text, reason):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        class_raster(worldcover, tmp_path / "map.yaml")


def test_worldcover_s_codes_are_each_in_one_class():
    codes = [c for several in WORLDCOVER.values() for c in several]
    assert len(codes) == len(set(codes))
    assert set(codes) | {70, 90} == {10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100}


def test_a_simulated_tile_is_not_asked_about_real_ground(worldcover, tile):
    real, made_up = ask_all([class_raster(worldcover)], [tile(name="a"), tile(name="b", made_up=True)])
    assert real.facts
    assert not made_up.facts
    assert made_up.missing == ("land-cover: the scene is simulated, so its ground is not that of the place",)


def test_a_folder_of_cells_is_one_map(tmp_path, tile):
    whole = tile(size=400).geobox.affine
    for k, code in enumerate((10, 80)):
        (tmp_path / "cells").mkdir(exist_ok=True)
        cell = whole @ Affine.translation(200 * k, 0)
        write(tmp_path / "cells" / f"{k}.tif", np.full((400, 200), code, np.uint8), cell, nodata=0)
    source = class_raster(tmp_path / "cells")
    across, away = source.ask([tile(size=100), tile(lon=20.0)])
    assert facts_of(across)["map.cover.water.share"] == pytest.approx(0.5, abs=0.01)
    assert not across.missing
    assert not away.facts
    assert "2 files" in source.version


def test_two_cells_of_a_height_model_meet_without_a_seam(tmp_path, tile, surface):
    whole = tile(gsd_m=30.0, size=700).geobox.affine
    (tmp_path / "cells").mkdir()
    col = np.arange(700) - 349.5
    for k in range(2):
        part = np.tile(col[350 * k : 350 * (k + 1)] * 30 * 0.1, (700, 1)).astype(np.float32)
        write(tmp_path / "cells" / f"{k}.tif", part, whole @ Affine.translation(350 * k, 0), nodata=-9999)
    (answer,) = elevation(tmp_path / "cells").ask([tile(gsd_m=30.0, size=100)])
    assert facts_of(answer)["slope.mean_deg"] == pytest.approx(np.degrees(np.arctan(0.1)), abs=0.1)
    assert not answer.missing


def test_another_map_is_not_taken_for_worldcover(tmp_path, tile):
    path = write(tmp_path / "clc.tif", np.full((50, 50), 112, np.uint8), tile(size=50).geobox.affine)
    with pytest.raises(SceneError, match=r"has code 112, .*PATH:MAPPING"):
        class_raster(path)


needs_gdaldem = pytest.mark.skipif(shutil.which("gdaldem") is None, reason="needs GDAL's programs (gdal-bin)")


@needs_gdaldem
def test_slope_is_that_of_gdaldem_on_the_same_grid(tmp_path):
    rng = np.random.default_rng(2)
    height = rng.normal(0, 1, (80, 90)).cumsum(axis=0).cumsum(axis=1).astype(np.float32)
    path = write(tmp_path / "dem.tif", height, Affine(20, 0, 300_000, 0, -30, 4_600_000), nodata=-9999)
    subprocess.run(["gdaldem", "slope", "-q", "-alg", "Horn", path, tmp_path / "slope.tif"], check=True)
    with rasterio.open(tmp_path / "slope.tif") as dataset:
        theirs = dataset.read(1)[1:-1, 1:-1]
    ours = horn_slope_deg(height.astype(float), np.array([[20.0, 0.0], [0.0, -30.0]]))
    assert np.abs(ours - theirs).max() < 1e-3


@needs_gdaldem
def test_slopes_of_real_hills_are_those_of_gdaldem(real_data, tmp_path, tile):
    dem = real_data / "dem" / "Rome-30m-DEM.tif"
    here = tile(lon=12.5, lat=42.0, gsd_m=10.0, size=512)
    west, north = here.geobox.affine @ (0, 0)
    east, south = here.geobox.affine @ (512, 512)
    edges = [str(v) for v in (west - 300, south - 300, east + 300, north + 300)]
    warp = ["gdalwarp", "-q", "-t_srs", "EPSG:32633", "-tr", "30", "30", "-r", "bilinear", "-te", *edges]
    subprocess.run([*warp, "-ot", "Float32", dem, tmp_path / "utm.tif"], check=True)
    subprocess.run(["gdaldem", "slope", "-q", tmp_path / "utm.tif", tmp_path / "slope.tif"], check=True)
    with rasterio.open(tmp_path / "slope.tif") as dataset:
        theirs = dataset.read(1, window=dataset.window(west, south, east, north).round())
    facts = facts_of(elevation(dem).ask([here])[0])
    # grids that lie half a pixel apart smooth heights of whole metres differently
    assert facts["slope.mean_deg"] == pytest.approx(theirs.mean(), rel=0.03)
    rise = np.tan(np.radians(theirs))
    assert facts["slope.gentle_share"] == pytest.approx((rise <= 0.08).mean(), abs=0.02)
    assert facts["slope.steep_share"] == pytest.approx((rise > 0.30).mean(), abs=0.02)
