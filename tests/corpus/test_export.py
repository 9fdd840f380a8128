import json
import tarfile
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pystac
import pytest
import rasterio
import shapely
from PIL import Image
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension

from corpora import CONFIG, OBJECTS, TILE
from fakes import files_of
from knowlip.core.errors import ConfigError, OutputError
from knowlip.core.geoproperties import GeoProperties
from knowlip.corpus.build import build_corpus
from knowlip.corpus.export import FORMATS, ExportSpec, export
from knowlip.corpus.store import STATEMENT_SCHEMA, open_corpus

EMPTY = dict.fromkeys(STATEMENT_SCHEMA.names)


@pytest.fixture(scope="module")
def told(built, tmp_path_factory):
    """The corpus of all kinds of scenes, with two statements for each tile, one of them dropped later."""
    out = tmp_path_factory.mktemp("told") / "corpus"
    corpus = build_corpus([built.scenes], str(out), CONFIG).corpus
    rows, dropped = [], []
    for tile_id in corpus.tile_ids():
        for k, text in enumerate(("Water fills the upper left.", "A lone ship.")):
            row = {"statement_id": f"{tile_id}/{k}", "tile_id": tile_id, "schema": "landform", "dimension": "water"}
            row |= {"text": text, "slots": [], "facts": [], "confidence": 0.5, "round": 0, "status": "original"}
            rows.append(EMPTY | row | {"engine": "evidence"})
        dropped.append(rows[-1] | {"round": 1, "status": "dropped"})
    for number, table in enumerate((rows, dropped)):
        name = f"statements/round={number:02d}/part.parquet"
        corpus.folder.write_table(name, pa.Table.from_pylist(table, schema=STATEMENT_SCHEMA))
    return open_corpus(str(out))


@pytest.fixture(scope="module")
def exported(told, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    for kind in FORMATS:
        counts = export(told, kind, str(folder / kind), ExportSpec(shard_tiles=10))
        assert counts["tiles"] == 58
        assert counts["files"] == len(files_of(folder / kind))
    return folder


def test_webdataset_shards_hold_files_properties_and_statements_of_every_tile(told, exported):
    index = json.loads((exported / "webdataset" / "index.json").read_text())
    found = {}
    for shard in index["shards"]:
        assert shard["samples"] <= 10
        with tarfile.open(exported / "webdataset" / shard["name"]) as tar:
            names = tar.getnames()
            content = {n: tar.extractfile(n).read() for n in names}
        # files of a sample share the name up to the first dot and follow each other
        keys = [n.split(".")[0] for n in names]
        assert [k for i, k in enumerate(keys) if i == 0 or keys[i - 1] != k] == sorted(set(keys))
        assert len(set(keys)) == shard["samples"]
        for key in set(keys):
            about = json.loads(content[f"{key}.json"])
            found[about["tile_id"]] = shard["name"]
            properties = GeoProperties.model_validate(about["geoproperties"])
            assert (properties.split or "none") == shard["name"].split("-")[0]
            assert content[f"{key}.txt"].decode() == "Water fills the upper left.\n"
            path = Path(told.folder.path(f"tiles/{about['scene_id']}/{about['tile_id']}.tif"))
            assert content[f"{key}.tif"] == path.read_bytes()
    assert sorted(found) == told.tile_ids()


@pytest.mark.parametrize("pixels", ["tif", "npy"])
def test_webdataset_has_the_same_bytes_each_time(told, tmp_path, pixels):
    for name in "ab":
        export(told, "webdataset", str(tmp_path / name), ExportSpec("train", 7, pixels))
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_the_stac_catalogue_is_whole_and_self_contained(told, exported):
    root = pystac.Collection.from_file(str(exported / "stac" / "collection.json"))
    items = list(root.get_items(recursive=True))
    assert sorted(i.id for i in items) == told.tile_ids()
    for item in items:
        assert item.get_collection().id == root.id == CONFIG.name
        assert item.get_root().id == root.id
        assert all(not link.href.startswith(("/", "http")) for link in item.links if link.rel != "self")
        asset = item.assets["data"]
        assert asset.href.startswith("./")
        with rasterio.open(asset.get_absolute_href()) as tile:
            projection = ProjectionExtension.ext(item)
            assert tuple(tile.transform)[:6] == tuple(projection.transform)
            bands = RasterExtension.ext(asset).bands
            assert [str(b.data_type) for b in bands] == list(tile.dtypes)
            assert all((b.nodata is None) == (tile.nodata is None) for b in bands)
    schemas = pytest.importorskip("pystac.validation.local_validator").LocalValidator()
    for path in (exported / "stac").rglob("*.json"):
        value = json.loads(path.read_text())
        validator = {"Feature": "item", "Catalog": "catalog", "Collection": "collection"}[value["type"]]
        assert [e.message for e in getattr(schemas, f"{validator}_validator")("1.1.0").iter_errors(value)] == []


def test_coco_opens_in_pycocotools_with_oriented_boxes_around_the_targets(told, exported, capsys):
    coco_module = pytest.importorskip("pycocotools.coco")
    targets = {o["object_id"]: o for o in told.table("objects").to_pylist()}
    images, seen = 0, set()
    for path in sorted((exported / "coco" / "annotations").glob("instances_*.json")):
        coco = coco_module.COCO(str(path))
        images += len(coco.imgs)
        split = path.stem.removeprefix("instances_")
        for image in coco.imgs.values():
            with Image.open(exported / "coco" / "images" / split / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"]) == (TILE, TILE)
        for annotation in coco.anns.values():
            o = targets[annotation["object_id"]]
            seen.add(annotation["object_id"])
            assert coco.imgs[annotation["image_id"]]["tile_id"] == o["tile_id"]
            assert coco.cats[annotation["category_id"]]["name"] == o["cls"]
            # the mask that pycocotools draws is as large as the polygon, to a pixel along its edge
            mask = coco.annToMask(annotation)
            assert mask.sum() == pytest.approx(annotation["area"], abs=12)
            rows, cols = np.nonzero(mask)
            x, y, w, h = annotation["bbox"]
            assert np.reshape(annotation["corners"], (4, 2)).tolist() == np.reshape(o["corners"], (4, 2)).tolist()
            assert (cols.min(), rows.min()) == pytest.approx((x, y), abs=1)
            assert (cols.max() + 1, rows.max() + 1) == pytest.approx((x + w, y + h), abs=1)
    assert images == 58
    assert seen == {o["object_id"] for o in OBJECTS} - {"on the rim"}
    captions = json.loads(next((exported / "coco" / "annotations").glob("captions_train.json")).read_text())
    assert {c["caption"] for c in captions["annotations"]} == {"Water fills the upper left."}


def test_the_geopackage_opens_with_tiles_and_targets_in_their_places(told, exported):
    path = exported / "gpkg" / "corpus.gpkg"
    assert {str(name) for name, _ in pyogrio.list_layers(path)} == {"tiles", "objects", "statements"}
    tiles = geopandas.read_file(path, layer="tiles").set_index("tile_id")
    assert tiles.crs.to_epsg() == 4326
    truth = geopandas.read_parquet(told.folder.path("tiles.parquet")).set_index("id")
    assert set(tiles.index) == set(truth.index)
    assert all(tiles.geometry[i].equals(truth.geometry[i]) for i in truth.index)
    targets = geopandas.read_file(path, layer="objects").set_index("object_id")
    for o in told.table("objects").to_pylist():
        with rasterio.open(told.folder.path(f"tiles/a-simulated-scene/{o['tile_id']}.tif")) as tile:
            x, y = tile.transform @ (o["centre_x"], o["centre_y"])
            lon, lat = pyproj.Transformer.from_crs(tile.crs.to_wkt(), 4326, always_xy=True).transform(x, y)
        assert targets.geometry[o["object_id"]].contains(shapely.Point(lon, lat))
    said = pyogrio.read_dataframe(path, layer="statements")
    assert sorted(said["tile_id"]) == told.tile_ids()


def test_hugging_face_shards_hold_every_tile_once(told, exported):
    tables = {p.name: pq.read_table(p) for p in sorted((exported / "hf" / "data").glob("*.parquet"))}
    assert all(len(t) <= 10 for t in tables.values())
    rows = [r | {"file": name} for name, t in tables.items() for r in t.to_pylist()]
    assert sorted(r["tile_id"] for r in rows) == told.tile_ids()
    for row in rows:
        assert row["file"].split("-")[0] == (told.tiles.at[row["tile_id"], "knowlip:split"] or "none")
        assert [s["text"] for s in row["statements"]] == ["Water fills the upper left."]
        with rasterio.MemoryFile(row["tif"]) as memory, memory.open() as tile:
            np.testing.assert_array_equal(tile.read(), told.stored_pixels(row["tile_id"])[0])
    assert (exported / "hf" / "README.md").read_text().startswith("---\n")


def test_hugging_face_shards_open_with_datasets(exported, tmp_path):
    datasets = pytest.importorskip("datasets")
    files = {"train": str(exported / "hf" / "data" / "train-*.parquet")}
    found = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))["train"]
    assert {"tile_id", "tif", "geoproperties", "statements"} <= set(found.column_names)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_export_that_fails_leaves_nothing(told, tmp_path, kind, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    out = tmp_path / "out"
    with pytest.raises(OutputError, match="no space left"):
        export(told, kind, str(out), progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_an_export_refuses_a_folder_that_holds_something(told, tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(OutputError, match="is there already"):
        export(told, "gpkg", str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_an_unknown_format_or_split_is_one_line(told, tmp_path):
    for kind, spec in (("tfrecord", ExportSpec()), ("coco", ExportSpec(split="dev"))):
        with pytest.raises(ConfigError):
            export(told, kind, str(tmp_path / "out"), spec)
    assert not (tmp_path / "out").exists()
