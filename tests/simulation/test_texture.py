import numpy as np
import pytest

from knowlip.simulation.ground import LandCover
from knowlip.simulation.imaging.texture import CLASS_TEXTURE, FINE_M, ground_texture

SHAPE = (800, 800)


def texture_of(cls, gsd_m=10.0, parcel_px=20):
    rows, cols = np.arange(SHAPE[0])[:, None] // parcel_px, np.arange(SHAPE[1])[None, :] // parcel_px
    parcels = (rows * 1000 + cols).astype(np.int32)
    return ground_texture(np.full(SHAPE, cls, np.uint8), parcels, gsd_m, np.random.default_rng(4))


@pytest.mark.parametrize("cls", [c for c in LandCover if c != LandCover.UNKNOWN])
@pytest.mark.parametrize("gsd_m", [1.0, 10.0])
def test_texture_keeps_a_class_at_its_mean(cls, gsd_m):
    assert texture_of(cls, gsd_m).mean(dtype=float) == pytest.approx(1, abs=0.04)


def test_texture_leaves_water_alone():
    assert (texture_of(LandCover.WATER) == 1).all()


def test_parcels_differ_by_their_deviation():
    db = 10 * np.log10(texture_of(LandCover.FARMLAND).reshape(40, 20, 40, 20).mean(axis=(1, 3)))
    assert db.std() == pytest.approx(np.hypot(CLASS_TEXTURE[LandCover.FARMLAND].parcel_db, 0.5), abs=0.15)


def test_a_coarser_pixel_averages_what_stands_in_it():
    # the variance left is 1 / (1 + (pixel / length)^2), in between many places a pixel and many pixels a place
    fine = CLASS_TEXTURE[LandCover.WOODLAND].fine_db
    db = 10 * np.log10(texture_of(LandCover.WOODLAND, 40.0))
    # neighbours differ by the fine part alone, which is independent from pixel to pixel here
    left = np.std(np.diff(db, axis=1)) / np.sqrt(2)
    assert left == pytest.approx(fine / np.sqrt(1 + (40.0 / FINE_M) ** 2), rel=0.25)


def test_fine_pixels_show_the_correlation_length():
    x = np.log(texture_of(LandCover.WOODLAND, 1.0, parcel_px=800))
    x = x - x.mean()
    lag = round(FINE_M)
    near, far = (np.mean(x[k:] * x[:-k]) for k in (lag, 60))
    assert (near - far) / (x.var() - far) == pytest.approx(1 / np.e, abs=0.08)
