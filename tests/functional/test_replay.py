"""A year of a real ServiceNow, polled while it changes: nothing is missed, nothing is doubled, little is asked.

The log is that of `tests/replay`, the instance is `incidents`; between them all is real: the shipped manifest, the job,
the runner with its HTTP, PostgreSQL. A second year has a fault in one call of seven, and processes that are killed.
An hourly year takes minutes (`make replay`), so the usual run of the tests polls less often. Last, some weeks are read
by processes that are killed in earnest.
"""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import incidents
import pytest
import responses
import yaml
from incidents import CAP, Clock, Faults, Incidents, Instance, Killed
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session
from trees import on_own_database, wait_until

from bridge import documents, jobs, sources
from bridge.app import create_app
from bridge.embedded import Servers
from bridge.models import SourceRecord, SourceRecordVersion
from bridge.settings import Settings
from connectors import Page
from connectors.sources import vendors
from lrs import db

pytestmark = pytest.mark.slow

NAME = "incidents"
EVERY = os.environ.get("LRS_BRIDGE_REPLAY_EVERY", "3h")
SEED = int(os.environ.get("LRS_BRIDGE_CHAOS_SEED", "1"))
DOCUMENT = f"""\
kind: source
name: {NAME}
type: servicenow
every: {EVERY}
stream: incidents
account: {{instance: acme, user: bot, password: {{secret: servicenow-password}}}}
"""
MOST_OF_LEAST = 1.05
"""Calls, against the fewest that could have shown every change."""
FAULTS = {"calls": 1 / 7, "deaths": 1 / 40}
CHANGES = 10_000
"""What is read by processes that are killed."""
WRONG_CLOCKS = [timedelta(seconds=seconds) for seconds in (0, -90, 90, -420, 420)]


@dataclass
class Year:
    """The instance, the clock and the job between them, and what was counted on the way."""

    instance: Instance
    faults: Faults | None
    pulls: int = 0
    least: int = 0
    """Calls that would have shown every change: a page of CAP after the other, and one a pull at the least."""
    lost: int = 0
    """Answers that died with the process before they were stored."""
    stored: set[str] = field(default_factory=set)
    """Every version on a page that was committed."""
    ends: Counter[str] = field(default_factory=Counter)
    _page: Page | None = None
    """What the open transaction stores."""
    _stored_calls: int = 0

    @property
    def used(self) -> int:
        return self.instance.calls - self.instance.failed - self.lost

    def wire(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the job on the clock, and make each page and each commit a place to be killed at."""
        clock, find, store, commit = self.instance.clock, documents.source, sources.store_page, db.session.commit

        def source(*args: Any, **kwargs: Any) -> Any:
            found = find(*args, **kwargs)
            # What is shared by workers counts by the broker's clock, which is not this one.
            return found.reaching(replace(found.reach, clock=clock, buckets=None))

        def store_page(*args: Any, **kwargs: Any) -> Any:
            self._step("before a page is stored")
            self._page = next(one for one in args if isinstance(one, Page))
            return store(*args, **kwargs)

        def commit_or_die() -> None:
            self._step("before a commit")
            commit()
            self._note_stored()
            self._step("after a commit")

        monkeypatch.setattr(documents, "source", source)
        monkeypatch.setattr(sources, "store_page", store_page)
        monkeypatch.setattr(db.session, "commit", commit_or_die)
        monkeypatch.setattr(jobs, "_now", clock.now)

    def _step(self, name: str) -> None:
        if self.faults:
            self.faults.step(name)

    def _note_stored(self) -> None:
        self._stored_calls = self.used
        if self._page:
            versions = [incidents.text(row.data) for row in self._page.rows]
            self.instance.incidents.read(versions)
            self.stored.update(versions)
            self._page = None

    def go(self) -> None:
        """Pull whenever it is due, until the log is over and two more pulls have gone well."""
        table, clock = self.instance.incidents, self.instance.clock
        done = None
        while True:
            due = sources.state(db.session, NAME).next_pull_at
            db.session.rollback()
            if table.is_over:
                done = self.ends["done"] if done is None else done
                if self.ends["done"] >= done + 2:
                    return
            if self.faults and self.faults.dice.random() < 0.01:
                clock.wrong_by = self.faults.dice.choice(WRONG_CLOCKS)
            if due is not None:
                clock.sleep(max((due - clock.now()).total_seconds(), 0))
            self._pull()

    def _pull(self) -> None:
        table = self.instance.incidents
        table.go_on(self.instance.clock.at)
        unread, used, done, self.pulls = len(table.unread), self.used, False, self.pulls + 1
        try:
            jobs.pull(NAME)
        except Killed:
            db.session.rollback()
            self._page = None
            self.lost += self.used - self._stored_calls
            self.ends["killed"] += 1
        else:
            done = not sources.state(db.session, NAME).failures
            self.ends["done" if done else "failed"] += 1
            db.session.rollback()
        self.least += max(_pages(unread if done else unread - len(table.unread)), int(self.used > used))

    def say(self, seconds: float) -> None:
        """Print the figures, which `pytest -rP` shows."""
        print(  # noqa: T201
            f"{self.pulls} pulls {dict(self.ends)}; {self.instance.calls} calls, {self.instance.failed} made to fail, "
            f"{self.lost} lost with their process, {self.used} used; the fewest possible {self.least}, so "
            f"{self.used / self.least - 1:.2%} above; {len(self.stored)} versions; {seconds:.0f} s"
        )
        if self.faults:
            print(dict(self.faults.seen))  # noqa: T201


def _pages(records: int) -> int:
    return -(-max(records, 0) // CAP)


@contextmanager
def database(servers: Servers, folder: Path, document: str) -> Iterator[tuple[Session, dict[str, str]]]:
    """An empty database with the document in force, and the environment of processes on it."""
    (folder / "documents").mkdir()
    (folder / "documents" / "incidents.yaml").write_text(document)
    env = on_own_database(servers, "replayed", folder / "data")
    env |= {"LRS_BRIDGE_MAPPINGS": str(folder / "documents"), "LRS_BRIDGE_SECRET_KEY": "only for tests"}
    with create_app(Settings.from_mapping(env)).app_context():
        jobs.load_documents()
        try:
            yield db.session, env
        finally:
            db.session.rollback()
            db.engine.dispose()


@pytest.fixture
def session(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_SERVICENOW_PASSWORD", "s3cret")
    with database(servers, tmp_path, DOCUMENT) as (made, _):
        yield made


def newest(session: Session) -> dict[str, str]:
    """The state of every incident, as facts are read from it."""
    version, record = SourceRecordVersion, SourceRecord
    rows = session.execute(
        select(record.key, version.data)
        .join(record, record.id == version.record_id)
        .ext(distinct_on(version.record_id))
        .order_by(version.record_id, version.cursor.desc().nulls_last(), version.id.desc())
    )
    return {row.key: incidents.text(row.data) for row in rows}


@pytest.mark.parametrize("plan", [None, FAULTS], ids=["without faults", "with faults"])
def test_every_change_of_a_year_is_stored_once_with_hardly_a_call_too_many(session, monkeypatch, plan):
    began = time.monotonic()
    dice = random.Random(SEED)  # noqa: S311 - it chooses faults
    faults = Faults(dice, **plan) if plan else None
    table = Incidents(incidents.log(), dice if plan else None)
    clock = Clock(incidents.time(incidents.log()[0].stamp) - timedelta(minutes=23))
    year = Year(Instance(table, clock, dice, faults), faults)
    year.wire(monkeypatch)

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        url = re.compile(re.escape(f"https://acme.service-now.com{incidents.TABLE}"))
        mock.add_callback(responses.GET, url, callback=lambda request: year.instance.answer(request.url))
        monkeypatch.setattr(mock.calls, "add_call", lambda *_: None)  # it would keep every answer of the year
        year.go()
    year.say(time.monotonic() - began)

    versions = [incidents.text(data) for data in session.scalars(select(SourceRecordVersion.data))]
    assert newest(session) == incidents.last_states()
    assert len(table.current) == 20_769
    assert len(versions) == len(set(versions))  # none twice
    assert set(versions) == year.stored  # every one that a stored page held
    assert year.used <= MOST_OF_LEAST * year.least
    if not faults:
        assert year.stored == year.instance.served  # every one that was seen


class Server(ThreadingHTTPServer):
    """The instance on a port of this machine, one call at a time."""

    daemon_threads = True

    def __init__(self, instance: Instance) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.instance, self.lock = instance, threading.Lock()
        self.room = threading.Semaphore(0)
        """How many more calls are answered; others wait."""

    def handle_error(self, *_: Any) -> None:
        """Say nothing: who called was killed."""

    @property
    def document(self) -> str:
        """What the shipped manifest makes of the document, but for the address and the password."""
        full = vendors._full(vendors.manifest("servicenow"), yaml.safe_load(DOCUMENT))
        here = {"base_url": f"http://127.0.0.1:{self.server_port}{incidents.TABLE.rpartition('/')[0]}"}
        return yaml.safe_dump(full | here | {"type": "rest", "allow_private": ["127.0.0.1"], "auth": {"type": "none"}})


class Handler(BaseHTTPRequestHandler):
    """Passes a call on to the instance."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.room.acquire()
        with self.server.lock:
            status, headers, body = self.server.instance.answer(f"http://{self.headers['Host']}{self.path}")
        sent = str(body).encode()
        self.send_response_only(status)
        for name, value in {**headers, "Content-Length": str(len(sent))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


WORKER = f"""
from bridge import jobs
from bridge.app import create_app
from bridge.settings import Settings

with create_app(Settings.from_env()).app_context():
    while True:
        jobs.pull({NAME!r})
"""


def test_killed_processes_leave_nothing_out_and_nothing_twice(servers: Servers, tmp_path: Path) -> None:
    dice = random.Random(SEED)  # noqa: S311 - it chooses when to kill
    some = incidents.log()[:CHANGES]
    clock = Clock(incidents.time(some[0].stamp))
    instance = Instance(Incidents(some, dice), clock, dice, call_seconds=(0, 14_400))
    with Server(instance) as server, database(servers, tmp_path, server.document) as (session, env):
        threading.Thread(target=server.serve_forever).start()
        kills = 0
        while not instance.incidents.is_over:
            worker, room = subprocess.Popen([sys.executable, "-c", WORKER], env=env), dice.randint(4, 16)
            server.room.release(room)
            wait_until(lambda end=instance.calls + room: instance.calls > end - 4, "the worker pulls")
            time.sleep(dice.random() / 20)  # it dies anywhere in the last calls, or waiting for the next
            worker.kill()
            assert worker.wait(10) == -signal.SIGKILL
            kills += 1
        server.room.release(10_000)
        wait_until(lambda: jobs.pull(NAME) or not sources.state(session, NAME).failures, "the last pull goes well")
        server.shutdown()

        versions = [incidents.text(data) for data in session.scalars(select(SourceRecordVersion.data))]
        assert newest(session) == {change.sys_id: change.record for change in some}
        assert len(versions) == len(set(versions))
        assert set(versions) <= instance.served
        assert kills > 3
