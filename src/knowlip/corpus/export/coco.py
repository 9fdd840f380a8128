"""COCO: tiles as 8-bit pictures, known targets as annotations with their oriented boxes as polygons.

Source: the COCO data format (cocodataset.org/#format-data): `bbox` is (x, y, width, height) in pixels, `segmentation`
a list of polygons (x0, y0, …), `area` that of the polygon.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from knowlip.corpus.export.rows import objects_by_tile, statements_by_tile, tile_rows
from knowlip.corpus.export.webdataset import NO_SPLIT
from knowlip.corpus.normalise import Normaliser
from knowlip.corpus.store import Corpus

if TYPE_CHECKING:
    from knowlip.corpus.export import ExportSpec, Progress

SPREADS = 2.5
"""Spreads of backscatter above and below the mean that black and white stand for."""


def grey(corpus: Corpus, tile_id: str, normaliser: Normaliser) -> NDArray[np.uint8]:
    """A tile's first polarisation as a picture `(H, W)`; no-data is mid-grey."""
    stored, nodata = corpus.stored_pixels(tile_id)
    radiometry, polarisations, anchor_db = corpus.calibration(tile_id)
    scaled = normaliser.stored(stored[:1], nodata, radiometry, polarisations[:1], anchor_db[:1])[0]
    return np.clip((scaled + SPREADS) * (255 / (2 * SPREADS)), 0, 255).astype(np.uint8)


def write_coco(corpus: Corpus, out: Path, spec: ExportSpec, progress: Progress) -> dict[str, int]:
    """Write `images/SPLIT/TILE.png`, `annotations/instances_SPLIT.json` and, of statements, `captions_SPLIT.json`."""
    from PIL import Image

    objects, texts = objects_by_tile(corpus), statements_by_tile(corpus)
    total, normaliser = len(corpus.tile_ids(spec.split)), Normaliser()
    classes = sorted({o["cls"] for found in objects.values() for o in found})
    categories = [{"id": i, "name": name, "supercategory": "target"} for i, name in enumerate(classes, 1)]
    number = {name: i for i, name in enumerate(classes, 1)}
    images: dict[str, list[dict[str, Any]]] = defaultdict(list)
    boxes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    captions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for image_id, row in enumerate(tile_rows(corpus, spec.split), 1):
        split, tile_id = row["knowlip:split"] or NO_SPLIT, row["id"]
        path = out / "images" / split / f"{tile_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey(corpus, tile_id, normaliser)).save(path)
        images[split].append(_image(row, image_id))
        for o in objects.get(tile_id, ()):
            annotation = {"id": len(boxes[split]) + 1, "image_id": image_id, "category_id": number[o["cls"]]}
            boxes[split].append(annotation | _shape(o, *row["proj:shape"]))
        for t in texts.get(tile_id, ()):
            captions[split].append({"id": len(captions[split]) + 1, "image_id": image_id, "caption": t["text"]})
        progress(image_id, total, tile_id)
    info = {"description": corpus.info["name"], "version": "1.0", "url": ""}
    for split, found in sorted(images.items()):
        head = {"info": info, "licenses": [{"id": 1, "name": corpus.info["licence"], "url": ""}], "images": found}
        _write(
            out / "annotations" / f"instances_{split}.json",
            head | {"annotations": boxes[split], "categories": categories},
        )
        if texts:
            _write(out / "annotations" / f"captions_{split}.json", head | {"annotations": captions[split]})
    return {"annotations": sum(map(len, boxes.values())), "captions": sum(map(len, captions.values()))}


def _image(row: dict[str, Any], image_id: int) -> dict[str, Any]:
    rows, cols = row["proj:shape"]
    moment = row["datetime"]
    return {
        "id": image_id,
        "license": 1,
        "file_name": f"{row['id']}.png",
        "width": cols,
        "height": rows,
        "date_captured": None if moment is None else moment.isoformat(),
        "tile_id": row["id"],
        "lon_deg": (row["proj:centroid"] or {}).get("lon"),
        "lat_deg": (row["proj:centroid"] or {}).get("lat"),
        "gsd_m": row["gsd"],
    }


def _shape(o: dict[str, Any], rows: int, cols: int) -> dict[str, Any]:
    """An annotation's geometry, cut at the picture's edges as COCO wants it; `corners` is the whole oriented box."""
    seen = shapely.Polygon(np.reshape(o["corners"], (4, 2))).intersection(shapely.box(0, 0, cols, rows))
    left, top, right, bottom = seen.bounds
    return {
        "bbox": [left, top, right - left, bottom - top],
        "segmentation": [shapely.get_coordinates(seen)[:-1].ravel().tolist()],
        "area": seen.area,
        "iscrowd": 0,
        "object_id": o["object_id"],
        "subtype": o["subtype"],
        "corners": o["corners"],
        "heading_deg": o["heading_deg"],
        "length_m": o["length_m"],
        "width_m": o["width_m"],
    }


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")
