"""The exact answers that simulated scenes carry, cut with the tiles. Only the benchmark and tests look at them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from knowlip.core.errors import SceneError
from knowlip.core.scene import Scene
from knowlip.corpus.grids import TileGrid

_OBJECT_NUMBERS = ("centre_row", "centre_col", "length_m", "width_m", "heading_deg")
_OBJECT_COLUMNS = pa.schema(
    [(n, pa.string()) for n in ("object_id", "cls", "subtype")]
    + [(n, pa.float64()) for n in _OBJECT_NUMBERS]
    + [("corners", pa.list_(pa.float64()))]
)
"""What a target's row has to have; `state` and `source` may be there too."""


class TruthReader:
    """Land cover and objects of one scene, or neither. A context manager: land cover stays open.

    Raises:
        SceneError: The sidecar names a truth file that is missing, damaged or on another grid.
    """

    def __init__(self, scene: Scene) -> None:
        self._cover: Any = None
        self.objects: list[dict[str, Any]] = []
        if scene.truth is None:
            return
        try:
            if scene.truth.landcover:
                self._cover = rasterio.open(_beside(scene, scene.truth.landcover))
                if self._cover.shape != tuple(scene.geobox.shape) or not self._cover.transform.almost_equals(
                    scene.geobox.affine
                ):
                    raise SceneError(
                        scene.path, "its land-cover truth lies on another grid", "Simulate the scene again"
                    )
            if scene.truth.objects:
                self.objects = _objects(_beside(scene, scene.truth.objects))
        except (RasterioError, OSError, ValueError) as error:
            raise SceneError(scene.path, f"its truth cannot be read ({error})", "Simulate the scene again") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._cover is not None:
            self._cover.close()

    def landcover(self, grid: TileGrid, row: int, col: int, width: int) -> NDArray[np.uint8] | None:
        """Class codes `(size, width)` of a strip of tiles, or None."""
        return None if self._cover is None else grid.read_classes(self._cover, row, col, width)


def _objects(path: Path) -> list[dict[str, Any]]:
    """Rows of a scene's targets, in its pixels. Raises ValueError where a column is missing or has other values."""
    table = pq.read_table(path)
    if lacking := set(_OBJECT_COLUMNS.names) - set(table.column_names):
        raise ValueError(f"{path.name} has no column {', '.join(sorted(lacking))}")
    rows: list[dict[str, Any]] = table.select(_OBJECT_COLUMNS.names).cast(_OBJECT_COLUMNS).to_pylist()
    for row in rows:
        numbers = [*(row["corners"] or ()), *(row[n] for n in _OBJECT_NUMBERS)]
        if len(numbers) != 8 + len(_OBJECT_NUMBERS) or None in numbers or not np.isfinite(numbers).all():
            raise ValueError(f"{path.name} has a target without finite numbers")
    more = [n for n in ("state", "source") if n in table.column_names]
    return [row | extra for row, extra in zip(rows, table.select(more).to_pylist(), strict=True)]


def _beside(scene: Scene, name: str) -> Path:
    path = (scene.path.parent / name).resolve()
    if not path.is_relative_to(scene.path.parent.resolve()):
        raise SceneError(
            scene.path, f"its truth '{name}' points outside the scene's folder", "Keep truth beside the scene"
        )
    return path


Place = tuple[int, int]
"""First row and column of a tile in its grid."""


def objects_by_tile(objects: list[dict[str, Any]], grid: TileGrid) -> dict[Place, list[dict[str, Any]]]:
    """Rows of `objects.parquet`, without their tile's id, for the tile that holds an object's centre."""
    found: dict[Place, list[dict[str, Any]]] = defaultdict(list)
    if not objects:
        return found
    corner = np.array([o["corners"] for o in objects], float).reshape(-1, 4, 2)
    centre_row, centre_col = np.array([(o["centre_row"], o["centre_col"]) for o in objects], float).T
    row, col = grid.from_scene(centre_row, centre_col)
    corner_row, corner_col = grid.from_scene(corner[..., 1], corner[..., 0])
    up_row, up_col = grid.from_scene(centre_row - 1, centre_col)
    turned_deg = np.degrees(np.arctan2(up_col - col, row - up_row))
    # all tiles of a grid lie on one lattice
    first = grid.corners[0] % grid.size
    top = np.floor((row - first[0]) / grid.size) * grid.size + first[0]
    left = np.floor((col - first[1]) / grid.size) * grid.size + first[1]
    for i, o in enumerate(objects):
        corners = np.stack([corner_col[i] - left[i], corner_row[i] - top[i]], axis=-1)
        found[int(top[i]), int(left[i])].append(
            {
                "object_id": str(o["object_id"]),
                "cls": o["cls"],
                "subtype": o["subtype"],
                "centre_x": float(col[i] - left[i]),
                "centre_y": float(row[i] - top[i]),
                "corners": corners.ravel().tolist(),
                "length_m": float(o["length_m"]),
                "width_m": float(o["width_m"]),
                "heading_deg": float(
                    o["heading_deg"] if grid.kernel is None else (o["heading_deg"] + turned_deg[i]) % 360
                ),
                "state": o.get("state"),
                "source": o.get("source", "simulation"),
            }
        )
    return found
