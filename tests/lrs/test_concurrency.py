"""Many clients at once on what is hot: nothing waits in a circle, nothing is lost, one id is one statement.

`test_store.py` has the same for new terms and for batches of one id, `test_horizon.py` for readers below SQL.
"""

import random
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from xapi_samples import ANA, COURSE, ID, TEAM, about, statement, voiding

from lrs.models import Statement

CLIENTS = 12


def person(number: int) -> dict[str, Any]:
    return {"account": {"homePage": "http://lms.example.com", "name": f"p{number}"}}


def test_thousands_of_statements_on_one_activity_by_many_clients_are_all_stored(client: Any, session: Session) -> None:
    """Two orders of the same locks would end as a deadlock here, which PostgreSQL ends by refusing one of them."""
    batches, size = 8, 30

    def write(number: int) -> list[int]:
        dice = random.Random(number)  # noqa: S311  to make trouble, not secrets
        answers = []
        for _ in range(batches):
            batch = [
                statement(
                    actor=person(dice.randrange(40)),
                    object={"id": COURSE, "definition": {"name": {"en": f"Course {dice.randrange(3)}"}}},
                    context={
                        "contextActivities": {"grouping": [{"id": f"{COURSE}/{dice.randrange(20)}"}, {"id": COURSE}]},
                        "instructor": ANA,
                        "team": TEAM,
                    },
                )
                for _ in range(size)
            ]
            answers.append(client.post(batch).status_code)
        return answers

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = [status for one in pool.map(write, range(CLIENTS)) for status in one]

    assert Counter(answers) == {200: CLIENTS * batches}
    assert session.scalar(select(func.count()).select_from(Statement)) == CLIENTS * batches * size
    assert len(everything(client, activity=COURSE)) == CLIENTS * batches * size


def test_references_and_plain_batches_at_once_are_all_stored_and_linked(client: Any, session: Session) -> None:
    """What points takes the gate alone, all others share it; voidings come before and after what they void."""

    def write(number: int) -> tuple[list[str], list[str]]:
        dice = random.Random(number)  # noqa: S311  as above
        voided, seen = [], []
        for _ in range(10):
            target, comment, killer, plain = (str(uuid.UUID(int=dice.getrandbits(128), version=4)) for _ in range(4))
            posts = [
                [statement(id=target), statement(id=plain)],
                [about(plain, id=comment, actor=person(number), verb={"id": "a:commented"})],
                [voiding(target, id=killer, actor=person(number))],
            ]
            dice.shuffle(posts)
            assert [client.post(one).status_code for one in posts] == [200] * 3
            voided.append(target)
            seen += [comment, killer, plain]
        return voided, seen

    with ThreadPoolExecutor(CLIENTS) as pool:
        written = list(pool.map(write, range(CLIENTS)))

    seen = sorted(one for _, ids in written for one in ids)
    assert sorted(everything(client)) == seen
    assert sorted(everything(client, activity=COURSE)) == seen  # references too, whichever end came first
    assert {client.get(voidedStatementId=one).status_code for ids, _ in written for one in ids} == {200}


def test_one_id_sent_at_once_is_stored_once_and_a_different_one_conflicts(client: Any, session: Session) -> None:
    """Equal ones succeed however they come (2.3.1); the first to commit decides what the others are held against."""
    gate = threading.Barrier(CLIENTS)

    def send(number: int) -> tuple[int, int]:
        gate.wait(10)
        kind = number % 2
        sent = statement(object={"id": f"{COURSE}/{kind}"})
        if number % 3:
            return kind, client.post([statement(), sent | {"id": ID}]).status_code
        return kind, client.put(sent, ID).status_code

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(send, range(CLIENTS)))

    won = int(client.get(statementId=ID).json["object"]["id"][-1])
    assert {status for kind, status in answers if kind == won} <= {200, 204}
    assert {status for kind, status in answers if kind != won} == {409}
    accepted = sum(status == 200 for _, status in answers)
    assert (
        session.scalar(select(func.count()).select_from(Statement)) == accepted + 1
    )  # and nothing of what was refused


def test_a_poller_by_since_and_consistent_through_misses_nothing(client: Any, session: Session) -> None:
    """As Communication 2.1.3 means it: ask for what is between the promise before and the promise now."""
    done = threading.Event()
    acknowledged: list[str] = []

    def write(number: int) -> None:
        dice = random.Random(number)  # noqa: S311  as above
        while not done.is_set():
            # Batches of all sizes overtake each other on their way to the commit.
            ids = client.post([statement() for _ in range(dice.choice([1, 1, 2, 60]))]).json
            acknowledged.extend(ids)

    seen: list[str] = []
    promised = "1970-01-01T00:00:00.000Z"

    def poll() -> None:
        nonlocal promised
        before = promised
        answer = client.get(limit="1")
        promised = answer.headers["X-Experience-API-Consistent-Through"]
        seen.extend(everything(client, since=before, until=promised))

    with ThreadPoolExecutor(CLIENTS) as pool:
        writers = [pool.submit(write, number) for number in range(CLIENTS - 2)]
        for _ in range(25):
            poll()
        done.set()
        for writer in writers:
            writer.result()
    poll()

    assert len(acknowledged) > 100
    assert len(seen) == len(set(seen))
    assert sorted(seen) == sorted(acknowledged)


def everything(client: Any, **query: str) -> list[str]:
    """Give the ids of all that a query finds, page by page, oldest first."""
    answer = client.get(ascending="true", **query)
    found = [one["id"] for one in answer.json["statements"]]
    while more := answer.json["more"]:
        answer = client.follow(more)
        found += [one["id"] for one in answer.json["statements"]]
    return found
