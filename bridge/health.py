"""How sources, streams, destinations, forwards and estimates are doing, in rows of one kind: for a plugin's page."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import deliveries, forwarding, impacts, programs, quarantine, readings, sent_rows, sources
from bridge.mapping import Document, Documents
from bridge.models import Delivery, DeliveryState, ForwardState, SourceState
from bridge.times import utc_text

_LAST_STATEMENT = text("select stored from statement order by seq desc limit 1")
_STATEMENTS = text("select count(*) from statement")
_UNMATCHED = text("select count(*) from alias where learner_id is null")


def rows(session: Session, documents: Documents, *, now: datetime) -> Iterator[dict[str, Any]]:
    """Give how each is doing, with a `state` of ok, waiting, failing or paused and a message where it is not ok."""
    yield _stream(session, now)
    yield from _sources(session, documents, now)
    yield from _destinations(session, documents)
    yield from _forwards(session, documents)
    yield from _estimates(session, documents)


def _row(kind: str, name: str, title: str, state: str, message: str | None, **known: object) -> dict[str, Any]:
    figures = dict.fromkeys(("last_success_at", "lag_seconds", "rows", "quarantined", "unmatched"))
    return {"kind": kind, "name": name, "title": title, "state": state, "message": message} | figures | known


def _stream(session: Session, now: datetime) -> dict[str, Any]:
    last, behind = session.scalar(_LAST_STATEMENT), readings.behind(session)
    return _row(
        "stream",
        "statements",
        "xAPI statements",
        "ok" if last else "waiting",
        None if last else "No statement has arrived yet.",
        last_success_at=utc_text(last),
        lag_seconds=round((now - last).total_seconds()) if last and behind else 0 if last else None,
        rows=session.scalar(_STATEMENTS),
        quarantined=quarantine.count(session),
        unmatched=session.scalar(_UNMATCHED),
    )


def _sources(session: Session, documents: Documents, now: datetime) -> Iterator[dict[str, Any]]:
    counts, problems = sources.counts(session), sources.problem_counts(session)
    for name, document in documents.sources.items():
        state = sources.standing(session, name)
        succeeded = state.succeeded_at
        yield _row(
            "source",
            name,
            _title(document),
            *_of_source(state),
            last_success_at=utc_text(succeeded),
            lag_seconds=round((now - succeeded).total_seconds()) if succeeded else None,
            rows=counts.get(name, (0, 0))[0],
            quarantined=problems.get(name, 0),
        )


def _of_source(state: SourceState) -> tuple[str, str | None]:
    if state.paused_at is not None:
        return "paused", f"Paused at {utc_text(state.paused_at)}{f': {state.paused_why}' if state.paused_why else '.'}"
    if state.last_error:
        return "failing", state.last_error
    if state.waits_for:
        return "waiting", state.waits_for
    return ("ok", None) if state.succeeded_at else ("waiting", "Nothing has been read of it yet.")


def _destinations(session: Session, documents: Documents) -> Iterator[dict[str, Any]]:
    by_name: dict[str, list[Delivery]] = {}
    for delivery in deliveries.everything(session):
        by_name.setdefault(delivery.destination, []).append(delivery)
    unmatched = {one: counts.unmatched for one, counts in sent_rows.counts(session).items()}
    for name, document in documents.destinations.items():
        found = by_name.get(name, [])
        yield _row(
            "destination",
            name,
            _title(document),
            *_of_destination(found),
            last_success_at=utc_text(max((one.delivered_at for one in found if one.delivered_at), default=None)),
            rows=sum(one.rows or 0 for one in found),
            unmatched=sum(unmatched.get(one.id, 0) for one in found),
        )


def _of_destination(found: Sequence[Delivery]) -> tuple[str, str | None]:
    for bad, state in ((DeliveryState.FAILED, "failing"), (DeliveryState.RETRY, "waiting")):
        told = [one.last_error for one in found if one.state == bad]
        if told:
            return state, told[0]
    if any(one.delivered_at for one in found):
        return "ok", None
    return "waiting", "Nothing has been delivered to it yet."


def _forwards(session: Session, documents: Documents) -> Iterator[dict[str, Any]]:
    titles = {name: one.title for name, one in documents.forwards.items()}
    for one in forwarding.standings(session):
        yield _row(
            "forward",
            one.row.name,
            titles.get(one.row.name) or one.row.name,
            *_of_forward(one),
            last_success_at=utc_text(one.row.succeeded_at),
            rows=one.row.taken,
            quarantined=one.dead,
        )


def _of_forward(one: forwarding.Standing) -> tuple[str, str | None]:
    if one.row.last_error:
        return "failing" if one.row.state == ForwardState.FAILED else "waiting", one.row.last_error
    if one.dead:
        return "failing", f"{one.dead:,} {'statement' if one.dead == 1 else 'statements'} refused there."
    if one.row.succeeded_at is None:
        return "waiting", "Nothing has been forwarded by it yet."
    return "ok", None


def _estimates(session: Session, documents: Documents) -> Iterator[dict[str, Any]]:
    for name in programs.launched_names(session, documents):
        impact = impacts.newest(session, name)
        state = ("ok", None) if impact else ("waiting", "Nothing has been estimated of it yet.")
        yield _row(
            "estimate",
            name,
            documents.programs[name].title,
            *state,
            last_success_at=utc_text(impact.computed_at) if impact else None,
        )


def _title(document: Document) -> str:
    data: Mapping[str, Any] = document.data
    return str(data.get("title", document.name))
