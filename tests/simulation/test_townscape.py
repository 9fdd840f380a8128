"""What is built: its place, direction, size and zone, at every pixel size."""

import tracemalloc

import numpy as np
import pytest
import shapely

from knowlip.simulation.cities import find_city
from knowlip.simulation.ground import Kind, LandCover, Zone
from knowlip.simulation.world import make_world
from knowlip.simulation.world.aircraft import AIRCRAFT_SIZES_M

WET = (Zone.WATER, Zone.SEA, Zone.RIVER)


def of_kind(world, *kinds):
    return world.structures.take(np.isin(world.structures.kind, kinds))


def at(world, field, x_m, y_m):
    return field[(y_m / world.gsd_m).astype(int), (x_m / world.gsd_m).astype(int)]


def outlines(table):
    a = np.deg2rad(table.axis_deg.astype(float))
    ahead, right = np.stack([np.sin(a), -np.cos(a)], 1), np.stack([np.cos(a), np.sin(a)], 1)
    centre = np.stack([table.x_m, table.y_m], 1).astype(float)
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    half_l, half_w = table.length_m[:, None] / 2, table.width_m[:, None] / 2
    return shapely.polygons(np.stack([centre + i * half_l * ahead + j * half_w * right for i, j in signs], 1))


@pytest.fixture(scope="module")
def fine():
    wanted = (("Madrid", 1), ("Rotterdam", 2), ("Denver", 5), ("Riyadh", 6), ("Istanbul", 2))
    return [make_world(find_city(name), (1200, 1200), 2.0, seed) for name, seed in wanted]


@pytest.fixture(scope="module")
def coarse():
    wanted = (("Madrid", 1), ("Rotterdam", 0), ("Tokyo", 5), ("Chongqing", 3))
    return [make_world(find_city(name), (900, 900), 10.0, seed) for name, seed in wanted]


def test_structures_are_well_formed(fine, coarse):
    for world in fine + coarse:
        s = world.structures
        width, height = (n * world.gsd_m for n in reversed(world.landcover.shape))
        assert len(s) > 50
        assert (s.length_m >= s.width_m).all()
        assert (s.width_m > 0).all()
        assert (s.height_m > 0).all()
        assert ((s.axis_deg >= 0) & (s.axis_deg < 180)).all()
        assert ((s.x_m >= 0) & (s.x_m <= width) & (s.y_m >= 0) & (s.y_m <= height)).sum() > 0.97 * len(s)
        for name in ("x_m", "y_m", "length_m", "width_m", "height_m", "axis_deg"):
            assert getattr(s, name).dtype == np.float32


def test_every_footprint_is_building_in_the_land_cover(fine):
    for world in fine:
        roofs = of_kind(world, Kind.BUILDING, Kind.TANK, Kind.CONTAINERS)
        assert (at(world, world.landcover, roofs.x_m, roofs.y_m) == LandCover.BUILDING).mean() > 0.995
        covered = (world.landcover == LandCover.BUILDING).sum() * world.gsd_m**2
        area = (roofs.length_m * roofs.width_m * np.where(roofs.kind == Kind.TANK, np.pi / 4, 1)).sum()
        assert 0.85 * area < covered < 1.05 * area
        tall = at(world, world.height_m, roofs.x_m, roofs.y_m)
        assert np.median(np.abs(tall - roofs.height_m)) < 0.01


def test_coarse_pixels_are_built_up_where_houses_stand(coarse):
    for world in coarse:
        houses = of_kind(world, Kind.BUILDING)
        cover = at(world, world.landcover, houses.x_m, houses.y_m)
        assert (cover == LandCover.BUILDING).mean() > 0.55
        assert np.isin(cover, (LandCover.BUILDING, LandCover.ROAD, LandCover.BARE, LandCover.WOODLAND)).mean() > 0.95
        roofs = of_kind(world, Kind.BUILDING, Kind.TANK, Kind.CONTAINERS)
        volume = (roofs.length_m * roofs.width_m * roofs.height_m).sum()
        built = world.height_m[world.landcover == LandCover.BUILDING].sum() * world.gsd_m**2
        assert 0.4 * volume < built < 1.6 * volume


def test_walls_run_along_the_axis_that_the_table_gives():
    # the direction is measured on the land cover alone: the principal axis of each lone footprint
    from scipy import ndimage

    world = make_world(find_city("Madrid"), (1500, 1500), 1.0, 1)
    labels, _ = ndimage.label(world.landcover == LandCover.BUILDING)
    slabs = of_kind(world, Kind.BUILDING)
    long = slabs.take((slabs.length_m > 2 * slabs.width_m) & (slabs.length_m > 25))
    ids = at(world, labels, long.x_m, long.y_m)
    sizes = np.bincount(labels.ravel())
    errors = []
    for k, label in enumerate(ids):
        lone = abs(sizes[label] / (long.length_m[k] * long.width_m[k]) - 1) < 0.1
        if label and lone:
            rows, cols = np.nonzero(labels == label)
            x, y = cols - cols.mean(), rows - rows.mean()
            angle = 0.5 * np.arctan2(2 * (x * y).mean(), (x * x).mean() - (y * y).mean())
            measured = (np.rad2deg(angle) + 90) % 180
            errors.append(abs((measured - long.axis_deg[k] + 90) % 180 - 90))
    assert len(errors) > 10
    assert np.max(errors) < 3


def test_buildings_are_aligned_with_the_street_before_them():
    world = make_world(find_city("Madrid"), (1500, 1500), 1.0, 1)
    houses = of_kind(world, Kind.BUILDING)
    road = np.pad(world.landcover == LandCover.ROAD, 80)
    aligned = []
    for k in np.nonzero(houses.length_m > 20)[0]:
        # looking out of the four walls, a street is seen whose edge is as far from either end of the wall
        for turn in (0, 90, 180, 270):
            out, side = (np.deg2rad(houses.axis_deg[k] + t) for t in (turn, turn + 90))
            half = (houses.length_m[k] if turn % 180 == 0 else houses.width_m[k]) / 2
            reach = []
            for off in (-6, 6):
                steps = half + np.arange(1, 45)
                x = houses.x_m[k] + steps * np.sin(out) + off * np.sin(side)
                y = houses.y_m[k] - steps * np.cos(out) - off * np.cos(side)
                seen = road[np.clip(y + 80, 0, 1659).astype(int), np.clip(x + 80, 0, 1659).astype(int)]
                reach.append(int(np.argmax(seen)) if seen.any() else None)
            if None not in reach and max(reach) < 12:
                aligned.append(abs(reach[0] - reach[1]))
    assert len(aligned) > 60
    assert np.mean(np.array(aligned) <= 2) > 0.8


def test_most_buildings_keep_clear_of_each_other(fine):
    for world in fine:
        roofs = of_kind(world, Kind.BUILDING)
        shapes = shapely.buffer(outlines(roofs), -0.6)
        a, b = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        assert len(np.unique(a[a != b])) < 0.05 * len(roofs)


def test_tanks_are_round_of_tank_size_and_stand_in_works_or_ports(fine, coarse):
    found = 0
    for world in fine + coarse:
        tanks = of_kind(world, Kind.TANK)
        assert np.allclose(tanks.length_m, tanks.width_m)
        assert ((tanks.width_m >= 15) & (tanks.width_m <= 90)).all()
        assert ((tanks.height_m > 8) & (tanks.height_m < 24)).all()
        zones = at(world, world.zone, tanks.x_m, tanks.y_m)
        assert np.isin(zones, (Zone.INDUSTRIAL, Zone.PORT)).all()
        found += len(tanks)
    assert found > 40


def test_containers_and_cranes_stand_in_ports_near_water(fine, coarse):
    found = 0
    for world in fine + coarse:
        port = of_kind(world, Kind.CONTAINERS, Kind.CRANE)
        assert (at(world, world.zone, port.x_m, port.y_m) == Zone.PORT).all()
        found += len(port)
    assert found > 40


def test_every_bridge_spans_water_and_carries_a_road(fine, coarse):
    found = 0
    for world in fine + coarse:
        bridges = of_kind(world, Kind.BRIDGE)
        for k in range(len(bridges)):
            a = np.deg2rad(bridges.axis_deg[k])
            along = np.linspace(-0.5, 0.5, 60) * bridges.length_m[k]
            x, y = bridges.x_m[k] + along * np.sin(a), bridges.y_m[k] - along * np.cos(a)
            inside = (
                (x > 0) & (y > 0) & (x < world.zone.shape[1] * world.gsd_m) & (y < world.zone.shape[0] * world.gsd_m)
            )
            zones = at(world, world.zone, x[inside], y[inside])
            wet = np.isin(zones, WET)
            assert wet.any()
            assert (at(world, world.landcover, x[inside], y[inside])[wet] == LandCover.ROAD).mean() > 0.85
            found += 1
    assert found > 10


def test_rails_are_chains_of_pieces_and_pylons_stand_apart_in_the_country(fine, coarse):
    assert sum(len(of_kind(w, Kind.RAIL)) for w in coarse) > 100
    for world in coarse:
        rails, pylons = of_kind(world, Kind.RAIL), of_kind(world, Kind.PYLON)
        if len(rails) > 5:
            assert np.median(rails.length_m) == pytest.approx(75, abs=20)
        if len(pylons) > 2:
            places = np.stack([pylons.x_m, pylons.y_m], 1)
            zones = at(world, world.zone, *places.T)
            assert np.isin(zones, (Zone.FARMLAND, Zone.WOODLAND, Zone.BARE)).all()
            gaps = np.sort(np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)), axis=1)[:, 1]
            assert 200 < np.median(gaps) < 500


def test_zones_hold_what_they_are_named_after(fine, coarse):
    seen = set()
    for world in fine + coarse:
        water = world.landcover == LandCover.WATER
        assert np.isin(world.zone[water], WET).all()
        assert set(np.unique(world.zone)) <= set(range(1, 14))
        seen |= set(np.unique(world.zone).tolist())
        wood = world.zone == Zone.WOODLAND
        if wood.any():
            assert np.isin(world.landcover[wood], (LandCover.WOODLAND, LandCover.ROAD, LandCover.BUILDING, 6)).all()
    assert seen == set(range(1, 14))


def test_only_coastal_places_have_sea_and_those_on_a_river_have_it():
    for name, kinds in (("Rotterdam", {Zone.SEA, Zone.RIVER}), ("Antwerp", {Zone.RIVER})):
        world = make_world(find_city(name), (600, 600), 10.0, 4)
        assert set(np.unique(world.zone[world.landcover == LandCover.WATER])) - {Zone.WATER} == kinds


def test_ground_is_level_with_the_water_and_rises_from_it_without_steps(fine, coarse):
    from scipy import ndimage

    for world in fine + coarse:
        wet = np.isin(world.zone, WET)
        assert (world.terrain_m[wet] == 0).all()
        steps = max(np.abs(np.diff(world.terrain_m, axis=k)).max() for k in (0, 1))
        assert steps < 1.3 * world.gsd_m
        if 0.01 < wet.mean() < 0.9:
            away = ndimage.distance_transform_edt(~wet) * world.gsd_m
            near, far = world.terrain_m[(away > 0) & (away < 100)], world.terrain_m[(away > 300) & (away < 900)]
            assert near.mean() < far.mean()


def test_hilly_places_have_hills_and_others_gentle_ground():
    for seed in range(3):
        hills = make_world(find_city("Chongqing"), (512, 512), 10.0, seed).terrain_m
        plain = make_world(find_city("Winnipeg"), (512, 512), 10.0, seed).terrain_m
        assert 50 < hills.max() <= 600
        assert plain.max() < 50


def test_aircraft_have_the_published_sizes_and_stand_clear_on_the_apron(fine):
    seen = {}
    for world in fine:
        parked = [o for o in world.objects if o.cls == "aircraft"]
        shapes = [shapely.Polygon(o.corners_xy_m) for o in parked]
        for k, aircraft in enumerate(parked):
            assert (aircraft.length_m, aircraft.width_m) == AIRCRAFT_SIZES_M[aircraft.subtype]
            assert aircraft.state == "parked"
            x, y = (np.array([*aircraft.corners_xy_m[:, i], aircraft.centre_xy_m[i]]) for i in (0, 1))
            assert (at(world, world.landcover, x, y) == LandCover.ROAD).all()
            assert at(world, world.zone, x[-1:], y[-1:])[0] == Zone.AIRPORT
            assert all(shapes[k].distance(other) > 2 for other in shapes[:k])
            seen[aircraft.subtype] = seen.get(aircraft.subtype, 0) + 1
    assert sum(seen.values()) > 20
    assert len(AIRCRAFT_SIZES_M) == 10


def test_all_ten_aircraft_types_turn_up_somewhere():
    from knowlip.simulation.world.aircraft import park_aircraft
    from knowlip.simulation.world.airfield import lay_out
    from knowlip.simulation.world.grid import Frame, Grid

    seen = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        airfield = lay_out(Frame((2000.0, 2000.0), 0.3), 3300.0, 1100.0, rng)
        seen |= {o.subtype for o in park_aircraft(airfield, Grid((4000, 4000), 1.0), rng)}
    assert seen == set(AIRCRAFT_SIZES_M)


def test_ships_under_way_move_and_others_lie_still(coarse):
    states = {}
    for world in coarse:
        for o in world.objects:
            states.setdefault(o.state, []).append(o.speed_m_s)
            if o.state == "anchored":
                # turned into the wind
                assert abs((o.heading_deg - world.wind_from_deg + 180) % 360 - 180) < 45
    assert all(1.5 <= v <= 12 for v in states["under way"])
    assert not any(states.get("moored", []) + states.get("anchored", []))


def test_no_two_targets_overlap(fine, coarse):
    for world in fine + coarse:
        shapes = [shapely.Polygon(o.corners_xy_m) for o in world.objects]
        for k, shape in enumerate(shapes):
            assert all(shape.distance(other) > 0 for other in shapes[:k])


def test_a_world_is_the_same_to_the_byte_each_time():
    first, again = (make_world(find_city("Rotterdam"), (400, 500), 5.0, 3) for _ in range(2))
    for name in ("landcover", "zone", "parcel", "terrain_m", "height_m"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    for name in type(first.structures).__dataclass_fields__:
        assert getattr(first.structures, name).tobytes() == getattr(again.structures, name).tobytes()
    assert first.objects == again.objects


@pytest.mark.parametrize("gsd_m", [10.0, 1.0])
def test_memory_stays_below_120_bytes_a_pixel(gsd_m):
    make_world(find_city("Madrid"), (256, 256), gsd_m, 1)
    tracemalloc.start()
    make_world(find_city("Madrid"), (2048, 2048), gsd_m, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120 * 2048**2
