"""What share of wrong facts calibration catches, and what share of right ones it takes away.

    python benchmarks/calibration.py [--quick] [--development] [--data FOLDER]

Wrong facts are injected at the error rates that the reference publishes for each dimension of its text (a tenth to more
than a third of all statements). A wrong fact is one that a statement rests on, with the value that the same fact has on
another tile, such that the sentence's checkable words change; it is plausible, then, and of the same source and
confidence as the right ones: all facts of steps 3 to 5 are given to calibration as claims of a model (confidence 0.65),
right and wrong alike. Caught is what is dropped, replaced or marked as disputed.

`measured` takes as right what the evidence engine finds, and lets calibration see the tile's pixels and maps, as it
does when a model makes claims: this is the figure of the rules' reach and of their consistency, and as the right facts
are the measurements themselves it says nothing of how good those are. `alone` takes the same facts, and lets it see
nothing but them, gazetteer and maps: what contradictions between facts give away. `truth` takes as right what the same
code finds with the true land cover and the true targets of simulated scenes, and lets calibration measure the pixels:
here measurements are wrong as well, and right facts are lost to them. It leaves out layout, boundaries, roads and
terrain, of which the simulation gives no truth in such words. The real scenes have no truth, but maps.

Cities are simulated (sentinel1-iw); the rules were written looking at those of --development, which are others than
those reported. The real scenes are those of `$KNOWLIP_DATA` or of `../shared/data` beside the project (`s1_scenes`),
and left out where there are none. Intervals are of 95 %, by bootstrap over scenes. The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from knowlip.core.statements import DIMENSIONS, Fact, Statement, TargetObject
from knowlip.corpus.build import BuildConfig, build_corpus
from knowlip.corpus.grids import TileSpec
from knowlip.corpus.store import Corpus
from knowlip.hcot.annotate import views
from knowlip.hcot.cover import CELL_PX, CLASSES, CODE
from knowlip.hcot.rules.settle import DISPUTED, SETTLED, settle
from knowlip.hcot.sentences import statements
from knowlip.hcot.steps import run_chain
from knowlip.hcot.steps.calibration import as_ground
from knowlip.hcot.view import Facts, TileView
from knowlip.simulation.simulate import city_order, simulate

PUBLISHED_ERROR = {
    "target": (0.22, 0.27, 0.15, 0.21, 0.21, 0.16, 0.12, 0.13),
    "landform": (0.22, 0.17, 0.14, 0.17, 0.18, 0.18, 0.16, 0.10),
}
"""Per dimension, one less the published accuracy of ships and of landforms (arXiv 2509.23927)."""

RATE = {
    (schema, dimension): rate
    for schema, rates in PUBLISHED_ERROR.items()
    for dimension, rate in zip(DIMENSIONS[schema], rates, strict=True)
}
SEED, DEVELOPMENT_CITIES = 11, 10
CLAIM = ("vlm:claim", 0.65)

WITHOUT_TRUTH = ("pattern.", "boundary.", "road.", "relief.", "terrain.")
"""Facts of which the simulation gives no truth at the scale of the words, so that they are not in question with it."""

Dimension = tuple[str, str]


@dataclass(frozen=True)
class Case:
    """A tile: what is taken for right, and what calibration may see.

    Attributes:
        without: Prefixes of facts that are not in question.
    """

    tile_id: str
    scene: str
    right: Facts
    known: Facts
    ground: Facts
    without: tuple[str, ...] = ()

    @property
    def claims(self) -> list[Fact]:
        """What is in question: the right facts of steps 3 to 5, as claims."""
        left_out = (SETTLED, *self.without)
        named = (f for f in self.right if f.name not in self.known and not f.name.startswith(left_out))
        return [replace(f, source=CLAIM[0], confidence=CLAIM[1]) for f in named]


def simulated(folder: Path, cities: Sequence[str], size_px: int) -> Corpus:
    simulate(folder / "scenes", 0, 1, "sentinel1-iw", size_px, SEED, cities)
    return build_corpus([folder / "scenes"], str(folder / "corpus"), BuildConfig(tiles=TileSpec(tile_size=256))).corpus


def real(folder: Path, data: Path, most: int) -> Corpus | None:
    scenes = sorted((data / "s1_scenes").glob("*.tif"))
    if not scenes:
        return None
    some = [scenes[int(k)] for k in np.linspace(0, len(scenes) - 1, min(most, len(scenes)))]
    return build_corpus(some, str(folder / "corpus"), BuildConfig(tiles=TileSpec(tile_size=512))).corpus


def cases(corpus: Corpus, sources: Sequence[str], with_truth: bool) -> dict[str, list[Case]]:
    """The tiles under each kind of evidence."""
    found: dict[str, list[Case]] = defaultdict(list)
    targets = defaultdict(list)
    for row in corpus.table("objects").to_pylist() if with_truth else ():
        targets[row["tile_id"]].append(row)
    for view in views(corpus, sources):
        measured = run_chain(view)
        scene = view.tile_id.rsplit("_r", 1)[0]
        known = Facts(f for f in measured if f.step <= 2)
        ground = as_ground(measured)
        found["measured"].append(Case(view.tile_id, scene, measured, known, ground))
        found["alone"].append(Case(view.tile_id, scene, measured, known, known))
        if with_truth and (codes := corpus.landcover(view.tile_id)) is not None:
            right = run_chain(true_view(view, codes, targets[view.tile_id]))
            known = Facts([*known, *(f for f in measured if f.name.startswith(WITHOUT_TRUTH))])
            found["truth"].append(Case(view.tile_id, scene, right, known, ground, WITHOUT_TRUTH))
    return found


def true_view(view: TileView, codes: np.ndarray, rows: Sequence[dict]) -> TileView:
    """The tile with the true land cover and targets in place of what is measured of them."""
    true = replace(view)
    h, w = view.cover.codes.shape
    cells = codes[: h * CELL_PX : CELL_PX, : w * CELL_PX : CELL_PX]
    cells = np.where(view.cover.codes > 0, cells, 0).astype(np.uint8)
    sure = np.stack([cells == CODE[c] for c in CLASSES]).astype(np.float32)
    cover = replace(view.cover, codes=cells, probability=sure, confidence=np.ones(cells.shape, np.float32))
    # shares of the truth need none of the corrections that measured ones do
    vars(cover)["_shares"] = sure.mean(axis=(1, 2), dtype=np.float64)
    vars(true)["cover"] = cover
    vars(true)["detections"] = tuple(
        TargetObject("ship", None, tuple(r["corners"]), r["length_m"], r["width_m"], r["heading_deg"], "truth")
        for r in rows
        if r["cls"] == "ship"
    )
    return true


def said(tile_id: str, facts: Facts) -> dict[Dimension, Statement]:
    return {(s.schema, s.dimension): s for s in statements(tile_id, facts)}


def words(statement: Statement | None) -> list[tuple[str, str]] | None:
    return None if statement is None else sorted((s.name, s.value) for s in statement.slots)


def injected(case: Case, donors: dict[str, list[Fact]], rng: np.random.Generator) -> dict[str, tuple[Dimension, Fact]]:
    """Wrong facts by name, with the dimension that each is injected for."""
    wrong: dict[str, tuple[Dimension, Fact]] = {}
    claims = Facts([*case.known, *case.claims])
    asked = {f.name for f in case.claims}
    right = said(case.tile_id, claims)
    for dimension in sorted(right, key=lambda d: rng.random()):
        if rng.random() >= RATE[dimension]:
            continue
        names = [n for n in right[dimension].facts if n in asked and n not in wrong]
        for name in sorted(names, key=lambda n: rng.random()):
            values = donors[name]
            for k in rng.permutation(len(values))[:20]:
                fact = replace(claims[name], value=values[int(k)].value)
                changed = said(case.tile_id, Facts([*claims, fact])).get(dimension)
                if words(changed) != words(right[dimension]):
                    wrong[name] = dimension, fact
                    break
            if name in wrong:
                break
    return wrong


def fate(name: str, before: Fact, after: Facts) -> str:
    if name not in after:
        return "dropped"
    if after[name].value != before.value:
        return "replaced"
    return "marked" if after[name].confidence <= DISPUTED < before.confidence else "kept"


@dataclass
class Tally:
    """Fates of facts, and of the wrong ones which were put right or missed, by scene and dimension."""

    wrong: dict[Dimension, Counter[str]]
    right: dict[Dimension, Counter[str]]
    scenes: dict[str, Counter[str]]
    missed: Counter[str]
    lost: Counter[str]
    invented: Counter[str]


def errors(every: Sequence[Case]) -> None:
    """Print how far measured numbers lie from the true ones."""
    apart: dict[str, list[float]] = defaultdict(list)
    for case in every:
        for fact in case.claims:
            if isinstance(fact.value, int | float):
                apart[fact.name].append(abs(fact.value - case.ground.number(fact.name)))
    print(f"{'measured less true, quantiles':30}{'50 %':>8}{'75 %':>8}{'90 %':>8}{'98 %':>8}")
    for name, values in sorted(apart.items()):
        print(f"{name:30}" + "".join(f"{v:8.2f}" for v in np.percentile(values, [50, 75, 90, 98])))


def tally(every: Sequence[Case], rounds: int) -> Tally:
    donors: dict[str, list[Fact]] = defaultdict(list)
    for case in every:
        for fact in case.claims:
            donors[fact.name].append(fact)
    with_targets = [c for c in every if c.right.number("target.count") > 0]
    found = Tally(defaultdict(Counter), defaultdict(Counter), defaultdict(Counter), Counter(), Counter(), Counter())
    for number in range(rounds):
        rng = np.random.default_rng([SEED, number])
        for case in every:
            wrong = injected(case, donors, rng)
            before = Facts([*case.known, *case.claims, *(f for _, f in wrong.values())])
            after = settle(before, case.ground)
            _count(found, case, wrong, before, after)
            if with_targets and case.right.number("target.count") == 0 and number == 0:
                donor = with_targets[int(rng.integers(len(with_targets)))]
                ships = [f for f in donor.claims if f.name.startswith("target.")]
                counted = next(f for f in ships if f.name == "target.count")
                end = settle(Facts([*case.known, *case.claims, *ships]), case.ground)
                found.invented[fate("target.count", counted, end)] += 1
    return found


def _count(found: Tally, case: Case, wrong: dict[str, tuple[Dimension, Fact]], before: Facts, after: Facts) -> None:
    per_scene = found.scenes[case.scene]
    for name, (dimension, fact) in wrong.items():
        end = fate(name, fact, after)
        found.wrong[dimension][end] += 1
        per_scene["wrong"] += 1
        per_scene["caught"] += end != "kept"
        if end == "replaced":
            found.wrong[dimension]["put right"] += after[name].value == case.right[name].value
        if end == "kept":
            found.missed[f"{'.'.join(dimension)}: {name}"] += 1
    for dimension, statement in said(case.tile_id, Facts([*case.known, *case.claims])).items():
        for name in statement.facts:
            if name in wrong or name in case.known or name not in before:
                continue
            end = fate(name, before[name], after)
            found.right[dimension][end] += 1
            per_scene["right"] += 1
            per_scene["removed"] += end in ("dropped", "replaced")
            per_scene["marked"] += end == "marked"
            if end != "kept":
                found.lost[f"{name} {end} by {after[SETTLED + name].source}"] += 1


def interval(scenes: dict[str, Counter[str]], part: str, whole: str) -> list[float]:
    rng = np.random.default_rng(SEED)
    counts = np.array([[c[part], c[whole]] for c in scenes.values()], float)
    drawn = counts[rng.integers(len(counts), size=(2000, len(counts)))].sum(axis=1)
    shares = drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    return [round(float(v), 4) for v in np.percentile(shares, [2.5, 97.5])]


def report(title: str, found: Tally) -> dict[str, object]:
    print(f"\n{title}")
    heads = ("wrong", "caught", "put right", "dropped", "marked", "right", "removed", "marked")
    print(" " * 26 + "".join(f"{h:>{w}}" for h, w in zip(heads, (7, 8, 11, 9, 8, 9, 9, 8), strict=True)))
    total_wrong: Counter[str] = sum(found.wrong.values(), Counter())
    total_right: Counter[str] = sum(found.right.values(), Counter())
    figures: dict[str, object] = {}
    lines = [(".".join(d), found.wrong[d], found.right[d]) for d in RATE if d in found.right]
    for name, wrong, right in [*lines, ("all", total_wrong, total_right)]:
        n, m = (sum(c[k] for k in ("kept", "dropped", "replaced", "marked")) for c in (wrong, right))
        caught, removed = (n - wrong["kept"]) / max(n, 1), (right["dropped"] + right["replaced"]) / max(m, 1)
        shares = [wrong[k] / max(n, 1) for k in ("put right", "dropped", "marked")]
        row = "".join(f"{s:{w}.0%}" for s, w in zip([caught, *shares], (8, 11, 9, 8), strict=True))
        print(f"{name:26}{n:7}{row}{m:9}{removed:9.1%}{right['marked'] / max(m, 1):8.1%}")
        figures[name] = {
            "wrong": n,
            "caught": round(caught, 4),
            "put_right": round(shares[0], 4),
            "right": m,
            "removed": round(removed, 4),
            "right_marked": round(right["marked"] / max(m, 1), 4),
        }
    figures["caught_interval"] = interval(found.scenes, "caught", "wrong")
    figures["removed_interval"] = interval(found.scenes, "removed", "right")
    if made := sum(found.invented.values()):
        share = 1 - found.invented["kept"] / made
        print(f"ships invented on tiles without any: {made}, caught {share:.0%}")
        figures["invented_ships"] = {"tiles": made, "caught": round(share, 4)}
    missed = [f"{name} ({n})" for name, n in found.missed.most_common(6)]
    print(f"caught 95 %: {figures['caught_interval']}, removed: {figures['removed_interval']}")
    print("missed most: " + ", ".join(missed))
    print("right ones doubted most: " + ", ".join(f"{name} ({n})" for name, n in found.lost.most_common(6)))
    figures["missed"] = dict(found.missed.most_common(6))
    return figures


def corpora(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, dict[str, list[Case]]]]:
    names = [c.name for c in city_order(SEED)]
    count = 6 if args.quick else 20
    chosen = names[:DEVELOPMENT_CITIES] if args.development else names[DEVELOPMENT_CITIES : DEVELOPMENT_CITIES + count]
    corpus = simulated(folder / "simulated", chosen, 512 if args.quick else 1024)
    yield f"simulated, {len(chosen)} cities", cases(corpus, ("places",), with_truth=True)
    if args.development:
        return
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = args.data or Path(os.environ.get("KNOWLIP_DATA", beside))
    if (scenes := real(folder / "real", data, 6 if args.quick else 40)) is None:
        print(f"{data}: holds no s1_scenes; the real scenes are left out")
        return
    yield "real, Sentinel-1", cases(scenes, ("places", "coast", "airports", "climate"), with_truth=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="within a minute")
    parser.add_argument("--development", action="store_true", help="on the cities that rules were written with")
    parser.add_argument("--data", type=Path, help="folder with s1_scenes")
    args = parser.parse_args()
    figures: dict[str, object] = {}
    with TemporaryDirectory() as name:
        for title, kinds in corpora(args, Path(name)):
            if args.development:
                errors(kinds["truth"])
            for kind, every in kinds.items():
                tiles = f"{len(every)} tiles"
                found = tally(every, 3)
                figures[f"{title.split(',')[0]}, {kind}"] = report(f"{title}, {tiles}: {kind}", found)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
