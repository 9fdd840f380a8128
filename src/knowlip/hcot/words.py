"""Values in words: what a person would say for a number, a place in the frame, a share or a measured pattern."""

from __future__ import annotations

from collections.abc import Sequence

from knowlip.hcot.view import Facts

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

COVER_NOUN = {
    "water": "water",
    "woodland": "woodland",
    "farmland": "farmland",
    "building": "built-up land",
    "road": "roads",
    "bare": "bare ground",
}
"""What a land-cover class is called in a sentence; only roads are plural."""

_TARGET_NOUN = {"ship": ("ship", "ships"), "aircraft": ("aircraft", "aircraft")}

_SIDES = {
    "upper two thirds": {"upper left", "upper centre", "upper right", "middle left", "centre", "middle right"},
    "lower two thirds": {"lower left", "lower centre", "lower right", "middle left", "centre", "middle right"},
    "left two thirds": {"upper left", "middle left", "lower left", "upper centre", "centre", "lower centre"},
    "right two thirds": {"upper right", "middle right", "lower right", "upper centre", "centre", "lower centre"},
    "upper part": {"upper left", "upper centre", "upper right"},
    "lower part": {"lower left", "lower centre", "lower right"},
    "left part": {"upper left", "middle left", "lower left"},
    "right part": {"upper right", "middle right", "lower right"},
}


def number_word(n: int) -> str:
    """Small numbers in words, as the published statements have them."""
    return _NUMBERS[n] if n < len(_NUMBERS) else str(n)


def percent(share: float) -> str:
    """A share, 0 to 1, in steps that a measurement of this kind supports: 5 % up to 20, then 10 %."""
    value = share * 100
    step = 5 if value < 20 else 10
    return str(max(step, round(value / step) * step))


def metres(length_m: float) -> str:
    """A length to ten metres, and never none."""
    return str(max(10, round(length_m / 10) * 10))


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


def target_noun(cls: str, n: int) -> str:
    """A class of targets in the number that there are of it."""
    one, many = _TARGET_NOUN.get(cls, (cls, f"{cls}s"))
    return one if n == 1 else many


def article(words: str) -> str:
    """`a` or `an`, by the sound that comes next, numbers by how they are read; `the` sea, as there is but one."""
    if words == "sea":
        return "the"
    first = words.split()[0].lower().split("-")[0] if words.strip() else ""
    if first.isdigit():
        return "an" if first[0] == "8" or (first in ("11", "18")) else "a"
    if first.startswith(("uni", "use", "usu", "eu", "one", "once")):
        return "a"
    return "an" if first[:1] in tuple("aeiou") else "a"


def layout_word(f: Facts) -> str:
    """How the ground is laid out: what was answered, or else what the pattern measures."""
    if "layout.kind" in f:
        return f.value("layout.kind", "")
    grid, line, edges = f.number("pattern.grid"), f.number("pattern.line"), f.number("pattern.edge_density")
    if edges < _UNIFORM:
        return "uniform"
    if line > _LINEAR:
        return "linear"
    if grid > _GRID:
        return "grid-like"
    return "patchy" if edges > _PATCHY else "irregular"


_UNIFORM, _PATCHY, _LINEAR, _GRID = 0.04, 0.15, 0.4, 0.3
"""Cells' borders per cell, and coherence of edges, on cells classified by radar. Radar sees two borders of five: ground
with 0.3 borders a cell, of 20 m, comes out with 0.15 (simulated scenes, `--seed 3`)."""


def boundary_word(f: Facts) -> str | None:
    """How sharp the boundaries are: what was answered, or else what their step measures; None without either."""
    if "boundary.kind" in f:
        return f.value("boundary.kind", "")
    if "boundary.step_db" not in f:
        return None
    step = f.number("boundary.step_db")
    return "sharp" if step > _SHARP_DB else "clear" if step > _CLEAR_DB else "gradual"


_CLEAR_DB, _SHARP_DB = 4.0, 9.0
"""Classes that levels sort lie further apart than the ground's: 9 dB come out where 7 are (simulated, `--seed 3`)."""


def density_word(share: float) -> str:
    """How densely a share of built-up cells stands, 0 to 1."""
    if share < 0.03:
        return "no"
    return "sparse" if share < 0.15 else "scattered" if share < 0.35 else "many" if share < 0.65 else "dense"
