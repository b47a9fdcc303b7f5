"""What `check` finds out about a system, and that it tells each fault from all others."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from zoneinfo import ZoneInfo

import pytest
import responses
from helpdesk import BASE_URL, DOCUMENT, KEYSET, NOON, Desk, FakeClock, Puller, iso

from connectors import Finding, Reach, SourceRefused, load_source
from connectors.secrets import Secrets
from connectors.sources import checking, vendors


@dataclass
class Office(Desk):
    """A desk whose API user sits in some zone, and which may leave out the very time that it is asked for."""

    zone: str = "UTC"
    strict: bool = False
    deaf: frozenset[str] = frozenset()
    """Parameters that it does not heed."""
    grain: int = 1
    """Times are compared by so many seconds."""
    sized: str = "per_page"
    cap: int = 100
    lists: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda rows: rows
    more: dict[str, str] = field(default_factory=dict)
    """Headers beside the usual ones."""

    def _page(self, query: dict[str, str], *, deletions: bool) -> Any:
        query = {name: value for name, value in query.items() if name not in self.deaf}
        for name in ("since", "until"):
            if name in query:
                query[name] = self._taken(query[name])
        self.size = min(int(query.get(self.sized, self.size)), self.cap)
        status, headers, text = super()._page(query, deletions=deletions)
        body = json.loads(text)
        body["tickets"] = self.lists(body["tickets"])
        return status, headers | self.more, json.dumps(body)

    def _taken(self, text: str) -> str:
        """Read a time as systems do that know only the user's own."""
        local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(self.zone))
        at = local.timestamp() // self.grain * self.grain + (1 if self.strict else 0)
        return iso(datetime.fromtimestamp(at, ZoneInfo("UTC")))


SECRETS = Secrets({"LRS_BRIDGE_SOURCE_KEY": "s3cret"}, Path("/nowhere"))
LOCAL = {"send": "%Y-%m-%d %H:%M:%S", "timezone": "UTC"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desk(clock) -> Iterator[Office]:
    office = Office(clock, size=50)
    for number in range(1, 21):
        office.put(number, at=NOON - timedelta(hours=60 - 2 * number), owner="ann")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as web:
        for method in (responses.GET, responses.POST):
            web.add_callback(method, re.compile(".*"), callback=office.answer)
        yield office


@pytest.fixture
def check(clock, desk) -> Callable[..., dict[str, Finding]]:
    def run(**keys: Any) -> dict[str, Finding]:
        found = list(Puller(clock, SECRETS).source(**keys).check())
        assert [one.name for one in found] == list(checking.NAMES)
        for one in found:
            assert one.remedy or one.state in ("ok", "skipped"), one
            assert one.text
        return {one.name: one for one in found}

    return run


def cursor(**keys: Any) -> dict[str, Any]:
    return {"cursor": DOCUMENT["cursor"] | keys}


def params(**more: Any) -> dict[str, Any]:
    return {"request": {"path": "/tickets", "params": {"since": "{low}", **more}}}


def test_sound_system_has_no_faults_and_costs_few_requests(check, desk):
    found = check(**params(until="{high}"))

    assert {one.state for one in found.values()} == {"ok", "skipped"}
    assert [name for name, one in found.items() if one.state == "skipped"] == ["deletions", "quota"]
    assert len(desk.asked) == 4  # a page, one from the record on, one from after it, one with an end
    assert "All 20" in found["records"].text


def test_keyset_is_checked_likewise(check, desk):
    found = check(**KEYSET)

    assert found["timezone"].state == "ok"
    assert found["pages"].state == "ok"


# --- time zones -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("send", [{}, LOCAL])  # `Z` is of no help where the system does not read it
@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Asia/Tokyo", "9 hours ahead of UTC, so too many records come"),
        ("America/New_York", "5 hours behind UTC, so changes are silently missed"),
        ("Asia/Kolkata", "5.5 hours ahead of UTC"),
        ("Asia/Kathmandu", "5.75 hours ahead of UTC"),
        ("Pacific/Kiritimati", "14 hours ahead of UTC"),
        ("Pacific/Pago_Pago", "11 hours behind UTC"),
    ],
)
def test_zone_of_the_api_user_is_measured(check, desk, zone, told, send):
    desk.zone = zone

    found = check(**cursor(**send))["timezone"]

    assert found.state == "failed"
    assert f"The API user's time zone is {told}" in found.text
    assert found.remedy.startswith("Set the user's time zone to UTC, or write ")
    assert len(desk.asked) <= 12


@pytest.mark.parametrize(
    ("send", "remedy"),
    [
        (LOCAL, "or write `timezone: Asia/Tokyo` in `cursor`"),
        ({}, 'or write `timezone: Asia/Tokyo` and `send: "%Y-%m-%d %H:%M:%S"` in `cursor`'),
    ],
)
def test_remedy_is_what_the_document_needs(check, desk, send, remedy):
    desk.zone = "Asia/Tokyo"

    assert remedy in check(**cursor(**send))["timezone"].remedy


def test_remedy_is_what_the_document_of_a_vendor_has_a_place_for(clock):
    office = Office(clock, size=50, zone="Asia/Tokyo")
    for number in range(1, 5):
        office.put(number, at=NOON - timedelta(hours=60 - 2 * number))
    account = {"url": "https://rt.example.com", "token": {"secret": "key"}}
    document = {"kind": "source", "name": "rt", "type": "rt", "stream": "tickets", "account": account}

    def found(**keys):
        source = load_source(document | keys, base=Path("/base")).reaching(Reach(SECRETS, clock))
        with responses.RequestsMock(assert_all_requests_are_fired=False) as web:
            web.add_callback(responses.GET, re.compile(".*"), callback=lambda request: as_rt(office.answer, request))
            return {one.name: one for one in source.check()}["timezone"]

    assert found().remedy.startswith("Set the user's time zone to UTC, or write `timezone: Asia/Tokyo` in `account` (")
    assert found(account=account | {"timezone": "Asia/Tokyo"}).state == "ok"


def as_rt(ask, request):
    """Answer as Request Tracker does: by a query, with other names."""
    query = parse_qs(urlsplit(request.url).query)
    since = re.findall("LastUpdated >= '(.+)'", query["query"][0])  # not in a sweep
    page = query.get("page", ["1"])[0]
    request.url = f"{BASE_URL}/tickets?{urlencode({'page': page} | ({'since': since[0]} if since else {}))}"
    status, headers, text = ask(request)
    items = [{**one, "LastUpdated": one["updated_at"]} for one in json.loads(text)["tickets"]]
    return status, headers, json.dumps({"items": items})


def test_remedy_names_no_key_that_the_document_has_no_place_for(clock, desk):
    desk.zone = "Asia/Tokyo"
    source = replace(Puller(clock, SECRETS).source(**cursor(**LOCAL)), zone_key=None)
    measured = {one.name: one for one in source.check()}["timezone"]
    desk.put(30, at=NOON + timedelta(hours=9))
    to_come = {one.name: one for one in source.check()}["cursor"]

    assert measured.remedy == "Set the user's time zone to UTC."
    assert to_come.remedy == "These are local times: have them shown in UTC."


@pytest.mark.parametrize("vendor", vendors.VENDORS)
def test_only_a_setting_is_named_that_the_account_has(vendor):
    known = vendors.manifest(vendor)
    places = {vendors._zone_key(stream) for stream in known["streams"].values()} - {None}

    assert places == ({("account", "timezone")} if "timezone" in known["account"] else set())


def test_declared_zone_is_proved(check, desk):
    desk.zone = "Asia/Tokyo"

    right = check(**cursor(send=LOCAL["send"], timezone="Asia/Tokyo"))["timezone"]
    wrong = check(**cursor(send=LOCAL["send"], timezone="Europe/Berlin"))["timezone"]

    assert right.state == "ok"
    assert "8 hours ahead of the `timezone` that is declared" in wrong.text


@pytest.mark.parametrize("ordered", [True, False])
def test_zone_is_measured_in_any_order(check, desk, ordered):
    desk.zone = "America/New_York"
    desk.lists = lambda rows: rows if ordered else rows[::-1]

    assert "5 hours behind" in check(**cursor(ordered=ordered))["timezone"].text


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_what_cannot_be_told_from_a_part_of_the_answer_is_said_to_be_so(check, desk, zone):
    desk.zone = zone
    desk.size = 3

    found = check(**cursor(ordered=False))["timezone"]

    assert found.state == "skipped"
    assert "ordered: true" in found.remedy


def test_hour_that_comes_twice_proves_nothing(check, desk):
    desk.zone = "Europe/Berlin"
    for number in desk.tickets:
        desk.put(number, at=datetime.fromisoformat("2026-10-25T01:20:00Z") + timedelta(seconds=number))

    assert "set back" in check(**cursor(send=LOCAL["send"], timezone="Europe/Berlin"))["timezone"].text


def test_very_time_that_is_left_out_is_found(check, desk):
    desk.strict = True

    missing = check()["timezone"]

    assert missing.state == "failed"
    assert "Write `exclusive: 1s`" in missing.remedy
    assert check(**cursor(exclusive="1s"))["timezone"].state == "ok"


def test_parameter_that_is_not_heeded_is_found(check, desk):
    desk.deaf = frozenset({"since"})

    found = check()["timezone"]

    assert found.state == "failed"
    assert "does not heed the parameter with {low}" in found.remedy


def test_coarse_filter_costs_nothing(check, desk):
    desk.grain = 60
    for number in (1, 2):
        desk.put(number, at=NOON - timedelta(hours=20, seconds=-30))

    found = check()["timezone"]

    assert found.state == "ok"
    assert "coarse" in found.text


def test_end_that_is_not_heeded_is_found(check, desk):
    desk.deaf = frozenset({"until"})

    found = check(**params(until="{high}"))["end"]

    assert found.state == "failed"
    assert "{high}" in found.remedy


def test_times_to_come_are_local_times(check, desk):
    desk.put(30, at=NOON + timedelta(hours=9))

    found = check()["cursor"]

    assert "9.0 h to come" in found.text
    assert "`timezone`" in found.remedy


# --- login and permissions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "name", "remedy", "ok"),
    [
        (401, "login", "Ask the vendor's admin whether the API user is not locked", ["reachable"]),
        (403, "permissions", "Ask the vendor's admin to let the API user read /tickets", ["reachable", "login"]),
        (404, "records", "Correct `base_url` or the path /tickets", ["reachable"]),
        (400, "records", "Correct `request`", ["reachable"]),
        (503, "reachable", "Try again later", []),
    ],
)
def test_refusals_are_told_apart(check, desk, fault, name, remedy, ok):
    desk.faults.extend([(fault, {}, "no s3cret")] * 4)

    found = check(auth={"type": "bearer", "token": {"secret": "key"}})

    assert found[name].state == "failed"
    assert remedy in found[name].remedy
    assert [other for other, one in found.items() if one.state == "ok"] == ok
    assert "s3cret" not in str(found)


def test_secret_that_is_not_there_is_no_fault_of_the_system(check, desk):
    found = check(auth={"type": "bearer", "token": {"secret": "other"}})

    assert found["login"].state == "failed"
    assert "LRS_BRIDGE_SOURCE_OTHER" in found["login"].remedy
    assert found["reachable"].state == "skipped"
    assert desk.asked == []


def test_page_to_log_in_is_no_list(check, desk):
    desk.faults.append((200, {"Content-Type": "text/html"}, "<html>"))

    assert "text/html" in check()["records"].text


def test_fields_that_nobody_sees_are_named(check, desk):
    for number in desk.tickets:
        desk.tickets[number] |= {"csat": None, "sla": {"breached": None, "due": 7}, "note": ""}

    found = check(**params(fields="id,updated_at,effort"))["permissions"]

    assert found.state == "warning"
    assert "Not one of 20 records has a value in effort, csat, sla.breached, note" in found.text
    assert "field-level security" in found.remedy


def test_required_fields_are_looked_for(check, desk):
    desk.tickets[1]["csat"] = 5

    some, none = check(require=["csat"]), check(require=["sla.due"])

    assert some["permissions"].state == "warning"
    assert "csat (19 of 20)" in some["permissions"].text
    assert none["permissions"].state == "failed"
    assert none["records"].state == "failed"


# --- the page -------------------------------------------------------------------------------------------------------


def test_disorder_is_found(check, desk):
    desk.lists = lambda rows: rows[::-1]

    found = check()["order"]

    assert found.state == "failed"
    assert found.remedy == "Ask for the oldest first, or take `ordered: true` out."
    assert check(**cursor(ordered=False))["order"].state == "ok"


def test_changes_at_one_time_are_in_order(check, desk):
    desk.put(21, at=NOON - timedelta(hours=20))

    assert check()["order"].state == "ok"


def test_key_that_names_several_is_found(check, desk):
    assert check(key="owner")["keys"].state == "failed"
    assert "several different records of the page, such as 'ann'" in check(key="owner")["keys"].text


def test_row_that_comes_twice_is_no_fault(check, desk):
    desk.lists = lambda rows: [*rows, *rows[-1:]]

    assert check()["keys"].state == "ok"


def test_cursor_that_cannot_be_read_is_found(check, desk):
    desk.lists = lambda rows: [row | {"updated_at": "yesterday"} for row in rows]

    found = check()

    assert found["cursor"].state == "failed"
    assert "In 20 of 20 records updated_at cannot be read" in found["cursor"].text


def test_keyset_that_is_sent_too_coarsely_is_found(check, desk):
    desk.lists = lambda rows: [row | {"updated_at": row["updated_at"].replace("Z", ".25Z")} for row in rows]

    found = check(**KEYSET)["cursor"]

    assert found.state == "failed"
    assert "iso_ms" in found.remedy


def test_cap_of_pages_is_found_where_it_would_end_pulls(check, desk):
    desk.cap = 5
    page = {"type": "page", "param": "page", "short_is_last": 10}

    found = check(**params(per_page=10), page=page)["pages"]

    assert found.state == "failed"
    assert found.text == "A page of 5 came, of 10 asked for, though there are more."
    assert "`short_is_last: 5`" in found.remedy
    assert check(**params(per_page=5), page=page | {"short_is_last": 5})["pages"].state == "ok"


def test_cap_of_pages_is_told_where_it_harms_nothing(check, desk):
    desk.cap = 5

    assert check(**params(per_page=10))["pages"].state == "warning"


def test_way_to_page_that_is_not_heeded_is_found(check, desk):
    desk.size = 5
    desk.deaf = frozenset({"offset"})

    found = check(page={"type": "offset", "param": "start"})["pages"]

    assert found.state == "failed"
    assert "does not heed how we page" in found.remedy


# --- deletions, quota, clock ----------------------------------------------------------------------------------------


def test_flag_that_is_not_there_is_found(check, desk):
    flag = {"type": "flag", "field": "status", "is": ["deleted"]}

    assert check(deleted=flag)["deletions"].state == "warning"
    desk.put(3, at=NOON - timedelta(hours=1), status="deleted")
    assert "1 of 20 records have status; 1 are deleted" in check(deleted=flag)["deletions"].text


def test_feed_that_may_not_be_read_is_found(check, desk):
    feed = {
        "type": "feed",
        "request": {"path": "/deleted", "params": {"since": "{low}"}},
        "page": {"type": "single"},
        "records": "tickets",
        "key": "id",
        "cursor": {"field": "updated_at"},
    }
    assert check(deleted=feed)["deletions"].state == "ok"

    def refuse(desk: Any, number: int) -> None:
        if number > done + 3:
            desk.faults.append((403, {}, ""))

    done = len(desk.asked)
    desk.before = refuse

    found = check(deleted=feed)["deletions"]

    assert found.state == "failed"
    assert "read /deleted" in found.remedy


def test_quota_is_told_or_its_header_found(check, desk):
    desk.more = {"X-RateLimit-Remaining": "42"}

    assert "name it in `quota` (X-RateLimit-Remaining: 42)" in check()["quota"].remedy
    assert "42" in check(quota={"remaining": "X-RateLimit-Remaining"})["quota"].text
    assert check(quota={"remaining": "X-Left"})["quota"].state == "warning"
    assert "Counted by us" in check(quota={"requests": 100, "per": "1m"})["quota"].text


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (30, "ok"), (-3600, "warning")])
def test_clock_is_compared(check, desk, seconds, state):
    desk.skew = timedelta(seconds=seconds)

    found = check()["clock"]

    assert found.state == state
    assert seconds == 0 or str(abs(seconds)) in found.text


def test_stream_without_records_fails_nothing(check, desk):
    desk.tickets.clear()

    found = check(**params(until="{high}"), deleted={"type": "flag", "field": "status", "is": ["deleted"]})

    assert {one.state for one in found.values()} == {"ok", "skipped"}


def test_fault_on_the_way_skips_what_it_hinders(check, desk):
    desk.faults.extend([None, *[(429, {"Retry-After": "7200"}, "")]])

    found = check()

    assert found["timezone"].state == "skipped"
    assert found["order"].state == "ok"


def test_old_records_are_found_where_there_are_no_new_ones(check, desk):
    for number in desk.tickets:
        desk.put(number, at=NOON - timedelta(days=400 + number))

    assert check()["timezone"].state == "ok"


# --- samples --------------------------------------------------------------------------------------------------------


def test_sample_is_the_newest(desk, clock):
    desk.tickets[7]["id"] = None
    page = Puller(clock, SECRETS).source().sample(5)

    assert [row.key for row in page.rows] == ["20", "19", "18", "17"]
    assert (len(page.problems), page.state) == (1, None)


def test_sample_of_what_is_refused_is_raised(desk, clock):
    desk.faults.append((403, {}, ""))

    with pytest.raises(SourceRefused, match="403"):
        Puller(clock, SECRETS).source().sample(5)


def test_check_asks_as_pulls_do(desk, clock):
    """The calibration is worth nothing where it sends times otherwise than the runner."""
    keys = cursor(send="unix", exclusive="3s") | params(until="{high}", limit=7)
    source = Puller(clock, SECRETS).source(**keys)
    desk.deaf = frozenset({"since", "until"})
    list(source.check())
    checked = desk.asked[-1] | {"since": "", "until": ""}
    desk.asked.clear()
    list(source.pull(None))

    assert {**desk.asked[0], "since": "", "until": ""} == checked
    assert int(desk.asked[0]["since"]) == source.stream.cursor.start.timestamp() - 3
