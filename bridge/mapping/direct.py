"""Expressions computed in Python, just as the binding would: most conditions and values are plain fields and texts.

The binding converts a whole variable to compare one of its fields, and copies it again for each expression: some 100 us
for a statement, where this takes one. It does only what is certain to come out the same. Wherever the values are of
types that it does not know, an operation overflows or a function fails, it raises Unsure, and the binding is asked,
which also finds the words for what is wrong (tests/bridge/mapping/test_direct.py compares the two).
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.mapping import binding, costs
from bridge.mapping.functions import FUNCTIONS
from bridge.mapping.rewriting import path_compared_with_null
from bridge.mapping.syntax import (
    Binary,
    Call,
    Comprehension,
    Index,
    ListOf,
    Literal,
    Logic,
    Name,
    Node,
    Select,
    Ternary,
    Unary,
    walk,
)

Functions = Mapping[str, Callable[..., Any]]
"""Those that the document supplies."""

Run = Callable[[Mapping[str, Any], Functions], Any]
"""Computes a value from the variables. Raises KeyError or IndexError for what is missing, Unsure where it gives up."""

EXACT = 2**53
"""Whole numbers up to here are the same number as a double."""

_FEW = 200
"""Values up to which lists and maps are compared here."""
_MANY = 1_000
"""Values beyond which comprehensions are left to the binding, where it is checked what they cost."""
_LONG = 100_000
"""Characters beyond which texts are not joined or searched here, where no size is checked."""


class Unsure(Exception):
    """The binding must be asked."""


class Misfit(Unsure):
    """An operation got two values that do not go together; the binding fails as well, but does not say which."""

    def __init__(self, node: Binary, left: object, right: object) -> None:
        super().__init__()
        self.node, self.left, self.right = node, left, right


def prepare(node: Node) -> Run | None:
    """Give the function that computes an expression; None where it holds something that is left to the binding."""
    match node:
        case Literal(value, kind):
            return None if kind in ("uint", "bytes") else lambda _, __: value
        case Name() | Select():
            return _path(node)
        case Index() | ListOf() | Ternary() | Unary():
            parts = [prepare(part) for part in node.parts]
            return _combined(node, [part for part in parts if part]) if all(parts) else None
        case Logic(sign, terms):
            found = [prepare(term) for term in terms]
            return _logic([term for term in found if term], decides=sign == "||") if all(found) else None
        case Binary():
            return _binary(node)
        case Comprehension(_, of, _, bodies):
            parts = [prepare(of), *map(prepare, bodies)]
            return _comprehension(node, [part for part in parts if part]) if _is_simple(node) and all(parts) else None
        case Call():
            return _call(node)
    return None


def is_plain(value: object) -> bool:
    """Tell whether the binding would give this value back as it is: lists and maps it looks through and copies."""
    kind = type(value)
    if kind is str:
        return _is_text(value)  # type: ignore[arg-type]
    return kind is bool or value is None or kind is float or (kind is int and -EXACT <= value <= EXACT)  # type: ignore[operator]


def _is_text(value: str) -> bool:
    """Tell whether a text is Unicode; JSON can hold halves of surrogate pairs."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(node: Name | Select) -> Run | None:
    fields: list[str] = []
    of: Node = node
    while isinstance(of, Select):
        fields.insert(0, of.field)
        of = of.of
    if not isinstance(of, Name):
        start = prepare(of)
        return _fields(start, fields) if start else None
    name = of.name
    if not fields:
        return lambda values, _: values[name]
    if len(fields) == 1:
        return _field(name, fields[0])
    return _fields(lambda values, _: values[name], fields)


def _field(name: str, field: str) -> Run:
    def run(values: Mapping[str, Any], _: Functions) -> Any:  # noqa: ANN401 - any value of an item
        of = values[name]
        if type(of) is not dict:
            raise Unsure
        return of[field]

    return run


def _fields(start: Run, fields: Sequence[str]) -> Run:
    def run(values: Mapping[str, Any], functions: Functions) -> Any:  # noqa: ANN401 - any value of an item
        value = start(values, functions)
        for field in fields:
            if type(value) is not dict:
                raise Unsure
            value = value[field]
        return value

    return run


def _combined(node: Node, parts: Sequence[Run]) -> Run:
    match node:
        case Index():
            return _index(*parts)
        case ListOf():
            return lambda values, functions: [part(values, functions) for part in parts]
        case Ternary():
            return _ternary(*parts)
        case Unary("!"):
            return _not(*parts)
        case _:
            return _negative(*parts)


def _index(of: Run, key: Run) -> Run:
    def run(values: Mapping[str, Any], functions: Functions) -> Any:  # noqa: ANN401 - any value of an item
        inside = of(values, functions)
        if type(inside) is not dict and type(inside) is not list:
            raise Unsure  # before the key is looked at, which may be missing
        at = key(values, functions)
        if type(inside) is dict and type(at) is str:
            return inside[at]
        if type(inside) is list and type(at) is int:
            if at < 0:
                raise IndexError(at)
            return inside[at]
        raise Unsure

    return run


def _ternary(condition: Run, then: Run, other: Run) -> Run:
    def run(values: Mapping[str, Any], functions: Functions) -> Any:  # noqa: ANN401 - any value of an item
        chosen = condition(values, functions)
        if chosen is True:
            return then(values, functions)
        if chosen is False:
            return other(values, functions)
        raise Unsure

    return run


def _not(of: Run) -> Run:
    def run(values: Mapping[str, Any], functions: Functions) -> bool:
        value = of(values, functions)
        if type(value) is not bool:
            raise Unsure
        return not value

    return run


def _logic(terms: Sequence[Run], *, decides: bool) -> Run:
    """Give `||` where true decides and `&&` where false does: what decides does so whatever else is missing."""

    def run(values: Mapping[str, Any], functions: Functions) -> bool:
        missing: LookupError | None = None
        for term in terms:
            try:
                value: object = term(values, functions)
            except (KeyError, IndexError) as err:
                missing = err
                continue
            if value is decides:
                return decides
            if type(value) is not bool:
                raise Unsure
        if missing is not None:
            raise missing
        return not decides

    return run


# Comprehensions


class _Inside(dict[str, Any]):
    """The variables inside a comprehension: its own, and all those outside."""

    __slots__ = ("outside",)
    outside: Mapping[str, Any]

    def __missing__(self, name: str) -> Any:  # noqa: ANN401 - any variable
        return self.outside[name]


def _is_simple(node: Comprehension) -> bool:
    """Tell whether its time grows with the values that it looks at alone."""
    return not any(isinstance(part, Comprehension) for body in node.bodies for part in walk(body))


def _comprehension(node: Comprehension, parts: Sequence[Run]) -> Run:
    most = costs.most_values(node)
    of, *bodies = parts
    variable, loop = node.variable, _LOOPS[node.macro]

    def run(values: Mapping[str, Any], functions: Functions) -> Any:  # noqa: ANN401 - true, false or a list
        looked_at = of(values, functions)
        if type(looked_at) is dict:
            looked_at = sorted(looked_at)  # the binding has no order of keys, so that results could change
        if type(looked_at) is not list or len(looked_at) > _MANY or costs.size(looked_at) > most:
            raise Unsure
        inside = _Inside()
        inside.outside = values

        def body(number: int, value: object) -> object:
            inside[variable] = value
            return bodies[number](inside, functions)

        return loop(looked_at, body, len(bodies))

    return run


_Body = Callable[[int, object], object]


def _true_or_false(value: object) -> bool:
    if type(value) is not bool:
        raise Unsure
    return value


# What is missing for one value is missing for all of it, unlike in && and ||: so it is in the binding.


def _all(looked_at: Sequence[object], body: _Body, _: int) -> bool:
    return all(_true_or_false(body(0, value)) for value in looked_at)


def _exists(looked_at: Sequence[object], body: _Body, _: int) -> bool:
    return any(_true_or_false(body(0, value)) for value in looked_at)


def _exists_one(looked_at: Sequence[object], body: _Body, _: int) -> bool:
    return sum(_true_or_false(body(0, value)) for value in looked_at) == 1


def _filter(looked_at: Sequence[object], body: _Body, _: int) -> list[object]:
    return [value for value in looked_at if _true_or_false(body(0, value))]


def _map(looked_at: Sequence[object], body: _Body, bodies: int) -> list[object]:
    return [body(bodies - 1, value) for value in looked_at if bodies == 1 or _true_or_false(body(0, value))]


_LOOPS: Mapping[str, Callable[[Sequence[object], _Body, int], object]] = {
    "all": _all,
    "exists": _exists,
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _map,
}


# Comparisons


def _binary(node: Binary) -> Run | None:
    left, right = prepare(node.left), prepare(node.right)
    if left is None or right is None:
        return None
    match node:
        case Binary("==", _, Literal(str() as text)):
            return _equals(left, text)
        case Binary("==" | "!=") if path := path_compared_with_null(node):
            return _null(left if path is node.left else right, wanted=node.sign == "==")
        case Binary("==" | "!="):
            return _applied(_same if node.sign == "==" else _other, left, right)
        case Binary("in", _, ListOf(items)) if items and all(_is_text_constant(item) for item in items):
            return _one_of(left, frozenset(item.value for item in items if isinstance(item, Literal)))
        case Binary("in"):
            return _applied(_within, left, right)
        case Binary(sign) if sign in _ORDERS:
            return _computed(node, _ordered(_ORDERS[sign]), left, right)
        case Binary(sign):
            return _computed(node, _ARITHMETIC[sign], left, right)


def _is_text_constant(node: Node) -> bool:
    return isinstance(node, Literal) and node.kind == "string"


def _equals(left: Run, text: object) -> Run:
    # A text equals nothing but a text, in CEL and in Python.
    return lambda values, functions: bool(left(values, functions) == text)


def _one_of(left: Run, texts: frozenset[object]) -> Run:
    def run(values: Mapping[str, Any], functions: Functions) -> bool:
        value = left(values, functions)
        return type(value) is str and value in texts

    return run


def _applied(compute: Callable[[Any, Any], Any], left: Run, right: Run) -> Run:
    return lambda values, functions: compute(left(values, functions), right(values, functions))


def _computed(node: Binary, compute: Callable[[Any, Any], Any], left: Run, right: Run) -> Run:
    def run(values: Mapping[str, Any], functions: Functions) -> Any:  # noqa: ANN401 - what the operation gives
        one, other = left(values, functions), right(values, functions)
        try:
            return compute(one, other)
        except Unsure as err:
            if type(one) is type(other) and type(one) in (int, float, str):
                raise
            raise Misfit(node, one, other) from err

    return run


def _null(of: Run, *, wanted: bool) -> Run:
    """Tell whether a path is null, which it is for an admin where it is missing too."""

    def run(values: Mapping[str, Any], functions: Functions) -> bool:
        try:
            value = of(values, functions)
        except (KeyError, IndexError):
            return wanted
        return (value is None) is wanted

    return run


def _same(one: object, other: object) -> bool:
    kind, other_kind = type(one), type(other)
    if kind in _NUMBERS and other_kind in _NUMBERS:
        return bool(_exact(one) == _exact(other))
    if kind is other_kind and (kind is dict or kind is list):
        if costs.size(one) > _FEW or costs.size(other) > _FEW:
            raise Unsure
        return _same_inside(one, other)
    if kind not in _SCALARS or other_kind not in _SCALARS:
        raise Unsure
    return kind is other_kind and one == other


def _same_inside(one: Any, other: Any) -> bool:  # noqa: ANN401 - two lists, or two maps
    if len(one) != len(other):
        return False
    if type(one) is list:
        return all(_same(part, other[place]) for place, part in enumerate(one))
    return all(key in other and _same(part, other[key]) for key, part in one.items())


def _other(one: object, other: object) -> bool:
    return not _same(one, other)


def _within(one: object, other: object) -> bool:
    if type(one) is str and (type(other) is list or type(other) is dict):
        return one in other
    raise Unsure


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(one: object, other: object) -> bool:
        if type(one) is str and type(other) is str:
            return compare(one, other)
        one, other = _exact(one), _exact(other)
        if one != one or other != other:  # NaN has no order
            raise Unsure
        return compare(one, other)

    return ordered


_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBERS = (int, float)
_SCALARS = (str, bool, type(None), int, float)


def _exact(value: object) -> Any:  # noqa: ANN401 - a number
    if type(value) is float or (type(value) is int and -EXACT <= value <= EXACT):
        return value
    raise Unsure


# Arithmetic


def _divided(one: float, other: float) -> float:
    if not other or (type(one) is int and one % other):  # see `arithmetic`
        raise Unsure
    return one // other if type(one) is int else one / other


def _remainder(one: float, other: float) -> float:
    if type(one) is not int or one < 0 or other <= 0:
        raise Unsure
    return one % other


def _calculated(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Give arithmetic on two numbers of one type, whose result does not overflow."""

    def calculated(one: object, other: object) -> Any:  # noqa: ANN401 - a number
        one, other = _exact(one), _exact(other)
        if type(one) is not type(other):
            raise Unsure
        return _exact(compute(one, other))

    return calculated


_add_numbers = _calculated(operator.add)


def _added(one: object, other: object) -> Any:  # noqa: ANN401 - a text or a number
    if type(one) is str and type(other) is str:
        if len(one) + len(other) > _LONG:
            raise Unsure
        return one + other
    return _add_numbers(one, other)


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _added,
    "-": _calculated(operator.sub),
    "*": _calculated(operator.mul),
    "/": _calculated(_divided),
    "%": _calculated(_remainder),
}


def _negative(of: Run) -> Run:
    return lambda values, functions: -_exact(of(values, functions))


# Functions

_WHOLE = re.compile(r"-?[0-9]{1,15}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")


def _call(node: Call) -> Run | None:
    if node.name == "has":
        return _has(node.arguments[0])
    # As in the binding, the arguments before the value that the call is on.
    parts = [prepare(part) for part in (*node.arguments, *((node.target,) if node.target else ()))]
    found = [part for part in parts if part]
    if len(found) < len(parts):
        return None
    if node.name in FUNCTIONS:
        return _own(node.name, found, method=node.target is not None)
    if node.name in _ON_TEXTS:
        return _on_texts(_ON_TEXTS[node.name], *found)
    if node.name in _ON_ONE:
        return _on_one(_ON_ONE[node.name], *found)
    return None


def _has(node: Node) -> Run | None:
    if not isinstance(node, Select) or (of := prepare(node.of)) is None:
        return None
    field = node.field

    def run(values: Mapping[str, Any], functions: Functions) -> bool:
        inside = of(values, functions)
        if type(inside) is not dict:
            raise Unsure
        return field in inside

    return run


def _own(name: str, parts: Sequence[Run], *, method: bool) -> Run:
    function = FUNCTIONS[name]

    def run(values: Mapping[str, Any], functions: Functions) -> Any:  # noqa: ANN401 - what the function gives
        arguments = [part(values, functions) for part in parts]
        if method:
            arguments.insert(0, arguments.pop())
        if function.of_statement:
            arguments.insert(0, values)
        call = function.call or functions.get(name)
        if call is None:
            raise Unsure
        try:
            return call(*arguments)
        except (ArithmeticError, AttributeError, TypeError, ValueError) as err:
            raise Unsure from err

    return run


def _on_texts(compute: Callable[[str, str], bool], argument: Run, target: Run) -> Run:
    def run(values: Mapping[str, Any], functions: Functions) -> bool:
        part, text = argument(values, functions), target(values, functions)
        if type(text) is not str or type(part) is not str or len(text) > _LONG:
            raise Unsure
        return compute(text, part)

    return run


def _matches(text: str, pattern: str) -> bool:
    try:
        return binding.matches(text, pattern)
    except binding.Uncomputable as err:
        raise Unsure from err


_ON_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "contains": operator.contains,
    "matches": _matches,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}


def _on_one(compute: Callable[[Any], Any], of: Run) -> Run:
    return lambda values, functions: compute(of(values, functions))


def _size(value: object) -> int:
    if type(value) is list or type(value) is dict or (type(value) is str and value.isascii()):
        return len(value)
    raise Unsure


def _double(value: object) -> float:
    if type(value) is str and _DECIMAL.fullmatch(value):
        return float(value)
    return float(_exact(value))


def _int(value: object) -> int:
    if type(value) is str and _WHOLE.fullmatch(value):
        return int(value)
    number = _exact(value)
    if number != number or abs(number) > EXACT:
        raise Unsure
    return int(number)


def _string(value: object) -> str:
    if type(value) is str:
        return value
    if type(value) is int:
        return str(_exact(value))
    raise Unsure


_ON_ONE: Mapping[str, Callable[[Any], Any]] = {"size": _size, "double": _double, "int": _int, "string": _string}
