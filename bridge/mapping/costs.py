"""How much an expression can cost at most, told from its tree, because evaluating one cannot be interrupted.

Counted in steps of about 50 ns, on the high side (measured with common-expression-language 0.10 on a 2-core machine):
the binding copies each value that it passes on, a list that a comprehension builds once for each value it adds, and
compiles a regular expression each time. `BUDGET` steps are about a second: the worst expressions that were found to be
let through take 0.9 s of processor time (sums of 4 MB texts; lists 0.45 s, regular expressions 0.75 s) and 200 MB;
without a bound they take minutes. tests/bridge/mapping/test_hostile.py has them. What is refused is so within 0.05 s.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from bridge.mapping import arithmetic
from bridge.mapping.syntax import (
    Binary,
    Call,
    Comprehension,
    ExpressionError,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Ternary,
    walk,
)

BUDGET = 20_000_000
MAX_BUILT = 500_000
"""Values that an expression may hold at once, some 50 MB."""
MAX_VALUES = 20_000
"""The largest item for any expression. Moodle sends about 120 values, a row of a table has some hundred at most."""
MAX_NESTED = 3
"""Comprehensions in one another; with the third, most expressions go over the budget anyway."""
MAX_CONSTANT = 100_000
"""Constants that cost more are not computed when they are loaded, so that a file of thousands is loaded in seconds."""
LEAST_VALUES = 100
"""An expression must be possible on items of this size at least."""

CHARACTERS_OF_A_VALUE = 200
"""Characters of a text that count like a value of its own."""
MAX_LEVELS = 64
"""Items nested deeper are refused: some 10,000 levels would end the process, because the binding recurses."""

_NODE = 4
_CALL = 100
"""What a call of Python costs."""
_PATTERN, _PATTERN_CHARACTER, _PATTERN_DOT, _PATTERN_CLASS, _PATTERN_AT_MOST = 4_000, 60, 400, 6_000, 600_000
"""What compiling a regular expression costs: `^a` 0.2 ms, `\\w` 0.3, `\\w{90}` 22; the engine refuses larger ones."""
_CLASS = re.compile(r"\\[dDsSwWpPbB]")
_REPEATED = re.compile(r"(\)?)\{(\d{1,9})(?:,(\d{0,9}))?\}")
_MATCHED_VALUE = 6_000
"""Looking through 200 characters takes up to 0.2 ms."""


@dataclass(frozen=True, slots=True)
class _Cost:
    steps: float
    values: float
    """How large the value may be that comes out, as `size` counts."""


def most_values(tree: Node) -> int:
    """Give the size of the largest item on which the expression stays within the budget, as `size` counts.

    Raises ExpressionError where that is less than `LEAST_VALUES`.
    """
    _check_nesting(tree, 0)
    if _steps(tree, MAX_VALUES) <= BUDGET:
        return MAX_VALUES
    low, high = 0, MAX_VALUES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _steps(tree, middle) <= BUDGET else (low, middle)
    if low < LEAST_VALUES:
        costly = next((node for node in walk(tree) if isinstance(node, Comprehension)), tree)
        what = f"{costly.macro}() has too much to do" if isinstance(costly, Comprehension) else "it has too much to do"
        remedy = "Do less in it, and not one comprehension in another; or make several rules of it."
        raise ExpressionError(f"This could take far too long: {what}", remedy, costly.line, costly.column)
    return low


def size(value: object) -> float:
    """Count the values inside a value, long texts as several; infinite beyond `MAX_VALUES` or `MAX_LEVELS`."""
    level: list[object] = [value]
    found = 0
    for _ in range(MAX_LEVELS):
        below: list[object] = []
        found += len(level)
        for node in level:
            if isinstance(node, dict | list):
                if len(node) > MAX_VALUES:
                    return inf
                below += node.values() if isinstance(node, dict) else node
            elif isinstance(node, str):
                found += len(node) // CHARACTERS_OF_A_VALUE
        if not below:
            return found if found <= MAX_VALUES else inf
        if found > MAX_VALUES:
            break
        level = below
    return inf


def of_constant(tree: Node) -> float:
    """Bound what an expression costs that looks at no item."""
    return _steps(tree, 0)


def of_pattern(node: Node) -> int:
    """Bound what it costs to compile the regular expression that a part gives."""
    if not isinstance(node, Literal) or not isinstance(node.value, str):
        return _PATTERN_AT_MOST
    pattern = node.value
    written = _PATTERN_CHARACTER * len(pattern) + _PATTERN_DOT * pattern.count(".")
    written += _PATTERN_CLASS * len(_CLASS.findall(pattern))
    # What is repeated is compiled so many times; what is repeated in brackets, with all that is repeated inside.
    repeated = [(bool(bracket), int(most or least)) for bracket, least, most in _REPEATED.findall(pattern)]
    times = max((count for bracketed, count in repeated if not bracketed), default=1) or 1
    for bracketed, count in repeated:
        times *= count if bracketed and count else 1
    return min(_PATTERN + written * times, _PATTERN_AT_MOST)


def _check_nesting(node: Node, levels: int) -> None:
    if isinstance(node, Comprehension):
        levels += 1
        if levels > MAX_NESTED:
            text = f"More than {MAX_NESTED} comprehensions stand in one another here"
            raise ExpressionError(text, "Make several rules of it.", node.line, node.column)
    for part in node.parts:
        _check_nesting(part, levels)


def _steps(tree: Node, values: int) -> float:
    return _cost(tree, values, {}).steps


def _cost(node: Node, values: int, made: Mapping[str, float]) -> _Cost:
    """Bound an expression's cost for an item of so many values; `made` are the sizes of comprehensions' variables."""
    found = _of(node, values, made)
    return found if found.values <= MAX_BUILT else _Cost(inf, found.values)


def _of(node: Node, values: int, made: Mapping[str, float]) -> _Cost:
    match node:
        case Literal():
            return _Cost(_NODE, 1)
        case Name(name):
            found = made.get(name, values)
            return _Cost(_NODE + found, found)
        case Comprehension():
            return _of_comprehension(node, values, made)
    parts = [_cost(part, values, made) for part in node.parts]
    steps = _NODE + sum(part.steps + part.values for part in parts)
    largest = max((part.values for part in parts), default=1)
    match node:
        case ListOf() | MapOf() | Binary("+"):
            return _Cost(steps, 1 + sum(part.values for part in parts))
        case Binary():
            return _Cost(steps, 1)
        case Ternary():
            return _Cost(steps, largest)
        case Call(arithmetic.DIVIDE):
            return _Cost(steps + _CALL, 1)
        case Call("matches"):
            return _Cost(steps + of_pattern(node.arguments[-1]) + parts[0].values * _MATCHED_VALUE, 1)
    return _Cost(steps + largest, largest)


def _of_comprehension(node: Comprehension, values: int, made: Mapping[str, float]) -> _Cost:
    of = _cost(node.of, values, made)
    # The values looked at are together no larger than the whole. A body's cost is convex in the size of the one that it
    # looks at, so it costs most in sum where one value is all of it, and the others are next to nothing.
    largest = [_cost(body, values, {**made, node.variable: of.values}) for body in node.bodies]
    least = [_cost(body, values, {**made, node.variable: 0}) for body in node.bodies]
    each = 4 * _NODE + sum(body.steps + body.values for body in least)
    once = sum(body.steps + body.values for body in largest)
    match node.macro:
        case "map":
            built = of.values * least[-1].values + largest[-1].values
        case "filter":
            built = of.values
        case _:
            built = 1
    # What is built is copied with each value that is added, half of it on average, and twice.
    return _Cost(of.steps + once + of.values * (each + built), built)
