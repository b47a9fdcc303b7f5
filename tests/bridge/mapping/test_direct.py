"""What Python computes itself comes out as the binding has it, for any expression and any item."""

import cel
import pytest
from cel_samples import EXPRESSIONS, ROWS, SCALARS, asked
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.mapping import direct
from bridge.mapping.expressions import ExpressionError, compile_expression
from bridge.mapping.items import EvaluationError, Item


def same(one, other):
    """Compare as the two are seen outside: 1, 1.0 and true are three values, and maps have no order."""
    return shape(one) == shape(other)


def shape(value):
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else repr(value)


def one_key_each(value):
    """Leave maps one key: comprehensions look at keys in an order that the binding changes each time."""
    if isinstance(value, dict):
        return {key: one_key_each(value[key]) for key in sorted(value)[:1]}
    return [one_key_each(inner) for inner in value] if isinstance(value, list) else value


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
@example("row.a / row.b", {"a": -8, "b": 2})
@example("row.a / row.b", {"a": -(2**63), "b": -1})
@example("row.a / row.b", {"a": 2**63, "b": 2})
@example("row.a.b == null", {"a": None})
@example("row.a.b != null", {"a": "text"})
@example("row.a['b'] == null", {"a": [1]})
@example("row.c[0] != null", {"c": {"b": 1}})
@example("row.a / row.b", {"a": 1.0, "b": 0.0})
@example("row.a * row.b", {"a": 2**62, "b": 4})
@example("row.a[row.b]", {"a": [1, 2], "b": -1})
@example("row.a[row.b]", {"a": {"1": 2}, "b": 1})
@example("row.a[row.b]", {"a": [1, 2], "b": True})
@example("row.a + row.b", {"a": 1, "b": 0.5})
@example("row.a * row.b", {"a": True, "b": 2})
@example("row.a < row.b", {"a": True, "b": 2})
@example("row.a[row.b]", {"a": None})
@example("row.a == row.b", {"a": {"a": 1, "b": [True]}, "b": {"b": [True], "a": 1.0}})
@example("row.a == row.b", {"a": {"a": 1, "b": [True]}, "b": {"b": [1], "a": 1}})
@example("row.a != row.b", {"a": [1, 2], "b": [1]})
@example("row.a.exists(x, x.b == 1)", {"a": [{"a": 1}, {"b": 1}]})
@example("row.a.exists(x, x.b == 1)", {"a": [{"b": 1}, {"a": 1}]})
@example("row.a.all(x, x.b > 0)", {"a": [{"b": 1}, {"b": "x"}]})
@example("row.a.filter(x, x.b > row.b).size()", {"a": [{"b": 1}, {"b": 2}], "b": 1})
@example("row.a.map(x, x.b != null, x.b).size()", {"a": [{"b": None}, {"b": 2}]})
@example("row.a.exists_one(x, x == 1)", {"a": [1, 1.0]})
@example("row.a.exists(x, x == 'a')", {"a": {"a": 1}})
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
    if "(x, " in source:
        row = {key: one_key_each(value) for key, value in row.items()}
    expected = asked(expression.program, row)

    try:
        found = Item({"row": row}).value(expression)
    except EvaluationError as err:
        found = f"failed: {err.reason}"

    if str(expected).startswith("failed: "):
        expected, found = "failed", str(found).partition(":")[0]  # the item finds better words than the binding
    assert same(found, expected), (source, row)


@pytest.mark.parametrize(
    "source",
    [
        "row.status == 'closed' && row.amount > 10",
        "row.id in ['a', 'b'] || row.id.endsWith('/c')",
        "!has(row.closed) ? 0.0 : hours(row.closed, row.opened)",
        "double(row.minutes) / 60.0",
        "fraction(row.score)",
        "row.parts.exists(part, part.startsWith(row.id))",
    ],
)
def test_what_rules_are_mostly_made_of_needs_no_binding(source):
    """Else these tests would compare the binding with itself, and mapping would be slow."""
    row = {
        "status": "closed", "amount": 12, "id": "b", "closed": "2026-10-05", "opened": "2026-10-04",
        "minutes": "90", "score": {"raw": 1, "max": 2}, "parts": ["a1", "b1"],
    }  # fmt: skip
    expression = compile_expression(source, statement=False)

    assert expression.direct
    assert same(expression.direct({"row": row}, {}), asked(expression.program, row))


@given(SCALARS | st.just("\ud800") | st.just(2**80) | st.just([1]) | st.just({"a": 1}))
def test_what_is_given_back_as_it_is_comes_back_from_the_binding_as_it_is(value):
    if direct.is_plain(value):
        assert same(cel.evaluate("value", {"value": value}), value)


def test_keys_of_a_map_are_looked_at_in_order():
    """The binding takes them in another order each time, and derived rows must not depend on chance."""
    row = {"a": dict.fromkeys("qwertyuiopasdfghjkl", 1)}

    found = Item({"row": row}).text(compile_expression("row.a.filter(key, key > 'm')[0]", statement=False))

    assert found == "o"


def test_a_map_that_comes_from_the_binding_is_always_shown_alike():
    row = {"a": dict.fromkeys("qwertyuiopasdfghjkl", 1)}

    with pytest.raises(EvaluationError) as failed:
        Item({"row": row}).text(compile_expression("row.a", statement=False))

    assert failed.value.reason.startswith("it gave a map ('{'a': 1, 'd': 1, 'e': 1, 'f': 1,")
