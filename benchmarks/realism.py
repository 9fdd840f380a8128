"""How much simulated 10 m scenes look like Sentinel-1: class by class, figure by figure.

    python benchmarks/realism.py [--quick] [--figure FILE [--simulated-only]] [--data FOLDER]

Real: Sentinel-1 IW GRD scenes, VH, 8-bit amplitude with one scale for each product, masked by the optical picture of
the same ground. Simulated: scenes of the sentinel1-iw preset, resampled to the same ground spacing and scaled the same
way, masked by their own truth. Patches lie wholly inside a class. For each class and figure the table gives the
difference of the means in standard deviations of the real patches, and how well a classifier tells real from simulated
patches.

Scenes west of Los Angeles' middle and north of San Antonio's are the development places that the simulator may be
adjusted by; the others are held out.
"""

import argparse
import csv
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from knowlip.simulation.cities import find_city
from knowlip.simulation.ground import LandCover, World, Zone
from knowlip.simulation.imaging import image_world
from knowlip.simulation.sensors import find_sensor
from knowlip.simulation.world import make_world
from realism_features import FEATURES, compared, described
from realism_masks import CLASSES, PATCH_PX, PURE, optical_masks

REAL_LATITUDE_DEG = 32.0
MERCATOR = 1 / np.cos(np.deg2rad(REAL_LATITUDE_DEG))
CLIPPED = 0.01
GOAL, GOAL_AUC = 0.25, 0.80
MAX_PATCHES = 400
FEWEST = 8
GENTLE = 0.14
NOT_FIELDS = (LandCover.WATER, LandCover.WOODLAND, LandCover.BUILDING)
OBJECT_MARGIN_M = 60.0
PRODUCT_TURN_DEG = 12.0

Amplitude = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Product:
    """One simulated acquisition: the scenes that share a look and a scale, as the real ones of one product do."""

    cities: tuple[str, ...]
    incidence_deg: float
    look_azimuth_deg: float


# a coast with hills on a descending pass and a plain on an ascending one, as the real ones, and the other way round
_COAST, _PLAIN = ("Los Angeles", "San Francisco", "Seattle"), ("Houston", "Denver", "St. Louis")
PRODUCTS = (
    Product(_COAST, 38.0, 282.0),
    Product(_PLAIN, 38.0, 79.0),
    Product(_COAST, 35.0, 79.0),
    Product(_PLAIN, 42.0, 282.0),
)


@dataclass(frozen=True)
class Patches:
    """Patches of one class: pixels (N, 64, 64) and the scene that each is from (N,)."""

    pixels: NDArray[np.uint8]
    scene: NDArray[np.intp]


def cut(image: NDArray[np.uint8], masks: dict[str, NDArray[np.bool_]], number: int, into: dict[str, list]) -> None:
    """Add an image's pure patches to the lists of their classes."""
    for r in range(0, image.shape[0] - PATCH_PX + 1, PATCH_PX):
        for c in range(0, image.shape[1] - PATCH_PX + 1, PATCH_PX):
            window = np.s_[r : r + PATCH_PX, c : c + PATCH_PX]
            for name, mask in masks.items():
                if mask[window].mean() >= PURE:
                    into[name].append((image[window], number))


def gathered(lists: dict[str, list], most: int) -> dict[str, Patches]:
    """At most so many patches of each class, spread evenly over what there is."""
    out = {}
    for name, found in lists.items():
        keep = [found[int(k)] for k in np.linspace(0, len(found) - 1, min(most, len(found)))]
        pixels = np.array([p for p, _ in keep], np.uint8).reshape(-1, PATCH_PX, PATCH_PX)
        out[name] = Patches(pixels, np.array([s for _, s in keep], np.intp))
    return out


def is_development(lon: float, lat: float) -> bool:
    """Whether a scene is of the places that may be looked at: western Los Angeles and northern San Antonio."""
    return lon < -118.06 if lon < -110 else lat > 29.5


def real_patches(data: Path, quick: bool) -> dict[str, dict[str, Patches]]:
    """Patches by place, "development" or "held out", and class."""
    lists: dict[str, dict[str, list]] = {p: {c: [] for c in CLASSES} for p in ("development", "held out")}
    with (data / "s1_scenes" / "scenes.csv").open() as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        if quick and number % 3 != 1:
            continue
        with rasterio.open(data / "s1_scenes" / row["file"]) as scene:
            lon, lat = scene.lnglat()
            image = scene.read(1)
        optical = data / "s2_rgb" / f"S2_{row['file'].split('_')[-1].removesuffix('.tif')}.jpg"
        if not optical.is_file():
            continue
        masks = optical_masks(optical)
        if lon < -110:
            # its dry hills have the colours of fields
            del masks["farmland"]
        cut(image, masks, number, lists["development" if is_development(lon, lat) else "held out"])
    return {place: gathered(found, MAX_PATCHES) for place, found in lists.items()}


def true_masks(world: World) -> dict[str, NDArray[np.bool_]]:
    """The classes as the optical masks have them: built-up land with its streets and gardens, open country pure.

    Woods on steep slopes are left out, since their shading keeps them out of the optical masks, and so are shores.
    """
    down, right = np.gradient(ndimage.gaussian_filter(world.terrain_m, 3), world.gsd_m)
    built = (Zone.RESIDENTIAL_DENSE, Zone.RESIDENTIAL_SPARSE, Zone.COMMERCIAL, Zone.INDUSTRIAL)
    water = world.landcover == LandCover.WATER
    inland = ~ndimage.binary_dilation(water, iterations=5)
    return {
        "water": water,
        "built-up": np.isin(world.zone, built) & inland,
        "vegetation": (world.landcover == LandCover.WOODLAND) & (np.hypot(down, right) < GENTLE) & inland,
        "farmland": (world.zone == Zone.FARMLAND) & ~np.isin(world.landcover, NOT_FIELDS) & inland,
    }


def to_mercator(image: NDArray[Any], columns: int) -> NDArray[Any]:
    """The nearest pixels on a grid of 10 Mercator metres, which are fewer on the ground."""
    return ndimage.zoom(image, (MERCATOR, columns / image.shape[1]), order=0)


def as_mapped(amplitude: Amplitude) -> Amplitude:
    """What mapping did to the real scenes, so far as their spectrum tells; their history is not told.

    A product that lies askew is geocoded bilinearly to a grid in degrees, whose pixels are narrower than high, and that
    goes to Mercator by the nearest pixel, which repeats some rows. The product's turn is imitated by letting each pixel
    of the grid lie between two rows as it would.
    """
    columns = round(amplitude.shape[1] * MERCATOR)
    rows = np.arange(amplitude.shape[0], dtype=np.float32)[:, None]
    cols = np.arange(columns, dtype=np.float32)[None, :] / np.float32(MERCATOR)
    turn = np.deg2rad(PRODUCT_TURN_DEG)
    down = rows + (cols * np.float32(np.sin(turn)) - rows * np.float32(1 - np.cos(turn))) % 1
    geocoded = ndimage.map_coordinates(amplitude, np.broadcast_arrays(down, cols), order=1, mode="nearest")
    return to_mercator(geocoded, columns)


def near_objects(world: World, offsets_xy_m: NDArray[np.float64]) -> Mask:
    """Ships where they are and where they appear, with a margin: the optical masks leave out what is on the water."""
    out = np.zeros(world.landcover.shape, bool)
    for o, offset in zip(world.objects, offsets_xy_m, strict=True):
        for at in (np.array(o.centre_xy_m), np.array(o.centre_xy_m) + offset):
            reach = o.length_m / 2 + OBJECT_MARGIN_M
            c0, r0 = np.maximum((at - reach) / world.gsd_m, 0).astype(int)
            c1, r1 = np.maximum((at + reach) / world.gsd_m, 0).astype(int)
            out[r0:r1, c0:c1] = True
    return out


def simulated_scene(city: str, product: Product, size_px: int, seed: int) -> tuple[Amplitude, dict[str, Mask]]:
    """VH amplitude on the real scenes' ground spacing, with masks."""
    sensor = find_sensor("sentinel1-iw")
    world = make_world(find_city(city), (size_px, size_px), sensor.gsd_m, seed)
    made = image_world(world, sensor, product.incidence_deg, product.look_azimuth_deg, seed)
    image = as_mapped(np.sqrt(made.sigma0["VH"]))
    true = true_masks(world)
    true["water"] &= ~near_objects(world, made.offsets_xy_m)
    masks = {n: to_mercator(m.astype(np.uint8), image.shape[1]) > 0 for n, m in true.items()}
    return image, masks


def simulated_patches(quick: bool) -> dict[str, Patches]:
    """Patches by class, each product on a scale of its own that clips a hundredth of its pixels."""
    lists: dict[str, list] = {c: [] for c in CLASSES}
    number = 0
    for index, product in enumerate(PRODUCTS[:2] if quick else PRODUCTS):
        size_px = 640 if quick else 1024
        scenes = [simulated_scene(city, product, size_px, 100 * index) for city in product.cities]
        full = np.quantile(np.concatenate([s[::4, ::4].ravel() for s, _ in scenes]), 1 - CLIPPED)
        for image, masks in scenes:
            cut(np.clip(image * (255 / full), 0, 255).astype(np.uint8), masks, number, lists)
            number += 1
    return gathered(lists, MAX_PATCHES)


def told_apart(real: Patches, simulated: Patches) -> float | None:
    """Area under the curve of a random forest that tells simulated from real patches of scenes it has not seen."""
    x = np.array([described(p) for p in (*real.pixels, *simulated.pixels)])
    y = np.repeat([0, 1], [len(real.pixels), len(simulated.pixels)])
    groups = np.concatenate([real.scene, 10_000 + simulated.scene])
    if min(len(set(real.scene.tolist())), len(set(simulated.scene.tolist()))) < 2:
        return None
    score = np.full(len(y), np.nan)
    folds = GroupKFold(n_splits=min(4, len(set(groups.tolist()))), shuffle=True, random_state=0)
    for train, test in folds.split(x, y, groups):
        if len(set(y[train].tolist())) < 2:
            continue
        forest = RandomForestClassifier(200, min_samples_leaf=3, class_weight="balanced", random_state=0)
        score[test] = forest.fit(x[train], y[train]).predict_proba(x[test])[:, 1]
    seen = np.isfinite(score)
    return float(roc_auc_score(y[seen], score[seen])) if len(set(y[seen].tolist())) == 2 else None


def compare(real: Patches, simulated: Patches) -> dict[str, float]:
    """Difference of the means of each figure in standard deviations of the real patches, signed."""
    a, b = (np.array([compared(p) for p in s.pixels]) for s in (real, simulated))
    difference = (b.mean(axis=0) - a.mean(axis=0)) / a.std(axis=0)
    return dict(zip(FEATURES, difference.tolist(), strict=True))


def speckle_of(patches: Patches) -> dict[str, float]:
    """Looks and autocorrelation of the intensity of the flattest tenth of the patches."""
    tiles = [t.astype(np.float64) ** 2 for t in patches.pixels]
    spread = [t.std() / t.mean() for t in tiles]
    flat = [tiles[int(k)] for k in np.argsort(spread)[: max(len(tiles) // 10, 3)]]
    out = {"looks": float(np.median([t.mean() ** 2 / t.var() for t in flat]))}
    for axis, name in ((0, "y"), (1, "x")):
        for lag in (1, 2, 3):
            r = []
            for t in flat:
                d = np.moveaxis(t - t.mean(), axis, 0)
                r.append(np.mean(d[lag:] * d[:-lag]) / d.var())
            out[f"r{lag}{name}"] = float(np.mean(r))
    return out


def write_figure(path: Path, kinds: dict[str, dict[str, Patches]]) -> None:
    """Rows of patches, class by class, a row for each kind such as "real" and "simulated"."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [c for c in CLASSES if all(len(patches[c].pixels) for patches in kinds.values())]
    rows = [(name, kind) for name in names for kind in kinds]
    figure, axes = pyplot.subplots(len(rows), 8, figsize=(10, 1.4 * len(rows)), squeeze=False)
    for line, (name, kind) in zip(axes, rows, strict=True):
        pixels = kinds[kind][name].pixels
        for axis, n in zip(line, np.linspace(0, len(pixels) - 1, 8).astype(int), strict=True):
            axis.imshow(pixels[n], cmap="gray", vmin=0, vmax=255)
            axis.set_axis_off()
        line[0].set_title(f"{name}, {kind}", fontsize=9, loc="left")
    figure.tight_layout()
    figure.savefig(path, dpi=70)


def table(title: str, real: dict[str, Patches], other: dict[str, Patches]) -> dict[str, object]:
    """Print the differences of all classes and figures; give them with the classifier's."""
    enough = {c: min(len(real[c].pixels), len(other[c].pixels)) >= FEWEST for c in CLASSES}
    differences = {c: compare(real[c], other[c]) if enough[c] else None for c in CLASSES}
    areas = {c: told_apart(real[c], other[c]) if enough[c] else None for c in CLASSES}
    print(f"\n{title}: difference / deviation of real".ljust(70) + "".join(c.rjust(12) for c in CLASSES))
    for feature in FEATURES:
        print(
            feature.ljust(69)
            + "".join(f"{d[feature]:12.2f}" if (d := differences[c]) else "-".rjust(12) for c in CLASSES)
        )
    print(
        "told apart, area under curve".ljust(69)
        + "".join(f"{a:12.2f}" if (a := areas[c]) else "-".rjust(12) for c in CLASSES)
    )
    counts = (f"{len(real[c].pixels)}/{len(other[c].pixels)}" for c in CLASSES)
    print("patches".ljust(69) + "".join(n.rjust(12) for n in counts))
    return {"difference": differences, "auc": areas}


def main() -> int:
    parser = argparse.ArgumentParser(description="Realism of simulated 10 m scenes against Sentinel-1.")
    parser.add_argument("--quick", action="store_true", help="fewer scenes, within a minute")
    parser.add_argument("--figure", type=Path, help="write real and simulated patches side by side to this PNG")
    parser.add_argument("--simulated-only", action="store_true", help="leave the real patches out of the figure")
    parser.add_argument("--data", type=Path, help="folder of real data (KNOWLIP_DATA, or ../shared/data)")
    options = parser.parse_args()
    usual = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = options.data or Path(os.environ.get("KNOWLIP_DATA") or usual)
    if not (data / "s1_scenes" / "scenes.csv").is_file():
        print(f"{data}: no real scenes (s1_scenes/scenes.csv); name their folder in KNOWLIP_DATA", file=sys.stderr)
        return 2

    start = time.perf_counter()
    real = real_patches(data, options.quick)
    simulated = simulated_patches(options.quick)

    figures: dict[str, object] = {"goal": GOAL, "goal_auc": GOAL_AUC}
    for place, patches in real.items():
        figures[place.replace(" ", "_")] = table(f"simulated against real, {place}", patches, simulated)
    # how far the real ones differ among themselves, the least that can be asked
    figures["real_places"] = table("real, held out against development", real["development"], real["held out"])
    dev = real["development"]
    figures["speckle_real"] = {c: speckle_of(dev[c]) for c in CLASSES if len(dev[c].pixels) >= 8}
    figures["speckle_simulated"] = {c: speckle_of(simulated[c]) for c in CLASSES if len(simulated[c].pixels) >= 8}
    levels = {k: {c: float(s[c].pixels.mean()) for c in CLASSES if len(s[c].pixels)} for k, s in
              (("real", dev), ("simulated", simulated))}  # fmt: skip
    figures["mean_level"] = levels
    figures["seconds"] = round(time.perf_counter() - start, 1)
    if options.figure:
        beside = {} if options.simulated_only else {"real": dev}
        write_figure(options.figure, {**beside, "simulated": simulated})
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
