"""Forwarding: the statements that `forward` documents choose, on their way to other LRSs.

The rules guarded here:

- A lane's position moves when the target has taken all before it, and only behind the snapshot horizon
  (`lrs.read_after`): a late commit is never skipped, and what a killed worker had sent is sent again, under its id.
- What is sent is the stored JSON, without `stored` and `authority`, which the target sets (Data 2.4.7 to 2.4.9).
- A statement that voids goes wherever the one that it voids goes, after it, whichever of them came first.
- A statement that the target refuses becomes a dead letter, with the reason, and holds up no other.
- A target that is away is tried again a bounded number of times, then waits for a person, as one that says no does at
  once.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

import lrs
from bridge.deliveries import RETRY_SECONDS
from bridge.errors import UnknownName
from bridge.mapping import Chosen, Documents, EvaluationError
from bridge.models import DeadLetter, Forward, ForwardLane, ForwardState
from bridge.readings import LANES
from connectors import lrs as client

READ = 200
"""Statements looked at before the position moves: what a killed worker makes twice, at most."""
SENT = 50
"""Of those, statements in one request,"""
SENT_BYTES = 1 << 20
"""and bytes, unless one alone has more."""
MOST_DEAD = 1_000
"""Dead letters of one forward, after which it stops: the target is wrong then, not the statements."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A statement on its way."""

    id: uuid.UUID
    content: bytes
    """JSON, as it is sent."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """A statement of which it cannot be told whether it is to go."""

    id: uuid.UUID
    error: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What a lane has to send next."""

    outgoing: Sequence[Outgoing]
    unclear: Sequence[Unclear]
    before: tuple[int, int]
    after: tuple[int, int]
    """Where the lane is when they are taken."""
    full: bool
    """There may be more."""


def plan(session: Session, documents: Documents) -> None:
    """Make rows for forwards that documents name; drop those that none names, and begin changed ones again."""
    session.execute(delete(Forward).where(Forward.name.not_in(documents.forwards)))
    for name in sorted(documents.forwards):
        digest = documents.forward_hash(name)
        session.execute(insert(Forward).values(name=name, document_hash=digest).on_conflict_do_nothing())
        row = session.get_one(Forward, name, with_for_update=True, populate_existing=True)
        if row.document_hash != digest:
            row.document_hash = digest
            begin_again(session, name)
        lanes = [{"forward": name, "lane": lane} for lane in range(LANES)]
        session.execute(insert(ForwardLane).values(lanes).on_conflict_do_nothing())


def begin_again(session: Session, name: str) -> None:
    """Send all that is to go there once more, which changes nothing where it is; raises UnknownName."""
    row = _named(session, name)
    ask_again(session, name)
    row.taken = 0
    session.execute(update(ForwardLane).where(ForwardLane.forward == name).values(xid=text("'0'"), seq=0))


def ask_again(session: Session, name: str) -> None:
    """Let a forward go on that has failed or waits; raises UnknownName."""
    row = _named(session, name)
    row.state, row.attempts, row.next_try_at = ForwardState.ACTIVE, 0, None
    session.flush()


def due(session: Session, *, now: datetime) -> Sequence[str]:
    """Name the forwards to go on with now."""
    ready = (Forward.next_try_at.is_(None)) | (Forward.next_try_at <= now)
    return session.scalars(
        select(Forward.name).where(Forward.state == ForwardState.ACTIVE, ready).order_by(Forward.name)
    ).all()


def is_active(session: Session, name: str) -> bool:
    """Tell whether a forward is there and has not failed."""
    return session.scalar(select(Forward.state).where(Forward.name == name)) == ForwardState.ACTIVE


def next_batch(session: Session, chosen: Chosen, name: str, lane: int) -> Batch | None:
    """Give what a lane has to send next; None when its row is gone."""
    before = _position(session, name, lane)
    if before is None:
        return None
    read = lrs.read_after(session, before, lane=lane, lanes=LANES, limit=READ)
    outgoing, unclear = _choose(session, chosen, [(one.id, one.payload) for one in read])
    after = (read[-1].xid, read[-1].seq) if read else before
    return Batch(outgoing, unclear, before, after, full=len(read) == READ)


def requests(outgoing: Sequence[Outgoing]) -> Sequence[Sequence[Outgoing]]:
    """Cut what is to be sent into requests."""
    cut: list[list[Outgoing]] = []
    size = 0
    for one in outgoing:
        if not cut or len(cut[-1]) == SENT or size + len(one.content) > SENT_BYTES:
            cut.append([])
            size = 0
        cut[-1].append(one)
        size += len(one.content)
    return cut


def attachments(
    session: Session, contents: Sequence[bytes], files: lrs.files.Files | None
) -> Sequence[client.Attachment]:
    """Give what came with statements; their bytes are read when they are sent. Ends the transaction."""
    found = lrs.attachments.find(session, [content.decode() for content in contents])
    session.rollback()
    return [
        client.Attachment(one.sha2, one.content_type, one.length, partial(lrs.attachments.pieces, session, one, files))
        for one in found
    ]


def taken(session: Session, name: str, lane: int, batch: Batch, *, dead: int, now: datetime) -> None:
    """Note that the target has taken a batch, `dead` of it aside; who finds the lane elsewhere leaves it there."""
    moved = session.execute(
        text("""
            update forward_lane set xid = cast(:xid as text)::xid8, seq = :seq
            where forward = :forward and lane = :lane
            and xid = cast(:before_xid as text)::xid8 and seq = :before_seq
        """),
        {
            "xid": str(batch.after[0]),
            "seq": batch.after[1],
            "before_xid": str(batch.before[0]),
            "before_seq": batch.before[1],
            "forward": name,
            "lane": lane,
        },
    )
    if moved.rowcount:  # type: ignore[attr-defined]
        went_well(session, name, taken=len(batch.outgoing) - dead, now=now)


def went_well(session: Session, name: str, *, taken: int, now: datetime) -> None:
    """Note that the target took so many statements."""
    session.execute(
        update(Forward)
        .where(Forward.name == name)
        .values(taken=Forward.taken + taken, attempts=0, last_error=None, next_try_at=None, succeeded_at=now)
    )


def failed(
    session: Session, name: str, error: str, *, now: datetime, final: bool = False, retry_after: float | None = None
) -> None:
    """Note a failed attempt, and when the next is due; `final`, or too many, and a person must ask for it again."""
    row = session.get(Forward, name, with_for_update=True, populate_existing=True)
    if row is None:
        return
    row.last_error = error
    if final or row.attempts >= len(RETRY_SECONDS):
        row.state, row.next_try_at = ForwardState.FAILED, None
    else:
        wait = max(RETRY_SECONDS[row.attempts], retry_after or 0)
        row.next_try_at = now + timedelta(seconds=wait)
    row.attempts += 1


@dataclass(frozen=True, slots=True)
class Passed:
    """Statements that a forward has passed."""

    outgoing: Sequence[Outgoing]
    """Those of them that its target should have."""
    looked_at: int
    last: int | None
    """Where to go on; None when there was none."""


def passed(session: Session, chosen: Chosen, name: str, *, before: int | None, limit: int) -> Passed:
    """Give the latest statements that all lanes have passed, and that are no dead letters; `before` goes on."""
    rows = session.execute(_PASSED, {"forward": name, "before": before, "limit": limit}).all()
    ids = {row.id for row in rows}
    outgoing, _ = _choose(session, chosen, [(row.id, row.payload) for row in rows])
    return Passed([one for one in outgoing if one.id in ids], len(rows), rows[-1].seq if rows else None)


def bury(session: Session, name: str, statement: uuid.UUID, error: str, *, status: int | None, now: datetime) -> None:
    """Keep a statement as a dead letter, or note that it was refused once more."""
    made = insert(DeadLetter).values(
        forward=name, statement=statement, error=error, status=status, first_at=now, last_at=now
    )
    again = {"error": error, "status": status, "tries": DeadLetter.tries + 1, "last_at": now}
    session.execute(made.on_conflict_do_update(index_elements=["forward", "statement"], set_=again))


def too_many_dead(session: Session, name: str) -> bool:
    """Tell whether so much was refused that the target must be wrong."""
    count = session.scalar(select(func.count()).select_from(DeadLetter).where(DeadLetter.forward == name))
    return (count or 0) >= MOST_DEAD


def dead_letters(session: Session, name: str) -> Sequence[DeadLetter]:
    """Give the dead letters of a forward, the latest first; raises UnknownName."""
    _named(session, name)
    order = DeadLetter.last_at.desc(), DeadLetter.statement
    return session.scalars(select(DeadLetter).where(DeadLetter.forward == name).order_by(*order)).all()


def letter(session: Session, chosen: Chosen, statement: uuid.UUID) -> Outgoing | Unclear | None:
    """Give a dead letter as it is to be sent now; None when it is not to go any more."""
    payload = session.scalar(select(lrs.Statement.payload).where(lrs.Statement.id == statement))
    if payload is None:
        return None
    outgoing, unclear = _choose(session, chosen, [(statement, payload)])
    found: list[Outgoing | Unclear] = [*outgoing, *unclear]
    return next((one for one in found if one.id == statement), None)


def raise_dead(session: Session, name: str, statement: uuid.UUID) -> None:
    """Note that a dead letter is none any more."""
    session.execute(delete(DeadLetter).where(DeadLetter.forward == name, DeadLetter.statement == statement))


@dataclass(frozen=True, slots=True)
class Standing:
    """How a forward stands."""

    row: Forward
    behind: int
    """Statements to be looked at."""
    dead: int


def standings(session: Session) -> Sequence[Standing]:
    """Give how each forward stands, by name; costs a scan of what is to be looked at."""
    rows = session.scalars(select(Forward).order_by(Forward.name).execution_options(populate_existing=True)).all()
    counted = select(DeadLetter.forward, func.count()).group_by(DeadLetter.forward)
    dead = {name: count for name, count in session.execute(counted)}  # noqa: C416 - rows are no pairs to mypy
    return [Standing(row, behind(session, row.name), dead.get(row.name, 0)) for row in rows]


# --- choosing --------------------------------------------------------------------------------------------------------


def _choose(
    session: Session, chosen: Chosen, read: Sequence[tuple[uuid.UUID, str]]
) -> tuple[Sequence[Outgoing], Sequence[Unclear]]:
    """Give what of the statements is to go, those that void others last, each after what it voids."""
    going: dict[uuid.UUID, str] = {}
    voiding: dict[uuid.UUID, str] = {}
    unclear: list[Unclear] = []
    for id_, payload in read:
        statement: dict[str, Any] = msgspec.json.decode(payload)
        if statement["verb"]["id"] == lrs.VOIDED:
            voiding[id_] = payload
            continue
        try:
            if chosen.holds(statement):
                going[id_] = payload
        except EvaluationError as err:
            unclear.append(Unclear(id_, f"Whether it is to go cannot be told: {err.expression}: {err.reason}"))
    voids: dict[uuid.UUID, str] = {}
    # Of a pair, whichever comes first finds the other one only if it is there; so each looks for the other.
    for id_, payload, by, by_payload in _pairs(session, [*going, *voiding]):
        if by in voiding and id_ not in going and _goes(chosen, payload):
            going[id_] = payload
        if id_ in going:
            voids[by] = by_payload
    everything = [*going.items(), *voids.items()]
    return [Outgoing(id_, _as_sent(payload)) for id_, payload in everything], unclear


def _goes(chosen: Chosen, payload: str) -> bool:
    try:
        return chosen.holds(msgspec.json.decode(payload))
    except EvaluationError:
        return False  # it is a dead letter by itself, or will be


def _pairs(session: Session, ids: Sequence[uuid.UUID]) -> Sequence[tuple[uuid.UUID, str, uuid.UUID, str]]:
    """Give (id, text) of each voided statement, and of the one that voids it, where one of them is among these."""
    if not ids:
        return []
    by = aliased(lrs.Statement)
    joined = (
        select(lrs.Statement.id, lrs.Statement.payload, by.id, by.payload)
        .join(lrs.Reference, lrs.Reference.target == lrs.Statement.id)
        .join(by, by.seq == lrs.Reference.seq)
        .where(lrs.Reference.voids)
    )
    found = joined.where(lrs.Statement.id.in_(ids)).union(joined.where(by.id.in_(ids)))
    return [(id_, payload, by_id, by_payload) for id_, payload, by_id, by_payload in session.execute(found)]


def _as_sent(payload: str) -> bytes:
    """Give a statement without what the target sets; of all else, the text stays as it is."""
    parts = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
    return msgspec.json.encode({name: part for name, part in parts.items() if name not in ("stored", "authority")})


_PASSED = text("""
    select statement.seq, statement.id, statement.payload from statement
    join forward_lane lane on lane.forward = :forward and lane.lane = mod(statement.seq, 8)
    where (statement.xid, statement.seq) <= (lane.xid, lane.seq)
    and (cast(:before as bigint) is null or statement.seq < :before)
    and not exists (select from dead_letter dead where dead.forward = :forward and dead.statement = statement.id)
    order by statement.seq desc limit :limit
""")

# --- rows ------------------------------------------------------------------------------------------------------------


def _named(session: Session, name: str) -> Forward:
    row = session.get(Forward, name, populate_existing=True)
    if row is None:
        raise UnknownName("forward", name, set(session.scalars(select(Forward.name))))
    return row


def _position(session: Session, name: str, lane: int) -> tuple[int, int] | None:
    found = session.execute(
        text("select xid::text::bigint, seq from forward_lane where forward = :forward and lane = :lane"),
        {"forward": name, "lane": lane},
    ).one_or_none()
    return (int(found[0]), int(found[1])) if found else None


def behind(session: Session, name: str) -> int:
    """Count the statements that a forward has still to look at."""
    count = session.scalar(
        text("""
            select count(*) from forward_lane lane join statement
            on mod(statement.seq, 8) = lane.lane and (statement.xid, statement.seq) > (lane.xid, lane.seq)
            where lane.forward = :forward
        """),
        {"forward": name},
    )
    return int(count or 0)
