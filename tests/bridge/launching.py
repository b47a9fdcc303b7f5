"""Launching our pages from a fake platform, as a browser does it: with the test client's cookies."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask.testing import FlaskClient
from lti_platform import FakePlatform
from werkzeug.test import TestResponse

from bridge.lti import platforms
from bridge.lti.platforms import Given
from connectors import lti
from lrs import db

TARGET = "http://127.0.0.1:8080/lti/launch"


def registered(platform: FakePlatform, *clients: str, **given: Any) -> None:
    """Register a platform's clients here, each with its deployment."""
    for client in clients or ("tool",):
        if client not in platform.clients:
            platform.add_client(client)
        made = lti.Platform(
            issuer=platform.url,
            client_id=client,
            auth_url=f"{platform.url}/auth",
            token_url=f"{platform.url}/token",
            jwks_url=f"{platform.url}/jwks",
            deployments=frozenset({platform.clients[client]["deployment"]}),
        )
        usual = {"course_url": platforms.MOODLE_COURSE, "home_page": "https://lms.example.com"}
        platforms.register(db.session, made, Given(**usual | given))
    db.session.commit()


def begun(browser: FlaskClient, platform: FakePlatform, *, client: str = "tool", **more: str) -> dict[str, str]:
    """Begin a login; gives what we ask the platform: state, nonce and so on."""
    sent = {"iss": platform.url, "client_id": client, "login_hint": "5", "target_link_uri": TARGET} | more
    answer = browser.get("/lti/login", query_string=sent)
    assert answer.status_code == 302, answer.text
    where = urlsplit(answer.location)
    assert f"{where.scheme}://{where.netloc}{where.path}" == f"{platform.url}/auth"
    return {name: values[0] for name, values in parse_qs(where.query).items()}


def launched(
    browser: FlaskClient, platform: FakePlatform, user: str, course: str | None, *, client: str = "tool", **claims: Any
) -> TestResponse:
    """Go the whole way of a launch; gives the answer to the platform's message."""
    asked = begun(browser, platform, client=client)
    message = platform.sign(platform.claims(user, asked["nonce"], course=course, client=client, **claims))
    return browser.post("/lti/launch", data={"state": asked["state"], "id_token": message})


def page_of(answer: TestResponse) -> str:
    """Give where a launch leads: the pages of its session."""
    assert answer.status_code == 303, answer.text
    assert answer.location.startswith("/lti/s/")
    return answer.location.partition("?")[0].rstrip("/")
