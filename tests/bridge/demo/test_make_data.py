"""The rules by which the demo's data are made."""

from datetime import date

import pytest

from bridge.demo import make_data


def statement(**definition):
    return {"verb": {"id": "http://example.com/did"}, "object": {"id": "http://example.com/", "definition": definition}}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (statement(), None),
        (statement() | {"result": {"response": None}}, make_data.NULL),
        (statement() | {"context": {"contextActivities": {"parent": [None]}}}, make_data.NULL),
        # xAPI allows null inside extensions, and there only
        (statement() | {"result": {"extensions": {"http://example.com/x": None}}}, None),
        (statement(source=[{"id": "frog"}, {"id": "cat"}]), None),
        (statement(source=[{"id": "frog"}, {"id": "frog"}]), make_data.COMPONENT_IDS),
        (statement(target=[{"id": ""}]), make_data.COMPONENT_IDS),
        # each list has its own ids
        (statement(source=[{"id": "frog"}], target=[{"id": "frog"}]), None),
    ],
)
def test_refusal_names_what_a_strict_lrs_refuses(given, reason):
    assert make_data.refusal(given) == reason


@pytest.mark.parametrize(
    ("original", "moved"),
    [
        ("29/2/2016 01:16", "7/9/2026 01:16"),  # a leap day; no leading zeros but in the hour
        ("11/4/2016 14:39", "19/10/2026 14:39"),  # the original's median
        ("?", "?"),
    ],
)
def test_incident_dates_move_and_keep_their_form(original, moved):
    assert make_data.move_incident_date(original) == moved


@pytest.mark.parametrize(("original", "moved"), [("2017-08-02", "2026-10-21"), ("", "")])
def test_opportunity_dates_move_and_keep_their_form(original, moved):
    assert make_data.move_opportunity_date(original) == moved


def test_a_move_keeps_the_day_of_the_week():
    assert date(2017, 8, 2).weekday() == date.fromisoformat(make_data.move_opportunity_date("2017-08-02")).weekday()


def test_ranks_count_each_thing_once_and_break_ties_by_name():
    pairs = [("c", "1"), ("c", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("d", "5")]

    assert make_data.ranked(pairs, (1, 3)) == ["a", "b", "c"]
    assert make_data.ranked(pairs, (2, 2)) == ["b"]


def test_an_incident_keeps_the_rows_of_other_resolvers_too():
    header = ["number", "assigned_to", "opened_at"]
    rows = [["INC1", "?", "?"], ["INC1", "R 1", "?"], ["INC1", "R 2", "?"], ["INC2", "R 2", "?"]]

    kept = make_data.trim_incidents((header, rows), ["R 1"])

    assert kept == (header, rows[:3])


def test_packing_the_same_gives_the_same_bytes():
    assert make_data.packed(b"content") == make_data.packed(b"content")


def test_originals_that_are_not_there_are_named(tmp_path, capsys):
    assert make_data.main([str(tmp_path)]) == 1

    assert "moodle-statements.jsonl is not there" in capsys.readouterr().err


def test_another_edition_is_refused(tmp_path, capsys):
    (tmp_path / make_data.STATEMENTS).write_text("{}")

    assert make_data.main([str(tmp_path)]) == 1

    assert "another edition" in capsys.readouterr().err
