"""SICD through sarpy, on an image that sarpy wrote; skipped where sarpy is not installed."""

import numpy as np
import pyproj
import pytest
import rasterio
from scipy.interpolate import RegularGridInterpolator

from knowlip.core.errors import KnowlipError
from knowlip.core.geodesy import applied
from knowlip.scenes.prepare import prepared
from knowlip.scenes.products import open_scene

pytest.importorskip("sarpy", reason="needs the extra sicd")
from fakes_sicd import FACTOR, SPACING_M, write_sicd

SHAPE = (200, 240)


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """Amplitudes that are linear in row and column."""
    ramp = 100 + np.arange(SHAPE[0])[:, None] + 2 * np.arange(SHAPE[1])
    phase = np.exp(1j * np.random.default_rng(0).uniform(0, 6, SHAPE))
    return write_sicd(tmp_path_factory.mktemp("sicd") / "x.nitf", ramp * phase)


def test_a_sicd_is_understood(product):
    scene = open_scene(product)
    assert (scene.radiometry.quantity, scene.radiometry.convention) == ("power", "sigma0")
    known = scene.acquisition
    assert (known.platform, known.instrument_mode, known.product_type) == ("testsat", "SPOTLIGHT", "SICD")
    assert (known.polarisations, known.look_side, known.frequency_band) == (("VV",), "right", "X")
    # 350 km away at a height of 500 km, seen from the west
    assert known.incidence_near_deg < np.degrees(np.arctan2(350, 500)) + 0.1 < known.incidence_far_deg + 0.2
    assert known.look_azimuth_deg == pytest.approx(90, abs=0.5)


def test_pixels_lie_where_sarpy_projects_them(product, tmp_path):
    from sarpy.geometry.point_projection import image_to_ground_hae
    from sarpy.io.complex.converter import open_complex

    scene = prepared(open_scene(product), tmp_path)
    with rasterio.open(scene.path) as dataset:
        pixels, transform, crs = dataset.read(1), dataset.transform, dataset.crs
    rows, cols = np.meshgrid(np.arange(20, 180, 40), np.arange(20, 220, 40), indexing="ij")
    with open_complex(str(product)) as reader:
        points = image_to_ground_hae(np.stack([rows.ravel(), cols.ravel()], axis=1), reader.sicd_meta, hae0=100.0)
    lon, lat, _ = pyproj.Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True).transform(*points.T)
    x, y = pyproj.Transformer.from_crs("EPSG:4326", crs.to_wkt(), always_xy=True).transform(lon, lat)
    col, row = applied(~transform, np.asarray(x), np.asarray(y))
    grid = (np.arange(pixels.shape[0]) + 0.5, np.arange(pixels.shape[1]) + 0.5)
    found = RegularGridInterpolator(grid, pixels)(np.stack([row, col], axis=-1))
    scale = FACTOR * (1 + 1e-4 * (cols.ravel() - SHAPE[1] // 2) * SPACING_M)
    truth = (100 + rows.ravel() + 2 * cols.ravel()) ** 2 * scale
    np.testing.assert_allclose(found, truth, rtol=0.01)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.6, 0.95])
def test_a_cut_sicd_is_refused_with_one_line(product, tmp_path, share):
    path = tmp_path / "cut.nitf"
    data = product.read_bytes()
    path.write_bytes(data[: int(len(data) * share)] or b"NITF")
    with pytest.raises(KnowlipError) as caught:
        prepared(open_scene(path), tmp_path / "out")
    assert "\n" not in str(caught.value)
