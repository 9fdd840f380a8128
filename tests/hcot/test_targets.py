"""Ships in made-up tiles whose truth is known, and the statistics that they are told from clutter by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma

from knowlip.core.statements import Fact
from knowlip.corpus.store import TilePixels
from knowlip.hcot import clutter, cover, targets
from knowlip.hcot.answers import answers
from knowlip.hcot.berths import ships_on_mapped_water
from knowlip.hcot.boxes import oriented_box
from knowlip.hcot.phrasing import HEDGE_BELOW, HEDGES
from knowlip.hcot.sentences import missing, statements
from knowlip.hcot.steps import calibration, instances
from knowlip.hcot.view import Facts

GSD_M, LOOKS = 10.0, 4.4
SEA = np.ones((8, 8), bool)


# clutter


@pytest.mark.parametrize("looks", [1.0, 4.4, 17.6])
@pytest.mark.parametrize("rate", [1e-3, 1e-7])
def test_threshold_of_smooth_clutter_is_that_of_gamma(looks, rate):
    # the looks are taken to 5 %
    asked = clutter.threshold(rate, looks, clutter.SMOOTH_ORDER)
    assert asked == pytest.approx(gamma.isf(rate, looks, scale=1 / looks), rel=0.03)
    exact = clutter.false_alarm_rate(asked, looks, clutter.SMOOTH_ORDER)
    assert exact == pytest.approx(gamma.sf(asked, looks, scale=1 / looks), rel=1e-6)


@pytest.mark.parametrize("order", [1.0, 4.0])
def test_threshold_of_k_clutter_keeps_its_rate(order):
    rng, n, looks = np.random.default_rng(1), 2_000_000, 4.0
    drawn = rng.gamma(order, 1 / order, n) * rng.gamma(looks, 1 / looks, n)
    exceeded = float((drawn > clutter.threshold(1e-3, looks, order)).mean())
    assert exceeded == pytest.approx(1e-3, rel=0.25)


@pytest.mark.parametrize("order", [1.0, 3.0, 10.0])
def test_order_of_texture_is_found_again(order):
    rng, n = np.random.default_rng(2), 400_000
    drawn = rng.gamma(order, 1 / order, n) * rng.gamma(LOOKS, 1 / LOOKS, n)
    assert clutter.texture_order(drawn, LOOKS) == pytest.approx(order, rel=0.1)


def test_clutter_without_texture_is_smooth():
    drawn = np.random.default_rng(3).gamma(LOOKS, 1 / LOOKS, 400_000)
    assert clutter.texture_order(drawn, LOOKS) > 30


# boxes


@settings(max_examples=60, deadline=None)
@given(st.floats(20, 80), st.floats(2.6, 8), st.floats(0, 180))
def test_box_of_a_rectangle_is_the_rectangle(length, slender, heading_deg):
    width = length / slender
    y, x = np.mgrid[:120, :120] + 0.5
    h = np.deg2rad(heading_deg)
    along, across = (x - 61) * np.sin(h) - (y - 58) * np.cos(h), (x - 61) * np.cos(h) + (y - 58) * np.sin(h)
    box = oriented_box((abs(along) < length / 2) & (abs(across) < width / 2), 0.0)
    assert box.length_px == pytest.approx(length, abs=2.5)
    assert box.width_px == pytest.approx(width, abs=2.5)
    assert box.centre == pytest.approx((61, 58), abs=1)
    assert abs((box.heading_deg - heading_deg + 90) % 180 - 90) < 7
    assert np.reshape(box.corners, (4, 2)).mean(axis=0) == pytest.approx(box.centre, abs=1e-6)


# ships


def tile(places, ground=None, seed=0):
    """A calibrated sea with ships `(row, column, length, width, VV in dB)` in pixels, seen with a 2-pixel spread."""
    vv = np.full((256, 256), -20.0) if ground is None else ground
    power = np.stack([10 ** (vv / 10), 10 ** ((vv - 6) / 10)])
    rng = np.random.default_rng(seed)
    power = power * rng.gamma(LOOKS, 1 / LOOKS, power.shape)
    for row, col, length, width, db in places:
        power[0, row : row + width, col : col + length] = 10 ** (db / 10)
        power[1, row : row + width, col : col + length] = 10 ** ((db - 7) / 10)
    return TilePixels((10 * np.log10(power)).astype(np.float32), ("VV", "VH"), True, np.zeros(2, np.float32))


def found_in(pixels, sea=SEA, look_azimuth_deg=90.0):
    level = cover.scene_level([cover.measure(pixels)], pixels.polarisations, True, None if sea is None else [sea])
    return targets.find_targets(pixels, cover.classify(pixels, level, sea), 4 * LOOKS, GSD_M, look_azimuth_deg)


@pytest.mark.parametrize("seed", range(4))
def test_sea_alone_has_no_ships(seed):
    assert found_in(tile([], seed=seed)) == targets.Targets()


@pytest.mark.parametrize("seed", range(4))
def test_ships_are_counted_placed_and_measured(seed):
    places = [(30, 40, 20, 4, 8.0), (120, 180, 12, 3, 5.0), (210, 60, 30, 5, 10.0)]
    found = found_in(tile(places, seed=seed))
    assert not found.doubt
    assert len(found.objects) == 3
    for row, col, length, width, _ in places:
        near = min(found.objects, key=lambda t: np.hypot(t.centre[0] - col, t.centre[1] - row))
        assert near.centre == pytest.approx((col + length / 2, row + width / 2), abs=1.5)
        assert near.length_m == pytest.approx(length * GSD_M, abs=40)
        assert near.confidence > 0.8


def test_returns_on_land_are_not_ships():
    ground = np.full((256, 256), -11.5)
    assert found_in(tile([(100, 100, 20, 4, 12.0)], ground), np.zeros((8, 8), bool)) == targets.Targets()


@pytest.mark.parametrize(
    ("db", "doubt"), [(14.0, "ships at berths lie close"), (5.0, "may be ships at berth"), (-3.0, "")]
)
def test_what_is_bright_by_the_shore_is_a_ship_leaves_doubt_or_neither(db, doubt):
    ground = np.full((256, 256), -20.0)
    ground[200:] = -6.0
    # a quay with something bright along it
    places = [(60, 60, 20, 4, 8.0), (197, 100, 24, 5, db)]
    sea = np.ones((8, 8), bool)
    sea[6:] = False
    found = found_in(tile(places, ground), sea)
    assert doubt in found.doubt
    assert bool(doubt) == bool(found.doubt)
    assert any(np.hypot(t.centre[0] - 70, t.centre[1] - 62) < 2 for t in found.objects)
    berthed = [c for c in found.others if np.hypot(c[0] - 112, c[1] - 199) < 12]
    assert len(berthed) == len(found.others) == found.hidden == (1 if db > 10 else 0)


def test_ship_cut_by_the_frame_counts_beside_a_whole_one_and_its_number_is_in_doubt():
    cut = (100, 250, 6, 4, 10.0)
    alone, beside = found_in(tile([cut])), found_in(tile([cut, (60, 60, 20, 4, 8.0)]))
    assert alone.doubt == beside.doubt == "a target is cut by the frame"
    assert (len(alone.objects), len(alone.centres)) == (0, 0)
    assert (len(beside.objects), len(beside.centres)) == (1, 2)


def test_ghost_of_a_ship_is_not_counted():
    # as long as a ship of 240 m and far too faint for it: an ambiguity
    found = found_in(tile([(100, 40, 24, 4, 12.0), (180, 150, 24, 4, -11.0)]))
    assert len(found.objects) <= 1
    assert found.doubt or len(found.objects) == 1


def test_side_lobes_are_not_counted():
    pixels = tile([(120, 120, 10, 3, 25.0)])
    # a streak along range, 30 dB and more below
    power = 10 ** (pixels.db / 10)
    off = np.abs(np.arange(256) - 124.5)
    power[:, 121] += 10 ** ((25 - 7 * np.arange(2)) / 10)[:, None] / np.maximum(np.pi * off / 2, 3) ** 2 * (off > 6)
    found = found_in(TilePixels((10 * np.log10(power)).astype(np.float32), ("VV", "VH"), True, np.zeros(2, np.float32)))
    assert len(found.objects) == 1


# facts


class _View:
    """What the step reads of a view."""

    gsd_m = GSD_M

    def __init__(self, found):
        self.detections = found
        self.properties = type("P", (), {"shape": (256, 256)})


def facts_of(found):
    facts = Facts([Fact("image.gsd_m", GSD_M, 0, "file", 1.0)])
    facts.add(instances.run(_View(found), facts))
    return facts


def test_number_in_doubt_hedges_and_says_why():
    sure = found_in(tile([(30, 40, 20, 4, 8.0), (120, 180, 12, 3, 5.0)]))
    facts = facts_of(sure)
    assert facts.value("target.count", 0) == 2
    assert any(s.dimension == "count" for s in statements("t", facts))
    reason = "a target is cut by the frame"
    doubtful = facts_of(targets.Targets(sure.objects, reason, ((250.0, 100.0),)))
    assert doubtful.number("target.count") == 3
    assert len(doubtful.value("target.positions", [0.0])) == 6
    assert doubtful.value("target.types", [""])[-1] == ""
    said = {s.dimension: s for s in statements("t", doubtful) if s.schema == "target"}
    assert said["count"].slots[0].value.lower() == "three"
    assert {"target.count", "target.doubt"} <= set(said["count"].facts)
    # what is said of the ships that were found takes itself back
    assert all(HEDGES.search(s.text) for s in said.values())
    asked = next(a for a in answers(doubtful) if a.kind == "count")
    assert asked.answer == "3"
    assert asked.confidence < HEDGE_BELOW
    nothing = facts_of(targets.Targets((), reason))
    assert "target.count" not in nothing
    assert f"target: the number of targets is in doubt: {reason}" in missing(nothing).value
    # a claimed number meets no measured zero
    assert "target.count" not in calibration.as_ground(nothing)


def test_hulls_at_berth_are_what_there_is_at_least():
    facts = facts_of(targets.Targets((), targets.AT_BERTHS, ((10.0, 20.0), (30.0, 20.0)), 2))
    assert (facts.number("target.least"), facts.number("target.count")) == (2, 4)
    said = {s.dimension: s for s in statements("t", facts) if s.schema == "target"}
    assert set(said) == {"count"}
    assert {s.name for s in said["count"].slots} == {"least", "noun"}
    assert said["count"].slots[0].value.lower() == "two"
    assert not HEDGES.search(said["count"].text)
    assert next(a.answer for a in answers(facts) if a.kind == "count") == "4"


def test_facts_of_ships_hold_what_phrases_say():
    facts = facts_of(found_in(tile([(30, 40, 20, 4, 8.0), (120, 180, 12, 3, 5.0)])))
    assert facts.number("target.longest_m") == pytest.approx(200, abs=40)
    assert 0 < facts.number("target.width_m") < facts.number("target.length_m")
    assert facts.value("target.cells", [""]) == ["upper left", "middle right"]


def harbour(rng, ships, gsd_m=10.0):
    """A basin 800 m wide between bright quays with ships of (column, row, length, width) in pixels along its axis."""
    size = 256
    level = np.full((2, size, size), np.array([-19.0, -25.0])[:, None, None])
    water = np.zeros((size, size), bool)
    water[88:168] = True
    level[:, ~water] = np.array([-7.0, -13.0])[:, None]
    for col, row, length, width in ships:
        level[:, row : row + width, col : col + length] = 12.0
    db = level + 10 * np.log10(rng.gamma(4.4, 1 / 4.4, level.shape))
    return TilePixels(db.astype(np.float32), ("VV", "VH"), True, np.zeros(2, np.float32)), water


def test_ships_at_berths_are_found_where_a_map_has_the_quay():
    ships = [(40, 88, 16, 3), (70, 88, 20, 4), (150, 164, 18, 4), (120, 120, 12, 3)]
    pixels, water = harbour(np.random.default_rng(3), ships)
    found = ships_on_mapped_water(pixels, water, 4 * 4.4, 10.0)
    centres = sorted((round(o.centre[0]), round(o.centre[1])) for o in found.objects)
    true = sorted((round(c + n / 2), round(r + w / 2)) for c, r, n, w in ships)
    assert len(centres) == len(true)
    assert np.abs(np.array(centres) - np.array(true)).max() <= 2
    lengths = sorted(o.length_m for o in found.objects)
    np.testing.assert_allclose(lengths, sorted(10.0 * n for _, _, n, _ in ships), atol=30)
    assert "berth" in found.doubt


def test_a_quay_a_little_out_of_place_is_no_ship_and_open_water_leaves_no_doubt():
    pixels, water = harbour(np.random.default_rng(4), [(120, 120, 12, 3)])
    for shift in (-1, 0, 1):
        found = ships_on_mapped_water(pixels, np.roll(water, shift, axis=0), 4 * 4.4, 10.0)
        assert [round(o.centre[0]) for o in found.objects] == [126]
    assert ships_on_mapped_water(pixels, water, 4 * 4.4, 10.0).doubt == ""


def test_a_bridge_over_mapped_water_is_no_ship():
    pixels, water = harbour(np.random.default_rng(5), [])
    pixels.db[:, 88:168, 100:103] = -2.0
    assert ships_on_mapped_water(pixels, water, 4 * 4.4, 10.0).objects == ()
