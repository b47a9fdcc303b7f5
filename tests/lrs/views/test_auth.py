"""Who may do what: xAPI 1.0.3, Communication 4."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from xapi_samples import statement

import lrs
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


@pytest.mark.parametrize(
    ("scope", "may_write", "may_read"),
    [
        ("all", True, True),
        ("all/read", False, True),
        ("statements/write", True, False),
        ("statements/read", False, True),
        ("statements/read/mine", False, True),
        ("state", False, False),
        ("profile", False, False),
        ("define", False, False),
        ("reports/read", False, False),
    ],
)
def test_scope_decides(make_client: Callable[..., Any], scope: str, may_write: bool, may_read: bool) -> None:
    client = make_client(scope)

    assert client.post(statement()).status_code == (200 if may_write else 403)
    assert client.get().status_code == (200 if may_read else 403)


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
