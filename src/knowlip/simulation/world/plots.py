"""Who owns each pixel of the ground: a neighbourhood, a block or parcel of it, a yard of the port, or the airport."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowlip.simulation.ground import LandCover, Zone
from knowlip.simulation.world.airfield import Airfield
from knowlip.simulation.world.blocks import Blocks
from knowlip.simulation.world.cells import URBAN_ZONES, Cells
from knowlip.simulation.world.grid import Grid
from knowlip.simulation.world.harbour import Harbour
from knowlip.simulation.world.raster import fill_in_parts, paint
from knowlip.simulation.world.styles import Style

PORT_LATTICE, AIRPORT_LATTICE = -2, -3


@dataclass(frozen=True)
class Plots:
    """Pieces of ground, a column each: the cells, then the port, the airport, the port's yards, then the blocks.

    Attributes:
        zone: `Zone` codes, uint8.
        ground: `LandCover` of what is not built on, uint8.
        lattice: Net of streets each belongs to, int32.
        pick: A random number of its own in [0, 1), float32.
        style: `Style` codes, uint8; none where nothing is built.
        first_yard: Number of the port's first yard.
        first_block: Number of the first block.
        built: Whether it is a built-up block of a town.
    """

    zone: NDArray[np.uint8]
    ground: NDArray[np.uint8]
    lattice: NDArray[np.int32]
    pick: NDArray[np.float32]
    style: NDArray[np.uint8]
    first_yard: int
    first_block: int
    built: NDArray[np.bool_]

    @staticmethod
    def of(
        cells: Cells, blocks: Blocks, harbour: Harbour | None, airfield: Airfield | None, rng: np.random.Generator
    ) -> "Plots":
        """Say what each piece of ground is used for.

        Args:
            cells: The neighbourhoods.
            blocks: Their blocks.
            harbour: The port, if any.
            airfield: The airport, if any.
            rng: Source of all choices.
        """
        n, m = len(cells.zone), len(blocks.cell)
        yards = np.array(() if harbour is None else harbour.styles, np.uint8)
        zone, style = cells.zone[blocks.cell], cells.style[blocks.cell]
        kind, other = rng.random(m, dtype=np.float32), rng.random(m, dtype=np.float32)
        urban = np.isin(zone, URBAN_ZONES)
        # a block's own threshold makes the town's edge ragged by blocks
        thin = urban & (blocks.density < np.float32(0.13) + np.float32(0.1) * blocks.pick)
        built = urban & ~thin
        park = built & (kind < np.where(zone == Zone.INDUSTRIAL, 0.01, 0.045))
        vacant = built & (kind > np.where(zone == Zone.INDUSTRIAL, 0.88, 0.97))
        # some blocks differ from their neighbourhood
        swap = built & (other < 0.12)
        mixed = np.where(other < 0.06, Style.SLABS, Style.PERIMETER)
        style = np.where(swap & (zone == Zone.RESIDENTIAL_DENSE), mixed, style)
        style = np.where(swap & (zone == Zone.COMMERCIAL), Style.TOWERS, style)
        style = np.where(swap & (zone == Zone.RESIDENTIAL_SPARSE), Style.ROWS, style)
        style = np.where(built & ~park & ~vacant, style, Style.NONE).astype(np.uint8)
        zone = np.where(park, Zone.PARK, np.where(thin, Zone.FARMLAND, zone)).astype(np.uint8)
        rural = zone == Zone.FARMLAND
        ground = np.full(m, LandCover.BARE, np.uint8)
        ground[rural & (kind < 0.94)] = LandCover.FARMLAND
        ground[rural & (kind < 0.03)] = LandCover.WOODLAND
        ground[zone == Zone.PARK] = LandCover.WOODLAND
        cell_ground = np.where(cells.zone == Zone.FARMLAND, LandCover.FARMLAND, LandCover.BARE).astype(np.uint8)
        cell_ground[cells.zone == Zone.PARK] = LandCover.WOODLAND
        y = len(yards)
        return Plots(
            zone=np.concatenate([cells.zone, [Zone.PORT, Zone.AIRPORT], np.full(y, Zone.PORT), zone]).astype(np.uint8),
            ground=np.concatenate([cell_ground, np.full(2 + y, LandCover.BARE), ground]).astype(np.uint8),
            lattice=np.concatenate(
                [cells.lattice, [PORT_LATTICE, AIRPORT_LATTICE], np.full(y, PORT_LATTICE), blocks.lattice]
            ).astype(np.int32),
            pick=np.concatenate([rng.random(n + 2 + y, dtype=np.float32), blocks.pick]),
            style=np.concatenate([np.zeros(n + 2, np.uint8), yards, style]),
            first_yard=n + 2,
            first_block=n + 2 + y,
            built=np.concatenate([np.zeros(n + 2 + y, bool), built]),
        )

    def draw(self, owner: NDArray[np.int32], grid: Grid, blocks: Blocks) -> NDArray[np.int32]:
        """Give the blocks' pixels to them where they lie in a cell of their net.

        Args:
            owner: Number of the plot of each pixel (H, W), so far a cell, the port or the airport; changed in place.
            grid: The world's grid.
            blocks: The blocks, in the plots' order.

        Returns:
            The net of streets of each pixel (H, W).
        """
        net = np.take(self.lattice, owner)
        flat_owner, flat_net = owner.reshape(-1), net.reshape(-1)
        for flat, block in fill_in_parts(grid, blocks.corners_xy_m):
            fits = flat_net[flat] == blocks.lattice[block]
            flat_owner[flat[fits]] = block[fits] + self.first_block
        return net


def claim(
    owner: NDArray[np.int32], grid: Grid, cells: Cells, harbour: Harbour | None, airfield: Airfield | None
) -> None:
    """Number the pixels (H, W), in place, by cell, and past the cells by port, airport and yard."""
    n = len(cells.zone)
    paint(owner, grid, cells.polygons_xy_m, np.arange(n))
    if harbour is not None:
        paint(owner, grid, harbour.ground, n)
        paint(owner, grid, harbour.yards, n + 2 + np.arange(len(harbour.yards)))
    if airfield is not None:
        paint(owner, grid, airfield.fence[None], n + 1)
