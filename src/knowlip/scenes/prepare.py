"""Make the raster of a scene that has none yet, in a folder where a later run finds it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from knowlip.core.scene import Recipe, Scene


def prepared(scene: Scene, folder: Path) -> Scene:
    """The scene with a raster that `read_window` can read; the scene itself where it has one.

    The raster is written once for a product, its settings and its DEM, and goes on where a killed run left it.

    Args:
        folder: Where rasters are kept, each in a folder of its own.

    Raises:
        SceneError: The product's pixels, or the DEM, cannot be read.
        OutputError: The folder cannot be written.
    """
    if scene.recipe is None:
        return scene
    path = _folder_of(scene.scene_id, scene.recipe, folder) / f"{scene.scene_id}.vrt"
    if not path.is_file():
        scene.recipe.write(path)
    return replace(scene, path=path, recipe=None)


def _folder_of(scene_id: str, recipe: Recipe, folder: Path) -> Path:
    return folder / f"{scene_id}-{recipe.key()[:12]}"


def forget(scene: Scene, folder: Path) -> None:
    """Remove the raster that `prepared` made of a scene that had none."""
    if scene.recipe is not None:
        shutil.rmtree(_folder_of(scene.scene_id, scene.recipe, folder), ignore_errors=True)
