"""A folder as a destination: whole files, the same bytes for the same content, nothing that a spreadsheet would run."""

import csv
import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import (
    Column,
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    Report,
    load_destination,
)

COLUMNS = (Column("learner", "Learner"), Column("hours", "Hours to resolve", "h"))
ROWS = [{"learner": "Ann Müller", "hours": 2.5}, {"learner": 'Bob "B", jr.', "hours": None}]


def report(rows=ROWS, **keys):
    return Report(
        **{"name": "team", "title": "Team", "note": "No effect.", "columns": COLUMNS, "rows": iter(rows)} | keys
    )


@pytest.fixture
def directory(tmp_path):
    def load(**keys):
        document = {"kind": "destination", "name": "files", "type": "directory", "path": "out"} | keys
        return load_destination(document, base=tmp_path)

    return load


def test_report_is_written_in_both_formats(directory, tmp_path):
    receipt = directory().push(report(metadata={"program": "basics"}))

    assert (receipt.rows, receipt.changed, receipt.location) == (2, True, str(tmp_path / "out"))
    assert (tmp_path / "out/team.csv").read_bytes() == (
        'learner,hours\r\nAnn Müller,2.5\r\n"Bob ""B"", jr.",\r\n'.encode()
    )
    assert json.loads((tmp_path / "out/team.json").read_text("utf-8")) == {
        "name": "team",
        "title": "Team",
        "note": "No effect.",
        "columns": [
            {"name": "learner", "title": "Learner", "unit": None},
            {"name": "hours", "title": "Hours to resolve", "unit": "h"},
        ],
        "metadata": {"program": "basics"},
        "rows": ROWS,
    }


def test_report_without_rows_is_a_header_and_an_empty_list(directory, tmp_path):
    directory().push(report([]))

    assert (tmp_path / "out/team.csv").read_text() == "learner,hours\n"
    assert json.loads((tmp_path / "out/team.json").read_text())["rows"] == []


def test_only_declared_columns_leave_the_house(directory, tmp_path):
    directory().push(report([{"learner": "ann", "hours": 1, "salary": 99}]))

    assert "99" not in "".join(path.read_text() for path in (tmp_path / "out").iterdir())


def test_format_that_is_not_asked_for_is_not_written(directory, tmp_path):
    directory(formats="csv").push(report())

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["team.csv", "team.manifest.json"]


def test_equal_report_leaves_the_files_alone(directory, tmp_path):
    directory().push(report())
    before = {path: path.stat() for path in (tmp_path / "out").iterdir()}

    receipt = directory().push(report())

    assert not receipt.changed
    assert {path: path.stat().st_mtime_ns for path in before} == {path: was.st_mtime_ns for path, was in before.items()}
    assert {path: path.stat().st_ino for path in before} == {path: was.st_ino for path, was in before.items()}


def test_changed_report_takes_the_place_of_the_old(directory, tmp_path):
    directory().push(report())

    receipt = directory().push(report(ROWS[:1]))

    assert receipt.changed
    assert (tmp_path / "out/team.csv").read_text("utf-8") == "learner,hours\nAnn Müller,2.5\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["team.csv", "team.json", "team.manifest.json"]


def test_files_are_for_owner_and_group(directory, tmp_path):
    directory().push(report())

    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o640}


def test_report_that_breaks_off_leaves_everything_as_it_was(directory, tmp_path):
    directory().push(report())
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    with pytest.raises(ZeroDivisionError):
        directory().push(report({"learner": "ann", "hours": 1 / n} for n in (1, 0)))

    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("-5", "-5"),  # a text that is a number
        ("+3,75", "+3,75"),
        (-5, "-5"),  # numbers are no texts
        (-0.25, "-0.25"),
        (1e-7, "1e-07"),
        (True, "true"),
        (None, ""),
        (["a"], '["a"]'),
        ("a=b", "a=b"),  # only the beginning counts
        ("'quoted", "'quoted"),
    ],
)
def test_csv_cell_is_harmless_in_a_spreadsheet(directory, tmp_path, value, cell):
    directory().push(report([{"learner": value}]))

    with (tmp_path / "out/team.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file))[1][0] == cell
    assert json.loads((tmp_path / "out/team.json").read_text())["rows"][0]["learner"] == value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "learner": st.text(st.characters(exclude_categories=["Cs"])),
                "hours": st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
            }
        ),
        max_size=10,
    )
)
def test_any_report_is_read_back_as_it_was(directory, tmp_path, rows):
    directory().push(report(rows))

    assert json.loads((tmp_path / "out/team.json").read_text("utf-8"))["rows"] == rows
    with (tmp_path / "out/team.csv").open(newline="", encoding="utf-8") as file:
        cells = [row["learner"] for row in csv.DictReader(file)]
    assert [cell.removeprefix("'") for cell in cells] == [row["learner"].removeprefix("'") for row in rows]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused_at_its_place(directory, value):
    with pytest.raises(DestinationRefused, match=r"Row 2 of team has (nan|inf) in 'hours'"):
        directory().push(report([ROWS[0], {"learner": "ann", "hours": value}]))


@pytest.mark.parametrize("name", ["../team", "a/b", "", ".team", "Team"])
def test_report_name_that_leads_elsewhere_is_refused(directory, tmp_path, name):
    with pytest.raises(DestinationRefused, match="does not do as a file name"):
        directory().push(report(name=name))

    assert list(tmp_path.iterdir()) == []


def test_path_that_is_a_file_is_refused(directory, tmp_path):
    (tmp_path / "out").touch()

    with pytest.raises(DestinationRefused, match="is not a folder"):
        directory().push(report())


@pytest.mark.parametrize(
    ("number", "error", "told"),
    [
        (errno.ENOSPC, DestinationUnavailable, "no room"),
        (errno.EDQUOT, DestinationUnavailable, "no room"),
        (errno.EIO, DestinationUnavailable, "cannot be written to: Input/output error"),
        (errno.EROFS, DestinationRefused, "may not be written to"),
        (errno.EACCES, DestinationRefused, "may not be written to"),
    ],
)
def test_operating_systems_no_is_told(directory, tmp_path, monkeypatch, number, error, told):
    def refuse(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(error, match=told):
        directory().push(report())

    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"type": "folder"}, ("type",), "There are: canvas, directory"),
        ({"kind": "source"}, ("kind",), "Write `kind: destination`"),
        ({"path": None}, ("path",), "There is no value here"),
        ({"pth": "x"}, ("pth",), "Did you mean 'path'?"),
        ({"every": "1h"}, ("every",), "There is no key 'every' here"),  # reports go out when they change
        ({"formats": ["xslx"]}, ("formats", 0), "There are: csv, json, parquet"),
        ({"formats": []}, ("formats",), "The list is empty"),
    ],
)
def test_fault_in_the_document_is_told_at_its_key(directory, keys, path, told):
    with pytest.raises(ConfigError) as caught:
        directory(**keys)

    assert caught.value.path == path
    assert told in f"{caught.value.text} {caught.value.remedy}"


def test_relative_path_begins_at_the_base_and_an_absolute_one_stands(directory, tmp_path):
    assert directory().place.path == tmp_path / "out"
    assert directory(path="/srv/reports").place.path == Path("/srv/reports")


@pytest.mark.parametrize("path", ["../elsewhere", "reports/../../elsewhere", ".."])
def test_a_relative_path_does_not_lead_out_of_the_data_directory(directory, path):
    with pytest.raises(ConfigError) as error:
        directory(path=path)

    [fault] = error.value.faults
    assert fault.path == ("path",)
    assert "leads out of the data directory" in fault.text


def test_a_link_does_not_lead_out_of_the_data_directory(directory, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "out").symlink_to(tmp_path / "elsewhere")
    document = {"kind": "destination", "name": "files", "type": "directory", "path": "out"}

    with pytest.raises(DestinationRefused, match="leads out of"):
        load_destination(document, base=tmp_path / "data").push(report())

    assert not (tmp_path / "elsewhere").exists()


def test_a_whole_path_is_taken_as_it_is(directory, tmp_path):
    directory(path=str(tmp_path / "shared")).push(report())

    assert (tmp_path / "shared" / "team.csv").exists()
