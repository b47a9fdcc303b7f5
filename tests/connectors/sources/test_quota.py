"""Contract 4: requests are counted over all who use an account, and what the system says of them counts more."""

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import responses
from helpdesk import BASE_URL, DOCUMENT, KEYSET, NOON, Desk, FakeClock, Puller
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import Reach, SourceUnavailable
from connectors.secrets import Secrets

QUOTA = {"requests": 4, "per": "30s", "remaining": "X-Left", "reset": "X-Reset"}
START = {"cursor": DOCUMENT["cursor"] | {"start": (NOON - timedelta(days=9)).isoformat()}}


@dataclass
class FakeBuckets:
    """Buckets that many workers share, counted to the second by the test's clock."""

    clock: FakeClock
    taken: dict[str, deque[datetime]] = field(default_factory=dict)
    until: dict[str, datetime] = field(default_factory=dict)

    def take(self, account: str, *, requests: int, per_seconds: float, share: float = 1.0) -> float:
        if wait := self.held(account):
            return wait
        per, taken = timedelta(seconds=per_seconds), self.taken.setdefault(account, deque())
        while taken and taken[0] <= self.clock.at - per:
            taken.popleft()
        if len(taken) >= max(1, int(requests * share)):
            return (taken[0] + per - self.clock.at).total_seconds()
        taken.append(self.clock.at)
        return 0.0

    def hold(self, account: str, seconds: float) -> None:
        self.until[account] = max(self.until.get(account, self.clock.at), self.clock.at + timedelta(seconds=seconds))

    def held(self, account: str) -> float:
        return max(0.0, (self.until.get(account, self.clock.at) - self.clock.at).total_seconds())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def buckets(clock: FakeClock) -> FakeBuckets:
    return FakeBuckets(clock)


@pytest.fixture
def desk(clock: FakeClock) -> Iterator[Desk]:
    with web(filled(clock)) as made:
        yield made


def filled(clock: FakeClock) -> Desk:
    """Six tickets, one a page."""
    made = Desk(clock, size=1)
    for number in range(1, 7):
        made.put(number, at=NOON - timedelta(days=7 - number))
    return made


class web:  # noqa: N801
    def __init__(self, desk: Desk) -> None:
        self.desk, self.mock = desk, responses.RequestsMock(assert_all_requests_are_fired=False)
        self.mock.add_callback(responses.GET, f"{BASE_URL}/tickets", callback=desk.answer)

    def __enter__(self) -> Desk:
        self.mock.start()
        return self.desk

    def __exit__(self, *_: object) -> None:
        self.mock.stop(allow_assert=False)
        self.mock.reset()


@pytest.fixture
def source(clock: FakeClock, buckets: FakeBuckets):
    return lambda **keys: made(clock, buckets, **keys)


def made(clock, buckets, **keys):
    keys = KEYSET | START | {"quota": QUOTA} | keys
    return Puller(clock).source(**keys).reaching(Reach(Secrets({}), clock, buckets))


def test_two_pulls_share_the_requests_of_an_account(desk, source, clock):
    other = source(name="others").pull(None)
    for _ in range(3):
        next(other)

    list(source().pull(None))

    assert clock.slept[0] == 30  # three of the four were used by the other one
    assert len(desk.asked) == 3 + 7


@pytest.mark.parametrize(
    ("keys", "same"),
    [
        ({"name": "others", "title": "Others", "every": "5m"}, True),
        ({"request": {"path": "/tickets"}, "cursor": ..., "page": {"type": "single"}}, True),
        ({"quota": QUOTA | {"requests": 5}}, False),  # another limit of theirs, for other requests
        ({"auth": {"type": "bearer", "token": {"secret": "desk-key"}}}, False),
        ({"base_url": "https://other.example.com/api"}, False),
    ],
)
def test_account_is_the_host_how_we_sign_and_what_is_declared(source, keys, same):
    assert (source(**keys).system.account == source().system.account) is same


def test_account_holds_no_secret(source):
    auth = {"type": "basic", "user": "me@example.com", "password": {"secret": "desk-key"}}

    account = source(auth=auth).system.account

    assert account.startswith("desk.example.com:443 ")
    assert "me@" not in account
    assert "desk-key" not in account


def test_what_a_system_says_is_left_holds_all_who_use_the_account(desk, source, clock, buckets):
    page = desk.reply({"tickets": [desk.tickets[1]]}, **{"X-Left": "1", "X-Reset": "45"})
    desk.faults.append(page)
    next(iter(source().pull(None)))

    next(iter(source(name="others").pull(None)))

    assert clock.slept == [45]


def test_busy_answer_holds_all_who_use_the_account_as_long_as_it_asks(desk, source, clock, buckets):
    desk.faults.append((429, {"Retry-After": "7200"}, ""))
    with pytest.raises(SourceUnavailable):
        next(iter(source().pull(None)))

    with pytest.raises(SourceUnavailable, match=r"quota.*used up.*We go on after 2026-11-20 14:00:00 UTC") as caught:
        next(iter(source(name="others").pull(None)))

    assert caught.value.retry_after == 7200
    assert len(desk.asked) == 1  # nothing was sent into the closed door


def test_failure_of_one_request_holds_nobody_else(desk, source, clock, buckets):
    desk.faults.append((503, {"Retry-After": "40"}, ""))
    next(iter(source().pull(None)))

    assert buckets.until == {}


def test_account_without_a_declared_number_waits_while_it_is_held(desk, source, clock, buckets):
    quiet = source(quota={"remaining": "X-Left"})
    buckets.hold(quiet.system.account, 20)

    next(iter(quiet.pull(None)))

    assert clock.slept == [20]


def test_many_short_waits_are_handed_on_like_a_long_one(desk, source, clock, buckets):
    buckets.take = lambda *_, **__: 25.0  # others are always quicker

    with pytest.raises(SourceUnavailable) as caught:
        next(iter(source().pull(None)))

    assert clock.slept == [25, 25]
    assert caught.value.retry_after == 25
    assert desk.asked == []


@pytest.mark.parametrize(("seconds", "handed_on"), [(61, False), (65, False), (66, True)])
def test_turn_in_a_quota_per_minute_is_waited_for(desk, source, clock, buckets, seconds, handed_on):
    waits = iter([float(seconds)])
    buckets.take = lambda *_, **__: next(waits, 0.0)

    try:
        next(iter(source().pull(None)))
    except SourceUnavailable:
        assert handed_on
    assert clock.slept == ([] if handed_on else [seconds])


def test_lane_of_the_past_takes_its_share_only(desk, source, clock):
    past = source(backfill={"slice": "30d", "share": 0.5})
    list(past.backfill(NOON - timedelta(days=9), NOON, None))

    assert clock.slept == [30, 30, 30]  # seven requests, two in each half minute


def test_what_is_left_is_remembered_for_status(desk, source, clock):
    told = {"X-Left": "17", "X-Reset": "45"}
    desk.faults.append(desk.reply({"tickets": [desk.tickets[1]]}, **told))

    states = [page.state for page in source(quota=QUOTA | {"requests": 40}).pull(None)]

    assert states[0]["quota"] == {
        "left": 17,
        "resets_at": "2026-11-20T12:00:45.000000Z",
        "seen_at": "2026-11-20T12:00:00.000000Z",
    }
    clock.move(minutes=1)
    again = [page.state for page in source(quota=QUOTA | {"requests": 40}).pull(states[-1])]
    assert again[-1]["quota"] == states[0]["quota"]  # until an answer says otherwise


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_no_window_holds_more_requests_than_declared_whoever_makes_them(seed):
    chance, clock = random.Random(seed), FakeClock()  # noqa: S311
    requests, per = chance.randrange(1, 6), chance.choice([1, 7, 30])
    desk, buckets, sent = filled(clock), FakeBuckets(clock), []
    faults = [(503, {}, ""), (429, {"Retry-After": "3"}, ""), None, None, None]

    def before(desk, _number):
        sent.append(clock.at)
        clock.move(seconds=chance.choice([0, 0, 0.5, 3]))
        desk.faults.extend(chance.choices(faults, k=1))

    desk.before = before
    quota = {"requests": requests, "per": f"{per}s"}
    sources = [made(clock, buckets, name=f"source-{number}", quota=quota) for number in range(3)]
    lanes = [sources[0].pull(None), sources[1].pull(None), sources[2].backfill(NOON - timedelta(days=9), NOON, None)]
    with web(desk):
        while lanes:
            lane = chance.choice(lanes)
            try:
                next(lane)
            except (StopIteration, SourceUnavailable):
                lanes.remove(lane)

    assert len(sent) > 7
    window = timedelta(seconds=per)
    assert max(sum(at <= other < at + window for other in sent) for at in sent) <= requests
