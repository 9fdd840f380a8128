import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from fakes_maps import TOWN, UTM, X0, Y0, at, write_pbf
from knowlip.core.errors import SceneError
from knowlip.knowledge import tags
from knowlip.knowledge.extracts import extracts
from knowlip.knowledge.features import map_features, runway_bearing_deg
from knowlip.knowledge.tags import KINDS

GEOD = pyproj.Geod(ellps="WGS84")


@pytest.fixture
def town(tmp_path):
    return map_features([write_pbf(tmp_path / "town.osm.pbf", TOWN)], tmp_path / "cache")


def facts_of(answer):
    return {f.name: f.value for f in answer.facts}


def length_in(line, half_m=1280.0):
    """Geodesic length of a line's part in the tile."""
    return GEOD.geometry_length(at(line.intersection(shapely.box(-half_m, -half_m, half_m, half_m))))


def test_roads_have_the_geodesic_length_of_their_part_in_the_tile(town, tile):
    (answer,) = town.ask([tile()])
    facts = facts_of(answer)
    motorway = length_in(TOWN[0][0]) + length_in(TOWN[2][0])
    assert facts["map.roads.motorway_m"] == pytest.approx(motorway, rel=1e-3)
    assert facts["map.roads.residential_m"] == pytest.approx(length_in(TOWN[1][0]), rel=1e-3)
    # ways for feet are none for vehicles
    assert facts["map.roads.all_m"] == pytest.approx(motorway + length_in(TOWN[1][0]), rel=1e-3)
    assert facts["map.waterways_m"] == pytest.approx(2560, rel=1e-3)


@pytest.mark.parametrize(("crs", "gsd_m"), [("EPSG:3395", 10 / np.cos(np.radians(42))), ("EPSG:32632", 10.0)])
def test_metres_do_not_depend_on_the_tile_s_projection(town, tile, crs, gsd_m):
    (here,) = town.ask([tile(crs=crs, gsd_m=gsd_m)])
    facts = facts_of(here)
    # the road that lies wholly inside
    assert facts["map.roads.residential_m"] == pytest.approx(GEOD.geometry_length(at(TOWN[1][0])), rel=3e-3)


def test_buildings_are_counted_once_and_by_area(town, tile):
    west = tile()
    east = tile(*UTM.transform(X0 + 2560, Y0))
    here, beside = (facts_of(a) for a in town.ask([west, east]))
    assert (here["map.buildings.count"], beside["map.buildings.count"]) == (2, 1)
    area = sum(
        s.intersection(shapely.box(-1280, -1280, 1280, 1280)).area for s, t in TOWN if t.get("building", "no") != "no"
    )
    assert here["map.buildings.share"] == pytest.approx(area / 2560**2, abs=1e-4)


def test_land_use_and_water_have_their_shares(town, tile):
    facts = facts_of(town.ask([tile()])[0])
    assert facts["map.landuse.woodland.share"] == pytest.approx(1280 * 480 / 2560**2, abs=1e-3)
    assert facts["map.landuse.industrial.share"] == pytest.approx(900 * 600 / 2560**2, abs=1e-3)
    assert facts["map.water.share"] == pytest.approx(500 * 500 / 2560**2, abs=1e-3)


def test_a_lake_with_an_island_has_the_lake_s_share(tmp_path, tile):
    lake = shapely.box(-600, -600, 600, 600) - shapely.box(-200, -200, 200, 200)
    source = map_features([write_pbf(tmp_path / "lake.osm.pbf", [(lake, {"natural": "water"})])], tmp_path / "cache")
    (answer,) = source.ask([tile()])
    assert facts_of(answer)["map.water.share"] == pytest.approx(lake.area / 2560**2, abs=1e-3)
    mask = answer.grids["map"]
    assert mask[128, 128] == 0
    assert (mask == 1).sum() == pytest.approx(lake.area / 100, rel=0.02)


def test_the_mask_shows_things_where_they_are(town, tile):
    mask = town.ask([tile()])[0].grids["map"]
    assert mask.shape == (256, 256)
    assert mask.dtype == np.uint8

    def at_m(east, north):
        return mask[int(128 - north / 10), int(128 + east / 10)]

    assert at_m(-650, -650) == 1
    assert at_m(-600, 1000) == 2
    assert at_m(115, 115) == 4
    assert at_m(0, 250) == 5
    # an industrial area does not say what covers the ground, nor does anything in the south-west
    assert at_m(800, 900) == at_m(-1200, -1000) == 0
    # a road of any width is one pixel wide at least and has no gaps
    from scipy import ndimage

    assert ndimage.label(mask == 5, np.ones((3, 3)))[1] == 3


@given(st.floats(0, 179.9), st.floats(-60, 60), st.floats(-179, 179), st.floats(800, 4000))
def test_a_runway_s_bearing_is_that_of_its_geodesic(bearing, lat, lon, length):
    end = GEOD.fwd(lon, lat, bearing, length)[:2]
    line = shapely.LineString([(lon, lat), end])
    assert abs(runway_bearing_deg(line) - bearing + 90) % 180 == pytest.approx(90, abs=0.01)
    corners = [
        GEOD.fwd(*p, bearing + turn, 22.5)[:2]
        for p, turn in ((line.coords[0], -90), (line.coords[0], 90), (line.coords[1], 90), (line.coords[1], -90))
    ]
    outline = shapely.Polygon(corners)
    if abs(lon) < 178:
        assert abs(runway_bearing_deg(outline) - bearing + 90) % 180 == pytest.approx(90, abs=0.2)


def test_runway_and_port_within_reach_are_told(town, tile):
    facts = facts_of(town.ask([tile()])[0])
    (lon, lat), (lon1, lat1) = at(TOWN[12][0]).coords
    assert facts["airport.runway_bearing_deg"] == [pytest.approx(GEOD.inv(lon, lat, lon1, lat1)[0] % 180, abs=0.05)]
    assert facts["port.name"] == "Porto"
    assert facts["port.km"] == pytest.approx(2.5, rel=0.01)


def test_beyond_the_extract_and_where_nothing_is_mapped_is_said_to_be_unknown(town, tile):
    outside, empty, edge = town.ask(
        [tile(lon=13.0), tile(*UTM.transform(X0 + 5000, Y0 + 5000)), tile(*UTM.transform(X0, Y0 + 8000))]
    )
    assert outside.facts == empty.facts == edge.facts == ()
    assert outside.missing == edge.missing == ("the tile is not wholly inside a map extract",)
    assert empty.missing == ("the map extract has nothing here",)


def test_a_copy_is_made_once_and_opens_in_geopandas(tmp_path, tile):
    path = write_pbf(tmp_path / "town.osm.pbf", TOWN)
    map_features([path], tmp_path / "cache")
    (copy,) = (tmp_path / "cache").iterdir()
    before = copy.stat().st_mtime_ns
    map_features([path], tmp_path / "cache")
    assert copy.stat().st_mtime_ns == before
    frame = geopandas.read_parquet(copy, bbox=at(shapely.box(90, 90, 150, 140)).bounds)
    # the motorway's box is as large as the town
    assert set(frame["kind"]) == {"building", "road"}
    # another extract of the same name is another copy
    write_pbf(path, TOWN[:3])
    map_features([path], tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_tags_as_columns_of_geoparquet_give_what_the_pbf_gives(tmp_path, town, tile):
    frame = geopandas.GeoDataFrame([t for _, t in TOWN], geometry=[at(s) for s, _ in TOWN], crs="EPSG:4326")
    frame.to_parquet(tmp_path / "osm.parquet")
    source = map_features([tmp_path / "osm.parquet"], tmp_path / "cache")
    (ours,), (theirs,) = source.ask([tile()]), town.ask([tile()])
    same = facts_of(theirs)
    for name, value in facts_of(ours).items():
        assert (
            value == pytest.approx(same[name], rel=1e-6, abs=1e-6)
            if not isinstance(value, str)
            else value == same[name]
        )
    # the pbf rounds to a centimetre, which may move an edge over a pixel's middle
    assert (ours.grids["map"] == theirs.grids["map"]).mean() > 0.99


def write_overture(folder, type_, rows):
    """Overture's layout: subtype, class, names, bbox, geometry, one folder a type."""
    place = folder / f"type={type_}"
    place.mkdir(parents=True)
    frame = geopandas.GeoDataFrame(
        {"subtype": [r[1] for r in rows], "class": [r[2] for r in rows], "names": [{"primary": "n"} for _ in rows]},
        geometry=[at(r[0]) for r in rows],
        crs="OGC:CRS84",
    )
    frame.to_parquet(place / "part-00000.parquet", write_covering_bbox=True, schema_version="1.1.0")


@pytest.fixture
def overture(tmp_path):
    folder = tmp_path / "overture"
    corners = [shapely.Point(-4000, -4000), shapely.Point(4000, 4000)]
    write_overture(
        folder,
        "segment",
        [
            (TOWN[0][0], "road", "motorway"),
            (TOWN[1][0], "road", "residential"),
            (TOWN[3][0], "road", "footway"),
            *((c.buffer(1).exterior, "rail", "tram") for c in corners),
        ],
    )
    write_overture(
        folder, "building", [(s, "residential", "house") for s, t in TOWN if t.get("building", "no") != "no"]
    )
    write_overture(folder, "land_use", [(TOWN[10][0], "developed", "industrial"), (TOWN[9][0], "managed", "forest")])
    write_overture(folder, "water", [(TOWN[11][0], "lake", "lake"), (shapely.Point(0, 0), "physical", "bay")])
    write_overture(
        folder, "infrastructure", [(TOWN[12][0], "airport", "runway"), (shapely.box(0, 0, 5, 5), "pier", "pier")]
    )
    write_overture(folder, "connector", [(shapely.Point(0, 0), None, None)])
    return folder


def test_overture_s_types_give_what_openstreetmap_s_tags_give(overture, town, tile, tmp_path):
    source = map_features([overture], tmp_path / "none")
    (ours,), (theirs,) = source.ask([tile()]), town.ask([tile()])
    facts, same = facts_of(ours), facts_of(theirs)
    for name in (
        "buildings.count",
        "buildings.share",
        "landuse.industrial.share",
        "landuse.woodland.share",
        "water.share",
    ):
        assert facts[f"map.{name}"] == pytest.approx(same[f"map.{name}"], abs=1e-6)
    assert facts["map.roads.residential_m"] == pytest.approx(same["map.roads.residential_m"], abs=0.2)
    assert facts["airport.runway_bearing_deg"] == pytest.approx(same["airport.runway_bearing_deg"], abs=0.1)
    # read where it lies
    assert not (tmp_path / "none").exists()


def test_what_was_not_given_is_not_said_to_be_absent(overture, tile, tmp_path):
    source = map_features([overture / "type=segment"])
    facts = facts_of(source.ask([tile()])[0])
    assert {n.split(".")[1] for n in facts} == {"roads"}


def test_a_query_reads_only_row_groups_around_it(tmp_path):
    # a city of 40,000 houses in a row of 400 km; a query of 1 km finds its own and prunes the rest
    houses = [(shapely.box(i * 10, 0, i * 10 + 5, 5), {"building": "yes"}) for i in range(40_000)]
    frame = geopandas.GeoDataFrame(
        [t for _, t in houses], geometry=list(at(np.array([s for s, _ in houses]))), crs="EPSG:4326"
    )
    frame.sample(frac=1, random_state=0).to_parquet(tmp_path / "row.parquet")
    (extract,), _ = extracts(tmp_path / "row.parquet", tmp_path / "cache")
    box = at(shapely.box(100_000, -10, 101_000, 10)).bounds
    assert len(extract.read(box, KINDS)) == pytest.approx(100, abs=2)
    meta = pq.ParquetFile(extract.files[0]).metadata
    columns = {meta.schema.column(i).path: i for i in range(meta.num_columns)}
    touched = sum(
        meta.row_group(g).column(columns["bbox.xmin"]).statistics.min <= box[2]
        and meta.row_group(g).column(columns["bbox.xmax"]).statistics.max >= box[0]
        for g in range(meta.num_row_groups)
    )
    assert meta.num_row_groups == 8
    assert touched <= 2


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("town.osm.pbf", b"no map", "cannot be read as OpenStreetMap data"),
        ("town.parquet", b"no map", "cannot be read as GeoParquet"),
        ("town.osm.pbf", None, "holds no map extract"),
    ],
)
def test_what_is_no_extract_is_refused_in_one_line(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SceneError, match=reason):
        map_features([tmp_path / name], tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*")) if (tmp_path / "cache").exists() else True


def test_a_cut_off_pbf_leaves_no_copy(tmp_path):
    many = [(shapely.box(i, 0, i + 5, 5), {"building": "yes"}) for i in range(3000)]
    path = write_pbf(tmp_path / "town.osm.pbf", many)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(SceneError, match="cannot be read"):
        map_features([path], tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_geoparquet_in_metres_is_refused(tmp_path):
    frame = geopandas.GeoDataFrame({"building": ["yes"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32633")
    frame.to_parquet(tmp_path / "osm.parquet")
    with pytest.raises(SceneError, match="longitude and latitude"):
        map_features([tmp_path / "osm.parquet"], tmp_path / "cache")


@given(st.dictionaries(st.sampled_from(tags.TAGS), st.text(max_size=12)), st.sampled_from(["point", "line", "area"]))
def test_any_tags_have_a_meaning_of_our_kinds_or_none(said, shape):
    for kind, cls in tags.of_osm(said, shape):
        assert kind in KINDS
        assert cls


def test_a_road_in_a_tunnel_is_none_that_an_image_shows(tmp_path, tile):
    roads = [(shapely.LineString([(0, 0), (500, 0)]), {"highway": "primary"} | t) for t in ({}, {"tunnel": "yes"})]
    source = map_features([write_pbf(tmp_path / "t.osm.pbf", roads)], tmp_path / "cache")
    assert facts_of(source.ask([tile()])[0])["map.roads.all_m"] == pytest.approx(500, rel=1e-3)


def test_a_tile_on_the_antimeridian_has_what_lies_on_both_sides(tmp_path, tile):
    houses = [shapely.box(lon, -16.801, lon + 0.001, -16.8) for lon in (179.995, -179.996, 178.0)]
    sheet = shapely.box(-180, -20, 180, 20)
    frame = geopandas.GeoDataFrame(
        {"building": ["yes"] * 3 + [None], "landuse": [None] * 3 + ["industrial"]},
        geometry=[*houses, sheet],
        crs="EPSG:4326",
    )
    frame.to_parquet(tmp_path / "fiji.parquet")
    source = map_features([tmp_path / "fiji.parquet"], tmp_path / "cache")
    facts = facts_of(source.ask([tile(180.0, -16.8, crs="EPSG:32760")])[0])
    assert facts["map.buildings.count"] == 2
    # a polygon as wide as the Earth is cut before it is projected
    assert facts["map.landuse.industrial.share"] == pytest.approx(1, abs=1e-3)


def test_a_wide_sea_of_overture_fills_the_tile_it_covers(tmp_path, tile):
    sea = shapely.Polygon([(-170, -60), (12.5, -60), (12.5, 80), (-170, 80)])
    frame = geopandas.GeoDataFrame({"subtype": ["ocean"], "class": ["ocean"]}, geometry=[sea], crs="OGC:CRS84")
    far = geopandas.GeoDataFrame(
        {"subtype": ["lake"], "class": ["lake"]}, geometry=[shapely.box(20, 80, 21, 81)], crs="OGC:CRS84"
    )
    pd.concat([frame, far]).to_parquet(tmp_path / "water.parquet", write_covering_bbox=True, schema_version="1.1.0")
    (answer,) = map_features([tmp_path / "water.parquet"]).ask([tile()])
    assert facts_of(answer)["map.water.share"] == pytest.approx(0.5, abs=0.01)
    assert (answer.grids["map"][:, :120] == 1).all()
    assert (answer.grids["map"][:, 136:] == 0).all()


def test_overture_s_tunnels_are_left_out(tmp_path, tile):
    line, sheet = at(shapely.LineString([(0, 0), (500, 0)])), at(shapely.box(-4000, -4000, 4000, 4000)).exterior
    flags = [
        [{"values": ["is_tunnel"], "between": None}],
        [{"values": ["is_tunnel"], "between": [0.4, 0.5]}],
        None,
        None,
    ]
    frame = geopandas.GeoDataFrame(
        {"subtype": ["road", "road", "road", "rail"], "class": ["primary"] * 4, "road_flags": flags},
        geometry=[line, line, line, sheet],
        crs="OGC:CRS84",
    )
    frame.to_parquet(tmp_path / "segment.parquet", write_covering_bbox=True, schema_version="1.1.0")
    facts = facts_of(map_features([tmp_path / "segment.parquet"]).ask([tile()])[0])
    assert facts["map.roads.primary_m"] == pytest.approx(1000, rel=1e-3)


@pytest.mark.parametrize("name", ["type=segment/part-0.parquet", "rome_segment.parquet", "segment.zstd.parquet"])
def test_overture_s_type_is_told_by_a_word_of_the_path(tmp_path, name):
    path = tmp_path / "island" / name
    path.parent.mkdir(parents=True)
    frame = geopandas.GeoDataFrame({"subtype": ["road"], "class": ["primary"]}, geometry=[at(TOWN[0][0])], crs=4326)
    frame.to_parquet(path, write_covering_bbox=True, schema_version="1.1.0")
    (extract,), _ = extracts(path)
    assert extract.kinds == ("road",)
    path.rename(tmp_path / "island" / "data.parquet")
    with pytest.raises(SceneError, match="does not say what it holds"):
        extracts(tmp_path / "island" / "data.parquet")


def test_overture_s_file_without_boxes_is_refused(tmp_path):
    frame = geopandas.GeoDataFrame({"subtype": ["road"], "class": ["primary"]}, geometry=[at(TOWN[0][0])], crs=4326)
    frame.to_parquet(tmp_path / "segment.parquet")
    with pytest.raises(SceneError, match="no column `bbox`"):
        extracts(tmp_path / "segment.parquet")


def test_what_lies_in_two_extracts_counts_once(tmp_path, town, tile):
    # each lacks something that the other has
    paths = [write_pbf(tmp_path / f"{k}.osm.pbf", TOWN[k : len(TOWN) - 1 + k]) for k in range(2)]
    both = map_features(paths, tmp_path / "cache").ask([tile()])[0]
    once = town.ask([tile()])[0]
    assert facts_of(both) == facts_of(once)
    assert (both.grids["map"] == once.grids["map"]).all()
