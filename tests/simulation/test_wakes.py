import numpy as np
import pytest

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.imaging.geometry import look_of
from knowlip.simulation.imaging.wakes import wake_factor
from knowlip.simulation.sensors import find_sensor

LOOK = look_of(find_sensor("gaofen3-ufs"), 35.0, 90.0)
SHAPE = (1200, 1200)


def ship(heading_deg=0.0, speed_m_s=9.0):
    return WorldObject("ship", "container ship", (1200.0, 400.0), 200.0, 30.0, heading_deg, "under way", speed_m_s)


def wake_db(target, wind_m_s=4.0):
    field = np.ones(SHAPE, np.float32)
    for rows, cols, factor in wake_factor([target], LOOK, SHAPE, 2.0, wind_m_s, "X"):
        field[rows, cols] *= factor
    return 10 * np.log10(field)


def test_the_turbulent_wake_is_a_dark_strip_behind_the_stern():
    level = wake_db(ship())
    # heading north from y = 400 m: behind is south, down the rows
    assert level[(500 + 200) // 2, 600] < -1.2
    assert level[(500 + 200) // 2, 600] < level[(500 + 1200) // 2, 600] < -0.3
    assert (level[:180] == 0).all()


def test_the_outer_arms_lie_at_the_kelvin_angle():
    level = wake_db(ship())
    distance_m = 1500.0
    row = int((500 + distance_m) / 2)
    side = level[row, 600:]
    outer = 150 + int(side[150:].argmax())
    assert np.rad2deg(np.arctan2(outer * 2.0, distance_m)) == pytest.approx(19.47, abs=1.0)


@pytest.mark.parametrize("heading", [0.0, 90.0, 200.0])
def test_the_wake_is_where_the_ship_sailed(heading):
    target = ship(heading)
    target = WorldObject(**{**vars(target), "centre_xy_m": (1200.0, 1200.0)})
    level = wake_db(target)
    h = np.deg2rad(heading)
    behind = (1200 - 400 * np.sin(h), 1200 + 400 * np.cos(h))
    ahead = (1200 + 400 * np.sin(h), 1200 - 400 * np.cos(h))
    assert level[int(behind[1] / 2), int(behind[0] / 2)] < -1
    assert level[int(ahead[1] / 2), int(ahead[0] / 2)] == 0


def test_no_wake_at_anchor_and_none_in_a_rough_sea():
    assert not wake_factor([ship(speed_m_s=0.0)], LOOK, SHAPE, 2.0, 4.0, "C")
    assert np.abs(wake_db(ship(), wind_m_s=20.0)).max() < 0.1
