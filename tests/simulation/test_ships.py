import numpy as np
import pytest

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.imaging.geometry import look_of
from knowlip.simulation.imaging.ships import median_rcs_m2, ship_scatterers
from knowlip.simulation.sensors import find_sensor
from knowlip.simulation.world.fleet import SHIP_KINDS

LOOK = look_of(find_sensor("gaofen3-ufs"), 38.0, 90.0)
SIZES = {
    "container ship": (300.0, 44.0),
    "tanker": (180.0, 30.0),
    "bulk carrier": (200.0, 32.0),
    "general cargo": (100.0, 16.0),
    "ferry": (140.0, 24.0),
    "cruise ship": (250.0, 34.0),
    "fishing vessel": (40.0, 9.0),
    "tug or patrol boat": (30.0, 9.0),
}


def ship(kind, heading_deg=0.0):
    return WorldObject("ship", kind, (1000.0, 1000.0), *SIZES[kind], heading_deg, "anchored")


def inside_share(points, target, laid_over=False):
    """Share of the energy inside the ship's rectangle."""
    shift = points.z_m * LOOK.cot_incidence if laid_over else 0 * points.z_m
    x = points.x_m - shift * LOOK.along_xy[0] - target.centre_xy_m[0]
    y = points.y_m - shift * LOOK.along_xy[1] - target.centre_xy_m[1]
    h = np.deg2rad(target.heading_deg)
    ahead, right = x * np.sin(h) - y * np.cos(h), x * np.cos(h) + y * np.sin(h)
    inside = (np.abs(ahead) < target.length_m / 2 + 0.01) & (np.abs(right) < target.width_m / 2 + 0.01)
    return float(points.co_m2[inside].sum() / points.co_m2.sum())


def test_there_is_a_deck_for_every_kind_of_ship():
    assert set(SIZES) == set(SHIP_KINDS)


@pytest.mark.parametrize("kind", SIZES)
def test_median_cross_section_is_the_cited_one_within_a_decibel_and_a_half(kind):
    rng = np.random.default_rng(1)
    totals = [ship_scatterers(ship(kind, rng.uniform(0, 360)), LOOK, "C", rng).co_m2.sum() for _ in range(300)]
    # Vachon et al. 1997
    assert 10 * np.log10(np.median(totals) / (0.08 * SIZES[kind][0] ** (7 / 3))) == pytest.approx(0.0, abs=1.5)


def test_a_ship_of_a_hundred_metres_has_some_36_decibel_square_metres():
    assert 10 * np.log10(median_rcs_m2(100.0)) == pytest.approx(35.7, abs=0.1)


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("heading", [0.0, 40.0, 90.0])
def test_all_scatterers_stand_on_the_ship_and_layover_leaves_most_energy_in_its_box(kind, heading):
    rng = np.random.default_rng(2)
    target = ship(kind, heading)
    seen = [ship_scatterers(target, LOOK, "C", rng) for _ in range(20)]
    assert min(inside_share(p, target) for p in seen) > 0.999
    assert np.mean([inside_share(p, target, laid_over=True) for p in seen]) > 0.65


def test_broadside_the_waterline_outshines_the_one_turned_by_30_degrees_by_8_decibels():
    rng = np.random.default_rng(3)

    def waterline_m2(heading):
        seen = [ship_scatterers(ship("tanker", heading), LOOK, "C", rng) for _ in range(60)]
        return np.median([p.co_m2[p.z_m == 0].sum() for p in seen])

    # the look goes east, so that a ship that heads north is met broadside
    assert 10 * np.log10(waterline_m2(0.0) / waterline_m2(30.0)) > 8


def test_cross_polarisation_lies_five_to_nine_decibels_lower():
    rng = np.random.default_rng(4)
    for kind in SIZES:
        points = ship_scatterers(ship(kind, 20.0), LOOK, "C", rng)
        assert 4.0 < 10 * np.log10(points.co_m2.sum() / points.cross_m2.sum()) < 10.0


def test_a_tankers_brightest_places_are_its_manifold_and_its_bridge():
    rng = np.random.default_rng(5)
    profile = np.zeros(20)
    for _ in range(60):
        points = ship_scatterers(ship("tanker", 90.0 + 45.0), LOOK, "C", rng)
        h = np.deg2rad(135.0)
        ahead = (points.x_m - 1000) * np.sin(h) - (points.y_m - 1000) * np.cos(h)
        profile += np.histogram(ahead / 180.0, 20, (-0.5, 0.5), weights=points.co_m2)[0]
    assert set(np.argsort(profile)[-4:]) <= {1, 2, 9, 10}


def test_one_seed_gives_one_ship():
    one, other = (ship_scatterers(ship("ferry"), LOOK, "X", np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one.co_m2, other.co_m2)
