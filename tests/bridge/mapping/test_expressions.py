"""Expressions: what may be loaded, and that evaluation is bounded before it starts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.mapping import expressions
from bridge.mapping.expressions import ExpressionError, compile_expression
from bridge.mapping.functions import FUNCTIONS, STATEMENT_ONLY

NESTED = "[1,2].all(x, [1,2].exists(y, x == y))"

# Each of CEL's own functions, in the shape in which the binding knows it.
EXAMPLES = {
    "size": "size('a') == 1",
    "int": "int('1') == 1",
    "uint": "uint(1) == 1u",
    "double": "double(1) == 1.0",
    "string": "string(1) == '1'",
    "bytes": "bytes('a') == b'a'",
    "timestamp": "timestamp('2026-01-02T03:04:05Z') > timestamp('2026-01-01T00:00:00Z')",
    "duration": "duration('1h') == duration('60m')",
    "type": "type(1) == type(2)",
    "dyn": "dyn(1) == 1",
    "has": "!has(row.x)",
    "contains": "'abc'.contains('b')",
    "startsWith": "'abc'.startsWith('a')",
    "endsWith": "'abc'.endsWith('c')",
    "matches": "'abc'.matches('^a')",
    "all": "[1].all(x, x == 1)",
    "exists": "[1].exists(x, x == 1)",
    "exists_one": "[1].exists_one(x, x == 1)",
    "filter": "[1, 2].filter(x, x > 1) == [2]",
} | {name: f"timestamp('2026-01-02T03:04:05Z').{name}() >= 0" for name in re.findall(
    r"get\w+", "getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear "
    "getHours getMinutes getSeconds getMilliseconds")}  # fmt: skip


def test_every_function_of_cel_that_we_let_through_is_known_to_the_binding():
    assert EXAMPLES.keys() == expressions.CEL_FUNCTIONS.keys()
    for source in EXAMPLES.values():
        assert compile_expression(source, statement=False).program.execute({"row": {}}) is True, source


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (NESTED, "exists() is the second comprehension here"),
        ("[1].filter(x, x > 0).filter(y, y < 2)", "filter() is the second comprehension here"),
        ("[1].all(x, true) && [1].all(x, true)", "all() is the second comprehension here"),
        ("[1] . filter ( x , [2] // .\n . all ( y , y == x ) )", "all() is the second comprehension here"),
        ("r'\\'.size() == 1 && " + NESTED, "exists() is the second comprehension here"),  # a raw text ends at its quote
        ("'\\''.size() == 1 && " + NESTED, "exists() is the second comprehension here"),
        ('"""a"b""".size() == 3 && ' + NESTED, "exists() is the second comprehension here"),
        ("[1].map(x, x)", "There is no function map()"),
        ("true" + " && true" * 300, "This has 2,404 characters, and an expression may have 2,000"),
        ("[1].all(x, true" + " && true" * 30 + ")", "This has 256 characters, and an expression with a comprehension"),
        ("['a'].all(x, x.matches('a'))", "matches() does not go with a comprehension"),
        ("row.a" + " + row.a" * 21, "There are more than 20 plus signs in it"),
        ("[" * 100 + "]" * 100, "This"),
        ("(" * 100 + "1" + ")" * 100, "This"),
        ("optional.of(1)", "There is no function of()"),
        ("cel.bind(x, 1, x)", "There is no function bind()"),
        ("[1].transformList(i, x, x)", "There is no function transformList()"),
        ("row.x.lowerAscii()", "There is no function lowerAscii()"),
        ("[1].exists(x, x == y)", "There is no variable 'y' here"),
        ("", "This is no CEL expression"),
        ("'unended", "This is no CEL expression"),
    ],
)
def test_an_expression_that_could_cost_much_or_does_not_exist_is_refused(source, says):
    with pytest.raises(ExpressionError) as refused:
        compile_expression(source, statement=False)

    assert refused.value.text.startswith(says)


@pytest.mark.parametrize(
    "source",
    [
        "[1, 2].exists(x, x == row.a)",
        "row.a in (row.b)",
        "row.text == 'exists(filter(all('",  # inside a text, no call
        "row.all == 1 && row.filter == 2",  # fields
        "row.x // .all(x, x).all(y, y)",  # a comment
        "'a' + \"it's\" + r'\\'",
        "row.a" + " + row.a" * 20 + " == '" + "+" * 100 + "'",
        "!" * 1_900 + "true",
    ],
)
def test_a_bounded_expression_is_let_through(source):
    assert compile_expression(source, statement=False).source == source


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("row.a ===\n 1", 1, 9),
        ("row.a\n  && parnt(row)", 2, 6),
        ("row.a\n  && [1].all(x, x == roww)", 2, 22),
        ("row.x.hours()", 1, 7),
        ("[1].all(x, true) &&\n [1].all(x, true)", 2, 6),
    ],
)
def test_the_place_inside_the_text_is_told(source, line, column):
    with pytest.raises(ExpressionError) as refused:
        compile_expression(source, statement=False)

    assert (refused.value.line, refused.value.column) == (line, column)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_can_be_called_with_as_many_arguments_as_its_signature_has(name):
    count = FUNCTIONS[name].__code__.co_argcount - (name in STATEMENT_ONLY)

    assert count == expressions.ARGUMENTS[name]
    assert compile_expression(f"{name}({', '.join(['null'] * count)})", statement=True).functions == (name,)


def test_two_expressions_of_one_text_are_equal():
    assert compile_expression("row.a", statement=False) == compile_expression("row.a", statement=False)
    assert len({compile_expression("row.a", statement=False), compile_expression("row.a", statement=False)}) == 1


PIECES = st.sampled_from(
    ["row", ".a", "['b']", "(", ")", "[", "]", "{", "}", "'", '"', "'''", "r'", "\\", "//", "\n", "all", "exists", ".",
     ",", "x", "1", "1u", "1.5", " == ", " && ", " || ", "?", ":", "!", "-", "+", "has", "hours", "size", "timestamp",
     "true", "null", "in", "é", "\0", "row.a.exists(x, x)", "'a'"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_text_hides_a_comprehension_from_the_check(source):
    try:
        compiled = compile_expression(source, statement=False)
    except ExpressionError:
        return

    # The binding's own sign that it found all or exists; it has none for filter.
    assert compiled.comprehends or "@not_strictly_false" not in compiled.program.functions()
