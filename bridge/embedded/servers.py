"""Both servers under one data directory, with one owner."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from bridge.embedded.directory import DataDirectory, write_private
from bridge.embedded.postgresql import PostgreSQL
from bridge.embedded.processes import Server, Spawner
from bridge.embedded.valkey import Valkey


@dataclass(frozen=True)
class Servers:
    """Where the two servers answer, passwords included."""

    database_url: str = field(repr=False)
    """SQLAlchemy URL, `postgresql+psycopg://`."""
    redis_url: str = field(repr=False)
    """`unix://`, or `redis://` on the loopback."""


class EmbeddedServers:
    """PostgreSQL and Valkey of one data directory, from `start` to `stop`; also a context manager that gives `Servers`.

    `children` are the servers in the order of their start, for whoever watches them: one that is no longer `running()` is
    brought back, at the same address, by its own `start()`.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._directory = DataDirectory(data_dir)
        self._addresses = self._directory.path / "servers.json"
        spawner = Spawner()
        self.postgresql = PostgreSQL(self._directory, spawner, durable=durable)
        self.valkey = Valkey(self._directory, spawner)
        self.children: tuple[Server, ...] = (self.postgresql, self.valkey)

    def start(self) -> Servers:
        """Own the directory and bring both servers up; raises DirectoryInUse or ServerFailed, and then leaves none running."""
        self._directory.take()
        try:
            for child in self.children:
                child.start()
            servers = Servers(self.postgresql.url, self.valkey.url)
            write_private(self._addresses, json.dumps(asdict(servers)))
        except BaseException:  # Ctrl-C too must leave no server behind
            self.stop()
            raise
        return servers

    def stop(self) -> None:
        """End both servers, the queue first, and free the directory."""
        self._addresses.unlink(missing_ok=True)
        for child in reversed(self.children):
            child.stop()
        self._directory.release()

    def __enter__(self) -> Servers:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def running(data_dir: Path) -> Servers | None:
    """Give the servers that another process has up in a directory; None when none are."""
    directory = DataDirectory(data_dir)
    try:
        addresses = json.loads((directory.path / "servers.json").read_text())
    except FileNotFoundError:
        return None
    return Servers(**addresses) if directory.is_taken() else None
