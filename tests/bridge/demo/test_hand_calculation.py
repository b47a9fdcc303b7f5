"""The hand calculation against numbers worked out by other tools."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import hand_calculation
import pytest
from hand_calculation import Mean

# Got once, on the shipped files, without Python. Learning: `jq -r 'select(.actor.account.name=="9") | [.timestamp,
# (event name), (verb), .object.id, (raw, min, max)] | @tsv'`, sorted, then read by eye. Performance: both CSV files
# imported into sqlite3, the dates of the incidents turned round with substr(), the newest row of an incident by
# `row_number() over (partition by number order by updated desc, sys_mod_count desc)`, then count and sum by
# owner between the completion, 90 days earlier and 90 days later by julianday(). Here, a sum of minutes or of values.
E1007 = {
    "enrolled_at": datetime(2026, 10, 7, 8, 12, 24, tzinfo=UTC),
    "attempts": 4,  # 38 twice, 64, 12
    "best_score": 0.7857143,
    "completed_at": datetime(2026, 10, 8, 10, 30, 16, tzinfo=UTC),  # lesson 41; 15 and 67 came later
    "last_activity_at": datetime(2026, 11, 18, 10, 41, 19, tzinfo=UTC),  # SCORM launched
    "before": {"minutes": 276_658, "sla": 48, "incidents": 79, "won": 39, "closed": 63, "value": 117_016},
    "since": {"minutes": 1_352_107, "sla": 56, "incidents": 84, "won": 37, "closed": 59, "value": 135_963},
}
E1009 = {
    "enrolled_at": datetime(2026, 10, 9, 8, 16, 39, tzinfo=UTC),
    "attempts": 6,  # 64 five times, 65
    "best_score": 0.8333329,
    "completed_at": datetime(2026, 10, 16, 9, 38, 24, tzinfo=UTC),
    "last_activity_at": datetime(2026, 11, 19, 11, 25, 52, tzinfo=UTC),  # looked back at the last quiz
    "before": {"minutes": 370_500, "sla": 62, "incidents": 114, "won": 51, "closed": 77, "value": 85_574},
    "since": {"minutes": 64_626, "sla": 4, "incidents": 5, "won": 31, "closed": 43, "value": 39_847},
}
E1020 = {
    "enrolled_at": datetime(2026, 10, 10, 8, 12, 17, tzinfo=UTC),
    "attempts": 3,
    "best_score": 0.5476186,  # 54.76186 of 100; the other two say 0 of 100 and 5 of 10
    "completed_at": datetime(2026, 10, 15, 11, 44, 35, tzinfo=UTC),
    "last_activity_at": datetime(2026, 11, 16, 11, 35, 58, tzinfo=UTC),  # looked back at the last quiz
    "before": {"minutes": 184_020, "sla": 49, "incidents": 81, "won": 12, "closed": 15, "value": 30_501},
    "since": {"minutes": 585_832, "sla": 37, "incidents": 48, "won": 19, "closed": 25, "value": 46_833},
}


@pytest.fixture(scope="module")
def figures():
    return hand_calculation.calculate()


@pytest.mark.parametrize(("number", "known"), [("E1007", E1007), ("E1009", E1009), ("E1020", E1020)])
def test_learning_is_as_jq_and_the_eye_found(figures, number, known):
    learner = figures[number]

    assert learner.enrolled_at == known["enrolled_at"]
    assert learner.attempts == known["attempts"]
    assert learner.best_score == pytest.approx(known["best_score"])
    assert learner.completed_at == known["completed_at"]
    assert learner.last_activity_at == known["last_activity_at"]


@pytest.mark.parametrize(("number", "known"), [("E1007", E1007), ("E1009", E1009), ("E1020", E1020)])
@pytest.mark.parametrize("side", ["before", "since"])
def test_performance_is_as_sqlite_found(figures, number, known, side):
    sums = known[side]

    assert getattr(figures[number], side) == {
        "hours_to_resolve": Mean(Fraction(sums["minutes"], 60 * sums["incidents"]), sums["incidents"]),
        "sla_met": Mean(Fraction(sums["sla"], sums["incidents"]), sums["incidents"]),
        "won": Mean(Fraction(sums["won"], sums["closed"]), sums["closed"]),
        "deal_value": Mean(Fraction(sums["value"], sums["won"]), sums["won"]),
    }


def test_every_learner_has_every_figure_but_one_whose_only_attempt_waits_for_its_grade(figures):
    assert list(figures) == [f"E10{number:02}" for number in range(1, 21)]
    for learner in figures.values():
        assert None not in (learner.enrolled_at, learner.completed_at, learner.last_activity_at)
        assert all(mean.count for mean in [*learner.before.values(), *learner.since.values()])
    assert [number for number, learner in figures.items() if learner.best_score is None] == ["E1017"]


def test_calculator_imports_nothing_of_ours():
    lines = Path(hand_calculation.__file__).read_text(encoding="utf-8").splitlines()
    imports = [line.split()[1] for line in lines if line.startswith(("import ", "from "))]

    assert not {name.split(".")[0] for name in imports} & {"bridge", "lrs", "connectors"}


def test_print_out_shows_the_learner_asked_for(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["hand_calculation.py", "E1009"])

    assert hand_calculation.main() == 0

    printed = capsys.readouterr().out
    assert printed.startswith("E1009 Ivan Sokolov\n")
    assert "54.1667 (114)" in printed
