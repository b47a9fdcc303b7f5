"""`kill -9` of anything of ours or of Moodle's in the middle of a delivery: in the end both sides are equal row by row.

What is killed, by turns in an order that a seed gives: a web process, a worker with its job, the scheduler, PostgreSQL,
Valkey, the whole tree of `up`, Moodle's PHP, Moodle's database. LRS_BRIDGE_KILLS says how often (default: each once),
LRS_BRIDGE_SEED which order, moments and faults of the network there are; both are told with what was measured.
"""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from faults import Network, between
from installed import free_port
from moodle import Moodle
from pushed import (
    accounts,
    assert_both_sides_are_equal,
    delivered,
    report,
    statement,
    voiding,
    write_documents,
    write_statements,
)
from sqlalchemy import make_url
from trees import CLEAN, COMMAND, Tree, commands_below, descendants, wait_until

from bridge.embedded import running
from connectors import health

pytestmark = pytest.mark.moodle

LEARNERS = 4_000
STRANGERS = 200
"""So many of them have no account in Moodle."""
CHANGED = 1_500
"""Rows that change in each wave after the first."""
GONE = 50
"""Rows that go in each wave."""
BATCH = 200
"""Rows in a push."""
PATIENCE_SECONDS = 900
PUBLISHED = "select count(*) from published_row where feed = 'records'"
GONE_ROWS = f"{PUBLISHED} and deleted"
SCORED = f"{PUBLISHED} and not deleted and abs((body ->> 'best_score')::float8 - %s) < 1e-9"
RECOVERED_SECONDS = 3
"""Between two kills everything answers for so long: what is killed again while it recovers is another matter, and `up`
ends itself when a part of it dies six times in a minute."""


@dataclass
class Ours:
    """`up` on a directory of its own, which any kill may end and `start` brings back."""

    folder: Path
    env: dict[str, str]
    port: int = field(default_factory=free_port)
    tree: Tree | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def alive(self) -> Tree:
        assert self.tree is not None
        return self.tree

    def start(self) -> None:
        (self.data / "endpoint.json").unlink(missing_ok=True)  # of a tree that was killed
        with (self.folder / "up.out").open("ab") as out:
            command = [*COMMAND, "up", "--data-dir", str(self.data), "--port", str(self.port)]
            process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.tree = Tree(self.data, process, self.env)
        up = (self.data / "endpoint.json").exists
        wait_until(lambda: up() or process.poll() is not None, "our tree answers", seconds=PATIENCE_SECONDS)
        assert process.poll() is None, (self.folder / "up.out").read_text()[-4000:]

    def below(self, *words: str) -> list[int]:
        """Give the processes of a part by words of its command, and all below them."""
        found = [pid for pid, said in commands_below(self.alive.process.pid).items() if any(w in said for w in words)]
        return sorted({*found, *(below for pid in found for below in descendants(pid))})

    def answers(self) -> bool:
        return health.answers(f"http://127.0.0.1:{self.port}/readyz")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        servers = running(self.data)
        assert servers is not None, "our tree is up"
        url = make_url(servers.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def asks(self, query: str, expected: object, *values: object) -> bool:
        """Tell whether our database answers so; it may be away."""
        with suppress(psycopg.OperationalError, AssertionError):
            return self.rows(query, *values) == [(expected,)]
        return False

    def delivered(self) -> bool:
        with suppress(psycopg.OperationalError, AssertionError):
            return delivered(self.rows)
        return False


@dataclass
class Killer:
    """Kills by dice while a push is under way, and brings back what does not come back by itself."""

    ours: Ours
    moodle: Moodle
    kills: int
    dice: random.Random
    done: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held while something is killed and until all is well again."""

    def __post_init__(self) -> None:
        self._victims: dict[str, Callable[[], None]] = {
            "web": lambda: kill(self.ours.below("bridge web", "gunicorn")),
            "worker": lambda: kill(self.ours.below("bridge worker")),
            "scheduler": lambda: kill(self.ours.below("bridge scheduler")),
            "PostgreSQL": lambda: kill(self.ours.below("bin/postgres", "postgres:")),
            "Valkey": lambda: kill(self.ours.below("valkey-server")),
            "the whole tree": self._whole_tree,
            "Moodle's PHP": self.moodle.kill,
            "Moodle's database": self.moodle.kill_database,
        }
        names = list(self._victims)
        self._order: list[str] = []
        while len(self._order) < self.kills:
            self._order += self.dice.sample(names, len(names))
        self._waits, self._quiet_since = 1, 0.0

    def asked(self, _number: int, body: bytes) -> None:
        """Be told of a request that Moodle is working on."""
        if b"local_lrsbridge_push_rows" not in body or not self.turn.acquire(blocking=False):
            return
        try:
            self._waits -= 1
            if self._waits <= 0 and len(self.done) < self.kills:
                self._waits = self.dice.randint(1, 3)
                time.sleep(self.dice.random() * 0.3)  # it is somewhere within its work
                self._kill(self._order[len(self.done)])
        except BaseException as err:  # noqa: BLE001 - told by the test
            self.errors.append(err)
        finally:
            self.turn.release()

    def _kill(self, name: str) -> None:
        self._victims[name]()
        self.done.append(name)
        self.moodle.start_database()
        self.moodle.start()
        if name == "the whole tree":
            self.ours.start()
        wait_until(self._is_well, f"all is well again after {name} was killed", seconds=PATIENCE_SECONDS)

    def _is_well(self) -> bool:
        if not self.ours.answers():
            self._quiet_since = 0.0
            return False
        self._quiet_since = self._quiet_since or time.monotonic()
        if time.monotonic() - self._quiet_since < RECOVERED_SECONDS:
            return False
        self._quiet_since = 0.0
        return True

    def _whole_tree(self) -> None:
        self.ours.alive.kill_all()


def kill(pids: Sequence[int]) -> None:
    assert pids, "there is something to kill"
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("LRS_BRIDGE_SEED", "7"))


@pytest.fixture
def network(moodle: Moodle, seed: int) -> Iterator[Network]:
    with between(Network(f"127.0.0.1:{moodle.port}", share=0.1, seed=seed)) as made:
        yield made
    assert made.errors == []


@pytest.fixture
def ours(moodle: Moodle, network: Network, tmp_path: Path) -> Iterator[Ours]:
    moodle.forget()
    moodle.keep_what_is_committed()
    write_documents(tmp_path / "documents", moodle, network.url)
    more = {
        "LRS_BRIDGE_MAPPINGS": str(tmp_path / "documents"),
        "LRS_BRIDGE_SOURCE_MOODLE_TOKEN": moodle.site["token"],
    }
    made = Ours(tmp_path, CLEAN | more)
    made.start()
    yield made
    if made.alive.process.poll() is None:
        made.alive.stop()


def test_kill_9_of_anything_in_the_middle_of_a_delivery_loses_and_doubles_nothing(
    ours: Ours, moodle: Moodle, network: Network, seed: int
) -> None:
    began, people = time.monotonic(), accounts(moodle, LEARNERS, strangers=STRANGERS)
    killer = Killer(ours, moodle, int(os.environ.get("LRS_BRIDGE_KILLS", "8")), random.Random(seed))  # noqa: S311
    report(f"seed {seed}, {killer.kills} kills")
    posted = 0

    def store(statements: Sequence[dict[str, Any]]) -> None:
        nonlocal posted
        file = write_statements(ours.folder / "statements.jsonl", statements)
        with killer.turn:
            ours.alive.run("statement", "import", file)
        posted += len(statements)

    first = [statement(moodle.url, person, 1, person % 60) for person in people]
    store(first)
    wait_until(lambda: ours.asks(PUBLISHED, LEARNERS), "all is published", seconds=PATIENCE_SECONDS)
    network.asked = killer.asked
    for wave in range(2, 30):
        wait_until(lambda: killer.errors != [] or ours.delivered(), "all is delivered", seconds=PATIENCE_SECONDS)
        assert killer.errors == []
        if len(killer.done) >= killer.kills:
            break
        store([voiding(one) for one in first[(wave - 1) * GONE :][:GONE]])
        store([statement(moodle.url, person, wave, wave + 60) for person in people[-CHANGED:]])
        wanted = ((wave - 1) * GONE, CHANGED, (wave + 60) / 100)
        wait_until(
            lambda wanted=wanted: ours.asks(GONE_ROWS, wanted[0]) and ours.asks(SCORED, wanted[1], wanted[2]),
            "what has changed is published",
            seconds=PATIENCE_SECONDS,
        )
    network.asked = lambda _number, _body: None
    wait_until(lambda: not killer.turn.locked() and ours.delivered(), "all is delivered", seconds=PATIENCE_SECONDS)

    assert len(killer.done) == killer.kills
    assert_both_sides_are_equal(ours.rows, moodle)
    assert ours.rows("select count(*), count(distinct id) from statement") == [(posted, posted)]
    report(
        f"{len(killer.done)} kills, {dict(Counter(killer.done))}; {network.requests} requests: {dict(network.passed)};"
        f" {len(people)} rows equal on both sides after {time.monotonic() - began:.0f} s"
    )
