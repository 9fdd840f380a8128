"""An airport: runway, taxiways, aprons, terminal, hangars, and the stands on the aprons."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import Kind, Structures
from knowlip.simulation.world.grid import Frame, Grid

STANDS = ("gate", "remote", "military", "business")
_RUNWAY_M = 50.0
_TAXIWAY_M = 25.0


@dataclass(frozen=True)
class Stand:
    """A place for an aircraft.

    Attributes:
        xy_m: The stop mark, where the nose comes to rest.
        heading_deg: Where the nose points.
        room_m: Largest span and length that it takes.
        use: One of `STANDS`.
    """

    xy_m: tuple[float, float]
    heading_deg: float
    room_m: float
    use: str


@dataclass(frozen=True)
class Airfield:
    """An airport on the ground; polygons in the grid's metres.

    Attributes:
        frame: Its frame, u along the runway and v towards the terminal.
        fence: Rectangle (4, 2) about all of it.
        pavement: Runway, taxiways and aprons (N, 4, 2).
        structures: Terminal, piers and hangars.
        stands: Places for aircraft.
        half_m: Half its length and breadth.
    """

    frame: Frame
    fence: NDArray[np.float64]
    pavement: NDArray[np.float64]
    structures: Structures
    stands: tuple[Stand, ...]
    half_m: tuple[float, float]


def place_airfield(
    grid: Grid,
    cost: NDArray[np.float32],
    cell_m: float,
    taken_xy_m: NDArray[np.float64],
    rng: np.random.Generator,
    tries: int = 60,
) -> Airfield | None:
    """Put an airport where the least stands in its way, or nowhere when all places are bad.

    Args:
        grid: The world's grid.
        cost: Cost of building, (h, w), 1 for water, on a grid of its own over the same ground.
        cell_m: Spacing of the costs.
        taken_xy_m: Points (N, 2) that it keeps well clear of.
        rng: Source of all choices.
        tries: How many places to compare.
    """
    width, height = grid.size_m
    length = float(min(rng.uniform(2200, 3600), 0.7 * grid.extent_m))
    breadth = float(min(rng.uniform(850, 1200), 0.5 * grid.extent_m))
    best, best_cost = None, 0.17
    probe_u, probe_v = np.meshgrid(np.linspace(-0.5, 0.5, 30) * length, np.linspace(-0.5, 0.5, 10) * breadth)
    for _ in range(tries):
        centre = (float(rng.uniform(0.25, 0.75)) * width, float(rng.uniform(0.25, 0.75)) * height)
        frame = Frame(centre, float(rng.uniform(0, 2 * np.pi)))
        c, s = np.cos(frame.angle_rad), np.sin(frame.angle_rad)
        x, y = centre[0] + probe_u * c - probe_v * s, centre[1] + probe_u * s + probe_v * c
        rows = np.clip(y / cell_m, 0, cost.shape[0] - 1).astype(int)
        cols = np.clip(x / cell_m, 0, cost.shape[1] - 1).astype(int)
        mean = float(cost[rows, cols].mean())
        if len(taken_xy_m):
            u, v = frame.to_local(taken_xy_m[:, 0].astype(np.float32), taken_xy_m[:, 1].astype(np.float32))
            if bool(((np.abs(u) < length / 2 + 120) & (np.abs(v) < breadth / 2 + 120)).any()):
                continue
        if mean < best_cost:
            best, best_cost = frame, mean
    return None if best is None else lay_out(best, length, breadth, rng)


def lay_out(frame: Frame, length_m: float, breadth_m: float, rng: np.random.Generator) -> Airfield:
    """An airport of a length and breadth in its frame.

    Args:
        frame: Its middle, u along the runway and v towards the terminal.
        length_m: From fence to fence along the runway.
        breadth_m: Across.
        rng: Source of all choices.
    """
    L, B = length_m, breadth_m
    runway_v = -0.5 * B + min(120.0, 0.16 * B)
    taxi_v = runway_v + min(180.0, 0.22 * B)
    apron_v = taxi_v + 45.0
    terminal_v = min(0.5 * B - 75.0, apron_v + float(rng.uniform(190, 400)))
    depth = terminal_v - apron_v
    pavement = [
        frame.box(-0.48 * L, 0.48 * L, runway_v - _RUNWAY_M / 2, runway_v + _RUNWAY_M / 2),
        frame.box(-0.47 * L, 0.47 * L, taxi_v - _TAXIWAY_M / 2, taxi_v + _TAXIWAY_M / 2),
    ]
    for at in (-0.47, -0.24, 0.0, 0.24, 0.47):
        pavement.append(frame.box(at * L - 13, at * L + 13, runway_v, taxi_v))
    built: list[tuple[float, float, float, float, float]] = []
    stands: list[Stand] = []
    nose_in = frame.axis_deg + 90  # v is a quarter turn clockwise of u
    # the terminal side takes the middle, other aprons the ends
    wide = min(0.24 * L, float(rng.uniform(380, 700)))
    pavement.append(frame.box(-wide, wide, taxi_v + _TAXIWAY_M / 2 - 2, terminal_v))
    built.append((0.0, terminal_v + 24, 1.7 * wide, 44, 20))
    if 0.5 * B - terminal_v > 150:
        # the car park and what stands before the terminal
        pavement.append(frame.box(-0.5 * wide, 0.5 * wide, terminal_v + 70, terminal_v + 140))
        built.append((-0.75 * wide, terminal_v + 105, 0.3 * wide, 40, 16))
    _gates(frame, stands, built, wide, terminal_v, depth, nose_in, rng)
    _end_apron(frame, stands, built, pavement, (wide + 60, 0.46 * L), taxi_v, terminal_v, "military", nose_in, rng)
    _end_apron(frame, stands, built, pavement, (-0.46 * L, -wide - 60), taxi_v, terminal_v, "business", nose_in, rng)
    u, v, along, across, high = np.array(built, np.float32).T
    xy = np.array([frame.to_grid(float(a), float(b)) for a, b in zip(u, v, strict=True)], np.float32)
    swap = across > along
    structures = Structures(
        np.full(len(u), Kind.BUILDING, np.uint8),
        xy[:, 0].copy(),
        xy[:, 1].copy(),
        np.where(swap, across, along),
        np.where(swap, along, across),
        high,
        ((frame.axis_deg + 90 * swap) % 180).astype(np.float32) % np.float32(180),
    )
    fence = frame.box(-0.5 * L, 0.5 * L, -0.5 * B, 0.5 * B)
    return Airfield(frame, fence, np.stack(pavement), structures, tuple(stands), (0.5 * L, 0.5 * B))


def _gates(
    frame: Frame,
    stands: list[Stand],
    built: list[tuple[float, float, float, float, float]],
    wide: float,
    terminal_v: float,
    depth: float,
    nose_in: float,
    rng: np.random.Generator,
) -> None:
    """Stands nose to the terminal and to its piers, and rows of remote stands before them."""
    pier = 0.0
    if depth > 300 and wide > 230:
        # finger piers across the apron, aircraft on both sides
        pier = min(depth - 140, float(rng.uniform(170, 320)))
        for at in np.arange(-wide + 115, wide - 114, 260.0):
            built.append((float(at), terminal_v - pier / 2, 24.0, pier, 14.0))
            for sign in (-1.0, 1.0):
                pitch = float(rng.choice([43.0, 72.0]))
                for v in np.arange(terminal_v - pier + pitch / 2, terminal_v - 75, pitch):
                    nose = frame.to_grid(float(at) + sign * 22, float(v))
                    stands.append(Stand(nose, (nose_in + 90 * sign) % 360, pitch - 3, "gate"))
            # between two piers, noses to the terminal
            for off in (-24.0, 24.0):
                stands.append(Stand(frame.to_grid(float(at) + 130 + off, terminal_v - 9), nose_in % 360, 44.0, "gate"))
    else:
        pitch = float(rng.choice([46.0, 62.0, 82.0]))
        for at in np.arange(-wide + pitch / 2, wide - pitch / 2 + 1, pitch):
            stands.append(Stand(frame.to_grid(float(at), terminal_v - 9), nose_in % 360, pitch - 6, "gate"))
        pier = 85.0
    row = terminal_v - pier - 105
    turned = float(rng.choice([0.0, 180.0, 45.0]))
    while row > terminal_v - depth + 40:
        for at in np.arange(-wide + 50, wide - 50, 60.0):
            h = np.deg2rad(turned)
            # the mark is half a narrow-body ahead of the stand's middle
            nose = frame.to_grid(float(at) - 20 * float(np.sin(h)), float(row) + 20 * float(np.cos(h)))
            stands.append(Stand(nose, (nose_in + turned) % 360, 52.0 if turned != 45.0 else 42.0, "remote"))
        row -= 105.0


def _end_apron(
    frame: Frame,
    stands: list[Stand],
    built: list[tuple[float, float, float, float, float]],
    pavement: list[NDArray[np.float64]],
    ends_u: tuple[float, float],
    taxi_v: float,
    terminal_v: float,
    use: str,
    nose_in: float,
    rng: np.random.Generator,
) -> None:
    """An apron beside the main one with hangars behind it: for the military or for business jets."""
    u0, u1 = ends_u
    front, back = taxi_v + 60, min(terminal_v, taxi_v + 60 + (230.0 if use == "military" else 170.0))
    if u1 - u0 < 120 or back - front < 80 or rng.random() < 0.25:
        return
    middle = (u0 + u1) / 2
    pavement.append(frame.box(u0, u1, front, back))
    pavement.append(frame.box(middle - 12, middle + 12, taxi_v, front + 5))
    for at in np.arange(u0 + 45, u1 - 40, float(rng.uniform(75, 110))):
        if rng.random() < 0.8:
            built.append((float(at), back + 34, float(rng.uniform(45, 68)), float(rng.uniform(38, 55)), 14.0))
    if use == "military":
        for at in np.arange(u0 + 16, u1 - 16, 18.0):
            stands.append(Stand(frame.to_grid(float(at), back - 22), nose_in % 360, 16.0, "military"))
        if back - front > 150:
            for at in np.arange(u0 + 32, u1 - 30, 54.0):
                stands.append(Stand(frame.to_grid(float(at), front + 74), nose_in % 360, 46.0, "military"))
    else:
        for v in np.arange(back - 18, front + 34, -42.0):
            for at in np.arange(u0 + 20, u1 - 20, 37.0):
                stands.append(Stand(frame.to_grid(float(at), float(v)), (nose_in + 25) % 360, 31.0, "business"))
