"""Claims about what a model reads: images of another kind are converted, or refused with what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Radiometry
from knowlip.model.embedder import load_embedder
from knowlip.model.processor import Image, Processor, averaged_db

SIGMA0 = Radiometry(quantity="power", convention="sigma0")


def kinds(power, polarisations=("VV",)):
    """One tile as linear power, as decibel, and as a 16-bit amplitude with and without its calibration."""
    amplitude = np.round(np.sqrt(power) * 10**3.5).clip(1, 65535).astype(np.uint16)
    calibrated = Radiometry(quantity="amplitude", convention="sigma0", calibration_db=-70)
    return {
        "power": Image(power, SIGMA0, polarisations, 10.0),
        "db": Image(10 * np.log10(power), Radiometry(quantity="db", convention="sigma0"), polarisations, 10.0),
        "amplitude": Image(amplitude, calibrated, polarisations, 10.0),
    }


def speckled(shape=(1, 64, 64), seed=0):
    rng = np.random.default_rng(seed)
    level = np.repeat(np.repeat(rng.gamma(2, 0.05, (shape[0], 4, 4)), 16, 1), 16, 2)
    return (level * rng.gamma(4, 0.25, shape)).astype(np.float32)


def test_embedding_does_not_depend_on_how_a_tile_is_stored(trained):
    _, corpus, folder = trained
    embedder = load_embedder(folder)
    for tile_id in corpus.tile_ids("test")[:4]:
        tile = corpus.pixels(tile_id)
        power = (10 ** (tile.db / 10)).astype(np.float32)
        expected = embedder.images([tile])[1][0]
        for kind, image in kinds(power, tile.polarisations).items():
            gsd_m = float(corpus.tiles.loc[tile_id, "gsd"])
            cosine = float(embedder.image(replace(image, gsd_m=gsd_m)) @ expected)
            assert cosine >= 0.999, f"{kind} of {tile_id}: {cosine}"


def test_trained_model_says_what_it_was_trained_on(trained):
    _, corpus, folder = trained
    processor = load_embedder(folder).processor
    train = corpus.tiles[corpus.tiles["knowlip:split"] == "train"]
    assert processor.gsd_range_m == (train["gsd"].min(), train["gsd"].max())
    assert processor.polarisations == ("VH", "VV")
    assert processor.image_size == 128


def test_processor_survives_json():
    processor = Processor(image_size=128, polarisations=("VV",), gsd_range_m=(5.0, 10.0))
    assert Processor.from_dict(processor.to_dict()) == processor


def test_uncalibrated_amplitude_is_measured_from_its_bright_level():
    power = speckled()
    counts = np.round(np.sqrt(power) * 3000).clip(1, 65535).astype(np.uint16)
    amplitude = Image(counts, Radiometry(quantity="amplitude"), ("VV",))
    brighter = Image(counts * 2, Radiometry(quantity="amplitude"), ("VV",))
    a, b = Processor().read(amplitude), Processor().read(brighter)
    np.testing.assert_allclose(a, b, atol=1e-4)
    bright = np.percentile(a, (75, 95)).mean() * 6 - 10
    assert bright == pytest.approx(-5.5, abs=0.05)


@pytest.mark.parametrize(
    ("convention", "factor"), [("beta0", 1 / np.sin(np.radians(35))), ("gamma0", 1 / np.cos(np.radians(35)))]
)
def test_other_conventions_are_converted_by_the_incidence_angle(convention, factor):
    power = speckled()
    theirs = Image((power * factor).astype(np.float32), Radiometry(quantity="power", convention=convention), ("VV",))
    ours = Processor().read(Image(power, SIGMA0, ("VV",)))
    np.testing.assert_allclose(Processor().read(replace(theirs, incidence_deg=35.0)), ours, atol=1e-5)
    with pytest.raises(SceneError, match=rf"is {convention}, the model reads sigma0.*Give incidence_deg"):
        Processor().read(theirs)


def test_finer_pixels_are_averaged_in_power():
    power = speckled()
    coarse = power.reshape(1, 32, 2, 32, 2).mean((2, 4))
    processor = Processor(gsd_range_m=(10.0, 10.0))
    fine = processor.read(Image(power, SIGMA0, ("VV",), 5.0))
    assert fine.shape == (1, 32, 32)
    np.testing.assert_allclose(fine, processor.read(Image(coarse, SIGMA0, ("VV",), 10.0)), atol=1e-5)


def test_averaging_leaves_no_data_out():
    db = np.zeros((1, 2, 4), np.float32)
    db[0, 0, 0] = np.nan
    db[0, :, 2:] = np.nan
    np.testing.assert_array_equal(averaged_db(db, 2), np.array([[[0, np.nan]]], np.float32))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"polarisations": ("HH",)}, "has the polarisation HH. The model was trained on VH, VV"),
        ({"polarisations": ("VV", "VH")}, "has 1 channels and 2 polarisations"),
        ({"gsd_m": None}, "has no ground sample distance, and the model reads 5 to 10 m. Give gsd_m"),
        ({"gsd_m": 40.0}, "has pixels of 40 m, and the model reads 5 to 10 m"),
        ({"nodata": 0.0, "pixels": np.zeros((1, 8, 8), np.float32)}, "has no valid pixel"),
    ],
)
def test_what_is_missing_is_said(change, line):
    processor = Processor(polarisations=("VH", "VV"), gsd_range_m=(5.0, 10.0))
    image = Image(speckled(), SIGMA0, ("VV",), 10.0, name="tile.tif")
    with pytest.raises(SceneError, match=line) as error:
        processor.read(replace(image, **change))
    assert str(error.value).startswith("tile.tif: ")


def test_no_data_is_the_middle_of_the_scale():
    power = speckled()
    power[0, :8] = 0
    seen = Processor().read(Image(power, SIGMA0, ("VV",), nodata=0.0))
    assert (seen[0, :8] == 0).all()
    assert np.isfinite(seen).all()
