"""Reports as Parquet: the declared types, the same bytes for the same content, some rows in memory."""

import builtins
from datetime import UTC, datetime

import pytest
from pyarrow import parquet, types

from connectors import Column, DestinationRefused, Report, load_destination
from connectors.destinations import parquet as writing
from connectors.destinations.reports import ColumnType

COLUMNS = (
    Column("learner", "Learner"),
    Column("attempts", "Attempts", type=ColumnType.INTEGER),
    Column("hours", "Hours to resolve", "h", type=ColumnType.NUMBER),
    Column("completed_at", "Completed", type=ColumnType.TIME),
)
ROWS = [
    {"learner": "Ann", "attempts": 2, "hours": 1, "completed_at": "2026-03-01T09:00:00.123456Z"},
    {"learner": None, "attempts": None, "hours": None, "completed_at": None},
]


def report(rows=ROWS):
    return Report("team", "Team", "No effect.", COLUMNS, iter(rows), metadata={"program": "basics"})


@pytest.fixture
def push(tmp_path):
    def push_one(rows=ROWS, *formats):
        document = {"kind": "destination", "name": "lake", "type": "directory", "path": "out"}
        chosen = document | {"formats": list(formats or ["parquet"])}
        return load_destination(chosen, base=tmp_path).push(report(rows))

    return push_one


def test_columns_have_their_declared_types_and_values(push, tmp_path):
    push()

    table = parquet.read_table(tmp_path / "out/team.parquet")
    assert table.to_pylist() == [
        {"learner": "Ann", "attempts": 2, "hours": 1.0, "completed_at": datetime(2026, 3, 1, 9, 0, 0, 123456, UTC)},
        dict.fromkeys(("learner", "attempts", "hours", "completed_at")),
    ]
    assert table.schema.field("hours").metadata == {b"title": b"Hours to resolve", b"unit": b"h"}
    assert table.schema.metadata[b"note"] == b"No effect."


def test_types_do_not_hang_on_the_values_of_today(push, tmp_path):
    push([dict.fromkeys(ROWS[0])])

    schema = parquet.read_schema(tmp_path / "out/team.parquet")
    assert types.is_float64(schema.field("hours").type)
    assert types.is_timestamp(schema.field("completed_at").type)


def test_equal_report_gives_equal_bytes(push, tmp_path):
    push()
    before = (tmp_path / "out/team.parquet").read_bytes()

    assert not push().changed
    assert (tmp_path / "out/team.parquet").read_bytes() == before


def test_rows_are_written_group_by_group(push, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "ROWS", 10)

    push([ROWS[0]] * 25)

    file = parquet.ParquetFile(tmp_path / "out/team.parquet")
    assert [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)] == [10, 10, 5]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("learner", 5, "Row 1 of team has int in 'learner', which is declared as text"),
        ("attempts", 2.5, "has float in 'attempts'"),
        ("attempts", True, "has bool in 'attempts'"),
        ("attempts", 2**63, "has int in 'attempts'"),
        ("hours", "2", "has str in 'hours'"),
        ("completed_at", "yesterday", "has str in 'completed_at'"),
        ("completed_at", "2026-03-01T09:00:00", "has str in 'completed_at'"),  # of which zone?
    ],
)
def test_value_that_its_column_does_not_declare_is_refused_at_its_place(push, tmp_path, column, value, told):
    with pytest.raises(DestinationRefused, match=told):
        push([{**ROWS[0], column: value}], "csv", "parquet")

    assert list((tmp_path / "out").iterdir()) == []


def test_missing_library_is_named_with_its_extra(push, tmp_path, monkeypatch):
    usual = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "pyarrow":
            raise ImportError(name)
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(DestinationRefused, match=r"pip install 'lrs-bridge\[parquet\]'"):
        push()
    assert list((tmp_path / "out").iterdir()) == []
