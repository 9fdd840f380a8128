"""Facts, statements and targets: what is known about a tile and how it is said."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Literal

Schema = Literal["target", "landform"]
SlotKind = Literal["number", "class", "position", "size", "relation"]

DIMENSIONS: dict[Schema, tuple[str, ...]] = {
    "target": ("count", "location", "feature", "size", "category", "distribution", "region", "environment"),
    "landform": ("terrain", "functionality", "distribution", "layout", "boundary", "buildings", "roads", "water"),
}

LANDCOVER = {1: "water", 2: "woodland", 3: "farmland", 4: "building", 5: "road", 6: "bare"}
"""Class codes of land-cover rasters; 0 is unknown."""

LANDFORM = {
    "water": "water",
    "woodland": "vegetation",
    "farmland": "vegetation",
    "building": "building",
    "road": "road",
    "bare": "bare",
}
"""What the published answers about landforms call each land-cover class; they have no word for bare ground."""

PRESENT_SHARE = 0.03
"""A class is present from this share of the tile on."""

NINE_GRID = (
    "upper left",
    "upper centre",
    "upper right",
    "middle left",
    "centre",
    "middle right",
    "lower left",
    "lower centre",
    "lower right",
)
"""The frame's nine cells in reading order; the published questions number them 1 to 9."""

FactValue = str | float | int | bool | list[str] | list[int] | list[float]


@dataclass(frozen=True)
class Fact:
    """One typed assertion about a tile.

    Attributes:
        name: Dotted name, such as `cover.water.share` or `place.city`.
        value: The value; shares are 0 to 1.
        step: The HCoT step that made it, 0 to 5.
        source: Where it comes from: a measurement's name, or a data source with its version.
        confidence: 0 to 1.
        unit: SI unit or None.
        why: One sentence for a person.
    """

    name: str
    value: FactValue
    step: int
    source: str
    confidence: float
    unit: str | None = None
    why: str = ""

    def row(self, tile_id: str) -> dict[str, object]:
        """A row of `facts.parquet`; the value is JSON so that every type fits one column."""
        number = float(self.value) if isinstance(self.value, int | float) else None
        return {
            "tile_id": tile_id,
            "name": self.name,
            "value": _json(self.value),
            "number": number,
            "unit": self.unit,
            "step": self.step,
            "source": self.source,
            "confidence": round(self.confidence, 4),
            "why": self.why,
        }


def _json(value: FactValue) -> str:
    """A value as JSON; numbers, which most are, without the encoder's long way."""
    plain = type(value) is int or (type(value) is float and math.isfinite(value))
    return repr(value) if plain else json.dumps(value)


@dataclass(frozen=True)
class Slot:
    """A checkable value inside a statement, at characters `[start, end)` of its text."""

    name: str
    kind: SlotKind
    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Statement:
    """One sentence for one dimension of a tile.

    Attributes:
        facts: Names of the facts it rests on.
    """

    schema: Schema
    dimension: str
    text: str
    slots: tuple[Slot, ...]
    facts: tuple[str, ...]
    confidence: float

    def row(self, tile_id: str) -> dict[str, object]:
        """A row of `statements/round=NN/*.parquet`."""
        return {
            "tile_id": tile_id,
            "schema": self.schema,
            "dimension": self.dimension,
            "text": self.text,
            "slots": [vars(s) for s in self.slots],
            "facts": list(self.facts),
            "confidence": round(self.confidence, 4),
        }


@dataclass(frozen=True)
class TargetObject:
    """A target with its oriented box.

    Attributes:
        cls: `ship` or `aircraft`.
        subtype: Such as `container ship`; None when not told.
        corners: Four corners `(x0, y0, …, x3, y3)` in tile pixels, pixel (0, 0) covering 0 to 1.
        heading_deg: Long axis, clockwise from the grid's up, 0 to 180 (ends are not told apart) or 0 to 360.
        source: `simulation` or the detector's name.
    """

    cls: str
    subtype: str | None
    corners: tuple[float, ...]
    length_m: float
    width_m: float
    heading_deg: float
    source: str
    confidence: float = 1.0
    attributes: dict[str, str] = field(default_factory=dict)

    @property
    def centre(self) -> tuple[float, float]:
        """`(x, y)` of the centre in pixels."""
        return sum(self.corners[0::2]) / 4, sum(self.corners[1::2]) / 4
