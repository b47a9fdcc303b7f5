"""Reconciling by schedule and by command: one comparison after the other, each page noted with its repairs.

As a job does, it commits. One that fails says so on its row and does not stop the next.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from bridge import context, documents, reports
from bridge import sources as stored
from bridge.deliveries import everything
from bridge.deliveries import fault as fault_told
from bridge.errors import Busy, UnknownName
from bridge.locks import single_flight
from bridge.mapping import Documents
from bridge.models import DeliveryKind, DeliveryState, Reconciliation
from bridge.reconcile import deliveries, forwards, identities, kept, lms, sources
from bridge.reconcile.kept import Area, Found, Page, State
from connectors import Completions, ConnectorError, Destination, RowDestination
from lrs import db

log = logging.getLogger(__name__)

Comparing = Callable[[], Iterator[tuple[Page, str]]]
"""Gives pages, each with the place that it is of."""


def run(
    areas: Sequence[Area],
    *,
    names: Sequence[str] = (),
    days: int = sources.DAYS,
    since: datetime | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> list[Reconciliation]:
    """Compare these areas, or of them what `names` names; gives each comparison. Calls `told` with what is looked at.

    What was compared to its end `since` then is left out. Raises UnknownName.
    """
    current = documents.current(db.session)
    if current is None:
        return []
    work = [(area, name, comparing) for area in areas for name, comparing in _work(current, area, days)]
    known = {name for _, name, _ in work}
    for name in names:
        if name not in known:
            raise UnknownName("source or destination to reconcile", name, known)
    return [
        row
        for area, name, comparing in work
        if not names or name in names
        if since is None or not kept.is_over(db.session, area, name, since=since)
        if (row := _compared(area, name, comparing, told)) is not None
    ]


def _work(current: Documents, area: Area, days: int) -> Iterator[tuple[str, Comparing]]:
    match area:
        case Area.SOURCES:
            for name in current.sources:
                yield name, lambda name=name: _source(current, name, days)  # type: ignore[misc]
        case Area.LMS:
            for name in current.destinations:
                one = documents.lms(current, name, data_dir=context.settings().data_dir, reach=context.reach())
                if one is not None:
                    yield name, lambda one=one: _lms(current, one)  # type: ignore[misc]
        case Area.DELIVERIES:
            for name in current.destinations:
                taker = documents.destination(
                    current, name, data_dir=context.settings().data_dir, reach=context.reach()
                )
                if isinstance(taker, RowDestination):
                    yield name, lambda taker=taker: deliveries.compare(db.session, taker, now=_now())  # type: ignore[misc]
                else:
                    yield name, lambda taker=taker: _files(current, taker)  # type: ignore[misc]
            for name in current.forwards:
                shown = f"{name} (forward)" if name in current.destinations else name
                yield shown, lambda name=name: _forward(current, name)  # type: ignore[misc]
        case Area.IDENTITIES:
            yield "everyone", lambda: ((page, "aliases and learners") for page in identities.compare(db.session))


def _compared(area: Area, name: str, comparing: Comparing, told: Callable[[str], None]) -> Reconciliation | None:
    """Make one comparison; None when somebody else is at it."""
    session = db.session
    try:
        with single_flight(db.engine, f"reconcile {area} {name}"):
            row = kept.begin(session, area, name, now=_now())
            session.commit()
            places, remarks, error = [], [], None
            try:
                for page, place in comparing():
                    kept.note(session, row, page)
                    session.commit()
                    if place not in places:
                        places.append(place)
                    if page.remark:
                        remarks.append(page.remark)
                    told(f"{area} {name}: {place}")
            except (ConnectorError, Busy) as failure:
                session.rollback()
                error = str(failure)
                log.error("Reconciling %s %s stopped: %s", area, name, error)
            except Exception as fault:
                # A fault of ours, at the rim of a job: written down, and no reason not to look at the rest.
                session.rollback()
                error = fault_told(fault)
                log.exception("Reconciling %s %s stopped.", area, name)
            kept.end(row, now=_now(), note=_note(places, remarks), error=error)
            session.commit()
            return row
    except Busy as reason:
        log.info("%s", reason)
        return None


def _source(current: Documents, name: str, days: int) -> Iterator[tuple[Page, str]]:
    session = db.session
    if stored.is_paused(session, name):
        yield Page(0), "nothing: it is paused"
        return
    source, now = documents.source(current, name, reach=context.reach()), _now()
    spans = sources.spans(session, source, days=days)
    if not spans:
        yield Page(0), "nothing: no pull has gone well yet"
    for span in spans:
        for page in sources.compare(session, source, span, now=now):
            yield page, str(span)
        yield Page(0), str(span)


def _lms(current: Documents, one: Completions) -> Iterator[tuple[Page, str]]:
    courses = lms.courses(one, current.programs.values())
    if not courses:
        yield Page(0), "nothing: no program has a course of it"
    for course in courses:
        yield Page(0), course
        for page in lms.compare(db.session, one, course, now=_now()):
            yield page, course


def _files(current: Documents, one: Destination) -> Iterator[tuple[Page, str]]:
    """Write the reports that a destination should hold once more: it looks at its files, and writes what differs."""
    session = db.session
    there = [row for row in everything(session) if row.destination == one.name and row.kind == DeliveryKind.REPORT]
    held = [(row.id, row.report) for row in there if row.state == DeliveryState.DONE]
    session.rollback()
    if not there:
        yield Page(0), "nothing: no report goes there"
    for delivery, name in held:
        with single_flight(db.engine, f"delivery {delivery}"):
            receipt = one.push(reports.build(session, current, name))
        session.rollback()
        differs = Found("changed there", name, "Its files were not as delivered; written again.", State.REPAIRED)
        yield Page(0, (differs,)) if receipt.changed else Page(1), name


def _forward(current: Documents, name: str) -> Iterator[tuple[Page, str]]:
    to = f"statements to {current.forwards[name].to}"
    for page in forwards.compare(db.session, current, name, now=_now()):
        yield page, to


def _note(places: Sequence[str], remarks: Sequence[str]) -> str:
    span = [f"{places[-1]} to {places[0]}"] if len(places) > 1 else places
    return "; ".join([*span, *remarks])


def _now() -> datetime:
    return datetime.now(UTC)
