"""Jira against a site of our own, whose requests and answers are held against the vendor's contract."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import pytest
import responses
from helpdesk import NOON, FakeClock, Pulled
from openapi import Contract
from requests import PreparedRequest

from connectors import ConfigError, Reach, SourceRefused, load_source
from connectors.secrets import Secrets

URL = "https://acme.atlassian.net"
TOKEN = "j1ra-canary"
SIZE = 3
DOCUMENT = {
    "kind": "source",
    "name": "jira-issues",
    "type": "jira",
    "stream": "issues",
    "account": {
        "site": "acme",
        "email": "bot@example.com",
        "token": {"secret": "jira-token"},
        "projects": "SUP, OPS",
    },
}
JQL = re.compile(r"project in \(SUP, OPS\) AND updated >= (\d+) ORDER BY updated ASC, key ASC")


class Site:
    """Searches by JQL as Jira does: behind the changes by `delay`, in pages by tokens that are offsets in disguise."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.contract = Contract("jira")
        self.issues: dict[int, dict] = {}
        self.changes: dict[str, list[dict]] = {}
        self.indexed_at: dict[int, datetime] = {}
        self.faults: list[tuple[int, dict[str, str], str]] = []
        self.lows: list[int] = []
        self.requests: list[PreparedRequest] = []

    def put(self, number: int, *, at: datetime, shown_at: datetime | None = None, changes: int = 1, **fields) -> None:
        author = {"accountId": "5b10ac8d82e05b22cc7d4ef5", "displayName": "Ann"}
        self.issues[number] = {
            "id": str(10000 + number),
            "key": f"SUP-{number}",
            "self": f"{URL}/rest/api/3/issue/{10000 + number}",
            "expand": "operations",
            "fields": {
                "updated": written(at),
                "assignee": author,
                "status": {"name": "Done"},
                # A service level of Jira Service Management, which is a field of the issue.
                "customfield_10030": {"completedCycles": [{"breached": True, "elapsedTime": {"millis": 5_400_000}}]},
                **fields,
            },
        }
        moved = {"field": "assignee", "fieldtype": "jira", "to": "5b10ac8d82e05b22cc7d4ef5"}
        change = {"author": author, "created": written(at), "items": [moved]}
        self.changes[str(10000 + number)] = [change | {"id": str(place)} for place in range(changes)]
        self.indexed_at[number] = shown_at or at

    def answer(self, request: PreparedRequest):
        self.requests.append(request)
        path = str(request.url).removeprefix(URL).partition("?")[0]
        self.contract.check_request(path, request)
        if self.faults:
            return self.faults.pop(0)
        query = {name: values[0] for name, values in parse_qs(urlsplit(str(request.url)).query).items()}
        body = {"jql": self._search, "search": self._users, "bulkfetch": self._history}[path.rpartition("/")[2]](
            json.loads(request.body) if request.body else query
        )
        self.contract.check_answer(path, request, body)
        return 200, {"Content-Type": "application/json"}, json.dumps(body)

    def _search(self, query: dict[str, str]) -> dict:
        asked = JQL.fullmatch(query["jql"])
        assert asked, query["jql"]
        self.lows.append(int(asked[1]))
        low = datetime.fromtimestamp(int(asked[1]) / 1000, UTC)
        shown = [
            (datetime.fromisoformat(issue["fields"]["updated"]), issue)
            for number, issue in self.issues.items()
            if self.indexed_at[number] <= self.clock.at
        ]
        rows = [issue for at, issue in sorted(shown, key=lambda one: (one[0], one[1]["key"])) if at >= low]
        begin = int(query.get("nextPageToken", "T0")[1:])
        following = {} if begin + SIZE >= len(rows) else {"nextPageToken": f"T{begin + SIZE}"}
        return {"issues": rows[begin : begin + SIZE], **following}

    def _history(self, query: dict) -> dict:
        """Give changes of all issues asked for, two a page, oldest first."""
        rows = [(issue, one) for issue in query["issueIdsOrKeys"] for one in self.changes[issue]]
        begin = int(query.get("nextPageToken", "H0")[1:])
        following = {} if begin + 2 >= len(rows) else {"nextPageToken": f"H{begin + 2}"}
        logs = [{"issueId": issue, "changeHistories": [one]} for issue, one in rows[begin : begin + 2]]
        return {"issueChangeLogs": logs, **following}

    def _users(self, query: dict[str, str]) -> list[dict]:
        people = [
            {"accountId": f"a{number}", "emailAddress": f"p{number}@example.com", "active": True} for number in range(5)
        ]
        begin = int(query.get("startAt", 0))
        return people[begin : begin + 2]


def written(at: datetime) -> str:
    """Write a time as Jira does: to the millisecond, in the zone of the account."""
    local = at.astimezone(UTC) - timedelta(hours=5)
    return local.strftime("%Y-%m-%dT%H:%M:%S.") + f"{local.microsecond // 1000:03d}-0500"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def site(clock: FakeClock) -> Iterator[Site]:
    made = Site(clock)
    for number in range(1, 8):
        made.put(number, at=NOON - timedelta(minutes=60 - number, milliseconds=250))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for path in ("search/jql", "users/search"):
            mock.add_callback(responses.GET, f"{URL}/rest/api/3/{path}", callback=made.answer)
        mock.add_callback(responses.POST, f"{URL}/rest/api/3/changelog/bulkfetch", callback=made.answer)
        yield made


@pytest.fixture
def pull(clock: FakeClock):
    def pull_all(state=None, **keys) -> Pulled:
        secrets = Secrets({"LRS_BRIDGE_SOURCE_JIRA_TOKEN": TOKEN}, Path("/nowhere"))
        source = load_source(DOCUMENT | keys, base=Path("/base"))
        pulled = Pulled()
        for page in source.reaching(Reach(secrets, clock)).pull(state):
            pulled.take(page)
        return pulled

    return pull_all


def test_contract_refuses_what_the_vendor_would_not_send_or_take(site, pull):
    pull()
    request = site.requests[0]

    with pytest.raises(jsonschema_rs.ValidationError):
        site.contract.check_answer("/rest/api/3/search/jql", request, {"issues": [{"id": 10001}]})
    with pytest.raises(AssertionError, match="there is no /rest/api/3/search"):
        site.contract.check_request("/rest/api/3/search", request)  # removed in 2025


def test_issues_come_with_service_levels_and_the_history_of_who_had_them(site, pull):
    pulled = pull()

    assert pulled.keys == [str(10000 + number) for number in range(1, 8)]
    row = pulled.rows[0]
    assert row.data["history"][0]["items"][0]["field"] == "assignee"
    assert row.data["fields"]["customfield_10030"]["completedCycles"][0]["breached"] is True
    assert row.cursor == ("2026-11-20T11:00:59.750000Z",)  # UTC, whatever the zone of the account
    assert pulled.problems == []


def test_long_history_comes_whole(site, pull):
    site.put(2, at=NOON - timedelta(minutes=58), changes=7)

    assert [one["id"] for one in pull().latest()["10002"]["history"]] == list("0123456")


def test_request_is_signed_and_names_the_projects(site, pull):
    pull()

    pair = base64.b64encode(f"bot@example.com:{TOKEN}".encode()).decode()
    assert site.requests[0].headers["Authorization"] == f"Basic {pair}"


def test_changes_are_asked_for_in_milliseconds_which_no_time_zone_moves(site, pull, clock):
    state = pull(lookback="0s").state
    clock.move(minutes=30)

    pull(state, lookback="0s")

    assert site.lows[-1] == int((NOON - timedelta(minutes=53)).timestamp() * 1000) - 250


def test_issue_that_the_search_shows_late_is_found(site, pull, clock):
    site.put(8, at=NOON - timedelta(minutes=3), shown_at=NOON + timedelta(minutes=1))
    site.put(9, at=NOON - timedelta(minutes=1))  # newer, and shown before it

    first = pull(lookback="0s")
    clock.move(minutes=15)
    second = pull(first.state, lookback="0s")

    assert "10008" not in first.keys
    assert "10008" in second.keys
    assert "10009" in first.keys  # what is shown is not held back


def test_tokens_that_are_offsets_lose_nothing_when_issues_move(site, pull, clock):
    answer = site.answer

    def change(request):
        if len(site.lows) == 1:
            site.put(1, at=clock.at - timedelta(seconds=5), status={"name": "Reopened"})
        return answer(request)

    with responses.RequestsMock() as mock:
        mock.add_callback(responses.GET, f"{URL}/rest/api/3/search/jql", callback=change)
        mock.add_callback(responses.POST, f"{URL}/rest/api/3/changelog/bulkfetch", callback=answer)
        pulled = pull()

    assert set(pulled.keys) == {str(10000 + number) for number in range(1, 8)}
    assert pulled.latest()["10001"]["fields"]["status"] == {"name": "Reopened"}


def test_limit_is_waited_for(site, pull, clock):
    site.faults = [
        (429, {"Retry-After": "5", "RateLimit-Reason": "jira-burst-based"}, ""),
        (429, {"X-RateLimit-Reset": "2026-11-20T12:01Z"}, ""),
    ]

    assert len(pull().keys) == 7
    assert clock.slept == [5, 55]


def test_lost_permission_is_told_with_jiras_words(site, pull):
    site.faults = [(400, {}, '{"errorMessages": ["The value SUP does not exist for the field project."]}')]

    with pytest.raises(SourceRefused, match="The value SUP does not exist"):
        pull()


def test_users_come_page_by_page(site, pull):
    rows = pull(stream="users").rows

    assert [row.data["emailAddress"] for row in rows] == [f"p{number}@example.com" for number in range(5)]
    assert {row.cursor for row in rows} == {None}


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
        load_source(DOCUMENT | {"account": DOCUMENT["account"] | {setting: value}}, base=Path("/base"))

    assert caught.value.path == ("account", setting)
    assert caught.value.remedy.startswith("It is the ")
