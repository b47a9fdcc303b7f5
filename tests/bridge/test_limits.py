"""Limits of requests: one count for all web processes, and never in the way when the broker is."""

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from flask import Flask
from redis import Redis

from bridge import limits
from bridge.embedded import Servers

CREDENTIAL = 77


@pytest.fixture
def broker(servers: Servers) -> Redis:
    broker = Redis.from_url(servers.redis_url)
    for key in broker.scan_iter("lrs-bridge:limit:*"):
        broker.delete(key)
    return broker


@pytest.fixture
def limit(servers: Servers, broker: Redis) -> Callable[[int, int], float]:
    return limits.init_app(Flask("counting"), servers.redis_url)


def test_a_minutes_requests_pass_at_once_and_then_one_at_a_time(limit: Callable[[int, int], float]) -> None:
    waits = [limit(CREDENTIAL, 6) for _ in range(8)]

    assert waits[:6] == [0] * 6
    assert all(0 < wait <= 10 for wait in waits[6:])  # not a whole minute: 60 s / 6


def test_who_waits_as_told_is_served(limit: Callable[[int, int], float]) -> None:
    per_minute = 600
    while (wait := limit(CREDENTIAL, per_minute)) == 0:
        pass

    time.sleep(wait + 0.02)

    assert limit(CREDENTIAL, per_minute) == 0


def test_asking_too_often_does_not_make_the_wait_longer(limit: Callable[[int, int], float]) -> None:
    first = [limit(CREDENTIAL, 1) for _ in range(2)][1]
    later = [limit(CREDENTIAL, 1) for _ in range(50)][-1]

    assert 0 < later <= first <= 60


def test_each_credential_has_its_own_count(limit: Callable[[int, int], float]) -> None:
    assert [limit(CREDENTIAL, 1), limit(CREDENTIAL + 1, 1)] == [0, 0]
    assert min(limit(CREDENTIAL, 1), limit(CREDENTIAL + 1, 1)) > 0


def test_a_lower_limit_holds_from_the_next_minute_on_at_the_latest(limit: Callable[[int, int], float]) -> None:
    for _ in range(6000):
        if limit(CREDENTIAL, 6000):
            break

    assert 0 < limit(CREDENTIAL, 1) <= 60


def test_two_processes_share_one_count(servers: Servers, broker: Redis) -> None:
    started = time.monotonic()
    script = f"""
from bridge.limits import Limits
limits = Limits({servers.redis_url!r})
print(sum(limits.count("{CREDENTIAL}", 60) == 0 for _ in range(50)))
"""
    others = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    passed = [int(one.communicate(timeout=60)[0]) for one in others]

    # 60, and what has been filled up since the first: one a second.
    assert 60 <= sum(passed) <= 60 + (time.monotonic() - started)


def test_looking_counts_nothing(servers: Servers, broker: Redis) -> None:
    asked = limits.Limits(servers.redis_url)

    assert [asked.look("somebody", 1) for _ in range(3)] == [0] * 3
    assert asked.count("somebody", 1) == 0
    assert 0 < asked.look("somebody", 1) <= 60


def test_counts_go_away_by_themselves(broker: Redis, limit: Callable[[int, int], float]) -> None:
    limit(CREDENTIAL, 60)

    assert 0 < broker.pttl(f"lrs-bridge:limit:{CREDENTIAL}") <= 1000


def test_without_a_broker_nobody_is_limited_nor_kept_waiting(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with socket.socket() as silent:  # takes connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        asked = limits.Limits(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()

        waits = [asked.count("somebody", 1) for _ in range(100)] + [asked.look("somebody", 1) for _ in range(100)]

    assert waits == [0] * 200
    assert time.monotonic() - started < 5  # asked once, not 200 times
    assert len([line for line in caplog.messages if "limits of requests are not held" in line]) == 1
