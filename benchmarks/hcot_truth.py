"""A simulated tile as it was laid out: cover, zones, heights and targets, for benchmarks and never for the engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.corpus.store import Corpus
from knowlip.simulation.ground import LandCover, Zone


@dataclass(frozen=True)
class Truth:
    """One simulated tile as it was laid out.

    Attributes:
        cover: `(H, W)` codes of `LandCover`.
        zone: `(H, W)` codes of `Zone`.
        ground_m: `(H, W)` height of the ground, under what stands on it that of the lowest place within 30 m.
        relief_m: Highest less lowest ground within three miles.
        db: `(H, W)` the tile's first polarisation; class means over the true classes are taken from it.
        targets: Ships and aircraft whose centre lies in the tile, in its pixels.
        gsd_m: Ground sample distance.
    """

    cover: NDArray[np.uint8]
    zone: NDArray[np.uint8]
    ground_m: NDArray[np.float32]
    relief_m: float
    db: NDArray[np.float32]
    targets: list[dict[str, Any]]
    gsd_m: float

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """Share `(7,)` of each cover code."""
        return np.bincount(self.cover.ravel(), minlength=7) / self.cover.size

    def zones(self, *zones: Zone) -> float:
        """Share of some zones."""
        return float(np.isin(self.zone, zones).mean())

    @cached_property
    def lengths_m(self) -> list[float]:
        """Lengths of the targets."""
        return sorted(t["length_m"] for t in self.targets)

    def density(self, code: int) -> NDArray[np.float64]:
        """Share `(9,)` of a cover code in each cell of the nine-grid."""
        return np.array([(part == code).mean() for part in nine(self.cover)])


def nine(values: NDArray[Any]) -> list[NDArray[Any]]:
    """The nine-grid's cells of an array, in reading order."""
    return [part for row in np.array_split(values, 3, 0) for part in np.array_split(row, 3, 1)]


def truths(corpus: Corpus, scenes: Path) -> dict[str, Truth]:
    """Truth of all tiles of a corpus of simulated scenes that lie in a folder."""
    objects: dict[str, list[dict[str, Any]]] = {}
    for row in corpus.table("objects").to_pylist():
        row["centre_col"], row["centre_row"] = np.reshape(row["corners"], (4, 2)).mean(axis=0)
        objects.setdefault(row["tile_id"], []).append(row)
    found = {}
    for scene, rows in corpus.tiles.groupby("knowlip:scene"):
        base = scenes / "truth" / str(scene)
        with rasterio.open(f"{base}.zone.tif") as zones, rasterio.open(f"{base}.height.tif") as heights:
            zone, height = zones.read(1), heights.read(1) * np.float32(heights.scales[0])
            to_pixel, gsd_m = ~zones.transform, zones.res[0]
        with rasterio.open(f"{base}.landcover.tif") as covers:
            cover = covers.read(1)
        # between crowns and roofs the ground itself is seen; trees stand closer than that, and all much alike
        ground = ndimage.minimum_filter(height, max(3, round(60 / gsd_m)))
        low = np.isin(cover, (LandCover.WATER, LandCover.FARMLAND, LandCover.ROAD, LandCover.BARE))
        ground = np.where(low, height, ground)
        reach = round(3 * 1609.344 / gsd_m)
        for tile_id, transform, shape in zip(rows.index, rows["proj:transform"], rows["proj:shape"], strict=True):
            col, row = (round(v) for v in to_pixel * (transform[2], transform[5]))
            h, w = (int(n) for n in shape)
            here = (slice(row, row + h), slice(col, col + w))
            wide = tuple(slice(max(0, (s.start + s.stop) // 2 - reach), (s.start + s.stop) // 2 + reach) for s in here)
            found[str(tile_id)] = Truth(
                cover[here],
                zone[here],
                ground[here],
                float(np.ptp(ground[wide])),
                corpus.pixels(str(tile_id)).db[0],
                objects.get(str(tile_id), []),
                float(gsd_m),
            )
    return found
