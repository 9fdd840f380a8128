"""Aircraft on a simulated apron whose places are known, and ground without an airport."""

from dataclasses import replace

import numpy as np
import pytest

from knowlip.corpus.store import TilePixels
from knowlip.hcot import aircraft, cover
from knowlip.hcot.steps import instances
from knowlip.hcot.targets import Targets
from knowlip.hcot.view import Facts
from knowlip.simulation.ground import LandCover, Structures, World, WorldObject, Zone
from knowlip.simulation.imaging import image_world
from knowlip.simulation.sensors import find_sensor

SIDE, GSD_M = 256, 2.0
SENSOR = replace(find_sensor("terrasarx-sm"), gsd_m=GSD_M)
KIND, LENGTH_M, SPAN_M = "A320", 37.6, 35.8
PLACES = [(150.0, 200.0), (250.0, 200.0), (350.0, 200.0)]


def seen(places, ground=LandCover.ROAD, seed=1):
    """A tile of ground of one kind, with airliners at places in metres, and a wood in its last columns."""
    parked = tuple(WorldObject("aircraft", KIND, p, LENGTH_M, SPAN_M, 20.0, "parked") for p in places)
    flat = np.zeros((SIDE, SIDE), np.float32)
    surface = np.full((SIDE, SIDE), ground, np.uint8)
    surface[:, -30:] = LandCover.WOODLAND
    zone = np.full((SIDE, SIDE), Zone.AIRPORT, np.uint8)
    parcel = np.zeros((SIDE, SIDE), np.int32)
    world = World(surface, zone, parcel, flat, flat, Structures.join([]), parked, 5.0, 0.0, GSD_M)
    power = image_world(world, SENSOR, 35.0, 80.0, seed).sigma0["HH"]
    db = 10 * np.log10(np.maximum(power, 1e-6))[None].astype(np.float32)
    return TilePixels(db, ("HH",), True, np.zeros(1, np.float32))


def found_in(pixels, gsd_m=GSD_M, airport=True):
    level = cover.scene_level([cover.measure(pixels)], pixels.polarisations, True, None)
    return aircraft.find_aircraft(
        pixels, cover.classify(pixels, level), float(np.exp(-level.speckle_texture)), gsd_m, airport
    )


def test_parked_aircraft_are_placed_and_mostly_counted():
    # strong points of one aircraft may lie apart, and faint ones be missed: three in four tiles are exact, not all
    exact, placed = 0, 0
    for seed in range(8):
        found = found_in(seen(PLACES, seed=seed))
        assert {t.cls for t in found.objects} == {"aircraft"}
        exact += len(found.objects) == len(PLACES)
        at_m = np.array([t.centre for t in found.objects]) * GSD_M
        placed += sum(np.hypot(*(at_m - place).T).min() < LENGTH_M / 2 for place in PLACES)
    assert exact >= 6
    assert placed >= 0.9 * 8 * len(PLACES)


def test_an_apron_alone_has_no_aircraft():
    assert found_in(seen([])) == Targets()


@pytest.mark.parametrize("ground", [LandCover.FARMLAND, LandCover.WOODLAND, LandCover.WATER])
def test_what_stands_in_fields_woods_or_water_is_no_aircraft(ground):
    assert found_in(seen(PLACES, ground)) == Targets()


def test_one_group_alone_is_an_aircraft_only_where_an_airport_is_known():
    pixels = seen(PLACES[1:2])
    assert len(found_in(pixels).objects) == 1
    assert found_in(pixels, airport=False) == Targets()


def test_aircraft_are_not_looked_for_in_coarse_pixels():
    assert found_in(seen(PLACES), gsd_m=5.0) == Targets()


def test_facts_say_that_aircraft_stand_on_an_apron():
    class View:
        detections = found_in(seen(PLACES))
        gsd_m = GSD_M

        class properties:  # noqa: N801 - stands for a value
            shape = (SIDE, SIDE)

    facts = Facts(instances.run(View, Facts()))
    assert facts.value("target.class", "") == "aircraft"
    assert facts.value("target.region", "") == "apron"
    assert facts.number("target.count", 3) == len(PLACES)
    assert "target.width_m" not in facts
