"""One scene into tiles: a pure function, safe to run anywhere and any number of times."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from platformdirs import user_cache_dir
from rasterio.errors import NotGeoreferencedWarning

from knowlip.core.errors import KnowlipError, SceneError
from knowlip.core.folder import Folder
from knowlip.core.scene import Scene
from knowlip.corpus.cog import CogLayout, cog_layout, encode_cog
from knowlip.corpus.grids import TileGrid, TileSpec, tile_grids
from knowlip.corpus.measure import block_moments, looks_of_tiles, sample_step
from knowlip.corpus.parts import finished_part, write_part
from knowlip.corpus.properties import CutTile, authority_of, tile_records, wkt2_of
from knowlip.corpus.records import Rejected, ScenePart, SceneRecord, TileRecord
from knowlip.corpus.store import DB_PERCENTILES
from knowlip.corpus.truth import TruthReader, objects_by_tile
from knowlip.scenes.geotiff import valid_mask
from knowlip.scenes.prepare import forget, prepared
from knowlip.scenes.products import open_scene
from knowlip.scenes.sidecar import Declared

GDAL_CACHE_MB = 128
"""Decoded blocks that GDAL keeps: a row of blocks of a very wide scene; its own measure is a share of all memory."""

CACHED_PX = 1 << 17
"""Pixels whose power is worked on at a time."""


@dataclass(frozen=True)
class SceneJob:
    """A work item of the build.

    Attributes:
        collection: Name of the corpus.
        rasters: Where rasters that are made of products are kept; None makes them in a temporary folder of this user's,
            from which they go when their tiles are cut.
    """

    path: Path
    declared: Declared
    out: Folder
    spec: TileSpec
    collection: str
    rasters: Path | None = None


@dataclass
class _Cut:
    """What cutting a scene gathers."""

    empty: int = 0
    tiles: list[TileRecord] = field(default_factory=list)
    objects: list[dict[str, Any]] = field(default_factory=list)
    levels_db: list[NDArray[np.float32]] = field(default_factory=list)


def tile_scene(job: SceneJob) -> ScenePart | Rejected:
    """Cut one scene and write its tiles; a scene that was finished before is read back instead.

    Tiles lie on a grid without overlap, centred in the scene so that what is left over falls evenly on all edges; or,
    resampled, on the lattices of UTM zones.
    """
    with warnings.catch_warnings():
        # a chip has none, and that is no surprise
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return _tiled(job)


def _tiled(job: SceneJob) -> ScenePart | Rejected:
    folder = job.rasters or Path(user_cache_dir("knowlip"), "rasters")
    scene = made = None
    result: ScenePart | Rejected
    try:
        scene = open_scene(job.path, job.declared)
        if (part := finished_part(job.out, scene.scene_id)) is not None:
            return part
        made = prepared(scene, folder)
        result = _cut_scene(made, job)
    except SceneError as error:
        # a person knows the product, not the raster that was made of it
        subject = error.subject.replace(str(made.path), str(job.path)) if made else error.subject
        result = Rejected(subject, error.reason, error.remedy)
    if scene is not None and job.rasters is None:
        # a build that is interrupted does not come here, and finds the raster again
        forget(scene, folder)
    return result


def _cut_scene(scene: Scene, job: SceneJob) -> ScenePart:
    cut = _Cut()
    try:
        with (
            rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB),
            rasterio.open(scene.path) as dataset,
            TruthReader(scene) as truth,
        ):
            for grid in tile_grids(scene, job.spec):
                _cut_grid(grid, dataset, truth, job, cut)
        if not cut.tiles:
            raise SceneError(
                scene.path,
                f"has no tile with at least {job.spec.min_valid:.0%} valid pixels (all no-data?)",
                "Check its no-data value, or lower --min-valid",
            )
    except KnowlipError:
        job.out.remove(f"tiles/{scene.scene_id}")
        job.out.remove(f"landcover/{scene.scene_id}")
        raise
    return write_part(job.out, _scene_record(scene, job.path.name, cut), cut.tiles, cut.objects, job.collection)


def _cut_grid(grid: TileGrid, dataset: Any, truth: TruthReader, job: SceneJob, cut: _Cut) -> None:
    """Cut the tiles of one grid, strip by strip, so that a strip is all that is in memory."""
    scene, size = grid.scene, grid.size
    wkt = grid.box.crs.to_wkt() if grid.box.crs is not None else None
    layout = cog_layout((dataset.count, size, size), grid.dtype, wkt, grid.nodata, scene.polarisations)
    cover_layout = cog_layout((1, size, size), "uint8", wkt, 0, ("landcover",))
    objects = objects_by_tile(truth.objects, grid)
    done = []
    for row in np.unique(grid.corners[:, 0]).tolist():
        strip_index = np.flatnonzero(grid.corners[:, 0] == row)
        left, right = (int(v) for v in (grid.corners[strip_index, 1].min(), grid.corners[strip_index, 1].max() + size))
        strip = grid.read(dataset, row, left, right - left)
        cover = truth.landcover(grid, row, left, right - left)
        valid = valid_mask(strip, grid.nodata)
        share = [np.count_nonzero(valid[:, c : c + size]) / size**2 for c in range(0, right - left, size)]
        looks = _looks(scene, strip[0], valid, size)
        kept = np.zeros(len(share), bool)
        for index in strip_index.tolist():
            col = int(grid.corners[index, 1])
            at = (col - left) // size
            if share[at] < max(job.spec.min_valid, 1e-9):
                cut.empty += 1
                continue
            kept[at] = True
            inside = slice(col - left, col - left + size)
            tile_id = f"{scene.scene_id}_r{grid.names[index, 0]:03d}_c{grid.names[index, 1]:03d}{grid.suffix}"
            affine = grid.box.affine @ Affine.translation(col, row)
            sha256 = _write(job.out, f"tiles/{scene.scene_id}/{tile_id}.tif", layout, strip[:, :, inside], affine)
            if cover is not None:
                name = f"landcover/{scene.scene_id}/{tile_id}.tif"
                _write(job.out, name, cover_layout, cover[None, :, inside], affine)
            cut.objects += [{"tile_id": tile_id} | o for o in objects.get((row, col), ())]
            done.append(CutTile(index, tile_id, sha256, share[at], looks[at], cover is not None))
        cut.levels_db.append(_levels_db(scene, strip, valid, np.repeat(kept, size)))
    if done:
        cut.tiles += tile_records(grid, done)


def _write(out: Folder, name: str, layout: CogLayout, pixels: NDArray[Any], affine: Affine) -> str:
    data = encode_cog(layout, pixels, affine)
    out.write_bytes(name, data)
    return hashlib.sha256(data).hexdigest()


def _looks(scene: Scene, band: NDArray[Any], valid: NDArray[np.bool_], size: int) -> list[float | None]:
    """Equivalent looks of a strip's tiles; its power is worked on in parts that fit into the processor's cache."""
    step = max(1, CACHED_PX // size**2) * size
    parts = [np.s_[:, c : c + step] for c in range(0, band.shape[1], step)]
    moments = [block_moments(scene.radiometry.to_power(band[part]), valid[part]) for part in parts]
    mean, variance = (np.concatenate(m, axis=1) for m in zip(*moments, strict=True))
    return looks_of_tiles(mean, variance, band.shape[1] // size)


def _levels_db(
    scene: Scene, strip: NDArray[Any], valid: NDArray[np.bool_], kept: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """A sample of backscatter `(C, n)` in dB of the columns that are kept, no-data left out."""
    step = sample_step(*scene.geobox.shape)
    if not (valid[::step, ::step] & kept[::step]).any():
        step = 1
    here = valid[::step, ::step] & kept[::step]
    return scene.radiometry.to_db(strip[:, ::step, ::step][:, here])


def _scene_record(scene: Scene, source: str, cut: _Cut) -> SceneRecord:
    a = scene.geobox.affine
    levels_db = np.concatenate(cut.levels_db, axis=1)
    return SceneRecord(
        scene_id=scene.scene_id,
        source=source,
        crs=authority_of(scene.geobox),
        crs_wkt2=wkt2_of(scene.geobox),
        transform=(a.a, a.b, a.c, a.d, a.e, a.f),
        shape=tuple(scene.geobox.shape),
        dtype=scene.dtype,
        nodata=None if scene.nodata is None or np.isnan(scene.nodata) else scene.nodata,
        polarisations=scene.polarisations,
        radiometry=scene.radiometry,
        acquisition=scene.acquisition,
        tiles=len(cut.tiles),
        tiles_without_data=cut.empty,
        db_percentiles=[np.round(np.percentile(band, DB_PERCENTILES), 3).tolist() for band in levels_db],
    )
