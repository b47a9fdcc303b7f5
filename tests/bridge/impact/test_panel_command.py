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

from bridge import cli, panel_files

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
    assert content["periods"] == {"unit": "year", "count": 11, "first": "2000", "last": "2010"}
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
    assert other["periods"] == {"unit": "week", "count": 40, "first": "2024-01-01", "last": "2024-09-30"}


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
        ([*WEEKS, "--exposure", "crew"], "--exposure is used in a panel with --family rate, count, ratio only"),
        (["--outcome", "score", "--treated", "crew", "--exposure", "week", "--family", "rate"], "leave --exposure out"),
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
        (b"a,b\n1\n", "row 1: 1 values, where the header has 2"),
        (b"a,a\n1,2\n", "has two columns 'a'"),
        (b"a,b\n\xff\xfe,2\n", "cannot be read as CSV in UTF-8"),
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
    ("written", "unit", "numbers", "names"),
    [
        (["2004", "2006"], "year", [2004, 2006], ["2004", "2006"]),
        (["1", "3"], "period", [1, 3], ["1", "3"]),
        (["2004-01-01", "2006-01-01"], "year", [2004, 2006], ["2004", "2006"]),
        (["2004-11", "2005-02"], "month", [24058, 24061], ["2004-11", "2005-02"]),
        (["2004-Q4", "2005-Q1"], "quarter", [8019, 8020], ["2004-Q4", "2005-Q1"]),
        (["2024-W01", "2024-W03"], "week", [0, 2], ["2024-01-01", "2024-01-15"]),
        (["2024-05-06", "2024-05-09"], "day", [739012, 739015], ["2024-05-06", "2024-05-09"]),
    ],
)
def test_periods_are_read_as_they_are_written(tmp_path, written, unit, numbers, names):
    path = tmp_path / "table.csv"
    path.write_text("t\n" + "\n".join(written) + "\n")
    found, calendar = panel_files.periods(panel_files.read(path), "t")
    assert (calendar.unit, found, [calendar.name(one) for one in found]) == (unit, numbers, names)


def test_other_commands_do_not_import_numpy():
    code = "import sys, bridge.cli, bridge.app, lrs; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_json_names_are_those_of_the_readme(call, weeks):
    readme = (Path(__file__).parents[3] / "bridge" / "impact" / "README.md").read_text()
    content = json.loads(call(weeks(), *WEEKS, "--json").stdout)
    for name in [
        *content,
        *content["counts"],
        *content["tests"],
        *content["published"],
        *content["att"],
        *content["contract"],
    ]:
        assert f"`{name}`" in readme, name
