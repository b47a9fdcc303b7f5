"""Single records by their id, as webhooks name them; the id comes from outside."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import responses
from helpdesk import BASE_URL, DOCUMENT, NOON, Desk, FakeClock, Puller

from connectors import ConfigError, Fetchable, SourceBroken, SourceRefused, SourceUnavailable

ONE = {"one": {"path": "/tickets/{id}", "record": "ticket"}}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def desk(clock: FakeClock, web) -> Desk:
    made = Desk(clock)
    for number in range(1, 4):
        made.put(number, at=NOON - timedelta(minutes=number))
        web.add_callback(responses.GET, f"{BASE_URL}/tickets/{number}", callback=made.answer)
    web.add_callback(responses.GET, f"{BASE_URL}/tickets/9", callback=made.answer)
    web.add_callback(responses.GET, f"{BASE_URL}/tickets", callback=made.answer)
    web.add_callback(responses.POST, f"{BASE_URL}/read", callback=made.answer)
    return made


@pytest.fixture
def source(clock: FakeClock):
    return lambda **keys: Puller(clock).source(**(ONE | keys))


def test_records_are_given_as_they_are_now_and_as_a_pull_gives_them(desk, source, clock):
    pulled = {row.key: row for page in source().pull(None) for row in page.rows}

    page = source().fetch(["2", "1", "2"])

    assert isinstance(source(), Fetchable)
    assert [row.key for row in page.rows] == ["2", "1"]
    assert [row.content_hash for row in page.rows] == [pulled["2"].content_hash, pulled["1"].content_hash]
    assert [row.cursor for row in page.rows] == [pulled["2"].cursor, pulled["1"].cursor]
    assert (page.state, page.problems, page.sweep) == (None, (), None)


@pytest.mark.parametrize("status", [404, 410])
def test_record_that_is_not_there_is_deleted_where_the_document_says_so(desk, source, status):
    desk.faults.append((status, {}, ""))

    page = source(one=ONE["one"] | {"gone": [404, 410]}).fetch(["9", "1"])

    assert [(row.key, row.deleted) for row in page.rows] == [("9", True), ("1", False)]
    assert page.rows[0].cursor == ("2026-11-20T12:00:00.000000Z",)


def test_record_that_is_not_there_is_a_problem_else(desk, source):
    page = source().fetch(["9", "1"])

    assert [row.key for row in page.rows] == ["1"]
    assert "The record 9 is not there" in page.problems[0].message
    assert "`gone: [404]`" in page.problems[0].message


def test_lost_permission_names_the_stream_and_what_to_ask_for(desk, source):
    desk.faults.append((403, {}, "no scope"))

    with pytest.raises(SourceRefused, match=r"single records of tickets.*Ask there for permission.*no scope") as caught:
        source().fetch(["1"])
    assert caught.value.status == 403


def test_busy_system_is_told_as_in_a_pull(desk, source):
    desk.faults.append((429, {"Retry-After": "600"}, ""))

    with pytest.raises(SourceUnavailable) as caught:
        source().fetch(["1"])
    assert caught.value.retry_after == 600


@pytest.mark.parametrize(
    ("named", "path"),
    [
        ("../users", "/api/tickets/..%2Fusers"),
        ("1?admin=1", "/api/tickets/1%3Fadmin%3D1"),
        ("1/../../x", "/api/tickets/1%2F..%2F..%2Fx"),
        ("a b#c", "/api/tickets/a%20b%23c"),
    ],
)
def test_id_from_outside_stays_one_step_of_the_path(desk, source, web, named, path):
    web.get(f"https://desk.example.com{path}", status=404)

    source().fetch([named])

    assert [call.request.path_url for call in web.calls] == [path]


@pytest.mark.parametrize(
    ("one", "named"),
    [
        (ONE["one"], "."),
        (ONE["one"], ".."),
        (ONE["one"], "x" * 501),
        ({"path": "/tickets", "params": {"q": "id = '{id}'"}, "record": "ticket"}, "1' OR '1'='1"),
    ],
)
def test_id_that_could_lead_elsewhere_is_not_asked_for(desk, source, one, named):
    page = source(one=one).fetch([named])

    assert desk.asked == []
    assert "does not do as an id" in page.problems[0].message


def test_id_goes_into_parameters_and_bodies_as_well(desk, source):
    desk.faults.extend([desk.reply({"ticket": desk.tickets[1]})] * 2)

    source(one={"path": "/tickets", "params": {"id": "{id}"}, "record": "ticket"}).fetch(["1' OR '1'='1"])
    source(one={"method": "POST", "path": "/read", "body": {"ids": ["{id}"]}, "record": "ticket"}).fetch(["7"])

    assert desk.asked == [{"id": "1' OR '1'='1"}, {"ids": ["7"]}]


def test_record_that_cannot_be_used_is_a_problem(desk, source):
    desk.tickets[2]["updated_at"] = None

    page = source().fetch(["2", "1"])

    assert [row.key for row in page.rows] == ["1"]
    assert [problem.column for problem in page.problems] == ["updated_at"]


def test_answer_without_a_record_is_told(desk, source):
    with pytest.raises(SourceBroken, match=r"no record at 'tikket'\. Correct `record` of `one`"):
        source(one={"path": "/tickets/{id}", "record": "tikket"}).fetch(["1"])


def test_source_without_the_block_says_so(desk, source):
    plain = source(one=...)

    assert not plain.can_fetch
    assert source().can_fetch
    with pytest.raises(SourceRefused, match="Declare it: `one:"):
        plain.fetch(["1"])


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"one": {"path": "/tickets"}}, ("one", "path"), "Put {id} into the path"),
        ({"one": {"path": "/tickets/{name}"}}, ("one", "path"), "not a path below `base_url`"),
        ({"one": {"path": "https://evil.example.com/{id}"}}, ("one", "path"), "not a path below `base_url`"),
        ({"one": {"path": "/t/{id}", "params": {"a": "{low}"}}}, ("one", "params"), "There is no slot {low}"),
        ({"one": {"path": "/t/{id}", "gone": [200]}}, ("one", "gone", 0), "no refusal"),
        ({"one": ONE["one"], "key": ["id", "part"]}, ("one",), "Give `key` one path"),
        ({"backfill": {"slice": "1m"}}, ("backfill", "slice"), "Write 1h or more"),
        ({"backfill": {"share": 0}}, ("backfill", "share"), "Write 0.01 to 1"),
        ({"backfill": {}}, ("backfill",), "Say from when"),
        ({"backfill": {}, "request": {"path": "/tickets"}}, ("backfill",), "no past is left over"),
        ({"deleted": {"type": "sweep"}}, ("deleted",), "Give the sweep a `request`"),
        ({"deleted": {"type": "sweep", "request": {"path": "/ids"}}}, ("deleted", "request"), "Write both, or neither"),
        (
            {"deleted": {"type": "sweep", "request": {"path": "/ids"}, "page": {"type": "keyset", "by": "id"}}},
            ("deleted", "page"),
            "{low_id}",
        ),
        (
            {
                "deleted": {
                    "type": "sweep",
                    "request": {"path": "/ids", "params": {"since": "{low}"}},
                    "page": {"type": "single"},
                }
            },
            ("deleted", "request"),
            "Take {low} and {high} out",
        ),
        ({"deleted": {"type": "sweep", "at_most": 2}}, ("deleted", "at_most"), "from 0 to 1"),
        ({"deleted": {"type": "sweep", "readings": 0}}, ("deleted", "readings"), "Write 1 to 9"),
        (
            {
                "request": {"path": "/tickets"},
                "cursor": DOCUMENT["cursor"] | {"ordered": False},
                "deleted": {"type": "sweep", "request": {"path": "/ids"}, "page": {"type": "single"}},
            },
            ("deleted",),
            "Take `request`",
        ),
        (
            {
                "deleted": {
                    "type": "sweep",
                    "request": {"path": "/ids"},
                    "page": {"type": "single"},
                    "key": ["a", "b"],
                }
            },
            ("deleted",),
            "as many paths",
        ),
    ],
)
def test_fault_in_the_blocks_beside_the_stream_is_told_at_its_key(source, keys, path, told):
    with pytest.raises(ConfigError) as caught:
        source(**({"one": ...} | keys))

    assert caught.value.path == path
    assert told in f"{caught.value.text} {caught.value.remedy}"
    assert caught.value.remedy
