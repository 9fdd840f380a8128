"""Gaofen-3 products: complex L1A, detected L1B and geocoded L2, a GeoTIFF a polarisation with RPCs and one `meta.xml`.

A stored amplitude becomes backscatter by the polarisation's `QualifyValue` Q and `CalibrationConst` K: sigma0 in dB is
20 log10(DN Q / 32767) - K for L1A, and the same with 65535 for detected products.

Sources: CRESDA, GF-3 user manual (calibration); Yin et al. 2017, "Absolute radiometric and polarimetric calibration of
Chinese C-band SAR satellite GF-3". Element names are those of public readers; no product was at hand to check on.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from knowlip.core.errors import SceneError
from knowlip.core.radiometry import Radiometry
from knowlip.core.scene import Scene
from knowlip.scenes.describe import band_of, completed
from knowlip.scenes.geocode import map_grid
from knowlip.scenes.geotiff import refuse_bad_name, safe_name
from knowlip.scenes.layers import Layer, RpcRecipe, StackRecipe, open_layer, terrain_box
from knowlip.scenes.package import Package
from knowlip.scenes.rpc import Rpc, parse_rpc, rpc_of
from knowlip.scenes.sidecar import Declared
from knowlip.scenes.xml import Xml, parse_moment, parse_xml

_FILE = re.compile(r"^GF3[A-C]?_.*_(L1A|L1B|L2)_", re.IGNORECASE)
FULL_SCALE = {"L1A": 32767.0, "L1B": 65535.0, "L2": 65535.0}
REMEDY = "Fetch the product again"


def is_gaofen3(path: Path) -> bool:
    """Whether a path is the folder of a product: it holds a `GF3….meta.xml`."""
    return path.is_dir() and _meta(path) is not None


def _meta(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("GF3*.meta.xml"))), None)


def gaofen3_scene_id(path: Path) -> str:
    """The scene id of a product."""
    meta = _meta(path)
    return safe_name(meta.name.removesuffix(".meta.xml") if meta else path.name)


def open_gaofen3(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """A product's folder as a Scene of all its polarisations, in linear sigma nought.

    Raises:
        SceneError: Incomplete, of an unknown level, or broken.
    """
    refuse_bad_name(path)
    found = _meta(path)
    if found is None:
        raise SceneError(path, "holds no GF3….meta.xml", REMEDY)
    meta = parse_xml(Package(path).read(found.name), found)
    level = _level(found, meta)
    layers = tuple(_layers(path, meta, level, declared))
    with open_layer(layers[0]) as dataset:
        shape, bands, kind = dataset.shape, dataset.count, np.dtype(dataset.dtypes[0]).kind
        on_map = bool(dataset.crs) and not dataset.transform.is_identity
        box = GeoBox(shape, dataset.transform, dataset.crs) if on_map else None
        tagged = dataset.rpcs
    if (level == "L1A") != (bands == 2 or kind == "c"):
        raise SceneError(layers[0].path, f"has {bands} bands, which a {level} product has not", REMEDY)
    recipe: StackRecipe | RpcRecipe
    if box is not None:
        recipe = StackRecipe(layers, box, "float32", float("nan"))
    else:
        rpc = _rpc(Path(layers[0].path), tagged)
        recipe = _geocoded(path, meta, layers, rpc, shape, level, declared)
    labels = tuple(layer.polarisation for layer in layers)
    return Scene(
        scene_id=gaofen3_scene_id(path),
        path=path,
        geobox=recipe.box,
        polarisations=labels,
        dtype="float32",
        nodata=float("nan"),
        radiometry=Radiometry(
            quantity="power", convention="sigma0", source="product: QualifyValue and CalibrationConst"
        ),
        acquisition=completed(_fields(meta, found, level, labels), "the product's meta.xml does not tell", found),
        recipe=recipe,
    )


def _level(found: Path, meta: Xml) -> str:
    stated = (meta.maybe("productinfo/productLevel") or "").upper()
    named = _FILE.match(found.name)
    level = stated if stated in FULL_SCALE else named[1].upper() if named else ""
    if level not in FULL_SCALE:
        raise SceneError(found, "does not say its level (L1A, L1B or L2)", "Keep the product's own file names")
    return level


def _layers(path: Path, meta: Xml, level: str, declared: Declared) -> list[Layer]:
    rasters = [p for p in sorted(path.iterdir()) if p.suffix.lower() in (".tif", ".tiff") and _FILE.match(p.name)]
    found = []
    for raster in rasters:
        words = re.split(r"[_.]", raster.stem.upper())
        label = next((w for w in words if w in ("HH", "HV", "VH", "VV")), None)
        if label is None or (declared.polarisations and label not in declared.polarisations):
            continue
        quality, constant = _constants(meta, label)
        found.append(Layer(str(raster), label, (quality / FULL_SCALE[level]) ** 2 * 10 ** (-constant / 10), 0.0))
    if not found:
        raise SceneError(path, "holds no GeoTIFF of a polarisation (…_HH_….tiff)", REMEDY)
    if len({layer.polarisation for layer in found}) < len(found):
        raise SceneError(path, "holds several files of one polarisation", "Keep each product in a folder of its own")
    return found


def _constants(meta: Xml, label: str) -> tuple[float, float]:
    """QualifyValue and CalibrationConst; a polarisation that was not calibrated has `NULL`."""
    names = f"imageinfo/QualifyValue/{label}", f"processinfo/CalibrationConst/{label}"
    if any((meta.maybe(n) or "NULL").upper() == "NULL" for n in names):
        raise SceneError(
            meta.subject,
            f"has no calibration of {label} (QualifyValue or CalibrationConst is missing)",
            "Use its GeoTIFF alone, with --radiometry amplitude",
        )
    quality, constant = (meta.number(n) for n in names)
    if quality <= 0 or abs(constant) > 200:
        raise SceneError(
            meta.subject, f"has a calibration of {label} that is none: {quality:g}, {constant:g} dB", REMEDY
        )
    return quality, constant


def _rpc(raster: Path, tagged: Any) -> Rpc:
    if tagged is not None:
        return rpc_of(tagged.to_dict(), raster)
    for ending in (".rpc", ".rpb", ".RPC", ".RPB"):
        beside = raster.with_suffix(ending)
        if beside.is_file():
            return parse_rpc(Package(raster.parent).read(beside.name), beside)
    raise SceneError(raster, "has neither a map grid nor RPCs", "Fetch its .rpc file too, into the same folder")


def _geocoded(
    path: Path, meta: Xml, layers: tuple[Layer, ...], rpc: Rpc, shape: tuple[int, int], level: str, declared: Declared
) -> RpcRecipe:
    lon, lat = rpc.corners(shape)
    across, along = _spacings(meta, level)
    gsd_m = round(max(across, along), 2)
    box = terrain_box(map_grid(lon, lat, gsd_m, path, declared.crs), declared.terrain)
    looks = (max(1, int(gsd_m / along)), max(1, int(gsd_m / across)))
    return RpcRecipe(layers, rpc, shape, looks, box, declared.terrain)


def _spacings(meta: Xml, level: str) -> tuple[float, float]:
    """Ground spacing of samples and of lines, m."""
    names = ("widthspace", "heightspace")
    found = [meta.maybe(f"imageinfo/{n}") or meta.maybe(f"imageinfo/rasterAttributes/{n}") for n in names]
    try:
        across, along = (float(v or "nan") for v in found)
    except ValueError:
        across = along = math.nan
    if not (0.05 < across < 1000 and 0.05 < along < 1000):
        raise SceneError(meta.subject, "has no widthspace and heightspace of its pixels", REMEDY)
    incidence = meta.maybe("processinfo/incidenceAngleNearRange")
    if level == "L1A" and incidence:
        # samples of a complex image are spaced along the slant
        across /= math.sin(math.radians(min(89.0, max(5.0, meta.number("processinfo/incidenceAngleNearRange")))))
    return across, along


def _fields(meta: Xml, found: Path, level: str, labels: tuple[str, ...]) -> dict[str, Any]:
    ghz = _maybe_number(meta, "sensor/RadarCenterFrequency", "sensor/radarCenterFrequency") or 5.4
    direction = (meta.maybe("Direction") or "").upper()
    look = (meta.maybe("sensor/lookDirection") or "").upper()[:1]
    start = meta.maybe("imageinfo/imagingTime/start")
    orbit = meta.maybe("orbitID")
    platform = re.match(r"GF3([A-C]?)_", found.name, re.IGNORECASE)
    return {
        "product_name": found.name.removesuffix(".meta.xml"),
        "platform": f"gaofen-3{platform[1].lower() if platform else ''}",
        "instrument_mode": meta.maybe("sensor/imagingMode"),
        "product_type": meta.maybe("productinfo/productType") or level,
        "acquired": parse_moment(start) if start else None,
        "centre_frequency_ghz": ghz,
        "frequency_band": band_of(ghz),
        "polarisations": labels,
        "orbit_state": {"DEC": "descending", "DES": "descending", "ASC": "ascending"}.get(direction[:3]),
        "absolute_orbit": int(orbit) if orbit and orbit.isdigit() and len(orbit) < 9 else None,
        "look_side": {"R": "right", "L": "left"}.get(look),
        "incidence_near_deg": _maybe_number(meta, "processinfo/incidenceAngleNearRange"),
        "incidence_far_deg": _maybe_number(meta, "processinfo/incidenceAngleFarRange"),
    }


def _maybe_number(meta: Xml, *paths: str) -> float | None:
    for path in paths:
        try:
            value = float(meta.maybe(path) or "nan")
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return None
