"""Printing: one report as a table for people, and as JSON and CSV that parse back to what they were made from."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from rich.console import Console

from bridge import printing
from bridge.reports import CAVEAT
from connectors import Column, Report, report_lines

COLUMNS = (
    Column("learner", "Learner"),
    Column("name", "Name"),
    Column("completed_at", "Completed"),
    Column("attempts", "Attempts"),
    Column("best_score", "Best score"),
    Column("time_before_mean", "Time, 90 days before", "h"),
    Column("time_before_count", "Time, 90 days before: how many"),
    Column("time_since_mean", "Time, 90 days since", "h"),
    Column("time_since_count", "Time, 90 days since: how many"),
)
ANN = {
    "learner": "E1",
    "name": 'Ann "A", Archer\nsecond line',
    "completed_at": "2026-06-01T09:00:00Z",
    "attempts": 2,
    "best_score": 0.9,
    "time_before_mean": 1 / 3,
    "time_before_count": 1,
    "time_since_mean": 1234.5,
    "time_since_count": 2,
}
NOBODY = dict.fromkeys(ANN) | {"learner": "É2", "attempts": 0, "time_before_count": 0, "time_since_count": 0}


def report(*rows: Mapping[str, Any]) -> Report:
    return Report(name="calm", title="Calm [bold]calls", note=f"A note. {CAVEAT}", columns=COLUMNS, rows=rows)


def written(form: str, *rows: Mapping[str, Any]) -> str:
    out = io.StringIO()
    printing.write(report(*rows), form, out)
    return out.getvalue()


def shown(content: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    printing.show(content, Console(file=out, width=100))
    return out.getvalue()


@pytest.mark.parametrize("rows", [(), (ANN,), (ANN, NOBODY)], ids=["none", "one", "two"])
def test_json_parses_back_to_the_rows(rows: tuple[dict[str, Any], ...]) -> None:
    parsed = json.loads(written("json", *rows))

    assert parsed["rows"] == list(rows)
    assert (parsed["name"], parsed["title"]) == ("calm", "Calm [bold]calls")
    assert parsed["columns"][5] == {"name": "time_before_mean", "title": "Time, 90 days before", "unit": "h"}


@pytest.mark.parametrize("rows", [(), (ANN,), (ANN, NOBODY)], ids=["none", "one", "two"])
def test_csv_parses_back_to_the_rows(rows: tuple[dict[str, Any], ...]) -> None:
    parsed = list(csv.DictReader(io.StringIO(written("csv", *rows), newline="")))

    assert parsed == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert written("csv").splitlines() == [",".join(column.name for column in COLUMNS)]


def test_json_and_csv_carry_full_precision() -> None:
    [from_csv] = csv.DictReader(io.StringIO(written("csv", ANN), newline=""))

    assert float(from_csv["time_before_mean"]) == 1 / 3
    assert json.loads(written("json", ANN))["rows"][0]["time_before_mean"] == 1 / 3


def test_whole_floats_stay_floats() -> None:
    row = ANN | {"time_since_mean": 2.0}

    assert '"time_since_mean": 2.0,' in written("json", row)
    assert ",2.0,2\r\n" in written("csv", row)


def test_letters_stay_as_they_are() -> None:
    assert "É2" in written("json", NOBODY)
    assert "É2" in written("csv", NOBODY)


@pytest.mark.parametrize("form", ["table", "json"])
def test_the_caveat_stands_on_every_form_that_has_words(form: str) -> None:
    text = " ".join(written(form, ANN).split())

    assert "A note." in text
    assert CAVEAT in text


def test_rows_are_written_as_they_come() -> None:
    """No form holds a whole report."""
    taken = []

    def rows() -> Iterable[dict[str, Any]]:
        for number in range(3):
            taken.append(number)
            yield ANN

    for form in ("json", "csv"):
        taken.clear()
        pieces = report_lines(Report("calm", "", "", COLUMNS, rows()), form)
        next(pieces)
        next(pieces)
        assert len(taken) < 3, form


def test_a_form_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="csv or json, not 'xml'"):
        list(report_lines(report(), "xml"))


def test_the_table_shows_each_metric_as_before_and_since_with_their_counts() -> None:
    text = written("table", ANN, NOBODY)

    assert "0.33 (1) → 1,234.50 (2)" in text
    assert "- (0) → - (0)" in text
    assert "Time [h]" in text
    assert "90%" in text
    assert "2026-06-01" in text


def test_what_people_are_called_is_text_and_never_markup() -> None:
    text = written("table", ANN | {"name": "[red]Ann[/red] [link=x]"})

    assert "[red]Ann[/red] [link=x]" in text
    assert "Calm [bold]calls" in text
    assert "[red]x[/]" in shown([{"name": "[red]x[/]"}])
    assert "[red]x[/]" in shown({"name": "[red]x[/]"})


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (None, "any", "-"),
        (0.0, "time_since_mean", "0.00"),
        (0.005, "time_since_mean", "0.01"),
        (-1234.5, "time_since_mean", "-1,234.50"),
        (0.666, "best_score", "67%"),
        (1.0, "best_score", "100%"),
        (12, "attempts", "12"),
        ("2026-06-01T09:00:00Z", "completed_at", "2026-06-01"),
        ("at_", "name", "at_"),
    ],
)
def test_a_value_is_shown_as_people_read_it(value: object, column: str, text: str) -> None:
    assert printing.shown(value, Column(column, "")) == text


def test_one_row_is_shown_as_a_list_and_none_in_a_word() -> None:
    assert shown({"bad_rows": 2}).split() == ["bad", "rows", "2"]
    assert shown({"last_error": None}).split() == ["last", "error", "-"]
    assert shown([]) == "None.\n"
    lines = shown({"problems": ["first", "second"], "others": []}).splitlines()
    assert [line.split()[-1] for line in lines] == ["first", "second", "-"]


# --- evidence and behaviours ----------------------------------------------------------------------------------------

MORE = (
    *COLUMNS,
    Column("remembered_score", "Remembered score"),
    Column("highest_tier", "Highest tier"),
    Column("highest_tier_name", "Highest tier: name"),
    Column("match", "Known by"),
    Column("asks-back_uses_before", "Who was trained asks back, 90 days before: uses"),
    Column("asks-back_rate_before", "Who was trained asks back, 90 days before: uses per opportunity"),
    Column("asks-back_uses_since", "Who was trained asks back, 90 days since: uses"),
    Column("asks-back_rate_since", "Who was trained asks back, 90 days since: uses per opportunity"),
    Column("asks-back_days_to_first", "Who was trained asks back: days from completion to the first use", "days"),
)


def test_columns_are_parted_by_what_they_are_about() -> None:
    parts = printing.split(MORE)

    assert [column.name for column in parts.learning] == [column.name for column in COLUMNS[:5]]
    assert parts.metrics == [COLUMNS[5:]]
    assert [column.name for column in parts.evidence] == [
        "remembered_score",
        "highest_tier",
        "highest_tier_name",
        "match",
    ]
    assert parts.behaviours == [MORE[-5:]]
    assert printing.split(COLUMNS[:5]).metrics == printing.split(COLUMNS).behaviours == []


def test_a_behaviour_is_one_column_of_the_table() -> None:
    row = ANN | dict(
        zip(
            [column.name for column in MORE[9:]], (0.5, 7, "transfer", "roster", 1.0, 0.25, 3.0, None, 1.5), strict=True
        )
    )
    out = io.StringIO()

    printing.write(Report(name="calm", title="", note="", columns=MORE, rows=[row]), "table", out)

    words = " ".join(out.getvalue().split())
    assert "1 (25%) → 3 (-), 1.5" in words
    assert "50% 7 transfer roster" in words
    assert "asks-back" in words
    assert "Each behaviour: uses (per opportunity)" in words
