"""What blocks are built up with: houses, rows, slabs, closed perimeters, towers, halls, tanks, stacks of containers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import Kind, Structures
from knowlip.simulation.world.styles import Style

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Sites:
    """Ground to build on, a column each.

    Attributes:
        corners_xy_m: (N, 4, 2), float32: along the first street, then back.
        inset_m: Half the width of the streets along (first) and across (second) the rows, (N, 2), float32.
        style: `Style` codes, uint8.
        density: Building density in [0, 1], float32.
        pick: A random number of its own in [0, 1), float32.
    """

    corners_xy_m: Floats
    inset_m: Floats
    style: NDArray[np.uint8]
    density: Floats
    pick: Floats


@dataclass(frozen=True)
class _Rule:
    """Buildings in rows on equal lots; pairs are ranges that a site draws from.

    Attributes:
        kind: What is built.
        pitch_m: Lot along the row.
        rows_m: Distance from row to row.
        length_share: Building's length over the lot's.
        width_m: Building's width, at most the row's less the gap.
        gap_m: Least distance from row to row.
        height_m: Height range.
        kept: Share of lots built on.
        turns: Share of sites whose buildings stand across the rows.
    """

    kind: Kind
    pitch_m: tuple[float, float]
    rows_m: tuple[float, float]
    length_share: tuple[float, float]
    width_m: tuple[float, float]
    gap_m: float
    height_m: tuple[float, float]
    kept: float
    turns: float = 0.0


_RULES: dict[Style, _Rule] = {
    Style.HOUSES: _Rule(Kind.BUILDING, (15, 26), (27, 40), (0.45, 0.7), (7.5, 11), 12, (4.5, 9), 0.93),
    Style.ROWS: _Rule(Kind.BUILDING, (36, 64), (26, 36), (0.82, 0.94), (8, 11), 14, (7, 11), 0.95),
    Style.SLABS: _Rule(Kind.BUILDING, (58, 96), (30, 46), (0.68, 0.86), (11, 15), 17, (12, 36), 0.92, 0.3),
    Style.TOWERS: _Rule(Kind.BUILDING, (34, 58), (36, 52), (0.55, 0.82), (18, 34), 12, (16, 44), 0.92),
    Style.HALLS: _Rule(Kind.BUILDING, (60, 150), (46, 90), (0.7, 0.9), (30, 72), 16, (6, 15), 0.9),
    Style.WAREHOUSES: _Rule(Kind.BUILDING, (90, 170), (46, 62), (0.82, 0.92), (30, 44), 14, (8, 14), 0.93),
    # 40 ft boxes of 12.2 x 2.4 x 2.6 m (ISO 668): stacks six or seven wide under one gantry, two to five high
    Style.CONTAINERS: _Rule(Kind.CONTAINERS, (66, 96), (23, 27), (0.88, 0.93), (15, 17.5), 6, (5.2, 13), 0.9),
    # API 650 tanks: 15-90 m across and 10-20 m high, a bund's width apart
    Style.TANKS: _Rule(Kind.TANK, (0, 0), (0, 0), (1, 1), (15, 90), 0, (10, 20), 0.92),
}
_WING_M = (11.0, 14.5)


def _at(sites: Sites, site: Ints, u: Floats, v: Floats, side: int = 0) -> tuple[Floats, Floats, Floats]:
    """Place of points given by their share along (u) and across (v) their site, and the direction of the near side.

    The direction is that of the site along (side 0), or a right angle from that across (side 1), as the street there.
    """
    p = sites.corners_xy_m[site]
    low, high = p[:, 1] - p[:, 0], p[:, 2] - p[:, 3]
    across = p[:, 3] - p[:, 0]
    ahead = low + v[:, None] * (high - low)
    xy = p[:, 0] + v[:, None] * across + u[:, None] * ahead
    if side == 1:
        aside = across + u[:, None] * ((p[:, 2] - p[:, 1]) - across)
        # a quarter turn from y down to x right gives the direction along
        ahead = np.stack([aside[:, 1], -aside[:, 0]], axis=1)
    return xy[:, 0], xy[:, 1], np.rad2deg(np.arctan2(ahead[:, 0], -ahead[:, 1])).astype(np.float32)


def _stretch(sites: Sites, site: Ints, share: Floats, mean_m: Floats, side: int) -> Floats:
    """Length of a site's cut along (0) or across (1) at a share of the way over, relative to its mean."""
    p = sites.corners_xy_m
    a, b = (p[:, 1] - p[:, 0], p[:, 2] - p[:, 3]) if side == 0 else (p[:, 3] - p[:, 0], p[:, 2] - p[:, 1])
    first, second = np.hypot(*a.T) / mean_m, np.hypot(*b.T) / mean_m
    return np.asarray(first[site] + share * (second - first)[site], np.float32)


def _table(
    kind: Kind, x: Floats, y: Floats, length: Floats, width: Floats, height: Floats, axis_deg: Floats
) -> Structures:
    """A table whose length is the longer side, the axis turned with it."""
    swap = width > length
    return Structures(
        np.full(x.shape, kind, np.uint8),
        x.astype(np.float32),
        y.astype(np.float32),
        np.where(swap, width, length).astype(np.float32),
        np.where(swap, length, width).astype(np.float32),
        height.astype(np.float32),
        ((axis_deg + np.where(swap, np.float32(90), np.float32(0))) % 180).astype(np.float32) % np.float32(180),
    )


def _sizes(sites: Sites) -> tuple[Floats, Floats]:
    """Length and depth in metres of the sites."""
    p = sites.corners_xy_m
    along = 0.5 * (np.hypot(*(p[:, 1] - p[:, 0]).T) + np.hypot(*(p[:, 2] - p[:, 3]).T))
    across = 0.5 * (np.hypot(*(p[:, 3] - p[:, 0]).T) + np.hypot(*(p[:, 2] - p[:, 1]).T))
    return along.astype(np.float32), across.astype(np.float32)


def _expand(count: Ints) -> tuple[Ints, Ints]:
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(owner.size) - np.repeat(np.cumsum(count) - count, count)


def _rows(sites: Sites, style: Style, rng: np.random.Generator) -> tuple[Structures, Ints]:
    """Build up sites that are all of one style by its rule."""
    rule, n = _RULES[style], len(sites.style)
    along, across = _sizes(sites)
    free_u = along - 2 * sites.inset_m[:, 1] - 4
    free_v = across - 2 * sites.inset_m[:, 0] - 4

    def drawn(ends: tuple[float, float], m: int = n) -> Floats:
        return np.float32(ends[0]) + np.float32(ends[1] - ends[0]) * rng.random(m, dtype=np.float32)

    if style == Style.TANKS:
        # one size of tank to a site, small ones more often, as large as two rows allow
        ends = rule.width_m
        size = np.float32(ends[0]) + np.float32(ends[1] - ends[0]) * rng.random(n, dtype=np.float32) ** 1.4
        size = np.minimum(size, 0.58 * np.minimum(free_u, free_v))
        pitch_u = pitch_v = size * drawn((1.35, 1.7))
        length_share = size / np.maximum(pitch_u, 1)
        width = size
    else:
        pitch_u, pitch_v = drawn(rule.pitch_m), drawn(rule.rows_m)
        length_share, width = drawn(rule.length_share), drawn(rule.width_m)
    columns = np.maximum(np.floor(free_u / np.maximum(pitch_u, 1) + 0.3), 1).astype(np.intp)
    rows = np.maximum(np.floor(free_v / np.maximum(pitch_v, 1) + 0.35), 1).astype(np.intp)
    fits = (free_u > rule.width_m[0] + 2) & (free_v > rule.width_m[0] + 2)
    if style == Style.TANKS:
        columns = np.maximum(np.floor(free_u / np.maximum(pitch_u, 1)), 1).astype(np.intp)
        rows = np.maximum(np.floor(free_v / np.maximum(pitch_v, 1)), 1).astype(np.intp)
        fits &= size >= rule.width_m[0]
    site, k = _expand(np.where(fits, columns * rows, 0))
    m = site.size
    row, column = k // columns[site], k % columns[site]
    lot_u, lot_v = (free_u / columns)[site], (free_v / rows)[site]
    jitter = rng.random((3, m), dtype=np.float32)
    keep = jitter[0] < rule.kept
    if style == Style.TANKS:
        length = wide = size[site]
    else:
        length = (pitch_u * length_share)[site] * (np.float32(0.92) + np.float32(0.16) * jitter[1])
        length = np.minimum(length, lot_u - 2)
        wide = np.minimum(width[site] * (np.float32(0.94) + np.float32(0.12) * jitter[2]), lot_v - rule.gap_m)
        keep &= (length > 5) & (wide > 5)
    base = drawn(rule.height_m)
    if style == Style.TOWERS:
        base *= np.float32(0.6) + np.maximum(sites.density, np.float32(0))
    elif style == Style.SLABS:
        base *= np.float32(0.7) + np.float32(0.6) * np.maximum(sites.density, np.float32(0))
    step = 2.6 if style == Style.CONTAINERS else 0.1
    height = base[site] * (np.float32(0.85) + np.float32(0.3) * jitter[1])
    if style == Style.TOWERS:
        # most are the height of their street, a few rise several times above it
        height *= 1 + np.float32(3) * (jitter[2] ** 8)
    height = np.maximum(np.round(height / np.float32(step)) * np.float32(step), np.float32(2.6))
    u_m = sites.inset_m[site, 1] + 2 + (column + np.float32(0.5)) * lot_u
    v_m = sites.inset_m[site, 0] + 2 + (row + np.float32(0.5)) * lot_v
    if style == Style.HOUSES:
        # houses stand a little nearer to one street or the other, not on a ruler's line
        v_m = v_m + (jitter[0] - np.float32(0.5)) * np.float32(4)
    u, v = u_m / along[site], v_m / across[site]
    if style != Style.TANKS:
        length = length * np.minimum(_stretch(sites, site, v, along, 0), np.float32(1.05))
    x, y, axis = _at(sites, site, u, v)
    turned = (rng.random(n) < rule.turns)[site] & (length < lot_v - 8) & (wide < lot_u - 8)
    axis = np.where(turned, axis + np.float32(90), axis)
    if style == Style.TANKS:
        axis = np.zeros_like(axis)
    table = _table(rule.kind, x[keep], y[keep], length[keep], wide[keep], height[keep], axis[keep])
    return table, site[keep]


def _perimeters(sites: Sites, rng: np.random.Generator) -> tuple[Structures, Ints]:
    """Closed rows of houses along the four streets of each site, round a court."""
    n = len(sites.style)
    along, across = _sizes(sites)
    pave = np.float32(2.5)
    wing = np.float32(_WING_M[0]) + np.float32(_WING_M[1] - _WING_M[0]) * rng.random(n, dtype=np.float32)
    free_u = along - 2 * (sites.inset_m[:, 1] + pave)
    free_v = across - 2 * (sites.inset_m[:, 0] + pave)
    house = np.float32(17) + np.float32(14) * rng.random(n, dtype=np.float32)
    base = (np.float32(11) + np.float32(15) * np.maximum(sites.density, 0)) * (
        np.float32(0.8) + np.float32(0.4) * rng.random(n, dtype=np.float32)
    )
    # where the streets do not meet at right angles, corner houses stand a wedge apart
    p = sites.corners_xy_m
    a, b = p[:, 1] - p[:, 0], p[:, 3] - p[:, 0]
    lean = np.abs((a * b).sum(axis=1)) / np.maximum(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]), 1e-3)
    wedge = (np.minimum(lean, 1) * wing + 0.5).astype(np.float32)
    fits = (free_u > 2 * wing + 8) & (free_v > 2 * (wing + wedge) + 8) & (lean < 0.8)
    tables, owners = [], []
    for side in range(4):
        long_side = side < 2
        run = free_u if long_side else free_v - 2 * (wing + wedge)
        count = np.where(fits, np.maximum(np.round(run / house), 1), 0).astype(np.intp)
        site, k = _expand(count)
        piece = (run / np.maximum(count, 1))[site]
        at = (k + np.float32(0.5)) * piece
        inner = 0.5 * wing[site]
        draws = rng.random((2, site.size), dtype=np.float32)
        keep = draws[0] < 0.96
        height = base[site] * (np.float32(0.88) + np.float32(0.24) * draws[1])
        inset_u, inset_v = sites.inset_m[site, 1] + pave, sites.inset_m[site, 0] + pave
        if long_side:
            u_m = inset_u + at
            v_m = inset_v + inner if side == 0 else across[site] - inset_v - inner
            length, width = piece, wing[site]
        else:
            u_m = inset_u + inner if side == 2 else along[site] - inset_u - inner
            v_m = inset_v + wing[site] + wedge[site] + at
            length, width = wing[site], piece
        u, v = u_m / along[site], v_m / across[site]
        # on a site that is no rectangle, houses are as wide as their share of their own side
        if long_side:
            length = length * _stretch(sites, site, v, along, 0)
        else:
            width = width * _stretch(sites, site, u, across, 1)
        x, y, axis = _at(sites, site, u, v, 0 if long_side else 1)
        tables.append(_table(Kind.BUILDING, x[keep], y[keep], length[keep], width[keep], height[keep], axis[keep]))
        owners.append(site[keep])
    # blocks too small for a court are one house
    small = ~fits & (np.minimum(free_u, free_v) > 10) & (lean < 0.8)
    site = np.nonzero(small)[0]
    half = np.full(site.size, 0.5, np.float32)
    x, y, axis = _at(sites, site, half, half)
    tables.append(_table(Kind.BUILDING, x, y, free_u[site], free_v[site], base[site], axis))
    owners.append(site)
    return Structures.join(tables), np.concatenate(owners)


def build_up(sites: Sites, rng: np.random.Generator) -> tuple[Structures, Ints]:
    """Structures on the sites, each by the site's style, and the number of the site each stands on.

    Args:
        sites: The ground.
        rng: Source of all choices.
    """
    tables, owners = [], [np.zeros(0, np.intp)]
    for style in (*_RULES, Style.PERIMETER):
        which = np.nonzero(sites.style == style)[0]
        if which.size:
            chosen = Sites(*(getattr(sites, f)[which] for f in Sites.__dataclass_fields__))
            table, site = _perimeters(chosen, rng) if style == Style.PERIMETER else _rows(chosen, style, rng)
            tables.append(table)
            owners.append(which[site])
    return Structures.join(tables), np.concatenate(owners)
