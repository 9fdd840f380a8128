import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowlip.simulation.imaging.geometry import look_of
from knowlip.simulation.imaging.surface import deposit, lay_over, shadow_height, slope_factor
from knowlip.simulation.sensors import find_sensor

SENSOR = find_sensor("gaofen3-sl")
LOOKS = [(90.0, "right"), (270.0, "right"), (90.0, "left"), (0.0, "right"), (180.0, "left"), (79.0, "right")]


def block(height_m):
    surface = np.zeros((300, 300), np.float32)
    surface[120:180, 120:180] = height_m
    return surface


def profile(field, azimuth_deg):
    """Values through the middle from the radar's side on, along the axis nearest to the look."""
    line = {0: field[::-1, 150], 90: field[150], 180: field[:, 150], 270: field[150, ::-1]}
    return line[round(azimuth_deg / 90) * 90]


@pytest.mark.parametrize(("azimuth", "side"), LOOKS)
@pytest.mark.parametrize(("height", "incidence"), [(12.0, 25.0), (30.0, 35.0), (45.0, 48.0)])
def test_shadow_is_h_tan_incidence_long(azimuth, side, height, incidence):
    look = look_of(SENSOR, incidence, azimuth, side)
    surface = block(height)
    hidden = shadow_height(surface, 1.0, look) > surface + 1e-3
    # a line of sight askew to the grid crosses the shadow's edge farther on, by the cosine of the angle between
    askew = np.cos(np.deg2rad(azimuth - round(azimuth / 90) * 90))
    expected = height * np.tan(np.deg2rad(incidence)) * askew
    dark = np.flatnonzero(profile(hidden, azimuth))
    assert dark.min() == 180
    assert len(dark) == pytest.approx(expected, abs=1.0)


@pytest.mark.parametrize(("azimuth", "side"), LOOKS)
@pytest.mark.parametrize(("height", "incidence"), [(12.0, 25.0), (30.0, 35.0), (45.0, 48.0)])
def test_layover_is_h_over_tan_incidence_long(azimuth, side, height, incidence):
    look = look_of(SENSOR, incidence, azimuth, side)
    surface = block(height)
    seen = lay_over(np.ones_like(surface), surface, 1.0, look)
    askew = np.cos(np.deg2rad(azimuth - round(azimuth / 90) * 90))
    bright = np.flatnonzero(profile(seen, azimuth) > 1.5)
    first, last = bright.min(), bright.max()
    assert 120 - first == pytest.approx(height / np.tan(np.deg2rad(incidence)) * askew, abs=1.0)
    assert last <= 120
    # the roof is moved, not copied
    assert seen.sum() == pytest.approx(surface.size, rel=1e-4)


@given(st.floats(0, 359.9), st.floats(20, 50), st.integers(0, 2**31))
def test_shadow_agrees_with_a_ray_marched_pixel_by_pixel(azimuth, incidence, seed):
    rng = np.random.default_rng(seed)
    surface = np.kron(rng.uniform(0, 20, (8, 8)), np.ones((4, 4))).astype(np.float32)
    look = look_of(SENSOR, incidence, azimuth)
    hidden = shadow_height(surface, 1.0, look) > surface + 1e-3
    x, y = look.along_xy
    wrong = 0
    for r in range(32):
        for c in range(32):
            steps = np.arange(0.5, 40, 0.5)
            rows, cols = np.rint(r - steps * y).astype(int), np.rint(c - steps * x).astype(int)
            inside = (rows >= 0) & (rows < 32) & (cols >= 0) & (cols < 32)
            rise = surface[rows[inside], cols[inside]] - surface[r, c]
            marched = bool((rise > steps[inside] * look.cot_incidence).any())
            wrong += marched != hidden[r, c]
    # edges of pixels fall to one side or the other
    assert wrong < 0.12 * surface.size


def test_flat_ground_has_no_slopes_and_no_shadow():
    flat = np.full((100, 100), 7.0, np.float32)
    look = look_of(SENSOR, 35.0, 90.0)
    assert slope_factor(flat, 10.0, look) is None
    assert not (shadow_height(flat, 10.0, look) > flat).any()


def test_slopes_that_face_the_radar_are_brighter_by_the_ratio_of_local_angles():
    x = np.arange(400, dtype=np.float32)[None, :] * 10
    rise = np.minimum(x, 4000 - x) * np.tan(np.deg2rad(10.0))
    terrain = np.broadcast_to(rise, (200, 400)).astype(np.float32)
    factor = slope_factor(terrain, 10.0, look_of(SENSOR, 40.0, 90.0))

    def tangent(deg):
        return np.tan(np.deg2rad(deg))

    assert factor[100, 100] == pytest.approx(tangent(40) / tangent(30), rel=0.01)
    assert factor[100, 300] == pytest.approx(tangent(40) / tangent(50), rel=0.01)


@given(st.floats(1, 17), st.floats(1, 17))
def test_deposited_power_keeps_its_sum_and_centre(col, row):
    field = np.zeros((20, 20), np.float32)
    deposit(field, np.array([col]), np.array([row]), np.array([5.0], np.float32))
    rows, cols = np.indices(field.shape)
    assert field.sum() == pytest.approx(5.0, rel=1e-5)
    assert (field * cols).sum() / 5 == pytest.approx(col, abs=1e-4)
    assert (field * rows).sum() / 5 == pytest.approx(row, abs=1e-4)
