"""Ten types of aircraft with their true sizes, and how they stand about an airport."""

import numpy as np
import shapely

from knowlip.simulation.ground import WorldObject
from knowlip.simulation.world.airfield import STANDS, Airfield
from knowlip.simulation.world.grid import Grid

# Length over all and wing span in metres, as published by the makers:
#   A220-300, A320 (with sharklets), A330-300, A350-900: Airbus, "Aircraft Characteristics - Airport and Maintenance
#   Planning" (AC) of each; ARJ21-700 (C909): COMAC, "ARJ21 Airplane Characteristics for Airport Planning";
#   737-800 (with winglets) and 787-9: Boeing, D6-58325-7 and D6-58333, "Airplane Characteristics for Airport Planning".
#   C-130H: Lockheed Martin / USAF fact sheet (97 ft 9 in, 132 ft 7 in); fighter: F-16C, USAF fact sheet (49 ft 5 in,
#   32 ft 8 in); business jet: Gulfstream G650 product specification (99 ft 9 in, 99 ft 7 in).
AIRCRAFT_SIZES_M: dict[str, tuple[float, float]] = {
    "A220": (38.71, 35.10),
    "A320": (37.57, 35.80),
    "A330": (63.66, 60.30),
    "A350": (66.80, 64.75),
    "ARJ21": (33.46, 27.29),
    "B737": (39.47, 35.79),
    "B787": (62.81, 60.12),
    "C-130": (29.79, 40.41),
    "fighter": (15.06, 9.96),
    "business jet": (30.40, 30.35),
}
_USES: dict[str, dict[str, float]] = {
    "gate": {"A320": 4, "B737": 4, "A220": 1.5, "ARJ21": 1, "A330": 1.5, "A350": 1, "B787": 1.3},
    "remote": {"A320": 3, "B737": 3, "A220": 1.5, "ARJ21": 1.5},
    "military": {"fighter": 5, "C-130": 4},
    "business": {"business jet": 1},
}
_CLEAR_M = 3.0


def park_aircraft(airfield: Airfield, grid: Grid, rng: np.random.Generator) -> list[WorldObject]:
    """Aircraft on a share of the stands that lie inside the grid, noses on the stop marks, clear of each other."""
    filled = {use: float(rng.uniform(0.4, 0.98)) for use in STANDS}
    width, height = grid.size_m
    tree: list[shapely.Geometry] = []
    parked: list[WorldObject] = []
    for stand in airfield.stands:
        if rng.random() > filled[stand.use]:
            continue
        fitting = {n: w for n, w in _USES[stand.use].items() if max(AIRCRAFT_SIZES_M[n]) <= stand.room_m}
        if stand.use == "military" and stand.room_m > 40:
            fitting.pop("fighter", None)
        if not fitting:
            continue
        # wide stands are kept for wide bodies
        weights = np.array(
            [w * (3 if stand.room_m > 60 and max(AIRCRAFT_SIZES_M[n]) > 50 else 1) for n, w in fitting.items()]
        )
        name = str(rng.choice(list(fitting), p=weights / weights.sum()))
        length, span = AIRCRAFT_SIZES_M[name]
        heading = float(np.round((stand.heading_deg + rng.normal(0, 0.7)) % 360, 1)) % 360
        h = np.deg2rad(heading)
        x, y = stand.xy_m[0] - 0.5 * length * np.sin(h), stand.xy_m[1] + 0.5 * length * np.cos(h)
        aircraft = WorldObject("aircraft", name, (float(x), float(y)), length, span, heading, "parked")
        corners = aircraft.corners_xy_m
        if corners.min() < 0 or corners[:, 0].max() >= width or corners[:, 1].max() >= height:
            continue
        outline = shapely.Polygon(corners)
        if tree and float(shapely.distance(np.array(tree), outline).min()) < _CLEAR_M:
            continue
        tree.append(outline)
        parked.append(aircraft)
    return parked
