import csv
import re
from collections import Counter

import mgrs
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import example, given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from fakes import grid_at
from knowlip.core.geodesy import ground_steps_m
from knowlip.corpus.geometry import locate
from knowlip.scenes.geotiff import find_rasters, open_scene

GEOD = pyproj.Geod(ellps="WGS84")


@st.composite
def grids(draw, crs=None):
    """Grids of 32 to 512 pixels of 1 to 40 m anywhere that radar satellites see, at times turned or south-up."""
    crs = crs or draw(st.sampled_from(["utm", "EPSG:3395", "EPSG:4326", "EPSG:3413", "EPSG:3031", "EPSG:3857"]))
    lat = draw(st.floats(-80, 80))
    if crs == "utm":
        zone = draw(st.integers(1, 60))
        lon = zone * 6 - 183 + draw(st.floats(-3.5, 3.5))
        crs = f"EPSG:{32600 + zone if lat >= 0 else 32700 + zone}"
    else:
        lon = draw(st.floats(-180, 180) | st.floats(179.9, 180.1))
    if crs in ("EPSG:3413", "EPSG:3031"):
        lat = (1 if crs == "EPSG:3413" else -1) * (60 + abs(lat) * 0.36)
    shape = draw(st.integers(32, 512)), draw(st.integers(32, 512))
    gsd_m = draw(st.floats(1, 40))
    gsd = gsd_m / 111_000 if crs == "EPSG:4326" else gsd_m
    affine = grid_at(lon, lat, crs, gsd, shape)
    turn = draw(st.just(0) | st.floats(-180, 180))
    middle = affine @ Affine.translation(shape[1] / 2, shape[0] / 2)
    affine = middle @ Affine.rotation(turn) @ Affine.scale(draw(st.floats(0.5, 2)), draw(st.sampled_from([1, -1])))
    return GeoBox(shape, affine @ Affine.translation(-shape[1] / 2, -shape[0] / 2), crs)


def truth_at(grid, col, row):
    """Longitude and latitude of pixel coordinates by pyproj, from the authority code and the affine."""
    a, col, row = grid.affine, np.asarray(col, float), np.asarray(row, float)
    x, y = a.a * col + a.b * row + a.c, a.d * col + a.e * row + a.f
    transformer = pyproj.Transformer.from_crs(f"EPSG:{grid.crs.epsg}", "OGC:CRS84", always_xy=True)
    return np.array(transformer.transform(x, y))


def metres_between(lon0, lat0, lon1, lat1):
    return GEOD.inv(lon0, lat0, lon1, lat1)[2]


def truth_gsd(grid):
    """Length of one step along columns and along rows at the middle, in metres."""
    rows, cols = grid.shape
    c, r = cols / 2, rows / 2
    x = truth_at(grid, [c - 0.5, c + 0.5], [r, r])
    y = truth_at(grid, [c, c], [r - 0.5, r + 0.5])
    return metres_between(*x[:, 0], *x[:, 1]), metres_between(*y[:, 0], *y[:, 1])


@given(grids())
@example(GeoBox((256, 256), grid_at(-180, 70, "EPSG:32601", 10, (256, 256)), "EPSG:32601"))
@example(GeoBox((512, 512), grid_at(15, 80, "EPSG:32633", 10, (512, 512)), "EPSG:32633"))
def test_footprint_corners_match_pyproj(grid):
    at = locate(grid)
    rows, cols = grid.shape
    corners = truth_at(grid, [0, cols, cols, 0], [0, 0, rows, rows])
    vertices = shapely.get_coordinates(at.footprint)
    pixel = min(truth_gsd(grid))
    for lon, lat in corners.T:
        distances = metres_between(*np.broadcast_arrays(lon, lat, *vertices.T))
        assert np.min(distances) < 0.1 * pixel


@given(grids())
def test_footprint_holds_the_inside_and_leaves_out_the_outside(grid):
    footprint = locate(grid).footprint
    assert footprint.is_valid
    rows, cols = grid.shape
    t = np.linspace(0, 1, 7)
    for side in (0.0, 1.0):
        for off, expected in ((1, True), (-1, False)):
            inward = off if side == 0 else -off
            for col, row in ((side * cols + inward, t[1:-1] * rows), (t[1:-1] * cols, side * rows + inward)):
                lon, lat = truth_at(grid, *np.broadcast_arrays(col, row))
                inside = shapely.intersects_xy(footprint, (lon + 180) % 360 - 180, lat)
                assert (inside == expected).all()


@given(grids())
def test_bbox_is_that_of_the_footprint_s_edges(grid):
    west, south, east, north = locate(grid).bbox
    rows, cols = grid.shape
    t = np.linspace(0, 1, 200)
    col = np.concatenate([t, np.ones(200), t, np.zeros(200)]) * cols
    row = np.concatenate([np.zeros(200), t, np.ones(200), t]) * rows
    lon, lat = truth_at(grid, col, row)
    lon = np.unwrap(lon, period=360)
    pixel_deg = max(truth_gsd(grid)) / 111_000
    assert south == pytest.approx(lat.min(), abs=pixel_deg)
    assert north == pytest.approx(lat.max(), abs=pixel_deg)
    pixel_deg /= np.cos(np.radians(max(abs(south), abs(north))))
    for ours, truth in ((west, lon.min()), (east, lon.max())):
        assert abs((ours - truth + 180) % 360 - 180) < pixel_deg
    # RFC 7946, section 5.2: west is greater than east only across the antimeridian
    start = (lon.min() + 180) % 360 - 180
    end = start + lon.max() - lon.min()
    if start < 180 - pixel_deg and end > 180 + pixel_deg:
        assert west > east
    elif end < 180 - pixel_deg:
        assert west < east


@given(grids())
def test_gsd_matches_pyproj_geod(grid):
    at = locate(grid)
    assert (at.gsd_x_m, at.gsd_y_m) == pytest.approx(truth_gsd(grid), rel=1e-4)


@given(grids(crs="utm") | grids(crs="EPSG:3395"))
def test_gsd_is_the_pixel_over_the_projection_s_scale(grid):
    at = locate(grid)
    factors = pyproj.Proj(f"EPSG:{grid.crs.epsg}").get_factors(at.lon_deg, at.lat_deg)
    a = grid.affine
    assert at.gsd_x_m == pytest.approx(np.hypot(a.a, a.d) / factors.meridional_scale, rel=1e-4)
    assert at.gsd_y_m == pytest.approx(np.hypot(a.b, a.e) / factors.meridional_scale, rel=1e-4)


@given(grids())
def test_centroid_matches_pyproj(grid):
    at = locate(grid)
    lon, lat = truth_at(grid, grid.shape[1] / 2, grid.shape[0] / 2)
    assert metres_between(at.lon_deg, at.lat_deg, lon, lat) < 0.1 * min(truth_gsd(grid))
    assert -180 <= at.lon_deg <= 180


@given(grids())
def test_ground_steps_point_where_geod_says(grid):
    rows, cols = grid.shape
    steps = ground_steps_m(grid)
    for step, (dc, dr) in zip(steps, ((1, 0), (0, 1)), strict=True):
        lon, lat = truth_at(grid, [cols / 2, cols / 2 + dc], [rows / 2, rows / 2 + dr])
        azimuth, _, metres = GEOD.inv(lon[0], lat[0], lon[1], lat[1])
        truth = metres * np.array([np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))])
        assert np.abs(step - truth).max() < 1e-3 * metres


def test_a_footprint_across_the_antimeridian_is_cut_in_two():
    shape = (256, 256)
    at = locate(GeoBox(shape, grid_at(180.0, -17.0, "EPSG:32760", 10, shape), "EPSG:32760"))
    assert at.footprint.geom_type == "MultiPolygon"
    west, south, east, north = at.bbox
    assert west > 179.9
    assert east < -179.9
    # RFC 7946, section 3.1.9: no part of the cut footprint goes round the world
    assert all(part.bounds[2] - part.bounds[0] < 0.1 for part in at.footprint.geoms)
    lon, lat = shapely.get_coordinates(at.footprint).T
    assert {lon.max(), lon.min()} == {180.0, -180.0}
    assert (south, north) == (lat.min(), lat.max())


def test_a_tile_that_ends_at_the_antimeridian_does_not_cross_it():
    at = locate(GeoBox((100, 100), Affine(0.001, 0, 179.9, 0, -0.001, 10), "EPSG:4326"))
    assert at.footprint.geom_type == "Polygon"
    assert at.bbox == pytest.approx((179.9, 9.9, 180.0, 10.0))


def test_longitudes_from_0_to_360_are_taken():
    at = locate(GeoBox((100, 100), Affine(0.001, 0, 241.7, 0, -0.001, 34), "EPSG:4326"))
    assert at.lon_deg == pytest.approx(-118.25)
    assert at.mgrs_square == "11SLT"


@pytest.mark.parametrize(
    ("lon", "lat", "zone", "square"),
    [
        # the White House, Bergen and Oslo in the widened zone 32V, Longyearbyen in 33X, Sydney
        (-77.0365, 38.8977, "18N", "18SUJ"),
        (5.32, 60.39, "32N", "32VKN"),
        (10.75, 59.91, "32N", "32VNM"),
        (15.63, 78.22, "33N", "33XWG"),
        (151.21, -33.87, "56S", "56HLH"),
    ],
)
def test_utm_zone_and_mgrs_square_are_the_published_ones(lon, lat, zone, square):
    shape = (64, 64)
    at = locate(GeoBox(shape, grid_at(lon, lat, "EPSG:4326", 1e-4, shape), "EPSG:4326"))
    assert (at.utm_zone, at.mgrs_square) == (zone, square)


@given(grids(crs="EPSG:4326"))
def test_mgrs_square_agrees_with_geotrans_s_utm(grid):
    at = locate(grid)
    zone, hemisphere, *_ = mgrs.MGRS().MGRSToUTM(at.mgrs_square)
    assert at.utm_zone[:-1] == str(zone)
    if abs(at.lat_deg) > 1:
        assert at.utm_zone[-1] == hemisphere


def test_beyond_the_utm_zones_there_is_no_zone():
    shape = (64, 64)
    at = locate(GeoBox(shape, grid_at(30.0, 86.0, "EPSG:3413", 40, shape), "EPSG:3413"))
    assert at.utm_zone is None
    assert re.fullmatch("[ABYZ][A-Z]{2}", at.mgrs_square)


def test_mgrs_squares_of_the_real_scenes_are_their_sentinel_2_tiles(real_data):
    with (real_data / "s1_scenes" / "scenes.csv").open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        named = {row["file"]: re.search(r"_T(\w{5})_", row["optical_product"])[1] for row in rows}
    found = Counter(
        named[path.name] == locate(open_scene(path).geobox).mgrs_square
        for path in find_rasters(real_data / "s1_scenes")
    )
    # Sentinel-2 tiles reach 10 km beyond their square, where one of the scenes lies
    assert found == {True: 73, False: 1}


def test_a_grid_outside_its_projection_is_refused():
    with pytest.raises(ValueError, match="outside the domain"):
        locate(GeoBox((64, 64), Affine(10, 0, 5e8, 0, -10, 5e8), "EPSG:32631"))


def test_latitudes_beyond_the_pole_are_refused():
    # what a file with longitude and latitude exchanged looks like
    with pytest.raises(ValueError, match="outside the domain"):
        locate(GeoBox((64, 64), Affine(1e-3, 0, 34, 0, -1e-3, -118), "EPSG:4326"))


@pytest.mark.parametrize(("crs", "sign"), [("EPSG:3413", 1), ("EPSG:3031", -1)])
@pytest.mark.parametrize("off_m", [0.0, 1000.0])
def test_a_tile_over_a_pole_covers_it(crs, sign, off_m):
    grid = GeoBox((256, 256), Affine(40, 0, -128 * 40 + off_m, 0, -40, 128 * 40), crs)
    at = locate(grid)
    assert at.footprint.is_valid
    for lon in (-179.0, -90.0, 0.0, 45.0, 179.0):
        assert shapely.intersects_xy(at.footprint, lon, sign * 89.99)
        assert not shapely.intersects_xy(at.footprint, lon, sign * 89.9)
    # RFC 7946, section 5.3
    assert (at.bbox[0], at.bbox[2]) == (-180, 180)
    assert at.bbox[3 if sign > 0 else 1] == sign * 90
    # the sphere's area that it covers, in degrees of longitude times sine of latitude
    area = sum(
        abs(np.trapezoid(np.sin(np.radians(lat)), np.radians(lon)))
        for lon, lat in (shapely.get_coordinates(part).T for part in shapely.get_parts(at.footprint))
    )
    assert area * 6.357e6**2 == pytest.approx((256 * 40) ** 2, rel=0.2)
