"""A static STAC catalogue: self-contained, with the tiles and relative links, to be served by any web server.

Sources: STAC 1.1 catalogue, collection and item; STAC best practices for self-contained catalogues.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from knowlip.corpus.export.rows import href, tile_rows
from knowlip.corpus.stac import stac_item
from knowlip.corpus.store import Corpus

if TYPE_CHECKING:
    from knowlip.corpus.export import ExportSpec, Progress

_WORLD = [-180.0, -90.0, 180.0, 90.0]
"""The extent of a collection of chips, which lie nowhere in particular."""
_JSON, _GEOJSON = "application/json", "application/geo+json"


def write_stac(corpus: Corpus, out: Path, spec: ExportSpec, progress: Progress) -> dict[str, int]:
    """Write `collection.json`, `SCENE/catalog.json` and `SCENE/TILE/TILE.json` beside its `TILE.tif`."""
    total = len(corpus.tile_ids(spec.split))
    items: dict[str, list[dict[str, str]]] = {}
    boxes, times = [], []
    for done, row in enumerate(tile_rows(corpus, spec.split), 1):
        scene_id, tile_id = row["knowlip:scene"], row["id"]
        _write_item(corpus, out / scene_id / tile_id, row)
        items.setdefault(scene_id, []).append(_link("item", f"./{tile_id}/{tile_id}.json", _GEOJSON))
        if row["bbox"] is not None:
            boxes.append([row["bbox"][k] for k in ("xmin", "ymin", "xmax", "ymax")])
        times.append(row["datetime"])
        progress(done, total, tile_id)
    for scene_id, links in items.items():
        up = [_link("root", "../collection.json"), _link("parent", "../collection.json")]
        catalog = {"type": "Catalog", "stac_version": "1.1.0", "id": scene_id}
        _write(out / scene_id / "catalog.json", catalog | {"description": f"Tiles of {scene_id}.", "links": up + links})
    _write(
        out / "collection.json",
        _collection(corpus, np.array(boxes or [_WORLD]), [t for t in times if t], sorted(items)),
    )
    return {"scenes": len(items)}


def _write_item(corpus: Corpus, folder: Path, row: dict[str, Any]) -> None:
    item = stac_item(row).to_dict()
    item["collection"] = corpus.info["name"]
    item["assets"]["data"]["href"] = f"./{row['id']}.tif"
    item["links"] = [
        _link("root", "../../collection.json"),
        _link("parent", "../catalog.json"),
        _link("collection", "../../collection.json"),
    ]
    folder.mkdir(parents=True)
    place_file(corpus, href(row), folder / f"{row['id']}.tif")
    _write(folder / f"{row['id']}.json", item)


def place_file(corpus: Corpus, name: str, target: Path) -> None:
    """A file of the corpus at another place: a hard link where both lie on one disk, otherwise a copy."""
    if corpus.folder.is_local:
        try:
            os.link(corpus.folder.path(name), target)
        except OSError:
            shutil.copyfile(corpus.folder.path(name), target)
    else:
        target.write_bytes(corpus.folder.read_bytes(name))


def _collection(corpus: Corpus, boxes: NDArray[np.float64], times: list[datetime], scenes: list[str]) -> dict[str, Any]:
    west, east = boxes[:, 0].min(), boxes[:, 2].max()
    if (boxes[:, 0] > boxes[:, 2]).any():
        west, east = -180.0, 180.0
    interval = [_time(min(times)), _time(max(times))] if times else ["1978-06-27T00:00:00Z", None]
    links = [_link("root", "./collection.json")]
    links += [_link("child", f"./{scene}/catalog.json") for scene in scenes]
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": corpus.info["name"],
        "description": f"{len(boxes)} georeferenced SAR tiles of {len(scenes)} scenes.",
        "license": corpus.info["licence"],
        "extent": {
            "spatial": {"bbox": [[float(west), boxes[:, 1].min(), float(east), boxes[:, 3].max()]]},
            "temporal": {"interval": [interval]},
        },
        "links": links,
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _link(rel: str, to: str, kind: str = _JSON) -> dict[str, str]:
    return {"rel": rel, "href": to, "type": kind}


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
