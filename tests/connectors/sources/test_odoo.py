"""Odoo against a database of our own that keeps times, orders and hides records as Odoo's does."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import responses
from helpdesk import NOON, FakeClock, Pulled
from requests import PreparedRequest

from connectors import Reach, SourceRefused, load_source
from connectors.secrets import Secrets
from connectors.sources import vendors

URL = "https://acme.odoo.com"
KEY = "6578616d706c65206a736f6e"
DOCUMENT = {
    "kind": "source",
    "name": "odoo-leads",
    "type": "odoo",
    "stream": "leads",
    "account": {"url": URL, "key": {"secret": "odoo-key"}},
}
Reply = tuple[int, dict[str, str], str]


class Database:
    """Records of one model: write_date to the microsecond, shown to the second; archived ones only when asked for."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.records: dict[int, dict[str, Any]] = {}
        self.requests: list[PreparedRequest] = []
        self.limit: int | None = None
        self.key = KEY

    def put(self, number: int, *, at: datetime | None = None, **values: Any) -> None:
        usual = {"id": number, "name": f"Lead {number}", "active": True, "user_id": [7, "Ann"], "stage_id": [1, "New"]}
        self.records[number] = {**usual, **self.records.get(number, {}), **values, "write_date": at or self.clock.at}

    def answer(self, request: PreparedRequest) -> Reply:
        self.requests.append(request)
        if request.headers["Authorization"] != f"Bearer {self.key}":
            return self.fault(401, "werkzeug.exceptions.Unauthorized", "Invalid apikey")
        body = json.loads(request.body or b"{}")
        rows = [row for row in self.records.values() if row["active"] or body["context"].get("active_test") is False]
        for name, operator, value in body["domain"]:
            rows = [row for row in rows if self.holds(row, name, operator, value)]
        for column in reversed(body["order"].split(", ")):
            name, _, way = column.partition(" ")
            assert way == "asc"
            rows.sort(key=lambda row, name=name: row[name])
        begin = body.get("offset", 0)
        end = begin + min(body["limit"], self.limit or body["limit"])
        return self.reply([self.shown(row, body["fields"]) for row in rows[begin:end]])

    def holds(self, row: dict[str, Any], name: str, operator: str, value: Any) -> bool:
        held = row[name]
        if isinstance(held, datetime):
            value = datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=held.tzinfo)
        return {">=": held >= value, ">": held > value}[operator]

    def shown(self, row: dict[str, Any], names: list[str]) -> dict[str, Any]:
        values = {name: row.get(name, False) for name in {"id", *names}}
        return {
            name: f"{held:%Y-%m-%d %H:%M:%S}" if isinstance(held, datetime) else held for name, held in values.items()
        }

    def reply(self, body: object, status: int = 200) -> Reply:
        return status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(body)

    def fault(self, status: int, name: str, message: str) -> Reply:
        return self.reply(
            {"name": name, "message": message, "arguments": [message], "context": {}, "debug": ""}, status
        )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def odoo(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    made = Database(clock)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for model in (
            "crm.lead",
            "helpdesk.ticket",
            "res.users",
            "mail.message",
            "mail.tracking.value",
            "rating.rating",
        ):
            mock.add_callback(responses.POST, f"{URL}/json/2/{model}/search_read", callback=made.answer)
        yield made


@pytest.fixture
def pull(clock: FakeClock):
    def pull_all(state=None, *, take=lambda _page: None, **keys) -> Pulled:
        secrets = Secrets({"LRS_BRIDGE_SOURCE_ODOO_KEY": KEY}, Path("/nowhere"))
        source = load_source(DOCUMENT | keys, base=Path("/base")).reaching(Reach(secrets, clock))
        pulled = Pulled()
        for page in source.pull(state):
            pulled.take(page)
            take(page)
        return pulled

    return pull_all


def test_leads_come_with_the_one_who_has_them_archived_ones_as_well(odoo, pull):
    odoo.put(1, user_id=[7, "Ann"], probability=100.0)
    odoo.put(2, active=False, probability=0.0)

    pulled = pull()

    assert {key: (row["user_id"], row["active"]) for key, row in pulled.latest().items()} == {
        "1": ([7, "Ann"], True),
        "2": ([7, "Ann"], False),
    }
    sent = json.loads(odoo.requests[0].body)
    assert sent["domain"] == [["write_date", ">=", "2000-01-01 00:00:00"]]
    assert {"user_id", "expected_revenue", "date_closed", "write_date"} <= set(sent["fields"])
    assert odoo.requests[0].headers["Content-Type"].startswith("application/json")


def test_next_pull_reads_what_was_written_since_and_what_a_long_transaction_committed_late(odoo, pull, clock):
    odoo.put(1, at=NOON - timedelta(hours=2))
    odoo.put(2, at=NOON - timedelta(minutes=5))
    state = pull().state
    clock.move(minutes=15)
    odoo.put(3, at=NOON - timedelta(minutes=20))  # written by an import that began before the last pull
    odoo.put(1, user_id=[8, "Bob"])

    assert {key: row["user_id"] for key, row in pull(state).latest().items()} == {
        "1": [8, "Bob"],
        "2": [7, "Ann"],
        "3": [7, "Ann"],
    }


def test_many_records_of_one_second_all_come_though_their_ids_are_in_another_order(odoo, pull):
    """Within a second ids say nothing: a keyset of (write_date, id) would leave out 1, which was written last."""
    odoo.limit = 2
    second = NOON - timedelta(minutes=5)
    for place, number in enumerate((5, 3, 4, 2, 1)):
        odoo.put(number, at=second + timedelta(microseconds=1000 * place))
    odoo.put(6, at=second + timedelta(seconds=1))

    assert sorted(pull().keys) == ["1", "2", "3", "4", "5", "6"]


def test_lead_that_changes_while_pages_are_read_pushes_no_other_out(odoo, pull, clock):
    odoo.limit = 2
    for number in range(1, 8):
        odoo.put(number, at=NOON - timedelta(minutes=60 - number))

    def change(_page) -> None:
        clock.move(seconds=1)
        odoo.put(1, name="Changed")  # leaves the first page

    first = pull(take=change)

    assert {"2", "3", "4", "5", "6", "7"} <= set(first.keys)
    assert pull(first.state).latest()["1"]["name"] == "Changed"


def test_unlinked_lead_is_gone_after_a_pass_and_an_archived_one_is_not(odoo, pull, clock):
    for number in (1, 2, 3):
        odoo.put(number)
    state = pull().state
    del odoo.records[2]
    odoo.put(3, active=False)
    named, complete = set(), False

    for minutes in (24 * 60 + 1, 45):
        clock.move(minutes=minutes)
        pieces = []
        state = pull(state, take=lambda page, pieces=pieces: pieces.append(page.sweep)).state or state
        named |= {key for piece in pieces if piece for key in piece.keys}
        complete = complete or any(piece.complete for piece in pieces if piece)

    assert (named, complete) == ({"1", "3"}, True)


def test_fields_of_ones_own_are_read_in_place_of_the_usual_ones(odoo, pull):
    odoo.put(1, x_csat=4)
    own = {"account": {**DOCUMENT["account"], "fields": "x_csat, write_date"}}

    assert pull(**own).latest()["1"] == {"id": 1, "x_csat": 4, "write_date": "2026-11-20 12:00:00"}


def test_database_is_named_where_an_address_serves_several(odoo, pull):
    pull(account={**DOCUMENT["account"], "database": "acme"})

    assert odoo.requests[0].headers["X-Odoo-Database"] == "acme"


def test_expired_key_is_told_with_odoos_words(odoo, pull):
    odoo.key = "renewed"

    with pytest.raises(SourceRefused, match=r"401 Unauthorized.*Invalid apikey"):
        pull()


@pytest.mark.parametrize("stream", vendors.manifest("odoo")["streams"])
def test_every_stream_asks_for_its_own_model(stream):
    source = vendors.load({**DOCUMENT, "stream": stream}, base=Path("/base"))
    body = source.stream.request.body

    assert source.stream.request.path.endswith("/search_read")
    assert "write_date" in body["fields"]
    assert body["order"] == "write_date asc, id asc"
    listing = source.stream.listing
    assert listing is None or listing.request.path == source.stream.request.path
