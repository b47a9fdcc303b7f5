"""Zendesk against an account of our own, whose export goes by its own cursor, as Zendesk's does."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from helpdesk import NOON, FakeClock, Pulled, iso
from requests import PreparedRequest

from connectors import Reach, SourceRefused, load_source
from connectors.secrets import Secrets

URL = "https://acme.zendesk.com/api/v2/incremental"
TOKEN = "zend3sk-canary"
SIZE = 3
DOCUMENT = {
    "kind": "source",
    "name": "zendesk-tickets",
    "type": "zendesk",
    "stream": "tickets",
    "account": {"subdomain": "acme", "email": "admin@example.com", "token": {"secret": "zendesk-token"}},
}


class Account:
    """An export as Zendesk's: a log of changes, of which a cursor is a place, without the last minute."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.log: list[dict] = []
        self.faults: list[tuple[int, dict[str, str], str]] = []
        self.queries: list[dict[str, str]] = []
        self.requests: list[PreparedRequest] = []

    def put(self, number: int, *, at=None, updated_at=None, **values) -> None:
        at = at or self.clock.at
        self.log.append(
            {
                "id": number,
                "updated_at": iso(updated_at or at),
                "generated_timestamp": int(at.timestamp()),
                "status": "solved",
                "assignee_id": 235323,
                "satisfaction_rating": {"score": "good"},
                "metric_set": {"reopens": 1, "reply_time_in_minutes": {"calendar": 12, "business": 10}},
                "description": "My card number is",
                **values,
            }
        )

    def answer(self, request: PreparedRequest):
        self.requests.append(request)
        query = {name: values[0] for name, values in parse_qs(urlsplit(str(request.url)).query).items()}
        self.queries.append(query)
        if self.faults:
            return self.faults.pop(0)
        assert ("cursor" in query) != ("start_time" in query), "one of the two"
        until = (self.clock.at - timedelta(minutes=1)).timestamp()
        shown = [row for row in self.log if row["generated_timestamp"] < until]
        if "cursor" in query:
            begin = int(query["cursor"].removeprefix("MTU"))
        else:
            begin = len([row for row in shown if row["generated_timestamp"] < int(query["start_time"])])
        page = shown[begin : begin + SIZE]
        end = begin + len(page)
        name = urlsplit(str(request.url)).path.split("/")[-2]
        body = {name: page, "after_cursor": f"MTU{end}", "before_cursor": None, "end_of_stream": end >= len(shown)}
        return 200, {"Content-Type": "application/json"}, json.dumps(body)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def account(clock: FakeClock) -> Iterator[Account]:
    made = Account(clock)
    for number in range(1, 8):
        made.put(number, at=NOON - timedelta(minutes=60 - number))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for name in ("tickets", "users"):
            mock.add_callback(responses.GET, f"{URL}/{name}/cursor", callback=made.answer)
        yield made


@pytest.fixture
def pull(clock: FakeClock):
    def pages(state=None, **keys):
        secrets = Secrets({"LRS_BRIDGE_SOURCE_ZENDESK_TOKEN": TOKEN}, Path("/nowhere"))
        source = load_source(DOCUMENT | keys, base=Path("/base"))
        return source.reaching(Reach(secrets, clock)).pull(state)

    def pull_all(state=None, **keys) -> Pulled:
        pulled = Pulled()
        for page in pages(state, **keys):
            pulled.take(page)
        return pulled

    pull_all.pages = pages
    return pull_all


def test_tickets_come_with_their_metrics_and_without_what_was_written(account, pull):
    pulled = pull()

    assert pulled.keys == ["1", "2", "3", "4", "5", "6", "7"]
    assert pulled.rows[0].data["metric_set"]["reopens"] == 1
    assert "description" not in pulled.rows[0].data
    assert account.queries[0]["include"] == "metric_sets"
    pair = base64.b64encode(f"admin@example.com/token:{TOKEN}".encode()).decode()
    assert account.requests[0].headers["Authorization"] == f"Basic {pair}"


def test_next_pull_goes_on_at_the_cursor_and_reads_only_what_is_new(account, pull, clock):
    state = pull().state
    account.queries.clear()
    account.put(2, status="open")
    clock.move(minutes=15)

    again = pull(state)

    assert again.keys == ["2"]
    assert account.queries == [{"cursor": "MTU7", "include": "metric_sets", "per_page": "1000"}]


def test_change_by_the_system_that_leaves_updated_at_alone_is_a_version(account, pull, clock):
    first = pull()
    account.put(3, status="closed", updated_at=NOON - timedelta(minutes=57))  # closed by an automation
    clock.move(minutes=15)

    second = pull(first.state)

    assert {**first.latest(), **second.latest()}["3"]["status"] == "closed"
    assert second.rows[0].cursor > first.rows[2].cursor


def test_deleted_ticket_comes_as_such(account, pull, clock):
    state = pull().state
    account.put(4, status="deleted")
    clock.move(minutes=15)

    assert [(row.key, row.deleted) for row in pull(state).rows] == [("4", True)]


def test_broken_off_export_goes_on_where_it_was(account, pull):
    first = next(pull.pages())
    account.queries.clear()

    assert pull(first.state).keys == ["4", "5", "6", "7"]
    assert account.queries[0]["cursor"] == "MTU3"


@pytest.mark.parametrize("lost", ["aged", "forgotten"])
def test_lost_cursor_falls_back_to_the_last_time_seen(account, pull, clock, lost):
    state = pull().state
    clock.move(days=31 if lost == "aged" else 1)
    account.put(99, at=NOON)
    account.faults = [(400, {}, "invalid cursor")] if lost == "forgotten" else []
    account.queries.clear()

    assert {"7", "99"} <= set(pull(state).keys)
    asked = next(query for query in account.queries if "start_time" in query)
    assert asked["start_time"] == str(int((NOON - timedelta(minutes=63)).timestamp()))  # ten minutes before the newest


def test_ten_requests_a_minute_are_not_passed(account, pull, clock):
    for number in range(100, 130):
        account.put(number, at=NOON - timedelta(minutes=2))

    assert len(pull().keys) == 37  # in 13 requests
    assert clock.slept == [60]


def test_missing_permission_is_told(account, pull):
    account.faults = [(403, {}, '{"error": "Forbidden", "description": "You must be an admin"}')]

    with pytest.raises(SourceRefused, match=r"Ask there for permission.*You must be an admin"):
        pull()


def test_users_come_with_what_says_who_they_are(account, pull):
    account.log = []
    account.put(235323, at=NOON - timedelta(minutes=5), email="ann@example.com", last_login_at="2026-11-20T09:00:00Z")

    rows = pull(stream="users").rows

    assert [(row.key, row.data["email"]) for row in rows] == [("235323", "ann@example.com")]
    assert "last_login_at" not in rows[0].data  # changes every morning
