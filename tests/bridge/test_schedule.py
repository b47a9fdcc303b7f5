"""The schedule outlives the broker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from bridge import schedule
from bridge.embedded import EmbeddedServers


@pytest.fixture
def handlers() -> Iterator[None]:
    """RQ's scheduler takes the process's signals; the tests want them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_broker_that_is_away_is_waited_for(handlers: None, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = schedule._Scheduler(Redis.from_url("redis://127.0.0.1:1"))

    assert schedule._rang_until_cut_off(scheduler)
    assert "The broker does not answer" in caplog.text


def test_a_scheduler_that_is_told_to_stop_stops_also_while_the_broker_is_away(tmp_path: Path) -> None:
    """Its leave-taking fails then; that must not be taken for a broker to wait for."""
    with EmbeddedServers(tmp_path / "own", durable=False) as own:
        env = {"DATABASE_URL": own.database_url, "REDIS_URL": own.redis_url}
        process = subprocess.Popen([sys.executable, "-m", "bridge", "scheduler"], env=os.environ | env)
        with Redis.from_url(own.redis_url) as broker:
            while not broker.keys("rq:cron_scheduler*"):
                time.sleep(0.05)

    process.send_signal(signal.SIGTERM)

    assert process.wait(15) == 0
