"""/api/v1/programs: reading, editing and launching over HTTP, also from the wrong side."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from company import Company
from sqlalchemy import select
from test_programs import CONTRACT
from werkzeug.test import TestResponse
from yaml import safe_load

import lrs
from bridge import access, context, documents, jobs, status
from bridge.models import EditedDocument, Impact, ProgramEvent
from lrs import db

Call = Callable[..., TestResponse]
CALM = "/calm-calls"


def credential(*scopes: str) -> dict[str, str]:
    made = lrs.credentials.create(db.session, name="HR", scopes=scopes, secret_key=context.secret_key())
    db.session.commit()
    return {"Authorization": "Basic " + b64encode(f"{made.key}:{made.secret}".encode()).decode()}


@pytest.fixture
def call(company: Company) -> Call:
    """Call as somebody who may edit programs."""
    jobs.load_documents()
    editor = credential(access.REPORTS, access.PROGRAMS)

    def send(path: str = "", method: str = "GET", headers: dict[str, str] = editor, **rest: Any) -> TestResponse:
        db.session.rollback()
        return company.app.test_client().open(f"/api/v1/programs{path}", method=method, headers=headers, **rest)

    return send


def read(answer: TestResponse) -> Any:
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)


def problem(answer: TestResponse, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text
    return json.loads(answer.text)


def agreed(call: Call, **changes: Any) -> dict[str, Any]:
    """Give the company's program with all that a contract needs."""
    goals = [{"metric": "minutes_to_solve", "primary": True, "target": "5%"}, {"metric": "deal_won"}]
    return read(call(CALM))["document"] | safe_load(CONTRACT) | {"metrics": goals} | changes


def put(call: Call, body: dict[str, Any], name: str = CALM) -> TestResponse:
    return call(name, "PUT", json=body)


def test_a_program_is_listed_and_shown_with_its_document(call: Call) -> None:
    [listed] = read(call())["items"]
    shown = read(call(CALM))

    assert (listed["name"], listed["state"], listed["edited"]) == ("calm-calls", "needs analysis", None)
    assert {key: shown[key] for key in listed} == listed
    assert (shown["document"]["kind"], shown["document"]["name"]) == ("program", "calm-calls")
    assert (shown["agreed"], shown["history"]) == (None, [])


def test_an_edit_holds_at_once_in_place_of_the_file_and_status_says_so(call: Call, company: Company) -> None:
    shown = read(put(call, agreed(call, title="Calmer calls")))

    assert (shown["title"], shown["state"]) == ("Calmer calls", "ready")
    assert shown["edited"]["by"].startswith("HR (")
    company.change("program.yaml", "title: Calm calls\n", "title: Not so calm\n")
    jobs.load_documents()
    current = documents.current(db.session)
    assert current is not None
    assert current.programs["calm-calls"].title == "Calmer calls"
    assert status.overview(db.session)["edited_programs"] == [
        "calm-calls: edited over the API; holds in place of any file"
    ]


def test_an_edit_is_taken_back_and_the_file_holds_again(call: Call) -> None:
    before = read(call(CALM))
    read(put(call, agreed(call)))

    assert read(call(CALM, "DELETE")) == before
    assert "was not edited" in problem(call(CALM, "DELETE"), 404)["detail"]
    assert status.overview(db.session)["edited_programs"] == []


def test_a_program_may_be_new_and_say_neither_kind_nor_name(call: Call) -> None:
    body = agreed(call, title="Calm mails")
    del body["kind"], body["name"]

    assert read(put(call, body, "/calm-mails"))["document"]["name"] == "calm-mails"
    assert [one["name"] for one in read(call())["items"]] == ["calm-calls", "calm-mails"]
    assert read(call("/calm-mails", "DELETE")) == {"name": "calm-mails", "state": "not there any more"}
    problem(call("/calm-mails"), 404)


def test_what_is_numbers_and_text_in_json_stays_so(call: Call) -> None:
    body = agreed(call, problem="Tab\there, \u201cquotes\u201d: # no comment", stakes="1e-5\nyes \U0001f600")
    shown = read(put(call, body))

    assert shown["document"] == body
    current = documents.current(db.session)
    assert current is not None
    assert current.programs["calm-calls"].stakes == body["stakes"].strip()


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"metrics": [{"metric": "minutes_to_solv"}]}, "/metrics/0/metric", "minutes_to_solve"),
        ({"causes": ["capability", "weather"]}, "/causes/1", "weather"),
        ({"colour": "red"}, "/colour", "colour"),
        ({"name": "other"}, "/name", "leave `name` out"),
        ({"kind": "source"}, "/kind", "leave `kind` out"),
        ({"behaviours": [{"name": "x", "does": 3, "evidence": {"fact": "observed"}}]}, "/behaviours/0/does", "text"),
        ({"problem": "a\u0007bell"}, "", ""),
    ],
)
def test_what_does_not_fit_is_refused_by_its_place_and_changes_nothing(
    call: Call, change: dict[str, Any], pointer: str, words: str
) -> None:
    before = read(call(CALM))

    refused = problem(put(call, agreed(call, **change)), 400)

    [fault] = [one for one in refused["errors"] if one["pointer"] == pointer]
    assert words in fault["detail"]
    assert read(call(CALM)) == before
    assert db.session.scalar(select(EditedDocument)) is None


@pytest.mark.parametrize("body", [b"[]", b"3", b'{"title": NaN}', b"{", b'{"a": 1, "a": 2}', b"\xff"])
def test_a_body_that_is_no_object_is_refused(call: Call, body: bytes) -> None:
    problem(call(CALM, "PUT", data=body, content_type="application/json"), 400)
    assert db.session.scalar(select(EditedDocument)) is None


@pytest.mark.parametrize("name", ["/UPPER", "/a b", "/" + "x" * 65])
def test_a_name_that_no_document_may_have_is_refused(call: Call, name: str) -> None:
    body = agreed(call)
    del body["name"]

    assert "is no name" in problem(put(call, body, name), 400)["errors"][0]["detail"]


def test_a_program_that_others_need_is_not_taken_away(call: Call, company: Company) -> None:
    read(put(call, agreed(call, name="calm-mails"), "/calm-mails"))
    company.write("more.yaml", "kind: report\nname: mails\ntitle: Mails\nprogram: calm-mails\n")
    jobs.load_documents()

    refused = problem(call("/calm-mails", "DELETE"), 409)

    assert "calm-mails" in refused["errors"][0]["detail"]
    assert read(call("/calm-mails"))["title"]


def test_a_program_with_gaps_is_not_launched_and_each_is_named_and_kept(call: Call) -> None:
    refused = problem(call(f"{CALM}/launch", "POST"), 409)

    assert {"pointer": "/problem", "detail": refused["errors"][0]["detail"]} in refused["errors"]
    [event] = db.session.scalars(select(ProgramEvent)).all()
    assert (event.what, event.by.startswith("HR (")) == ("refused", True)


def test_a_program_is_launched_once_and_anew_with_a_reason(call: Call) -> None:
    read(put(call, agreed(call)))
    launched = read(call(f"{CALM}/launch", "POST"))
    assert (launched["state"], launched["agreed"]) == ("launched", launched["document"])
    assert "with this very contract" in problem(call(f"{CALM}/launch", "POST"), 409)["detail"]

    changed = read(put(call, agreed(call, stakes="Other stakes")))
    assert (changed["state"], changed["agreed"]["stakes"]) == ("changed since the launch", "Customers' patience.")
    assert "say why" in problem(call(f"{CALM}/launch", "POST", json={}), 409)["detail"]
    again = read(call(f"{CALM}/launch", "POST", json={"because": "the board asked"}))
    assert (again["contract"], again["agreed"]["stakes"]) == (2, "Other stakes")
    assert [one["because"] for one in again["history"]] == [None, "the board asked"]


def test_an_impact_is_told_once_there_is_one(call: Call) -> None:
    assert "Nothing has been estimated" in problem(call(f"{CALM}/impact"), 404)["detail"]
    db.session.add(Impact(program="calm-calls", engine="1", data_hash="d", contract_hash="c", result={"primary": "x"}))
    db.session.commit()

    told = read(call(f"{CALM}/impact"))
    assert (told["program"], told["primary"], told["data_hash"]) == ("calm-calls", "x", "d")


CHANGES = ((CALM, "PUT"), (CALM, "DELETE"), (f"{CALM}/launch", "POST"))
READS = ("", CALM, f"{CALM}/impact")


@pytest.mark.parametrize(("path", "method"), CHANGES)
@pytest.mark.parametrize("scopes", [(access.REPORTS,), (access.REPORTS, access.PEOPLE), ("all",)])
def test_changing_needs_its_own_scope(call: Call, path: str, method: str, scopes: tuple[str, ...]) -> None:
    refused = problem(call(path, method, headers=credential(*scopes), json={}), 403)

    assert refused["scope"] == access.PROGRAMS
    assert db.session.scalar(select(ProgramEvent)) is db.session.scalar(select(EditedDocument)) is None


@pytest.mark.parametrize("path", READS)
def test_reading_needs_its_scope(call: Call, path: str) -> None:
    assert problem(call(path, headers=credential(access.PROGRAMS)), 403)["scope"] == access.REPORTS
    problem(call(path, headers={}), 401)


def test_editing_programs_does_not_let_anyone_change_people(call: Call, company: Company) -> None:
    answer = company.app.test_client().post(
        "/api/v1/learners/merge", json={"keep": "a", "other": "b"}, headers=credential(access.REPORTS, access.PROGRAMS)
    )
    assert problem(answer, 403)["scope"] == access.PEOPLE


@pytest.mark.parametrize(("path", "method"), [("/none", "GET"), ("/none/launch", "POST"), ("/none/impact", "GET")])
def test_a_program_that_is_not_there_is_not_found(call: Call, path: str, method: str) -> None:
    assert "'none'" in problem(call(path, method), 404)["detail"]
