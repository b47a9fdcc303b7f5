"""Reading another LRS: as it was sent, in order, as far as it says that nothing is missing, and nowhere else."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import responses

from connectors import SourceBroken, SourceRefused, SourceUnavailable, http_session, lrs

ENDPOINT = "https://lrs.example.com/xapi"
URL = f"{ENDPOINT}/statements"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def web():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def told():
    return []


@pytest.fixture
def read(told):
    def run(endpoint=ENDPOINT, key="key", **options):
        with http_session() as session:
            reader = lrs.Reader(session, endpoint, key, "s3cret", tell=told.append, sleep=told.append)
            return list(reader.pages({}, **options))

    return run


def page(*stored, more=""):
    """Give the body of an answer with statements stored so many seconds after noon."""
    statements = [{"id": str(second), "stored": (NOON + timedelta(seconds=second)).isoformat()} for second in stored]
    return {"statements": statements, "more": more}


def test_texts_are_given_as_they_were_sent(web, read):
    text = '{"stored":"2026-01-01T12:00:00.123456789Z", "n":1.50, "x":"\\u00e9", "t":"2026-01-01T00:00:00.1234567Z"}'
    web.get(URL, body=f'{{"statements":[ {text} ],"more":""}}')

    [found] = read()

    assert found.statements == [text.encode()]


def test_question_is_as_the_specification_wants_it(web, read):
    web.get(URL, json=page())

    assert read(since=NOON) == [lrs.Page([], None)]

    asked = web.calls[0].request
    assert asked.params == {"ascending": "true", "limit": str(lrs.PAGE), "since": "2026-01-01T12:00:00.000000Z"}
    assert asked.headers["X-Experience-API-Version"] == "1.0.3"
    assert asked.headers["Authorization"].startswith("Basic ")


def test_a_key_may_have_any_letters(web, read):
    web.get(URL, json=page())

    read(key="schlüssel")


@pytest.mark.parametrize("more", ["/xapi/more/2?x=1&y=2", "https://lrs.example.com/xapi/more/2?x=1&y=2"])
def test_more_is_followed_as_path_or_as_address(web, read, more):
    web.get(URL, json=page(1, more=more))
    web.get("https://lrs.example.com/xapi/more/2?x=1&y=2", json=page(2, 3))

    assert [len(one.statements) for one in read()] == [1, 2]


def test_key_and_secret_go_to_no_other_server(web, read):
    web.get(URL, json=page(1, more="https://elsewhere.example.com/more"))

    with pytest.raises(SourceRefused, match="elsewhere"):
        read()
    assert len(web.calls) == 1


def test_a_page_that_leads_to_itself_is_the_end(web, read):
    web.get(URL, json=page(1, more="/xapi/more"))
    web.get("https://lrs.example.com/xapi/more", json=page(2, more="/xapi/more"))

    with pytest.raises(SourceBroken, match="itself"):
        read()


def lead(web, numbers, *stored):
    for number in numbers:
        web.get(f"https://lrs.example.com/xapi/more/{number}", json=page(*stored, more=f"/xapi/more/{number + 1}"))


def test_empty_pages_without_an_end_are_noticed(web, read):
    web.get(URL, json=page(1, more="/xapi/more/0"))
    lead(web, range(300))

    with pytest.raises(SourceBroken, match="100 empty pages in a row"):
        read()
    assert len(web.calls) == 101


def test_empty_page_need_not_be_the_end(web, read):
    web.get(URL, json=page(more="/xapi/more/0"))
    lead(web, range(98))
    lead(web, [98], 1)
    lead(web, range(99, 198))
    web.get("https://lrs.example.com/xapi/more/198", json=page())

    assert sum(len(one.statements) for one in read()) == 1


def test_nothing_is_taken_for_read_beyond_what_is_promised(web, read):
    promised = (NOON + timedelta(seconds=2)).isoformat()
    web.get(URL, json=page(1, 3), headers={"X-Experience-API-Consistent-Through": promised})

    assert read()[0].through == NOON + timedelta(seconds=2)


def test_without_a_promise_the_last_statement_counts(web, read):
    web.get(URL, json=page(1, 3))

    assert read()[0].through == NOON + timedelta(seconds=3)


def test_newest_first_cannot_be_resumed_and_is_refused(web, read):
    web.get(URL, json=page(300, 1))

    with pytest.raises(SourceBroken, match="newest first"):
        read()


@pytest.mark.parametrize("body", ["<html>", "[]", '{"statements":[{"id":"1"}]}', '{"statements":[{"stored":"x"}]}'])
def test_what_is_no_answer_is_said(web, read, body):
    web.get(URL, body=body)

    with pytest.raises(SourceBroken):
        read()


def test_a_busy_lrs_is_tried_again_and_the_tries_are_told(web, read, told):
    web.get(URL, status=503, headers={"Retry-After": "7"})
    web.get(URL, json=page(1))

    assert len(read()) == 1
    assert told == [f"{URL} answered 503 Service Unavailable: try later. Try 1 of 5; the next in 7 s.", 7.0]


def test_an_lrs_that_stays_busy_is_left_after_some_tries(web, read):
    web.get(URL, status=503)

    with pytest.raises(SourceUnavailable):
        read()
    assert len(web.calls) == lrs.ATTEMPTS


def test_a_refusal_is_not_tried_again(web, read):
    web.get(URL, status=401)

    with pytest.raises(SourceRefused, match="Check the key and secret"):
        read()
    assert len(web.calls) == 1


def test_attachments_are_asked_for_where_a_statement_names_some(web):
    web.get(URL, body=b"--b--", content_type="multipart/mixed; boundary=b")
    with http_session() as session:
        reader = lrs.Reader(session, ENDPOINT, "key", "s3cret", tell=print)

        assert reader.whole(json.dumps({"id": "1"}).encode()) is None
        assert reader.whole(json.dumps({"id": "1", "attachments": []}).encode()) == (
            "multipart/mixed; boundary=b",
            b"--b--",
        )
    assert web.calls[0].request.params == {"statementId": "1", "attachments": "true"}
