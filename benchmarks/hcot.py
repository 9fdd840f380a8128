"""How right the evidence engine is: land cover against maps drawn by others, optical pictures and simulation truth.

    python benchmarks/hcot.py [--track simulated|real] [--quick] [--data FOLDER] [--split "held out"|development]

Nothing is trained. Real track:

- flood: a Sentinel-1 tile of Sen1Floods11, VV and VH, water against the hand-drawn mask. Beside it stands the best
  that one threshold on either polarisation could reach if it knew the mask.
- pauli: PolSF's AIRSAR picture, four classes pixel by pixel. Its mountain is scrub-covered and counts as vegetation.
- scenes: Sentinel-1 scenes, VH, 8 bits, in tiles of 256 pixels, as `knowlip annotate` describes them, against the
  optical picture of the same ground (`hcot_optical.py`), once from pixels alone and once with the maps. Western Los
  Angeles and northern San Antonio are the development places; the figures are of all other scenes.

Simulated track: scenes of cities that no development looked at (seed 7), calibrated VV and VH, and VH at 8 bits as the
real scenes are; the truth is read by the benchmark alone. Of the calibrated ones every slot of every statement is
judged (`hcot_slots.py` says how), once from pixels alone and once with maps of the made-up ground that are as wrong as
real ones (`knowlip simulate --maps`): land cover, mapped features and an elevation model. "Shuffled" judges the same
statements by another tile's truth, and is what words that are usually right would reach.

What a user would have instead, naming the class that is commonest, stands as "usual". Last comes speed of the cover
step on one core. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image

from hcot_optical import BARE, BUILT, VEGETATION, WATER, dominant, is_development, optical_classes
from hcot_slots import JUDGES, judged
from hcot_truth import Truth, truths
from knowlip.cli.annotate import own_files
from knowlip.core.statements import LANDCOVER
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.store import Corpus, TilePixels
from knowlip.hcot import cover
from knowlip.hcot.annotate import SOURCES, annotate
from knowlip.knowledge.source import Source
from knowlip.scenes.geotiff import open_scene
from knowlip.simulation.simulate import simulate

Figures = dict[str, Any]
Codes = NDArray[np.uint8]

TILE_PX = 256
SEED, DEVELOPMENT_SEED = 7, 3
PRESENT = 0.03
CLEAR_LEAD = 0.05
NAMES = tuple(LANDCOVER.values())
TO_FOUR = np.array([0, WATER, VEGETATION, VEGETATION, BUILT, BUILT, BARE])
"""From codes of `LANDCOVER` to the reference's four; roads are built up."""
FOUR = {WATER: "water", VEGETATION: "vegetation", BUILT: "built-up", BARE: "bare"}


def iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((found & true).sum() / max((found | true).sum(), 1))


def flood(data: Path) -> Figures:
    """Water of the Sen1Floods11 tile, with the ceiling of a single threshold."""
    folder = data / "sen1floods11"
    with rasterio.open(next(folder.glob("*_S1Hand.tif"))) as file:
        db = file.read().astype(np.float32)
    with rasterio.open(next(folder.glob("*_LabelHand.tif"))) as file:
        label = file.read(1)
    known, true = label >= 0, label == 1
    out: Figures = {}
    for names, bands in ((("VV", "VH"), [0, 1]), (("VH",), [1])):
        pixels = TilePixels(db[bands], names, True, np.zeros(len(bands), np.float32))
        out["_".join(names)] = iou(cover.segment(pixels)[known] == 1, true[known])
    near = cover.measure(TilePixels(db, ("VV", "VH"), True, np.zeros(2, np.float32))).near_db
    levels = near.repeat(2, axis=1).repeat(2, axis=2)
    out["best_threshold"] = max(iou(levels[k][known] < t, true[known]) for k in (0, 1) for t in np.arange(-32, -8, 0.5))
    return out


def pauli(data: Path) -> Figures:
    """Four classes of PolSF's picture: IoU of each and their mean."""
    picture = np.asarray(Image.open(data / "polsf_airsar" / "pauli.png").convert("RGB"), np.float32)
    label = np.asarray(Image.open(data / "polsf_airsar" / "label.png"))
    # none, bare soil, mountain, water, urban, vegetation
    true = np.array([0, BARE, VEGETATION, WATER, BUILT, VEGETATION])[label]
    db = 20 * np.log10(np.maximum(picture, 0.5)).transpose(2, 0, 1)
    found = TO_FOUR[cover.segment(TilePixels(db, cover.PAULI, False, np.zeros(3, np.float32)))]
    known = true > 0
    out: Figures = {name: iou(found[known] == code, true[known] == code) for code, name in FOUR.items()}
    out["mean"] = float(np.mean(list(out.values())))
    return out


def tiles_of(
    scenes: Sequence[Path], out: Path, sources: Sequence[str], maps: Sequence[Source] = ()
) -> tuple[Corpus, dict[str, dict[str, Any]]]:
    """A described corpus of the scenes, and every tile's facts by name."""
    config = BuildConfig(tiles=TileSpec(tile_size=TILE_PX))
    corpus = build_corpus([str(s) for s in scenes], str(out), config).corpus
    annotate(corpus, sources=sources, maps=maps)
    facts: dict[str, dict[str, Any]] = {t: {} for t in corpus.tile_ids()}
    for row in corpus.table("facts").to_pylist():
        facts[row["tile_id"]][row["name"]] = json.loads(row["value"])
    return corpus, facts


def measured_shares(facts: dict[str, Any]) -> NDArray[np.float64]:
    """Shares `(6,)` of `LANDCOVER` that a tile's facts state."""
    return np.array([facts[f"cover.{n}.share"] for n in NAMES])


def reference_tiles(corpus: Corpus, data: Path) -> dict[str, Codes]:
    """The optical reference of every tile."""
    out: dict[str, Codes] = {}
    for name, rows in corpus.tiles.groupby("knowlip:scene"):
        with rasterio.open(data / "s1_scenes" / f"{name}.tif") as scene:
            to_pixel = ~scene.transform
        codes = optical_classes(data / "s2_rgb" / f"S2_{str(name).split('_')[-1]}.jpg")
        for tile_id, transform in rows["proj:transform"].items():
            col, row = (round(v) for v in to_pixel * (transform[2], transform[5]))
            out[str(tile_id)] = codes[row : row + TILE_PX, col : col + TILE_PX]
    return out


def against_optical(facts: dict[str, dict[str, Any]], reference: dict[str, Codes]) -> Figures:
    """Water present, water's share, and the dominant cover of the tiles whose picture is clear about it."""
    there, error, right, kinds = [], [], [], []
    confusion: Counter[str] = Counter()
    for tile_id, codes in reference.items():
        shares = measured_shares(facts[tile_id])
        water = float((codes == WATER).mean())
        there.append((shares[0] >= PRESENT) == (water >= PRESENT))
        error.append(abs(shares[0] - water))
        if (allowed := dominant(codes)) is None:
            continue
        four = np.bincount(TO_FOUR[1:], shares, 5)
        main = int(four.argmax())
        right.append(main in allowed)
        kinds.append(allowed)
        if main not in allowed:
            confusion[f"{'/'.join(FOUR[a] for a in sorted(allowed))} as {FOUR[main]}"] += 1
    usual = max(np.mean([c in k for k in kinds]) for c in FOUR) if kinds else 0.0
    return {
        "tiles": len(reference),
        "judged": len(right),
        "water_present": float(np.mean(there)),
        "water_error": float(np.mean(error)),
        "dominant": float(np.mean(right)),
        "dominant_usual": float(usual),
        "confused": dict(confusion.most_common(4)),
    }


def scenes(data: Path, quick: bool, development: bool, work: Path) -> Figures:
    """Real scenes, from pixels alone and with the maps."""
    chosen = []
    for path in sorted((data / "s1_scenes").glob("*.tif")):
        with rasterio.open(path) as scene:
            if is_development(*scene.lnglat()) == development:
                chosen.append(path)
    chosen = chosen[::4] if quick else chosen
    out: Figures = {"scenes": len(chosen)}
    reference: dict[str, Codes] = {}
    for name, sources in (("pixels", ()), ("maps", SOURCES)):
        corpus, facts = tiles_of(chosen, work / name, sources)
        reference = reference or reference_tiles(corpus, data)
        out[name] = against_optical(facts, reference)
        places = {t: "Los Angeles" if b["xmin"] < -110 else "San Antonio" for t, b in corpus.tiles["bbox"].items()}
        for place in sorted(set(places.values())):
            there = {t: r for t, r in reference.items() if places[t] == place}
            out[name][place] = {k: v for k, v in against_optical(facts, there).items() if k in ("judged", "dominant")}
    return out


def as_8_bit(source: Path, out: Path) -> None:
    """Simulated scenes as the real ones are stored: VH amplitude, with one scale a scene that clips a hundredth."""
    out.mkdir()
    for path in sorted(source.glob("*.tif")):
        scene = open_scene(path)
        with rasterio.open(path) as file:
            stored = file.read(scene.polarisations.index("VH") + 1)
            profile = {k: file.profile[k] for k in ("driver", "width", "height", "crs", "transform")}
        amplitude = np.power(10, scene.radiometry.to_db(stored) / 20)
        full = np.quantile(amplitude, 0.99)
        with rasterio.open(out / path.name, "w", **profile, count=1, dtype="uint8") as file:
            file.write(np.clip(amplitude * (255 / full), 1, 255).astype(np.uint8), 1)
            file.set_band_description(1, "VH")


def against_truth(facts: dict[str, dict[str, Any]], truth: dict[str, Codes]) -> Figures:
    """Dominant cover and shares of simulated tiles."""
    right, clear, errors, mains = [], [], [], []
    confusion: Counter[str] = Counter()
    for tile_id, codes in truth.items():
        true = np.bincount(codes.ravel(), minlength=7)[1:7] / max(np.count_nonzero(codes), 1)
        shares = measured_shares(facts[tile_id])
        main, found = int(true.argmax()), int(shares.argmax())
        right.append(main == found)
        mains.append(main)
        second, first = np.sort(true)[-2:]
        if first - second >= CLEAR_LEAD:
            clear.append(main == found)
        errors.append(np.abs(shares - true))
        if main != found:
            confusion[f"{NAMES[main]} as {NAMES[found]}"] += 1
    error = np.mean(errors, axis=0)
    return {
        "tiles": len(truth),
        "dominant": float(np.mean(right)),
        "dominant_usual": Counter(mains).most_common(1)[0][1] / len(mains),
        "clear_tiles": len(clear),
        "dominant_clear": float(np.mean(clear)),
        "share_error": float(error.mean()),
        "share_error_of": dict(zip(NAMES, error.round(4).tolist(), strict=True)),
        "confused": dict(confusion.most_common(4)),
    }


def slots_right(corpus: Corpus, truth: dict[str, Truth]) -> Figures:
    """Of each dimension: how many tiles have it, of its slots the share that is right, and the same of wrong tiles."""
    tiles = sorted(truth)
    # neighbours share their ground, so the other tile is one far away in the order
    other = dict(zip(tiles, tiles[len(tiles) // 2 :] + tiles[: len(tiles) // 2], strict=True))
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    shuffled: dict[tuple[str, str], list[bool]] = defaultdict(list)
    written: Counter[tuple[str, str]] = Counter()
    names: dict[str, list[bool]] = defaultdict(list)
    for row in corpus.table("statements/round=00/statements").to_pylist():
        kind = row["schema"], row["dimension"]
        written[kind] += 1
        found = judged(*kind, row["slots"], truth[row["tile_id"]])
        right[kind] += found.values()
        shuffled[kind] += judged(*kind, row["slots"], truth[other[row["tile_id"]]]).values()
        for name, ok in found.items():
            names[".".join((*kind, name))].append(ok)
    return {
        ".".join(kind): {
            "right": float(np.mean(right[kind])),
            "shuffled": float(np.mean(shuffled[kind])),
            "slots": len(right[kind]),
            "tiles": written[kind],
            "by_slot": {n.rsplit(".")[-1]: float(np.mean(v)) for n, v in names.items() if n.startswith(".".join(kind))},
        }
        for kind in JUDGES
        if kind in right
    }


def show_slots(name: str, figures: Figures) -> None:
    """Print a table of dimensions."""
    print(f"\n{name:34}{'right':>7}{'shuffled':>10}{'slots':>7}{'tiles':>7}")
    for dimension, row in figures.items():
        parts = ", ".join(f"{k} {v:.2f}" for k, v in row["by_slot"].items())
        print(f"  {dimension:32}{row['right']:7.3f}{row['shuffled']:10.3f}{row['slots']:7}{row['tiles']:7}  {parts}")


def simulated(quick: bool, development: bool, work: Path) -> Figures:
    """Scenes of unseen cities. Simulated ground is made up, so of the built-in sources only names are asked."""
    scenes, maps = work / "scenes", work / "made up"
    simulate(scenes, 6 if quick else 16, 1, "sentinel1-iw", 1024, DEVELOPMENT_SEED if development else SEED, maps=maps)
    as_8_bit(scenes, work / "bytes")
    corpus, facts = tiles_of([scenes], work / "calibrated", ("places",))
    mapped = own_files(str(maps / "dem"), str(maps / "landcover"), [str(maps / "features")], "", "", True)
    with_maps, facts_m = tiles_of([scenes], work / "mapped", ("places",), mapped)
    truth = truths(corpus, scenes)
    codes = {t: v.cover for t, v in truth.items()}
    eight, facts_8 = tiles_of([work / "bytes"], work / "eight", ())
    if set(eight.tile_ids()) != set(truth):
        raise RuntimeError("the 8-bit scenes were cut into other tiles than the calibrated ones")
    return {
        "calibrated": against_truth(facts, codes),
        "eight_bit": against_truth(facts_8, codes),
        "with_maps": against_truth(facts_m, codes),
        "slots_with_maps": slots_right(with_maps, truth),
        "slots_pixels": slots_right(corpus, truth),
    }


def speed(quick: bool) -> float:
    """Tiles of 256 pixels, VV and VH, that one core classifies in a second."""
    rng = np.random.default_rng(0)
    blocks = rng.choice([-20.0, -15.0, -12.0, -8.0], (2, 16, 16)).repeat(16, axis=1).repeat(16, axis=2)
    db = (blocks + 10 * np.log10(rng.gamma(4.4, 1 / 4.4, blocks.shape))).astype(np.float32)
    pixels = TilePixels(db, ("VV", "VH"), True, np.zeros(2, np.float32))
    level = cover.scene_level([cover.measure(pixels)], pixels.polarisations, True, None)
    count = 30 if quick else 200
    cover.classify(pixels, level)
    started = time.perf_counter()
    for _ in range(count):
        cover.classify(pixels, level)
    return count / (time.perf_counter() - started)


def show(name: str, figures: Figures, goals: dict[str, str]) -> None:
    """Print one block of the table: figure, value, goal."""
    print(f"\n{name}")
    for key, value in figures.items():
        if isinstance(value, dict):
            print(
                f"  {key:28} "
                + "; ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in value.items())
            )
        else:
            print(f"  {key:28} {value if isinstance(value, int) else format(value, '.3f'):>8}   {goals.get(key, '')}")


def real_track(data: Path, quick: bool, development: bool, work: Path) -> Figures:
    """All real data; prints as it goes."""
    out: Figures = {"flood": flood(data), "pauli": pauli(data)}
    show("Sen1Floods11, IoU of water", out["flood"], {"VV_VH": "goal 0.800"})
    show("PolSF, IoU", out["pauli"], {"mean": "goal 0.600"})
    out["scenes"] = scenes(data, quick, development, work)
    goals = {"water_present": "goal 0.950", "water_error": "goal 0.030 at most", "dominant": "goal 0.850"}
    for name in ("pixels", "maps"):
        show(
            f"real Sentinel-1 scenes, {'development' if development else 'held out'}, {name}",
            out["scenes"][name],
            goals,
        )
    return out


def simulated_track(quick: bool, development: bool, work: Path) -> Figures:
    """Simulated scenes; prints as it goes."""
    out = simulated(quick, development, work)
    for name, figures in out.items():
        if name.startswith("slots"):
            show_slots(f"{name.replace('_', ', ').replace(', maps', ' maps')}, share right", figures)
            continue
        show(f"simulated Sentinel-1 scenes, {name}", figures, {"dominant": "goal 0.950"})
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description="How right the evidence engine is.")
    parser.add_argument("--track", choices=("simulated", "real"), help="one of the two; both when not given")
    parser.add_argument("--quick", action="store_true", help="fewer scenes, within a minute")
    parser.add_argument("--split", choices=("held out", "development"), default="held out", help="which scenes")
    parser.add_argument("--data", type=Path, help="folder of real data (KNOWLIP_DATA, or ../shared/data)")
    options = parser.parse_args()
    usual = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = options.data or Path(os.environ.get("KNOWLIP_DATA") or usual)
    if options.track != "simulated" and not (data / "s1_scenes" / "scenes.csv").is_file():
        print(f"{data}: no real scenes (s1_scenes/scenes.csv); name their folder in KNOWLIP_DATA", file=sys.stderr)
        return 2
    figures: Figures = {}
    development = options.split == "development"
    with TemporaryDirectory() as folder:
        if options.track != "simulated":
            figures["real"] = real_track(data, options.quick, development, Path(folder))
        if options.track != "real":
            figures["simulated"] = simulated_track(options.quick, development, Path(folder))
    figures["tiles_per_s"] = round(speed(options.quick), 1)
    print(f"\ncover step on one core: {figures['tiles_per_s']} tiles a second")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
