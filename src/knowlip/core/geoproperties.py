"""Everything needed to put a tile's pixels on the Earth and to know how they were seen."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = str
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class GeoProperties(BaseModel):
    """The complete geographic projection properties of one tile. A null field has its reason in `unknown`.

    Attributes:
        crs: Authority code (`EPSG:32611`), null for a custom CRS.
        crs_wkt2: The CRS as WKT2:2019.
        transform: Affine `(a, b, c, d, e, f)`: x = a col + b row + c, y = d col + e row + f, pixel corners; without a
            CRS, x and y are columns and rows of the chip.
        shape: `(rows, columns)`.
        bounds: `(left, bottom, right, top)` in CRS units.
        footprint_wkt: Outline in WGS 84 longitude and latitude, edges densified.
        bbox: `(west, south, east, north)` in degrees; west > east across the antimeridian.
        lon_deg, lat_deg: The centre pixel corner's position in WGS 84.
        gsd_x_m, gsd_y_m: Geodesic ground sample distance at the centre along columns and rows, in metres.
        utm_zone: Such as `11N`.
        mgrs_square: 100 km square of the centre, such as `11SLT`.
        incidence_deg: Incidence angle at the centre.
        look_azimuth_deg: From the sensor's ground track to the scene, clockwise from north.
        radiometry: Quantity and convention, such as `sigma0 amplitude`.
        valid_share: Share of pixels that are not no-data, 0 to 1.
        equivalent_looks: Measured equivalent number of looks of the first band.
        nearest_city_km: Distance to the nearest city's centre.
        sha256: Of the tile's file.
        unknown: Reason for each null.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crs: str | None
    crs_wkt2: str | None
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]
    bounds: tuple[float, float, float, float]
    footprint_wkt: str | None
    bbox: tuple[float, float, float, float] | None
    lon_deg: float | None = Field(ge=-180, le=180)
    lat_deg: float | None = Field(ge=-90, le=90)
    gsd_x_m: float | None = Field(gt=0)
    gsd_y_m: float | None = Field(gt=0)
    utm_zone: str | None
    mgrs_square: str | None
    acquired: datetime | None
    platform: str | None
    instrument_mode: str | None
    product_type: str | None
    frequency_band: str | None
    centre_frequency_ghz: float | None
    polarisations: tuple[str, ...] | None
    orbit_state: str | None
    look_side: str | None
    look_azimuth_deg: float | None
    incidence_deg: float | None
    radiometry: str
    unit: str
    valid_share: float = Field(ge=0, le=1)
    equivalent_looks: float | None
    country: str | None
    admin1: str | None
    nearest_city: str | None
    nearest_city_km: float | None
    split: Split | None
    sha256: str
    unknown: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> Self:
        silent = [f for f in type(self).model_fields if getattr(self, f) is None and f not in self.unknown]
        if silent:
            raise ValueError(f"null without a reason: {', '.join(silent)}")
        return self
