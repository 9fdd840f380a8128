import json
import shutil
import subprocess

import geopandas
import mlcroissant
import numpy as np
import pyarrow.parquet as pq
import pyproj
import pystac
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from pystac.extensions.mgrs import MgrsExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from pystac.extensions.sar import SarExtension
from pystac.extensions.sat import SatExtension
from pystac.extensions.view import ViewExtension
from rasterio.io import MemoryFile
from rio_cogeo import cog_validate

from corpora import CONFIG
from fakes import as_amplitude, as_db, as_power, ground_power
from knowlip.corpus.cog import cog_bytes
from knowlip.corpus.export import export
from knowlip.corpus.stac import geoproperties, stac_item


@pytest.fixture(scope="module")
def rows(built):
    return pq.read_table(built.out / "tiles.parquet").to_pylist()


def test_every_tile_is_a_valid_cog(built):
    paths = [*(built.out / "tiles").rglob("*.tif"), *(built.out / "landcover").rglob("*.tif")]
    assert len(paths) == 58 + 6
    for path in paths:
        valid, errors, warnings = cog_validate(str(path), strict=True)
        assert valid, (path.name, errors, warnings)


@pytest.mark.parametrize("size", [32, 256, 272, 512, 528, 1040])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_a_tile_of_any_size_is_a_cog_of_untouched_pixels(tmp_path, size, kind):
    power = ground_power((size, size))
    one = as_db(power) if kind == "float32" else as_amplitude(power, -40, np.dtype(kind))
    pixels = np.stack([one, one[::-1]])
    box = GeoBox((size, size), rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32631")
    path = tmp_path / "x.tif"
    path.write_bytes(cog_bytes(pixels, box, None, ("VV", "VH")))
    assert cog_validate(str(path), strict=True)[0]
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.read(), pixels)
        assert dataset.transform == box.affine
        assert dataset.crs.to_epsg() == 32631
        assert dataset.descriptions == ("VV", "VH")
        assert (len(dataset.overviews(1)) > 0) == (size > 512)


def test_no_data_survives_in_the_tile():
    box = GeoBox((64, 64), rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32631")
    pixels = as_power(ground_power((64, 64)))[None]
    pixels[:, :10] = np.nan
    for nodata in (np.nan, None, -99.0):
        with MemoryFile(cog_bytes(pixels, box, nodata, ("VV",))) as memory, memory.open() as dataset:
            assert dataset.nodata is None if nodata is None else np.array_equal(dataset.nodata, nodata, equal_nan=True)


def test_tiles_parquet_opens_in_geopandas_with_its_crs_and_footprints(built, rows):
    frame = geopandas.read_parquet(built.out / "tiles.parquet")
    # GeoParquet 1.1: longitude and latitude of WGS 84 where nothing else is said
    assert frame.crs == "OGC:CRS84"
    assert len(frame) == len(rows) == 58
    assert frame.geometry.is_valid.all()
    for geometry, row in zip(frame.geometry, rows, strict=True):
        assert geometry.wkt == geoproperties(row).footprint_wkt
    assert str(frame["datetime"].dt.tz) == "UTC"


def test_geoparquet_is_filtered_by_its_bbox_column(built):
    found = geopandas.read_parquet(built.out / "tiles.parquet", bbox=(2.0, 47.0, 4.0, 49.0))
    assert set(found["knowlip:scene"]) == {"dual"}


def test_geoparquet_metadata_follow_the_specification(built):
    geo = json.loads(pq.read_metadata(built.out / "tiles.parquet").metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    column = geo["columns"][geo["primary_column"]]
    assert column["encoding"] == "WKB"
    kinds = {g.geom_type for g in geopandas.read_parquet(built.out / "tiles.parquet").geometry}
    assert kinds <= set(column["geometry_types"])
    schema = pq.read_schema(built.out / "tiles.parquet")
    for edge, (name, part) in column["covering"]["bbox"].items():
        assert str(schema.field(name).type.field(part).type) == "double"
        assert edge in ("xmin", "ymin", "xmax", "ymax")


def test_bbox_column_covers_each_footprint(rows):
    for row in rows:
        footprint, box = shapely.from_wkb(row["geometry"]), row["bbox"]
        if box["xmin"] <= box["xmax"]:
            assert footprint.bounds == pytest.approx((box["xmin"], box["ymin"], box["xmax"], box["ymax"]))
        else:
            assert row["knowlip:scene"] == "antimeridian"
            assert footprint.geom_type == "MultiPolygon"
            halves = sorted(part.bounds for part in footprint.geoms)
            assert (halves[1][0], halves[0][2]) == pytest.approx((box["xmin"], box["xmax"]))
    assert any(r["bbox"]["xmin"] > r["bbox"]["xmax"] for r in rows)


def test_items_fit_the_schema_of_stac(rows):
    pytest.importorskip("jsonschema", reason="needs jsonschema (pip install pystac[validation])")
    from pystac.validation.local_validator import LocalValidator

    schema = LocalValidator().item_validator("1.1.0")
    for row in rows:
        assert [e.message for e in schema.iter_errors(stac_item(row).to_dict())] == []


# what each extension's schema asks of an item that declares it: all of these, and at least one of those
REQUIRED = {
    "projection/v2": ([], []),
    "sar/v1": (["sar:instrument_mode", "sar:frequency_band", "sar:polarizations", "sar:product_type"], []),
    "sat/v1": ([], ["sat:orbit_state", "sat:absolute_orbit", "sat:relative_orbit"]),
    "view/v1": ([], ["view:azimuth", "view:incidence_angle", "view:off_nadir"]),
    "mgrs/v1": (["mgrs:latitude_band", "mgrs:grid_square"], []),
    "raster/v1": ([], []),
}


def test_every_row_is_a_valid_stac_item(built, rows):
    for row in rows:
        item = stac_item(row, built.corpus.folder.path())
        as_json = json.loads(json.dumps(item.to_dict()))
        assert pystac.Item.from_dict(as_json).to_dict() == as_json
        # STAC 1.1: what an item must have
        assert (as_json["type"], as_json["stac_version"], as_json["id"]) == ("Feature", "1.1.0", row["id"])
        assert {"geometry", "bbox", "properties", "links", "assets", "stac_extensions"} <= set(as_json)
        properties = as_json["properties"]
        if properties["datetime"] is None:
            assert properties["start_datetime"] < properties["end_datetime"]
        for uri in as_json["stac_extensions"]:
            every, some = next(v for k, v in REQUIRED.items() if f"/{k}" in uri)
            assert all(properties.get(k) is not None for k in every), (row["id"], uri)
            assert not some or any(k in properties for k in some), (row["id"], uri)
        assert None not in {k: v for k, v in properties.items() if k != "datetime"}.values()
        # RFC 7946: exterior rings run counterclockwise
        shape = shapely.geometry.shape(as_json["geometry"])
        assert all(part.exterior.is_ccw for part in shapely.get_parts(shape))
        with rasterio.open(item.assets["data"].href) as tile:
            assert list(tile.shape) == properties["proj:shape"]


def test_a_fully_known_tile_has_all_extensions_as_pystac_reads_them(rows):
    row = next(r for r in rows if r["knowlip:scene"] == "dual")
    item = stac_item(row)
    p = geoproperties(row)
    projection = ProjectionExtension.ext(item)
    assert (projection.epsg, tuple(projection.shape), tuple(projection.transform)) == (32631, p.shape, p.transform)
    assert tuple(projection.bbox) == p.bounds
    assert projection.centroid == {"lat": p.lat_deg, "lon": p.lon_deg}
    sar = SarExtension.ext(item)
    assert (sar.instrument_mode, sar.product_type, sar.center_frequency) == ("FSII", "L2", 5.4)
    assert [str(band) for band in sar.polarizations] == ["HH", "HV"]
    assert (sar.frequency_band, sar.observation_direction) == ("C", "right")
    assert SatExtension.ext(item).orbit_state == "ascending"
    bands = RasterExtension.ext(item.assets["data"]).bands
    assert [(str(b.data_type), b.nodata, b.unit, str(b.sampling)) for b in bands] == [
        ("uint16", 0, "DN (amplitude)", "area")
    ] * 2
    assert bands[0].spatial_resolution == max(p.gsd_x_m, p.gsd_y_m)
    assert (ViewExtension.ext(item).azimuth, ViewExtension.ext(item).incidence_angle) == (79.5, p.incidence_deg)
    mgrs = MgrsExtension.ext(item)
    assert f"{mgrs.utm_zone}{mgrs.latitude_band}{mgrs.grid_square}" == p.mgrs_square == "31UDP"
    assert item.datetime == p.acquired


def test_geoproperties_come_back_from_the_table(rows):
    for row in rows:
        p = geoproperties(row)
        assert type(p).model_validate_json(p.model_dump_json()) == p


@pytest.fixture(scope="module")
def croissant(built):
    return mlcroissant.Dataset(jsonld=str(built.out / "croissant.json"))


def test_croissant_loads_without_complaint(croissant):
    issues = croissant.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    assert croissant.metadata.name == CONFIG.name
    assert croissant.metadata.license == [CONFIG.licence]


def test_croissant_gives_the_records_of_the_tiles(croissant, rows):
    records = list(croissant.records("tiles"))
    assert [r["tiles/id"].decode() for r in records] == [r["id"] for r in rows]
    assert [r["tiles/knowlip-sha256"].decode() for r in records] == [r["knowlip:sha256"] for r in rows]
    np.testing.assert_array_equal([r["tiles/gsd"] for r in records], [r["gsd"] for r in rows])


def test_corpus_json_counts_what_is_there(built, rows):
    info = json.loads((built.out / "corpus.json").read_text())
    counts = info["counts"]
    assert counts["tiles"] == len(rows) == len(list((built.out / "tiles").rglob("*.tif")))
    assert counts["scenes"] == pq.read_metadata(built.out / "scenes.parquet").num_rows
    assert counts["objects"] == pq.read_metadata(built.out / "objects.parquet").num_rows
    splits = [r["knowlip:split"] for r in rows]
    assert {s: counts[f"{s}_tiles"] for s in ("train", "val", "test")} == {
        s: splits.count(s) for s in ("train", "val", "test")
    }
    assert (info["name"], info["licence"]) == ("fakes", "CC-BY-4.0")
    assert set(info["lineage"]) == {"GF3-1", "S1A_IW_GRDH_1SDV_20201107T135241_20201107T135306_035143_041A16_322B"} | {
        f"{name}.tif" for name in ("border_VV", "degrees", "antimeridian", "svalbard", "polar", "turned", "custom")
    }


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="needs GDAL's programs (gdal-bin), those of QGIS")
def test_the_gdal_of_qgis_opens_every_kind_of_tile(built, rows):
    """Debian's GDAL, which its QGIS is linked with, is another build than the one in rasterio."""
    for scene in {r["knowlip:scene"] for r in rows}:
        row = next(r for r in rows if r["knowlip:scene"] == scene)
        path = built.out / row["assets"]["data"]["href"]
        ran = subprocess.run(["gdalinfo", "-json", "-checksum", path], capture_output=True, text=True, check=True)
        assert not ran.stderr
        told = json.loads(ran.stdout)
        assert told["size"] == row["proj:shape"][::-1]
        a, b, c, d, e, f = row["proj:transform"]
        assert told["geoTransform"] == pytest.approx([c, a, b, f, d, e])
        crs = pyproj.CRS(told["coordinateSystem"]["wkt"])
        assert crs.equals(pyproj.CRS(row["proj:wkt2"]), ignore_axis_order=True)
        if row["sar:polarizations"]:
            assert [band["description"] for band in told["bands"]] == row["sar:polarizations"]


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="needs GDAL's programs (gdal-bin), those of QGIS")
def test_the_gdal_of_qgis_reads_the_exported_geopackage(built, rows, tmp_path):
    export(built.corpus, "gpkg", str(tmp_path / "out"))
    (path,) = (tmp_path / "out").glob("*.gpkg")
    ran = subprocess.run(["ogrinfo", "-ro", "-so", "-al", path], capture_output=True, text=True, check=True)
    assert f"Feature Count: {len(rows)}" in ran.stdout
    assert "WGS 84" in ran.stdout
