"""HubSpot: windows read by id, the history of owners and stages, what was archived, and what a stage means."""

import json
from datetime import timedelta

import pytest
from clouds import HubSpot
from helpdesk import NOON


@pytest.fixture
def account():
    with HubSpot().online() as made:
        made.fill(5)
        yield made


def test_deals_come_with_the_history_of_who_had_them_and_in_which_stage(account):
    row = account.pull().rows[0]

    assert row.key == "1"
    assert row.data["properties"]["hubspot_owner_id"] == "237"
    assert set(row.data["history"]) == {"dealstage", "hubspot_owner_id", "amount", "closedate"}
    assert row.data["history"]["dealstage"][0]["updatedByUserId"] == 7
    assert row.cursor == ("2026-11-20T07:50:00.000000Z",)


def test_window_stands_still_while_it_is_read_by_id(account):
    for number in range(100, 500):
        account.put(number, at=NOON - timedelta(hours=2))

    account.pull()

    asked = [search["filterGroups"][0]["filters"] for search in account.searches]
    assert len({(low["value"], high["value"]) for low, high, _ in asked}) == 1
    assert [above["value"] for *_, above in asked] == [0, "294", "494"]


def test_last_page_says_that_it_is_the_last(account):
    account.pull()

    assert len(account.searches) == 1


def test_what_the_index_shows_late_is_found(account):
    account.put(9, at=NOON - timedelta(minutes=3), shown_at=NOON + timedelta(minutes=5))
    account.put(10, at=NOON - timedelta(minutes=1))  # newer, and shown at once
    first = account.pull()
    account.clock.move(minutes=8)

    second = account.pull(first.state)

    assert "9" not in first.keys
    assert {"9", "10"} <= set(second.keys)


def test_milliseconds_are_kept(account):
    at = NOON - timedelta(minutes=30, milliseconds=250)
    account.put(9, at=at)

    assert account.pull().rows[-1].cursor == ("2026-11-20T11:29:59.750000Z",)


@pytest.mark.parametrize(
    ("stream", "field"),
    [
        ("deals", "hs_is_closed_won"),
        ("tickets", "time_to_close"),
        ("calls", "hs_call_duration"),
        ("feedback_submissions", "hs_value"),
    ],
)
def test_streams_are_objects(account, stream, field):
    account.pull(stream=stream)

    assert f"/crm/objects/2026-03/{stream}/search" in account.requests[0].url
    assert field in account.searches[0]["properties"]


def test_own_properties_are_asked_for_by_name(account):
    account.put(6, at=NOON - timedelta(minutes=20), region="north")

    rows = account.pull(account={"fields": "dealstage, region"}).latest()

    assert account.searches[0]["properties"] == ["dealstage", "region"]
    assert rows["6"]["properties"]["region"] == "north"


def test_archived_deal_is_gone_and_may_come_back(account):
    state = account.pull().state
    account.clock.move(minutes=15)
    account.delete(3)
    account.clock.move(hours=6)
    gone = account.pull(state)
    account.records[3].deleted = False
    account.put(3)
    account.clock.move(minutes=15)

    back = account.pull(gone.state)

    deleted = [row for row in gone.rows if row.deleted]
    again = [row for row in back.rows if row.key == "3" and not row.deleted]
    assert [row.key for row in deleted] == ["3"]
    assert again[0].cursor > deleted[0].cursor


def test_archived_deals_are_listed_every_six_hours(account):
    state = account.pull().state
    for _ in range(4):
        account.clock.move(hours=2)
        state = account.pull(state).state

    assert len([one for one in account.requests if "archived=true" in one.url]) == 2


def test_owners_come_also_when_they_have_left(account):
    account.owners = [
        {"id": "237", "email": "ann@example.com", "userId": 7, "archived": False},
        {"id": "238", "email": "bob@example.com", "userIdIncludingInactive": 8, "archived": True},
    ]

    assert [row.data["email"] for row in account.pull(stream="owners").rows] == ["ann@example.com"]
    assert [row.data["email"] for row in account.pull(stream="archived_owners").rows] == ["bob@example.com"]


def test_pipelines_say_which_stage_is_won(account):
    row = account.pull(stream="deal_pipelines").rows[0]

    assert row.data["stages"][0]["metadata"]["probability"] == "1.0"


def test_four_requests_a_second_are_not_passed(account):
    for number in range(100, 500):
        account.put(number, at=NOON - timedelta(hours=2))

    account.pull()

    assert len(account.requests) / (1 + sum(account.clock.slept)) <= 4


def test_check_tells_of_ids_that_do_not_go_up(account):
    page = account.page

    def unsorted(request):
        status, headers, body = page(request)
        answer = json.loads(body)
        return status, headers, json.dumps(answer | {"results": answer["results"][::-1]})

    account.page = unsorted
    findings = {finding.name: finding for finding in account.source().check()}

    assert findings["order"].state == "failed"
    assert "5, 4, 3" in findings["order"].text
