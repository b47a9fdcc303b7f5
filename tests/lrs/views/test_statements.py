"""The statements resource over HTTP: xAPI 1.0.3, Communication 1, 2.1 and 3."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xapi_samples import ID, OTHER_ID, statement

import lrs

THROUGH = "X-Experience-API-Consistent-Through"


@pytest.mark.parametrize(("body", "count"), [([], 0), (statement(), 1), ([statement()], 1), ([statement()] * 3, 3)])
def test_post_answers_200_and_a_list_of_ids(client: Any, body: object, count: int) -> None:
    """Moodle posts [] each minute and takes nothing but 200 for success."""
    response = client.post(body)

    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert len(response.json) == count


def test_put_stores_under_the_id_of_the_query(client: Any) -> None:
    response = client.put(statement(), ID)

    assert (response.status_code, response.data) == (204, b"")
    assert client.get(statementId=ID).json["id"] == ID


def test_put_takes_the_same_id_in_both_places_only(client: Any) -> None:
    assert client.put(statement(id=ID.upper()), ID).status_code == 204
    assert client.put(statement(id=OTHER_ID), ID).status_code == 400


@pytest.mark.parametrize(
    "query", ["", "?statementId=1", f"?statementId={ID}&statementId={ID}", f"?statementId={ID}&verb=a:b"]
)
def test_put_names_the_statement_once_and_alone(client: Any, query: str) -> None:
    response = client.http.put(
        f"/xapi/statements{query}", json=statement(), headers=client.headers, content_type="application/json"
    )

    assert response.status_code == 400


def test_put_carries_one_statement(client: Any) -> None:
    assert client.put([statement()], ID).status_code == 400


def test_post_takes_no_query(client: Any) -> None:
    response = client.http.post("/xapi/statements?statementId=x", json=[], headers=client.headers)

    assert response.status_code == 400


@pytest.mark.parametrize("content_type", ["multipart/mixed; boundary=x", "multipart/form-data", "text/plain", ""])
def test_what_is_neither_json_nor_multipart_mixed_is_refused(client: Any, content_type: str) -> None:
    """Communication 1.5; 3.2 knows no 415."""
    response = client.post(b"[]", content_type=content_type)

    assert response.status_code == 400
    assert response.json["section"].startswith("Communication 1.5")


def test_charset_of_the_content_type_does_no_harm(client: Any) -> None:
    assert client.post([], content_type="application/json; charset=utf-8").status_code == 200


@pytest.mark.parametrize("body", [b"", b"[", b"1", b"null", b'"x"', b"[1]", b"[[]]", b"\xff", b"[" * 50_000, b"{}"])
def test_what_is_no_statement_is_a_400_that_says_why(client: Any, body: bytes) -> None:
    response = client.post(body)

    assert response.status_code == 400
    assert response.json["rule"]


def test_error_names_statement_place_rule_section_and_remedy(client: Any) -> None:
    response = client.post([statement(), statement(result={"response": None})])

    told = {
        "error": "Expected `str`, got `null`.",
        "index": 1,
        "pointer": "/result/response",
        "rule": "null is allowed inside extensions only",
        "section": "2.2",
        "remedy": "Leave the property out.",
    }
    assert response.json == told | {"errors": [told], "error_count": 1}


def test_body_over_the_limit_is_a_413(client: Any) -> None:
    response = client.post(b"[" + b" " * 200_000 + b"]")

    assert response.status_code == 413
    assert response.json["remedy"]


def test_body_over_the_limit_is_a_413_also_without_a_length(client: Any) -> None:
    endless = {"wsgi.input": _Endless(), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}

    response = client.post(b"", environ_overrides=endless)

    assert response.status_code == 413


class _Endless:
    """A body that never ends; whoever reads all of it finds no end either."""

    def read(self, size: int = -1) -> bytes:
        return b" " * max(size, 1)

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


@pytest.mark.parametrize("path", ["/xapi/", "/xapi/foo", "/xapi/statements/foo"])
def test_what_is_not_there_is_a_404(client: Any, path: str) -> None:
    response = client.follow(path)

    assert response.status_code == 404
    assert response.json["error"]


def test_head_is_get_without_the_body(client: Any) -> None:
    client.store(statement())

    head = client.http.head("/xapi/statements", headers=client.headers)
    get = client.get()

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


# --- versions: Communication 3.3 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "answer"),
    [("1.0", "1.0.3"), ("1.0.0", "1.0.3"), ("1.0.3", "1.0.3"), ("1.0.9", "1.0.3"), ("2.0.0", "2.0.0")],
)
def test_both_versions_are_spoken(client: Any, version: str, answer: str) -> None:
    response = client.http.get("/xapi/statements", headers=client.headers | {"X-Experience-API-Version": version})

    assert response.status_code == 200
    assert response.headers["X-Experience-API-Version"] == answer


@pytest.mark.parametrize("version", [None, "", "0.95", "1.1.0", "2", "3.0.0", "1.0.3, 2.0.0"])
def test_any_other_version_is_a_400(client: Any, version: str | None) -> None:
    headers = client.headers | {"X-Experience-API-Version": version}
    response = client.http.get("/xapi/statements", headers={k: v for k, v in headers.items() if v is not None})

    assert response.status_code == 400
    assert response.headers["X-Experience-API-Version"]


@pytest.mark.parametrize(("version", "stored"), [("1.0.3", "1.0.0"), ("2.0.0", "2.0.0")])
def test_statement_gets_the_version_of_the_request_and_keeps_it(
    make_client: Callable[..., Any], version: str, stored: str
) -> None:
    (statement_id,) = make_client("all", version=version).store(statement())

    for reader in (make_client("all"), make_client("all", version="2.0.0")):
        assert reader.get(statementId=statement_id).json["version"] == stored


# --- headers and announcements ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.post(statement()),
        lambda client: client.post([]),
        lambda client: client.put(statement(), ID),
        lambda client: client.get(),
        lambda client: client.get(statementId=ID),  # 404
        lambda client: client.get(foo="1"),  # 400
        lambda client: client.post(b"["),  # 400
        lambda client: client.http.get("/xapi/statements"),  # 400: no version
        lambda client: client.http.get("/xapi/statements", headers={"X-Experience-API-Version": "1.0.3"}),  # 401
    ],
)
def test_every_answer_says_consistent_through(client: Any, ask: Callable[[Any], Any]) -> None:
    response = ask(client)

    assert datetime.fromisoformat(response.headers[THROUGH]).tzinfo


def test_what_is_stored_is_announced_after_the_commit(client: Any) -> None:
    heard: list[int] = []

    def listen(_: object, *, count: int) -> None:
        heard.append(count)
        assert len(client.found()) == count  # a request of its own: sees what is committed

    with lrs.statements_stored.connected_to(listen):
        client.post([])
        client.post([statement(), statement()])
        client.post([statement(actor={})])

    assert heard == [2]


def test_authority_is_the_credential(make_client: Callable[..., Any]) -> None:
    client = make_client("all", name='Mó"odle')
    client.store(statement(id=ID, authority={"mbox": "mailto:somebody@example.com"}))

    assert client.get(statementId=ID).json["authority"] == {
        "objectType": "Agent",
        "name": 'Mó"odle',
        "account": {"homePage": "http://lrs.example.com", "name": client.key},
    }


# --- whatever comes: never a 5xx -------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)
PROPERTIES = ["id", "actor", "verb", "object", "result", "context", "timestamp", "stored", "authority", "version", "x"]
any_client = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


@any_client
@given(data=JSON | st.dictionaries(st.sampled_from(PROPERTIES), JSON).map(lambda some: statement() | some))
def test_any_json_is_stored_or_refused(client: Any, data: object) -> None:
    assert client.post(json.dumps(data).encode()).status_code < 500


@any_client
@given(body=st.binary())
def test_any_bytes_are_refused(client: Any, body: bytes) -> None:
    assert client.post(body).status_code in {200, 400}


@any_client
@given(
    query=st.dictionaries(
        st.sampled_from(["statementId", "agent", "verb", "activity", "registration", "since", "limit", "ascending"]),
        st.text() | st.sampled_from(["0", "true", "a:b", '{"mbox":"mailto:a@b"}', ID, "9999-12-31T23:59:59Z"]),
        max_size=3,
    )
)
def test_any_query_is_answered_or_refused(client: Any, query: dict[str, str]) -> None:
    assert client.get(**query).status_code in {200, 400, 404}


def test_values_of_all_kinds_of_text_come_back(client: Any, app: Flask) -> None:
    texts = ["'\"\\{},NULL", "\u2028\u00e9\U0001f600", "%s %(x)s :x", "\x7f\t\n"]
    data = statement(
        id=ID,
        actor={"account": {"homePage": "http://a.b", "name": "".join(texts)}},
        result={"response": "".join(texts)},
    )
    client.store(data)

    assert client.get(statementId=ID).json["result"]["response"] == "".join(texts)
    assert client.found(agent=data["actor"]) == [ID]
