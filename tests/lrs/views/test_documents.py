"""The document resources over HTTP: xAPI 1.0.3, Communication 2.2, 2.3, 2.6, 2.7 and 3.1."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.http import parse_date
from werkzeug.test import TestResponse

ACTIVITY = "http://example.com/activities/1"
ANA = {"mbox": "mailto:ana@example.com"}
BO = {"account": {"homePage": "http://example.com", "name": "bo"}}
REGISTRATION = "ec531277-b57b-4c15-8d91-d292c5b2b8f7"
STATE, ACTIVITY_PROFILE, AGENT_PROFILE = "activities/state", "activities/profile", "agents/profile"
ABOUT: dict[str, dict[str, Any]] = {
    STATE: {"activityId": ACTIVITY, "agent": ANA},
    ACTIVITY_PROFILE: {"activityId": ACTIVITY},
    AGENT_PROFILE: {"agent": ANA},
}
RESOURCES = [STATE, ACTIVITY_PROFILE, AGENT_PROFILE]
PROFILES = RESOURCES[1:]
NEW = {"If-None-Match": "*"}


def id_name(resource: str) -> str:
    return "stateId" if resource == STATE else "profileId"


@dataclass(frozen=True)
class Documents:
    """A client at work on one of the three resources."""

    client: Any
    resource: str

    def ask(
        self,
        method: str,
        document_id: str | None = "x",
        data: object = None,
        *,
        content_type: str | None = "application/json",
        headers: dict[str, str] | None = None,
        **parameters: Any,
    ) -> TestResponse:
        names = {**ABOUT[self.resource], id_name(self.resource): document_id, **parameters}
        query = {name: json.dumps(one) if isinstance(one, dict) else one for name, one in names.items()}
        response: TestResponse = self.client.http.open(
            f"/xapi/{self.resource}",
            method=method,
            query_string={name: one for name, one in query.items() if one is not None},
            data=data if isinstance(data, bytes) else json.dumps(data).encode() if data is not None else None,
            content_type=content_type if data is not None else None,
            headers=self.client.headers | (headers or {}),
        )
        return response

    def put(self, document_id: str = "x", data: object = None, **options: Any) -> TestResponse:
        return self.ask("PUT", document_id, {} if data is None else data, **({"headers": NEW} | options))

    def post(self, document_id: str = "x", data: object = None, **options: Any) -> TestResponse:
        return self.ask("POST", document_id, {} if data is None else data, **options)

    def get(self, document_id: str | None = "x", **options: Any) -> TestResponse:
        return self.ask("GET", document_id, **options)

    def delete(self, document_id: str | None = "x", **options: Any) -> TestResponse:
        return self.ask("DELETE", document_id, **options)

    def ids(self, **parameters: Any) -> list[str]:
        response = self.get(None, **parameters)
        assert response.status_code == 200, response.text
        return list(response.json)


@pytest.fixture(params=RESOURCES)
def every(request: pytest.FixtureRequest, client: Any) -> Documents:
    """Each of the resources."""
    return Documents(client, request.param)


@pytest.fixture(params=PROFILES)
def profiles(request: pytest.FixtureRequest, client: Any) -> Documents:
    return Documents(client, request.param)


@pytest.fixture
def state(client: Any) -> Documents:
    return Documents(client, STATE)


# --- keeping and giving back: 2.2 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b'{"a": 1}', "application/json"),
        (b"lastViewed=12&progress=0.5", "application/json"),  # as Rise and Captivate send it
        (b"", "text/plain"),
        (bytes(range(256)) * 3, "application/octet-stream"),
        ("\u00e9\u0000\U0001f600".encode("utf-16"), 'text/plain; charset="UTF-16"'),
        (b"<script>", "text/html"),
        (b"x=%00&y", "application/x-www-form-urlencoded"),
        (b"--x\r\n\r\na\r\n--x--", "multipart/form-data; boundary=x"),
        (b"a", "not/json"),
    ],
)
def test_document_comes_back_as_it_was_sent(every: Documents, content: bytes, content_type: str) -> None:
    stored = every.put(data=content, content_type=content_type)
    found = every.get()

    assert (stored.status_code, stored.data) == (204, b"")
    assert found.status_code == 200
    assert found.data == content
    assert found.headers["Content-Type"] == content_type


def test_document_without_a_type_comes_back_as_bytes(every: Documents) -> None:
    assert every.put(data=b"a", content_type=None).status_code == 204

    assert every.get().headers["Content-Type"] == "application/octet-stream"


def test_put_replaces_the_whole_document(every: Documents) -> None:
    every.put(data={"a": 1})

    etag = every.get().headers["ETag"]
    replaced = every.put(data=b"b", content_type="text/plain", headers={"If-Match": etag})

    assert replaced.status_code == 204
    assert (every.get().data, every.get().headers["Content-Type"]) == (b"b", "text/plain")


def test_documents_are_apart_by_id_and_what_they_are_about(client: Any, every: Documents) -> None:
    others = [{"activityId": "http://example.com/other"}, {"agent": BO}, {"registration": REGISTRATION}]
    apart: list[dict[str, Any]] = [
        {},
        *[one for one in others if one.keys() <= {*ABOUT[every.resource], "registration"}],
    ]
    if every.resource != STATE:
        apart = [one for one in apart if "registration" not in one]
    for number, about in enumerate(apart):
        assert every.put("x", number, **about).status_code == 204
        assert every.put("y", -number, **about).status_code == 204

    for number, about in enumerate(apart):
        assert every.get("x", **about).json == number
        assert every.ids(**about) == ["x", "y"]


def test_the_three_resources_are_apart(client: Any) -> None:
    for number, resource in enumerate(RESOURCES):
        assert Documents(client, resource).put(data=number).status_code == 204

    assert [Documents(client, resource).get().json for resource in RESOURCES] == [0, 1, 2]


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"agent": ANA}, {"agent": {"objectType": "Agent", "name": "Ana", "mbox": "mailto:ANA@example.com"}}),
        ({"registration": REGISTRATION}, {"registration": REGISTRATION.upper()}),
    ],
)
def test_the_same_agent_and_registration_are_known_again(
    state: Documents, one: dict[str, Any], same: dict[str, Any]
) -> None:
    state.put(data=1, **one)

    assert state.get(**same).json == 1


def test_state_without_registration_is_apart_from_that_of_any(state: Documents) -> None:
    """The specification can be read otherwise; its authors mean this (xAPI-Spec issue 1086)."""
    state.put("mine", 1)
    state.put("of the registration", 2, registration=REGISTRATION)

    assert state.ids() == ["mine"]
    assert state.delete(None).status_code == 204
    assert state.ids(registration=REGISTRATION) == ["of the registration"]


@pytest.mark.parametrize(
    "document_id", ["", " ", "a/b?c=d&e#f", "\u00e9\u6f22\U0001f600", "%41", "'\"\\;--", "x" * 3000, "null"]
)
def test_any_text_is_an_id(every: Documents, document_id: str) -> None:
    assert every.put(document_id, [document_id]).status_code == 204

    assert every.get(document_id).json == [document_id]
    assert every.ids() == [document_id]


def test_megabytes_of_id_are_an_id(client: Any) -> None:
    """They come in a form: no line of a request is that long (1.3)."""
    state = Documents(client, STATE)
    about = {"activityId": "http://x.y/" + "a" * 50_000, "stateId": "b" * 50_000, "agent": json.dumps(ANA)}
    form = client.headers | about | {"If-None-Match": "*", "content": "1"}

    response = client.http.post("/xapi/activities/state?method=PUT", data=urlencode(form).encode())

    assert response.status_code == 204, response.text
    assert state.get(about["stateId"], activityId=about["activityId"]).json == 1


def test_body_over_the_limit_is_a_413(every: Documents) -> None:
    assert every.put(data=b"x" * 200_000).status_code == 204

    for too_large in (every.put("y", b"x" * 200_001), every.post("y", b"x" * 200_001)):
        assert too_large.status_code == 413
    assert every.ids() == ["x"]


# --- ETag, Last-Modified, HEAD: 2.2, 3.1, 1.1 ------------------------------------------------------------------------


def test_etag_is_the_sha1_of_the_content_in_quotes(every: Documents) -> None:
    content = b"\x00\xffabc"
    every.put(data=content, content_type="a/b")

    assert every.get().headers["ETag"] == f'"{hashlib.sha1(content).hexdigest()}"'  # noqa: S324


def test_ids_have_an_etag_too(every: Documents) -> None:
    every.put()

    listed = every.get(None)

    assert listed.headers["ETag"] == f'"{hashlib.sha1(listed.data).hexdigest()}"'  # noqa: S324


def test_last_modified_says_when_the_document_was_updated(every: Documents) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    every.put()
    first = parse_date(every.get().headers["Last-Modified"])
    time.sleep(1.1)
    every.post(data={"a": 1})
    second = parse_date(every.get().headers["Last-Modified"])

    assert first
    assert second
    assert before <= first < second <= datetime.now(UTC)
    assert parse_date(every.get(None).headers["Last-Modified"]) == second  # the most recent one's


def test_head_is_get_without_the_body(every: Documents) -> None:
    every.put(data={"a": 1})

    for document_id in ("x", None):
        head, get = every.ask("HEAD", document_id), every.get(document_id)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers == get.headers
        assert head.headers["Content-Length"] == str(len(get.data))
    assert every.ask("HEAD", "other").status_code == 404


def test_browsers_ask_again_and_hear_that_nothing_changed(every: Documents) -> None:
    every.put(data={"a": 1})
    first = every.get()

    again = every.get(headers={"If-None-Match": first.headers["ETag"]})
    every.post(data={"a": 2})
    changed = every.get(headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert (changed.status_code, changed.json) == (200, {"a": 2})


def test_a_document_runs_in_no_browser_on_our_host(every: Documents) -> None:
    every.put(data=b"<script>", content_type="text/html")

    assert every.get().headers["X-Content-Type-Options"] == "nosniff"
    assert every.get().headers["Content-Security-Policy"] == "sandbox"


# --- preconditions: 3.1 ----------------------------------------------------------------------------------------------

OLD = f'"{"1" * 40}"'


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_write_on_another_document_than_the_client_saw_fails(every: Documents, method: str) -> None:
    every.put(data={"a": 1})

    response = every.ask(method, data={"b": 1} if method != "DELETE" else None, headers={"If-Match": OLD})

    assert response.status_code == 412
    assert "current ETag" in response.json["remedy"]
    assert every.get().json == {"a": 1}


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_write_on_a_document_that_the_client_did_not_know_of_fails(every: Documents, method: str) -> None:
    every.put(data={"a": 1})

    response = every.ask(method, data={"b": 1}, headers=NEW)

    assert response.status_code == 412
    assert every.get().json == {"a": 1}


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_write_on_the_document_that_the_client_saw_goes_ahead(every: Documents, method: str) -> None:
    every.put(data={"a": 1})
    etag = every.get().headers["ETag"]

    response = every.ask(method, data={"b": 1} if method != "DELETE" else None, headers={"If-Match": etag})

    assert response.status_code == 204
    assert every.get().json != {"a": 1}


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_if_match_on_what_is_not_there_fails(every: Documents, method: str) -> None:
    for tag in (OLD, "*"):
        response = every.ask(method, data={} if method != "DELETE" else None, headers={"If-Match": tag})
        assert response.status_code == 412
    assert every.ids() == []


def test_put_of_a_profile_without_precondition_explains_what_to_do(profiles: Documents) -> None:
    profiles.put(data={"a": 1})

    response = profiles.put(data={"b": 1}, headers={})

    assert response.status_code == 409
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Check the current state of the resource" in response.text
    assert "If-Match header with its current ETag" in response.text
    assert profiles.get().json == {"a": 1}


def test_put_of_a_new_profile_without_precondition_is_a_400(profiles: Documents) -> None:
    response = profiles.put(headers={})

    assert response.status_code == 400
    assert "If-None-Match: *" in response.json["remedy"]
    assert profiles.ids() == []


def test_a_lenient_credential_names_the_agent_as_launch_links_do(make_client: Callable[..., Any]) -> None:
    """Content takes actor and agent from one link, in the notation of xAPI 0.9 (REPAIRS.md: list-for-one)."""
    agent = {"name": ["Ana"], "mbox": ["mailto:ana@example.com"], "objectType": "Person"}
    lenient, strict = Documents(make_client("all", lenient=True), STATE), Documents(make_client("all"), STATE)

    assert strict.ask("PUT", data={}, agent=agent).status_code == 400
    assert lenient.ask("PUT", data={}, agent=agent).status_code == 204
    assert strict.ask("GET", agent={"mbox": "mailto:ana@example.com"}).json == {}
    found = lenient.client.http.get(
        "/xapi/statements", query_string={"agent": json.dumps(agent)}, headers=lenient.client.headers
    )
    assert found.status_code == 200


def test_a_lenient_credential_loses_no_place_in_2_0(make_client: Callable[..., Any]) -> None:
    state = Documents(make_client("all", version="2.0.0", lenient=True), STATE)

    assert [state.ask("PUT", data=place).status_code for place in ("1", "2")] == [204, 204]


@pytest.mark.parametrize("path", PROFILES)
def test_a_lenient_credential_puts_a_new_profile_without_precondition(
    make_client: Callable[..., Any], path: str
) -> None:
    """As TinCanPython does; nothing is overwritten."""
    profiles = Documents(make_client("all", lenient=True), path)

    assert profiles.ask("PUT", data={}).status_code == 204
    assert profiles.ask("PUT", data={}).status_code == 409


def test_state_is_put_without_precondition(state: Documents) -> None:
    """As TinCanJS does; a 409 would lose the learner's place."""
    for number in range(3):
        assert state.put(data=number, headers={}).status_code == 204

    assert state.get().json == 2


def test_in_2_0_state_that_is_there_wants_a_precondition(make_client: Callable[..., Any]) -> None:
    state = Documents(make_client("all", version="2.0.0"), STATE)

    new = state.put(data=1, headers={})
    again = state.put(data=2, headers={})

    assert (new.status_code, again.status_code) == (204, 409)
    assert "If-Match" in again.text
    assert state.get().json == 1


def test_post_and_delete_need_no_precondition(every: Documents) -> None:
    every.put(data={"a": 1})

    assert every.post(data={"b": 2}).status_code == 204
    assert every.delete().status_code == 204


# --- merging: 2.2 ----------------------------------------------------------------------------------------------------


def test_post_merges_the_top_of_json_objects(every: Documents) -> None:
    every.put(data={"x": "foo", "y": {"a": 1, "b": 2}})

    posted = every.post(data={"x": "bash", "y": {"c": 3}, "z": None})

    assert posted.status_code == 204
    assert every.get().json == {"x": "bash", "y": {"c": 3}, "z": None}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_post_to_what_is_not_there_stores_it(every: Documents, content_type: str) -> None:
    assert every.post(data=b'{"a":  1}', content_type=content_type).status_code == 204

    assert (every.get().data, every.get().headers["Content-Type"]) == (b'{"a":  1}', content_type)


@pytest.mark.parametrize(
    ("stored", "posted"),
    [
        (("application/json", b"{}"), ("text/plain", b"{}")),
        (("text/plain", b"{}"), ("application/json", b"{}")),
        (("application/json", b"not JSON"), ("application/json", b"{}")),
        (("application/json", b"{}"), ("application/json", b"not JSON")),
        (("application/json", b"{}"), ("application/json", b"[1]")),
        (("application/json", b"[1]"), ("application/json", b"{}")),
        (("application/json", b"{}"), ("application/json", b"{}{")),
    ],
)
def test_what_cannot_be_merged_is_refused_and_nothing_changes(
    every: Documents, stored: tuple[str, bytes], posted: tuple[str, bytes]
) -> None:
    every.put(data=stored[1], content_type=stored[0])

    response = every.post(data=posted[1], content_type=posted[0])

    assert response.status_code == 400
    assert response.json["section"] == "Communication 2.2"
    assert (every.get().headers["Content-Type"], every.get().data) == stored


def test_post_that_says_json_and_is_none_is_refused_also_where_nothing_is(every: Documents) -> None:
    assert every.post(data=b"{}[").status_code == 400
    assert every.ids() == []


# --- ids: 2.3, 2.6, 2.7 ----------------------------------------------------------------------------------------------


def test_without_an_id_the_ids_are_given(every: Documents) -> None:
    assert every.ids() == []

    for document_id in ("b", "a"):
        every.put(document_id)

    assert every.ids() == ["b", "a"]


def test_since_leaves_out_what_was_not_updated_later(every: Documents) -> None:
    for document_id in ("a", "b"):
        every.put(document_id)
    time.sleep(0.01)
    between = datetime.now(UTC)
    time.sleep(0.01)
    every.put("c")
    every.post("a")

    assert every.ids(since=between.isoformat()) == ["c", "a"]
    assert every.ids(since=(between + timedelta(hours=1)).isoformat()) == []
    assert every.ids(since="0001-01-01T00:00:00Z") == ["b", "c", "a"]
    assert every.ids(since="9999-12-31T23:59:59.999999Z") == []


# --- deleting: 2.3 ---------------------------------------------------------------------------------------------------


def test_what_is_deleted_is_gone(every: Documents) -> None:
    every.put("x")
    every.put("y")

    assert every.delete("x").status_code == 204

    assert every.get("x").status_code == 404
    assert every.ids() == ["y"]
    assert every.delete("x").status_code == 204  # again


def test_all_state_of_a_context_is_deleted_and_no_other(state: Documents) -> None:
    for about in ({}, {"registration": REGISTRATION}, {"agent": BO}):
        for document_id in ("x", "y"):
            state.put(document_id, **about)

    assert state.delete(None, registration=REGISTRATION).status_code == 204

    assert state.ids(registration=REGISTRATION) == []
    assert state.ids() == state.ids(agent=BO) == ["x", "y"]


def test_profiles_are_not_deleted_as_a_whole(profiles: Documents) -> None:
    profiles.put()

    assert profiles.delete(None).status_code == 400
    assert profiles.ids() == ["x"]


def test_a_whole_context_has_no_etag_to_match(state: Documents) -> None:
    state.put()

    assert state.delete(None, headers={"If-Match": OLD}).status_code == 412
    assert state.ids() == ["x"]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize(
    "wrong", [{"foo": "1"}, {"ActivityId": ACTIVITY}, {"activityId": "x"}, {"agent": "{"}, {"agent": {"name": "Ana"}}]
)
def test_wrong_parameters_are_a_400_that_names_them(every: Documents, method: str, wrong: dict[str, Any]) -> None:
    response = every.ask(method, data={} if method in {"PUT", "POST"} else None, headers=NEW, **wrong)

    assert response.status_code == 400
    assert response.json["pointer"] == next(iter(wrong))
    assert response.json["remedy"]


def test_what_is_required_is_required(every: Documents) -> None:
    for method in ("GET", "PUT", "POST", "DELETE"):
        for name in ABOUT[every.resource]:
            response = every.ask(method, data={} if method in {"PUT", "POST"} else None, headers=NEW, **{name: None})
            assert (response.status_code, response.json["pointer"]) == (400, name)
    assert every.put(None).status_code == every.post(None).status_code == 400  # type: ignore[arg-type]


def test_a_nul_in_an_id_is_a_400(every: Documents) -> None:
    assert every.put("a\x00b").status_code == 400


def test_a_content_type_that_no_header_can_hold_is_a_400(client: Any) -> None:
    """A form (1.3) can carry it; a GET could not give it back."""
    about = {"activityId": ACTIVITY, "stateId": "x", "agent": json.dumps(ANA)}
    form = client.headers | about | {"Content-Type": "text/\u6f22", "content": "1"}

    response = client.http.post("/xapi/activities/state?method=PUT", data=urlencode(form).encode())

    assert (response.status_code, response.json["section"]) == (400, "Communication 2.2")


def test_another_method_is_a_405(every: Documents) -> None:
    assert every.ask("PATCH").status_code == 405


any_client = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)


@any_client
@given(
    content=st.binary() | st.sampled_from([b'{"a":"\\ud800"}', b'{"\\u0000":1}', b'{"a":1e999}', b'{"a":1,"a":2}']),
    content_type=st.sampled_from(["application/json", "text/plain", "multipart/mixed", "x"]),
)
def test_any_content_is_kept_or_refused(client: Any, content: bytes, content_type: str) -> None:
    state = Documents(client, STATE)

    put = state.put(data=content, content_type=content_type, headers={})
    assert (put.status_code, state.get().data) == (204, content)

    assert state.post(data=content, content_type=content_type).status_code in {204, 400}
    assert state.post(data={"b": 1}).status_code in {204, 400}
    assert state.get().status_code == 200


@any_client
@given(
    tag=st.text(st.characters(min_codepoint=32, max_codepoint=126)), name=st.sampled_from(["If-Match", "If-None-Match"])
)
def test_any_precondition_holds_or_fails(client: Any, tag: str, name: str) -> None:
    profile = Documents(client, ACTIVITY_PROFILE)

    assert profile.put(data=tag, headers={name: tag}).status_code in {204, 412}
