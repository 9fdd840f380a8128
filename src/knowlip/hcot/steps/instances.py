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


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Count, cells, length and class of detected ships, with the uncertainty that the resolution leaves."""
    targets, gsd_m = view.detections, view.properties.gsd_x_m
    if not targets or gsd_m is None:
        return []
    sure = float(np.mean([t.confidence for t in targets]))
    lengths = [t.length_m for t in targets]
    shape = view.properties.shape
    longest = max(lengths)
    cells = [NINE_GRID[cell_of(t, shape)] for t in targets]
    category = _by_length(longest)
    found = [
        Fact("target.class", "ship", 4, "cfar", sure),
        Fact("target.count", len(targets), 4, "cfar", sure, None, "bright targets on water"),
        Fact("target.cells", sorted(set(cells), key=NINE_GRID.index), 4, "cfar", sure),
        Fact(
            "target.length_m",
            round(float(np.median(lengths)), 1),
            4,
            "second moments",
            0.6,
            "m",
            f"median; ± {2 * gsd_m:.0f} m by the resolution",
        ),
        Fact("target.longest_m", round(longest, 1), 4, "second moments", 0.6, "m"),
        Fact("target.category", category, 4, "length", 0.6, None, f"the longest measures {longest:.0f} m"),
    ]
    found += _one_by_one(targets, shape, sure)
    if len(targets) > 1:
        found.append(Fact("target.arrangement", arrangement(targets), 4, "positions", 0.6))
    return found


def _one_by_one(targets: Sequence[TargetObject], shape: tuple[int, int], sure: float) -> list[Fact]:
    """Where each target's centre lies, and its type where it is known."""
    percent = [round(100 * at / size, 1) for t in targets for at, size in zip(t.centre, shape[::-1], strict=True)]
    types = [t.subtype or (_by_length(t.length_m) if t.cls == "ship" else "") for t in targets]
    where = "x, y, x, y, …: centres from the upper left corner"
    return [
        Fact("target.positions", percent, 4, "cfar", sure, "percent of width and height", where),
        Fact("target.types", types, 4, "length", min(sure, 0.6), None, "by each one's length"),
    ]


def _by_length(length_m: float) -> str:
    return next(word for least, word in _SHIP_SIZES if length_m >= least)


def cell_of(target: TargetObject, shape: tuple[int, int]) -> int:
    """Index into the nine-grid of a target's centre."""
    x, y = target.centre
    return min(int(y * 3 / shape[0]), 2) * 3 + min(int(x * 3 / shape[1]), 2)


def arrangement(targets: tuple[TargetObject, ...]) -> str:
    """`in a line`, `clustered` or `scattered`, from the spread of the centres."""
    points = np.array([t.centre for t in targets])
    if len(points) == 2:
        return "close together" if np.linalg.norm(points[0] - points[1]) < 60 else "far apart"
    small, large = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(points.T)), 0))
    if small < 0.15 * large:
        return "in a line"
    return "clustered" if large < 40 else "scattered"
