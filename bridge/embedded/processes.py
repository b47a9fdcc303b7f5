"""Processes of servers: how one is launched, and how those that outlived their owner are found.

A server is our direct child in a session of its own: Ctrl-C in a terminal reaches us alone, and we end things in order.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bridge import settings

LAUNCHER = Path(__file__).with_name("launch.py")
POLL_SECONDS = 0.02
PLAIN = {"LC_ALL": "C", "TZ": "UTC"}  # logs in English, which remedies are found by, and in UTC


class Spawner:
    """Starts children from one thread, which lives as long as this object.

    Linux ends a child when the *thread* that started it is gone, and a supervisor may call from one that ends earlier.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-servers")

    def start(
        self, command: Sequence[str], *, log: Path, last_signal: signal.Signals, prefix: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a command that writes to `log`.

        `last_signal` is what it gets when we die first; `prefix` is a command that runs it as another user.
        """
        launch = (sys.executable, "-I", "-S", str(LAUNCHER), str(int(last_signal)), str(os.getpid()))
        log.touch(mode=0o600)
        with log.open("ab") as output:
            return self._thread.submit(
                subprocess.Popen,
                [*prefix, *launch, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env=settings.environment() | PLAIN,
                start_new_session=True,
                umask=0o077,
            ).result()


@dataclass(frozen=True)
class Signs:
    """How a server's processes are told from all others: program, and a mark or a path on the command line."""

    program: str
    mark: str
    path: Path

    def find(self) -> list[int]:
        """Give the live processes, leaders and children; the dead that nobody has waited for do not count."""
        return [pid for pid, _ in self._found()]

    def find_leaders(self) -> list[int]:
        """Give those that we started; their children call themselves `postgres: ...`."""
        return [pid for pid, command in self._found() if not command.startswith(f"{self.program}:")]

    def _found(self) -> Iterator[tuple[int, str]]:
        for pid, command in _command_lines():
            is_ours = self.mark in command or f"\0{self.path}\0" in command
            if is_ours and re.match(rf"([^\0]*/)?{self.program}[: \0]", command):
                yield pid, command


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to be so; False when the seconds are over."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _command_lines() -> Iterator[tuple[int, str]]:
    """Give the words of each process, `\\0` after each; a server that names itself has one word with spaces."""
    if sys.platform != "linux":
        yield from _command_lines_from_ps()
        return
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                yield int(folder.name), os.fsdecode((folder / "cmdline").read_bytes())
            except OSError:  # it has ended meanwhile, or is not ours to look at
                continue


def _command_lines_from_ps() -> Iterator[tuple[int, str]]:
    command = ["ps", "-axww", "-o", "pid=,command="]
    listing = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", check=True).stdout
    for line in listing.splitlines():
        pid, _, rest = line.strip().partition(" ")
        yield int(pid), rest  # ps joins the words, so here only the mark tells
