"""Bearer tokens over HTTP, beside Basic: a caller with a token is a credential like any other (Communication 4.0)."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from oidc_provider import AUDIENCE, FakeProvider, fake_provider
from sqlalchemy import select
from xapi_samples import ID, statement

import lrs
from lrs import Credential, Provider, db
from lrs.tokens import LEEWAY_SECONDS

BASE_URL = "http://lrs.example.com"
SECRET_KEY = "only for tests"


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with fake_provider() as running:
        yield running


@pytest.fixture
def bearing(app: Flask, database_url: str, provider: FakeProvider) -> Iterator[Flask]:
    """An app that takes tokens, on the tables that `app` emptied."""
    made = Flask("lrs_tests_bearing")
    made.config["SQLALCHEMY_ENGINES"] = {"default": {"url": database_url}}
    db.init_app(made)
    lrs.init_app(
        made,
        base_url=BASE_URL,
        secret_key=SECRET_KEY,
        max_body_bytes=100_000,
        provider=Provider(issuer=provider.url, audience=AUDIENCE),
    )
    yield made
    with made.app_context():
        db.engine.dispose()


@dataclass
class Caller:
    app: Flask
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "X-Experience-API-Version": "1.0.3"}

    def get(self, **query: Any) -> Any:
        return self.app.test_client().get("/xapi/statements", query_string=query, headers=self.headers)

    def post(self, data: Any) -> Any:
        return self.app.test_client().post("/xapi/statements", json=data, headers=self.headers)


@pytest.fixture
def calling(bearing: Flask, provider: FakeProvider) -> Callable[..., Caller]:
    return lambda **claims: Caller(bearing, provider.token(**claims))


def rows(app: Flask) -> list[Credential]:
    with app.app_context():
        return list(db.session.scalars(select(Credential)))


def test_who_comes_with_a_token_is_one_credential_however_many_tokens(
    bearing: Flask, calling: Callable[..., Caller]
) -> None:
    assert calling().get().status_code == 200
    assert calling(exp=int(time.time()) + 600).post(statement()).status_code == 200
    assert calling(sub="service-8", client_id=None).get().status_code == 200

    first, second = rows(bearing)
    assert (first.subject, first.name, first.secret_hash, first.scopes) == ("service-7", "Quiz engine", None, [])
    assert (second.subject, second.name) == ("service-8", "service-8")
    assert first.last_used_at is not None


def test_the_authority_is_its_own_and_mine_goes_by_it(bearing: Flask, calling: Callable[..., Caller]) -> None:
    other = calling(sub="service-8")
    assert calling().post(statement(id=ID)).status_code == 200
    assert other.post(statement()).status_code == 200

    [found] = calling().get().json["statements"]

    key = rows(bearing)[0].key
    assert found["id"] == ID
    assert found["authority"] == {
        "objectType": "Agent",
        "name": "Quiz engine",
        "account": {"homePage": BASE_URL, "name": key},
    }
    assert other.get(statementId=ID).status_code == 404


def test_scopes_are_those_of_each_token(calling: Callable[..., Caller]) -> None:
    reader = calling(scope="statements/read")

    refused = reader.post(statement())

    assert refused.status_code == 403
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer realm="xAPI", error="insufficient_scope", scope="statements/write all"'
    )
    assert reader.get().status_code == 200
    assert calling(scope="statements/write").post(statement()).status_code == 200


def test_a_token_without_scopes_of_ours_may_nothing_and_leaves_nothing(
    bearing: Flask, calling: Callable[..., Caller]
) -> None:
    assert calling(scope="openid email").get().status_code == 403
    assert rows(bearing) == []


def test_a_revoked_caller_is_refused_whatever_token_comes(bearing: Flask, calling: Callable[..., Caller]) -> None:
    assert calling().get().status_code == 200
    with bearing.app_context():
        lrs.credentials.revoke(db.session, rows(bearing)[0].key)
        db.session.commit()

    assert calling(exp=int(time.time()) + 600).get().status_code == 401


def test_a_token_is_remembered_no_longer_than_it_is_valid(
    bearing: Flask, calling: Callable[..., Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lrs.credentials.REMEMBERED_SECONDS", 3600)

    assert calling(exp=int(time.time()) + 60).get().status_code == 200

    [(until, _)] = bearing.extensions["lrs-grants"].known.values()
    assert 0 < until - time.monotonic() <= 60 + LEEWAY_SECONDS


@pytest.mark.parametrize("authorization", [None, "Basic eDp5", "Bearer", "Digest x", "Bearer a b"])
def test_who_sends_nothing_good_is_told_both_ways(bearing: Flask, authorization: str | None) -> None:
    headers = {"X-Experience-API-Version": "1.0.3"} | ({"Authorization": authorization} if authorization else {})

    answer = bearing.test_client().get("/xapi/statements", headers=headers)

    assert answer.status_code == 401
    basic, bearer = answer.headers.getlist("WWW-Authenticate")
    assert basic.startswith("Basic ")
    assert bearer.startswith('Bearer realm="xAPI"')


def test_a_bad_token_is_a_401_that_says_so_and_repeats_nothing(
    calling: Callable[..., Caller], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caller = calling(exp=1)

    answer = caller.get()

    assert answer.status_code == 401
    assert answer.headers.getlist("WWW-Authenticate")[1] == 'Bearer realm="xAPI", error="invalid_token"'
    assert answer.json["error"] == "The bearer token is not valid: Signature has expired."
    assert caller.token not in answer.text + caplog.text


def test_a_huge_token_is_a_401(bearing: Flask) -> None:
    assert Caller(bearing, "x" * 1_000_000).get().status_code == 401


def test_while_the_keys_cannot_be_had_it_is_a_503_and_basic_goes_on(
    bearing: Flask, provider: FakeProvider, calling: Callable[..., Caller], client: Any
) -> None:
    provider.answers = False

    answer = calling().get()

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert bearing.test_client().get("/xapi/statements", headers=client.headers).status_code == 200


def test_without_a_provider_no_token_is_taken(app: Flask, provider: FakeProvider) -> None:
    answer = Caller(app, provider.token()).get()

    assert answer.status_code == 401
    assert answer.headers.getlist("WWW-Authenticate") == ['Basic realm="xAPI", charset="UTF-8"']
    assert provider.asked == []
