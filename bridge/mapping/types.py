"""What is known of an expression's types before it meets an item.

A type is the set of CEL kinds that a value may have. An operation is wrong when no choice of kinds makes it work;
whatever comes out of a statement or a row may be of any kind, so nothing is refused that could be right for some item.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal as OneOf

import cel

from bridge.mapping import arithmetic, binding, costs
from bridge.mapping.functions import FUNCTIONS, Kinds, kinds, moment
from bridge.mapping.problems import shown
from bridge.mapping.syntax import (
    Binary,
    Call,
    Comprehension,
    ExpressionError,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Name,
    Node,
    Select,
    Ternary,
    Unary,
)

ANY = kinds("bool int uint double string bytes list map null timestamp duration type")
_BOOL = kinds("bool")
_INT = kinds("int")
_DOUBLE = kinds("double")
_NUMBERS = kinds("int uint double")
_TEXT = kinds("string")
_ITERABLE = kinds("list map")

VARIABLES: Mapping[str, Kinds] = {
    "statement": kinds("map"),
    "actor": kinds("map"),
    "object": kinds("map"),
    "result": kinds("map"),
    "context": kinds("map"),
    "row": kinds("map"),
    "verb": _TEXT,
    "event": _TEXT,
    "type": _TEXT,
    "parents": kinds("list"),
}
"""All others, like the `item` of a history, may be anything."""

Wants = OneOf["any", "flag", "number", "share", "text", "moment", "duration", "agent", "list"]

WANTED: Mapping[Wants, tuple[str, Kinds]] = {
    "any": ("any value", ANY),
    "flag": ("true or false", kinds("bool null")),
    "number": ("a number", kinds("int uint double bool null")),
    "share": ("a number from 0 to 1", kinds("int uint double bool null")),
    "text": ("a text", kinds("string int uint double null")),
    "moment": ("a time", kinds("timestamp string null")),
    "duration": ("a duration or a number of seconds", kinds("duration string int uint double null")),
    "agent": ("an agent, like actor,", kinds("map null")),
    "list": ("a list", kinds("list null")),
}
"""What a key of a document may need, in words, and the kinds that `items.Item` can make it of; null says none."""


@dataclass(frozen=True, slots=True)
class CelFunction:
    """A function of CEL's own as the binding knows it."""

    takes: tuple[Kinds, ...]
    gives: Kinds
    as_function: bool
    """It may be written f(x)."""
    as_method: bool
    """It may be written x.f()."""

    @property
    def count(self) -> int:
        """Give how many arguments it has, the value before the dot included."""
        return len(self.takes)


def _converter(takes: str, gives: str) -> CelFunction:
    return CelFunction((kinds(takes),), kinds(gives), as_function=True, as_method=False)


def _method(*takes: str, gives: str) -> CelFunction:
    return CelFunction(tuple(map(kinds, takes)), kinds(gives), as_function=False, as_method=True)


CEL_FUNCTIONS: Mapping[str, CelFunction] = (
    {
        "size": CelFunction((kinds("string bytes list map"),), _INT, as_function=True, as_method=True),
        "int": _converter("int uint double string", "int"),
        "uint": _converter("int uint double string", "uint"),
        "double": _converter("int uint double string", "double"),
        "string": _converter("int uint double string bytes timestamp duration", "string"),
        "bytes": _converter("string bytes", "bytes"),
        "timestamp": _converter("string timestamp", "timestamp"),
        "duration": _converter("string duration", "duration"),
        "type": _converter(" ".join(ANY), "type"),
        "has": _converter(" ".join(ANY), "bool"),
        "dyn": _converter(" ".join(ANY), " ".join(ANY)),
        "contains": _method("string", "string", gives="bool"),
        "startsWith": _method("string", "string", gives="bool"),
        "endsWith": _method("string", "string", gives="bool"),
        "matches": _method("string", "string", gives="bool"),
    }
    | {
        f"get{part}": _method("timestamp", gives="int")
        for part in ("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear")
    }
    | {
        f"get{part}": _method("timestamp duration", gives="int")
        for part in ("Hours", "Minutes", "Seconds", "Milliseconds")
    }
)
"""CEL's own functions; macros and `has` are checked by themselves."""

_SAME = [(kind, kind, kind) for kind in ("int", "uint", "double")]
_ARITHMETIC: Mapping[str, list[tuple[str, str, str]]] = {
    "+": [
        *_SAME,
        *((kind, kind, kind) for kind in ("string", "bytes", "list", "duration")),
        ("list", "map", "list"),
        ("timestamp", "duration", "timestamp"),
    ],
    "-": [
        *_SAME,
        ("timestamp", "timestamp", "duration"),
        ("timestamp", "duration", "timestamp"),
        ("duration", "duration", "duration"),
    ],
    "*": _SAME,
    "/": _SAME,
    "%": _SAME[:2],
}
"""What arithmetic makes of which kinds."""

_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "uint": "a whole number with u",
    "double": "a decimal number",
    "string": "a text",
    "bytes": "bytes",
    "list": "a list",
    "map": "a map",
    "null": "null",
    "timestamp": "a timestamp",
    "duration": "a CEL duration",
    "type": "a type",
}
_NULL = kinds("null")
_KEYS = kinds("bool int uint string")
"""What the key of a map may be."""
_NO_ORDER = kinds("null list map type")
_TIMES = kinds("string timestamp")


def check(tree: Node, source: str, wants: Wants) -> frozenset[tuple[int, int]]:
    """Refuse an expression that goes wrong for every item, or gives no value of use; raises ExpressionError.

    Constant parts are computed, unless that costs much. Gives the places (line, column) of the divisions of values that
    are perhaps whole numbers, perhaps not.
    """
    checker = _Checker(source)
    found = checker.kinds_of(tree, {})
    words, allowed = WANTED[wants]
    if not _fit(found, allowed):
        raise checker.problem(tree, f"gives {_told(found)}, and {words} is expected here", _remedy(found, wants))
    if _is_constant(tree):
        checker.check_constant(tree, wants)
    else:
        checker.check_constant_parts(tree)
    return frozenset(checker.divisions)


class _Checker:
    def __init__(self, source: str) -> None:
        self._source = source
        self.divisions: set[tuple[int, int]] = set()
        """The places of those of which it is not known whether whole numbers are divided."""
        self._known: dict[int, Kinds] = {}
        """By the node's identity: lists are asked twice, and so lists in lists would be exponentially often."""

    def problem(self, node: Node, text: str, remedy: str) -> ExpressionError:
        """Say what is wrong with a part, which is shown."""
        part = shown(self._source[node.start : node.end])[1:-1]
        return ExpressionError(f"`{part}` {text}", remedy, node.line, node.column)

    def kinds_of(self, node: Node, made: Mapping[str, Kinds]) -> Kinds:
        """Give the kinds that a part may have; `made` are those of comprehensions' variables."""
        if id(node) not in self._known:
            self._known[id(node)] = self._kinds_of(node, made)
        return self._known[id(node)]

    def _kinds_of(self, node: Node, made: Mapping[str, Kinds]) -> Kinds:
        parts = () if isinstance(node, Comprehension) else tuple(self.kinds_of(part, made) for part in node.parts)
        match node:
            case Literal(kind=kind):
                return kinds(kind)
            case Name(name):
                return made.get(name) or VARIABLES.get(name, ANY)
            case ListOf():
                return kinds("list")
            case MapOf():
                return kinds("map")
            case Select(of, field):
                self._need(of, parts[0], kinds("map"), f"and has no field {shown(field)}")
                return ANY
            case Index(of):
                self._need(of, parts[0], _ITERABLE, "and has nothing inside")
                return self._inside(of, parts[0], made) if parts[0] == kinds("list") else ANY
            case Comprehension():
                return self._comprehension(node, made)
            case Ternary(condition):
                self._need(condition, parts[0], _BOOL, "and a condition is expected before ?")
                return parts[1] | parts[2]
            case Logic(sign, terms):
                for term, found in zip(terms, parts, strict=True):
                    self._need(term, found, _BOOL, f"and conditions stand between {sign}")
                return _BOOL
            case Unary("!", of):
                self._need(of, parts[0], _BOOL, "and a condition is expected after !")
                return _BOOL
            case Unary(_, of):
                self._need(of, parts[0], kinds("int double"), "and a number is expected after -")
                return parts[0] & kinds("int double")
            case Binary():
                return self._binary(node, parts[0], parts[1], made)
            case Call():
                return self._call(node, parts)
        raise AssertionError(node)

    def _need(self, node: Node, found: Kinds, needed: Kinds, why: str) -> None:
        if not _fit(found, needed):
            raise self.problem(node, f"is {_told(found)}, {why}", f"It must be {_told(needed)}.")

    def _binary(self, node: Binary, left: Kinds, right: Kinds, made: Mapping[str, Kinds]) -> Kinds:
        if node.sign in _ARITHMETIC:
            found = frozenset(gives for one, other, gives in _ARITHMETIC[node.sign] if one in left and other in right)
            if not found:
                text = f"cannot be computed: {node.sign} does not go with {_told(left)} and {_told(right)}"
                raise self.problem(node, text, self._decimal(node, left, right) or _same_kind(left, right))
            if node.sign == "/":
                self._check_division(node, left, right)
            return found
        if node.sign == "in":
            self._need(node.right, right, _ITERABLE, "and a list or a map is expected after in")
            inside = self._inside(node.right, right, made)
            if not _meet(left, inside):
                text = f"is never true: {_told(left)} is looked for among {_told(inside)}"
                raise self.problem(node, text, _same_kind(left, inside))
        elif node.sign in ("==", "!="):
            if not _meet(left, right):
                text = f"compares {_told(left)} with {_told(right)}, which are never equal"
                raise self.problem(node, text, _same_kind(left, right))
        elif not _meet(left - _NO_ORDER, right - _NO_ORDER):
            text = f"cannot be compared: {node.sign} does not go with {_told(left)} and {_told(right)}"
            raise self.problem(node, text, _same_kind(left, right))
        return _BOOL

    def _decimal(self, node: Binary, left: Kinds, right: Kinds) -> str:
        """Give the remedy for a whole number that stands with a decimal one."""
        for part, found, other in ((node.left, left, right), (node.right, right, left)):
            if isinstance(part, Literal) and found == _INT and other - _NULL == _DOUBLE and node.sign != "%":
                return f"CEL does not mix numbers: write {part.value}.0 for {part.value}."
        return ""

    def _check_division(self, node: Binary, left: Kinds, right: Kinds) -> None:
        """Refuse to divide what is not known by a whole number: nobody wants 100 / 60 to be 1."""
        if not (left >= _INT and right >= _INT) or left == right == _INT:
            return
        self.divisions.add((node.line, node.column))
        by = node.right.value if isinstance(node.right, Literal) else None
        if isinstance(by, int) and abs(by) > 1:
            example = abs(by) * 5 // 3
            text = f"Whole numbers are divided to a whole number: {example} / {abs(by)} is 1"
            double = arithmetic.as_double(node.left, self._source)
            raise ExpressionError(text, f"Write {double} / {by}.0.", node.line, node.column)

    def _call(self, node: Call, parts: tuple[Kinds, ...]) -> Kinds:
        if node.name == "has":
            if not isinstance(node.arguments[0], Select):
                raise self.problem(node, "asks for no field", "Write has(row.field).")
            return _BOOL
        function = FUNCTIONS.get(node.name) or CEL_FUNCTIONS[node.name]
        for part, found, takes in zip(node.parts, parts, function.takes, strict=False):
            self._need(part, found, takes, f"and {node.name}() does not take that")
            if _TIMES <= takes <= _TIMES | _NULL and isinstance(part, Literal) and isinstance(part.value, str):
                self._check_moment(part, part.value)
        return function.gives

    def _comprehension(self, node: Comprehension, made: Mapping[str, Kinds]) -> Kinds:
        of = self.kinds_of(node.of, made)
        self._need(node.of, of, _ITERABLE, f"and {node.macro}() looks through a list or a map")
        inside = {**made, node.variable: self._inside(node.of, of, made)}
        for number, body in enumerate(node.bodies):
            found = self.kinds_of(body, inside)
            if node.macro != "map" or number < len(node.bodies) - 1:
                self._need(body, found, _BOOL, f"and {node.macro}() needs a condition")
        return kinds("list") if node.macro in ("map", "filter") else _BOOL

    def _inside(self, node: Node, found: Kinds, made: Mapping[str, Kinds]) -> Kinds:
        """Give the kinds that the values of a list, or the keys of a map, may have."""
        match node:
            case Name("parents") if "parents" not in made:
                return _TEXT
            case ListOf(items) if items:
                return frozenset[str]().union(*(self.kinds_of(item, made) for item in items))
        return _KEYS if found == kinds("map") else ANY

    def check_constant_parts(self, node: Node) -> None:
        """Compute the largest parts that no item has a part in; what fails there fails always."""
        for part in node.parts:
            if _is_constant(part):
                self._compute(part, pattern=isinstance(node, Call) and node.name == "matches" and part != node.target)
            else:
                self.check_constant_parts(part)

    def check_constant(self, tree: Node, wants: Wants) -> None:
        """Refuse a constant whose value is of the right type and yet of no use."""
        value = self._compute(tree)
        if wants == "number" and isinstance(value, float) and not isfinite(value):
            raise self.problem(tree, f"gives {value}, and a finite number is expected here", "Write another constant.")
        if wants == "share" and isinstance(value, int | float) and not 0 <= value <= 1:
            remedy = "Write a part of 1, like 0.85, or what the statement says, like fraction(result.score)."
            raise self.problem(tree, f"gives {value}, and 0 to 1 is expected here", remedy)
        if wants == "moment" and value is not None:
            self._check_moment(tree, value)

    def _check_moment(self, node: Node, value: object) -> None:
        try:
            moment(value)
        except ValueError as err:
            raise self.problem(node, f"is no time: {err}", "Write it like '2026-10-05T08:00:00Z'.") from err

    def _compute(self, node: Node, *, pattern: bool = False) -> object:
        """Give the value of a constant part, or None where it is not worth its cost."""
        if isinstance(node, Literal) and not pattern:
            return node.value
        if costs.of_constant(node) + (costs.of_pattern(node) if pattern else 0) > costs.MAX_CONSTANT:
            return None
        source = self._source[node.start : node.end]
        reasons: list[str] = []
        context = cel.Context()
        for name, function in FUNCTIONS.items():
            if function.call and not function.of_statement:
                context.add_function(name, binding.guarded(reasons, function.call))
        try:
            return binding.execute(cel.compile(f"''.matches({source})" if pattern else source), context, reasons)
        except binding.Uncomputable as err:
            raise self.problem(node, f"always fails: {err}", "Write another constant.") from err


def _is_constant(node: Node, made: frozenset[str] = frozenset()) -> bool:
    """Tell whether a part has one value, whatever the item."""
    match node:
        case Name(name):
            return name in made
        case Comprehension(_, of, variable, bodies):
            return _is_constant(of, made) and all(_is_constant(body, made | {variable}) for body in bodies)
        case Call(name) if (function := FUNCTIONS.get(name)) and (function.call is None or function.of_statement):
            return False
    return all(_is_constant(part, made) for part in node.parts)


def _fit(found: Kinds, needed: Kinds) -> bool:
    """Tell whether a value may be what is needed; that it may be null is not enough, unless it is nothing else."""
    return bool(found & needed - _NULL) or found == _NULL <= needed


def _meet(one: Kinds, other: Kinds) -> bool:
    """Tell whether a value of one may be compared with a value of the other; numbers of all kinds may."""
    return bool(one & other) or bool(one & _NUMBERS and other & _NUMBERS)


def _told(found: Kinds) -> str:
    """Say kinds in words, null last."""
    if found == ANY:
        return "any value"
    names = [_WORDS[name] for name in _WORDS if name in found and name != "null"]
    return " or ".join([*names, *(["null"] if "null" in found else [])])


def _same_kind(left: Kinds, right: Kinds) -> str:
    """Give the remedy for two values that do not go together."""
    both = (left | right) - _NULL
    if both == _TEXT and left | right >= _NULL:
        return "It is an empty text where there is none: compare with ''."
    if both <= _NUMBERS:
        return "CEL does not mix numbers: write 1.0 for 1, or double(...) around the whole number."
    if both & _NUMBERS and both <= _NUMBERS | _TEXT:
        return "Texts stand in quotes and numbers do not; double(...) makes a number of a text, string(...) a text."
    return "Compare and compute values of one type."


def _remedy(found: Kinds, wants: Wants) -> str:
    if wants == "flag":
        return "Write a condition, like verb == '...' or row.status == 'closed'."
    if wants in ("number", "share") and "string" in found:
        return "double(...) makes a number of a text; a number itself stands without quotes."
    return "Look at what it should give, and at the README of mappings/."
