"""What a REST source's document may say, how it signs and pages, and where it must not go."""

import base64
import json
import socket
from datetime import timedelta
from pathlib import Path

import pytest
import requests
import responses
from helpdesk import BASE_URL, DOCUMENT, NOON, Desk, FakeClock, Puller

from connectors import ConfigError, SourceRefused, http, load_source
from connectors.errors import SourceUnavailable
from connectors.secrets import Hidden, SecretName, Secrets

TOKEN_URL = f"{BASE_URL}/token"
OAUTH = {
    "type": "client_credentials",
    "token_url": TOKEN_URL,
    "client_id": "me",
    "client_secret": {"secret": "client"},
}
SECRETS = Secrets(
    {
        "LRS_BRIDGE_SOURCE_DESK_KEY": "k3y-canary",
        "LRS_BRIDGE_SOURCE_CLIENT": "cl1ent-canary",
        "LRS_BRIDGE_SOURCE_REFRESH": "r3fresh-canary",
    },
    Path("/nowhere"),
)


def load(**keys):
    return load_with(keys)


def load_with(keys):
    document = {key: value for key, value in (DOCUMENT | keys).items() if value is not ...}
    return load_source(document, base=Path("/base"))


def part(name, **keys):
    """Give a block of the usual document with other keys; `...` takes one out."""
    block = {key: value for key, value in (DOCUMENT[name] | keys).items() if value is not ...}
    return {name: block}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def web():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def desk(clock, web):
    made = Desk(clock)
    made.put(1, at=NOON - timedelta(minutes=1))
    for method in (responses.GET, responses.POST):
        web.add_callback(method, f"{BASE_URL}/tickets", callback=made.answer)
    return made


@pytest.fixture
def pull(clock):
    return Puller(clock, SECRETS)


# --- the document --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"base_url": ...}, ("base_url",), "The key 'base_url' is missing"),
        ({"base_url": "http://desk.example.com"}, ("base_url",), "Write https://"),
        ({"base_url": "https://me:pw@desk.example.com"}, ("base_url",), "no place for secrets"),
        ({"base_url": "https://10.0.0.7/api"}, ("base_url",), "allow_private: [10.0.0.7]"),
        ({"base_url": "https://169.254.169.254/latest"}, ("base_url",), "no address of the open internet"),
        ({"base_url": "https://[::1]/api"}, ("base_url",), "no address of the open internet"),
        ({"base_url": "https://[::ffff:10.0.0.7]/api"}, ("base_url",), "no address of the open internet"),
        ({"base_url": "http://localhost:8000/api"}, ("base_url",), "allow_private: [localhost]"),
        ({"hosts": ["https://x.example.com"]}, ("hosts", 0), "not the name of a host"),
        ({"hosts": ["me@x.example.com"]}, ("hosts", 0), "not the name of a host"),
        ({"auth": ...}, ("auth",), "The key 'auth' is missing"),
        ({"auth": {"type": "barer"}}, ("auth", "type"), "Did you mean 'bearer'?"),
        ({"auth": {}}, ("auth", "type"), "There are: api_key, authorization_code, basic"),
        ({"auth": {"type": "bearer", "token": {"secret": "No Name"}}}, ("auth", "token", "secret"), "small letters"),
        ({"auth": OAUTH | {"client": "query"}}, ("auth", "client"), "Write one of the two"),
        (
            {"auth": OAUTH | {"token_url": "https://x.example.com/t"}},
            ("auth", "token_url"),
            "'x.example.com' to `hosts`",
        ),
        ({"auth": OAUTH | {"token_url": "http://desk.example.com/t"}}, ("auth", "token_url"), "Write https://"),
        ({"headers": {"authorization": "x"}}, ("headers", "Authorization"), "Use `auth`"),
        ({"headers": {"A": "b\r\nC: d"}}, ("headers",), "not a block of texts"),
        (part("request", path="https://evil.example.com"), ("request", "path"), "not a path below `base_url`"),
        (part("request", path="//evil.example.com/x"), ("request", "path"), "not a path below `base_url`"),
        (part("request", method="DELETE"), ("request", "method"), "Write GET or POST"),
        (part("request", body={"a": 1}), ("request", "body"), "Write `method: POST`"),
        (part("request", params={"since": "{lo}"}), ("request", "params"), "Did you mean 'low'?"),
        (part("request", params={"until": "{high}"}), ("request",), "Ask by {low} as well"),
        ({"cursor": ...}, ("cursor",), "there is no cursor"),
        (part("cursor", format="isso"), ("cursor", "format"), "Did you mean 'iso'?"),
        (part("cursor", format="%d %H"), ("cursor", "format"), "does not say year, month and day"),
        (part("cursor", send="%Y-%m-%d %H:%M"), ("cursor", "send"), "Add the zone: timezone"),
        (part("cursor", timezone="Europe/Berlyn"), ("cursor", "timezone"), "Did you mean 'Europe/Berlin'?"),
        (part("cursor", start="soon"), ("cursor", "start"), "2025-01-31T00:00:00Z"),
        (part("cursor", lookback=600), ("cursor", "lookback"), "0s, 90s, 10m, 7d"),
        (part("cursor", ordered="yes"), ("cursor", "ordered"), "neither true nor false"),
        (part("page", type="tokken"), ("page", "type"), "Did you mean 'token'?"),
        (part("page", param=...), ("page", "param"), "Name either `param` or `body`"),
        (part("page", roll={"after_pages": 0}), ("page", "roll", "after_pages"), "whole number from 1"),
        ({"page": {"type": "keyset"}}, ("page",), "{low_id} and the page type `keyset` belong together"),
        ({**part("page", roll={"on_status": [400]}), **part("cursor", ordered=False)}, ("page",), "`ordered: true`"),
        ({"key": []}, ("key",), "no list of paths"),
        ({"key": ["id", 7]}, ("key", 1), "is no path"),
        ({"deleted": {"type": "flag", "field": "a"}}, ("deleted", "is"), "The key 'is' is missing"),
        ({"quota": {"per": "1m"}}, ("quota",), "This limits nothing"),
        ({"quota": {"requests": 1.5}}, ("quota", "requests"), "not a whole number"),
        ({"pages": {}}, ("pages",), "Did you mean 'page'?"),
    ],
)
def test_fault_is_told_at_its_key_with_the_remedy(keys, path, told):
    with pytest.raises(ConfigError) as caught:
        load_with(keys)

    assert caught.value.path == path
    assert told in f"{caught.value.text} {caught.value.remedy}"
    assert caught.value.text
    assert caught.value.remedy


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer", "token": "s3cret-canary"},
        {"type": "basic", "user": "me", "password": "s3cret-canary"},
        {"type": "api_key", "header": "X-Key", "value": "s3cret-canary"},
        OAUTH | {"client_secret": "s3cret-canary"},
    ],
)
def test_secret_in_a_document_is_refused_and_not_repeated(auth):
    with pytest.raises(ConfigError) as caught:
        load(auth=auth)

    assert "only its name does" in str(caught.value)
    assert "canary" not in str(caught.value)


# --- who we are ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "name", "value"),
    [
        ({"type": "bearer", "token": {"secret": "desk-key"}}, "Authorization", "Bearer k3y-canary"),
        ({"type": "api_key", "header": "X-Key", "value": {"secret": "desk-key"}}, "X-Key", "k3y-canary"),
        (
            {"type": "api_key", "header": "Authorization", "prefix": "GenieKey ", "value": {"secret": "desk-key"}},
            "Authorization",
            "GenieKey k3y-canary",
        ),
        (
            {"type": "basic", "user": "me@example.com", "suffix": "/token", "password": {"secret": "desk-key"}},
            "Authorization",
            "Basic " + base64.b64encode(b"me@example.com/token:k3y-canary").decode(),
        ),
        (
            {"type": "basic", "user": {"secret": "desk-key"}, "password": "X"},  # as Freshdesk wants it
            "Authorization",
            "Basic " + base64.b64encode(b"k3y-canary:X").decode(),
        ),
    ],
)
def test_request_is_signed(desk, pull, auth, name, value):
    pull(auth=auth)

    assert desk.headers[0][name] == value


@pytest.mark.parametrize(
    ("auth", "form", "header"),
    [
        (OAUTH, "grant_type=client_credentials&client_id=me&client_secret=cl1ent-canary", None),
        (OAUTH | {"scope": "a b", "client": "header"}, "grant_type=client_credentials&scope=a+b", "bWU6Y2wxZW50"),
    ],
)
def test_token_is_fetched_once_and_used(desk, pull, web, auth, form, header):
    desk.size = 1
    desk.put(2, at=NOON - timedelta(seconds=30))
    web.post(TOKEN_URL, json={"access_token": "acc3ss-canary", "expires_in": 3600})

    pull(auth=auth)

    asked = [call.request for call in web.calls if call.request.url == TOKEN_URL]
    assert [request.body for request in asked] == [form.encode()]
    assert (header or "") in asked[0].headers.get("Authorization", "")
    assert {headers["Authorization"] for headers in desk.headers} == {"Bearer acc3ss-canary"}


def test_token_is_renewed_before_it_ends(desk, pull, web, clock):
    desk.size = 1
    for number in range(2, 4):
        desk.put(number, at=NOON - timedelta(seconds=30 - number))
    web.post(TOKEN_URL, json={"access_token": "a", "expires_in": 300})
    desk.before = lambda *_: clock.move(seconds=130)

    pull(auth=OAUTH, **part("page", roll={"after_pages": 9}))

    asked = [call.request.url == TOKEN_URL for call in web.calls]
    assert asked == [True, False, False, True, False]  # at 260 s, of which 240 of 300 are used


def test_token_that_is_refused_is_renewed_once(desk, pull, web):
    web.post(TOKEN_URL, json={"access_token": "a"})
    desk.faults.append((401, {}, ""))

    assert len(pull(auth=OAUTH).rows) == 1

    desk.faults.extend([(401, {}, ""), (401, {}, "")])
    with pytest.raises(SourceRefused, match=r"401.*Check the key and secret"):
        pull(auth=OAUTH)


def test_key_that_is_refused_is_not_tried_again(desk, pull):
    desk.faults.append((401, {}, ""))

    with pytest.raises(SourceRefused, match="401"):
        pull(auth={"type": "bearer", "token": {"secret": "desk-key"}})
    assert len(desk.asked) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"token": "x"}, "without an access token"),
        ({"access_token": "a\r\nb"}, "without an access token"),
    ],
)
def test_answer_without_a_token_of_use_is_told(desk, pull, web, answer, told):
    web.post(TOKEN_URL, json=answer)

    with pytest.raises(SourceRefused, match=told):
        pull(auth=OAUTH)


# --- secrets -------------------------------------------------------------------------------------------------------


def test_secret_is_found_in_the_environment_in_a_named_file_and_in_the_folder(tmp_path):
    (tmp_path / "desk-key").write_text("from the folder\n")
    (tmp_path / "other").write_text("from the file\n")
    name = SecretName("desk-key")
    named = {"LRS_BRIDGE_SOURCE_DESK_KEY_FILE": str(tmp_path / "other")}

    assert Secrets({}, tmp_path).value(name) == "from the folder"
    assert Secrets(named, tmp_path).value(name) == "from the file"
    assert Secrets(named | {"LRS_BRIDGE_SOURCE_DESK_KEY": "from a variable"}, tmp_path).value(name) == "from a variable"


@pytest.mark.parametrize("content", [None, "", "\n", b"\xff"])
def test_missing_secret_is_told_by_its_name_and_places(tmp_path, content):
    if content is not None:
        (tmp_path / "desk-key").write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(SourceRefused, match="Set LRS_BRIDGE_SOURCE_DESK_KEY, or LRS_BRIDGE_SOURCE_DESK_KEY_FILE"):
        Secrets({"DESK_KEY": "x"}, tmp_path).value(SecretName("desk-key"))


def test_secret_of_several_lines_is_no_header(desk, clock):
    secrets = Secrets({"LRS_BRIDGE_SOURCE_DESK_KEY": "a\r\nX-Evil: b"}, Path("/nowhere"))

    with pytest.raises(SourceRefused, match="more than one line"):
        Puller(clock, secrets)(auth={"type": "bearer", "token": {"secret": "desk-key"}})


def test_what_a_server_repeats_of_our_secrets_is_blanked(desk, pull, caplog):
    caplog.set_level("DEBUG")
    pair = base64.b64encode(b"me:k3y-canary").decode()
    desk.faults.append((400, {}, f"{'x' * 290} Basic {pair} k3y-canary"))

    with pytest.raises(SourceRefused) as caught:
        pull(auth={"type": "basic", "user": "me", "password": {"secret": "desk-key"}})

    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    told = f"{chain!r} {caplog.text}"
    assert "***" in str(caught.value)
    assert "k3y" not in told
    assert pair[:8] not in told


def test_state_and_what_is_shown_of_a_source_hold_no_secret(desk, pull, web):
    web.post(TOKEN_URL, json={"access_token": "acc3ss-canary"})

    pulled = pull(auth=OAUTH)

    assert "canary" not in json.dumps(pulled.states) + repr(pull.source(auth=OAUTH))


def test_longer_secret_is_blanked_as_a_whole():
    hidden = Hidden()
    hidden.add("abc", "abcdef", "")

    assert hidden.hide("abcdef abc ab") == "*** *** ab"


# --- where we go, and where not ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("https://evil.example.com/api/tickets", "add 'evil.example.com' to `hosts`"),
        ("https://desk.example.com:8443/api/tickets", "add 'desk.example.com:8443' to `hosts`"),
        ("http://desk.example.com/api/tickets", "in the clear"),
        ("//evil.example.com/x", "to `hosts`"),
        ("file:///etc/passwd", "not a web address"),
        ("https://me:pw@desk.example.com/api", "carries a user or a password"),
    ],
)
def test_next_page_elsewhere_is_not_fetched(desk, pull, web, link, told):
    desk.faults.append(desk.reply({"tickets": [], "link": link}))

    with pytest.raises(SourceRefused, match=told):
        pull(page={"type": "next_url", "path": "link"}, auth={"type": "bearer", "token": {"secret": "desk-key"}})
    assert len(web.calls) == 1


def test_next_page_on_an_allowed_host_is_fetched(desk, pull, web):
    web.get("https://files.example.com/2", json={"tickets": [{"id": 2, "updated_at": "2026-11-20T10:00:00Z"}]})
    desk.faults.append(desk.reply({"tickets": [], "link": "https://files.example.com/2"}))

    keys = {"page": {"type": "next_url", "path": "link"}, "hosts": ["files.example.com"]}
    assert pull(**keys).keys == ["2"]


@pytest.mark.parametrize("location", ["https://evil.example.com/", "http://desk.example.com/api/tickets", "//x/y"])
def test_redirect_elsewhere_is_not_followed(desk, pull, web, location):
    desk.faults.append((302, {"Location": location}, ""))

    with pytest.raises(SourceRefused, match="which we do not follow"):
        pull()
    assert len(web.calls) == 1


def test_redirect_of_a_post_is_not_followed_even_within_the_host(desk, pull):
    desk.faults.append((307, {"Location": f"{BASE_URL}/tickets"}, ""))

    with pytest.raises(SourceRefused, match="307"):
        pull(request={"method": "POST", "path": "/tickets", "body": {"since": "{low}"}})


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("8.8.8.8", False),
        ("2a00:1450:4001::1", False),
        ("10.1.2.3", True),
        ("172.16.0.1", True),
        ("192.168.1.1", True),
        ("127.0.0.1", True),
        ("169.254.169.254", True),  # where clouds keep credentials
        ("100.64.0.1", True),  # carriers' networks
        ("0.0.0.0", True),  # noqa: S104
        ("224.0.0.1", True),
        ("::1", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("::ffff:127.0.0.1", True),
        ("2002:0a00:0001::", True),  # 10.0.0.1 by 6to4
    ],
)
def test_private_addresses_are_known(address, private):
    assert http.is_private(address) is private


@pytest.fixture
def names(monkeypatch):
    """Let names have the addresses that the test gives them, one after the other."""
    found = {}

    def look_up(host, port, *_, **__):
        addresses = found[host]
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return found


@pytest.fixture
def listening():
    """A server that takes connections, and says whether it had one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def test_name_of_a_private_address_is_not_connected_to(names, listening):
    names["desk.example.com"] = ["127.0.0.1"]

    with http.guarded_session([]) as web, pytest.raises(SourceRefused, match=r"desk\.example\.com is at 127\.0\.0\.1"):
        web.get(f"https://desk.example.com:{listening.getsockname()[1]}/")
    with pytest.raises(TimeoutError):
        listening.accept()


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001"])
def test_loopback_in_disguise_is_not_connected_to(host, listening):
    with http.guarded_session([]) as web, pytest.raises(SourceRefused, match=r"is at 127\.0\.0\.1"):
        web.get(f"https://{host}:{listening.getsockname()[1]}/")
    with pytest.raises(TimeoutError):
        listening.accept()


def test_name_that_changes_its_address_after_the_look_up_is_sent_nothing(names, listening):
    names["desk.example.com"] = ["8.8.8.8", "127.0.0.1"]

    with http.guarded_session([]) as web, pytest.raises(SourceRefused, match=r"desk\.example\.com is at 127\.0\.0\.1"):
        web.get(f"http://desk.example.com:{listening.getsockname()[1]}/")
    with listening.accept()[0] as taken:
        assert taken.recv(1) == b""


def test_private_address_is_connected_to_where_its_name_is_allowed(names, listening):
    names["desk.example.com"] = ["127.0.0.1"]
    url = f"http://desk.example.com:{listening.getsockname()[1]}/"

    with http.guarded_session(["desk.example.com"]) as web, pytest.raises(requests.exceptions.ReadTimeout):
        web.get(url, timeout=0.1)
    with listening.accept()[0] as taken:
        assert taken.recv(3) == b"GET"


def test_name_that_is_not_known_is_tried_later(monkeypatch, pull):
    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        pull()


# --- what is sent --------------------------------------------------------------------------------------------------


def test_slot_keeps_its_type_alone_and_is_written_out_within_a_text(desk, pull):
    body = {"filter": {"at": "{low}", "query": "updated >= {low} ORDER BY updated"}, "token": 0}
    desk.faults.append(desk.reply({"tickets": []}))

    pull(
        request={"method": "POST", "path": "/tickets", "body": body},
        page={"type": "token", "path": "next", "body": "token"},
        **part("cursor", send="unix_ms", start="2026-11-20T00:00:00Z", exclusive="1s"),
    )

    assert desk.asked[0]["filter"] == {
        "at": 1795132799000,
        "query": "updated >= 1795132799000 ORDER BY updated",
    }


def test_id_that_would_change_a_query_is_not_written_into_it(desk, pull):
    row = {"id": "x' OR 'a'='a", "updated_at": "2026-11-20T10:00:00Z"}
    desk.faults.append(desk.reply({"tickets": [row]}))
    request = {"path": "/tickets", "params": {"q": "at >= {low} and id > '{low_id}'"}}

    with pytest.raises(Exception, match="could change the query"):
        pull(request=request, page={"type": "keyset"})


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        ({"format": "iso"}, "2026-11-20T08:59:59Z"),
        ({"format": "iso_ms"}, "2026-11-20T08:59:59.900Z"),
        ({"format": "iso", "send": "unix"}, "1795165199"),
        ({"format": "iso", "send": "%Y-%m-%d %H:%M", "timezone": "America/New_York"}, "2026-11-20 03:59"),
        ({"format": "iso", "send": "%Y-%m-%dT%H:%M:%S%z"}, "2026-11-20T08:59:59+0000"),
    ],
)
def test_time_is_sent_as_declared_and_rounded_down(desk, pull, keys, sent):
    desk.faults.append(desk.reply({"tickets": []}))

    pull(**part("cursor", start="2026-11-20T08:59:59.900Z", **keys))

    assert desk.asked[0]["since"] == sent


@pytest.mark.parametrize("at", ["05:30", "06:30"])  # the first and the second 01:30 of that night in New York
def test_hour_that_comes_twice_is_asked_for_from_before_it(desk, pull, at):
    keys = {"send": "%Y-%m-%d %H:%M", "timezone": "America/New_York", "start": f"2026-11-01T{at}:00Z"}
    desk.faults.append(desk.reply({"tickets": []}))

    pull(**part("cursor", **keys))

    assert desk.asked[0]["since"] == "2026-11-01 00:30"


@pytest.mark.parametrize(
    ("format_", "value", "read"),
    [
        ("iso", "2026-11-20T11:00:00+01:00", "2026-11-20T10:00:00.000000Z"),
        ("iso", "2026-11-20T10:00:00.123+0000", "2026-11-20T10:00:00.123000Z"),
        ("unix", 1795168800, "2026-11-20T10:00:00.000000Z"),
        ("unix", "1795168800", "2026-11-20T10:00:00.000000Z"),
        ("unix_ms", 1795168800123, "2026-11-20T10:00:00.123000Z"),
        ("%d.%m.%Y %H:%M", "20.11.2026 10:00", "2026-11-20T10:00:00.000000Z"),
    ],
)
def test_time_is_read_as_declared(desk, pull, format_, value, read):
    desk.faults.append(desk.reply({"tickets": [{"id": 1, "updated_at": value}]}))

    rows = pull(**part("cursor", format=format_, timezone="UTC")).rows

    assert [row.cursor for row in rows] == [(read,)]


@pytest.mark.parametrize("value", ["soon", True, [], {}])
def test_time_that_cannot_be_read_is_a_problem(desk, pull, value):
    desk.faults.append(desk.reply({"tickets": [{"id": 1, "updated_at": value}]}))

    assert [problem.column for problem in pull(**part("cursor", format="unix")).problems] == ["updated_at"]
