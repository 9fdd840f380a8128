"""Sentinel-1 ground-range detected products as ESA delivers them: a SAFE folder, or the zip of one.

Calibrated by the product's own tables, freed of thermal noise, and geocoded with a DEM or on the heights of the
product's geolocation grid.

Sources: Sentinel-1 Product Specification, S1-RS-MDA-52-7441 (layout); UZH-S1-GC-AD (geocoding).
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import Acquisition, Scene
from knowlip.scenes import sentinel1
from knowlip.scenes.datum import refuse_other_datum
from knowlip.scenes.describe import completed
from knowlip.scenes.geocode import Locator, cropped, image_positions, incidence_edges, map_grid, resampled
from knowlip.scenes.geotiff import safe_name
from knowlip.scenes.heights import Heights, from_points, on_nodes, opened
from knowlip.scenes.lut import Lut
from knowlip.scenes.orbit import ecef
from knowlip.scenes.package import Package, stamp
from knowlip.scenes.s1_annotation import Annotation, parse_annotation
from knowlip.scenes.s1_tables import Noise, calibrated, parse_calibration, parse_noise
from knowlip.scenes.sidecar import Declared
from knowlip.scenes.strips import write_strips
from knowlip.scenes.xml import parse_xml

_ANNOTATION = re.compile(r"(?:^|/)annotation/(s1[a-d]-(?:iw|ew|s[1-6])-grd[fhm_]?-([vh]{2})-[\w-]+)\.xml$")
GDAL_CACHE_MB = 700
"""Rows that a strip of the map crosses, in both polarisations, so that each is decoded once."""
REMEDY = "Fetch the product again"


@dataclass(frozen=True)
class Channel:
    """Files of one polarisation, by name in the package."""

    polarisation: str
    annotation: str
    measurement: str
    calibration: str
    noise: str | None


def is_safe(path: Path) -> bool:
    """Whether a path is a SAFE folder, or looks like the zip of one."""
    if path.is_dir():
        return (path / "manifest.safe").is_file()
    return path.suffix.lower() == ".zip" and re.match(r"S1[A-D]_", path.name) is not None


def safe_scene_id(path: Path) -> str:
    """The scene id of a product: its name without ending."""
    return safe_name(re.sub(r"(\.SAFE|\.zip)+$", "", path.name, flags=re.IGNORECASE))


def open_safe(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """A SAFE product as a Scene whose raster is still to be made; `prepare.prepared` makes it.

    Raises:
        SceneError: Not a ground-range product, incomplete, broken, or with a DEM that cannot be used.
    """
    package = Package(path)
    channels = _channels(package, declared)
    notes = [_annotation(package, c) for c in channels]
    first = notes[0]
    if any(n.shape != first.shape for n in notes):
        raise SceneError(path, "has polarisations of different sizes", REMEDY)
    radiometry = _radiometry(path, declared)
    for channel in channels:
        _check_measurement(package, channel, first)
        _tables(package, channel, radiometry.convention, first)
    box = _grid(path, first, declared)
    return Scene(
        scene_id=safe_scene_id(path),
        path=path,
        geobox=box,
        polarisations=tuple(c.polarisation for c in channels),
        dtype="float32",
        nodata=float("nan"),
        radiometry=radiometry,
        acquisition=_acquisition(path, package, channels, first, box),
        recipe=SafeRecipe(package, tuple(channels), radiometry.convention, box, declared),
    )


def _channels(package: Package, declared: Declared) -> list[Channel]:
    names = set(package.names)
    found, lacking = [], []
    for name in package.names:
        if (match := _ANNOTATION.search(name)) is None:
            continue
        root, stem, label = name[: match.start(1)].removesuffix("annotation/"), match[1], match[2].upper()
        pixels = [f"{root}measurement/{stem}{tail}" for tail in (".tiff", ".tif", "-cog.tiff")]
        measurement = next((p for p in pixels if p in names), None)
        calibration = f"{root}annotation/calibration/calibration-{stem}.xml"
        noise = f"{root}annotation/calibration/noise-{stem}.xml"
        if measurement is None or calibration not in names:
            lacking.append(f"{label} lacks its {'measurement' if measurement is None else 'calibration table'}")
            continue
        found.append(Channel(label, name, measurement, calibration, noise if noise in names else None))
    if declared.polarisations and not set(declared.polarisations) <= {c.polarisation for c in found}:
        lacking.append(f"not all of {', '.join(declared.polarisations)} are in it")
        found = []
    if not found:
        reason = "; ".join(lacking) or "no annotation of a ground-range product (GRD) is in it"
        raise SceneError(package.path, f"cannot be used: {reason}", "Fetch the whole GRD product again")
    wanted = [c for c in found if not declared.polarisations or c.polarisation in declared.polarisations]
    # as the product's own numbering has it: VV before VH, HH before HV
    return sorted(wanted, key=lambda c: (c.measurement.rsplit("-", 1)[-1], c.measurement))


def _annotation(package: Package, channel: Channel) -> Annotation:
    return parse_annotation(parse_xml(package.read(channel.annotation), package.subject(channel.annotation)))


def _tables(package: Package, channel: Channel, convention: str, note: Annotation) -> tuple[Lut, Noise | None]:
    read = package.read(channel.calibration)
    lut = parse_calibration(parse_xml(read, package.subject(channel.calibration)), convention)
    if channel.noise is None or note.noise_removed:
        return lut, None
    return lut, parse_noise(parse_xml(package.read(channel.noise), package.subject(channel.noise)))


def _check_measurement(package: Package, channel: Channel, note: Annotation) -> None:
    with _measurement(package, channel) as dataset:
        if dataset.shape != note.shape or dataset.count != 1 or np.dtype(dataset.dtypes[0]).kind != "u":
            rows, cols = dataset.shape
            reason = f"is {cols} x {rows} {dataset.dtypes[0]}, its annotation says {note.shape[1]} x {note.shape[0]}"
            raise SceneError(package.subject(channel.measurement), reason, REMEDY)


def _measurement(package: Package, channel: Channel) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(package.gdal_path(channel.measurement))
    except RasterioError as error:
        subject = package.subject(channel.measurement)
        raise SceneError(subject, f"cannot be read as a GeoTIFF ({error})", REMEDY) from error


def _radiometry(path: Path, declared: Declared) -> Radiometry:
    said = declared.radiometry
    if said is None:
        return Radiometry(quantity="power", convention="sigma0", source="product: sigma0 table")
    if said.quantity != "power" or said.convention == "uncalibrated" or said.calibration_db:
        raise SceneError(
            path,
            f"is calibrated by its own tables, and --radiometry asks for {said.convention} {said.quantity}",
            "Leave it out, or ask for sigma0-power, beta0-power or gamma0-power",
        )
    return said.model_copy(update={"source": f"product: {said.convention} table"})


def _grid(path: Path, note: Annotation, declared: Declared) -> GeoBox:
    at = note.geolocation
    box = map_grid(at.lon_deg, at.lat_deg, note.sample_m, path, declared.crs)
    if declared.terrain is None:
        return box
    with opened(declared.terrain) as heights:
        refuse_other_datum(heights, at, declared.terrain.path)
        return cropped(box, heights.bounds, declared.terrain.path)


def _acquisition(path: Path, package: Package, channels: list[Channel], note: Annotation, box: GeoBox) -> Acquisition:
    fields = sentinel1.from_product_name(path.name) or sentinel1.from_product_name(package.names[0]) or {}
    look = (note.heading_deg + 90) % 360
    at = note.geolocation
    near, far = incidence_edges(box, look, at.lon_deg, at.lat_deg, at.incidence_deg)
    fields |= {
        "platform": f"sentinel-1{note.mission[-1:].lower()}",
        "instrument_mode": note.mode,
        "acquired": note.first_line,
        "frequency_band": "C",
        "centre_frequency_ghz": round(note.frequency_ghz, 6),
        "absolute_orbit": note.absolute_orbit,
        "orbit_state": note.orbit_state,
        "look_side": "right",
        "look_azimuth_deg": look,
        "incidence_near_deg": near,
        "incidence_far_deg": far,
        "polarisations": tuple(c.polarisation for c in channels),
    }
    fields.setdefault("product_type", "GRD")
    if note.mission in sentinel1.RELATIVE_ORBIT_OFFSET:
        fields["relative_orbit"] = sentinel1.relative_orbit(note.mission, note.absolute_orbit)
    return completed(fields, "the product's annotation does not tell", path)


@dataclass(frozen=True)
class SafeRecipe:
    """How the raster of a SAFE product is made."""

    package: Package
    channels: tuple[Channel, ...]
    convention: str
    box: GeoBox
    declared: Declared

    def key(self) -> str:
        """Differs where the raster would."""
        terrain = self.declared.terrain.stamp() if self.declared.terrain else ""
        parts = [stamp(self.package.path), repr(self.channels), self.convention, repr(self.box), terrain]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Calibrate and geocode, strip by strip.

        Raises:
            SceneError: Pixels or the DEM cannot be read.
            OutputError: The raster cannot be written.
        """
        note = _annotation(self.package, self.channels[0])
        locate = located(note)
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB), ExitStack() as stack:
            readers = [self._reader(stack, c, note) for c in self.channels]
            terrain = self.declared.terrain
            ground = _ground(stack.enter_context(opened(terrain)) if terrain else None, note)

            def read(row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
                return np.stack([r(row, col, height, width) for r in readers])

            def block(box: GeoBox, row: int, col: int) -> NDArray[np.float32]:
                return resampled(*image_positions(box, ground(box), locate), note.shape, len(readers), read)

            names = [c.polarisation for c in self.channels]
            write_strips(path, self.box, names, "float32", float("nan"), block)

    def _reader(self, stack: ExitStack, channel: Channel, note: Annotation) -> Callable[..., NDArray[np.float32]]:
        lut, noise = _tables(self.package, channel, self.convention, note)
        dataset = stack.enter_context(_measurement(self.package, channel))
        subject = self.package.subject(channel.measurement)

        def read(row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
            try:
                stored = dataset.read(1, window=Window(col, row, width, height))
            except RasterioError as error:
                reason = f"pixels at line {row} cannot be decoded: truncated or damaged"
                raise SceneError(subject, reason, REMEDY) from error
            return calibrated(stored, lut, noise, row, col)

        return read


def located(note: Annotation) -> Locator:
    """Line and sample of places by the range-Doppler equations."""

    def at(lon: Any, lat: Any, height_m: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return note.image_of(*note.orbit.closest_approach(ecef(lon, lat, height_m)))

    return at


def _ground(heights: Heights | None, note: Annotation) -> Callable[[GeoBox], NDArray[np.float64]]:
    if heights is not None:
        return heights.block
    at = note.geolocation
    surface = from_points(at.lon_deg, at.lat_deg, at.height_m)
    return lambda box: on_nodes(box, surface)
