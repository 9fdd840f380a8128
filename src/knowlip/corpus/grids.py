"""Where a scene's tiles lie: on its own pixels, or on UTM grids that it is resampled to.

On its own pixels, tiles fill the scene from its middle. Resampled, they lie on the lattice of each UTM zone, whose
lines are multiples of the tile's size from the zone's origin, so that tiles of any sensor cover the same squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pydantic import BaseModel, ConfigDict, Field
from rasterio.enums import Resampling
from rasterio.warp import reproject

from knowlip.core.errors import SceneError
from knowlip.core.geodesy import applied, ground_steps_m, to_lonlat, utm_epsg
from knowlip.core.scene import Scene, crs_of
from knowlip.scenes.geotiff import read_window, valid_mask

SIDE_STEP_PX = 16
"""Tiles are a whole number of these on a side: the patch of an image encoder."""
SMALLEST_PX, LARGEST_PX = 32, 8192
KERNEL_REACH_PX = 4
"""How far the widest kernel (lanczos, 3) reaches, plus one, in pixels of the coarser grid."""

Kernel = Literal["nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average"]


class TileSpec(BaseModel):
    """How scenes are cut.

    Attributes:
        tile_size: Rows and columns of a tile, pixels, where `ground_size_m` does not say.
        min_valid: Smallest share of valid pixels for a tile to be kept.
        ground_size_m: Side of a tile on the ground; each scene's tile size follows from its ground sample distance.
        resample_gsd_m: Pixel of the UTM grids that scenes are resampled to; None keeps each scene's own pixels.
        kernel: GDAL's name of what resamples stored values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tile_size: int = Field(default=256, ge=SMALLEST_PX, le=LARGEST_PX, multiple_of=SIDE_STEP_PX)
    min_valid: float = Field(default=0.5, ge=0, le=1)
    ground_size_m: float | None = Field(default=None, gt=0)
    resample_gsd_m: float | None = Field(default=None, gt=0)
    kernel: Kernel = "bilinear"


@dataclass(frozen=True)
class TileGrid:
    """Tiles of a scene that share one grid.

    Attributes:
        scene: What is cut.
        box: The grid that tiles are windows of: the scene's own, or a UTM grid around it.
        size: Rows and columns of a tile, pixels.
        corners: `(N, 2)` first row and column of each tile in `box`, rows ascending.
        names: `(N, 2)` row and column numbers for the tiles' ids.
        suffix: What tile ids end with, where a scene has several grids.
        kernel: What resamples; None on the scene's own grid.
    """

    scene: Scene
    box: GeoBox
    size: int
    corners: NDArray[np.int64]
    names: NDArray[np.int64]
    suffix: str = ""
    kernel: Kernel | None = None

    @property
    def dtype(self) -> str:
        """Type of the tiles' pixels; resampled values are no integers."""
        return self.scene.dtype if self.kernel is None else "float32"

    @property
    def nodata(self) -> float | None:
        """Value of the tiles' absent pixels."""
        return self.scene.nodata if self.kernel is None else float("nan")

    @cached_property
    def _crossing(self) -> Any:
        return pyproj.Transformer.from_crs(
            crs_of(self.box).to_wkt(), crs_of(self.scene.geobox).to_wkt(), always_xy=True
        )

    def in_scene(self, row: NDArray[np.float64], col: NDArray[np.float64]) -> tuple[Any, Any]:
        """Pixel coordinates of the grid as rows and columns of the scene."""
        if self.kernel is None:
            return row, col
        x, y = applied(self.box.affine, col, row)
        in_col, in_row = applied(~self.scene.geobox.affine, *self._crossing.transform(x, y))
        return in_row, in_col

    def from_scene(self, row: NDArray[np.float64], col: NDArray[np.float64]) -> tuple[Any, Any]:
        """Pixel coordinates of the scene as rows and columns of the grid."""
        if self.kernel is None:
            return row, col
        x, y = applied(self.scene.geobox.affine, col, row)
        here_col, here_row = applied(~self.box.affine, *self._crossing.transform(x, y, direction="INVERSE"))
        return here_row, here_col

    def read(self, dataset: Any, row: int, col: int, width: int) -> NDArray[Any]:
        """Stored values `(C, size, width)` of a strip of tiles, NaN outside the scene where it is resampled.

        Raises:
            SceneError: The pixels cannot be decoded.
        """
        if self.kernel is None:
            return read_window(dataset, self.scene.path, row, col, self.size, width)
        return self._warped_strip(dataset, row, col, width, self.scene.nodata, self.kernel)

    def read_classes(self, dataset: Any, row: int, col: int, width: int) -> NDArray[np.uint8]:
        """Class codes `(size, width)` of a raster on the scene's grid; 0 outside.

        Raises:
            SceneError: The pixels cannot be decoded.
        """
        if self.kernel is None:
            return read_window(dataset, self.scene.path, row, col, self.size, width)[0]
        return np.nan_to_num(self._warped_strip(dataset, row, col, width, None, "nearest")[0]).astype(np.uint8)

    def _warped_strip(
        self, dataset: Any, row: int, col: int, width: int, nodata: float | None, kernel: Kernel
    ) -> NDArray[np.float32]:
        # tile by tile: GDAL interpolates its transform along each row, the less exactly the longer it is
        tiles = [self._warped(dataset, row, c, nodata, kernel) for c in range(col, col + width, self.size)]
        return np.concatenate(tiles, axis=2)

    def _warped(self, dataset: Any, row: int, col: int, nodata: float | None, kernel: Kernel) -> NDArray[np.float32]:
        out = np.full((dataset.count, self.size, self.size), np.nan, np.float32)
        edge_row, edge_col = _outline(self.size, self.size)
        rows, cols = self.in_scene(row + edge_row, col + edge_col)
        reach = KERNEL_REACH_PX * max(1.0, np.ptp(rows) / self.size, np.ptp(cols) / self.size)
        height, full = self.scene.geobox.shape
        top, bottom = (int(np.clip(v, 0, height)) for v in (np.min(rows) - reach, np.max(rows) + reach + 1))
        left, right = (int(np.clip(v, 0, full)) for v in (np.min(cols) - reach, np.max(cols) + reach + 1))
        if bottom <= top or right <= left:
            return out
        stored = read_window(dataset, self.scene.path, top, left, bottom - top, right - left)
        source = np.where(valid_mask(stored, nodata), stored, np.float32(np.nan)).astype(np.float32)
        reproject(
            source,
            out,
            src_transform=self.scene.geobox.affine @ Affine.translation(left, top),
            src_crs=crs_of(self.scene.geobox).to_wkt(),
            src_nodata=np.nan,
            dst_transform=self.box.affine @ Affine.translation(col, row),
            dst_crs=crs_of(self.box).to_wkt(),
            dst_nodata=np.nan,
            resampling=Resampling[kernel],
            **self.kernel_scale,
        )
        return out

    @cached_property
    def kernel_scale(self) -> dict[str, float]:
        """Pixels of the grid per pixel of the scene along both axes, as GDAL's warper takes them.

        Left to itself, GDAL measures them on the outlines of each window that it warps, so that kernels would be the
        wider the more a window is turned.
        """
        rows, cols = self.box.shape
        row, col = rows / 2 + np.array([0, 0, 1]), cols / 2 + np.array([0, 1, 0])
        at_row, at_col = self.in_scene(row, col)
        step_row, step_col = np.hypot(at_row[1:] - at_row[0], at_col[1:] - at_col[0])[::-1]
        return {"XSCALE": float(1 / step_col), "YSCALE": float(1 / step_row)}


def _outline(rows: int, cols: int, points: int = 33) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = np.linspace(0, 1, points)
    zero, one = np.zeros(points), np.ones(points)
    return np.concatenate([zero, t, one, t]) * rows, np.concatenate([t, one, t, zero]) * cols


def tile_grids(scene: Scene, spec: TileSpec) -> list[TileGrid]:
    """The grids of a scene's tiles: one, or one for each UTM zone where it is resampled.

    Raises:
        SceneError: The scene is smaller than a tile, or the tile too large or too small in the scene's pixels.
    """
    if scene.geobox.crs is None and (spec.resample_gsd_m is not None or spec.ground_size_m is not None):
        reason = "is a chip without georeference, whose pixels have no size on the ground"
        raise SceneError(scene.path, reason, "Build it without --resample-gsd and --ground-size")
    if spec.resample_gsd_m is not None:
        return _utm_grids(scene, spec, spec.resample_gsd_m)
    size, (rows, cols) = _side_px(scene, spec), scene.geobox.shape
    if rows < size or cols < size:
        remedy = f"Use --tile-size {max(SMALLEST_PX, min(rows, cols) // SIDE_STEP_PX * SIDE_STEP_PX)}"
        reason = f"is {cols} x {rows} pixels, smaller than one tile of {size}"
        raise SceneError(scene.path, reason, remedy if spec.ground_size_m is None else "Use a smaller --ground-size")
    row, col = np.meshgrid(np.arange(rows // size), np.arange(cols // size), indexing="ij")
    names = np.column_stack([row.ravel(), col.ravel()])
    margin = np.array([(rows % size) // 2, (cols % size) // 2])
    return [TileGrid(scene, scene.geobox, size, names * size + margin, names)]


def _side_px(scene: Scene, spec: TileSpec) -> int:
    if spec.ground_size_m is None:
        return spec.tile_size
    gsd_m = float(np.sqrt(np.prod(np.hypot(*ground_steps_m(scene.geobox).T))))
    return _whole_patches(scene, spec.ground_size_m / gsd_m, f"{spec.ground_size_m:g} m at {gsd_m:.3g} m a pixel")


def _whole_patches(scene: Scene, side: float, what: str) -> int:
    size = round(side / SIDE_STEP_PX) * SIDE_STEP_PX
    if not SMALLEST_PX <= size <= LARGEST_PX:
        raise SceneError(
            scene.path,
            f"a tile of {what} is {side:.0f} pixels, not {SMALLEST_PX} to {LARGEST_PX}",
            "Choose another --ground-size",
        )
    return size


def _utm_grids(scene: Scene, spec: TileSpec, gsd_m: float) -> list[TileGrid]:
    side = spec.tile_size if spec.ground_size_m is None else spec.ground_size_m / gsd_m
    size = _whole_patches(scene, side, f"{side * gsd_m:g} m at {gsd_m:g} m a pixel")
    rows, cols = scene.geobox.shape
    a, (edge_row, edge_col) = scene.geobox.affine, _outline(rows, cols)
    x, y = applied(a, np.append(edge_col, cols / 2), np.append(edge_row, rows / 2))
    lon, lat = to_lonlat(crs_of(scene.geobox).to_wkt(), x, y)
    if not np.isfinite(lon).all():
        raise SceneError(scene.path, "lies outside the domain of its projection", "Check its CRS and affine")
    zones = sorted({utm_epsg(float(u), float(v)) for u, v in zip(lon, lat, strict=True)} - {None}, key=str)
    grids = [g for zone in zones if (g := _zone_grid(scene, spec, size, gsd_m, int(str(zone)), len(zones) > 1))]
    if not grids:
        raise SceneError(scene.path, "holds no whole tile of a UTM zone", "Build it without --resample-gsd")
    return grids


def _zone_grid(scene: Scene, spec: TileSpec, size: int, gsd_m: float, epsg: int, several: bool) -> TileGrid | None:
    """The tiles whose middle lies in a zone and in the scene."""
    rows, cols = scene.geobox.shape
    a, (edge_row, edge_col) = scene.geobox.affine, _outline(rows, cols)
    crossing = pyproj.Transformer.from_crs(crs_of(scene.geobox).to_wkt(), f"EPSG:{epsg}", always_xy=True)
    x, y = crossing.transform(*applied(a, edge_col, edge_row))
    step = size * gsd_m
    west, north = np.floor(np.min(x) / step) * step, np.ceil(np.max(y) / step) * step
    across, down = int(np.ceil((np.max(x) - west) / step)), int(np.ceil((north - np.min(y)) / step))
    box = GeoBox((down * size, across * size), Affine(gsd_m, 0, west, 0, -gsd_m, north), f"EPSG:{epsg}")
    row, col = (v.ravel() for v in np.meshgrid(np.arange(down), np.arange(across), indexing="ij"))
    middle_x, middle_y = west + (col + 0.5) * step, north - (row + 0.5) * step
    lon, lat = to_lonlat(crs_of(box).to_wkt(), middle_x, middle_y)
    in_col, in_row = applied(~a, *crossing.transform(middle_x, middle_y, direction="INVERSE"))
    inside = (in_col >= 0) & (in_col <= cols) & (in_row >= 0) & (in_row <= rows)
    inside &= [utm_epsg(float(u), float(v)) == epsg for u, v in zip(lon, lat, strict=True)]
    names = np.column_stack([row, col])[inside]
    suffix = f"_z{epsg % 100:02d}{'N' if epsg < 32700 else 'S'}" if several else ""
    return TileGrid(scene, box, size, names * size, names, suffix, spec.kernel) if len(names) else None
