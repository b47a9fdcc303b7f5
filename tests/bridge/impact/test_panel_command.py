"""`lrs-bridge impact panel`: files in, verdicts and numbers out, and what a wrong call is told."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from bridge import cli, panel_files, periods

DATA = Path(__file__).parent / "data"
CASTLE = [
    DATA / "castle.csv",
    "--person",
    "sid",
    "--period",
    "year",
    "--outcome",
    "l_homicide",
    "--first-treated",
    "first",
]


class _Door(click.Command):
    """The command as a person enters it: with what `main` makes of errors."""

    def main(self, *_, **__):
        cli.main()


@pytest.fixture
def call(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lrs-bridge", "impact", "panel", *map(str, arguments)])
        return CliRunner().invoke(_Door("lrs-bridge"))

    return run


@pytest.fixture
def weeks(tmp_path):
    """A panel of 40 weeks as a file; `change` rewrites rows on the way."""

    def write(change=lambda row: row, name="panel.csv"):
        random = np.random.default_rng(1)
        level, path = random.normal(0, 2, 80), tmp_path / name
        with path.open("w", newline="") as file:
            rows = csv.DictWriter(file, ["agent", "week", "score", "trained", "crew"])
            rows.writeheader()
            for who in range(80):
                first = int(random.choice([20, 24])) if who % 2 else ""
                for week in range(40):
                    score = level[who] + random.normal() + (first != "" and week >= first)
                    row = {
                        "agent": f"a{who}",
                        "week": week,
                        "score": round(score, 6),
                        "trained": first,
                        "crew": who // 10,
                    }
                    rows.writerow(change(row))
        return path

    return write


WEEKS = ["--person", "agent", "--period", "week", "--outcome", "score", "--first-treated", "trained", "--team", "crew"]


def test_published_numbers_are_in_the_json(call):
    content = json.loads(call(*CASTLE, "--weight", "popwt", "--json").stdout)
    published = content["published"]["imputation"]
    assert (round(published["estimate"], 6), round(published["se_two_stage"], 6)) == (0.075142, 0.035380)
    assert content["periods"] == {
        "unit": "year",
        "read": "years",
        "count": 11,
        "absent": 0,
        "first": "2000",
        "last": "2010",
    }
    assert content["contract"]["exclude_before"] == 0
    assert content["verdict"]["grade"] == "not enough evidence"
    assert len(content["hashes"]["data"]) == len(content["hashes"]["contract"]) == 64


def test_weeks_are_answered_in_sentences(call, weeks):
    result = call(weeks(), *WEEKS, "--target", "0.4")
    assert result.exit_code == 0
    assert result.stdout.startswith("Verdict: strong\n\nScore rose by ")
    assert "in the 12 weeks after training" in result.stdout
    assert "nomination window" in result.stdout


def test_a_refusal_is_an_answer(call, weeks):
    result = call(weeks(), *WEEKS, "--target", "0.001")
    assert result.exit_code == 0
    assert result.stdout.startswith("Verdict: not enough evidence")
    assert "R7" in result.stdout


def test_experiment_and_two_periods_need_no_panel(call):
    asked = ["--treated", "train", "--outcome", "re78"]
    content = json.loads(call(DATA / "jtrain2.csv", *asked, "--randomised", "--json").stdout)
    assert content["design"] == "experiment"
    assert content["verdict"]["grade"] == "strong"
    assert content["contract"]["randomised"]
    assert round(content["published"]["difference"]["se_pooled"], 3) == 0.633
    refused = call(
        DATA / "jtrain3.csv", "--treated", "train", "--outcome", "re78", "--covariates", "age,educ,re74,re75"
    )
    assert "The groups were not alike before" in refused.stdout
    assert refused.exit_code == 0


@pytest.mark.parametrize("covariates", [[], ["--covariates", "age,educ,re74,re75"]])
def test_a_comparison_without_chance_is_refused_and_its_figures_are_there(call, covariates):
    """Observational LaLonde data (PSID): the plain comparison says that training cost 15,200 dollars."""
    asked = [DATA / "jtrain3.csv", "--treated", "train", "--outcome", "re78", *covariates]
    content = json.loads(call(*asked, "--json").stdout)
    assert content["verdict"]["grade"] == "not enough evidence"
    assert "R5" in [reason["code"] for reason in content["verdict"]["reasons"]]
    text = " ".join(content["verdict"]["sentences"])
    assert "Nobody said that chance decided who was trained" in text
    assert "15.2" not in text
    assert round(content["published"]["difference"]["estimate"], 1) == -15.2


def test_dates_and_parquet_give_the_same_as_numbers(call, weeks, tmp_path):
    table = panel_files.read(weeks())
    start = np.datetime64("2024-01-01")
    dates = [(start + 7 * int(week)).item() for week in table.column("week")]
    trained = [(start + 7 * int(one) + 2).item() if one else None for one in table.column("trained")]
    columns = {name: table.column(name) for name in ("agent", "crew")}
    columns |= {"week": dates, "trained": trained, "score": [float(one) for one in table.column("score")]}
    path = tmp_path / "panel.parquet"
    parquet.write_table(pa.table(columns), path)
    one, other = (json.loads(call(file, *WEEKS, "--json").stdout) for file in (table.path, path))
    assert one["att"] == pytest.approx(other["att"])
    assert other["periods"] == {
        "unit": "week",
        "read": "Mondays, which begin weeks",
        "count": 40,
        "absent": 0,
        "first": "2024-01-01",
        "last": "2024-09-30",
    }


@pytest.mark.parametrize("never", ["", "0", "NaN", "inf", "NA", "never"])
def test_all_ways_to_say_never_trained(call, weeks, never):
    made = weeks(lambda row: row | {"trained": row["trained"] or never, "week": row["week"] + 1})
    assert json.loads(call(made, *WEEKS, "--json").stdout)["counts"]["trained"] == 40


@pytest.mark.parametrize("shift", [0, -3])
@pytest.mark.parametrize("zero", ["0", "0.0", 0])
def test_zero_is_not_never_where_it_is_a_period(call, weeks, shift, zero):
    made = weeks(lambda row: row | {"trained": row["trained"] or zero, "week": row["week"] + shift})
    result = call(made, *WEEKS)
    assert result.exit_code == 1
    assert "column 'trained', row 1 (line 2): 0" in result.stderr
    assert "Leave it empty for who was never trained" in result.stderr


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"score": "inf"}, "column 'score', row 1 (line 2): is infinite"),
        ({"score": "high"}, "column 'score', row 1 (line 2): 'high' is no number"),
        (
            {"week": "soon"},
            "column 'week', row 1 (line 2): 'soon' is neither a whole number nor a date like 2024-05-06",
        ),
        ({"week": "2024-05-06"}, "column 'week', row 2 (line 3): 1 is no date, as others are"),
        ({"week": ""}, "column 'week', row 1 (line 2) is empty"),
        (
            {"trained": "2024-05-06"},
            "column 'trained', row 1 (line 2): '2024-05-06' is a date, and the periods are numbers",
        ),
        ({"agent": ""}, "column 'agent', row 1 (line 2): is empty"),
        ({"agent": "a\0"}, "panel.csv, line 2: a NUL character, which no text has"),
    ],
)
def test_unusable_data_end_with_1_and_name_the_cell(call, weeks, cell, message):
    first = iter([cell])
    result = call(weeks(lambda row: row | next(first, {})), *WEEKS)
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing option '--outcome'"),
        (["--outcome", "score"], "Name one of --first-treated (a panel) and --treated (two groups)."),
        (["--outcome", "score", "--first-treated", "trained"], "The design panel needs --person, --period."),
        ([*WEEKS[:4], "--outcome", "scor", *WEEKS[6:]], "has no column 'scor'. Did you mean 'score'?"),
        ([*WEEKS, "--target", "-1"], "target of score is -1.0, and must be a number above 0"),
        ([*WEEKS, "--interim", "20"], "interim is 20, which is after the horizon of 12"),
        ([*WEEKS, "--horizon", "99999999999999999999"], "is not in the range 1<=x<=10000"),
        ([*WEEKS, "--interim", "10001"], "is not in the range 1<=x<=10000"),
        ([*WEEKS, "--min-pre", "10001"], "is not in the range 1<=x<=10000"),
        ([*WEEKS, "--exclude-before", "10001"], "is not in the range 0<=x<=10000"),
        ([*WEEKS, "--exposure", "crew"], "--exposure is used with --family rate, count, ratio only"),
        (
            ["--outcome", "score", "--treated", "crew", "--exposure", "week", "--family", "rate"],
            "has no use for --exposure; it takes --treated, --person, --team, --weight, --covariates.",
        ),
        (["--outcome", "score", "--treated", "crew", "--role", "week"], "The design experiment has no use for --role"),
        (
            ["--outcome", "score", "--treated", "crew", "--horizon", "3"],
            "The design experiment has no use for --horizon",
        ),
        (
            ["--outcome", "score", "--treated", "crew", "--period", "week", "--person", "agent", "--control", "never"],
            "The design two-period has no use for --control",
        ),
        ([*WEEKS, "--treated", "crew", "--design", "panel"], "The design panel has no use for --treated"),
        ([*WEEKS, "--family", "ratio"], "--family ratio needs --exposure"),
        ([*WEEKS, "--family", "rate", "--target", "3"], "--target 3: with --family rate it is a share below 1"),
        ([*WEEKS, "--family", "log", "--target", "8"], "--target 8: with --family log it is a share below 1"),
        ([*WEEKS, "--target", "nan"], "target of score is nan, and must be a number above 0"),
        ([*WEEKS, "--target", "inf"], "target of score is inf, and must be a number above 0"),
        ([*WEEKS, "--smallest-group", "99999999999999999999"], "is not in the range 1<=x<=1000000"),
        ([*WEEKS, "--overlap", "1.5"], "is not in the range 0<=x<=1"),
        ([*WEEKS, "--family", "sum"], "Invalid value for '--family'"),
    ],
)
def test_wrong_calls_end_with_2(call, weeks, arguments, message):
    result = call(weeks(), *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: a header and rows are needed"),
        (b"a,b\n1\n", "row 1 (line 2): 1 values, where the header has 2"),
        (b"a,a\n1,2\n", "has two columns 'a'"),
        (b"a,b\n\xff\xfe,2\n", "cannot be read as CSV in UTF-8"),
        (b"a\0,b\n1,2\n", "line 1: a NUL character, which no text has"),
        (b"a,b\n\n1,2\n\n0,x\n", "column 'b', row 2 (line 5): 'x' is no number"),
    ],
)
def test_files_that_are_no_tables_end_with_1(call, tmp_path, content, message):
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    result = call(path, "--treated", "a", "--outcome", "b")
    assert result.exit_code == 1
    assert message in result.stderr


def test_header_alone_is_told(call, tmp_path):
    path = tmp_path / "empty.csv"
    path.write_text("agent,week,score,trained,crew\n")
    result = call(path, *WEEKS)
    assert result.exit_code == 1
    assert "there are no rows" in result.stderr


def test_semicolons_and_quotes_are_read(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes('\ufeff"a";b\n"x;y";2\n'.encode())
    assert dict(panel_files.read(path).columns) == {"a": ["x;y"], "b": ["2"]}


@pytest.mark.parametrize(
    ("written", "unit", "read", "numbers", "names"),
    [
        ("2004 2006", "year", "years", [2004, 2006], "2004 2006"),
        ("1 3", "period", "whole numbers", [1, 3], "1 3"),
        ("202300 202301", "period", "whole numbers", [202300, 202301], "202300 202301"),
        ("189912 189913", "period", "whole numbers", [189912, 189913], "189912 189913"),
        ("202312 202401", "month", "months written YYYYMM", [24287, 24288], "2023-12 2024-01"),
        ("202352 202401 202353", "period", "whole numbers", [202352, 202401, 202353], "202352 202401 202353"),
        ("202352 202401", "week", "ISO weeks written YYYYWW", [0, 1], "2023-12-25 2024-01-01"),
        ("20234 20241", "quarter", "quarters written YYYYQ", [8095, 8096], "2023-Q4 2024-Q1"),
        ("20240430 20240531", "month", "last days of months, written YYYYMMDD", [24291, 24292], "2024-04 2024-05"),
        ("20240230 20240301", "period", "whole numbers", [20240230, 20240301], "20240230 20240301"),
        ("2004-01-01 2006-01-01", "year", "first days of years", [2004, 2006], "2004 2006"),
        ("2004-12-31 2005-12-31", "year", "last days of years", [2004, 2005], "2004 2005"),
        ("2004-06-30 2005-06-30", "year", "last days of years that begin in month 7", [2004, 2005], "2004 2005"),
        ("2004-07-01 2005-07-01", "year", "first days of years that begin in month 7", [2004, 2005], "2004 2005"),
        ("2004-11 2005-02", "quarter", "first days of quarters", [8019, 8020], "2004-Q4 2005-Q1"),
        ("2004-11 2004-12", "month", "first days of months", [24058, 24059], "2004-11 2004-12"),
        ("2004m12 2005M1", "month", "first days of months", [24059, 24060], "2004-12 2005-01"),
        ("2004/12 2005/01", "month", "first days of months", [24059, 24060], "2004-12 2005-01"),
        ("2024-01-31 2024-02-29", "month", "last days of months", [24288, 24289], "2024-01 2024-02"),
        ("2024-03-31 2024-06-30", "quarter", "last days of quarters", [8096, 8097], "2024-Q1 2024-Q2"),
        ("2024-03-29 2024-04-30 2024-05-31", "month", "dates, one in each month", [24290, 24291, 24292], None),
        ("2024-01-15 2024-02-15 2024-05-15", "month", "dates, one in each month", [24288, 24289, 24292], None),
        ("2003-05-14 2004-05-12 2005-05-13", "year", "dates, one in each year", [2003, 2004, 2005], None),
        ("2004-Q4 2005-Q1 2005q2", "quarter", "first days of quarters", [8019, 8020, 8021], None),
        ("Q42010 Q1-2011", "quarter", "first days of quarters", [8043, 8044], "2010-Q4 2011-Q1"),
        ("2024-W01 2024w3", "week", "Mondays, which begin weeks", [0, 2], "2024-01-01 2024-01-15"),
        ("2024-05-05 2024-05-12", "week", "Sundays, each taken to begin a week", [0, 1], "2024-05-05 2024-05-12"),
        ("2024-05-06 2024-05-09", "day", "days", [739012, 739015], "2024-05-06 2024-05-09"),
        ("06.05.2024 09.05.2024", "day", "days", [739012, 739015], "2024-05-06 2024-05-09"),
        ("2024/5/6 2024/5/9", "day", "days", [739012, 739015], "2024-05-06 2024-05-09"),
        ("2024-05-06T10:00 2024-05-07T23:59Z", "day", "days", [739012, 739013], "2024-05-06 2024-05-07"),
    ],
)
def test_periods_are_read_as_they_are_written(tmp_path, written, unit, read, numbers, names):
    found, calendar = periods.periods(column(tmp_path, written.split()), "t")
    assert (calendar.unit, calendar.read, found) == (unit, read, numbers)
    assert names is None or [calendar.name(one) for one in found] == names.split()


def column(tmp_path, values):
    path = tmp_path / "table.csv"
    path.write_text("t\n" + "".join(f'"{value}"\n' for value in values))
    return panel_files.read(path)


@pytest.mark.parametrize(
    ("written", "trained", "number"),
    [
        ("202312 202401", "202402", 24289),
        ("202312 202401", "2024-02-20", 24289),
        ("202312 202401", "20240220", 24289),
        ("202352 202401", "202402", 2),
        ("2024-05-06 2024-05-13", "2024-05-12", 0),
        ("2024-05-06 2024-05-13", "20240513", 1),
        ("2004-06-30 2005-06-30", "2004-07-01", 2005),
        ("2004-07-01 2005-07-01", "2005-06-30", 2004),
        ("2004 2005", "2005-06-30", 2005),
        ("2004 2005", "9999", 9999),
        ("1 2", "202402", 202402),
    ],
)
def test_training_is_read_by_the_calendar_of_the_periods(tmp_path, written, trained, number):
    _, calendar = periods.periods(column(tmp_path, written.split()), "t")
    assert periods.trainings(column(tmp_path, [trained]), "t", calendar) == [number]


@pytest.mark.parametrize(
    ("written", "trained", "message"),
    [
        ("202312 202401", "24", "'24' is no date, as the periods are (months written YYYYMM); leave it empty"),
        ("202312 202401", "202413", "'202413' is no date, as the periods are (months written YYYYMM)"),
        ("2004 2005", "200501", "'200501' is no year, as the periods are (years); leave it empty for never"),
        ("2004 2005", "-1", "'-1' is no year, as the periods are (years); leave it empty for never"),
        ("1 2", "2024-05-06", "'2024-05-06' is a date, and the periods are numbers"),
        ("1 2", "1.5", "1.5 is no whole number"),
    ],
)
def test_training_that_is_written_otherwise_is_told(tmp_path, written, trained, message):
    """Taken for a number far beyond the data, it would say that the person was never trained."""
    _, calendar = periods.periods(column(tmp_path, written.split()), "t")
    with pytest.raises(panel_files.TableError) as error:
        periods.trainings(column(tmp_path, [trained]), "t", calendar)
    assert message in str(error.value)


def test_months_as_numbers_follow_each_other(call, weeks):
    """As whole numbers December would lie 89 periods before January, and a trend before training would be nonsense."""

    def month(number):
        return 100 * (2022 + int(number) // 12) + int(number) % 12 + 1

    made = weeks(lambda row: row | {"week": month(row["week"]), "trained": row["trained"] and month(row["trained"])})
    content = json.loads(call(made, *WEEKS, "--json").stdout)
    plain = json.loads(call(weeks(name="plain.csv"), *WEEKS, "--json").stdout)
    assert (content["periods"]["unit"], content["periods"]["first"], content["periods"]["count"]) == (
        "month",
        "2022-01",
        40,
    )
    assert content["published"]["imputation"]["estimate"] == plain["published"]["imputation"]["estimate"]
    assert "Periods: 40, from 2022-01 to 2025-04, read as months written YYYYMM." in call(made, *WEEKS).stdout


def test_periods_without_any_row_are_told(call, weeks):
    made = weeks(lambda row: row | {"week": row["week"] + 3 * (row["week"] > 30)})
    assert "Periods: 40, from 0 to 42, read as whole numbers; 3 between them have no row." in call(made, *WEEKS).stdout


def test_other_commands_do_not_import_numpy():
    code = "import sys, bridge.cli, bridge.app, lrs; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("family", "value", "message"),
    [
        ("rate", 1.5, "column 'score', row 7 (line 8): a rate that is not from 0 to 1 (family rate)"),
        ("log", 0, "column 'score', row 7 (line 8): a value that is not above 0"),
        ("count", -1, "column 'score', row 7 (line 8): a count below 0"),
    ],
)
@pytest.mark.parametrize("design", ["panel", "experiment"])
def test_errors_of_families_name_the_column_of_the_file(call, weeks, family, value, message, design):
    numbers = iter(range(10**6))
    made = weeks(lambda row: row | {"score": value if next(numbers) == 6 else 0.5, "crew": int(row["crew"]) % 2})
    asked = WEEKS if design == "panel" else ["--outcome", "score", "--treated", "crew"]
    result = call(made, *asked, "--family", family)
    assert result.exit_code == 1
    assert message in result.stderr


def test_logarithms_of_an_experiment_are_said_in_per_cent(call, tmp_path):
    random = np.random.default_rng(1)
    trained = np.arange(400) % 2
    hours = np.exp(3 + 0.2 * random.normal(size=400) - 0.1 * trained)
    path = tmp_path / "hours.csv"
    rows = (f"{who},{trained[who]},{hours[who]}\n" for who in range(400))
    path.write_text("who,trained,hours\n" + "".join(rows))
    asked = ["--outcome", "hours", "--treated", "trained", "--person", "who", "--family", "log", "--direction", "lower"]
    content = json.loads(call(path, *asked, "--randomised", "--json").stdout)
    logs = np.log(hours)
    assert content["att"]["estimate"] == pytest.approx(logs[trained == 1].mean() - logs[trained == 0].mean())
    assert "Hours was 7.5 % lower" in content["verdict"]["sentences"][0]


def test_a_person_stands_once_in_an_experiment(call, weeks):
    made = weeks(lambda row: row | {"crew": int(row["crew"]) % 2})
    result = call(made, "--outcome", "score", "--treated", "crew", "--person", "agent")
    assert result.exit_code == 1
    assert (
        "column 'agent', row 2 (line 3): same person as row 1, and an experiment has one row for each" in result.stderr
    )


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--identity-match", "0.89"], "R8"),
        (["--identity-match", "0.9"], None),
        (["--changed", "team 3 got another form"], "R9"),
        (["--changed", " "], None),
        (["--overlap", "0.21"], "R10"),
        (["--overlap", "0.2"], None),
    ],
)
def test_what_the_data_do_not_show_can_be_said(call, weeks, options, code):
    content = json.loads(call(weeks(), *WEEKS, *options, "--json").stdout)
    assert [reason["code"] for reason in content["verdict"]["reasons"]] == ([code] if code else [])


def test_one_state_gives_the_published_number_and_no_verdict(call, tmp_path):
    """Kessler and Roth 2014: asking for an active choice lowered registrations in California by 2.2 points."""
    rows = (DATA / "organ_donation.csv").read_text().splitlines()
    first = ["first", *("Q32011" if row.startswith("California") else "" for row in rows[1:])]
    path = tmp_path / "organs.csv"
    path.write_text("".join(f"{row},{moment}\n" for row, moment in zip(rows, first, strict=True)))
    asked = ["--person", "State", "--period", "Quarter", "--outcome", "Rate", "--first-treated", "first"]
    content = json.loads(call(path, *asked, "--json").stdout)
    published = content["published"]["imputation"]
    assert (round(published["estimate"], 4), round(published["se_two_stage"], 4)) == (-0.0225, 0.0059)
    assert (content["periods"]["first"], content["periods"]["last"]) == ("2010-Q4", "2012-Q1")
    assert {"R1", "R2"} < {reason["code"] for reason in content["verdict"]["reasons"]}
    assert "1 trained person has at least 1 quarter before" in " ".join(content["verdict"]["sentences"])
