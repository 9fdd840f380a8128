"""The small language of rules' conditions: Python's syntax for comparisons and sums over facts, and nothing else.

A name is a fact's, such as `cover.water.share`. What is not known is None, and a condition that cannot be told without
it is None too (Kleene's logic): `a and b` is false where either is false, whatever is known of the other.
"""

from __future__ import annotations

import ast
import math
import operator
import string
from collections.abc import Callable, Sequence
from typing import Any, Protocol

Value = Any
"""Of a fact, or None for what is not known."""


class Scope(Protocol):
    """Where names get their values from.

    Attributes:
        counts: Whether what is read now is evidence; inside `known` and `default` it is circumstance.
    """

    counts: bool

    def look_up(self, name: str) -> Value:
        """The value of a dotted name, or None."""

    def matching(self, pattern: str) -> Sequence[Value]:
        """The values of the facts whose names fit a pattern with `*` for parts."""

    def table(self, name: str, key: str) -> Value:
        """The entry of a table of the rule base, or None."""


Expression = Callable[[Scope], Value]


def parse(text: str) -> Expression:
    """The expression that a text writes.

    Raises:
        ValueError: It is no expression of this language; the message says which part.
    """
    return _compile(_tree(text))


def reads(text: str) -> set[str]:
    """The names that an expression reads; of those that it puts together, the beginning.

    Raises:
        ValueError: As `parse`.
    """
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        match node:
            case ast.Name() | ast.Attribute():
                found.add(_name(node))
                return
            case ast.Call(func=ast.Name(id="fact" | "total"), args=[built]):
                start: ast.expr = built
                while isinstance(start, ast.BinOp):
                    start = start.left
                found.add(str(start.value) if isinstance(start, ast.Constant) else "")
        for child in ast.iter_child_nodes(node):
            # the name of a function is none of a fact
            if not (isinstance(node, ast.Call) and child is node.func):
                walk(child)

    walk(_tree(text))
    return found


def _tree(text: str) -> ast.expr:
    try:
        return ast.parse(" ".join(text.split()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"'{text}' cannot be read ({error.__class__.__name__})") from error


def parse_text(text: str) -> Expression:
    """A sentence with expressions in braces, each with an optional format as in Python: `{cover.water.share:.0%}`.

    Raises:
        ValueError: A brace is not closed, or holds no expression.
    """
    parts: list[tuple[str, Expression | None, str]] = []
    for literal, field, spec, conversion in string.Formatter().parse(text):
        if conversion or "{" in (spec or ""):
            raise ValueError(f"'{text}' has a format that is not known")
        parts.append((literal, parse(field) if field is not None else None, spec or ""))

    def write(scope: Scope) -> str:
        return "".join(
            literal + ("" if expression is None else _written(expression(scope), spec))
            for literal, expression, spec in parts
        )

    return write


def _written(value: Value, spec: str) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    try:
        return format(value, spec)
    except (ValueError, TypeError):
        return str(value)


_ARITHMETIC: dict[type, Callable[[Any, Any], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: dict[type, Callable[[Any, Any], Value]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def _apply(function: Callable[..., Value], *values: Value) -> Value:
    """A function's value; None where an argument is not known, or of a kind that the function does not take."""
    if None in values:
        return None
    try:
        return function(*values)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError, IndexError, AttributeError):
        return None


def _pick(number: float, bounds: Sequence[float], words: Sequence[Value]) -> Value:
    return words[sum(number >= b for b in bounds)]


def _overlap(a: Sequence[Value], b: Sequence[Value]) -> float:
    """Jaccard's index."""
    either = set(a) | set(b)
    return len(set(a) & set(b)) / len(either) if either else 1.0


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "abs": abs,
    "min": min,
    "max": max,
    "len": len,
    "first": lambda values: values[0],
    "finite": lambda v: not isinstance(v, float) or math.isfinite(v),
    "fold": lambda text: text.strip().casefold(),
    "pick": _pick,
    "position": lambda value, values: values.index(value),
    "overlap": _overlap,
    "agreement": lambda a, b: sum(x == y for x, y in zip(a, b, strict=True)) / len(a),
    "share_in": lambda values, value: values.count(value) / len(values),
}
FUNCTIONS = (*_FUNCTIONS, "known", "default", "fact", "total", "table")
"""What an expression may call; the last five see what is not known, or build a name."""


def _compile(node: ast.expr) -> Expression:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return lambda scope: value
        case ast.Name() | ast.Attribute():
            name = _name(node)
            return lambda scope: scope.look_up(name)
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            parts = [_compile(e) for e in elements]
            return lambda scope: _apply(lambda *values: list(values), *[p(scope) for p in parts])
        case ast.BoolOp(op=op, values=values):
            return _logic([_compile(v) for v in values], isinstance(op, ast.Or))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _compile(operand)
            return lambda scope: _apply(operator.not_, inner(scope))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _compile(operand)
            return lambda scope: _apply(operator.neg, inner(scope))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            function, a, b = _ARITHMETIC[type(op)], _compile(left), _compile(right)
            return lambda scope: _apply(function, a(scope), b(scope))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(o) in _COMPARISONS for o in ops):
            return _comparison([_COMPARISONS[type(o)] for o in ops], [_compile(n) for n in (left, *others)])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return _call(name, args)
    raise ValueError(f"'{ast.unparse(node)}' is not allowed in a rule")


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    raise ValueError(f"'{ast.unparse(node)}' is not the name of a fact")


def _logic(parts: list[Expression], decisive: bool) -> Expression:
    """`or` where true is decisive, `and` where false is."""

    def decide(scope: Scope) -> Value:
        unknown = False
        for part in parts:
            value = part(scope)
            if value is not None and bool(value) is decisive:
                return decisive
            unknown |= value is None
        return None if unknown else not decisive

    return decide


def _comparison(operators: list[Callable[[Any, Any], Value]], parts: list[Expression]) -> Expression:
    if len(operators) == 1:
        return lambda scope: _apply(operators[0], parts[0](scope), parts[1](scope))

    def compare(scope: Scope) -> Value:
        values = [part(scope) for part in parts]
        verdicts = [_apply(f, a, b) for f, a, b in zip(operators, values[:-1], values[1:], strict=True)]
        return False if False in verdicts else None if None in verdicts else True

    return compare


def _aside(expression: Expression, scope: Scope) -> Value:
    """A value that does not count as evidence."""
    before, scope.counts = scope.counts, False
    try:
        return expression(scope)
    finally:
        scope.counts = before


def _call(name: str, nodes: list[ast.expr]) -> Expression:
    args = [_compile(n) for n in nodes]
    if name in _FUNCTIONS:
        function = _FUNCTIONS[name]
        return lambda scope: _apply(function, *[a(scope) for a in args])
    wanted = {"known": 1, "default": 2, "fact": 1, "total": 1, "table": 2}[name]
    if len(args) != wanted:
        raise ValueError(f"'{name}' takes {wanted} argument{'s' * (wanted > 1)}, not {len(args)}")
    if name == "known":
        return lambda scope: _aside(args[0], scope) is not None
    if name == "default":
        return lambda scope: value if (value := _aside(args[0], scope)) is not None else args[1](scope)
    if name == "fact":
        return lambda scope: _apply(scope.look_up, args[0](scope))
    if name == "total":
        return lambda scope: _apply(lambda pattern: sum(scope.matching(pattern)), args[0](scope))
    return lambda scope: _apply(scope.table, args[0](scope), args[1](scope))
