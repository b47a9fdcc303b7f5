"""The schedule outlives the broker."""

import signal
from collections.abc import Iterator

import pytest
from redis import Redis
from rq.cron import CronScheduler

from bridge import schedule


@pytest.fixture
def handlers() -> Iterator[None]:
    """RQ's scheduler takes the process's signals; the tests want them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_broker_that_is_away_is_waited_for(handlers: None, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = CronScheduler(Redis.from_url("redis://127.0.0.1:1"))

    assert schedule._rang_until_cut_off(scheduler)
    assert "The broker does not answer" in caplog.text
