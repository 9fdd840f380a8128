"""A simulated scene's exact answers on disk: land cover, zones, heights and objects, in open formats."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray

from knowlip.simulation.ground import LANDCOVER_COLORS, ZONE_COLORS, World

HEIGHT_STEP_M = 0.1
"""Heights are stored in whole numbers of this, as the raster's scale says."""

_REALS = pa.list_(pa.float64())
_OBJECT_SCHEMA = pa.schema(
    [
        ("object_id", pa.string()),
        ("cls", pa.string()),
        ("subtype", pa.string()),
        ("centre_col", pa.float64()),
        ("centre_row", pa.float64()),
        ("corners", _REALS),
        ("corners_m", _REALS),
        ("length_m", pa.float64()),
        ("width_m", pa.float64()),
        ("heading_deg", pa.float64()),
        ("state", pa.string()),
        ("speed_m_s", pa.float64()),
        ("true_centre_col", pa.float64()),
        ("true_centre_row", pa.float64()),
        ("source", pa.string()),
    ]
)


def truth_names(scene: str) -> dict[str, str]:
    """Files of a scene's truth by kind, relative to the scene's folder."""
    endings = {"landcover": "landcover.tif", "zone": "zone.tif", "height": "height.tif", "objects": "objects.parquet"}
    return {kind: f"truth/{scene}.{ending}" for kind, ending in endings.items()}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that takes the place of `path` when the block ends well."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_raster(
    path: Path,
    bands: NDArray[Any],
    names: tuple[str, ...],
    epsg: int,
    transform: rasterio.Affine,
    colours: dict[int, tuple[int, int, int, int]] | None = None,
    scale: float | None = None,
    nodata: int = 0,
    **options: Any,
) -> None:
    """Write bands (C, H, W) as a tiled, deflated GeoTIFF with a description for each band.

    Args:
        colours: Colour table of a class raster.
        scale: What a stored number is to be multiplied with.
        nodata: Value of absent pixels.
        options: Creation options of GDAL's GTiff driver.
    """
    profile = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "crs": f"EPSG:{epsg}",
        "transform": transform,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "BIGTIFF": "IF_SAFER",
    }
    with replacing(path) as temporary, rasterio.open(temporary, "w", **profile, **options) as out:
        out.write(bands)
        for band, name in enumerate(names, start=1):
            out.set_band_description(band, name)
        if colours is not None:
            out.write_colormap(1, colours)
        if scale is not None:
            out.scales = (scale,) * bands.shape[0]


def write_truth(
    folder: Path, scene: str, world: World, offsets_xy_m: NDArray[np.float64], epsg: int, transform: rasterio.Affine
) -> None:
    """Write all of a scene's truth.

    Args:
        folder: The scene's folder.
        scene: Its id.
        world: What stands there.
        offsets_xy_m: Of each object, how far from its place the image shows it (N, 2).
        epsg: CRS of the scene.
        transform: Its affine.
    """
    names = {kind: folder / name for kind, name in truth_names(scene).items()}
    write_raster(names["landcover"], world.landcover[None], ("landcover",), epsg, transform, LANDCOVER_COLORS, ZLEVEL=6)
    write_raster(names["zone"], world.zone[None], ("zone",), epsg, transform, ZONE_COLORS, ZLEVEL=6)
    height = np.rint((world.terrain_m + world.height_m) * np.float32(1 / HEIGHT_STEP_M)).astype(np.int16)
    write_raster(
        names["height"],
        height[None],
        ("height_m",),
        epsg,
        transform,
        scale=HEIGHT_STEP_M,
        nodata=np.iinfo(np.int16).min,
        ZLEVEL=1,
        PREDICTOR=2,
    )
    with replacing(names["objects"]) as temporary:
        rows = [
            _object_row(f"{scene}-{k:04d}", world, k, offsets_xy_m[k], transform) for k in range(len(world.objects))
        ]
        # through memory: a writer that fails on a full disk keeps its file open
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=_OBJECT_SCHEMA), sink)
        temporary.write_bytes(sink.getvalue())


def _object_row(
    name: str, world: World, k: int, offset_xy_m: NDArray[np.float64], transform: rasterio.Affine
) -> dict[str, Any]:
    """An object with its box where the image shows it, in pixels and in metres of the CRS.

    A pixel's centre is its index plus a half.
    """
    o, gsd = world.objects[k], world.gsd_m
    corners = (o.corners_xy_m + offset_xy_m) / gsd
    centre = (np.array(o.centre_xy_m) + offset_xy_m) / gsd
    return {
        "object_id": name,
        "cls": o.cls,
        "subtype": o.subtype,
        "centre_col": float(centre[0]),
        "centre_row": float(centre[1]),
        "corners": corners.ravel().tolist(),
        "corners_m": [v for x, y in corners for v in transform @ (float(x), float(y))],
        "length_m": o.length_m,
        "width_m": o.width_m,
        "heading_deg": o.heading_deg,
        "state": o.state,
        "speed_m_s": o.speed_m_s,
        "true_centre_col": o.centre_xy_m[0] / gsd,
        "true_centre_row": o.centre_xy_m[1] / gsd,
        "source": "simulation",
    }
