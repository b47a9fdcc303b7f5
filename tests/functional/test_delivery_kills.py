"""kill -9 at random, of workers and of connections, while records change: all ends equal everywhere, and nothing twice.

Two workers deliver to a Moodle, a Canvas, a folder, a bucket and another LRS, forward statements and make statements of
Live Events. They are killed again and again, and whom they talk to hangs up before or after it has done what was asked.
LRS_BRIDGE_KILLS says how often, LRS_BRIDGE_CHAOS_SEED by which dice.
"""

import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from canvas_sender import HOST, ROOT_ACCOUNT, Sender, sending
from canvas_site import TOKEN as CANVAS_TOKEN
from canvas_site import CanvasSite
from company import Company, done, scored
from moodle_site import TOKEN as MOODLE_TOKEN
from moodle_site import MoodleSite
from requests import PreparedRequest, Request
from s3_server import S3Server
from sqlalchemy import select, text
from target_lrs import TargetLrs
from trees import on_own_database

from bridge import context, deliveries, documents, forwarding, jobs, live_events
from bridge.app import create_app
from bridge.embedded import Servers
from bridge.models import Delivery, DeliveryState, PublishedRow
from bridge.settings import Settings
from connectors import RowDestination
from connectors.clocks import SystemClock
from lrs import db

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("LRS_BRIDGE_KILLS", "4"))
SEED = int(os.environ.get("LRS_BRIDGE_CHAOS_SEED", "1"))
PEOPLE, WORKERS = 40, 2
HANGS_UP = 0.08
"""Of the requests to each counterpart, half of them after it has done what was asked."""
GRADED = json.loads((Path(__file__).parents[1] / "golden" / "canvas" / "graded.json").read_text())["cases"][0]["event"]

WORKER = """
import random, sys, time
from dataclasses import replace
from datetime import UTC, datetime
from bridge import deliveries, documents, jobs, sending
from bridge.app import create_app
from bridge.settings import Settings
from connectors import canvas, lrs as client
from lrs import db

dice = random.Random(int(sys.argv[1]))
deliveries.RETRY_SECONDS = (1,) * 1000  # many failures are not what this is about, nor waiting for hours
sending.PAUSES = (0.05,)
client.FIRST_WAIT_SECONDS = canvas.FIRST_LOOK_SECONDS = 0.05
made = documents.destination

def smaller(*given, **more):
    found = made(*given, **more)
    return replace(found, batch=dice.choice((3, 10, 50))) if found.name in ("moodle", "canvas") else found

documents.destination = smaller
with create_app(Settings.from_env()).app_context():
    print("ready", flush=True)
    while True:
        jobs.map_items(), jobs.build_records(), jobs.convert_live_events(), jobs.publish()
        found = list(deliveries.due(db.session, now=datetime.now(UTC)))
        db.session.commit()
        dice.shuffle(found)
        for one in found:
            jobs.deliver(one)
        jobs.forward("corporate")
        db.session.rollback()
        time.sleep(dice.random() / 10)
"""


def written(canvas: str, moodle: str, lake: str, target: str, keys: str) -> str:
    return f"""\
kind: destination
name: moodle
type: moodle
url: {moodle}
site: https://lms.example.com
token: {{secret: moodle-token}}
allow_private: [127.0.0.1]
feeds: [records, measures, impacts, readiness]
---
kind: destination
name: canvas
type: canvas
url: {canvas}
auth: {{type: bearer, token: {{secret: canvas-token}}}}
allow_private: [127.0.0.1]
courses:
  - course: "565"
    program: calm-calls
    columns:
      - {{title: Best score, value: best_score}}
      - {{title: Tries, value: attempts}}
---
kind: destination
name: lake
type: s3
path: s3://acme-bi/reports
allow_private: [127.0.0.1]
access: {{endpoint: "{lake}", access_key_id: AKIDTEST, secret_access_key: {{secret: lake}}}}
---
kind: destination
name: corporate-lrs
type: lrs
endpoint: {target}
allow_private: [127.0.0.1]
auth: {{type: basic, username: {{secret: corp-key}}, password: {{secret: corp-secret}}}}
feeds: [records]
system: https://bridge.example.com
---
kind: forward
name: corporate
to: corporate-lrs
---
kind: source
name: canvas-events
type: live_events
root_account: {ROOT_ACCOUNT}
hosts: [{HOST}]
keys: {keys}
allow_private: [127.0.0.1]
"""


class Lines:
    """The lines to a counterpart, on which it hangs up now and then."""

    def __init__(self, dice: random.Random) -> None:
        self._dice, self._lock = dice, threading.Lock()
        self.good = False
        self.cut = Counter[str]()

    def hangs_up(self) -> str | None:
        """Tell whether this request ends `before` or `after` it is worked off, or neither."""
        with self._lock:
            if self.good or self._dice.random() > HANGS_UP:
                return None
            when = self._dice.choice(("before", "after"))
            self.cut[when] += 1
            return when


@contextmanager
def served(answer: Callable[[PreparedRequest], tuple[int, dict[str, str], str]], lines: Lines) -> Iterator[str]:
    """Serve a fake by HTTP, one request at a time; gives its address."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            when = lines.hangs_up()
            if when != "before":
                url = f"http://{self.headers['Host']}{self.path}"
                with lock:
                    status, headers, said = answer(Request(self.command, url, dict(self.headers), data=body).prepare())
            if when is not None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(said.encode()))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said.encode())

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - its names

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class World:
    """Our side, and everybody whom it talks to."""

    def __init__(self, servers: Servers, folder: Path, dice: random.Random, stack: ExitStack) -> None:
        self.dice, self.lines = dice, Lines(random.Random(dice.random()))  # noqa: S311 - it chooses victims
        self.canvas, self.moodle, self.lake = CanvasSite(SystemClock()), MoodleSite(), S3Server("AKIDTEST", "s3cret")
        stack.callback(self.lake.close)
        self.lake.before_put = lambda _key: None
        self.canvas.cost = 0.0
        book = self.canvas.course(565)
        for number in range(PEOPLE):
            self.canvas.enrol(book, number + 1, email=f"P{number}@Example.com")
        canvas = stack.enter_context(served(self._canvas, self.lines))
        moodle = stack.enter_context(served(self.moodle.answer, self.lines))
        self.sender: Sender = stack.enter_context(sending())
        self.target = self._target_lrs(servers, folder, stack)
        secret = self.target.reset()
        self.target.after = lambda *_: self.lines.hangs_up() is not None
        self.env = on_own_database(servers, "delivery_kills", folder / "data") | {
            "LRS_BRIDGE_MAPPINGS": str(folder / "company"),
            "LRS_BRIDGE_SECRET_KEY": "only for tests",
            "LRS_BRIDGE_SOURCE_MOODLE_TOKEN": MOODLE_TOKEN,
            "LRS_BRIDGE_SOURCE_CANVAS_TOKEN": CANVAS_TOKEN,
            "LRS_BRIDGE_SOURCE_LAKE": "s3cret",
            "LRS_BRIDGE_SOURCE_CORP_KEY": secret["key"],
            "LRS_BRIDGE_SOURCE_CORP_SECRET": secret["secret"],
        }
        app = create_app(Settings.from_mapping(self.env))
        stack.enter_context(app.app_context())
        stack.callback(lambda: (db.session.rollback(), db.engine.dispose()))
        self.company = Company(folder / "company", app)
        self.company.staff([(f"E{n}", f"Person {n}", "North", f"p{n}@example.com", f"p{n}") for n in range(PEOPLE)])
        document = written(canvas, moodle, self.lake.url, self.target.endpoint, self.sender.keys_url)
        self.company.write("destinations.yaml", document)
        self.company.change("program.yaml", "destinations: [folder]", "destinations: [folder, lake]")
        self.best: dict[int, float] = {}
        self.statements: set[str] = set()
        self.events: set[str] = set()
        self.posts: list[bytes] = []

    @staticmethod
    def _target_lrs(servers: Servers, folder: Path, stack: ExitStack) -> TargetLrs:
        env = on_own_database(servers, "delivery_kills_target", folder / "target")
        target = TargetLrs(create_app(Settings.from_mapping(env | {"LRS_BRIDGE_SECRET_KEY": "of the target"})))
        stack.callback(target.close)
        return target

    def _canvas(self, request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        # Jobs go on in Canvas whether anybody waits for them or not, in the order in which they were made.
        for job in self.canvas.jobs:
            if job.state in {"queued", "running"}:
                self.canvas._progress(job)
        return self.canvas.answer(request)

    def change(self) -> None:
        """Let people learn, and Canvas tell of it, some of it twice."""
        told = []
        for number in self.dice.sample(range(PEOPLE), PEOPLE // 4):
            score = float(self.dice.randrange(11))
            told += [
                done(f"p{number}"),
                scored(f"p{number}", score, f"2026-06-01T09:00:{len(self.statements) % 60:02}Z"),
            ]
            told[-1]["id"] = told[-1]["id"][:-6] + f"{len(self.statements):06x}"
            self.best[number] = max(score, self.best.get(number, 0.0))
            self.statements |= {one["id"] for one in told[-2:]}
        self.company.post(*told)
        for _ in range(3):
            event = deepcopy(GRADED)
            name = f"urn:uuid:00000000-0000-4000-8000-{len(self.events):012}"
            event["data"][0] |= {"id": name}
            self.events.add(name)
            self.posts.append(self.sender.sign(event))
        for post in (*self.posts[-3:], self.dice.choice(self.posts)):
            answer = self.company.app.test_client().post("/live-events/canvas-events", data=post)
            assert answer.status_code == 200

    def settle(self) -> None:
        """Do what is left, on good lines, as a worker that nobody kills."""
        self.lines.good = True
        self.target.after = None
        give_up = time.monotonic() + 240
        while True:
            db.session.rollback()
            jobs.map_items()
            jobs.build_records()
            jobs.convert_live_events()
            jobs.publish()
            for one in deliveries.due(db.session, now=datetime.now(UTC)):
                db.session.commit()
                jobs.deliver(one)
            while jobs.forward_now("corporate"):
                pass
            db.session.rollback()
            waiting = db.session.scalars(select(Delivery).where(Delivery.state != DeliveryState.DONE)).all()
            if not waiting and not live_events.waiting(db.session, now=datetime.now(UTC)):
                return
            told = [(one.report, one.destination, one.state, one.last_error) for one in waiting]
            assert time.monotonic() < give_up, told
            assert all(one.state != DeliveryState.FAILED for one in waiting), told
            time.sleep(0.2)


class Workers:
    """Processes that deliver, killed and started again."""

    def __init__(self, env: dict[str, str], dice: random.Random, log: Path) -> None:
        self._env, self._dice, self._log = env, dice, log
        self._alive: list[subprocess.Popen[bytes]] = []
        self.killed = 0

    def start(self) -> None:
        while len(self._alive) < WORKERS:
            command = [sys.executable, "-c", WORKER, str(self._dice.random())[2:]]
            with self._log.open("ab") as log:
                made = subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE, stderr=log)
            assert made.stdout is not None
            assert made.stdout.readline() == b"ready\n", self._log.read_text()
            self._alive.append(made)

    def kill_one(self) -> None:
        victim = self._alive.pop(self._dice.randrange(len(self._alive)))
        assert victim.poll() is None, self._log.read_text()
        self._end(victim)
        self.killed += 1

    def end(self) -> None:
        while self._alive:
            self._end(self._alive.pop())

    @staticmethod
    def _end(one: subprocess.Popen[bytes]) -> None:
        one.kill()
        one.wait(10)
        assert one.stdout is not None
        one.stdout.close()


def published(feed: str) -> dict[str, tuple[int, str]]:
    rows = db.session.scalars(select(PublishedRow).filter_by(feed=feed, deleted=False))
    return {row.key: (row.version, row.checksum) for row in rows}


def held(name: str, feed: str) -> dict[str, tuple[int, str]]:
    current = documents.current(db.session)
    assert current is not None
    found = documents.destination(current, name, data_dir=context.settings().data_dir, reach=context.reach())
    assert isinstance(found, RowDestination)
    return {one.key: (one.version, one.checksum) for one in found.held(feed)}


@pytest.fixture
def world(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with ExitStack() as stack:
        made = World(servers, tmp_path, random.Random(SEED), stack)  # noqa: S311 - it chooses victims
        for name, value in made.env.items():
            if name.startswith("LRS_BRIDGE_SOURCE_"):
                monkeypatch.setenv(name, value)
        jobs.load_documents()
        made.company.pull()
        yield made


def test_after_kills_all_sides_are_equal_and_nothing_happened_twice(world: World, tmp_path: Path) -> None:
    workers = Workers(world.env, world.dice, tmp_path / "workers.log")
    try:
        workers.start()
        for _ in range(KILLS):
            world.change()
            time.sleep(0.1 + 1.5 * world.dice.random())
            workers.kill_one()
            workers.start()
    finally:
        workers.end()
    world.settle()

    assert workers.killed == KILLS
    assert len(published("records")) == len(world.best) > PEOPLE / 3
    _moodle_is_equal(world.moodle)
    _canvas_is_equal(world.canvas, world.best)
    _files_are_equal(world.lake, tmp_path / "data" / "reports", world.best)
    _target_is_equal(world)
    print(f"seed {SEED}: {workers.killed} workers killed, hung up {dict(world.lines.cut)}, {len(world.best)} records")  # noqa: T201


def _moodle_is_equal(moodle: MoodleSite) -> None:
    for feed in ("records", "measures", "readiness", "impacts"):
        assert moodle.held(feed) == dict(sorted(published(feed).items()))
    assert [write for write, times in Counter(moodle.writes).items() if times > 1] == []


def _canvas_is_equal(canvas: CanvasSite, best: dict[int, float]) -> None:
    book = canvas.courses[565]
    there = [one["title"] for one in book.columns.values() if not one["deleted"]]

    assert held("canvas", "records") == published("records")
    assert sorted(there)[:2] == ["Best score", "Tries"]
    assert len(there) == 3  # and one ledger
    assert book.cells("Best score") == {number + 1: f"{score * 10:g} %" for number, score in best.items()}


def _files_are_equal(lake: S3Server, folder: Path, best: dict[int, float]) -> None:
    ours = {path.name: path.read_bytes() for path in folder.iterdir()}
    theirs = {name.rpartition("/")[2]: data for name, data in lake.objects.items()}
    assert ours.keys() == theirs.keys() == {"calm.csv", "calm.json", "calm.manifest.json"}
    for files in (ours, theirs):
        for one in json.loads(files["calm.manifest.json"])["files"]:
            assert hashlib.sha256(files[one["name"]]).hexdigest() == one["sha256"]
    assert [ours[name] == theirs[name] for name in ("calm.csv", "calm.json")] == [True] * 2
    scores = {row["learner"]: row["best_score"] for row in json.loads(ours["calm.json"])["rows"]}
    assert scores == {f"E{number}": score / 10 for number, score in best.items()}


def _target_is_equal(world: World) -> None:
    ours = {str(one) for one in db.session.scalars(text("select id from statement"))}
    theirs, voided = world.target.statements(), world.target.voided()
    findings = {id_ for id_, one in theirs.items() if one["id"] not in ours}

    assert world.statements <= ours
    assert len(ours) == len(world.statements) + len(world.events)  # each event is one statement
    assert ours <= theirs.keys()
    assert forwarding.standings(db.session)[0].behind == 0
    assert held("corporate-lrs", "records") == published("records")
    stand = [one for id_, one in theirs.items() if id_ in findings - voided and "voided" not in one["verb"]["id"]]
    assert len(stand) == len(published("records"))  # one for each row, and no former version beside it
