"""Rasters made of files that hold one polarisation each: put together as they are, calibrated, or geocoded by RPCs."""

from __future__ import annotations

import hashlib
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window
from scipy.ndimage import uniform_filter1d

from knowlip.core.errors import SceneError
from knowlip.scenes.geocode import cropped, image_positions, resampled
from knowlip.scenes.geotiff import MAX_SIDE_PX
from knowlip.scenes.heights import Terrain, opened
from knowlip.scenes.package import stamp
from knowlip.scenes.rpc import Rpc
from knowlip.scenes.strips import write_strips

GDAL_CACHE_MB = 256


@dataclass(frozen=True)
class Layer:
    """One polarisation of an image.

    Attributes:
        path: What GDAL opens it by.
        polarisation: Its label.
        factor: Stored amplitude squared, times this, is linear backscatter; None leaves stored values as they are.
        nodata: Stored value of absent pixels.
    """

    path: str
    polarisation: str
    factor: float | None = None
    nodata: float | None = None

    def identity(self) -> str:
        """Place, size, time and calibration, as text."""
        return f"{stamp(Path(self.path))}:{self.factor}:{self.nodata}"


def open_layer(layer: Layer) -> Any:
    """A layer's dataset.

    Raises:
        SceneError: Not a raster, or absurdly large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(layer.path)
    except RasterioError as error:
        reason = str(error).removeprefix(layer.path).strip(" :")
        raise SceneError(layer.path, f"cannot be read as a raster ({reason})", "Fetch the product again") from error
    if max(dataset.shape) > MAX_SIDE_PX:
        dataset.close()
        raise SceneError(layer.path, f"states {dataset.width} x {dataset.height} pixels", "Do not use this file")
    return dataset


def stored_window(dataset: Any, layer: Layer, row: int, col: int, height: int, width: int) -> NDArray[Any]:
    """Stored values `(bands, height, width)`.

    Raises:
        SceneError: They cannot be decoded.
    """
    try:
        return np.asarray(dataset.read(window=Window(col, row, width, height)))
    except RasterioError as error:
        reason = f"pixels at row {row} cannot be decoded: truncated or damaged"
        raise SceneError(layer.path, reason, "Fetch the product again") from error


def power_of(stored: NDArray[Any], factor: float, nodata: float | None) -> NDArray[np.float32]:
    """Linear backscatter `(H, W)` of one band of amplitudes, of two of real and imaginary parts, or of a complex one.

    Returns:
        NaN where nothing was measured.
    """
    x = stored.astype(np.complex64 if stored.dtype.kind == "c" else np.float32)
    power = (x.real**2 + x.imag**2 if x.dtype.kind == "c" else x**2).sum(axis=0, dtype=np.float32)
    absent = (stored == (0 if nodata is None else nodata)).all(axis=0)
    return np.where(absent, np.float32(np.nan), power * np.float32(factor))


@dataclass(frozen=True)
class StackRecipe:
    """Files on one grid as the bands of one raster: as they are, or as linear backscatter where they have factors."""

    layers: tuple[Layer, ...]
    box: GeoBox
    dtype: str
    nodata: float | None

    def key(self) -> str:
        """Differs where the raster would."""
        return _digest(self.layers, self.box, None)

    def write(self, path: Path) -> None:
        """Write the raster.

        Raises:
            SceneError: Pixels cannot be read.
            OutputError: The raster cannot be written.
        """
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB), ExitStack() as stack:
            sets = [stack.enter_context(open_layer(layer)) for layer in self.layers]

            def block(box: GeoBox, row: int, col: int) -> NDArray[Any]:
                window = (row, col, *box.shape)
                found = []
                for dataset, layer in zip(sets, self.layers, strict=True):
                    stored = stored_window(dataset, layer, *window)
                    one = stored[0] if layer.factor is None else power_of(stored, layer.factor, layer.nodata)
                    found.append(one)
                return np.stack(found)

            write_strips(path, self.box, [la.polarisation for la in self.layers], self.dtype, self.nodata, block)


@dataclass(frozen=True)
class RpcRecipe:
    """Files in sensor geometry as linear backscatter on a map grid, by their RPCs.

    Attributes:
        looks: Lines and samples that are averaged before resampling, where pixels are finer than the grid.
        terrain: Elevation model; None takes the height that the RPCs centre on.
    """

    layers: tuple[Layer, ...]
    rpc: Rpc
    shape: tuple[int, int]
    looks: tuple[int, int]
    box: GeoBox
    terrain: Terrain | None

    def key(self) -> str:
        """Differs where the raster would."""
        return _digest(self.layers, self.box, self.terrain)

    def write(self, path: Path) -> None:
        """Write the raster.

        Raises:
            SceneError: Pixels or the DEM cannot be read.
            OutputError: The raster cannot be written.
        """
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB), ExitStack() as stack:
            sets = [stack.enter_context(open_layer(layer)) for layer in self.layers]
            heights = stack.enter_context(opened(self.terrain)) if self.terrain else None

            def read(row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
                found = []
                for dataset, layer in zip(sets, self.layers, strict=True):
                    stored = stored_window(dataset, layer, row, col, height, width)
                    power = power_of(stored, layer.factor or 1.0, layer.nodata)
                    for axis, size in enumerate(self.looks):
                        power = uniform_filter1d(power, size, axis=axis) if size > 1 else power
                    found.append(power)
                return np.stack(found)

            def block(box: GeoBox, row: int, col: int) -> NDArray[np.float32]:
                height = np.full(box.shape, self.rpc.offset[4]) if heights is None else heights.block(box)
                return resampled(*image_positions(box, height, self.rpc.image_of), self.shape, len(sets), read)

            names = [layer.polarisation for layer in self.layers]
            write_strips(path, self.box, names, "float32", float("nan"), block)


def terrain_box(box: GeoBox, terrain: Terrain | None) -> GeoBox:
    """A grid, or the part of it that an elevation model covers.

    Raises:
        SceneError: It covers nothing, or cannot be used.
    """
    if terrain is None:
        return box
    with opened(terrain) as heights:
        return cropped(box, heights.bounds, terrain.path)


def _digest(layers: tuple[Layer, ...], box: GeoBox, terrain: Terrain | None) -> str:
    parts = [layer.identity() for layer in layers] + [repr(box), terrain.stamp() if terrain else ""]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
