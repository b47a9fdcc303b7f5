"""The activities resource: xAPI 1.0.3, Communication 2.5."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse
from xapi_samples import statement

from lrs import activities
from lrs.models import ActivityDefinition

COURSE = "http://example.com/courses/1"


def ask(client: Any, method: str = "GET", **query: str) -> TestResponse:
    response: TestResponse = client.http.open(
        "/xapi/activities", method=method, query_string=query, headers=client.headers
    )
    return response


def found(client: Any, activity_id: str = COURSE) -> dict[str, Any]:
    response = ask(client, activityId=activity_id)
    assert response.status_code == 200
    return dict(response.json)


def told(definition: dict[str, Any] | None = None, activity_id: str = COURSE) -> dict[str, Any]:
    return statement(object={"id": activity_id} | ({} if definition is None else {"definition": definition}))


def test_an_unknown_activity_is_its_id(client: Any) -> None:
    assert found(client, "http://example.com/unknown") == {
        "objectType": "Activity",
        "id": "http://example.com/unknown",
    }


def test_an_activity_that_was_only_named_is_its_id(client: Any) -> None:
    client.store(told())

    assert found(client) == {"objectType": "Activity", "id": COURSE}


def test_all_languages_of_all_statements_come_together(client: Any) -> None:
    client.store(
        told({"name": {"en": "Course", "de": "Kurs"}, "description": {"en": "All of it"}}),
        told({"name": {"fr": "Cours", "en": "The course"}}),
    )

    assert found(client)["definition"] == {
        "name": {"en": "The course", "de": "Kurs", "fr": "Cours"},
        "description": {"en": "All of it"},
    }


def test_the_later_list_of_components_stands(client: Any) -> None:
    """Half of one list and half of another would be neither."""
    first, second = [[{"id": one}, {"id": "c"}] for one in ("a", "b")]
    kind = {"type": "http://adlnet.gov/expapi/activities/cmi.interaction", "interactionType": "choice"}
    client.store(
        told({**kind, "choices": first, "correctResponsesPattern": ["a"], "moreInfo": "http://a.b"}),
        told({**kind, "choices": second, "correctResponsesPattern": ["b"]}),
    )

    assert found(client)["definition"] == {
        **kind,
        "choices": second,
        "correctResponsesPattern": ["b"],
        "moreInfo": "http://a.b",
    }


def test_extensions_come_together(client: Any) -> None:
    client.store(told({"extensions": {"http://x/1": 1, "http://x/2": [2]}}), told({"extensions": {"http://x/1": {}}}))

    assert found(client)["definition"] == {"extensions": {"http://x/1": {}, "http://x/2": [2]}}


def test_an_activity_of_thousand_definitions_is_merged_from_the_newest(
    client: Any, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activities, "MAX_DEFINITIONS", 3)
    client.store(*[told({"extensions": {f"http://x/{number}": number}}) for number in range(5)])

    assert session.query(ActivityDefinition).count() == 5
    assert found(client)["definition"] == {"extensions": {f"http://x/{number}": number for number in (2, 3, 4)}}


def test_who_may_not_define_changes_nothing(client: Any, make_client: Callable[..., Any]) -> None:
    """Communication 4.2, scope define."""
    client.store(told({"name": {"en": "Course"}}))
    make_client("statements/write").store(told({"name": {"en": "Free money"}}))

    assert found(client)["definition"] == {"name": {"en": "Course"}}


def test_head_is_get_without_the_body(client: Any) -> None:
    client.store(told({"name": {"en": "Course"}}))

    head, get = ask(client, "HEAD", activityId=COURSE), ask(client, activityId=COURSE)

    assert (head.status_code, head.data, head.headers) == (200, b"", get.headers)
    assert get.headers["ETag"]


@pytest.mark.parametrize(
    "query", [{}, {"activityId": "no-scheme"}, {"activityid": COURSE}, {"activityId": COURSE, "foo": "1"}]
)
def test_wrong_parameters_are_a_400(client: Any, query: dict[str, str]) -> None:
    response = ask(client, **query)

    assert response.status_code == 400
    assert response.json["pointer"]


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_another_method_is_a_405(client: Any, method: str) -> None:
    response = ask(client, method)

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
