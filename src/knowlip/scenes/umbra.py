"""Umbra geocoded ellipsoid-corrected products (GEC): a GeoTIFF of amplitudes and its JSON metadata.

Source: Umbra Canonical Metadata and Product Guide. A GEC's amplitudes are scaled for looking at, so they are taken as
uncalibrated. `angleAzimuthDegrees` is read as the direction from the scene to the satellite, which the public metadata
bear out (an ascending, left-looking collect has its satellite in the east); the guide's own words were not at hand.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import Scene
from knowlip.scenes.describe import band_of, completed
from knowlip.scenes.geotiff import open_described, refuse_bad_name, safe_name
from knowlip.scenes.jsonmeta import Json, read_json
from knowlip.scenes.orbit import above
from knowlip.scenes.sidecar import Declared, Sidecar
from knowlip.scenes.view import view_of, with_view

# 2023-07-18-02-30-33_UMBRA-04_GEC.tif and its 2023-07-18-02-30-33_UMBRA-04_METADATA.json
_NAME = re.compile(r"^\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d_UMBRA-\d+_(GEC|CSI|CSI-SIDD|SICD|SIDD|CPHD)", re.IGNORECASE)


def is_umbra(path: Path) -> bool:
    """Whether a file is an Umbra GeoTIFF, by its name or its metadata's."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return False
    if match := _NAME.match(path.name):
        return match[1].upper() in ("GEC", "CSI")
    found = _beside(path)
    # other vendors' files may be called so too
    return found is not None and b"umbraSatelliteName" in found.read_bytes()[: 1 << 16]


def umbra_scene_id(path: Path) -> str:
    """The scene id of a product."""
    return safe_name(path.stem)


def _beside(path: Path) -> Path | None:
    """The product's metadata file, by name."""
    stem = re.sub(r"_(GEC|CSI)$", "", path.stem, flags=re.IGNORECASE)
    names = (f"{stem}_METADATA.json", f"{stem}_metadata.json", f"{path.stem}_METADATA.json")
    return next((p for n in names if (p := path.with_name(n)).is_file()), None)


def open_umbra(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """A GEC product as a Scene.

    Raises:
        SceneError: Without its metadata, or broken.
    """
    refuse_bad_name(path)
    found = _beside(path)
    if found is None:
        raise SceneError(path, "has no metadata: its _METADATA.json is not there", "Fetch it too, into the same folder")
    meta = read_json(found)
    acquisition = completed(_fields(meta, path), "the product's metadata do not tell", found)
    radiometry = Radiometry(quantity="amplitude", source="product: a GEC's amplitudes carry no calibration")
    said = Sidecar(umbra_scene_id(path), acquisition, radiometry)
    scene = open_described(path, said, replace(declared, nodata=0.0) if declared.nodata is None else declared)
    return with_view(scene, _view(meta, scene))


def _fields(meta: Json, path: Path) -> dict[str, Any]:
    hertz = meta.number("collects.0.radarCenterFrequencyHz")
    labels = meta.maybe("collects.0.polarizations")
    known = [p for p in labels if p in ("HH", "HV", "VH", "VV")] if isinstance(labels, list) else []
    track, look = (meta.text(f"collects.0.{k}") for k in ("satelliteTrack", "observationDirection"))
    platform = meta.text("umbraSatelliteName")
    return {
        "product_name": path.stem,
        "platform": platform.lower().replace("_", "-") if platform else None,
        "instrument_mode": meta.text("imagingMode"),
        "product_type": "GEC",
        "acquired": meta.moment("collects.0.startAtUTC"),
        "centre_frequency_ghz": hertz / 1e9 if hertz else None,
        "frequency_band": band_of(hertz / 1e9) if hertz else None,
        "polarisations": tuple(known) or None,
        "orbit_state": track.lower() if track and track.lower() in ("ascending", "descending") else None,
        "look_side": look.lower() if look and look.lower() in ("left", "right") else None,
    }


def _view(meta: Json, scene: Scene) -> dict[str, Any]:
    names = ("angleAzimuthDegrees", "angleIncidenceDegrees", "slantRangeMeters")
    azimuth, incidence, away = (meta.number(f"collects.0.{n}") for n in names)
    centre = meta.vector("collects.0.sceneCenterPointLla.coordinates")
    if azimuth is None or incidence is None or away is None or centre is None or not 0 < incidence < 90:
        return {}
    lon, lat, height = centre
    if abs(lon) > 180 or abs(lat) > 90 or not 1e5 < away < 5e6:
        return {}
    return view_of(scene.geobox, above(lon, lat, height, azimuth, incidence, away), height)
