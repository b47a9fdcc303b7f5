"""Server processes: how one is launched, found, stopped, and how its failure is told.

A server is our direct child and in a session of its own, so that Ctrl-C in a terminal reaches only us and we end things in order.
"""

import os
import re
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bridge import settings
from bridge.embedded import addresses
from bridge.embedded.directory import DataDirectory, ServerFailed

LAUNCHER = Path(__file__).with_name("launch.py")
POLL_SECONDS = 0.02
LOG_BYTES = 10_000_000  # a larger log is set aside at the next start, as `.1`
TAIL_LINES = 12

REMEDIES = {
    r"No space left on device|Disk quota exceeded": "The disk is full: free some space and start again.",
    r"Permission denied|wrong ownership|Operation not permitted": (
        "The files belong to another user: make them this user's (chown -R), or give another --data-dir."
    ),
    r"Read-only file system": "The file system is read-only: give a --data-dir on one that can be written.",
    r"Address already in use": "Another program has the port: start again, and another one is chosen.",
    r"shared memory block .* is still in use": "A process of the former server still runs: end it (see `ps`) and start again.",
    r"Cannot allocate memory|could not map anonymous shared memory": "Memory is short: PostgreSQL needs about 200 MB free.",
    r"incompatible with server": "The cluster is of another version: restore a dump of it into a new --data-dir.",
    r"valid checkpoint record|invalid page|could not read file": (
        "The files are damaged: restore the directory from a backup, or give a new --data-dir."
    ),
    r"error while loading shared libraries|could not run": "The wheel's program does not run here: reinstall lrs-bridge's wheels.",
}


@dataclass(frozen=True)
class Found:
    """A live process of a server: `leader` for the one that the others hang on."""

    pid: int
    leader: bool


class Spawner:
    """Starts children from one thread that lives as long as we do.

    Linux ends a child when the *thread* that started it is gone; a supervisor may well call from a thread that ends earlier.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded-servers")

    def start(
        self,
        command: Sequence[str],
        *,
        log: Path,
        folder: Path,
        last_signal: signal.Signals,
        prefix: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """Start `command` in `folder`; `last_signal` is what it gets when we are gone, `prefix` what runs it as another user."""
        launch = (sys.executable, "-I", "-S", str(LAUNCHER), str(int(last_signal)), str(os.getpid()))
        with log.open("ab") as output:
            return self._thread.submit(
                subprocess.Popen,
                [*prefix, *launch, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=_environment(),
                start_new_session=True,
                umask=0o077,
            ).result()


class Server(ABC):
    """One embedded server: `process` is our direct child, None before the first start."""

    name: ClassVar[str]
    program: ClassVar[str]
    socket_name: ClassVar[str]
    stop_steps: ClassVar[tuple[tuple[signal.Signals, float], ...]]
    """Signals in order, each with the seconds that it is given."""

    def __init__(self, directory: DataDirectory, spawner: Spawner) -> None:
        self.directory = directory
        self.folder = directory.path / self.name
        self.log = directory.logs / f"{self.name}.log"
        self.password_file = self.folder / "password"
        self.address = addresses.choose(self.folder / self.socket_name)
        self.process: subprocess.Popen[bytes] | None = None
        self._spawner = spawner
        self._log_start = 0
        self._has_been_up = False

    @abstractmethod
    def prepare(self) -> None:
        """Make what the server needs in its folder."""

    @abstractmethod
    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process at `address`."""

    @abstractmethod
    def answers(self) -> bool:
        """Wait until the server answers; False when it has ended instead or takes too long."""

    @property
    def password(self) -> str:
        """The password of this directory's server."""
        return self.directory.secret(self.password_file)

    def start(self) -> None:
        """Bring the server up and wait until it answers; raises ServerFailed.

        What a former one left is cleared first, so this also restarts one that has crashed. The address stays the same for
        good once the server has been up, for others hold it.
        """
        self.end_leftovers()
        self._open_log()
        self.folder.mkdir(exist_ok=True, mode=0o700)
        self.prepare()
        for _ in range(addresses.PORT_ATTEMPTS):
            self.process = self.launch()
            if self.answers():
                self._has_been_up = True
                return
            self.stop()
            if not self._lost_its_port() or self._has_been_up:
                break
            self.address = self.address.on_another_port()
        raise self.failure(f"The embedded {self.name} did not start")

    def running(self) -> bool:
        """Tell whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """End the server, gently first; done when none of its processes is left."""
        if self.process is not None:
            for step, seconds in self.stop_steps:
                self.process.send_signal(step)
                try:
                    self.process.wait(seconds)
                except subprocess.TimeoutExpired:
                    continue
                break
        self.end_leftovers()

    def end_leftovers(self) -> None:
        """End servers of this very directory that outlived their owner; raises ServerFailed if one cannot be ended."""
        for step, seconds in self.stop_steps:
            found = find(self.directory.mark, self.program)
            for process in _to_signal(found, step):
                self._signal(process.pid, step)
            if wait_until(lambda: not find(self.directory.mark, self.program), seconds):
                return
        pids = ", ".join(str(process.pid) for process in find(self.directory.mark, self.program))
        raise ServerFailed(
            f"A former {self.name} of {self.directory.path} does not end (pid {pids}): kill -9 it and start again."
        )

    def failure(self, what: str) -> ServerFailed:
        """Give the error that tells what went wrong, what to do, and how the log ends."""
        said = self._log_of_this_start()
        remedy = next((text for pattern, text in REMEDIES.items() if re.search(pattern, said)), "The log says why.")
        tail = "\n".join(f"  {line}" for line in said.splitlines()[-TAIL_LINES:])
        return ServerFailed(f"{what} in {self.directory.path}. {remedy}\nThe end of {self.log}:\n{tail}")

    def _spawn(
        self, command: Sequence[str], *, last_signal: signal.Signals, prefix: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        return self._spawner.start(command, log=self.log, folder=self.folder, last_signal=last_signal, prefix=prefix)

    def _lost_its_port(self) -> bool:
        return self.address.port is not None and "Address already in use" in self._log_of_this_start()

    def _open_log(self) -> None:
        """Remember where this start's lines begin, and set a large log aside."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.rename(self.log.with_name(f"{self.log.name}.1"))
        self._log_start = self.log.stat().st_size if self.log.exists() else 0

    def _log_of_this_start(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def _signal(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        except PermissionError as err:
            raise ServerFailed(
                f"A {self.name} that another user started (pid {pid}) has {self.directory.path}: stop it as that user."
            ) from err


def find(mark: str, program: str) -> list[Found]:
    """Find the live processes of a program that bear the mark; dead ones that nobody has waited for do not count."""
    return [
        Found(pid, leader=not command.startswith(f"{program}:"))
        for pid, command in _command_lines()
        if mark in command and _is(program, command)
    ]


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to be so; False when the seconds are over."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _to_signal(found: list[Found], step: signal.Signals) -> list[Found]:
    """Leaders end their children; children without one are past gentle words."""
    leaders = [process for process in found if process.leader]
    if leaders and step != signal.SIGKILL:
        return leaders
    return found if step != signal.SIGINT else []


def _is(program: str, command: str) -> bool:
    title = command.partition("\0")[0]
    return (
        title.startswith(f"{program}:")
        or Path(title.partition(" ")[0]).name == program
        or title.endswith(f"/{program}")
    )


def _command_lines() -> Iterator[tuple[int, str]]:
    if sys.platform != "linux":
        yield from _command_lines_from_ps()
        return
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                yield int(folder.name), (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:  # it has ended meanwhile, or is not ours to look at
                continue


def _command_lines_from_ps() -> Iterator[tuple[int, str]]:
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, errors="replace", check=True
    )
    for line in listing.stdout.splitlines():
        pid, _, command = line.strip().partition(" ")
        yield int(pid), command


def _environment() -> dict[str, str]:
    """Our environment without what would steer a PostgreSQL of the user's own."""
    ours = {name: value for name, value in settings.environment().items() if not name.startswith("PG")}
    return ours | {"LC_ALL": "C", "TZ": "UTC"}
