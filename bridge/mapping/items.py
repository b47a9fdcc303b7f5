"""One statement or row, against which expressions are evaluated.

Missing is no error: a field, key or list place that is not there gives null, and false in a condition. Everything else
that goes wrong (division by zero, text where a number must be, a time that is none) raises EvaluationError.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from math import inf, isfinite
from typing import Any

import cel

from bridge.mapping.expressions import Expression
from bridge.mapping.functions import FUNCTIONS, STATEMENT_ONLY, moment, type_of
from bridge.mapping.problems import shown

MAX_DEPTH = 64
"""Values nested deeper are refused: some 10,000 levels would end the process, because the binding recurses."""
MAX_VALUES = 20_000
"""An item that holds more values is refused. Moodle sends about 120, a row of a table has some hundred at most."""
MAX_COMPREHENDED = 500
"""Values that an item may hold to be read by a comprehension, whose cost grows with their square."""

_UNDEFINED = re.compile(r"Undefined variable or function: '(\w+)'")


class EvaluationError(Exception):
    """An expression that could not be evaluated on one item."""

    def __init__(self, expression: Expression | str, reason: str) -> None:
        super().__init__(reason)
        self.expression, self.reason = str(expression), reason


class Item:
    """A statement or a row, ready for expressions; a variable is converted for CEL when first needed, and once."""

    def __init__(self, values: Mapping[str, Any], *, parents: list[str] | None = None) -> None:
        self._values = values
        self._parents = parents or []
        self._context = cel.Context()
        self._given: set[str] = set()
        # What a context holds is invisible to the garbage collector: if a function of ours in it held this item, which
        # holds the context, both would stay for ever (8 kB a statement). So they write to a list of its own.
        self._reasons: list[str] = []

    def value(self, expression: Expression | None) -> object:
        """Evaluate; what is missing gives null. Raises EvaluationError."""
        if expression is None:
            return None
        self._prepare(expression)
        try:
            value = expression.program.execute(self._context)
        except (KeyError, IndexError):
            value = None
        except TypeError:
            self._reasons.append("the types do not fit: an operation got a text, number or null that it cannot use")
        except (ArithmeticError, RuntimeError, ValueError) as err:
            self._reasons.append(_reason(err))
        if self._reasons:
            reason = self._reasons[0]
            self._reasons.clear()
            raise EvaluationError(expression, reason)
        return value

    def holds(self, expression: Expression | None) -> bool:
        """Evaluate a condition: none at all holds, null does not."""
        if expression is None:
            return True
        return self.flag(expression) is True

    def flag(self, expression: Expression | None) -> bool | None:
        """Evaluate to true, false or null."""
        value = self.value(expression)
        if value is None or isinstance(value, bool):
            return value
        raise self._unfit(expression, value, "true or false")

    def text(self, expression: Expression | None) -> str | None:
        """Evaluate to a text or null; whole numbers become text, empty texts null."""
        value = self.value(expression)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
            return str(int(value))
        if value is None or isinstance(value, str):
            return (value or "").strip() or None
        raise self._unfit(expression, value, "a text")

    def number(self, expression: Expression | None) -> float | None:
        """Evaluate to a number or null; true and false become 1 and 0."""
        value = self.value(expression)
        if value is None:
            return None
        if isinstance(value, bool | int | float) and isfinite(value):
            return float(value)
        raise self._unfit(expression, value, "a finite number")

    def moment(self, expression: Expression | None) -> datetime | None:
        """Evaluate to an aware time in UTC or null."""
        value = self.value(expression)
        if value is None:
            return None
        try:
            return moment(value)
        except (TypeError, ValueError) as err:
            raise EvaluationError(expression or "", str(err)) from err

    def _prepare(self, expression: Expression) -> None:
        if expression.comprehends:
            self._bound(expression)
        for name in expression.variables - self._given:
            self._give(name, expression)
        for name in expression.functions:
            if name not in self._given:
                self._context.add_function(name, partial(_call, self._reasons, self._function(name)))
                self._given.add(name)

    def _give(self, name: str, expression: Expression) -> None:
        value = self._values[name]
        if isinstance(value, dict | list) and _size(value) > MAX_VALUES:
            reason = f"{name} is nested deeper than {MAX_DEPTH} levels or holds more than {MAX_VALUES:,} values"
            raise EvaluationError(expression, reason)
        try:
            self._context.add_variable(name, value)
        except ValueError as err:
            raise EvaluationError(expression, f"{name} holds text that is not valid Unicode") from err
        self._given.add(name)

    def _bound(self, expression: Expression) -> None:
        if sum(_size(self._values[name]) for name in expression.variables) > MAX_COMPREHENDED:
            reason = f"the item holds more than {MAX_COMPREHENDED} values, too many for all, exists and filter"
            raise EvaluationError(expression, reason)

    def _function(self, name: str) -> Callable[..., Any]:
        function = FUNCTIONS[name]
        return partial(function, self._parents) if name in STATEMENT_ONLY else function

    def _unfit(self, expression: Expression | None, value: object, wanted: str) -> EvaluationError:
        return EvaluationError(expression or "", f"it gave {type_of(value)} ({shown(value)}), {wanted} is expected")


def _call(reasons: list[str], function: Callable[..., object], *arguments: object) -> object:
    # An exception that passes through the binding is logged and reworded there: keep our words instead.
    try:
        return function(*arguments)
    except (AttributeError, TypeError, ValueError, OverflowError) as err:
        reasons[:] = [str(err)]
        return None


def _size(value: object) -> float:
    """Count the values inside a value; infinite when it is nested too deeply, or has far too many."""
    level: list[object] = [value]
    size = 0
    for _ in range(MAX_DEPTH):
        size += len(level)
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return size
        if size > MAX_VALUES:
            break
    return inf


def _reason(err: Exception) -> str:
    if found := _UNDEFINED.search(str(err)):
        return f"{found[1]}() cannot be used on this value"
    return str(err).partition(". Check ")[0].partition(". The value")[0]
