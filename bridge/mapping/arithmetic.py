"""Where CEL's arithmetic would surprise an admin: whole numbers that are cut, and numbers that do not mix.

CEL divides 100 by 60 to 1. A source's whole numbers look like all others, so that is a wrong figure more often than it
is meant: `types` refuses what can be told from the text, and all other divisions of values whose types are not known
are computed by `divide`, which the binding calls under the name `DIVIDE` (`rewriting`).
"""

from math import copysign, inf, isnan, nan

from bridge.mapping.functions import type_of
from bridge.mapping.problems import shown
from bridge.mapping.syntax import Literal, Node

DIVIDE = "_divide"
"""No name that an expression can use: it is refused as unknown."""

_MOST_SHOWN = 60


def as_double(node: Node, source: str) -> str:
    """Give what to write for a part of an expression so that it is a decimal number."""
    if isinstance(node, Literal) and node.kind in ("int", "uint"):
        return f"{node.value}.0"
    part = " ".join(source[node.start : node.end].split())
    if isinstance(node, Literal) and node.kind == "double":
        return part
    while part.startswith("(") and part.endswith(")") and _is_one_bracket(part):
        part = part[1:-1]
    return f"double({part if len(part) <= _MOST_SHOWN else '...'})"


def divide(one: object, other: object, double_one: str, double_other: str) -> object:
    """Divide as CEL does, but fail where whole numbers leave a remainder.

    The texts are what to write instead of the two (`as_double`). Raises ValueError, TypeError or ArithmeticError with
    words for the admin.
    """
    if type(one) is float and type(other) is float:
        return one / other if other else _by_zero(one, other)
    if type(one) is not int or type(other) is not int:
        raise TypeError(misfit("/", one, other, double_one, double_other))
    if not other:
        raise ZeroDivisionError("division by zero in CEL expression")
    quotient = abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)
    if one % other:
        way = "up" if (one < 0) != (other < 0) else "down"
        reason = f"{one} / {other} would be rounded {way} to {quotient}"
        raise ValueError(f"{reason}: write {double_one} / {double_other}")
    if quotient >= 2**63:
        raise OverflowError("Arithmetic overflow")
    return quotient


def misfit(sign: str, one: object, other: object, double_one: str, double_other: str) -> str:
    """Say why an operation does not go with two values, and what to do; the last two are as for `divide`."""
    if {type(one), type(other)} == {int, float}:
        if sign == "%":
            return f"% goes with whole numbers only, and it got {one} and {other}"
        whole, decimal, cure = (one, other, double_one) if type(one) is int else (other, one, double_other)
        return f"{whole} is a whole number and {decimal} is not: write {cure}"
    return f"the types do not fit: {sign} does not go with {_told(one)} and {_told(other)}"


def _told(value: object) -> str:
    return "null" if value is None else f"{type_of(value)} ({shown(value)})"


def _by_zero(one: float, other: float) -> float:
    return nan if not one or isnan(one) else copysign(inf, one) * copysign(1.0, other)


def _is_one_bracket(part: str) -> bool:
    """Tell whether the first bracket is closed by the last; one in a text counts as well, which costs but brackets."""
    depth = 0
    for place, character in enumerate(part):
        depth += (character == "(") - (character == ")")
        if not depth:
            return place == len(part) - 1
    return False
