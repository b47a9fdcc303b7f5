"""The demo waits as long as its workers get on, and no longer."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, cycle

import pytest

from bridge.demo.run import STANDSTILL_SECONDS, until_nothing_is_left
from bridge.errors import Standstill


class Clock:
    """Time that passes only while somebody sleeps, and then a good while."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step

    def sleep(self, _: float) -> None:
        self.now += self.step


def looks(at: Iterable[tuple[str, ...]]) -> Callable[[], tuple[str, ...]]:
    found: Iterator[tuple[str, ...]] = iter(at)
    return lambda: next(found)


def wait(at: Iterable[tuple[str, ...]], *, step: float) -> float:
    """Give how long it waited."""
    clock = Clock(step)
    until_nothing_is_left(looks(at), clock=lambda: clock.now, sleep=clock.sleep)
    return clock.now


def test_it_waits_for_hours_while_the_work_gets_on_however_slowly() -> None:
    slowly = [(f"{number} rows to be read",) for number in range(200, 0, -1) for _ in range(3)]

    waited = wait([*slowly, ()], step=STANDSTILL_SECONDS / 3)

    assert waited > 9 * 3600


def test_it_gives_up_when_nothing_moves_and_says_what_is_left() -> None:
    stuck = chain([("3 rows to be read",)], cycle([("2 rows to be read", "calm to be delivered (no room)")]))

    with pytest.raises(Standstill, match=rf"for {STANDSTILL_SECONDS} s.*2 rows to be read; calm .*\(no room\)"):
        wait(stuck, step=1)


def test_what_only_comes_and_goes_is_no_progress() -> None:
    with pytest.raises(Standstill):
        wait(cycle([("the database does not answer",), ("2 rows to be read",)]), step=1)
