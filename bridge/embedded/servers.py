"""Both servers of one data directory, with one owner."""

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from bridge.embedded.directory import DataDirectory, write_private
from bridge.embedded.errors import ServerFailed, failure
from bridge.embedded.postgresql import PostgreSQL
from bridge.embedded.processes import Spawner
from bridge.embedded.server import Server
from bridge.embedded.valkey import Valkey

URLS_FILE = "servers.json"


@dataclass(frozen=True)
class Servers:
    """Where the two servers answer, passwords included."""

    database_url: str = field(repr=False)
    """SQLAlchemy URL, `postgresql+psycopg://`."""
    redis_url: str = field(repr=False)
    """`unix://`, or `redis://` on the loopback where the path is too long for a socket."""


class EmbeddedServers:
    """PostgreSQL and Valkey of one data directory, from `start` to `stop`; as a context manager it gives `Servers`.

    `children` are the servers in the order of their start, for whoever watches them: one that is no longer `running()`
    is brought back, at the same address, by its `start()`. They end with this object or its process, the first to go.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._directory = DataDirectory(data_dir)
        self._urls = self._directory.path / URLS_FILE
        spawner = Spawner()
        self.postgresql = PostgreSQL(self._directory, spawner, durable=durable)
        self.valkey = Valkey(self._directory, spawner)
        self.children: tuple[Server, ...] = (self.postgresql, self.valkey)

    def start(self) -> Servers:
        """Own the directory and bring both servers up; raises DirectoryInUse or ServerFailed, and then leaves none."""
        self._directory.take()
        try:
            self._urls.unlink(missing_ok=True)
            for child in self.children:
                child.start()
            servers = Servers(self.postgresql.url, self.valkey.url)
            write_private(self._urls, json.dumps(asdict(servers)))
        except BaseException as err:  # Ctrl-C too must leave no server behind
            self.stop()
            if isinstance(err, OSError):
                raise failure(f"{self._urls} cannot be written", err) from err
            raise
        return servers

    def stop(self) -> None:
        """End both servers, the queue first, and free the directory; nothing happens when it is not ours."""
        if not self._directory.is_ours:
            return
        with ExitStack() as last_to_first:
            last_to_first.callback(self._directory.release)
            for child in self.children:
                last_to_first.callback(child.stop)
            self._urls.unlink(missing_ok=True)

    def __enter__(self) -> Servers:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def running(data_dir: Path) -> Servers | None:
    """Give the servers that a process has up in a directory now; None when there are none. Raises ServerFailed."""
    directory = DataDirectory(data_dir)
    try:
        urls = json.loads((directory.path / URLS_FILE).read_text())
        return Servers(**urls) if directory.is_taken() else None
    except (FileNotFoundError, json.JSONDecodeError):  # none, or cut short by a crash of the machine
        return None
    except PermissionError as err:
        raise ServerFailed(f"{directory.path} belongs to another user: run this as the user who runs `up`.") from err
