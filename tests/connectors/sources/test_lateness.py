"""By how much records come late is seen and told, and what comes again is not taken for late."""

import json
import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
import responses
from helpdesk import BASE_URL, DOCUMENT, KEYSET, NOON, Desk, FakeClock, Puller

LOOKBACK = {"cursor": DOCUMENT["cursor"] | {"lookback": "20m", "settle": "1m"}}
WAYS = {
    "keyset": KEYSET,
    "rolling": {},
    "unordered": {"cursor": LOOKBACK["cursor"] | {"ordered": False}},
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desk(clock: FakeClock) -> Iterator[Desk]:
    """Sixty tickets, one a minute until noon."""
    made = Desk(clock, size=7)
    for number in range(60):
        made.put(number, at=NOON - timedelta(minutes=60 - number))
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, f"{BASE_URL}/tickets", callback=made.answer)
        yield made


@pytest.fixture(params=WAYS)
def keys(request):
    return LOOKBACK | WAYS[request.param]


@pytest.fixture
def pull(clock: FakeClock) -> Puller:
    return Puller(clock)


def later(pull, keys, state, clock):
    clock.move(minutes=1)
    return pull(state, **keys).state


def test_record_older_than_the_watermark_that_was_not_shown_before_is_late(desk, pull, clock, keys):
    state = later(pull, keys, later(pull, keys, None, clock), clock)
    assert (state["lateness_seconds"], state["lookback_seconds"]) == (0, 1200)
    watermark = NOON - timedelta(minutes=1)
    desk.put(99, at=watermark - timedelta(seconds=90))
    desk.put(98, at=watermark - timedelta(minutes=14))
    desk.put(97, at=watermark - timedelta(minutes=3))

    state = later(pull, keys, state, clock)

    assert state["lateness_seconds"] == 14 * 60


def test_what_comes_again_is_not_late(desk, pull, clock, keys):
    state = None
    for number in range(12):
        desk.put(number * 3, at=clock.at - timedelta(seconds=20))  # changes that leave holes where they were
        state = later(pull, keys, state, clock)

    assert state["lateness_seconds"] == 0


def test_it_is_remembered_for_a_month(desk, pull, clock, keys):
    state = later(pull, keys, None, clock)
    desk.put(99, at=NOON - timedelta(minutes=10))
    state = later(pull, keys, state, clock)
    clock.move(days=29)
    state = later(pull, keys, state, clock)
    assert state["lateness_seconds"] == 9 * 60

    clock.move(days=2)
    assert later(pull, keys, state, clock)["lateness_seconds"] == 0


@pytest.mark.parametrize("pages", range(1, 4))
def test_broken_off_pull_makes_nothing_late(desk, pull, clock, keys, pages):
    state = later(pull, keys, None, clock)
    clock.move(minutes=1)
    for page, _ in zip(pull.pages(state, **keys), range(pages), strict=False):
        broken = json.loads(json.dumps(page.state))
    clock.move(days=2)  # and where it was is forgotten

    assert pull(broken, **keys).state["lateness_seconds"] == 0


def test_longer_lookback_makes_nothing_late(desk, pull, clock):
    state = later(pull, KEYSET | LOOKBACK, None, clock)

    state = later(pull, KEYSET | {"cursor": LOOKBACK["cursor"] | {"lookback": "2h"}}, state, clock)

    assert (state["lateness_seconds"], state["lookback_seconds"]) == (0, 7200)


def test_of_many_records_a_sample_is_remembered_in_a_bounded_state(desk, pull, clock, keys):
    chance = random.Random(7)  # noqa: S311
    desk.size = 500
    for number in range(100, 5000):
        desk.put(number, at=NOON - timedelta(seconds=chance.randrange(60, 1200)))
    state = later(pull, keys, None, clock)
    state = later(pull, keys, state, clock)
    assert state["lateness_seconds"] == 0
    assert len(json.dumps(state)) < 5000

    for number in range(9000, 9200):  # of two hundred some are in the sample
        desk.put(number, at=NOON - timedelta(minutes=12))
    assert later(pull, keys, state, clock)["lateness_seconds"] == 11 * 60


def test_stream_whose_system_decides_what_is_new_says_nothing_of_lateness(desk, pull, clock):
    page = {"type": "token", "path": "next", "param": "token", "end": "end", "keep": "count"}
    keys = {"page": page, "cursor": LOOKBACK["cursor"] | {"ordered": False}}
    state = later(pull, keys, None, clock)
    desk.put(99, at=NOON - timedelta(minutes=10))
    desk.faults.append(desk.reply({"tickets": [desk.tickets[99]], "end": True, "count": 9}))

    assert later(pull, keys, state, clock)["lateness_seconds"] == 0


def test_time_of_the_newest_change_is_told_beside_it_and_deletions_have_no_say(desk, pull, clock):
    feed = {
        "type": "feed",
        **{key: DOCUMENT[key] for key in ("page", "records", "key")},
        "request": {"path": "/tickets", "params": {"since": "{low}"}},
        "cursor": LOOKBACK["cursor"] | {"lookback": "5m", "start": "2026-11-20T11:30:00Z"},
    }
    keys = KEYSET | LOOKBACK | {"deleted": feed}
    state = later(pull, keys, None, clock)

    assert state["watermark"] == "2026-11-20T11:59:00.000000Z"
    assert state["lookback_seconds"] == 1200
