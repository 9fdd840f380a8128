"""Step 4, instance identification: targets one by one, their size in metres and what they may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from knowlip.core.statements import NINE_GRID, Fact, TargetObject
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


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Where targets lie, what they measure and may be; their number, or why it is in doubt."""
    found, gsd_m = view.detections, view.gsd_m
    doubt = [Fact("target.doubt", found.doubt, 4, "cfar", 0.9)] if found.doubt else []
    if not found.objects or gsd_m is None:
        return doubt
    targets = found.objects
    sure = float(np.mean([t.confidence for t in targets])) * (_IN_DOUBT if doubt else 1)
    count = [Fact("target.count", len(targets), 4, "cfar", sure, None, _GROUND[targets[0].cls])]
    told = _one_by_one(targets, view.properties.shape, sure)
    return [*(doubt or count), *told, *_together(targets, gsd_m, sure)]


def _one_by_one(targets: Sequence[TargetObject], shape: tuple[int, int], sure: float) -> list[Fact]:
    """Where each target's centre lies, and its type where it is known."""
    percent = [round(100 * at / size, 1) for t in targets for at, size in zip(t.centre, shape[::-1], strict=True)]
    types = [t.subtype or _by_length(t.cls, t.length_m) for t in targets]
    where = "x, y, x, y, …: centres from the upper left corner"
    cells = sorted({NINE_GRID[cell_of(t, shape)] for t in targets}, key=NINE_GRID.index)
    return [
        Fact("target.class", targets[0].cls, 4, "cfar", sure),
        Fact("target.cells", cells, 4, "cfar", sure),
        Fact("target.positions", percent, 4, "cfar", sure, "percent of width and height", where),
        Fact("target.types", types, 4, "length", min(sure, 0.6), None, "by each one's length"),
    ]


def _together(targets: Sequence[TargetObject], gsd_m: float, sure: float) -> list[Fact]:
    """Sizes, category and arrangement of all of them."""
    cls, longest_m = targets[0].cls, max(t.length_m for t in targets)
    parked = cls == "aircraft"
    within = "of what returns, scaled" if parked else f"± {2 * gsd_m:.0f} m by the resolution"
    length = float(np.median([t.length_m for t in targets]))
    found = [
        _metres("target.length_m", length, sure, f"median; {within}"),
        _metres("target.longest_m", longest_m, sure),
        Fact("target.category", _by_length(cls, longest_m), 4, "length", min(sure, 0.6), None, f"of {longest_m:.0f} m"),
    ]
    if parked:
        found.append(Fact("target.region", "apron", 4, "cover", sure, None, "dark smooth ground all around"))
    else:
        width = float(np.median([t.width_m for t in targets]))
        found.insert(1, _metres("target.width_m", width, sure, f"median; {within}"))
    if len(targets) > 1:
        found.append(Fact("target.arrangement", arrangement(targets), 4, "positions", min(sure, 0.6)))
    return found


def _metres(name: str, value: float, sure: float, why: str = "") -> Fact:
    return Fact(name, round(value, 1), 4, "oriented box", min(sure, 0.8), "m", why)


def _by_length(cls: str, length_m: float) -> str:
    return next(word for least, word in _SIZES[cls] if length_m >= least)


def cell_of(target: TargetObject, shape: tuple[int, int]) -> int:
    """Index into the nine-grid of a target's centre."""
    x, y = target.centre
    return min(int(y * 3 / shape[0]), 2) * 3 + min(int(x * 3 / shape[1]), 2)


def arrangement(targets: Sequence[TargetObject]) -> str:
    """`in a line`, `clustered` or `scattered`, from the spread of the centres."""
    points = np.array([t.centre for t in targets])
    if len(points) == 2:
        return "close together" if np.linalg.norm(points[0] - points[1]) < 60 else "far apart"
    small, large = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 0))
    if small < 0.15 * large:
        return "in a line"
    return "clustered" if large < 40 else "scattered"
