"""Contract 8, deletions by sweep: what is there is never taken for gone, and what is gone is found in time."""

import json
import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
import responses
from helpdesk import BASE_URL, DOCUMENT, KEYSET, NOON, Desk, FakeClock, Puller
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import SourceRefused
from connectors.sources import PAGE_SIZE

IDS = {
    "request": {"path": "/ids", "params": {"after_id": "{low_id}"}},
    "page": {"type": "keyset", "by": "id", "first_id": 0},
    "records": "ids",
}
NUMBERED = {"request": {"path": "/ids"}, "page": {"type": "page", "param": "page"}, "records": "ids"}
LISTED = {"type": "sweep", "every": "1d", "readings": 1, **IDS}
STREAM = KEYSET | {"cursor": DOCUMENT["cursor"] | {"lookback": "10m", "settle": "1m"}}
WHOLE = {"request": {"path": "/tickets"}, "cursor": ..., "page": {"type": "single"}, "deleted": {"type": "sweep"}}


class Keeper:
    """Stores pages as a bridge does, and deletes after sweeps as a bridge does."""

    def __init__(self, pull: Puller, **keys) -> None:
        self.pull, self.keys = pull, keys
        self.state = None
        self.there: dict[str, int] = {}
        """Records that are not deleted, by when a version of them was stored last."""
        self.versions: set[tuple] = set()
        self.gone: set[str] = set()
        self.number, self.named, self.began = None, set(), 0
        self.now = 0
        self.sweeps = []

    def __call__(self, *, pages: int = 10_000) -> None:
        """Pull, or a few pages of it: then the worker is killed."""
        started = self.now
        for page, _ in zip(self.pull.pages(self.state, **self.keys), range(pages), strict=False):
            self.now += 1
            for row in page.rows:
                version = (row.key, row.cursor, row.content_hash)
                if version not in self.versions or (row.cursor is None and row.key in self.gone):
                    self.versions.add(version)
                    self.there[row.key] = self.now
                    self.gone.discard(row.key)
            if page.sweep:
                self._sweep(page.sweep, started)
            if page.state:
                self.state = json.loads(json.dumps(page.state))

    def _sweep(self, sweep, started: int) -> None:
        self.sweeps.append(sweep)
        if sweep.number != self.number:
            self.number, self.named, self.began = sweep.number, set(), started
        self.named |= set(sweep.keys)
        if sweep.complete:
            gone = {key for key, stored in self.there.items() if key not in self.named and stored <= self.began}
            self.gone |= gone
            self.there = {key: stored for key, stored in self.there.items() if key not in gone}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desk(clock: FakeClock) -> Iterator[Desk]:
    """Seven tickets, three a page."""
    made = Desk(clock)
    for number in range(1, 8):
        made.put(number, at=NOON - timedelta(minutes=30 - number))
    with web(made):
        yield made


def web(desk: Desk) -> responses.RequestsMock:
    mock = responses.RequestsMock(assert_all_requests_are_fired=False)
    for path in ("tickets", "ids"):
        mock.add_callback(responses.GET, f"{BASE_URL}/{path}", callback=desk.answer)
    return mock


@pytest.fixture
def keeper(clock: FakeClock):
    return lambda **keys: Keeper(Puller(clock), **(STREAM | keys))


def at_list(desk: Desk, page: int, deed) -> None:
    """Do something before a page of the next list is answered."""
    left = [page]

    def before(desk, _number):
        left[0] -= "since" not in desk.asked[-1]
        if left[0] == 0:
            left[0] = -1
            deed()

    desk.before = before


def test_record_that_no_list_shows_any_more_is_gone(desk, keeper, clock):
    keep = keeper(deleted=LISTED)
    keep()
    del desk.tickets[4]
    clock.move(days=1)
    keep()

    assert keep.gone == {"4"}
    assert [sweep.keys for sweep in keep.sweeps] == [("1", "2", "3"), ("5", "6", "7"), ()]
    assert [sweep.complete for sweep in keep.sweeps] == [False, False, True]
    assert {sweep.at_most for sweep in keep.sweeps} == {0.25}


def test_deletion_has_the_time_at_which_the_pass_began_on_the_clock_of_the_source(desk, keeper, clock):
    desk.skew = timedelta(minutes=-5)
    keep = keeper(deleted=LISTED)
    keep()
    clock.move(days=1)
    keep()

    assert {sweep.cursor for sweep in keep.sweeps} == {("2026-11-21T11:55:02.000000Z",)}


def test_sweep_is_made_as_often_as_declared(desk, keeper, clock):
    keep = keeper(deleted=LISTED)
    for _ in range(49):
        keep()
        clock.move(hours=1)

    assert len({sweep.number for sweep in keep.sweeps}) == 2
    assert sum(sweep.complete for sweep in keep.sweeps) == 2


@pytest.mark.parametrize("pages", range(1, 8))
def test_broken_off_pass_goes_on_where_it_was(desk, keeper, clock, pages):
    keep = keeper(deleted=LISTED)
    keep()
    del desk.tickets[2]
    clock.move(days=1)
    asked = len(desk.asked)

    keep(pages=pages)
    keep()

    assert keep.gone == {"2"}
    assert len({sweep.number for sweep in keep.sweeps}) == 1
    assert sum("after_id" in query and "since" not in query for query in desk.asked[asked:]) <= 4  # one is read again


def test_position_that_grew_too_old_begins_the_list_anew_and_names_the_same_pass(desk, keeper, clock):
    keep = keeper(deleted=LISTED)
    keep()
    clock.move(days=1)
    keep(pages=3)
    clock.move(days=3)
    del desk.tickets[7]
    keep()

    assert keep.gone == {"7"}
    assert len({sweep.number for sweep in keep.sweeps}) == 1


def test_record_that_comes_into_being_during_the_pass_is_not_gone(desk, keeper, clock):
    keep = keeper(deleted=LISTED | NUMBERED)
    keep()
    clock.move(days=1)
    keep(pages=3)  # two pages of the list were read
    desk.put(0)  # where the list has been
    clock.move(minutes=5)
    keep()

    assert "0" in keep.there
    assert keep.gone == set()


@pytest.mark.parametrize("readings", [1, 2])
def test_deletion_that_moves_pages_takes_no_record_with_it(desk, keeper, clock, readings):
    keep = keeper(deleted=LISTED | NUMBERED | {"readings": readings})
    keep()
    clock.move(days=1)
    at_list(desk, 2, lambda: desk.tickets.pop(1))
    keep()
    clock.move(minutes=11)
    keep()

    # 4 has moved to the first page, which was read. With one reading that is the price; with two, 1 was seen as well.
    assert keep.gone == ({"4"} if readings == 1 else set())


def test_second_reading_waits_for_lists_that_show_records_late(desk, keeper, clock):
    keep = keeper(deleted={key: value for key, value in LISTED.items() if key != "readings"})
    keep()
    clock.move(days=1)
    late = desk.tickets.pop(7)  # the list does not show it yet
    keep()
    desk.tickets[7] = late
    clock.move(minutes=10, seconds=59)
    keep()
    assert not any(sweep.complete for sweep in keep.sweeps)
    clock.move(seconds=1)
    keep()

    assert keep.sweeps[-1].complete
    assert keep.gone == set()


@pytest.mark.parametrize("named", [None, "", "a\0b", "x" * 501, {}])
def test_list_with_a_record_that_has_no_name_deletes_nothing_and_is_told(desk, keeper, clock, named):
    keep = keeper(deleted=LISTED)
    keep()
    del desk.tickets[4]
    clock.move(days=1)
    nameless = desk.reply({"ids": [{"id": named}, {"id": 1}]})
    at_list(desk, 1, lambda: desk.faults.append(nameless))
    problems = [problem for page in keep.pull.pages(keep.state, **keep.keys) for problem in page.problems]
    at_list(desk, 1, lambda: desk.faults.append(nameless))
    keep()

    assert len(problems) == 1
    assert keep.gone == set()
    clock.move(days=1)
    keep()
    assert keep.gone == {"4"}


def test_refused_list_deletes_nothing(desk, keeper, clock):
    keep = keeper(deleted=LISTED)
    keep()
    clock.move(days=1)
    at_list(desk, 2, lambda: desk.faults.append((403, {}, "")))

    with pytest.raises(SourceRefused, match="We may not read the stream tickets"):
        keep()
    assert keep.gone == set()


def test_large_list_is_given_in_pieces_and_complete_with_the_last(desk, keeper, clock):
    keep = keeper(deleted=LISTED)
    desk.size = 5000
    for number in range(8, PAGE_SIZE * 2 + 100):
        desk.put(number, at=NOON - timedelta(hours=1))
    keep()
    clock.move(days=1)
    keep()

    assert [len(sweep.keys) for sweep in keep.sweeps] == [PAGE_SIZE, PAGE_SIZE, 99, 0]
    assert [sweep.complete for sweep in keep.sweeps] == [False, False, False, True]


def test_large_full_read_is_complete_with_its_last_piece(desk, keeper, clock):
    desk.size = 5000
    for number in range(8, PAGE_SIZE * 2 + 100):
        desk.put(number, at=NOON - timedelta(hours=1))
    keep = keeper(**WHOLE)
    keep()

    assert [sweep.complete for sweep in keep.sweeps] == [False, False, True]
    assert sum(len(sweep.keys) for sweep in keep.sweeps) == PAGE_SIZE * 2 + 99


def test_changed_rules_of_a_sweep_read_nothing_of_the_stream_again(desk, keeper, clock):
    keep = keeper(deleted=LISTED)
    keep()
    clock.move(minutes=30)
    asked = len(desk.asked)
    keep.keys["deleted"] = LISTED | {"at_most": 0.5, "every": "2d"}
    keep()

    assert next(query["since"] for query in desk.asked[asked:]) == "2026-11-20T11:27:00Z"  # lookback, not the start


# --- streams that are read as a whole ------------------------------------------------------------------------------


def test_every_full_read_is_a_sweep(desk, keeper, clock):
    desk.size = 100
    keep = keeper(**WHOLE)
    keep()
    del desk.tickets[3]
    clock.move(minutes=15)
    keep()

    assert keep.gone == {"3"}
    assert [sweep.complete for sweep in keep.sweeps] == [True, True]
    assert {sweep.cursor for sweep in keep.sweeps} == {None}


def test_full_read_by_numbered_pages_is_half_a_sweep(desk, keeper, clock):
    keep = keeper(**(WHOLE | {"page": {"type": "page", "param": "page"}}))
    del desk.tickets[3]
    keep()
    clock.move(minutes=15)
    keep()

    assert {sweep.number for sweep in keep.sweeps} == {keep.sweeps[0].number}
    assert [sweep.complete for sweep in keep.sweeps] == [False] * (len(keep.sweeps) - 1) + [True]


def test_record_that_cannot_be_used_is_there_all_the_same(desk, keeper, clock):
    desk.size = 100
    keep = keeper(**WHOLE, require=["owner"])
    for number in desk.tickets:
        desk.tickets[number]["owner"] = "ann"
    keep()
    desk.tickets[3]["owner"] = None
    clock.move(minutes=15)
    keep()

    assert keep.gone == set()


def test_full_reads_are_swept_as_seldom_as_declared(desk, keeper, clock):
    desk.size = 100
    keep = keeper(**(WHOLE | {"deleted": {"type": "sweep", "every": "1d"}}))
    for _ in range(30):
        keep()
        clock.move(hours=1)

    assert len(keep.sweeps) == 1


# --- any history ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["ids", "numbered", "whole"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_what_is_there_is_never_gone_and_what_is_gone_is_found(way, seed):
    chance, clock = random.Random(seed), FakeClock()  # noqa: S311
    desk = Desk(clock, size=chance.choice([2, 3, 50]))
    for number in range(1, 20):
        desk.put(5000 + number, at=NOON - timedelta(hours=number))
    deleted = {"every": "1h"} | {"ids": LISTED | {"every": "1h"}, "numbered": LISTED | NUMBERED | {"readings": 2}}.get(
        way, {"type": "sweep"}
    )
    keys = WHOLE | {"page": {"type": "page", "param": "page"}} if way == "whole" else STREAM
    keep = Keeper(Puller(clock), **(keys | {"deleted": deleted | {"every": "1h"}}))
    calm, last = False, None

    def before(desk, _number):
        """Let a ticket come now and then, first or last in the list, or change, which moves none in a list of ids."""
        if not calm and chance.random() < 0.2:
            moving = [] if way == "whole" else [5000 - len(desk.asked), *desk.tickets]
            desk.put(chance.choice([6000 + len(desk.asked), *moving]))

    def delete():
        """Delete a ticket; of numbered pages one during a pass at most, for two may lose the same one twice."""
        nonlocal last
        number = keep.state["stream" if way == "whole" else "sweep"].get("pass", {}).get("number")
        if way == "ids" or number is None or number != last:
            last = number
            del desk.tickets[chance.choice(sorted(desk.tickets))]

    desk.before = before
    with web(desk):
        keep()
        for _ in range(20):
            keep(pages=chance.choice([1, 2, 3, 5, 10_000, 10_000]))
            clock.move(minutes=chance.choice([1, 12, 61]))
            if chance.random() < 0.3 and desk.tickets:
                delete()
            assert not keep.gone & {str(number) for number in desk.tickets}
        calm = True
        for _ in range(6):
            keep()
            clock.move(minutes=61)

    assert set(keep.there) == {str(number) for number in desk.tickets}
