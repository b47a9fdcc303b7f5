"""What the workers do. A job re-reads, calls nouns, commits, rings the next bell.

load_documents -> map_items -> build_records -> publish -> deliver_due -> deliver
pull_due -> pull -> map_items
backfill_due -> backfill -> map_items
complete_webhooks -> map_items
forward_due -> forward
convert_live_events -> map_items
reconcile_due -> reconcile -> map_items, build_records, deliver_due
erase_due -> erase -> build_records, publish, deliver_due

Each is harmless when run twice or on two machines at once, and each finds its own work, so a lost bell costs only the
time until the schedule rings again.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Protocol

from sqlalchemy.orm import Session

import lrs
from bridge import (
    backfills,
    context,
    deliveries,
    delivering,
    documents,
    edits,
    erasures,
    facts,
    feeds,
    forwarding,
    learners,
    live_events,
    posting,
    programs,
    publishing,
    readings,
    records,
    sources,
    webhooks,
)
from bridge.backfills import Slice
from bridge.bells import answered, forget_failed, ring
from bridge.errors import Busy, NotReady, Paused, Superseded, UnknownName
from bridge.feeds import Piece
from bridge.locks import single_flight
from bridge.mapping import Documents
from bridge.models import Built
from bridge.reconcile import kept
from bridge.reconcile import running as reconciling
from bridge.sources import Begun
from connectors import (
    Backfillable,
    Page,
    Source,
    SourceError,
    SourceUnavailable,
    State,
)
from lrs import db

log = logging.getLogger(__name__)


class _Past(Source, Backfillable, Protocol):
    """A source whose past can be read."""


SLICE_SECONDS = 60
"""How long one mapping job, or one pull, goes on before it lets others have the worker."""
PULL_SECONDS = 6 * 3600
"""After this a pull is stopped. A file is read in one go, however large; what comes over a network has its timeouts."""
HORIZON_SECONDS = 2
"""How long to wait for an open transaction before leaving its rows to the schedule."""
FORGOTTEN_AT_ONCE = 20_000
"""Facts of dropped rules that are deleted in one transaction, so that none of them is long."""
ERASURE_SECONDS = 60
"""How long an erasure waits for transactions that were open when it began."""
POSTPONED_SECONDS = 30
"""How long deliveries wait for a system that does not say when it is back."""
RECONCILED_EVERY = timedelta(days=1)
SWEPT_AFTER = timedelta(days=1)
"""How long a file may lie there without a row: it comes before its row does."""


def load_documents() -> None:
    """Bring the folders of documents into force if they have changed and validate."""
    try:
        with single_flight(db.engine, "documents"):
            changed = _load_documents()
    except Busy:
        return
    if changed:
        log.info("New documents are in force.")
        ring("facts", map_items)
        ring("facts", build_records)
        ring("sources", pull_due)
        ring("deliveries", publish)


def tidy() -> None:
    """Drop what has lain long enough: refused requests by their age, and files that no statement has."""
    settings = context.settings()
    if dropped := lrs.refused.drop_old(db.session, days=settings.refused_max_days):
        log.info("Dropped %d refused requests, for their age.", dropped)
    backfills.forget_problems(db.session, now=_now())
    webhooks.forget_old(db.session, now=_now())
    live_events.forget_old(db.session, now=_now())
    kept.forget_old(db.session, now=_now())
    db.session.commit()
    if settings.attachments:
        lrs.attachments.sweep(db.session, lrs.files.at(settings.attachments), before=_now() - SWEPT_AFTER)


def pull_due() -> None:
    """Ring for every source whose time has come."""
    answered(pull_due)
    current = documents.current(db.session)
    if current is None:
        return
    for name in sources.due(db.session, documents.source_hashes(current), now=_now()):
        ring("sources", pull, name, seconds=PULL_SECONDS)


def pull(name: str) -> None:
    """Pull one source, page by page, for a while; what it says of the outcome stands on the source's state."""
    answered(pull, name)
    with _left_to_others():
        pull_now(name, seconds=SLICE_SECONDS)


def pull_now(name: str, *, seconds: float | None = None) -> None:
    """Pull one source to its end, or for so long; raises Busy, Paused, Superseded and UnknownName."""
    with single_flight(db.engine, f"pull {name}"):
        _pull(name, _timer(seconds))


def backfill_due() -> None:
    """Ring for every source of which a slice of the past can be read."""
    answered(backfill_due)
    current = documents.current(db.session)
    for name in backfills.due(db.session, current.sources, now=_now()) if current else ():
        ring("sources", backfill, name)


def backfill(name: str) -> None:
    """Read the past of one source, slice by slice, for a while; how far it is stands on the slices."""
    answered(backfill, name)
    with _left_to_others():
        backfill_now(name, seconds=SLICE_SECONDS)


def backfill_now(name: str, *, seconds: float | None = None, told: Callable[[], None] = lambda: None) -> None:
    """Read what can be read now of a source's past, or for so long; calls `told` after each page.

    Raises Busy, Superseded and UnknownName.
    """
    with single_flight(db.engine, f"backfill {name}"):
        _backfill(name, _timer(seconds), told)


def complete_webhooks() -> None:
    """Work off what systems have sent, for a while; what cannot be worked off now waits, and says why."""
    answered(complete_webhooks)
    current = documents.current(db.session)
    for name in webhooks.waiting(db.session, now=_now()) if current else ():
        with _left_to_others(), single_flight(db.engine, f"webhooks {name}"):
            _complete(name, _timer(SLICE_SECONDS))


def convert_live_events() -> None:
    """Make statements of the events that were sent, for a while; the workers that map them are rung for."""
    answered(convert_live_events)
    current = documents.current(db.session)
    for name in live_events.waiting(db.session, now=_now()) if current else ():
        with _left_to_others(), single_flight(db.engine, f"live events {name}"):
            _convert(name, _timer(SLICE_SECONDS))


@contextmanager
def _left_to_others() -> Iterator[None]:
    """Leave a source alone that somebody else is at, or that a person has paused or taken away."""
    try:
        yield
    except (Busy, Paused, Superseded, UnknownName) as reason:
        db.session.rollback()
        log.info("%s", reason)


def _timer(seconds: float | None) -> Callable[[], bool]:
    """Give what tells whether so many seconds have gone by; None: never."""
    until = None if seconds is None else time.monotonic() + seconds
    return lambda: until is not None and time.monotonic() > until


def reconcile_due() -> None:
    """Ring once a day for what is compared with others; the first time a day after the start."""
    answered(reconcile_due)
    last = db.session.get(Built, "reconciliation")
    if last is None:
        db.session.merge(Built(part="reconciliation", signature=""))
        db.session.commit()
    elif _now() - last.built_at >= RECONCILED_EVERY:
        ring("sources", reconcile, seconds=PULL_SECONDS)


def reconcile() -> None:
    """Compare with sources, LMSs and destinations, repair what can be, and keep what was found.

    One that was killed is gone on with: what had been compared to its end is left out.
    """
    answered(reconcile)
    try:
        with single_flight(db.engine, "reconciliation"):
            began = _round_began(db.session, now=_now())
            reconciling.run(list(kept.Area), since=began)
            db.session.merge(Built(part="reconciliation", signature="", built_at=began))
            db.session.commit()
    except Busy:
        return
    after_reconciling()


def _round_began(session: Session, *, now: datetime) -> datetime:
    """Give when the round that is under way began; a new one where the last has come to its end, or is a day old."""
    over, begun = session.get(Built, "reconciliation"), session.get(Built, "reconciliation round")
    if begun and (over is None or begun.built_at > over.built_at) and now - begun.built_at < RECONCILED_EVERY:
        return begun.built_at
    session.merge(Built(part="reconciliation round", signature="", built_at=now))
    session.commit()
    return now


def after_reconciling() -> None:
    """Ring for whoever goes on with what was repaired."""
    ring("facts", map_items)
    ring("facts", build_records)
    ring("deliveries", deliver_due)


def erase_due() -> None:
    """Ring for every person whose erasure has not come to its end, and note what destinations have confirmed."""
    answered(erase_due)
    for number in erasures.pending(db.session):
        ring("sources", erase, number, seconds=PULL_SECONDS)
    erasures.confirm(db.session)
    db.session.commit()


def erase(number: int) -> None:
    """Bring an erasure to its end, unless another process is at it."""
    answered(erase, number)
    try:
        erase_now(number)
    except (Busy, NotReady) as reason:
        db.session.rollback()
        log.info("%s", reason)


def erase_now(number: int, told: Callable[[int], None] = lambda _: None) -> None:
    """Bring an erasure to its end; calls `told` with the rows so far after each piece.

    Raises Busy, and NotReady when a transaction stays open that began before the erasure did.
    """
    with single_flight(db.engine, f"erasure {number}"):
        _wait_for_all(db.session)
        for counts in erasures.pieces(db.session, number):
            db.session.commit()
            told(sum(counts.values()))
        db.session.commit()
    forget_failed()
    ring("facts", build_records)
    ring("deliveries", publish)
    ring("deliveries", deliver_due)
    log.info("Erasure %d has come to its end.", number)


def _wait_for_all(session: Session) -> None:
    """Wait until every process takes in nothing more of whoever is to be erased."""
    xid = erasures.this_transaction(session)
    session.commit()
    until = time.monotonic() + ERASURE_SECONDS
    time.sleep(lrs.erased.FRESH_SECONDS)
    while not erasures.everybody_knows(session, xid):
        session.rollback()
        if time.monotonic() > until:
            raise NotReady(
                f"A transaction that began before has been open for {ERASURE_SECONDS} s, and may store what is to be "
                "erased. The erasure goes on by itself when that has ended; `pg_stat_activity` says whose it is."
            )
        time.sleep(0.05)
    session.rollback()


def map_items() -> None:
    """Read what is unread, lane by lane, until nothing is left or the time slice ends."""
    answered(map_items)
    session = db.session
    began = time.monotonic()
    idle_since = began
    while time.monotonic() - began < SLICE_SECONDS:
        if read_once(session):
            ring("facts", build_records)
            idle_since = time.monotonic()
        elif readings.forget_dropped(session, limit=FORGOTTEN_AT_ONCE):
            session.commit()
        elif _something_waits(session) and time.monotonic() - idle_since < HORIZON_SECONDS:
            session.rollback()
            time.sleep(0.02)
        else:
            session.rollback()
            break
    else:
        ring("facts", map_items)
    ring("facts", build_records)


def read_once(session: Session) -> int:
    """Go over every lane of every reading once; gives how many items were read."""
    total = 0
    for reader in _readers(session):
        for stream, lane in readings.lanes(session, reader.reading):
            count = reader.read_lane(stream, lane)
            session.commit()
            total += count
            if count == facts.BATCH:
                ring("facts", map_items)  # there is more than one worker's batch: let another join in
    if readings.pending(session) is not None:
        total += _take_over(session)
    session.commit()
    return total


def _something_waits(session: Session) -> bool:
    """Tell whether others hold what is left: an open transaction, or the lanes that changed rules wait for."""
    return readings.waiting(session) or readings.pending(session) is not None


def _readers(session: Session) -> Iterator[facts.Reader]:
    """Give who reads for the active and the pending reading."""
    for reading in readings.under_way(session):
        rules = documents.of_reading(session, reading)
        if rules is not None:
            yield facts.Reader(session, reading, rules)


def _take_over(session: Session) -> int:
    """Let changed rules count if little of history is left to read by them; gives how many items that was."""
    behind = readings.hold_all(session)
    reading = readings.pending(session)
    rules = documents.of_reading(session, reading) if reading else None
    if reading is None or rules is None:
        return 0  # another worker was first
    reader, total = facts.Reader(session, reading, rules), 0
    for row in behind:
        count, full = reader.read_batch(row)
        total += count
        if full:
            return total  # there may be more: later, when nobody has to wait for it
    in_force = documents.with_rules(session, reading.rules_hash)
    readings.take_over(session, in_force.rules if in_force else ())
    log.info("Changed rules are in force: all of history has been read by them.")
    return total


def build_records() -> None:
    """Bring learners and records up to date with rosters, facts and programs."""
    answered(build_records)
    try:
        with single_flight(db.engine, "records"):
            changed = bring_up_to_date(db.session)
    except Busy:
        return  # it will see what we saw, or the schedule's next bell will
    if changed:
        ring("deliveries", deliver_due)
        ring("deliveries", publish)


def bring_up_to_date(session: Session) -> bool:
    """Resolve learners if rosters changed, then build the records that this or new facts touch; gives whether any."""
    current, reading = documents.current(session), readings.active(session)
    if current is None or reading is None:
        return False
    _settle_people(session, current)
    basis = f"{reading.id} {reading.taken_over} {current.programs_hash}"
    if records.signature(session) != basis:
        records.refresh_all(session, current.programs.values(), current.metrics)
        session.merge(Built(part="records", signature=basis))
        deliveries.mark_all_due(session)
        session.commit()
        return True
    return _refresh_stale(session, current)


def _settle_people(session: Session, current: Documents) -> None:
    """Bring who is who up to date, piece by piece: a long transaction would hold back the horizon of all reading."""
    people = learners.signature(session, current.identity, current.identity_hash)
    today = _now().date()
    if learners.resolved(session) != people:
        for _ in learners.read_rosters(session, current.identity, today=today):
            session.commit()
        session.merge(Built(part="learners", signature=people))
    while learners.settle(session, current.identity, today=today):
        session.commit()


def estimate_impacts() -> None:
    """Estimate what launched programs changed, where the data have changed since."""
    answered(estimate_impacts)
    current = documents.current(db.session)
    names = programs.launched_names(db.session, current) if current else []
    if current is None or not names:
        return
    try:
        from bridge import estimating
    except ModuleNotFoundError as error:
        log.warning("What programs changed is not estimated here: %s is not installed (extra `impact`).", error.name)
        return
    for name in names:
        try:
            with single_flight(db.engine, f"impact {name}"):
                estimating.estimate(db.session, current, name, today=_now().date())
                db.session.commit()
        except (Busy, NotReady, programs.NotLaunched) as reason:
            db.session.rollback()
            log.info("%s", reason)
    ring("deliveries", publish)


def deliver_due() -> None:
    """Ring for every delivery whose time has come."""
    answered(deliver_due)
    found = deliveries.due(db.session, now=_now())
    db.session.commit()
    for delivery_id in found:
        ring("deliveries", deliver, delivery_id)


def deliver(delivery_id: int) -> None:
    """Bring a report or rows to one destination, unless they are there already; the outcome stands on the delivery."""
    answered(deliver, delivery_id)
    try:
        if delivering.attempt(delivery_id):
            ring("deliveries", deliver, delivery_id)
    except Busy as reason:
        log.info("%s", reason)
    else:
        ring("deliveries", deliver_due)  # others may have waited for the same destination


def publish() -> None:
    """Work out the rows that leave for LMSs, where what they are made of has changed."""
    answered(publish)
    _publish("publish", _publish_changes)


def publish_health() -> None:
    """Work out the rows that say how everything is doing, whatever has changed."""
    answered(publish_health)
    _publish("publish health", _publish_health)


def _publish(what: str, some: Callable[[Session, Documents], bool]) -> None:
    current = documents.current(db.session)
    if current is None:
        return
    try:
        with single_flight(db.engine, what):
            changed = some(db.session, current)
    except Busy:
        return  # it will see what we saw, or the schedule's next bell will
    if changed:
        ring("deliveries", deliver_due)


def _publish_changes(session: Session, current: Documents) -> bool:
    """Publish people's rows if anything that they are made of has changed, and effects; gives whether any row did.

    What changed is asked first: what changes while rows are worked out makes them be worked out again.
    """
    url, now = context.settings().shown_url, _now()
    basis = feeds.basis(session, current, now=now, url=url)
    pieces = feeds.of_effects(session, current)
    if publishing.published_from(session) != basis:
        pieces = chain(feeds.of_people(session, current, now=now, url=url), pieces)
    changed = _kept(session, pieces)
    session.merge(Built(part=publishing.PUBLISHED, signature=basis))
    session.commit()
    return changed


def _publish_health(session: Session, current: Documents) -> bool:
    return _kept(session, feeds.of_health(session, current, now=_now()))


def _kept(session: Session, pieces: Iterator[Piece]) -> bool:
    """Commit pieces of feeds, each with word to whoever takes the feed."""
    changed = False
    for piece in pieces:
        if piece.written:
            deliveries.mark_due(session, piece.feed)
            changed = True
        session.commit()
    return changed


def forward_due() -> None:
    """Ring for every forward that can go on."""
    answered(forward_due)
    for name in forwarding.due(db.session, now=_now()):
        ring("deliveries", forward, name)


def forward(name: str) -> None:
    """Hand statements on to another LRS, for a while; how far it is stands on the forward's row."""
    answered(forward, name)
    try:
        more = forward_now(name, seconds=SLICE_SECONDS)
    except Busy as reason:
        log.info("%s", reason)
    else:
        if more:
            ring("deliveries", forward, name)


def forward_now(name: str, *, seconds: float | None = None, dead: bool = False) -> bool:
    """Hand on what there is, or for so long, `dead` letters first; gives whether there may be more.

    Raises Busy, and with `dead` UnknownName.
    """
    with single_flight(db.engine, f"forward {name}"):
        current = documents.current(db.session)
        if current is None:
            return False
        if dead:
            posting.retry(db.session, current, name)
        return posting.forward(db.session, current, name, _timer(seconds))


def _load_documents() -> bool:
    session = db.session
    loaded = documents.load(session, context.settings().folders, edits.all_of(session))
    current = documents.current(session)
    stays = "nothing is in force yet" if current is None else "the last good one stays in force"
    for problem in loaded.new_problems:
        log.error("Mapping refused, %s: %s", stays, problem)
    if current is not None:
        readings.ensure(session, current.rules, current.rules_hash)
        deliveries.plan(session, current, documents.row_takers(current, data_dir=context.settings().data_dir))
        forwarding.plan(session, current)
    if current is not None and loaded.changed:
        webhooks.try_again(session, current.sources)
        live_events.try_again(session, current.sources)
    session.commit()
    return loaded.changed


def _pull(name: str, is_over: Callable[[], bool]) -> None:
    session = db.session
    current = documents.current(session)
    if current is None:
        return
    source = documents.source(current, name, reach=context.reach())
    started_at = _now()
    digest = documents.source_hashes(current)[name]
    begun = sources.begin(session, name, now=started_at, document_hash=digest)
    session.commit()
    try:
        stored = _store_pages(session, source, begun, started_at, is_over)
    except Superseded:
        raise
    except SourceError as error:
        session.rollback()
        asked = error.retry_after if isinstance(error, SourceUnavailable) else None
        if asked is None:
            sources.fail(session, name, str(error), now=_now(), fence=begun.fence)
            log.error("Pull of %s failed: %s", name, error)
        else:
            sources.wait(session, name, str(error), now=_now(), retry_after=asked, fence=begun.fence)
            log.warning("Pull of %s has to wait: %s", name, error)
    except Exception as error:
        # A fault of ours: written down and tried again later and later, not every few seconds.
        session.rollback()
        sources.fail(session, name, deliveries.fault(error), now=_now(), fence=begun.fence)
        session.commit()
        raise
    else:
        log.info("Pulled %s: %d new versions.", name, stored)
    session.commit()
    ring("facts", map_items)
    ring("facts", build_records)


def _store_pages(
    session: Session, source: Source, begun: Begun, started_at: datetime, is_over: Callable[[], bool]
) -> int:
    """Store a source's pages, each in its own transaction; gives the number of new versions."""
    new_state, stored = None, 0
    from_then_on = _began(source, begun.state)
    with closing(_pages(source.pull(begun.state))) as pages:
        for page in pages:
            stored += sources.store_page(session, source.name, page, started_at=started_at, fence=begun.fence)
            if page.state is not None:
                new_state = page.state  # of a page without one, what was stored before it still holds
                if (began := _began(source, new_state)) != from_then_on:
                    from_then_on = began
                    _plan_past(session, source, began, started_at)
            session.commit()
            ring("facts", map_items)
            if page.state is not None and is_over():
                sources.rest(session, source.name, now=_now(), fence=begun.fence)
                session.commit()
                ring("sources", pull, source.name, seconds=PULL_SECONDS)
                return stored
    sources.finish(
        session,
        source.name,
        new_state,
        started_at=started_at,
        every=source.every_seconds,
        fence=begun.fence,
    )
    return stored


def _began(source: Source, state: State | None) -> datetime | None:
    """Give from when on a source's pulls read, where its document leaves the past to slices."""
    return source.began(state) if state is not None and isinstance(source, Backfillable) else None


def _plan_past(session: Session, source: Source, began: datetime | None, now: datetime) -> None:
    """Plan the past of a source in the transaction of the page from which on its pulls read."""
    if began is not None and isinstance(source, Backfillable):
        slices = backfills.plan(session, source.name, source.slices(None, began), now=now)
        log.info("The past of %s is read in %d slices.", source.name, slices)
        ring("sources", backfill, source.name)


def _pages(pages: Iterator[Page]) -> Generator[Page]:
    """Give them as something that can be closed, so that a connection does not stay open when we stop between them."""
    yield from pages


def _backfill(name: str, is_over: Callable[[], bool], told: Callable[[], None]) -> None:
    session = db.session
    current = documents.current(session)
    if current is None:
        return
    source = documents.source(current, name, reach=context.reach())
    if not isinstance(source, Backfillable):
        return  # its document was another one when the slices were planned
    while (part := backfills.begin(session, name, now=_now())) is not None:
        session.commit()
        try:
            over = _store_slice(session, source, part, is_over, told)
        except Superseded:
            raise
        except SourceUnavailable as error:
            session.rollback()
            backfills.wait(session, name, part, str(error), now=_now(), retry_after=error.retry_after)
            log.warning("The past of %s has to wait: %s", name, error)
        except SourceError as error:
            session.rollback()
            backfills.fail(session, part, str(error), now=_now())
            log.error("The past of %s from %s to %s cannot be read: %s", name, part.low, part.high, error)
        except Exception as error:
            session.rollback()
            backfills.fail(session, part, deliveries.fault(error), now=_now())
            session.commit()
            raise
        else:
            if over:
                ring("sources", backfill, name)
                break
        session.commit()
    session.rollback()
    ring("facts", map_items)
    ring("facts", build_records)


def _store_slice(
    session: Session, source: _Past, part: Slice, is_over: Callable[[], bool], told: Callable[[], None]
) -> bool:
    """Store the pages of a slice, each in its own transaction; gives whether it stopped because the time was over."""
    with closing(_pages(source.backfill(part.low, part.high, part.state))) as pages:
        for page in pages:
            backfills.store_page(session, source.name, part, page, now=_now())
            session.commit()
            ring("facts", map_items)
            told()
            if page.state is not None and is_over():
                return True
    backfills.finish(session, part, now=_now())
    session.commit()
    told()
    return is_over()


def _complete(name: str, is_over: Callable[[], bool]) -> None:
    """Work off one source's deliveries; no transaction is open while the system that they are about is asked."""
    session = db.session
    current = documents.current(session)
    hook = webhooks.source(current, name, reach=context.reach()) if current else None
    if current is None or hook is None:
        return  # they wait for its document to come back
    into = hook.completes or name
    if sources.is_paused(session, name) or sources.is_paused(session, into):
        return
    target = documents.source(current, into, reach=context.reach()) if hook.completes else None
    while not is_over() and (events := webhooks.batch(session, name, now=_now())):
        session.rollback()
        try:
            completed = webhooks.complete(hook, target, events)
        except SourceUnavailable as error:
            webhooks.retry(session, events, str(error), now=_now(), retry_after=error.retry_after)
            webhooks.postpone(session, name, until=_now() + timedelta(seconds=error.retry_after or POSTPONED_SECONDS))
            session.commit()
            log.warning("Deliveries to the webhook %s wait: %s", name, error)
            break
        except SourceError as error:
            webhooks.retry(session, events, str(error), now=_now())
            log.error("%d deliveries to the webhook %s cannot be worked off: %s", len(events), name, error)
        except Exception as error:
            webhooks.retry(session, events, deliveries.fault(error), now=_now())
            session.commit()
            raise
        else:
            page = webhooks.unknown(session, completed) if hook.completes else completed.page
            stored = sources.store_fetched(session, into, page, seen_at=_now(), present=hook.completes is not None)
            webhooks.end(session, events, completed.unusable, now=_now())
            log.info("%d deliveries to the webhook %s gave %d new versions.", len(events), name, stored)
        session.commit()
        ring("facts", map_items)
    session.rollback()


def _convert(name: str, is_over: Callable[[], bool]) -> None:
    """Work off one source's events, each batch with its statements in one transaction."""
    session = db.session
    current = documents.current(session)
    source = live_events.source(current, name) if current else None
    if source is None or sources.is_paused(session, name):
        return  # they wait for its document to come back
    as_whom = {"base_url": context.settings().public_url, "secret_key": context.secret_key()}
    while not is_over() and (events := live_events.batch(session, name, now=_now())):
        try:
            converted = live_events.convert(session, source, events, **as_whom)
        except Exception as error:
            session.rollback()
            live_events.retry(session, events, deliveries.fault(error), now=_now())
            session.commit()
            raise
        live_events.end(session, converted, now=_now())
        session.commit()
        log.info("%d live events of %s: %d statements.", len(events), name, live_events.statements(converted))
        ring("facts", map_items)
    session.rollback()


def _refresh_stale(session: Session, current: Documents) -> bool:
    changed = False
    while records.refresh_stale(session, current.programs.values(), current.metrics):
        changed = True
        deliveries.mark_all_due(session)
        session.commit()
    session.commit()
    return changed


def _now() -> datetime:
    return datetime.now(UTC)
