"""De-duplication by content of statements without an id, for credentials that ask for it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from xapi_samples import ANA, BAO, COURSE, ID, OTHER_ID, statement
from xapi_samples import text as written

import lrs
from lrs.models import SentContent, Statement
from lrs.xapi import content, validation
from lrs.xapi.versions import Version

NOW = "2026-11-20T12:00:00Z"
EVENT = "http://lrs.learninglocker.net/define/extensions/info"


def seen(**changes: Any) -> dict[str, Any]:
    return statement(timestamp=NOW) | changes


def of_event(name: str) -> dict[str, Any]:
    return seen(context={"extensions": {EVENT: {"event_name": name}}})


@pytest.fixture
def client(app: Flask, make_client: Callable[..., Any]) -> Any:
    made = make_client("all")
    with app.app_context():
        lrs.credentials.change(lrs.db.session, made.key, deduplicate_seconds=60, partial=True)
        lrs.db.session.commit()
    return made


def count(session: Session, table: type = Statement) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_the_same_content_gets_the_id_of_the_stored_one(client: Any, session: Session) -> None:
    first = client.post([seen(), seen(actor=BAO)]).json

    again = client.post([seen(actor=BAO), seen(result={"success": True}), seen()]).json

    assert [again[0], again[2]] == first[::-1]
    assert count(session) == 3


def test_the_same_content_twice_in_a_batch_is_one_statement(client: Any, session: Session) -> None:
    first, second = client.post([seen(), seen()]).json

    assert first == second
    assert count(session) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"context": {"registration": ID}},
        {"context": {"registration": OTHER_ID, "platform": "x"}},
        {"actor": {"name": "Ana", **ANA}},
        {"object": {"id": COURSE, "definition": {"name": {"en": "renamed"}}}},
        {"timestamp": "2026-11-20T13:00:00+01:00"},
        {"verb": {"id": "http://example.com/verbs/did", "display": {"en": "did"}}},
    ],
)
def test_what_a_sender_adds_makes_no_difference(client: Any, session: Session, change: dict[str, Any]) -> None:
    assert client.post(seen()).json == client.post(seen(**change)).json
    assert count(session) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"actor": BAO},
        {"verb": {"id": "http://a/b"}},
        {"object": {"id": "http://a/b"}},
        {"timestamp": "2026-11-20T12:00:01Z"},
        {"result": {"success": True}},
        {"result": {"extensions": {"http://a/b": 1}}},
        {"context": {"extensions": {EVENT: {"event_name": "other"}}}},
        {"id": ID},
    ],
)
def test_what_was_done_makes_a_difference(client: Any, session: Session, change: dict[str, Any]) -> None:
    assert client.post(seen()).json != client.post(seen(**change)).json
    assert count(session) == 2


def test_the_event_may_be_all_that_differs() -> None:
    def digest(name: str) -> bytes | None:
        return content.digest(validation.validate(written(of_event(name)), Version.ONE))

    assert digest("viewed") == digest("viewed")
    assert digest("viewed") != digest("updated")


def test_without_a_timestamp_two_are_two(client: Any, session: Session) -> None:
    assert client.post(statement()).json != client.post(statement()).json
    assert count(session, SentContent) == 0


def test_another_credential_is_another_sender(client: Any, make_client: Callable[..., Any], session: Session) -> None:
    assert client.post(seen()).json != make_client("all").post(seen()).json
    assert count(session) == 2


def test_only_who_asked_for_it(make_client: Callable[..., Any], session: Session) -> None:
    plain = make_client("all")

    assert plain.post(seen()).json != plain.post(seen()).json
    assert count(session, SentContent) == 0


def test_after_the_window_it_is_another_one(client: Any, session: Session) -> None:
    first = client.post(seen()).json
    session.execute(text("update sent_content set sent_at = now() - interval '61 seconds'"))
    session.commit()

    assert client.post(seen()).json != first
    assert count(session) == 2
    assert count(session, SentContent) == 1


def test_what_the_window_has_passed_is_cleaned_away(client: Any, session: Session) -> None:
    client.post([seen(timestamp=f"2026-11-20T12:00:{n:02}Z") for n in range(20)])
    session.execute(text("update sent_content set sent_at = now() - interval '61 seconds'"))
    session.commit()

    client.post(seen(timestamp="2026-11-20T13:00:00Z"))

    assert count(session, SentContent) == 1


def test_two_at_once_are_one(client: Any, session: Session) -> None:
    batch = [seen(timestamp=f"2026-11-20T12:00:{n:02}Z") for n in range(20)]

    def send(turn: int) -> list[str]:
        ids: list[str] = client.post(batch if turn % 2 else batch[::-1]).json
        return sorted(ids)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(16)))

    assert len({tuple(one) for one in answers}) == 1
    assert count(session) == 20


def test_what_was_undone_claims_nothing(client: Any, session: Session) -> None:
    client.store(statement(id=ID))
    conflict = statement(id=ID, verb={"id": "http://a/other"})

    first = client.post([seen(), conflict]).json  # partial: the conflict is left out, and all was taken anew

    assert first[1] is None
    assert client.post(seen()).json == first[:1]
    assert count(session) == 2


def test_a_conflict_is_told_at_its_place_in_what_was_sent(app: Flask, client: Any) -> None:
    with app.app_context():
        lrs.credentials.change(lrs.db.session, client.key, partial=False)
        lrs.db.session.commit()
    client.store(statement(id=ID), seen())

    refused = client.post([seen(), statement(id=ID, verb={"id": "http://a/other"})])

    assert (refused.status_code, refused.json["index"]) == (409, 1)
