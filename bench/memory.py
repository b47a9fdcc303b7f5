"""`python -m bench.memory`: does what serves, imports and exports stay as large as it is, for a million statements?

Three quarters of them are imported by command and one quarter is posted over HTTP; then all are read, by queries, page
by page over HTTP, and by the export command. Each process is looked at all the time: what it grows by after the first
tenth of its work, when pools and caches are filled, is held against the bar.
"""

import argparse
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import urlencode

import psutil

from bench.clients import Client, Target
from bench.stage import Stage, stage
from bench.statements import PERSON_MARK, REGISTRATION_MARK, Population, agent, marked, registration, verbs, with_id
from bridge.settings import environment

BAR_BYTES = 30_000_000
_NAME = "memory"
_LOOK_SECONDS = 0.2
_WARM_UP = 0.1
_START_SECONDS = 5
"""A command that has used less processor time than this is still being loaded, however long that takes."""
_BATCH = 50
_CLIENTS = 4
_QUERIES = 0.01
"""For each statement: 10,000 at a million."""


@dataclass
class Watched:
    """Processes that do the same, and how large the largest of them was at each look."""

    what: str
    pids: Callable[[], list[int]]
    sizes: list[int] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """Seconds of processor that one of them had used at most, at each look."""

    def look(self) -> None:
        """Note how large the largest is now."""
        looks = []
        for pid in self.pids():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                times = process.cpu_times()
                looks.append((process.memory_info().rss, times.user + times.system))
        if looks:
            self.sizes.append(max(size for size, _ in looks))
            self.busy.append(max(busy for _, busy in looks))

    @property
    def warm(self) -> int:
        """How large it was at most in the first tenth of its work."""
        until = max(self.busy[0] + (self.busy[-1] - self.busy[0]) * _WARM_UP, _START_SECONDS)
        return max(size for size, busy in zip(self.sizes, self.busy, strict=True) if busy <= until)

    @property
    def grown(self) -> int:
        """How much larger it has been since."""
        return max(self.sizes) - self.warm


@contextmanager
def watching(what: str, pids: Callable[[], list[int]]) -> Iterator[Watched]:
    """Look at processes for as long as this lasts."""
    watched, ended = Watched(what, pids), threading.Event()

    def keep_looking() -> None:
        while not ended.wait(_LOOK_SECONDS):
            watched.look()

    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        yield watched
    finally:
        ended.set()
        thread.join()


def measure(on: Stage, size: int) -> list[Watched]:
    """Take all steps; gives who was watched."""
    by_command = size * 3 // 4
    on.app(_NAME)
    file = on.settings(_NAME).data_dir / "statements.jsonl"
    with on.web(_NAME) as web:
        _say(f"importing {by_command:,} statements by command")
        with file.open("wb") as out:
            out.writelines(one + b"\n" for one in _statements(size, by_command, seed=1))
        importing = _command(on, "import", str(file))
        with watching("web workers", lambda: _children(web.pid)) as serving:
            _say(f"posting {size - by_command:,} over HTTP")
            _at_once(lambda lane: _post(web.target, size, (size - by_command) // _CLIENTS, lane))
            _say("querying")
            _at_once(lambda lane: _query(web.target, size, lane))
            _say("reading all over HTTP")
            _read_all(web.target)
        _say("exporting all by command")
        exporting = _command(on, "export", "--out", str(on.settings(_NAME).data_dir / "all.jsonl"))
    return [importing, serving, exporting]


def _statements(size: int, count: int, *, seed: int) -> Iterator[bytes]:
    """Give so many real statements, of as many people as so many are of, each with an id of its own."""
    pick, population = random.Random(seed), Population(size)  # noqa: S311 - no secret
    rests = [one.partition(b",")[2] for one in marked()]
    for _ in range(count):
        person, where = pick.randrange(population.people), pick.randrange(population.registrations)
        rest = pick.choice(rests).replace(PERSON_MARK.encode(), b"%d" % person)
        yield with_id(rest.replace(REGISTRATION_MARK.encode(), registration(where).encode()))


def _command(on: Stage, *arguments: str) -> Watched:
    env = environment() | on.settings(_NAME).to_mapping()
    process = subprocess.Popen([sys.executable, "-m", "bridge", "statement", *arguments], env=env, stdout=sys.stderr)
    with watching(f"statement {arguments[0]}", lambda: [process.pid]) as watched:
        code = process.wait()
    assert code == 0, f"{arguments} ended with {code}"
    return watched


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def _at_once(work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(work, range(_CLIENTS)))


def _post(target: Target, size: int, count: int, lane: int) -> None:
    client = Client(target)
    statements = _statements(size, count, seed=100 + lane)
    while batch := list(islice(statements, _BATCH)):
        client.post("/xapi/statements", b"[" + b",".join(batch) + b"]")
    client.close()


def _query(target: Target, size: int, lane: int) -> None:
    client, pick, population = Client(target), random.Random(lane), Population(size)  # noqa: S311 - no secret
    known = verbs()
    for _ in range(int(size * _QUERIES) // _CLIENTS):
        by_person = {"agent": agent(pick.randrange(population.people)), "related_agents": "true"}
        asked = pick.choice(
            [
                by_person,
                {"verb": pick.choice(known), "limit": "50"},
                {"registration": registration(pick.randrange(population.registrations))},
                {"limit": "500"},
            ]
        )
        client.get(f"/xapi/statements?{urlencode(asked)}")
    client.close()


def _read_all(target: Target) -> None:
    client = Client(target)
    path = "/xapi/statements?ascending=true"
    while path:
        path = json.loads(client.get(path))["more"]
    client.close()


def _say(what: str) -> None:
    print(f"{time.strftime('%X')} {what} ...", file=sys.stderr, flush=True)


def main() -> None:
    """Print a line for each kind of process; exit with 1 when one grows beyond the bar."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--size", type=int, default=1_000_000, help="statements in all (1000000)")
    size: int = parser.parse_args().size
    with stage() as on:
        found = measure(on, size)
    print(f"{size:,} statements; bar: {BAR_BYTES / 1e6:.0f} MB")
    for one in found:
        verdict = "ok" if one.grown < BAR_BYTES else "too much"
        warm, grown = one.warm / 1e6, one.grown / 1e6
        print(f"{one.what:<18} {warm:7.1f} MB after a tenth, then up to {grown:5.1f} MB more  {verdict}")
    sys.exit(any(one.grown >= BAR_BYTES for one in found))


if __name__ == "__main__":
    main()
