"""Who may call, as the whole application has it: settings and broker reach the LRS."""

import base64
import dataclasses
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from oidc_provider import AUDIENCE, fake_provider

from bridge import access, context
from bridge.app import create_app
from bridge.settings import Settings
from lrs import db

VERSION = {"X-Experience-API-Version": "1.0.3"}


@pytest.fixture
def another(app: Flask) -> Iterator[Callable[[Settings], Flask]]:
    """Make further applications, as further processes do."""
    made: list[Flask] = []

    def make(settings: Settings) -> Flask:
        made.append(create_app(settings))
        return made[-1]

    yield make
    for one in made:
        with one.app_context():
            db.engine.dispose()


def status(app: Flask, authorization: str, path: str = "/xapi/statements") -> int:
    return app.test_client().get(path, headers=VERSION | {"Authorization": authorization}).status_code


def test_all_web_processes_hold_a_credential_to_one_limit(app: Flask, another: Callable[[Settings], Flask]) -> None:
    made = access.create(db.session, "Limited", ["all"], requests_per_minute=4)
    db.session.commit()
    basic = "Basic " + base64.b64encode(f"{made['key']}:{made['secret']}".encode()).decode()
    apps = [app, another(context.settings())]

    statuses = [status(one, basic) for _ in range(3) for one in apps]

    assert statuses == [200] * 4 + [429] * 2


def test_tokens_of_the_provider_in_the_settings_are_taken_but_open_no_report(
    app: Flask, another: Callable[[Settings], Flask]
) -> None:
    with fake_provider() as provider:
        settings = dataclasses.replace(
            context.settings(),
            oidc_issuer=provider.url,
            oidc_audience=AUDIENCE,
            oidc_jwks_url=f"{provider.url}/keys",
            oidc_scope_claim="scp",
            oidc_name_claim="app",
        )
        open_to_tokens = another(settings)
        bearer = "Bearer " + provider.token(scp="all reports/read", app="Kiosk")

        assert status(open_to_tokens, bearer) == 200
        assert provider.asked == ["/keys"]
        [row] = [row for row in access.everyone(db.session) if row["issuer"] == provider.url]
        assert (row["name"], row["subject"]) == ("Kiosk", "service-7")
        assert not access.still_may_read_reports(db.session, str(row["key"]))
        assert status(open_to_tokens, bearer, "/") == 302
        assert status(app, bearer) == 401
