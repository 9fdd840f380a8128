import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.warp import reproject

from fakes import as_db, grid_at, ground_power, write_scene
from knowlip.core.errors import SceneError
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec, tile_grids
from knowlip.corpus.validate import validate
from knowlip.scenes.geotiff import open_scene


def smooth(shape):
    """Ground in dB whose values tell a shift of a tenth of a pixel."""
    row, col = np.mgrid[: shape[0], : shape[1]]
    return (-12 + 5 * np.sin(row / 9) + 4 * np.cos(col / 7) + row / shape[0]).astype(np.float32)


def build(scenes, out, **spec):
    return build_corpus([scenes], str(out), BuildConfig(tiles=TileSpec.model_validate(spec)))


@pytest.mark.parametrize(("gsd", "side"), [(10.0, 64), (5.0, 128), (3.0, 208), (1.0, 640)])
def test_a_ground_size_gives_each_scene_its_own_tile_size(tmp_path, gsd, side):
    # in UTM a metre of the grid is one of the ground, to 4 in 10,000
    path = write_scene(tmp_path / "x.tif", as_db(ground_power((700, 700))), gsd=gsd)
    (grid,) = tile_grids(open_scene(path), TileSpec(ground_size_m=640))
    assert grid.size == side
    assert abs(grid.size * gsd - 640) <= 8 * gsd


def test_scenes_of_several_sensors_make_one_corpus_of_comparable_footprints(tmp_path):
    for name, gsd in (("coarse", 10.0), ("fine", 2.5)):
        write_scene(tmp_path / "scenes" / f"{name}.tif", as_db(ground_power((600, 600))), gsd=gsd)
    corpus = build(tmp_path / "scenes", tmp_path / "out", ground_size_m=640).corpus
    assert validate(corpus) == []
    tiles = corpus.tiles
    assert {tuple(s) for s in tiles["proj:shape"]} == {(64, 64), (256, 256)}
    side = [s[0] * g for s, g in zip(tiles["proj:shape"], tiles["knowlip:gsd_x_m"], strict=True)]
    np.testing.assert_allclose(side, 640, rtol=1e-3)


def test_a_ground_size_that_no_tile_can_have_is_refused(tmp_path):
    path = write_scene(tmp_path / "x.tif", as_db(ground_power((300, 300))), gsd=100.0)
    with pytest.raises(SceneError, match="640 m at 100 m a pixel is 6 pixels"):
        tile_grids(open_scene(path), TileSpec(ground_size_m=640))


SCENES = {
    # CRS, pixel in its units, place, pixel of the UTM grid in metres, the latter's pixels per pixel of the scene
    "another zone": ("EPSG:32632", 10.0, (5.9, 48.0), 10.0, (1, 1)),
    "mercator": ("EPSG:3395", 15.0, (3.0, 48.0), 10.0, (1, 1)),
    "degrees": ("EPSG:4326", 9e-5, (3.0, 48.0), 10.0, (0.672, 1)),
    "finer": ("EPSG:32631", 3.0, (3.0, 48.0), 10.0, (0.3, 0.3)),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("kernel", ["nearest", "bilinear", "cubic", "average"])
def test_resampled_tiles_are_those_of_gdal_s_warper(tmp_path, name, kernel):
    crs, gsd, at, to, scales = SCENES[name]
    path = write_scene(tmp_path / "s" / "x.tif", smooth((600, 600)), crs=crs, gsd=gsd, at=at)
    corpus = build(tmp_path / "s", tmp_path / "out", tile_size=64, resample_gsd_m=to, kernel=kernel, min_valid=1).corpus
    assert len(corpus.tiles) > 2
    spec = TileSpec(tile_size=64, resample_gsd_m=to, kernel=kernel)
    ratio = tile_grids(open_scene(path), spec)[0].kernel_scale
    assert tuple(ratio.values()) == pytest.approx(scales, rel=0.01)
    for tile_id in corpus.tile_ids():
        with rasterio.open(corpus.folder.path(f"tiles/x/{tile_id}.tif")) as tile, rasterio.open(path) as scene:
            a = tile.transform
            # the lattice of the zone: whole tiles from its origin
            assert (a.a, a.b, a.d, a.e) == (to, 0, 0, -to)
            assert a.c % (64 * to) == a.f % (64 * to) == 0
            truth = np.full((1, 64, 64), np.nan, np.float32)
            # the whole scene at once, with the same kernel
            reproject(
                rasterio.band(scene, 1),
                truth,
                src_nodata=np.nan,
                dst_nodata=np.nan,
                dst_transform=a,
                dst_crs=tile.crs,
                resampling=Resampling[kernel],
                **ratio,
            )
            # halfway between two pixels, the nearest is a matter of the last digit
            near = np.isclose(tile.read(), truth, rtol=0, atol=1e-4)
            assert near.mean() > 0.995 if kernel == "nearest" else near.all()


def test_bilinear_values_are_those_between_the_scene_s_pixels(tmp_path):
    pixels = smooth((600, 600))
    path = write_scene(tmp_path / "s" / "x.tif", pixels, crs="EPSG:3395", gsd=15.0)
    corpus = build(tmp_path / "s", tmp_path / "out", tile_size=64, resample_gsd_m=10, min_valid=1).corpus
    with rasterio.open(corpus.folder.path(f"tiles/x/{corpus.tile_ids()[5]}.tif")) as tile, rasterio.open(path) as scene:
        row, col = np.mgrid[:64, :64] + 0.5
        x, y = tile.transform.a * col + tile.transform.c, tile.transform.e * row + tile.transform.f
        x, y = pyproj.Transformer.from_crs(tile.crs.to_wkt(), scene.crs.to_wkt(), always_xy=True).transform(x, y)
        from scipy.ndimage import map_coordinates

        t = scene.transform
        truth = map_coordinates(pixels, [(y - t.f) / t.e - 0.5, (x - t.c) / t.a - 0.5], order=1)
        np.testing.assert_allclose(tile.read(1), truth, atol=2e-3)


def test_tiles_of_two_sensors_cover_the_same_squares(tmp_path):
    for name, gsd, at in (("a", 10.0, (3.0, 48.0)), ("b", 4.0, (3.005, 48.002))):
        write_scene(tmp_path / "s" / f"{name}.tif", as_db(ground_power((700, 700))), gsd=gsd, at=at)
    tiles = build(tmp_path / "s", tmp_path / "out", ground_size_m=640, resample_gsd_m=5).corpus.tiles
    squares = {s: {tuple(b) for b in tiles[tiles["knowlip:scene"] == s]["proj:bbox"]} for s in "ab"}
    # the inner tiles of the smaller scene are also tiles of the larger one
    assert len(squares["a"] & squares["b"]) >= 4


def test_a_scene_across_a_zone_s_edge_has_tiles_of_both_zones(tmp_path):
    shape = (300, 600)
    path = write_scene(tmp_path / "s" / "x.tif", smooth(shape), crs="EPSG:32631", at=(6.0, 48.0), gsd=20.0)
    corpus = build(path, tmp_path / "out", tile_size=64, resample_gsd_m=20, min_valid=0.5).corpus
    assert validate(corpus) == []
    by_zone = corpus.tiles.groupby("proj:code")
    assert set(by_zone.groups) == {"EPSG:32631", "EPSG:32632"}
    for code, tiles in by_zone:
        assert {f"EPSG:326{z[:2]}" for z in tiles["knowlip:utm_zone"]} == {code}
    assert len(set(corpus.tile_ids())) == len(corpus.tiles)


def test_truth_is_resampled_with_its_scene(tmp_path):
    shape = (400, 400)
    cover = np.kron(np.random.default_rng(0).integers(1, 7, (20, 20)), np.ones((20, 20))).astype(np.uint8)
    truth = {"landcover": "truth/x.landcover.tif", "objects": "truth/x.objects.parquet"}
    sidecar = {"simulated": True, "platform": "x", "truth": truth}
    path = write_scene(tmp_path / "x.tif", smooth(shape), crs="EPSG:3395", gsd=15.0, sidecar=sidecar)
    with rasterio.open(path) as scene:
        write_scene(tmp_path / truth["landcover"], cover, crs="EPSG:3395", transform=scene.transform, nodata=0)
        place = scene.transform @ (200.0, 150.0)
    import pyarrow as pa
    import pyarrow.parquet as pq

    ship = {"object_id": "a", "cls": "ship", "subtype": None, "centre_col": 200.0, "centre_row": 150.0}
    ship |= {"corners": [196.0, 149.0, 204.0, 149.0, 204.0, 151.0, 196.0, 151.0], "length_m": 80.0, "width_m": 20.0}
    pq.write_table(pa.Table.from_pylist([ship | {"heading_deg": 90.0}]), tmp_path / truth["objects"])
    corpus = build(path, tmp_path / "out", tile_size=64, resample_gsd_m=10).corpus
    (found,) = corpus.table("objects").to_pylist()
    with rasterio.open(corpus.folder.path(f"tiles/x/{found['tile_id']}.tif")) as tile:
        at = tile.transform @ (found["centre_x"], found["centre_y"])
        back = pyproj.Transformer.from_crs(tile.crs.to_wkt(), "EPSG:3395", always_xy=True).transform(*at)
        assert back == pytest.approx(place, abs=0.01)
        # Mercator's north is true north; that of UTM at its middle meridian too
        assert found["heading_deg"] == pytest.approx(90, abs=0.2)
        nearest = np.zeros((64, 64), np.uint8)
        with rasterio.open(tmp_path / truth["landcover"]) as dataset:
            reproject(
                rasterio.band(dataset, 1),
                nearest,
                dst_transform=tile.transform,
                dst_crs=tile.crs,
                resampling=Resampling.nearest,
            )
    assert (corpus.landcover(found["tile_id"]) == nearest).mean() > 0.995


def test_native_tiles_are_windows_of_the_scene_s_grid(tmp_path):
    grid = grid_at(3.0, 48.0, "EPSG:32631", 10, (300, 300)) @ Affine.rotation(10)
    path = write_scene(tmp_path / "x.tif", smooth((300, 300)), transform=grid)
    (tiles,) = tile_grids(open_scene(path), TileSpec(tile_size=128))
    assert isinstance(tiles.box, GeoBox)
    assert tiles.box.affine == grid
    assert tiles.corners.tolist() == [[22, 22], [22, 150], [150, 22], [150, 150]]
