from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from knowlip.simulation.ground import LandCover, Structures, World, WorldObject
from knowlip.simulation.imaging import image_world
from knowlip.simulation.imaging.backscatter import level_db
from knowlip.simulation.sensors import SENSORS, find_sensor

S1 = find_sensor("sentinel1-iw")
QUIET = replace(S1, nesz_db=-60.0)
SHAPE = (400, 400)


def image(landcover, height=None, objects=(), sensor=QUIET, incidence=38.0, azimuth=90.0, seed=1):
    parcels = (np.arange(SHAPE[0])[:, None] // 8 * 50 + np.arange(SHAPE[1])[None, :] // 8).astype(np.int32)
    height = np.zeros(SHAPE, np.float32) if height is None else height
    zone, terrain = np.ones(SHAPE, np.uint8), np.zeros(SHAPE, np.float32)
    world = World(
        landcover, zone, parcels, terrain, height, Structures.join([]), tuple(objects), 5.0, 0.0, sensor.gsd_m
    )
    return image_world(world, sensor, incidence, azimuth, seed)


def db(power):
    return 10 * np.log10(power)


def uniform(cls):
    return np.full(SHAPE, cls, np.uint8)


# typical C-band medians of the literature cited in `backscatter`, typed here again as the independent truth
C_BAND_DB = {
    LandCover.WATER: (-18.9, -32.6),
    LandCover.WOODLAND: (-8, -14),
    LandCover.FARMLAND: (-11, -18),
    LandCover.BUILDING: (-3, -11),
    LandCover.ROAD: (-17, -24),
    LandCover.BARE: (-14, -22),
}


@pytest.mark.parametrize("cls", list(C_BAND_DB))
def test_mean_sigma0_of_a_class_is_the_tables(cls):
    seen = image(uniform(cls))
    for polarisation, expected in zip(("VV", "VH"), C_BAND_DB[cls], strict=True):
        assert level_db("C", polarisation, cls) == pytest.approx(expected, abs=0.1)
        assert db(seen[polarisation].mean(dtype=float)) == pytest.approx(expected, abs=1.0)


def test_built_up_mean_holds_with_walls_roofs_and_shadows():
    streets = (np.arange(SHAPE[0])[:, None] % 12 < 2) | (np.arange(SHAPE[1])[None, :] % 10 < 2)
    landcover = np.where(streets, LandCover.ROAD, LandCover.BUILDING).astype(np.uint8)
    seen = image(landcover, np.where(streets, 0, 25).astype(np.float32))
    assert db(seen["VV"][~streets].mean(dtype=float)) == pytest.approx(-3, abs=1.0)


def test_water_of_a_whole_image_has_gamma_speckle_and_the_noise_floor():
    seen = image(uniform(LandCover.WATER), sensor=S1)["VH"]
    floor = 10 ** (-22 / 10) + 10 ** (-32.64 / 10)
    sample = seen[::6, ::6].ravel().astype(float)
    assert stats.kstest(sample, stats.gamma(4.4, scale=floor / 4.4).cdf).pvalue > 0.01
    assert seen.mean(dtype=float) ** 2 / seen.var(dtype=float) == pytest.approx(4.4, rel=0.06)


def test_parcels_differ_by_about_two_decibels():
    seen = image(uniform(LandCover.FARMLAND))["VV"]
    means = db(seen.reshape(50, 8, 50, 8).mean(axis=(1, 3)))
    # 64 pixels at 4.4 looks leave some 0.4 dB of speckle in a parcel's mean
    assert 1.7 < means.std() < 2.5


def test_water_darkens_towards_far_range():
    near, far = (image(uniform(LandCover.WATER), incidence=a)["VV"].mean(dtype=float) for a in (30.0, 45.0))
    assert 4 < db(near / far) < 9


def test_polarisations_have_independent_speckle():
    seen = image(uniform(LandCover.WATER))
    assert abs(np.corrcoef(seen["VV"].ravel(), seen["VH"].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(("azimuth", "front", "back"), [(90.0, (200, 180), (200, 220)), (0.0, (219, 200), (179, 200))])
def test_a_tall_block_is_bright_in_front_and_casts_a_shadow_behind(azimuth, front, back):
    height = np.zeros(SHAPE, np.float32)
    height[180:220, 180:220] = 60
    landcover = uniform(LandCover.BARE)
    landcover[180:220, 180:220] = LandCover.BUILDING
    flat = image(landcover, azimuth=azimuth)["VV"]
    seen = image(landcover, height, azimuth=azimuth)["VV"]

    def around(field, at):
        if azimuth == 90.0:
            return db(field[at[0] - 15 : at[0] + 15, at[1]].mean(dtype=float))
        return db(field[at[0], at[1] - 15 : at[1] + 15].mean(dtype=float))

    assert around(seen, front) > around(flat, front) + 5
    # one pixel away from the wall, whose light the impulse response spreads
    behind = (back[0], back[1] + 1) if azimuth == 90.0 else (back[0] - 1, back[1])
    assert around(seen, behind) < around(flat, behind) - 8


def test_a_ship_is_much_brighter_than_the_sea_about_it():
    ship = WorldObject("ship", "tanker", (2003.0, 1998.0), 240.0, 40.0, 30.0, "anchored")
    seen = image(uniform(LandCover.WATER), objects=[ship], sensor=S1)
    sea = {p: np.median(field) for p, field in seen.items()}
    for polarisation, least in (("VV", 15), ("VH", 8)):
        assert db(seen[polarisation][197:202, 198:203].mean() / sea[polarisation]) > least
    # the hull lies along its heading, not across it: 30 degrees clockwise of north is up and to the right
    ahead, abeam = seen["VV"][191:193, 203:206].mean(), seen["VV"][204:207, 209:212].mean()
    assert db(ahead / abeam) > 10


def test_same_seed_same_image_and_other_seed_another():
    landcover = uniform(LandCover.WOODLAND)
    first, again, other = (image(landcover, seed=s)["VV"] for s in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", list(SENSORS))
def test_every_sensor_images_in_its_polarisations(name):
    sensor = SENSORS[name]
    seen = image(uniform(LandCover.FARMLAND), sensor=sensor)
    assert tuple(seen) == sensor.polarisations
    assert all(f.dtype == np.float32 and f.shape == SHAPE and (f > 0).all() for f in seen.values())


def test_unknown_sensor_is_refused():
    with pytest.raises(ValueError, match=r"unknown sensor 'sentinel1'.*did you mean sentinel1-iw"):
        find_sensor("sentinel1")
