"""Splits by place: whole towns, or blocks of ground at least one tile apart; no footprint overlaps two splits."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from knowlip.core.geoproperties import SPLITS

KM_PER_DEGREE = 111.195
"""Length of one degree on the mean sphere."""
PIECE = 65_536
"""Tiles that are compared with others at a time."""


class SplitSpec(BaseModel):
    """How places are divided.

    Attributes:
        train, val, test: Shares of tiles aimed at, each platform for itself.
        block_km: Edge of a block, where scenes join into an area too large to be one place.
        seed: Which places go where.
        by: What a place is: an area of scenes cut into blocks, or all ground that is nearest to one city.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: float = Field(default=0.7, ge=0, le=1)
    val: float = Field(default=0.1, ge=0, le=1)
    test: float = Field(default=0.2, ge=0, le=1)
    block_km: float = Field(default=20.0, gt=0)
    seed: int = 0
    by: Literal["block", "city"] = "block"


@dataclass(frozen=True, slots=True)
class Where:
    """What a split needs of a tile: scene, stratum (platform), box in degrees (west <= east), size in km and city."""

    tile_id: str
    scene_id: str
    stratum: str
    bbox: tuple[float, float, float, float]
    size_km: float
    city: str = ""


def split_by_place(tiles: Sequence[Where | None], spec: SplitSpec) -> list[str | None]:
    """A split for each tile; None for one too close to another split to be used in either, or without a place.

    Scenes that lie within one tile of each other form an area. An area no wider than a block is one place; a wider one
    is cut into blocks, and tiles within one tile's width of a block of another split are left out. With fewer than five
    places in a platform, the blocks of its areas are halved until there are five or a block would be under six tiles
    wide. By city, all tiles nearest to a city are one place, and those within one tile of another split are left out
    alike. A place is of one split for all platforms, and is given to the one that they lack most together.
    """
    splits = iter(_split([t for t in tiles if t is not None], spec))
    return [None if t is None else next(splits) for t in tiles]


def _split(tiles: Sequence[Where], spec: SplitSpec) -> list[str | None]:
    if not tiles:
        return []
    boxes = _continuous(np.array([t.bbox for t in tiles]))
    places = [t.city for t in tiles] if spec.by == "city" else _blocks(tiles, boxes, spec.block_km)
    split_of = _divide(places, [t.stratum for t in tiles], spec)
    return _apart(tiles, boxes, [split_of[place] for place in places])


def _blocks(tiles: Sequence[Where], boxes: NDArray[np.float64], block_km: float) -> list[str]:
    """The place of each tile: an area of touching scenes, or a block of it."""
    area = _areas(tiles, boxes)
    block_of = dict.fromkeys(area, block_km)
    smallest: dict[int, float] = defaultdict(float)
    areas_of: dict[str, set[int]] = defaultdict(set)
    for tile, a in zip(tiles, area, strict=True):
        smallest[a] = max(smallest[a], 6 * tile.size_km)
        areas_of[tile.stratum].add(a)
    while True:
        places = _places(boxes, area, block_of)
        found: dict[str, set[str]] = defaultdict(set)
        for tile, place in zip(tiles, places, strict=True):
            found[tile.stratum].add(place)
        wanting = {a for stratum, names in found.items() if len(names) < 5 for a in areas_of[stratum]}
        divisible = {a for a in wanting if block_of[a] / 2 >= smallest[a]}
        if not divisible:
            return places
        block_of |= {a: block_of[a] / 2 for a in divisible}


def _continuous(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes whose longitudes do not jump between neighbours: the antimeridian moved to the widest gap without tiles."""
    if boxes[:, 2].max() < 170 or boxes[:, 0].min() > -170:
        return boxes
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    around = np.sort(middle % 360)
    gaps = np.diff(around, append=around[0] + 360)
    widest = int(gaps.argmax())
    cut = (around[widest] + gaps[widest] / 2) % 360
    turns = np.rint((middle % 360 - middle) / 360) + (middle % 360 < cut)
    return boxes + 360 * turns[:, None] * np.array([1, 0, 1, 0])


def _grown(boxes: NDArray[np.float64], km: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes grown by a distance on every side, in degrees."""
    lat = np.clip(np.abs(boxes[:, [1, 3]]).max(axis=1), 0, 89)
    dy = km / KM_PER_DEGREE
    dx = dy / np.cos(np.radians(lat))
    return boxes + np.stack([-dx, -dy, dx, dy], axis=1)


def _areas(tiles: Sequence[Where], boxes: NDArray[np.float64]) -> list[int]:
    """Connected area of each tile: scenes whose boxes come within one tile of each other."""
    scenes = sorted({t.scene_id for t in tiles})
    of = {s: i for i, s in enumerate(scenes)}
    outline = np.full((len(scenes), 4), [np.inf, np.inf, -np.inf, -np.inf])
    size = np.zeros(len(scenes))
    for t, b in zip(tiles, boxes, strict=True):
        k = of[t.scene_id]
        outline[k] = [*np.minimum(outline[k, :2], b[:2]), *np.maximum(outline[k, 2:], b[2:])]
        size[k] = max(size[k], t.size_km)
    grown = _grown(outline, size)
    parent = list(range(len(scenes)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    shapes = shapely.box(*outline.T)
    for i, j in shapely.STRtree(shapes).query(shapely.box(*grown.T), predicate="intersects").T:
        parent[root(int(i))] = root(int(j))
    return [root(of[t.scene_id]) for t in tiles]


def _places(boxes: NDArray[np.float64], area: list[int], block_of: dict[int, float]) -> list[str]:
    """The block of each tile, by the size in km of its area's blocks."""
    by_area: dict[int, list[int]] = defaultdict(list)
    for i, a in enumerate(area):
        by_area[a].append(i)
    places = [""] * len(area)
    for a, indices in by_area.items():
        b = boxes[indices]
        lat0 = float(b[:, [1, 3]].mean())
        per_degree = np.array([KM_PER_DEGREE * np.cos(np.radians(lat0)), KM_PER_DEGREE])
        centre = (b[:, :2] + b[:, 2:]) / 2 * per_degree
        corner = b[:, :2].min(axis=0) * per_degree
        extent = (b[:, 2:].max(axis=0) - b[:, :2].min(axis=0)) * per_degree
        # blocks of equal size that fill the area, so that no sliver becomes a place of its own
        blocks = np.maximum(np.rint(extent / block_of[a]), 1)
        cell = np.minimum((centre - corner) / (extent / blocks), blocks - 1).astype(int)
        name = f"{b[:, 0].min():.3f},{b[:, 1].min():.3f}"
        for i, (x, y) in zip(indices, cell.tolist(), strict=True):
            places[i] = sys.intern(f"{name}/{x}.{y}")
    return places


def _divide(places: Sequence[str], strata: Sequence[str], spec: SplitSpec) -> dict[str, str]:
    """Whole places to splits, in an order fixed by the seed, each to the split that is furthest below its share.

    How far that is, is the mean over the place's strata, each by the share of its tiles that lie there.
    """
    total = Counter(strata)
    tiles: dict[str, Counter[str]] = defaultdict(Counter)
    for place, stratum in zip(places, strata, strict=True):
        tiles[place][stratum] += 1
    order = sorted(tiles, key=lambda p: hashlib.sha256(f"{spec.seed}:{p}".encode()).digest())
    share = {"train": spec.train, "test": spec.test, "val": spec.val}
    got: dict[tuple[str, str], int] = defaultdict(int)
    result = {}
    for place in order:
        here = tiles[place]

        def lack(split: str, here: Counter[str] = here) -> float:
            return sum(n / total[s] * (share[split] - got[split, s] / total[s]) for s, n in sorted(here.items()))

        split = max(share, key=lack)
        result[place] = split
        for stratum, n in here.items():
            got[split, stratum] += n
    return result


def _apart(tiles: Sequence[Where], boxes: NDArray[np.float64], assigned: list[str | None]) -> list[str | None]:
    """Leave out the training tiles near validation or test, then validation tiles near test."""
    result = list(assigned)
    size_km = np.array([t.size_km for t in tiles])
    for loser, winners in (("train", ("val", "test")), ("val", ("test",))):
        losing = np.array([i for i, s in enumerate(result) if s == loser], np.intp)
        winning = np.array([i for i, s in enumerate(result) if s in winners], np.intp)
        if not (len(losing) and len(winning)):
            continue
        tree = shapely.STRtree(shapely.box(*boxes[winning].T))
        # shapes take ten times the memory of their numbers, so that they are made a piece at a time
        for some in np.array_split(losing, -(-len(losing) // PIECE)):
            near = shapely.box(*_grown(boxes[some], size_km[some]).T)
            for i in np.unique(tree.query(near, predicate="intersects")[0]):
                result[some[i]] = None
    return result


def split_counts(splits: Sequence[str | None]) -> dict[str, int]:
    """The counts of `corpus.json` that a split decides."""
    found = Counter(splits)
    return {f"{s}_tiles": found[s] for s in SPLITS}
