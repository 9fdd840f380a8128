"""Step 3, knowledge of SAR: what backscatter and texture measure on the tile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from knowlip.core.radiometry import power_of_db
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
    filled = dict(zip(CLASSES, _nine(m.probability), strict=True))
    for name in order:
        if shares[name] >= PRESENT_SHARE:
            # roads are where their lines are, all else by probability
            cells = cells_of(m.codes == CODE["road"]) if name == "road" else _fullest(filled[name])
            found.append(
                Fact(
                    f"cover.{name}.cells",
                    cells,
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
            _largest(filled),
            3,
            _SOURCE,
            sure,
            None,
            "dominant class of each cell of the nine-grid",
        )
    )
    why = "dominant class of each cell of the nine-grid, woodland and farmland taken together"
    found.append(Fact("cover.cell_landform", _largest(_as_landforms(filled)), 3, _SOURCE, sure, None, why))
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


def cells_of(mask: NDArray[np.bool_] | NDArray[np.float32]) -> list[str]:
    """Names of the nine-grid's cells where a mask is denser than its mean and fills at least a sixth, fullest first."""
    return _fullest(_nine(mask))


def _fullest(filled: NDArray[np.float64]) -> list[str]:
    """As `cells_of`, from the `(9,)` shares of the nine-grid's cells."""
    least = max(filled.mean(), 1 / 6)
    chosen = [int(i) for i in np.argsort(-filled, kind="stable") if filled[i] >= least]
    return [NINE_GRID[i] for i in chosen] or [NINE_GRID[int(filled.argmax())]]


def _as_landforms(filled: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """`(9,)` shares of the classes of `LANDFORM`, from those of `CLASSES`."""
    total: dict[str, NDArray[np.float64]] = {}
    for name, shares in filled.items():
        total[LANDFORM[name]] = total.get(LANDFORM[name], 0.0) + shares
    return total


def _largest(shares: dict[str, NDArray[np.float64]]) -> list[str]:
    """The name of the largest share in each cell, from `(9,)` shares by name; `unknown` without data."""
    names, filled = list(shares), np.stack(list(shares.values()))
    return [
        names[int(k)] if top > 0 else "unknown"
        for k, top in zip(filled.argmax(axis=0), filled.max(axis=0), strict=True)
    ]


def _pattern(m: CoverMap, shares: dict[str, float]) -> list[Fact]:
    """How regular the ground is: coherence of edge directions, and how straight the class boundaries are."""
    gy, gx = ndimage.sobel(m.mean_db, 0), ndimage.sobel(m.mean_db, 1)
    strength = np.hypot(gx, gy)
    strong = np.nonzero(strength > np.percentile(strength, 80))
    # fourth harmonic: a street grid has two perpendicular directions, which are one angle modulo 90 degrees
    twice = ((gx[strong] + 1j * gy[strong]) / strength[strong]) ** 2
    grid, line = abs((twice * twice).mean()), abs(twice.mean())
    borders = _borders(m.codes)
    edges = int(borders.sum() - borders.trace()) / m.codes.size
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
    jump = _boundary_step_db(m, borders)
    if jump is not None:
        found.append(
            Fact(
                "boundary.step_db",
                round(jump, 2),
                3,
                _SOURCE,
                0.7,
                "dB",
                "median step between the mean levels of two classes that meet",
            )
        )
    if shares["road"] >= 0.01:
        _, count = ndimage.label(m.codes == CODE["road"], np.ones((3, 3)))
        found.append(Fact("road.lines", int(count), 3, "line filter", 0.5, None, "separate dark lines"))
    return found


def _borders(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """`(7, 7)` how often a cell of one code, above or left, meets one of another; 0 is without data."""
    kinds = np.uint8(max(LANDCOVER) + 1)
    pairs = [(codes[:-1] * kinds + codes[1:]).ravel(), (codes[:, :-1] * kinds + codes[:, 1:]).ravel()]
    counted = np.bincount(np.concatenate(pairs), minlength=int(kinds) ** 2)
    return np.asarray(counted.reshape(kinds, kinds), np.int64)


def _boundary_step_db(m: CoverMap, borders: NDArray[np.int64]) -> float | None:
    """Median over borders of the step between the mean levels of the two classes in the tile; None with few borders."""
    power = power_of_db(m.mean_db)
    probability = m.probability.reshape(len(CLASSES), -1)
    mean = probability @ power.ravel() / np.maximum(probability.sum(axis=1), 1e-6)
    level_db = np.full(max(LANDCOVER) + 1, np.nan)
    level_db[[CODE[c] for c in CLASSES]] = 10 * np.log10(np.maximum(mean, 1e-9))
    between = borders * ~np.eye(len(borders), dtype=bool)
    between[0] = between[:, 0] = 0
    step = np.repeat(np.abs(level_db[:, None] - level_db).ravel(), between.ravel())
    return float(np.median(step)) if step.size >= _LEAST_BORDERS else None


_LEAST_BORDERS = 20


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
    size_m2 = len(x) * cell_m**2
    kind, source, sure = water_kind(facts, slender, touches, size_m2, shares["water"])
    if not kind:
        return []
    return [
        Fact(
            "water.kind",
            kind,
            3,
            source,
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


POND_M2 = 50_000.0
"""Still water up to this size is a pond; the Ramsar Convention and Biggs et al. 2005 put the limit at 8 and 2 ha."""


def water_kind(facts: Facts, slender: float, touches: int, size_m2: float, share: float) -> tuple[str, str, float]:
    """Kind of the largest water body, where it comes from and how sure it is; no kind where it may be none.

    The coastline and maps know it. Without them little water may as well be shadow or pavement, and the kind of more is
    told by its shape only where all of it is in the frame, or where it is so long that it can only be a river. Anything
    else cut by the frame may be part of a sea, a lake or a wide river.
    """
    sea = facts.get("coast.sea_share")
    if sea is not None and facts.number(sea.name) >= 0.02:
        return "sea", sea.source, 0.9
    if (mapped := facts.get("map.water.kind")) is not None:
        return facts.value(mapped.name, ""), mapped.source, 0.85
    if share < PRESENT_SHARE and not any(n in facts for n in ("map.cover.water.share", "map.water.share")):
        return "", _SHAPE, 0.0
    if touches and slender > _RIVER_SLENDER:
        return "river", _SHAPE, 0.6
    if touches:
        return WATER_BODY, _SHAPE, 0.8
    return ("lake" if size_m2 > POND_M2 else "pond"), _SHAPE, 0.6


WATER_BODY = "water body"
"""What water is called of whose kind nothing is known."""
_SHAPE = "shape of the largest water body"
_RIVER_SLENDER = 4.0


def relief_index(m: CoverMap) -> float:
    """Spread in dB of dry ground between 5 and 21 cells: slopes that face the sensor and slopes turned away."""
    ground = np.isin(m.codes, [CODE["woodland"], CODE["farmland"], CODE["bare"]])
    if ground.mean() < 0.1:
        return 0.0
    weight = ground.astype(np.float32)
    both = np.stack([m.mean_db * weight, weight])

    def smooth(size: int) -> NDArray[np.float32]:
        level, share = ndimage.uniform_filter(both, size, axes=(1, 2))
        return np.asarray(level / np.maximum(share, 0.05))

    return float((smooth(5) - smooth(21))[ground].std())
