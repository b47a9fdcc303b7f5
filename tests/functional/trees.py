"""A whole `lrs-bridge up`, as a user starts it: the command, in a process tree of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bridge.embedded import Servers

COMMAND = [sys.executable, "-m", "bridge"]
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if name not in {"DATABASE_URL", "REDIS_URL"} and not name.startswith("LRS_BRIDGE_")
}


def on_own_database(servers: Servers, name: str, data_dir: Path) -> dict[str, str]:
    """Make an empty database and give the environment of processes on it: nothing is set but what one must."""
    engine = create_engine(servers.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"drop database if exists {name} with (force)"))
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    url = engine.url.set(drivername="postgresql", database=name)
    return CLEAN | {
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "REDIS_URL": servers.redis_url,
        "LRS_BRIDGE_DATA_DIR": str(data_dir),
    }


@dataclass
class Tree:
    """A running `up` and what a test does to it."""

    data_dir: Path
    process: subprocess.Popen[bytes]
    env: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> dict[str, str]:
        return json.loads((self.data_dir / "endpoint.json").read_text())

    def output(self) -> str:
        return (self.data_dir.parent / f"{self.data_dir.name}.out").read_text()

    def run(self, *arguments: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run another command against it."""
        command = [*COMMAND, *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=check, timeout=timeout)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill_all(self) -> None:
        """kill -9 of the whole tree at once."""
        pids = [self.process.pid, *descendants(self.process.pid)]
        for pid in pids:
            _kill(pid)
        self.process.wait(10)
        wait_until(lambda: not any(alive(pid) for pid in pids), "the killed tree is gone")


Start = Callable[..., Tree]


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 90) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            pytest.fail(f"after {seconds} s it is still not so that {what}")
        time.sleep(0.2)


def descendants(pid: int) -> list[int]:
    """Every process below this one, from /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def commands_below(pid: int) -> dict[int, str]:
    found = {}
    for child in descendants(pid):
        try:
            found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
