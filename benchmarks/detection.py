"""How well ships and parked aircraft are found: counts, places and sizes in simulated scenes of unseen cities.

    python benchmarks/detection.py [--quick] [--seed 7] [--platforms NAME,…] [--figure FILE]
    python benchmarks/detection.py --real [--data FOLDER] [--figure FILE]

Tiles of 256 pixels are described by the evidence engine, pixels alone; the truth is read by the benchmark alone. Counts
are judged apart in tiles whose 1 to 20 targets lie whole in the frame and all in open water (`open`), in such whose
targets lie whole in the frame but at a berth, on an apron or, under way, imaged beside their river (`at land`), in
tiles in which the frame cuts a target (`cut`: a target is theirs if its centre is), and in tiles without any. A tile
either states a number for sure (`stated`), or one that is in doubt (`guessed`), or only that it is in doubt (`doubt`),
or finds nothing; `all` has every tile as its base. Beside numbers in doubt some tiles state how many there are at
least. Aircraft, which platforms of up to 3 m show, are targets too, and are judged apart once more: those found and
missed, numbers stated in tiles with 1 to 20 whole in the frame, and tiles without any in which some are found.

Positions and lengths are right within two resolution cells or a tenth of the true length, whichever is more; targets
match where centres are nearer than half the length or two resolution cells. They are judged on all targets whole in
their frame that were found, stated or not.

Beside it stands what a user would have instead: a cell-averaging detector of constant false alarm rate on the same
water, as in SNAP (rate 10^-6.5, background of 81 pixels around a guard of 41, sizes of 30 to 600 m). Real scenes (8-bit
Sentinel-1 VH) have no truth: what is found is counted, for a person to look at. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.stats import gamma

from knowlip.core.statements import NINE_GRID, TargetObject
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.store import Corpus
from knowlip.hcot.annotate import views
from knowlip.hcot.boxes import oriented_box
from knowlip.hcot.cover.segment import to_pixels
from knowlip.hcot.steps import run_chain
from knowlip.hcot.view import TileView
from knowlip.simulation.sensors import find_sensor
from knowlip.simulation.simulate import simulate

TILE_PX = 256
PLATFORMS = {"sentinel1-iw": 1024, "gaofen3-fsii": 1024, "terrasarx-sm": 2048, "gaofen3-ufs": 2048, "gaofen3-sl": 3072}
"""Side of a platform's scenes, pixels."""
MOST = 20
OPEN_M = 60.0
"""Ships further from land than this, ends included, lie in open water."""
KINDS = ("open", "at land", "cut", "empty", "crowded")


@dataclass(frozen=True)
class Truth:
    """A target that the frame shows something of.

    Attributes:
        corners: `(4, 2)` x and y in tile pixels.
        whole: Whether all of it is in the frame.
        centred: Whether its centre is.
    """

    cls: str
    corners: NDArray[np.float64]
    length_m: float

    @property
    def centre(self) -> NDArray[np.float64]:
        """Column and row."""
        return np.asarray(self.corners.mean(axis=0))

    @property
    def whole(self) -> bool:
        """Whether all of it is in the frame."""
        return bool((self.corners >= 0).all() and (self.corners <= TILE_PX).all())

    @property
    def centred(self) -> bool:
        """Whether its centre is in the frame."""
        return bool((self.centre >= 0).all() and (self.centre < TILE_PX).all())


def truths(corpus: Corpus) -> dict[str, list[Truth]]:
    """What every tile shows of targets, those of its neighbours too that reach into it."""
    objects = corpus.table("objects").to_pylist()
    found: dict[str, list[Truth]] = {str(t): [] for t in corpus.tiles.index}
    for _, rows in corpus.tiles.groupby("knowlip:scene"):
        origin = {t: np.array([p[2] / p[0], p[5] / p[4]]) for t, p in rows["proj:transform"].items()}
        for o in (o for o in objects if o["tile_id"] in origin):
            corners = np.array(o["corners"]).reshape(4, 2) + origin[o["tile_id"]]
            for tile_id, first in origin.items():
                inside = corners - first
                if (inside.max(axis=0) > 0).all() and (inside.min(axis=0) < TILE_PX).all():
                    found[str(tile_id)].append(Truth(o["cls"], inside, o["length_m"]))
    return found


def cell_averaging(view: TileView) -> list[TargetObject]:
    """Ships as a plain detector finds them."""
    gsd_m, h, w = view.gsd_m or 1.0, *view.pixels.db.shape[1:]
    water = to_pixels((view.cover.codes == 1).astype(np.uint8), h, w) > 0
    if water.mean() < 0.02:
        return []
    power = np.where(water, 10 ** (view.pixels.db[0] / 10), 0).astype(np.float32)

    def total(size: int) -> tuple[Any, Any]:
        return tuple(ndimage.uniform_filter(x.astype(np.float32), size) * size**2 for x in (power, water))

    (outer, n_outer), (inner, n_inner) = total(81), total(41)
    looks = view.properties.equivalent_looks or 1.0
    factor = gamma.isf(10**-6.5, looks, scale=1 / looks)
    clutter = (outer - inner) / np.maximum(n_outer - n_inner, 1)
    near = ndimage.binary_closing(np.pad(water, 20, mode="edge"), iterations=20)[20:-20, 20:-20]
    bright = near & (clutter > 0) & (10 ** (view.pixels.db[0] / 10) > factor * clutter)
    labels, _ = ndimage.label(bright, np.ones((3, 3)))
    found = []
    for k, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
        box = oriented_box(labels[rows, cols] == k, 0.0).scaled(1.0, cols.start, rows.start)
        if 30 <= box.length_px * gsd_m <= 600:
            size = box.length_px * gsd_m, box.width_px * gsd_m
            found.append(TargetObject("ship", None, box.corners, *size, box.heading_deg, "plain"))
    return found


def matched(found: list[TargetObject], true: list[Truth], gsd_m: float, cell_m: float) -> list[tuple[int, int]]:
    """Pairs of found and true targets, nearest first."""
    if not found or not true:
        return []
    apart = np.array([[np.hypot(*(f.centre - t.centre)) * gsd_m for t in true] for f in found])
    reach = np.array([max(t.length_m / 2, 2 * cell_m) for t in true])
    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(apart), strict=True) if apart[i, j] < reach[j]]


def cells(points: list[Any]) -> set[str]:
    """Cells of the nine-grid that points lie in."""
    third = TILE_PX / 3
    return {NINE_GRID[int(min(y // third, 2)) * 3 + int(min(x // third, 2))] for x, y in points}


def share(part: float, whole: float) -> float | None:
    """A share to four digits, None of nothing."""
    return round(part / whole, 4) if whole else None


def kind_of(true: list[Truth], landcover: NDArray[np.uint8], gsd_m: float) -> str:
    """Which of the judged groups a tile belongs to."""
    if not true:
        return "empty"
    if not all(t.whole for t in true):
        return "cut"
    if len(true) > MOST:
        return "crowded"
    from_land_m = ndimage.distance_transform_edt(landcover == 1) * gsd_m if (landcover != 1).any() else None
    if from_land_m is None:
        return "open"
    clear = all(from_land_m[int(t.centre[1]), int(t.centre[0])] > OPEN_M + t.length_m / 2 for t in true)
    return "open" if clear and true[0].cls == "ship" else "at land"


def judged(corpus: Corpus, sensor: str, sheet: list[Image.Image]) -> dict[str, Any]:
    """All figures of a platform."""
    spec = find_sensor(sensor)
    cell_m = max(spec.range_resolution_m, spec.azimuth_resolution_m)
    tally: dict[str, Counter[str]] = {k: Counter() for k in KINDS}
    boxes: Counter[str] = Counter()
    air: Counter[str] = Counter()
    why: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    took: dict[bool, list[float]] = {True: [], False: []}
    for view, true in seen(corpus):
        began = time.process_time()
        view.detections  # noqa: B018 - measured once, and kept
        took[bool(true)].append(time.process_time() - began)
        facts = run_chain(view)
        landcover = corpus.landcover(view.tile_id)
        kind = kind_of(
            true, np.ones(view.pixels.db.shape[1:], np.uint8) if landcover is None else landcover, view.gsd_m or 1.0
        )
        tile = tally[kind]
        centred = [t for t in true if t.centred]
        tile["tiles"] += 1
        number = int(facts.number("target.count")) if "target.count" in facts else None
        stated = None if "target.doubt" in facts else number
        plain = cell_averaging(view)
        tile["plain_exact"] += len(plain) == len(centred)
        if "target.doubt" in facts:
            why[facts.value("target.doubt", "")] += bool(true)
        if number is None:
            tile["doubt" if "target.doubt" in facts else "silent"] += 1
            tile["exact"] += not centred and "target.doubt" not in facts
        else:
            of_class = [t for t in centred if t.cls == facts.value("target.class", "")]
            right, how = number == len(of_class) == len(centred), "guessed" if stated is None else "stated"
            tile["exact"] += right
            for where in (tile, numbers):
                where[how] += 1
                where[f"{how}_exact"] += right
            numbers[f"{how}_off"] += abs(number - len(of_class))
            if "target.least" in facts:
                numbers["least"] += 1
                numbers["least_holds"] += facts.number("target.least") <= len(of_class)
        if stated is not None:
            said, there = set(facts.value("target.cells", [""])), cells([t.centre for t in centred])
            boxes["cells_right"] += len(said & there)
            boxes["cells"] += len(said | there)
        measure(boxes, "", list(view.detections.objects), true, view.gsd_m or 1.0, cell_m)
        judge_aircraft(air, view, true, stated, cell_m)
        measure(boxes, "plain_", plain, true, view.gsd_m or 1.0, cell_m)
        if kind in ("open", "at land") and len(sheet) < 200:
            sheet.append(pictured(view, true))
    return {
        "counts": {
            kind: {
                "tiles": c["tiles"],
                "stated": c["stated"],
                "guessed": c["guessed"],
                "doubt": share(c["doubt"], c["tiles"]),
                "nothing_found": share(c["silent"], c["tiles"]),
                "exact_of_stated": share(c["stated_exact"], c["stated"]),
                "exact_of_guessed": share(c["guessed_exact"], c["guessed"]),
                "exact_of_all": share(c["exact"], c["tiles"]),
                "plain_exact_of_all": share(c["plain_exact"], c["tiles"]),
            }
            for kind, c in tally.items()
            if c["tiles"]
        },
        "numbers": {
            "of_all_tiles": share(numbers["stated"] + numbers["guessed"], sum(c["tiles"] for c in tally.values())),
            **{
                f"{how}_{figure}": share(numbers[f"{how}_{figure}"], numbers[how])
                for how in ("stated", "guessed")
                for figure in ("exact", "off")
            },
            "least": numbers["least"],
            "least_holds": share(numbers["least_holds"], numbers["least"]),
        },
        "targets": boxes["true"],
        "recall": share(boxes["hit"], boxes["true"]),
        "precision": share(boxes["hit"], boxes["found"]),
        "positions": share(boxes["placed"], boxes["hit"]),
        "lengths": share(boxes["sized"], boxes["hit"]),
        "cells": share(boxes["cells_right"], boxes["cells"]),
        "plain_recall": share(boxes["plain_hit"], boxes["plain_true"]),
        "plain_precision": share(boxes["plain_hit"], boxes["plain_found"]),
        "plain_positions": share(boxes["plain_placed"], boxes["plain_hit"]),
        "plain_lengths": share(boxes["plain_sized"], boxes["plain_hit"]),
        "aircraft": {
            "targets": air["true"],
            "recall": share(air["hit"], air["true"]),
            "precision": share(air["hit"], air["found"]),
            "positions": share(air["placed"], air["hit"]),
            "lengths": share(air["sized"], air["hit"]),
            "tiles": air["tiles"],
            "called_ships": share(air["called_ships"], air["tiles"]),
            "stated": air["stated"],
            "exact_of_stated": share(air["exact"], air["stated"]),
            "exact_of_all": share(air["exact"], air["tiles"]),
            "tiles_without": air["without"],
            "found_in_tiles_without": share(air["false_tiles"], air["without"]),
        },
        "doubts": dict(why.most_common(6)),
        "ms_with_targets": round(1e3 * float(np.mean(took[True])), 2) if took[True] else None,
        "ms_without": round(1e3 * float(np.mean(took[False])), 2) if took[False] else None,
    }


def judge_aircraft(air: Counter[str], view: TileView, true: list[Truth], stated: int | None, cell_m: float) -> None:
    """Count aircraft found and missed, and what is said of the tile's number of them."""
    parked, found = [t for t in true if t.cls == "aircraft"], list(view.detections.objects)
    called = found[0].cls if found else ""
    measure(air, "", found if called == "aircraft" else [], parked, view.gsd_m or 1.0, cell_m)
    if not parked:
        air["without"] += 1
        air["false_tiles"] += called == "aircraft"
    elif len(parked) <= MOST and all(t.whole for t in parked):
        air["tiles"] += 1
        air["called_ships"] += called == "ship"
        if stated is not None and called == "aircraft":
            air["stated"] += 1
            air["exact"] += stated == len(parked)


def measure(
    boxes: Counter[str], prefix: str, found: list[TargetObject], true: list[Truth], gsd_m: float, cell_m: float
) -> None:
    """Count what was found, and what of it lies and measures right; cut targets are nobody's fault or merit."""
    pairs = matched(found, true, gsd_m, cell_m)
    cut = {i for i, j in pairs if not true[j].whole}
    boxes[f"{prefix}true"] += sum(t.whole for t in true)
    boxes[f"{prefix}found"] += len(found) - len(cut)
    for i, j in ((i, j) for i, j in pairs if true[j].whole):
        within = max(2 * cell_m, true[j].length_m / 10)
        boxes[f"{prefix}hit"] += 1
        boxes[f"{prefix}placed"] += float(np.hypot(*(found[i].centre - true[j].centre))) * gsd_m <= within
        boxes[f"{prefix}sized"] += abs(found[i].length_m - true[j].length_m) <= within


def seen(corpus: Corpus) -> Iterator[tuple[TileView, list[Truth]]]:
    """Tiles with their truth; the cover map is there already."""
    truth = truths(corpus)
    for view in views(corpus, ()):
        view.cover  # noqa: B018
        yield view, truth[view.tile_id]


def pictured(view: TileView, true: list[Truth]) -> Image.Image:
    """A tile with its true (red) and found (green) targets."""
    db = view.pixels.db[0]
    low, high = np.nanpercentile(db, (2, 99.8))
    picture = (
        Image.fromarray(np.uint8(np.clip((db - low) / (high - low), 0, 1) * 255)).convert("RGB").resize((512, 512))
    )
    draw = ImageDraw.Draw(picture)
    for corners, colour in (
        *((t.corners, "red") for t in true),
        *((np.reshape(t.corners, (4, 2)), "lime") for t in view.detections.objects),
    ):
        draw.polygon([tuple(p) for p in corners * 2], outline=colour)
    draw.text((4, 4), view.detections.doubt or str(len(view.detections.objects)), "yellow")
    return picture


def real(data: Path, sheet: list[Image.Image], work: Path) -> dict[str, Any]:
    """What is found in all real scenes."""
    config = BuildConfig(tiles=TileSpec(tile_size=TILE_PX))
    corpus = build_corpus([str(data / "s1_scenes")], str(work), config).corpus
    tally: Counter[str] = Counter()
    for view in views(corpus, ("coast",)):
        found = view.detections
        tally["tiles"] += 1
        tally["in_doubt"] += bool(found.doubt)
        tally["number_in_doubt"] += bool(found.doubt and found.centres)
        tally["listed_in_doubt"] += len(found.objects) if found.doubt else 0
        tally["tiles_with_a_number"] += bool(found.objects and not found.doubt)
        tally["counted"] += 0 if found.doubt else len(found.objects)
        if found.objects:
            sheet.append(pictured(view, []))
    return dict(tally)


def show(sensor: str, figures: dict[str, Any]) -> None:
    """Print a platform's table."""
    print(f"\n{sensor}: {figures['targets']} targets whole in their frame")
    for kind, c in figures["counts"].items():
        print(f"  counts, {kind:8} " + "  ".join(f"{k} {v}" for k, v in c.items()))
    print("  numbers      " + "  ".join(f"{k} {v}" for k, v in figures["numbers"].items()))
    for name, goal in (("recall", ""), ("precision", ""), ("positions", "goal .97"), ("lengths", "goal .95")):
        print(f"  {name:12} {figures[name]}   plain {figures[f'plain_{name}']}   {goal}")
    print("  aircraft     " + "  ".join(f"{k} {v}" for k, v in figures["aircraft"].items()))
    print(f"  nine-grid cells {figures['cells']}; doubts {figures['doubts']}")
    print(f"  ms of one core a tile: {figures['ms_with_targets']} with targets, {figures['ms_without']} without")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one platform, few cities, within a minute")
    parser.add_argument("--seed", type=int, default=7, help="of the cities; 1 to 3 are for development")
    parser.add_argument("--platforms", default=",".join(PLATFORMS))
    parser.add_argument("--cities", type=int, default=18)
    parser.add_argument("--figure", type=Path, help="write a picture of some tiles with their targets there")
    parser.add_argument("--real", action="store_true", help="real scenes instead of simulated ones")
    parser.add_argument("--data", type=Path, help="folder of real data (KNOWLIP_DATA, or ../shared/data)")
    options = parser.parse_args()
    figures: dict[str, Any] = {"seed": options.seed}
    sheet: list[Image.Image] = []
    with TemporaryDirectory() as folder:
        if options.real:
            usual = Path(__file__).resolve().parents[2] / "shared" / "data"
            figures = real(options.data or Path(os.environ.get("KNOWLIP_DATA") or usual), sheet, Path(folder, "corpus"))
            print("real scenes: " + ", ".join(f"{n} {v}" for n, v in figures.items()))
        for sensor in () if options.real else options.platforms.split(",")[: 1 if options.quick else None]:
            work = Path(folder, sensor)
            simulate(
                work / "scenes", 6 if options.quick else options.cities, 1, sensor, PLATFORMS[sensor], options.seed
            )
            config = BuildConfig(tiles=TileSpec(tile_size=TILE_PX))
            corpus = build_corpus([str(work / "scenes")], str(work / "corpus"), config).corpus
            figures[sensor] = judged(corpus, sensor, sheet)
            show(sensor, figures[sensor])
    if options.figure and sheet:
        sheet = sheet[:: max(1, len(sheet) // 24)][:24]
        page = Image.new("RGB", (512 * 6, 512 * ((len(sheet) + 5) // 6)))
        for k, picture in enumerate(sheet):
            page.paste(picture, (k % 6 * 512, k // 6 * 512))
        page.save(options.figure)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
