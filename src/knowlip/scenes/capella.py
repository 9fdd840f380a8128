"""Capella geocoded products, GEO and GEC: a GeoTIFF of calibrated amplitudes and extended JSON metadata.

Sources: Capella Space SAR Products Format Specification 1.8, SAR Imagery Products Guide: `collect.image.scale_factor`
turns stored values into the square root of the convention that `collect.image.radiometry` names. The field names are
those that public readers of the format use; no product of Capella's was at hand to check them on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Convention, Radiometry
from knowlip.core.scene import Scene
from knowlip.scenes.describe import band_of, completed
from knowlip.scenes.geotiff import open_described, refuse_bad_name, safe_name
from knowlip.scenes.jsonmeta import Json, parse_json, read_json
from knowlip.scenes.sidecar import Declared, Sidecar
from knowlip.scenes.view import view_of, with_view

_CONVENTIONS: dict[str, Convention] = {
    "sigma_nought": "sigma0",
    "beta_nought": "beta0",
    "gamma_nought": "gamma0",
}


def is_capella(path: Path) -> bool:
    """Whether a file is a Capella GeoTIFF, by its name."""
    return path.name.upper().startswith("CAPELLA_") and path.suffix.lower() in (".tif", ".tiff")


def capella_scene_id(path: Path) -> str:
    """The scene id of a product."""
    return safe_name(path.stem)


def open_capella(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """A GEO or GEC product as a Scene.

    Raises:
        SceneError: Of another type, without its metadata, or broken.
    """
    refuse_bad_name(path)
    meta = _metadata(path)
    kind = meta.text("product_type") or next((k for k in ("GEO", "GEC", "SLC") if f"_{k}_" in path.name), "unknown")
    if kind not in ("GEO", "GEC"):
        raise SceneError(path, f"is of type {kind}; GEO and GEC are read", "Use the GEO product of the acquisition")
    acquisition = completed(_fields(meta, path, kind), "the product's metadata do not tell", meta.subject)
    said = Sidecar(capella_scene_id(path), acquisition, _radiometry(meta))
    # no-data is 0 where the file does not say
    scene = open_described(path, said, replace(declared, nodata=0.0) if _silent(path, declared) else declared)
    position = _position(meta)
    return scene if position is None else with_view(scene, view_of(scene.geobox, position))


def _metadata(path: Path) -> Json:
    """`<name>_extended.json` beside the GeoTIFF, else the same text in its tag ImageDescription."""
    beside = path.with_name(f"{path.stem}_extended.json")
    if beside.is_file():
        return read_json(beside)
    try:
        with rasterio.open(path) as dataset:
            text = dataset.tags().get("TIFFTAG_IMAGEDESCRIPTION", "")
    except RasterioError as error:
        raise SceneError(path, f"cannot be read as a GeoTIFF ({error})", "Fetch the product again") from error
    if text.lstrip().startswith("{"):
        return parse_json(text, path)
    raise SceneError(path, f"has no metadata: {beside.name} is not there", "Fetch it too, into the same folder")


def _silent(path: Path, declared: Declared) -> bool:
    try:
        with rasterio.open(path) as dataset:
            return declared.nodata is None and dataset.nodata is None
    except RasterioError:
        return False


def _radiometry(meta: Json) -> Radiometry | None:
    convention = _CONVENTIONS.get((meta.text("collect.image.radiometry") or "").lower())
    factor = meta.number("collect.image.scale_factor")
    if convention is None or factor is None:
        return None
    if not 0 < factor < 1e6:
        raise SceneError(meta.subject, f"states a scale_factor of {factor:g}", "Fetch the product's metadata again")
    return Radiometry(
        quantity="amplitude",
        convention=convention,
        calibration_db=20 * math.log10(factor),
        source="product: collect.image.scale_factor",
    )


def _fields(meta: Json, path: Path, kind: str) -> dict[str, Any]:
    ghz = meta.number("collect.radar.center_frequency")
    sent, received = (meta.text(f"collect.radar.{k}_polarization") for k in ("transmit", "receive"))
    # in a file name: CAPELLA_C02_SP_GEO_HH_20201209213329_20201209213332
    named = [p for p in path.stem.upper().split("_") if p in ("HH", "HV", "VH", "VV")]
    pairs = (sent + received,) if sent and received else tuple(named[:1])
    state, look = (meta.text(f"collect.{k}") for k in ("state.direction", "radar.pointing"))
    return {
        "product_name": path.stem,
        "platform": meta.text("collect.platform"),
        "instrument_mode": meta.text("collect.mode"),
        "product_type": kind,
        "acquired": meta.moment("collect.start_timestamp"),
        "centre_frequency_ghz": ghz / 1e9 if ghz else None,
        "frequency_band": band_of(ghz / 1e9) if ghz else None,
        "polarisations": pairs or None,
        "orbit_state": state.lower() if state and state.lower() in ("ascending", "descending") else None,
        "look_side": look.lower() if look and look.lower() in ("left", "right") else None,
    }


def _position(meta: Json) -> Any:
    """The sensor's position at the middle of the acquisition."""
    at = meta.moment("collect.image.center_pixel.center_time")
    vectors = meta.maybe("collect.state.state_vectors")
    if at is None or not isinstance(vectors, list):
        return None
    found = []
    for i in range(len(vectors)):
        time = meta.moment(f"collect.state.state_vectors.{i}.time")
        place = meta.vector(f"collect.state.state_vectors.{i}.position")
        if time is not None and place is not None:
            found.append(((time - at).total_seconds(), *place))
    table = np.array(sorted(found), np.float64)
    if len(table) < 2 or not table[0, 0] <= 0 <= table[-1, 0]:
        return None
    return np.array([np.interp(0.0, table[:, 0], table[:, k]) for k in (1, 2, 3)])
