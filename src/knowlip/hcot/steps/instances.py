"""Step 4, instance identification: targets one by one, their size in metres and what they may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from knowlip.core.statements import NINE_GRID, Fact
from knowlip.hcot.targets import Targets
from knowlip.hcot.view import Facts, TileView

_SHIP_SIZES = (
    (250, "large merchant ship"),
    (120, "cargo ship or tanker"),
    (50, "coaster, ferry or large fishing vessel"),
    (0, "small craft"),
)
"""Lower ends of overall length in metres; IMO size classes grouped to what length alone can tell."""

_AIRCRAFT_SIZES = (
    (50, "wide-body airliner"),
    (27, "narrow-body or regional airliner"),
    (0, "business jet, fighter or other small aircraft"),
)
"""Lower ends of length over all in metres: wide bodies begin with the A310 (47 m) and the 767-200 (49 m), the longest
usual narrow-body is the 757-300 (54 m), regional jets begin near 27 m (makers' airport planning documents)."""
_SIZES = {"ship": _SHIP_SIZES, "aircraft": _AIRCRAFT_SIZES}
_GROUND = {"ship": "bright targets on water", "aircraft": "groups of bright points on an apron"}


_IN_DOUBT = 0.5
"""Share of the confidence in single targets that is left where their number is in doubt."""
_LEAST, _WITH_HIDDEN = 0.9, 0.2
"""Confidence in the least number where more are hidden, and in the estimate of all (scenes of `--seed 3` and 5)."""


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Where targets lie, what they measure and may be; their number, and why it is in doubt."""
    found, gsd_m = view.detections, view.gsd_m
    doubt = [Fact("target.doubt", found.doubt, 4, "cfar", 0.9)] if found.doubt else []
    least = len(found.centres)
    if not least or gsd_m is None:
        return doubt
    cls = found.objects[0].cls if found.objects else "ship"
    single = float(np.mean([t.confidence for t in found.objects])) if found.objects else _LEAST
    sure = single * (_IN_DOUBT if doubt else 1)
    why = _GROUND[cls]
    told = [
        Fact("target.class", cls, 4, "cfar", single),
        Fact("target.count", least + found.hidden, 4, "cfar", _WITH_HIDDEN if found.hidden else sure, None, why),
    ]
    if found.hidden:
        told.append(Fact("target.least", least, 4, "cfar", _LEAST, None, f"{why}, and hulls by the shore"))
    if len(found.objects) >= len(found.others):
        # what few of them are like says little of all
        told += [*_one_by_one(found, view.properties.shape, sure), *_together(found, gsd_m, sure)]
    return [*doubt, *told]


def _one_by_one(found: Targets, shape: tuple[int, int], sure: float) -> list[Fact]:
    """Where each target's centre lies, and its type where it is known."""
    percent = [round(100 * at / size, 1) for c in found.centres for at, size in zip(c, shape[::-1], strict=True)]
    types = [t.subtype or _by_length(t.cls, t.length_m) for t in found.objects] + [""] * len(found.others)
    where = "x, y, x, y, …: centres from the upper left corner"
    cells = sorted({NINE_GRID[cell_of(c, shape)] for c in found.centres}, key=NINE_GRID.index)
    return [
        Fact("target.cells", cells, 4, "cfar", sure),
        Fact("target.positions", percent, 4, "cfar", sure, "percent of width and height", where),
        Fact("target.types", types, 4, "length", min(sure, 0.6), None, "by each one's length"),
    ]


def _together(found: Targets, gsd_m: float, sure: float) -> list[Fact]:
    """Sizes, category and arrangement of all of them."""
    targets = found.objects
    cls, longest_m = targets[0].cls, max(t.length_m for t in targets)
    parked = cls == "aircraft"
    within = "of what returns, scaled" if parked else f"± {2 * gsd_m:.0f} m by the resolution"
    length = float(np.median([t.length_m for t in targets]))
    told = [
        _metres("target.length_m", length, sure, f"median; {within}"),
        _metres("target.longest_m", longest_m, sure),
        Fact("target.category", _by_length(cls, longest_m), 4, "length", min(sure, 0.6), None, f"of {longest_m:.0f} m"),
    ]
    if parked:
        told.append(Fact("target.region", "apron", 4, "cover", sure, None, "dark smooth ground all around"))
    else:
        width = float(np.median([t.width_m for t in targets]))
        told.insert(1, _metres("target.width_m", width, sure, f"median; {within}"))
    if len(targets) > max(1, len(found.others)):
        told.append(Fact("target.arrangement", arrangement(found.centres), 4, "positions", min(sure, 0.6)))
    return told


def _metres(name: str, value: float, sure: float, why: str = "") -> Fact:
    return Fact(name, round(value, 1), 4, "oriented box", min(sure, 0.8), "m", why)


def _by_length(cls: str, length_m: float) -> str:
    return next(word for least, word in _SIZES[cls] if length_m >= least)


def cell_of(centre: tuple[float, float], shape: tuple[int, int]) -> int:
    """Index into the nine-grid of a target's centre `(x, y)`, pixels."""
    x, y = centre
    return min(int(y * 3 / shape[0]), 2) * 3 + min(int(x * 3 / shape[1]), 2)


def arrangement(centres: Sequence[tuple[float, float]]) -> str:
    """`in a line`, `clustered` or `scattered`, from the spread of the centres `(x, y)`, pixels."""
    points = np.array(centres)
    if len(points) == 2:
        return "close together" if np.linalg.norm(points[0] - points[1]) < 60 else "far apart"
    small, large = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 0))
    if small < 0.15 * large:
        return "in a line"
    return "clustered" if large < 40 else "scattered"
