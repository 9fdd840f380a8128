"""A scene: one radar acquisition, opened; its grid, its bands, and how it was seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pydantic import BaseModel, ConfigDict, Field

from knowlip.core.radiometry import Radiometry

SIMULATED_GROUND = "simulated-ground.txt"
"""A file of this name says that all maps in its folder are of simulated ground, and not of the place they lie at."""

POLARISATIONS = ("HH", "HV", "VH", "VV")

BAND_RANGES_GHZ = {
    "P": (0.25, 0.5),
    "L": (1.0, 2.0),
    "S": (2.0, 4.0),
    "C": (4.0, 8.0),
    "X": (8.0, 12.0),
    "Ku": (12.0, 18.0),
}
"""Radar band letters, IEEE Std 521; P as in STAC's sar extension."""


class Truth(BaseModel):
    """Where a simulated scene's exact answers lie, relative to the scene's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    landcover: str | None = None
    zone: str | None = None
    height: str | None = None
    objects: str | None = None


class Acquisition(BaseModel):
    """How a scene was taken. `None` is unknown, and `unknown` says why.

    Angles are in degrees; azimuths clockwise from true north; `look_azimuth_deg` points from the sensor's ground track
    to the scene. Incidence runs from the near to the far edge along the look direction.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    product_name: str | None = None
    platform: str | None = None
    instrument_mode: str | None = None
    product_type: str | None = None
    acquired: datetime | None = None
    frequency_band: Literal["P", "L", "S", "C", "X", "Ku", "K", "Ka"] | None = None
    centre_frequency_ghz: float | None = Field(default=None, gt=0.1, lt=100)
    polarisations: tuple[str, ...] | None = None
    orbit_state: Literal["ascending", "descending"] | None = None
    absolute_orbit: int | None = Field(default=None, ge=0, lt=10**9)
    relative_orbit: int | None = Field(default=None, ge=0, lt=10**9)
    look_side: Literal["left", "right"] | None = None
    look_azimuth_deg: float | None = Field(default=None, ge=0, lt=360)
    incidence_near_deg: float | None = Field(default=None, gt=0, lt=90)
    incidence_far_deg: float | None = Field(default=None, gt=0, lt=90)
    simulated: bool = False
    place: str | None = None
    unknown: dict[str, str] = Field(default_factory=dict)


class Recipe(Protocol):
    """How a scene's raster is made of a product whose pixels lie on no map grid, or are no backscatter yet."""

    def key(self) -> str:
        """A text that differs where the raster would."""

    def write(self, path: Path) -> None:
        """Write the raster as a VRT of this path, with its parts beside it."""


@dataclass(frozen=True)
class Scene:
    """One opened acquisition. Pixels stay on disk; `knowlip.scenes.geotiff.read_window` reads them.

    Attributes:
        scene_id: Unique name, safe as a folder name.
        path: The raster file, or the product that `recipe` makes it of.
        geobox: Shape `(rows, columns)`, affine and CRS of the grid; a chip without georeference has no CRS.
        polarisations: One label a band, in band order; `unknown` where the product does not say.
        dtype: NumPy name of the stored type.
        nodata: Stored value of absent pixels, NaN, or None.
        radiometry: What the stored values mean.
        acquisition: How it was taken.
        truth: Simulated scenes only.
        recipe: How the raster is made, where `path` is a product that has none on this grid; None where `path` is it.
    """

    scene_id: str
    path: Path
    geobox: GeoBox
    polarisations: tuple[str, ...]
    dtype: str
    nodata: float | None
    radiometry: Radiometry
    acquisition: Acquisition
    truth: Truth | None = None
    recipe: Recipe | None = None


def crs_of(box: GeoBox) -> CRS:
    """The CRS of a grid that lies on the Earth, as every scene's and tile's does.

    Raises:
        ValueError: The grid has none.
    """
    if box.crs is None:
        raise ValueError("the grid has no CRS")
    return box.crs
