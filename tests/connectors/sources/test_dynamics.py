"""Dataverse: what changed by links that it hands out, and what happens when one was kept for too long."""

from datetime import timedelta

import pytest
from clouds import Dynamics
from clouds.dynamics import URL
from helpdesk import NOON

from connectors import SourceRefused


@pytest.fixture
def environment():
    with Dynamics().online() as made:
        made.fill(7)
        yield made


def test_opportunities_come_with_who_has_them_and_what_they_brought(environment):
    row = environment.pull().rows[0]

    assert row.key == environment.key(1)
    assert (row.data["_ownerid_value"], row.data["actualvalue"], row.data["statecode"]) == ("ann", 1000.0, 1)
    assert "@odata.etag" not in row.data


def test_next_pull_reads_only_what_changed(environment):
    state = environment.pull().state
    environment.clock.move(minutes=15)
    environment.put(3, statecode=2)
    environment.clock.move(minutes=15)
    environment.queries.clear()

    assert environment.pull(state).keys == [environment.key(3)]
    assert len(environment.queries) == 1


def test_made_and_deleted_between_two_pulls_is_a_deletion_of_an_unknown(environment):
    state = environment.pull().state
    environment.clock.move(minutes=15)
    environment.put(99)
    environment.delete(99)
    environment.clock.move(minutes=15)

    assert [(row.key, row.deleted) for row in environment.pull(state).rows] == [(environment.key(99), True)]


@pytest.mark.parametrize("days", [6.5, 8])
def test_link_that_is_too_old_falls_back_to_the_whole_table(environment, days):
    state = environment.pull().state
    environment.put(99, at=NOON + timedelta(days=1))
    environment.clock.move(days=days)

    assert set(environment.pull(state).keys) == {environment.key(number) for number in (*range(1, 8), 99)}


def test_link_that_the_environment_forgets_falls_back_as_well(environment):
    state = environment.pull().state
    said = {"error": {"code": "0x80060888", "message": "Version stamp associated with the client has expired."}}
    environment.faults.append(environment.reply(said, 400))
    environment.clock.move(days=1)

    assert len(environment.pull(state).keys) == 7


def test_link_to_another_host_is_not_followed(environment):
    elsewhere = {"value": [], "@odata.nextLink": "https://elsewhere.example.com/api/data/v9.2/opportunities"}
    environment.faults.append(environment.reply(elsewhere))

    with pytest.raises(SourceRefused, match="not on a host that this source may call"):
        environment.pull()


def test_table_without_change_tracking_is_told_with_what_to_switch_on(environment):
    said = {"error": {"code": "0x80048d0a", "message": "The entity 'opportunity' is not enabled for Change Tracking."}}
    environment.faults.append(environment.reply(said, 400))

    with pytest.raises(SourceRefused, match="Switch on `Track changes` for the table"):
        environment.pull()


@pytest.mark.parametrize(
    ("stream", "table", "field"),
    [
        ("opportunities", "opportunities", "actualclosedate"),
        ("incidents", "incidents", "resolvebyslastatus"),
        ("users", "systemusers", "internalemailaddress"),
        ("incident_resolutions", "incidentresolutions", "_createdby_value"),
        ("sla_instances", "slakpiinstances", "succeededon"),
    ],
)
def test_streams_are_tables(environment, stream, table, field):
    pulled = environment.pull(stream=stream)

    assert environment.requests[0].url.startswith(f"{URL}/{table}?")
    assert field in environment.queries[0]["$select"].split(",")
    assert len(pulled.keys) == 7


def test_what_is_only_added_to_is_asked_for_by_time(environment):
    state = environment.pull(stream="incident_resolutions").state
    environment.put(9, at=NOON + timedelta(minutes=5))
    environment.clock.move(minutes=15)

    assert environment.pull(state, stream="incident_resolutions").keys == [environment.key(7), environment.key(9)]
    asked = environment.queries[-1]["$filter"]
    assert asked == "modifiedon ge 2026-11-20T11:40:00Z and modifiedon lt 2026-11-20T12:14:00Z"
