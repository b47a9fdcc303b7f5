"""What Python computes itself comes out as the binding has it, for any expression and any item."""

import cel
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.mapping import binding, direct
from bridge.mapping.expressions import ExpressionError, compile_expression
from bridge.mapping.functions import FUNCTIONS
from bridge.mapping.items import EvaluationError, Item

TEXTS = ["", "a", "abc", "é", "z😀", "1", "-2", "1.5", "2026-10-05T08:00:00Z", "PT1H", " ", "9" * 20, "1e5"]
NUMBERS = [0, 1, -1, 2, 7, -7, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1, 0.0, -0.0, 0.5, 1.0, -2.5, 1e300]
SCALARS = st.sampled_from([None, True, False, *TEXTS, *NUMBERS])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def written(value):
    """Give a constant as CEL writes it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f"'{value}'"
    return f"({value!r})"


CONSTANTS = st.sampled_from([None, True, False, *TEXTS[:9], 0, 1, -1, 2, 5, 2**53, 0.5, 1.0, -2.5]).map(written)


def larger(inner):
    two = st.tuples(inner, inner)
    signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%", "&&", "||"])
    methods = st.sampled_from(["contains", "startsWith", "endsWith"])
    functions = st.sampled_from(["size", "int", "double", "string", "fraction", "text", "duration_seconds", "ifi"])
    return st.one_of(
        st.tuples(inner, signs, inner).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(inner, st.sampled_from("abc")).map(lambda parts: f"{parts[0]}.{parts[1]}"),
        two.map(lambda parts: f"{parts[0]}[{parts[1]}]"),
        inner.map(lambda part: f"(!{part})"),
        inner.map(lambda part: f"(-{part})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.tuples(inner, methods, inner).map(lambda parts: f"{parts[0]}.{parts[1]}({parts[2]})"),
        st.tuples(functions, inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
        two.map(lambda parts: f"hours({parts[0]}, {parts[1]})"),
        st.tuples(inner, st.sampled_from("abc")).map(lambda parts: f"has({parts[0]}.{parts[1]})"),
    )


FIELDS = st.sampled_from(["row.a", "row.b", "row.c", "row.a.b", "row.b.c.a", "row['a']", "row.c[0]"])
EXPRESSIONS = st.recursive(FIELDS | FIELDS | CONSTANTS, larger, max_leaves=6)


def asked(expression, row):
    """Give what the binding makes of it, or why it fails."""
    reasons = []
    context = cel.Context({"row": row})
    for name, function in FUNCTIONS.items():
        if function.call and not function.of_statement:
            context.add_function(name, binding.guarded(reasons, function.call))
    try:
        return binding.execute(expression.program, context, reasons)
    except binding.Uncomputable as err:
        return f"failed: {err}"


def same(one, other):
    """Compare as the two are seen outside: 1, 1.0 and true are three values, and maps have no order."""
    return shape(one) == shape(other)


def shape(value):
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else repr(value)


@settings(max_examples=1_500)
@given(EXPRESSIONS, ROWS)
@example("row.a == 1", {"a": True})
@example("row.a == 1", {"a": 1.0})
@example("row.a == row.b", {"a": 2**53 + 1, "b": float(2**53)})
@example("row.a.x || row.b", {"a": {}, "b": True})
@example("row.a.x && row.b.x", {"a": {}, "b": "text"})
@example("row.b.startsWith(row.a.x)", {"a": None})
@example("row.a / row.b", {"a": -7, "b": 2})
@example("row.a % row.b", {"a": -7, "b": 2})
@example("row.a / row.b", {"a": 1.0, "b": 0.0})
@example("row.a * row.b", {"a": 2**62, "b": 4})
@example("row.a[row.b]", {"a": [1, 2], "b": -1})
@example("row.a[row.b]", {"a": {"1": 2}, "b": 1})
@example("row.a[row.b]", {"a": [1, 2], "b": True})
@example("row.a ? 1 : 2", {"a": 1})
@example("row.a in row.b", {"a": 1, "b": [True, 1.0]})
@example("size(row.a)", {"a": "é"})
@example("row.a < row.b", {"a": "é", "b": "z😀"})
@example("has(row.a.b)", {"a": None})
@example("string(row.a)", {"a": 2**64})
def test_the_binding_gives_the_same(source, row):
    try:
        expression = compile_expression(source, statement=False)
    except ExpressionError:
        return
    expected = asked(expression, row)

    try:
        found = Item({"row": row}).value(expression)
    except EvaluationError as err:
        found = f"failed: {err.reason}"

    assert same(found, expected), (source, row)


@pytest.mark.parametrize(
    "source",
    [
        "row.status == 'closed' && row.amount > 10",
        "row.id in ['a', 'b'] || row.id.endsWith('/c')",
        "!has(row.closed) ? 0.0 : hours(row.closed, row.opened)",
        "double(row.minutes) / 60.0",
        "fraction(row.score)",
    ],
)
def test_what_rules_are_mostly_made_of_needs_no_binding(source):
    """Else these tests would compare the binding with itself, and mapping would be slow."""
    row = {
        "status": "closed", "amount": 12, "id": "b", "closed": "2026-10-05", "opened": "2026-10-04",
        "minutes": "90", "score": {"raw": 1, "max": 2},
    }  # fmt: skip
    expression = compile_expression(source, statement=False)

    assert expression.direct
    assert same(expression.direct({"row": row}, {}), asked(expression, row))


@given(SCALARS | st.just("\ud800") | st.just(2**80) | st.just([1]) | st.just({"a": 1}))
def test_what_is_given_back_as_it_is_comes_back_from_the_binding_as_it_is(value):
    if direct.is_plain(value):
        assert same(cel.evaluate("value", {"value": value}), value)
