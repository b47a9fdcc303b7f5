"""How the CEL binding is asked to compute, and what its failures are called."""

import re
from collections.abc import Callable
from functools import cache, partial

import cel

_UNDEFINED = re.compile(r"Undefined variable or function: '(\w+)'")
_FUNCTION = re.compile(r"Function '(timestamp|duration|int|uint|double)' error: ")
_PATTERN = re.compile(r"not a valid regex:\s.*?(?:error: )?([^\n]+?)(?:\. Check .*)?$", re.DOTALL)


class Uncomputable(Exception):
    """What an expression asks for cannot be computed; the text is the reason, for the admin."""

    def __init__(self, reason: str, *, misfit: bool = False, function: str = "") -> None:
        super().__init__(reason)
        self.misfit = misfit
        """An operation got values of types that it does not go with."""
        self.function = function
        """The function of CEL's own that could not convert a value, if one could not."""


def execute(program: cel.Program, context: cel.Context, reasons: list[str]) -> object:
    """Evaluate; what is missing gives null. Raises Uncomputable.

    `reasons` is what the context's functions were made with (`guarded`); it is empty again afterwards.
    """
    value: object = None
    misfit, function = False, ""
    try:
        value = program.execute(context)
    except (KeyError, IndexError):
        pass
    except TypeError:
        misfit = not reasons
        reasons.append("the types do not fit: an operation got a text, number or null that it cannot use")
    except (ArithmeticError, RuntimeError, ValueError) as err:
        function = "" if reasons or not (found := _FUNCTION.match(str(err))) else found[1]
        reasons.append(_reason(err))
    if reasons:
        reason = reasons[0]
        reasons.clear()
        raise Uncomputable(reason, misfit=misfit, function=function)
    return _in_order(value)


def matches(text: str, pattern: str) -> bool:
    """Tell whether a regular expression is found in a text. Raises Uncomputable."""
    return execute(_matching(), cel.Context({"text": text, "pattern": pattern}), []) is True


@cache
def _matching() -> cel.Program:
    return cel.compile("text.matches(pattern)")


def fails(function: str, value: object) -> bool:
    """Tell whether a function of CEL's own cannot be computed for a value."""
    try:
        execute(cel.compile(f"{function}(value)"), cel.Context({"value": value}), [])
    except (Uncomputable, ValueError):
        return True
    return False


def guarded(reasons: list[str], function: Callable[..., object]) -> Callable[..., object]:
    """Give a function that notes why it failed instead of raising: the binding logs and rewords what passes through."""
    return partial(_call, reasons, function)


def _in_order(value: object) -> object:
    """Sort the keys of maps: the binding gives them in another order each time, and what is shown must not change."""
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value, key=str)}
    return [_in_order(inner) for inner in value] if isinstance(value, list) else value


def _call(reasons: list[str], function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as err:
        reasons[:] = [str(err)]
        return None


def _reason(err: Exception) -> str:
    if found := _UNDEFINED.search(str(err)):
        return f"{found[1]}() cannot be used on this value"
    if found := _PATTERN.search(str(err)):
        return f"it is no regular expression: {found[1]}"
    return str(err).partition(". Check ")[0].partition(". The value")[0].partition(". CEL does")[0]
