"""Facts of tiles that nobody has seen: any that the chain can give, in combinations of a seed's choice."""

import random

from knowlip.core.statements import LANDCOVER, NINE_GRID, Fact
from knowlip.hcot.view import Facts

TERRAIN = ("open water", "coastal", "mountainous", "hilly", "river plain", "plain")
FUNCTIONS = (
    "airport", "port", "harbour front", "dense urban", "residential", "commercial", "industrial", "military",
    "parkland", "quarry", "farmland", "woodland", "open water", "open ground", "transport",
    "mixed woodland and residential", "mixed open water and residential",
)  # fmt: skip
CATEGORIES = {
    "ship": ("small craft", "coaster, ferry or large fishing vessel", "cargo ship or tanker", "large merchant ship"),
    "aircraft": ("transport aircraft", "airliner", "helicopter"),
}
REGIONS = ("runway", "apron")


def made_up(seed: int, complete: bool = False, weak: float = 0.3) -> Facts:
    """Facts of one tile.

    Args:
        complete: Leave out none that belongs there.
        weak: Share of facts of low confidence.
    """
    r = random.Random(seed)

    def cells():
        return r.sample(NINE_GRID, r.randint(1, 9))

    shares = {c: r.random() ** 3 for c in LANDCOVER.values() if r.random() < 0.7} or {"water": 1.0}
    total = sum(shares.values())
    shares = {c: shares.get(c, 0.0) / total for c in LANDCOVER.values()}
    order = [c for c in sorted(shares, key=lambda c: -shares[c]) if shares[c] >= 0.03]
    values = {
        "place.country": r.choice(["Chile", "Japan"]),
        "place.admin1": "Region",
        "place.city": r.choice(["Valparaíso", "Anjō"]),
        "place.city_km": r.uniform(0, 30),
        "society.settlement": r.choice(["village", "town", "city", "metropolis"]),
        "society.town": r.choice(["Elsewhere", "Anjō"]),
        "climate.zone": "Csb",
        "elevation.mean_m": r.uniform(-10, 3000),
        "elevation.relief_m": r.uniform(0, 900),
        "terrain.kind": r.choice(TERRAIN),
        "function.main": r.choice(FUNCTIONS),
        "cover.order": order,
        "cover.cell_landform": [r.choice(["vegetation", "water", "building", "unknown"]) for _ in NINE_GRID],
        "pattern.grid": r.uniform(0, 0.5),
        "pattern.line": r.uniform(0, 0.5),
        "pattern.edge_density": r.uniform(0, 0.5),
        "boundary.step_db": r.uniform(0, 10),
        "water.kind": r.choice(["sea", "river", "lake", "pond"]),
        "road.lines": r.choice([0, 0, 1, 2, 3, 5]),
        "image.gsd_m": r.choice([10.002, 3.0, 0.7]),
        **{f"cover.{c}.share": shares[c] for c in shares},
        **{f"cover.{c}.cells": cells() for c in order},
    }
    if len(order) == 1:
        del values["boundary.step_db"]
        values["pattern.edge_density"] = r.uniform(0, 0.0015)
    if r.random() < 0.6:
        n, cls = r.choice([1, 1, 2, 3, 8, 11, 18, 80]), r.choice(list(CATEGORIES))
        values |= {
            "target.class": cls,
            "target.count": n,
            "target.cells": sorted(cells(), key=NINE_GRID.index),
            "target.length_m": r.uniform(5, 300),
            "target.longest_m": r.uniform(5, 400),
            "target.width_m": r.uniform(5, 60),
            "target.category": r.choice(CATEGORIES[cls]),
            "target.region": r.choice(REGIONS),
            "target.positions": [round(r.uniform(0, 100), 1) for _ in range(2 * n)],
            "target.types": [r.choice(CATEGORIES[cls]) for _ in range(n)],
        }
        if n > 1:
            values["target.arrangement"] = r.choice(
                ["in a line", "clustered", "scattered", "close together", "far apart"]
            )
        if r.random() < 0.3:
            values["target.doubt"] = "a return is faint"
            if cls == "ship":
                values["target.least"] = -(-n // 2)
    if not complete:
        values = {name: v for name, v in values.items() if r.random() < 0.85}
    return Facts(Fact(n, v, 3, "made up", 0.4 if r.random() < weak else 0.8) for n, v in values.items())
