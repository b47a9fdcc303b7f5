"""Reports: which columns there are, whose rows, and that a figure arrives as it was measured."""

from typing import Any

import pytest
from company import STAFF, Company, done, scored
from factories import DAY, START, learner
from sqlalchemy.orm import Session

from bridge import documents, jobs, records, reports
from bridge.errors import UnknownName
from bridge.mapping import Documents, Program
from bridge.models import Record, RecordBehaviour, RecordMetric
from connectors import Report

EVIDENCE = ["remembered_score", "highest_tier", "highest_tier_name", "match"]
LEARNING = ["learner", "name", "team", "enrolled_at", "attempts", "completed_at", "best_score", "last_activity_at"]


@pytest.fixture
def in_force(company: Company, session: Session) -> Documents:
    jobs.load_documents()
    found = documents.current(session)
    assert found is not None
    return found


def record(session: Session, key: str, program: str = "calm-calls", **values: Any) -> Record:
    made = Record(program=program, learner_id=learner(session, key, team="North").id, **{"attempts": 0} | values)
    session.add(made)
    session.flush()
    return made


def build(session: Session, in_force: Documents, **page: Any) -> Report:
    return reports.build(session, in_force, "calm", **page)


def test_columns_are_those_of_learning_and_then_four_for_each_metric(session: Session, in_force: Documents) -> None:
    report = build(session, in_force)

    names = [column.name for column in report.columns]
    assert names[: len(LEARNING)] == LEARNING
    assert (
        names[len(LEARNING) :]
        == [
            f"{metric}_{part}"
            for metric in ("minutes_to_solve", "deal_won")
            for part in ("before_mean", "before_count", "since_mean", "since_count")
        ]
        + EVIDENCE
    )
    [mean, count, *_] = report.columns[len(LEARNING) :]
    assert (mean.title, mean.unit) == ("Minutes to solve, 90 days before", "min")
    assert (count.title, count.unit) == ("Minutes to solve, 90 days before: how many", None)


def test_columns_tell_the_programs_own_window(company: Company, session: Session) -> None:
    company.change("program.yaml", "metrics: [", "window_days: 30\nmetrics: [")
    jobs.load_documents()
    current = documents.current(session)
    assert current is not None

    assert "Minutes to solve, 30 days since" in [column.title for column in build(session, current).columns]


def test_each_row_holds_its_columns_and_nothing_else(session: Session, in_force: Documents) -> None:
    record(session, "E1")

    report = build(session, in_force)
    [row] = report.rows

    assert list(row) == [column.name for column in report.columns]


def test_a_record_without_figures_is_a_row_of_nothing(session: Session, in_force: Documents) -> None:
    record(session, "E1")

    [row] = build(session, in_force).rows

    assert (row["completed_at"], row["best_score"], row["attempts"]) == (None, None, 0)
    assert (row["minutes_to_solve_since_mean"], row["minutes_to_solve_since_count"]) == (None, 0)


@pytest.mark.parametrize("value", [1 / 3, 0.1 + 0.2, 1e-17, 123456789.12345679, 2.0, 0.0])
def test_a_mean_arrives_bit_by_bit_and_is_a_float(session: Session, in_force: Documents, value: float) -> None:
    made = record(session, "E1", best_score=value)
    session.add(RecordMetric(record_id=made.id, metric="deal_won", since_mean=value, since_count=3, before_count=0))
    session.flush()

    [row] = build(session, in_force).rows

    assert row["deal_won_since_mean"] == value
    assert row["best_score"] == value
    assert isinstance(row["deal_won_since_mean"], float)  # JSON in the database writes 2.0 as 2


@pytest.fixture
def with_behaviours(company: Company, session: Session) -> Documents:
    """The documents with two behaviours, one of which has opportunities."""
    behaviours = """\
behaviours:
  - {name: wins, does: "wins deals, often", evidence: {metric: deal_won}}
  - {name: asks-back, does: asks back, evidence: {fact: applied}}
"""
    company.change("program.yaml", "metrics: [", f"{behaviours}metrics: [")
    jobs.load_documents()
    found = documents.current(session)
    assert found is not None
    return found


BEHAVIOUR = ["uses_before", "rate_before", "uses_since", "rate_since", "days_to_first"]


def test_each_behaviour_has_its_uses_rates_and_the_first_of_them(session: Session, with_behaviours: Documents) -> None:
    made = record(session, "E1", completed_at=START)
    session.add(
        RecordBehaviour(
            record_id=made.id,
            behaviour="wins",
            before_uses=1,
            before_opportunities=3,
            since_uses=2,
            since_opportunities=0,
            first_at=START + DAY * 1.5,
        )
    )
    session.add(RecordBehaviour(record_id=made.id, behaviour="asks-back", before_uses=0, since_uses=4))
    session.flush()

    report = build(session, with_behaviours)
    [row] = report.rows

    assert list(row) == [column.name for column in report.columns]
    assert [row[f"wins_{part}"] for part in BEHAVIOUR] == [1.0, 1 / 3, 2.0, None, 1.5]
    assert [row[f"asks-back_{part}"] for part in BEHAVIOUR] == [0.0, None, 4.0, None, None]
    assert report.columns[-10].title == "Who was trained wins deals, often, 90 days before: uses"


def test_without_a_completion_there_are_no_uses_before_and_since(session: Session, with_behaviours: Documents) -> None:
    made = record(session, "E1")
    session.add(RecordBehaviour(record_id=made.id, behaviour="wins", before_uses=0, since_uses=0))
    session.flush()

    [row] = build(session, with_behaviours).rows

    assert {row[f"wins_{part}"] for part in BEHAVIOUR} == {None}


def test_the_highest_tier_has_its_name(session: Session, in_force: Documents) -> None:
    record(session, "E1", tiers={"1": 3, "4": 1}, remembered_score=0.5, match="email")
    record(session, "E2", tiers={"2": 9, "7": 1})
    record(session, "E3")

    rows = [[row[name] for name in EVIDENCE] for row in build(session, in_force).rows]

    assert rows == [[0.5, 4, "knowledge", "email"], [None, 7, "transfer", None], [None, None, None, None]]


def test_every_tier_that_facts_are_evidence_of_has_a_name() -> None:
    assert set(records.TIERS.values()) <= set(reports.TIER_NAMES)


def test_times_are_utc_texts(session: Session, in_force: Documents) -> None:
    record(session, "E1", completed_at=START)

    assert [row["completed_at"] for row in build(session, in_force).rows] == ["2026-10-01T09:00:00Z"]


def test_a_report_shows_its_own_program_alone(session: Session, in_force: Documents) -> None:
    record(session, "E1")
    record(session, "E2", program="another")

    assert [row["learner"] for row in build(session, in_force).rows] == ["E1"]


def test_a_report_without_records_has_columns_and_no_rows(session: Session, in_force: Documents) -> None:
    report = build(session, in_force)

    assert list(report.rows) == []
    assert report.columns


def test_rows_come_by_learner_key_in_an_order_that_is_the_same_on_every_server(
    session: Session, in_force: Documents
) -> None:
    for key in ("b", "A", "a", "É", "Z", "10", "9"):
        record(session, key)

    assert [row["learner"] for row in build(session, in_force).rows] == ["10", "9", "A", "Z", "a", "b", "É"]


def test_pages_follow_each_other_without_gap_or_repeat(session: Session, in_force: Documents) -> None:
    keys = [f"E{number:02}" for number in range(7)]
    for key in keys:
        record(session, key)

    seen: list[str] = []
    while page := [row["learner"] for row in build(session, in_force, after=seen[-1] if seen else "", limit=3).rows]:
        assert len(page) <= 3
        assert not set(page) & set(seen)
        seen += page

    assert seen == keys


def test_more_rows_than_are_held_at_once_all_come(session: Session, in_force: Documents, monkeypatch: Any) -> None:
    monkeypatch.setattr(reports, "PAGE", 2)
    for number in range(5):
        record(session, f"E{number}")

    assert len(list(build(session, in_force).rows)) == 5


def test_the_note_ends_with_the_caveat_whether_or_not_there_is_one(company: Company, session: Session) -> None:
    jobs.load_documents()
    plain = documents.current(session)
    company.change("program.yaml", "program: calm-calls", "note: From two systems.\nprogram: calm-calls")
    jobs.load_documents()
    noted = documents.current(session)
    assert plain is not None
    assert noted is not None

    assert build(session, plain).note == reports.CAVEAT
    assert build(session, noted).note == f"From two systems. {reports.CAVEAT}"


def test_an_unknown_report_names_the_nearest(session: Session, in_force: Documents) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'calm'"):
        reports.build(session, in_force, "clam")


def test_the_summary_counts_learners_and_completions(session: Session, in_force: Documents) -> None:
    record(session, "E1", completed_at=START)
    record(session, "E2")
    record(session, "E3", program="another", completed_at=START)

    program: Program = in_force.programs["calm-calls"]
    assert reports.summary(session, program) == (2, 1)


def test_a_team_comes_from_the_roster(company: Company) -> None:
    company.post(done("ann"), scored("bo", 3))
    company.run()

    assert {key: row["team"] for key, row in company.report().items()} == {"E1": STAFF[0][2], "E2": STAFF[1][2]}
