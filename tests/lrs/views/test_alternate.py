"""The alternate request syntax: xAPI 1.0.3, Communication 1.3."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from werkzeug.test import create_environ
from xapi_samples import ANA, ID, statement

from lrs.views.alternate import MAX_FORM_BYTES, REFUSED, AlternateSyntax

FORM = "application/x-www-form-urlencoded"


def send(
    client: Any,
    query: str,
    form: dict[str, str] | bytes,
    content_type: str = FORM,
    headers: Any = None,
    path: str = "statements",
) -> Any:
    body = form if isinstance(form, bytes) else urlencode(form, quote_via=quote).encode()
    headers = client.headers if headers is None else headers
    return client.http.post(f"/xapi/{path}?{query}", data=body, content_type=content_type, headers=headers)


def put(**changes: Any) -> dict[str, str]:
    return {"statementId": ID, "content": json.dumps(statement())} | changes


def test_put_is_done(client: Any) -> None:
    response = send(client, "method=PUT", put())

    assert (response.status_code, response.data) == (204, b"")
    assert client.get(statementId=ID).json["actor"] == ANA


def test_post_is_done(client: Any) -> None:
    response = send(client, "method=POST", {"content": json.dumps([statement(id=ID)])})

    assert (response.status_code, response.json) == (200, [ID])


def test_get_is_done_with_a_query_longer_than_any_address(client: Any) -> None:
    actor = ANA["account"] | {"name": "é" * 20_000}
    client.store(statement(id=ID, actor={"account": actor}), statement())

    response = send(client, "method=GET", {"agent": json.dumps({"account": actor}), "limit": "5"})

    assert [one["id"] for one in response.json["statements"]] == [ID]


def test_form_fields_stand_for_headers(client: Any) -> None:
    """The only headers that some browsers send are those that they make themselves."""
    response = send(client, "method=PUT", put() | client.headers | {"Content-Type": "application/json"}, headers={})

    assert response.status_code == 204


def test_form_is_read_whatever_the_content_type_says(client: Any) -> None:
    """Storyline says text/plain, so that the browser asks no permission first."""
    for content_type in ("text/plain;charset=UTF-8", "application/json", "", "x"):
        assert send(client, "method=PUT", put() | client.headers, content_type, headers={}).status_code == 204


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"X-Experience-API-Version": "0.8"}, 400),  # the form outdoes the header
        ({"x-experience-api-version": "1.0"}, 204),  # headers are not told apart by case
        ({"Authorization": "Basic eA=="}, 401),
        ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": "application/json; charset=UTF-8"}, 204),
        ({"Content-Length": "7"}, 204),  # as counted in characters, or not at all
        ({"If-Match": "x\r\nHost: y"}, 400),
        ({"limit": "5"}, 400),  # any other field is a query parameter
        ({"Accept-Language": "en"}, 400),
        ({"content": "\x00"}, 400),
        ({"content": "{"}, 400),
    ],
)
def test_fields_count_as_what_they_stand_for(client: Any, changes: dict[str, str], status: int) -> None:
    assert send(client, "method=PUT", put(**changes)).status_code == status


@pytest.mark.parametrize(
    "query", [f"method=PUT&statementId={ID}", "method=PUT&method=PUT", "x=1&method=PUT", "method=PUT&x"]
)
def test_nothing_but_method_stands_in_the_query(client: Any, query: str) -> None:
    assert send(client, query, put()).status_code == 400


@pytest.mark.parametrize("method", ["", "put", "HEAD", "PATCH", "OPTIONS", "x", "%00", "%ff"])
def test_method_is_one_of_four(client: Any, method: str) -> None:
    response = send(client, f"method={method}", put())

    assert response.status_code == 400
    assert response.json["pointer"] == "method"


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_only_post_carries_it(client: Any, method: str) -> None:
    response = client.http.open("/xapi/statements?method=POST", method=method, json=statement(), headers=client.headers)

    assert response.status_code in {400, 405}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        json.dumps({"statementId": ID, "content": statement()}).encode(),  # not URL encoded
        b"content=%ff",
        b"content=\xff",
        "content=x".encode("utf-16"),
        b"&".join(b"a=b" for _ in range(1000)),
        urlencode({"statementId": ID}).encode(),
    ],
)
def test_what_is_no_form_with_content_is_refused(client: Any, body: bytes) -> None:
    for method in ("PUT", "POST"):
        response = send(client, f"method={method}", body)

        assert response.status_code == 400
        assert response.json["rule"]
        assert response.headers["X-Experience-API-Version"]
        assert response.headers["X-Experience-API-Consistent-Through"]
    assert client.found() == []


def test_documents_come_this_way_too_and_none_without_content(client: Any) -> None:
    place = {"activityId": "a:b", "agent": json.dumps(ANA), "stateId": "suspend_data"}

    assert send(client, "method=PUT", place, path="activities/state").status_code == 400
    assert send(client, "method=PUT", place | {"content": ""}, path="activities/state").status_code == 204
    kind = {"Content-Type": "text/plain"}
    assert send(client, "method=PUT", place | kind | {"content": "2é"}, path="activities/state").status_code == 204
    read = send(client, "method=GET", place, path="activities/state")
    assert (read.text, read.mimetype) == ("2é", "text/plain")
    assert send(client, "method=DELETE", place, path="activities/state").status_code == 204


def test_content_comes_once_and_so_do_headers(client: Any) -> None:
    for again in ("content=x", "Authorization=x&Authorization=x"):
        assert send(client, "method=PUT", f"{urlencode(put())}&{again}".encode()).status_code == 400


def test_form_over_the_limit_is_a_413_also_from_a_stranger(client: Any) -> None:
    assert send(client, "method=PUT", put(content="x" * 200_000), headers={}).status_code == 413


@pytest.mark.parametrize(("size", "status"), [(MAX_FORM_BYTES, None), (MAX_FORM_BYTES + 1, 413)])
def test_form_has_a_limit_of_its_own_as_nobody_knows_whose_it_is(size: int, status: int | None) -> None:
    seen: dict[str, Any] = {}
    layer = AlternateSyntax(lambda environ, _: seen.update(environ), prefix="/xapi", max_body_bytes=2**40)
    form = b"X-Experience-API-Version=1.0.3&content="

    layer(create_environ("/xapi/statements?method=POST", method="POST", data=form.ljust(size, b"x")), None)

    assert getattr(seen.get(REFUSED), "status", None) == status


def test_stranger_is_refused(client: Any) -> None:
    assert send(client, "method=PUT", put(**{"X-Experience-API-Version": "1.0.3"}), headers={}).status_code == 401
    assert send(client, "method=PUT", put(), headers={}).status_code == 400  # no version either


def test_xapi_2_has_no_such_syntax(client: Any) -> None:
    for version in ("2.0.0", "2.0"):
        response = send(client, "method=PUT", put(**{"X-Experience-API-Version": version}))

        assert response.status_code == 400
        assert "2.0" in response.json["rule"]
    assert client.found() == []


def test_text_beyond_ascii_comes_through(client: Any) -> None:
    send(
        client, "method=PUT", put(content=json.dumps(statement(result={"response": "é & = + 😀"}), ensure_ascii=False))
    )

    assert client.get(statementId=ID).json["result"]["response"] == "é & = + 😀"


def test_paths_outside_the_prefix_are_left_alone(client: Any) -> None:
    assert client.http.post("/elsewhere?method=GET").status_code == 404


@pytest.mark.parametrize("path", ["/xapi//statements", "//xapi/statements", "/xapi///activities//state"])
def test_slashes_too_many_are_no_redirect(client: Any, path: str) -> None:
    """The endpoint ends in a slash, and senders add another; they follow no redirect."""
    answer = client.http.get(path, headers=client.headers)

    assert answer.status_code == (404 if path.startswith("//") else 400 if "state" in path[-5:] else 200)
