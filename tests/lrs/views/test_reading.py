"""Reading statements over HTTP: xAPI 1.0.3, Communication 1.1, 2.1.3 and 3.3; Data 2.5."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from flask import Flask
from itsdangerous import TimestampSigner
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from xapi_samples import ANA, COURSE, DID, ID, statement, voiding

import lrs
from lrs.views.statements import MORE_SECONDS

NAMES = {"en": "Course", "de": "Kurs"}
NAMED = {"id": COURSE, "definition": {"name": NAMES}}
VERSION = "X-Experience-API-Version"


def read(client: Any, language: str | None = None, **query: str) -> Any:
    headers = client.headers | ({"Accept-Language": language} if language else {})
    response = client.http.get("/xapi/statements", query_string=query, headers=headers)
    assert response.status_code == 200, response.text
    return response


# --- format --------------------------------------------------------------------------------------------------------


def test_exact_is_the_default(client: Any) -> None:
    client.store(statement(id=ID, object=NAMED))

    assert read(client, "de", statementId=ID).text == read(client, "de", statementId=ID, format="exact").text
    assert read(client, "de", statementId=ID).json["object"] == NAMED


def test_ids_and_canonical_go_for_one_statement_and_for_pages(client: Any) -> None:
    client.store(statement(id=ID, actor=ANA | {"name": "Ana"}, object=NAMED))

    for query in ({"statementId": ID}, {"verb": DID}):
        minimal, canonical = (read(client, "de", **query, format=form).json for form in ("ids", "canonical"))
        if "statements" in minimal:
            (minimal,), (canonical,) = minimal["statements"], canonical["statements"]
        assert minimal["actor"] == ANA
        assert minimal["object"] == {"id": COURSE}
        assert canonical["object"]["definition"]["name"] == {"de": "Kurs"}


def test_canonical_has_what_all_statements_say_of_an_activity(client: Any) -> None:
    """Whichever statement is read, and for many activities at once."""
    client.store(
        statement(object=NAMED),
        statement(object={"id": "a:other", "definition": {"name": {"en": "Other"}}}),
        statement(id=ID, context={"contextActivities": {"parent": {"id": COURSE}}}, object={"id": "a:plain"}),
        statement(object={"id": COURSE, "definition": {"name": {"de": "Neu"}, "moreInfo": "http://a.example/"}}),
    )

    newest, *rest = (one["object"] for one in read(client, "de", format="canonical").json["statements"])
    context = read(client, "de", format="canonical", statementId=ID).json["context"]

    assert newest["definition"] == {"name": {"de": "Neu"}, "moreInfo": "http://a.example/"}
    assert rest == [
        {"id": "a:plain"},
        {"id": "a:other", "definition": {"name": {"en": "Other"}}},
        {"id": COURSE, "definition": newest["definition"]},
    ]
    assert context["contextActivities"]["parent"][0]["definition"] == newest["definition"]


def test_canonical_shows_who_may_read_its_own_nothing_of_others(client: Any, make_client: Callable[..., Any]) -> None:
    client.store(statement(object=NAMED))
    ours = make_client("statements/write", "statements/read/mine")
    ours.store(statement(), statement(object={"id": COURSE, "definition": {"name": {"en": "Mine"}}}))

    mine, bare = (one["object"] for one in read(ours, "de", format="canonical").json["statements"])

    assert mine["definition"] == {"name": {"en": "Mine"}}
    assert bare == {"id": COURSE}


def test_canonical_answers_vary_by_language(client: Any) -> None:
    assert read(client, format="canonical").headers["Vary"] == "Accept-Language"
    assert "Vary" not in read(client).headers


def test_voided_statement_comes_in_every_form(client: Any) -> None:
    client.store(statement(id=ID, object=NAMED), voiding(ID))

    assert read(client, voidedStatementId=ID, format="ids").json["object"] == {"id": COURSE}


# --- Last-Modified and HEAD ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["exact", "ids", "canonical"])
def test_last_modified_of_a_statement_is_when_it_was_stored(client: Any, form: str) -> None:
    client.store(statement(id=ID))

    response = read(client, statementId=ID, format=form)

    stored = datetime.fromisoformat(response.json["stored"]).replace(microsecond=0)
    assert parsedate_to_datetime(response.headers["Last-Modified"]) == stored
    assert stored.tzinfo == UTC


@pytest.mark.parametrize("path", ["about", "statements", f"statements?statementId={ID}", "statements?foo=1", "nothing"])
def test_head_is_get_without_the_body(client: Any, path: str) -> None:
    """A page's headers differ only in up to when it is consistent."""
    client.store(statement(id=ID))

    head, get = (client.http.open(f"/xapi/{path}", method=method, headers=client.headers) for method in ("HEAD", "GET"))

    through = "X-Experience-API-Consistent-Through"
    assert (head.status_code, head.data) == (get.status_code, b"")
    assert {**head.headers, through: ""} == {**get.headers, through: ""}
    assert int(head.headers["Content-Length"]) == len(get.data)


# --- more ----------------------------------------------------------------------------------------------------------


def test_more_keeps_format_and_all_other_parameters(client: Any) -> None:
    client.store(*(statement(object=NAMED, actor=ANA | {"name": "Ana"}) for _ in range(3)))

    page = read(client, limit="1", format="ids", ascending="true", verb=DID, related_agents="true").json
    pages = [page]
    while page["more"]:
        page = client.follow(page["more"]).json
        pages.append(page)

    assert [len(page["statements"]) for page in pages] == [1, 1, 1]
    assert {repr(page["statements"][0]["object"]) for page in pages} == {repr({"id": COURSE})}
    assert pages == sorted(pages, key=lambda page: page["statements"][0]["stored"])


def test_more_applies_the_language_of_its_own_request(client: Any) -> None:
    client.store(*(statement(object=NAMED) for _ in range(2)))

    further = read(client, "en", limit="1", format="canonical").json["more"]
    answer = client.http.get(further, headers=client.headers | {"Accept-Language": "de"})

    assert answer.json["statements"][0]["object"]["definition"]["name"] == {"de": "Kurs"}


def test_more_is_for_the_credential_that_asked(client: Any, make_client: Callable[..., Any]) -> None:
    client.store(statement(), statement())

    further = read(client, limit="1").json["more"]
    answer = make_client("all").follow(further)

    assert answer.status_code == 403
    assert "statements" not in answer.json


@pytest.mark.parametrize(("age", "status"), [(24 * 3600, 200), (MORE_SECONDS - 60, 200), (MORE_SECONDS + 60, 400)])
def test_more_is_good_for_a_day_at_least(client: Any, monkeypatch: pytest.MonkeyPatch, age: int, status: int) -> None:
    client.store(statement(), statement())
    then = int(datetime.now(UTC).timestamp()) - age
    with monkeypatch.context() as patched:
        patched.setattr(TimestampSigner, "get_timestamp", lambda _: then)
        further = read(client, limit="1").json["more"]

    answer = client.follow(further)

    assert answer.status_code == status
    assert status == 200 or "older than" in answer.json["error"]


def test_more_that_somebody_changed_is_refused(client: Any) -> None:
    client.store(statement(), statement())
    further = read(client, limit="1").json["more"]
    at = further.rindex("/") + 3
    other = "a" if further[at] != "a" else "b"

    for path in (further[:at] + other + further[at + 1 :], further[:-1], further + "?limit=9", further + "x"):
        assert client.follow(path).status_code == 400, path


# --- what every answer has -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/xapi/about", 200),
        ("GET", "/xapi/nothing", 404),
        ("POST", "/xapi/about", 405),
        ("DELETE", "/xapi/statements", 405),
        ("PATCH", "/xapi/statements", 405),
        ("TRACE", "/xapi/statements", 405),
        ("BREW", "/xapi/statements", 405),
        ("GET", "/xapi", 308),
        ("GET", "/xapi/statements/more/x", 400),
    ],
)
def test_every_answer_says_its_version_and_lets_browsers_read_it(
    client: Any, method: str, path: str, status: int
) -> None:
    response = client.http.open(path, method=method, headers=client.headers)

    assert response.status_code == status
    assert response.headers[VERSION] == "1.0.3"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert status != 405 or response.headers["Allow"]


def test_failure_of_ours_says_its_version_too(app: Flask, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    monkeypatch.setitem(app.view_functions, "xapi.statements.get", lambda: 1 / 0)

    response = client.get()

    assert response.status_code == 500
    assert response.json["error"]
    assert response.headers[VERSION] == "1.0.3"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_browsers_may_read_that_the_database_is_away(app: Flask, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise OperationalError("select 1", {}, Exception("gone"))

    monkeypatch.setitem(app.view_functions, "xapi.statements.get", away)

    response = client.get()

    assert response.status_code == 503
    assert response.headers["Retry-After"]
    assert response.headers[VERSION] == "1.0.3"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_what_no_column_can_hold_is_no_failure_of_ours(
    app: Flask, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a rule of ours is missing, PostgreSQL refuses: a number beyond 63 bits, a NUL."""

    def ask() -> None:
        lrs.db.session.execute(text("select cast(:number as bigint)"), {"number": 2**63})

    monkeypatch.setitem(app.view_functions, "xapi.statements.get", ask)

    response = client.get()

    assert response.status_code == 400
    assert response.json["rule"]


@pytest.mark.parametrize("query", ["verb=a:%ff", "verb=a:\xff", "agent=%7B%22", "verb=a:%", "verb=%zz", "%c3%28=1"])
def test_query_that_is_not_encoded_as_urls_are_is_refused(client: Any, query: str) -> None:
    response = client.http.get("/xapi/statements", headers=client.headers, environ_overrides={"QUERY_STRING": query})

    assert response.status_code == 400
    assert response.json["rule"]


class _NoChunks:
    """What gunicorn gives for a body that is not chunked as it says: errors of its own."""

    def read(self, _size: int = -1) -> bytes:
        raise LookupError("Invalid chunk size: 'zz'")


@pytest.mark.parametrize("path", ["statements", "statements?method=PUT", "statements?method=POST"])
def test_body_that_is_not_chunked_as_it_says_is_refused(client: Any, path: str) -> None:
    environ = {"wsgi.input": _NoChunks(), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    response = client.http.post(
        f"/xapi/{path}", headers=client.headers, content_type="application/json", environ_overrides=environ
    )

    assert response.status_code == 400
    assert response.json["error"]
