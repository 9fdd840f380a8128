"""Maps of simulated ground: near the truth, wrong in places, and asked about simulated ground alone."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely

from knowlip.core.errors import ConfigError
from knowlip.knowledge.elevation import elevation, relief_m
from knowlip.knowledge.features import map_features
from knowlip.knowledge.landcover import class_raster
from knowlip.simulation.ground import LandCover
from knowlip.simulation.map_files import map_names
from knowlip.simulation.simulate import simulate

PRODUCT = np.array([0, 80, 10, 40, 50, 50, 60])
"""WorldCover's code of each of our classes."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two scenes of 10 m with their maps."""
    root = tmp_path_factory.mktemp("maps")
    tifs = simulate(root / "scenes", 2, 1, "sentinel1-iw", 512, 3, maps=root / "maps")
    return root, tifs


@pytest.fixture(scope="module")
def fine(tmp_path_factory):
    """One scene of 1 m."""
    root = tmp_path_factory.mktemp("fine")
    tifs = simulate(root / "scenes", 1, 1, "umbra-spotlight", 512, 3, ("Rotterdam",), maps=root / "maps")
    return root, tifs


def test_land_cover_is_as_right_as_the_published_product(place):
    root, tifs = place
    right = []
    for tif in tifs:
        names = map_names(tif.stem)
        with rasterio.open(root / "maps" / names["landcover"]) as product, rasterio.open(tif) as scene:
            codes = product.read(1)
            assert product.crs == scene.crs
            assert abs(product.transform.c - scene.transform.c) < 20
            assert product.shape == scene.shape
        with rasterio.open(root / "scenes" / "truth" / f"{tif.stem}.landcover.tif") as truth:
            right.append((PRODUCT[truth.read(1)] == codes).mean())
    # 76.7 % is of the whole Earth; a town is harder and a lake easier
    assert 0.6 < min(right) < max(right) < 0.92


def test_a_scene_of_fine_pixels_gets_maps_of_ten_and_thirty_metres(fine):
    root, (tif,) = fine
    with rasterio.open(tif) as scene:
        extent_m = scene.width * scene.res[0]
    for kind, gsd_m in (("landcover", 10), ("dem", 30)):
        with rasterio.open(root / "maps" / map_names(tif.stem)[kind]) as product:
            assert product.res[0] == pytest.approx(gsd_m, rel=0.05)
            assert product.width * product.res[0] == pytest.approx(extent_m, abs=2 * gsd_m)


def test_elevation_errs_as_the_published_model_does_where_nothing_stands(place):
    root, tifs = place
    for tif in tifs:
        with rasterio.open(root / "maps" / map_names(tif.stem)["dem"]) as model:
            heights = model.read(1).repeat(3, 0).repeat(3, 1)[:512, :512]
        with rasterio.open(root / "scenes" / "truth" / f"{tif.stem}.height.tif") as truth:
            true = truth.read(1) * truth.scales[0]
        with rasterio.open(root / "scenes" / "truth" / f"{tif.stem}.landcover.tif") as cover:
            bare = np.isin(cover.read(1), (LandCover.WATER, LandCover.BARE, LandCover.FARMLAND))
        assert np.quantile(np.abs(heights - true)[bare], 0.9) < 8


def test_features_are_areas_that_overture_s_readers_understand(place):
    root, tifs = place
    with rasterio.open(tifs[0]) as scene:
        west, south, east, north = rasterio.warp.transform_bounds(scene.crs, "EPSG:4326", *scene.bounds)
    found = map_features([root / "maps" / "features"])
    assert found.ground == "simulated"
    read = [e.read((west, south, east, north)) for e in found.extracts]
    assert {k for r in read for k in r.kind} >= {"land_use"}
    table = pq.read_table(root / "maps" / map_names(tifs[0].stem)["land_use"])
    areas = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    assert shapely.is_valid(areas).all()
    assert (shapely.get_dimensions(areas) == 2).all()
    boxes = np.array([[b[k] for k in ("xmin", "ymin", "xmax", "ymax")] for b in table["bbox"].to_pylist()])
    np.testing.assert_allclose(boxes, shapely.bounds(areas))


def test_maps_of_real_and_of_simulated_ground_do_not_mix(place, tmp_path):
    root, _ = place
    assert class_raster(root / "maps" / "landcover").ground == "simulated"
    assert elevation(root / "maps" / "dem").ground == "simulated"
    other = tmp_path / "rome_segment.parquet"
    other.write_bytes((root / "maps" / map_names(place[1][0].stem)["land_use"]).read_bytes())
    with pytest.raises(ConfigError, match="simulated and of real ground"):
        map_features([root / "maps" / "features", other])


def test_relief_is_of_the_ground_and_not_of_what_stands_on_it():
    ground = np.fromfunction(lambda y, x: 80 * np.sin(x / 40) + 0.0 * y, (300, 300))
    towers = ground.copy()
    towers[50:52, 60:62] += 300
    towers[100, :] = np.where(np.arange(300) % 2, towers[100], np.nan)
    assert relief_m(towers) == pytest.approx(np.ptp(ground), rel=0.03)
