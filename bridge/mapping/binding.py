"""How the CEL binding is asked to compute, and what its failures are called."""

import re
from collections.abc import Callable
from functools import partial

import cel

_UNDEFINED = re.compile(r"Undefined variable or function: '(\w+)'")
_PATTERN = re.compile(r"not a valid regex:\s.*?(?:error: )?([^\n]+?)(?:\. Check .*)?$", re.DOTALL)


class Uncomputable(Exception):
    """What an expression asks for cannot be computed; the text is the reason, for the admin."""


def execute(program: cel.Program, context: cel.Context, reasons: list[str]) -> object:
    """Evaluate; what is missing gives null. Raises Uncomputable.

    `reasons` is what the context's functions were made with (`guarded`); it is empty again afterwards.
    """
    value: object = None
    try:
        value = program.execute(context)
    except (KeyError, IndexError):
        pass
    except TypeError:
        reasons.append("the types do not fit: an operation got a text, number or null that it cannot use")
    except (ArithmeticError, RuntimeError, ValueError) as err:
        reasons.append(_reason(err))
    if reasons:
        reason = reasons[0]
        reasons.clear()
        raise Uncomputable(reason)
    return value


def guarded(reasons: list[str], function: Callable[..., object]) -> Callable[..., object]:
    """Give a function that notes why it failed instead of raising: the binding logs and rewords what passes through."""
    return partial(_call, reasons, function)


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
