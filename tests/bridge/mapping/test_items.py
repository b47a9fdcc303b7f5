"""Evaluation on one item: what is missing, what fails, and what the value must be."""

import gc
import logging
import time
import weakref
from datetime import UTC, datetime

import pytest

from bridge.mapping.expressions import compile_expression
from bridge.mapping.items import MAX_COMPREHENDED, MAX_VALUES, EvaluationError, Item

ROW = {
    "text": "abc",
    "empty": "  ",
    "nothing": None,
    "whole": 7,
    "half": 1.5,
    "zero": 0,
    "yes": True,
    "list": [1, 2],
    "map": {"a": {"b": 1}},
    "at": "2026-10-05T08:00:00Z",
    "day": "2026-10-05",
}


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
        ("row.whole + row.text", "the types do not fit"),
        ("row.nothing > 1", "the types do not fit"),
        ("row.whole * row.half", "the types do not fit"),
        ("row.nothing.deeper", "the types do not fit"),
        ("row.text.deeper", "the types do not fit"),
        ("row.nothing.size() == 1", "size() cannot be used on this value"),
        ("int(row.text)", "Function 'int' error: string parse error"),
        ("timestamp(row.text)", "Function 'timestamp' error"),
        ("row.text.matches('[')", "Function 'matches' error"),
        ("9223372036854775807 + row.whole", "Arithmetic overflow"),
        ("hours(row.text, row.at)", "'abc' is no time as ISO 8601 has it"),
        ("hours(row.at, row.whole)", "a number is no time"),
        ("hours(row.text, row.at) > 1.0 || true", "'abc' is no time as ISO 8601 has it"),
        ("duration_seconds('P1Y')", "'P1Y' is no duration of weeks, days"),
        ("fraction(row.text)", "a text is no xAPI score"),
    ],
)
def test_what_cannot_be_computed_fails_with_a_reason_and_no_log_line(item, caplog, source, reason):
    with caplog.at_level(logging.DEBUG), pytest.raises(EvaluationError) as failed:
        item.value(row(source))

    assert reason in failed.value.reason
    assert failed.value.expression == source
    assert caplog.records == []


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


def test_a_comprehension_reads_items_of_a_bounded_size_only():
    comprehension = row("row.list.filter(x, x > 1)")
    within = Item({"row": {"list": [2] * (MAX_COMPREHENDED - 3)}})
    beyond = Item({"row": {"list": [2] * 1_000_000}})

    assert within.value(comprehension) == [2] * (MAX_COMPREHENDED - 3)
    with pytest.raises(EvaluationError, match=f"more than {MAX_COMPREHENDED} values"):
        beyond.value(comprehension)


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("row.a.filter(x, " + " + ".join(["row.a"] * 20) + " != [])", MAX_COMPREHENDED - 3),
        ("size(" + " + ".join(["row.a"] * 21) + ") > 0", MAX_VALUES - 3),
        ("size([" + ", ".join(["row.a"] * 280) + "]) > 0", MAX_VALUES - 3),
        (" && ".join(["!'x'.matches(r'\\w{90}')"] * 74), 1),
    ],
    ids=["comprehension", "sums", "lists", "regular expressions"],
)
def test_the_costliest_expressions_that_are_allowed_end(source, values):
    """No timed test: they take about a second each; without the bounds, minutes and more."""
    item = Item({"row": {"a": list(range(values))}})
    began = time.process_time()

    item.value(row(source))

    assert time.process_time() - began < 60


def test_an_item_is_forgotten_when_it_has_been_read():
    """The collector cannot see into the binding: a function that held its item would keep every statement for ever."""
    item = Item({"row": {"later": "2026-01-02T00:00:00Z", "earlier": "2026-01-01T00:00:00Z"}})
    expression = row("hours(row.later, row.earlier)")
    assert item.value(expression) == 24
    reference = weakref.ref(item)

    del item
    gc.collect()

    assert reference() is None
