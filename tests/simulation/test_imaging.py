from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from knowlip.simulation.ground import Kind, LandCover, Structures, World, WorldObject, Zone
from knowlip.simulation.imaging import image_world
from knowlip.simulation.imaging.backscatter import level_db
from knowlip.simulation.imaging.geometry import look_of
from knowlip.simulation.sensors import SENSORS, find_sensor

S1 = find_sensor("sentinel1-iw")
QUIET = replace(S1, nesz_db=-60.0, ambiguity_db=-90.0)
FINE = replace(find_sensor("gaofen3-sl"), nesz_db=-60.0, gsd_m=0.7)
SHAPE = (400, 400)
NONE = Structures.join([])


def world_of(landcover, gsd_m=10.0, height=None, objects=(), structures=NONE, terrain=None, wind_m_s=6.0):
    parcels = (np.arange(SHAPE[0])[:, None] // 8 * 50 + np.arange(SHAPE[1])[None, :] // 8).astype(np.int32)
    zone = np.where(landcover == LandCover.BUILDING, Zone.RESIDENTIAL_DENSE, Zone.BARE).astype(np.uint8)
    empty = np.zeros(SHAPE, np.float32)
    return World(
        landcover,
        zone,
        parcels,
        empty if terrain is None else terrain,
        empty if height is None else height,
        structures,
        tuple(objects),
        wind_m_s,
        0.0,
        gsd_m,
    )


def image(landcover, sensor=QUIET, incidence=38.0, azimuth=90.0, seed=1, side="right", **parts):
    return image_world(world_of(landcover, sensor.gsd_m, **parts), sensor, incidence, azimuth, seed, side)


def db(power):
    return 10 * np.log10(power)


def uniform(cls):
    return np.full(SHAPE, cls, np.uint8)


def houses(gsd_m, pitch_m=30.0, axis_deg=0.0):
    """Rows of houses of 16 x 10 x 8 m all over the scene."""
    at = np.arange(pitch_m / 2, SHAPE[0] * gsd_m, pitch_m, dtype=np.float32)
    x, y = (a.ravel() for a in np.meshgrid(at, at))
    n = len(x)

    def all_of(value):
        return np.full(n, value, np.float32)

    return Structures(np.full(n, Kind.BUILDING, np.uint8), x, y, all_of(16), all_of(10), all_of(8), all_of(axis_deg))


@pytest.mark.parametrize("name", list(SENSORS))
@pytest.mark.parametrize("cls", [LandCover.WOODLAND, LandCover.FARMLAND, LandCover.ROAD, LandCover.BARE])
def test_mean_sigma0_of_a_class_is_the_cited_one_within_a_decibel(name, cls):
    sensor = replace(SENSORS[name], nesz_db=-60.0)
    incidence = float(np.mean(sensor.incidence_range_deg))
    seen = image(uniform(cls), sensor, incidence).sigma0
    for polarisation, field in seen.items():
        expected = level_db(sensor.band, polarisation, cls, incidence)
        assert db(field.mean(dtype=float)) == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize("sensor", [QUIET, FINE], ids=["10 m", "1 m"])
def test_built_up_land_has_its_mean_over_all_directions_of_view(sensor):
    size_m = SHAPE[0] * sensor.gsd_m
    rows = houses(sensor.gsd_m)
    means = {p: [] for p in sensor.polarisations}
    for turn in range(0, 180, 15):
        rows = houses(sensor.gsd_m, axis_deg=float(turn))
        seen = image(uniform(LandCover.BUILDING), sensor, structures=rows).sigma0
        for p, field in seen.items():
            means[p].append(field.mean(dtype=float))
    assert len(rows) > (size_m / 30 - 1) ** 2
    for p, values in means.items():
        assert db(np.mean(values)) == pytest.approx(level_db(sensor.band, p, LandCover.BUILDING, 38.0), abs=1.0)


def test_walls_that_face_the_radar_are_brighter_than_walls_at_an_angle():
    facing, askew = (
        image(uniform(LandCover.BUILDING), structures=houses(10.0, axis_deg=a)).sigma0["VV"].mean(dtype=float)
        for a in (0.0, 35.0)
    )
    assert db(facing / askew) > 4


@pytest.mark.parametrize("sensor", [s for s in SENSORS.values() if s.looks > 1], ids=lambda s: s.name)
def test_equivalent_looks_and_gamma_law_over_a_uniform_field(sensor):
    flat = image(uniform(LandCover.ROAD), sensor).sigma0
    for field in flat.values():
        assert field.mean(dtype=float) ** 2 / field.var(dtype=float) == pytest.approx(sensor.looks, rel=0.05)
        apart = int(np.ceil(3 * sensor.azimuth_resolution_m / sensor.gsd_m))
        sample = field[::apart, ::apart].ravel().astype(float)
        law = stats.gamma(sensor.looks, scale=field.mean(dtype=float) / sensor.looks)
        assert stats.kstest(sample, law.cdf).pvalue > 0.01


def test_dark_water_shows_the_noise_floor():
    field = image(uniform(LandCover.WATER), S1, wind_m_s=3.0).sigma0["VH"]
    # 3 m/s: 0.592 * 3 - 35.6 = -33.8 dB (Vachon & Wolfe 2011), under noise of -26.1 dB
    assert db(field.mean(dtype=float)) == pytest.approx(db(10**-2.61 + 10**-3.38), abs=0.5)


def test_polarisations_have_independent_speckle():
    seen = image(uniform(LandCover.WATER)).sigma0
    assert abs(np.corrcoef(seen["VV"].ravel(), seen["VH"].ravel())[0, 1]) < 0.03


@pytest.mark.parametrize(("azimuth", "side"), [(90.0, "right"), (270.0, "right"), (90.0, "left"), (0.0, "left")])
def test_a_tall_hall_lies_over_towards_the_radar_and_throws_a_shadow(azimuth, side):
    height = np.zeros(SHAPE, np.float32)
    height[150:250, 150:250] = 21.0
    landcover = uniform(LandCover.FARMLAND)
    landcover[150:250, 150:250] = LandCover.BUILDING
    seen = image(landcover, FINE, azimuth=azimuth, side=side, height=height).sigma0["HH"]
    flat = image(uniform(LandCover.FARMLAND), FINE, azimuth=azimuth, side=side).sigma0["HH"]
    from_radar = {0: np.flipud(seen).T, 90: seen, 270: np.fliplr(seen)}[azimuth][170:230].mean(0, dtype=float)
    ground = np.median(flat)
    theta = np.deg2rad(38.0)
    shadow_px = 21.0 * np.tan(theta) / FINE.gsd_m
    roof_moved_px = 21.0 / np.tan(theta) / FINE.gsd_m
    dark = np.flatnonzero(from_radar < 0.15 * ground)
    assert dark.max() + 1 - 250 == pytest.approx(shadow_px, abs=1.5)
    assert 250 - dark.min() == pytest.approx(roof_moved_px, abs=1.5)
    laid_over = from_radar[round(150 - roof_moved_px) + 3 : 147].mean()
    assert laid_over > 1.5 * ground


def test_a_ship_is_much_brighter_than_the_sea_about_it():
    ship = WorldObject("ship", "tanker", (2003.0, 1998.0), 240.0, 40.0, 30.0, "anchored")
    seen = image(uniform(LandCover.WATER), S1, objects=[ship]).sigma0
    for polarisation, least in (("VV", 12), ("VH", 8)):
        sea = np.median(seen[polarisation])
        assert db(seen[polarisation][190:210, 190:210].max() / sea) > least


@pytest.mark.parametrize(
    "sensor", [S1, find_sensor("gaofen3-sl"), find_sensor("umbra-spotlight")], ids=lambda s: s.name
)
def test_boxes_hold_their_objects_energy(sensor):
    rng = np.random.default_rng(5)
    size_m = SHAPE[0] * sensor.gsd_m
    held = []
    for k in range(12):
        length = min(float(rng.uniform(60, 300)), 0.4 * size_m)
        at = tuple(float(v) for v in size_m * rng.uniform(0.4, 0.6, 2))
        ship = WorldObject("ship", "tanker", at, length, length / 6, float(rng.uniform(0, 360)), "anchored")
        quiet = replace(sensor, nesz_db=-90.0, ambiguity_db=-90.0)
        with_ship = image(uniform(LandCover.WATER), quiet, objects=[ship], seed=k)
        without = image(uniform(LandCover.WATER), quiet, seed=k)
        energy = next(iter(with_ship.sigma0.values())) - next(iter(without.sigma0.values()))
        # a box is drawn round what is seen, so a resolution cell on each side belongs to it
        grown = replace(
            ship,
            length_m=length + 2 * sensor.range_resolution_m,
            width_m=length / 6 + 2 * sensor.range_resolution_m,
        )
        cols, rows = np.meshgrid(*(np.arange(n) + 0.5 for n in SHAPE))
        h = np.deg2rad(grown.heading_deg)
        dx, dy = cols * sensor.gsd_m - at[0], rows * sensor.gsd_m - at[1]
        along, across = dx * np.sin(h) - dy * np.cos(h), dx * np.cos(h) + dy * np.sin(h)
        inside = (np.abs(along) < grown.length_m / 2) & (np.abs(across) < grown.width_m / 2)
        near = (np.abs(dx) < size_m / 3) & (np.abs(dy) < size_m / 3)
        held.append(energy[inside].sum(dtype=float) / energy[near].sum(dtype=float))
    assert np.median(held) > 0.8


def test_a_moving_ship_appears_off_its_place_by_its_range_speed():
    # heading along the look at 90 deg, so all of its speed is in ground range
    ship = WorldObject("ship", "tanker", (2000.0, 2000.0), 200.0, 32.0, 90.0, "under way", 8.0)
    seen = image(uniform(LandCover.WATER), QUIET, objects=[ship])
    look = look_of(QUIET, 38.0, 90.0)
    # Raney 1971: R v sin(theta) / V; right-looking to the east is flying north
    expected = look.slant_range_m * 8.0 * np.sin(np.deg2rad(38.0)) / look.speed_m_s
    assert 400 < expected < 700
    assert np.hypot(*seen.offsets_xy_m[0]) == pytest.approx(expected, rel=0.01)
    # a target that moves away from the radar appears behind, against the flight direction
    assert seen.offsets_xy_m[0][1] == pytest.approx(expected, rel=0.01)
    brightest = np.unravel_index(seen.sigma0["VV"].argmax(), SHAPE)
    assert abs((brightest[0] + 0.5) * 10 - 2000.0 - expected) < 40
    assert abs((brightest[1] + 0.5) * 10 - 2000.0) < 120


def test_ambiguities_of_land_show_on_dark_water_along_the_flight():
    sensor = replace(S1, nesz_db=-60.0, ambiguity_db=-20.0, prf_hz=400.0)
    landcover = uniform(LandCover.WATER)
    landcover[300:] = LandCover.WOODLAND
    seen = image(landcover, sensor, wind_m_s=2.0).sigma0["VH"]
    look = look_of(sensor, 38.0, 90.0)
    off_px = sensor.wavelength_m * look.slant_range_m * 400.0 / (2 * look.speed_m_s) / 10
    assert 50 < off_px < 200
    edge = round(300 - off_px)
    ghost, dark = seen[edge + 8 : edge + 40].mean(dtype=float), seen[edge - 40 : edge - 8].mean(dtype=float)
    assert ghost - dark == pytest.approx(seen[340:].mean(dtype=float) * 0.01, rel=0.2)


def test_single_look_images_carry_their_complex_field():
    seen = image(uniform(LandCover.BARE), FINE)
    assert seen.complex["HH"].dtype == np.complex64
    assert np.abs(seen.complex["HH"]) ** 2 == pytest.approx(seen.sigma0["HH"], rel=1e-5)
    assert not image(uniform(LandCover.BARE), S1).complex


def test_same_seed_same_image_and_other_seed_another():
    landcover = uniform(LandCover.WOODLAND)
    for sensor in (S1, FINE):
        first, again, other = (next(iter(image(landcover, sensor, seed=s).sigma0.values())) for s in (4, 4, 5))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", list(SENSORS))
def test_every_sensor_images_in_its_polarisations(name):
    sensor = SENSORS[name]
    seen = image(uniform(LandCover.FARMLAND), sensor).sigma0
    assert tuple(seen) == sensor.polarisations
    assert all(f.dtype == np.float32 and f.shape == SHAPE and (f >= 0).all() for f in seen.values())


def test_unknown_sensor_is_refused():
    with pytest.raises(ValueError, match=r"unknown sensor 'sentinel1'.*did you mean sentinel1-iw"):
        find_sensor("sentinel1")
