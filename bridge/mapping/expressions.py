"""CEL expressions, compiled and checked once, so that `items` can evaluate them safely.

Evaluation cannot be interrupted, so it is bounded before it starts: expressions are short and hold one comprehension
at most (three nested ones over 200 values took 124 s), and names that do not exist are refused when they are loaded.
"""

import re
from dataclasses import dataclass, field

import cel

from bridge.mapping.functions import ARGUMENTS, FUNCTIONS, STATEMENT_ONLY
from bridge.mapping.problems import nearest
from bridge.mapping.tokens import Call, calls

MAX_LENGTH = 2_000

COMPREHENSIONS = frozenset({"all", "exists", "exists_one", "filter", "map"})

CEL_FUNCTIONS: dict[str, frozenset[int]] = {
    name: frozenset(arguments)
    for names, arguments in (
        ("size int uint double string bytes timestamp duration type dyn has", (1,)),
        ("contains startsWith endsWith matches", (2,)),
        ("getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear", (1,)),
        ("getHours getMinutes getSeconds getMilliseconds", (1,)),
        ("all exists exists_one filter", (3,)),
        ("map", (3, 4)),
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
    if len(source) > MAX_LENGTH:
        raise ExpressionError(
            f"This expression has {len(source)} characters", f"{MAX_LENGTH:,} are allowed: make several rules of it."
        )
    program = _parse(source)
    found = calls(source)
    made = _check_comprehensions(found)
    own = FUNCTIONS.keys() - (frozenset() if statement else STATEMENT_ONLY)
    for call in found:
        _check_call(call, own)
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


def _check_comprehensions(found: list[Call]) -> frozenset[str]:
    """Give the name of the variable that the one comprehension makes."""
    comprehensions = [call for call in found if call.name in COMPREHENSIONS]
    for second in comprehensions[1:]:
        raise ExpressionError(
            f"{second.name}() is the second comprehension in this expression",
            "One of map, filter, all, exists, exists_one is allowed: make several rules of it.",
            second.line,
            second.column,
        )
    return frozenset(call.first_name for call in comprehensions if call.first_name)


def _check_call(call: Call, own: frozenset[str] | set[str]) -> None:
    allowed = CEL_FUNCTIONS.get(call.name) or ({ARGUMENTS[call.name]} if call.name in own else None)
    if allowed is None:
        remedy = nearest(call.name, own | CEL_FUNCTIONS.keys(), what="functions")
        raise ExpressionError(f"There is no function {call.name}() here", remedy, call.line, call.column)
    if call.arguments not in allowed:
        wanted = " or ".join(map(str, sorted(allowed)))
        raise ExpressionError(
            f"{call.name}() is given {call.arguments} arguments and takes {wanted}",
            "The value before the dot counts as the first.",
            call.line,
            call.column,
        )


def _place_of(source: str, name: str) -> tuple[int, int]:
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", source)
    position = found.start() if found else 0
    return source.count("\n", 0, position) + 1, position - (source.rfind("\n", 0, position) + 1) + 1
