import numpy as np
import pytest
from scipy import stats

from knowlip.simulation.imaging.speckle import gamma_from_normal, smooth_gaussian, speckle


@pytest.mark.parametrize("looks", [1.0, 2.5, 4.4])
def test_speckle_follows_gamma_law(looks):
    field = speckle((768, 768), looks, np.random.default_rng(7))
    # every sixth pixel is far outside the impulse response, so that the test's samples are independent
    sample = field[::6, ::6].ravel().astype(float)
    assert stats.kstest(sample, stats.gamma(looks, scale=1 / looks).cdf).pvalue > 0.01
    assert field.mean() == pytest.approx(1.0, abs=0.01)
    assert field.mean() ** 2 / field.var() == pytest.approx(looks, rel=0.05)


def test_speckle_is_correlated_over_the_impulse_response_only():
    field = speckle((512, 512), 4.4, np.random.default_rng(3)) - 1.0
    lag = [float((field[:, k:] * field[:, : field.shape[1] - k]).mean() / field.var()) for k in (1, 2, 5)]
    assert 0.2 < lag[0] < 0.5
    assert lag[1] < 0.1
    assert abs(lag[2]) < 0.02


def test_texture_times_speckle_is_k_distributed():
    """A K law's normalised second moment is (1 + 1/order)(1 + 1/looks) (Jakeman & Pusey 1976)."""
    rng = np.random.default_rng(5)
    order, looks = 6.0, 4.4
    texture = gamma_from_normal(smooth_gaussian((1024, 1024), 1.0, rng), order)
    clutter = (texture * speckle((1024, 1024), looks, rng)).astype(float)
    expected = (1 + 1 / order) * (1 + 1 / looks)
    assert (clutter**2).mean() / clutter.mean() ** 2 == pytest.approx(expected, rel=0.02)
