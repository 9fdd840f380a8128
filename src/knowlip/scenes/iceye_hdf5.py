"""ICEYE ground-range detected products in HDF5, as they were delivered before the GeoTIFF.

All is a data set by name in the root: `s_amplitude`, numbers and texts, state vectors. The image is geocoded by the
range-Doppler equations: `zerodoppler_start_utc` and `zerodoppler_end_utc` give the time of a line, `grsr_coefficients`
the slant range of a sample. The corner coordinates say which way the image lies; a product whose equations miss them is
refused.

Source: ICEYE, Level 1 Product Format Specification 2.1, sections 4.2 and 5.3, and the metadata reference 2.4 of its
product documentation. Written from the specification; no product was at hand to check on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from knowlip.core.errors import SceneError
from knowlip.scenes.geocode import image_positions, resampled
from knowlip.scenes.geotiff import MAX_SIDE_PX
from knowlip.scenes.heights import Terrain, opened
from knowlip.scenes.layers import power_of
from knowlip.scenes.orbit import Orbit, ecef
from knowlip.scenes.package import stamp
from knowlip.scenes.strips import write_strips
from knowlip.scenes.xml import parse_moment

REMEDY = "Fetch the product again, or its GeoTIFF"
PIXELS = "s_amplitude"
MAX_VALUES = 1 << 16
"""Of one data set of metadata; the longest are tables of a value a sample."""
MAX_CHUNK_BYTES = 64 << 20
CORNERS = ("coord_first_near", "coord_first_far", "coord_last_near", "coord_last_far")
CLOSE_PX = 20.0
"""How far the equations may miss a corner, whose height is an average of the scene."""


@dataclass(frozen=True)
class Geometry:
    """How an image was taken.

    Attributes:
        shape: Lines and samples.
        line_s: Time from one line to the next.
        slant_m: `(samples,)` slant range of each sample, ascending.
        flipped: Whether lines and samples are stored from last to first and from far to near.
        height_m: Average height of the ground above the ellipsoid.
        corners: `(4, 4)` line, sample, latitude and longitude.
    """

    shape: tuple[int, int]
    orbit: Orbit
    line_s: float
    slant_m: NDArray[np.float64]
    flipped: tuple[bool, bool]
    height_m: float
    corners: NDArray[np.float64]

    def image_of(self, lon: Any, lat: Any, height_m: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Stored row and column of places, fractional; beyond the image as its last pixels would go on."""
        time_s, slant_m = self.orbit.closest_approach(ecef(lon, lat, height_m))
        last = self.shape[1] - 1
        sample = np.interp(slant_m, self.slant_m, np.arange(last + 1.0))
        # what lies outside is interpolated between nodes too, so that it must not be NaN
        near_m, far_m = self.slant_m[1] - self.slant_m[0], self.slant_m[-1] - self.slant_m[-2]
        sample = np.where(slant_m < self.slant_m[0], (slant_m - self.slant_m[0]) / near_m, sample)
        sample = np.where(slant_m > self.slant_m[-1], last + (slant_m - self.slant_m[-1]) / far_m, sample)
        at = (time_s / self.line_s, sample)
        row, col = (n - 1 - v if turned else v for v, n, turned in zip(at, self.shape, self.flipped, strict=True))
        return np.asarray(row), np.asarray(col)


@contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """The file, opened.

    Raises:
        SceneError: It is none, or what is read of it is damaged.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise SceneError(path, f"cannot be read as HDF5 ({error})", REMEDY) from error


def pixels_of(file: Any, path: Path) -> Any:
    """The data set of amplitudes.

    Raises:
        SceneError: There is none, or it is complex, absurd, or kept in another file.
    """
    if "s_i" in file or "s_q" in file:
        raise SceneError(path, "is complex; the ground-range detected product (GRD) is read", "Use …_GRD_….h5 or .tif")
    pixels = _plain(file, PIXELS, path)
    if pixels is None:
        raise SceneError(path, f"has no {PIXELS}", REMEDY)
    if len(pixels.shape) != 2 or max(pixels.shape) > MAX_SIDE_PX or min(pixels.shape) < 2:
        raise SceneError(path, f"states {' x '.join(map(str, pixels.shape))} pixels", "Do not use this file")
    chunk = np.prod(pixels.chunks or (1,), dtype=float) * pixels.dtype.itemsize
    if pixels.dtype.kind not in "uf" or chunk > MAX_CHUNK_BYTES:
        raise SceneError(path, f"has {pixels.dtype} pixels in chunks of {chunk:.3g} bytes", "Do not use this file")
    return pixels


def metadata_of(file: Any, path: Path) -> dict[str, Any]:
    """Numbers, texts and tables by their names in lower case; what is too long for metadata is left out."""
    values: dict[str, Any] = {}
    for name in list(file):
        entry = _plain(file, name, path)
        if entry is None or entry.size is None or not 0 < entry.size <= MAX_VALUES:
            continue
        content = entry[()]
        if entry.dtype.kind in "SO":
            texts = [
                t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in np.ravel(content).tolist()
            ]
            values[name.lower()] = texts[0] if entry.shape == () else texts
        elif entry.dtype.kind in "iuf":
            values[name.lower()] = float(content) if entry.shape == () else np.asarray(content, np.float64)
    return values


def _plain(file: Any, name: str, path: Path) -> Any:
    """A data set that lies in the file itself; None where the name is none."""
    import h5py

    if name not in file:
        return None
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise SceneError(path, f"links to another file for {name}", "Do not use this file")
    entry = file[name]
    if not isinstance(entry, h5py.Dataset):
        return None
    if entry.external or entry.is_virtual:
        raise SceneError(path, f"keeps {name} in another file", "Do not use this file")
    return entry


def geometry_of(values: dict[str, Any], shape: tuple[int, int], path: Path) -> Geometry:
    """How the image was taken, by its metadata.

    Raises:
        SceneError: Something is missing or absurd, or the equations do not meet the corners.
    """
    first, last = _moment(values, "zerodoppler_start_utc", path), _moment(values, "zerodoppler_end_utc", path)
    line_s = (last - first).total_seconds() / (shape[0] - 1)
    stated = tuple(int(_number(values, f"number_of_{n}_samples", path)) for n in ("azimuth", "range"))
    if stated != shape or not 0 < line_s < 1:
        reason = f"has {shape[0]} x {shape[1]} pixels, its metadata say {stated[0]} lines of {stated[1]} samples"
        raise SceneError(path, reason, REMEDY)
    spacing_m, origin_m = _number(values, "range_spacing", path), values.get("grsr_ground_range_origin", 0.0)
    ground_m = np.arange(shape[1]) * spacing_m - float(np.ravel(origin_m)[0])
    with np.errstate(over="ignore", invalid="ignore"):
        slant_m = np.polynomial.polynomial.polyval(ground_m, _table(values, "grsr_coefficients", path))
    if not (np.isfinite(slant_m).all() and slant_m[0] > 1e5 and (np.diff(slant_m) > 0).all() and slant_m[-1] < 5e6):
        raise SceneError(path, "has grsr_coefficients that give no slant ranges", REMEDY)
    corners = np.stack([_table(values, name, path, 4) for name in CORNERS])
    if np.abs(corners[:, 2]).max() > 90 or np.abs(corners[:, 3]).max() > 180:
        raise SceneError(path, "has corners that are no place on Earth", REMEDY)
    height_m = float(np.clip(_number(values, "avg_scene_height", path), -500, 9000))
    # lines run from the first corners to the last, samples from the near ones to the far ones
    flipped = (bool(corners[2, 1] < corners[0, 1]), bool(corners[1, 0] < corners[0, 0]))
    orbit = _orbit(values, first, path)
    found = Geometry(shape, orbit, line_s, slant_m, flipped, height_m, corners[:, [1, 0, 2, 3]])
    _refuse_missed_corners(found, path)
    return found


def _refuse_missed_corners(geometry: Geometry, path: Path) -> None:
    at = geometry.corners
    time_s, slant_m = geometry.orbit.closest_approach(ecef(at[:, 3], at[:, 2], np.full(4, geometry.height_m)))
    step_m = np.diff(geometry.slant_m).mean()
    first, near = np.array([True, True, False, False]), np.array([True, False, True, False])
    lines, samples = geometry.shape
    off_line = time_s / geometry.line_s - np.where(first, 0, lines - 1)
    off_sample = (slant_m - np.where(near, geometry.slant_m[0], geometry.slant_m[-1])) / step_m
    off = np.hypot(off_line, off_sample)
    if not (off < CLOSE_PX + 0.002 * max(lines, samples)).all():
        reason = f"has state vectors and ranges that miss its corners by {np.nanmax(np.append(off, 0)):.0f} pixels"
        raise SceneError(path, reason, REMEDY)


def _orbit(values: dict[str, Any], first: datetime, path: Path) -> Orbit:
    texts = values.get("state_vector_time_utc")
    times = [parse_moment(t) for t in (texts if isinstance(texts, list) else [])]
    if len(times) < 4 or None in times:
        raise SceneError(path, "has fewer than four state vectors", REMEDY)
    time_s = np.array([(t - first).total_seconds() for t in times if t is not None])
    position, velocity = (
        np.stack([_table(values, f"{kind}{axis}", path, len(times)) for axis in "xyz"], axis=1)
        for kind in ("pos", "vel")
    )
    radius, speed = np.linalg.norm(position, axis=1), np.linalg.norm(velocity, axis=1)
    if (np.diff(time_s) <= 0).any() or np.diff(time_s).max() > 60:
        raise SceneError(path, "has state vectors out of order or minutes apart", REMEDY)
    if radius.min() < 6.4e6 or radius.max() > 1e7 or speed.min() < 1e3 or speed.max() > 1e4:
        raise SceneError(path, "has state vectors that are no orbit of the Earth", REMEDY)
    return Orbit(time_s, position, velocity)


def _number(values: dict[str, Any], name: str, path: Path) -> float:
    try:
        number = float(np.ravel(values[name])[0])
    except (KeyError, TypeError, ValueError, IndexError):
        number = np.nan
    if not np.isfinite(number) or abs(number) > 1e12:
        raise SceneError(path, f"has no number {name}", REMEDY)
    return number


def _table(values: dict[str, Any], name: str, path: Path, count: int | None = None) -> NDArray[np.float64]:
    found = values.get(name)
    table = np.ravel(found) if isinstance(found, np.ndarray | float) else np.array([])
    if table.size == 0 or not np.isfinite(table).all() or (count is not None and table.size != count):
        raise SceneError(path, f"has no table {name}", REMEDY)
    return table


def _moment(values: dict[str, Any], name: str, path: Path) -> datetime:
    moment = parse_moment(values.get(name, ""))
    if moment is None:
        raise SceneError(path, f"has no time {name}", REMEDY)
    return moment


@dataclass(frozen=True)
class Hdf5Recipe:
    """How the raster of an HDF5 product is made.

    Attributes:
        factor: Stored amplitude squared, times this, is sigma nought.
        terrain: Elevation model; None takes the scene's average height.
    """

    path: Path
    polarisation: str
    factor: float
    box: GeoBox
    terrain: Terrain | None

    def key(self) -> str:
        """Differs where the raster would."""
        parts = [stamp(self.path), repr(self.factor), repr(self.box), self.terrain.stamp() if self.terrain else ""]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Calibrate and geocode, strip by strip.

        Raises:
            SceneError: Pixels or the DEM cannot be read.
            OutputError: The raster cannot be written.
        """
        with opened_hdf5(self.path) as file:
            pixels = pixels_of(file, self.path)
            geometry = geometry_of(metadata_of(file, self.path), pixels.shape, self.path)
        with ExitStack() as stack:
            heights = stack.enter_context(opened(self.terrain)) if self.terrain else None

            def read(row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
                with opened_hdf5(self.path) as file:
                    stored = pixels_of(file, self.path)[row : row + height, col : col + width]
                return power_of(stored[None], self.factor, 0.0)[None]

            def block(box: GeoBox, row: int, col: int) -> NDArray[np.float32]:
                ground = np.full(box.shape, geometry.height_m) if heights is None else heights.block(box)
                return resampled(*image_positions(box, ground, geometry.image_of), geometry.shape, 1, read)

            write_strips(path, self.box, [self.polarisation], "float32", float("nan"), block)
