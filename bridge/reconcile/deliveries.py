"""What a destination holds of our rows against what we sent to it: by version and checksum, row by row.

The rules guarded here:

- A difference is what nothing on its way will mend: rows that are still to be sent are none, and are counted apart;
  nor are those that the destination refused or had no place for, which the delivery says.
- While a destination is compared nothing is sent to it, so what it held is compared with what it had been sent then.
- A repair is a new version of the row, or a new tombstone, and word that it is to be sent: over what is held there, for
  a destination takes no version twice. So the next delivery mends it, and the next comparison finds nothing.
- What it holds is kept in a table of one connection's own, so memory does not grow with it, in whatever order it comes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, Row, select, text
from sqlalchemy.orm import Session

from bridge import deliveries, publishing, sent_rows
from bridge.locks import single_flight
from bridge.models import Delivery, DeliveryKind
from bridge.reconcile.kept import Found, Page, State
from bridge.sent_rows import Aim
from connectors import Held, RowDestination

PAGE = 1_000

_MAKE = text("create temporary table held (key text primary key, version bigint not null, checksum text not null)")
_PUT = text("""
    insert into held (key, version, checksum) values (:key, :version, :checksum)
    on conflict (key) do update set version = excluded.version, checksum = excluded.checksum
""")
_COMPARED = text(f"""
    with known as (
        select row.key, row.version, row.checksum, {sent_rows.GONE} as gone, {sent_rows.TO_BE_SENT} as waits,
            sent.outcome
        from {sent_rows.ROWS} where row.feed = :feed and row.key > :after order by row.key limit :limit
    )
    select known.key, held.version as held_version, case
        when held.version > known.version then 'later'
        when waits then 'waits'
        when gone then case when held.key is null then 'nothing' else 'extra' end
        when outcome in ('refused', 'left out') then 'known'
        when held.key is null then 'missing'
        when held.version <> known.version or held.checksum <> known.checksum then 'changed'
        else 'agreed'
    end as finding
    from known left join held on held.key = known.key order by known.key
""")  # noqa: S608 - no value is put into the text, only the common parts
_UNKNOWN = text("""
    select held.key, held.version as held_version, 'unknown' as finding from held
    where held.key > :after and not exists (
        select from published_row row where row.feed = :feed and row.key = held.key)
    order by held.key limit :limit
""")
_SEND_AGAIN = text("""
    insert into sent_row (delivery_id, key, version, checksum, deleted, outcome)
    select :delivery, key, 0, '', false, 'stored' from unnest(cast(:keys as text[])) as key order by key
    on conflict (delivery_id, key) do update set version = 0, deleted = false
""")

KINDS = {
    "missing": "missing there",
    "changed": "changed there",
    "later": "later there",
    "extra": "still there",
    "unknown": "not ours",
}
WORDS = {
    "missing": "It was missing there, and is sent again.",
    "changed": "It was another one there, and ours is sent again.",
    "later": "It was there in a version that we have not come to yet, and ours is sent again as a later one.",
    "extra": "It was still there, though it is gone here; word of that is sent again.",
    "unknown": "It was there and is not ours; word that it is gone is sent.",
}
"""What differed and what is done, by finding."""


def compare(session: Session, one: RowDestination, *, now: datetime) -> Iterator[tuple[Page, str]]:
    """Compare feed by feed, and let what differs be sent again; gives pages with their feed, each to be committed.

    Raises Busy while rows are being sent to it, and DestinationError.
    """
    engine = session.get_bind()
    if not isinstance(engine, Engine):
        raise TypeError("a session on an engine is needed, for a connection beside it")
    with single_flight(engine, f"rows to {one.name}"):
        found = _deliveries(session, one)
        if not found:
            yield Page(0), "nothing: no rows go there"
        for delivery in found:
            aim = Aim(delivery, _feed(session, delivery), one)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as aside:
                _keep(aside, one, aim.feed)
                for page in _compared(session, aside, aim, now):
                    yield page, aim.feed
                aside.execute(text("drop table held"))


def _feed(session: Session, delivery: int) -> str:
    """Give the feed of a delivery."""
    return session.scalars(select(Delivery.report).where(Delivery.id == delivery)).one()


def _deliveries(session: Session, one: RowDestination) -> list[int]:
    wanted = select(Delivery.id).where(Delivery.kind == DeliveryKind.FEED, Delivery.destination == one.name)
    found = list(session.scalars(wanted.order_by(Delivery.id)))
    session.rollback()  # nothing stays open while the destination is asked
    return found


def _keep(aside: Connection, one: RowDestination, feed: str) -> None:
    """Keep what a destination holds of a feed."""
    aside.execute(text("drop table if exists held"))
    aside.execute(_MAKE)
    rows: Iterator[Held] = iter(one.held(feed))
    while page := list(islice(rows, PAGE)):
        aside.execute(_PUT, [{"key": row.key, "version": row.version, "checksum": row.checksum} for row in page])


def _compared(session: Session, aside: Connection, aim: Aim, now: datetime) -> Iterator[Page]:
    for query in (_COMPARED, _UNKNOWN):
        after: str | None = ""
        while after is not None:
            values = {**aim.parameters(now), "after": after, "limit": PAGE}
            rows = aside.execute(query, values).all()
            after = rows[-1].key if len(rows) == PAGE else None
            yield _repaired(session, aim, rows)


def _repaired(session: Session, aim: Aim, rows: Sequence[Row[Any]]) -> Page:
    differing = [row for row in rows if row.finding in WORDS]
    if differing:
        keys = [row.key for row in differing]
        publishing.outgrow(session, max((row.held_version or 0 for row in differing), default=0))
        publishing.renew(session, aim.feed, keys)
        session.execute(_SEND_AGAIN, {"delivery": aim.delivery, "keys": keys})
        deliveries.mark_due(session, aim.feed)
    found = tuple(Found(KINDS[row.finding], row.key, WORDS[row.finding], State.REPAIRED) for row in differing)
    findings = Counter(row.finding for row in rows)
    return Page(findings["agreed"], found, waiting=findings["waits"])
