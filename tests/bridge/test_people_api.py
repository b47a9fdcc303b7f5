"""/api/v1/learners and what belongs to it: reading and deciding over HTTP, also from the wrong side."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from company import Company, done
from sqlalchemy import text
from werkzeug.test import TestResponse

import lrs
from bridge import access, context, documents, jobs, provenance
from bridge.errors import UnknownName
from lrs import db

Call = Callable[..., TestResponse]
ANN, BO = "mbox:mailto:ann@example.com", "mbox:mailto:bo@example.com"
CHANGES = ("learners/merge", "learners/split", "decisions/1/undo")


def credential(*scopes: str) -> dict[str, str]:
    made = lrs.credentials.create(db.session, name="BI", scopes=scopes, secret_key=context.secret_key())
    db.session.commit()
    return {"Authorization": "Basic " + b64encode(f"{made.key}:{made.secret}".encode()).decode()}


@pytest.fixture
def call(company: Company) -> Call:
    """Call as an admin, on a company whose Ann and Bo have learned something, and a stranger too."""
    company.post(done("ann"), done("bo"), done("ANN.Archer"))
    company.run()
    admin = credential(access.REPORTS, access.PEOPLE)

    def send(path: str, method: str = "GET", headers: dict[str, str] = admin, **rest: Any) -> TestResponse:
        db.session.rollback()
        return company.app.test_client().open(f"/api/v1/{path}", method=method, headers=headers, **rest)

    return send


def read(answer: TestResponse) -> Any:
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)


def problem(answer: TestResponse, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text
    return json.loads(answer.text)


def post(call: Call, path: str, **body: object) -> TestResponse:
    return call(path, "POST", json=body)


# --- reading --------------------------------------------------------------------------------------------------------


def test_learners_come_in_pages_by_key(call: Call) -> None:
    first = read(call("learners?limit=1"))
    second = read(call(first["next"].removeprefix("/api/v1/")))

    assert [one["key"] for one in first["items"] + second["items"]] == ["E1", "E2"]
    assert second["next"] is None
    assert first["items"][0] == {"key": "E1", "name": "Ann Archer", "attributes": {"team": "North"}, "aliases": 3}


@pytest.mark.parametrize("word", ["E1", ANN, "user:crm|ann"])
def test_a_learner_is_found_by_key_or_alias_with_rules_periods_and_history(call: Call, word: str) -> None:
    made = read(post(call, "learners/split", aliases=["user:crm|ann"], to="E1", because="asked her"))

    found = read(call(f"learners/{quote(word, safe='')}"))

    assert (found["key"], found["name"]) == ("E1", "Ann Archer")
    assert {one["alias"]: one["rule"] for one in found["aliases"]} == {
        ANN: "roster staff",
        "user:helpdesk|ann": "roster staff",
        "user:crm|ann": f"override {made['id']}",
    }
    assert found["periods"] == [{"attribute": "team", "value": "North", "from": None, "to": None}]
    assert [one["because"] for one in found["history"]] == ["asked her"]


@pytest.mark.parametrize("word", ["ann@example.com", "MAILTO:Ann@Example.COM", "mbox:mailto:ANN@example.com", "E2", BO])
def test_provenance_finds_a_learner_as_everything_else_does(call: Call, word: str) -> None:
    read(post(call, "learners/merge", keep="E1", other="E2"))
    jobs.build_records()

    assert read(call(f"learners/{quote(word, safe='')}"))["key"] == "E1"
    with pytest.raises(UnknownName, match="figure"):  # so it has the record
        provenance.of_record(db.session, documents.current(db.session), "calm-calls", word, "no-such")


def test_who_waits_is_listed_with_facts_and_whom_it_may_be(call: Call) -> None:
    db.session.execute(text("update alias set name = 'Archer Ann' where key like '%ann.archer%'"))
    db.session.commit()

    [waiting] = read(call("unmatched"))["items"]
    [suggested] = read(call("suggestions"))["items"]

    assert waiting["alias"] == suggested["alias"] == "mbox:mailto:ann.archer@example.com"
    assert waiting["facts"] > 0
    assert (suggested["learner"], suggested["facts"]) == ("E1", waiting["facts"])
    assert read(call("learners/E1"))["aliases"][0]["alias"] == ANN  # and nothing has come of it


def test_unmatched_comes_in_pages_the_most_waiting_first(call: Call) -> None:
    db.session.execute(text("insert into alias (key) values ('user:crm|x'), ('user:crm|y')"))
    db.session.commit()

    seen, path = [], "unmatched?limit=1"
    while path:
        page = read(call(path))
        seen += [one["alias"] for one in page["items"]]
        path = (page["next"] or "").removeprefix("/api/v1/")

    assert seen == ["mbox:mailto:ann.archer@example.com", "user:crm|x", "user:crm|y"]


# --- deciding -------------------------------------------------------------------------------------------------------


def test_a_merge_holds_at_once_and_is_undone(call: Call) -> None:
    made = read(post(call, "learners/merge", keep="E1", other=BO, because="one person"))

    assert read(call("learners/E2"))["key"] == "E1"
    assert BO in {one["alias"] for one in read(call("learners/E1"))["aliases"]}
    undone = read(call(f"decisions/{made['id']}/undo", "POST"))
    assert undone["undone_by"].startswith("BI (")
    assert read(call(f"learners/{quote(BO, safe='')}"))["key"] == "E2"
    listed = read(call("decisions?learner=E2"))["items"]
    assert [(one["id"], one["because"], one["made_by"] == undone["undone_by"]) for one in listed] == [
        (made["id"], "one person", True)
    ]


def test_a_split_gives_an_alias_to_another_or_to_somebody_new(call: Call) -> None:
    read(post(call, "learners/split", aliases=["user:crm|ann"], to="E2"))
    new = read(post(call, "learners/split", aliases=["user:helpdesk|ann"]))

    assert read(call("learners/user:crm%7Cann"))["key"] == "E2"
    assert new["learner"] == f"user:helpdesk|ann #{new['id']}"
    assert read(call("learners/user:helpdesk%7Cann"))["key"] == new["learner"]


# --- the wrong side -------------------------------------------------------------------------------------------------

READS = ("learners", "learners/E1", "unmatched", "suggestions", "decisions")


@pytest.mark.parametrize(("path", "method"), [*((one, "GET") for one in READS), *((one, "POST") for one in CHANGES)])
def test_nobody_gets_in_without_a_credential_or_with_one_for_something_else(call: Call, path: str, method: str) -> None:
    other = credential("all", access.PEOPLE if method == "GET" else access.REPORTS)

    problem(call(path, method, headers={}, json={}), 401)
    told = problem(call(path, method, headers=other, json={}), 403)

    assert told["scope"] == (access.REPORTS if method == "GET" else access.PEOPLE)


@pytest.mark.parametrize(
    ("path", "method"),
    [("unmatched", "POST"), ("suggestions", "PUT"), ("decisions", "DELETE"), ("decisions/1/undo", "GET")],
)
def test_other_methods_are_refused(call: Call, path: str, method: str) -> None:
    answer = call(path, method, json={})

    problem(answer, 405)
    assert answer.headers["Allow"]


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("learners/merge", {"other": "E2"}, "/keep"),
        ("learners/merge", {"keep": "E1", "other": 7}, "/other"),
        ("learners/merge", {"keep": "E1", "other": "E2", "why": "x"}, "/why"),
        ("learners/merge", {"keep": "E1", "other": "E\0"}, "/other"),
        ("learners/merge", {"keep": "\ud800", "other": "E2"}, "/keep"),
        ("learners/merge", {"keep": "E1", "other": "E2", "because": "x" * 1_001}, "/because"),
        ("learners/split", {"aliases": []}, "/aliases"),
        ("learners/split", {"aliases": [None]}, "/aliases/0"),
        ("learners/split", {"aliases": "user:crm|ann"}, "/aliases"),
        ("decisions/1/undo", {"reason": "x"}, "/reason"),
    ],
)
def test_a_bad_body_is_told_by_its_place_and_changes_nothing(call: Call, path: str, body: Any, place: str) -> None:
    told = problem(call(path, "POST", json=body), 400)

    assert [one["pointer"] for one in told["errors"]] == [place]
    assert read(call("decisions"))["items"] == []


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("learners/merge", 400, b"{"),
        ("learners/merge", 400, b"[]"),
        ("learners/merge", 400, b'{"keep": "E1", "other": "user:crm|ann"}'),  # one already
        ("learners/merge", 404, b'{"keep": "E1", "other": "E9"}'),
        ("learners/split", 404, b'{"aliases": ["user:crm|nobody"]}'),
        ("learners/split", 404, b'{"aliases": ["user:crm|ann"], "to": "E9"}'),
        ("decisions/99/undo", 404, b""),
        (f"decisions/{10**40}/undo", 404, b""),
    ],
)
def test_what_cannot_be_decided_is_refused_and_changes_nothing(call: Call, path: str, status: int, body: bytes) -> None:
    problem(call(path, "POST", data=body, content_type="application/json"), status)

    assert read(call("decisions"))["items"] == []


def test_an_undo_happens_once(call: Call) -> None:
    made = read(post(call, "learners/merge", keep="E1", other="E2"))
    read(call(f"decisions/{made['id']}/undo", "POST"))

    assert "undone already" in problem(call(f"decisions/{made['id']}/undo", "POST"), 400)["detail"]


@pytest.mark.parametrize("path", ["learners/E9", "learners/mbox:mailto:nobody@example.com", "decisions?learner=E9"])
def test_who_is_not_there_is_not_found(call: Call, path: str) -> None:
    problem(call(path), 404)


@pytest.mark.parametrize("path", ["learners?limit=0", "unmatched?after=!", "suggestions?page=2", "decisions?sort=id"])
def test_a_query_that_cannot_be_read_is_refused(call: Call, path: str) -> None:
    problem(call(path), 400)


@pytest.mark.parametrize("path", ["learners", "unmatched", "decisions"])
@pytest.mark.parametrize(
    "cursor", ["WzEsMiwzXQ", "e30", "bnVsbA", "MTAwMDAwMDAwMDAwMDAwMDAwMDAwMA", "Ilx1ZDgwMCI", "Ilx1MDAwMCI", "dHJ1ZQ"]
)
def test_a_cursor_of_something_else_is_no_fault_of_ours(call: Call, path: str, cursor: str) -> None:
    [place] = problem(call(f"{path}?after={cursor}"), 400)["errors"]

    assert place["parameter"] == "after"
