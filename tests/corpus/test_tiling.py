from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from fakes import grid_at
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import Acquisition, Scene
from knowlip.corpus.measure import equivalent_looks, incidence_at

GEOD = pyproj.Geod(ellps="WGS84")
SHAPE = (400, 600)
NEAR, FAR = 30.0, 34.0


def scene_on(grid, **acquisition):
    known = {"look_azimuth_deg": 80.0, "incidence_near_deg": NEAR, "incidence_far_deg": FAR} | acquisition
    radiometry = Radiometry(quantity="db")
    return Scene("x", Path("x.tif"), grid, ("VV",), "float32", None, radiometry, Acquisition.model_validate(known))


def utm(lon=4.5, lat=47.0, gsd=(10.0, 10.0)):
    affine = grid_at(lon, lat, "EPSG:32631", 10, SHAPE) @ Affine.scale(gsd[0] / 10, gsd[1] / 10)
    return GeoBox(SHAPE, affine, "EPSG:32631")


GRIDS = {
    "utm": utm(),
    "utm, edge of the zone": utm(lon=6.0, lat=65.0),
    "pixels longer than wide": utm(gsd=(10.0, 25.0)),
    "degrees at 65 N": GeoBox(SHAPE, grid_at(25.0, 65.0, "EPSG:4326", 1e-4, SHAPE), "EPSG:4326"),
    "polar, turned by 100 degrees": GeoBox(SHAPE, grid_at(55.0, 75.0, "EPSG:3413", 40, SHAPE), "EPSG:3413"),
    "turned affine": GeoBox(SHAPE, utm().affine @ Affine.rotation(35), "EPSG:32631"),
    "south up": GeoBox(SHAPE, Affine(10, 0, 5e5, 0, 10, 5.2e6), "EPSG:32631"),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("azimuth", [80.0, 280.0, 10.0, 190.0])
def test_incidence_grows_along_the_look_direction_over_ground(name, azimuth):
    grid = GRIDS[name]
    a, rows, cols = grid.affine, *SHAPE
    to_degrees = pyproj.Transformer.from_crs(f"EPSG:{grid.crs.epsg}", "EPSG:4326", always_xy=True)

    def place(row, col):
        return to_degrees.transform(a.a * col + a.b * row + a.c, a.d * col + a.e * row + a.f)

    def along(row, col):
        bearing, _, metres = GEOD.inv(*place(rows / 2, cols / 2), *place(row, col))
        return metres * np.cos(np.radians(bearing - azimuth))

    corners = [along(r, c) for r in (0, rows) for c in (0, cols)]
    scene = scene_on(grid, look_azimuth_deg=azimuth)
    for row, col in ((0, 0), (0, cols), (rows, 0), (rows / 2, cols / 2), (64, 500)):
        share = (along(row, col) - min(corners)) / (max(corners) - min(corners))
        assert incidence_at(scene, row, col) == pytest.approx(NEAR + share * (FAR - NEAR), abs=0.02)


@given(st.floats(0, 359.9), st.floats(0, SHAPE[0]), st.floats(0, SHAPE[1]))
def test_incidence_lies_between_near_and_far(azimuth, row, col):
    incidence = incidence_at(scene_on(utm(), look_azimuth_deg=azimuth), row, col)
    assert NEAR - 1e-6 <= incidence <= FAR + 1e-6


@pytest.mark.parametrize(("azimuth", "near_side"), [(90.0, "west"), (270.0, "east")])
def test_the_near_edge_is_on_the_sensor_s_side(azimuth, near_side):
    scene = scene_on(utm(lon=3.0), look_azimuth_deg=azimuth)
    west, east = incidence_at(scene, 200, 0), incidence_at(scene, 200, 600)
    assert (west < east) == (near_side == "west")
    assert min(west, east) == pytest.approx(NEAR, abs=0.02)
    assert max(west, east) == pytest.approx(FAR, abs=0.02)


@pytest.mark.parametrize("missing", ["look_azimuth_deg", "incidence_near_deg", "incidence_far_deg"])
def test_incidence_is_unknown_where_a_part_is(missing):
    assert incidence_at(scene_on(utm(), **{missing: None}), 10, 10) is None


def speckle(looks, shape=(256, 256), seed=0, mean=0.1):
    power = np.random.default_rng(seed).gamma(looks, mean / looks, shape)
    return power.astype(np.float32)


@pytest.mark.parametrize("looks", [1, 2, 3, 4.4, 8, 15, 40])
@pytest.mark.parametrize("seed", range(3))
def test_equivalent_looks_of_gamma_speckle(looks, seed):
    # intensity of L looks over uniform ground is gamma distributed with shape L: Goodman 1976
    everywhere = np.ones((256, 256), bool)
    assert equivalent_looks(speckle(looks, seed=seed), everywhere) == pytest.approx(looks, rel=0.1)


@pytest.mark.parametrize("looks", [1, 4.4, 15])
def test_equivalent_looks_are_not_misled_by_a_patchwork_of_fields(looks):
    fields = np.kron(np.random.default_rng(1).uniform(-15, 0, (4, 4)), np.ones((64, 64)))
    power = speckle(looks, seed=2) * 10 ** (fields.astype(np.float32) / 10)
    assert equivalent_looks(power, np.ones((256, 256), bool)) == pytest.approx(looks, rel=0.15)


def test_equivalent_looks_ignore_no_data():
    power, valid = speckle(4.4), np.ones((256, 256), bool)
    valid[:, 100:] = False
    power[:, 100:] = np.nan
    assert equivalent_looks(power, valid) == pytest.approx(4.4, rel=0.15)


def test_equivalent_looks_of_too_little_or_flat_ground_are_unknown():
    assert equivalent_looks(speckle(4, (56, 64)), np.ones((56, 64), bool)) is None
    assert equivalent_looks(np.ones((256, 256), np.float32), np.ones((256, 256), bool)) is None
    assert equivalent_looks(speckle(4), np.zeros((256, 256), bool)) is None
