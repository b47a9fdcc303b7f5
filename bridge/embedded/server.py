"""One embedded server: what PostgreSQL and Valkey have in common."""

import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bridge.embedded import addresses
from bridge.embedded.directory import DataDirectory, secret
from bridge.embedded.errors import ServerFailed, failure, remedy
from bridge.embedded.processes import Signs, Spawner, wait_until

KILL_SECONDS = 5.0
LOG_BYTES = 10_000_000  # a larger log is set aside at the next start, as `.1`
TAIL_LINES = 12
DISK_FULL_BYTES = 20_000_000  # PostgreSQL writes its log ahead in files of 16 MB


class Server(ABC):
    """An embedded server; `process` is our direct child, None before the first start."""

    name: ClassVar[str]
    program: ClassVar[str]
    socket_name: ClassVar[str]
    argument: ClassVar[str]
    """What of its folder the program is given to read."""
    stop_steps: ClassVar[tuple[tuple[signal.Signals, float], ...]]
    """Signals that ask it to end, in order, each with the seconds that it is given."""

    def __init__(self, directory: DataDirectory, spawner: Spawner) -> None:
        self.folder = directory.path / self.name
        self.log = directory.logs / f"{self.name}.log"
        self.password_file = self.folder / "password"
        self.address = addresses.choose(self.folder / self.socket_name)
        self.process: subprocess.Popen[bytes] | None = None
        self._mark = directory.mark
        self._signs = Signs(self.program, directory.mark, self.folder / self.argument)
        self._spawner = spawner
        self._log_start = 0
        self._has_been_up = False

    @property
    @abstractmethod
    def url(self) -> str:
        """Where the server answers, password included."""

    @property
    def password(self) -> str:
        """The password of this directory's server."""
        return secret(self.password_file)

    def running(self) -> bool:
        """Tell whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Bring the server up and wait until it answers; raises ServerFailed. Nothing happens when it is up.

        What a former one left is cleared first, so this also brings back one that has crashed. Once it has been up the
        address is never changed, for others hold it.
        """
        if self.running():
            return
        try:
            self.end_leftovers()
            self._begin_log()
            self.folder.mkdir(exist_ok=True, mode=0o700)
            self._prepare()
            self._bring_up()
        except OSError as err:
            raise failure(f"The embedded {self.name} did not start", err) from err

    def stop(self) -> None:
        """End the server, gently first; returns when none of its processes is left."""
        if self.process is not None:
            for step, seconds in (*self.stop_steps, (signal.SIGKILL, KILL_SECONDS)):
                self.process.send_signal(step)
                try:
                    self.process.wait(seconds)
                    break
                except subprocess.TimeoutExpired:
                    continue
        self.end_leftovers()

    def end_leftovers(self) -> None:
        """End processes of this directory's server that outlived their owner or their leader; raises ServerFailed."""
        for step, seconds in self.stop_steps:
            leaders = self._signs.find_leaders()
            if not leaders:
                break
            self._signal(leaders, step)
            wait_until(lambda: not self._signs.find(), seconds)
        self._signal(self._signs.find(), signal.SIGKILL)
        if not wait_until(lambda: not self._signs.find(), KILL_SECONDS):
            left = ", ".join(map(str, self._signs.find()))
            raise ServerFailed(
                f"A former {self.name} of {self.folder} does not end, not even by kill -9: process {left}."
            )

    @abstractmethod
    def _prepare(self) -> None:
        """Make what the server needs in its folder."""

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the process at `address`."""

    @abstractmethod
    def _answers(self) -> bool:
        """Wait until the server answers; False when it has ended instead, or takes too long."""

    def _bring_up(self) -> None:
        for _ in range(addresses.PORT_ATTEMPTS):
            self._begin_log()
            self.process = self._launch()
            if self._answers():
                self._has_been_up = True
                return
            self.stop()
            if self._has_been_up or not self._lost_its_port():
                break
            self.address = self.address.on_another_port()
        raise self._failure("did not start")

    def _spawn(
        self, command: Sequence[str | Path], *, last_signal: signal.Signals, prefix: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        return self._spawner.start(
            [str(word) for word in command], log=self.log, last_signal=last_signal, prefix=prefix
        )

    def _lost_its_port(self) -> bool:
        return self.address.port is not None and "Address already in use" in self._log_of_this_start()

    def _begin_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.rename(self.log.with_name(f"{self.log.name}.1"))
        self._log_start = self.log.stat().st_size if self.log.exists() else 0

    def _log_of_this_start(self) -> str:
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def _failure(self, what: str) -> ServerFailed:
        said = self._log_of_this_start()
        if shutil.disk_usage(self.folder).free < DISK_FULL_BYTES:  # then the log is cut short too
            said += "No space left on device"
        tail = "\n".join(f"  {line}" for line in said.splitlines()[-TAIL_LINES:])
        return ServerFailed(f"The embedded {self.name} {what}. {remedy(said)}\nThe end of {self.log}:\n{tail}")

    def _signal(self, pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
            except PermissionError as err:
                raise ServerFailed(
                    f"Another user's {self.name} (process {pid}) has {self.folder}: stop it as that user."
                ) from err
