"""Rules as they stand in YAML files, read and checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from knowlip.core.errors import ConfigError
from knowlip.core.statements import Fact
from knowlip.hcot.rules.expressions import Expression, parse, parse_text, reads

Consequence = Literal["drop", "replace", "lower"]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RuleText(_Strict):
    """A rule as it is written.

    Attributes:
        name: Unique, in words.
        says: One sentence for a person: what holds in the world.
        doubts: Facts that the rule speaks against; `*` stands for one or more parts of a name.
        when: The contradiction, an expression.
        then: What becomes of the doubted fact when the evidence, which is what `when` reads, is at least as strong.
        value: With `replace`: an expression; the measured value of the same fact without it.
        along: Facts that are dropped with it.
        confirms: Whether a fact that this rule can tell about, and is silent on, is thereby confirmed.
        why: What was found, in words, with expressions in braces.
        source: Of a published or physical bound.
        example: Facts under which the rule speaks.
        counter: Facts under which it does not.
    """

    name: str
    says: str
    doubts: Names
    when: str
    then: Consequence
    value: str | None = None
    along: Names = ()
    confirms: bool = False
    why: str
    source: str | None = None
    example: dict[str, Any]
    counter: dict[str, Any]


class SourceClass(_Strict):
    """How far a class of sources is trusted: the strength of a fact is its confidence times this weight.

    Attributes:
        sources: Patterns of facts' sources.
    """

    name: str
    weight: Annotated[float, Field(gt=0, le=1)]
    sources: Names


class RuleFile(_Strict):
    """One YAML file of the rule base."""

    sources: tuple[SourceClass, ...] = ()
    tables: dict[str, dict[str, float]] = {}
    rules: tuple[RuleText, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A rule, ready to be applied; the other attributes are those of `RuleText`.

    Attributes:
        measured_alone: Whether it holds a fact against the measurements alone, and not against other facts in question.
        compares: Whether it sets a fact beside its own measurement, and so is silent where nobody claims anything.
        reads: Names of the facts that `when` reads; of those that it puts together, the beginning.
    """

    text: RuleText
    doubts: tuple[re.Pattern[str], ...]
    when: Expression
    value: Expression | None
    why: Expression
    measured_alone: bool
    compares: bool
    reads: tuple[str, ...]

    def part(self, name: str) -> str | None:
        """What the first `*` stands for in a fact's name, empty without one; None when the rule does not doubt it."""
        for pattern in self.doubts:
            if fits := pattern.fullmatch(name):
                return fits[1] if fits.lastindex else ""
        return None

    def may_read(self, names: Collection[str]) -> bool:
        """Whether its condition may read one of these facts."""
        return any(n.startswith(self.reads) for n in names)


_TABLES = re.compile(r"\btable\('([^']+)'")
_BOUND = ("this", "measured", "which")


@dataclass(frozen=True)
class RuleBase:
    """All rules, tables and classes of sources."""

    rules: tuple[Rule, ...]
    tables: dict[str, dict[str, float]]
    sources: tuple[SourceClass, ...]
    _doubting: dict[str, list[tuple[Rule, str]]] = field(default_factory=dict, repr=False, compare=False)
    _reading: dict[frozenset[str], frozenset[str]] = field(default_factory=dict, repr=False, compare=False)

    def doubting(self, name: str) -> list[tuple[Rule, str]]:
        """The rules that speak about a fact, each with what its `*` stands for."""
        if name not in self._doubting:
            self._doubting[name] = [(r, part) for r in self.rules if (part := r.part(name)) is not None]
        return self._doubting[name]

    def reading(self, names: frozenset[str]) -> frozenset[str]:
        """Names of the rules whose condition may read one of these facts."""
        if names not in self._reading:
            self._reading[names] = frozenset(r.text.name for r in self.rules if r.may_read(names))
        return self._reading[names]

    def weight(self, fact: Fact) -> float:
        """How far the class of a fact's source is trusted; 1 for measurements, which no class names."""
        for kind in self.sources:
            if any(fnmatchcase(fact.source, pattern) for pattern in kind.sources):
                return kind.weight
        return 1.0


@cache
def rule_base() -> RuleBase:
    """The rules that come with the package."""
    folder = files("knowlip.hcot.rules")
    return read_rules(sorted(Path(str(p)) for p in folder.iterdir() if p.name.endswith(".yaml")))


def read_rules(paths: Sequence[Path]) -> RuleBase:
    """Rules from YAML files.

    Raises:
        ConfigError: A file cannot be read, a key is unknown or missing, an expression is none, a name is taken, or a
            table is missing.
    """
    rules: dict[str, Rule] = {}
    tables: dict[str, dict[str, float]] = {}
    sources: list[SourceClass] = []
    for path in paths:
        try:
            read = RuleFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(path, f"cannot be read as YAML ({error})", "Check the path and its syntax") from error
        except ValidationError as error:
            detail = error.errors()[0]
            where = ".".join(str(p) for p in detail["loc"])
            raise ConfigError(f"{path}, {where}", detail["msg"], "See docs/how-to/rules.md for the keys") from error
        tables |= read.tables
        sources += read.sources
        for text in read.rules:
            if text.name in rules:
                raise ConfigError(f"{path}, {text.name}", "there is a rule of this name", "Give it another name")
            rules[text.name] = _compiled(path, text)
    for rule in rules.values():
        texts = (rule.text.when, rule.text.value or "", rule.text.why)
        if missing := {t for text in texts for t in _TABLES.findall(text)} - set(tables):
            raise ConfigError(f"rule {rule.text.name}", f"there is no table '{min(missing)}'", "Add it under tables:")
    return RuleBase(tuple(rules.values()), tables, tuple(sources))


def _compiled(path: Path, text: RuleText) -> Rule:
    try:
        names = reads(text.when)
        return Rule(
            text,
            tuple(_pattern(p) for p in text.doubts),
            parse(text.when),
            None if text.value is None else parse(text.value),
            parse_text(text.why),
            all(n in _BOUND or n.startswith("ground.") for n in names),
            "measured" in names,
            tuple(n.removeprefix("ground.").split("*")[0] for n in sorted(names)),
        )
    except ValueError as error:
        raise ConfigError(
            f"{path}, {text.name}", str(error), "See docs/how-to/rules.md for what may be written"
        ) from error


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", "(.+)"))


def matches(pattern: str, name: str) -> bool:
    """Whether a fact's name fits a pattern with `*`."""
    return fnmatchcase(name, pattern)
