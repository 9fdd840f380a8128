import numpy as np
import pytest

from knowlip.simulation.ground import LandCover
from knowlip.simulation.imaging.backscatter import level_db, mean_sigma0

LAND = [LandCover.WOODLAND, LandCover.FARMLAND, LandCover.BUILDING, LandCover.ROAD, LandCover.BARE]

# Ulaby & Dobson 1989, rounded middles of what it tabulates near 38 degrees; typed here again: VV, HH, cross
TYPICAL_DB = {
    ("C", LandCover.WOODLAND): (-8, -8, -13.5),
    ("C", LandCover.FARMLAND): (-12, -12, -20.2),
    ("C", LandCover.ROAD): (-17, -18, -24),
    ("C", LandCover.BARE): (-14, -14.5, -20.5),
    ("X", LandCover.WOODLAND): (-8.5, -8.5, -14),
    ("X", LandCover.FARMLAND): (-11, -11, -19.2),
    ("X", LandCover.ROAD): (-16, -17, -23),
    ("X", LandCover.BARE): (-12.5, -13, -19),
}


@pytest.mark.parametrize(("band", "cls"), list(TYPICAL_DB))
def test_level_of_a_terrain_is_the_published_one(band, cls):
    for polarisation, expected in zip(("VV", "HH", "VH"), TYPICAL_DB[band, cls], strict=True):
        assert level_db(band, polarisation, cls) == expected
        seen = mean_sigma0(np.full((4, 4), cls, np.uint8), band, polarisation, 38.0)
        assert 10 * np.log10(seen) == pytest.approx(expected, abs=0.01)


def test_woodland_is_as_bright_as_the_rain_forest_that_calibrates_radars():
    # gamma nought -6.5 dB in C band, whatever the angle (Hawkins et al. 2000)
    for angle in (25.0, 38.0, 45.0):
        gamma = level_db("C", "HH", LandCover.WOODLAND, angle) - 10 * np.log10(np.cos(np.deg2rad(angle)))
        assert gamma == pytest.approx(-6.5, abs=1.0)


def test_ku_band_land_is_within_what_seasat_saw():
    # -14 to -6 dB above 20 degrees (Bracalente et al. 1980)
    for cls in (LandCover.WOODLAND, LandCover.FARMLAND, LandCover.BARE):
        for angle in (25.0, 40.0, 50.0):
            assert -14 < level_db("Ku", "VV", cls, angle) < -6


@pytest.mark.parametrize("cls", [*LAND, LandCover.WATER])
@pytest.mark.parametrize("band", ["C", "X", "Ku"])
def test_no_class_brightens_with_incidence(band, cls):
    for polarisation in ("VV", "HH"):
        fall = np.diff([level_db(band, polarisation, cls, float(a)) for a in range(20, 60)])
        assert (fall < 0).all()


def test_fall_with_incidence_is_sentinel1s():
    # some -0.05 dB per degree over forest, up to -0.15 over fields (Widhalm et al. 2018)
    for cls, low, high in ((LandCover.WOODLAND, -0.09, -0.03), (LandCover.FARMLAND, -0.16, -0.07)):
        per_deg = (level_db("C", "VH", cls, 45.0) - level_db("C", "VH", cls, 31.0)) / 14
        assert low < per_deg < high


def test_a_map_of_angles_gives_what_each_angle_gives():
    landcover = np.random.default_rng(0).integers(1, 7, (40, 30)).astype(np.uint8)
    angles = np.linspace(20, 50, 1200, dtype=np.float32).reshape(40, 30)
    seen = mean_sigma0(landcover, "C", "VV", angles)
    for r, c in ((0, 0), (17, 3), (39, 29)):
        expected = level_db("C", "VV", LandCover(int(landcover[r, c])), float(angles[r, c]))
        assert 10 * np.log10(seen[r, c]) == pytest.approx(expected, abs=0.05)


def test_what_is_not_there_is_said():
    with pytest.raises(ValueError, match="band 'L'"):
        level_db("L", "VV", LandCover.BARE)
    with pytest.raises(ValueError, match="polarisation 'RH'"):
        mean_sigma0(np.ones((2, 2), np.uint8), "C", "RH", 38.0)
