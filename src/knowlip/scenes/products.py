"""Every way to open a scene: which files of a folder are scenes, and which reader reads each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from knowlip.core.errors import SceneError
from knowlip.core.scene import Scene
from knowlip.scenes import capella, chips, gaofen3, geotiff, iceye, sentinel1_safe, sicd, terrasar, umbra
from knowlip.scenes.package import Package
from knowlip.scenes.sidecar import Declared, read_sidecar


@dataclass(frozen=True)
class Reader:
    """A family of products.

    Attributes:
        name: Of the family.
        claims: Whether a path is one of its products, by names alone.
        open_scene: Opens one; raises SceneError.
        scene_id: The id that the scene will have, without opening it.
    """

    name: str
    claims: Callable[[Path], bool]
    open_scene: Callable[[Path, Declared], Scene]
    scene_id: Callable[[Path], str]


READERS = (
    Reader("Sentinel-1 SAFE", sentinel1_safe.is_safe, sentinel1_safe.open_safe, sentinel1_safe.safe_scene_id),
    Reader("TerraSAR-X", terrasar.is_terrasar, terrasar.open_terrasar, terrasar.terrasar_scene_id),
    Reader("Gaofen-3", gaofen3.is_gaofen3, gaofen3.open_gaofen3, gaofen3.gaofen3_scene_id),
    Reader("ICEYE", iceye.is_iceye, iceye.open_iceye, iceye.iceye_scene_id),
    Reader("Capella", capella.is_capella, capella.open_capella, capella.capella_scene_id),
    Reader("Umbra", umbra.is_umbra, umbra.open_umbra, umbra.umbra_scene_id),
    Reader("SICD", sicd.is_sicd, sicd.open_sicd, sicd.sicd_scene_id),
)


def reader_of(path: Path) -> Reader | None:
    """The reader of the product at a path; None for a plain raster."""
    return next((r for r in READERS if r.claims(path)), None)


def find_scenes(path: Path, take_chips: bool = False) -> list[Path]:
    """The scenes at a path, sorted: the file or product itself, or every one below a folder.

    Hidden files are those of a write that was cut short; `truth` folders hold answers, not scenes; what lies in a
    product's folder belongs to the product.

    Args:
        take_chips: Also pictures without georeference.

    Raises:
        SceneError: Nothing there, or a folder without a scene.
    """
    if path.is_file() or (path.is_dir() and reader_of(path) is not None):
        return [path]
    if not path.exists():
        reason = "is a link to nothing" if path.is_symlink() else "no such file or folder"
        raise SceneError(path, reason, "Check the path")
    found = sorted(_below(path, take_chips))
    if not found:
        kinds = ".tif, .tiff" if not take_chips else ", ".join(chips.SUFFIXES)
        raise SceneError(path, f"holds no GeoTIFF ({kinds}) and no product", "Point to a folder of scenes or to one")
    return found


def _below(folder: Path, take_chips: bool) -> Iterator[Path]:
    suffixes = chips.SUFFIXES if take_chips else geotiff.SUFFIXES
    closed: list[Path] = []
    for root, folders, files in os.walk(folder, onerror=lambda e: closed.append(Path(e.filename))):
        products = [f for f in folders if reader_of(Path(root, f)) is not None]
        yield from (Path(root, f) for f in products)
        folders[:] = sorted(f for f in folders if f not in products and f != "truth")
        for name in files:
            file = Path(root, name)
            # a link to nothing is a scene that is missing, which its reader says
            if name.startswith(".") or not (file.is_file() or file.is_symlink()):
                continue
            plain = file.suffix.lower() in suffixes
            if reader_of(file) is not None or (plain and (not take_chips or _first(file))):
                yield file
    # who knows what is in them; it must not be left out in silence
    yield from closed


def _first(path: Path) -> bool:
    """Whether a file stands for its chip, or is no chip."""
    return chips.files_of(path)[0] == path or not chips.is_chip(path)


def open_scene(path: Path, declared: Declared = Declared()) -> Scene:  # noqa: B008 - frozen value
    """Open a product of any family, a GeoTIFF, or a chip where these are taken.

    Raises:
        SceneError: It cannot be read, or not be understood without more information.
    """
    reader = reader_of(path)
    if reader is not None:
        return reader.open_scene(path, declared)
    if declared.chips and path.is_file() and chips.is_chip(path):
        return chips.open_chip(path, declared)
    return geotiff.open_scene(path, declared)


def scene_id_of(path: Path, take_chips: bool = False) -> str:
    """The scene id that a scene will have, without opening it; that of its name where its sidecar is broken."""
    reader = reader_of(path)
    if reader is not None:
        return reader.scene_id(path)
    if take_chips and chips.is_chip(path):
        try:
            said = read_sidecar(path).scene_id
        except SceneError:
            said = None
        return geotiff.safe_name(said) if said else chips.chip_scene_id(path)
    return geotiff.scene_id_of(path)


def identity_of(path: Path, take_chips: bool = False) -> str:
    """Name and size of a scene's files, as text: another one is another scene."""
    files = chips.files_of(path) if take_chips and path.is_file() and chips.is_chip(path) else [path]
    if path.is_dir():
        return f"{path.name}:{Package(path).identity()}"
    return ";".join(f"{f.name}:{f.stat().st_size}" for f in files)
