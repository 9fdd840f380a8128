import numpy as np
import pytest
from scipy import stats

from knowlip.simulation.imaging.geometry import look_of
from knowlip.simulation.imaging.response import focus, speckle_taps, transfer
from knowlip.simulation.imaging.speckle import gamma_from_normal, gaussian_taps, smooth_gaussian, speckle
from knowlip.simulation.sensors import find_sensor

TAPS = (gaussian_taps(0.9), gaussian_taps(0.8))


@pytest.mark.parametrize("looks", [1.0, 2.5, 4.4])
def test_speckle_follows_gamma_law(looks):
    field = speckle((768, 768), looks, TAPS, np.random.default_rng(7))
    # every sixth pixel is far outside the impulse response, so that the test's samples are independent
    sample = field[::6, ::6].ravel().astype(float)
    assert stats.kstest(sample, stats.gamma(looks, scale=1 / looks).cdf).pvalue > 0.01
    assert field.mean() == pytest.approx(1.0, abs=0.01)
    assert field.mean() ** 2 / field.var() == pytest.approx(looks, rel=0.05)


def lag_correlations(field, axis):
    field = np.asarray(field, float) - field.mean(dtype=float)
    moved = [np.roll(field, -k, axis) for k in (1, 2, 3, 6)]
    return [float((field * m).mean() / field.var()) for m in moved]


@pytest.mark.parametrize("axis", [0, 1])
def test_speckle_of_several_looks_is_correlated_like_focused_looks_that_are_averaged(axis):
    sensor = find_sensor("sentinel1-iw")
    look = look_of(sensor, 38.0, 90.0)
    shape, rng = (512, 512), np.random.default_rng(3)
    weights, flat = transfer(shape, sensor, look), np.ones(shape, np.float32)
    none = np.zeros(shape, np.complex64)
    focused = sum(np.abs(focus(flat, none, weights, rng)) ** 2 for _ in range(4)) / 4
    drawn = speckle(shape, 4.0, speckle_taps(sensor, look), rng)
    assert lag_correlations(drawn, axis) == pytest.approx(lag_correlations(focused, axis), abs=0.08)


def test_texture_times_speckle_is_k_distributed():
    """A K law's normalised second moment is (1 + 1/order)(1 + 1/looks) (Jakeman & Pusey 1976)."""
    rng = np.random.default_rng(5)
    order, looks = 6.0, 4.4
    texture = gamma_from_normal(smooth_gaussian((1024, 1024), 1.0, rng), order)
    clutter = (texture * speckle((1024, 1024), looks, TAPS, rng)).astype(float)
    expected = (1 + 1 / order) * (1 + 1 / looks)
    assert (clutter**2).mean() / clutter.mean() ** 2 == pytest.approx(expected, rel=0.02)
