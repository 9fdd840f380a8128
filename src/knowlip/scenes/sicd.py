"""SICD complex images in NITF, through sarpy (extra `sicd`), detected and projected to a map grid.

Source: NGA.STND.0024, Sensor Independent Complex Data, volumes 1 (metadata) and 3 (image projections).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Convention, Radiometry
from knowlip.core.scene import Scene
from knowlip.scenes.describe import band_of, completed
from knowlip.scenes.geocode import image_positions, map_grid, resampled
from knowlip.scenes.geotiff import refuse_bad_name, safe_name
from knowlip.scenes.heights import Terrain, opened
from knowlip.scenes.layers import GDAL_CACHE_MB, terrain_box
from knowlip.scenes.orbit import ecef
from knowlip.scenes.package import stamp
from knowlip.scenes.sidecar import Declared
from knowlip.scenes.strips import write_strips
from knowlip.scenes.view import view_of, with_view
from knowlip.scenes.xml import parse_moment

REMEDY = "Fetch the product again, and check that it is a SICD"
_FACTORS: tuple[tuple[Convention, str], ...] = (("sigma0", "SigmaZeroSFPoly"), ("beta0", "BetaZeroSFPoly"))


def is_sicd(path: Path) -> bool:
    """Whether a file is a NITF, by its name."""
    return path.suffix.lower() in (".nitf", ".ntf", ".nsif") and path.is_file()


def sicd_scene_id(path: Path) -> str:
    """The scene id of a product."""
    return safe_name(path.stem)


def open_sicd(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """A SICD as a Scene in sigma nought where its metadata have the scale, else in beta nought or uncalibrated.

    Raises:
        SceneError: sarpy is not installed, or the file is no SICD.
    """
    refuse_bad_name(path)
    reader, meta = _opened(path)
    with reader, _readings(path):
        shape = tuple(int(v) for v in reader.data_size)
        convention, _ = _scale(meta)
        corners = np.array([[c.Lat, c.Lon] for c in meta.GeoData.ImageCorners], np.float64)
        spacing = (float(meta.Grid.Row.SS), float(meta.Grid.Col.SS))
        # rows of a slant-plane image are spaced along the slant
        graze = np.radians(float(meta.SCPCOA.GrazeAng))
        gsd_m = round(max(spacing[0] / np.cos(graze), spacing[1]), 3)
        box = terrain_box(map_grid(corners[:, 1], corners[:, 0], gsd_m, path, declared.crs), declared.terrain)
        label = _polarisation(meta)
        scene = Scene(
            scene_id=sicd_scene_id(path),
            path=path,
            geobox=box,
            polarisations=(label,),
            dtype="float32",
            nodata=float("nan"),
            radiometry=Radiometry(
                quantity="power",
                convention=convention,
                source="product: no scale factor polynomial"
                if convention == "uncalibrated"
                else "product: scale factor polynomial",
            ),
            acquisition=completed(_fields(meta, path, label), "the product's metadata do not tell", path),
            recipe=SicdRecipe(path, (shape[0], shape[1]), box, declared.terrain),
        )
        position = np.array([meta.SCPCOA.ARPPos.X, meta.SCPCOA.ARPPos.Y, meta.SCPCOA.ARPPos.Z], np.float64)
        return with_view(scene, view_of(box, position, float(meta.GeoData.SCP.LLH.HAE)))


@contextmanager
def _readings(path: Path) -> Iterator[None]:
    """Turns what sarpy raises where metadata have a hole, or no number, into one error."""
    try:
        with np.errstate(all="ignore"):
            yield
    except (AttributeError, TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise SceneError(path, f"has SICD metadata that cannot be used ({error})", REMEDY) from error


def _opened(path: Path) -> tuple[Any, Any]:
    try:
        from sarpy.io.complex.converter import open_complex
    except ImportError as error:
        raise SceneError(path, "is a NITF, which sarpy reads", "Install it: pip install 'sar-knowlip[sicd]'") from error
    # its complaints about headers would be lines that nobody can do anything about
    logging.getLogger("sarpy").setLevel(logging.CRITICAL + 1)
    try:
        reader = open_complex(str(path))
        meta = reader.sicd_meta
        meta = meta[0] if isinstance(meta, tuple) else meta
        if meta is None or meta.GeoData is None or meta.GeoData.ImageCorners is None or meta.SCPCOA is None:
            raise ValueError("incomplete metadata")
    except Exception as error:  # sarpy has many ways to say that a file is not a SICD
        raise SceneError(path, f"cannot be read as a SICD ({error})", REMEDY) from error
    return reader, meta


def _scale(meta: Any) -> tuple[Convention, NDArray[np.float64] | None]:
    """The convention and the polynomial `(K, L)` in metres from the scene's centre that scales power to it."""
    for convention, name in _FACTORS:
        poly = getattr(meta.Radiometric, name, None) if meta.Radiometric is not None else None
        if poly is not None:
            return convention, np.array(poly.get_array(), np.float64)
    return "uncalibrated", None


def _polarisation(meta: Any) -> str:
    stated = str(meta.ImageFormation.TxRcvPolarizationProc or "") if meta.ImageFormation is not None else ""
    label = stated.replace(":", "").upper()
    return label if label in ("HH", "HV", "VH", "VV") else "unknown"


def _fields(meta: Any, path: Path, label: str) -> dict[str, Any]:
    collection = meta.CollectionInfo
    formed = meta.ImageFormation.TxFrequencyProc if meta.ImageFormation is not None else None
    ghz = (float(formed.MinProc) + float(formed.MaxProc)) / 2e9 if formed is not None else None
    side = {"R": "right", "L": "left"}.get(str(meta.SCPCOA.SideOfTrack or "")[:1].upper())
    start = str(meta.Timeline.CollectStart) if meta.Timeline is not None else ""
    return {
        "product_name": str(collection.CoreName or path.stem),
        "platform": str(collection.CollectorName).lower() if collection.CollectorName else None,
        "instrument_mode": str(collection.RadarMode.ModeType) if collection.RadarMode is not None else None,
        "product_type": "SICD",
        "acquired": parse_moment(start),
        "centre_frequency_ghz": ghz,
        "frequency_band": band_of(ghz) if ghz else None,
        "polarisations": None if label == "unknown" else (label,),
        "look_side": side,
    }


@dataclass(frozen=True)
class SicdRecipe:
    """How the raster of a SICD is made.

    Attributes:
        terrain: Elevation model; None takes the height of the scene's centre point.
    """

    path: Path
    shape: tuple[int, int]
    box: GeoBox
    terrain: Terrain | None

    def key(self) -> str:
        """Differs where the raster would."""
        parts = [stamp(self.path), repr(self.box), self.terrain.stamp() if self.terrain else ""]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Detect, calibrate and project, strip by strip.

        Raises:
            SceneError: Pixels or the DEM cannot be read.
            OutputError: The raster cannot be written.
        """
        from sarpy.geometry.point_projection import ground_to_image

        reader, meta = _opened(self.path)
        with _readings(self.path):
            _, poly = _scale(meta)
            first = (float(meta.ImageData.SCPPixel.Row), float(meta.ImageData.SCPPixel.Col))
            spacing = (float(meta.Grid.Row.SS), float(meta.Grid.Col.SS))

        def locate(lon: Any, lat: Any, height: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            points = ecef(lon, lat, height)
            at, _, _ = ground_to_image(points.reshape(-1, 3), meta)
            rows, cols = np.asarray(at, np.float64).T.reshape(2, *np.shape(lon))
            return rows, cols

        def read(row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
            try:
                image = np.asarray(reader[row : row + height, col : col + width]).reshape(height, width)
            except (ValueError, OSError, IndexError) as error:
                raise SceneError(self.path, f"pixels at row {row} cannot be decoded ({error})", REMEDY) from error
            power = (image.real**2 + image.imag**2).astype(np.float32)
            if poly is None:
                return power[None]
            x = (np.arange(row, row + height) - first[0]) * spacing[0]
            y = (np.arange(col, col + width) - first[1]) * spacing[1]
            # a polynomial in both: powers of x by the coefficients by powers of y
            scale = np.vander(x, poly.shape[0], increasing=True) @ poly @ np.vander(y, poly.shape[1], increasing=True).T
            return (power * scale).astype(np.float32)[None]

        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB), ExitStack() as stack, reader, _readings(self.path):
            heights = stack.enter_context(opened(self.terrain)) if self.terrain else None
            flat = float(meta.GeoData.SCP.LLH.HAE)

            def block(box: GeoBox, row: int, col: int) -> NDArray[np.float32]:
                height = np.full(box.shape, flat) if heights is None else heights.block(box)
                return resampled(*image_positions(box, height, locate), self.shape, 1, read)

            write_strips(path, self.box, [_polarisation(meta)], "float32", float("nan"), block)
