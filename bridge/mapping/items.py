"""One statement or row, against which expressions are evaluated.

Missing is no error: a field, key or list place that is not there gives null, and false in a condition. Everything else
that goes wrong (division by zero, text where a number must be, a time that is none) raises EvaluationError.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from math import isfinite
from time import monotonic
from typing import Any

import cel

from bridge.mapping import arithmetic, binding, costs
from bridge.mapping.direct import Misfit, Unsure, is_plain, prepare
from bridge.mapping.expressions import Expression
from bridge.mapping.functions import FUNCTIONS, moment, type_of
from bridge.mapping.problems import shown
from bridge.mapping.syntax import Binary, Call, Comprehension, walk

MAX_SECONDS = 1.0
"""What all expressions on one item may take together; one that has begun is always let finish (see `costs`)."""


class EvaluationError(Exception):
    """An expression that could not be evaluated on one item."""

    def __init__(self, expression: Expression | str, reason: str) -> None:
        super().__init__(reason)
        self.expression, self.reason = str(expression), reason


def _not_converted(function: str, value: object, err: Exception) -> str:
    if function == "timestamp":
        return f"{shown(value)} is no time as timestamp() reads it, like 2026-10-05T08:00:00Z"
    return f"{function}() cannot be computed of {shown(value)}: {str(err).partition(' error: ')[2]}"


class Item:
    """A statement or a row, ready for expressions; a variable is converted for CEL when first needed, and once."""

    def __init__(self, values: Mapping[str, Any], *, functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        """Take the variables, and the functions that the document supplies (`business_hours`, `money`), by name.

        `values` may be a dict that works its values out when they are asked for (`__missing__`). A function of the
        document takes what the expression gives it, and raises ValueError or TypeError with words for the admin.
        """
        self._values = values
        self._functions = functions or {}
        self._spent = 0.0
        self._context = cel.Context()
        self._given: dict[str, float] = {}
        """Variables and functions that the context has, with the sizes of the variables."""
        # What a context holds is invisible to the garbage collector: if a function of ours in it held this item, which
        # holds the context, both would stay for ever (8 kB a statement). So they write to a list of its own.
        self._reasons: list[str] = []

    def value(self, expression: Expression | None) -> object:
        """Evaluate; what is missing gives null. Raises EvaluationError."""
        if expression is None:
            return None
        if self._spent > MAX_SECONDS:
            reason = f"it took too long: the expressions before it took more than {MAX_SECONDS:g} s for this item"
            raise EvaluationError(expression, reason)
        began = monotonic()
        try:
            if expression.direct:
                value = expression.direct(self._values, self._functions)
                if is_plain(value):
                    return value
            return self._ask(expression)
        except (KeyError, IndexError):
            return None
        except Unsure:
            return self._ask(expression)
        finally:
            self._spent += monotonic() - began

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

    def _ask(self, expression: Expression) -> object:
        """Let the binding evaluate it."""
        self._prepare(expression)
        try:
            return binding.execute(expression.program, self._context, self._reasons)
        except binding.Uncomputable as err:
            raise EvaluationError(expression, self._reason(expression, err)) from err

    def _reason(self, expression: Expression, err: binding.Uncomputable) -> str:
        """Name the values that an operation could not use, which the binding does not."""
        for node in walk(expression.tree) if err.misfit or err.function else ():
            try:
                if err.misfit and isinstance(node, Binary | Comprehension) and (run := prepare(node)):
                    run(self._values, self._functions)
                elif isinstance(node, Call) and node.name == err.function and (run := prepare(node.arguments[0])):
                    value = run(self._values, self._functions)
                    if is_plain(value) and binding.fails(node.name, value):
                        return _not_converted(node.name, value, err)
            except Misfit as misfit:
                of = misfit.node
                doubles = [arithmetic.as_double(part, expression.source) for part in (of.left, of.right)]
                return arithmetic.misfit(of.sign, misfit.left, misfit.right, *doubles)
            except (KeyError, IndexError, Unsure):
                continue
        return str(err)

    def _prepare(self, expression: Expression) -> None:
        total = 0.0
        for name in expression.variables:
            if name not in self._given:
                self._give(name, expression)
            total += self._given[name]
        if total > expression.most_values:
            reason = f"the item holds {total:,.0f} values, and this expression may look at {expression.most_values:,}"
            raise EvaluationError(expression, reason)
        if expression.divides and arithmetic.DIVIDE not in self._given:
            self._context.add_function(arithmetic.DIVIDE, binding.guarded(self._reasons, arithmetic.divide))
            self._given[arithmetic.DIVIDE] = 0
        for name in expression.functions:
            if name not in self._given:
                self._context.add_function(name, binding.guarded(self._reasons, self._function(name, expression)))
                self._given[name] = 0

    def _give(self, name: str, expression: Expression) -> None:
        value = self._values[name]
        if (found := costs.size(value)) > costs.MAX_VALUES:
            most, levels = costs.MAX_VALUES, costs.MAX_LEVELS
            reason = f"{name} is nested deeper than {levels} levels or holds more than {most:,} values"
            raise EvaluationError(expression, reason)
        try:
            self._context.add_variable(name, value)
        except ValueError as err:
            raise EvaluationError(expression, f"{name} holds text that is not valid Unicode") from err
        self._given[name] = found

    def _function(self, name: str, expression: Expression) -> Callable[..., Any]:
        function = FUNCTIONS[name]
        call = function.call or self._functions.get(name)
        if call is None:
            raise EvaluationError(expression, f"{name}() is not there: the document does not say what it needs")
        return partial(call, self._values) if function.of_statement else call

    def _unfit(self, expression: Expression | None, value: object, wanted: str) -> EvaluationError:
        return EvaluationError(expression or "", f"it gave {type_of(value)} ({shown(value)}), {wanted} is expected")
