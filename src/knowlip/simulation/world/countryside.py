"""Open country: farm parcels and tracks, woods and bare ground."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import LandCover
from knowlip.simulation.noise import mix, spline_noise, unit
from knowlip.simulation.world.districts import divide
from knowlip.simulation.world.grid import Grid


@dataclass(frozen=True)
class CoverShares:
    """How open country is shared out; the three add up to 1."""

    woodland: float
    farmland: float
    bare: float


@dataclass(frozen=True)
class Countryside:
    """Open country of the whole grid, arrays (H, W).

    Attributes:
        landcover: Classes, nowhere 0.
        parcel: Mixed number of each parcel.
        height_m: Height of trees and crops above the ground.
    """

    landcover: NDArray[np.uint8]
    parcel: NDArray[np.uint32]
    height_m: NDArray[np.float32]


def draw_shares(character: tuple[str, ...], lat_deg: float, rng: np.random.Generator) -> CoverShares:
    """Draw shares that often leave one cover ruling: woods in hills, fields in plains, bare ground in the dry belts."""
    dry = 15 < abs(lat_deg) < 36
    weights = np.array([0.75, 0.95, 0.5])
    weights *= (1.5, 0.7, 1.1) if "hilly" in character else (0.9, 1.1, 0.9)
    weights *= (0.55, 0.9, 2.4) if dry else (1.1, 1.0, 0.9)
    shares = rng.dirichlet(weights)
    return CoverShares(float(shares[0]), float(shares[1]), float(shares[2]))


def make_countryside(
    grid: Grid, shares: CoverShares, steepness: NDArray[np.float32], rng: np.random.Generator
) -> Countryside:
    """Lay out open country.

    Args:
        grid: The world's grid.
        shares: Shares of the covers.
        steepness: Relief in [0, 1], (H, W), where woods stand rather than fields.
        rng: Source of all choices.
    """
    size = (float(rng.uniform(150, 380)), float(rng.uniform(90, 260)))
    parcels = divide(
        grid,
        float(rng.uniform(1300, 3000)),
        (0.7 * size[0], 1.2 * size[0]),
        (0.7 * size[1], 1.2 * size[1]),
        float(rng.choice([0.0, 25.0, 60.0])),
        21,
        rng,
    )
    pick, kind = unit(parcels.ids), unit(mix(parcels.ids, 5))
    landcover = np.full(grid.shape, LandCover.FARMLAND, np.uint8)
    landcover[kind > 0.93] = LandCover.BARE
    landcover[kind < 0.03] = LandCover.WOODLAND
    hedged = ((parcels.district & np.uint32(3)) == 0) & (parcels.across_m < 1.02 * max(grid.gsd_m, 6.0)) & (pick > 0.4)
    landcover[hedged] = LandCover.WOODLAND
    wide = max(1.02 * grid.gsd_m, 6.0)
    landcover[(parcels.across_m < wide) & (parcels.row % 4 == 0)] = LandCover.ROAD

    span = float(rng.uniform(0.12, 0.4)) * grid.extent_m
    # part of the threshold is the parcel's own, so that woods and wastes end at field borders in places
    wood = spline_noise(grid.shape, grid.gsd_m, span, rng, octaves=5) + np.float32(1.2) * steepness
    wood += np.float32(0.35) * pick
    waste = spline_noise(grid.shape, grid.gsd_m, 0.8 * span, rng, octaves=5) + np.float32(0.5) * kind
    is_wood = wood > np.quantile(wood[::8, ::8], 1 - shares.woodland)
    rest = waste[::8, ::8][~is_wood[::8, ::8]]
    share = shares.bare / max(shares.bare + shares.farmland, 1e-6)
    is_bare = ~is_wood & (waste > (np.quantile(rest, 1 - share) if rest.size else np.inf))
    landcover[is_wood] = LandCover.WOODLAND
    landcover[is_bare] = LandCover.BARE
    if shares.woodland > 0.1:
        ride = is_wood & (parcels.across_m < wide) & (parcels.row % 5 == 0)
        landcover[ride] = LandCover.ROAD
    # forestry compartments differ in age, and crowns in height
    crowns = 12 + 10 * pick + 2.5 * spline_noise(grid.shape, grid.gsd_m, max(30.0, 3 * grid.gsd_m), rng)
    height = np.where(landcover == LandCover.WOODLAND, crowns, np.float32(0))
    height += np.where(landcover == LandCover.FARMLAND, 0.2 + 1.2 * kind, np.float32(0))
    return Countryside(landcover, parcels.ids, np.maximum(height, 0).astype(np.float32))
