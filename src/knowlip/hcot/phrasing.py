"""Phrases: sentences with places for values, written by people in YAML, and the small engine that fills them.

A phrase is a line of English with

- `{name}`: the value of a slot, `{a name}` with its article. A phrase is used only where all its slots are known.
- `[one|other|]`: ways to say the same, of which one is taken.
- `lies/lie`: singular and plural, after the phrase's own subject; `where:holds/hold` after what fills a slot.
- `<is~appears to be>`: what is said for sure, and what where the evidence is weak. A phrase without such a choice is
  used only where the evidence is not.

Which phrase and which ways are taken follows from a key alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from knowlip.core.statements import Slot, SlotKind
from knowlip.hcot.words import article

HEDGE_BELOW = 0.5
"""Confidence under which a sentence hedges: what is as likely wrong as right is not asserted."""

HEDGES = re.compile(
    r"\b(possibl[ey]|probabl[ey]|perhaps|likely|apparent(ly)?|appears? to|seems?|may|might|could be"
    r"|suggests?|tentatively|presumably|if any)\b",
    re.IGNORECASE,
)
"""Words that take an assertion back."""

_TOKEN = re.compile(
    r"\{(?P<article>a )?(?P<slot>[\w.]+)\}"
    r"|(?:(?P<subject>[\w.]+):)?(?P<one>\w+)/(?P<many>\w+)"
    r"|(?P<mark>[\[\]|<>~])"
)


@dataclass(frozen=True)
class Value:
    """What a slot is filled with.

    Attributes:
        facts: Names of the facts that it says.
        plural: Whether words that agree with it take the plural.
    """

    kind: SlotKind
    text: str
    facts: tuple[str, ...]
    plural: bool = False


@dataclass(frozen=True)
class Fill:
    """A slot's place, perhaps after `a` or `an`."""

    name: str
    article: bool


@dataclass(frozen=True)
class Agree:
    """A word in singular and plural; `subject` is the slot whose number counts, the phrase's own subject when empty."""

    subject: str
    one: str
    many: str


@dataclass(frozen=True)
class Either:
    """Ways to say the same."""

    ways: tuple[Parts, ...]


@dataclass(frozen=True)
class Hedge:
    """What is said for sure, and what where it is not."""

    sure: Parts
    unsure: Parts


Part = str | Fill | Agree | Either | Hedge
Parts = tuple[Part, ...]


@dataclass(frozen=True)
class Phrase:
    """A phrase, parsed.

    Attributes:
        slots: Names of all its slots.
        hedges: Whether it can be said of weak evidence.
    """

    source: str
    parts: Parts
    slots: frozenset[str]
    hedges: bool


@dataclass(frozen=True)
class Said:
    """A filled phrase.

    Attributes:
        facts: What it rests on.
        confidence: The smallest of these facts'.
    """

    text: str
    slots: tuple[Slot, ...]
    facts: tuple[str, ...]
    confidence: float


def parse(source: str) -> Phrase:
    """Read a phrase.

    Raises:
        ValueError: A bracket is not closed, or closes nothing; ways to say the same name different slots.
    """
    tokens = list(_tokens(source))
    parts, rest = _parts(tokens, 0, "", source)
    if rest != len(tokens):
        raise ValueError(f"phrase '{source}' closes what it did not open")
    inside = list(_walk(parts))
    if any(len({_filled(way) for way in p.ways}) > 1 for p in inside if isinstance(p, Either)):
        raise ValueError(f"phrase '{source}' names a slot in one way and not in another; write two phrases")
    slots = _filled(parts) | {p.subject for p in inside if isinstance(p, Agree)}
    return Phrase(source, parts, frozenset(slots - {""}), any(isinstance(p, Hedge) for p in inside))


def _tokens(source: str) -> Iterator[str | Fill | Agree]:
    """Literal text, slots and agreements; brackets and what divides them are single characters after a NUL."""
    last = 0
    for found in _TOKEN.finditer(source):
        if found.start() > last:
            yield source[last : found.start()]
        last = found.end()
        if found["slot"]:
            yield Fill(found["slot"], bool(found["article"]))
        elif found["one"]:
            yield Agree(found["subject"] or "", found["one"], found["many"])
        else:
            yield "\0" + found["mark"]
    if last < len(source):
        yield source[last:]


def _parts(tokens: Sequence[str | Fill | Agree], at: int, until: str, source: str) -> tuple[Parts, int]:
    """Parts up to one of the characters `until`, and where it stands."""
    found: list[Part] = []
    while at < len(tokens):
        token = tokens[at]
        if not isinstance(token, str) or token[0] != "\0":
            found.append(token)
        elif token[1] in until:
            return tuple(found), at
        elif token[1] == "[":
            ways, at = _between(tokens, at, "|", "]", source)
            found.append(Either(ways))
        elif token[1] == "<":
            ways, at = _between(tokens, at, "~", ">", source)
            if len(ways) != 2:
                raise ValueError(f"phrase '{source}' hedges in other than two ways")
            found.append(Hedge(*ways))
        else:
            raise ValueError(f"phrase '{source}' has a stray {token[1]}")
        at += 1
    if until:
        raise ValueError(f"phrase '{source}' does not close with one of {until}")
    return tuple(found), at


def _between(
    tokens: Sequence[str | Fill | Agree], at: int, divider: str, end: str, source: str
) -> tuple[tuple[Parts, ...], int]:
    ways = []
    while tokens[at] != "\0" + end:
        way, at = _parts(tokens, at + 1, divider + end, source)
        ways.append(way)
    return tuple(ways), at


def _walk(parts: Parts) -> Iterator[Part]:
    for part in parts:
        yield part
        inner = part.ways if isinstance(part, Either) else (part.sure, part.unsure) if isinstance(part, Hedge) else ()
        for way in inner:
            yield from _walk(way)


def _filled(parts: Parts) -> frozenset[str]:
    return frozenset(p.name for p in _walk(parts) if isinstance(p, Fill))


@cache
def phrasebook(name: str) -> Mapping[str, Any]:
    """A file of `knowlip/hcot/phrases`, its lines parsed; not to be changed."""
    text = resources.files("knowlip.hcot").joinpath("phrases", f"{name}.yaml").read_text("utf-8")

    def parsed(node: Any) -> Any:
        if isinstance(node, dict):
            return {k: parsed(v) for k, v in node.items()}
        return tuple(parsed(v) for v in node) if isinstance(node, list) else parse(node)

    return parsed(yaml.safe_load(text))


def say(
    phrases: Sequence[Phrase],
    key: str,
    values: Mapping[str, Value],
    confidence: Mapping[str, float],
    plural: bool = False,
    rests_on: Sequence[str] = (),
) -> Said | None:
    """One of the phrases, filled; None where none can be.

    Args:
        key: What chooses.
        values: Of the slots that are known.
        confidence: Of every fact.
        plural: Whether the phrases' own subject is more than one.
        rests_on: Facts that every one of the phrases says, whatever its slots.
    """
    base = min((confidence[f] for f in rests_on), default=1.0)
    able = []
    for phrase in phrases:
        if phrase.slots <= values.keys():
            sure = min((confidence[f] for n in phrase.slots for f in values[n].facts), default=1.0)
            if phrase.hedges or min(sure, base) >= HEDGE_BELOW:
                able.append((phrase, min(sure, base)))
    if not able:
        return None
    chance = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
    chance, chosen = divmod(chance, len(able))
    phrase, sure = able[chosen]
    filling = _Filling(values, plural, sure < HEDGE_BELOW, chance)
    filling.add(phrase.parts)
    facts = dict.fromkeys([*rests_on, *(f for slot in filling.slots for f in values[slot[0]].facts)])
    text = "".join(filling.text)
    text = text[:1].upper() + text[1:]
    slots = tuple(Slot(n, values[n].kind, text[a:b], a, b) for n, a, b in filling.slots)
    return Said(text, slots, tuple(facts), min((confidence[f] for f in facts), default=1.0))


@dataclass
class _Filling:
    """A phrase on its way to text; `chance` is spent on choices."""

    values: Mapping[str, Value]
    plural: bool
    unsure: bool
    chance: int

    def __post_init__(self) -> None:
        self.text: list[str] = []
        self.slots: list[tuple[str, int, int]] = []
        self.length = 0

    def _append(self, text: str) -> None:
        self.text.append(text)
        self.length += len(text)

    def add(self, parts: Parts) -> None:
        for part in parts:
            if isinstance(part, str):
                self._append(part)
            elif isinstance(part, Fill):
                value = self.values[part.name].text
                if part.article:
                    self._append(article(value) + " ")
                self.slots.append((part.name, self.length, self.length + len(value)))
                self._append(value)
            elif isinstance(part, Agree):
                plural = self.values[part.subject].plural if part.subject else self.plural
                self._append(part.many if plural else part.one)
            elif isinstance(part, Hedge):
                self.add(part.unsure if self.unsure else part.sure)
            else:
                self.chance, way = divmod(self.chance, len(part.ways))
                self.add(part.ways[way])


def joined(parts: Sequence[Said]) -> Said:
    """Sentences as one paragraph."""
    slots: list[Slot] = []
    at = 0
    for said in parts:
        slots += [Slot(s.name, s.kind, s.value, s.start + at, s.end + at) for s in said.slots]
        at += len(said.text) + 1
    facts = tuple(dict.fromkeys(f for said in parts for f in said.facts))
    return Said(" ".join(s.text for s in parts), tuple(slots), facts, min(s.confidence for s in parts))
