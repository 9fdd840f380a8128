"""One image, or a window of it, described without a corpus: the same chain, the same words.

Level and texture of the whole scene are measured on windows spread over it, as they are for a corpus; only the window
asked for is described.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from platformdirs import user_cache_dir

from knowlip.core.errors import ConfigError, SceneError
from knowlip.core.geoproperties import GeoProperties
from knowlip.core.scene import Scene
from knowlip.core.statements import LANDCOVER
from knowlip.corpus.grids import TileGrid
from knowlip.corpus.measure import equivalent_looks, sample_step
from knowlip.corpus.placing import with_places
from knowlip.corpus.properties import CutTile, records_of
from knowlip.corpus.stac import geoproperties, tile_table
from knowlip.corpus.store import BRIGHT_PERCENTILES, TilePixels
from knowlip.hcot import cover
from knowlip.hcot.engines import evidence
from knowlip.hcot.engines.description import Description
from knowlip.hcot.surface import surface
from knowlip.hcot.view import Facts, Surroundings, TileView
from knowlip.knowledge.source import Answer, Footprint, Source, ask_all
from knowlip.scenes.geotiff import read_window, valid_mask
from knowlip.scenes.prepare import forget, prepared
from knowlip.scenes.products import open_scene
from knowlip.scenes.sidecar import Declared

SMALLEST_PX, LARGEST_PX = 32, 4096
"""Sides of what is described at once: less shows no texture, and one description fits no larger ground."""
SAMPLE_PX, SAMPLES = 256, 48
"""Side and number of the windows that the scene's level is measured on."""


@dataclass(frozen=True)
class Window:
    """A part of an image: first column and row, width and height, pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width


def parse_window(text: str) -> Window:
    """Read `X,Y,W,H`.

    Raises:
        ConfigError: It is not that.
    """
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--window {text}", "is not X,Y,W,H", "Give four whole numbers of pixels") from error
    return Window(x, y, width, height)


@dataclass(frozen=True)
class ImageDescription:
    """What is known of a window of an image."""

    scene: Scene
    window: Window
    view: TileView
    description: Description

    def plain(self) -> dict[str, Any]:
        """As JSON values; boxes and answers count pixels and places from the window's upper left corner."""
        facts = {f.name: f.value for f in self.description.facts}
        shares = {n: facts.get(f"cover.{n}.share") for n in LANDCOVER.values()}
        order = facts.get("cover.order")
        place = self.view.properties
        return {
            "scene": self.scene.scene_id,
            "window": [self.window.x, self.window.y, self.window.width, self.window.height],
            "lon_deg": place.lon_deg,
            "lat_deg": place.lat_deg,
            "cover": shares,
            "main_landform": max(shares, key=lambda n: shares[n] or 0.0) if any(shares.values()) else None,
            "landforms": order if isinstance(order, list) else [],
            "targets": [
                {
                    "class": t.cls,
                    "type": t.subtype,
                    "box": [float(v) for k in (min, max) for v in (k(t.corners[0::2]), k(t.corners[1::2]))],
                    "length_m": t.length_m,
                    "width_m": t.width_m,
                    "confidence": t.confidence,
                }
                for t in self.view.detections.objects
            ],
            "targets_in_doubt": self.view.detections.doubt or None,
            **surface(self.view.tile_id, Facts(self.description.facts)),
        }


def describe_image(
    path: Path,
    declared: Declared = Declared(),  # noqa: B008 - frozen value
    window: Window | None = None,
    sources: Sequence[Source] = (),
) -> ImageDescription:
    """Describe an image, or a window of it.

    Args:
        path: A product, a GeoTIFF, or, where `declared` takes chips, a picture without georeference.
        window: None for all of it.
        sources: What is asked about its place, where it has one.

    Raises:
        SceneError: The image cannot be read or understood, is too large or too small, or has no data there.
        ConfigError: The window does not lie in the image.
    """
    folder = Path(user_cache_dir("knowlip"), "rasters")
    scene = open_scene(path, declared)
    window = _checked(scene, window)
    made = prepared(scene, folder)
    with rasterio.open(made.path) as dataset:
        view = _view(made, dataset, window, sources)
    forget(scene, folder)
    return ImageDescription(scene, window, view, evidence.describe(view))


def _checked(scene: Scene, window: Window | None) -> Window:
    rows, cols = scene.geobox.shape
    asked = window or Window(0, 0, cols, rows)
    said = f"--window {asked.x},{asked.y},{asked.width},{asked.height}"
    if not (0 <= asked.x < asked.x + asked.width <= cols and 0 <= asked.y < asked.y + asked.height <= rows):
        raise ConfigError(said, f"does not lie in the image, which is {cols} x {rows} pixels", "Choose another one")
    if min(asked.shape) < SMALLEST_PX:
        raise SceneError(scene.path, f"is asked about fewer than {SMALLEST_PX} pixels a side", "Give a larger --window")
    if max(asked.shape) > LARGEST_PX:
        reason = f"is asked about {asked.width} x {asked.height} pixels at once, more than {LARGEST_PX} a side"
        raise SceneError(scene.path, reason, "Give a --window, or cut it with `knowlip corpus build`")
    return asked


def _view(scene: Scene, dataset: Any, window: Window, sources: Sequence[Source]) -> TileView:
    spread = _spread(scene)
    anchor_db = _anchor_db(scene, dataset, spread)
    pixels = _pixels(scene, dataset, window, anchor_db)
    valid = np.asarray(np.isfinite(pixels.db).all(axis=0))
    if not valid.any():
        raise SceneError(scene.path, "has no valid pixel there", "Choose another --window, or check its no-data value")
    properties = _properties(scene, window, float(valid.mean()), equivalent_looks(10 ** (pixels.db[0] / 10), valid))
    samples = [(w, _pixels(scene, dataset, w, anchor_db)) for w in spread]
    samples = [(w, p) for w, p in samples if np.isfinite(p.db).all(axis=0).mean() >= 0.5] or [(window, pixels)]
    answers = _answers(scene, [window, *(w for w, _ in samples)], sources)
    seas = [a.grids["sea"] for a in answers[1:] if "sea" in a.grids]
    level = cover.scene_level(
        [cover.measure(p) for _, p in samples],
        scene.polarisations,
        scene.radiometry.calibrated,
        seas if len(seas) == len(samples) else None,
    )
    known = Surroundings(answers[0].facts_with_missing(), answers[0].grids)
    return TileView(scene.scene_id, properties, pixels, known, level)


def _spread(scene: Scene) -> list[Window]:
    """Windows over the whole scene, in the middle of equal parts; the scene itself where it is small."""
    rows, cols = scene.geobox.shape
    height, width = min(SAMPLE_PX, rows), min(SAMPLE_PX, cols)
    grid = np.array([[r, c] for r in range(rows // height) for c in range(cols // width)]) * (height, width)
    grid += ((rows % height) // 2, (cols % width) // 2)
    return [Window(int(c), int(r), width, height) for r, c in grid[:: max(1, len(grid) // SAMPLES)]]


def _stored_db(scene: Scene, dataset: Any, window: Window) -> NDArray[np.float32]:
    stored = read_window(dataset, scene.path, window.y, window.x, window.height, window.width)
    return np.where(valid_mask(stored, scene.nodata), scene.radiometry.to_db(stored), np.float32(np.nan))


def _anchor_db(scene: Scene, dataset: Any, spread: Sequence[Window]) -> NDArray[np.float32]:
    """`TilePixels.anchor_db` of the scene."""
    step = sample_step(*scene.geobox.shape)
    parts = [_stored_db(scene, dataset, w)[:, ::step, ::step] for w in spread]
    some = np.concatenate([p.reshape(len(p), -1) for p in parts], axis=1)
    if not np.isfinite(some).any(axis=1).all():
        raise SceneError(scene.path, "has no valid pixels (all no-data?)", "Check its no-data value")
    return np.nanpercentile(some, BRIGHT_PERCENTILES, axis=1).mean(axis=0).astype(np.float32)


def _pixels(scene: Scene, dataset: Any, window: Window, anchor_db: NDArray[np.float32]) -> TilePixels:
    db = _stored_db(scene, dataset, window)
    return TilePixels(db, scene.polarisations, scene.radiometry.calibrated, anchor_db)


def _properties(scene: Scene, window: Window, valid_share: float, looks: float | None) -> GeoProperties:
    grid = TileGrid(scene, scene.geobox, max(window.shape), np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64))
    cut = CutTile(0, scene.scene_id, "", valid_share, looks, False)
    record = records_of(grid, np.array([[window.y, window.x]]), window.shape, [cut])
    return geoproperties(with_places(tile_table(record, "image")).to_pylist()[0])


def _answers(scene: Scene, windows: Sequence[Window], sources: Sequence[Source]) -> list[Answer]:
    if scene.geobox.crs is None:
        return [Answer(missing=("the image has no place on the Earth",) if sources else ()) for _ in windows]
    boxes = [_box(scene, w) for w in windows]
    centres = [b.extent.centroid.to_crs("EPSG:4326").coords[0] for b in boxes]
    footprints = [
        Footprint(str(i), lon, lat, box, scene.acquisition.simulated)
        for i, (box, (lon, lat)) in enumerate(zip(boxes, centres, strict=True))
    ]
    return ask_all(sources, footprints)


def _box(scene: Scene, window: Window) -> GeoBox:
    return scene.geobox[window.y : window.y + window.height, window.x : window.x + window.width]
