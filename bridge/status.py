"""Where everything stands, in rows that a person or a machine can read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from bridge import (
    backfills,
    context,
    coverage,
    deliveries,
    documents,
    edits,
    feeds,
    forwarding,
    learners,
    live_events,
    people,
    publishing,
    quarantine,
    readings,
    sent_rows,
    sources,
    webhooks,
)
from bridge.mapping import Documents
from bridge.models import Delivery, DeliveryKind, DeliveryState, ReadingState, SourceState
from bridge.reconcile import kept
from bridge.times import instant, utc_text
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

_WAITING = text("""
    select
        (select count(*) from alias where not settled) + (select count(*) from stale_learner) as aliases,
        (select count(*) from stale_alias) as records
""")

_QUARANTINED = text("""
    select record.source, count(distinct quarantine.origin) as records
    from quarantine join rule on rule.id = quarantine.rule_id and rule.kind = 'performance' and rule.state = 'active'
    join source_record record on record.id = quarantine.origin
    group by record.source
""")

NO_END_AFTER = timedelta(hours=8)
"""A comparison that began longer ago is not under way any more."""
LAGGING = 3
"""A source whose last success is older than so many of its intervals is lagging."""


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
        "edited_programs": [
            f"{one.name}: edited over the API; holds in place of any file" for one in edits.all_of(session)
        ],
        "not_mapped_lately": _not_mapped_lately(session),
        "failing_rules": [
            f"{group.rule}: {group.reason} ({group.items} {'item' if group.items == 1 else 'items'})"
            for group in quarantine.groups(session, limit=5)
        ],
        "unmatched_people": [
            f"{row.key}: {row.facts:,} {'fact waits' if row.facts == 1 else 'facts wait'}"
            for row in people.unmatched(session, limit=5)
        ],
        "roster_problems": [f"{one.subject}: {one.text}" for one in learners.problems(session, limit=5)],
        **_sources_that_need_a_person(session),
        "failing_deliveries": [
            f"{row['report']} to {row['destination']}: {row['last_error']}"
            for row in deliveries_table(session)
            if row["last_error"]
        ],
        "refused_rows": _refused_rows(session),
        "failing_forwards": [
            f"{one.row.name}: {told}" for one in forwarding.standings(session) if (told := _forward_needs(one))
        ],
        "differences": _differences(session),
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
    return next(remaining(session), None) is None


def remaining(session: Session) -> Iterator[str]:
    """Say what is still to be done until `settled`, in the order of the work.

    How much of it there is stands in the words, so they change while the workers get on.
    """
    current = documents.current(session)
    if current is None:
        yield "no documents are in force"
        return
    if unread := readings.behind(session):
        yield f"{unread:,} stored rows to be read"
    yield from _unread_sources(session, current)
    if learners.resolved(session) != learners.signature(session, current.identity, current.identity_hash):
        yield "rosters to be read"
    waiting = session.execute(_WAITING).one()
    if waiting.aliases:
        yield f"{waiting.aliases:,} identities to be matched"
    if waiting.records:
        yield f"{waiting.records:,} changes of people's records to be built"
    for one in deliveries.everything(session):
        if one.state != DeliveryState.DONE:
            yield f"{one.report} to be delivered to {one.destination}{_because(one.last_error)}"
    if _to_be_published(session, current):
        yield "rows for LMSs to be worked out"


def _unread_sources(session: Session, current: Documents) -> Iterator[str]:
    for name in sorted(current.sources):
        state = sources.standing(session, name)
        if state.succeeded_at is None and state.paused_at is None:
            yield f"source {name} to be read{_because(state.last_error)}"


def _because(error: str | None) -> str:
    return f" ({error})" if error else ""


def _to_be_published(session: Session, current: Documents) -> bool:
    """Tell whether somebody takes rows that are still to be worked out."""
    if not any(one.kind == DeliveryKind.FEED for one in deliveries.everything(session)):
        return False
    url = context.settings().shown_url
    return publishing.published_from(session) != feeds.basis(session, current, now=datetime.now(UTC), url=url)


def sources_table(session: Session) -> list[Row]:
    """Give one row for each source of the documents in force."""
    current = documents.current(session)
    names = sorted(current.sources) if current else []
    counts, problems, past = sources.counts(session), sources.problem_counts(session), backfills.progress(session)
    return [
        _source(sources.standing(session, name), counts.get(name, (0, 0)), problems.get(name, 0), past.get(name))
        for name in names
    ]


def source_row(session: Session, name: str) -> Row:
    """Give the row of one source."""
    counts, problems, past = sources.counts(session), sources.problem_counts(session), backfills.progress(session)
    return _source(sources.standing(session, name), counts.get(name, (0, 0)), problems.get(name, 0), past.get(name))


def source_details(session: Session, name: str, *, now: datetime) -> Row:
    """Give all that is known of how a source is doing; lengths of time in seconds, None where it cannot be told.

    `lag_seconds` is how long ago the newest change known was made; `lateness_seconds` by how much at most a change came
    later than its time says, which `lookback_seconds` must be longer than; `left_of_quota` what the system said last.
    """
    state = sources.standing(session, name)
    told: Mapping[str, Any] = state.state or {}
    newest, quota = _moment(told.get("watermark")), told.get("quota") or {}
    past = backfills.progress(session, [name]).get(name)
    return source_row(session, name) | {
        "newest_change": utc_text(newest),
        "lag_seconds": max(0, round((now - newest).total_seconds())) if newest else None,
        "lateness_seconds": told.get("lateness_seconds"),
        "lookback_seconds": told.get("lookback_seconds"),
        "left_of_quota": quota.get("left"),
        "quota_resets_at": utc_text(_moment(quota.get("resets_at"))),
        "quota_seen_at": utc_text(_moment(quota.get("seen_at"))),
        "quarantined": {row.source: row.records for row in session.execute(_QUARANTINED)}.get(name, 0),
        "last_failure": utc_text(state.failed_at),
        "past_slices": past.slices if past else 0,
        "past_slices_done": past.done if past else 0,
        "past_slices_set_aside": past.set_aside if past else 0,
        "past_error": past.last_error if past else None,
    }


def _moment(written: object) -> datetime | None:
    """Read a time in a connector's state; what is none there is not told."""
    try:
        return instant(written) if isinstance(written, str) else None
    except ValueError:
        return None


def _sources_that_need_a_person(session: Session) -> dict[str, list[str]]:
    """Name the sources that fail, are paused, or of which nothing has been heard for too long."""
    current = documents.current(session)
    found: dict[str, list[str]] = {"failing_sources": [], "paused_sources": [], "lagging_sources": []}
    if current is None:
        return found
    past, sent, told = backfills.progress(session), webhooks.counts(session), live_events.counts(session)
    for name in sorted(current.sources):
        state = sources.standing(session, name)
        if state.paused_at is not None:
            found["paused_sources"].append(f"{name}: since {utc_text(state.paused_at)}{_why(state)}")
            continue
        if state.last_error:
            found["failing_sources"].append(f"{name}: {state.last_error}")
        if name in past and past[name].set_aside:
            found["failing_sources"].append(f"{name}, its past: {past[name].told()}")
        if name in sent and sent[name].last_error:
            found["failing_sources"].append(f"{name}: {sent[name].told()}")
        if name in told and told[name].last_error:
            found["failing_sources"].append(f"{name}: {told[name].told()}")
        if state.succeeded_at and _is_lagging(state, documents.source(current, name).every_seconds):
            found["lagging_sources"].append(f"{name}: last success {utc_text(state.succeeded_at)}")
    return found


def _is_lagging(state: SourceState, every_seconds: int) -> bool:
    longest = timedelta(seconds=max(LAGGING * every_seconds, 600))
    return state.succeeded_at is not None and datetime.now(UTC) - state.succeeded_at > longest


def _waiting(state: SourceState) -> str | None:
    if state.waits_for is None or state.paused_at is not None:
        return None
    return f"until {utc_text(state.next_pull_at)}: {state.waits_for}"


def _why(state: SourceState) -> str:
    return f" ({state.paused_why})" if state.paused_why else ""


def problems_table(session: Session, name: str) -> list[Row]:
    """Give what was sent and could not be worked off, or is no statement, and the rows that could not be used."""
    sent = [
        {"row": None, "column": None, "problem": f"Sent {utc_text(one.received_at)}: {one.error}", "raw": ""}
        for one in webhooks.failed(session, name)
    ]
    sent += [
        {"row": None, "column": None, "problem": f"{many} events, last {utc_text(last)}: {reason}", "raw": ""}
        for reason, many, last in live_events.others(session, name)
    ]
    return sent + [
        {"row": one.row, "column": one.column, "problem": one.message, "raw": one.raw}
        for one in sources.problems(session, name)
    ]


def deliveries_table(session: Session) -> list[Row]:
    """Give one row for each delivery; of feeds with what the destination made of their rows."""
    counts = sent_rows.counts(session)
    return [_delivery(one, counts.get(one.id)) for one in deliveries.everything(session)]


def open_rows(session: Session, *, limit: int = 20) -> dict[int, list[Row]]:
    """Give rows that a destination refused or knows nobody for, by delivery, at most so many of each."""
    return {
        delivery: [
            {"key": one.key, "outcome": one.outcome, "message": one.message}
            for one in sent_rows.needing_a_person(session, delivery, limit=limit)
        ]
        for delivery, counts in sent_rows.counts(session).items()
        if counts.refused or counts.unmatched
    }


def _refused_rows(session: Session) -> list[str]:
    counts = sent_rows.counts(session)
    return [
        f"{delivery.report} to {delivery.destination}: {counts[delivery.id].refused} refused, such as {one.key}: "
        f"{one.message}"
        for delivery in deliveries.everything(session)
        if delivery.id in counts and counts[delivery.id].refused
        for one in sent_rows.needing_a_person(session, delivery.id, limit=1)
    ]


def _forward_needs(one: forwarding.Standing) -> str | None:
    """Say what a person must see to of a forward."""
    dead = f"{one.dead:,} {'statement' if one.dead == 1 else 'statements'} refused" if one.dead else None
    return "; ".join(filter(None, (one.row.last_error, dead))) or None


def _differences(session: Session) -> list[str]:
    """Give what the last comparisons found that a person must see to, and those that came to no end."""
    now = datetime.now(UTC)
    found = [
        f"{row.area} {row.name}: {row.error or f'{row.open:,} that {_differ(row.open)}'}"
        for row in kept.newest(session)
        if row.error or row.open
    ]
    return found + [
        f"{row.area} {row.name}: the comparison of {utc_text(row.started_at)} came to no end"
        for row in kept.unfinished(session, before=now - NO_END_AFTER)
    ]


def _differ(number: int) -> str:
    return "differs" if number == 1 else "differ"


def _not_mapped_lately(session: Session) -> list[str]:
    current = documents.current(session)
    return coverage.missing_lately(session, current)[:5] if current else []


def _source(state: SourceState, counts: Sequence[int], bad_rows: int, past: backfills.Progress | None) -> Row:
    return {
        "source": state.source,
        "records": counts[0],
        "versions": counts[1],
        "bad_rows": bad_rows,
        "last_success": utc_text(state.succeeded_at),
        "next_pull": None if state.paused_at else utc_text(state.next_pull_at),
        "paused": f"since {utc_text(state.paused_at)}{_why(state)}" if state.paused_at else None,
        "waiting": _waiting(state),
        "past": past.told() if past else None,
        "failures": state.failures or 0,
        "last_error": state.last_error,
    }


def _delivery(one: Delivery, counts: sent_rows.Counts | None) -> Row:
    of_rows = counts if counts or one.kind == DeliveryKind.REPORT else sent_rows.Counts()
    return {
        "id": one.id,
        "kind": one.kind,
        "report": one.report,
        "destination": one.destination,
        "state": one.state,
        "rows": one.rows,
        "unmatched": of_rows.unmatched if of_rows else None,
        "left_out": of_rows.left_out if of_rows else None,
        "refused": of_rows.refused if of_rows else None,
        "delivered_at": utc_text(one.delivered_at),
        "location": one.location,
        "attempts": one.attempts,
        "next_try": utc_text(one.next_try_at),
        "last_error": one.last_error,
    }
