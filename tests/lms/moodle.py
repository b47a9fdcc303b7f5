"""A real Moodle with logstore_xapi, set up from a directory of its source: its own PostgreSQL, PHP's built-in server.

    python tests/lms/moodle.py SOURCE FOLDER [--port 8765] [--plugin DIR]

SOURCE is a Moodle as it is downloaded, with logstore_xapi in admin/tool/log/store/xapi; it is copied and not changed.
FOLDER then holds `www` (the copy), `data` (moodledata), `servers` (the database), `mails` (what Moodle sent) and
`site.json` (who and what is there, as `fill_moodle.php` made it). A folder that was set up before is started again.

PHP 8 is needed, with what Moodle needs of it; on Debian 12: php8.2-cli php8.2-pgsql php8.2-curl php8.2-xml
php8.2-mbstring php8.2-gd php8.2-intl php8.2-zip php8.2-soap.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import requests

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)] if __name__ == "__main__" else []

from bridge.embedded import EmbeddedServers, Server  # noqa: E402 - as a program it finds the checkout itself

HERE = Path(__file__).resolve().parent
PLUGIN = ROOT / "connectors" / "destinations" / "moodle_plugin" / "lrsbridge"
PASSWORD = "Lrs-bridge-1"
"""Of everybody there."""
WORKERS = 4
"""Requests that PHP's server works on at once."""
PHP_OPTIONS = {
    "max_input_vars": 5000,
    "memory_limit": "512M",
    "post_max_size": "64M",
    "upload_max_filesize": "64M",
    "display_errors": 0,
    "log_errors": 1,
    # The copy of a whole site's code that PHP keeps compiled; looked at for changes at each request.
    "opcache.memory_consumption": 256,
    "opcache.max_accelerated_files": 20000,
    "opcache.revalidate_freq": 0,
}
PATIENCE_SECONDS = 120.0
CONFIG = """\
<?php  // Written by tests/lms/moodle.py.
unset($CFG);
global $CFG;
$CFG = new stdClass();
$CFG->dbtype = 'pgsql';
$CFG->dblibrary = 'native';
$CFG->dbhost = {host};
$CFG->dbname = 'moodle';
$CFG->dbuser = {user};
$CFG->dbpass = {password};
$CFG->prefix = 'mdl_';
$CFG->dboptions = {options};
$CFG->wwwroot = {wwwroot};
$CFG->dataroot = {dataroot};
$CFG->admin = 'admin';
$CFG->directorypermissions = 02770;
$CFG->debug = PHP_SAPI === 'cli' ? 32767 : 0;  // Scripts tell what went wrong, pages what a user would see.
$CFG->debugdisplay = 1;
$CFG->phpunit_prefix = 'phpu_';
$CFG->phpunit_dataroot = {dataroot} . '_phpunit';
require_once(__DIR__ . '/lib/setup.php');
"""


@dataclass
class Moodle:
    """A site in a folder of its own; nothing runs before `running`."""

    folder: Path
    port: int
    site: dict[str, Any] = field(default_factory=dict)
    """What `fill_moodle.php` made: users, courses, activities, the token."""
    process: subprocess.Popen[bytes] | None = None
    """PHP's server."""
    server: Server | None = None
    """Of its database."""
    _database: str = ""

    @property
    def url(self) -> str:
        """The site's wwwroot."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def www(self) -> Path:
        return self.folder / "www"

    def php(self, script: Path | str, *arguments: str, timeout: float = 900, **variables: str) -> str:
        """Run a script of Moodle's, by its path in the site, or one of ours; gives what it prints."""
        command = [*self._php(), str(self.www / script), *arguments]
        done = subprocess.run(
            command, cwd=self.www, env=_env() | variables, capture_output=True, text=True, check=False, timeout=timeout
        )
        assert done.returncode == 0, (
            f"{script} ended with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
        return done.stdout

    def configure(self, name: str, value: str, component: str | None = None) -> None:
        """Set a setting, as an admin does on its page."""
        self.php(
            "admin/cli/cfg.php",
            *([f"--component={component}"] if component else []),
            f"--name={name}",
            f"--set={value}",
        )

    def task(self, name: str) -> str:
        """Run one scheduled task at once, by its class."""
        return self.php("admin/cli/scheduled_task.php", f"--execute={name}")

    def cron(self) -> str:
        """Run cron once, as the machine does each minute; it ends when nothing is left to be done."""
        return self.php("admin/cli/cron.php", "--keep-alive=0")

    def call(self, function: str, token: str | None = None, **parameters: Any) -> Any:
        """Call a web service function, by hand and without any code of ours; gives its answer, errors included."""
        form = {"wstoken": token or self.site["token"], "wsfunction": function, "moodlewsrestformat": "json"}
        body = urlencode([*form.items(), *_flat(parameters)])
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        address = f"{self.url}/webservice/rest/server.php"
        return requests.post(address, data=body, headers=headers, timeout=PATIENCE_SECONDS).json()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask its database."""
        with psycopg.connect(self._database, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def execute(self, statement: str, *values: object) -> None:
        """Change its database behind its back."""
        with psycopg.connect(self._database, autocommit=True) as connection:
            connection.execute(statement.encode(), values)

    def forget(self) -> None:
        """Empty the plugin's tables, as if nothing had ever been sent."""
        found = self.rows("select tablename from pg_tables where tablename like 'mdl\\_local\\_lrsbridge\\_%%'")
        self.execute(f"truncate {', '.join(name for (name,) in found)}")

    def mails(self) -> list[str]:
        """Give what it has sent, oldest first."""
        files = sorted((self.folder / "mails").iterdir(), key=lambda file: file.stat().st_mtime_ns)
        return [file.read_text("utf-8", "replace") for file in files]

    def start(self) -> None:
        """Start PHP's server and wait until the site answers."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                self._launch()  # again, while workers of a server that was killed still hold the port
            with contextlib.suppress(requests.ConnectionError):
                answer = requests.get(f"{self.url}/login/index.php", timeout=PATIENCE_SECONDS)
                assert answer.ok, f"{answer.url} answers {answer.status_code}; see {self.folder / 'php.log'}"
                return
            time.sleep(0.1)
        raise AssertionError(f"{self.url} does not answer; see {self.folder / 'php.log'}")

    def _launch(self) -> None:
        with (self.folder / "php.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._php(), "-S", f"127.0.0.1:{self.port}", "-t", str(self.www)],
                cwd=self.www,
                env=_env() | {"PHP_CLI_SERVER_WORKERS": str(WORKERS)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # its workers are killed with it, by their group
            )

    def kill(self) -> None:
        """kill -9 of PHP's server and its workers, whatever they are doing."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def keep_what_is_committed(self) -> None:
        """Let its database answer a commit when it is in the log, as everywhere but in tests that are to be quick."""
        self.execute("alter system set synchronous_commit = on")
        self.execute("select pg_reload_conf()")

    def kill_database(self) -> None:
        """kill -9 of all of its database."""
        from trees import descendants  # of the tests; as a program this module has no need of it

        assert self.server is not None
        assert self.server.process is not None
        first = self.server.process.pid
        for pid in (first, *descendants(first)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.process.wait()

    def start_database(self) -> None:
        """Start its database again, and wait until it answers."""
        assert self.server is not None
        self.server.start()

    def upgrade(self, plugin: Path | None) -> None:
        """Put our plugin in and install it, or bring it up to date."""
        if plugin is not None:
            target = self.www / "local" / "lrsbridge"
            shutil.rmtree(target, ignore_errors=True)
            # A copy: PHP would follow a link, and look for Moodle beside the place where it leads.
            shutil.copytree(plugin, target)
        self.php("admin/cli/upgrade.php", "--non-interactive", "--allow-unstable")

    def fill(self) -> None:
        """Make users, courses and the service, or what is missing of them."""
        script = shutil.copy(HERE / "fill_moodle.php", self.folder / "fill_moodle.php")
        out = self.php(script, LMS_WWW=str(self.www), LMS_PASSWORD=PASSWORD)
        self.site = json.loads(out[out.index("{") :])
        (self.folder / "site.json").write_text(json.dumps(self.site, indent=1))

    def _php(self) -> list[str]:
        mail = f"/bin/sh -c 'cat > {self.folder}/mails/$(date +%s%N).eml'"
        options = PHP_OPTIONS | {"sendmail_path": f'"{mail}"', "error_log": self.folder / "php-errors.log"}
        return ["php", *(word for name, value in options.items() for word in ("-d", f"{name}={value}"))]


@contextlib.contextmanager
def running(
    source: Path, folder: Path, *, port: int, plugin: Path | None = None, fresh: bool = False
) -> Iterator[Moodle]:
    """Set a site up where there is none, and let it run until the block ends; `fresh`: as it was when it was set up."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("data", "mails"):
        (folder / name).mkdir(exist_ok=True)
    servers = EmbeddedServers(folder / "servers", durable=False)
    servers._directory.take()
    try:
        servers.postgresql.start()
        moodle = Moodle(folder, port, server=servers.postgresql)
        _install(moodle, source, _connection(servers.postgresql.url), fresh=fresh)
        moodle.upgrade(plugin)
        moodle.fill()
        moodle.start()
        try:
            yield moodle
        finally:
            moodle.kill()
    finally:
        servers.stop()


def _install(moodle: Moodle, source: Path, database: Mapping[str, str], *, fresh: bool) -> None:
    """Copy the code and make the database, unless that was done before; a set-up that was cut short begins anew."""
    moodle._database = psycopg.conninfo.make_conninfo("", **dict(database, dbname="moodle"))
    done = moodle.folder / "installed"
    if not done.exists():
        xapi = source / "admin" / "tool" / "log" / "store" / "xapi"
        assert (source / "version.php").exists(), f"{source} is no Moodle: it has no version.php."
        assert (xapi / "version.php").exists(), f"Put logstore_xapi into {xapi}."
        shutil.rmtree(moodle.www, ignore_errors=True)
        shutil.copytree(source, moodle.www, ignore=lambda _, names: {".git"} & set(names), symlinks=True)
        _write_config(moodle, database)
        _make_database(database, "moodle", template="template0")
        moodle.php(
            "admin/cli/install_database.php",
            "--agree-license",
            f"--adminpass={PASSWORD}",
            "--adminemail=admin@example.com",
            "--fullname=Moodle of the tests",
            "--shortname=tests",
        )
        _make_database(database, "moodle_installed", template="moodle")
        done.touch()
    elif fresh:
        _make_database(database, "moodle", template="moodle_installed")
        for cached in ("cache", "localcache", "muc", "sessions", "temp", "lock"):
            shutil.rmtree(moodle.folder / "data" / cached, ignore_errors=True)
        (moodle.folder / "data" / "localcache").mkdir()  # what Moodle itself looks for before it makes one
        for mail in (moodle.folder / "mails").iterdir():
            mail.unlink()
        shutil.rmtree(moodle.www / "local" / "lrsbridge", ignore_errors=True)
    _write_config(moodle, database)


def _make_database(database: Mapping[str, str], name: str, *, template: str) -> None:
    with psycopg.connect(**dict(database, dbname="postgres"), autocommit=True) as connection:
        connection.execute(f"drop database if exists {name} with (force)")
        connection.execute(f"create database {name} template {template}")


def _write_config(moodle: Moodle, database: Mapping[str, str]) -> None:
    on_socket = database["host"].startswith("/")
    options = f"['dbport' => {database['port']}, 'dbsocket' => {_quoted(database['host'] if on_socket else '')}]"
    text = CONFIG.format(
        host=_quoted("localhost" if on_socket else database["host"]),
        user=_quoted(database["user"]),
        password=_quoted(database["password"]),
        options=options,
        wwwroot=_quoted(moodle.url),
        dataroot=_quoted(str(moodle.folder / "data")),
    )
    (moodle.www / "config.php").write_text(text)


def _connection(url: str) -> dict[str, str]:
    """Read the database's address."""
    from sqlalchemy import make_url

    read = make_url(url)
    query = {name: str(value) for name, value in read.query.items()}
    return {"host": query["host"], "port": query["port"], "user": str(read.username), "password": str(read.password)}


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Write parameters as forms do: `a[0][b]=1`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, inner in enumerate(value):
            yield from _flat(inner, f"{name}[{place}]")
    else:
        yield name, str(int(value) if isinstance(value, bool) else value)


def _env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("LRS_BRIDGE_", "PG"))}


def main() -> None:
    """Set up and serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--plugin", type=Path)
    parser.add_argument("--fresh", action="store_true", help="forget what was done there since it was set up")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    source, folder = given.source.resolve(), given.folder.resolve()
    with running(source, folder, port=given.port, plugin=given.plugin, fresh=given.fresh) as moodle:
        told = f"{moodle.url} answers; admin, {PASSWORD}; {moodle.folder / 'site.json'} says who else is there."
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
