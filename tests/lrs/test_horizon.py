"""Reading what is new without missing what commits late."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import xapi_samples
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from xapi_samples import DID, statement

import lrs
from lrs import database, store
from lrs.store import Author, Incoming
from lrs.xapi import times, validation
from lrs.xapi.terms import Term
from lrs.xapi.versions import Version

LANES = 8
AUTHOR = Author(1, '{"mbox":"mailto:lrs@example.com"}', Term("agent", "mbox:mailto:lrs@example.com"))


def write(session: Session, count: int = 1) -> list[str]:
    """Store statements without committing."""
    texts, _ = validation.split(xapi_samples.text([statement()] * count))
    batch = [Incoming(one, validation.validate(bytes(one), Version.ONE)) for one in texts]
    return store.store(database.driver(session), batch, author=AUTHOR, version=Version.ONE)


@pytest.fixture
def other(app: Flask, session: Session) -> Iterator[Session]:
    """A second session, beside the test's own, where the terms of `write` are known already.

    New ones would make the second writer wait for the first.
    """
    write(session)
    session.commit()
    session.execute(text("truncate statement, mention cascade"))
    session.commit()
    with Session(lrs.db.engine) as made:
        yield made


@contextmanager
def overtaking_writers(app: Flask) -> Iterator[list[str]]:
    """Keep six clients writing so that commits overtake each other; gives the ids committed so far."""
    stop = threading.Event()
    written: list[str] = []

    def keep_writing(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311  to make trouble, not secrets
        with app.app_context(), Session(lrs.db.engine) as own:
            while not stop.is_set():
                ids = write(own, dice.randint(1, 5))
                stop.wait(dice.random() / 100)
                if dice.random() < 0.1:
                    own.rollback()
                else:
                    own.commit()
                    written.extend(ids)

    clients = [threading.Thread(target=keep_writing, args=(seed,)) for seed in range(6)]
    for client in clients:
        client.start()
    yield written
    stop.set()
    for client in clients:
        client.join()


def read_all(session: Session, *, limit: int = 100) -> list[str]:
    """Give the ids of everything that may be read, lane by lane, in pages."""
    found = []
    for lane in range(LANES):
        after = (0, 0)
        while page := lrs.read_after(session, after, lane=lane, lanes=LANES, limit=limit):
            found += [str(one.id) for one in page]
            after = (page[-1].xid, page[-1].seq)
    session.rollback()
    return found


def test_lanes_together_give_every_statement_once(session: Session) -> None:
    ids = write(session, 50)
    session.commit()

    assert sorted(read_all(session, limit=3)) == sorted(ids)


def test_one_lane_is_the_order_of_all(session: Session) -> None:
    first, second = write(session), write(session)
    session.commit()

    found = lrs.read_after(session, (0, 0), lane=0, lanes=1, limit=10)

    assert [str(one.id) for one in found] == first + second
    assert [(one.xid, one.seq) for one in found] == sorted((one.xid, one.seq) for one in found)
    assert found[0].stored == times.from_number(found[0].seq)
    assert found[0].payload.startswith(f'{{"id":"{first[0]}"')


def test_statement_behind_an_unfinished_one_waits(session: Session, other: Session) -> None:
    late = write(other)
    soon = write(session)
    session.commit()

    assert read_all(session) == []

    other.commit()
    assert sorted(read_all(session)) == sorted(late + soon)


def test_reader_misses_no_late_commit(app: Flask, session: Session) -> None:
    seen: list[str] = []
    positions = [(0, 0)] * LANES

    def read(lane: int) -> bool:
        page = lrs.read_after(session, positions[lane], lane=lane, lanes=LANES, limit=7)
        session.rollback()
        seen.extend(str(one.id) for one in page)
        positions[lane] = (page[-1].xid, page[-1].seq) if page else positions[lane]
        return bool(page)

    with overtaking_writers(app) as written:
        for round_ in range(150):
            read(round_ % LANES)
    for lane in range(LANES):
        while read(lane):
            pass

    assert len(seen) == len(set(seen))
    assert sorted(seen) == sorted(written)


def test_consistent_through_stays_below_an_unfinished_write(session: Session, other: Session) -> None:
    write(other)
    (pending,) = write(other)
    write(session)
    session.commit()

    through = lrs.consistent_through(session)

    other.commit()
    stored = {str(one.id): one.stored for one in lrs.read_after(session, (0, 0), lane=0, lanes=1, limit=10)}
    assert through < min(stored.values())
    assert lrs.consistent_through(session) > stored[pending]


def test_consistent_through_is_now_when_nothing_is_being_written(session: Session) -> None:
    before = lrs.consistent_through(session)

    assert lrs.consistent_through(session) - before < timedelta(seconds=5)


def test_nothing_appears_at_or_below_what_consistent_through_promised(app: Flask, session: Session) -> None:
    seen: list[str] = []
    promised = [times.EPOCH]

    def read() -> None:
        promised.append(lrs.consistent_through(session))
        between = select(lrs.Statement.id).where(
            lrs.Statement.stored > promised[-2], lrs.Statement.stored <= promised[-1]
        )
        seen.extend(str(one) for one in session.scalars(between))
        session.rollback()

    with overtaking_writers(app) as written:
        for _ in range(100):
            read()
    read()

    assert promised == sorted(promised)
    assert len(seen) == len(set(seen))
    assert sorted(seen) == sorted(written)


def test_oldest_first_gives_nothing_that_something_older_may_still_precede(
    client: Any, session: Session, other: Session
) -> None:
    late = write(other)
    ids = client.store(statement())

    assert client.found(ascending="true") == []
    assert client.found(verb=DID, ascending="true") == []
    assert client.found() == ids

    other.commit()
    assert client.found(ascending="true") == late + ids
