"""Posting statements to an LRS: in order, in batches, each once, and clear about what came of it."""

import json
from itertools import count, islice

import pytest
import requests
import responses

from connectors import DestinationRefused, DestinationUnavailable, http_session, lrs

URL = "https://lrs.example.com/xapi/statements"


@pytest.fixture
def web():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def waits():
    return []


@pytest.fixture
def post(waits):
    def run(statements, *, endpoint="https://lrs.example.com/xapi/", **keys):
        with http_session() as session:
            yield from lrs.post_statements(session, endpoint, "key", "s3cret", statements, sleep=waits.append, **keys)

    return run


def statements(number):
    return [
        {"id": f"00000000-0000-4000-8000-{n:012}", "timestamp": "2026-01-01T00:00:00.1234567Z"} for n in range(number)
    ]


def sent(web):
    return [json.loads(call.request.body) for call in web.calls]


def test_statements_go_in_batches_in_their_order_as_they_are(web, post):
    web.post(URL, json=[])

    assert list(post(statements(5), batch=2)) == [2, 4, 5]
    assert sent(web) == [statements(5)[:2], statements(5)[2:4], statements(5)[4:]]


@pytest.mark.parametrize("endpoint", ["https://lrs.example.com/xapi", "https://lrs.example.com/xapi/"])
def test_request_is_as_the_specification_wants_it(web, post, endpoint):
    web.post(URL, json=[])

    list(post(statements(1), endpoint=endpoint, version="2.0.0"))

    headers = web.calls[0].request.headers
    assert headers["X-Experience-API-Version"] == "2.0.0"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == requests.auth._basic_auth_str("key", "s3cret")


def test_nothing_to_post_calls_nobody(web, post):
    assert list(post([])) == []
    assert len(web.calls) == 0


def test_no_more_than_a_batch_is_taken_ahead(web, post):
    web.post(URL, json=[])
    endless = ({"id": str(number)} for number in count())

    assert list(islice(post(endless, batch=10), 3)) == [10, 20, 30]
    assert next(endless) == {"id": "30"}


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 503},
        {"status": 429},
        {"status": 502},
        {"body": requests.ConnectionError()},
        {"body": requests.ReadTimeout()},  # it may have been stored: the ids make it harmless
    ],
)
def test_batch_is_tried_again_with_the_same_ids(web, post, waits, failure):
    web.post(URL, **failure)
    web.post(URL, json=[])

    assert list(post([{"verb": "a"}, {"verb": "b"}])) == [2]
    first, second = sent(web)
    assert first == second
    assert len({statement["id"] for statement in first}) == 2
    assert len(waits) == 1


def test_waits_grow_and_end(web, post, waits):
    web.post(URL, status=503)

    with pytest.raises(DestinationUnavailable, match="answered 503"):
        list(post(statements(1)))

    assert len(web.calls) == lrs.ATTEMPTS
    assert [round(wait / 2**place) for place, wait in enumerate(waits)] == [1, 1, 1, 1]


def test_wait_that_the_lrs_asks_for_is_kept(web, post, waits):
    web.post(URL, status=429, headers={"Retry-After": "17"})
    web.post(URL, json=[])

    assert list(post(statements(1))) == [1]
    assert waits == [17]


def test_long_wait_is_left_to_the_caller(web, post, waits):
    web.post(URL, status=429, headers={"Retry-After": "3600"})

    with pytest.raises(DestinationUnavailable) as caught:
        list(post(statements(1)))

    assert (caught.value.retry_after, waits) == (3600, [])


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, "statement 0: verb is missing"),
        (401, "Check the key and secret"),
        (403, "permission"),
        (404, "Check the address"),
        (409, "statement 0: verb is missing"),
        (413, "Send smaller batches"),
        (302, "answered 302"),  # what we carry goes to nobody else
    ],
)
def test_no_is_told_at_once_with_the_words_of_the_lrs(web, post, waits, status, told):
    web.post(URL, status=status, body="statement 0: verb is missing", headers={"Location": "https://elsewhere.example"})

    with pytest.raises(DestinationRefused, match=told) as caught:
        list(post(statements(1)))

    assert (caught.value.status, waits, len(web.calls)) == (status, [], 1)
    assert "s3cret" not in str(caught.value)


def test_count_tells_what_is_stored_when_a_later_batch_is_refused(web, post):
    web.post(URL, json=[])
    web.post(URL, status=400)
    progress = post(statements(4), batch=2)

    assert next(progress) == 2
    with pytest.raises(DestinationRefused):
        next(progress)


@pytest.mark.parametrize(
    "endpoint", ["http://lrs.example.com/xapi/", "https://me:pw@lrs.example.com/", "lrs.example.com"]
)
def test_endpoint_that_would_give_the_secret_away_is_refused(web, post, endpoint):
    with pytest.raises(DestinationRefused):
        list(post(statements(1), endpoint=endpoint))

    assert len(web.calls) == 0


def test_plain_http_is_fine_within_this_machine(web, post):
    web.post("http://127.0.0.1:8000/xapi/statements", json=[])

    assert list(post(statements(1), endpoint="http://127.0.0.1:8000/xapi/")) == [1]
