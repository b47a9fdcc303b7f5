"""The same input gives the same facts, each once: in any order, cut in any way, by one worker or by four killed ones.

One database gets its input in order and is read by this process. Another gets the same input shuffled and in pieces,
while four workers read it in batches of any size, are killed with SIGKILL again and again, and rules change underneath.
"""

import gzip
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from company import DEALS, TICKETS, Company, done, scored
from trees import on_own_database, wait_until

from bridge import checksums, jobs, readings
from bridge.app import create_app
from bridge.embedded import Servers
from bridge.settings import Settings
from lrs import db

pytestmark = pytest.mark.slow

WORKERS, KILLS = 4, 16
CAPTURE = Path(__file__).parents[2] / "bridge" / "demo" / "data" / "moodle-statements.jsonl.gz"
LATER = [("T1", "2026-06-30T08:00:00Z", "bo", "2026-06-29T08:00:00Z", "99")]
OLD_RULE, NEW_RULE = "value: row.minutes", "value: row.minutes + 1.0"
OLD_FACT, NEW_FACT = "score: fraction(result.score)", "score: fraction(result.score) / 2.0"

WORKER = """
import random, sys
from bridge import facts, jobs
from bridge.app import create_app
from bridge.settings import Settings
from lrs import db

dice = random.Random(int(sys.argv[1]))
with create_app(Settings.from_env()).app_context():
    while True:
        facts.BATCH = dice.choice((1, 7, 40, 500))
        jobs.read_once(db.session)
        jobs.build_records()
"""


def statements() -> list[dict[str, Any]]:
    """Real statements, those of the company's own people, and some that void others of both."""
    with gzip.open(CAPTURE, "rt") as lines:
        found = [json.loads(line) for line in lines][:1_500]
    found += [scored(who, score, f"2026-05-{score + 1:02}T09:00:00Z") for who in ("ann", "bo") for score in range(10)]
    found += [done("ann"), done("bo")]
    for number, one in enumerate(found):
        one.setdefault("id", str(uuid.UUID(int=number + 1)))
    return found + [voiding(one, number) for number, one in enumerate(found[::17])]


def voiding(target: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": str(uuid.UUID(int=10**6 + number)),
        "actor": {"mbox": "mailto:admin@example.com"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
        "object": {"objectType": "StatementRef", "id": target["id"]},
        "timestamp": "2026-11-01T08:00:00Z",
    }


def settled() -> bool:
    db.session.rollback()
    return readings.pending(db.session) is None and readings.behind(db.session) == 0


def sums() -> dict[str, Any]:
    """What is derived, after all that was to be done."""
    wait_until(settled, "all is read")
    while readings.forget_dropped(db.session, limit=10_000):
        db.session.commit()
    jobs.build_records()
    found = [checksums.of_table(db.session, table) for table in checksums.TABLES]
    return {one.table: (one.rows, one.sha256) for one in found}


@contextmanager
def company(servers: Servers, name: str, folder: Path) -> Iterator[tuple[Company, dict[str, str]]]:
    """The company on a database of its own, with the environment of workers on it."""
    env = on_own_database(servers, name, folder.parent / f"{name}-data")
    env |= {"LRS_BRIDGE_MAPPINGS": str(folder), "LRS_BRIDGE_SECRET_KEY": "only for tests"}
    app = create_app(Settings.from_mapping(env))
    with app.app_context():
        yield Company(folder, app), env
        db.session.rollback()
        db.engine.dispose()


def in_order(servers: Servers, folder: Path) -> dict[str, Any]:
    """Everything at once, by one reader, with the rules as they are at the end."""
    with company(servers, "mapped_in_order", folder) as (one, _):
        one.change("rules.yaml", OLD_RULE, NEW_RULE)
        one.change("rules.yaml", OLD_FACT, NEW_FACT)
        jobs.load_documents()
        one.pull()
        one.tickets([*TICKETS, *LATER])
        one.pull()
        one.deals(DEALS)
        sent = statements()
        for start in range(0, len(sent), 100):
            one.post(*sent[start : start + 100])
        while jobs.read_once(db.session):
            pass
        return sums()


class Workers:
    """Processes that read, killed and started again."""

    def __init__(self, env: dict[str, str], dice: random.Random) -> None:
        self._env, self._dice, self._alive, self.killed = env, dice, [], 0

    def start(self) -> None:
        while len(self._alive) < WORKERS:
            command = [sys.executable, "-c", WORKER, str(self._dice.random())[2:]]
            self._alive.append(subprocess.Popen(command, env=self._env))

    def kill_one(self) -> None:
        victim = self._alive.pop(self._dice.randrange(len(self._alive)))
        assert victim.poll() is None, "a worker ended by itself"
        victim.kill()
        victim.wait(10)
        self.killed += 1
        self.start()

    def end(self) -> None:
        for one in self._alive:
            one.kill()
            one.wait(10)


def in_chaos(servers: Servers, folder: Path, dice: random.Random) -> dict[str, Any]:
    """The same in pieces and in any order, read by workers that are killed, with rules that change meanwhile."""
    with company(servers, "mapped_in_chaos", folder) as (one, env):
        jobs.load_documents()
        sent = statements()
        dice.shuffle(sent)
        workers = Workers(env, dice)
        workers.start()
        try:
            pieces = []
            while sent:
                size = dice.choice((1, 5, 60))
                pieces.append(sent[:size])
                del sent[:size]
            for number, piece in enumerate(pieces):
                one.post(*piece)
                if number % max(len(pieces) // KILLS, 1) == 0:
                    time.sleep(dice.random())
                    workers.kill_one()
                if number == len(pieces) // 4:
                    one.tickets(LATER)  # the newest version comes first
                    one.pull()
                if number == len(pieces) // 3:
                    one.change("rules.yaml", OLD_RULE, NEW_RULE)
                    jobs.load_documents()
                if number == len(pieces) // 2:
                    one.tickets([*TICKETS, *LATER])
                    one.pull()
                    one.change("rules.yaml", OLD_FACT, NEW_FACT)
                    jobs.load_documents()
            while workers.killed < KILLS:
                time.sleep(dice.random())
                workers.kill_one()
            wait_until(settled, "the workers have read everything")
        finally:
            workers.end()
        return sums()


@pytest.mark.parametrize("seed", [int(os.environ.get("LRS_BRIDGE_CHAOS_SEED", "1"))])
def test_any_order_any_chunking_any_number_of_killed_workers(servers: Servers, tmp_path: Path, seed: int) -> None:
    expected = in_order(servers, tmp_path / "ordered")

    found = in_chaos(servers, tmp_path / "chaos", random.Random(seed))  # noqa: S311 - it chooses victims

    assert found == expected
    assert expected["fact"][0] > 1_000  # of the real statements, not of a few
