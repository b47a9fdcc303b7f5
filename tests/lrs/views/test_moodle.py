"""A real Moodle as a client: its 253 requests, 3,796 statements, of which strict xAPI refuses 67."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import moodle_capture as moodle
import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import lrs
from lrs import models, settings

HELD_BACK = 1447
"""So many statements were in the 67 batches that held a bad one."""


@pytest.fixture(autouse=True)
def _large_bodies(app: Flask) -> Iterator[None]:
    with app.app_context():
        before = settings.current()
    settings.keep(app, replace(before, max_body_bytes=4_000_000))
    yield
    settings.keep(app, before)


@pytest.fixture
def with_options(app: Flask, make_client: Callable[..., Any]) -> Callable[..., Any]:
    """Make a client whose credential has options."""

    def make(**options: Any) -> Any:
        client = make_client("all")
        change(app, client, **options)
        return client

    return make


def change(app: Flask, client: Any, **options: Any) -> None:
    with app.app_context():
        lrs.credentials.change(lrs.db.session, client.key, **options)
        lrs.db.session.commit()
    app.extensions.pop("lrs-grants", None)


def stored(session: Session) -> list[dict[str, Any]]:
    return [json.loads(one) for one in session.scalars(select(models.Statement.payload).order_by(models.Statement.seq))]


def without_what_the_lrs_adds(one: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in one.items() if name not in {"id", "stored", "authority", "version"}}
    activities = kept.get("context", {}).get("contextActivities", {})
    activities.update({name: value if isinstance(value, list) else [value] for name, value in activities.items()})
    return kept


def kept_repairs(session: Session) -> dict[str, models.Repair]:
    """Give what was repaired, by the statement's id."""
    rows = session.execute(
        select(models.Statement.id, models.Repair).join(models.Repair, models.Repair.seq == models.Statement.seq)
    )
    return {str(statement_id): repair for statement_id, repair in rows}


def assert_all_are_there(session: Session) -> None:
    """All 3,796 are stored and equal to what was sent, but for the recorded repairs, whose originals are kept."""
    sent = sorted(json.dumps(without_what_the_lrs_adds(one), sort_keys=True) for one in moodle.statements())
    repaired = kept_repairs(session)
    there = [json.loads(repaired[one["id"]].original) if one["id"] in repaired else one for one in stored(session)]

    assert sorted(json.dumps(without_what_the_lrs_adds(one), sort_keys=True) for one in there) == sent
    assert Counter(one["fault"] for repair in repaired.values() for one in repair.repairs) == {
        "component-ids": 55,
        "null": 12,
    }


def test_a_lenient_credential_takes_everything(with_options: Callable[..., Any], session: Session) -> None:
    client = with_options(lenient=True)

    answers = [client.post(moodle.body(batch)) for batch in moodle.requests()]

    assert Counter(answer.status_code for answer in answers) == {200: 253}
    assert sum(len(answer.json) for answer in answers) == 3796
    assert len(kept_repairs(session)) == 67
    assert_all_are_there(session)


def test_a_repaired_statement_differs_from_what_was_sent_in_nothing_else(
    with_options: Callable[..., Any], session: Session
) -> None:
    client = with_options(lenient=True)
    sent = [one for one in moodle.statements() if one.get("result", {}).get("response", "") is None]
    client.post(moodle.body(sent))

    for one in sent:
        del one["result"]["response"]

    assert [without_what_the_lrs_adds(one) for one in stored(session)] == [
        without_what_the_lrs_adds(one) for one in sent
    ]


def test_a_strict_credential_refuses_whole_batches_and_a_replay_brings_all(
    app: Flask, client: Any, session: Session
) -> None:
    answers = [client.post(moodle.body(batch)) for batch in moodle.requests()]

    refused = [answer for answer in answers if answer.status_code == 400]
    assert Counter(answer.status_code for answer in answers) == {200: 253 - len(refused), 400: len(refused)}
    assert sum(answer.json["error_count"] for answer in refused) == 67
    waiting = listed(client, waiting="true")
    assert len(waiting) == len(refused)
    assert sum(one["statements"] for one in waiting) == HELD_BACK
    assert [one["reasons"] for one in waiting] == [answer.json["errors"] for answer in refused]
    assert len(stored(session)) == 3796 - HELD_BACK
    session.rollback()

    assert replay(client, waiting) == {400: len(refused)}  # nothing has changed yet
    change(app, client, lenient=True)
    assert replay(client, waiting) == {200: len(refused)}

    assert_all_are_there(session)
    session.rollback()
    assert replay(client, waiting) == {409: len(refused)}  # once only
    assert session.scalar(select(func.count()).select_from(models.Statement)) == 3796
    assert listed(client, waiting="true") == []


def test_partial_success_stores_all_but_the_bad_ones(with_options: Callable[..., Any], session: Session) -> None:
    client = with_options(partial=True)

    answers = [client.post(moodle.body(batch)) for batch in moodle.requests()]

    # Where every statement of a batch is bad, there is no success to speak of.
    alone = [answer.json["error_count"] for answer in answers if answer.status_code == 400]
    assert len(stored(session)) == 3729
    assert sum(answer.json.count(None) for answer in answers if answer.status_code == 200) + sum(alone) == 67
    assert sum(one["statements"] for one in listed(client)) == 67


def test_other_settings_are_repaired_too(with_options: Callable[..., Any], session: Session) -> None:
    client = with_options(lenient=True)

    assert client.post(moodle.body(moodle.invalid_with_mbox())).status_code == 200

    faults = [one["fault"] for repair in kept_repairs(session).values() for one in repair.repairs]
    assert Counter(faults) == {"component-ids": 70, "object-for-list": 16, "null": 5}


def test_what_is_sent_twice_is_stored_once_by_content(with_options: Callable[..., Any], session: Session) -> None:
    """The answer was lost, and the next process of Moodle's, with another registration, sends again."""
    client = with_options(lenient=True, deduplicate_seconds=3600)
    batches = moodle.requests()[:40]
    first = [client.post(moodle.body(batch)).json for batch in batches]
    for one in (one for batch in batches for one in batch):
        one["context"]["registration"] = "5c1b7f0e-8f2a-4d0b-9a57-1a2b3c4d5e6f"

    again = [client.post(moodle.body(batch)).json for batch in batches]

    assert again == first
    assert len(stored(session)) == len({one for batch in first for one in batch})


def listed(client: Any, **query: str) -> list[dict[str, Any]]:
    """Give all pages of what was refused."""
    path, found = "/xapi/refused?" + "&".join(f"{name}={value}" for name, value in query.items()), []
    while path:
        answer = client.follow(path)
        assert answer.status_code == 200, answer.text
        found += answer.json["refused"]
        path = answer.json["more"]
    return found


def replay(client: Any, waiting: list[dict[str, Any]]) -> Counter[int]:
    return Counter(
        client.http.post(f"/xapi/refused/{one['id']}", headers=client.headers).status_code for one in waiting
    )
