"""CEL expressions, compiled and checked once, so that `items` can evaluate them safely.

An expression is read twice: by `syntax`, whose tree everything here is told from, and by the binding, which evaluates;
what only one of them accepts is refused. What is known to go wrong is refused as well: names that do not exist, types
that cannot fit (`types`), constants that cannot be computed.

Evaluation cannot be interrupted, so `costs` bounds it before it starts; what a bound depends on the item's size is
checked by `items`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import cel

from bridge.mapping import costs, structure, types
from bridge.mapping.direct import Run, prepare
from bridge.mapping.functions import FUNCTIONS
from bridge.mapping.problems import nearest, shown
from bridge.mapping.rewriting import rewritten
from bridge.mapping.syntax import (
    Call,
    Comprehension,
    ExpressionError,
    Index,
    Literal,
    Name,
    Node,
    Select,
    parse,
    walk,
)
from bridge.mapping.types import CEL_FUNCTIONS, Wants

__all__ = ["Expression", "ExpressionError", "Wants", "compile_expression"]

MAX_LENGTH = 2_000

STATEMENT_VARIABLES = {
    "statement": "the whole statement",
    "actor": "its actor",
    "verb": "the id of its verb, a text",
    "object": "its object",
    "result": "its result, an empty map if it has none",
    "context": "its context, an empty map if it has none",
    "event": "the name of the Moodle event that it came from, else an empty text",
    "type": "the type of its object's definition, else an empty text",
    "parents": "the ids of its parent activities and then its grouping ones, nearest first",
}
ROW_VARIABLES = {"row": "the fields of the source record"}

_REMEMBERED = 5_000
"""Expressions kept compiled: workers read the same documents again and again."""

_PARSE_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression, equal to another of the same text."""

    source: str
    tree: Node = field(compare=False, repr=False)
    program: cel.Program = field(compare=False, repr=False)
    variables: frozenset[str] = field(compare=False, repr=False)
    functions: tuple[str, ...] = field(compare=False, repr=False)
    """Ours only; CEL has its own built in."""
    most_values: int = field(compare=False, repr=False)
    """The largest item that it may be evaluated on, as `costs.size` counts."""
    divides: bool = field(compare=False, repr=False)
    """Its program calls `arithmetic.divide`."""
    direct: Run | None = field(compare=False, repr=False)
    """Computes it without the binding, where that can be done."""

    def __str__(self) -> str:
        return self.source


def compile_expression(
    source: str, *, statement: bool, wants: Wants = "any", extra: Iterable[str] = (), supplied: bool = False
) -> Expression:
    """Compile and check an expression over a statement, or else over a row; raises ExpressionError.

    `wants` is what its value must be fit for (see `types.WANTED`), `extra` are variables beside those of a statement or
    a row, of any type: the caller gives them to `items.Item`. Functions that documents supply are named as known only
    where this one can (`supplied`); that it does is for the caller to check.
    """
    return _compile(source, statement, wants, tuple(extra), supplied)


@lru_cache(_REMEMBERED)
def _compile(source: str, statement: bool, wants: Wants, extra: tuple[str, ...], supplied: bool) -> Expression:  # noqa: FBT001
    if len(source) > MAX_LENGTH:
        text = f"This has {len(source):,} characters, and an expression may have {MAX_LENGTH:,}"
        raise ExpressionError(text, "Make several rules of it.")
    tree = parse(source)
    program = _compiled(source)
    known = {*(STATEMENT_VARIABLES if statement else ROW_VARIABLES), *extra}
    for node in walk(tree):
        _check_name(node, statement=statement, supplied=supplied)
    variables = _free_variables(tree, known)
    most_values = costs.most_values(tree)
    if statement:
        _check_fields(tree, source, {})
    divisions = types.check(tree, source, wants)
    computed = rewritten(tree, source, divisions)
    if computed != source.strip():
        program = cel.compile(computed)
        most_values = min(most_values, costs.most_values(parse(computed)))
    functions = sorted({node.name for node in walk(tree) if isinstance(node, Call)} & FUNCTIONS.keys())
    return Expression(source, tree, program, variables, tuple(functions), most_values, bool(divisions), prepare(tree))


def _compiled(source: str) -> cel.Program:
    try:
        return cel.compile(source)
    except ValueError as err:
        found = _PARSE_PLACE.search(str(err))
        line, column, text = (int(found[1]), int(found[2]), found[3]) if found else (1, 1, str(err).partition("\n")[0])
        what = f"This is no CEL expression: {text.partition(' expecting ')[0]}"
        remedy = "Texts in CEL stand in quotes; see 'Expressions' in mappings/README.md."
        raise ExpressionError(what, remedy, line, column) from err


_CALLS = {
    "not": "Write !(...).",
    "and": "Write x && y.",
    "or": "Write x || y.",
    "len": "Write size(x).",
    "length": "Write size(x).",
    "str": "Write string(x).",
    "float": "Write double(x).",
    "number": "Write double(x).",
    "if": "Write condition ? this : that.",
    "coalesce": "Write has(x) ? x : y.",
    "isnull": "Write x == null.",
}
_NAMES = dict.fromkeys(("none", "null", "nil", "undefined"), "null") | {"true": "true", "false": "false"}
"""What other languages call the constants."""


def _check_name(node: Node, *, statement: bool, supplied: bool) -> None:
    """Refuse a function that is not there, or is called in another way than it can be."""
    if not isinstance(node, Call):
        return
    own = {name: function for name, function in FUNCTIONS.items() if statement or not function.of_statement}
    count = len(node.arguments) + (node.target is not None)
    if node.name in own:
        _check_count(node, count, own[node.name].counts)
    elif node.name in CEL_FUNCTIONS:
        function = CEL_FUNCTIONS[node.name]
        _check_count(node, count, range(function.count, function.count + 1))
        if node.target is None and not function.as_function:
            remedy = f"Write it after a dot: x.{node.name}({', '.join('y' * (count - 1))})."
            raise _problem(node, f"{node.name}() is called on a value", remedy)
        if node.target is not None and not function.as_method:
            raise _problem(node, f"{node.name}() is not called on a value", f"Write {node.name}(x).")
    else:
        there = {name for name, function in own.items() if function.call or supplied}
        remedy = _CALLS.get(node.name.lower()) or nearest(node.name, there | CEL_FUNCTIONS.keys(), what="functions")
        raise _problem(node, f"There is no function {node.name}() here", remedy)


def _check_fields(node: Node, source: str, made: Mapping[str, str]) -> str:
    """Refuse fields that no statement has, and give the part's shape (see `structure`), or '' where it is not known.

    `made` are the shapes of comprehensions' variables.
    """
    if isinstance(node, Comprehension):
        inside = {**made, node.variable: _check_fields(node.of, source, made)}
        for body in node.bodies:
            _check_fields(body, source, inside)
        return inside[node.variable] if node.macro == "filter" else ""
    shapes = [_check_fields(part, source, made) for part in node.parts]
    match node:
        case Name(name):
            return made[name] if name in made else structure.VARIABLES.get(name, "")
        case Select(_, field) | Index(_, Literal(str() as field)) if fields := structure.SHAPES.get(shapes[0]):
            if field not in fields:
                at = node.key if isinstance(node, Index) else node
                text = f"No statement has {shown(source[node.start : node.end])}"
                raise _problem(at, text, nearest(field, fields, what="fields"))
            return fields[field]
        case Index(_, Literal(int())):
            return shapes[0]
    return ""


def _check_count(node: Call, count: int, allowed: range) -> None:
    if count in allowed:
        return
    wanted = " or ".join(map(str, allowed))
    text = f"{node.name}() takes {wanted}, not {count} arguments"
    raise _problem(node, text, "The value before the dot counts as the first.")


def _free_variables(tree: Node, known: Iterable[str]) -> frozenset[str]:
    """Give the variables that must come from the item; those that comprehensions make hold inside them only."""
    found: set[str] = set()

    def look(node: Node, made: frozenset[str]) -> None:
        if isinstance(node, Name):
            if node.name in made:
                return
            if node.name not in known:
                word = _NAMES.get(node.name.lower())
                remedy = f"Write {word}." if word else nearest(node.name, [*known, *made], what="variables")
                raise _problem(node, f"There is no variable {node.name!r} here", remedy)
            found.add(node.name)
        elif isinstance(node, Comprehension):
            if node.variable in known:
                text = f"{node.macro}() makes a variable {node.variable!r}, which is there already"
                raise _problem(node, text, "Give it another name, like x.")
            look(node.of, made)
            for body in node.bodies:
                look(body, made | {node.variable})
        else:
            for part in node.parts:
                look(part, made)

    look(tree, frozenset())
    return frozenset(found)


def _problem(node: Node, text: str, remedy: str) -> ExpressionError:
    return ExpressionError(text, remedy, node.line, node.column)
