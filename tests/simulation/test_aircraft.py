import numpy as np
import pytest

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.imaging.aircraft import AIRFRAMES, aircraft_scatterers, median_rcs_m2
from knowlip.simulation.imaging.geometry import look_of
from knowlip.simulation.sensors import find_sensor

LOOK = look_of(find_sensor("gaofen3-sl"), 38.0, 90.0)
SIZES = {
    "A220": (38.7, 35.1),
    "A320": (37.6, 35.8),
    "A330": (63.7, 60.3),
    "A350": (66.8, 64.8),
    "ARJ21": (33.5, 27.3),
    "B737": (39.5, 35.8),
    "B787": (62.8, 60.1),
    "C-130": (29.8, 40.4),
    "fighter": (15.0, 10.0),
    "business jet": (21.0, 20.0),
}


def parked(kind, heading_deg=0.0, at=(500.0, 500.0)):
    return WorldObject("aircraft", kind, at, *SIZES[kind], heading_deg, "parked")


def in_body(points, target):
    """Metres ahead and to the right of the centre."""
    x, y = points.x_m - target.centre_xy_m[0], points.y_m - target.centre_xy_m[1]
    h = np.deg2rad(target.heading_deg)
    return x * np.sin(h) - y * np.cos(h), x * np.cos(h) + y * np.sin(h)


def mean_m2(kind, heading, chosen, draws=80):
    rng = np.random.default_rng(11)
    total = 0.0
    for _ in range(draws):
        target = parked(kind, heading)
        points = aircraft_scatterers(target, LOOK, rng)
        total += float(points.co_m2[chosen(points, *in_body(points, target))].sum())
    return total / draws


def test_there_is_an_airframe_for_every_type():
    assert set(SIZES) == set(AIRFRAMES)


@pytest.mark.parametrize("kind", SIZES)
def test_median_cross_section_over_all_aspects_is_the_stated_one_within_a_decibel_and_a_half(kind):
    rng = np.random.default_rng(1)
    totals = [aircraft_scatterers(parked(kind, rng.uniform(0, 360)), LOOK, rng).co_m2.sum() for _ in range(400)]
    assert 10 * np.log10(np.median(totals) / median_rcs_m2(SIZES[kind][0])) == pytest.approx(0.0, abs=1.5)


@pytest.mark.parametrize("kind", SIZES)
def test_nearly_all_energy_stands_on_the_aircraft(kind):
    rng = np.random.default_rng(2)
    shares = []
    for heading in range(0, 360, 15):
        target = parked(kind, float(heading))
        points = aircraft_scatterers(target, LOOK, rng)
        ahead, right = in_body(points, target)
        inside = (np.abs(ahead) < target.length_m / 2 + 0.1) & (np.abs(right) < target.width_m / 2 + 0.1)
        shares.append(points.co_m2[inside].sum() / points.co_m2.sum())
    assert np.mean(shares) > 0.95


@pytest.mark.parametrize("kind", ["A320", "B787", "ARJ21", "C-130"])
def test_fuselage_and_edges_are_sampled_closer_than_a_metre(kind):
    target = parked(kind)
    points = aircraft_scatterers(target, LOOK, np.random.default_rng(3))
    ahead, right = in_body(points, target)
    on_fuselage = np.sort(ahead[np.abs(right) <= 0.5 * AIRFRAMES[kind].fuselage_m])
    assert np.diff(on_fuselage).max() < 1.0
    for side in (1, -1):
        along = np.sort(right[side * right > 0.5 * AIRFRAMES[kind].fuselage_m])
        assert np.diff(along).max() < 1.0


def test_broadside_the_fuselage_outshines_the_one_turned_by_30_degrees_by_8_decibels():
    def fuselage(points, ahead, right):
        return (np.abs(right) < 2.1) & (ahead > 8) & (ahead < 16) & (points.z_m > 0.4)

    # the look goes east: an aircraft that heads north is met broadside
    facing, turned = mean_m2("A320", 0.0, fuselage), mean_m2("A320", 330.0, fuselage)
    assert 10 * np.log10(facing / turned) > 8


def test_a_leading_edge_flashes_when_it_is_met_squarely():
    sweep = AIRFRAMES["A330"].sweep_deg

    def right_wing(points, ahead, right):
        return (right > 15) & (ahead > -10)

    # nose to the west is nose on; turned left by the sweep, the right wing's edge lies across the look
    square, askew = mean_m2("A330", 270.0 - sweep, right_wing), mean_m2("A330", 270.0 - sweep + 20, right_wing)
    assert 10 * np.log10(square / askew) > 6


@pytest.mark.parametrize(("kind", "engines"), [("A320", 2), ("ARJ21", 2), ("C-130", 4)])
def test_engines_shine_where_the_type_has_them_when_seen_from_ahead(kind, engines):
    frame = AIRFRAMES[kind]
    half = SIZES[kind][1] / 2
    shares = []
    for out, behind in frame.engines:
        ahead_m = (0.5 - behind) * SIZES[kind][0]

        def near(points, ahead, right, out=out, ahead_m=ahead_m):
            return (np.abs(np.abs(right) - out * half) < 1.5 * frame.engine_m) & (
                np.abs(ahead - ahead_m) < 3 * frame.engine_m
            )

        shares.append(mean_m2(kind, 270.0, near) / mean_m2(kind, 270.0, lambda p, *_: p.co_m2 > 0))
    assert 2 * len(shares) == engines
    assert sum(shares) > 0.3


def test_an_unknown_type_takes_the_shape_of_its_length():
    rng = np.random.default_rng(5)
    for length in (12.0, 28.0, 40.0, 70.0):
        target = WorldObject("aircraft", "some other", (0.0, 0.0), length, length, 0.0, "parked")
        assert len(aircraft_scatterers(target, LOOK, rng)) > 100
