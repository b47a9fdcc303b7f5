"""Records: how the figures of a report come out of facts."""

from datetime import timedelta

import pytest
from factories import COURSE, DAY, LESSON, QUIZ, START, fact, learner, program
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge import records
from bridge.mapping import Completion
from bridge.models import Record, RecordMetric, StaleAlias

SECOND = timedelta(seconds=1)
OTHER = "http://moodle.example.com/mod/lesson/view.php?id=41"


def build(session: Session, **changes: object) -> Record | None:
    records.refresh_all(session, [program(**changes)], {})
    session.expire_all()
    return session.scalar(select(Record))


def complete(session: Session, at=START, activity: str = LESSON, kind: str = "completed") -> None:
    fact(session, "account:E1", kind=kind, activity=activity, course=COURSE, occurred_at=at)


def metric(session: Session, at, value: float = 1.0, name: str = "won") -> None:
    fact(session, "account:E1", metric=name, value=value, occurred_at=at)


def test_a_learner_without_a_learning_fact_in_the_program_has_no_record(session: Session) -> None:
    learner(session)
    fact(session, "account:E1", kind="completed", activity=OTHER, course="elsewhere")
    metric(session, START)

    assert build(session) is None


def test_facts_of_an_alias_that_leads_to_nobody_make_no_record(session: Session) -> None:
    learner(session)
    session.execute(text("update alias set learner_id = null"))
    complete(session)

    assert build(session) is None


@pytest.mark.parametrize(
    ("events", "completed_after"),
    [
        ([("completed", 0)], 0),
        # Moodle sends both in the same second, in either order: completed holds
        ([("uncompleted", 0), ("completed", 0)], 0),
        ([("completed", 0), ("uncompleted", 0)], 0),
        # taken back later: not completed
        ([("completed", 0), ("uncompleted", 5)], None),
        # taken back and completed again: the new completion counts
        ([("completed", 0), ("uncompleted", 5), ("completed", 9)], 9),
        # completed twice without being taken back: the first counts
        ([("completed", 3), ("completed", 7)], 3),
        ([("uncompleted", 5)], None),
    ],
)
def test_an_activity_is_completed_at_its_first_completion_since_it_was_last_undone(
    session: Session, events: list[tuple[str, int]], completed_after: int | None
) -> None:
    learner(session)
    for kind, seconds in events:
        complete(session, START + seconds * SECOND, kind=kind)

    record = build(session)

    assert record is not None
    assert record.completed_at == (None if completed_after is None else START + completed_after * SECOND)


@pytest.mark.parametrize(
    ("need", "done", "day"),
    [("any", (LESSON, OTHER), 1), ("all", (LESSON, OTHER), 2), ("any", (OTHER,), 2), ("all", (OTHER,), None)],
)
def test_a_program_needs_any_or_all_of_its_activities(
    session: Session, need: str, done: tuple[str, ...], day: int | None
) -> None:
    learner(session)
    for activity in done:
        complete(session, START + (1 if activity == LESSON else 2) * DAY, activity=activity)

    record = build(session, completion=Completion(of=(LESSON, OTHER), need=need))

    assert record is not None
    assert record.completed_at == (START + day * DAY if day else None)


def test_windows_are_half_open_on_both_sides_of_the_completion(session: Session) -> None:
    learner(session)
    complete(session, START)
    for at, value in [
        (START - 90 * DAY - SECOND, 100.0),  # too early
        (START - 90 * DAY, 1.0),
        (START - SECOND, 2.0),
        (START, 10.0),
        (START + 90 * DAY - SECOND, 20.0),
        (START + 90 * DAY, 100.0),  # too late
    ]:
        metric(session, at, value)

    build(session)

    row = session.scalars(select(RecordMetric)).one()
    assert (row.before_mean, row.before_count, row.since_mean, row.since_count) == (1.5, 2, 15.0, 2)


def test_without_a_completion_there_is_no_before_and_no_since(session: Session) -> None:
    learner(session)
    fact(session, "account:E1", kind="enrolled", activity=COURSE, course=COURSE)
    metric(session, START)

    build(session)

    row = session.scalars(select(RecordMetric)).one()
    assert (row.before_mean, row.before_count, row.since_mean, row.since_count) == (None, 0, None, 0)


def test_all_aliases_of_a_learner_count_together(session: Session) -> None:
    learner(session, "E1", "account:E1", "user:crm|Ann")
    complete(session)
    fact(session, "user:crm|Ann", metric="won", value=0.0, occurred_at=START + DAY)
    metric(session, START + DAY)

    build(session)

    row = session.scalars(select(RecordMetric)).one()
    assert (row.since_mean, row.since_count) == (0.5, 2)


def test_learning_columns_come_from_the_programs_own_activities(session: Session) -> None:
    learner(session)
    fact(session, "account:E1", kind="enrolled", activity=COURSE, course=COURSE, occurred_at=START)
    fact(session, "account:E1", kind="enrolled", activity="elsewhere", course="elsewhere", occurred_at=START - DAY)
    for attempt, score in [("a1", 0.4), ("a2", 0.9), ("a2", 0.9)]:
        values = {"activity": QUIZ, "course": COURSE, "attempt": attempt, "value": score, "occurred_at": START + DAY}
        fact(session, "account:E1", kind="assessed", **values)
    fact(session, "account:E1", kind="assessed", activity="other quiz", course=COURSE, attempt="a3", value=1.0)
    fact(session, "account:E1", kind="progressed", activity=LESSON, course=COURSE, occurred_at=START + 2 * DAY)
    fact(session, "account:E1", kind="unenrolled", activity=COURSE, course=COURSE, occurred_at=START + 9 * DAY)

    record = build(session)

    assert record is not None
    assert (record.enrolled_at, record.attempts, record.best_score) == (START, 2, 0.9)
    assert record.last_activity_at == START + 2 * DAY  # being unenrolled is no activity of the learner's


def test_a_record_says_which_of_the_programs_courses_were_taken(session: Session) -> None:
    learner(session)
    others = (f"{COURSE}b", f"{COURSE}c", f"{COURSE}d")
    fact(session, "account:E1", kind="enrolled", activity=others[0])
    fact(session, "account:E1", kind="completed", activity=LESSON, course=COURSE)
    fact(session, "account:E1", kind="completed", activity=OTHER, course=others[2])  # of another program

    record = build(session, courses=(others[1], others[0], COURSE))

    assert record is not None
    assert record.courses == [COURSE, others[0]]


def test_a_mean_does_not_depend_on_the_order_of_facts(session: Session) -> None:
    values = [0.1, 1e9, -1e9, 0.3, 7.7]
    means = []
    for order in (values, values[::-1]):
        session.execute(text("truncate learner, alias, fact, record cascade"))
        learner(session)
        complete(session)
        for value in order:
            metric(session, START + DAY, value)
        build(session)
        means.append(session.scalars(select(RecordMetric.since_mean)).one())

    assert means[0] == means[1]


def test_a_refresh_of_marked_learners_equals_a_refresh_of_all(session: Session) -> None:
    for key in ("E1", "E2"):
        learner(session, key)
    complete(session)
    build(session)
    metric(session, START + DAY, 3.0)
    fact(session, "account:E2", kind="completed", activity=LESSON, course=COURSE, occurred_at=START)
    session.execute(text("insert into stale_alias (alias_id) select id from alias"))

    worked_off = records.refresh_stale(session, [program()], {})
    marked = snapshot(session)
    build(session)

    assert worked_off == 2
    assert session.scalars(select(StaleAlias)).all() == []
    assert marked == snapshot(session)
    assert len(marked) == 2


def test_a_record_whose_facts_are_gone_is_dropped(session: Session) -> None:
    learner(session)
    complete(session)
    build(session)
    session.execute(text("delete from fact"))
    session.execute(text("insert into stale_alias (alias_id) select id from alias"))

    records.refresh_stale(session, [program()], {})

    assert session.scalars(select(Record)).all() == []


def test_records_of_a_program_that_is_gone_are_dropped(session: Session) -> None:
    learner(session)
    complete(session)
    build(session)

    records.refresh_all(session, [program(name="another")], {})

    assert session.scalars(select(Record.program)).all() == ["another"]


def snapshot(session: Session) -> list[tuple[object, ...]]:
    rows = session.execute(
        text("""
            select learner.key, completed_at, attempts, metric, before_mean, before_count, since_mean, since_count
            from record join learner on learner.id = learner_id left join record_metric on record_id = record.id
            order by 1, 4
        """)
    )
    return [tuple(row) for row in rows]
