"""The person x week panel, behaviours and evidence: what they are made of, and for whom."""

import math
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest
from factories import COURSE, DAY, LESSON, QUIZ, START, fact, learner, program
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge import panel, records
from bridge.mapping import Behaviour, FactKind
from bridge.mapping.kinds import Direction, Evidence, Family, Metric, Skill
from bridge.models import LearnerAttribute, Record, RecordBehaviour, StaleAlias, WeeklyMetric

MONDAY = date(2026, 9, 28)
"""Of START's week."""
WEEK = timedelta(weeks=1)


FAMILIES = {"won": Family.BINARY, "calls": Family.COUNT, "hours": Family.DURATION}
METRICS = {name: Metric(name, name, "", family, Direction.UP, "crm") for name, family in FAMILIES.items()}


def build(session: Session, **changes: object) -> None:
    records.refresh_all(session, [program(**changes)], METRICS)
    session.expire_all()


def weeks(session: Session, **changes: object):
    return list(panel.of_program(session, program(**changes)))


def attribute(session: Session, who, name: str, value: str, first: date | None = None, last: date | None = None):
    session.add(LearnerAttribute(learner_id=who.id, name=name, value=value, valid_from=first, valid_to=last))
    session.flush()


def complete(session: Session, alias: str = "account:E1", at=START) -> None:
    fact(session, alias, kind="completed", activity=LESSON, course=COURSE, occurred_at=at)


def test_a_cell_sums_the_cases_of_a_week_and_their_logs(session: Session) -> None:
    learner(session)
    for value, weight in ((2.0, 1.0), (0.0, 1.0), (3.0, 0.5)):
        fact(session, "account:E1", metric="won", value=value, weight=weight)
    build(session)

    cell = session.scalar(select(WeeklyMetric))

    assert cell is not None
    assert (cell.week, cell.cases, cell.weight, cell.total) == (MONDAY, 3, 2.5, 3.5)
    assert cell.log_weight == 1.5
    assert cell.log_total == pytest.approx(math.log(2) + 0.5 * math.log(3), abs=1e-12)


@pytest.mark.parametrize(
    ("at", "week"),
    [
        (datetime(2026, 9, 28, tzinfo=UTC), MONDAY),
        (datetime(2026, 10, 4, 23, 59, 59, 999_999, tzinfo=UTC), MONDAY),
        (datetime(2026, 10, 5, tzinfo=UTC), MONDAY + WEEK),
    ],
)
def test_weeks_begin_on_monday_at_midnight_utc_whatever_zone_the_server_has(session: Session, at, week) -> None:
    session.execute(text("set local timezone = 'Pacific/Auckland'"))
    learner(session)
    fact(session, "account:E1", metric="won", value=1.0, occurred_at=at)
    build(session)

    assert session.scalar(select(WeeklyMetric.week)) == week


def test_aliases_of_one_learner_share_their_cells_and_unknown_ones_have_none(session: Session) -> None:
    learner(session, "E1", "account:a", "user:b")
    learner(session, "E2", "account:c")
    session.execute(text("update alias set learner_id = null where key = 'account:c'"))
    for alias in ("account:a", "user:b", "account:c"):
        fact(session, alias, metric="won", value=1.0)
    build(session)

    assert [cell.cases for cell in session.scalars(select(WeeklyMetric))] == [2]


def test_refreshing_whom_something_changed_for_gives_what_a_rebuild_gives(session: Session) -> None:
    """By random facts of many learners: the marked ones are built anew, and then all."""
    chance = random.Random(11)  # noqa: S311
    for number in range(12):
        who = learner(session, f"E{number}")
        attribute(session, who, "role", "support")
        complete(session, f"account:E{number}", START + chance.randrange(60) * DAY)
    behaviours = (Behaviour("sells", "sells", Evidence(metric="won")),)
    build(session, behaviours=behaviours)
    for _ in range(300):
        alias = f"account:E{chance.randrange(6)}"
        at = START + chance.randrange(-100 * 24, 100 * 24) * timedelta(hours=1)
        fact(session, alias, metric="won", value=chance.random(), weight=chance.random() + 0.1, occurred_at=at)
    session.execute(text("insert into stale_alias (alias_id) select id from alias where key < 'account:E6'"))

    records.refresh_stale(session, [program(behaviours=behaviours)], METRICS)
    first = everything(session)
    build(session, behaviours=behaviours)

    assert first == everything(session)
    assert len(first["weekly_metric"]) > 100


def everything(session: Session):
    queries = {
        "weekly_metric": "select * from weekly_metric order by 1, 2, 3",
        "behaviours": """select learner_id, behaviour, before_uses, before_opportunities, since_uses,
            since_opportunities, first_at from record_behaviour join record on record.id = record_id order by 1, 2""",
        "records": "select learner_id, completed_at, tiers, match, remembered_score from record order by 1",
    }
    return {name: [tuple(row) for row in session.execute(text(query))] for name, query in queries.items()}


def test_the_frame_is_who_was_there_in_each_week_with_and_without_cases(session: Session) -> None:
    there = learner(session)
    attribute(session, there, "role", "support", MONDAY, MONDAY + timedelta(days=13))
    attribute(session, there, "role", "sales", MONDAY + 2 * WEEK, MONDAY + timedelta(days=22))
    fact(session, "account:E1", metric="won", value=1.0)
    fact(session, "account:E1", metric="won", value=1.0, occurred_at=START + 5 * WEEK)
    build(session)

    found = weeks(session)

    assert [(row.week, row.role, set(row.cells)) for row in found] == [
        (MONDAY, "support", {"won"}),
        (MONDAY + WEEK, "support", set()),
        (MONDAY + 2 * WEEK, "sales", set()),
        (MONDAY + 3 * WEEK, "sales", set()),
    ], "the last week in which a role held, with one day of it, and no week after"


def test_a_change_of_role_within_a_week_counts_by_what_began_last(session: Session) -> None:
    there = learner(session)
    attribute(session, there, "role", "support", None, MONDAY + timedelta(days=2))
    attribute(session, there, "role", "sales", MONDAY + timedelta(days=3))
    fact(session, "account:E1", metric="won", value=1.0)
    build(session)

    assert [row.role for row in weeks(session)] == ["sales"]


def test_those_without_roles_are_in_all_weeks(session: Session) -> None:
    learner(session)
    fact(session, "account:E1", metric="won", value=1.0)
    fact(session, "account:E1", metric="won", value=1.0, occurred_at=START + 2 * WEEK)
    build(session)

    assert [(row.role, row.team) for row in weeks(session)] == [(None, None)] * 3


def test_assignment_and_training_are_weeks_and_the_team_is_that_of_assignment(session: Session) -> None:
    there = learner(session)
    attribute(session, there, "team", "north", None, MONDAY + timedelta(days=6))
    attribute(session, there, "team", "south", MONDAY + WEEK)
    fact(session, "account:E1", kind="enrolled", activity=COURSE, course=COURSE, occurred_at=START)
    complete(session, at=START + WEEK)
    fact(session, "account:E1", metric="won", value=1.0, occurred_at=START + 2 * WEEK)
    build(session)

    [row] = weeks(session)

    assert (row.assigned, row.first_treated, row.team) == (MONDAY, MONDAY + WEEK, "north")


def test_only_the_population_has_records_and_a_panel(session: Session) -> None:
    """Also those of it who were never trained: they are whom the trained are compared with."""
    for key, role in (("E1", "support"), ("E2", "teacher"), ("E3", "support")):
        attribute(session, learner(session, key), "role", role)
        fact(session, f"account:{key}", metric="won", value=1.0)
    complete(session, "account:E1")
    complete(session, "account:E2")
    wanted = {"population": {"role": ("support", "sales")}}
    build(session, **wanted)

    assert session.scalars(select(Record.learner_id)).all() == [session.scalar(text("select min(id) from learner"))]
    assert [row.learner for row in weeks(session, **wanted)] == ["E1", "E3"]


def test_uses_per_opportunity_come_from_a_metric_of_yes_and_no(session: Session) -> None:
    learner(session)
    complete(session)
    for days, value in ((-3, 0.0), (-2, 1.0), (1, 0.0), (4, 1.0), (6, 1.0), (200, 1.0)):
        fact(session, "account:E1", metric="won", value=value, occurred_at=START + days * DAY)
    build(session, behaviours=(Behaviour("sells", "sells", Evidence(metric="won")),))

    row = session.scalar(select(RecordBehaviour))

    assert row is not None
    assert (row.before_uses, row.before_opportunities) == (1, 2)
    assert (row.since_uses, row.since_opportunities) == (2, 3)
    assert row.first_at == START + 4 * DAY, "the first use, not the first opportunity"


@pytest.mark.parametrize(
    ("evidence", "uses"),
    [
        (Evidence(fact=FactKind.APPLIED), 3),
        (Evidence(fact=FactKind.APPLIED, what=("asked-back",)), 2),
        (Evidence(fact=FactKind.APPLIED, activities=("x:checklist",)), 1),
        (Evidence(fact=FactKind.OBSERVED), 0),
        (Evidence(metric="calls"), 7),
        (Evidence(metric="hours"), 2),
    ],
)
def test_uses_come_from_facts_counts_or_cases_without_opportunities(session: Session, evidence, uses) -> None:
    learner(session)
    complete(session)
    for what in ("asked-back", "asked-back", "other"):
        detail = {"what": what}
        fact(session, "account:E1", kind="applied", activity=COURSE, detail=detail, occurred_at=START + DAY)
    fact(session, "account:E1", kind="applied", activity="x:checklist", occurred_at=START + DAY)
    for metric, values in (("calls", (3.0, 4.0)), ("hours", (0.5, 9.0))):
        for value in values:
            fact(session, "account:E1", metric=metric, value=value, occurred_at=START + DAY)
    build(session, behaviours=(Behaviour("b", "does", evidence),))

    row = session.scalar(select(RecordBehaviour))

    assert row is not None
    assert (row.since_uses, row.since_opportunities) == (uses, None)


def test_a_behaviour_that_is_no_longer_one_leaves_the_record(session: Session) -> None:
    learner(session)
    complete(session)
    build(session, behaviours=(Behaviour("old", "does", Evidence(metric="won")),))
    build(session, behaviours=(Behaviour("new", "does", Evidence(metric="won")),))

    assert session.scalars(select(RecordBehaviour.behaviour)).all() == ["new"]


def test_a_score_is_remembered_three_days_after_completion(session: Session) -> None:
    learner(session)
    complete(session)
    for hours, score in ((1, 0.9), (71, 0.8), (72, 0.6), (500, 0.7)):
        at = START + timedelta(hours=hours)
        fact(session, "account:E1", kind="assessed", activity=QUIZ, course=COURSE, value=score, occurred_at=at)
    build(session)

    record = session.scalar(select(Record))

    assert record is not None
    assert (record.best_score, record.remembered_score) == (0.9, 0.7)


def test_evidence_is_counted_by_tier_and_completion_and_liking_are_never_transfer(session: Session) -> None:
    learner(session)
    for kind in FactKind:
        if kind is not FactKind.NOTHING:
            fact(session, "account:E1", kind=kind, activity=COURSE, course=COURSE)
    build(session)

    record = session.scalar(select(Record))

    assert record is not None
    assert record.tiers == {"1": 3, "2": 1, "3": 1, "4": 2, "5": 1, "7": 2}
    assert {records.TIERS[kind] for kind in (FactKind.COMPLETED, FactKind.ENROLLED)} == {1}
    assert records.TIERS[FactKind.SURVEYED] == 3


def test_practice_in_an_activity_of_a_skill_belongs_to_the_record(session: Session) -> None:
    learner(session)
    fact(session, "account:E1", kind="practised", activity="x:scenario")
    build(session, skills=(Skill("s", "S", activities=("x:scenario",)),))

    record = session.scalar(select(Record))

    assert record is not None
    assert record.tiers == {"5": 1}


def test_a_record_is_as_sure_as_its_least_sure_alias(session: Session) -> None:
    learner(session, "E1", "account:a", "mbox:b")
    rules = {"account:a": "roster hr", "mbox:b": "email"}
    for alias, rule in rules.items():
        session.execute(text("update alias set rule = :rule where key = :key"), {"rule": rule, "key": alias})
    complete(session, "account:a")
    build(session)
    sure = session.scalar(select(Record.match))
    fact(session, "mbox:b", kind="progressed", activity=COURSE, course=COURSE)
    build(session)

    assert (sure, session.scalar(select(Record.match))) == ("roster", "email")


def test_the_panel_of_random_facts_is_what_counting_by_hand_gives(session: Session) -> None:
    chance = random.Random(5)  # noqa: S311
    expected = defaultdict(list)
    for number in range(5):
        learner(session, f"E{number}")
    for _ in range(200):
        key, value = f"E{chance.randrange(5)}", chance.randrange(1, 9) / 4
        at = START + chance.randrange(0, 40) * DAY
        fact(session, f"account:{key}", metric="won", value=value, occurred_at=at)
        expected[key, at.date() - timedelta(days=at.weekday())].append(value)
    build(session)

    found = {(row.learner, row.week): row.cells["won"] for row in weeks(session) if row.cells}

    assert found.keys() == expected.keys()
    for place, values in expected.items():
        assert (found[place].cases, found[place].total) == (len(values), sum(values))
        assert found[place].log_total == pytest.approx(math.fsum(map(math.log, values)), abs=1e-12)


def test_no_marks_are_left_after_a_rebuild(session: Session) -> None:
    learner(session)
    session.execute(text("insert into stale_alias (alias_id) select id from alias"))
    build(session)

    assert not session.scalars(select(StaleAlias)).all()
