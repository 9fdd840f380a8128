"""One image described without a corpus says what the corpus would say of the same pixels."""

import json

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from fakes import as_amplitude, ground_power, write_scene
from knowlip.cli.app import app
from knowlip.core.errors import ConfigError, SceneError
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.hcot.annotate import annotate, built_in
from knowlip.hcot.image import Window, describe_image, parse_window
from knowlip.scenes.sidecar import Declared
from knowlip.simulation.simulate import simulate

SOURCES = ("places", "climate")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A simulated scene of two by two tiles."""
    return simulate(tmp_path_factory.mktemp("image"), 1, 1, "sentinel1-iw", 512, 3)[0]


def test_a_window_that_is_a_tile_is_described_as_the_tile(scene, tmp_path):
    corpus = build_corpus([scene], str(tmp_path / "corpus"), BuildConfig()).corpus
    annotate(corpus, sources=SOURCES)
    rows = corpus.table("facts").to_pylist()
    texts = {s["statement_id"]: s["text"] for s in corpus.statements().to_pylist()}
    for tile in corpus.tiles.to_dict("records"):
        window = Window(tile["knowlip:col"], tile["knowlip:row"], 256, 256)
        found = describe_image(scene, window=window, sources=built_in(SOURCES))
        truth = {r["name"]: json.loads(r["value"]) for r in rows if r["tile_id"] == tile["id"]}
        said = {f.name: f.value for f in found.description.facts}
        # the corpus keeps a scene's percentiles rounded
        assert said.pop("image.brightness_db") == pytest.approx(truth.pop("image.brightness_db"), abs=0.01)
        assert said == truth
        assert len(found.description.statements) == sum(name.startswith(tile["id"]) for name in texts)
        properties = found.view.properties
        assert (properties.lon_deg, properties.lat_deg) == (tile["proj:centroid"]["lon"], tile["proj:centroid"]["lat"])
        assert properties.nearest_city == tile["knowlip:nearest_city"]


def test_the_command_prints_one_object(scene):
    ran = CliRunner().invoke(
        app, ["annotate", str(scene), "--json", "--window", "100,40,200,300", "--sources", "places"]
    )
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert set(told["cover"]) == {"water", "woodland", "farmland", "building", "road", "bare"}
    assert sum(told["cover"].values()) == pytest.approx(1, abs=0.02)
    assert told["main_landform"] == max(told["cover"], key=told["cover"].get)
    assert told["main_landform"] in told["landforms"]
    assert told["window"] == [100, 40, 200, 300]
    assert all(t["text"] for t in told["statements"])
    assert told["description"]["text"]
    assert len(told["captions"]) == (5 if any(a["kind"] == "count" for a in told["answers"]) else 0)
    assert {"main landform", "all landforms", "regional landform"} <= {a["kind"] for a in told["answers"]}
    for target in told["targets"]:
        x0, y0, x1, y1 = target["box"]
        assert -1 <= x0 < x1 <= 201
        assert -1 <= y0 < y1 <= 301


def test_a_picture_without_georeference_is_described_by_its_pixels(tmp_path):
    path = tmp_path / "chip.tif"
    pixels = as_amplitude(ground_power((96, 130), 1), -60)
    with rasterio.open(path, "w", "GTiff", width=130, height=96, count=1, dtype=pixels.dtype) as file:
        file.write(pixels.reshape(1, 96, 130))
    found = describe_image(path, Declared(chips=True), sources=built_in(("places",))).plain()
    assert found["lon_deg"] is None
    assert found["window"] == [0, 0, 130, 96]
    assert found["main_landform"] is not None


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "1,2,3,4.5", ""])
def test_a_window_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="X,Y,W,H"):
        parse_window(text)


@pytest.mark.parametrize(
    ("window", "error"),
    [
        (Window(-1, 0, 64, 64), ConfigError),
        (Window(0, 0, 513, 64), ConfigError),
        (Window(500, 0, 64, 64), ConfigError),
        (Window(0, 0, 0, 64), ConfigError),
        (Window(0, 0, 31, 64), SceneError),
    ],
)
def test_a_window_outside_or_too_small_is_refused(scene, window, error):
    with pytest.raises(error):
        describe_image(scene, window=window)


def test_a_window_without_data_is_refused(tmp_path):
    pixels = as_amplitude(ground_power((300, 300), 2), -60)
    pixels[..., :100, :100] = 0
    path = write_scene(tmp_path / "s.tif", pixels)
    with pytest.raises(SceneError, match="no valid pixel"):
        describe_image(path, Declared(nodata=0), Window(0, 0, 64, 64))


def test_options_of_images_are_refused_for_corpora(scene, tmp_path):
    build_corpus([scene], str(tmp_path / "corpus"), BuildConfig())
    ran = CliRunner().invoke(app, ["annotate", str(tmp_path / "corpus"), "--window", "0,0,64,64"])
    assert isinstance(ran.exception, ConfigError)
    ran = CliRunner().invoke(app, ["annotate", str(scene), "--engine", "vlm"])
    assert isinstance(ran.exception, ConfigError)


def test_no_statement_holds_a_value_that_is_not_finite(scene):
    found = describe_image(scene, sources=()).plain()
    assert all(np.isfinite(v) for v in found["cover"].values())
