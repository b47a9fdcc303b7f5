"""Intercom: searches by seconds, and what a row carries, held against the vendor's contract."""

import json
from datetime import timedelta

import jsonschema_rs
import pytest
from clouds import Intercom
from helpdesk import NOON

from connectors import ConfigError


@pytest.fixture
def workspace():
    with Intercom().online() as made:
        for number in range(1, 8):
            made.put(number, at=NOON - timedelta(minutes=60 - number))
        yield made


def test_contract_refuses_what_the_vendor_would_not_send_or_take(workspace):
    workspace.pull()
    request = workspace.requests[0]

    wrong = {"type": "conversation.list", "conversations": [{"updated_at": "yesterday"}]}
    with pytest.raises(jsonschema_rs.ValidationError):
        workspace.contract.check_answer("/conversations/search", request, wrong)
    request.url += "&include_all=true"
    with pytest.raises(AssertionError, match="no parameter 'include_all'"):
        workspace.contract.check_request("/conversations/search", request)


def test_conversations_come_with_what_says_how_they_went(workspace):
    pulled = workspace.pull()

    assert pulled.keys == ["1", "2", "3", "4", "5", "6", "7"]
    row = pulled.rows[0]
    assert (row.data["statistics"]["count_reopens"], row.data["conversation_rating"]["rating"]) == (1, 4)
    assert row.data["sla_applied"]["sla_status"] == "missed"
    assert row.cursor == ("2026-11-20T11:01:00.000000Z",)
    assert pulled.problems == []


def test_what_the_customer_wrote_is_not_stored(workspace):
    assert "card number" not in json.dumps([row.data for row in workspace.pull().rows])


def test_version_that_has_scorecards_and_the_token_are_sent(workspace):
    workspace.pull()

    request = workspace.requests[0]
    assert request.headers["Intercom-Version"] == "2.16"
    assert request.headers["Authorization"] == "Bearer s3cret-lrs_bridge_source_intercom_token"
    assert "include_scorecards=true" in request.url


def test_changes_are_asked_for_including_the_very_second_of_the_watermark(workspace):
    state = workspace.pull(lookback="0s").state
    workspace.put(99, at=NOON - timedelta(minutes=53))  # the same second as 7, committed later
    workspace.clock.move(minutes=15)

    again = workspace.pull(state, lookback="0s")

    assert sorted(again.keys) == ["7", "99"]
    assert workspace.queries[-1]["query"]["value"][0]["value"] == int((NOON - timedelta(minutes=53)).timestamp()) - 1


def test_tickets_come_without_their_messages(workspace):
    rows = workspace.pull(stream="tickets").rows

    assert (rows[0].key, rows[0].data["admin_assignee_id"], "ticket_parts" in rows[0].data) == ("1", 814860, False)


def test_admins_come_with_what_says_who_they_are(workspace):
    rows = workspace.pull(stream="admins").rows

    assert [(row.key, row.data["email"]) for row in rows] == [("814860", "ann@example.com")]
    assert "away_mode_enabled" not in rows[0].data  # changes with every lunch


ACCOUNT = {"token": {"secret": "t"}}


@pytest.mark.parametrize(
    ("keys", "account", "path", "told"),
    [
        ({"stream": "conversation"}, ACCOUNT, ("stream",), "Did you mean 'conversations'?"),
        ({}, ACCOUNT | {"region": "eu"}, ("account", "region"), "api.eu or api.au"),
        ({}, {}, ("account",), "Add it: the access token"),
        ({}, {"token": "x"}, ("account", "token"), "only its name does"),
        ({}, ACCOUNT | {"regions": "api"}, ("account", "regions"), "Did you mean 'region'?"),
        ({"stream": "admins", "settle": "1m"}, ACCOUNT, ("settle",), "Take the line out"),
        ({"settle": "soon"}, ACCOUNT, ("settle",), "0s, 90s, 10m, 7d"),
        ({"start": "soon"}, ACCOUNT, ("start",), "Write it like"),
    ],
)
def test_fault_is_told_at_its_key_with_the_remedy(keys, account, path, told):
    workspace = Intercom()
    workspace.ACCOUNT = account

    with pytest.raises(ConfigError) as caught:
        workspace.source(**keys)

    assert caught.value.path == path
    assert told in f"{caught.value.text} {caught.value.remedy}"
