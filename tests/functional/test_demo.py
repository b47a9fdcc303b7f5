"""The main job on the shipped real data: the figures are those of a calculation by hand, whatever is killed."""

import csv
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hand_calculation import Figures, Mean, calculate
from redis import Redis
from trees import CLEAN, COMMAND, Start, Tree, commands_below, wait_until

from bridge import cli, up
from bridge.demo.simulated import LABEL
from bridge.times import utc_text

pytestmark = pytest.mark.slow

REPORT = "learner-performance"
METRICS = ("hours_to_resolve", "sla_met", "won", "deal_value")


@pytest.fixture(scope="module")
def by_hand() -> dict[str, Figures]:
    return calculate()


def report(tree: Tree) -> dict[str, Any]:
    return json.loads(tree.run("report", REPORT, "--json").stdout)


def finished(tree: Tree) -> bool:
    """All statements are in, and all has been read, built and delivered."""
    status = json.loads(tree.run("status", "--json").stdout)
    return status["statements"] == 3725 and status["settled"]


def assert_by_hand(rows: list[dict[str, Any]], by_hand: dict[str, Figures]) -> None:
    assert sorted(row["learner"] for row in rows) == sorted(by_hand)
    for row in rows:
        assert_learner(row, by_hand[row["learner"]])


def assert_learner(row: dict[str, Any], expected: Figures) -> None:
    assert row["name"] == expected.name
    assert row["enrolled_at"] == utc_text(expected.enrolled_at)
    assert row["completed_at"] == utc_text(expected.completed_at)
    assert row["last_activity_at"] == utc_text(expected.last_activity_at)
    assert row["attempts"] == expected.attempts
    assert row["best_score"] == pytest.approx(expected.best_score)
    for metric in METRICS:
        assert_mean(row, f"{metric}_before", expected.before[metric])
        assert_mean(row, f"{metric}_since", expected.since[metric])


def assert_mean(row: dict[str, Any], window: str, expected: Mean) -> None:
    assert row[f"{window}_count"] == expected.count
    value = row[f"{window}_mean"]
    assert value == (None if expected.value is None else pytest.approx(float(expected.value), rel=1e-12))


def test_the_demo_prints_the_figures_of_a_calculation_by_hand_and_ends(
    start: Start, by_hand: dict[str, Figures]
) -> None:
    tree = start("--demo")
    wait_until(lambda: finished(tree), "the demo has finished")
    rows = report(tree)["rows"]

    assert_by_hand(rows, by_hand)
    assert sum(row["hours_to_resolve_before_count"] > 0 and row["won_since_count"] > 0 for row in rows) >= 15

    wait_until(lambda: "Delivered:" in tree.output(), "the demo has said where everything is")
    output = tree.output()
    assert "no effect may be read from them" in output
    for key in ("E1001", "E1020"):
        assert key in output
    folder = tree.data_dir / "reports"
    delivered = json.loads((folder / f"{REPORT}.json").read_text())
    assert_by_hand(delivered["rows"], by_hand)
    with (folder / f"{REPORT}.csv").open(newline="") as file:
        assert [row["learner"] for row in csv.DictReader(file)] == sorted(by_hand)


def kill_part(name: str) -> Callable[[Tree], None]:
    def kill(tree: Tree) -> None:
        marks = {"web": "gunicorn", "worker": "-m bridge worker", "database": "bin/postgres", "broker": "valkey-server"}
        pids = [pid for pid, command in commands_below(tree.process.pid).items() if marks[name] in command]
        assert pids, f"no {name} is running"
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    return kill


def empty_broker(tree: Tree) -> None:
    running = json.loads((tree.data_dir / "running.json").read_text())
    Redis.from_url(running["REDIS_URL"]).flushall()


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(kill_part("web"), id="web killed"),
        pytest.param(kill_part("worker"), id="workers killed"),
        pytest.param(kill_part("broker"), id="broker killed"),
        pytest.param(kill_part("database"), id="database killed"),
        pytest.param(empty_broker, id="broker emptied"),
    ],
)
def test_the_records_come_out_the_same_when_a_part_is_harmed_in_the_middle(
    start: Start, by_hand: dict[str, Figures], harm: Callable[[Tree], None]
) -> None:
    tree = start("--demo")
    in_the_middle(tree)

    harm(tree)

    wait_until(lambda: finished_at_last(tree), "the demo has finished all the same", seconds=150)
    assert_by_hand(report(tree)["rows"], by_hand)


def test_the_records_come_out_the_same_when_the_whole_tree_is_killed_in_the_middle(
    start: Start, by_hand: dict[str, Figures]
) -> None:
    tree = start("--demo")
    in_the_middle(tree)
    tree.kill_all()

    again = start("--demo", data_dir=tree.data_dir)

    wait_until(lambda: finished_at_last(again), "the demo has finished", seconds=150)
    assert_by_hand(report(again)["rows"], by_hand)


def in_the_middle(tree: Tree) -> None:
    """Wait until some, and not yet all, of the statements are stored."""

    def some_stored() -> bool:
        result = tree.run("status", "--json", check=False)
        return result.returncode == 0 and json.loads(result.stdout)["statements"] > 0

    wait_until(some_stored, "statements are coming in")


def finished_at_last(tree: Tree) -> bool:
    """As `finished`, while servers may be away for a moment."""
    assert tree.process.poll() is None, tree.output()
    return tree.run("status", "--json", check=False).returncode == 0 and finished(tree)


def test_a_second_run_on_the_same_data_changes_nothing(start: Start, tmp_path: Path) -> None:
    first = start("--demo")
    wait_until(lambda: finished(first), "the demo has finished")
    before, counts = report(first), json.loads(first.run("status", "--json").stdout)
    assert first.stop() == 0

    again = start("--demo", data_dir=first.data_dir)
    wait_until(lambda: "Delivered:" in again.output().split("no effect")[-1], "the demo has been run again")

    assert report(again) == before
    again_counts = json.loads(again.run("status", "--json").stdout)
    assert {key: again_counts[key] for key in ("statements", "facts", "records", "source_records")} == {
        key: counts[key] for key in ("statements", "facts", "records", "source_records")
    }


def test_the_simulated_company_goes_the_whole_way_and_its_truth_stands_beside_the_estimate(
    start: Start, tmp_path: Path
) -> None:
    """On a smaller company than the demo's own: one that is there already is taken."""
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o700)
    plan = ("--seed", "7", "--teams", "8", "--size", "5", "--weeks", "46")
    subprocess.run([*COMMAND, "simulate", str(data_dir / up.COMPANY), *plan], env=CLEAN, check=True, timeout=60)

    tree = start("--demo", "simulated", data_dir=data_dir)
    wait_until(lambda: "The truth:" in tree.output(), "the demo has said where everything is", seconds=150)

    output, told = tree.output(), json.loads(tree.run("impact", "objections", "--json").stdout)
    assert f"{LABEL} Hours to handle: {told['metrics']['hours_to_handle']['verdict']['grade']}" in output
    assert "8 teams of 5, 46 weeks, seed 7" in output
    truth = json.loads((data_dir / up.COMPANY / "truth" / "truth.json").read_text())["att_weeks_1_to_12"]
    [line] = [line for line in output.splitlines() if line.startswith("deal_won ")]
    att = told["metrics"]["deal_won"]["att"]
    shown = [f"{100 * value:+.2g}" for value in (truth["deal_won"], att["estimate"], att["low"], att["high"])]
    assert line.split()[-6:] == [*shown, "percentage", "points"]
    assert "/programs/objections" in output
    assert json.loads(tree.run("program", "show", "objections", "--json").stdout)["state"] == "launched"


def test_a_directory_holds_one_demo_only(start: Start, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "demo").touch()

    tree = start("--demo", "simulated", data_dir=tmp_path / "data", ready=False)

    assert tree.process.wait(60) == 2
    assert "holds the other demo" in tree.output()


def test_the_command_line_knows_the_demos() -> None:
    assert cli.DEMOS == up.DEMOS
