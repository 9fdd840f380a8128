"""ICEYE ground-range detected products (GRD): a GeoTIFF of amplitudes with its XML or JSON beside it, or an HDF5.

Backscatter is sigma0 = calibration_factor DN². The image lies in sensor geometry with RPCs in the GeoTIFF or state
vectors in the HDF5, or on a map grid.

Source: ICEYE, Level 1 Product Format Specification 2.4 and the metadata reference of its product documentation. Written
from the specification; no product was at hand to check on.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from odc.geo.geobox import GeoBox

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import Acquisition, Scene
from knowlip.scenes.describe import band_of, completed
from knowlip.scenes.geocode import map_grid
from knowlip.scenes.geotiff import open_described, refuse_bad_name, safe_name
from knowlip.scenes.iceye_hdf5 import Hdf5Recipe, geometry_of, metadata_of, opened_hdf5, pixels_of
from knowlip.scenes.jsonmeta import read_json
from knowlip.scenes.layers import Layer, RpcRecipe, open_layer, terrain_box
from knowlip.scenes.package import Package
from knowlip.scenes.rpc import rpc_of
from knowlip.scenes.sidecar import Declared, Sidecar
from knowlip.scenes.xml import parse_moment, parse_xml

REMEDY = "Fetch the product again"


def is_iceye(path: Path) -> bool:
    """Whether a file is an ICEYE product, by its name."""
    return path.name.upper().startswith("ICEYE_") and path.suffix.lower() in (".tif", ".tiff", ".h5")


def iceye_scene_id(path: Path) -> str:
    """The scene id of a product."""
    return safe_name(path.stem)


def open_iceye(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """A GRD product as a Scene in sigma nought.

    Raises:
        SceneError: Not detected, without its metadata, or broken.
    """
    refuse_bad_name(path)
    if re.search(r"_SLC[_.]", path.name, re.IGNORECASE):
        raise SceneError(path, "is complex; the ground-range detected product (GRD) is read", "Use …_GRD_….tif or .h5")
    if path.suffix.lower() == ".h5":
        return _open_hdf5(path, declared)
    values = _metadata(path)
    factor = _factor(values, path)
    acquisition = completed(_fields(values, path), "the product's metadata do not tell", path)
    label = acquisition.polarisations[0] if acquisition.polarisations else "unknown"
    with open_layer(Layer(str(path), label)) as dataset:
        on_map = bool(dataset.crs) and not dataset.transform.is_identity
        tagged, shape, bands = dataset.rpcs, dataset.shape, dataset.count
    source = "product: calibration_factor"
    if on_map:
        level = 10 * math.log10(factor)
        radiometry = Radiometry(quantity="amplitude", convention="sigma0", calibration_db=level, source=source)
        nodata = 0.0 if declared.nodata is None else declared.nodata
        return open_described(
            path, Sidecar(iceye_scene_id(path), acquisition, radiometry), replace(declared, nodata=nodata)
        )
    if tagged is None or bands != 1:
        raise SceneError(path, "has neither a map grid nor RPCs", REMEDY)
    rpc = rpc_of(tagged.to_dict(), path)
    layer = Layer(str(path), label, factor, 0.0)
    across, along = (_number(values, f"{n}_spacing", f"sar:pixel_spacing_{n}") for n in ("range", "azimuth"))
    if across is None or along is None or not (0.02 < across < 1000 and 0.02 < along < 1000):
        raise SceneError(path, "has no range_spacing and azimuth_spacing in its metadata", REMEDY)
    gsd_m = round(max(across, along), 3)
    box = terrain_box(map_grid(*rpc.corners(shape), gsd_m, path, declared.crs), declared.terrain)
    looks = (max(1, int(gsd_m / along)), max(1, int(gsd_m / across)))
    recipe = RpcRecipe((layer,), rpc, shape, looks, box, declared.terrain)
    return _scene(
        path, box, label, acquisition, Radiometry(quantity="power", convention="sigma0", source=source), recipe
    )


def _open_hdf5(path: Path, declared: Declared) -> Scene:
    with opened_hdf5(path) as file:
        pixels, values = pixels_of(file, path), metadata_of(file, path)
        geometry = geometry_of(values, pixels.shape, path)
    factor = _factor(values, path)
    acquisition = completed(_fields(values, path), "the product's metadata do not tell", path)
    label = acquisition.polarisations[0] if acquisition.polarisations else "unknown"
    spacing_m = [_number(values, f"{n}_spacing") or 0.0 for n in ("range", "azimuth")]
    if min(spacing_m) < 0.02 or max(spacing_m) > 1000:
        raise SceneError(path, "has no range_spacing and azimuth_spacing in its metadata", REMEDY)
    at = geometry.corners
    box = map_grid(at[:, 3], at[:, 2], round(max(spacing_m), 3), path, declared.crs)
    box = terrain_box(box, declared.terrain)
    radiometry = Radiometry(quantity="power", convention="sigma0", source="product: calibration_factor")
    return _scene(path, box, label, acquisition, radiometry, Hdf5Recipe(path, label, factor, box, declared.terrain))


def _factor(values: dict[str, Any], path: Path) -> float:
    factor = _number(values, "calibration_factor", "iceye:calibration_factor")
    if factor is None or not 0 < factor < 1e9:
        raise SceneError(path, "has no calibration_factor in its metadata", REMEDY)
    return factor


def _scene(
    path: Path,
    box: GeoBox,
    label: str,
    acquisition: Acquisition,
    radiometry: Radiometry,
    recipe: RpcRecipe | Hdf5Recipe,
) -> Scene:
    return Scene(
        scene_id=iceye_scene_id(path),
        path=path,
        geobox=box,
        polarisations=(label,),
        dtype="float32",
        nodata=float("nan"),
        radiometry=radiometry,
        acquisition=acquisition,
        recipe=recipe,
    )


def _metadata(path: Path) -> dict[str, Any]:
    """The product's values by name: of the XML or JSON beside it, else of the GeoTIFF's own tags."""
    if (beside := path.with_suffix(".xml")).is_file():
        root = parse_xml(Package(path.parent).read(beside.name), beside)
        leaves = [e for e in root.element.iter() if len(e) == 0 and e.text]
        return {str(e.tag).rsplit("}", 1)[-1].lower(): (e.text or "").strip() for e in reversed(leaves)}
    if (beside := path.with_suffix(".json")).is_file():
        content = read_json(beside).content
        inner = content.get("properties")
        return content | inner if isinstance(inner, dict) else dict(content)
    with open_layer(Layer(str(path), "")) as dataset:
        return {k.lower(): v for k, v in dataset.tags().items()}


def _number(values: dict[str, Any], *names: str) -> float | None:
    for name in names:
        try:
            value = float(values[name])
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(value):
            return value
    return None


def _text(values: dict[str, Any], *names: str) -> str | None:
    for name in names:
        value = values.get(name)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _fields(values: dict[str, Any], path: Path) -> dict[str, Any]:
    hertz = _number(values, "carrier_frequency", "sar:center_frequency")
    label = (_text(values, "polarization", "sar:polarizations") or "").upper()
    look = (_text(values, "look_side", "sar:observation_direction") or "").lower()
    state = (_text(values, "orbit_direction", "sat:orbit_state") or "").lower()
    heading = _number(values, "heading", "satellite_heading")
    incidence = [_number(values, f"incidence_{n}") for n in ("near", "far")]
    platform = _text(values, "satellite_name", "platform")
    moment = _text(values, "acquisition_start_utc", "start_datetime")
    return {
        "product_name": path.stem,
        "platform": platform.lower() if platform else None,
        "instrument_mode": _text(values, "acquisition_mode", "sar:instrument_mode"),
        "product_type": "GRD",
        "acquired": parse_moment(moment) if moment else None,
        "centre_frequency_ghz": hertz / 1e9 if hertz else None,
        "frequency_band": band_of(hertz / 1e9) if hertz else None,
        "polarisations": (label,) if label in ("HH", "HV", "VH", "VV") else None,
        "orbit_state": state if state in ("ascending", "descending") else None,
        "look_side": look if look in ("left", "right") else None,
        "look_azimuth_deg": (heading + (90 if look == "right" else -90)) % 360
        if heading is not None and look in ("left", "right")
        else None,
        "incidence_near_deg": incidence[0],
        "incidence_far_deg": incidence[1],
    }
