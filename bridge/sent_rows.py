"""What each destination has of each feed, row by row as it answered, and what is still to be sent.

The rules guarded here:

- To be sent is what differs: rows whose version is another one than the destination answered for. That is asked of the
  tables each time, never of a position, so nothing that was stored late or answered never is passed over.
- What a destination may not see any more, because it is gone or of another program now, is sent as gone.
- A version says one thing for ever: where the same row is to be sent as gone, or again, it gets a new one first.
- What a destination refused waits for a change or a person. Where it has no place for a row, it is asked again later.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, select, text, update
from sqlalchemy.orm import Session

from bridge import publishing
from bridge.models import Delivery, DeliveryKind, DeliveryState, PublishedRow, SentRow
from connectors import Answer, Outcome, OutgoingRow, RowDestination

LEFT_OUT_AGAIN = timedelta(hours=6)
"""When a row that a destination had no place for is sent again: people join, documents change."""
_NO_MATTER_OF_ADDRESS = ("title", "feeds", "programs", "resend")
"""Keys of a destination's document that do not say which system it is."""

GONE = """
    (row.deleted or (cast(:programs as text[]) is not null and row.program is not null
        and row.program <> all(cast(:programs as text[]))))
"""
TO_BE_SENT = f"""
    row.feed = :feed and case
        when sent.key is null then row.deleted or not {GONE}
        when {GONE} and sent.deleted then sent.version = 0
        when sent.outcome = 'left out' and sent.sent_at < cast(:left_out_before as timestamptz) then true
        else sent.version <> row.version or sent.deleted <> {GONE}
    end
"""
ROWS = "published_row row left join sent_row sent on sent.delivery_id = :delivery and sent.key = row.key"
"""SQL of a feed's rows with what was sent of them; with `GONE` and `TO_BE_SENT` it takes `Aim.parameters`."""
_DUE = text(f"""
    select row.key, row.version, row.checksum, row.person, row.body, {GONE} as gone
    from {ROWS} where row.key > :after and {TO_BE_SENT} order by row.key limit :limit
""")  # noqa: S608 - no value is put into the text, only the common parts
_IS_DUE = text(f"select exists (select from {ROWS} where {TO_BE_SENT})")  # noqa: S608 - as above
_SAID_OTHERWISE = text(f"""
    select row.key from {ROWS}
    where row.feed = :feed and sent.version = row.version and sent.deleted <> {GONE} and not (
        sent.deleted and {GONE})
""")  # noqa: S608 - as above
_NOTE = text("""
    insert into sent_row as known (delivery_id, key, version, checksum, deleted, outcome, message, sent_at)
    select :delivery, key, version, checksum, deleted, outcome, message, :now
    from jsonb_to_recordset(cast(:answers as jsonb)) as given (key text, version bigint, checksum text,
        deleted boolean, outcome text, message text)
    order by key
    on conflict (delivery_id, key) do update set version = excluded.version, checksum = excluded.checksum,
        deleted = excluded.deleted, outcome = excluded.outcome, message = excluded.message,
        sent_at = excluded.sent_at, attempts = known.attempts + 1
""")
_REVISIT = text("""
    update delivery set state = 'due' where state = 'done' and kind = 'feed' and exists (
        select from sent_row sent where sent.delivery_id = delivery.id and sent.outcome = 'left out'
        and sent.sent_at < :left_out_before)
""")
_COUNTS = text("""
    select delivery_id, count(*) filter (where not deleted and outcome not in ('left out', 'refused')) as held,
        count(*) filter (where outcome = 'unmatched') as unmatched,
        count(*) filter (where outcome = 'left out') as left_out,
        count(*) filter (where outcome = 'refused') as refused
    from sent_row group by delivery_id
""")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows of a feed a destination has, and of how many it said something else."""

    held: int = 0
    unmatched: int = 0
    left_out: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Aim:
    """A feed on its way to a destination."""

    delivery: int
    feed: str
    destination: RowDestination

    def parameters(self, now: datetime) -> dict[str, Any]:
        programs = self.destination.programs
        return {
            "delivery": self.delivery,
            "feed": self.feed,
            "programs": None if programs is None else list(programs),
            "left_out_before": now - LEFT_OUT_AGAIN,
        }


def due(session: Session, aim: Aim, *, now: datetime, after: str = "", limit: int) -> list[OutgoingRow]:
    """Give rows to send, by key, those after this key."""
    values = {**aim.parameters(now), "after": after, "limit": limit}
    return [_outgoing(aim, row) for row in session.execute(_DUE, values).mappings()]


def is_due(session: Session, aim: Aim, *, now: datetime) -> bool:
    """Tell whether anything is to be sent."""
    return bool(session.scalar(_IS_DUE, aim.parameters(now)))


def renew(session: Session, aim: Aim, *, now: datetime) -> int:
    """Give a new version to what was sent as there and is to be sent as gone, or the other way round."""
    keys = session.scalars(_SAID_OTHERWISE, aim.parameters(now)).all()
    return publishing.renew(session, aim.feed, keys) if keys else 0


def note(
    session: Session, aim: Aim, rows: Sequence[OutgoingRow], answers: Iterable[Answer], *, now: datetime
) -> set[str]:
    """Keep what a destination answered for rows that were sent; gives the keys that it answered for."""
    sent, told = {row.key: row for row in rows}, {answer.key: answer for answer in answers}
    kept = [
        {
            "key": key,
            "version": row.version,
            "checksum": row.checksum,
            "deleted": row.deleted,
            "outcome": told[key].outcome.value,
            "message": told[key].message,
        }
        for key, row in sent.items()
        if key in told
    ]
    if kept:
        session.execute(_NOTE, {"delivery": aim.delivery, "answers": json.dumps(kept), "now": now})
    return {one["key"] for one in kept}  # type: ignore[misc]  # its keys are texts


def counts(session: Session) -> dict[int, Counts]:
    """Give what destinations have, by delivery."""
    rows = session.execute(_COUNTS)
    return {row.delivery_id: Counts(row.held, row.unmatched, row.left_out, row.refused) for row in rows}


def needing_a_person(session: Session, delivery: int, *, limit: int) -> Sequence[SentRow]:
    """Give rows that a destination refused, or knows nobody for; refused ones first."""
    wanted = select(SentRow).where(
        SentRow.delivery_id == delivery,
        SentRow.outcome.in_([Outcome.REFUSED, Outcome.UNMATCHED]),
    )
    return session.scalars(wanted.order_by(SentRow.outcome, SentRow.key).limit(limit)).all()


def revisit(session: Session, *, now: datetime) -> None:
    """Make deliveries due that have rows which are worth sending again."""
    session.execute(_REVISIT, {"left_out_before": now - LEFT_OUT_AGAIN})


def ask_again(session: Session, delivery: int) -> None:
    """Let what was refused or left out be sent again, though it has not changed."""
    again = SentRow.outcome.in_([Outcome.REFUSED, Outcome.LEFT_OUT])
    session.execute(update(SentRow).where(SentRow.delivery_id == delivery, again).values(version=0))


def forget(session: Session, delivery: Delivery) -> None:
    """Let everything be sent anew, in versions that no destination has seen."""
    session.execute(update(SentRow).where(SentRow.delivery_id == delivery.id).values(version=0))
    keys = select(PublishedRow.key).where(PublishedRow.feed == delivery.report)
    publishing.renew(session, delivery.report, session.scalars(keys))


def address(session: Session, destination: str, document: Mapping[str, Any]) -> None:
    """Note which system a destination is, and which programs it may see.

    When its document names another system, nothing counts as sent to that; other programs are looked at again.
    """
    where = _digest({key: value for key, value in document.items() if key not in _NO_MATTER_OF_ADDRESS})
    known = f"{where} {_digest(document.get('programs'))}"
    feeds = select(Delivery).where(Delivery.destination == destination, Delivery.kind == DeliveryKind.FEED)
    for delivery in session.scalars(feeds):
        if delivery.checksum is not None and delivery.checksum != known:
            if not delivery.checksum.startswith(where):
                session.execute(update(SentRow).where(SentRow.delivery_id == delivery.id).values(version=0))
            delivery.state, delivery.attempts, delivery.next_try_at = DeliveryState.DUE, 0, None
        delivery.checksum = known


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _outgoing(aim: Aim, row: RowMapping) -> OutgoingRow:
    gone = row["gone"]
    return OutgoingRow(
        feed=aim.feed,
        key=row["key"],
        version=row["version"],
        checksum=row["checksum"],
        deleted=gone,
        user=None if gone else publishing.narrowed(row["person"], aim.destination.site),
        body={} if gone else row["body"],
    )
