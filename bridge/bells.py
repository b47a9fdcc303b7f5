"""Bells: how a process tells the workers that something is due.

The queue is a doorbell, not a mailbox: a job carries at most a name or an id, and what is to be done is always found by
a query over rows. So a bell may be lost, rung twice or rung for nothing, and the schedule rings them all again.
"""

import logging
import threading
import time
from collections.abc import Callable

from flask import Flask, current_app
from redis import Redis, RedisError
from rq import Queue

log = logging.getLogger(__name__)

QUEUES = ("facts", "sources", "deliveries")
"""All there are; a worker looks at them by turns."""

JOB_SECONDS = 600
"""A job that runs longer is stopped; jobs with much to do stop by themselves before and ring again."""
RING_SECONDS = 30
"""A bell that nobody answered counts as lost after this."""
WAIT_SECONDS = 2
"""How long a request may be held up by a broker that does not answer."""

Job = Callable[..., None]


SOON_SECONDS = 0.05
"""How long `ring_soon` may wait, so that many requests share one ring."""


def init_app(app: Flask, redis_url: str) -> None:
    """Give the application its connection to the broker; opened at the first ring."""
    app.extensions["lrs-bridge-broker"] = Redis.from_url(
        redis_url, socket_timeout=WAIT_SECONDS, socket_connect_timeout=WAIT_SECONDS
    )
    app.extensions["lrs-bridge-ringer"] = _Ringer(app)


class _Ringer:
    """Rings from a thread of its own, which starts at the first ring: processes that fork before get their own."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._due: set[tuple[str, Job]] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, queue: str, job: Job) -> None:
        if (queue, job) in self._due:
            return  # it is yet to be rung, and that is enough for both
        with self._changed:
            self._due.add((queue, job))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bells", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._due)
            time.sleep(SOON_SECONDS)
            with self._changed:
                due, self._due = self._due, set()
            with self._app.app_context():
                for queue, job in due:
                    ring(queue, job)


def ring_soon(queue: str, job: Job) -> None:
    """Ring within `SOON_SECONDS`, without waiting for the broker; what ends before that leaves it to the schedule."""
    ringer: _Ringer = current_app.extensions["lrs-bridge-ringer"]
    ringer.add(queue, job)


def ring(queue: str, job: Job, *args: str | int, seconds: int = JOB_SECONDS) -> None:
    """Ask a worker to run `job`, unless it has been asked and has not begun; a broker that is down is only logged.

    After `seconds` it is stopped.
    """
    broker: Redis = current_app.extensions["lrs-bridge-broker"]
    try:
        if broker.set(_key(job, *args), 1, nx=True, ex=RING_SECONDS):
            Queue(queue, connection=broker).enqueue(job, *args, job_timeout=seconds, result_ttl=0, failure_ttl=86_400)
    except RedisError as error:
        log.warning("The broker does not answer (%s); the schedule will ring for %s.", error, job.__name__)


def answered(job: Job, *args: str | int) -> None:
    """Note that `job` begins, so that whatever is stored from now on rings again."""
    broker: Redis = current_app.extensions["lrs-bridge-broker"]
    try:
        broker.delete(_key(job, *args))
    except RedisError as error:
        log.warning("The broker does not answer (%s).", error)


def forget_failed() -> None:
    """Drop the failed jobs that the broker keeps for a day: what went wrong may have quoted somebody's data."""
    broker: Redis = current_app.extensions["lrs-bridge-broker"]
    try:
        for queue in (Queue(name, connection=broker) for name in QUEUES):
            for job_id in queue.failed_job_registry.get_job_ids():
                queue.failed_job_registry.remove(job_id, delete_job=True)
    except RedisError as error:
        log.warning("The broker does not answer (%s): failed jobs go by themselves within a day.", error)


def reachable() -> bool:
    """Tell whether the broker answers."""
    broker: Redis = current_app.extensions["lrs-bridge-broker"]
    try:
        return bool(broker.ping())
    except RedisError:
        return False


def _key(job: Job, *args: str | int) -> str:
    return ":".join(["lrs-bridge", "bell", job.__name__, *map(str, args)])
