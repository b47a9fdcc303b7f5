"""Whatever comes over HTTP is answered or refused with a clear 4xx, and nothing is stored in part.

With LRS_BRIDGE_FUZZ set, a long run: every property a hundred times as often, with new examples each time.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text as sql
from xapi_samples import ANA, COURSE, ID, nested, statement

import lrs

LONG = "LRS_BRIDGE_FUZZ" in os.environ
fuzzed = settings(
    max_examples=3000 if LONG else 50,
    derandomize=not LONG,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

DOCUMENTS = ["activities/state", "activities/profile", "agents/profile"]
RESOURCES = ["statements", *DOCUMENTS, "activities", "agents", "about", "refused"]
METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"]
NAMES = ["statementId", "voidedStatementId", "agent", "verb", "activity", "registration", "since", "until", "limit"]
NAMES += ["related_agents", "related_activities", "ascending", "format", "attachments"]
NAMES += ["activityId", "stateId", "profileId", "after", "waiting", "method"]
AGENT = json.dumps(ANA)

texts = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["\x00", "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "a\nb: c", "%00", "%", "\U0001f600", "x" * 5000]
)
numbers = st.integers() | st.floats() | st.sampled_from([10**400, -(10**400), 2**63, 1e308, float("inf"), float("nan")])
JSON = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def _room(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request be as large as it is outside tests, so that nothing is refused for its size alone."""
    monkeypatch.setitem(app.extensions, "lrs", replace(app.extensions["lrs"], max_body_bytes=64 * 2**20))


def count(app: Flask) -> int:
    """Give the rows of everything that a request may store."""
    tables = ("statement", "mention", "reference", "document", "activity_definition", "attachment")
    with app.app_context():
        return sum(lrs.db.session.scalar(sql(f"select count(*) from {table}")) or 0 for table in tables)  # noqa: S608


def refused(response: Any) -> bool:
    """Tell whether it is a clear 4xx: JSON that says why, but for the plain text of a 409 (Communication 3.1)."""
    clear = response.content_type.startswith("text/plain") or response.json["error"]
    return 400 <= response.status_code < 500 and bool(clear)


# --- statements: everything strange in every place -------------------------------------------------------------------


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the path of everything in JSON."""
    members = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in members for place in places(value, (*path, key)))]


def planted(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Give a copy with another value in one place."""
    if not path:
        return value
    copy = list(data) if isinstance(data, list) else dict(data)
    copy[path[0]] = planted(data[path[0]], path[1:], value)
    return copy


FULL = statement(
    id=ID,
    verb={"id": "a:b", "display": {"en": "x"}},
    object=nested(
        object={"id": COURSE, "definition": {"name": {"en": "x"}, "choices": [{"id": "1"}], "extensions": {}}}
    ),
    result={"score": {"scaled": 0.5, "raw": 1}, "success": True, "duration": "PT1S", "extensions": {"a:b": [1]}},
    context={
        "registration": ID,
        "team": {"objectType": "Group", "member": [ANA]},
        "contextActivities": {"parent": [{"id": COURSE}]},
        "statement": {"objectType": "StatementRef", "id": ID},
        "language": "en",
        "extensions": {"a:b": {"c": 1}},
    },
    timestamp="2026-01-31T13:45:00Z",
    attachments=[
        {"usageType": "a:b", "display": {}, "contentType": "a/b", "length": 1, "sha2": "a" * 64, "fileUrl": "a:b"}
    ],
)


@fuzzed
@given(path=st.sampled_from(places(FULL)), value=JSON)
def test_strange_value_in_any_place_is_stored_whole_or_refused(
    app: Flask, client: Any, path: tuple[Any, ...], value: Any
) -> None:
    data = planted(FULL, path, value)
    data = data | {"id": None} if isinstance(data, dict) and "id" not in path else data
    data = {name: one for name, one in data.items() if one is not None} if isinstance(data, dict) else data
    before = count(app)

    response = client.post(json.dumps(data).encode())

    if response.status_code == 200 and response.json:
        (stored,) = response.json
        for form in ("exact", "ids", "canonical"):
            assert client.get(statementId=stored, format=form).status_code == 200
    elif response.status_code != 200:
        assert refused(response)
        assert count(app) == before


BODIES = {
    "nothing": b"",
    "half of a statement": json.dumps(FULL).encode()[:200],
    "two statements": json.dumps(FULL).encode() * 2,
    "latin-1": json.dumps(statement(result={"response": "\xe9"}), ensure_ascii=False).encode("latin-1"),
    "UTF-16": json.dumps(FULL).encode("utf-16"),
    "UTF-32": json.dumps(FULL).encode("utf-32"),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(FULL).encode(),
    "half a surrogate pair": json.dumps(statement(result={"response": "\ud800"})).encode(),
    "half a surrogate pair in UTF-8": json.dumps(statement(result={"response": "?"}))
    .encode()
    .replace(b"?", b"\xed\xa0\x80"),
    "NUL, escaped": json.dumps(statement(result={"response": "\x00"})).encode(),
    "NUL": json.dumps(statement(result={"response": "?"})).encode().replace(b"?", b"\x00"),
    "NUL in a key": json.dumps(statement(result={"extensions": {"a:b": {"\x00": 1}}})).encode(),
    "overlong UTF-8": json.dumps(statement(result={"response": "?"})).encode().replace(b"?", b"\xc0\x80"),
    "lists 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 30,000 deep": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "an extension 1,000 deep": json.dumps(statement(result={"extensions": {"a:b": 7}}))
    .encode()
    .replace(b"7", b"[" * 1000 + b"]" * 1000),
    "a key twice": json.dumps(statement()).encode().replace(b"{", b'{"actor":{"mbox":"mailto:a@b"},', 1),
    "a key twice within": json.dumps(statement(result={"extensions": {"a:b": 7}}))
    .encode()
    .replace(b"7", b'{"c":1,"c":2}'),
    "NaN": json.dumps(statement(result={"score": {"raw": float("nan")}})).encode(),
    "Infinity": json.dumps(statement(result={"extensions": {"a:b": float("inf")}})).encode(),
    "a score of 1e999": json.dumps(statement(result={"score": {"scaled": 7}})).encode().replace(b"7", b"1e999"),
    "a length of 400 digits": json.dumps(FULL).encode().replace(b'"length": 1', b'"length": -' + b"9" * 400),
    "a number of 20,000 digits as score": json.dumps(statement(result={"score": {"scaled": 7}}))
    .encode()
    .replace(b"7", b"9" * 20_000),
    "an id of a megabyte": json.dumps(statement(id="a" * 2**20)).encode(),
    "a language of 100,000 letters": json.dumps(
        statement(verb={"id": "a:b", "display": {"a" * 100_000: "x"}})
    ).encode(),
    "an integer of 10,000 digits": json.dumps(statement(result={"extensions": {"a:b": 7}}))
    .encode()
    .replace(b"7", b"9" * 10_000),
    "a gzip": b"\x1f\x8b\x08\x00" + bytes(100),
    "a form": urlencode({"content": json.dumps(FULL)}).encode(),
    "a list with one bad": json.dumps([statement(), statement(), statement(verb={}), statement()]).encode(),
    "a list of lists": json.dumps([[statement()]]).encode(),
    "a list that ends too soon": json.dumps([statement(), statement()]).encode()[:-1],
    "a statement twice": json.dumps([FULL, FULL]).encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_body_that_is_no_statement_is_refused_and_leaves_nothing(app: Flask, client: Any, body: bytes) -> None:
    assert refused(client.post(body))
    assert refused(client.http.put(f"/xapi/statements?statementId={ID}", data=body, headers=client.headers | JSON_TYPE))
    assert count(app) == 0


JSON_TYPE = {"Content-Type": "application/json"}
KEPT = {
    "a number of 1e999 in an extension": b"1e999",
    "a number of 400 digits": b"9" * 400,
    "a fraction of 400 digits": b"0." + b"1" * 400,
    "a pair of surrogates": b'"\\ud83d\\ude00"',
    "nesting within reason": b"[" * 50 + b"]" * 50,
    "a text of a megabyte": b'"' + b"x" * 2**20 + b'"',
    "a key of a megabyte": b'{"' + b"x" * 2**20 + b'":1}',
}


@pytest.mark.parametrize("value", KEPT.values(), ids=KEPT)
def test_strange_but_allowed_comes_back_as_it_was_sent(client: Any, value: bytes) -> None:
    data = {"result": {"extensions": {"a:b": 7}}, "object": {"id": COURSE, "definition": {"extensions": {"a:b": 7}}}}
    body = json.dumps(statement(**data)).encode().replace(b"7", value)

    response = client.post(body)

    assert response.status_code == 200, response.text
    (stored,) = response.json
    for query in ({"statementId": stored}, {"statementId": stored, "format": "canonical"}, {"format": "ids"}):
        answer = client.get(**query)
        assert answer.status_code == 200
        assert value in answer.data
    known = client.http.get("/xapi/activities", query_string={"activityId": COURSE}, headers=client.headers)
    assert known.status_code == 200


@pytest.mark.parametrize("iri", ["http://example.com/" + "x" * 2**20, "data:," + "é" * 2**18], ids=["ASCII", "UTF-8"])
def test_very_long_iris_fit(client: Any, iri: str) -> None:
    (stored,) = client.post(statement(object={"id": iri})).json

    assert client.get(statementId=stored).json["object"]["id"] == iri


# --- queries, documents and headers ----------------------------------------------------------------------------------

values = texts | st.sampled_from(
    [
        "0",
        "true",
        "a:b",
        AGENT,
        "{",
        "[]",
        "null",
        '{"mbox":1}',
        ID,
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
    ]
)
VALID = {
    "activities/state": {"activityId": COURSE, "agent": AGENT, "stateId": "x"},
    "activities/profile": {"activityId": COURSE, "profileId": "x"},
    "agents/profile": {"agent": AGENT, "profileId": "x"},
    "activities": {"activityId": COURSE},
    "agents": {"agent": AGENT},
}


@fuzzed
@given(
    resource=st.sampled_from(RESOURCES),
    method=st.sampled_from(METHODS),
    strange=st.dictionaries(st.sampled_from(NAMES) | texts, values, max_size=2),
    body=st.sampled_from([b"", b"{}", b"[]", b"{", b"\x00"]),
)
def test_any_query_of_any_resource_is_answered_or_refused(
    client: Any, resource: str, method: str, strange: dict[str, str], body: bytes
) -> None:
    query = urlencode(VALID.get(resource, {}) | strange, errors="surrogatepass")

    response = client.http.open(
        f"/xapi/{resource}?{query}", method=method, data=body, headers=client.headers | JSON_TYPE
    )

    assert response.status_code < 500


@fuzzed
@given(query=st.binary(max_size=40))
def test_any_bytes_of_a_query_are_answered_or_refused(client: Any, query: bytes) -> None:
    for resource in RESOURCES:
        response = client.http.get(
            f"/xapi/{resource}", headers=client.headers, environ_overrides={"QUERY_STRING": query.decode("latin-1")}
        )
        assert response.status_code < 500


HEADERS = ["Authorization", "X-Experience-API-Version", "Content-Type", "If-Match", "If-None-Match", "Accept-Language"]
HEADERS += [
    "X-Experience-API-Hash",
    "Accept",
    "Accept-Encoding",
    "Content-Encoding",
    "Range",
    "If-Modified-Since",
    "Origin",
]
header_values = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=30) | st.sampled_from(
    [
        "Basic",
        "Basic " + "=" * 9,
        "Basic 8J+YgA==",
        "Bearer x.y.z",
        "*",
        '"',
        'W/"x"',
        '"a","b"',
        "multipart/mixed",
        "x" * 9000,
    ]
)


@fuzzed
@given(
    resource=st.sampled_from(RESOURCES),
    method=st.sampled_from(METHODS),
    name=st.sampled_from(HEADERS),
    value=header_values,
)
def test_any_header_is_taken_or_refused(client: Any, resource: str, method: str, name: str, value: str) -> None:
    overrides = {"CONTENT_TYPE" if name == "Content-Type" else f"HTTP_{name.upper().replace('-', '_')}": value}

    response = client.http.open(
        f"/xapi/{resource}?{urlencode(VALID.get(resource, {}))}",
        method=method,
        data=b"{}",
        headers=client.headers | JSON_TYPE,
        environ_overrides=overrides,
    )

    assert response.status_code < 500
    assert "\n" not in str(response.headers.get("ETag"))


@fuzzed
@given(
    resource=st.sampled_from(DOCUMENTS), method=st.sampled_from(["PUT", "POST"]), body=st.binary(), kind=header_values
)
def test_any_document_comes_back_as_it_was_sent_or_is_refused(
    client: Any, resource: str, method: str, body: bytes, kind: str
) -> None:
    ask = {"path": f"/xapi/{resource}?{urlencode(VALID[resource])}", "headers": client.headers}
    client.http.delete(**ask)

    written = client.http.open(method=method, data=body, environ_overrides={"CONTENT_TYPE": kind}, **ask)
    read = client.http.get(**ask)

    if written.status_code == 204:
        assert (read.status_code, read.data) == (200, body)
    else:
        assert refused(written)
        assert read.status_code == 404


@fuzzed
@given(body=st.binary() | st.text().map(str.encode), method=st.sampled_from(["PUT", "POST", "GET", "DELETE"]))
def test_any_form_of_the_alternate_syntax_is_answered_or_refused(client: Any, body: bytes, method: str) -> None:
    for resource in RESOURCES:
        for sent in (
            body,
            b"content=" + body,
            b"Authorization=" + body,
            b"X-Experience-API-Version=1.0.3&agent=" + body,
        ):
            response = client.http.post(f"/xapi/{resource}?method={method}", data=sent, headers=client.headers)
            assert response.status_code < 500


@fuzzed
@given(path=st.text(st.characters(max_codepoint=255, exclude_characters="?#")))
def test_any_path_is_answered_or_refused(client: Any, path: str) -> None:
    for prefix in ("/xapi/", "/xapi/statements/", "/xapi/statements/more/", "/xapi/refused/", "/xapi/repaired/"):
        response = client.http.get("/", headers=client.headers, environ_overrides={"PATH_INFO": prefix + path})
        assert response.status_code < 500


# --- multipart -------------------------------------------------------------------------------------------------------

_ATTACHED = b"hello"
_HASH = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
WITH_ATTACHMENT = statement(
    attachments=[{"usageType": "a:b", "display": {"en": "x"}, "contentType": "text/plain", "length": 5, "sha2": _HASH}]
)
MULTIPART = (
    b"--x\r\nContent-Type: application/json\r\n\r\n" + json.dumps(WITH_ATTACHMENT).encode() + b"\r\n--x\r\n"
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: " + _HASH.encode()
    + b"\r\n\r\n" + _ATTACHED + b"\r\n--x--\r\n"
)  # fmt: skip


def send_multipart(client: Any, body: bytes, content_type: str = "multipart/mixed; boundary=x") -> Any:
    return client.http.post(
        "/xapi/statements", data=body, headers=client.headers, environ_overrides={"CONTENT_TYPE": content_type}
    )


def test_multipart_that_ends_too_soon_is_refused_and_leaves_nothing(app: Flask, client: Any) -> None:
    whole = MULTIPART.rstrip()
    for end in range(0, len(whole) - 1, 1 if LONG else 7):
        response = send_multipart(client, whole[:end])
        assert refused(response), whole[:end]
    assert count(app) == 0
    assert send_multipart(client, MULTIPART).status_code == 200


@fuzzed
@given(at=st.integers(0, len(MULTIPART) - 1), inserted=st.binary(max_size=4), dropped=st.integers(0, 9))
def test_multipart_with_a_fault_is_refused_or_stored_whole(
    app: Flask, client: Any, at: int, inserted: bytes, dropped: int
) -> None:
    before = count(app)

    response = send_multipart(client, MULTIPART[:at] + inserted + MULTIPART[at + dropped :])

    if response.status_code != 200:
        assert refused(response)
        assert count(app) == before


@fuzzed
@given(content_type=st.text(st.characters(max_codepoint=255), max_size=20))
def test_any_content_type_of_multipart_is_taken_or_refused(client: Any, content_type: str) -> None:
    for kind in (
        content_type,
        f"multipart/mixed; boundary={content_type}",
        f'multipart/mixed; boundary="{content_type}',
    ):
        assert send_multipart(client, MULTIPART, kind).status_code < 500


# --- who is nobody ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", [*RESOURCES, "statements/more/x", "repaired/" + ID, "nothing"])
def test_strangers_are_told_nothing(app: Flask, make_client: Callable[..., Any], resource: str) -> None:
    for authorization in (
        "",
        "Basic",
        "Basic AAAA",
        "Basic " + "A" * 5000,
        "Bearer " + "A" * 5000,
        "\xff",
        "Basic \xff",
    ):
        response = app.test_client().get(
            f"/xapi/{resource}",
            headers={"X-Experience-API-Version": "1.0.3"},
            environ_overrides={"HTTP_AUTHORIZATION": authorization},
        )
        assert response.status_code == (200 if resource == "about" else 401)
