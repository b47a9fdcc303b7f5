"""`/api/v1/openapi.json` says what is true: of routes, parameters and answers."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from company import Company
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import just
from openapi_spec_validator import validate
from schemathesis import GenerationMode, checks
from sqlalchemy import text
from viewers import CALM, NORTH, Viewer, fill, issue

from bridge import access
from bridge.reconcile import running
from bridge.reconcile.kept import Area
from bridge.views import openapi
from lrs import db

EXAMPLES = 5
KNOWN = {
    "program": CALM,
    "name": "calm",
    "learner": f"emp-{NORTH[0]}",
    "word": f"emp-{NORTH[0]}",
}
"""What path parameters may be so that something is found."""
WHAT_IS_SAID = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.not_a_server_error,
]


@pytest.fixture
def viewer(company: Company) -> Viewer:
    fill(company)
    return issue(access.REPORTS, access.PEOPLE, access.PROGRAMS)


def document(app: Flask) -> dict[str, Any]:
    return app.test_client().get("/api/v1/openapi.json").get_json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_it_is_open_to_all_and_a_valid_document(app: Flask) -> None:
    found = document(app)

    assert found["openapi"] == "3.1.0"
    validate(found)


def test_it_has_every_route_and_no_other(app: Flask) -> None:
    routes = {(path, method) for path, method, _ in openapi.routes(app)}

    assert {(path, method) for path, method, _ in operations(document(app))} == routes
    assert len(routes) > 20


def test_it_names_the_scope_of_each_operation_and_its_errors(app: Flask) -> None:
    for path, method, operation in operations(document(app)):
        if path == "/api/v1/openapi.json":
            assert operation["security"] == []
            continue
        [[scope]] = [one["basic"] for one in operation["security"]]
        expected = access.PROGRAMS if path.startswith("/api/v1/programs") else access.PEOPLE
        assert scope == (access.REPORTS if method == "get" else expected), path
        assert operation["responses"].keys() >= {"200", "400", "401", "403", "429", "503"}
        assert ("304" in operation["responses"]) is (method == "get")


def test_parameters_and_bodies_are_those_that_views_check(app: Flask) -> None:
    found = document(app)
    by_id = {one["operationId"]: one for _, _, one in operations(found)}

    asked = {one["name"] for one in by_id["plugins.list_changes"]["parameters"] if "name" in one}
    assert asked == {"feed", "after", "limit", "site"}
    merge = by_id["people.merge"]["requestBody"]["content"]["application/json"]["schema"]
    assert merge == {"$ref": "#/components/schemas/MergeBody"}
    assert found["components"]["schemas"]["MergeBody"]["required"] == ["keep", "other"]
    launch = by_id["programs.launch_program"]["requestBody"]
    assert launch["required"] is False


def test_a_view_that_does_not_say_what_it_takes_is_noticed(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(app.view_functions["api.people.list_learners"], "operation")

    with pytest.raises(LookupError, match=r"api\.people\.list_learners"):
        openapi.document(app)


def reads(app: Flask) -> list[str]:
    return [path for path, method, _ in openapi.routes(app) if method == "get"]


def test_every_get_is_answered_as_it_says(viewer: Viewer, company: Company) -> None:
    """What fits the document as it says; what does not, without a fault."""
    found = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", company.app)
    statuses = {path: set(drive(found[path]["GET"], viewer)) for path in reads(company.app)}

    assert len(statuses) > 15
    assert all(statuses.values())
    assert set().union(*statuses.values()) >= {200, 400, 404}


def test_every_change_is_answered_as_it_says(viewer: Viewer, company: Company) -> None:
    found = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", company.app)
    changes = [(path, method.upper()) for path, method, _ in openapi.routes(company.app) if method != "get"]
    statuses = {(path, method): set(drive(found[path][method], viewer)) for path, method in changes}

    assert len(statuses) > 5
    assert all(statuses.values())
    assert set().union(*statuses.values()) >= {400, 404}


def sent(viewer: Viewer) -> dict[str, str]:
    """Give headers; schemathesis takes gzip over the wire alone, and says all the same that it does."""
    return viewer.headers | {"Accept-Encoding": "identity"}


def drive(operation: Any, viewer: Viewer) -> Iterator[int]:
    """Ask in many ways; gives the statuses."""
    statuses: list[int] = []
    for mode in GenerationMode:
        held = WHAT_IS_SAID if mode is GenerationMode.POSITIVE else [checks.not_a_server_error]

        def answered(case: Any, held: Any) -> None:
            statuses.append(case.call_and_validate(headers=sent(viewer), checks=held).status_code)

        made = given(case=operation.as_strategy(generation_mode=mode), held=just(held))(answered)
        with suppress(Unsatisfiable):  # there is no other way to ask this
            settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))(made)()
    yield from statuses


def test_what_is_found_is_as_the_document_says(viewer: Viewer, company: Company) -> None:
    """What is made up finds little: here each resource is asked for what is there."""
    found = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", company.app)
    statement = db.session.scalar(text("select id from statement limit 1"))
    record = db.session.scalar(text("select key from source_record where source = 'helpdesk' limit 1"))
    known = {"statement": str(statement), "record": f"helpdesk/{record}"}
    running.run([Area.SOURCES, Area.IDENTITIES])

    for path in reads(company.app):
        queries: list[dict[str, Any]] = [{}]
        if path == "/api/v1/changes":
            queries = [{"feed": feed} for feed in ("records", "measures", "impacts", "readiness", "health")]
        elif path == "/api/v1/explain":
            queries = [{name: value} for name, value in known.items()]
        for query in queries:
            operation = found[path]["GET"]
            case = operation.Case(path_parameters=KNOWN, query=query, headers=sent(viewer))
            answer = case.call()
            assert answer.status_code == 200, (path, query, answer.text)
            case.validate_response(answer, checks=WHAT_IS_SAID)
            content = answer.json()
            for several in ("items", "rows"):
                assert content.get(several) != [] or path in EMPTY, (path, query)


EMPTY = {"/api/v1/decisions", "/api/v1/suggestions"}
"""Nothing was decided, and no name is that of one learner alone."""
