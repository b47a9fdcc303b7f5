"""Intercom against a workspace of our own, whose requests and answers are held against the vendor's contract."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import jsonschema_rs
import pytest
import responses
from helpdesk import NOON, FakeClock, Pulled
from openapi import Contract
from requests import PreparedRequest

from connectors import ConfigError, Reach, SourceUnavailable, load_source
from connectors.secrets import Secrets

URL = "https://api.eu.intercom.io"
TOKEN = "int3rcom-canary"
SIZE = 3
DOCUMENT = {
    "kind": "source",
    "name": "intercom-conversations",
    "type": "intercom",
    "stream": "conversations",
    "account": {"region": "api.eu", "token": {"secret": "intercom-token"}},
}


class Workspace:
    """Searches as Intercom's do: by seconds, `>` alone, sorted when asked to, in pages by an opaque cursor."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.contract = Contract("intercom")
        self.conversations: dict[str, dict] = {}
        self.tickets: dict[str, dict] = {}
        self.faults: list[tuple[int, dict[str, str], str]] = []
        self.queries: list[dict] = []
        self.requests: list[PreparedRequest] = []

    def put(self, number: int, *, at, **values) -> None:
        stamp = int(at.timestamp())
        self.conversations[str(number)] = {
            "type": "conversation",
            "id": str(number),
            "created_at": 1795000000,
            "updated_at": stamp,
            "open": False,
            "state": "closed",
            "admin_assignee_id": 814860,
            "source": {"type": "conversation", "id": "1", "body": "<p>My card number is</p>"},
            "conversation_rating": {"rating": 4, "teammate": {"type": "admin", "id": "814860"}},
            "statistics": {"type": "conversation_statistics", "time_to_admin_reply": 310, "count_reopens": 1},
            "sla_applied": {"type": "conversation_sla_summary", "sla_name": "VIP", "sla_status": "missed"},
        } | values

    def put_ticket(self, number: int, *, at) -> None:
        self.tickets[str(number)] = {
            "type": "ticket",
            "id": str(number),
            "updated_at": int(at.timestamp()),
            "open": False,
            "admin_assignee_id": 814860,
            "ticket_parts": {"type": "ticket_part.list", "ticket_parts": [], "total_count": 0},
        }

    def answer(self, request: PreparedRequest):
        self.requests.append(request)
        path = str(request.url).removeprefix(URL).partition("?")[0]
        self.contract.check_request(path, request)
        if self.faults:
            return self.faults.pop(0)
        body = getattr(self, "_" + path.split("/")[1])(json.loads(request.body or "{}"))
        self.contract.check_answer(path, request, body)
        return 200, {"Content-Type": "application/json", "X-RateLimit-Remaining": "160"}, json.dumps(body)

    def _search(self, name: str, query: dict) -> dict:
        self.queries.append(query)
        (condition,) = query["query"]["value"]
        assert condition["operator"] in ("=", "<", ">")  # dates know no others
        assert query["sort"] == {"field": "updated_at", "order": "ascending"}
        rows = [row for row in getattr(self, name).values() if row["updated_at"] > condition["value"]]
        rows.sort(key=lambda row: (row["updated_at"], row["id"]))
        begin = int(query["pagination"].get("starting_after", "WzA").removeprefix("Wz").replace("A", "0"))
        last = begin + SIZE >= len(rows)
        following = None if last else {"per_page": SIZE, "starting_after": f"Wz{begin + SIZE}"}
        pages = {"type": "pages", "page": 1, "per_page": SIZE, "next": following}
        kind = name.removesuffix("s")
        return {"type": f"{kind}.list", name: rows[begin : begin + SIZE], "total_count": len(rows), "pages": pages}

    def _conversations(self, query: dict) -> dict:
        return self._search("conversations", query)

    def _tickets(self, query: dict) -> dict:
        return self._search("tickets", query)

    def _admins(self, _query: dict) -> dict:
        ann = {"type": "admin", "id": "814860", "name": "Ann", "email": "ann@example.com", "away_mode_enabled": True}
        return {"type": "admin.list", "admins": [ann]}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def workspace(clock: FakeClock) -> Iterator[Workspace]:
    made = Workspace(clock)
    for number in range(1, 8):
        made.put(number, at=NOON - timedelta(minutes=60 - number))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.POST, f"{URL}/conversations/search", callback=made.answer)
        mock.add_callback(responses.POST, f"{URL}/tickets/search", callback=made.answer)
        mock.add_callback(responses.GET, f"{URL}/admins", callback=made.answer)
        yield made


@pytest.fixture
def pull(clock: FakeClock):
    def pull_all(state=None, **keys) -> Pulled:
        secrets = Secrets({"LRS_BRIDGE_SOURCE_INTERCOM_TOKEN": TOKEN}, Path("/nowhere"))
        source = load_source(DOCUMENT | keys, base=Path("/base"))
        pulled = Pulled()
        for page in source.reaching(Reach(secrets, clock)).pull(state):
            pulled.take(page)
        return pulled

    return pull_all


def test_contract_refuses_what_the_vendor_would_not_send_or_take(workspace, pull):
    pull()
    request = workspace.requests[0]

    wrong = {"type": "conversation.list", "conversations": [{"updated_at": "yesterday"}]}
    with pytest.raises(jsonschema_rs.ValidationError):
        workspace.contract.check_answer("/conversations/search", request, wrong)
    request.url += "&include_all=true"
    with pytest.raises(AssertionError, match="no parameter 'include_all'"):
        workspace.contract.check_request("/conversations/search", request)


def test_conversations_come_with_what_says_how_they_went(workspace, pull):
    pulled = pull()

    assert pulled.keys == ["1", "2", "3", "4", "5", "6", "7"]
    row = pulled.rows[0]
    assert (row.data["statistics"]["count_reopens"], row.data["conversation_rating"]["rating"]) == (1, 4)
    assert row.data["sla_applied"]["sla_status"] == "missed"
    assert row.cursor == ("2026-11-20T11:01:00.000000Z",)
    assert pulled.problems == []


def test_what_the_customer_wrote_is_not_stored(workspace, pull):
    assert "card number" not in json.dumps([row.data for row in pull().rows])


def test_version_and_token_are_sent(workspace, pull):
    pull()

    headers = workspace.requests[0].headers
    assert (headers["Intercom-Version"], headers["Authorization"]) == ("2.16", f"Bearer {TOKEN}")


def test_changes_are_asked_for_including_the_very_second_of_the_watermark(workspace, pull, clock):
    state = pull(lookback="0s").state
    workspace.put(99, at=NOON - timedelta(minutes=53))  # the same second as 7, committed later
    clock.move(minutes=15)

    again = pull(state, lookback="0s")

    assert sorted(again.keys) == ["7", "99"]
    assert workspace.queries[-1]["query"]["value"][0]["value"] == int((NOON - timedelta(minutes=53)).timestamp()) - 1


def test_more_in_one_second_than_a_page_holds_lose_nothing(workspace, pull):
    for number in range(100, 110):
        workspace.put(number, at=NOON - timedelta(minutes=30))

    assert len(pull().keys) == 17


def test_conversation_that_changes_while_pages_are_read_pushes_none_out(workspace, pull, clock):
    def change(request):
        if len(workspace.requests) == 2:
            workspace.put(1, at=clock.at - timedelta(seconds=5), state="open")
        return Workspace.answer(workspace, request)

    workspace.answer, kept = change, workspace.answer
    with responses.RequestsMock() as mock:
        mock.add_callback(responses.POST, f"{URL}/conversations/search", callback=change)
        pulled = pull()
    workspace.answer = kept

    assert set(pulled.keys) == {"1", "2", "3", "4", "5", "6", "7"}
    assert pulled.latest()["1"]["state"] == "open"


def test_limit_is_waited_for_until_the_window_resets(workspace, pull, clock):
    workspace.faults = [(429, {"X-RateLimit-Reset": str(int(NOON.timestamp()) + 10)}, '{"type": "error.list"}')]

    assert len(pull().keys) == 7
    assert clock.slept == [10]


def test_long_wait_is_handed_on(workspace, pull):
    workspace.faults = [(429, {"X-RateLimit-Reset": str(int(NOON.timestamp()) + 900)}, "")]

    with pytest.raises(SourceUnavailable) as caught:
        pull()
    assert caught.value.retry_after == 900


def test_tickets_come_without_their_messages(workspace, pull):
    workspace.put_ticket(5, at=NOON - timedelta(minutes=30))

    rows = pull(stream="tickets").rows

    assert [(row.key, row.data["admin_assignee_id"], "ticket_parts" in row.data) for row in rows] == [
        ("5", 814860, False)
    ]


def test_admins_come_with_what_says_who_they_are(workspace, pull):
    rows = pull(stream="admins").rows

    assert [(row.key, row.data["email"]) for row in rows] == [("814860", "ann@example.com")]
    assert "away_mode_enabled" not in rows[0].data  # changes with every lunch


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"stream": "conversation"}, ("stream",), "Did you mean 'conversations'?"),
        ({"account": {"token": {"secret": "t"}, "region": "eu"}}, ("account", "region"), "api.eu or api.au"),
        ({"account": {}}, ("account",), "Add it: the access token"),
        ({"account": {"token": "x"}}, ("account", "token"), "only its name does"),
        ({"account": {"token": {"secret": "t"}, "regions": "api"}}, ("account", "regions"), "Did you mean 'region'?"),
        ({"stream": "admins", "settle": "1m"}, ("settle",), "Take the line out"),
        ({"settle": "soon"}, ("settle",), "0s, 90s, 10m, 7d"),
        ({"start": "soon"}, ("start",), "Write it like"),
    ],
)
def test_fault_is_told_at_its_key_with_the_remedy(keys, path, told):
    with pytest.raises(ConfigError) as caught:
        load_source(DOCUMENT | keys, base=Path("/base"))

    assert caught.value.path == path
    assert told in f"{caught.value.text} {caught.value.remedy}"
