"""What the steps make of what maps know."""

import numpy as np
import pytest

from knowlip.core.statements import Fact
from knowlip.hcot.steps import calibration, sar, society
from knowlip.hcot.view import Facts, Surroundings, TileView


def facts(**values):
    """Facts by name, `__` standing for a dot, of a tile that is all farmland to the radar."""
    measured = {"cover.order": ["farmland"], "cover.building.share": 0.1, "relief.index": 3.0}
    return Facts(Fact(n.replace("__", "."), v, 1, "map", 0.9) for n, v in {**measured, **values}.items())


VIEW = TileView("tile", None, None, Surroundings(), None)


def calibrated(known):
    """Terrain and function after steps 2 and 5."""
    known.add(society.run(VIEW, known))
    known.add(calibration.run(VIEW, known))
    return known["terrain.kind"], known["function.main"]


@pytest.mark.parametrize(
    ("relief_m", "gentle", "kind"),
    [(20, 1.0, "plain"), (600, 0.9, "plain"), (60, 0.2, "plain"), (200, 0.3, "hilly"), (600, 0.1, "mountainous")],
)
def test_terrain_is_told_by_the_elevation_model_and_not_by_brightness(relief_m, gentle, kind):
    terrain, _ = calibrated(facts(elevation__relief_m=float(relief_m), slope__gentle_share=gentle))
    assert terrain.value == kind
    assert terrain.source == "map"
    # without one, stripes of brightness are taken for mountains
    assert calibrated(facts())[0].value == "mountainous"


@pytest.mark.parametrize(
    ("known", "function"),
    [
        ({"map__landuse__industrial__share": 0.7, "map__landuse__residential__share": 0.2}, "industrial"),
        ({"map__landuse__park__share": 0.6}, "parkland"),
        ({"map__landuse__industrial__share": 0.3}, "farmland"),
        ({"map__landuse__airport__share": 0.6, "airport__runway_bearing_deg": [83.0]}, "airport"),
        ({"port__km": 1.2, "cover__water__share": 0.4}, "port"),
        ({"port__km": 40.0, "cover__water__share": 0.4}, "farmland"),
        ({}, "farmland"),
    ],
)
def test_function_is_what_the_ground_is_mapped_for(known, function):
    assert calibrated(facts(**known))[1].value == function


def test_mapped_features_lie_over_the_raster_s_classes():
    features, raster = np.array([[0, 5]], np.uint8), np.array([[3, 3]], np.uint8)
    assert Surroundings(grids={"map": features, "land_cover": raster}).map_cover.tolist() == [[3, 5]]
    assert Surroundings(grids={"land_cover": raster}).map_cover is raster
    assert Surroundings(grids={"map": features}).map_cover is features
    assert Surroundings().map_cover is None


@pytest.mark.parametrize(
    ("known", "touches", "slender", "kind"),
    [
        ({"coast.sea_share": 0.4, "map.water.kind": "lake"}, 2, 1.0, "sea"),
        ({"coast.sea_share": 0.0, "map.water.kind": "lake"}, 2, 9.0, "lake"),
        ({}, 2, 9.0, "river"),
        ({}, 2, 1.5, sar.WATER_BODY),
        ({}, 0, 1.5, "lake"),
    ],
)
def test_water_is_named_by_the_coastline_then_by_maps_and_by_shape_only_where_it_shows(known, touches, slender, kind):
    found = Facts(Fact(n, v, 1, "map", 0.9) for n, v in known.items())
    assert sar.water_kind(found, slender, touches, 200_000.0, 0.3)[0] == kind


def test_little_that_is_dark_is_no_water_unless_a_map_has_some():
    nothing = Facts()
    assert sar.water_kind(nothing, 1.0, 0, 30_000.0, 0.01)[0] == ""
    mapped = Facts([Fact("map.cover.water.share", 0.012, 1, "map", 0.9)])
    assert sar.water_kind(mapped, 1.0, 0, 30_000.0, 0.01)[0] == "pond"
