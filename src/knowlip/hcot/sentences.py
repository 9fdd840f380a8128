"""Facts into statements: eight dimensions a schema, each in one of the phrases of its file, checkable words as slots.

What can be said of a dimension is its `Content`: the values that the facts give, and which case of its phrases fits.
How it is said is data, in `knowlip/hcot/phrases`. The value of a slot is always the same word for the same thing; only
the words around it vary, so that a model that learns from slots learns about the ground and not about synonyms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from knowlip.core.statements import DIMENSIONS, Fact, Schema, SlotKind, Statement
from knowlip.hcot.phrasing import Value, phrasebook, say
from knowlip.hcot.view import Facts
from knowlip.hcot.words import (
    COVER_NOUN,
    boundary_word,
    density_word,
    layout_word,
    metres,
    number_word,
    percent,
    place_words,
    target_noun,
)

MISSING = "statement.missing"
"""The fact that lists what a tile's statements do not say, and why."""

SMALL_WATER_SHARE = 0.03
NO_WATER_SHARE = 0.005
NO_ROAD_SHARE, SOME_ROADS_SHARE = 0.01, 0.025
"""Expected shares of pavement below which there is no main road, and from which there are roads, traced or not."""
STREETS_SHARE = 0.1
"""Built-up share from which what is not traced runs between buildings."""
NO_BORDERS = 0.002
"""Borders a cell: a single spot of a few dozen cells in a tile of 256 pixels."""


@dataclass(frozen=True)
class Content:
    """What the facts say about one dimension.

    Attributes:
        case: The section of the dimension's phrases.
        values: The slots that are known, by name.
        rests_on: Facts that every phrase of the case says.
        plural: Whether the subject is more than one.
    """

    case: str
    values: Mapping[str, Value]
    rests_on: tuple[str, ...] = ()
    plural: bool = False


Told = Content | str
"""Content, or why there is none."""


def statements(tile_id: str, facts: Facts) -> list[Statement]:
    """All statements that the facts support; a dimension without evidence is left out.

    A tile with targets gets the target schema, and every tile the landform schema.
    """
    confidence = {f.name: f.confidence for f in facts}
    made = []
    for (schema, dimension), told in contents(facts).items():
        if isinstance(told, str):
            continue
        said = say(
            phrasebook(schema)[dimension][told.case],
            f"{tile_id}/{schema}/{dimension}",
            told.values,
            confidence,
            told.plural,
            told.rests_on,
        )
        if said is not None:
            made.append(Statement(schema, dimension, said.text, said.slots, said.facts, said.confidence))
    return made


def missing(facts: Facts) -> Fact | None:
    """The fact that says which dimensions are not written and why; None when all are."""
    reasons: list[str] = []
    told = contents(facts)
    for schema, dimensions in DIMENSIONS.items():
        why = {d: t for d in dimensions if isinstance(t := told[schema, d], str)}
        if len(why) == len(dimensions) and len(set(why.values())) == 1:
            reasons.append(f"{schema}: {next(iter(why.values()))}")
        else:
            reasons += [f"{schema}/{d}: {reason}" for d, reason in why.items()]
    return Fact(MISSING, reasons, 5, "sentences", 1.0) if reasons else None


def contents(facts: Facts) -> dict[tuple[Schema, str], Told]:
    """What can be said of every dimension of both schemas, in their order, or why nothing can."""
    return {(s, d): _CONTENT[s][d](facts) for s, dimensions in DIMENSIONS.items() for d in dimensions}


def _value(kind: SlotKind, text: str, *facts: str, plural: bool = False) -> Value:
    return Value(kind, text, facts, plural)


def _place(cells: Sequence[str], fact: str) -> Value:
    text = place_words(cells)
    return Value("position", text, (fact,), " and " in text or text.endswith("thirds"))


def _cover(name: str) -> Value:
    return _value("class", COVER_NOUN[name], "cover.order", plural=name == "road")


def _not_known(*facts: str) -> str:
    return f"{' and '.join(facts)} not known"


def _cells(f: Facts, cover: str) -> dict[str, Value]:
    """Where a class lies, as the slot `where`, if that is known."""
    name = f"cover.{cover}.cells"
    cells = f.value(name, [""])
    return {"where": _place(cells, name)} if cells and cells[0] else {}


def _order(f: Facts) -> list[str]:
    return [c for c in f.value("cover.order", [""]) if c in COVER_NOUN]


# the landform schema


def _terrain(f: Facts) -> Told:
    kind = f.value("terrain.kind", "")
    if not kind:
        return _not_known("terrain.kind")
    values = {"kind": _value("class", kind, "terrain.kind")}
    if "elevation.relief_m" in f:
        values["relief"] = _value("size", metres(f.number("elevation.relief_m")), "elevation.relief_m")
    return Content("water" if kind == "open water" else "land", values)


def _functionality(f: Facts) -> Told:
    function = f.value("function.main", "")
    if not function:
        return _not_known("function.main")
    return Content("any", {"function": _value("class", function, "function.main")})


def _distribution(f: Facts) -> Told:
    order = _order(f)
    if not order:
        return _not_known("cover.order")
    main = order[0]
    share, where = f"cover.{main}.share", _cells(f, main)
    if share not in f:
        return _not_known(share)
    values = {
        "main": _cover(main),
        "share": _value("number", percent(f.number(share)), share),
        **where,
    }
    if len(order) > 1 and where and (second := _cells(f, order[1])):
        values |= {"second": _cover(order[1]), "where2": second["where"]}
        return Content("several", values, plural=main == "road")
    return Content("one", values, plural=main == "road")


def _layout(f: Facts) -> Told:
    measured = ("pattern.grid", "pattern.line", "pattern.edge_density")
    basis = ("layout.kind",) if "layout.kind" in f else measured
    if not all(n in f for n in basis):
        return _not_known(*(n for n in measured if n not in f))
    return Content("any", {"layout": _value("relation", layout_word(f), *basis)})


def _boundary(f: Facts) -> Told:
    kind = boundary_word(f)
    if kind is None:
        order = _order(f)
        if len(order) == 1 and f.number("pattern.edge_density", 1.0) < NO_BORDERS:
            return Content(
                "none", {"presence": _value("number", "no", "pattern.edge_density"), "main": _cover(order[0])}
            )
        return "too few borders between classes to measure"
    return Content(
        "any", {"kind": _value("relation", kind, "boundary.kind" if "boundary.kind" in f else "boundary.step_db")}
    )


def _buildings(f: Facts) -> Told:
    if "cover.building.share" not in f:
        return _not_known("cover.building.share")
    share = f.number("cover.building.share")
    density = _value("number", density_word(share), "cover.building.share")
    if density.text == "no":
        return Content("none", {"density": density})
    where = _cells(f, "building")
    if not where:
        return _not_known("cover.building.cells")
    return Content(
        "some", {"density": density, "share": _value("number", percent(share), "cover.building.share"), **where}
    )


def _roads(f: Facts) -> Told:
    lines = int(f.number("road.lines"))
    if lines == 0:
        if "cover.road.share" not in f and "road.lines" not in f:
            return _not_known("road.lines", "cover.road.share")
        if f.number("cover.road.share") >= NO_ROAD_SHARE:
            return _untraced(f)
        basis = "road.lines" if "road.lines" in f else "cover.road.share"
        return Content("none", {"presence": _value("number", "no", basis)})
    presence = "one" if lines == 1 else "two" if lines == 2 else "several"
    return Content(
        "some",
        {
            "presence": _value("number", presence, "road.lines"),
            "noun": _value("class", "trace" if lines == 1 else "traces", "road.lines", plural=lines > 1),
            **_cells(f, "road"),
        },
        plural=lines > 1,
    )


def _untraced(f: Facts) -> Told:
    """Roads of which the ground's mixture tells, while none is wide or long enough to be traced."""
    if f.number("cover.road.share") < SOME_ROADS_SHARE:
        return "roads are as likely as not, and none can be traced"
    values = {"presence": _value("number", "some", "cover.road.share")}
    if "image.gsd_m" in f:
        values["gsd"] = _value("size", f"{f.number('image.gsd_m'):.3g}", "image.gsd_m")
    if f.number("cover.building.share") >= STREETS_SHARE:
        return Content("streets", values, ("cover.building.share",), True)
    return Content("untraced", values, (), True)


def _water(f: Facts) -> Told:
    if "cover.water.share" not in f:
        return _not_known("cover.water.share")
    share, kind = f.number("cover.water.share"), f.value("water.kind", "")
    # no more than a trace, of which no cell is water
    if share < NO_WATER_SHARE or (not kind and share < SMALL_WATER_SHARE):
        return Content("none", {"presence": _value("number", "no", "cover.water.share")})
    if not kind:
        return _not_known("water.kind")
    values = {"kind": _value("class", kind, "water.kind")}
    if share < SMALL_WATER_SHARE:
        return Content("edge" if kind == "sea" else "small", values, ("cover.water.share",))
    where = _cells(f, "water")
    if not where:
        return _not_known("cover.water.cells")
    return Content("some", values | where | {"share": _value("number", percent(share), "cover.water.share")})


# the target schema


def _none_found(f: Facts) -> str:
    doubt = f.value("target.doubt", "")
    return f"the number of targets is in doubt: {doubt}" if doubt else "no target was detected"


def _targets(content: Callable[[Facts, int, str], Told]) -> Callable[[Facts], Told]:
    """Content of tiles that have targets: `content(facts, number, class)`."""

    def of(f: Facts) -> Told:
        n = int(f.number("target.count", len(f.value("target.positions", [0.0])) // 2))
        return content(f, n, f.value("target.class", "ship")) if n > 0 else _none_found(f)

    return of


def _noun(f: Facts, n: int, cls: str) -> dict[str, Value]:
    """What the targets are called, as the slot `noun`, if their class is known."""
    word = _value("class", target_noun(cls, n), "target.class", plural=n > 1)
    return {"noun": word} if "target.class" in f else {}


@_targets
def _count(f: Facts, n: int, cls: str) -> Told:
    if "target.count" not in f:
        return _none_found(f)
    if "target.class" not in f:
        return _not_known("target.class")
    # a number in doubt rests on the reason why it is
    doubt = ("target.doubt",) if "target.doubt" in f else ()
    if "target.least" in f:
        least = int(f.number("target.least"))
        said = {"least": _value("number", number_word(least), "target.least"), **_noun(f, least, cls)}
        return Content("least", said, doubt, least > 1)
    said = {"count": _value("number", number_word(n), "target.count"), **_noun(f, n, cls)}
    return Content("any", said, doubt, n > 1)


@_targets
def _location(f: Facts, n: int, cls: str) -> Told:
    if "target.cells" not in f:
        return _not_known("target.cells")
    where = _place(f.value("target.cells", [""]), "target.cells")
    return Content("any", {**_noun(f, n, cls), "where": where}, (), n > 1)


@_targets
def _feature(f: Facts, n: int, cls: str) -> Told:
    if "target.longest_m" not in f:
        return _not_known("target.longest_m")
    long = f.number("target.longest_m") >= (120 if cls == "ship" else 40)
    look = _value("relation", "strong elongated" if long else "strong compact", "target.longest_m")
    return Content("ship" if cls == "ship" else "other", {"look": look}, (), n > 1)


@_targets
def _size(f: Facts, n: int, cls: str) -> Told:
    if "target.length_m" not in f:
        return _not_known("target.length_m")
    values = {"length": _value("size", metres(f.number("target.length_m")), "target.length_m")}
    if "target.width_m" in f:
        values["width"] = _value("size", metres(f.number("target.width_m")), "target.width_m")
    if n > 1 and "target.longest_m" in f:
        values["longest"] = _value("size", metres(f.number("target.longest_m")), "target.longest_m")
    return Content("several" if n > 1 else "one", values, (), n > 1)


@_targets
def _category(f: Facts, n: int, cls: str) -> Told:
    category = f.value("target.category", "")
    if not category:
        return _not_known("target.category")
    return Content("several" if n > 1 else "one", {"category": _value("class", category, "target.category")})


@_targets
def _arrangement(f: Facts, n: int, cls: str) -> Told:
    if n == 1:
        return "there is one target only"
    how = f.value("target.arrangement", "")
    if not how:
        return _not_known("target.arrangement")
    return Content("any", {**_noun(f, n, cls), "how": _value("relation", how, "target.arrangement")}, (), True)


@_targets
def _region(f: Facts, n: int, cls: str) -> Told:
    if cls == "ship" and "target.cells" not in f:
        return _not_known("target.cells")
    name = "water.kind" if cls == "ship" else "target.region"
    kind = f.value(name, "")
    if not kind:
        return _not_known(name)
    return Content("ship" if cls == "ship" else "other", {"kind": _value("class", kind, name)}, (), n > 1)


@_targets
def _environment(f: Facts, n: int, cls: str) -> Told:
    if "cover.order" not in f:
        return _not_known("cover.order")
    around = next((c for c in _order(f) if c != "water"), None)
    if around is None:
        return Content("open", {"cover": _value("class", "no land", "cover.order")}, (), n > 1)
    values = {"cover": _cover(around), **_cells(f, around)}
    return Content("near", values) if "where" in values else _not_known(f"cover.{around}.cells")


_CONTENT: dict[Schema, dict[str, Callable[[Facts], Told]]] = {
    "target": {
        "count": _count,
        "location": _location,
        "feature": _feature,
        "size": _size,
        "category": _category,
        "distribution": _arrangement,
        "region": _region,
        "environment": _environment,
    },
    "landform": {
        "terrain": _terrain,
        "functionality": _functionality,
        "distribution": _distribution,
        "layout": _layout,
        "boundary": _boundary,
        "buildings": _buildings,
        "roads": _roads,
        "water": _water,
    },
}
