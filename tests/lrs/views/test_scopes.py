"""What each scope allows, from the wrong side too: xAPI 1.0.3, Communication 4.2."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from xapi_samples import COURSE, statement

from lrs.xapi import scopes
from lrs.xapi.scopes import SCOPES

PATHS = {
    "statements": "/xapi/statements",
    "activities": "/xapi/activities",
    "agents": "/xapi/agents",
    "state": "/xapi/activities/state",
    "activity_profile": "/xapi/activities/profile",
    "agent_profile": "/xapi/agents/profile",
    "refused": "/xapi/refused/1",
    "repaired": "/xapi/repaired/5c1b7f0e-8f2a-4d0b-9a57-1a2b3c4d5e6f",
}

# Which scopes (columns) allow a method of a resource (rows): x. What is blank is answered with 403.
TABLE = """
                            write  mine  read  state  define  profile  all/read  all
statements        GET         .      x     x     .      .        .        x       x
statements        PUT         x      .     .     .      .        .        .       x
statements        POST        x      .     .     .      .        .        .       x
activities        GET         .      .     x     .      .        .        x       x
agents            GET         .      .     x     .      .        .        x       x
state             GET         .      .     .     x      .        .        x       x
state             PUT         .      .     .     x      .        .        .       x
state             POST        .      .     .     x      .        .        .       x
state             DELETE      .      .     .     x      .        .        .       x
activity_profile  GET         .      .     .     .      .        x        x       x
activity_profile  PUT         .      .     .     .      .        x        .       x
activity_profile  POST        .      .     .     .      .        x        .       x
activity_profile  DELETE      .      .     .     .      .        x        .       x
agent_profile     GET         .      .     .     .      .        x        x       x
agent_profile     PUT         .      .     .     .      .        x        .       x
agent_profile     POST        .      .     .     .      .        x        .       x
agent_profile     DELETE      .      .     .     .      .        x        .       x
refused           GET         x      .     .     .      .        .        .       x
refused           POST        x      .     .     .      .        .        .       x
refused           DELETE      x      .     .     .      .        .        .       x
repaired          GET         x      .     .     .      .        .        .       x
"""
_HEAD, *_ROWS = [line.split() for line in TABLE.strip().splitlines()]
_FULL = {"write": "statements/write", "mine": "statements/read/mine", "read": "statements/read"}
_SCOPES = [_FULL.get(name, name) for name in _HEAD]
CASES = [
    (resource, method, {scope for scope, mark in zip(_SCOPES, marks, strict=True) if mark == "x"})
    for resource, method, *marks in _ROWS
]


def own_endpoints(app: Flask) -> set[tuple[str, str]]:
    """Give resource and method of every endpoint of the LRS that asks who calls."""
    return {
        (rule.endpoint.split(".")[1], method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("xapi.")
        and rule.endpoint not in {"xapi.unknown", "xapi.about.read", "xapi.openapi.read"}
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_the_table_has_every_scope_and_every_endpoint_and_nothing_else(app: Flask) -> None:
    assert list(SCOPES) == _SCOPES
    assert own_endpoints(app) == {(resource, method) for resource, method, _ in CASES}
    assert {(r, m) for r, methods in scopes.ALLOWED_BY.items() for m in methods} == {(r, m) for r, m, _ in CASES}


@pytest.mark.parametrize(("resource", "method", "expected"), CASES, ids=[f"{r}-{m}" for r, m, _ in CASES])
def test_scope_allows_what_the_table_says_and_no_more(
    make_client: Callable[..., Any], resource: str, method: str, expected: set[str]
) -> None:
    answers = {scope: call(make_client(scope), method, resource) for scope in (*SCOPES, "reports/read", "ALL")}

    assert {scope for scope, answer in answers.items() if answer.status_code != 403} == expected
    # What is allowed is answered: with what there is, or with what an empty request lacks.
    assert {answers[scope].status_code for scope in expected} <= {200, 204, 400, 404, 415}


@pytest.mark.parametrize("resource", PATHS)
def test_head_is_allowed_as_get_is(make_client: Callable[..., Any], resource: str) -> None:
    for scope in SCOPES:
        client = make_client(scope)
        assert (call(client, "HEAD", resource).status_code == 403) == (call(client, "GET", resource).status_code == 403)


def test_a_credential_without_scopes_may_do_nothing(make_client: Callable[..., Any]) -> None:
    client = make_client()

    assert {call(client, method, resource).status_code for resource, method, _ in CASES} == {403}


def test_scopes_add_up(make_client: Callable[..., Any]) -> None:
    client = make_client("statements/write", "statements/read/mine")

    assert client.post(statement()).status_code == 200
    assert client.get().status_code == 200


@pytest.mark.parametrize(
    ("held", "defines"),
    [
        (["statements/write"], False),
        (["statements/write", "define"], True),
        (["all"], True),
        (["statements/write", "all/read", "profile"], False),
    ],
)
def test_without_define_a_definition_is_stored_with_the_statement_and_changes_nothing_else(
    make_client: Callable[..., Any], held: list[str], defines: bool
) -> None:
    reader = make_client("all/read")
    before, after = ({"type": f"http://example.com/{word}"} for word in ("before", "after"))
    make_client("all").store(statement(object={"id": COURSE, "definition": before}))

    [stored] = make_client(*held).store(statement(object={"id": COURSE, "definition": after}))

    known = reader.http.get("/xapi/activities", query_string={"activityId": COURSE}, headers=reader.headers).json
    assert known["definition"] == (after if defines else before)
    assert reader.get(statementId=stored).json["object"]["definition"] == after


def test_what_the_table_has_no_word_of_nobody_may_do(app: Flask, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scopes, "ALLOWED_BY", {})

    assert client.get().status_code == 403


def test_a_refusal_says_which_scopes_would_do(make_client: Callable[..., Any]) -> None:
    answer = make_client("state", name="Quiz").post(statement())

    assert answer.status_code == 403
    assert "'Quiz'" in answer.json["error"]
    assert answer.json["remedy"] == "Use a credential with one of the scopes statements/write, all."
    assert answer.json["section"] == "Communication 4.2"


def test_a_refusal_comes_before_a_look_at_the_request(make_client: Callable[..., Any]) -> None:
    client = make_client("statements/read")

    assert client.post(b"no JSON").status_code == 403
    assert client.http.put("/xapi/statements?wrong=1", headers=client.headers).status_code == 403


def test_alternate_syntax_is_no_way_round(make_client: Callable[..., Any]) -> None:
    """Communication 1.3: a POST with `method` is the request that it stands for."""
    reader, writer = make_client("statements/read"), make_client("statements/write")
    headers = reader.headers | {"Content-Type": "application/x-www-form-urlencoded"}
    as_put = {"method": "PUT"}

    put = reader.http.post("/xapi/statements", query_string=as_put, headers=headers, data={"content": "{}"})
    get = writer.http.post("/xapi/statements?method=GET", headers=writer.headers, data={})

    assert (put.status_code, get.status_code) == (403, 403)


def call(client: Any, method: str, resource: str) -> Any:
    return client.http.open(PATHS[resource], method=method, headers=client.headers)
