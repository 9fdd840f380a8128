"""What the annotation of a Sentinel-1 ground-range product says: orbit, timing, ground range, geolocation grid.

Source: Sentinel-1 Product Specification, S1-RS-MDA-52-7441, issue 3/12, section 6.3 (level 1 annotation).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from knowlip.core.errors import SceneError
from knowlip.scenes.orbit import Orbit
from knowlip.scenes.xml import REMEDY, Xml

MAX_SIDE_PX = 1 << 17
"""The longest slices of any mode have some 30,000 lines."""


@dataclass(frozen=True)
class Geolocation:
    """The geolocation grid, `(N,)` each: image coordinates and where they lie; heights above the ellipsoid."""

    line: NDArray[np.float64]
    pixel: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    lat_deg: NDArray[np.float64]
    height_m: NDArray[np.float64]
    incidence_deg: NDArray[np.float64]


@dataclass(frozen=True)
class GroundRange:
    """Polynomials from slant range to ground range at some times.

    Attributes:
        time_s: `(N,)` seconds since the first line.
        origin_m: `(N,)` slant range that each polynomial counts from.
        coefficients: `(N, K)`, ascending powers.
    """

    time_s: NDArray[np.float64]
    origin_m: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    def of(self, time_s: NDArray[np.float64], slant_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Ground range in m at times and slant ranges, linear in time between polynomials."""
        last = len(self.time_s) - 1
        before = np.clip(np.searchsorted(self.time_s, time_s, "right") - 1, 0, max(0, last - 1))
        after = np.minimum(before + 1, last)
        gap = np.maximum(self.time_s[after] - self.time_s[before], 1e-9)
        share = np.clip((time_s - self.time_s[before]) / gap, 0, 1)
        return np.asarray((1 - share) * self._one(before, slant_m) + share * self._one(after, slant_m))

    def _one(self, index: NDArray[np.int64], slant_m: NDArray[np.float64]) -> NDArray[np.float64]:
        x, total = slant_m - self.origin_m[index], np.zeros(slant_m.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            for power in range(self.coefficients.shape[1] - 1, -1, -1):
                total = total * x + self.coefficients[index, power]
        return total


@dataclass(frozen=True)
class Annotation:
    """One polarisation's annotation.

    Attributes:
        shape: Lines and samples.
        line_s: Time from one line to the next.
        sample_m: Ground range from one sample to the next.
        first_line: UTC of line 0.
        noise_removed: Whether the processor subtracted thermal noise already.
    """

    mission: str
    mode: str
    absolute_orbit: int
    polarisation: str
    shape: tuple[int, int]
    line_s: float
    sample_m: float
    first_line: datetime
    noise_removed: bool
    orbit: Orbit
    ground_range: GroundRange
    geolocation: Geolocation
    orbit_state: str
    heading_deg: float
    frequency_ghz: float

    def image_of(
        self, time_s: NDArray[np.float64], slant_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Line and sample, fractional, of zero-Doppler times since the first line and slant ranges."""
        return time_s / self.line_s, self.ground_range.of(time_s, slant_m) / self.sample_m


def parse_annotation(root: Xml) -> Annotation:
    """Read the annotation of one polarisation.

    Raises:
        SceneError: Not of a ground-range product, or something that is needed is missing or absurd.
    """
    image, header = root.find("imageAnnotation/imageInformation"), root.find("adsHeader")
    if (kind := header.text("productType")) != "GRD":
        reason = f"is of type {kind}; only ground-range detected products are read"
        raise SceneError(root.subject, reason, "Use the GRD product of the same acquisition")
    shape = (image.whole("numberOfLines"), image.whole("numberOfSamples"))
    if not all(2 <= side <= MAX_SIDE_PX for side in shape):
        raise SceneError(root.subject, f"states {shape[0]} lines of {shape[1]} samples", REMEDY)
    line_s, sample_m = image.number("azimuthTimeInterval"), image.number("rangePixelSpacing")
    if not (1e-6 < line_s < 1 and 0.1 < sample_m < 10_000):
        raise SceneError(root.subject, f"states lines {line_s:g} s and samples {sample_m:g} m apart", REMEDY)
    first = image.moment("productFirstLineUtcTime")
    general = root.find("generalAnnotation/productInformation")
    return Annotation(
        mission=header.text("missionId"),
        mode=header.text("mode"),
        absolute_orbit=header.whole("absoluteOrbitNumber"),
        polarisation=header.text("polarisation"),
        shape=shape,
        line_s=line_s,
        sample_m=sample_m,
        first_line=first,
        noise_removed=root.maybe("imageAnnotation/processingInformation/thermalNoiseCorrectionPerformed") == "true",
        orbit=_orbit(root, first),
        ground_range=_ground_range(root, first),
        geolocation=_geolocation(root),
        orbit_state=general.text("pass").lower(),
        heading_deg=general.number("platformHeading") % 360,
        frequency_ghz=general.number("radarFrequency") / 1e9,
    )


def _seconds(element: Xml, path: str, since: datetime) -> float:
    return (element.moment(path) - since).total_seconds()


def _orbit(root: Xml, first: datetime) -> Orbit:
    vectors = root.all("generalAnnotation/orbitList/orbit")
    time = np.array([_seconds(v, "time", first) for v in vectors])
    if len(time) < 4 or (np.diff(time) <= 0).any() or np.diff(time).max() > 60:
        raise SceneError(root.subject, "has fewer than four state vectors, or not one a minute in order", REMEDY)
    axes = ("x", "y", "z")
    position = np.array([[v.number(f"position/{a}") for a in axes] for v in vectors])
    velocity = np.array([[v.number(f"velocity/{a}") for a in axes] for v in vectors])
    radius, speed = np.linalg.norm(position, axis=1), np.linalg.norm(velocity, axis=1)
    if radius.min() < 6.4e6 or radius.max() > 1e7 or speed.min() < 1e3 or speed.max() > 1e4:
        raise SceneError(root.subject, "has state vectors that are no orbit of the Earth", REMEDY)
    return Orbit(time, position, velocity)


def _ground_range(root: Xml, first: datetime) -> GroundRange:
    found = root.all("coordinateConversion/coordinateConversionList/coordinateConversion")
    if not found:
        raise SceneError(root.subject, "has no coordinateConversion, slant to ground range", REMEDY)
    rows = [c.numbers("srgrCoefficients") for c in found]
    time = np.array([_seconds(c, "azimuthTime", first) for c in found])
    if len({len(r) for r in rows}) > 1 or (np.diff(time) <= 0).any():
        raise SceneError(root.subject, "has srgrCoefficients of several lengths or out of order", REMEDY)
    return GroundRange(time, np.array([c.number("sr0") for c in found]), np.stack(rows))


def _geolocation(root: Xml) -> Geolocation:
    points = root.all("geolocationGrid/geolocationGridPointList/geolocationGridPoint")
    if len(points) < 4:
        raise SceneError(root.subject, "has fewer than four geolocationGridPoint", REMEDY)
    names = ("line", "pixel", "longitude", "latitude", "height", "incidenceAngle")
    grid = Geolocation(*(np.array([p.number(n) for p in points]) for n in names))
    if np.abs(grid.lat_deg).max() > 90 or np.abs(grid.lon_deg).max() > 180 or np.abs(grid.height_m).max() > 1e4:
        raise SceneError(root.subject, "has a geolocationGridPoint that is no place on Earth", REMEDY)
    return grid
