"""ServiceNow against an instance of our own, with its traps: one time for many rows, and rows that we may not see."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import responses
from helpdesk import NOON, FakeClock, Pulled
from requests import PreparedRequest

from connectors import Reach, SourceRefused, SourceUnavailable, load_source
from connectors.secrets import Secrets

URL = "https://acme.service-now.com/api/now/table"
SIZE = 3
DOCUMENT = {
    "kind": "source",
    "name": "incidents",
    "type": "servicenow",
    "stream": "incidents",
    "account": {"instance": "acme", "user": "bot", "password": {"secret": "servicenow-password"}},
}
QUERY = re.compile(r"sys_updated_on>=(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\^ORDERBYsys_updated_on\^ORDERBYsys_id")


class Instance:
    """Tables as ServiceNow gives them: pages are cut first, and then what the user may not see is taken out."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.records: dict[str, dict] = {}
        self.hidden: set[str] = set()
        self.faults: list[tuple[int, dict[str, str], str]] = []
        self.lows: list[str] = []
        self.paths: list[str] = []

    def put(self, name: str, *, at, **values) -> None:
        self.records[name] = {
            "sys_id": name,
            "number": f"INC{name}",
            "sys_updated_on": f"{at:%Y-%m-%d %H:%M:%S}",
            "assigned_to": "ann",
            "made_sla": "true",
            "reopen_count": "0",
            "work_notes": "The customer said",
            **values,
        }

    def answer(self, request: PreparedRequest):
        parts = urlsplit(str(request.url))
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.paths.append(parts.path)
        if self.faults:
            return self.faults.pop(0)
        asked = QUERY.fullmatch(query["sysparm_query"])
        assert asked, query
        assert (query["sysparm_display_value"], query["sysparm_exclude_reference_link"]) == ("false", "true")
        self.lows.append(asked[1])
        rows = [row for row in self.records.values() if row["sys_updated_on"] >= asked[1]]
        rows.sort(key=lambda row: (row["sys_updated_on"], row["sys_id"]))
        begin = int(query.get("sysparm_offset", 0))
        page = [row for row in rows[begin : begin + SIZE] if row["sys_id"] not in self.hidden]
        headers = {"Content-Type": "application/json", "X-Total-Count": str(len(rows))}
        if begin + SIZE < len(rows):
            link = f"{URL}/incident?{urlencode(query | {'sysparm_offset': begin + SIZE})}"
            headers["Link"] = f'<{URL}/incident?sysparm_offset=0>;rel="first",<{link}>;rel="next"'
        return 200, headers, json.dumps({"result": page})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def instance(clock: FakeClock) -> Iterator[Instance]:
    made = Instance(clock)
    for number in range(1, 8):
        made.put(f"a{number}", at=NOON - timedelta(minutes=60 - number))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for table in ("incident", "sn_customerservice_case", "task_sla", "sys_user"):
            mock.add_callback(responses.GET, f"{URL}/{table}", callback=made.answer)
        yield made


@pytest.fixture
def pull(clock: FakeClock):
    def pull_all(state=None, **keys) -> Pulled:
        secrets = Secrets({"LRS_BRIDGE_SOURCE_SERVICENOW_PASSWORD": "s3cret"}, Path("/nowhere"))
        source = load_source(DOCUMENT | keys, base=Path("/base"))
        pulled = Pulled()
        for page in source.reaching(Reach(secrets, clock)).pull(state):
            pulled.take(page)
        return pulled

    return pull_all


def test_incidents_come_without_what_was_written(instance, pull):
    pulled = pull()

    assert pulled.keys == ["a1", "a2", "a3", "a4", "a5", "a6", "a7"]
    assert pulled.rows[0].cursor == ("2026-11-20T11:01:00.000000Z",)
    assert "work_notes" not in pulled.rows[0].data
    assert len(instance.lows) == 3  # no request more than pages


def test_changes_are_asked_for_from_the_watermark_on(instance, pull, clock):
    state = pull(lookback="0s").state
    instance.put("b1", at=NOON - timedelta(minutes=53))  # the same second as a7, and behind it
    clock.move(minutes=15)

    assert pull(state, lookback="0s").keys == ["a7", "b1"]
    assert instance.lows[-1] == "2026-11-20 11:07:00"


def test_more_in_one_second_than_a_page_holds_lose_nothing(instance, pull):
    for number in range(100, 120):
        instance.put(f"b{number}", at=NOON - timedelta(minutes=30))

    assert len(pull().keys) == 27


@pytest.mark.parametrize("hidden", [{"a1", "a2", "a3"}, {"a4", "a5", "a6"}, {"a2", "a3", "a4", "a5", "a6"}])
def test_rows_that_we_may_not_see_are_not_the_end(instance, pull, hidden):
    instance.hidden = hidden

    assert set(pull().keys) == set(instance.records) - hidden


def test_incident_that_changes_while_pages_are_read_pushes_none_out(instance, pull, clock):
    answer = instance.answer

    def change(request):
        if len(instance.lows) == 1:
            instance.put("a1", at=clock.at - timedelta(seconds=5), reopen_count="1")
        return answer(request)

    with responses.RequestsMock() as mock:
        mock.add_callback(responses.GET, f"{URL}/incident", callback=change)
        pulled = pull()

    assert set(pulled.keys) == set(instance.records)
    assert pulled.latest()["a1"]["reopen_count"] == "1"


def test_limit_of_the_instance_is_waited_for_or_handed_on(instance, pull, clock):
    instance.faults = [(429, {"Retry-After": "30"}, "")]
    assert len(pull().keys) == 7
    assert clock.slept == [30]

    instance.faults = [(429, {"Retry-After": "3600"}, "")]
    with pytest.raises(SourceUnavailable) as caught:
        pull()
    assert caught.value.retry_after == 3600


def test_missing_role_is_told(instance, pull):
    instance.faults = [(403, {}, '{"error": {"message": "User Not Authorized"}}')]

    with pytest.raises(SourceRefused, match=r"Ask there for permission.*User Not Authorized"):
        pull()


@pytest.mark.parametrize(
    ("stream", "table"),
    [
        ("incidents", "incident"),
        ("cases", "sn_customerservice_case"),
        ("service_levels", "task_sla"),
        ("users", "sys_user"),
    ],
)
def test_streams_are_tables(instance, pull, stream, table):
    pull(stream=stream)

    assert instance.paths[0] == f"/api/now/table/{table}"
