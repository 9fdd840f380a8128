import numpy as np
import pytest
import shapely
import shapely.affinity

from knowlip.simulation.cities import find_city
from knowlip.simulation.ground import LandCover
from knowlip.simulation.world import make_world
from knowlip.simulation.world.fleet import SHIP_KINDS


@pytest.fixture(scope="module")
def worlds():
    wanted = (("Rotterdam", 11), ("Hong Kong", 3), ("Hamburg", 6), ("Chicago", 8), ("Vienna", 2))
    return [make_world(find_city(name), (768, 768), 10.0, seed) for name, seed in wanted]


def test_every_pixel_has_a_class_and_the_arrays_agree(worlds):
    for world in worlds:
        assert world.landcover.dtype == np.uint8
        assert world.parcel.dtype == np.int32
        assert world.height_m.dtype == np.float32
        assert world.landcover.min() >= LandCover.WATER
        assert world.landcover.max() <= LandCover.BARE
        assert world.parcel.min() >= 0
        assert np.isfinite(world.height_m).all()
        assert np.abs((world.height_m + world.terrain_m)[world.landcover == LandCover.WATER]).max(initial=0) == 0


def test_ships_lie_on_water_with_their_whole_outline(worlds):
    ships = [(w, s) for w in worlds for s in w.objects]
    assert len(ships) > 30
    for world, ship in ships:
        assert ship.cls == "ship"
        for inset in (1.0, 0.5, 0.0):
            points = ship.corners_xy_m * inset + np.array(ship.centre_xy_m) * (1 - inset)
            cols, rows = (points / world.gsd_m).astype(int).T
            assert (world.landcover[rows, cols] == LandCover.WATER).all()


def test_corners_are_a_rectangle_turned_by_the_heading(worlds):
    for world in worlds:
        for ship in world.objects:
            x, y = ship.centre_xy_m
            half_l, half_w = ship.length_m / 2, ship.width_m / 2
            upright = shapely.box(x - half_w, y - half_l, x + half_w, y + half_l)
            # shapely turns counter-clockwise in y-up axes, which is clockwise where y points down
            turned = shapely.affinity.rotate(upright, ship.heading_deg, origin=(x, y))
            assert shapely.hausdorff_distance(turned, shapely.Polygon(ship.corners_xy_m)) < 1e-6


def test_ships_are_far_enough_apart_to_be_counted(worlds):
    for world in worlds:
        outlines = np.array([shapely.Polygon(s.corners_xy_m) for s in world.objects])
        for k, ship in enumerate(world.objects[1:], start=1):
            gap = shapely.distance(outlines[:k], outlines[k]).min()
            assert gap >= (45 if ship.state == "moored" else max(60, ship.length_m)) - 1e-6


def test_ship_sizes_are_those_of_their_kind(worlds):
    for world in worlds:
        for ship in world.objects:
            low, high = SHIP_KINDS[ship.subtype].length_m
            assert low <= ship.length_m <= high
            assert 2.5 < ship.length_m / ship.width_m < 8.5


def test_the_same_seed_gives_the_same_world_and_another_gives_another():
    city = find_city("Lisbon")
    first, again, other = (make_world(city, (256, 300), 10.0, s) for s in (1, 1, 2))
    assert np.array_equal(first.landcover, again.landcover)
    assert np.array_equal(first.height_m, again.height_m)
    assert first.objects == again.objects
    assert not np.array_equal(first.landcover, other.landcover)


def test_land_covers_take_turns_in_ruling_tiles():
    ruling = []
    for seed in range(4):
        for name in ("Rotterdam", "Madrid", "Oslo", "Riyadh", "Chongqing", "Miami"):
            landcover = make_world(find_city(name), (512, 512), 10.0, seed).landcover
            for r in (0, 256):
                for c in (0, 256):
                    ruling.append(np.bincount(landcover[r : r + 256, c : c + 256].ravel(), minlength=7).argmax())
    shares = np.bincount(ruling, minlength=7) / len(ruling)
    for cls in (LandCover.WATER, LandCover.WOODLAND, LandCover.FARMLAND, LandCover.BUILDING, LandCover.BARE):
        assert shares[cls] >= 0.05, cls


def test_aircraft_exist_in_fine_scenes_only():
    city = find_city("Denver")
    assert not any(o.cls == "aircraft" for s in range(4) for o in make_world(city, (300, 300), 10.0, s).objects)
