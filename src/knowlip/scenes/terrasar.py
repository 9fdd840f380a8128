"""TerraSAR-X, TanDEM-X and PAZ geocoded products (GEC, EEC): an XML annotation and a GeoTIFF a polarisation.

Stored amplitudes become radar brightness by the polarisation's `calFactor` k: beta0 = k DN².

Source: DLR, TerraSAR-X Ground Segment Level 1b Product Format Specification, TX-GS-DD-3307; Basic Product Specification
Document, TX-GS-DD-3302. Written from the specification; no product was at hand to check on.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import Scene
from knowlip.scenes.describe import band_of, completed
from knowlip.scenes.geocode import incidence_edges
from knowlip.scenes.geotiff import open_described, refuse_bad_name, safe_name
from knowlip.scenes.layers import Layer, StackRecipe, open_layer
from knowlip.scenes.package import Package
from knowlip.scenes.sidecar import Declared, Sidecar
from knowlip.scenes.view import with_view
from knowlip.scenes.xml import Xml, parse_xml

_ANNOTATION = re.compile(r"^(TSX1|TDX1|PAZ1)_SAR__.*\.xml$", re.IGNORECASE)
_PLATFORM = {"TSX": "terrasar-x", "TDX": "tandem-x", "PAZ": "paz"}
REMEDY = "Fetch the product again"


def is_terrasar(path: Path) -> bool:
    """Whether a path is the folder of a product: it holds the annotation that is named as it is."""
    return path.is_dir() and _annotation(path) is not None


def _annotation(folder: Path) -> Path | None:
    return next((p for p in sorted(folder.glob("*_SAR__*.xml")) if _ANNOTATION.match(p.name)), None)


def terrasar_scene_id(path: Path) -> str:
    """The scene id of a product."""
    found = _annotation(path)
    return safe_name(found.stem if found else path.name)


def open_terrasar(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """A GEC or EEC product's folder as a Scene of all its polarisations, in beta nought.

    Raises:
        SceneError: Of another variant, incomplete or broken.
    """
    refuse_bad_name(path)
    found = _annotation(path)
    if found is None:
        raise SceneError(path, "holds no annotation (TSX1_SAR__….xml)", REMEDY)
    meta = parse_xml(Package(path).read(found.name), found)
    variant = meta.text("productInfo/productVariantInfo/productVariant")
    if variant not in ("GEC", "EEC"):
        raise SceneError(found, f"is a {variant} product; GEC and EEC are read", "Use the geocoded product (EEC, GEC)")
    layers = _layers(path, meta, declared)
    labels = tuple(layer.polarisation for layer in layers)
    acquisition = completed(_fields(meta, found, labels), "the product's annotation does not tell", found)
    source = "product: calFactor"
    if len(layers) == 1:
        level = 10 * math.log10(layers[0].factor or 1.0)
        radiometry = Radiometry(quantity="amplitude", convention="beta0", calibration_db=level, source=source)
        said = Sidecar(terrasar_scene_id(path), acquisition, radiometry)
        opened = open_described(
            Path(layers[0].path), said, replace(declared, nodata=0.0 if declared.nodata is None else declared.nodata)
        )
        return with_view(opened, _view(meta, opened.geobox))
    with open_layer(layers[0]) as dataset:
        if not dataset.crs or dataset.transform.is_identity:
            raise SceneError(layers[0].path, "has no map grid, which a geocoded product has", REMEDY)
        box = GeoBox(dataset.shape, dataset.transform, dataset.crs)
    scene = Scene(
        scene_id=terrasar_scene_id(path),
        path=path,
        geobox=box,
        polarisations=labels,
        dtype="float32",
        nodata=float("nan"),
        radiometry=Radiometry(quantity="power", convention="beta0", source=source),
        acquisition=acquisition,
        recipe=StackRecipe(tuple(layers), box, "float32", float("nan")),
    )
    return with_view(scene, _view(meta, box))


def _layers(path: Path, meta: Xml, declared: Declared) -> list[Layer]:
    factors = {c.text("polLayer"): c.number("calFactor") for c in meta.all("calibration/calibrationConstant")}
    found = []
    for image in meta.all("productComponents/imageData"):
        label = image.text("polLayer").upper()
        folder = PurePosixPath(image.maybe("file/location/path") or ".")
        name = folder / image.text("file/location/filename")
        if name.is_absolute() or ".." in name.parts:
            raise SceneError(meta.subject, f"names an image outside the product ({name})", "Do not use this product")
        if declared.polarisations and label not in declared.polarisations:
            continue
        factor = factors.get(label)
        if factor is None or factor <= 0:
            raise SceneError(meta.subject, f"has no calFactor of {label}", REMEDY)
        file = path / name
        if not file.is_file():
            raise SceneError(file, "is missing", REMEDY)
        found.append(Layer(str(file), label, factor, 0.0))
    if not found:
        raise SceneError(meta.subject, "names no image of these polarisations", REMEDY)
    return found


def _fields(meta: Xml, found: Path, labels: tuple[str, ...]) -> dict[str, Any]:
    ghz = meta.number("instrument/radarParameters/centerFrequency") / 1e9
    direction = (meta.maybe("productInfo/missionInfo/orbitDirection") or "").lower()
    look = (meta.maybe("productInfo/acquisitionInfo/lookDirection") or "").lower()
    orbits = [meta.maybe(f"productInfo/missionInfo/{n}") for n in ("absOrbit", "relOrbit")]
    absolute, relative = (int(o) if o and o.isdigit() and len(o) < 9 else None for o in orbits)
    return {
        "product_name": found.stem,
        "platform": _PLATFORM[found.name[:3].upper()],
        "instrument_mode": meta.maybe("productInfo/acquisitionInfo/imagingMode"),
        "product_type": meta.maybe("productInfo/productVariantInfo/productVariant"),
        "acquired": meta.moment("productInfo/sceneInfo/start/timeUTC"),
        "centre_frequency_ghz": ghz,
        "frequency_band": band_of(ghz),
        "polarisations": labels,
        "orbit_state": direction if direction in ("ascending", "descending") else None,
        "absolute_orbit": absolute,
        "relative_orbit": relative,
        "look_side": look if look in ("left", "right") else None,
    }


def _view(meta: Xml, box: GeoBox) -> dict[str, Any]:
    """Look azimuth from heading and side, incidence from the scene's corners."""
    look = (meta.maybe("productInfo/acquisitionInfo/lookDirection") or "").lower()
    corners = meta.all("productInfo/sceneInfo/sceneCornerCoord")
    if meta.maybe("productInfo/sceneInfo/headingAngle") is None or look not in ("left", "right") or len(corners) < 3:
        return {}
    heading = meta.number("productInfo/sceneInfo/headingAngle")
    azimuth = (heading + (90 if look == "right" else -90)) % 360
    lon, lat, incidence = (np.array([c.number(n) for c in corners]) for n in ("lon", "lat", "incidenceAngle"))
    near, far = incidence_edges(box, azimuth, lon, lat, incidence)
    return {"look_azimuth_deg": azimuth, "incidence_near_deg": near, "incidence_far_deg": far}
