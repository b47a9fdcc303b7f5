"""What is asked for by ids and put into records; records by id alone; stubs of deleted records."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import responses
from helpdesk import BASE_URL, NOON, Desk, FakeClock, Puller

from connectors import ConfigError, SourceBroken, SourceRefused

DETAILS = {
    "as": "history",
    "request": {"method": "POST", "path": "/history", "body": {"inputs": "{ids}", "fields": ["owner"]}},
    "each": {"id": "{id}"},
    "size": 2,
    "records": "results",
    "key": "ticket",
    "take": "changes",
    "page": {"type": "token", "path": "after", "body": "after"},
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def asked() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def desk(clock, asked) -> Iterator[Desk]:
    """A desk that tells who had a ticket in two pages a request, and nothing of ticket 3."""
    made = Desk(clock)

    def history(request):
        body = json.loads(request.body)
        asked.append(body)
        second = body.get("after") == "2"
        known = [one["id"] for one in body["inputs"] if one["id"] != "3"]
        results = [{"ticket": int(one), "changes": [{"owner": "bob" if second else "ann"}]} for one in known]
        return made.reply({"results": results, "after": None if second else "2"})

    for number in range(1, 5):
        made.put(number, at=NOON - timedelta(minutes=60 - number))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, f"{BASE_URL}/tickets", callback=made.answer)
        mock.add_callback(responses.POST, f"{BASE_URL}/history", callback=history)
        yield made


@pytest.fixture
def pull(clock) -> Puller:
    return Puller(clock)


def test_details_of_all_their_pages_stand_in_the_record(desk, pull):
    rows = pull(details=[DETAILS]).latest()

    assert rows["1"]["history"] == [{"owner": "ann"}, {"owner": "bob"}]
    assert "history" not in rows["3"]


def test_details_are_asked_for_so_many_at_once(desk, pull, asked):
    pull(details=[DETAILS])

    first = [body["inputs"] for body in asked if "after" not in body]
    assert first[:2] == [[{"id": "1"}, {"id": "2"}], [{"id": "3"}]]  # a page of three


def test_other_details_are_another_version(desk, pull):
    assert pull().rows[0].content_hash != pull(details=[DETAILS]).rows[0].content_hash


def test_details_that_come_newly_read_all_of_the_stream_again(desk, pull):
    assert pull(pull(details=[DETAILS]).state).keys == ["1", "2", "3", "4"]


def test_details_that_are_no_list_are_told(desk, pull):
    with pytest.raises(SourceBroken, match=r"history gives no list at 'rows'. Correct `records` of `details`"):
        pull(details=[DETAILS | {"records": "rows"}])


def test_details_that_are_refused_stop_the_stream(desk, pull):
    with responses.RequestsMock() as mock:
        mock.add_callback(responses.GET, f"{BASE_URL}/tickets", callback=desk.answer)
        mock.add(responses.POST, f"{BASE_URL}/history", status=403, json={"message": "Missing scope history"})

        with pytest.raises(SourceRefused, match="Missing scope history"):
            pull(details=[DETAILS])


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"request": {"path": "/history"}}, 'Put "{ids}" into'),
        ({"request": {"path": "/history", "params": {"since": "{low}"}}}, "no slot {low}"),
        ({"size": 0}, "Write 1 or more"),
        ({"sizes": 50}, "Did you mean 'size'?"),
    ],
)
def test_faults_in_details_are_told(pull, keys, told):
    with pytest.raises(ConfigError) as caught:
        pull.source(details=[DETAILS | keys])

    assert caught.value.path[0] == "details"
    assert told in f"{caught.value.text} {caught.value.remedy}"


def test_details_need_one_id(pull):
    with pytest.raises(ConfigError, match="asked for by one id"):
        pull.source(details=[DETAILS], key=["id", "number"])


BY_ID = {
    "request": {"path": "/tickets", "params": {"since": "{low}", "until": "{high}", "above": "{low_id}"}},
    "page": {"type": "keyset", "by": "id", "first_id": 0},
    "cursor": {"field": "updated_at", "lookback": "0s", "settle": "0s"},
}


@pytest.fixture
def by_id(desk, clock):
    """Answer by id alone, within the window."""
    size, asked = 2, []

    def answer(request):
        query = dict(part.split("=") for part in request.url.partition("?")[2].split("&"))
        asked.append({name: text.replace("%3A", ":") for name, text in query.items()})
        low, high = asked[-1]["since"], asked[-1]["until"]
        rows = [row for row in desk.tickets.values() if low <= row["updated_at"] < high]
        above = sorted((row for row in rows if row["id"] > int(query["above"])), key=lambda row: row["id"])
        return desk.reply({"tickets": above[:size]})

    with responses.RequestsMock() as mock:
        mock.add_callback(responses.GET, f"{BASE_URL}/tickets", callback=answer)
        yield asked


def test_records_by_id_are_read_within_a_window_that_stands_still(by_id, desk, pull, clock):
    for number in range(10, 20):
        desk.put(number, at=NOON - timedelta(minutes=30))  # one time for more than a page holds

    pulled = pull(**BY_ID)

    assert set(pulled.keys) == {str(number) for number in desk.tickets}
    assert len({query["until"] for query in by_id}) == 1
    assert pulled.state["stream"]["watermark"] == "2026-11-20T11:30:00.000000Z"


def test_watermark_by_id_moves_with_the_end_of_the_window_only(by_id, desk, pull):
    first = next(pull.pages(**BY_ID))

    assert "watermark" not in first.state["stream"]
    assert pull(first.state, **BY_ID).keys == ["3", "4"]


def test_unusable_record_at_the_end_does_not_stop_a_stream_by_id(by_id, desk, pull):
    for number in (1, 2, 3, 4):
        desk.put(number, at=NOON - timedelta(minutes=60 - number), subject="x")
    desk.put(5, at=NOON - timedelta(minutes=5))

    pulled = pull(**BY_ID, require="subject")

    assert pulled.keys == ["1", "2", "3", "4"]
    assert [problem.column for problem in pulled.problems] == ["subject"]


def test_page_of_which_no_time_can_be_read_does_not_stop_a_stream_by_id(by_id, desk, pull):
    for number in (3, 4):
        desk.tickets[number]["updated_at"] += "?"
    desk.put(5, at=NOON - timedelta(minutes=5))

    pulled = pull(**BY_ID)

    assert pulled.keys == ["1", "2", "5"]
    assert [problem.column for problem in pulled.problems] == ["updated_at", "updated_at"]


def test_order_of_time_and_order_of_ids_are_not_mixed_up(pull):
    with pytest.raises(ConfigError, match="by the order of rows"):
        pull.source(**BY_ID | {"cursor": BY_ID["cursor"] | {"ordered": True}})


def test_stub_of_a_deleted_record_is_named_its_own_way_and_needs_nothing(desk, pull):
    flag = {"type": "flag", "field": "reason", "is": "deleted", "key": "stub_id"}
    desk.tickets[9] = {"id": None, "updated_at": "2026-11-20T11:50:00Z", "stub_id": "2", "reason": "deleted"}
    for number in (1, 2, 3, 4):
        desk.put(number, owner="ann", at=NOON - timedelta(minutes=60 - number))

    pulled = pull(deleted=flag, require="owner")

    assert [(row.key, row.deleted) for row in pulled.rows if row.deleted] == [("2", True)]
    assert pulled.problems == []


FEED = {
    "type": "feed",
    "request": {"path": "/tickets/deleted"},
    "page": {"type": "single"},
    "records": "tickets",
    "key": "id",
    "cursor": {"field": "updated_at"},
    "every": "6h",
}


def test_list_of_deletions_that_is_read_whole_waits_for_its_time(desk, pull, clock):
    read = []
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, f"{BASE_URL}/tickets", callback=desk.answer)
        mock.add_callback(
            responses.GET,
            f"{BASE_URL}/tickets/deleted",
            callback=lambda _: read.append(1) or desk.reply({"tickets": []}),
        )
        state = pull(deleted=FEED).state
        for _ in range(3):
            clock.move(hours=2)
            state = pull(state, deleted=FEED).state or state

    assert len(read) == 2


def test_list_of_deletions_that_is_asked_for_since_a_time_does_not_wait(pull):
    with pytest.raises(ConfigError, match="short, and is read at each pull"):
        pull.source(deleted=FEED | {"request": {"path": "/tickets/deleted", "params": {"since": "{low}"}}})
