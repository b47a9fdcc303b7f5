"""Jira: a search behind the changes, times that no zone moves, whole histories, held against the vendor's contract."""

import base64
from datetime import timedelta

import jsonschema_rs
import pytest
from clouds import Jira
from helpdesk import NOON

from connectors import ConfigError


@pytest.fixture
def site():
    with Jira().online() as made:
        for number in range(1, 8):
            made.put(number, at=NOON - timedelta(minutes=60 - number, milliseconds=250))
        yield made


def test_contract_refuses_what_the_vendor_would_not_send_or_take(site):
    site.pull()
    request = site.requests[0]

    with pytest.raises(jsonschema_rs.ValidationError):
        site.contract.check_answer("/rest/api/3/search/jql", request, {"issues": [{"id": 10001}]})
    with pytest.raises(AssertionError, match="there is no /rest/api/3/search"):
        site.contract.check_request("/rest/api/3/search", request)  # removed in 2025


def test_issues_come_with_service_levels_and_the_history_of_who_had_them(site):
    pulled = site.pull()

    assert pulled.keys == [str(10000 + number) for number in range(1, 8)]
    row = pulled.rows[0]
    assert row.data["history"][0]["items"][0]["field"] == "assignee"
    assert row.data["history"][0]["author"] == {"accountId": "5b10ac8d82e05b22cc7d4ef5"}
    assert row.data["fields"]["customfield_10030"]["completedCycles"][0]["breached"] is True
    assert row.cursor == ("2026-11-20T11:00:59.750000Z",)  # UTC, whatever the zone of the account
    assert pulled.problems == []


def test_long_history_comes_whole(site):
    site.put(2, at=NOON - timedelta(minutes=58), changes=7)

    assert [one["id"] for one in site.pull().latest()["10002"]["history"]] == list("0123456")


def test_request_is_signed_and_names_the_projects(site):
    site.pull()

    pair = f"bot@example.com:{site.secrets.value(site.source().system.auth.password)}"
    assert site.requests[0].headers["Authorization"] == f"Basic {base64.b64encode(pair.encode()).decode()}"


def test_changes_are_asked_for_in_milliseconds_which_no_time_zone_moves(site):
    state = site.pull(lookback="0s").state
    site.clock.move(minutes=30)

    site.pull(state, lookback="0s")

    assert site.lows[-1] == int((NOON - timedelta(minutes=53)).timestamp() * 1000) - 250


def test_issue_that_the_search_shows_late_is_found(site):
    site.put(8, at=NOON - timedelta(minutes=3), shown_at=NOON + timedelta(minutes=1))
    site.put(9, at=NOON - timedelta(minutes=1))  # newer, and shown before it

    first = site.pull(lookback="0s")
    site.clock.move(minutes=15)
    second = site.pull(first.state, lookback="0s")

    assert "10008" not in first.keys
    assert "10008" in second.keys
    assert "10009" in first.keys  # what is shown is not held back


def test_limit_is_waited_for_until_the_time_that_is_told(site):
    site.faults.append((429, {"X-RateLimit-Reset": "2026-11-20T12:01Z"}, ""))

    assert len(site.pull().keys) == 7
    assert site.clock.slept == [60]


def test_users_come_page_by_page(site):
    rows = site.pull(stream="users").rows

    assert [row.data["emailAddress"] for row in rows] == [f"p{number}@example.com" for number in range(5)]
    assert {row.cursor for row in rows} == {None}


def test_person_who_logged_in_is_asked_for_at_the_gateway():
    client = {"client_id": "a1", "client_secret": {"secret": "jira-secret"}, "projects": "SUP"}
    cloud = Jira()
    cloud.ACCOUNT = {"sign_in": "login", "cloud_id": "11223344-a1b2-3b33-c444-def123456789", **client}

    system = cloud.source().system

    assert system.base_url == "https://api.atlassian.com/ex/jira/11223344-a1b2-3b33-c444-def123456789/rest/api/3"
    assert system.auth.parameters["audience"] == "api.atlassian.com"
    assert "offline_access" in system.auth.client.scope


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("site", "acme.atlassian.net"),
        ("site", "evil.example.com/x?"),
        ("email", "bot"),
        ("email", "bot:x@example.com"),
        ("projects", "SUP) OR project in (HR"),
        ("projects", "sup"),
        ("projects", ["SUP"]),
    ],
)
def test_setting_that_would_change_address_or_query_is_refused(setting, value):
    with pytest.raises(ConfigError) as caught:
        Jira().source(account={setting: value})

    assert caught.value.path == ("account", setting)
    assert caught.value.remedy.startswith("It is the ")
