"""Which slots of a statement are true, by the truth of a simulated tile.

What a slot claims is held against land cover, zones, heights and objects as the simulator laid them out, never against
what the same code would find on them. A slot is right if what it says is true of the tile, within what its own words
leave open:

- shares are said in steps of 5 points up to 20 and of 10 above, and are right within one such step;
- a part of the frame is right for a class if three of four of the cells it names hold nearly as much of the class as
  the tile does on average, and if the class is denser inside the part than outside; for targets if it names the cells
  that their centres lie in, or for more than two such cells some of them; for traces of roads if there are roads;
- a class is the largest, or the second, if it lacks no more than 5 points to be it;
- no border between covers is right if one class has all of the tile but 5 points; some roads that are not traced are
  right if a hundredth of the tile is paved, whether in long lines or not; what targets number at least is right if they
  are no fewer;
- a word for a range (how dense, how sharp, how laid out) is right if the true figure lies in its range, or no further
  outside than a tenth of the scale's length;
- lengths are right within two resolution cells or a tenth, whichever is more, and the ten metres that words round to;
- terrain, function and kind of water are right if the tile has what is named: a tile with sea is coastal, land without
  is what Hammond's relief and gentle slope make it; a function is right if a third of the tile is used for it, or no
  use has more; water is of the kind that most of it is, within 5 points of the tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hcot_truth import Truth, nine
from knowlip.core.statements import LANDCOVER, NINE_GRID
from knowlip.hcot.words import COVER_NOUN, place_words
from knowlip.simulation.ground import LandCover, Zone

Words = dict[str, str]

COVER = {noun: code for code, name in LANDCOVER.items() if (noun := COVER_NOUN[name])}
TIE, RANGE_SLACK = 0.05, 0.1
HILLS_M, MOUNTAINS_M, GENTLE = 90.0, 300.0, 0.08
"""Hammond 1964, "Analysis of properties in land form geography", Annals of the AAG 54(1): 300 and 1,000 feet, 8 %."""

WATER_ZONE: dict[str, tuple[Zone, ...]] = {
    "sea": (Zone.SEA,),
    "river": (Zone.RIVER,),
    "lake": (Zone.WATER,),
    "pond": (Zone.WATER,),
}
POND_M2 = 50_000.0
HOUSING = (Zone.RESIDENTIAL_DENSE, Zone.RESIDENTIAL_SPARSE, Zone.COMMERCIAL)
USES: dict[str, tuple[Zone, ...]] = {
    "open water": (Zone.WATER, Zone.SEA, Zone.RIVER),
    "woodland": (Zone.WOODLAND, Zone.PARK),
    "parkland": (Zone.PARK,),
    "farmland": (Zone.FARMLAND,),
    "open ground": (Zone.BARE, Zone.AIRPORT),
    "residential": HOUSING,
    "commercial": (Zone.COMMERCIAL,),
    "industrial": (Zone.INDUSTRIAL,),
    "dense urban": (*HOUSING, Zone.INDUSTRIAL, Zone.PORT),
    "airport": (Zone.AIRPORT,),
    "transport": (Zone.AIRPORT, Zone.PORT),
    "port": (Zone.PORT,),
    "harbour front": (Zone.PORT,),
}
SMALL_BUT_TELLING = {"airport": 0.1, "port": 0.03, "harbour front": 0.03}
"""Uses that name a place though most of the tile is something else."""
DENSITY = {
    "no": (0.0, 0.03),
    "sparse": (0.03, 0.15),
    "scattered": (0.15, 0.35),
    "many": (0.35, 0.65),
    "dense": (0.65, 1),
}
STEP_DB = {"gradual": (0.0, 4.0), "clear": (4.0, 7.0), "sharp": (7.0, 99.0)}
SHIP_LENGTH_M = {
    "small craft": (0.0, 50.0),
    "coaster, ferry or large fishing vessel": (50.0, 120.0),
    "cargo ship or tanker": (120.0, 250.0),
    "large merchant ship": (250.0, 999.0),
}
ELONGATED_M = {"ship": 120.0, "aircraft": 40.0}


# what words say


def cells_named(words: str) -> set[int]:
    """The nine-grid's cells that a part of the frame consists of, as `place_words` names parts."""
    if words == "the whole frame":
        return set(range(9))
    sides = {"upper": range(3), "lower": range(6, 9), "left": (0, 3, 6), "right": (2, 5, 8)}
    far = {"upper": range(6, 9), "lower": range(3), "left": (2, 5, 8), "right": (0, 3, 6)}
    side = words.removeprefix("the ").split()[0]
    if words.endswith("two thirds"):
        return set(range(9)) - set(far[side])
    if words.endswith("part"):
        return set(sides[side])
    return {NINE_GRID.index(w) for w in words.removeprefix("the ").split(" and ")}


def place_is_right(words: str, density: NDArray[np.float64]) -> bool:
    """Whether a class of such density in the nine cells is where words say."""
    named = cells_named(words)
    inside = density[sorted(named)]
    most = float(density.mean())
    if (inside >= 0.8 * most).mean() < 0.75:
        return False
    outside = np.delete(density, sorted(named))
    return outside.size == 0 or bool(inside.mean() >= outside.mean())


def share_is_right(words: str, share: float) -> bool:
    """Whether a share is right within the step that it is said in."""
    said = float(words)
    return abs(said - 100 * share) <= (5 if said < 20 else 10)


def in_range(value: float, ends: tuple[float, float], slack: float) -> bool:
    """Whether a value lies in a range or little outside."""
    return ends[0] - slack <= value <= ends[1] + slack


def length_is_right(words: str, true_m: float, gsd_m: float) -> bool:
    """Within two resolution cells or a tenth; a cell is about two pixels, and words round to ten metres."""
    return abs(float(words) - true_m) <= max(2 * 2 * gsd_m, 0.1 * true_m) + 5


def largest(shares: NDArray[np.float64], code: int, rank: int = 0) -> bool:
    """Whether a code's share is the largest, or of a later rank, within a tie."""
    ordered = np.sort(shares[1:])[::-1]
    return bool(shares[code] >= ordered[rank] - TIE)


def relief_words(t: Truth) -> set[str]:
    """Plain, hilly or mountainous, by relief and gentle slope of the bare ground; both within a tenth of a limit."""
    step = max(1, round(30 / t.gsd_m))
    blocks = t.ground_m[: t.ground_m.shape[0] // step * step, : t.ground_m.shape[1] // step * step]
    blocks = blocks.reshape(blocks.shape[0] // step, step, -1, step)
    dy, dx = np.gradient(blocks.mean(axis=(1, 3)), step * t.gsd_m)
    gentle = float((np.hypot(dy, dx) <= GENTLE).mean())
    out = set()
    for factor in (0.9, 1.1):
        relief = t.relief_m * factor
        for bound in (0.45, 0.55):
            flat = gentle > bound or relief < HILLS_M
            out.add("plain" if flat else "hilly" if relief < MOUNTAINS_M else "mountainous")
    return out


# dimensions of the landform schema: slot values to whether each is right


def terrain(t: Truth, w: Words) -> dict[str, bool]:
    right = relief_words(t)
    water, sea = t.zones(Zone.WATER, Zone.SEA, Zone.RIVER), t.zones(Zone.SEA)
    if "plain" in right and t.zones(Zone.RIVER) > 0:
        right.add("river plain")
    if sea > 0:
        right.add("coastal")
    if water > 0.95:
        right = {"open water"}
    elif water > 0.85:
        right.add("open water")
    out = {"kind": w["kind"] in right}
    if "relief" in w:
        out["relief"] = abs(float(w["relief"]) - t.relief_m) <= 0.2 * t.relief_m + 10
    return out


def functionality(t: Truth, w: Words) -> dict[str, bool]:
    said = w["function"]
    if said.startswith("mixed "):
        parts = said.removeprefix("mixed ").split(" and ")
        shares = [t.zones(*USES[p]) for p in parts]
        return {"function": min(shares) >= 0.1 and sum(shares) >= 0.4}
    if (least := SMALL_BUT_TELLING.get(said)) is not None:
        return {"function": t.zones(*USES[said]) >= least}
    kinds = [USES[k] for k in ("open water", "woodland", "farmland", "residential", "industrial", "port", "airport")]
    most = max(t.zones(*k) for k in [*kinds, (Zone.BARE,)])
    share = t.zones(*USES[said])
    return {"function": share >= 1 / 3 or share >= most - TIE}


def distribution(t: Truth, w: Words) -> dict[str, bool]:
    main = COVER[w["main"]]
    out = {"main": largest(t.share, main), "share": share_is_right(w["share"], t.share[main])}
    if "where" in w:
        out["where"] = place_is_right(w["where"], t.density(main))
    if "second" in w:
        second = COVER[w["second"]]
        out["second"] = largest(t.share, second, 1)
        out["where2"] = place_is_right(w["where2"], t.density(second))
    return out


def layout(t: Truth, w: Words) -> dict[str, bool]:
    """By the borders of the true classes on cells of two pixels: how many there are, and their directions."""
    cells = t.cover[::2, ::2]
    edges = sum(np.count_nonzero(np.diff(cells, axis=a)) for a in (0, 1)) / cells.size
    smooth = [ndimage.gaussian_filter((cells == code).astype(np.float32), 1.0) for code in LANDCOVER]
    gy, gx = np.stack([[ndimage.sobel(s, a) for a in (0, 1)] for s in smooth], 1)
    strength = np.hypot(gy, gx)
    best = strength.argmax(axis=0)[None]
    gy, gx, strength = (np.take_along_axis(v, best, 0)[0] for v in (gy, gx, strength))
    strong = strength > max(0.5 * float(strength.max()), 1e-6)
    angle = np.arctan2(gy[strong], gx[strong])
    grid, line = (abs(np.exp(k * 1j * angle).sum()) / max(angle.size, 1) for k in (4, 2))
    right = set()
    for k in (1 - 2 * RANGE_SLACK, 1 + 2 * RANGE_SLACK):
        right.add("uniform" if edges < 0.05 * k else "patchy" if edges > 0.3 * k else "irregular")
    # ground in straight lines is patchy or irregular as well
    if strong.any() and line > 0.3:
        right.add("linear")
    if strong.any() and grid > 0.2:
        right.add("grid-like")
    return {"layout": w["layout"] in right}


def boundary(t: Truth, w: Words) -> dict[str, bool]:
    """By the step between the mean levels of the two classes on either side of each true border."""
    power = np.power(10, t.db / 10)
    power[~np.isfinite(power)] = np.nan
    level = np.full(7, np.nan)
    for code in LANDCOVER:
        if (t.cover == code).any():
            level[code] = 10 * np.log10(max(float(np.nanmean(power[t.cover == code])), 1e-9))
    a = np.concatenate([t.cover[:-1].ravel(), t.cover[:, :-1].ravel()])
    b = np.concatenate([t.cover[1:].ravel(), t.cover[:, 1:].ravel()])
    border = a != b
    step = float(np.nanmedian(np.abs(level[a] - level[b])[border])) if border.any() else 0.0
    if "presence" in w:
        main = COVER[w["main"]]
        return {"presence": bool(t.share[1:].max() >= 1 - TIE), "main": largest(t.share, main)}
    return {"kind": in_range(step, STEP_DB[w["kind"]], 1.0)}


def buildings(t: Truth, w: Words) -> dict[str, bool]:
    share = t.share[LandCover.BUILDING]
    out = {"density": in_range(share, DENSITY[w["density"]], RANGE_SLACK)}
    if "share" in w:
        out["share"] = share_is_right(w["share"], share)
    if "where" in w:
        out["where"] = place_is_right(w["where"], t.density(LandCover.BUILDING))
    return out


def road_lines(t: Truth) -> NDArray[np.bool_]:
    """Pixels `(H, W)` of pavement in pieces at least an eighth of the tile long."""
    labels, _ = ndimage.label(t.cover == LandCover.ROAD, np.ones((3, 3)))
    windows = ndimage.find_objects(labels)
    long = [max(s.stop - s.start for s in window) >= t.cover.shape[0] / 8 for window in windows]
    return np.concatenate([[False], np.array(long, bool)])[labels]


def roads(t: Truth, w: Words) -> dict[str, bool]:
    """A part of the frame is where the traces that were found lie; there are roads in three of four of its cells."""
    lines = road_lines(t)
    if w["presence"] == "no":
        return {"presence": not lines.any() or bool(t.share[LandCover.ROAD] < 0.01)}
    if w["presence"] == "some":
        # untraced: of any length
        paved = {"presence": bool(t.share[LandCover.ROAD] >= 0.01)}
        return paved | ({"gsd": abs(float(w["gsd"]) - t.gsd_m) <= 0.01 * t.gsd_m} if "gsd" in w else {})
    out = {"presence": bool(lines.any())}
    if "where" in w:
        there = [bool(part.any()) for part in nine(lines)]
        out["where"] = float(np.mean([there[k] for k in cells_named(w["where"])])) >= 0.75
    return out


def water(t: Truth, w: Words) -> dict[str, bool]:
    share = t.share[LandCover.WATER]
    if "presence" in w:
        return {"presence": share < 0.03}
    kinds = {name: t.zones(*zones) for name, zones in WATER_ZONE.items()}
    if w["kind"] == "water body":
        out = {"kind": max(kinds.values()) > 0}
    else:
        out = {"kind": kinds[w["kind"]] > 0 and kinds[w["kind"]] >= max(kinds.values()) - TIE}
    if w["kind"] in ("lake", "pond"):
        labels, _ = ndimage.label(t.zone == Zone.WATER)
        biggest = float(np.bincount(labels.ravel())[1:].max(initial=0)) * t.gsd_m**2
        small = biggest <= POND_M2 * (2 if w["kind"] == "pond" else 0.5)
        out["kind"] &= small if w["kind"] == "pond" else not small
    if "share" in w:
        out["share"] = share_is_right(w["share"], share)
    if "where" in w:
        out["where"] = place_is_right(w["where"], t.density(LandCover.WATER))
    return out


# dimensions of the target schema


def target_cells(t: Truth) -> list[str]:
    """The nine-grid's cells of the targets' centres, in reading order."""
    h, w = t.cover.shape
    index = {min(int(o["centre_row"] * 3 / h), 2) * 3 + min(int(o["centre_col"] * 3 / w), 2) for o in t.targets}
    return [NINE_GRID[k] for k in sorted(index)]


def noun(t: Truth, w: Words) -> dict[str, bool]:
    classes = {o["cls"] for o in t.targets}
    return {"noun": w["noun"].removesuffix("s") in classes} if "noun" in w else {}


def number(words: str) -> int:
    """A number, in words up to twelve."""
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
    return names.index(words) if words in names else int(words)


def count(t: Truth, w: Words) -> dict[str, bool]:
    if "least" in w:
        return {"least": number(w["least"]) <= len(t.targets)} | noun(t, w)
    return {"count": number(w["count"]) == len(t.targets)} | noun(t, w)


def location(t: Truth, w: Words) -> dict[str, bool]:
    true = target_cells(t)
    named = cells_named(w["where"])
    right = w["where"] == place_words(true) or (
        len(true) > 2 and all(NINE_GRID[k] in true for k in named) and len(named) >= 2
    )
    return {"where": right} | noun(t, w)


def feature(t: Truth, w: Words) -> dict[str, bool]:
    if not t.targets:
        return {"look": False}
    longest, limit = t.lengths_m[-1], ELONGATED_M[t.targets[0]["cls"]]
    slack = max(4 * t.gsd_m, 0.1 * limit)
    return {"look": longest > limit - slack if "elongated" in w["look"] else longest < limit + slack}


def size(t: Truth, w: Words) -> dict[str, bool]:
    if not t.targets:
        return dict.fromkeys(w, False)
    true = {"length": float(np.median(t.lengths_m)), "longest": t.lengths_m[-1]}
    true["width"] = float(np.median([o["width_m"] for o in t.targets]))
    return {name: length_is_right(w[name], true[name], t.gsd_m) for name in true if name in w}


def category(t: Truth, w: Words) -> dict[str, bool]:
    if not t.targets:
        return {"category": False}
    longest = max(t.targets, key=lambda o: o["length_m"])
    if w["category"] in SHIP_LENGTH_M:
        slack = max(4 * t.gsd_m, 0.1 * longest["length_m"])
        right = longest["cls"] == "ship" and in_range(longest["length_m"], SHIP_LENGTH_M[w["category"]], slack)
    else:
        right = w["category"] == longest["subtype"]
    return {"category": right}


def arrangement(t: Truth, w: Words) -> dict[str, bool]:
    """Nearness in shares of the frame: close together or clustered within a quarter, far apart or scattered beyond."""
    points = np.array([(o["centre_col"], o["centre_row"]) for o in t.targets])
    if len(points) < 2:
        return dict.fromkeys(w, False)
    side = max(t.cover.shape)
    how = w["how"]
    if len(points) == 2:
        apart = float(np.linalg.norm(points[0] - points[1])) / side
        right = apart < 0.3 if how == "close together" else how == "far apart" and apart > 0.18
    else:
        small, large = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 0)) / side
        line = small < 0.2 * large
        right = {"in a line": line, "clustered": large < 0.19, "scattered": large > 0.13}.get(how, False)
    return {"how": bool(right)} | noun(t, w)


def region(t: Truth, w: Words) -> dict[str, bool]:
    """The kind of water, or the zone, that the first targets' surroundings are."""
    if not t.targets:
        return {"kind": False}
    h, wide = t.zone.shape
    around = np.zeros(14)
    for o in t.targets:
        row, col = int(np.clip(o["centre_row"], 0, h - 1)), int(np.clip(o["centre_col"], 0, wide - 1))
        part = t.zone[max(0, row - 10) : row + 11, max(0, col - 10) : col + 11]
        around += np.bincount(part.ravel(), minlength=14)
    zones = WATER_ZONE | {
        "water body": (Zone.SEA, Zone.RIVER, Zone.WATER),
        "harbour basin": (Zone.SEA, Zone.RIVER, Zone.PORT),
        "apron": (Zone.AIRPORT,),
    }
    zones |= {"runway": (Zone.AIRPORT,), "airfield": (Zone.AIRPORT,)}
    wanted = [int(z) for z in zones.get(w["kind"], ())]
    wet = [int(z) for z in (Zone.SEA, Zone.RIVER, Zone.WATER)]
    pool = around[wet] if set(wanted) & set(wet) else around
    return {"kind": bool(wanted) and around[wanted].sum() >= 0.5 * max(pool.sum(), 1)}


def environment(t: Truth, w: Words) -> dict[str, bool]:
    land = t.share.copy()
    land[LandCover.WATER] = 0
    if w["cover"] == "no land":
        return {"cover": land[1:].sum() < TIE}
    code = COVER[w["cover"]]
    out = {"cover": land[code] > 0 and land[code] >= land[1:].max() - TIE}
    if "where" in w:
        out["where"] = place_is_right(w["where"], t.density(code))
    return out


JUDGES: dict[tuple[str, str], Callable[[Truth, Words], dict[str, bool]]] = {
    ("target", "count"): count,
    ("target", "location"): location,
    ("target", "feature"): feature,
    ("target", "size"): size,
    ("target", "category"): category,
    ("target", "distribution"): arrangement,
    ("target", "region"): region,
    ("target", "environment"): environment,
    ("landform", "terrain"): terrain,
    ("landform", "functionality"): functionality,
    ("landform", "distribution"): distribution,
    ("landform", "layout"): layout,
    ("landform", "boundary"): boundary,
    ("landform", "buildings"): buildings,
    ("landform", "roads"): roads,
    ("landform", "water"): water,
}


def judged(schema: str, dimension: str, slots: Sequence[dict[str, Any]], truth: Truth) -> dict[str, bool]:
    """Whether each slot of a statement is right; slots that say nothing of their own are left out."""
    words = {s["name"]: s["value"].lower() for s in slots}
    return JUDGES[schema, dimension](truth, words)
