"""Documents under concurrency: xAPI 1.0.3, Communication 3.1; the check and the write are one."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

import lrs
from lrs import documents, models
from lrs.errors import LrsError, NotFound
from lrs.xapi.documents import ACTIVITY_PROFILE, STATE, Context, etag_of, read_preconditions
from lrs.xapi.versions import Version

CLIENTS = 8
NEW = read_preconditions(None, "*")
NO_MATTER = read_preconditions(None, None)
PROFILE = Context(ACTIVITY_PROFILE, activity="http://example.com/activities/1")
MY_STATE = Context(STATE, activity="http://example.com/activities/1", agent="mbox:mailto:ana@example.com")
WAIT_SECONDS = 0.2
"""So long a writer that must wait is given to show that it does not."""


def put(session: Session, context: Context, content: bytes, given: documents.Preconditions, name: str = "x") -> None:
    content_of = ("text/plain", content)
    documents.put(session, context, name, content_of, given=given, version=Version.ONE)


@pytest.fixture
def elsewhere(app: Flask) -> Iterator[Callable[[Callable[[Session], Any]], "Future[Any]"]]:
    """Start work in a transaction of its own; gives what comes of it, the status where it is refused."""

    def run(work: Callable[[Session], Any]) -> Any:
        with app.app_context():
            # Else a test that fails would wait for itself.
            lrs.db.session.execute(text("set local lock_timeout = '5s'"))
            try:
                done = work(lrs.db.session)
                lrs.db.session.commit()
            except LrsError as err:
                lrs.db.session.rollback()
                return err.status
            return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        yield lambda work: pool.submit(run, work)


Elsewhere = Callable[[Callable[[Session], Any]], "Future[Any]"]
IF_FIRST = read_preconditions(f'"{etag_of(b"first")}"', None)


@pytest.mark.parametrize("context", [PROFILE, MY_STATE])
@pytest.mark.parametrize(
    ("there", "work", "late_work"),
    [
        # two that both take the document to be new
        (False, lambda s, c: put(s, c, b"a", NEW), lambda s, c: put(s, c, b"b", NEW)),
        # two that both saw the same
        (True, lambda s, c: put(s, c, b"a", IF_FIRST), lambda s, c: put(s, c, b"b", IF_FIRST)),
        (True, lambda s, c: documents.delete(s, c, "x", given=IF_FIRST), lambda s, c: put(s, c, b"b", IF_FIRST)),
        (True, lambda s, c: put(s, c, b"a", IF_FIRST), lambda s, c: documents.delete(s, c, "x", given=IF_FIRST)),
    ],
)
def test_of_two_writers_on_the_same_state_one_wins(
    app: Flask, session: Session, elsewhere: Elsewhere, context: Context, there: bool, work: Any, late_work: Any
) -> None:
    if there:
        put(session, context, b"first", NEW)
        session.commit()

    work(session, context)
    late = elsewhere(lambda other: late_work(other, context))
    time.sleep(WAIT_SECONDS)
    assert not late.done()  # it cannot know yet
    session.commit()

    assert late.result(timeout=10) == 412


def test_one_that_gives_up_leaves_the_way_free(session: Session, elsewhere: Elsewhere) -> None:
    put(session, PROFILE, b"a", NEW)
    late = elsewhere(lambda other: put(other, PROFILE, b"b", NEW))
    session.rollback()

    assert late.result(timeout=10) is None
    assert documents.get(session, PROFILE, "x").content == b"b"


def test_state_is_not_deleted_as_a_whole_while_a_document_of_it_is_written(
    session: Session, elsewhere: Elsewhere
) -> None:
    put(session, MY_STATE, b"a", NEW)
    late = elsewhere(lambda other: documents.delete_all(other, MY_STATE, given=NO_MATTER))
    time.sleep(WAIT_SECONDS)
    assert not late.done()
    session.commit()
    late.result(timeout=10)

    assert documents.ids(session, MY_STATE).ids == []


def test_writers_of_different_documents_do_not_wait(session: Session, elsewhere: Elsewhere) -> None:
    """A leader board and the bookmarks of an activity have nothing to do with each other."""
    other_state = Context(STATE, activity=MY_STATE.activity, agent="mbox:mailto:bo@example.com")
    put(session, PROFILE, b"a", NEW)
    put(session, MY_STATE, b"a", NEW)

    others = [
        elsewhere(lambda other: put(other, PROFILE, b"b", NEW, "y")),
        elsewhere(lambda other: put(other, other_state, b"b", NEW)),
    ]

    assert [one.result(timeout=10) for one in others] == [None, None]


def test_of_many_at_once_one_wins(session: Session, elsewhere: Elsewhere) -> None:
    def write(number: int) -> Callable[[Session], None]:
        return lambda other: put(other, PROFILE, f"{number}".encode(), NEW)

    results = [elsewhere(write(number)) for number in range(CLIENTS)]

    assert sorted(str(one.result(timeout=30)) for one in results) == ["412"] * (CLIENTS - 1) + ["None"]


def test_what_many_merge_at_once_is_all_there(session: Session, elsewhere: Elsewhere) -> None:
    def post(number: int) -> Callable[[Session], None]:
        content = ("application/json", json.dumps({f"client {number}": number}).encode())
        return lambda other: documents.post(other, PROFILE, "x", content, given=NO_MATTER)

    for one in [elsewhere(post(number)) for number in range(4 * CLIENTS)]:
        assert one.result(timeout=30) is None

    assert json.loads(documents.get(session, PROFILE, "x").content) == {
        f"client {number}": number for number in range(4 * CLIENTS)
    }


def test_updated_is_when_it_was_written_not_when_the_transaction_began(session: Session, elsewhere: Elsewhere) -> None:
    """Else `since` would pass over what a writer that had to wait wrote, and Last-Modified go back."""
    begun, written = Event(), Event()

    def begin_first_and_write_last(other: Session) -> None:
        begun.set()
        written.wait(10)
        put(other, MY_STATE, b"b", NEW, "y")

    late = elsewhere(begin_first_and_write_last)
    begun.wait(10)
    put(session, MY_STATE, b"a", NEW)
    session.commit()
    written.set()
    late.result(timeout=10)

    assert documents.ids(session, MY_STATE).ids == ["x", "y"]


def test_document_says_what_it_is_about(session: Session) -> None:
    """So that all that is kept of a person can be found."""
    put(session, MY_STATE, b"a", NEW)

    row = session.get_one(models.Document, MY_STATE.digest_of("x"))

    assert (row.resource, row.activity, row.agent, row.document_id) == (
        "state",
        MY_STATE.activity,
        MY_STATE.agent,
        "x",
    )


def test_what_is_not_there_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound):
        documents.get(session, PROFILE, "x")
