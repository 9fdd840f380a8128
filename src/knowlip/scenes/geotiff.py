"""Open any single- to quad-polarisation GeoTIFF or COG as a Scene, and read its pixels in windows.

Source: OGC GeoTIFF 1.1 (OGC 19-008r4) for the grid; radiometry and acquisition as `sidecar` finds them.
"""

from __future__ import annotations

import csv
import re
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from knowlip.core.errors import SceneError
from knowlip.core.geodesy import ground_steps_m
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import POLARISATIONS, Acquisition, Scene
from knowlip.scenes import sentinel1
from knowlip.scenes.sidecar import Declared, Sidecar, acquisition_from_names, polarisations_of, read_sidecar

SUFFIXES = (".tif", ".tiff")
MAX_BANDS = 4
SAMPLE_PX = 1024
MAX_SIDE_PX = 1 << 18
"""No scene of any mission is wider; a header that says so is broken or meant to exhaust memory."""
SMALLEST_PIXEL_M, LARGEST_PIXEL_M = 0.001, 100_000.0
"""What pixels measure on the ground in any product, from laboratory images to scatterometers."""
_COLOURS = {ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.palette}


def find_rasters(path: Path) -> list[Path]:
    """The scene rasters at a path: the file itself, or every GeoTIFF below a folder, sorted.

    Hidden files are those of a write that was cut short; `truth` folders hold answers, not scenes.

    Raises:
        SceneError: Nothing there, or a folder without a GeoTIFF.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise SceneError(path, "no such file or folder", "Check the path")
    rasters = (p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    found = sorted(p for p in rasters if p.is_file() and "truth" not in p.parts[len(path.parts) :])
    if not found:
        raise SceneError(path, "holds no GeoTIFF (.tif, .tiff)", "Point to a folder of scenes or to one file")
    return found


def open_scene(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """Open a GeoTIFF as a Scene: its grid, bands, radiometry and acquisition.

    Reads metadata and, for undeclared floating-point pixels, a decimated sample.

    Raises:
        SceneError: Not a raster, no CRS, a photograph, too many bands, complex pixels, or unknown radiometry.
    """
    refuse_bad_name(path)
    return open_described(path, read_sidecar(path), declared)


def refuse_bad_name(path: Path) -> None:
    """Refuse a name that cannot be written down.

    Raises:
        SceneError: It is not valid UTF-8.
    """
    if _is_not_text(path):
        raise SceneError(path, "has a name that is not valid UTF-8", "Rename it")


def open_described(path: Path, sidecar: Sidecar, declared: Declared) -> Scene:
    """Open a GeoTIFF about which something else tells what a sidecar would: the metadata of a product.

    Raises:
        SceneError: As `open_scene` does.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                return _scene_from(dataset, path, sidecar, declared)
    except RasterioError as error:
        raise SceneError(path, _why_unreadable(path, error), "Fetch or export the file again") from error


def _is_not_text(path: Path) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in str(path))


def _why_unreadable(path: Path, error: Exception) -> str:
    if not path.is_file():
        return "no such file"
    if path.stat().st_size == 0:
        return "is empty (zero bytes)"
    return f"cannot be read as a GeoTIFF ({str(error).removeprefix(str(path)).strip(' :')})"


def _scene_from(dataset: Any, path: Path, sidecar: Sidecar, declared: Declared) -> Scene:
    said = sidecar.acquisition or Acquisition()
    stated = declared.polarisations or said.polarisations
    refuse_what_is_not_sar(dataset, path, bool(stated))
    tags = {k: str(v) for k, v in dataset.tags().items()}
    geobox = GeoBox((dataset.height, dataset.width), dataset.transform, _crs_of(dataset, path, declared))
    _refuse_absurd_pixels(geobox, path)
    polarisations = stated or polarisations_of(tuple(dataset.descriptions), tags, path.stem)
    if len(polarisations) != dataset.count:
        raise SceneError(
            path,
            f"has {dataset.count} bands but {len(polarisations)} polarisations ({', '.join(polarisations)}) are stated",
            "Give --polarisations with one label a band",
        )
    known = [p for p in polarisations if p != "unknown"]
    if not set(known) <= set(POLARISATIONS) or len(set(known)) != len(known):
        reason = f"polarisations {', '.join(polarisations)} are not distinct ones of HH, HV, VH, VV"
        raise SceneError(path, reason, "Correct them in its bands, its sidecar or --polarisations")
    nodata = _storable(declared.nodata if declared.nodata is not None else dataset.nodata, np.dtype(dataset.dtypes[0]))
    return Scene(
        scene_id=_scene_id(path, sidecar),
        path=path,
        geobox=geobox,
        polarisations=polarisations,
        dtype=dataset.dtypes[0],
        nodata=nodata,
        radiometry=declared.radiometry or sidecar.radiometry or infer_radiometry(dataset, path, nodata),
        acquisition=_acquisition(path, tags, geobox, polarisations, said),
        truth=sidecar.truth,
    )


def scene_id_of(path: Path) -> str:
    """The scene id that a raster will have, without opening it; that of its name where its sidecar is broken."""
    try:
        return _scene_id(path, read_sidecar(path))
    except SceneError:
        return _scene_id(path, Sidecar())


def _scene_id(path: Path, sidecar: Sidecar) -> str:
    return safe_name(sidecar.scene_id or path.stem)


def _storable(nodata: float | None, dtype: np.dtype[Any]) -> float | None:
    """The no-data value, or None where no pixel of the type can have it (-9999 in an 8-bit file)."""
    if nodata is None or dtype.kind == "f":
        return nodata
    info = np.iinfo(dtype)
    return nodata if info.min <= nodata <= info.max and float(nodata).is_integer() else None


def refuse_what_is_not_sar(dataset: Any, path: Path, stated: bool) -> None:
    """Refuse pictures, complex pixels, too many bands, and headers that no image has.

    Args:
        stated: Whether polarisations are stated, which overrules colours.

    Raises:
        SceneError: It is one of these.
    """
    if max(dataset.shape) > MAX_SIDE_PX:
        raise SceneError(path, f"states {dataset.width} x {dataset.height} pixels", "Do not use this file")
    described = polarisations_of(tuple(dataset.descriptions), {}, "")
    if not stated and "unknown" in described and set(dataset.colorinterp) & _COLOURS:
        raise SceneError(
            path,
            f"is a photograph or a picture ({dataset.count} colour bands), not radar backscatter",
            "Give the scene with one band per polarisation",
        )
    if dataset.count > MAX_BANDS:
        raise SceneError(path, f"has {dataset.count} bands", "A SAR scene has one band per polarisation, at most four")
    if np.dtype(dataset.dtypes[0]).kind not in "uif":
        raise SceneError(
            path, f"has {dataset.dtypes[0]} pixels (single look complex?)", "Detect it to amplitude or power first"
        )
    if len(set(dataset.dtypes)) > 1:
        raise SceneError(path, "mixes pixel types across bands", "Export all polarisations with one type")


def _crs_of(dataset: Any, path: Path, declared: Declared) -> Any:
    if dataset.transform.is_identity:
        raise SceneError(
            path,
            "has no georeference",
            "Geocode it, write its affine and CRS into the file (gdal_edit.py), or take it as a chip with --chips",
        )
    if not np.isfinite(dataset.transform).all():
        raise SceneError(path, "has an affine that is not finite", "Correct its georeference (gdal_edit.py)")
    if dataset.transform.determinant == 0:
        raise SceneError(
            path, "has an affine that maps all pixels onto a line", "Correct its georeference (gdal_edit.py)"
        )
    try:
        crs = CRS.from_user_input(declared.crs) if declared.crs else dataset.crs
    except (CRSError, ValueError) as error:
        raise SceneError(
            path, f"declared CRS '{declared.crs}' is not known ({error})", "Use a code such as EPSG:32611"
        ) from error
    if not crs:
        raise SceneError(
            path, "has no CRS", "Declare it with --crs EPSG:…, or write it into the file (gdal_edit.py -a_srs)"
        )
    if not (crs.is_projected or crs.is_geographic):
        raise SceneError(
            path, "has a local CRS that is not tied to the Earth", "Declare the right one with --crs EPSG:…"
        )
    # old WKT1 files often carry the definition without its code; the code is what other programs want
    epsg = crs.to_epsg()
    return CRS.from_epsg(epsg) if epsg else crs


def _refuse_absurd_pixels(geobox: GeoBox, path: Path) -> None:
    size_m = np.hypot(*ground_steps_m(geobox).T)
    if not np.isfinite(size_m).all():
        raise SceneError(path, "lies outside the domain of its projection", "Check its CRS and affine")
    if size_m.min() < SMALLEST_PIXEL_M or size_m.max() > LARGEST_PIXEL_M:
        reason = f"has pixels of {size_m[0]:.3g} x {size_m[1]:.3g} m on the ground"
        raise SceneError(path, reason, "Check its CRS and affine; declare the right CRS with --crs EPSG:…")


def infer_radiometry(dataset: Any, path: Path, nodata: float | None) -> Radiometry:
    """What stored values mean, as far as their type and a sample tell.

    Raises:
        SceneError: They do not tell.
    """
    kind = np.dtype(dataset.dtypes[0]).kind
    if kind == "u":
        return Radiometry(
            quantity="amplitude", source=f"inferred: {dataset.dtypes[0]} detected products store amplitude"
        )
    step = max(1, max(dataset.shape) // SAMPLE_PX)
    shape = (max(1, dataset.height // step), max(1, dataset.width // step))
    with np.errstate(invalid="ignore"):
        sample = dataset.read(1, out_shape=shape).astype(np.float64)
    sample = sample[valid_mask(sample[None], nodata)]
    if sample.size == 0:
        # all no-data: the caller refuses the scene for that, which is the better reason
        return Radiometry(quantity="power", source="inferred: nothing valid")
    if kind == "i":
        if sample.min() < 0:
            raise SceneError(
                path,
                f"{dataset.dtypes[0]} values down to {sample.min():.0f} may be scaled dB or parts of complex numbers",
                "Convert it to dB or amplitude, or declare what it holds with --radiometry (for example sigma0-db)",
            )
        return Radiometry(quantity="amplitude", source=f"inferred: {dataset.dtypes[0]}, not negative, as of amplitude")
    negative, median = float((sample < 0).mean()), float(np.median(sample))
    if negative > 0.5 and sample.min() > -100:
        return Radiometry(
            quantity="db", source=f"inferred from values: {negative:.0%} negative, and linear power is not"
        )
    if negative < 0.01 and median < 1.5:
        return Radiometry(
            quantity="power", source=f"inferred from values: not negative, median {median:.3g} as of linear power"
        )
    raise SceneError(
        path,
        f"floating-point values between {sample.min():.3g} and {sample.max():.3g} may be dB, power or amplitude",
        "Declare it with --radiometry (for example sigma0-db)",
    )


@lru_cache(maxsize=8)
def _scenes_csv(folder: Path) -> dict[str, str]:
    """Product names by file name from a `scenes.csv` (columns `file` and one with `sar`) in the scene's folder."""
    try:
        with (folder / "scenes.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    return {r["file"]: " ".join(v for k, v in r.items() if k and "sar" in k and v) for r in rows if r.get("file")}


def _acquisition(
    path: Path, tags: dict[str, str], geobox: GeoBox, polarisations: tuple[str, ...], said: Acquisition
) -> Acquisition:
    """What the sidecar says, then what tags and names tell, then what follows from the orbit."""
    texts = [*tags.values(), _scenes_csv(path.parent).get(path.name, ""), path.stem]
    fields = acquisition_from_names(texts, tags) | said.model_dump(exclude_none=True, exclude={"unknown"})
    fields["polarisations"] = None if "unknown" in polarisations else polarisations
    unknown = dict(said.unknown)
    sentinel = str(fields.get("platform", "")).startswith("sentinel-1") and not fields.get("simulated")
    if sentinel and fields.get("acquired") and not fields.get("orbit_state"):
        centre = geobox.extent.centroid.to_crs("EPSG:4326").coords[0]
        state = sentinel1.orbit_state(fields["acquired"], *centre)
        if state:
            fields["orbit_state"] = state
            fields.setdefault("look_azimuth_deg", sentinel1.look_azimuth_deg(centre[1], state))
        unknown.setdefault("incidence_near_deg", "the cut-out does not say where in the swath it lies")
    missing = "neither sidecar, tags nor product name tell"
    for name in Acquisition.model_fields:
        if name not in ("unknown", "simulated", "place") and fields.get(name) is None:
            unknown.setdefault(name, missing)
    if fields.get("incidence_near_deg") is None and fields.get("incidence_far_deg") is None:
        unknown["incidence_far_deg"] = unknown["incidence_near_deg"]
    return Acquisition.model_validate(fields | {"unknown": {k: v for k, v in unknown.items() if fields.get(k) is None}})


def safe_name(text: str) -> str:
    """A name safe as a folder name everywhere: letters, digits, dot, dash and underscore; others become dashes."""
    plain = re.sub(r"[^\w.\-]+", "-", text, flags=re.UNICODE).strip("-.")
    # file systems count bytes, up to 255, and a tile's file name adds its place and ending
    return plain.encode()[:120].decode(errors="ignore").strip("-.") or "scene"


def valid_mask(pixels: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Which pixels hold data in every band.

    Args:
        pixels: `(C, H, W)` or `(1, H, W)`.
        nodata: Declared value of absent pixels.

    Returns:
        `(H, W)` bool for `(C, H, W)` input.
    """
    valid: Any = np.isfinite(pixels) if pixels.dtype.kind == "f" else np.ones(pixels.shape, bool)
    if nodata is not None and not np.isnan(nodata):
        valid = valid & (pixels != nodata)
    result: NDArray[np.bool_] = valid.all(axis=0)
    return result


def read_window(dataset: Any, path: Path, row: int, col: int, height: int, width: int) -> NDArray[Any]:
    """Stored pixel values `(C, height, width)` of a window that lies inside the raster.

    Raises:
        SceneError: The pixels cannot be decoded (a truncated or damaged file).
    """
    try:
        pixels: NDArray[Any] = dataset.read(window=Window(col, row, width, height))
    except RasterioError as error:
        raise SceneError(
            path, f"pixels at row {row} cannot be decoded: truncated or damaged", "Fetch or export the file again"
        ) from error
    return pixels
