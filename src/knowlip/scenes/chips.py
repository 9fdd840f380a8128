"""Chips: images of radar backscatter without a georeference, as published data sets of targets are made of.

They are taken only where the user says so, since a scene that lost its georeference looks the same. Nothing about their
place is known, so their tiles have none, and belong to no split.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from knowlip.core.errors import SceneError
from knowlip.core.scene import POLARISATIONS, Acquisition, Scene
from knowlip.scenes.describe import completed
from knowlip.scenes.geotiff import infer_radiometry, refuse_bad_name, refuse_what_is_not_sar, safe_name
from knowlip.scenes.layers import Layer, StackRecipe, open_layer
from knowlip.scenes.sidecar import Declared, polarisations_of, read_sidecar

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
NO_PLACE = "chip without georeference"
_POLARISED = re.compile(r"^(?P<before>.*?)[_\-. ]?(?P<label>HH|HV|VH|VV)$", re.IGNORECASE)


def is_chip(path: Path) -> bool:
    """Whether a file is an image that says nothing about its place."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        with open_layer(Layer(str(path), "")) as dataset:
            return bool(dataset.transform.is_identity and not dataset.crs and not dataset.gcps[0])
    except SceneError:
        return False


def files_of(path: Path) -> list[Path]:
    """The files of one chip: those whose names differ in the polarisation alone, HH before HV, VH and VV."""
    match = _POLARISED.match(path.stem)
    if match is None:
        return [path]
    found: dict[str, Path] = {}
    for other in path.parent.iterdir():
        same = _POLARISED.match(other.stem) if other.suffix.lower() == path.suffix.lower() else None
        if same and same["before"] == match["before"] and other.is_file():
            found[same["label"].upper()] = other
    return [found[p] for p in POLARISATIONS if p in found]


def chip_scene_id(path: Path) -> str:
    """The id of a chip: its name, without the polarisation where others differ in it."""
    match = _POLARISED.match(path.stem)
    return safe_name(match["before"] or path.stem if match and len(files_of(path)) > 1 else path.stem)


def open_chip(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """An image without georeference as a Scene whose grid has no CRS.

    Raises:
        SceneError: Not an image of radar backscatter, polarisations of different sizes, or unknown radiometry.
    """
    refuse_bad_name(path)
    files, sidecar = files_of(path), read_sidecar(path)
    stated = declared.polarisations or (sidecar.acquisition.polarisations if sidecar.acquisition else None)
    layers, grids = [], set()
    radiometry = declared.radiometry or sidecar.radiometry
    for file in files:
        with open_layer(Layer(str(file), "")) as dataset:
            refuse_what_is_not_sar(dataset, file, bool(stated))
            if len(files) > 1 and dataset.count > 1:
                raise SceneError(file, "has several bands, and others of its name have more", "Put one band in a file")
            nodata = declared.nodata if declared.nodata is not None else dataset.nodata
            radiometry = radiometry or infer_radiometry(dataset, file, nodata)
            grids.add((dataset.shape, dataset.dtypes[0], dataset.count))
            names = polarisations_of(tuple(dataset.descriptions), dataset.tags(), file.stem)
            layers.append((Layer(str(file), names[0]), names))
    if len(grids) > 1:
        raise SceneError(path, "and the other polarisations of its name differ in size or type", "Put them apart")
    ((shape, dtype, count),) = grids
    labels = stated or (layers[0][1] if len(files) == 1 else tuple(layer.polarisation for layer, _ in layers))
    if len(labels) != count * len(files) or not set(labels) <= {*POLARISATIONS, "unknown"} or radiometry is None:
        reason = f"has {count * len(files)} bands, and {', '.join(labels)} are stated"
        raise SceneError(path, reason, "Give --polarisations with one of HH, HV, VH, VV a band")
    box = GeoBox(shape, Affine.identity(), None)
    told = sidecar.acquisition or Acquisition()
    said = told.model_dump(exclude_none=True, exclude={"unknown"})
    said["polarisations"] = None if "unknown" in labels else labels
    stack = tuple(Layer(la.path, p) for (la, _), p in zip(layers, labels, strict=False))
    whole = None if nodata is None or np.dtype(dtype).kind == "f" else float(nodata)
    return Scene(
        scene_id=safe_name(sidecar.scene_id) if sidecar.scene_id else chip_scene_id(path),
        path=path,
        geobox=box,
        polarisations=labels,
        dtype=dtype,
        nodata=nodata if np.dtype(dtype).kind == "f" else whole,
        radiometry=radiometry,
        acquisition=completed(said, f"{NO_PLACE} or metadata", path, told.unknown),
        recipe=StackRecipe(stack, box, dtype, nodata) if len(files) > 1 else None,
    )
