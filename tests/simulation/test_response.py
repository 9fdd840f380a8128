from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.signal import windows

from knowlip.simulation.imaging.geometry import look_of
from knowlip.simulation.imaging.response import focus, focus_points, spread, transfer
from knowlip.simulation.sensors import RECTANGULAR, SENSORS, hamming, taylor

SINGLE_LOOK = [s for s in SENSORS.values() if s.looks == 1]
SIZE = 192


def fine_cut(image, at, direction, step_px, reach_px):
    """Power along a line through a point, by evaluating the image's Fourier series between pixels."""
    spectrum = np.fft.fft2(image)
    fy, fx = np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1])[None, :]
    along = np.arange(-reach_px, reach_px, step_px)
    values = [
        np.sum(spectrum * np.exp(2j * np.pi * (fx * (at[0] + d * direction[0]) + fy * (at[1] + d * direction[1]))))
        for d in along
    ]
    power = np.abs(np.array(values)) ** 2
    return along, power / power.max()


def width_and_side_lobe(along, power):
    top = int(power.argmax())
    right = top + int(np.argmax(power[top:] < 0.5))
    left = top - int(np.argmax(power[top::-1] < 0.5))

    def crossing(a, b):
        return along[a] + (along[b] - along[a]) * (0.5 - power[a]) / (power[b] - power[a])

    end = right + int(np.argmax(np.diff(power[right:]) > 0))
    return crossing(right - 1, right) - crossing(left, left + 1), 10 * np.log10(power[end:].max())


@pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS)
@pytest.mark.parametrize("place", [(96.0, 96.0), (96.5, 95.7)])
@pytest.mark.parametrize("cut", ["range", "azimuth"])
def test_point_target_has_the_width_and_side_lobes_of_the_window(sensor, place, cut):
    look = look_of(sensor, 35.0, 78.0)
    one = spread(np.array([place[0]]), np.array([place[1]]), np.ones(1, np.complex64), (SIZE, SIZE))
    image = focus_points(one, transfer((SIZE, SIZE), sensor, look))
    direction = look.along_xy if cut == "range" else look.flight_xy
    resolution_px = (sensor.range_resolution_m if cut == "range" else sensor.azimuth_resolution_m) / sensor.gsd_m
    along, power = fine_cut(image, place, direction, 0.02 * resolution_px, 8 * resolution_px)
    width, side_lobe_db = width_and_side_lobe(along, power)
    assert along[power.argmax()] == pytest.approx(0, abs=0.05)
    assert width == pytest.approx(resolution_px, rel=0.05)
    assert side_lobe_db == pytest.approx(sensor.window.side_lobe_db, abs=1.0)


@pytest.mark.parametrize(
    ("window", "samples"),
    [
        (RECTANGULAR, np.ones(2001)),
        (hamming(0.75), windows.general_hamming(2001, 0.75)),
        (taylor(-35.0, 5), windows.taylor(2001, nbar=5, sll=35)),
    ],
    ids=["rectangular", "hamming", "taylor"],
)
def test_windows_are_those_of_scipy(window, samples):
    f = np.linspace(-0.5, 0.5, len(samples))
    series = np.ones(len(f)) + 2 * sum(c * np.cos(2 * np.pi * m * f) for m, c in enumerate(window.cosines, start=1))
    assert series / series.max() == pytest.approx(samples / samples.max(), abs=2e-3)


def test_known_widths_and_side_lobes():
    # Harris 1978, "On the use of windows for harmonic analysis with the discrete Fourier transform", table 1
    assert pytest.approx(0.886, abs=0.005) == RECTANGULAR.width
    assert pytest.approx(-13.3, abs=0.1) == RECTANGULAR.side_lobe_db
    assert hamming(0.54).side_lobe_db == pytest.approx(-43, abs=1.0)
    assert hamming(0.54).width == pytest.approx(1.30, abs=0.01)


@pytest.mark.parametrize("sensor", SINGLE_LOOK, ids=lambda s: s.name)
def test_single_look_intensity_is_exponential_and_of_one_look(sensor):
    look = look_of(sensor, 35.0, 101.0)
    power = np.full((768, 768), 0.25, np.float32)
    field = focus(
        power, np.zeros(power.shape, np.complex64), transfer(power.shape, sensor, look), np.random.default_rng(3)
    )
    intensity = np.abs(field) ** 2
    assert intensity.mean() == pytest.approx(0.25, rel=0.02)
    assert intensity.mean() ** 2 / intensity.var() == pytest.approx(1.0, rel=0.05)
    apart = int(np.ceil(4 * sensor.azimuth_resolution_m / sensor.gsd_m))
    sample = intensity[::apart, ::apart].ravel()
    assert stats.kstest(sample, stats.expon(scale=0.25).cdf).pvalue > 0.01
    # circular: real and imaginary parts are uncorrelated and alike
    assert abs(np.corrcoef(field.real.ravel(), field.imag.ravel())[0, 1]) < 0.02
    assert field.real.std() == pytest.approx(field.imag.std(), rel=0.02)


def test_scatterers_keep_their_energy_wherever_they_lie():
    sensor = SENSORS["umbra-spotlight"]
    look = look_of(sensor, 35.0, 78.0)
    weights = transfer((SIZE, SIZE), sensor, look)
    rng = np.random.default_rng(1)
    for _ in range(20):
        col, row = rng.uniform(60, 130, (2, 1))
        image = focus_points(spread(col, row, np.full(1, 3 + 4j, np.complex64), (SIZE, SIZE)), weights)
        assert np.sum(np.abs(image) ** 2) == pytest.approx(25.0, rel=0.02)


def test_two_scatterers_a_resolution_and_a_half_apart_are_told_apart():
    sensor = replace(SENSORS["gaofen3-sl"], window=RECTANGULAR)
    look = look_of(sensor, 35.0, 90.0)
    apart = 1.5 * sensor.range_resolution_m / sensor.gsd_m
    places = np.array([90.0, 90.0 + apart])
    field = spread(places, np.full(2, 96.0), np.array([1, 1j], np.complex64), (SIZE, SIZE))
    image = focus_points(field, transfer((SIZE, SIZE), sensor, look))
    along, power = fine_cut(image, (90.0 + apart / 2, 96.0), (1.0, 0.0), 0.05, 2 * apart)
    middle = power[np.abs(along).argmin()]
    assert middle < 0.7 * min(power[along < 0].max(), power[along > 0].max())
