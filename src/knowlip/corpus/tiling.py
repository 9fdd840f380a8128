"""One scene into tiles: a pure function, safe to run anywhere and any number of times."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pydantic import BaseModel, ConfigDict, Field
from pyproj.enums import WktVersion
from rasterio.io import MemoryFile

from knowlip.core.errors import KnowlipError, SceneError
from knowlip.core.folder import Folder
from knowlip.core.geoproperties import GeoProperties
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import Acquisition, Scene, crs_of
from knowlip.corpus.geometry import ground_steps_m, locate
from knowlip.corpus.store import DB_PERCENTILES
from knowlip.corpus.truth import TruthReader, object_rows
from knowlip.scenes.geotiff import open_scene, read_window, valid_mask
from knowlip.scenes.sidecar import Declared

_LOOK_BLOCK = 8


class TileSpec(BaseModel):
    """How scenes are cut.

    Attributes:
        tile_size: Rows and columns of a tile, pixels.
        min_valid: Smallest share of valid pixels for a tile to be kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tile_size: int = Field(default=256, ge=32, le=8192, multiple_of=16)
    min_valid: float = Field(default=0.5, ge=0, le=1)


class SceneRecord(BaseModel):
    """A row of `scenes.parquet`: a scene as it went into the corpus.

    Attributes:
        db_percentiles: Per band, backscatter in dB at `DB_PERCENTILES`: what normalises uncalibrated scenes.
    """

    scene_id: str
    source: str
    crs: str | None
    crs_wkt2: str
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]
    dtype: str
    nodata: float | None
    polarisations: tuple[str, ...]
    radiometry: Radiometry
    acquisition: Acquisition
    tiles: int
    tiles_without_data: int
    db_percentiles: list[list[float]]


class TileRecord(BaseModel):
    """One tile: its names and GeoProperties (place and split still open)."""

    tile_id: str
    scene_id: str
    row: int
    col: int
    properties: GeoProperties
    has_landcover: bool


class ScenePart(BaseModel):
    """All that one scene gives to the corpus's tables."""

    scene: SceneRecord
    tiles: list[TileRecord]
    objects: list[dict[str, Any]]


@dataclass(frozen=True)
class SceneJob:
    """A work item of the build."""

    path: Path
    declared: Declared
    out: Folder
    spec: TileSpec


@dataclass(frozen=True)
class Rejected:
    """An input that gave nothing, and why."""

    path: str
    reason: str
    remedy: str


PENDING = "filled in when all scenes are known"


def part_name(scene_id: str) -> str:
    """Where a finished scene's rows wait until the corpus is complete."""
    return f".build/scenes/{scene_id}.json"


def tile_scene(job: SceneJob) -> ScenePart | Rejected:
    """Cut one scene and write its tiles; a scene that was finished before is read back instead.

    Tiles lie on a grid without overlap, centred in the scene so that what is left over falls evenly on all edges.
    """
    try:
        scene = open_scene(job.path, job.declared)
        if job.out.exists(part_name(scene.scene_id)):
            return ScenePart.model_validate(job.out.read_json(part_name(scene.scene_id)))
        part = _cut(scene, job)
    except SceneError as error:
        return Rejected(error.subject, error.reason, error.remedy)
    job.out.write_bytes(part_name(scene.scene_id), part.model_dump_json().encode())
    return part


def _cut(scene: Scene, job: SceneJob) -> ScenePart:
    size, (rows, cols) = job.spec.tile_size, scene.geobox.shape
    if rows < size or cols < size:
        raise SceneError(
            scene.path,
            f"is {cols} x {rows} pixels, smaller than one tile of {size}",
            f"Use --tile-size {_fitting(rows, cols)}",
        )
    row0, col0 = (rows % size) // 2, (cols % size) // 2
    truth = TruthReader(scene)
    tiles: list[TileRecord] = []
    objects: list[dict[str, Any]] = []
    samples: list[NDArray[np.float32]] = []
    empty = 0
    try:
        with rasterio.open(scene.path) as dataset:
            for r in range(rows // size):
                strip = read_window(dataset, scene.path, row0 + r * size, col0, size, cols // size * size)
                for c in range(cols // size):
                    pixels = strip[:, :, c * size : (c + 1) * size]
                    valid = valid_mask(pixels, scene.nodata)
                    if valid.mean() < max(job.spec.min_valid, 1e-9):
                        empty += 1
                        continue
                    top, left = row0 + r * size, col0 + c * size
                    tile_id = f"{scene.scene_id}_r{r:03d}_c{c:03d}"
                    db = scene.radiometry.to_db(pixels)
                    step = 4 if valid[::4, ::4].any() else 1
                    samples.append(np.where(valid, db, np.nan)[:, ::step, ::step].reshape(len(db), -1))
                    box = scene.geobox[top : top + size, left : left + size]
                    data = cog_bytes(pixels, box, scene.nodata, scene.polarisations)
                    name = f"{scene.scene_id}/{tile_id}.tif"
                    job.out.write_bytes(f"tiles/{name}", data)
                    if (cover := truth.landcover(top, left, size)) is not None:
                        job.out.write_bytes(f"landcover/{name}", cog_bytes(cover[None], box, 0, ("landcover",)))
                    objects += object_rows(truth.objects, tile_id, top, left, size)
                    properties = _properties(
                        scene, box, db, valid, top + size / 2, left + size / 2, hashlib.sha256(data).hexdigest()
                    )
                    tiles.append(
                        TileRecord(
                            tile_id=tile_id,
                            scene_id=scene.scene_id,
                            row=top,
                            col=left,
                            properties=properties,
                            has_landcover=cover is not None,
                        )
                    )
        if not tiles:
            raise SceneError(
                scene.path,
                f"has no tile with at least {job.spec.min_valid:.0%} valid pixels (all no-data?)",
                "Check its no-data value, or lower --min-valid",
            )
    except KnowlipError:
        job.out.remove(f"tiles/{scene.scene_id}")
        job.out.remove(f"landcover/{scene.scene_id}")
        raise
    values = np.concatenate(samples, axis=1)
    return ScenePart(scene=_scene_record(scene, len(tiles), empty, values), tiles=tiles, objects=objects)


def _fitting(rows: int, cols: int) -> int:
    return max(32, min(rows, cols) // 16 * 16)


def _scene_record(scene: Scene, tiles: int, empty: int, db: NDArray[np.float32]) -> SceneRecord:
    a = scene.geobox.affine
    return SceneRecord(
        scene_id=scene.scene_id,
        source=scene.path.name,
        crs=_authority(scene.geobox),
        crs_wkt2=_wkt2(scene.geobox),
        transform=(a.a, a.b, a.c, a.d, a.e, a.f),
        shape=tuple(scene.geobox.shape),
        dtype=scene.dtype,
        nodata=None if scene.nodata is None or np.isnan(scene.nodata) else scene.nodata,
        polarisations=scene.polarisations,
        radiometry=scene.radiometry,
        acquisition=scene.acquisition,
        tiles=tiles,
        tiles_without_data=empty,
        db_percentiles=np.round(np.nanpercentile(db, DB_PERCENTILES, axis=1).T, 3).tolist(),
    )


def _authority(box: GeoBox) -> str | None:
    epsg = crs_of(box).epsg
    return f"EPSG:{epsg}" if epsg else None


def _wkt2(box: GeoBox) -> str:
    return crs_of(box).to_wkt(version=WktVersion.WKT2_2019)


def _properties(
    scene: Scene, box: GeoBox, db: NDArray[np.float32], valid: NDArray[np.bool_], row: float, col: float, sha256: str
) -> GeoProperties:
    try:
        at = locate(box)
    except ValueError as error:
        raise SceneError(scene.path, str(error), "Check its CRS and affine") from error
    acquisition, a, bounds = scene.acquisition, box.affine, box.boundingbox
    incidence = incidence_at(scene, row, col)
    looks = equivalent_looks(db[0], valid)
    unknown = {
        f: acquisition.unknown.get(f, "the scene's metadata do not tell")
        for f in _FROM_ACQUISITION
        if getattr(acquisition, f) is None
    }
    unknown |= dict.fromkeys(("country", "admin1", "nearest_city", "nearest_city_km", "split"), PENDING)
    if incidence is None:
        unknown["incidence_deg"] = acquisition.unknown.get("incidence_near_deg", "the scene's metadata do not tell")
    if looks is None:
        unknown["equivalent_looks"] = "too few valid uniform blocks to measure"
    if at.utm_zone is None:
        unknown["utm_zone"] = "polar, outside the UTM zones"
    if _authority(box) is None:
        unknown["crs"] = "a custom CRS without an authority code; see crs_wkt2"
    return GeoProperties(
        crs=_authority(box),
        crs_wkt2=_wkt2(box),
        transform=(a.a, a.b, a.c, a.d, a.e, a.f),
        shape=tuple(box.shape),
        bounds=(bounds.left, bounds.bottom, bounds.right, bounds.top),
        footprint_wkt=at.footprint.wkt,
        bbox=at.bbox,
        lon_deg=at.lon_deg,
        lat_deg=at.lat_deg,
        gsd_x_m=at.gsd_x_m,
        gsd_y_m=at.gsd_y_m,
        utm_zone=at.utm_zone,
        mgrs_square=at.mgrs_square,
        **{f: getattr(acquisition, f) for f in _FROM_ACQUISITION},
        incidence_deg=incidence,
        radiometry=f"{scene.radiometry.convention} {scene.radiometry.quantity}",
        unit=scene.radiometry.unit,
        valid_share=float(valid.mean()),
        equivalent_looks=looks,
        country=None,
        admin1=None,
        nearest_city=None,
        nearest_city_km=None,
        split=None,
        sha256=sha256,
        unknown=unknown,
    )


_FROM_ACQUISITION = (
    "acquired",
    "platform",
    "instrument_mode",
    "product_type",
    "frequency_band",
    "centre_frequency_ghz",
    "polarisations",
    "orbit_state",
    "look_side",
    "look_azimuth_deg",
)


def incidence_at(scene: Scene, row: float, col: float) -> float | None:
    """Incidence angle at a pixel, linear in ground range between the scene's near and far edges, degrees."""
    q = scene.acquisition
    if q.incidence_near_deg is None or q.incidence_far_deg is None or q.look_azimuth_deg is None:
        return None
    # how far one column and one row lead along the look direction, over ground
    azimuth = np.radians(q.look_azimuth_deg)
    step_col, step_row = ground_steps_m(scene.geobox) @ (np.sin(azimuth), np.cos(azimuth))
    rows, cols = scene.geobox.shape
    along = [c * step_col + r * step_row for r in (0, rows) for c in (0, cols)]
    share = (col * step_col + row * step_row - min(along)) / (max(along) - min(along))
    return float(q.incidence_near_deg + share * (q.incidence_far_deg - q.incidence_near_deg))


def equivalent_looks(db: NDArray[np.float32], valid: NDArray[np.bool_]) -> float | None:
    """Equivalent number of looks: the most frequent mean²/variance of power over 8 x 8 pixel blocks.

    The mode over small blocks is that of the uniform ones, as mixed blocks spread to low values.
    Source: Anfinsen et al. 2009, "Estimation of the equivalent number of looks in polarimetric SAR imagery".

    Args:
        db: `(H, W)` backscatter in dB.
        valid: `(H, W)` mask.

    Returns:
        None with fewer than 64 valid blocks.
    """
    h, w = (s // _LOOK_BLOCK * _LOOK_BLOCK for s in db.shape)
    blocks = (h // _LOOK_BLOCK, _LOOK_BLOCK, w // _LOOK_BLOCK, _LOOK_BLOCK)
    power = np.power(10, db[:h, :w].astype(np.float64) / 10).reshape(blocks)
    keep = valid[:h, :w].reshape(blocks).all(axis=(1, 3))
    mean, variance = power.mean(axis=(1, 3))[keep], power.var(axis=(1, 3), ddof=1)[keep]
    uniform = variance > 1e-6 * mean**2
    if uniform.sum() < 64:
        return None
    looks = np.log(mean[uniform] ** 2 / variance[uniform])
    counts, edges = np.histogram(looks, bins=np.linspace(-2, 6, 65))
    smooth = np.convolve(counts, [1, 2, 3, 2, 1], mode="same")
    peak = int(smooth.argmax())
    return round(float(np.exp((edges[peak] + edges[peak + 1]) / 2)), 2)


def cog_bytes(pixels: NDArray[Any], box: GeoBox, nodata: float | None, descriptions: tuple[str, ...]) -> bytes:
    """A Cloud-Optimised GeoTIFF of one tile, pixel values untouched.

    A tile of up to 512 pixels is its own overview, so blocks of 256 in one pass are a valid COG; larger ones go through
    GDAL's COG driver.

    Args:
        pixels: `(C, H, W)`.
    """
    bands, height, width = pixels.shape
    profile: dict[str, Any] = {
        "width": width,
        "height": height,
        "count": bands,
        "dtype": pixels.dtype,
        "crs": crs_of(box).to_wkt(),
        "transform": box.affine,
        "nodata": nodata,
        "compress": "deflate",
        "zlevel": 6,
        "predictor": 3 if pixels.dtype.kind == "f" else 2,
    }
    blocks = {"tiled": True, "blockxsize": 256, "blockysize": 256, "interleave": "pixel"}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", **profile, **(blocks if max(height, width) > 256 else {"blockysize": height})
        ) as dataset:
            dataset.descriptions = descriptions
            dataset.write(pixels)
        if max(height, width) <= 512:
            return bytes(memory.read())
        with MemoryFile() as final:
            with memory.open() as source:
                rasterio.shutil.copy(
                    source, final.name, driver="COG", compress="deflate", blocksize=256, overview_resampling="average"
                )
            return bytes(final.read())
