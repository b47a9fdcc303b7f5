"""What `check` and `sample` tell of files, before anything is pulled."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from connectors import SourceUnavailable

TIMES = {"at": {"type": "datetime", "format": "%d/%m/%Y %H:%M", "timezone": "UTC"}}


def findings(source):
    return {one.name: one for one in source.check()}


def states(source):
    return {one.name: one.state for one in source.check()}


def test_sound_file_is_told_to_be_so_in_figures(source, write):
    write("id,at\n1,20/11/2026 09:00\n1,20/11/2026 10:00\n2,20/11/2026 10:00\n")

    found = findings(source(columns=TIMES, cursor=["at"]))

    assert {one.state for one in found.values()} == {"ok"}
    assert found["keys"].text == "3 rows are versions of 2 records, put in order by the cursor."
    assert list(found) == ["file", "columns", "rows", "keys", "cursor", "timezone"]


@pytest.mark.parametrize(
    ("content", "keys", "name", "text", "remedy"),
    [
        ("id;at\n1;x\n", {}, "columns", "no column 'id'", "delimiter"),  # another delimiter
        ("id,when\n1,x\n", {"columns": TIMES}, "columns", "no column 'at'", "There are"),
        ("id,at\n1,11/20/2026 09:00\n", {"columns": TIMES}, "rows", "1 of the first 1 cannot be used", "format"),
        ("id\n1\n1\n", {}, "keys", "1 of the first 2 rows have a key of another row", "declare a `cursor`"),
        ("id,at\n1,\n", {"columns": TIMES, "cursor": ["at"]}, "cursor", "The cursor is empty", "Fill it in"),
        ("id,at\n1,2026-11-20\n", {"columns": {"at": {"type": "datetime"}}}, "timezone", "offset", "`timezone`"),
        (b"id,at\n1,\xff\n", {}, "rows", "no utf-8 text", "Correct `encoding`"),
        (b"\x1f\x8b\x08\x00rest", {}, "file", "packed with gzip", "compression: gzip"),
        ("", {}, "file", "empty, without even a header", "rename"),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy(source, write, content, keys, name, text, remedy):
    write(content)

    found = findings(source(**keys))[name]

    assert found.state == "failed"
    assert text in found.text
    assert remedy in found.remedy


def test_what_cannot_be_tried_is_skipped(source):
    assert states(source()) == dict.fromkeys(("columns", "rows", "keys", "cursor", "timezone"), "skipped") | {
        "file": "failed"
    }


def test_file_without_rows_is_no_fault(source, write):
    write("id,at\n")

    assert states(source())["rows"] == "skipped"


def test_time_to_come_shows_a_wrong_zone(source, write):
    soon = datetime.now(UTC) + timedelta(hours=9)
    write(f"id,at\n1,{soon:%d/%m/%Y %H:%M}\n")

    found = findings(source(columns=TIMES))["timezone"]

    assert found.state == "warning"
    assert "'at'" in found.text
    assert "correct `timezone`" in found.remedy


def test_few_bad_rows_are_a_warning_and_sampled_in_their_places(source, write):
    write("id,at\n1,20/11/2026 09:00\n2,never\n3,20/11/2026 09:00\n")
    made = source(columns=TIMES)

    page = made.sample(2)

    assert states(made)["rows"] == "warning"
    assert ([row.key for row in page.rows], [one.row for one in page.problems], page.state) == (["1"], [3], None)


def test_sample_of_a_file_that_is_not_there_is_raised(source):
    with pytest.raises(SourceUnavailable):
        source().sample(5)


def test_list_in_json_is_checked_likewise(source, write):
    write(json.dumps({"users": [{"id": 1}, {"id": 1}]}), "users.json")

    found = findings(source(type="json", path="users.json", records="users"))
    wrong = findings(source(type="json", path="users.json", records="people"))

    assert found["keys"].state == "failed"
    assert "'people' is missing" in wrong["file"].text
