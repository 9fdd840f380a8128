"""`knowlip annotate` with maps of the user's own, over a real place."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine

from fakes import as_db, ground_power, write_scene
from fakes_maps import TOWN, X0, Y0, write_pbf

HERE = {"crs": "EPSG:32633", "at": (12.5, 42.0)}


def raster(path, values, gsd_m, nodata=None):
    size = values.shape[0] * gsd_m
    affine = Affine(gsd_m, 0, X0 - size / 2, 0, -gsd_m, Y0 + size / 2)
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "nodata": nodata, "crs": "EPSG:32633"}
    with rasterio.open(
        path, "w", width=values.shape[1], height=values.shape[0], transform=affine, **profile
    ) as dataset:
        dataset.write(values, 1)
    return path


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A scene of 1.8 km in the middle of the town, a mountain range, cropland, a port and a runway table."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    grid = Affine(10, 0, X0 - 900, 0, -10, Y0 + 900)
    write_scene(tmp_path / "scenes" / "town_VV.tif", as_db(ground_power((180, 180))), transform=grid, crs="EPSG:32633")
    steep = np.abs((np.arange(500) % 50) - 25)[None, :] * 30 * 0.4 * np.ones((500, 1))
    raster(tmp_path / "dem.tif", steep.astype(np.float32), 30.0, -9999)
    raster(tmp_path / "cover.tif", np.full((400, 400), 7, np.uint8), 10.0, 0)
    (tmp_path / "cover.yaml").write_text("farmland: [7]")
    (tmp_path / "ports.csv").write_text("Main Port Name,Latitude,Longitude\nOstia,41.73,12.25\n")
    write_pbf(tmp_path / "town.osm.pbf", TOWN)
    return tmp_path


def options(place):
    return [
        *("--sources", "places", "--dem", place / "dem.tif", "--osm", place / "town.osm.pbf"),
        *("--land-cover", f"{place / 'cover.tif'}:{place / 'cover.yaml'}", "--ports", place / "ports.csv"),
    ]


def test_every_source_answers_and_is_recorded(knowlip, place):
    corpus = place / "corpus"
    assert knowlip("corpus", "build", place / "scenes", "-o", corpus, "--tile-size", 128, "--quiet").code == 0
    said = knowlip("annotate", corpus, *options(place), "--quiet", "--json", "-j", 1)
    assert said.code == 0, said.err
    asked = json.loads((corpus / "corpus.json").read_text())["annotation"]["settings"]["sources"]
    assert list(asked) == ["places", "ports", "elevation", "land-cover", "osm"]
    assert all(s["version"] and s["licence"] for s in asked.values())
    assert asked["osm"]["version"].startswith("town.osm.pbf (sha256 ")
    rows = pq.read_table(corpus / "facts.parquet").to_pylist()
    facts = {r["name"]: json.loads(r["value"]) for r in rows}
    assert facts["port.name"] == "Ostia"
    assert facts["elevation.relief_m"] == pytest.approx(300, abs=15)
    assert facts["slope.mean_deg"] == pytest.approx(np.degrees(np.arctan(0.4)), abs=3)
    assert facts["map.cover.farmland.share"] == 1
    assert facts["map.roads.all_m"] > 100
    assert facts["airport.runway_bearing_deg"]
    sources = {r["name"]: r["source"] for r in rows}
    assert sources["map.roads.all_m"] == asked["osm"]["version"]
    # nothing else is asked of this corpus any more
    again = knowlip("annotate", corpus, *options(place), "--quiet")
    assert again.code == 0
    assert "complete already" in again.out
    assert "annotated with other settings" in knowlip("annotate", corpus, "--sources", "places", "--quiet").refusal


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--dem", "none.tif", "no such file"),
        ("--osm", "cover.yaml", "cannot be read as OpenStreetMap data"),
        ("--land-cover", "cover.yaml", "cannot be read as a raster"),
        ("--land-cover", "cover.tif:none.yaml", "no such file"),
        ("--ports", "cover.yaml", "Check --ports"),
        ("--runways", "ports.csv", "has no column 'airport_ident'"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(knowlip, place, option, value, reason):
    corpus = place / "corpus"
    assert knowlip("corpus", "build", place / "scenes", "-o", corpus, "--tile-size", 128, "--quiet").code == 0
    assert reason in knowlip("annotate", corpus, option, place / value, "--quiet").refusal
    assert not (corpus / "facts.parquet").exists()
