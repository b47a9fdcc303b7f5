"""`lrs-bridge impact plan|draw`: what a rollout would show, and a draw that can be repeated."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from bridge.cli import commands


@pytest.fixture
def history(tmp_path):
    random = np.random.default_rng(1)
    path = tmp_path / "history.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["agent", "week", "score", "crew"])
        for who in range(80):
            for week in range(40):
                rows.writerow([f"a{who}", week, random.normal(), who // 10])
    return path


COLUMNS = ["--person", "agent", "--period", "week", "--outcome", "score", "--team", "crew"]


def call(*arguments):
    return CliRunner().invoke(commands, ["impact", *map(str, arguments)])


def test_plan_shows_that_one_wave_shows_nothing(history):
    result = call("plan", history, *COLUMNS, "--waves", 1, "--waves", 3, "--json")
    one, three = json.loads(result.stdout)
    assert (one["teams"], one["detectable"]) == (8, None)
    assert three["detectable"] > 0
    assert "nothing" in call("plan", history, *COLUMNS, "--waves", 1).stdout


def test_history_that_is_too_short_is_told(history):
    result = call("plan", history, *COLUMNS, "--waves", 12)
    assert "40 periods of history; 12 waves need at least 62" in str(result.exception)


def test_draw_is_even_within_crews_and_the_same_again(history):
    arguments = ["draw", history, "--person", "agent", "--within", "crew", "--waves", 2, "--seed", 7]
    drawn = json.loads(call(*arguments, "--json").stdout)
    for crew in range(8):
        waves = [one["wave"] for one in drawn["people"] if one["within"] == str(crew)]
        assert sorted(waves) == [1] * 5 + [2] * 5
    assert json.loads(call(*arguments, "--json").stdout) == drawn
    assert drawn["digest"] in call(*arguments).stdout


def test_somebody_in_two_groups_is_told(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("agent,crew\na,1\na,2\n")
    result = call("draw", path, "--person", "agent", "--within", "crew", "--waves", 2, "--seed", 7)
    assert "row 2 (line 3): 'a' is in two groups of crew" in str(result.exception)


@pytest.mark.parametrize(
    ("option", "number", "message"),
    [
        ("--teams", 10**9, "is not in the range 2<=x<=1000"),
        ("--between", 10**9, "is not in the range 1<=x<=520"),
        ("--seed", 10**20, "is not in the range 0<=x<=9007199254740992"),
        ("--waves", 13, "is not in the range 1<=x<=12"),
        ("--untouched", "nan", "Invalid value for '--untouched'"),
    ],
)
def test_absurd_options_are_refused(history, option, number, message):
    result = call("plan", history, *COLUMNS, option, number)
    assert result.exit_code == 2
    assert message in result.output


def test_a_bad_cell_is_named_with_its_line(history):
    history.write_text(history.read_text().replace("a0,3,", "a0,2,", 1))
    assert "column 'week', row 4 (line 5): same person and period as row 3" in str(
        call("plan", history, *COLUMNS).exception
    )
