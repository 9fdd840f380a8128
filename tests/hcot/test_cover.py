"""Land cover against maps drawn by others and against known mixtures."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowlip.core.statements import LANDCOVER
from knowlip.corpus.store import TilePixels
from knowlip.hcot import cover
from knowlip.hcot.cover.shares import corrected_shares
from knowlip.hcot.cover.thresholds import DISTINCT, minimum_error

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def benchmark(name):
    """A module of `benchmarks/`, which is not a package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(BENCHMARKS))


def speckle(mean_db, seed=0):
    rng = np.random.default_rng(seed)
    return (np.asarray(mean_db) + 10 * np.log10(rng.gamma(4.4, 1 / 4.4, np.shape(mean_db)))).astype(np.float32)


def test_quad_polarised_classes_agree_with_polsf(real_data):
    figures = benchmark("hcot").pauli(real_data)
    assert figures["mean"] > 0.6
    assert min(figures.values()) > 0.45


def test_flood_is_found_as_well_as_one_threshold_that_knows_the_mask_could(real_data):
    figures = benchmark("hcot").flood(real_data)
    assert figures["VV_VH"] > figures["best_threshold"] - 0.06


def test_real_development_scene_of_city_and_sea(real_data):
    """Santa Monica: half sea, the rest built up; pixels alone, without the coastline."""
    import rasterio

    optical = benchmark("hcot_optical")
    with rasterio.open(real_data / "s1_scenes" / "S1A_20201107T135241_059.tif") as scene:
        db = 20 * np.log10(np.maximum(scene.read(), 0.5)).astype(np.float32)
    found = cover.segment(TilePixels(db, ("VH",), False, np.zeros(1, np.float32)))
    true = optical.optical_classes(real_data / "s2_rgb" / "S2_059.jpg")
    assert np.mean(found[true == optical.WATER] == cover.CODE["water"]) > 0.97
    built = np.isin(found, [cover.CODE["building"], cover.CODE["road"]])
    assert np.mean(built[true == optical.BUILT]) > 0.6


def test_expected_shares_of_simulated_tiles_are_close_to_truth(described):
    import json

    shares = {}
    for row in described.table("facts").to_pylist():
        if row["name"].startswith("cover.") and row["name"].endswith(".share"):
            shares.setdefault(row["tile_id"], {})[row["name"].split(".")[1]] = json.loads(row["value"])
    errors = []
    for tile_id in described.tile_ids():
        truth = np.bincount(described.landcover(tile_id).ravel(), minlength=7)[1:]
        truth = truth / truth.sum()
        errors += [abs(shares[tile_id][n] - t) for n, t in zip(LANDCOVER.values(), truth, strict=True)]
    assert np.mean(errors) < 0.06


@pytest.mark.parametrize("shape", [(64, 64), (65, 97), (130, 71)])
def test_mask_is_on_the_images_own_grid(shape):
    db = speckle(np.stack([np.full(shape, -8.5), np.full(shape, -14.0)]))
    db[:, :5, :7] = np.nan
    codes = cover.segment(TilePixels(db, ("VV", "VH"), True, np.zeros(2, np.float32)))
    assert codes.shape == shape
    assert codes.dtype == np.uint8
    assert (codes[:5, :7] == 0).all()
    assert (codes[8:, 8:] > 0).all()


def test_image_without_data_has_no_cover():
    db = np.full((1, 64, 64), np.nan, np.float32)
    for names, bands in ((("VH",), 1), (cover.PAULI, 3)):
        pixels = TilePixels(db.repeat(bands, 0), names, False, np.zeros(bands, np.float32))
        assert (cover.segment(pixels) == 0).all()


def test_probabilities_sum_to_one_where_there_is_data():
    db = speckle(np.stack([np.full((128, 128), -8.5), np.full((128, 128), -14.0)]))
    db[:, :, :40] = np.nan
    pixels = TilePixels(db, ("VV", "VH"), True, np.zeros(2, np.float32))
    level = cover.scene_level([cover.measure(pixels)], pixels.polarisations, True, None)
    found = cover.classify(pixels, level)
    total = found.probability.sum(axis=0)
    assert total[:, 20:] == pytest.approx(1, abs=1e-4)
    assert (total[:, :20] == 0).all()
    assert sum(found.share(n) for n in LANDCOVER.values()) == pytest.approx(1, abs=1e-3)


@given(gap=st.floats(6, 20), share=st.floats(0.1, 0.9), offset=st.floats(-60, 60), spread=st.floats(0.3, 1.0))
def test_minimum_error_threshold_parts_two_populations(gap, share, offset, spread):
    rng = np.random.default_rng(0)
    low = rng.normal(offset, spread, int(4000 * share))
    high = rng.normal(offset + gap, spread, 4000 - len(low))
    split = minimum_error(np.concatenate([low, high]))
    assert split.distinctness > DISTINCT
    assert np.mean(low < split.threshold) > 0.97
    assert np.mean(high >= split.threshold) > 0.97


def test_flat_image_has_no_threshold():
    assert minimum_error(np.full(1000, 3.0)) is None


def test_a_map_decides_between_covers_that_look_alike_and_not_against_plain_sight():
    rng = np.random.default_rng(2)
    # between the levels of fields and of bare ground, and as smooth as either
    between = TilePixels(_speckle(rng, -12.4, -18.9), ("VV", "VH"), True, np.zeros(2, np.float32))
    level = cover.scene_level([cover.measure(between)], between.polarisations, True, None)
    for name in ("farmland", "bare"):
        mapped = np.full((128, 128), cover.CODE[name], np.uint8)
        found = cover.classify(between, level, map_cover=mapped)
        others = [c for c in cover.CLASSES if c != name]
        assert found.share(name) > max(found.share(c) for c in others), name
    sea = TilePixels(_speckle(rng, -21.0, -26.0), ("VV", "VH"), True, np.zeros(2, np.float32))
    for name in ("farmland", "bare", "water"):
        mapped = np.full((128, 128), cover.CODE[name], np.uint8)
        assert cover.classify(sea, level, map_cover=mapped).share("water") > 0.8, name
    silent = cover.classify(sea, level, map_cover=np.zeros((128, 128), np.uint8))
    np.testing.assert_allclose(silent.probability, cover.classify(sea, level).probability)


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6).filter(lambda v: sum(v) > 0.1), st.booleans())
def test_corrected_shares_stay_shares(values, with_map):
    expected = np.array(values) / sum(values)
    corrected = corrected_shares(expected, with_map)
    assert (corrected >= 0).all()
    assert corrected.sum() == pytest.approx(1)
    assert corrected[cover.CLASSES.index("building")] <= expected[cover.CLASSES.index("building")] * 1.2 + 1e-9


def _speckle(rng, vv_db, vh_db):
    level = np.array([vv_db, vh_db])[:, None, None]
    return (level + 10 * np.log10(rng.gamma(4.4, 1 / 4.4, (2, 128, 128)))).astype(np.float32)
