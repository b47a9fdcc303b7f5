"""ServiceNow: one time for many rows, rows that we may not see, and deletions that only some may read."""

from datetime import timedelta
from urllib.parse import parse_qs

import pytest
import responses
from clouds import ServiceNow
from helpdesk import NOON

from connectors import SourceRefused


@pytest.fixture
def instance():
    with ServiceNow().online() as made:
        for number in range(1, 8):
            made.put(number, at=NOON - timedelta(minutes=60 - number))
        yield made


def test_incidents_come_without_what_was_written(instance):
    pulled = instance.pull()

    assert pulled.keys == [instance.key(number) for number in range(1, 8)]
    assert pulled.rows[0].cursor == ("2026-11-20T11:01:00.000000Z",)
    assert "work_notes" not in pulled.rows[0].data
    assert len(instance.lows) == 3  # no request more than pages


def test_changes_are_asked_for_from_the_watermark_on(instance):
    state = instance.pull(lookback="0s").state
    instance.put(8, at=NOON - timedelta(minutes=53))  # the same second as 7, and behind it
    instance.clock.move(minutes=15)

    assert instance.pull(state, lookback="0s").keys == [instance.key(7), instance.key(8)]
    assert instance.lows[-1] == "2026-11-20 11:07:00"


@pytest.mark.parametrize("hidden", [{1, 2, 3}, {4, 5, 6}, {2, 3, 4, 5, 6}])
def test_rows_that_we_may_not_see_are_not_the_end(instance, hidden):
    instance.hidden = {instance.key(number) for number in hidden}

    assert set(instance.pull().keys) == {instance.key(number) for number in {*range(1, 8)} - hidden}


def test_deletions_are_read_where_an_administrator_lets_us(instance):
    state = instance.pull(deleted="audit").state
    instance.clock.move(minutes=15)
    instance.delete(3)
    instance.clock.move(minutes=10)

    gone = [row.key for row in instance.pull(state, deleted="audit").rows if row.deleted]

    assert gone == [instance.key(3)]
    assert instance.queries[-1]["sysparm_query"].startswith("tablename=incident^sys_created_on>=")
    assert {path.rpartition("/")[2] for path in instance.paths} == {"incident", "sys_audit_delete"}


def test_deletions_that_we_may_not_read_do_not_take_the_incidents_away(instance):
    stored = []
    refusal = instance.forbidden()
    instance.faults.extend([None, None, None, refusal.reply])

    with pytest.raises(SourceRefused, match=refusal.told):
        stored.extend(instance.pages(deleted="audit"))

    assert {row.key for page in stored for row in page.rows} == {instance.key(number) for number in range(1, 8)}


@pytest.mark.parametrize(
    ("stream", "table"),
    [
        ("incidents", "incident"),
        ("cases", "sn_customerservice_case"),
        ("service_levels", "task_sla"),
        ("metric_instances", "metric_instance"),
        ("survey_results", "asmt_metric_result"),
        ("audit", "sys_audit"),
        ("users", "sys_user"),
    ],
)
def test_streams_are_tables(instance, stream, table):
    assert len(instance.pull(stream=stream).keys) == 7
    assert instance.paths[0] == f"/api/now/table/{table}"


def test_history_is_of_incidents_and_of_what_says_who_had_them(instance):
    instance.pull(stream="audit")

    asked = instance.queries[0]["sysparm_query"]
    assert asked.startswith("tablename=incident^fieldnameINassigned_to,assignment_group,")
    assert "^sys_created_on>=" in asked


@pytest.mark.parametrize("way", ["client_credentials", "password"])
def test_application_signs_in_by_a_form(instance, way):
    user = {"user": "bot", "password": {"secret": "servicenow-password"}} if way == "password" else {}
    client = {"client_id": "a1", "client_secret": {"secret": "servicenow-secret"}}
    instance.ACCOUNT = {"instance": "acme", "sign_in": way, **client, **user}
    sent = []

    with responses.RequestsMock() as mock:
        mock.add_callback(responses.GET, instance.ROUTES[0][1], callback=instance.answer)
        mock.add_callback(
            responses.POST,
            "https://acme.service-now.com/oauth_token.do",
            callback=lambda request: sent.append(request) or instance.grant(request),
        )
        assert len(instance.pull().keys) == 7

    form = parse_qs(sent[0].body.decode())
    assert form["grant_type"] == [way]
    assert ("username" in form) == (way == "password")
    assert sent[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert instance.requests[0].headers["Authorization"] == "Bearer token-1"
