"""CEL expressions, compiled and checked once, so that `items` can evaluate them safely.

Evaluation cannot be interrupted, so it is bounded before it starts, to a few seconds at the very worst. What is costly
(measured with common-expression-language 0.10): comprehensions inside one another (three levels over 200 values: 124 s)
or one that builds lists, adding lists up (200 of them of 50,000 values: 40 s), and a regular expression for each value
(30 ms to compile a large one). Names that do not exist are refused as well.
"""

import re
from dataclasses import dataclass, field

import cel

from bridge.mapping.functions import ARGUMENTS, FUNCTIONS, STATEMENT_ONLY
from bridge.mapping.problems import nearest
from bridge.mapping.tokens import Call, calls, count

MAX_LENGTH = 2_000
MAX_LENGTH_COMPREHENDING = 200
"""For an expression with a comprehension, which runs it for up to `items.MAX_COMPREHENDED` values."""
MAX_SUMS = 20
"""Plus signs in an expression: each copies what was added up before it."""

COMPREHENSIONS = frozenset({"all", "exists", "exists_one", "filter"})

CEL_FUNCTIONS: dict[str, frozenset[int]] = {
    name: frozenset(arguments)
    for names, arguments in (
        ("size int uint double string bytes timestamp duration type dyn has", (1,)),
        ("contains startsWith endsWith matches", (2,)),
        ("getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear", (1,)),
        ("getHours getMinutes getSeconds getMilliseconds", (1,)),
        ("all exists exists_one filter", (3,)),
    )
    for name in names.split()
}
"""CEL's own functions and macros that the binding knows, and with how many arguments each is called."""

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

_INSTEAD = {"map": "Use filter, then [0] and the field; `parents` holds the ids of the parent activities."}
"""Remedies for functions that CEL has and we leave out on purpose."""

_PARSE_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")


class ExpressionError(ValueError):
    """A text that is no expression to be used here; line and column count from 1 inside the text."""

    def __init__(self, text: str, remedy: str, line: int = 1, column: int = 1) -> None:
        super().__init__(text)
        self.text, self.remedy, self.line, self.column = text, remedy, line, column


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression, equal to another of the same text."""

    source: str
    program: cel.Program = field(compare=False, repr=False)
    variables: frozenset[str] = field(compare=False, repr=False)
    functions: tuple[str, ...] = field(compare=False, repr=False)
    """Ours only; CEL has its own built in."""
    comprehends: bool = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.source


def compile_expression(source: str, *, statement: bool) -> Expression:
    """Compile and check an expression over a statement, or else over a row; raises ExpressionError."""
    _check_length(source, MAX_LENGTH)
    program = _parse(source)
    found = calls(source)
    made = _check_comprehensions(source, found)
    own = FUNCTIONS.keys() - (frozenset() if statement else STATEMENT_ONLY)
    for call in found:
        _check_call(call, own)
    if count(source, "+") > MAX_SUMS:
        raise ExpressionError(f"There are more than {MAX_SUMS} plus signs in it", "Make several rules of it.")
    known = STATEMENT_VARIABLES if statement else ROW_VARIABLES
    variables = frozenset(program.variables()) - made
    for name in sorted(variables - known.keys()):
        line, column = _place_of(source, name)
        raise ExpressionError(
            f"There is no variable {name!r} here", nearest(name, known, what="variables"), line, column
        )
    functions = tuple(sorted({call.name for call in found} & own))
    return Expression(source, program, variables, functions, comprehends=bool(made))


def _parse(source: str) -> cel.Program:
    try:
        return cel.compile(source)
    except ValueError as err:
        found = _PARSE_PLACE.search(str(err))
        line, column, text = (int(found[1]), int(found[2]), found[3]) if found else (1, 1, str(err).partition("\n")[0])
        if "Recursion limit" in str(err):
            raise ExpressionError("This expression is nested too deeply", "Make several rules of it.") from err
        what = f"This is no CEL expression: {text.partition(' expecting ')[0]}"
        raise ExpressionError(
            what, "Texts in CEL stand in quotes; see 'Expressions' in mappings/README.md.", line, column
        ) from err


def _check_length(source: str, most: int, what: str = "an expression") -> None:
    if len(source) > most:
        text = f"This has {len(source):,} characters, and {what} may have {most:,}"
        raise ExpressionError(text, "Make several rules of it.")


def _check_comprehensions(source: str, found: list[Call]) -> frozenset[str]:
    """Give the name of the variable that the one comprehension makes."""
    comprehensions = [call for call in found if call.name in COMPREHENSIONS]
    if not comprehensions:
        return frozenset()
    _check_length(source, MAX_LENGTH_COMPREHENDING, "an expression with a comprehension")
    for call in comprehensions[1:]:
        remedy = f"One of {', '.join(sorted(COMPREHENSIONS))} is allowed: make several rules of it."
        raise ExpressionError(f"{call.name}() is the second comprehension here", remedy, call.line, call.column)
    for call in found:
        if call.name == "matches":
            remedy = "Use contains, startsWith, endsWith or ==, or make several rules of it."
            raise ExpressionError("matches() does not go with a comprehension", remedy, call.line, call.column)
    return frozenset(call.first_name for call in comprehensions if call.first_name)


def _check_call(call: Call, own: frozenset[str] | set[str]) -> None:
    allowed = CEL_FUNCTIONS.get(call.name) or ({ARGUMENTS[call.name]} if call.name in own else None)
    if allowed is None:
        remedy = _INSTEAD.get(call.name) or nearest(call.name, own | CEL_FUNCTIONS.keys(), what="functions")
        raise ExpressionError(f"There is no function {call.name}() here", remedy, call.line, call.column)
    if call.arguments not in allowed:
        wanted = " or ".join(map(str, sorted(allowed)))
        raise ExpressionError(
            f"{call.name}() takes {wanted}, not {call.arguments} arguments",
            "The value before the dot counts as the first.",
            call.line,
            call.column,
        )


def _place_of(source: str, name: str) -> tuple[int, int]:
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", source)
    position = found.start() if found else 0
    return source.count("\n", 0, position) + 1, position - (source.rfind("\n", 0, position) + 1) + 1
