"""What covers the ground before anything is built: fields, woods, wastes, gardens and yards."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfinv

from knowlip.simulation.ground import LandCover, Zone
from knowlip.simulation.world.grid import Coarse
from knowlip.simulation.world.plots import Plots


@dataclass(frozen=True)
class CoverShares:
    """How open country is shared out; the three add up to 1."""

    woodland: float
    farmland: float
    bare: float


@dataclass(frozen=True)
class Countryside:
    """The ground of the whole grid, arrays (H, W), changed as things are built on it.

    Attributes:
        landcover: Classes, nowhere 0.
        zone: Zones, nowhere 0.
        crowns: Smooth noise of unit variance about the size of tree crowns.
        pick: Each plot's own random number in [0, 1).
    """

    landcover: NDArray[np.uint8]
    zone: NDArray[np.uint8]
    crowns: NDArray[np.float32]
    pick: NDArray[np.float32]


def draw_shares(character: tuple[str, ...], lat_deg: float, rng: np.random.Generator) -> CoverShares:
    """Draw shares that often leave one cover ruling: woods in hills, fields in plains, bare ground in the dry belts."""
    dry = 15 < abs(lat_deg) < 36
    weights = np.array([0.75, 0.95, 0.5])
    weights *= (1.5, 0.7, 1.1) if "hilly" in character else (0.9, 1.1, 0.9)
    weights *= (0.55, 0.9, 2.4) if dry else (1.1, 1.0, 0.9)
    shares = rng.dirichlet(weights)
    return CoverShares(float(shares[0]), float(shares[1]), float(shares[2]))


# Share of a built-up zone's open ground that trees stand on.
_TREES = {
    Zone.RESIDENTIAL_DENSE: 0.3,
    Zone.RESIDENTIAL_SPARSE: 0.62,
    Zone.COMMERCIAL: 0.12,
    Zone.INDUSTRIAL: 0.08,
    Zone.PARK: 0.66,
}


def make_countryside(
    coarse: Coarse,
    shares: CoverShares,
    plots: Plots,
    owner: NDArray[np.int32],
    steepness: NDArray[np.float32],
    rng: np.random.Generator,
) -> Countryside:
    """Cover the ground by its plots, with woods and wastes over open country and trees between houses.

    Args:
        coarse: The world's coarse nodes.
        shares: Shares of the covers of open country.
        plots: The plots.
        owner: Number of the plot of each pixel (H, W).
        steepness: Relief in [0, 1], (h, w), where woods stand rather than fields.
        rng: Source of all choices.
    """
    span = float(rng.uniform(0.12, 0.4)) * coarse.grid.extent_m
    wood = coarse.noise(span, rng, octaves=5) + np.float32(1.2) * steepness
    waste = coarse.noise(0.8 * span, rng, octaves=5)
    some = wood[::3, ::3]
    wood -= np.float32(np.quantile(some, 1 - shares.woodland))
    rest = waste[::3, ::3][wood[::3, ::3] <= 0]
    share = shares.bare / max(shares.bare + shares.farmland, 1e-6)
    waste -= np.float32(np.quantile(rest, 1 - share) if rest.size else 9.0)
    crowns = coarse.fine(rng.standard_normal(coarse.shape, dtype=np.float32))
    crowns *= np.float32(1 / 0.48)

    landcover, zone = np.take(plots.ground, owner), np.take(plots.zone, owner)
    pick = np.take(plots.pick, owner)
    # the share of trees as a quantile of the crowns' noise, a plot's own within limits
    level = np.full(256, np.inf, np.float32)
    for z, trees in _TREES.items():
        level[z] = np.sqrt(2) * erfinv(1 - 2 * trees) - 0.4
    wood, waste = coarse.fine(wood), coarse.fine(waste)
    rows = max(1, (1 << 16) // owner.shape[1])
    for r in range(0, owner.shape[0], rows):
        part = slice(r, r + rows)
        cover, use, own, crown = landcover[part], zone[part], pick[part], crowns[part]
        rural = use == Zone.FARMLAND
        # a plot's own part in the threshold lets woods and wastes end at field borders in places, crowns roughen edges
        own_part = np.float32(0.35) * (own - np.float32(0.5))
        is_wood = rural & (wood[part] + np.float32(0.06) * crown + own_part > 0)
        is_waste = rural & ~is_wood & (waste[part] - np.float32(1.4) * own_part > 0)
        leafy = crown > np.take(level, use) + np.float32(0.8) * own
        lawn = (use == Zone.PARK) & ~leafy
        np.copyto(cover, np.uint8(LandCover.BARE), where=is_waste | lawn)
        np.copyto(cover, np.uint8(LandCover.WOODLAND), where=is_wood | leafy)
        np.copyto(use, np.uint8(Zone.BARE), where=is_waste)
        np.copyto(use, np.uint8(Zone.WOODLAND), where=is_wood)
    return Countryside(landcover, zone, crowns, pick)
