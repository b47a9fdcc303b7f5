"""The OpenAPI document says what is true: of routes, parameters and answers."""

import os
import re
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks

from lrs import openapi
from lrs.xapi import parameters

LONG = "LRS_BRIDGE_FUZZ" in os.environ
EXAMPLES = 1000 if LONG else 5
URL = "http://lrs.example.com/xapi"
OPERATIONS = [(path, method) for path, item in openapi.document(URL)["paths"].items() for method in item]


WHAT_IS_SAID = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.not_a_server_error,
]
"""Not that all that fits is accepted: JSON Schema has no words for half of the rules of xAPI."""


CASES = [
    (path, method, mode)
    for path, method in OPERATIONS
    for mode in GenerationMode
    # To make statements that do not fit takes schemathesis seconds each; test_fuzz.py does it in its own way.
    if LONG
    or mode is GenerationMode.POSITIVE
    or (path, method) not in {("/statements", "post"), ("/statements", "put")}
]


@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_every_request_is_answered_as_the_document_says(
    app: Flask, client: Any, path: str, method: str, mode: GenerationMode
) -> None:
    """What fits the document as it says; what does not, somehow."""
    held = WHAT_IS_SAID if mode is GenerationMode.POSITIVE else [checks.not_a_server_error]
    operation = schemathesis.openapi.from_wsgi("/xapi/openapi.json", app)[path][method]

    @settings(max_examples=EXAMPLES)
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered(case: Any) -> None:
        case.call_and_validate(headers=client.headers, checks=held)

    try:
        answered()
    except Unsatisfiable:
        pytest.skip("there is no other way to ask this")


def test_document_has_every_route_and_no_other(app: Flask) -> None:
    routes = {
        (re.sub(r"<(?:[^>]*:)?(\w+)>", r"{\1}", rule.rule.removeprefix("/xapi")), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("xapi.") and rule.endpoint != "xapi.unknown"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert set(OPERATIONS) == routes


def test_document_has_every_parameter_of_statements() -> None:
    described = openapi.document(URL)["paths"]["/statements"]["get"]["parameters"]

    assert {one["name"] for one in described if one.get("in") == "query"} == set(parameters._READERS)
