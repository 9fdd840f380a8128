"""Step 3, knowledge of SAR: what backscatter and texture measure on the tile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.core.statements import LANDCOVER, LANDFORM, NINE_GRID, PRESENT_SHARE, Fact
from knowlip.hcot.cover import CELL_PX, CLASSES, CODE, CoverMap
from knowlip.hcot.view import Facts, TileView

_SOURCE = "backscatter and texture"


def run(view: TileView, facts: Facts) -> list[Fact]:
    """Shares, places and pattern of each cover class, and relief."""
    m = view.cover
    shares = {name: m.share(name) for name in LANDCOVER.values()}
    order = sorted(shares, key=lambda n: -shares[n])
    sure = float(m.confidence[m.codes > 0].mean()) if (m.codes > 0).any() else 0.0
    found = [
        Fact(f"cover.{n}.share", round(s, 3), 3, _SOURCE, sure, None, f"expected share of {n}")
        for n, s in shares.items()
    ]
    found.append(
        Fact(
            "cover.order", [n for n in order if shares[n] >= PRESENT_SHARE], 3, _SOURCE, sure, None, "classes by share"
        )
    )
    for name in order:
        if shares[name] >= PRESENT_SHARE:
            found.append(
                Fact(
                    f"cover.{name}.cells",
                    cells_of(_density(m, name)),
                    3,
                    _SOURCE,
                    sure,
                    None,
                    "cells of the nine-grid that hold most of it",
                )
            )
    found.append(
        Fact(
            "cover.cell_main",
            cell_main(m),
            3,
            _SOURCE,
            sure,
            None,
            "dominant class of each cell of the nine-grid",
        )
    )
    why = "dominant class of each cell of the nine-grid, woodland and farmland taken together"
    found.append(Fact("cover.cell_landform", cell_landform(m), 3, _SOURCE, sure, None, why))
    found += _pattern(m, shares)
    if (gsd_m := view.properties.gsd_x_m) is not None:
        # what a water body is called depends on its size
        found += _water(m, shares, facts, gsd_m * CELL_PX)
    found.append(
        Fact(
            "relief.index",
            round(relief_index(m), 3),
            3,
            "brightness stripes at slope scale",
            0.6,
            None,
            "spread of smooth ground at 100 to 400 m",
        )
    )
    return found


def _nine(values: NDArray[np.bool_] | NDArray[np.float32]) -> NDArray[np.float64]:
    """Means `(…, 9)` of masks or of probabilities `(…, h, w)` in the nine-grid's cells."""
    rows, cols = ((np.arange(n) * 3 // n == np.arange(3)[:, None]).astype(np.float64) for n in values.shape[-2:])
    total = rows @ values @ cols.T / np.outer(rows.sum(axis=1), cols.sum(axis=1))
    return np.asarray(total.reshape(*values.shape[:-2], 9))


def _density(m: CoverMap, name: str) -> NDArray[np.bool_] | NDArray[np.float32]:
    """Where a class is, `(h, w)`: roads by their lines, all else by probability."""
    return m.codes == CODE["road"] if name == "road" else m.probability[CLASSES.index(name)]


def cells_of(mask: NDArray[np.bool_] | NDArray[np.float32]) -> list[str]:
    """Names of the nine-grid's cells where a mask is denser than its mean and fills at least a sixth, fullest first."""
    filled = _nine(mask)
    least = max(filled.mean(), 1 / 6)
    chosen = [int(i) for i in np.argsort(-filled, kind="stable") if filled[i] >= least]
    return [NINE_GRID[i] for i in chosen] or [NINE_GRID[int(filled.argmax())]]


def cell_main(m: CoverMap) -> list[str]:
    """The class of the largest expected share in each cell of the nine-grid, `unknown` without data."""
    return _largest(dict(zip(CLASSES, _nine(m.probability), strict=True)))


def cell_landform(m: CoverMap) -> list[str]:
    """As `cell_main`, in the classes of `LANDFORM`."""
    total: dict[str, NDArray[np.float64]] = {}
    for name, filled in zip(CLASSES, _nine(m.probability), strict=True):
        total[LANDFORM[name]] = total.get(LANDFORM[name], 0.0) + filled
    return _largest(total)


def _largest(shares: dict[str, NDArray[np.float64]]) -> list[str]:
    """The name of the largest share in each cell, from `(9,)` shares by name."""
    names, filled = list(shares), np.stack(list(shares.values()))
    return [
        names[int(k)] if top > 0 else "unknown"
        for k, top in zip(filled.argmax(axis=0), filled.max(axis=0), strict=True)
    ]


def _pattern(m: CoverMap, shares: dict[str, float]) -> list[Fact]:
    """How regular the ground is: coherence of edge directions, and how straight the class boundaries are."""
    gy, gx = ndimage.sobel(m.mean_db, 0), ndimage.sobel(m.mean_db, 1)
    strength = np.hypot(gx, gy)
    strong = strength > np.percentile(strength, 80)
    # fourth harmonic: a street grid has two perpendicular directions, which are one angle modulo 90 degrees
    twice = ((gx[strong] + 1j * gy[strong]) / strength[strong]) ** 2
    grid, line = abs((twice * twice).mean()), abs(twice.mean())
    edges = sum(np.count_nonzero(np.diff(m.codes, axis=a)) for a in (0, 1)) / m.codes.size
    found = [
        Fact(
            "pattern.grid",
            round(float(grid), 3),
            3,
            _SOURCE,
            0.6,
            None,
            "coherence of edge directions modulo 90 degrees",
        ),
        Fact(
            "pattern.line",
            round(float(line), 3),
            3,
            _SOURCE,
            0.6,
            None,
            "coherence of edge directions modulo 180 degrees",
        ),
        Fact("pattern.edge_density", round(edges, 3), 3, _SOURCE, 0.8, None, "class boundaries per cell"),
    ]
    jump = _boundary_jump(m)
    if jump is not None:
        found.append(
            Fact(
                "boundary.step_db",
                round(jump, 2),
                3,
                _SOURCE,
                0.7,
                "dB",
                "median step in level across class boundaries",
            )
        )
    if shares["road"] >= 0.01:
        _, count = ndimage.label(m.codes == CODE["road"], np.ones((3, 3)))
        found.append(Fact("road.lines", int(count), 3, "line filter", 0.5, None, "separate dark lines"))
    return found


def _boundary_jump(m: CoverMap) -> float | None:
    reach = 3
    a, b = m.codes[:, :-reach], m.codes[:, reach:]
    across = (a != b) & (a > 0) & (b > 0)
    if across.sum() < 20:
        return None
    return float(np.median(np.abs(m.mean_db[:, reach:] - m.mean_db[:, :-reach])[across]))


def _water(m: CoverMap, shares: dict[str, float], facts: Facts, cell_m: float) -> list[Fact]:
    labels, count = ndimage.label(m.codes == CODE["water"])
    if shares["water"] < 0.005 or count == 0:
        return []
    sizes = np.bincount(labels.ravel())[1:]
    biggest = int(sizes.argmax()) + 1
    y, x = np.nonzero(labels == biggest)
    spread = (
        np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(np.stack([x, y])) + np.eye(2) / 12), 0))
        if len(x) > 2
        else np.ones(2)
    )
    # a river is much longer than its area over its length is wide
    length = spread[1] * np.sqrt(12)
    slender = length**2 / max(len(x), 1)
    touches = len(
        {
            s
            for s, hit in (
                ("t", (y == 0).any()),
                ("b", (y == m.codes.shape[0] - 1).any()),
                ("l", (x == 0).any()),
                ("r", (x == m.codes.shape[1] - 1).any()),
            )
            if hit
        }
    )
    sea_share = facts.number("coast.sea_share", -1)
    if sea_share >= 0.02 or (sea_share < 0 and shares["water"] > 0.25 and touches >= 2):
        kind, sure = "sea", 0.9 if sea_share >= 0 else 0.5
    elif slender > 4 and touches >= 1:
        kind, sure = "river", 0.6
    else:
        kind, sure = ("lake", 0.6) if len(x) * cell_m**2 > 50_000 else ("pond", 0.6)
    return [
        Fact(
            "water.kind",
            kind,
            3,
            "shape of the largest water body and the coastline",
            sure,
            None,
            f"elongation {slender:.1f}, touches {touches} edges",
        ),
        Fact(
            "water.bodies",
            int(np.count_nonzero(sizes * cell_m**2 > 5000)),
            3,
            _SOURCE,
            0.6,
            None,
            "water bodies over half a hectare",
        ),
    ]


def relief_index(m: CoverMap) -> float:
    """Spread in dB of dry ground between 5 and 21 cells: slopes that face the sensor and slopes turned away."""
    ground = np.isin(m.codes, [CODE["woodland"], CODE["farmland"], CODE["bare"]])
    if ground.mean() < 0.1:
        return 0.0
    weight = ground.astype(np.float32)

    def smooth(size: int) -> NDArray[np.float32]:
        result: NDArray[np.float32] = ndimage.uniform_filter(m.mean_db * weight, size) / np.maximum(
            ndimage.uniform_filter(weight, size), 0.05
        )
        return result

    return float((smooth(5) - smooth(21))[ground].std())
