import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from rasterio import open as open_raster

from fakes import as_amplitude, as_db, as_power, ground_power, write_scene
from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Radiometry, parse_radiometry
from knowlip.scenes.geotiff import open_scene, read_window
from knowlip.scenes.sidecar import Declared

GROUND = ground_power((300, 310), seed=3)


def read_db(path, declared=None):
    scene = open_scene(path, declared or Declared())
    with open_raster(path) as dataset:
        return scene.radiometry.to_db(read_window(dataset, path, 0, 0, 300, 310))[0]


def test_power_decibel_and_calibrated_amplitude_of_the_same_ground_agree(tmp_path):
    sidecar = {"radiometry": {"quantity": "amplitude", "convention": "sigma0", "calibration_db": -83.0}}
    power = read_db(write_scene(tmp_path / "power.tif", as_power(GROUND)))
    decibel = read_db(write_scene(tmp_path / "db.tif", as_db(GROUND)))
    amplitude = read_db(write_scene(tmp_path / "dn.tif", as_amplitude(GROUND, -83.0), sidecar=sidecar))
    truth = 10 * np.log10(GROUND)
    for measured in (power, decibel, amplitude):
        assert np.abs(measured - truth).max() < 0.05


def test_float_pixels_are_told_apart_by_their_values(tmp_path):
    assert open_scene(write_scene(tmp_path / "p.tif", as_power(GROUND))).radiometry.quantity == "power"
    assert open_scene(write_scene(tmp_path / "d.tif", as_db(GROUND))).radiometry.quantity == "db"


def test_inference_says_that_it_is_one_and_claims_no_calibration(tmp_path):
    for name, pixels in (("p", as_power(GROUND)), ("d", as_db(GROUND)), ("a", as_amplitude(GROUND, -83.0))):
        radiometry = open_scene(write_scene(tmp_path / f"{name}.tif", pixels)).radiometry
        assert radiometry.source.startswith("inferred")
        assert not radiometry.calibrated


def test_no_data_does_not_mislead_the_inference(tmp_path):
    power = as_power(GROUND)
    power[:200] = -9999
    assert open_scene(write_scene(tmp_path / "a.tif", power, nodata=-9999)).radiometry.quantity == "power"
    power[:200] = np.nan
    assert open_scene(write_scene(tmp_path / "b.tif", power, nodata=np.nan)).radiometry.quantity == "power"


@pytest.mark.parametrize("scale", [100.0, 1e6])
def test_float_amplitude_is_refused_until_declared(tmp_path, scale):
    path = write_scene(tmp_path / "x.tif", (np.sqrt(GROUND) * scale).astype(np.float32))
    with pytest.raises(SceneError, match="--radiometry"):
        open_scene(path)
    declared = Declared(radiometry=parse_radiometry(f"sigma0-amplitude:{-20 * np.log10(scale)}"))
    assert np.abs(read_db(path, declared) - 10 * np.log10(GROUND)).max() < 0.05


def test_a_declaration_wins_over_the_sidecar(tmp_path):
    path = write_scene(tmp_path / "x.tif", as_db(GROUND), sidecar={"radiometry": {"quantity": "power"}})
    assert open_scene(path).radiometry == Radiometry(quantity="power", source="sidecar")
    assert open_scene(path, Declared(radiometry=parse_radiometry("gamma0-db"))).radiometry.convention == "gamma0"


CONVENTIONS = st.sampled_from(["uncalibrated", "sigma0", "beta0", "gamma0"])
QUANTITIES = st.sampled_from(["power", "db", "amplitude"])


@given(CONVENTIONS, QUANTITIES, st.floats(-300, 300), st.booleans(), st.booleans())
def test_every_declaration_is_read_as_it_is_written(convention, quantity, calibration, upper, linear):
    word = "linear" if linear and quantity == "power" else quantity
    text = (word if convention == "uncalibrated" else f"{convention}-{word}") + f":{calibration!r}"
    read = parse_radiometry(text.upper() if upper else text)
    assert (read.convention, read.quantity, read.calibration_db) == (convention, quantity, calibration)


WORDS = st.lists(st.sampled_from(["sigma0", "beta0", "power", "db", "linear", "amplitude", "", "nan", "inf", "-3"]))


@given(st.one_of(st.text(), WORDS.map("-".join), WORDS.map(":".join), WORDS.map("".join)))
def test_a_declaration_is_understood_or_refused_never_half_read(text):
    try:
        read = parse_radiometry(text)
    except ValueError:
        return
    assert read.quantity in text.lower().replace("linear", "power")
    assert np.isfinite(read.calibration_db)
    assert read.calibrated == any(word in text.lower() for word in ("sigma0", "beta0", "gamma0"))


@pytest.mark.parametrize(
    "text", ["", "sigma0", "db-db", "sigma0-db-power", "delta0-db", "db:loud", "db:nan", "db:1e999"]
)
def test_what_is_no_declaration_is_refused(text):
    with pytest.raises(ValueError, match=r"is not one of|finite|could not convert"):
        parse_radiometry(text)


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(arrays(np.float32, array_shapes(max_dims=3), elements=FLOATS), QUANTITIES, st.floats(-100, 100))
def test_decibel_of_finite_pixels_is_finite_and_rises_with_them(pixels, quantity, calibration):
    db = Radiometry(quantity=quantity, calibration_db=calibration).to_db(pixels)
    assert db.dtype == np.float32
    assert db.shape == pixels.shape
    assert np.isfinite(db).all()
    assert (np.diff(db.ravel()[np.argsort(pixels, axis=None, kind="stable")]) >= 0).all()


@given(arrays(np.uint16, array_shapes(max_dims=2)))
def test_integer_amplitude_zero_is_below_one_but_not_nothing(pixels):
    db = Radiometry(quantity="amplitude").to_db(pixels)
    assert np.isfinite(db).all()
    truth = 20 * np.log10(np.maximum(pixels.astype(float), 0.5))
    np.testing.assert_allclose(db, truth, atol=1e-3)
