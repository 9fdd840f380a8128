"""Write a raster strip by strip: each strip is a GeoTIFF that is there or not, a VRT names them all at the end.

A write that was killed goes on with the first strip that is missing, and never needs more memory than a row of blocks.
Source: GDAL, Virtual Format (VRT) reference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from knowlip.core.folder import cannot_write

BLOCK_PX = 512
_VRT_TYPES = {"uint8": "Byte", "uint16": "UInt16", "int16": "Int16", "float32": "Float32"}

BlockReader = Callable[[GeoBox, int, int], NDArray[Any]]
"""The pixels `(C, H, W)` of a part of the grid, whose first row and column in the whole are given too."""


def write_strips(
    path: Path, box: GeoBox, bands: Sequence[str], dtype: str, nodata: float | None, read: BlockReader
) -> None:
    """Write a raster as strips beside a VRT that joins them.

    Args:
        path: The VRT; strips go into its folder.
        box: Grid of the whole.
        bands: Descriptions.
        read: Called for blocks of at most 512 x 512 pixels.

    Raises:
        OutputError: The folder cannot be written.
    """
    rows = box.shape[0]
    strips = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for top in range(0, rows, BLOCK_PX):
            height = min(BLOCK_PX, rows - top)
            strip = path.with_name(f"{path.stem}.{top // BLOCK_PX:04d}.tif")
            strips.append((strip.name, top, height))
            if not strip.is_file():
                _write_strip(strip, part_of(box, top, 0, height, box.shape[1]), top, bands, dtype, nodata, read)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.write_text(_vrt(box, bands, dtype, nodata, strips), encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise cannot_write(str(path), error) from error


def part_of(box: GeoBox, row: int, col: int, height: int, width: int) -> GeoBox:
    """A window of a grid."""
    return GeoBox((height, width), box.affine @ Affine.translation(col, row), box.crs)


def _write_strip(
    strip: Path, box: GeoBox, top: int, bands: Sequence[str], dtype: str, nodata: float | None, read: BlockReader
) -> None:
    height, width = box.shape
    part = strip.with_name(f".{strip.name}.{os.getpid()}.part")
    profile = {
        "driver": "GTiff",
        "dtype": dtype,
        "count": len(bands),
        "height": height,
        "width": width,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": BLOCK_PX,
        "blockysize": BLOCK_PX,
        "compress": "deflate",
        "zlevel": 1,
        "predictor": 3 if dtype == "float32" else 2,
        "BIGTIFF": "IF_SAFER",
    }
    if box.crs is not None:
        profile |= {"crs": box.crs.to_wkt(), "transform": box.affine}
    try:
        with rasterio.open(part, "w", **profile) as out:
            out.descriptions = tuple(bands)
            for left in range(0, width, BLOCK_PX):
                across = min(BLOCK_PX, width - left)
                pixels = read(part_of(box, 0, left, height, across), top, left)
                out.write(pixels, window=Window(left, 0, across, height))
        os.replace(part, strip)
    finally:
        part.unlink(missing_ok=True)


def _vrt(
    box: GeoBox, bands: Sequence[str], dtype: str, nodata: float | None, strips: list[tuple[str, int, int]]
) -> str:
    rows, cols = box.shape
    kind = _VRT_TYPES[dtype]
    lines = [f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}">']
    if box.crs is not None:
        lines.append(f"<SRS>{escape(box.crs.to_wkt())}</SRS>")
        lines.append(f"<GeoTransform>{', '.join(repr(float(v)) for v in box.affine.to_gdal())}</GeoTransform>")
    for number, name in enumerate(bands, 1):
        lines.append(f'<VRTRasterBand dataType="{kind}" band="{number}">')
        lines.append(f"<Description>{escape(name)}</Description>")
        if nodata is not None:
            lines.append(f"<NoDataValue>{nodata}</NoDataValue>")
        for strip, top, height in strips:
            lines.append(
                f'<SimpleSource><SourceFilename relativeToVRT="1">{escape(strip)}</SourceFilename>'
                f"<SourceBand>{number}</SourceBand>"
                f'<SourceProperties RasterXSize="{cols}" RasterYSize="{height}" DataType="{kind}" '
                f'BlockXSize="{BLOCK_PX}" BlockYSize="{BLOCK_PX}"/>'
                f'<SrcRect xOff="0" yOff="0" xSize="{cols}" ySize="{height}"/>'
                f'<DstRect xOff="0" yOff="{top}" xSize="{cols}" ySize="{height}"/></SimpleSource>'
            )
        lines.append("</VRTRasterBand>")
    return "\n".join([*lines, "</VRTDataset>", ""])
