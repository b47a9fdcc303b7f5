"""Contract 4: the past in slices, beside the present, without a gap between the two."""

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import responses
from helpdesk import BASE_URL, KEYSET, NOON, Desk, FakeClock, Pulled, Puller, iso
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import Backfillable, SourceUnavailable

START = NOON - timedelta(days=10)
WINDOW = {"request": {"path": "/tickets", "params": {"since": "{low}", "until": "{high}"}}}
WAYS = {
    "rolling": {},
    "keyset": KEYSET,
    "with an end": WINDOW,
    "keyset with an end": KEYSET
    | {"request": {"path": "/tickets", "params": {"since": "{low}", "after_id": "{low_id}", "until": "{high}"}}},
    "offsets with an end": WINDOW | {"page": {"type": "offset", "param": "offset"}, "ordered": False},
}


def keys_of(way, *, slice_="2d", lookback="10m", settle="1m", share=0.5):
    keys = dict(WAYS[way])
    ordered = keys.pop("ordered", True)
    cursor = {"field": "updated_at", "format": "iso", "ordered": ordered}
    times = {"lookback": lookback, "settle": settle, "start": START.isoformat()}
    return keys | {"cursor": cursor | times, "backfill": {"slice": slice_, "share": share}}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desk(clock: FakeClock) -> Iterator[Desk]:
    """Ten tickets, one a day, three a page."""
    made = Desk(clock)
    for number in range(1, 11):
        made.put(number, at=NOON - timedelta(days=10 - number, hours=1))
    with web(made):
        yield made


def web(desk: Desk) -> responses.RequestsMock:
    mock = responses.RequestsMock(assert_all_requests_are_fired=False)
    mock.add_callback(responses.GET, f"{BASE_URL}/tickets", callback=desk.answer)
    return mock


@pytest.fixture
def pull(clock: FakeClock) -> Puller:
    return Puller(clock)


def sliced(source, low, high, state=None) -> Pulled:
    pulled = Pulled()
    for page in source.backfill(low, high, state):
        pulled.take(page)
    return pulled


def test_present_is_read_at_once_and_the_past_in_slices_newest_first(desk, pull):
    source = pull.source(**keys_of("keyset"))
    assert isinstance(source, Backfillable)
    first = pull(**keys_of("keyset"))

    began = source.began(first.states[0])
    slices = source.slices(None, began)

    assert began == NOON - timedelta(minutes=11)
    assert first.keys == []
    assert [high for _, high in slices][:2] == [began, began - timedelta(days=2)]
    assert slices[-1][0] == START
    # Where the system cannot be told to stop, the page that reaches beyond a slice is given as it is.
    assert [sliced(source, *one).keys[:2] for one in slices] == [[str(n - 1), str(n)] for n in (10, 8, 6, 4, 2)]


def test_where_the_present_began_is_stored_before_anything_is_asked(desk, pull, clock):
    page = next(iter(pull.pages(**keys_of("keyset"))))
    assert desk.asked == []
    clock.move(days=3)  # nothing could be read all that time
    desk.put(99, at=NOON + timedelta(minutes=1))

    assert pull(page.state, **keys_of("keyset")).keys == ["99"]


def test_without_the_block_a_first_pull_reads_from_the_start(desk, pull):
    keys = {key: value for key, value in keys_of("keyset").items() if key != "backfill"}

    pulled = pull(**keys)

    assert len(pulled.keys) == 10
    assert pull.source(**keys).began(pulled.state) is None
    assert len(pull.source(**keys).slices(START, None)) == 1  # thirty days are the default


def test_stream_that_was_pulled_before_does_not_skip_what_it_has_not_read(desk, pull):
    keys = {key: value for key, value in keys_of("rolling").items() if key != "backfill"}
    state = next(iter(pull.pages(**keys))).state

    assert {"4", "10"} <= set(pull(state, **keys_of("rolling")).keys)


def test_clock_that_runs_ahead_of_the_source_leaves_no_gap(desk, pull, clock):
    desk.skew = -timedelta(hours=1)  # 11:00 there, when the first window would begin at 11:49
    source = pull.source(**keys_of("keyset"))
    first = pull(**keys_of("keyset"))
    slices = source.slices(None, source.began(first.states[0]))
    past = [key for one in slices for key in sliced(source, *one).keys]
    desk.put(98, at=NOON - timedelta(minutes=30))  # half an hour later, as seen from here
    clock.move(minutes=40)

    assert "98" not in past
    assert pull(first.state, **keys_of("keyset")).keys[-1:] == ["98"]


def test_clock_that_runs_ahead_leaves_no_gap_though_the_first_pull_got_no_answer(desk, pull, clock):
    desk.skew = -timedelta(minutes=90)  # 10:30 there
    state = next(iter(pull.pages(**keys_of("with an end")))).state
    desk.put(98, at=NOON - timedelta(minutes=85))  # 10:35 there, shown after the slices were read
    clock.move(hours=3)

    assert "98" in pull(state, **keys_of("with an end")).keys


def test_clock_that_was_ahead_and_is_set_right_before_the_first_answer_leaves_no_gap(desk, pull, clock):
    state = next(iter(pull.pages(**keys_of("with an end")))).state
    clock.at = NOON - timedelta(minutes=90)
    before = pull(state, **keys_of("with an end"))
    desk.put(98)
    clock.move(minutes=12)

    assert pull(before.state, **keys_of("with an end")).keys == ["98"]


def test_stream_that_knows_the_sources_clock_begins_by_it(desk, pull):
    desk.tickets.clear()
    desk.skew = -timedelta(minutes=90)
    keys = {key: value for key, value in keys_of("with an end").items() if key != "backfill"}
    state = pull(**keys).state  # nothing came, so there is no watermark

    began = pull.source(**keys_of("with an end")).began(pull(state, **keys_of("with an end")).states[0])

    assert began == NOON - timedelta(minutes=90 + 11)


@pytest.mark.parametrize("ago", [1, 59, 60, 61, 600, 659])  # seconds; settle time and lookback are 660
def test_what_is_shown_late_at_the_seam_is_found(desk, pull, clock, ago):
    source = pull.source(**keys_of("with an end"))
    state = pull(**keys_of("with an end")).state
    for one in source.slices(None, source.began(state)):
        sliced(source, *one)
    desk.put(99, at=NOON - timedelta(seconds=ago))  # older than the first pull, and shown after all slices were read
    clock.move(minutes=2)

    assert pull(state, **keys_of("with an end")).keys == ["99"]


def test_forgotten_position_falls_back_to_where_the_present_began_and_never_to_now(desk, pull, clock):
    keys = keys_of("rolling") | {
        "page": {"type": "token", "path": "next", "param": "token", "keep": "count", "end": "end", "expires": "1h"},
    }
    keys["cursor"] = keys["cursor"] | {"ordered": False}
    state = pull(**keys).state
    desk.put(99, at=NOON + timedelta(minutes=1))
    clock.move(hours=5)

    assert pull(state, **keys).keys == ["99"]
    assert desk.asked[-1]["since"] == iso(NOON - timedelta(minutes=11))


@pytest.mark.parametrize("way", WAYS)
def test_broken_off_slice_goes_on_where_it_was(desk, pull, way):
    desk.size = 2
    source = pull.source(**keys_of(way, slice_="9d"))
    low, high = NOON - timedelta(days=9), NOON
    stored = Pulled()
    stored.take(next(iter(source.backfill(low, high, None))))
    asked = len(desk.asked)

    rest = sliced(source, low, high, stored.state)

    assert {*stored.keys, *rest.keys} >= {str(number) for number in range(2, 11)}
    assert asked == 1
    assert stored.keys[0] not in rest.keys  # what was stored is not read again
    assert sliced(source, low, high, rest.state).rows == []  # and what is done stays done


def test_row_that_cannot_be_used_is_told_once_in_its_slice(desk, pull):
    desk.size = 2
    desk.tickets[3]["subject"] = "a\0b"
    source = pull.source(**keys_of("keyset"))
    first = next(iter(source.backfill(START, NOON, None)))
    second = sliced(source, START, NOON, first.state)
    third = sliced(source, START, NOON, second.states[0])

    assert [len(part.problems) for part in (first, second, third)] == [0, 1, 0]


def test_slice_of_another_document_begins_anew(desk, pull):
    low, high = NOON - timedelta(days=9), NOON
    done = sliced(pull.source(**keys_of("keyset")), low, high)

    again = sliced(pull.source(**keys_of("keyset"), omit=["subject"]), low, high, done.state)

    assert set(again.keys) == set(done.keys)


@pytest.mark.parametrize("way", ["rolling", "keyset"])
def test_slice_of_an_ordered_stream_ends_where_the_next_one_begins(desk, pull, way):
    sliced(pull.source(**keys_of(way)), NOON - timedelta(days=9), NOON - timedelta(days=8))

    assert len(desk.asked) == 1  # the first page goes beyond it


def test_stream_that_cannot_be_stopped_at_a_time_is_one_slice(desk, pull):
    keys = keys_of("rolling")
    source = pull.source(**(keys | {"cursor": keys["cursor"] | {"ordered": False}}))

    assert source.slices(None, NOON) == ((START, NOON),)


def test_slices_do_not_reach_into_the_future_and_may_be_none(desk, pull):
    source = pull.source(**keys_of("keyset"))

    assert source.slices(NOON - timedelta(days=1), NOON + timedelta(days=9)) == [(NOON - timedelta(days=1), NOON)]
    assert source.slices(NOON, NOON) == []
    assert pull.source(request={"path": "/tickets"}, cursor=...).slices(START, NOON) == ()


def test_slice_uses_its_share_of_the_quota_and_no_more(desk, pull, clock):
    desk.size = 1
    keys = keys_of("keyset", share=0.25) | {"quota": {"requests": 8, "per": "30s"}}
    sliced(pull.source(**keys), NOON - timedelta(days=5), NOON)

    assert clock.slept[0] == 30
    assert len(desk.asked) == 6  # two in each half minute
    assert len(clock.slept) == 2


def test_slice_leaves_what_the_system_says_is_left_to_pulls(desk, pull, clock):
    told = {"X-Left": "50", "X-Reset": "40"}
    desk.faults.append(desk.reply({"tickets": [desk.tickets[9]]}, **told))
    keys = keys_of("keyset") | {"quota": {"requests": 100, "per": "1m", "remaining": "X-Left", "reset": "X-Reset"}}

    sliced(pull.source(**keys), NOON - timedelta(days=5), NOON)

    assert clock.slept == [40]


def test_busy_system_stops_a_slice_as_it_stops_a_pull(desk, pull):
    desk.faults.append((429, {"Retry-After": "7200"}, ""))

    with pytest.raises(SourceUnavailable) as caught:
        sliced(pull.source(**keys_of("keyset")), START, NOON)
    assert caught.value.retry_after == 7200


# --- any history ---------------------------------------------------------------------------------------------------


class World:
    """A desk that goes on while somebody reads it; `late` is how late at most a change is shown."""

    def __init__(self, seed: int, way: str) -> None:
        self.chance = random.Random(seed)  # noqa: S311
        self.clock = FakeClock()
        self.desk = Desk(self.clock, size=self.chance.choice([1, 2, 3, 7] if "keyset" in way else [2, 3, 7]))
        self.desk.skew = timedelta(minutes=self.chance.choice([0, 0, 0, -90, -2, 3, 90]))
        self.keys = keys_of(way, slice_=self.chance.choice(["12h", "1d", "30d"]), settle="1m", lookback="10m")
        self.waiting: list[tuple[datetime, int, datetime]] = []
        self.ties = "keyset" in way
        """Other ways to page lose rows where more of one time than a page holds change while they are read."""
        self.used: set[datetime] = set()
        for number in range(40):
            self.desk.put(number, at=self._past())
        self.desk.before = lambda *_: self.go_on(self.chance.choice([0, 1, 5, 40]))
        self.number = 0

    def _past(self) -> datetime:
        minutes = self.chance.choice([0, 1, 5, 9, 10, 11, 12, 60, 1440, 2880, self.chance.randrange(14_000)])
        return self._at(self.clock.at + self.desk.skew - timedelta(minutes=minutes))

    def _at(self, at: datetime) -> datetime:
        while at in self.used and not self.ties:
            at -= timedelta(seconds=1)
        self.used.add(at)
        return at

    def go_on(self, seconds: int) -> None:
        """Let time pass; some tickets change, some of them shown only after a while, as old as they are then."""
        self.clock.move(seconds=seconds)
        for _ in range(self.chance.choice([0, 0, 0, 1, 1, 3])):
            self.number += 1
            late = self.chance.choice([0, 0, 0, 30, 300, 600])
            at = self._at(self.clock.at + self.desk.skew)
            self.waiting.append((at + timedelta(seconds=late), self.chance.randrange(60), at))
        self.show()

    def show(self) -> None:
        now = self.clock.at + self.desk.skew
        for one in [one for one in self.waiting if one[0] <= now]:
            self.waiting.remove(one)
            _, ticket, at = one
            if ticket not in self.desk.tickets or self.desk.tickets[ticket]["updated_at"] <= iso(at):
                self.desk.put(ticket, at=at, version=self.chance.random())


def some(pages: Iterator, chance: random.Random) -> tuple[list, bool]:
    """Take pages until somebody kills the worker, or until there are no more."""
    taken = []
    for page in pages:
        if chance.random() < 0.1:
            return taken, False
        taken.append(page)
    return taken, True


@pytest.mark.parametrize("way", [way for way in WAYS if "offsets" not in way])  # which can lose rows, as README says
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_slices_and_pulls_together_give_what_there_is(way, seed):
    world = World(seed, way)
    source = Puller(world.clock).source(**world.keys)
    pulled, state, slices, planned = Pulled(), None, [], None

    def pull() -> None:
        nonlocal state, planned
        for page in some(source.pull(state), world.chance)[0]:
            pulled.take(page)
            state = json.loads(json.dumps(page.state)) if page.state else state
            if state and source.began(state) != planned:
                planned = source.began(state)
                slices.extend([low, high, None] for low, high in source.slices(None, planned))

    with web(world.desk):
        while not slices:
            pull()
        for _ in range(1000):
            if not slices:
                break
            if world.chance.random() < 0.5:
                pull()
            one = world.chance.choice(slices)
            pages, done = some(source.backfill(*one), world.chance)
            for page in pages:
                pulled.take(page)
                one[2] = json.loads(json.dumps(page.state)) if page.state else one[2]
            if done:
                slices.remove(one)
            world.go_on(60)
        assert not slices
        world.desk.before = lambda *_: None
        world.clock.move(hours=3)
        world.show()
        world.clock.move(minutes=2)
        for page in source.pull(state):
            pulled.take(page)

    latest = pulled.latest()
    assert {key: latest.get(key, {}).get("updated_at") for key in map(str, world.desk.tickets)} == {
        str(number): ticket["updated_at"] for number, ticket in world.desk.tickets.items()
    }
