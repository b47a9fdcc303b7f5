"""Scripts in a browser, on other hosts than ours (checklist 41)."""

from typing import Any

import pytest
from flask import Flask
from xapi_samples import ID

REQUEST_HEADERS = (
    "Authorization Content-Type X-Experience-API-Version X-Experience-API-Hash If-Match If-None-Match Accept-Language"
)
RESPONSE_HEADERS = (
    "ETag Last-Modified X-Experience-API-Version X-Experience-API-Consistent-Through Retry-After X-LRS-Bridge-Refused"
)
RESOURCES = ["about", "statements", "activities", "activities/state", "activities/profile", "agents", "agents/profile"]


def names(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


@pytest.mark.parametrize("resource", [*RESOURCES, "statements/more/x"])
def test_preflight_needs_no_credential_and_allows_what_xapi_sends(app: Flask, resource: str) -> None:
    response = app.test_client().options(
        f"/xapi/{resource}",
        headers={
            "Origin": "http://course.example.com",
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,x-experience-api-version",
        },
    )

    assert (response.status_code, response.data) == (204, b"")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert {"get", "head", "put", "post", "delete"} <= names(response.headers["Access-Control-Allow-Methods"])
    assert {one.lower() for one in REQUEST_HEADERS.split()} <= names(response.headers["Access-Control-Allow-Headers"])
    assert response.headers["X-Experience-API-Version"]


@pytest.mark.parametrize("resource", RESOURCES)
def test_answers_may_be_read_by_scripts_errors_too(client: Any, resource: str) -> None:
    for headers in (client.headers, client.headers | {"Authorization": "Basic eA=="}, {}):
        response = client.http.get(f"/xapi/{resource}", query_string={"foo": ID}, headers=headers)

        assert response.headers["Access-Control-Allow-Origin"] == "*"
        exposed = names(response.headers["Access-Control-Expose-Headers"])
        assert {one.lower() for one in RESPONSE_HEADERS.split()} <= exposed


def test_too_large_and_malformed_may_be_read_by_scripts(client: Any) -> None:
    for body, status in ((b" " * 200_001, 413), (b"[", 400)):
        response = client.post(body)

        assert response.status_code == status
        assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_no_cookie_is_allowed_for(client: Any) -> None:
    assert "Access-Control-Allow-Credentials" not in client.get().headers
