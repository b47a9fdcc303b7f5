"""Quotas that many workers share: never more than allowed, in any window, whatever dies."""

import logging
import multiprocessing
import time
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise

import pytest
from redis import Redis

from bridge.buckets import PAUSE_SECONDS, Buckets
from bridge.embedded import Servers

PER = 0.6
REQUESTS = 30


@pytest.fixture
def broker(servers: Servers) -> Iterator[Redis]:
    with Redis.from_url(servers.redis_url) as broker:
        broker.flushall()
        yield broker


@pytest.fixture
def buckets(broker: Redis) -> Buckets:
    return Buckets(broker)


def take(buckets: Buckets, account: str = "acme", *, requests: int = 5, per: float = 60, share: float = 1.0) -> float:
    return buckets.take(account, requests=requests, per_seconds=per, share=share)


def greedy(url: str, seconds: float, share: float, told: "multiprocessing.Queue[list[tuple[float, float]]]") -> None:
    """Take as much as there is; tell when each request was asked for and granted."""
    granted = []
    with Redis.from_url(url) as broker:
        buckets = Buckets(broker)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            asked = time.monotonic()
            wait = take(buckets, requests=REQUESTS, per=PER, share=share)
            if wait == 0:
                granted.append((asked, time.monotonic()))
            else:
                time.sleep(min(wait, 0.05))
    told.put(granted)


def most_in_a_window(granted: list[tuple[float, float]]) -> int:
    """Give the most requests that are certain to have been granted within one window.

    Each was granted somewhere between being asked for and being told.
    """
    asked = sorted(asked for asked, _ in granted)
    told = sorted(told for _, told in granted)
    return max(bisect_left(told, start + PER) - bisect_left(asked, start) for start in asked)


def run(url: str, shares: list[float], seconds: float) -> list[list[tuple[float, float]]]:
    spawned = multiprocessing.get_context("spawn")
    told = [spawned.Queue() for _ in shares]
    workers = [
        spawned.Process(target=greedy, args=(url, seconds, share, queue))
        for share, queue in zip(shares, told, strict=True)
    ]
    for worker in workers:
        worker.start()
    found = [queue.get(timeout=30) for queue in told]
    for worker in workers:
        worker.join()
    return found


def test_processes_together_never_take_more_than_the_quota_and_leave_nothing_unused(servers, broker):
    granted = [one for found in run(servers.redis_url, [1, 1, 1, 1], 2.5) for one in found]

    assert most_in_a_window(granted) <= REQUESTS
    first, last = min(asked for asked, _ in granted), max(told for _, told in granted)
    assert len(granted) >= REQUESTS * int((last - first) / PER) * 0.8


def test_lanes_of_the_past_leave_their_share_to_the_present(servers, broker):
    present, *past = run(servers.redis_url, [1, 0.4, 0.4], 2.0)

    assert most_in_a_window([one for lane in past for one in lane]) <= REQUESTS * 0.4
    assert most_in_a_window([*present, *past[0], *past[1]]) <= REQUESTS
    assert len(present) > 0


def test_the_wait_is_as_long_as_it_takes_and_no_longer(buckets):
    for _ in range(3):
        assert take(buckets, requests=3, per=0.5) == 0

    wait = take(buckets, requests=3, per=0.5)

    assert 0.4 < wait <= 0.5 * (1 + 2 / 60)
    time.sleep(wait)
    assert take(buckets, requests=3, per=0.5) == 0


def test_accounts_do_not_meet(buckets):
    assert [take(buckets, name, requests=1) == 0 for name in ("acme", "other", "acme")] == [True, True, False]


def test_a_share_is_never_nothing(buckets):
    assert take(buckets, requests=1, share=0.1) == 0


def test_what_the_present_used_is_not_taken_off_the_share_of_the_past(buckets):
    assert [take(buckets, requests=10) for _ in range(6)] == [0] * 6

    assert [take(buckets, requests=10, share=0.4) == 0 for _ in range(5)] == [True] * 4 + [False]
    assert take(buckets, requests=10) > 0


def test_a_hold_holds_everybody_and_the_longest_one_counts(buckets, broker):
    buckets.hold("acme", 100)
    buckets.hold("acme", 10)
    buckets.hold("acme", 0)

    assert 99 < Buckets(broker).held("acme") <= 100
    assert 99 < take(Buckets(broker)) <= 100
    assert Buckets(broker).held("other") == 0


def test_nothing_stays_in_the_broker(buckets, broker):
    take(buckets, per=0.2)
    take(buckets, per=0.2, share=0.5)
    buckets.hold("other", 0.1)
    assert broker.dbsize() == 2

    time.sleep(0.4)

    assert broker.dbsize() == 0


def test_slots_that_have_gone_by_are_dropped(buckets, broker):
    for _ in range(5):
        take(buckets, requests=1000, per=0.1)
        time.sleep(0.05)

    [key] = broker.keys()
    assert len(broker.hkeys(key)) <= 3


def test_without_the_broker_each_process_counts_for_itself_and_says_so_once(caplog):
    buckets = Buckets(Redis(port=1, socket_connect_timeout=0.1))

    with caplog.at_level(logging.WARNING):
        waits = [take(buckets, requests=4, per=0.3, share=0.5) for _ in range(3)]
        buckets.hold("other", 50)

    assert waits[:2] == [0, 0]
    assert 0 < waits[2] <= 0.3
    assert 49 < buckets.held("other") <= 50
    assert take(buckets, "other") > 49
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "The broker does not answer" in caplog.text
    time.sleep(waits[2])
    assert take(buckets, requests=4, per=0.3, share=0.5) == 0


def test_a_broker_that_comes_back_counts_again(broker, monkeypatch):
    buckets = Buckets(broker)
    monkeypatch.setattr(buckets, "_take", Buckets(Redis(port=1))._take)
    assert take(buckets, requests=1) == 0

    monkeypatch.setattr(buckets, "_take", Buckets(broker)._take)
    moved = time.monotonic() + PAUSE_SECONDS
    monkeypatch.setattr("bridge.buckets.time.monotonic", lambda: moved)

    assert take(buckets, requests=1) == 0
    assert broker.dbsize() == 1


def test_windows_are_counted_rightly():
    """Of the counting itself: two that are asked for one window apart are not in one."""
    times = [0.0, 0.3, 0.59, 0.61]
    assert most_in_a_window([(at, at) for at in times]) == 3
    assert [later > earlier for earlier, later in pairwise(times)] == [True] * 3
