"""What the text of a cell means, by the type of its column."""

import pytest
from marshmallow import ValidationError

from connectors.sources.cells import CellError, printable
from connectors.sources.columns import ColumnsField, moment_rank


def convert(cell, declaration):
    return ColumnsField().deserialize({"c": declaration})["c"].convert(cell)


@pytest.mark.parametrize(
    ("declaration", "cell", "value"),
    [
        ({"type": "integer"}, "007", 7),  # leading zeros say nothing
        ({"type": "integer"}, "-12", -12),
        ({"type": "integer"}, "+9223372036854775807", 2**63 - 1),  # the largest that CEL and databases hold
        ({"type": "number"}, "1054", 1054),  # whole stays whole
        ({"type": "number"}, "1054.50", 1054.5),
        ({"type": "number"}, ".5", 0.5),
        ({"type": "number"}, "-1e3", -1000.0),
        ({"type": "number"}, "12345678901234567890", 12345678901234567890.0),  # more than 64 bits: a float
        ({"type": "boolean"}, "TRUE", True),  # as spreadsheets write it
        ({"type": "boolean", "true": ["Y", "1"], "false": "N"}, "n", False),
        ({"type": "boolean", True: ["ja"], False: ["nein"]}, "ja", True),  # YAML reads bare `true:` as the value
        ({"type": "date"}, "2026-01-31", "2026-01-31"),
        ({"type": "date", "format": "%d/%m/%Y"}, "9/2/2016", "2016-02-09"),  # no leading zeros needed
        ({"type": "datetime"}, "2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00Z"),
        ({"type": "datetime", "timezone": "UTC"}, "2026-01-31 10:00", "2026-01-31T10:00:00Z"),
        ({"type": "datetime"}, "2026-01-31T10:00:00.250Z", "2026-01-31T10:00:00.250000Z"),  # fractions are kept
        ({"type": "datetime", "format": "%d/%m/%Y %H:%M", "timezone": "UTC"}, "29/2/2016 1:16", "2016-02-29T01:16:00Z"),
        ({"type": "datetime", "format": "%Y-%m-%d %H:%M:%S%z"}, "2026-07-01 12:00:00+0530", "2026-07-01T06:30:00Z"),
        # summer and winter time of one zone
        ({"type": "datetime", "timezone": "Europe/Berlin"}, "2026-07-01 12:00", "2026-07-01T10:00:00Z"),
        ({"type": "datetime", "timezone": "Europe/Berlin"}, "2026-12-01 12:00", "2026-12-01T11:00:00Z"),
        # 02:30 came twice when clocks went back on 25 October: the first is meant
        ({"type": "datetime", "timezone": "Europe/Berlin"}, "2026-10-25 02:30", "2026-10-25T00:30:00Z"),
    ],
)
def test_cell_is_read_by_its_columns_type(declaration, cell, value):
    read = convert(cell, declaration)

    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("declaration", "cell", "told"),
    [
        ({"type": "integer"}, "1.5", "not a whole number"),
        ({"type": "integer"}, "1_000", "not a whole number"),  # Python would take it
        ({"type": "integer"}, "٣", "not a whole number"),  # and this
        ({"type": "integer"}, "9223372036854775808", "not a whole number"),  # 2**63 fits nowhere
        ({"type": "integer"}, "9" * 5000, "not a whole number"),  # nor does int() take it
        ({"type": "number"}, "nan", "not a number"),
        ({"type": "number"}, "inf", "not a number"),
        ({"type": "number"}, "1e999", "not a number"),  # infinity in disguise
        ({"type": "number"}, "1.054,50", "not a number"),
        ({"type": "boolean"}, "maybe", "neither true nor false"),
        ({"type": "date"}, "31/12/2026", "not a date in ISO 8601"),
        ({"type": "date", "format": "%d/%m/%Y"}, "31/2/2026", "not a date in format '%d/%m/%Y'"),  # no such day
        ({"type": "datetime", "timezone": "UTC"}, "yesterday", "not a time"),
        ({"type": "datetime"}, "2026-01-31 10:00", "says no UTC offset"),
        ({"type": "datetime", "timezone": "Europe/Berlin"}, "2026-03-29 02:30", "clocks skipped it"),
        ({"type": "datetime", "timezone": "Asia/Tokyo"}, "0001-01-01 00:00", "not a time"),  # before year 1 in UTC
    ],
)
def test_cell_that_is_not_of_its_type_is_refused_with_its_text(declaration, cell, told):
    with pytest.raises(CellError, match=told):
        convert(cell, declaration)


@pytest.mark.parametrize(
    ("declaration", "place", "told"),
    [
        ({}, "type", "There are: boolean, date"),
        ({"type": "money"}, "type", "There are: boolean"),
        ({"type": "int"}, "type", "Did you mean 'integer'?"),
        ({"type": "integer", "format": "%d"}, "format", "There is no key 'format' here"),
        ({"type": "datetime", "timezone": "Europe/Berlim"}, "timezone", "Did you mean 'Europe/Berlin'?"),
        ({"type": "datetime", "timezone": "../etc"}, "timezone", "There is no time zone"),
        ({"type": "datetime", "timezone": "Europe"}, "timezone", "There is no time zone"),  # a folder of zones
        ({"type": "datetime", "format": "%d/%m/%Y %H:%M"}, "timezone", "Add the zone"),  # never a silent UTC
        ({"type": "datetime", "format": "%d/%m/%Y %H:%M%z", "timezone": "UTC"}, "timezone", "Take `timezone` out"),
        ({"type": "datetime", "format": "%d/%m/%Y %I:%M", "timezone": "UTC"}, "format", "%p"),  # 4 in the morning?
        ({"type": "date", "format": "%d/%m"}, "format", "%Y"),
        ({"type": "date", "format": "%Q"}, "format", "cannot be used"),
        ({"type": "date", "format": ""}, "format", "There is no value here"),
        ({"type": "boolean", "true": ["y"], "false": ["Y"]}, "true", "both true and false"),
        ({"type": "boolean", "true": [True]}, "true", "Put it in quotes"),
    ],
)
def test_declaration_that_makes_no_sense_is_refused_at_its_key(declaration, place, told):
    with pytest.raises(ValidationError) as caught:
        ColumnsField().deserialize({"c": declaration})

    assert told in str(caught.value.messages["c"][place])


def test_times_with_and_without_a_fraction_rank_in_order():
    times = ["2026-01-01T12:00:00Z", "2026-01-01T12:00:00.500000Z", "2026-01-01T12:00:01Z"]

    assert sorted(times, key=moment_rank) == times


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\0b", "a␀b"),  # PostgreSQL takes no NUL
        (b"M\xfcller".decode("utf-8", "surrogateescape"), r"M\xfcller"),  # an undecodable byte, told as it was
        ("\ud83d", r"\ud83d"),  # half of a pair
        ("x" * 50, "x" * 19 + "…"),
    ],
)
def test_what_no_database_takes_is_shown_instead(text, shown):
    assert printable(text, 20) == shown
