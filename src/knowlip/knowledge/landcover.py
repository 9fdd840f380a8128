"""Land cover of a tile from a raster of classes, ESA WorldCover or any other with a mapping.

A mapping is a YAML or JSON file with the raster's codes under each of our classes, such as

    water: [80]
    woodland: [10, 95]

Codes that it does not name are unknown.

Source: ESA WorldCover Product User Manual v2.0 (2022), table 2, for the codes of WorldCover.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import yaml
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from knowlip.core.errors import ConfigError, SceneError
from knowlip.core.geodesy import ground_steps_m
from knowlip.core.scene import crs_of
from knowlip.core.statements import LANDCOVER
from knowlip.knowledge.source import Answer, Footprint, Ground, fact, file_version, ground_of
from knowlip.scenes.heights import files_of

WORLDCOVER = {"water": [80], "woodland": [10, 20, 95], "farmland": [30, 40], "building": [50], "bare": [60, 100]}
"""Tree cover, shrubland and mangroves are woodland; grassland and cropland farmland, as fields and meadows look alike;
built-up is building, though roads lie in it; moss and lichen are bare. Snow and ice (70) and herbaceous wetland (90)
have no counterpart and stay unknown."""

_METRES_OF_DEGREE = 110_574.0
"""The shortest degree of latitude."""
_CODE = {name: code for code, name in LANDCOVER.items()}


@dataclass(frozen=True)
class ClassRaster:
    """Rasters of land-cover classes. Make one with `class_raster`.

    Attributes:
        classes: Our class code of each of the rasters' codes.
    """

    files: tuple[Path, ...]
    classes: tuple[tuple[int, int], ...]
    version: str
    licence: str
    ground: Ground
    name: str = "land-cover"
    at_once: bool = False

    def ask(self, footprints: Sequence[Footprint]) -> list[Answer]:
        """`map.cover.<class>.share` of what is known, and the grid `land_cover` on the tile's pixels."""
        codes = [np.zeros(f.geobox.shape, np.uint8) for f in footprints]
        for file in self.files:
            try:
                with rasterio.open(file) as dataset:
                    box = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
                    for footprint, known in zip(footprints, codes, strict=True):
                        if _may_touch(box, footprint):
                            self._fill(known, on_tile(dataset, footprint.geobox))
            except RasterioError as error:
                raise SceneError(file, f"cannot be read ({error})", "Fetch the land cover again") from error
        return [self._answer(known) for known in codes]

    def _fill(self, codes: NDArray[np.uint8], raw: NDArray[np.int64]) -> None:
        for theirs, ours in self.classes:
            codes[(raw == theirs) & (codes == 0)] = ours

    def _answer(self, codes: NDArray[np.uint8]) -> Answer:
        known = np.count_nonzero(codes)
        if known == 0:
            return Answer(missing=("the raster has no class that is known here",))
        share = known / codes.size
        why = f"share of the {share:.0%} of the tile whose class is known"
        facts = tuple(
            fact(self, f"map.cover.{name}.share", round(np.count_nonzero(codes == code) / known, 4), 0.8, None, why)
            for code, name in LANDCOVER.items()
            if code in {ours for _, ours in self.classes}
        )
        reason = f"{1 - share:.0%} of the tile have no class that is known"
        return Answer(facts, {"land_cover": codes}, () if share > 0.99 else (reason,))


def _may_touch(box: tuple[float, ...], footprint: Footprint) -> bool:
    """Whether a tile whose middle is known may reach into a box of degrees."""
    rows, cols = footprint.geobox.shape
    reach_deg = float(np.linalg.norm(ground_steps_m(footprint.geobox), axis=1) @ (cols, rows)) / 2 / _METRES_OF_DEGREE
    wide_deg = reach_deg / max(np.cos(np.radians(min(abs(footprint.lat_deg) + reach_deg, 89.9))), 0.01)
    west, south, east, north = box
    lon, lat = footprint.lon_deg, footprint.lat_deg
    # a tile at the antimeridian may reach into a raster on its other side
    around = any(west - wide_deg <= lon + turn <= east + wide_deg for turn in (-360, 0, 360))
    return around and south - reach_deg <= lat <= north + reach_deg


def on_tile(dataset: rasterio.DatasetReader, tile: GeoBox) -> NDArray[np.int64]:
    """A raster's values `(H, W)` on a tile's pixels by nearest neighbour, -1 where it has none."""
    grid = {"crs": crs_of(tile).to_wkt(), "transform": tile.affine, "width": tile.shape[1], "height": tile.shape[0]}
    # without a no-data value only an alpha band tells what lies outside the raster
    with WarpedVRT(dataset, resampling=Resampling.nearest, add_alpha=dataset.nodata is None, **grid) as vrt:
        values = vrt.read(1).astype(np.int64)
        return np.where(vrt.read_masks(1) > 0, values, -1)


def class_raster(path: Path, mapping: Path | None = None) -> ClassRaster:
    """The land-cover raster at a path, or those of a folder, such as WorldCover's cells of three degrees.

    Args:
        mapping: The file that says which codes are which class; without one the codes are those of ESA WorldCover.

    Raises:
        SceneError: No raster of whole numbers with a CRS.
        ConfigError: The mapping is not one.
    """
    files, parts = files_of(path), set()
    for file in files:
        try:
            with rasterio.open(file) as dataset:
                usable = dataset.crs and dataset.dtypes[0].startswith(("uint", "int"))
                parts |= {file, *map(Path, dataset.files)}
                tags = dataset.tags()
                alien = _alien(dataset) if mapping is None else None
        except RasterioError as error:
            raise SceneError(file, f"cannot be read as a raster ({error})", "Check --land-cover") from error
        if not usable:
            raise SceneError(file, "is no raster of class codes with a CRS", "Check --land-cover")
        if alien is not None:
            raise SceneError(file, f"has code {alien}, which ESA WorldCover has not", "Give --land-cover PATH:MAPPING")
    codes = WORLDCOVER if mapping is None else _read_mapping(mapping)
    classes = tuple((theirs, _CODE[name]) for name, several in codes.items() for theirs in several)
    version = file_version(path, sorted(parts))
    if mapping is None:
        # WorldCover's own cells say their version in their tags
        version = " ".join(filter(None, ("ESA WorldCover", tags.get("product_version"), version)))
    else:
        version += f" by {file_version(mapping)}"
    licence = tags.get("license") or ("CC BY 4.0, ESA WorldCover" if mapping is None else "as its publisher says")
    return ClassRaster(tuple(files), classes, version, licence, ground_of(path))


def _alien(dataset: rasterio.DatasetReader) -> int | None:
    """A code in the middle of a raster that is none of WorldCover's, so that another map is not taken for it."""
    rows, cols = dataset.shape
    middle = Window(max(0, cols // 2 - 256), max(0, rows // 2 - 256), min(cols, 512), min(rows, 512))
    codes = dataset.read(1, window=middle, masked=True).compressed()
    strange = sorted(set(np.unique(codes).tolist()) - {0, *range(10, 101, 10), 95})
    return strange[0] if strange else None


def _read_mapping(path: Path) -> dict[str, list[int]]:
    remedy = f"Write lines such as 'water: [80]' for {', '.join(_CODE)}"
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(path, f"cannot be read as a mapping of classes ({error})", remedy) from error
    if not isinstance(said, dict) or not said or not set(said) <= set(_CODE):
        raise ConfigError(path, "does not name our classes", remedy)
    codes = {name: value if isinstance(value, list) else [value] for name, value in said.items()}
    every = [code for several in codes.values() for code in several]
    if not all(type(code) is int for code in every):
        raise ConfigError(path, "has codes that are not whole numbers", remedy)
    if twice := sorted({code for code in every if every.count(code) > 1}):
        raise ConfigError(path, f"puts code {twice[0]} into two classes", remedy)
    return codes
