"""Who may do what: xAPI 1.0.3, Communication 4."""

import base64
import dataclasses
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, func, select, update
from xapi_samples import statement

import lrs
from lrs import Credential
from lrs.views import auth

VERSION = {"X-Experience-API-Version": "1.0.3"}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic", "Basic !!!", basic("no-colon"), basic("wrong:wrong"), basic("a\0:b"), "Bearer x", "Basic /w=="],
)
def test_unknown_caller_is_a_401_that_asks_for_basic(client: Any, header: str | None) -> None:
    headers = VERSION if header is None else VERSION | {"Authorization": header}

    response = client.http.get("/xapi/statements", headers=headers)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic")
    assert response.json["remedy"]


def test_revoked_credential_is_refused_when_it_is_forgotten(
    client: Any, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get().status_code == 200
    with app.app_context():
        lrs.credentials.revoke(lrs.db.session, client.key)
        lrs.db.session.commit()

    assert client.get().status_code == 200  # remembered for some seconds
    monkeypatch.setattr(auth.time, "monotonic", lambda: 1e12)

    assert client.get().status_code == 401


def executed(app: Flask, call: Callable[[], Any]) -> list[str]:
    """Give the SQL that a call makes the app execute."""
    seen: list[str] = []
    with app.app_context():
        engine = lrs.db.engine
    listen = lambda _c, _cursor, sql, *_: seen.append(sql)  # noqa: E731
    event.listen(engine, "before_cursor_execute", listen)
    try:
        call()
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    return seen


def test_a_remembered_credential_costs_no_sql(client: Any, app: Flask) -> None:
    first = executed(app, client.get)
    again = executed(app, client.get)

    assert any("credential" in sql for sql in first)
    assert not any("FROM credential" in sql or "UPDATE credential" in sql for sql in again)


def last_used_at(app: Flask, key: str) -> datetime | None:
    with app.app_context():
        return lrs.db.session.scalars(select(Credential.last_used_at).where(Credential.key == key)).one()


def age(app: Flask, key: str, seconds: int) -> None:
    """Let the last use be so long ago."""
    with app.app_context():
        ago = func.now() - timedelta(seconds=seconds)
        lrs.db.session.execute(update(Credential).where(Credential.key == key).values(last_used_at=ago))
        lrs.db.session.commit()


def test_the_last_use_is_noted_to_the_minute(client: Any, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrs.credentials.REMEMBERED_SECONDS", 0)
    assert last_used_at(app, client.key) is None

    client.get()
    first = last_used_at(app, client.key)
    client.get()

    assert first is not None
    assert abs((datetime.now(UTC) - first).total_seconds()) < 30
    assert last_used_at(app, client.key) == first
    age(app, client.key, 61)
    client.get()
    again = last_used_at(app, client.key)
    assert again is not None
    assert again >= first


def test_a_wrong_secret_is_no_use(client: Any, app: Flask) -> None:
    wrong = VERSION | {"Authorization": basic(f"{client.key}:wrong")}

    assert client.http.get("/xapi/statements", headers=wrong).status_code == 401
    assert last_used_at(app, client.key) is None


def test_no_secret_is_in_an_answer_or_in_the_log(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    answers = [
        client.get(),
        client.post(b"no JSON"),
        client.get(agent="?"),
        client.http.get("/xapi/statements", headers=VERSION | {"Authorization": basic(f"wrong:{client.secret}")}),
        client.http.get("/xapi/statements", headers=VERSION | {"Authorization": f"Basic {client.secret}"}),
    ]

    assert [answer.status_code for answer in answers] == [200, 400, 400, 401, 401]
    header = client.headers["Authorization"].removeprefix("Basic ")
    for secret in (client.secret, header):
        assert secret not in caplog.text
        assert not any(secret in answer.text + str(answer.headers) for answer in answers)


# --- limits --------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A limit that lets everybody make two requests and then wait 6.2 s; gives what it was asked."""
    calls: list[tuple[int, int]] = []

    def limit(credential_id: int, requests_per_minute: int) -> float:
        calls.append((credential_id, requests_per_minute))
        return 0 if len(calls) <= 2 else 6.2

    limited = dataclasses.replace(app.extensions["lrs"], limit=limit)
    monkeypatch.setitem(app.extensions, "lrs", limited)
    return calls


def test_too_many_requests_are_a_429_that_says_when_to_come_again(
    make_client: Callable[..., Any], asked: list[tuple[int, int]]
) -> None:
    client = make_client("all", requests_per_minute=20)

    statuses = [client.post(statement()).status_code for _ in range(2)]
    refused = client.post(statement())

    assert statuses == [200, 200]
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert refused.json["error"] == "The credential 'Moodle' has used up its 20 requests a minute."
    assert refused.json["remedy"]
    assert {minute for _, minute in asked} == {20}


def test_only_a_credential_with_a_limit_is_counted(
    make_client: Callable[..., Any], asked: list[tuple[int, int]]
) -> None:
    client = make_client("all")

    assert {client.get().status_code for _ in range(5)} == {200}
    assert client.http.get("/xapi/about").status_code == 200

    assert asked == []


def test_what_is_forbidden_counts_too(make_client: Callable[..., Any], asked: list[tuple[int, int]]) -> None:
    client = make_client("state", requests_per_minute=5)

    assert [client.get().status_code for _ in range(3)] == [403, 403, 429]
