"""Storing: once per id, whole batch or nothing (xAPI 1.0.3, Communication 2.1.1 and 2.1.2, Data 2.3.1)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from xapi_samples import ANA, COURSE, DID, ID, OTHER_ID, statement

from lrs.models import Mention, Statement, Term
from lrs.xapi import times

CLIENTS = 8


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Statement)) or 0


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Do the same from many clients at the same time."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, range(CLIENTS)))


def test_ids_come_back_in_order_given_or_made(client: Any) -> None:
    ids = client.post([statement(id=OTHER_ID), statement(), statement(id=ID)]).json

    assert ids[0] == OTHER_ID
    assert ids[2] == ID
    assert len(set(ids)) == 3


def test_equal_statement_with_same_id_is_stored_once(client: Any, session: Session) -> None:
    first = client.post(statement(id=ID))
    again = client.post(statement(id=ID.upper(), verb={"id": DID, "display": {"en": "did"}}))

    assert first.status_code == again.status_code == 200
    assert count(session) == 1
    assert client.put(statement(), ID).status_code == 204


def test_different_statement_with_same_id_is_a_conflict(client: Any, session: Session) -> None:
    client.store(statement(id=ID))

    refused = client.post([statement(id=OTHER_ID), statement(id=ID, verb={"id": DID + "x"})])

    assert refused.status_code == 409
    assert refused.json["index"] == 1
    assert count(session) == 1  # the other one of the batch was not stored either


def test_id_twice_in_a_batch_is_refused(client: Any, session: Session) -> None:
    refused = client.post([statement(id=ID), statement(id=ID.upper())])

    assert refused.status_code == 400
    assert (refused.json["index"], refused.json["pointer"]) == (1, "/id")
    assert count(session) == 0


def test_one_bad_statement_stores_none(client: Any, session: Session) -> None:
    refused = client.post([statement(), statement(actor={})])

    assert refused.status_code == 400
    assert (refused.json["index"], refused.json["pointer"]) == (1, "/actor")
    assert count(session) == 0


def test_stored_is_rising_and_the_number_says_it(client: Any, session: Session) -> None:
    client.store(*[statement()] * 3)
    client.post([statement()] * 3)

    rows = session.scalars(select(Statement).order_by(Statement.seq)).all()

    assert len({row.seq for row in rows}) == 6
    assert all(times.to_text(row.stored) in row.payload for row in rows)
    assert [times.from_number(row.seq) for row in rows] == [row.stored for row in rows]


def test_very_long_iri_fits(client: Any) -> None:
    iri = "data:text/plain," + "x" * 100_000

    client.store(statement(object={"id": iri}, id=ID))

    assert client.found(activity=iri) == [ID]


def test_terms_are_interned_once(client: Any, session: Session) -> None:
    client.store(statement(), statement())

    assert sorted(session.scalars(select(Term.kind))) == ["activity", "agent", "agent", "verb"]  # ours is an agent too
    assert session.scalar(select(func.count()).select_from(Mention)) == 8


def test_same_id_by_many_clients_at_once_is_stored_once(client: Any, session: Session) -> None:
    answers = at_once(lambda _: client.post([statement(id=ID), statement(id=OTHER_ID)]))

    assert [answer.status_code for answer in answers] == [200] * CLIENTS
    assert count(session) == 2


def test_different_statements_with_same_id_at_once_leave_one_winner(client: Any, session: Session) -> None:
    answers = at_once(lambda n: client.post(statement(id=ID, object={"id": f"{COURSE}/{n}"})))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (CLIENTS - 1)
    assert count(session) == 1


@pytest.mark.parametrize("round_", range(3))
def test_new_terms_shared_by_many_clients_do_not_deadlock(client: Any, session: Session, round_: int) -> None:
    def batch(n: int) -> list[dict[str, Any]]:
        made = [
            statement(
                actor={"account": {"homePage": "http://lms.example.com", "name": str(i)}},
                object={"id": f"{COURSE}/{round_}/{i}"},
                context={"contextActivities": {"parent": {"id": COURSE}}, "instructor": ANA},
            )
            for i in range(30)
        ]
        # Every client brings the same new terms in an order of its own.
        return made[n:] + made[:n]

    answers = at_once(lambda n: [client.post(batch(n * 3)).status_code for _ in range(3)])

    assert answers == [[200] * 3] * CLIENTS
    assert count(session) == CLIENTS * 3 * 30
    assert session.scalar(select(func.count()).select_from(Term).where(Term.text == COURSE)) == 1
