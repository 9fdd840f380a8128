import numpy as np
import pytest

from knowlip.simulation.ground import Kind, LandCover, Structures, World, Zone
from knowlip.simulation.imaging import image_world
from knowlip.simulation.imaging.geometry import look_of
from knowlip.simulation.imaging.structures import fixture_scatterers
from knowlip.simulation.imaging.walls import cross_share, dihedral_law, wall_scatterers
from knowlip.simulation.sensors import find_sensor

INCIDENCE_DEG = 38.0
LOOK = look_of(find_sensor("gaofen3-sl"), INCIDENCE_DEG, 90.0)


def things(kind, length, width, height, axis=0.0, n=1):
    def column(value):
        return np.full(n, value, np.float32)

    at = column(500.0)
    codes = np.full(n, kind, np.uint8)
    return Structures(codes, at, at, column(length), column(width), column(height), column(axis))


def seen(structures, detail_m=1.0, look=LOOK, seed=0):
    made = wall_scatterers if structures.kind[0] in (Kind.BUILDING, Kind.CONTAINERS) else fixture_scatterers
    return made(structures, look, np.random.default_rng(seed), detail_m)


def range_m(points, look=LOOK, laid_over=True):
    """Ground range in the image, away from the radar, from the structures' common centre."""
    along = (points.x_m - 500) * look.along_xy[0] + (points.y_m - 500) * look.along_xy[1]
    return along - (points.z_m * look.cot_incidence if laid_over else 0)


def test_a_facing_wall_outshines_one_turned_by_30_degrees_by_8_decibels_and_falls_within_5_to_10():
    turned = np.array([0.0, 5.0, 10.0, 30.0])
    level = 10 * np.log10(dihedral_law(turned, INCIDENCE_DEG))
    assert level[0] == 0
    assert level[0] - level[3] > 8
    assert 1.0 < level[0] - level[1] < 6.0
    assert level[1] - level[2] > 1.5


def test_cross_share_grows_with_rotation_to_the_measured_plateau():
    share_db = 10 * np.log10(cross_share(np.arange(0.0, 90.0, 2.0), INCIDENCE_DEG))
    assert (np.diff(share_db) >= -1e-9).all()
    # Thirion-Lefevre et al. 2020: about -5 dB from 30 deg on
    assert share_db[15:] == pytest.approx(-5.0, abs=0.7)


@pytest.mark.parametrize("axis", [0.0, 30.0, 75.0, 120.0])
def test_corners_with_the_ground_stand_at_the_foot_of_the_walls_towards_the_radar(axis):
    house = things(Kind.BUILDING, 30.0, 12.0, 9.0, axis)
    points = seen(house)
    feet = points.take(points.z_m == 0)
    x, y = feet.x_m - 500, feet.y_m - 500
    a = np.deg2rad(axis)
    ahead, right = x * np.sin(a) - y * np.cos(a), x * np.cos(a) + y * np.sin(a)
    off = np.maximum(np.abs(ahead) / 15, np.abs(right) / 6)
    np.testing.assert_allclose(off, 1.0, atol=1e-3)
    middle = range_m(feet, laid_over=False)
    nx, ny = np.where(np.abs(np.abs(ahead) / 15 - 1) < 1e-3, 1, 0), np.where(np.abs(np.abs(right) / 6 - 1) < 1e-3, 1, 0)
    toward = -(nx * np.sign(ahead) * np.sin(a) + ny * np.sign(right) * np.cos(a))
    assert (toward[nx + ny == 1] >= -1e-6).all()
    assert middle.min() < 0


def test_a_wall_is_few_points_at_ten_metres_and_windows_at_half_a_metre():
    house = things(Kind.BUILDING, 30.0, 12.0, 9.0)
    coarse, fine = seen(house, 10.0), seen(house, 0.5)
    assert len(coarse) <= 20 < 100 < len(fine)
    many = things(Kind.BUILDING, 30.0, 12.0, 9.0, n=3000)
    totals = [seen(many, detail).co_m2.sum(dtype=float) for detail in (10.0, 0.7)]
    assert 10 * np.log10(totals[0] / totals[1]) == pytest.approx(0.0, abs=0.3)


def test_facades_repeat_storeys_of_three_metres():
    points = seen(things(Kind.BUILDING, 30.0, 12.0, 30.0), 0.5)
    up = points.z_m[(points.z_m > 0) & (points.z_m < 29.9)]
    assert np.median(np.unique(up[np.isin(up, up[np.abs(up % 3 - 1.5) < 1e-3])])) == pytest.approx(15, abs=1.6)
    assert (np.abs(up % 3 - 1.5) < 1e-3).mean() > 0.95


def test_containers_are_brighter_than_walls():
    house, stack = (seen(things(k, 12.0, 12.0, 9.0, n=2000)).co_m2.sum() for k in (Kind.BUILDING, Kind.CONTAINERS))
    assert stack > 1.5 * house


def test_a_tank_has_a_crescent_at_its_foot_a_near_rim_and_a_far_rim_a_diameter_behind():
    diameter, height = 40.0, 16.0
    points = seen(things(Kind.TANK, diameter, diameter, height))
    shift = height / np.tan(np.deg2rad(INCIDENCE_DEG))
    feet, rim = points.take(points.z_m == 0), points.take(points.z_m > 0)
    np.testing.assert_allclose(np.hypot(points.x_m - 500, points.y_m - 500), diameter / 2, rtol=1e-3)
    assert (range_m(feet) <= 1.5).all()
    assert range_m(feet).min() == pytest.approx(-diameter / 2, abs=0.1)
    assert range_m(rim).min() == pytest.approx(-diameter / 2 - shift, abs=0.1)
    assert range_m(rim).max() - range_m(rim).min() == pytest.approx(diameter, abs=0.2)


@pytest.mark.parametrize("kind", [Kind.CHIMNEY, Kind.PYLON, Kind.CRANE])
def test_a_mast_is_a_chain_from_a_bright_foot_laid_over_by_its_height(kind):
    points = seen(things(kind, 4.0, 4.0, 80.0))
    assert points.co_m2[points.z_m == 0].sum() > 0.2 * points.co_m2.sum()
    assert range_m(points).min() == pytest.approx(-80 / np.tan(np.deg2rad(INCIDENCE_DEG)), abs=5.0)


@pytest.mark.parametrize(("incidence", "height"), [(25.0, 10.0), (38.0, 20.0), (45.0, 40.0)])
def test_a_bridge_is_three_lines_height_over_tangent_apart(incidence, height):
    look = look_of(find_sensor("gaofen3-sl"), incidence, 90.0)
    # runs from north to south, across the look
    points = seen(things(Kind.BRIDGE, 300.0, 20.0, height), look=look)
    lines = np.unique(np.round(range_m(points, look), 2))
    apart = height / np.tan(np.deg2rad(incidence))
    np.testing.assert_allclose(lines, [-10 - apart, -10, -10 + apart], atol=0.05)


@pytest.mark.parametrize(("kind", "width"), [(Kind.BRIDGE, 20.0), (Kind.RAIL, 2.0)])
def test_lines_are_bright_where_they_cross_the_look(kind, width):
    across, along = (seen(things(kind, 500.0, width, 1.0, axis)).co_m2.sum() for axis in (0.0, 90.0))
    assert 10 * np.log10(across / along) > 8


def test_nothing_built_gives_no_scatterers():
    assert len(wall_scatterers(Structures.join([]), LOOK, np.random.default_rng(0), 1.0)) == 0
    assert len(fixture_scatterers(Structures.join([]), LOOK, np.random.default_rng(0), 1.0)) == 0


def test_the_image_shows_all_three_lines_of_a_bridge():
    sensor = find_sensor("gaofen3-sl")
    n, height = 400, 14.0
    water, flat = np.full((n, n), LandCover.WATER, np.uint8), np.zeros((n, n), np.float32)
    zone, parcel = np.full((n, n), Zone.WATER, np.uint8), np.zeros((n, n), np.int32)
    at = np.full(1, n * sensor.gsd_m / 2, np.float32)
    bridge = Structures(np.array([Kind.BRIDGE], np.uint8), at, at, at * 2, at * 0 + 10, at * 0 + height, at * 0)
    world = World(water, zone, parcel, flat, flat, bridge, (), 4.0, 0.0, sensor.gsd_m)
    profile = image_world(world, sensor, INCIDENCE_DEG, 90.0, 1).sigma0["HH"].mean(0)
    apart = height / np.tan(np.deg2rad(INCIDENCE_DEG))
    for line in (-apart, 0.0, apart):
        column = round((float(at[0]) - 5 + line) / sensor.gsd_m)
        assert profile[column - 2 : column + 3].max() > 20 * np.median(profile)
