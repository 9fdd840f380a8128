"""Roads between neighbourhoods and towns, motorways, railways, the bridges they need, and power lines."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import Kind, Structures
from knowlip.simulation.world.cells import URBAN_ZONES, Cells
from knowlip.simulation.world.grid import Grid
from knowlip.simulation.world.raster import strips
from knowlip.simulation.world.towns import Town
from knowlip.simulation.world.waters import River

Floats = NDArray[np.float64]
_PIECE_M = 15.0
_LONGEST_BRIDGE_M = 1100.0
_LONGEST_OVER_SEA_M = 120.0
_RAIL_PIECE_M = 75.0


@dataclass(frozen=True)
class Lines:
    """Straight pieces of lines in order, a column each.

    Attributes:
        start_xy_m: (N, 2).
        end_xy_m: (N, 2).
        width_m: (N,).
        line: Number of the line each belongs to (N,).
    """

    start_xy_m: Floats
    end_xy_m: Floats
    width_m: Floats
    line: NDArray[np.intp]

    @staticmethod
    def of(lines: "list[tuple[Floats, float]]") -> "Lines":
        """Pieces of polylines (N, 2) with their widths."""
        if not lines:
            return Lines(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.intp))
        counts = [len(p) - 1 for p, _ in lines]
        return Lines(
            np.concatenate([p[:-1] for p, _ in lines]),
            np.concatenate([p[1:] for p, _ in lines]),
            np.repeat([w for _, w in lines], counts).astype(np.float64),
            np.repeat(np.arange(len(lines)), counts),
        )

    def cut(self, piece_m: float) -> "Lines":
        """The same in pieces no longer than that."""
        length = np.hypot(*(self.end_xy_m - self.start_xy_m).T)
        count = np.maximum(np.ceil(length / piece_m), 1).astype(np.intp)
        of = np.repeat(np.arange(len(count)), count)
        k = np.arange(of.size) - np.repeat(np.cumsum(count) - count, count)
        t0, t1 = (k / count[of])[:, None], ((k + 1) / count[of])[:, None]
        ahead = (self.end_xy_m - self.start_xy_m)[of]
        start = self.start_xy_m[of]
        return Lines(start + t0 * ahead, start + t1 * ahead, self.width_m[of], self.line[of])

    def take(self, which: NDArray[np.bool_]) -> "Lines":
        """Those that a mask chooses."""
        return Lines(self.start_xy_m[which], self.end_xy_m[which], self.width_m[which], self.line[which])

    def strips(self, least_m: float = 0.0) -> Floats:
        """Rectangles (N, 4, 2) along the pieces, at least so wide."""
        return strips(self.start_xy_m, self.end_xy_m, np.maximum(self.width_m, least_m))


def between(cells: Cells, rng: np.random.Generator) -> Lines:
    """Roads along borders of neighbourhoods: avenues in town, lanes in the country, where not all have one."""
    urban = np.isin(cells.zone, URBAN_ZONES)[cells.border_cells]
    either, both = urban.any(axis=1), urban.all(axis=1)
    has = either | (rng.random(len(urban)) < 0.85)
    length = np.hypot(*(cells.borders_xy_m[:, 1] - cells.borders_xy_m[:, 0]).T)
    has &= length < 5000
    width = np.where(both, 19.0, np.where(either, 13.0, 6.5))
    return Lines(
        cells.borders_xy_m[has, 0], cells.borders_xy_m[has, 1], width[has], np.arange(int(has.sum()), dtype=np.intp)
    )


def _curve(start: tuple[float, float], end: tuple[float, float], sway: float, rng: np.random.Generator) -> Floats:
    t = np.linspace(0, 1, 48)
    a, p = rng.normal(0, sway, 3), rng.uniform(0, np.pi, 3)
    off = np.sum([a[k] * np.sin((k + 1) * np.pi * t + p[k]) * np.minimum(1, 4 * t) for k in range(3)], axis=0)
    dx, dy = end[0] - start[0], end[1] - start[1]
    return np.column_stack([start[0] + dx * t - dy * off, start[1] + dy * t + dx * off])


def trunks(
    grid: Grid, towns: tuple[Town, ...], rivers: tuple[River, ...], rng: np.random.Generator
) -> tuple[Lines, Lines]:
    """Motorways through and round the main town, and roads to the villages and over the rivers.

    Returns:
        All of them, and those roads between villages that houses line.
    """
    main = towns[0]
    cx, cy = main.centre_xy_m
    far = float(np.hypot(*grid.size_m))
    lines: list[tuple[Floats, float]] = []
    spokes, turn = int(rng.integers(3, 7)), float(rng.uniform(0, 2 * np.pi))
    for k in range(spokes):
        angle = turn + 2 * np.pi * k / spokes + float(rng.normal(0, 0.15))
        end = (cx + far * float(np.cos(angle)), cy + far * float(np.sin(angle)))
        lines.append((_curve(main.centre_xy_m, end, 0.03, rng), 32.0 if k == 0 else 19.0))
    if rng.random() < 0.7:
        t = np.linspace(0, 2 * np.pi, 160)
        a, b = main.radius_m * np.sqrt(main.stretch), main.radius_m / np.sqrt(main.stretch)
        wave = 1.05 + 0.06 * np.sin(3 * t + turn) + 0.04 * np.sin(5 * t)
        c, s = np.cos(main.angle_rad), np.sin(main.angle_rad)
        u, v = a * wave * np.cos(t), b * wave * np.sin(t)
        lines.append((np.column_stack([cx + u * c - v * s, cy + u * s + v * c]), 30.0))
    centres = np.array([town.centre_xy_m for town in towns])
    country: list[tuple[Floats, float]] = []
    for k in range(1, len(towns)):
        # each village is joined to the nearest town placed before it, so that all hang together
        to = int(np.argmin(np.sum((centres[:k] - centres[k]) ** 2, axis=1)))
        country.append((_curve(towns[k].centre_xy_m, towns[to].centre_xy_m, 0.05, rng), 10.0))
    for river in rivers:
        u0 = river.nearest_u_m((cx, cy))
        for k in range(int(rng.integers(1, 5))):
            frame = river.tangent(u0 + (k - 1.5) * float(rng.uniform(0.6, 1.0)) * 0.5 * main.radius_m)
            reach = 0.5 * river.width_m + 70
            lines.append((np.array([frame.to_grid(0, -reach), frame.to_grid(0, reach)]), 22.0))
    return Lines.of(lines + country), Lines.of(country)


def railways(grid: Grid, main: Town, rng: np.random.Generator) -> Lines:
    """One to three lines of rails that meet near the main town, some 50 to 100 m to a piece."""
    far = 1.1 * float(np.hypot(*grid.size_m))
    station = np.array(main.centre_xy_m) + rng.normal(0, 0.3, 2) * main.radius_m
    at = (float(station[0]), float(station[1]))
    turn, lines = float(rng.uniform(0, 2 * np.pi)), list[tuple[Floats, float]]()
    for k in range(int(rng.integers(1, 4))):
        angle = turn + k * np.pi * float(rng.uniform(0.7, 1.0))
        end = (at[0] + far * float(np.cos(angle)), at[1] + far * float(np.sin(angle)))
        lines.append((_curve(at, end, 0.04, rng), float(rng.choice([11.0, 16.0]))))
    return Lines.of(lines)


def over_water(
    grid: Grid, lines: Lines, water: NDArray[np.bool_], sea: NDArray[np.bool_], kind_width_m: float = 0.0
) -> tuple[Lines, Lines, Structures]:
    """Part lines into what lies on land and what bridges carry; what no bridge can span is dropped.

    Args:
        grid: The world's grid.
        lines: Roads or rails.
        water: All water (H, W).
        sea: Sea and basins (H, W), crossed only where narrow.
        kind_width_m: Added to the width for the bridge's deck.

    Returns:
        Pieces on land, pieces on bridges (one to a bridge), and the bridges.
    """
    pieces = lines.cut(_PIECE_M)
    width, height = grid.size_m
    middle = 0.5 * (pieces.start_xy_m + pieces.end_xy_m)
    seen = (middle > -60).all(axis=1) & (middle[:, 0] < width + 60) & (middle[:, 1] < height + 60)
    number = np.nonzero(seen)[0]
    pieces, middle = pieces.take(seen), middle[seen]
    inside = (middle > 0).all(axis=1) & (middle[:, 0] < width) & (middle[:, 1] < height)
    wet, salt = np.zeros(len(middle), bool), np.zeros(len(middle), bool)
    for points in (pieces.start_xy_m, middle, pieces.end_xy_m):
        at = grid.pixel(points[:, 0], points[:, 1])
        wet |= water[at]
        salt |= sea[at]
    # a crossing is a run of wet pieces of one line with a dry one before and after
    chained = np.zeros(len(wet) + 1, bool)
    chained[1:-1] = (np.diff(number) == 1) & (np.diff(pieces.line) == 0)
    begins = wet & ~(chained[:-1] & np.concatenate([[False], wet[:-1]]))
    ends = wet & ~(chained[1:] & np.concatenate([wet[1:], [False]]))
    i, j = np.nonzero(begins)[0], np.nonzero(ends)[0]
    if not len(i):
        return pieces, pieces.take(wet), Structures.join([])
    start, end = pieces.start_xy_m[i], pieces.end_xy_m[j]
    span = np.hypot(*(end - start).T)
    good = chained[i] & chained[j + 1] & inside[i] & inside[j] & (span > 5)
    salty = np.maximum.reduceat(salt, i) if len(i) else np.zeros(0, bool)
    # reduceat runs to the next crossing; a sea piece in between is wet and so part of a crossing
    good &= span <= np.where(salty, _LONGEST_OVER_SEA_M, _LONGEST_BRIDGE_M)
    start, end, span, deck = start[good], end[good], span[good], pieces.width_m[i][good] + kind_width_m
    ahead = (end - start) / span[:, None]
    start, end = start - 6 * ahead, end + 6 * ahead
    carried = Lines(start, end, pieces.width_m[i][good], np.arange(len(start)))
    centre = 0.5 * (start + end)
    n = len(span)
    bridges = Structures(
        np.full(n, Kind.BRIDGE, np.uint8),
        centre[:, 0].astype(np.float32),
        centre[:, 1].astype(np.float32),
        np.maximum(span + 12, 1.05 * deck).astype(np.float32),
        deck.astype(np.float32),
        np.clip(6 + span / 40, 6, 26).astype(np.float32),
        _axis_deg(ahead),
    )
    return pieces.take(~wet), carried, bridges


def _axis_deg(ahead: Floats) -> NDArray[np.float32]:
    turn = np.rad2deg(np.arctan2(ahead[:, 0], -ahead[:, 1])) % 180
    return turn.astype(np.float32) % np.float32(180)


def rails(grid: Grid, lines: Lines) -> Structures:
    """Track as a chain of low boxes along pieces that lie on land or on bridges."""
    pieces = lines.cut(_RAIL_PIECE_M)
    ahead = pieces.end_xy_m - pieces.start_xy_m
    length = np.maximum(np.hypot(*ahead.T), 1e-6)
    middle = 0.5 * (pieces.start_xy_m + pieces.end_xy_m)
    width, height = grid.size_m
    seen = (middle > 0).all(axis=1) & (middle[:, 0] < width) & (middle[:, 1] < height) & (length > 12)
    middle, ahead, length, wide = middle[seen], ahead[seen], length[seen], pieces.width_m[seen]
    n = len(length)
    return Structures(
        np.full(n, Kind.RAIL, np.uint8),
        middle[:, 0].astype(np.float32),
        middle[:, 1].astype(np.float32),
        length.astype(np.float32),
        (0.6 * wide).astype(np.float32),
        np.full(n, 0.8, np.float32),
        _axis_deg(ahead),
    )


def pylons(grid: Grid, open_ground: NDArray[np.bool_], rng: np.random.Generator) -> Structures:
    """Power lines across country: lattice masts every 250 to 400 m, their arms across the line.

    Args:
        grid: The world's grid.
        open_ground: Where a mast may stand (H, W).
        rng: Source of all choices.
    """
    width, height = grid.size_m
    n_lines = int(np.clip(rng.poisson(1.0 + grid.area_km2 / 60), 1, 40))
    tables = []
    for _ in range(n_lines):
        middle = rng.uniform(0.1, 0.9, 2) * (width, height)
        spacing, tall = float(rng.uniform(250, 400)), float(rng.uniform(30, 62))
        reach = int(np.hypot(width, height) / spacing) + 1
        k = np.arange(-reach, reach + 1)
        # straight for some kilometres, then a bend
        turns = np.cumsum(np.where(rng.random(len(k)) < 0.12, rng.normal(0, 0.35, len(k)), 0.0))
        angle = float(rng.uniform(0, 2 * np.pi)) + turns - turns[reach]
        steps = np.stack([np.cos(angle), np.sin(angle)], axis=1) * spacing
        xy = np.cumsum(steps, axis=0)
        xy += middle - xy[reach]
        seen = (xy > 8).all(axis=1) & (xy[:, 0] < width - 8) & (xy[:, 1] < height - 8)
        xy, ahead = xy[seen], steps[seen]
        fits = open_ground[grid.pixel(xy[:, 0], xy[:, 1])]
        xy, ahead = xy[fits], ahead[fits]
        m = len(xy)
        tables.append(
            Structures(
                np.full(m, Kind.PYLON, np.uint8),
                xy[:, 0].astype(np.float32),
                xy[:, 1].astype(np.float32),
                np.full(m, 0.32 * tall, np.float32),
                np.full(m, 0.17 * tall, np.float32),
                (tall + rng.normal(0, 1.5, m)).astype(np.float32),
                (_axis_deg(ahead) + np.float32(90)) % np.float32(180),
            )
        )
    return Structures.join(tables)


def ribbons(lines: Lines, rng: np.random.Generator) -> Structures:
    """Houses along country roads: a string of farmsteads and cottages on both sides, gables to the road."""
    pieces = lines.cut(30.0)
    middle = 0.5 * (pieces.start_xy_m + pieces.end_xy_m)
    ahead = pieces.end_xy_m - pieces.start_xy_m
    ahead /= np.maximum(np.hypot(*ahead.T), 1e-6)[:, None]
    tables = []
    # built-up stretches of each line, as a slow wave along it
    run = np.arange(len(middle))
    n_lines = int(pieces.line.max(initial=0)) + 1
    phase, pitch = rng.uniform(0, 2 * np.pi, n_lines)[pieces.line], rng.uniform(18, 40, n_lines)[pieces.line]
    dense = np.sin(2 * np.pi * run / pitch + phase) > 0.35
    for side in (-1.0, 1.0):
        draws = rng.random((5, len(middle)))
        which = draws[0] < np.where(dense, 0.8, 0.05)
        length, width = 11 + 8 * draws[1], 8 + 3 * draws[2]
        off = side * (5 + 9 + 5 * draws[3])
        xy = middle + np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) * off[:, None]
        axis = _axis_deg(ahead) + np.where(draws[4] < 0.4, 90, 0)
        n = int(which.sum())
        tables.append(
            Structures(
                np.full(n, Kind.BUILDING, np.uint8),
                xy[which, 0].astype(np.float32),
                xy[which, 1].astype(np.float32),
                length[which].astype(np.float32),
                width[which].astype(np.float32),
                (5 + 3 * draws[3][which]).astype(np.float32),
                (axis[which] % 180).astype(np.float32) % np.float32(180),
            )
        )
    return Structures.join(tables)
