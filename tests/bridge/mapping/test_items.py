"""Evaluation on one item: what is missing, what fails, and what the value must be."""

import gc
import logging
import weakref
from datetime import UTC, datetime

import pytest

from bridge.mapping import items
from bridge.mapping.costs import MAX_VALUES
from bridge.mapping.expressions import compile_expression
from bridge.mapping.items import MAX_SECONDS, EvaluationError, Item

ROW = {
    "text": "abc",
    "empty": "  ",
    "nothing": None,
    "whole": 7,
    "half": 1.5,
    "zero": 0,
    "two": 2,
    "yes": True,
    "list": [1, 2],
    "map": {"a": {"b": 1}},
    "at": "2026-10-05T08:00:00Z",
    "day": "2026-10-05",
    "bracket": "[",
    "year": "P1Y",
}


LATE = "timestamp(row.at) > timestamp('2026-01-01T00:00:00Z')"


def row(source):
    return compile_expression(source, statement=False)


@pytest.fixture
def item():
    return Item({"row": ROW})


@pytest.mark.parametrize(
    "source",
    [
        "row.missing",
        "row['missing']",
        "row.map.missing.b",
        "row.list[5]",
        "row.missing == 1",
        "row.missing + 1",
        "hours(row.missing, row.at)",
        "row.missing ? 1 : 2",
        "has(row.missing.deeper)",
        "row.nothing",
    ],
)
def test_what_is_missing_gives_null_and_no_condition(item, source):
    assert item.value(row(source)) is None
    assert item.holds(row(source)) is False


def test_what_decides_without_the_missing_part_holds(item):
    assert item.holds(row("row.whole == 7 || row.missing == 1"))
    assert item.holds(row("!has(row.missing)"))
    assert item.holds(None)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("row.whole / row.zero", "division by zero"),
        ("row.whole % row.zero", "modulo by zero"),
        ("row.whole + row.text", "the types do not fit: + does not go with a number ('7') and a text ('abc')"),
        ("row.nothing > 1", "the types do not fit: > does not go with null and a number ('1')"),
        ("row.whole * row.half", "7 is a whole number and 1.5 is not: write double(row.whole)"),
        ("row.half - 1", "1 is a whole number and 1.5 is not: write 1.0"),
        ("row.whole / 100.0", "7 is a whole number and 100.0 is not: write double(row.whole)"),
        ("row.whole / row.two", "7 / 2 would be rounded down to 3: write double(row.whole) / double(row.two)"),
        (
            "(0 - row.whole) / row.two",
            "-7 / 2 would be rounded up to -3: write double(0 - row.whole) / double(row.two)",
        ),
        ("7 / row.two", "7 / 2 would be rounded down to 3: write 7.0 / double(row.two)"),
        ("row.whole / row.text", "the types do not fit: / does not go with a number ('7') and a text ('abc')"),
        # such as only the binding computes
        (f"{LATE} && row.whole / row.two > 1", "7 / 2 would be rounded down to 3: write double(row.whole)"),
        (f"{LATE} && row.whole + 1.0 > 1.0", "7 is a whole number and 1.0 is not: write double(row.whole)"),
        ("row.list.map(x, x + 1.5 / row.half)", "1 is a whole number and 1.0 is not: write double(x)"),
        ("row.nothing.deeper", "the types do not fit"),
        ("row.text.deeper", "the types do not fit"),
        ("row.nothing.size() == 1", "size() cannot be used on this value"),
        ("int(row.text)", "int() cannot be computed of 'abc': string parse error"),
        ("timestamp(row.text)", "'abc' is no time as timestamp() reads it, like 2026-10-05T08:00:00Z"),
        ("row.text.matches(row.bracket)", "it is no regular expression: unclosed character class"),
        ("9223372036854775807 + row.whole", "Arithmetic overflow"),
        ("hours(row.text, row.at)", "'abc' is no time as ISO 8601 has it"),
        ("hours(row.at, row.whole)", "a number is no time"),
        ("hours(row.text, row.at) > 1.0 || true", "'abc' is no time as ISO 8601 has it"),
        ("duration_seconds(row.year)", "'P1Y' is no duration of weeks, days"),
        ("fraction(row.text)", "a text is no xAPI score"),
    ],
)
def test_what_cannot_be_computed_fails_with_a_reason_and_no_log_line(item, caplog, source, reason):
    with caplog.at_level(logging.DEBUG), pytest.raises(EvaluationError) as failed:
        item.value(row(source))

    assert reason in failed.value.reason
    assert failed.value.expression == source
    assert caplog.records == []


@pytest.mark.parametrize("more", ["", f"{LATE} && "])
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("row.whole / row.whole == 1", True),
        ("row.half / row.half == 1.0", True),
        ("row.half / 0.0 > 1.0", True),
        (
            "size(row.list) * 7 / 2 == 7 && int(row.whole) / 2 == 3",
            True,
        ),  # meant so: both are whole numbers for certain
        ("7 / 2 == 3", True),
    ],
)
def test_whole_numbers_are_divided_where_nothing_is_lost_or_it_is_meant(item, more, source, value):
    assert item.value(row(more + source)) is value


@pytest.mark.parametrize("more", ["", f"{LATE} && "])
@pytest.mark.parametrize(
    ("path", "null"),
    [
        ("row.missing", True),
        ("row.nothing", True),
        ("row.whole", False),
        ("row.missing.deeper.still", True),
        ("row.nothing.deeper", True),
        ("row.map.a.b", False),
        ("(row.map).a['c']", True),
        ("row.map['a']", False),
        ("row.list[0]", False),
        ("row.list[2]", True),
        ("row.missing[0].a", True),
    ],
)
def test_what_is_missing_equals_null(item, more, path, null):
    assert item.value(row(f"{more}{path} == null")) is null
    assert item.value(row(f"{more}null != {path}")) is not null
    assert item.value(row(f"{more}[1].exists(x, {path} != null)")) is not null


def test_a_field_of_a_text_is_compared_with_nothing(item):
    with pytest.raises(EvaluationError, match="the types do not fit"):
        item.value(row("row.text.deeper == null"))


def test_a_failure_leaves_nothing_behind_for_the_next_expression(item):
    with pytest.raises(EvaluationError):
        item.value(row("hours(row.text, row.at)"))

    assert item.value(row("hours(row.at, row.at)")) == 0


@pytest.mark.parametrize(
    ("read", "source", "value"),
    [
        ("text", "row.text", "abc"),
        ("text", "row.empty", None),
        ("text", "row.nothing", None),
        ("text", "row.whole", "7"),
        ("text", "double(row.whole)", "7"),
        ("number", "row.half", 1.5),
        ("number", "row.yes", 1.0),
        ("number", "row.nothing", None),
        ("flag", "row.yes", True),
        ("flag", "row.nothing", None),
        ("moment", "row.at", datetime(2026, 10, 5, 8, tzinfo=UTC)),
        ("moment", "timestamp(row.at)", datetime(2026, 10, 5, 8, tzinfo=UTC)),
        ("moment", "row.day", datetime(2026, 10, 5, tzinfo=UTC)),
        ("moment", "'2026-10-05T10:00:00+02:00'", datetime(2026, 10, 5, 8, tzinfo=UTC)),
        ("moment", "row.nothing", None),
    ],
)
def test_a_value_is_read_as_what_it_is_for(item, read, source, value):
    assert getattr(item, read)(row(source)) == value


@pytest.mark.parametrize(
    ("read", "source", "reason"),
    [
        ("text", "row.yes", "it gave true or false ('true'), a text is expected"),
        ("text", "row.half", "it gave a number ('1.5'), a text is expected"),
        ("text", "row.list", "it gave a list ('[1, 2]'), a text is expected"),
        ("number", "row.text", "it gave a text ('abc'), a finite number is expected"),
        ("number", "1.0 / 0.0", "it gave a number ('inf'), a finite number is expected"),
        ("number", "double('nan')", "it gave a number ('nan'), a finite number is expected"),
        ("flag", "row.text", "it gave a text ('abc'), true or false is expected"),
        ("flag", "row.whole", "it gave a number ('7'), true or false is expected"),
        ("moment", "row.whole", "a number is no time; a timestamp or an ISO 8601 text is expected"),
        ("moment", "row.text", "'abc' is no time as ISO 8601 has it, like 2026-10-05T08:00:00Z"),
        ("holds", "row.map", "it gave a map (\"{'a': {'b': 1}}\"), true or false is expected"),
    ],
)
def test_a_value_of_another_type_fails_and_is_shown(item, read, source, reason):
    with pytest.raises(EvaluationError) as failed:
        getattr(item, read)(row(source))

    assert failed.value.reason.replace('"', "'") == reason.replace('"', "'")


def nested(levels, make):
    value = 1
    for _ in range(levels):
        value = make(value)
    return value


@pytest.mark.parametrize("make", [lambda value: [value], lambda value: {"a": value}])
def test_a_value_nested_too_deeply_fails_instead_of_ending_the_process(make):
    item = Item({"row": {"deep": nested(100_000, make)}})

    with pytest.raises(EvaluationError, match="row is nested deeper than 64 levels or holds more than 20,000 values"):
        item.value(row("row.deep"))


def test_text_that_is_not_unicode_fails():
    with pytest.raises(EvaluationError, match="row holds text that is not valid Unicode"):
        Item({"row": {"a": "\ud800"}}).value(row("row.a"))


def test_an_item_too_large_for_what_an_expression_does_fails():
    expression = row("row.list.map(x, row.list)")
    most = expression.most_values
    within = Item({"row": {"list": [2] * (most - 2)}})
    beyond = Item({"row": {"list": [2] * most}})

    assert len(within.value(expression)) == most - 2
    with pytest.raises(EvaluationError, match=f"the item holds {most + 2:,} values, and this expression may look at"):
        beyond.value(expression)


def test_a_long_text_counts_like_many_values():
    expression = row("row.list.map(x, row.text)")

    with pytest.raises(EvaluationError, match="and this expression may look at"):
        Item({"row": {"list": [2], "text": "x" * 1_000_000}}).value(expression)


@pytest.mark.parametrize(
    "value",
    [
        [1] * (MAX_VALUES + 1),
        {str(number): 1 for number in range(MAX_VALUES)},
        ["x" * 200 * MAX_VALUES],
        {"a": [[[[1] * MAX_VALUES]]]},
    ],
)
def test_an_item_larger_than_any_needs_to_be_fails(value):
    with pytest.raises(EvaluationError, match=f"row is nested deeper than 64 levels or holds more than {MAX_VALUES:,}"):
        Item({"row": {"a": value}}).value(row("row.a.exists(x, row.a.exists(y, y == 1))"))


def test_rules_after_those_that_took_too_long_fail(monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(items, "monotonic", lambda: next(seconds) * MAX_SECONDS)
    item = Item({"row": ROW})

    assert item.value(row("row.list.exists(x, x == 1)")) is True
    assert item.value(row("row.list.exists(x, x == 2)")) is True
    with pytest.raises(EvaluationError, match="it took too long: the expressions before it took more than 1 s"):
        item.value(row("row.whole"))


def test_a_document_supplies_functions_of_its_own():
    def convert(amount, currency, at):
        if currency != "EUR":
            raise ValueError(f"there is no rate for {currency}")
        return amount * 2.0

    item = Item({"row": ROW}, functions={"money": convert})

    assert item.number(row("money(row.half, 'EUR', row.at)")) == 3.0
    assert item.flag(row("[money(1.5, 'EUR', row.at)].exists(x, x == 3.0)")) is True
    with pytest.raises(EvaluationError, match="there is no rate for USD"):
        item.number(row("money(row.half, 'USD', row.at)"))


def test_a_function_that_the_document_does_not_supply_fails(item):
    with pytest.raises(
        EvaluationError, match=r"business_hours\(\) is not there: the document does not say what it needs"
    ):
        item.number(row("business_hours(row.at, row.day)"))


def test_values_may_be_worked_out_when_they_are_needed():
    class Lazy(dict):
        def __missing__(self, name):
            assert name == "row"
            return self.setdefault(name, {"list": [1]})

    item = Item(Lazy())

    assert item.value(row("row.list[0]")) == 1
    assert item.value(row("row.list.exists(x, x == 1)")) is True


def test_an_item_is_forgotten_when_it_has_been_read():
    """The collector cannot see into the binding: a function that held its item would keep every statement for ever."""
    item = Item({"row": {"later": "2026-01-02T00:00:00Z", "earlier": "2026-01-01T00:00:00Z"}})
    expression = row("hours(row.later, row.earlier)")
    assert item.value(expression) == 24
    assert item.value(row("[hours(row.later, row.earlier)].exists(x, x == 24.0)")) is True
    reference = weakref.ref(item)

    del item
    gc.collect()

    assert reference() is None
