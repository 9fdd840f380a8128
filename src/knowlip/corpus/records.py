"""What a build knows of its scenes and tiles while it runs: the values between tiling and the tables."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from knowlip.core.geoproperties import GeoProperties
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import Acquisition

PENDING = "filled in when all scenes are known"


class SceneRecord(BaseModel):
    """A row of `scenes.parquet`: a scene as it went into the corpus.

    Attributes:
        db_percentiles: Per band, backscatter in dB at `DB_PERCENTILES`: what normalises uncalibrated scenes.
    """

    scene_id: str
    source: str
    crs: str | None
    crs_wkt2: str | None
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]
    dtype: str
    nodata: float | None
    polarisations: tuple[str, ...]
    radiometry: Radiometry
    acquisition: Acquisition
    tiles: int
    tiles_without_data: int
    tiles_constant: int
    db_percentiles: list[list[float]]


@dataclass(frozen=True)
class TileRecord:
    """One tile: its names and GeoProperties (place and split still open).

    Attributes:
        bands: How many its file has.
        dtype: NumPy name of its file's pixel type.
        nodata: Value of absent pixels in its file.
    """

    tile_id: str
    scene_id: str
    row: int
    col: int
    properties: GeoProperties
    has_landcover: bool
    bands: int
    dtype: str
    nodata: float | None


class ScenePart(BaseModel):
    """All that one scene gives to the corpus, but for its tiles' and objects' rows, which wait on disk."""

    scene: SceneRecord
    objects: int


@dataclass(frozen=True)
class Rejected:
    """An input that gave nothing, and why."""

    path: str
    reason: str
    remedy: str
