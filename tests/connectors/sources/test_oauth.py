"""Tokens: what is sent for them, how they are kept, and that none is lost when a server rotates them."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from oauth_server import MemoryTokens, OAuthServer, oauth_server
from oidc_provider import rsa_key

from connectors import ConfigError, Reach, Secrets, SourceRefused, load_source
from connectors.clocks import SystemClock

PEM = (
    rsa_key()
    .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
)
SECRETS = {
    "LRS_BRIDGE_SOURCE_CLIENT": "cl1ent-s3cret",
    "LRS_BRIDGE_SOURCE_PASSWORD": "passw0rd",
    "LRS_BRIDGE_SOURCE_KEY": PEM,
    "LRS_BRIDGE_SOURCE_REFRESH": "first-refresh",
}
CLIENT: dict[str, Any] = {"client_id": "lrs-bridge", "client_secret": {"secret": "client"}}
REFRESH = {"type": "refresh_token", "refresh_token": {"secret": "refresh"}}
KEPT_UNDER = "refresh_token/refresh@{}"


class QuickClock(SystemClock):
    ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def sleep(self, seconds: float) -> None:
        """Do not."""


@pytest.fixture
def server() -> Iterator[OAuthServer]:
    with oauth_server() as running:
        running.knows.tickets = [{"id": 1}]
        running.knows.refresh["first-refresh"] = True
        yield running


@pytest.fixture
def clock() -> QuickClock:
    return QuickClock()


@pytest.fixture
def store() -> MemoryTokens:
    return MemoryTokens()


def source(server: OAuthServer, auth: dict[str, Any], *, store: Any = None, clock: Any = None, **secrets: str) -> Any:
    signing = {"token_url": f"{server.url}/token", **CLIENT, **auth}
    document = {
        "kind": "source",
        "name": "tickets",
        "type": "rest",
        "base_url": f"{server.url}/api",
        "allow_private": ["127.0.0.1"],
        "auth": {name: value for name, value in signing.items() if value is not ...},
        "request": {"path": "/tickets"},
        "page": {"type": "single"},
        "records": "tickets",
        "key": "id",
    }
    reach = Reach(Secrets(SECRETS | secrets, Path("/nowhere")), clock=clock or QuickClock(), tokens=store)
    return load_source(document, base=Path("/base"), reach=reach)


def pull(made: Any) -> list[str]:
    return [row.key for page in made.pull(None) for row in page.rows]


JWT = {"type": "jwt_bearer", "subject": "bot", "private_key": {"secret": "key"}}


@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        ({"type": "client_credentials", "scope": "read"}, {"grant_type": "client_credentials", "scope": "read"}),
        (
            {"type": "password", "user": "bot", "password": {"secret": "password"}},
            {"grant_type": "password", "username": "bot", "password": "passw0rd"},
        ),
        (
            {"type": "password", "user": "bot", "password": {"secret": "password"}, "client": "header"},
            {"grant_type": "password", "client_secret": "cl1ent-s3cret"},  # the server has read it from the header
        ),
        (JWT, {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}),
    ],
)
def test_token_is_got_by_each_grant(server, auth, sent):
    server.knows.public_key = rsa_key().public_key()
    if auth["type"] == "jwt_bearer":
        auth = {**auth, "audience": server.url}

    assert pull(source(server, auth)) == ["1"]
    assert server.knows.forms[0].items() >= sent.items()
    assert len(server.knows.forms) == 1


def test_statement_is_signed_as_servicenow_and_salesforce_want_it(server):
    server.knows.public_key = rsa_key().public_key()
    auth = JWT | {"audience": server.url, "key_id": "k1", "client_secret": ...}

    made = source(server, auth, LRS_BRIDGE_SOURCE_KEY=PEM.replace("\n", "\\n"))

    assert pull(made) == ["1"]  # also from a variable that writes line ends as \n
    assertion = server.knows.forms[0]["assertion"]
    assert jwt.get_unverified_header(assertion) == {"alg": "RS256", "kid": "k1", "typ": "JWT"}
    claims = jwt.decode(assertion, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 180


def test_wrong_key_is_told_without_showing_it(server):
    made = source(server, JWT | {"audience": server.url}, LRS_BRIDGE_SOURCE_KEY="-----BEGIN canary-key-----")

    with pytest.raises(SourceRefused, match="no private RSA key") as caught:
        pull(made)

    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_key_is_blanked_line_by_line(server, store):
    line = PEM.splitlines()[1]
    server.knows.faults.append(lambda handler: handler.reply({"debug": f"signed with {line}"}, 403))
    server.knows.public_key = rsa_key().public_key()

    with pytest.raises(SourceRefused, match=r"signed with \*\*\*"):
        pull(source(server, JWT | {"audience": server.url}))


def test_refused_token_does_not_look_like_a_refused_request(server):
    """The runner would take a 400 for a position that the system has forgotten, and 401 for a token to renew."""
    made = source(server, {"type": "client_credentials"}, LRS_BRIDGE_SOURCE_CLIENT="wrong")

    with pytest.raises(SourceRefused, match="401 Unauthorized") as caught:
        pull(made)

    assert caught.value.status is None
    assert len(server.knows.forms) == 1


# --- refresh tokens -------------------------------------------------------------------------------------------------


def test_rotated_refresh_token_is_stored_before_it_is_used(server, store):
    kept: list[str] = []

    def look(handler: Any) -> None:
        kept.append(store.writes[-1]["refresh_token"])
        handler.reply({"tickets": []})

    server.knows.faults.append(look)

    pull(source(server, REFRESH, store=store))

    assert kept == [token for token, is_good in server.knows.refresh.items() if is_good]


def test_store_that_keeps_nothing_says_so_before_the_server_takes_the_token(server, store):
    def refuse(*_: object) -> None:
        raise SourceRefused("There is no key for that.")

    store.write = refuse

    with pytest.raises(SourceRefused, match="no key"):
        pull(source(server, REFRESH, store=store))

    assert server.knows.forms == []


def test_kept_tokens_are_used_until_they_end(server, store, clock):
    for _ in range(3):
        assert pull(source(server, REFRESH, store=store, clock=clock)) == ["1"]
    assert len(server.knows.forms) == 1

    clock.ahead = timedelta(minutes=59, seconds=1)  # it would end on the way
    assert pull(source(server, REFRESH, store=store, clock=clock)) == ["1"]

    first = store.writes[1]["refresh_token"]
    assert [form["refresh_token"] for form in server.knows.forms] == ["first-refresh", first]


def test_server_that_does_not_rotate_keeps_the_token_good(server, store, clock):
    server.knows.rotates = False
    pull(source(server, REFRESH, store=store, clock=clock))
    clock.ahead = timedelta(hours=2)

    assert pull(source(server, REFRESH, store=store, clock=clock)) == ["1"]
    assert {form["refresh_token"] for form in server.knows.forms} == {"first-refresh"}


def test_refused_access_token_is_renewed_once(server, store):
    pull(source(server, REFRESH, store=store))
    server.knows.access.clear()  # the vendor has ended all sessions

    assert pull(source(server, REFRESH, store=store)) == ["1"]
    assert len(server.knows.forms) == 2

    server.knows.faults.extend([lambda handler: handler.reply({}, 401)] * 2)
    with pytest.raises(SourceRefused, match="401"):
        pull(source(server, REFRESH, store=store))
    assert len(server.knows.forms) == 3


@pytest.mark.parametrize("workers", [2, 8])
def test_workers_that_renew_at_once_lose_nothing(server, store, workers):
    pull(source(server, REFRESH, store=store))
    server.knows.access.clear()
    begin = threading.Barrier(workers)
    got: list[Any] = []

    def work() -> None:
        begin.wait()
        try:
            got.append(pull(source(server, REFRESH, store=store)))
        except SourceRefused as err:
            got.append(err)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == [["1"]] * workers
    assert len(server.knows.forms) == 2  # one for the first pull, one for all others


def test_new_secret_takes_the_place_of_what_was_kept(server, store):
    pull(source(server, REFRESH, store=store))
    server.knows.access.clear()
    server.knows.refresh = {"second": True}  # the login was ended there, and somebody made another

    with pytest.raises(SourceRefused, match=r"cannot be renewed.*store it as 'refresh'"):
        pull(source(server, REFRESH, store=store))
    server.knows.refresh = {"second": True}

    assert pull(source(server, REFRESH, store=store, LRS_BRIDGE_SOURCE_REFRESH="second")) == ["1"]


def test_kept_token_goes_to_no_other_server(server, store):
    pull(source(server, REFRESH, store=store))
    kept = store.kept.pop(KEPT_UNDER.format(server.url.removeprefix("http://")))
    with oauth_server() as other:
        store.kept[KEPT_UNDER.format(other.url.removeprefix("http://"))] = kept

        with pytest.raises(SourceRefused):
            pull(source(other, REFRESH, store=store))

        assert [form["refresh_token"] for form in other.knows.forms] == [
            "first-refresh"
        ]  # the secret, not what is kept


def test_without_a_store_there_is_nothing_to_keep_tokens_in(server):
    with pytest.raises(SourceRefused, match="needs tokens to be kept"):
        pull(source(server, REFRESH))


def test_kept_tokens_are_never_told(server, store):
    pull(source(server, REFRESH, store=store))
    kept = store.writes[-1]
    server.knows.faults.append(lambda handler: handler.reply(kept, 403))

    with pytest.raises(SourceRefused) as caught:
        pull(source(server, REFRESH, store=store))

    assert "***" in str(caught.value)
    assert not [
        value
        for name, value in kept.items()
        if name in ("access_token", "refresh_token") and value in str(caught.value)
    ]


@pytest.mark.parametrize(
    ("auth", "place", "told"),
    [
        ({"type": "password", "user": "a"}, "password", "is missing"),
        ({"type": "jwt_bearer", "subject": "a", "audience": "b", "private_key": "x"}, "private_key", "only its name"),
        ({"type": "authorization_code"}, "authorize_url", "is missing"),
        ({"type": "authorization_code", "authorize_url": "http://x.example.com"}, "authorize_url", "in the clear"),
        ({"type": "authorization_code", "authorize_url": "https://x.example.com", "login": "a b"}, "login", "name"),
    ],
)
def test_fault_in_a_declared_grant_is_told_at_its_key(server, auth, place, told):
    with pytest.raises(ConfigError) as caught:
        source(server, auth)

    assert told in json.dumps([str(fault) for fault in caught.value.faults])
    assert place in str(caught.value)
