"""Where a server listens: a socket in its folder, or a loopback port where the folder cannot hold one."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

# sun_path of sockaddr_un less its final zero, in bytes: unix(7), and sys/un.h of macOS
SOCKET_PATH_BYTES = 107 if sys.platform == "linux" else 103
LOOPBACK = "127.0.0.1"
PORT_ATTEMPTS = 5


@dataclass(frozen=True)
class Address:
    """A local socket when `port` is None, else a port on the loopback."""

    socket: Path
    port: int | None = None

    def on_another_port(self) -> "Address":
        """Give a loopback address with another free port."""
        return Address(self.socket, free_port())


def choose(path: Path) -> Address:
    """Give the socket at `path`, or a free port if a socket cannot be there."""
    return Address(path) if can_hold_socket(path) else Address(path, free_port())


def can_hold_socket(path: Path) -> bool:
    """Tell whether a socket may be at `path`: short enough, and free of what lists of hosts are cut at."""
    text = str(path)
    return len(os.fsencode(text)) <= SOCKET_PATH_BYTES and text.isprintable() and not set(text) & set(",:")


def free_port() -> int:
    """Give a port that is free now; another program may take it before we do."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
