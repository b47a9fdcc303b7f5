"""The base of /api/v1: who is let in, how errors and pages look, whatever the resource."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import marshmallow
import pytest
from flask import Blueprint, Flask, Response
from sqlalchemy import text
from werkzeug.test import TestResponse

from bridge import access, context, views
from bridge.app import create_app
from bridge.embedded import Servers
from bridge.errors import Busy, NotFound, NotReady, SettingsError, UnknownName
from bridge.settings import Settings
from bridge.views import api
from lrs import credentials, db

ERRORS = {
    "unknown-name": (UnknownName("report", "clam", ["calm"]), 404, "Did you mean 'calm'?"),
    "not-found": (NotFound("There is no statement 7."), 404, "There is no statement 7."),
    "not-ready": (NotReady("No documents are in force yet."), 503, "No documents"),
    "busy": (Busy("Another process is at work."), 409, "Another process"),
    "wrong": (SettingsError("Say what to change."), 400, "Say what"),
    "fault": (ZeroDivisionError("secret words"), 500, "ZeroDivisionError"),
}

probe = Blueprint("probe", __name__, url_prefix=f"{api.VERSION}/probe")


class Numbers(api.PageQuery):
    below = marshmallow.fields.Integer(load_default=10)


class Thing(marshmallow.Schema):
    name = marshmallow.fields.String(required=True)


@probe.get("/numbers")
@api.operation("Count.", query=Numbers, answers={})
def numbers() -> Response:
    asked = api.query()
    page = api.page(asked, fits=lambda position: isinstance(position, int))
    found = range(0 if page.after is None else page.after + 1, asked["below"])[: page.limit + 1]
    return api.answer_page(found, page, row=lambda number: {"number": number}, position=int)


@probe.get("/errors/<name>")
def fail(name: str) -> Response:
    raise ERRORS[name][0]


@probe.get("/unfit")
def unfit() -> Response:
    db.session.execute(text("select 'x'::int"))
    raise AssertionError


@probe.post("/things")
@api.operation("Make.", body=Thing, answers={})
def make() -> Response:
    return api.answer(api.body(), 201)


@pytest.fixture(scope="module")
def probe_app(database_url: str, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "RESOURCES", (*views.RESOURCES, probe))
        made = create_app(
            Settings(
                database_url=database_url,
                redis_url=servers.redis_url,
                secret_key="only for tests",
                data_dir=tmp_path_factory.mktemp("data"),
            )
        )
    yield made
    with made.app_context():
        db.engine.dispose()


Call = Callable[..., TestResponse]


def basic(key: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{key}:{secret}".encode()).decode()}


def issue(*scopes: str, **options: Any) -> dict[str, str]:
    made = credentials.create(db.session, name="BI", scopes=scopes, secret_key=context.secret_key(), **options)
    db.session.commit()
    return basic(made.key, made.secret)


@pytest.fixture
def call(app: Flask, probe_app: Flask) -> Call:
    """Call as somebody who may read and change."""
    headers = issue(access.REPORTS, access.PEOPLE)

    def send(path: str, method: str = "GET", headers: dict[str, str] = headers, **rest: Any) -> TestResponse:
        return probe_app.test_client().open(path, method=method, headers=headers, **rest)

    return send


def problem(answer: TestResponse, status: int) -> dict[str, Any]:
    """Give the problem document that an answer is."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    told = json.loads(answer.text)
    assert told["status"] == status
    assert told.keys() >= {"type", "title", "detail"}
    return told


# --- who is let in -------------------------------------------------------------------------------------------------

PATHS = ("/api/v1/probe/numbers", "/api/v1/no-such", "/api/", "/api/v2/x")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic x"},  # no base64 of a pair
        {"Authorization": "Bearer abc"},  # tokens are for the LRS
        {"Authorization": "Basic ключ".encode().decode("latin-1")},
        basic("nobody", "x"),
        basic("\0", "\0"),
    ],
    ids=["nothing", "half", "bearer", "not ASCII", "unknown", "NUL"],
)
def test_who_has_no_credential_learns_nothing_but_how_to_send_one(
    call: Call, path: str, headers: dict[str, str]
) -> None:
    answer = call(path, headers=headers)

    problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_a_cookie_of_the_pages_is_no_credential_here(call: Call, probe_app: Flask) -> None:
    client = probe_app.test_client()
    with client.session_transaction() as cookie:
        cookie["key"] = "whoever"

    assert client.get("/api/v1/probe/numbers").status_code == 401


@pytest.mark.parametrize(
    ("scopes", "method", "path", "lacking"),
    [
        (("all", access.PEOPLE), "GET", "numbers", access.REPORTS),
        (("all", access.PEOPLE), "HEAD", "numbers", access.REPORTS),
        (("all", access.REPORTS), "POST", "things", access.PEOPLE),
    ],
)
def test_who_lacks_the_scope_is_told_which(
    call: Call, scopes: tuple[str, ...], method: str, path: str, lacking: str
) -> None:
    answer = call(f"/api/v1/probe/{path}", method, issue(*scopes), json={"name": "x"} if method == "POST" else None)

    assert answer.status_code == 403
    if method != "HEAD":
        told = problem(answer, 403)
        assert (told["scope"], lacking in told["detail"]) == (lacking, True)


def test_a_revoked_credential_is_out_at_the_next_request(call: Call) -> None:
    made = credentials.create(db.session, name="BI", scopes=[access.REPORTS], secret_key=context.secret_key())
    db.session.commit()
    headers = basic(made.key, made.secret)
    assert call("/api/v1/probe/numbers", headers=headers).status_code == 200
    access.revoke(db.session, made.key)
    db.session.commit()

    problem(call("/api/v1/probe/numbers", headers=headers), 401)


def test_the_use_of_a_credential_is_noted(call: Call) -> None:
    call("/api/v1/probe/numbers")
    db.session.rollback()

    [row] = access.everyone(db.session)
    assert row["last_used_at"] is not None


def test_a_limit_of_requests_holds_here_too(call: Call) -> None:
    headers = issue(access.REPORTS, requests_per_minute=1)
    assert call("/api/v1/probe/numbers", headers=headers).status_code == 200

    answer = call("/api/v1/probe/numbers", headers=headers)

    problem(answer, 429)
    assert 0 < int(answer.headers["Retry-After"]) <= 60


# --- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_becomes_a_problem_with_its_words(call: Call, name: str) -> None:
    _, status, words = ERRORS[name]

    answer = call(f"/api/v1/probe/errors/{name}")

    told = problem(answer, status)
    assert words in told["detail"]
    assert "secret words" not in answer.text
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_value_that_the_database_cannot_hold_is_the_callers_error(call: Call) -> None:
    problem(call("/api/v1/probe/unfit"), 400)


def test_a_path_that_is_not_there_and_a_method_that_is_not_there(call: Call) -> None:
    missing, wrong = call("/api/v1/nothing/here"), call("/api/v1/probe/numbers", "DELETE")

    assert "/api/v1/nothing/here" in problem(missing, 404)["detail"]
    problem(wrong, 405)
    assert wrong.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/api/v1/probe/numbers?below=%00", "/api/v1/%00", "/api/v1/probe/numbers?a=%ff"])
def test_what_no_stored_text_can_equal_is_refused_before_anything_is_asked(call: Call, path: str) -> None:
    problem(call(path), 400)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("below=x", "below"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("under=3", "under"),  # one that is not there
        ("below=1&below=2", "below"),
        ("after=%21", "after"),  # no base64
        ("after=bm9wZQ", "after"),  # base64 of no JSON
        ("after=WzEsMiwzXQ", "after"),  # of another list
        ("after=Ilx1ZDgwMCI", "after"),  # half of a surrogate pair
        ("after=" + "W" * 9000, "after"),  # nested, and longer than any that we give
    ],
)
def test_a_wrong_parameter_is_named(call: Call, query: str, parameter: str) -> None:
    told = problem(call(f"/api/v1/probe/numbers?{query}"), 400)

    assert [place["parameter"] for place in told["errors"]] == [parameter]
    assert all(place["detail"] for place in told["errors"])


@pytest.mark.parametrize(
    ("sent", "status", "pointers"),
    [
        ({"json": {"title": "x"}}, 400, ["/name", "/title"]),
        ({"json": ["x"]}, 400, [""]),
        ({"data": "name=x"}, 415, None),  # a form of another site comes with no JSON
    ],
)
def test_a_wrong_body_is_refused_with_its_places(
    call: Call, sent: dict[str, Any], status: int, pointers: list[str] | None
) -> None:
    told = problem(call("/api/v1/probe/things", "POST", **sent), status)

    places = [place["pointer"] for place in told["errors"]] if "errors" in told else None
    assert sorted(places or []) == sorted(pointers or [])


@pytest.mark.parametrize(
    ("sent", "words", "pointers"),
    [
        (b'{"name":\n  nope}', "line 2, column 3", None),
        (b'{"name": "a\xff"}', "byte 12", None),
        (b'{"name": NaN}', "NaN", None),
        (b'{"name": "a", "name": "b"}', '"name" stands twice', None),
        (b'{"other": {"a/b": 1, "a/b": 1}}', '"a/b" stands twice', None),
        (b'{"name": "\\ud800", "more": [0, "x\\udfff"]}', "not as it should be", ["/more/1", "/name"]),
        (b'{"a/b~": {"\\ud800": 1}}', "not as it should be", ["/a~1b~0"]),
        (b'{"x": "[[\\"[",\n ' + b'"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 2, column 109", None),
    ],
    ids=["no JSON", "not UTF-8", "a constant", "twice", "twice inside", "surrogates", "a surrogate key", "deep"],
)
def test_json_that_cannot_be_taken_is_refused_by_its_place(
    call: Call, sent: bytes, words: str, pointers: list[str] | None
) -> None:
    answer = call("/api/v1/probe/things", "POST", data=sent, content_type="application/json")

    told = problem(answer, 400)
    assert words in told["detail"]
    assert sorted(place["pointer"] for place in told.get("errors", ())) == (pointers or [])


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "BREW", "DELETE"])
def test_any_other_method_is_refused_after_the_credential_and_told_which_there_are(call: Call, method: str) -> None:
    wrong = call("/api/v1/probe/numbers", method)

    problem(call("/api/v1/probe/numbers", method, headers={}), 401)
    assert "GET, HEAD" in problem(wrong, 405)["detail"]
    assert wrong.headers["Allow"] == "GET, HEAD"
    problem(call("/api/v1/no-such", method, headers={}), 401)
    problem(call("/api/v1/no-such", method), 404)


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "expected"), [(4, 3), (5, 2), (10, 1), (11, 1)])
def test_a_list_comes_in_pages_that_lead_to_each_other(call: Call, limit: int, expected: int) -> None:
    path, seen, pages = f"/api/v1/probe/numbers?limit={limit}&below=10", [], 0
    while path:
        answer = call(path)
        told = json.loads(answer.text)
        seen += [item["number"] for item in told["items"]]
        path, pages = told["next"], pages + 1
        assert answer.headers.get("Link") == (f'<{path}>; rel="next"' if path else None)

    assert (seen, pages) == (list(range(10)), expected)  # none is empty


def test_nothing_is_kept_by_caches_in_between(call: Call) -> None:
    for path in ("/api/v1/probe/numbers", "/api/v1/nothing"):
        assert call(path).headers["Cache-Control"] == "private, no-store"


def test_a_body_that_is_as_it_should_be_is_taken(call: Call) -> None:
    answer = call("/api/v1/probe/things", "POST", json={"name": "Zoë"})

    assert (answer.status_code, json.loads(answer.text)) == (201, {"name": "Zoë"})
    assert answer.content_type == "application/json"
