"""Contradictions settled: the weaker side loses, what cannot be decided is marked, and nothing vanishes silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from knowlip.core.statements import Fact, FactValue
from knowlip.hcot.rules.rule import Rule, RuleBase, matches, rule_base
from knowlip.hcot.view import Facts

SETTLED = "settled."
"""Prefix of the facts that say what became of a fact, and why."""

DISPUTED = 0.4
"""Highest confidence of a fact that stands against evidence too weak to take its place."""

_MOST_ROUNDS = 12

Outcome = Literal["dropped", "replaced", "lowered"]


@dataclass(frozen=True)
class Verdict:
    """What a rule makes of a fact.

    Attributes:
        fact: Its name.
        strength: Of the evidence against it.
        instead: What takes its place when it is replaced.
        along: Names of the facts that go with it.
    """

    fact: str
    outcome: Outcome
    rule: str
    strength: float
    why: str
    instead: Fact | None = None
    along: tuple[str, ...] = ()

    @property
    def rank(self) -> tuple[bool, float, bool, str]:
        """The order in which verdicts on one fact prevail."""
        return self.outcome != "lowered", self.strength, self.outcome == "replaced", self.rule


class _Scope:
    """Values for a rule's expressions, and a record of the evidence that they read."""

    def __init__(self, base: RuleBase, facts: Facts, ground: Facts, doubted: str, which: str) -> None:
        self.base, self.facts, self.ground, self.doubted, self.which = base, facts, ground, doubted, which
        self.evidence: dict[str, Fact] = {}
        self.counts = True

    def look_up(self, name: str) -> FactValue | None:
        if name == "which":
            return self.which
        if name == "measured":
            name = f"ground.{self.doubted}"
        grounded = name.startswith("ground.")
        where, plain = (self.ground, name[len("ground.") :]) if grounded else (self.facts, name)
        if plain == "this":
            plain = self.doubted
        if plain not in where:
            return None
        if self.counts and (plain != self.doubted or (grounded and self.ground is not self.facts)):
            self.evidence[name] = where[plain]
        return where[plain].value

    def matching(self, pattern: str) -> list[FactValue]:
        names = [f.name for f in self.facts if matches(pattern, f.name)]
        return [value for name in names if (value := self.look_up(name)) is not None]

    def table(self, name: str, key: str) -> float | None:
        return self.base.tables[name].get(key)


def strength(base: RuleBase, facts: Facts, fact: Fact) -> float:
    """Confidence times the weight of the source's class; of a fact marked as disputed, what it was before."""
    marked = fact.name in facts and _disputed(facts, fact.name)
    return (facts[SETTLED + fact.name] if marked else fact).confidence * base.weight(fact)


def examine(name: str, facts: Facts, ground: Facts | None = None, base: RuleBase | None = None) -> Examination:
    """What the rules say about one fact; nothing is changed.

    Args:
        facts: All facts, that one among them.
        ground: What was measured; the facts themselves without it.
    """
    base = base or rule_base()
    return _examine(base, base.doubting(name), name, facts, facts if ground is None else ground)


@dataclass(frozen=True)
class Examination:
    """Of one fact.

    Attributes:
        verdict: The strongest; None when nothing speaks against the fact.
        checked: Whether a rule that confirms what it is silent on could tell by other evidence.
    """

    verdict: Verdict | None
    checked: bool


def settle(
    facts: Facts, ground: Facts | None = None, base: RuleBase | None = None, added: frozenset[str] = frozenset()
) -> Facts:
    """Facts without contradictions, as far as evidence can decide them.

    Facts are first held against what was measured, and then against each other, so that a wrong fact does not take a
    right one with it. In each round all rules see the same facts, so that their order does not matter, and the rounds
    end when no rule has anything new to say. What became of a fact is said in a fact `settled.NAME` with the reason.

    Args:
        ground: What was measured and known before anybody claimed anything; the facts themselves without it.
        added: Names of facts that are new since no rule had anything to say; only rules about these are asked again.
    """
    base = base or rule_base()
    current = Facts(facts)
    done: set[tuple[str, str]] = set()
    for all_rules in (False, True):
        for _ in range(_MOST_ROUNDS):
            verdicts = [
                verdict
                for name in sorted(f.name for f in current if not f.name.startswith(SETTLED))
                if (verdict := _new(base, name, current, ground, all_rules, added, done)) is not None
            ]
            if not verdicts:
                break
            added = frozenset()
            for verdict in verdicts:
                _apply(current, verdict, base)
                done.add((verdict.rule, verdict.fact))
    return current


def _new(
    base: RuleBase,
    name: str,
    facts: Facts,
    ground: Facts | None,
    all_rules: bool,
    added: frozenset[str],
    done: set[tuple[str, str]],
) -> Verdict | None:
    asked = base.reading(added) if added and name not in added else None
    rules = [
        (r, p)
        for r, p in base.doubting(name)
        if (all_rules or r.measured_alone)
        and not (r.compares and ground is None)
        and (asked is None or r.text.name in asked)
        and (r.text.name, name) not in done
    ]
    if not rules:
        return None
    verdict = _examine(base, rules, name, facts, facts if ground is None else ground).verdict
    if verdict is None or (verdict.outcome == "lowered" and _disputed(facts, name)):
        return None
    return verdict


def _disputed(facts: Facts, name: str) -> bool:
    """Whether a fact is marked already."""
    return facts[name].confidence <= DISPUTED and facts.value(SETTLED + name, "") == "lowered"


def _examine(base: RuleBase, rules: Sequence[tuple[Rule, str]], name: str, facts: Facts, ground: Facts) -> Examination:
    found, checked = [], False
    for rule, part in rules:
        scope = _Scope(base, facts, ground, name, part)
        holds = rule.when(scope)
        checked |= rule.text.confirms and holds is not None and bool(scope.evidence)
        if holds and (verdict := _verdict(base, rule, name, facts, scope)) is not None:
            found.append(verdict)
    return Examination(max(found, key=lambda v: v.rank, default=None), checked)


def _verdict(base: RuleBase, rule: Rule, name: str, facts: Facts, scope: _Scope) -> Verdict | None:
    evidence = dict(scope.evidence)
    # a fact that is disputed itself is weak evidence
    against = min((f.confidence * base.weight(f) for f in evidence.values()), default=1.0)
    if against < _confirmed(base, facts[name], scope):
        return None
    # without the doubted value: a model's own words must not come back to it, or into the record of its claims
    why = f"{rule.text.says} {_sentence(rule.why(scope))}"
    lost = rule.text.then != "lower" and against >= strength(base, facts, facts[name])
    if not lost:
        return Verdict(name, "lowered", rule.text.name, against, why)
    if rule.text.then == "replace" and (instead := _instead(rule, name, facts, scope, evidence, against)) is not None:
        return Verdict(name, "replaced", rule.text.name, against, why, instead)
    gone = tuple(f.name for f in facts if any(matches(p, f.name) for p in rule.text.along) and f.name != name)
    return Verdict(name, "dropped", rule.text.name, against, why, along=gone)


def _confirmed(base: RuleBase, fact: Fact, scope: _Scope) -> float:
    """Strength of the measurement that says the same as a fact, 0 without one: only what is stronger can doubt it."""
    same = scope.ground.get(fact.name) if scope.ground is not scope.facts else None
    return same.confidence * base.weight(same) if same is not None and same.value == fact.value else 0.0


def _instead(
    rule: Rule, name: str, facts: Facts, scope: _Scope, evidence: dict[str, Fact], against: float
) -> Fact | None:
    if rule.value is None:
        return scope.ground.get(name)
    value = rule.value(scope)
    if value is None:
        return None
    source = min(evidence.values(), key=lambda f: f.confidence).source if evidence else "calibration"
    return replace(facts[name], value=value, step=5, source=source, confidence=against, why=rule.why(scope))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _text(value: FactValue) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _apply(facts: Facts, verdict: Verdict, base: RuleBase) -> None:
    """Apply a verdict in place, and leave a record of it."""
    if verdict.fact not in facts:
        return
    old = facts[verdict.fact]
    source = f"rule: {verdict.rule}"
    sure = strength(base, facts, old) / base.weight(old)
    record, why = SETTLED + verdict.fact, f"{verdict.why} It was {_text(old.value)}."
    if record in facts:
        why = f"{why} Before that: {facts[record].why}"
    facts.add([Fact(record, verdict.outcome, 5, source, sure, None, why)])
    if verdict.outcome == "lowered":
        facts.add([replace(old, confidence=min(old.confidence, DISPUTED))])
    elif verdict.instead is not None:
        facts.add([verdict.instead])
    else:
        facts.drop(verdict.fact)
        for name in verdict.along:
            if name in facts:
                why = f"it goes with {verdict.fact}: {verdict.why}"
                facts.add([Fact(SETTLED + name, "dropped", 5, source, facts[name].confidence, None, why)])
                facts.drop(name)
