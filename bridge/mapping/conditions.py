"""What a condition needs before it can be true, told from its text alone, so that most rules need not be tried."""

from collections.abc import Mapping

from bridge.mapping.expressions import Expression
from bridge.mapping.syntax import Binary, ListOf, Literal, Logic, Name, Node, Ternary

Required = Mapping[str, frozenset[str] | None]
"""By each of `VARIABLES`: the values one of which it must have, or None where nothing is known."""

VARIABLES = ("verb", "event", "type")
"""The variables of a statement that are worth dispatching by."""

_NOTHING: Required = dict.fromkeys(VARIABLES)
_NEVER: Required = dict.fromkeys(VARIABLES, frozenset())


def required(expression: Expression | None) -> Required:
    """Give the texts that `verb`, `event` and `type` must have for the condition to be true, None where unknown.

    `{"verb": frozenset({"http://..."}), "event": None, "type": None}`: with any other verb the condition is false, null
    or fails. An empty set says that it is never true. No expression at all is true for everything, and needs nothing.

    What it needs is read through `&&`, `||`, `?:`, `==` with a text (whichever way round) and `in` with a list of
    constants; all else (`endsWith`, `!`, functions) counts as unknown: the answer may say too little, never too much.
    """
    return _NOTHING if expression is None else _of(expression.tree)


def both(one: Required, other: Required) -> Required:
    """Give what is needed for two conditions to hold at once."""
    return {name: _intersection(one[name], other[name]) for name in VARIABLES}


def either(one: Required, other: Required) -> Required:
    """Give what is needed for one of two conditions to hold."""
    return {name: _union(one[name], other[name]) for name in VARIABLES}


def _of(node: Node) -> Required:
    match node:
        case Logic("&&", terms):
            found = _NOTHING
            for term in terms:
                found = both(found, _of(term))
            return found
        case Logic("||", terms):
            found = _NEVER
            for term in terms:
                found = either(found, _of(term))
            return found
        case Ternary(condition, then, other):
            return either(both(_of(condition), _of(then)), _of(other))
        case Binary("==", Name(name), Literal(value)) | Binary("==", Literal(value), Name(name)):
            return _one_of(name, [value])
        case Binary("in", Name(name), ListOf(items)) if all(isinstance(item, Literal) for item in items):
            return _one_of(name, [item.value for item in items if isinstance(item, Literal)])
        case Literal(False):
            return _NEVER
    return _NOTHING


def _one_of(name: str, values: list[object]) -> Required:
    if name not in VARIABLES:
        return _NOTHING
    # These variables are texts, and a text equals nothing but a text.
    return {**_NOTHING, name: frozenset(value for value in values if isinstance(value, str))}


def _intersection(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _union(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return None if one is None or other is None else one | other
