"""Where everything stands, in rows that a person or a machine can read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from bridge import coverage, deliveries, documents, learners, people, quarantine, readings, sources
from bridge.models import Delivery, ReadingState, SourceState
from bridge.times import utc_text
from lrs import refused

Row = dict[str, Any]

_COUNTS = text("""
    select
        (select count(*) from statement) as statements,
        (select count(*) from source_record) as source_records,
        (select count(*) from counted_fact) as facts,
        (select count(*) from learner) as learners,
        (select count(*) from alias where learner_id is null) as unmatched_aliases,
        (select count(*) from record) as records,
        (select count(*) from source_problem) as bad_rows,
        (select count(*) from identity_problem) as identity_problems
""")


def overview(session: Session) -> Row:
    """Give counts, what is still to be read, and what needs a person."""
    counts = dict(session.execute(_COUNTS).mappings().one())
    return counts | {
        "quarantined": quarantine.count(session),
        "refused_requests_waiting": refused.count_waiting(session),
        "to_be_read": readings.behind(session),
        "to_be_read_by_changed_rules": readings.behind(session, ReadingState.PENDING),
        "settled": settled(session),
        "in_force": "yes" if documents.current(session) else "nothing: no statement and no source record is read",
        "mapping_problems": [
            f"{one.file}:{one.line}:{one.column}: {one.text}. {one.remedy}" for one in documents.problems(session)
        ],
        "not_mapped_lately": _not_mapped_lately(session),
        "failing_rules": [
            f"{group.rule}: {group.reason} ({group.items} {'item' if group.items == 1 else 'items'})"
            for group in quarantine.groups(session, limit=5)
        ],
        "unmatched_people": [f"{row.key}: {row.facts} facts wait" for row in people.unmatched(session, limit=5)],
        "roster_problems": [f"{one.subject}: {one.text}" for one in learners.problems(session, limit=5)],
        "failing_sources": [
            f"{row['source']}: {row['last_error']}" for row in sources_table(session) if row["last_error"]
        ],
        "failing_deliveries": [
            f"{row['report']} to {row['destination']}: {row['last_error']}"
            for row in deliveries_table(session)
            if row["last_error"]
        ],
    }


def database_answers(session: Session) -> bool:
    """Tell whether the database can be asked anything."""
    try:
        session.execute(text("select 1"))
    except OperationalError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows (statements and versions of source records) are stored, and how many of them have been read."""

    stored: int
    read: int


def progress(session: Session) -> Progress:
    """Say how far the active reading has come; counts everything, so it is for a person who waits, not for a loop."""
    stored = session.scalar(
        text("select (select count(*) from statement) + (select count(*) from source_record_version)")
    )
    return Progress(int(stored or 0), int(stored or 0) - readings.behind(session))


def settled(session: Session) -> bool:
    """Tell whether all that is stored has found its way into records and deliveries."""
    current = documents.current(session)
    if current is None or readings.behind(session):
        return False
    if any(sources.state(session, name).succeeded_at is None for name in current.sources):
        return False
    rests_on = learners.signature(session, current.identity, current.identity_hash)
    stale = session.scalar(text("select exists (select from stale_alias)"))
    if stale or learners.resolved(session) != rests_on or not learners.is_settled(session):
        return False
    return not deliveries.undelivered(session)


def sources_table(session: Session) -> list[Row]:
    """Give one row for each source of the documents in force."""
    current = documents.current(session)
    names = sorted(current.sources) if current else []
    counts, problems = sources.counts(session), sources.problem_counts(session)
    return [_source(sources.state(session, name), counts.get(name, (0, 0)), problems.get(name, 0)) for name in names]


def source_row(session: Session, name: str) -> Row:
    """Give the row of one source."""
    counts, problems = sources.counts(session), sources.problem_counts(session)
    return _source(sources.state(session, name), counts.get(name, (0, 0)), problems.get(name, 0))


def problems_table(session: Session, name: str) -> list[Row]:
    """Give the rows of a source that could not be used, in file order."""
    return [
        {"row": one.row, "column": one.column, "problem": one.message, "raw": one.raw}
        for one in sources.problems(session, name)
    ]


def deliveries_table(session: Session) -> list[Row]:
    """Give one row for each delivery."""
    return [_delivery(one) for one in deliveries.everything(session)]


def _not_mapped_lately(session: Session) -> list[str]:
    current = documents.current(session)
    return coverage.missing_lately(session, current)[:5] if current else []


def _source(state: SourceState, counts: Sequence[int], bad_rows: int) -> Row:
    return {
        "source": state.source,
        "records": counts[0],
        "versions": counts[1],
        "bad_rows": bad_rows,
        "last_success": utc_text(state.succeeded_at),
        "next_pull": utc_text(state.next_pull_at),
        "failures": state.failures or 0,
        "last_error": state.last_error,
    }


def _delivery(one: Delivery) -> Row:
    return {
        "report": one.report,
        "destination": one.destination,
        "state": one.state,
        "rows": one.rows,
        "delivered_at": utc_text(one.delivered_at),
        "location": one.location,
        "attempts": one.attempts,
        "next_try": utc_text(one.next_try_at),
        "last_error": one.last_error,
    }
