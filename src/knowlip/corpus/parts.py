"""What finished scenes leave in `.build` until the corpus is complete: their rows, as Arrow files.

A scene's JSON is written last, so that its presence says that rows and tiles are all there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from knowlip.core.folder import Folder
from knowlip.corpus.records import ScenePart, SceneRecord, TileRecord
from knowlip.corpus.stac import tile_table

OBJECT_SCHEMA = pa.schema(
    [(n, pa.string()) for n in ("tile_id", "object_id", "cls", "subtype")]
    + [(n, pa.float64()) for n in ("centre_x", "centre_y")]
    + [("corners", pa.list_(pa.float64()))]
    + [(n, pa.float64()) for n in ("length_m", "width_m", "heading_deg")]
    + [(n, pa.string()) for n in ("state", "source")]
)


def _name(scene_id: str, ending: str) -> str:
    return f".build/scenes/{scene_id}.{ending}"


def finished_part(out: Folder, scene_id: str) -> ScenePart | None:
    """What a scene gave, if it was finished before."""
    name = _name(scene_id, "json")
    return ScenePart.model_validate(out.read_json(name)) if out.exists(name) else None


def write_part(
    out: Folder, scene: SceneRecord, tiles: list[TileRecord], objects: list[dict[str, Any]], collection: str
) -> ScenePart:
    """Leave a scene's rows for the end of the build."""
    part = ScenePart(scene=scene, objects=len(objects))
    _write(out, _name(scene.scene_id, "tiles.arrow"), tile_table(tiles, collection))
    if objects:
        _write(out, _name(scene.scene_id, "objects.arrow"), pa.Table.from_pylist(objects, schema=OBJECT_SCHEMA))
    out.write_bytes(_name(scene.scene_id, "json"), part.model_dump_json().encode())
    return part


def tile_parts(out: Folder, scene_ids: list[str]) -> Iterator[pa.Table]:
    """Rows of `tiles.parquet`, scene by scene, place and split still open."""
    for scene_id in scene_ids:
        yield _read(out, _name(scene_id, "tiles.arrow"))


def object_parts(out: Folder, parts: list[ScenePart]) -> Iterator[pa.Table]:
    """Rows of `objects.parquet`, scene by scene."""
    for part in parts:
        if part.objects:
            yield _read(out, _name(part.scene.scene_id, "objects.arrow"))


def _write(out: Folder, name: str, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    out.write_bytes(name, sink.getvalue().to_pybytes())


def _read(out: Folder, name: str) -> pa.Table:
    return pa.ipc.open_file(pa.BufferReader(out.read_bytes(name))).read_all()
