"""How much simulated aircraft look like real ones: shapes and sizes beside SAR-ACD's chips, and a classifier across.

    python benchmarks/targets.py [--quick] [--figure FILE] [--data FOLDER]

Real: chips of SAR-ACD, Gaofen-3 spotlight of 1 m, C band HH, 8-bit amplitude, cut to each aircraft by hand, six types.
Simulated: the same types parked on an apron, imaged by the gaofen3-sl preset at headings and incidence angles drawn at
random, cut to each aircraft's own box. The same figures are measured on both, after each chip is divided by its 99.5th
percentile. For each type the table gives the real and the simulated median and their difference in standard deviations
of the real chips. A classifier of the figures then learns on simulated chips alone and is asked for the type of the
real ones; the same one learnt on the first half of the real chips (by file order, as neighbours show the same aircraft)
and asked for the second half says what these figures can give at best, and chance is one in six.

The chips' pixel spacing is not documented. It is taken as the one number that makes the median long side of all chips,
real and simulated, agree. Last comes speed: 100,000 buildings, and one ship and one aircraft.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from knowlip.simulation.ground import Kind, LandCover, Structures, World, WorldObject, Zone
from knowlip.simulation.imaging import image_world
from knowlip.simulation.imaging.aircraft import aircraft_scatterers
from knowlip.simulation.imaging.geometry import look_of
from knowlip.simulation.imaging.ships import ship_scatterers
from knowlip.simulation.imaging.walls import wall_scatterers
from knowlip.simulation.sensors import find_sensor

Chip = NDArray[np.float32]

# folder of SAR-ACD: the simulator's type, length over all and span in metres (makers' airport planning documents)
TYPES: dict[str, tuple[str, float, float]] = {
    "A220": ("A220", 38.7, 35.1),
    "A320321": ("A320", 41.0, 35.8),
    "A330": ("A330", 62.0, 60.3),
    "ARJ21": ("ARJ21", 33.5, 27.3),
    "Boeing737": ("B737", 39.5, 35.8),
    "Boeing787": ("B787", 59.7, 60.1),
}
WIDE = ("A330", "Boeing787")
FEATURES = (
    "long_side_m",
    "short_side_m",
    "length_m",
    "width_m",
    "elongation",
    "area_m2",
    "peaks",
    "contrast_db",
    "top_share",
)
# The chips are broader than 1 m: their speckle is correlated over more than that in azimuth and twice that in range,
# as a slant-range resolution near 1 m makes of it on the ground. Both are set so that neighbours agree as in the chips.
SENSOR = replace(find_sensor("gaofen3-sl"), range_resolution_m=2.4, azimuth_resolution_m=1.6)
MARGIN_M = 3.0


def data_folder(named: str | None) -> Path:
    """SAR-ACD under the folder named, KNOWLIP_DATA, or shared/data beside the project."""
    root = Path(named or os.environ.get("KNOWLIP_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    return root / "sar_acd"


def real_chips(folder: Path, cls: str, most: int) -> list[Chip]:
    """At most so many amplitude chips of a class, evenly from its files in order."""
    files = sorted((folder / cls).glob("*.jpg"))
    some = [files[k] for k in np.unique(np.linspace(0, len(files) - 1, min(most, len(files))).astype(int))]
    return [np.asarray(Picture.open(f).convert("L"), np.float32) for f in some]


def simulated_chip(kind: str, length_m: float, span_m: float, seed: int, gsd_m: float) -> Chip:
    """An amplitude chip of one parked aircraft, cut to its box and a margin."""
    rng = np.random.default_rng(seed)
    sensor = replace(SENSOR, gsd_m=gsd_m)
    half = 0.5 * float(np.hypot(length_m, span_m)) + 30.0
    n = int(2 * half / gsd_m)
    target = WorldObject("aircraft", kind, (half, half), length_m, span_m, float(rng.uniform(0, 360)), "parked")
    empty = np.zeros((n, n), np.float32)
    apron = np.full((n, n), LandCover.ROAD, np.uint8)
    zone = np.full((n, n), Zone.AIRPORT, np.uint8)
    parcel = np.zeros((n, n), np.int32)
    world = World(apron, zone, parcel, empty, empty, Structures.join([]), (target,), 5.0, 0.0, gsd_m)
    azimuth = float(rng.choice([80.0, 280.0]))
    incidence = float(rng.uniform(*SENSOR.incidence_range_deg))
    seen = np.sqrt(next(iter(image_world(world, sensor, incidence, azimuth, seed).sigma0.values())))
    low = np.floor((target.corners_xy_m.min(0) - MARGIN_M) / gsd_m).astype(int)
    high = np.ceil((target.corners_xy_m.max(0) + MARGIN_M) / gsd_m).astype(int)
    return np.asarray(seen[low[1] : high[1], low[0] : high[0]], np.float32)


def measured(chip: Chip, gsd_m: float) -> list[float]:
    """The figures of one chip, in the order of FEATURES."""
    level = chip / max(float(np.percentile(chip, 99.5)), 1e-6)
    smooth = ndimage.gaussian_filter(level, 0.5 / gsd_m)
    bright = smooth > 0.35
    sides = sorted(s * gsd_m for s in chip.shape)
    rows, cols = np.nonzero(bright)
    if rows.size < 5:
        return [sides[1], sides[0], 0, 0, 1, rows.size * gsd_m**2, 0, 0, 0]
    points = np.stack([cols, rows], 1) * gsd_m
    points = points - points.mean(0)
    _, axes = np.linalg.eigh(np.cov(points.T) + 1e-6 * np.eye(2))
    along = points @ axes
    width, length = (float(np.subtract(*np.percentile(along[:, k], [97, 3]))) for k in (0, 1))
    top = (smooth == ndimage.maximum_filter(smooth, round(2.5 / gsd_m) | 1)) & bright
    power = np.sort(level.ravel() ** 2)[::-1]
    share = float(power[: max(1, power.size // 100)].sum() / power.sum())
    contrast = float(20 * np.log10(np.percentile(level, 99) / max(float(np.median(level)), 1e-3)))
    return [
        sides[1],
        sides[0],
        length,
        width,
        length / max(width, 1.0),
        rows.size * gsd_m**2,
        float(top.sum()),
        contrast,
        share,
    ]


def sheet(real: dict[str, list[Chip]], simulated: dict[str, list[Chip]], path: Path) -> None:
    """A picture: for each type a row of real chips and below it one of simulated ones."""
    size, columns = 130, 10
    page = Picture.new("L", (columns * size, 2 * len(TYPES) * size))
    for i, cls in enumerate(TYPES):
        for j, chips in enumerate((real[cls], simulated[cls])):
            for k, pick in enumerate(np.linspace(0, len(chips) - 1, columns).astype(int)):
                chip = chips[pick]
                shown = np.clip(chip / np.percentile(chip, 99.7) * 255, 0, 255).astype(np.uint8)
                page.paste(Picture.fromarray(shown).resize((size - 4, size - 4)), (k * size, (2 * i + j) * size))
    page.save(path)


def speeds() -> dict[str, float]:
    """Milliseconds for the walls of 100,000 buildings at 10 m, for one ship and for one aircraft."""
    look, rng, n = look_of(SENSOR, 38.0, 90.0), np.random.default_rng(0), 100_000
    size = np.full(n, 13.0, np.float32)
    x, y, axis = (rng.uniform(0, top, n).astype(np.float32) for top in (10_000, 10_000, 180))
    city = Structures(np.full(n, Kind.BUILDING, np.uint8), x, y, size, size, size, axis)
    ship = WorldObject("ship", "container ship", (0.0, 0.0), 300.0, 44.0, 30.0, "anchored")
    plane = WorldObject("aircraft", "A330", (0.0, 0.0), 63.7, 60.3, 30.0, "parked")
    work = {
        "walls_100k_ms": lambda: wall_scatterers(city, look, rng, 10.0),
        "ship_ms": lambda: ship_scatterers(ship, look, "C", rng),
        "aircraft_ms": lambda: aircraft_scatterers(plane, look, rng),
    }
    out = {}
    for name, run in work.items():
        took = []
        for _ in range(5):
            start = time.perf_counter()
            run()
            took.append(time.perf_counter() - start)
        out[name] = round(1000 * float(np.median(took)), 2)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer chips, the same keys")
    parser.add_argument("--figure", type=Path, help="write a picture of real and simulated chips there")
    parser.add_argument(
        "--data", help="folder that holds sar_acd; default: KNOWLIP_DATA, or shared/data beside the project"
    )
    args = parser.parse_args()
    folder = data_folder(args.data)
    if not all((folder / cls).is_dir() for cls in TYPES):
        print(f"{folder}: SAR-ACD is not there; name the folder that holds sar_acd with KNOWLIP_DATA or --data")
        return 2
    many = 60 if args.quick else 300

    real = {cls: real_chips(folder, cls, 10_000 if not args.quick else 120) for cls in TYPES}
    first = 0.6
    simulated = {
        cls: [simulated_chip(*TYPES[cls], 1000 * i + k, first) for k in range(many)] for i, cls in enumerate(TYPES)
    }
    side_m = float(np.median([max(c.shape) * first for chips in simulated.values() for c in chips]))
    side_px = float(np.median([np.median([max(c.shape) for c in chips]) for chips in real.values()]))
    gsd_m = side_m / side_px
    if args.figure:
        sheet(real, simulated, args.figure)

    figures: dict[str, object] = {"real_spacing_m": round(gsd_m, 3), "simulated_spacing_m": first}
    tables = {
        "real": {cls: np.array([measured(c, gsd_m) for c in chips]) for cls, chips in real.items()},
        "simulated": {cls: np.array([measured(c, first) for c in chips]) for cls, chips in simulated.items()},
    }
    print(f"pixel spacing of the real chips, inferred: {gsd_m:.2f} m")
    print(f"{'type':10s} {'figure':13s} {'real':>8s} {'simulated':>10s} {'difference':>11s}")
    differences = []
    for cls in TYPES:
        for k, name in enumerate(FEATURES):
            r, s = tables["real"][cls][:, k], tables["simulated"][cls][:, k]
            off = float((np.median(s) - np.median(r)) / max(float(r.std()), 1e-6))
            differences.append((name, abs(off)))
            print(f"{cls:10s} {name:13s} {np.median(r):8.2f} {np.median(s):10.2f} {off:+10.2f}σ")
            figures[f"{cls}.{name}"] = [round(float(np.median(r)), 2), round(float(np.median(s)), 2), round(off, 2)]
    print("\nmean |difference| over types, in standard deviations of real chips")
    for name in FEATURES:
        mean = float(np.mean([d for n, d in differences if n == name]))
        figures[f"difference.{name}"] = round(mean, 2)
        print(f"  {name:13s} {mean:.2f}")

    stacked = {}
    for source, table in tables.items():
        labels = np.concatenate([np.full(len(t), i) for i, t in enumerate(table.values())])
        halves = np.concatenate([np.arange(len(t)) < len(t) // 2 for t in table.values()])
        stacked[source] = (np.concatenate(list(table.values())), labels, halves)
    forest = RandomForestClassifier(400, min_samples_leaf=3, random_state=0, n_jobs=2, class_weight="balanced")
    x, labels, halves = stacked["real"]
    sx, slabels, _ = stacked["simulated"]
    across = forest.fit(sx, slabels).predict(x)
    within = forest.fit(x[halves], labels[halves]).predict(x[~halves])
    # sides of boxes cut by hand and by rule tell the two apart at once, so that the shape alone is asked here
    both, source = np.concatenate([x, sx])[:, 2:], np.r_[np.zeros(len(x)), np.ones(len(sx))]
    apart = cross_val_predict(forest, both, source, cv=StratifiedKFold(3), method="predict_proba")[:, 1]
    wide = np.array([cls in WIDE for cls in TYPES])
    figures |= {
        "accuracy_simulated_to_real": round(_balanced(across, labels), 3),
        "accuracy_real_to_real": round(_balanced(within, labels[~halves]), 3),
        "chance": round(1 / len(TYPES), 3),
        "wide_body_simulated_to_real": round(_balanced(wide[across], wide[labels].astype(int)), 3),
        "wide_body_real_to_real": round(_balanced(wide[within], wide[labels[~halves]].astype(int)), 3),
        "auc_real_or_simulated": round(float(roc_auc_score(source, apart)), 3),
        "chips_real": len(x),
        "chips_simulated": len(sx),
    }
    figures |= speeds()
    print("\ntype of real chips (mean over types of the share that is right)")
    for label, key, chance in (
        ("type", "accuracy", figures["chance"]),
        ("wide or narrow body", "wide_body", 0.5),
    ):
        learnt = f"learnt on simulated chips {figures[f'{key}_simulated_to_real']}"
        print(f"  {label:20} {learnt}, on real ones {figures[f'{key}_real_to_real']}, chance {chance}")
    print(f"real or simulated, by shape: AUC {figures['auc_real_or_simulated']} (0.5: cannot be told apart)")
    times = ", ".join(
        f"{key.removesuffix('_ms')} {figures[key]} ms" for key in ("walls_100k_ms", "ship_ms", "aircraft_ms")
    )
    print(f"time of scatterers: {times}")
    print(json.dumps(figures))
    return 0


def _balanced(predicted: NDArray[np.integer], truth: NDArray[np.integer]) -> float:
    return float(np.mean([(predicted[truth == c] == c).mean() for c in np.unique(truth)]))


if __name__ == "__main__":
    sys.exit(main())
