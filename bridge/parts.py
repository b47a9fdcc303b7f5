"""Parts: the child processes of `lrs-bridge up` (web, workers, scheduler), started, watched and ended."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.embedded import launch
from bridge.errors import BridgeError

log = logging.getLogger(__name__)

RESTARTS = 5
RESTART_WINDOW_SECONDS = 60
STOP_SECONDS = 20
"""How long a part may take to end before it is killed; a worker finishes its job first."""


class TooManyRestarts(BridgeError):
    """A part keeps dying; its log says why."""


@dataclass
class Restarts:
    """Counts starts, and refuses the one that would make a crash loop."""

    name: str
    log_file: Path
    started: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS + 1))

    def note(self) -> None:
        """Note a start; raises TooManyRestarts when there were too many of late."""
        now = time.monotonic()
        self.started.append(now)
        if len(self.started) > RESTARTS and now - self.started[0] < RESTART_WINDOW_SECONDS:
            raise TooManyRestarts(
                f"{self.name} ended {RESTARTS} times within {RESTART_WINDOW_SECONDS} seconds. "
                f"Its log says why: {self.log_file}"
            )


class Part:
    """One `lrs-bridge` command kept running as a child process."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        log_file: Path | None,
    ) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "bridge", *arguments]
        self._env = env
        self._log_file = log_file
        self.fds: tuple[int, ...] = ()
        """Open files that the process is handed."""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; without a log file it speaks on our own output."""
        output = self._log_file.open("ab") if self._log_file else None
        try:
            self.process = subprocess.Popen(
                # Through launch.py the process ends with us, even when we are killed.
                [sys.executable, launch.__file__, str(int(signal.SIGTERM)), str(os.getpid()), *self._command],
                env=dict(self._env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A group of its own: Ctrl-C at the terminal reaches only us, and we end the parts in order.
                start_new_session=True,
                pass_fds=self.fds,
            )
        finally:
            if output:
                output.close()

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_end(self) -> None:
        """Send SIGTERM; a worker finishes its job, the web server its requests."""
        if self.process is not None and self.running():
            self.process.terminate()

    def end(self) -> None:
        """Wait for the process to end, then insist."""
        if self.process is None:
            return
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("%s did not end within %d seconds and is killed.", self.name, STOP_SECONDS)
            self.process.kill()
            self.process.wait()
