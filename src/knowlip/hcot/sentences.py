"""Facts into sentences: eight dimensions a schema, several phrasings each, every checkable word recorded as a slot."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from knowlip.core.statements import DIMENSIONS, Schema, Slot, SlotKind, Statement
from knowlip.hcot.view import Facts

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

Slotted = tuple[str, SlotKind, str]
"""Name, kind and text of a slot."""

_MARK = re.compile(r"\{(\w+)\}")


def _say(templates: Sequence[str], key: str, slots: Sequence[Slotted]) -> tuple[str, tuple[Slot, ...]]:
    """Fill one of the templates, chosen by the key, and record where each slot's value stands."""
    template = templates[zlib.crc32(key.encode()) % len(templates)]
    by_name = {name: (kind, value) for name, kind, value in slots}
    text, spans, last = "", [], 0
    for mark in _MARK.finditer(template):
        text += template[last : mark.start()]
        kind, value = by_name[mark[1]]
        spans.append((mark[1], kind, value, len(text)))
        text += value
        last = mark.end()
    text += template[last:]
    if text[:1].islower():
        text = text[0].upper() + text[1:]
    found = tuple(Slot(name, kind, text[at : at + len(value)], at, at + len(value)) for name, kind, value, at in spans)
    return text, found


def _percent(share: float) -> str:
    """A share in steps that a measurement of this kind supports: 5 % up to 20, then 10 %."""
    percent = share * 100
    step = 5 if percent < 20 else 10
    return str(max(step, round(percent / step) * step))


def number_word(n: int) -> str:
    """Small numbers in words, as the published statements have them."""
    return _WORDS[n] if n < len(_WORDS) else str(n)


def place_words(cells: Sequence[str]) -> str:
    """Cells of the nine-grid as a person would say them: whole sides and corners before lists."""
    chosen = set(cells)
    if len(chosen) >= 8:
        return "the whole frame"
    for word, side in _SIDES.items():
        if side <= chosen and len(chosen - side) <= 1:
            return f"the {word}"
    named = list(cells)[:2]
    return "the " + " and ".join(named)


_SIDES = {
    "upper two thirds": {"upper left", "upper centre", "upper right", "middle left", "centre", "middle right"},
    "lower two thirds": {"lower left", "lower centre", "lower right", "middle left", "centre", "middle right"},
    "left two thirds": {"upper left", "middle left", "lower left", "upper centre", "centre", "lower centre"},
    "right two thirds": {"upper right", "middle right", "lower right", "upper centre", "centre", "lower centre"},
    "upper part": {"upper left", "upper centre", "upper right"},
    "lower part": {"lower left", "lower centre", "lower right"},
    "left side": {"upper left", "middle left", "lower left"},
    "right side": {"upper right", "middle right", "lower right"},
}

_NOUN = {
    "water": "water",
    "woodland": "woodland",
    "farmland": "farmland",
    "building": "built-up land",
    "road": "roads",
    "bare": "bare ground",
}


class _Writer:
    """Writes one tile's statements; `key` varies the phrasing from tile to tile and dimension to dimension."""

    def __init__(self, tile_id: str, facts: Facts) -> None:
        self.tile_id, self.facts = tile_id, facts
        self.done: list[Statement] = []

    def write(
        self,
        schema: Schema,
        dimension: str,
        templates: Sequence[str],
        slots: Sequence[Slotted],
        rests_on: Sequence[str],
    ) -> None:
        text, found = _say(templates, f"{self.tile_id}/{schema}/{dimension}", slots)
        basis = tuple(n for n in rests_on if n in self.facts)
        confidence = min((self.facts[n].confidence for n in basis), default=0.5)
        self.done.append(Statement(schema, dimension, text, found, basis, confidence))

    def share(self, name: str) -> float:
        return self.facts.number(f"cover.{name}.share")

    def where(self, name: str) -> str:
        return place_words(
            self.facts.value(f"cover.{name}.cells", [""]) if f"cover.{name}.cells" in self.facts else ["centre"]
        )


def statements(tile_id: str, facts: Facts) -> list[Statement]:
    """All statements that the facts support; a dimension without evidence is left out.

    A tile with targets gets the target schema, and every tile the landform schema.
    """
    writer = _Writer(tile_id, facts)
    if facts.number("target.count") > 0:
        _target_schema(writer)
    _landform_schema(writer)
    order = {(s, d): i for i, (s, d) in enumerate((s, d) for s, dims in DIMENSIONS.items() for d in dims)}
    return sorted(writer.done, key=lambda s: order[(s.schema, s.dimension)])


def _target_schema(w: _Writer) -> None:
    f = w.facts
    n = int(f.number("target.count"))
    ships = "ship" if n == 1 else "ships"
    w.write(
        "target",
        "count",
        [
            "{count} {noun} can be counted.",
            "There {be} {count} {noun} on the water.",
            "The frame shows {count} {noun}.",
        ],
        [("count", "number", number_word(n)), ("noun", "class", ships), ("be", "relation", "is" if n == 1 else "are")],
        ["target.count", "target.class"],
    )
    cells = f.value("target.cells", [""])
    w.write(
        "target",
        "location",
        ["The {noun} {lie} in {where} of the frame.", "Position: {where}."],
        [
            ("noun", "class", ships),
            ("lie", "relation", "lies" if n == 1 else "lie"),
            ("where", "position", place_words(cells)),
        ],
        ["target.cells"],
    )
    w.write(
        "target",
        "feature",
        ["{look} returns against dark water.", "They stand out as {look} points on a smooth dark surface."],
        [("look", "relation", "strong compact" if f.number("target.longest_m") < 120 else "strong elongated")],
        ["target.longest_m"],
    )
    length = f.number("target.length_m")
    w.write(
        "target",
        "size",
        ["The typical length is about {length} metres.", "Measured length: about {length} metres."],
        [("length", "size", str(max(10, round(length / 10) * 10)))],
        ["target.length_m"],
    )
    w.write(
        "target",
        "category",
        ["By its length the largest is a {category}.", "The largest has the size of a {category}."],
        [("category", "class", f.value("target.category", "small craft"))],
        ["target.category", "target.longest_m"],
    )
    if n > 1:
        w.write(
            "target",
            "distribution",
            ["The ships are {how}.", "Arrangement: {how}."],
            [("how", "relation", f.value("target.arrangement", "scattered"))],
            ["target.arrangement"],
        )
    kind = f.value("water.kind", "water")
    w.write(
        "target",
        "region",
        ["They lie on the {kind}.", "The water around is a {kind}."],
        [("kind", "class", kind)],
        ["water.kind"],
    )
    land = next((c for c in f.value("cover.order", [""]) if c not in ("water", "")), None)
    if land:
        w.write(
            "target",
            "environment",
            ["{cover} lies in {where}.", "The nearest land is {cover} in {where}."],
            [("cover", "class", _NOUN[land]), ("where", "position", w.where(land))],
            [f"cover.{land}.cells"],
        )
    else:
        w.write(
            "target",
            "environment",
            ["There is {cover} in the frame.", "All around is open water with {cover}."],
            [("cover", "class", "no land")],
            ["cover.order"],
        )


_RELIEF = ("the terrain is {kind}.", "this is {kind} terrain.", "terrain: {kind}.")


def _landform_schema(w: _Writer) -> None:
    f = w.facts
    order = [c for c in f.value("cover.order", [""]) if c in _NOUN]
    if not order:
        return
    w.write("landform", "terrain", _RELIEF, [("kind", "class", f.value("terrain.kind", "plain"))], ["terrain.kind"])
    w.write(
        "landform",
        "functionality",
        ["The area is {function}.", "It serves as {function}.", "Main function: {function}."],
        [("function", "class", f.value("function.main", "mixed"))],
        ["function.main"],
    )
    main = order[0]
    share = _percent(w.share(main))
    if len(order) > 1:
        second = order[1]
        w.write(
            "landform",
            "distribution",
            [
                "{main} covers about {share} percent, mostly {where}, followed by {second} in {where2}.",
                "About {share} percent is {main}, in {where}; {second} lies in {where2}.",
            ],
            [
                ("main", "class", _NOUN[main]),
                ("share", "number", share),
                ("where", "position", w.where(main)),
                ("second", "class", _NOUN[second]),
                ("where2", "position", w.where(second)),
            ],
            [f"cover.{main}.share", f"cover.{main}.cells", f"cover.{second}.cells"],
        )
    else:
        w.write(
            "landform",
            "distribution",
            ["{main} fills the frame, about {share} percent.", "Nearly everything is {main}, about {share} percent."],
            [("main", "class", _NOUN[main]), ("share", "number", share)],
            [f"cover.{main}.share"],
        )
    _layout(w)
    _buildings(w)
    _roads(w)
    _water(w)


def layout_word(f: Facts) -> str:
    """How the ground is laid out: what was answered, or else what the pattern measures."""
    if "layout.kind" in f:
        return f.value("layout.kind", "")
    grid, line, edges = f.number("pattern.grid"), f.number("pattern.line"), f.number("pattern.edge_density")
    if edges < 0.05:
        return "uniform"
    if line > 0.3:
        return "linear"
    if grid > 0.2:
        return "grid-like"
    return "patchy" if edges > 0.3 else "irregular"


def boundary_word(f: Facts) -> str | None:
    """How sharp the boundaries are: what was answered, or else what their step measures; None without either."""
    if "boundary.kind" in f:
        return f.value("boundary.kind", "")
    if "boundary.step_db" not in f:
        return None
    step = f.number("boundary.step_db")
    return "sharp" if step > 7 else "clear" if step > 4 else "gradual"


def density_word(share: float) -> str:
    """How densely a share of built-up cells stands, 0 to 1."""
    if share < 0.03:
        return "no"
    return "sparse" if share < 0.15 else "scattered" if share < 0.35 else "many" if share < 0.65 else "dense"


def _layout(w: _Writer) -> None:
    f = w.facts
    layout = layout_word(f)
    w.write(
        "landform",
        "layout",
        [
            "The layout is {layout}.",
            "Spatial layout: {layout}.",
            "The ground is laid out in an {layout} way."
            if layout[0] in "iu"
            else "The ground is laid out in a {layout} way.",
        ],
        [("layout", "relation", layout)],
        ["layout.kind"] if "layout.kind" in f else ["pattern.grid", "pattern.line", "pattern.edge_density"],
    )
    if (kind := boundary_word(f)) is not None:
        w.write(
            "landform",
            "boundary",
            ["Boundaries between the parts are {kind}.", "The transitions are {kind}."],
            [("kind", "relation", kind)],
            ["boundary.kind"] if "boundary.kind" in f else ["boundary.step_db"],
        )


def _buildings(w: _Writer) -> None:
    share = w.share("building")
    if density_word(share) == "no":
        w.write(
            "landform",
            "buildings",
            ["There are {density} buildings.", "{density} buildings stand out."],
            [("density", "number", "no")],
            ["cover.building.share"],
        )
        return
    density = density_word(share)
    w.write(
        "landform",
        "buildings",
        [
            "{density} buildings stand in {where}, about {share} percent of the frame.",
            "Buildings are {density}, in {where}, on about {share} percent.",
        ],
        [
            ("density", "number", density),
            ("where", "position", w.where("building")),
            ("share", "number", _percent(share)),
        ],
        ["cover.building.share", "cover.building.cells"],
    )


def _roads(w: _Writer) -> None:
    lines = int(w.facts.number("road.lines"))
    if lines == 0:
        w.write(
            "landform",
            "roads",
            ["{presence} main road can be made out.", "There is {presence} visible main road."],
            [("presence", "number", "no")],
            ["cover.road.share"],
        )
        return
    presence = "one" if lines == 1 else "two" if lines == 2 else "several"
    w.write(
        "landform",
        "roads",
        ["{presence} dark linear {noun} may be roads.", "Roads: {presence} dark {noun}."],
        [("presence", "number", presence), ("noun", "class", "trace" if lines == 1 else "traces")],
        ["road.lines"],
    )


def _water(w: _Writer) -> None:
    share = w.share("water")
    if share < 0.005 or "water.kind" not in w.facts:
        w.write(
            "landform",
            "water",
            ["There is {presence} open water.", "{presence} water body is visible."],
            [("presence", "number", "no")],
            ["cover.water.share"],
        )
        return
    kind = w.facts.value("water.kind", "water")
    if share < 0.03:
        w.write(
            "landform",
            "water",
            ["A small {kind} takes up a few percent at most.", "Water is limited to a small {kind}."],
            [("kind", "class", kind)],
            ["water.kind", "cover.water.share"],
        )
        return
    w.write(
        "landform",
        "water",
        ["A {kind} covers about {share} percent, in {where}.", "Water: a {kind} in {where}, about {share} percent."],
        [("kind", "class", kind), ("share", "number", _percent(share)), ("where", "position", w.where("water"))],
        ["water.kind", "cover.water.share", "cover.water.cells"],
    )
