"""The agents resource: xAPI 1.0.3, Communication 2.4."""

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse


def ask(client: Any, method: str = "GET", **query: Any) -> TestResponse:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}
    response: TestResponse = client.http.open("/xapi/agents", method=method, query_string=texts, headers=client.headers)
    return response


@pytest.mark.parametrize(
    "agent",
    [
        {"mbox": "mailto:ana@example.com"},
        {"mbox_sha1sum": "0" * 40},
        {"openid": "http://ana.example.com/"},
        {"account": {"homePage": "http://example.com", "name": "ana|\u00e9"}},
        {"objectType": "Agent", "name": "Ana", "mbox": "mailto:Ana@example.com"},
    ],
)
def test_an_agent_is_a_person_of_lists(client: Any, agent: dict[str, Any]) -> None:
    """Also one that no statement names: the Person says what was asked with."""
    response = ask(client, agent=agent)

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.json == {
        "objectType": "Person",
        **{name: [value] for name, value in agent.items() if name != "objectType"},
    }


def test_head_is_get_without_the_body(client: Any) -> None:
    agent = {"mbox": "mailto:ana@example.com"}

    head, get = ask(client, "HEAD", agent=agent), ask(client, agent=agent)

    assert (head.status_code, head.data, head.headers) == (200, b"", get.headers)
    assert get.headers["ETag"]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"agent": "not JSON"},
        {"agent": {}},
        {"agent": {"name": "Ana"}},
        {"agent": {"mbox": ["mailto:ana@example.com"]}},  # not a Person
        {"agent": {"objectType": "Group", "mbox": "mailto:team@example.com"}},  # nor a Group
        {"agent": {"mbox": "mailto:a@b.c", "openid": "http://a.b"}},
        {"Agent": {"mbox": "mailto:a@b.c"}},
        {"agent": {"mbox": "mailto:a@b.c"}, "foo": "1"},
    ],
)
def test_what_is_no_agent_is_a_400(client: Any, query: dict[str, Any]) -> None:
    response = ask(client, **query)

    assert response.status_code == 400
    assert response.json["pointer"] in {"agent", "Agent", "foo"}


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_another_method_is_a_405(client: Any, method: str) -> None:
    assert ask(client, method).status_code == 405
