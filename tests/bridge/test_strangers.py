"""What strangers may send is bounded by their address, and no honest sender by what strangers send."""

from typing import Any

import pytest
from canvas_sender import Sender, sending
from company import Company
from flask import Flask
from launching import TARGET, registered
from lti_platform import fake_platform
from test_live_events import DOCUMENT, GRADED, HOST, ROOT_ACCOUNT

from bridge import jobs
from bridge.views import strangers

STRANGER, HONEST = "93.184.216.34", "8.8.8.8"
"""Not those for documentation (RFC 5737), which are no global ones."""


@pytest.fixture
def canvas(company: Company) -> Any:
    with sending() as running:
        company.write("events.yaml", DOCUMENT.format(account=ROOT_ACCOUNT, host=HOST, keys=running.keys_url))
        jobs.load_documents()
        yield running


@pytest.fixture
def post(app: Flask) -> Any:
    def send(path: str, data: Any = b"", *, by: str = STRANGER, forwarded: str | None = None) -> Any:
        headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
        return app.test_client().post(path, data=data, headers=headers, environ_base={"REMOTE_ADDR": by})

    return send


@pytest.mark.parametrize(
    "path", ["/live-events/canvas-events", "/live-events/nobody", "/webhooks/nobody", "/lti/launch"]
)
def test_who_is_refused_again_and_again_has_to_wait(canvas, post, monkeypatch, path):
    monkeypatch.setattr(strangers, "REFUSED", 3)

    answers = [post(path, b"forged") for _ in range(5)]

    assert [one.status_code for one in answers] == [403 if "lti" in path else 401] * 3 + [429] * 2
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 20
    assert post("/webhooks/other").status_code == 429  # one count for all doors
    assert post(path, b"forged", by=HONEST).status_code in {401, 403}


def test_events_that_are_taken_are_not_counted(canvas: Sender, post, monkeypatch):
    monkeypatch.setattr(strangers, "REFUSED", 1)

    answers = [post("/live-events/canvas-events", canvas.sign(GRADED), by=HONEST) for _ in range(5)]

    assert [one.status_code for one in answers] == [200] * 5


@pytest.mark.parametrize("method", ["get", "post"])
def test_each_login_counts(app: Flask, monkeypatch, method):
    monkeypatch.setattr(strangers, "LOGINS", 2)
    with fake_platform() as platform:
        registered(platform)
        sent = {"iss": platform.url, "login_hint": "5", "target_link_uri": TARGET}
        how = {"query_string": sent} if method == "get" else {"data": sent}
        answers = [getattr(app.test_client(), method)("/lti/login", **how) for _ in range(3)]

        assert [one.status_code for one in answers] == [302, 302, 429]
        assert "Too much has come from your address" in answers[-1].text
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 30
        assert platform.url in answers[-1].headers["Content-Security-Policy"]  # it is said within the frame
        assert app.test_client().get("/lti/jwks").status_code == 200


@pytest.mark.parametrize(
    ("by", "forwarded", "other"),
    [
        ("127.0.0.1", STRANGER, HONEST),  # a proxy of ours tells who it is
        ("10.0.0.2", f"1.1.1.1, {STRANGER}", HONEST),  # what a client wrote there before is not believed
        ("10.0.0.2", f"{STRANGER}, 10.0.0.3", f"{HONEST}, 10.0.0.3"),  # two proxies
        ("::1", "2001:4860::8888", HONEST),
        ("", STRANGER, HONEST),  # by a socket file
        ("10.0.0.2", f"{STRANGER}:4711", f"{HONEST}:4712"),  # with ports, as some gateways write
        ("::1", "[2001:4860::8888]:443", f"{HONEST}:443"),
    ],
)
def test_behind_a_proxy_everybody_has_a_count_of_their_own(app: Flask, post, monkeypatch, by, forwarded, other):
    monkeypatch.setattr(strangers, "REFUSED", 1)

    first, again = (post("/webhooks/x", by=by, forwarded=forwarded).status_code for _ in range(2))

    assert (first, again) == (401, 429)
    assert post("/webhooks/x", by=by, forwarded=other).status_code == 401


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((STRANGER, "1.1.1.1"), (STRANGER, "1.0.0.1")),  # no proxy of ours: what it says of itself is its own matter
        (("127.0.0.1", f"1.1.1.1, {STRANGER}"), ("127.0.0.1", f"1.0.0.1, {STRANGER}")),
        (("2001:4860::1", None), ("2001:4860::2", None)),  # one network
        (("::ffff:93.184.216.34", None), (STRANGER, None)),
        (("127.0.0.1", "nonsense"), ("127.0.0.1", "other nonsense")),
    ],
)
def test_nobody_gets_more_by_calling_themselves_otherwise(app: Flask, post, monkeypatch, first, second):
    monkeypatch.setattr(strangers, "REFUSED", 1)

    answers = [post("/webhooks/x", by=by, forwarded=forwarded) for by, forwarded in (first, second)]

    assert [one.status_code for one in answers] == [401, 429]
