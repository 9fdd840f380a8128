"""The exact answers that simulated scenes carry, cut with the tiles. Only the benchmark and tests look at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from knowlip.core.errors import SceneError
from knowlip.core.scene import Scene


class TruthReader:
    """Land cover and objects of one scene, or neither.

    Raises:
        SceneError: The sidecar names a truth file that is missing, damaged or on another grid.
    """

    def __init__(self, scene: Scene) -> None:
        self._cover: NDArray[np.uint8] | None = None
        self.objects: list[dict[str, Any]] = []
        if scene.truth is None:
            return
        try:
            if scene.truth.landcover:
                with rasterio.open(_beside(scene, scene.truth.landcover)) as dataset:
                    if dataset.shape != tuple(scene.geobox.shape) or not dataset.transform.almost_equals(
                        scene.geobox.affine
                    ):
                        raise SceneError(
                            scene.path, "its land-cover truth lies on another grid", "Simulate the scene again"
                        )
                    self._cover = dataset.read(1)
            if scene.truth.objects:
                self.objects = pq.read_table(_beside(scene, scene.truth.objects)).to_pylist()
        except (RasterioError, OSError, ValueError) as error:
            raise SceneError(scene.path, f"its truth cannot be read ({error})", "Simulate the scene again") from error

    def landcover(self, row: int, col: int, size: int) -> NDArray[np.uint8] | None:
        """Class codes `(size, size)` of a window, or None."""
        return None if self._cover is None else self._cover[Window(col, row, size, size).toslices()]


def _beside(scene: Scene, name: str) -> Path:
    path = (scene.path.parent / name).resolve()
    if not path.is_relative_to(scene.path.parent.resolve()):
        raise SceneError(
            scene.path, f"its truth '{name}' points outside the scene's folder", "Keep truth beside the scene"
        )
    return path


def object_rows(objects: list[dict[str, Any]], tile_id: str, row: int, col: int, size: int) -> list[dict[str, Any]]:
    """Rows of `objects.parquet` for the objects whose centre lies in a tile, corners moved to the tile's pixels."""
    rows = []
    for o in objects:
        x, y = o["centre_col"] - col, o["centre_row"] - row
        if 0 <= x < size and 0 <= y < size:
            corners = [v - (col, row)[i % 2] for i, v in enumerate(o["corners"])]
            rows.append(
                {
                    "tile_id": tile_id,
                    "object_id": str(o["object_id"]),
                    "cls": o["cls"],
                    "subtype": o["subtype"],
                    "centre_x": float(x),
                    "centre_y": float(y),
                    "corners": [float(v) for v in corners],
                    "length_m": float(o["length_m"]),
                    "width_m": float(o["width_m"]),
                    "heading_deg": float(o["heading_deg"]),
                    "state": o.get("state"),
                    "source": o.get("source", "simulation"),
                }
            )
    return rows
