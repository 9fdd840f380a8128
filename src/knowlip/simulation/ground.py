"""What the two halves of the simulator share: a piece of ground as `world` lays it out and `imaging` sees it.

Everything here is geometry in metres on one grid: x runs east from the left edge, y south from the top edge, heights
are above the water level of the scene, directions are clockwise from the grid's north.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class LandCover(IntEnum):
    """Class codes of the truth maps; 0 marks no data and is never simulated."""

    UNKNOWN = 0
    WATER = 1
    WOODLAND = 2
    FARMLAND = 3
    BUILDING = 4
    ROAD = 5
    BARE = 6


class Zone(IntEnum):
    """What a piece of ground is used for, and which kind of water it is: standing inland, of a river, or the sea."""

    UNKNOWN = 0
    WATER = 1
    RESIDENTIAL_DENSE = 2
    RESIDENTIAL_SPARSE = 3
    COMMERCIAL = 4
    INDUSTRIAL = 5
    PORT = 6
    AIRPORT = 7
    PARK = 8
    FARMLAND = 9
    WOODLAND = 10
    BARE = 11
    SEA = 12
    RIVER = 13


class Kind(IntEnum):
    """Kinds of man-made structures."""

    BUILDING = 1
    TANK = 2
    CHIMNEY = 3
    PYLON = 4
    CONTAINERS = 5
    CRANE = 6
    BRIDGE = 7
    RAIL = 8


LANDCOVER_COLORS: dict[int, tuple[int, int, int, int]] = {
    LandCover.UNKNOWN: (0, 0, 0, 0),
    LandCover.WATER: (40, 90, 200, 255),
    LandCover.WOODLAND: (20, 110, 50, 255),
    LandCover.FARMLAND: (220, 200, 90, 255),
    LandCover.BUILDING: (200, 40, 40, 255),
    LandCover.ROAD: (90, 90, 90, 255),
    LandCover.BARE: (190, 180, 165, 255),
}

ZONE_COLORS: dict[int, tuple[int, int, int, int]] = {
    Zone.UNKNOWN: (0, 0, 0, 0),
    Zone.WATER: (40, 90, 200, 255),
    Zone.SEA: (25, 60, 150, 255),
    Zone.RIVER: (80, 140, 230, 255),
    Zone.RESIDENTIAL_DENSE: (170, 60, 40, 255),
    Zone.RESIDENTIAL_SPARSE: (230, 150, 110, 255),
    Zone.COMMERCIAL: (200, 40, 90, 255),
    Zone.INDUSTRIAL: (150, 90, 170, 255),
    Zone.PORT: (90, 60, 140, 255),
    Zone.AIRPORT: (120, 120, 130, 255),
    Zone.PARK: (110, 190, 90, 255),
    Zone.FARMLAND: (220, 200, 90, 255),
    Zone.WOODLAND: (20, 110, 50, 255),
    Zone.BARE: (190, 180, 165, 255),
}


@dataclass(frozen=True)
class Structures:
    """Man-made things that stand on the ground, a column each, all of length N.

    A structure is an upright box (a tank or chimney an upright cylinder of diameter `width_m`, a pylon or crane a
    lattice of that footprint, a rail or bridge a long low box).

    Attributes:
        kind: `Kind` codes, uint8.
        x_m: Centre, metres east of the left edge, float32.
        y_m: Centre, metres south of the top edge, float32.
        length_m: Extent along the axis, float32.
        width_m: Extent across the axis, float32.
        height_m: Height above the ground, float32.
        axis_deg: Direction of the long side, clockwise from the grid's north, in [0, 180), float32.
    """

    kind: NDArray[np.uint8]
    x_m: NDArray[np.float32]
    y_m: NDArray[np.float32]
    length_m: NDArray[np.float32]
    width_m: NDArray[np.float32]
    height_m: NDArray[np.float32]
    axis_deg: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of structures."""
        return len(self.kind)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> "Structures":
        """Those that a mask or an index chooses."""
        return Structures(*(getattr(self, name)[which] for name in Structures.__dataclass_fields__))

    @staticmethod
    def join(parts: "list[Structures]") -> "Structures":
        """All of several tables in one; an empty list gives an empty table."""
        if not parts:
            empty = np.zeros(0, np.float32)
            return Structures(np.zeros(0, np.uint8), empty, empty, empty, empty, empty, empty)
        names = Structures.__dataclass_fields__
        return Structures(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


@dataclass(frozen=True)
class WorldObject:
    """A ship or an aircraft, as a rectangle on the ground.

    Attributes:
        cls: "ship" or "aircraft".
        subtype: Kind of ship or type of aircraft.
        centre_xy_m: Centre; x to the east from the world's left edge, y to the south from its top edge.
        length_m: Length over all.
        width_m: Beam, or wing span.
        heading_deg: Where the bow or nose points, clockwise from the grid's north, in [0, 360).
        state: "moored", "anchored", "under way" or "parked".
        speed_m_s: Speed over ground along the heading.
    """

    cls: str
    subtype: str
    centre_xy_m: tuple[float, float]
    length_m: float
    width_m: float
    heading_deg: float
    state: str
    speed_m_s: float = 0.0

    @property
    def corners_xy_m(self) -> NDArray[np.float64]:
        """The rectangle's corners (4, 2): bow right, bow left, stern left, stern right."""
        h = np.deg2rad(self.heading_deg)
        ahead, right = np.array([np.sin(h), -np.cos(h)]), np.array([np.cos(h), np.sin(h)])
        signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) / 2
        offsets = signs[:, :1] * self.length_m * ahead + signs[:, 1:] * self.width_m * right
        return np.asarray(offsets + np.array(self.centre_xy_m), np.float64)


@dataclass(frozen=True)
class World:
    """A piece of ground; rows run from north to south, columns from west to east.

    Attributes:
        landcover: `LandCover` codes, uint8 (H, W), nowhere 0.
        zone: `Zone` codes, uint8 (H, W), nowhere 0.
        parcel: Number of the farm parcel or building block a pixel belongs to, int32 (H, W), not negative.
        terrain_m: Height of the bare ground above the water, float32 (H, W).
        height_m: Height of buildings, structures and trees above the ground, float32 (H, W). Where a pixel is larger
            than a house it is the mean height of what stands in the pixel.
        structures: Buildings and all else that is built, exact in place and direction at any pixel size.
        objects: Ships and aircraft.
        wind_speed_m_s: Wind at 10 m above the water.
        wind_from_deg: Direction that the wind comes from.
        gsd_m: Pixel spacing in metres.
    """

    landcover: NDArray[np.uint8]
    zone: NDArray[np.uint8]
    parcel: NDArray[np.int32]
    terrain_m: NDArray[np.float32]
    height_m: NDArray[np.float32]
    structures: Structures
    objects: tuple[WorldObject, ...]
    wind_speed_m_s: float
    wind_from_deg: float
    gsd_m: float
