import numpy as np
import pytest

from knowlip.simulation.imaging import sea
from knowlip.simulation.imaging.sea import cmod5n, jonswap, polarisation_ratio, sea_sigma0, sea_texture

# CMOD5, Hersbach, Stoffelen & de Haan, J. Geophys. Res. 112, C03006, 2007, table 1
CMOD5 = (
    *(-0.688, -0.793, 0.338, -0.173, 0.0, 0.004, 0.111, 0.0162, 6.34, 2.57, -2.18, 0.4, -0.6, 0.045),
    *(0.007, 0.33, 0.012, 22.0, 1.95, 3.0, 8.39, -3.44, 1.36, 5.35, 1.99, 0.29, 3.80, 1.53),
)


def db(x):
    return 10 * np.log10(x)


@pytest.mark.parametrize("incidence", [20.0, 25.0, 35.0, 45.0])
@pytest.mark.parametrize("direction", [0.0, 45.0, 90.0, 180.0])
def test_neutral_winds_are_seven_tenths_stronger_than_cmod5s(monkeypatch, incidence, direction):
    # how CMOD5.N was made, by Hersbach 2010: it is CMOD5 at a wind that is 0.7 m/s weaker
    speeds = np.array([4.0, 7.0, 10.0, 14.0])
    neutral = cmod5n(incidence, speeds + 0.7, direction)
    monkeypatch.setattr(sea, "CMOD5N", CMOD5)
    assert db(neutral / cmod5n(incidence, speeds, direction)) == pytest.approx(0, abs=0.15)


def test_sea_is_brightest_upwind_and_darkest_across():
    up, across, down = (cmod5n(38.0, 8.0, a) for a in (0.0, 90.0, 180.0))
    assert up > down > across
    assert 3 < db(up / across) < 6


def test_cross_polarisation_is_linear_in_the_wind():
    # Vachon & Wolfe 2011
    for wind in (5.0, 12.0):
        assert db(sea_sigma0("C", "VH", 38.0, wind)) == pytest.approx(0.592 * wind - 35.6)


def test_horizontal_is_darker_by_thompsons_ratio():
    # (1 + 2 tan^2)^2 / (1 + 0.6 tan^2)^2, at 45 degrees (3 / 1.6)^2
    assert polarisation_ratio(45.0) == pytest.approx(3.515625)
    assert sea_sigma0("C", "VV", 45.0, 7.0) / sea_sigma0("C", "HH", 45.0, 7.0) == pytest.approx(3.515625)


def test_ku_band_feels_the_wind_a_quarter_more():
    # Feindt et al. 1986: the exponent at C band is 20 % smaller than at 13.9 GHz
    c, ku = (db(sea_sigma0(b, "VV", 40.0, 12.0) / sea_sigma0(b, "VV", 40.0, 6.0)) for b in ("C", "Ku"))
    assert c / ku == pytest.approx(0.8, abs=0.01)


def test_waves_of_a_fully_grown_sea_are_as_high_as_measured():
    # Pierson & Moskowitz 1964: significant height 0.21 U^2 / g, some 10 % more for the peaked spectrum
    f = np.linspace(0.02, 2, 8000)
    height = 4 * np.sqrt(np.trapezoid(jonswap(f, 10.0, 1e6), f))
    assert height == pytest.approx(0.21 * 100 / 9.81, rel=0.3)


def test_texture_keeps_the_mean_and_shows_waves_only_at_fine_resolution():
    fine, coarse = (sea_texture((512, 512), g, 35.0, 90.0, 8.0, 90.0, np.random.default_rng(3)) for g in (1.0, 10.0))
    assert coarse.mean(dtype=float) == pytest.approx(1, abs=0.06)
    assert fine.std() > 2 * coarse.std()
    assert 0.02 < coarse.std() < 0.15
