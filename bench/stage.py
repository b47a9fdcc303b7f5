"""What everything is measured on: the embedded servers, durable, a database for each part, and a real web server."""

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from redis import Redis
from sqlalchemy import URL, create_engine, make_url, text

import lrs
from bench.clients import Client, Refused, Target
from bridge.app import create_app
from bridge.embedded import EmbeddedServers, Servers
from bridge.parts import Part
from bridge.settings import Settings, environment, shipped

WORK = Path(__file__).parent / ".work"
_READY_SECONDS = 60


@dataclass(frozen=True)
class Options:
    """How long and how large."""

    seconds: float
    """For each figure that comes of a loop, its reference apart."""
    size: int
    """Statements in the LRS that is queried and mapped."""


@dataclass(frozen=True)
class Web:
    """A running `lrs-bridge web`."""

    target: Target
    pid: int


class Stage:
    """The servers and what is made on them."""

    def __init__(self, folder: Path, owner: EmbeddedServers, servers: Servers) -> None:
        self._folder = folder
        self._servers = servers
        self._owner = owner
        self._apps: dict[str, Flask] = {}

    @property
    def database_pid(self) -> int:
        process = self._owner.postgresql.process
        assert process is not None
        return process.pid

    def settings(self, name: str) -> Settings:
        """Give the settings of the part's database."""
        return Settings(
            database_url=self._url(name).render_as_string(hide_password=False),
            redis_url=self._servers.redis_url,
            secret_key="only for the benchmark",  # noqa: S106 - its servers are gone when it ends
            mappings=(shipped("mappings") / "demo",),
            data_dir=self._folder,
            log_level="WARNING",
        )

    def app(self, name: str) -> Flask:
        """Give the application on a database of this name, made with its schema at the first call."""
        if name not in self._apps:
            self._admin(f"create database {name}")
            self._apps[name] = create_app(self.settings(name))
        with Redis.from_url(self._servers.redis_url) as broker:
            broker.flushall()
        return self._apps[name]

    def drop(self, name: str) -> None:
        """Remove a database, so that what lies in it costs the next part nothing."""
        app = self._apps.pop(name)
        with app.app_context():
            lrs.db.session.close()
            lrs.db.engine.dispose()
        self._admin(f"drop database {name} with (force)")
        self.settle()

    def settle(self) -> None:
        """Write out what is in memory, so that it is not written while something else is measured."""
        self._admin("checkpoint")

    @contextmanager
    def web(self, name: str) -> Iterator[Web]:
        """Run `lrs-bridge web` as in production, on the part's database."""
        app, port = self.app(name), _free_port()
        with app.app_context():
            issued = lrs.credentials.create(
                lrs.db.session, name="bench", scopes=["all"], secret_key=str(app.secret_key)
            )
            lrs.db.session.commit()
        scratch = self._folder / "tmp"
        scratch.mkdir(exist_ok=True)
        env = environment() | self.settings(name).to_mapping() | {"TMPDIR": str(scratch)}
        part = Part("web", ("web", "--port", str(port)), env=env, log_file=self._folder / "web.log")
        part.start()
        try:
            assert part.process is not None
            target = Target("127.0.0.1", port, issued.key, issued.secret)
            _wait_for(target)
            yield Web(target, part.process.pid)
        finally:
            part.ask_to_end()
            part.end()

    def _url(self, name: str) -> URL:
        return make_url(self._servers.database_url).set(database=name)

    def _admin(self, command: str) -> None:
        engine = create_engine(self._servers.database_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(command))
        engine.dispose()


@contextmanager
def stage() -> Iterator[Stage]:
    """Start the servers in a folder of their own, and leave nothing of it behind."""
    WORK.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=WORK))
    owner = EmbeddedServers(folder, durable=True)
    try:
        with owner as servers:
            yield Stage(folder, owner, servers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(target: Target) -> None:
    give_up = time.monotonic() + _READY_SECONDS
    while True:
        try:
            client = Client(target)
            client.get("/readyz")
        except (OSError, Refused):
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return client.close()
