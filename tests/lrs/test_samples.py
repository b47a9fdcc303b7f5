"""All statements or an even sample of them, in batches."""

from collections.abc import Iterator, Sequence
from itertools import chain

import pytest
import xapi_samples
from sqlalchemy import text
from sqlalchemy.orm import Session
from xapi_samples import statement

from lrs import Statement, database, samples, store
from lrs.samples import Sampled, Selection
from lrs.store import Author, Incoming
from lrs.xapi import times, validation
from lrs.xapi.terms import Term
from lrs.xapi.versions import Version

AUTHOR = Author(1, '{"mbox":"mailto:lrs@example.com"}', Term("agent", "mbox:mailto:lrs@example.com"))
DONE, SEEN = "http://adlnet.gov/expapi/verbs/completed", "http://id.tincanapi.com/verb/viewed"


def write(session: Session, count: int, verb: str = DONE) -> None:
    for _ in range(count):  # one by one: those of a batch have numbers that follow each other
        texts, _ = validation.split(xapi_samples.text([statement(verb={"id": verb})]))
        batch = [Incoming(one, validation.validate(bytes(one), Version.ONE)) for one in texts]
        store.store(database.driver(session), batch, author=AUTHOR, version=Version.ONE)


def seqs(batches: Iterator[Sequence[Sampled]]) -> list[int]:
    return [one.seq for one in chain.from_iterable(batches)]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "BATCH", 7)


def test_batches_give_every_statement_once_oldest_first(session: Session) -> None:
    write(session, 20)
    stored = session.scalars(text("select seq from statement order by seq")).all()

    selection = Selection(session)

    assert seqs(selection.batches()) == stored
    assert selection.count() == 20
    first = next(selection.batches())
    row = session.get_one(Statement, first[0].seq)
    assert (first[0].id, first[0].payload, len(first)) == (row.id, row.payload, 7)


@pytest.mark.parametrize(("size", "drawn"), [(0, 0), (1, 1), (9, 9), (20, 20), (99, 20)])
def test_a_sample_has_the_size_asked_for_and_is_the_same_each_time(session: Session, size: int, drawn: int) -> None:
    write(session, 20)

    found = seqs(Selection(session).sample(size))

    assert len(set(found)) == len(found) == drawn
    assert found == sorted(found) == seqs(Selection(session).sample(size))


def test_a_sample_comes_from_all_of_time(session: Session) -> None:
    write(session, 200)
    stored = seqs(Selection(session).batches())

    places = [stored.index(seq) for seq in seqs(Selection(session).sample(40))]

    assert all(any(start <= place < start + 50 for place in places) for start in (0, 50, 100, 150))


def test_the_newest_come_last_first(session: Session) -> None:
    write(session, 12)
    stored = session.scalars(text("select seq from statement order by seq")).all()

    assert [one.seq for one in Selection(session).newest(9)] == stored[:2:-1]


def test_only_statements_with_one_of_the_verbs(session: Session) -> None:
    write(session, 3, DONE)
    write(session, 2, SEEN)

    assert Selection(session, verbs=[DONE]).count() == 3
    assert len(seqs(Selection(session, verbs=[DONE, SEEN, "http://example.com/never"]).batches())) == 5
    assert len(seqs(Selection(session, verbs=[SEEN]).sample(9))) == 2
    assert seqs(Selection(session, verbs=[]).batches()) == []


def test_only_what_was_stored_since(session: Session) -> None:
    write(session, 5)
    stored = seqs(Selection(session).batches())

    assert seqs(Selection(session, since=times.from_number(stored[2])).batches()) == stored[2:]
