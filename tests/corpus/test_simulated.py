"""Scenes simulated on the way into a corpus give what the two steps one after the other give."""

from itertools import islice

import pytest

from fakes import files_of
from knowlip.core.errors import ConfigError
from knowlip.core.settings import read_settings
from knowlip.corpus import simulated
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.simulated import SimulateSpec
from knowlip.simulation.simulate import simulate

SPECS = (
    SimulateSpec(sensor="sentinel1-iw", cities=1, scenes_per_city=2, size_px=256),
    SimulateSpec(sensor="gaofen3-ufs", cities=1, size_px=256),
)
CONFIG = BuildConfig.model_validate({"tiles": {"tile_size": 128}, "simulate": SPECS})
TABLES = ("scenes.parquet", "tiles.parquet", "objects.parquet")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    return build_corpus((), str(folder / "corpus"), CONFIG, rasters=folder / "kept"), folder


def test_tiles_are_those_of_scenes_that_were_simulated_before(built, tmp_path):
    for spec in SPECS:
        simulate(tmp_path / "scenes", spec.cities, spec.scenes_per_city, spec.sensor, spec.size_px, spec.seed)
    config = CONFIG.model_copy(update={"simulate": ()})
    build_corpus([tmp_path / "scenes"], str(tmp_path / "corpus"), config)
    one, two = files_of(built[1] / "corpus"), files_of(tmp_path / "corpus")
    assert one.keys() == two.keys()
    # corpus.json and croissant.json say how the corpus came about, which differs
    assert not [name for name in one if name not in ("corpus.json", "croissant.json") and one[name] != two[name]]
    assert built[0].corpus.info["counts"] == {"scenes": 3, "tiles": 12, "simulated_scenes": 3} | {
        k: v for k, v in built[0].corpus.info["counts"].items() if k not in ("scenes", "tiles", "simulated_scenes")
    }


def test_scenes_are_kept_only_where_a_folder_is_named(built, tmp_path, monkeypatch):
    assert len(list((built[1] / "kept").glob("*/sim-*.tif"))) == 3
    monkeypatch.setattr(simulated, "user_cache_dir", lambda _: str(tmp_path / "cache"))
    build_corpus((), str(tmp_path / "corpus"), CONFIG)
    assert not list((tmp_path / "cache").rglob("*.tif"))


def test_a_build_that_ended_early_goes_on_without_simulating_again(built, tmp_path, monkeypatch):
    done = []

    def stop(done_n, total, name):
        done.append(name)
        if len(done) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_corpus((), str(tmp_path / "corpus"), CONFIG, progress=stop, rasters=tmp_path / "kept")
    made = []
    real = simulated.make_scene
    monkeypatch.setattr(
        simulated, "make_scene", lambda order, folder: made.append(order.scene_id) or real(order, folder)
    )
    build_corpus((), str(tmp_path / "corpus"), CONFIG, rasters=tmp_path / "kept")
    assert not set(made) & set(islice(done, 2))
    assert files_of(tmp_path / "corpus") == files_of(built[1] / "corpus")


def test_a_file_with_the_name_of_a_simulated_scene_is_refused(built, tmp_path):
    kept = next((built[1] / "kept").glob("*/sim-sentinel1*-00.tif"))
    result = build_corpus([kept], str(tmp_path / "corpus"), CONFIG, rasters=built[1] / "kept")
    assert [r.reason for r in result.rejected] == ["has the name of a scene that is simulated"]
    assert result.corpus.info["counts"]["scenes"] == 3


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        ("[{sensor: gaofen}]", "unknown sensor"),
        ("[{sensor: qilu1, cities: 136}]", "1 to 135"),
        ("[{sensor: qilu1, size_px: 100}]", "256 to"),
        ("[{sensor: qilu1}, {sensor: qilu1, seed: 3}]", "twice"),
        ("[{sensor: qilu1, seed: -1}]", "greater than or equal to 0"),
        ("[{sensr: qilu1}]", "unknown key"),
    ],
)
def test_orders_that_cannot_be_met_are_refused_before_anything_is_made(tmp_path, specs, reason):
    with pytest.raises(ConfigError, match=reason):
        build_corpus((), str(tmp_path / "corpus"), read_settings(BuildConfig, None, [f"simulate={specs}"], ""))
    assert not (tmp_path / "corpus").exists()


def test_the_configuration_of_the_reference_s_scale_orders_as_many_tiles():
    from pathlib import Path

    path = Path(__file__).parents[2] / "configs" / "corpus" / "geovl.yaml"
    config = read_settings(BuildConfig, path, [], "")
    tiles = [s.cities * s.scenes_per_city * (s.size_px // config.tiles.tile_size) ** 2 for s in config.simulate]
    assert sum(tiles) >= 120_000
    assert {s.cities for s in config.simulate} == {135}
    assert len(config.simulate) >= 3
