"""Zendesk: an export that goes by a cursor of its own, and the lists beside it."""

import base64
from datetime import timedelta

import pytest
from clouds import Zendesk
from helpdesk import NOON


@pytest.fixture
def account():
    with Zendesk().online() as made:
        for number in range(1, 8):
            made.put(number, at=NOON - timedelta(minutes=60 - number))
        yield made


def test_tickets_come_with_their_metrics_and_without_what_was_written(account):
    pulled = account.pull()

    assert pulled.keys == ["1", "2", "3", "4", "5", "6", "7"]
    assert pulled.rows[0].data["metric_set"]["reopens"] == 1
    assert "description" not in pulled.rows[0].data
    assert account.queries[0]["include"] == "metric_sets"
    secret = account.secrets.value(account.source().system.auth.password)
    pair = base64.b64encode(f"admin@example.com/token:{secret}".encode()).decode()
    assert account.requests[0].headers["Authorization"] == f"Basic {pair}"


def test_next_pull_goes_on_at_the_cursor_and_reads_only_what_is_new(account):
    state = account.pull().state
    account.queries.clear()
    account.put(2, status="open")
    account.clock.move(minutes=15)

    again = account.pull(state)

    assert again.keys == ["2"]
    assert account.queries == [{"cursor": "MTU7", "include": "metric_sets", "per_page": "1000"}]


def test_change_by_the_system_that_leaves_updated_at_alone_is_a_version(account):
    first = account.pull()
    account.put(3, status="closed", updated_at=NOON - timedelta(minutes=57))  # closed by an automation
    account.clock.move(minutes=15)

    second = account.pull(first.state)

    assert {**first.latest(), **second.latest()}["3"]["status"] == "closed"
    assert second.rows[0].cursor > first.rows[2].cursor


def test_broken_off_export_goes_on_where_it_was(account):
    first = next(account.pages())
    account.queries.clear()

    assert account.pull(first.state).keys == ["4", "5", "6", "7"]
    assert account.queries[0]["cursor"] == "MTU3"


@pytest.mark.parametrize("lost", ["aged", "forgotten"])
def test_lost_cursor_falls_back_to_the_last_time_seen(account, lost):
    state = account.pull().state
    account.clock.move(days=31 if lost == "aged" else 1)
    account.put(99, at=NOON)
    account.faults.extend([(400, {}, "invalid cursor")] if lost == "forgotten" else [])
    account.queries.clear()

    assert {"7", "99"} <= set(account.pull(state).keys)
    asked = next(query for query in account.queries if "start_time" in query)
    assert asked["start_time"] == str(int((NOON - timedelta(minutes=63)).timestamp()))  # ten minutes before the newest


def test_ten_requests_a_minute_are_not_passed(account):
    for number in range(100, 130):
        account.put(number, at=NOON - timedelta(minutes=2))

    assert len(account.pull().keys) == 37  # in 13 requests
    assert account.clock.slept == [60]


def test_users_come_with_what_says_who_they_are(account):
    account.log = []
    account.put(235323, at=NOON - timedelta(minutes=5), email="ann@example.com", last_login_at="2026-11-20T09:00:00Z")

    rows = account.pull(stream="users").rows

    assert [(row.key, row.data["email"]) for row in rows] == [("235323", "ann@example.com")]
    assert "last_login_at" not in rows[0].data  # changes every morning


def test_service_levels_come_as_events_and_then_from_the_last_one_on(account):
    first = account.pull(stream="metric_events")
    account.put(8, at=NOON + timedelta(minutes=5))
    account.clock.move(minutes=15)

    second = account.pull(first.state, stream="metric_events", lookback="0s")

    assert first.keys == ["1", "2", "3", "4", "5", "6", "7"]
    assert first.rows[0].data["type"] == "breach"
    assert second.keys == ["7", "8"]


def test_ratings_name_who_had_the_ticket_when_it_was_rated(account):
    first = account.pull(stream="satisfaction_ratings")
    account.clock.move(minutes=15)
    account.queries.clear()
    account.pull(first.state, stream="satisfaction_ratings")

    assert first.keys == ["1", "2", "3", "4", "5", "6", "7"]
    assert (first.rows[0].data["assignee_id"], first.rows[0].data["score"]) == (135, "good")
    assert "comment" not in first.rows[0].data
    since = int((NOON - timedelta(minutes=53, days=30)).timestamp())  # a rating may come a month after it was offered
    assert account.queries[0]["start_time"] == str(since)


def test_answers_of_the_newer_surveys_name_the_ticket(account):
    rows = account.pull(stream="survey_responses").rows

    assert len({row.key for row in rows}) == 7
    assert rows[0].data["subjects"][0]["id"] == "99"
    assert rows[0].data["answers"][0]["rating"] == 5


def test_application_signs_in_with_its_own_secret(account):
    account.TOKEN_URL = "https://acme.zendesk.com/oauth/tokens"
    account.ACCOUNT = {
        "subdomain": "acme",
        "sign_in": "client_credentials",
        "client_id": "bridge",
        "client_secret": {"secret": "zendesk-secret"},
    }

    with account.online():
        assert len(account.pull().keys) == 7
    assert account.requests[0].headers["Authorization"] == "Bearer token-1"
