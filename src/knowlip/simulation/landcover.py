"""The land-cover classes a simulated world is made of, and the colours its truth maps are drawn in."""

from enum import IntEnum


class LandCover(IntEnum):
    """Class codes of the truth maps; 0 marks no data and is never simulated."""

    UNKNOWN = 0
    WATER = 1
    WOODLAND = 2
    FARMLAND = 3
    BUILDING = 4
    ROAD = 5
    BARE = 6


COLORMAP: dict[int, tuple[int, int, int, int]] = {
    LandCover.UNKNOWN: (0, 0, 0, 0),
    LandCover.WATER: (40, 90, 200, 255),
    LandCover.WOODLAND: (20, 110, 50, 255),
    LandCover.FARMLAND: (220, 200, 90, 255),
    LandCover.BUILDING: (200, 40, 40, 255),
    LandCover.ROAD: (90, 90, 90, 255),
    LandCover.BARE: (190, 180, 165, 255),
}
