"""Forwards: the statements that should be at another LRS by now, asked for by their ids.

The rules guarded here:

- Should be there: what the forward chooses and its lanes have passed, but for dead letters, which its status tells.
- xAPI asks for one statement at a time, so no more than the latest are asked for, and that is told. A target that lost
  more is filled by `lrs-bridge forward replay`.
- What is missing is sent again, under its id; what is refused then is a dead letter.
- Nothing is forwarded meanwhile, and no transaction is open while the target is asked.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

import lrs
from bridge import forwarding, posting
from bridge.forwarding import Outgoing
from bridge.locks import single_flight
from bridge.mapping import Documents
from bridge.reconcile.kept import Found, Page, State
from connectors import lrs as client

PAGE = 100
MOST_ASKED = 5_000
"""Statements asked for in one comparison: a minute or some, at the speed of one request after the other."""
MOST_LOOKED_AT = 100_000
"""Of which the forward may choose few."""


def compare(session: Session, current: Documents, name: str, *, now: datetime) -> Iterator[Page]:
    """Compare, some statements at a time, and send what is missing; the caller commits after each page.

    Raises Busy while it forwards, and DestinationError.
    """
    engine = session.get_bind()
    if not isinstance(engine, Engine):
        raise TypeError("a session on an engine is needed, for a lock beside it")
    with single_flight(engine, f"forward {name}"), posting.target(session, current, name) as (writer, chosen):
        before, asked, looked_at = None, 0, 0
        while asked < MOST_ASKED and looked_at < MOST_LOOKED_AT:
            passed = forwarding.passed(session, chosen, name, before=before, limit=PAGE)
            session.rollback()
            if passed.last is None:
                yield Page(0, waiting=forwarding.behind(session, name))
                return
            before, asked, looked_at = passed.last, asked + len(passed.outgoing), looked_at + passed.looked_at
            yield _compared(session, writer, name, passed.outgoing, now)
        what = f"the latest {looked_at:,} statements were looked at, not all"
        yield Page(0, waiting=forwarding.behind(session, name), remark=what)


def _compared(session: Session, writer: client.Writer, name: str, expected: Sequence[Outgoing], now: datetime) -> Page:
    missing, found = [], []
    for one in expected:
        held = writer.held(str(one.id))
        if held is None:
            missing.append(one)
        elif not lrs.equal(one.content.decode(), held.decode()):
            found.append(Found("another there", str(one.id), _OTHER, State.OPEN))
    refused = {posting.id_of(one): one for one in posting.post(session, writer, missing)} if missing else {}
    for id_, refusal in refused.items():
        forwarding.bury(session, name, id_, refusal.error, status=refusal.status, now=now)
    found += [
        Found("refused there", str(one.id), _refused(name), State.OPEN)
        if one.id in refused
        else Found("missing there", str(one.id), _MISSING, State.REPAIRED)
        for one in missing
    ]
    return Page(len(expected) - len(found), tuple(found))


_MISSING = "The statement was missing there, and has been sent again."
_OTHER = "Another statement stands there under this id, and none can be replaced. Find out who sent it."


def _refused(name: str) -> str:
    return f"The statement is missing there, and was refused: `lrs-bridge forward status {name}` says why."
