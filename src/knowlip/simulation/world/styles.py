"""What blocks of a town can be built up with."""

from enum import IntEnum


class Style(IntEnum):
    """How a block is built up."""

    NONE = 0
    HOUSES = 1
    ROWS = 2
    SLABS = 3
    PERIMETER = 4
    TOWERS = 5
    HALLS = 6
    WAREHOUSES = 7
    CONTAINERS = 8
    TANKS = 9
