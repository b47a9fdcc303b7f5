"""`lrs-bridge up`: everything in one process tree, for one machine.

The tree owns what it starts: PostgreSQL, Valkey, web, workers, scheduler. A part that dies is started again, within
bounds (`parts.Restarts`); beyond them the whole tree ends, so that nobody mistakes a crash loop for a service. SIGTERM
and Ctrl-C end all of it in order.
"""

import errno
import json
import logging
import os
import secrets
import signal
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

from bridge import access
from bridge.app import create_app
from bridge.embedded import EmbeddedServers, Server, directory
from bridge.errors import NotReady, SettingsError
from bridge.jobs import load_documents
from bridge.parts import Part, Restarts
from bridge.settings import Settings, environment, has_servers, shipped
from connectors import health
from lrs import db

log = logging.getLogger(__name__)

RUNNING = "running.json"
"""In the data directory while `up` runs: the settings that other commands need to find the servers."""
ENDPOINT = "endpoint.json"
"""There while everything answers: where it serves, and the first credential."""
CREDENTIAL = "credential.json"
"""The first credential, kept over restarts."""
DEMOS = ("real", "simulated")
"""The shipped real data, and a company that is made up and whose truth is known."""
REAL = "demo"
"""In the data directory of the demo with real data: an empty file that says so."""
COMPANY = "company"
"""In the data directory of the simulated demo: the company as `lrs-bridge simulate` writes it."""
PORT = 8080
BACKLOG = 2048
"""Clients that may wait for the web server; what gunicorn itself takes."""
READY_SECONDS = 180
"""For a machine that is busy with other things; a part that dies meanwhile is noticed at once."""
POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int | None = None
    """None: 8080, or a free one if that is taken."""
    workers: int = 2
    demo: str | None = None
    """One of DEMOS."""
    end_after_demo: bool = False


def run(options: Options) -> int:
    """Start everything, serve until told to stop, end everything; gives the exit code."""
    data_dir = options.data_dir.absolute()
    with _Signals() as signals, ExitStack() as stack:
        servers: EmbeddedServers | None = None
        env = environment()
        if has_servers(env):
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            servers = EmbeddedServers(data_dir)
            addresses = stack.enter_context(servers)
            env |= {"DATABASE_URL": addresses.database_url, "REDIS_URL": addresses.redis_url}
            env.setdefault("LRS_BRIDGE_SECRET_KEY", _kept_secret(data_dir))
            env.setdefault("LRS_BRIDGE_TOKEN_KEYS", _kept_token_keys(data_dir))
            env.setdefault("LRS_BRIDGE_ATTACHMENTS", str(data_dir / "attachments"))
        listener = stack.enter_context(_listen(options))
        port = listener.getsockname()[1]
        settings = _settings(env, options, data_dir, port)
        # Whoever waits for endpoint.json must not find that of an earlier start.
        for name in (ENDPOINT, RUNNING):
            (data_dir / name).unlink(missing_ok=True)
            stack.callback((data_dir / name).unlink, missing_ok=True)
        _write_private(data_dir / RUNNING, settings.to_mapping())
        credential, is_new = _prepare(settings, data_dir)
        tree = _Tree(options, settings, data_dir, listener, servers)
        stack.callback(tree.end)
        tree.start()
        if not tree.wait_until_ready(signals):
            return 0
        endpoint = {"url": settings.public_url, "xapi": f"{settings.public_url}/xapi/"} | credential
        _write_private(data_dir / ENDPOINT, endpoint)
        _announce(endpoint, data_dir, is_new=is_new, port_taken=options.port is None and port != PORT)
        if options.demo:
            tree.start_demo()
        return tree.watch(signals)


class _Signals:
    """Turns SIGTERM and SIGINT into a flag that the tree looks at."""

    def __init__(self) -> None:
        self.received = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True


class _Tree:
    """The running parts and servers, each with its count of restarts."""

    def __init__(
        self,
        options: Options,
        settings: Settings,
        data_dir: Path,
        listener: socket.socket,
        servers: EmbeddedServers | None,
    ) -> None:
        # Its own address: the public one may be a proxy's, which is started after us.
        self._url = _here(options.host, listener.getsockname()[1])
        self._options = options
        self._data_dir = data_dir
        self._servers: list[Server] = list(servers.children) if servers else []
        self._env = _child_environment(settings, data_dir)
        web = ("web", "--fd", str(listener.fileno()))
        commands = [("web", web), ("scheduler", ("scheduler",))]
        commands += [(f"worker-{number + 1}", ("worker",)) for number in range(options.workers)]
        self._parts = [Part(name, command, env=self._env, log_file=self._log(name)) for name, command in commands]
        self._parts[0].fds = (listener.fileno(),)
        self._demo: Part | None = None
        self._watched: list[Server | Part] = [*self._servers, *self._parts]
        self._restarts = {one.name: Restarts(one.name, self._log(one.name)) for one in self._watched}

    def start(self) -> None:
        for part in self._parts:
            part.start()

    def start_demo(self) -> None:
        steps = ("demo-steps", str(self._options.demo), "--data-dir", str(self._data_dir))
        self._demo = Part("demo", steps, env=self._env, log_file=None)
        self._demo.start()

    def wait_until_ready(self, signals: _Signals) -> bool:
        """Wait for the web to answer; gives False when told to stop meanwhile."""
        give_up = time.monotonic() + READY_SECONDS
        while not health.answers(f"{self._url}/readyz"):
            if signals.received:
                return False
            if time.monotonic() > give_up:
                raise NotReady(f"{self._url} does not answer after {READY_SECONDS} s. See {self._log('web')}")
            self._revive()
            time.sleep(POLL_SECONDS)
        return True

    def watch(self, signals: _Signals) -> int:
        """Keep every part running until told to stop, or until the demo has ended where that ends the whole."""
        while not signals.received:
            self._revive()
            if self._demo and not self._demo.running() and self._demo.process:
                code = self._demo.process.returncode
                self._demo = None
                if self._options.end_after_demo or code:
                    return code
            time.sleep(POLL_SECONDS)
        return 0

    def end(self) -> None:
        """End the parts together; the servers are ended after them by whoever started them."""
        everyone = [*([self._demo] if self._demo else []), *self._parts]
        for part in everyone:
            part.ask_to_end()
        for part in everyone:
            part.end()

    def _revive(self) -> None:
        for one in self._watched:
            if not one.running():
                log.warning("%s has ended and is started again.", one.name)
                self._restarts[one.name].note()
                one.start()

    def _log(self, name: str) -> Path:
        return self._data_dir / "logs" / f"{name}.log"


def _prepare(settings: Settings, data_dir: Path) -> tuple[dict[str, str], bool]:
    """Bring schema and documents up to date before anyone serves; gives the first credential, and whether it is new."""
    app = create_app(settings)
    with app.app_context():
        load_documents()
        kept = access.kept_credential(db.session, data_dir / CREDENTIAL)
        if kept:
            return kept, False
        first = access.first_credential(db.session)
        db.session.commit()
        _write_private(data_dir / CREDENTIAL, first)
        return first, True


def _settings(env: dict[str, str], options: Options, data_dir: Path, port: int) -> Settings:
    env["LRS_BRIDGE_DATA_DIR"] = str(data_dir)
    env.setdefault("LRS_BRIDGE_URL", _here(options.host, port))
    demo = _demo_folder(options, data_dir)
    if demo is not None:
        folders = [str(demo), env.get("LRS_BRIDGE_MAPPINGS", "")]
        env["LRS_BRIDGE_MAPPINGS"] = os.pathsep.join(folder for folder in folders if folder)
    return Settings.from_mapping(env)


def check_demo(options: Options) -> None:
    """Refuse a directory that holds the other demo: each has its own people; raises SettingsError."""
    for demo, other in (("real", COMPANY), ("simulated", REAL)):
        if options.demo == demo and (options.data_dir / other).exists():
            raise SettingsError(
                f"{options.data_dir} holds the other demo, whose people are others: name another with --data-dir."
            )


def _demo_folder(options: Options, data_dir: Path) -> Path | None:
    """Give the folder of the demo's documents; None without one.

    A directory that once held a demo keeps its documents: its records would be nothing without them.
    """
    marker, company = data_dir / REAL, data_dir / COMPANY
    if options.demo == "real":
        marker.touch()
    if marker.exists():
        return shipped("mappings") / "demo"
    return company / "documents" if company.exists() else None


def _child_environment(settings: Settings, data_dir: Path) -> dict[str, str]:
    scratch = data_dir / "tmp"
    for folder in (scratch, data_dir / "logs"):
        folder.mkdir(exist_ok=True)
    return environment() | settings.to_mapping() | {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"}


def _listen(options: Options) -> socket.socket:
    """Take the port before anything else and hold it for as long as we run: the web server is handed the socket.

    So no other process can answer in its place, and while it is started again, clients wait instead of being refused.
    """
    wanted = [PORT, 0] if options.port is None else [options.port]  # 0: any that is free
    for port in wanted:
        listener = socket.socket(_family(options.host))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((options.host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            reason = error
        else:
            return listener
    if reason.errno == errno.EADDRINUSE:
        raise SettingsError(f"Port {port} on {options.host} is taken. Choose another with --port.")
    raise SettingsError(f"{options.host} port {port} cannot be listened on ({reason.strerror}). See --host and --port.")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _here(host: str, port: int) -> str:
    """Write a bind address as a URL that a browser on this machine can reach."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _kept_secret(data_dir: Path) -> str:
    return _kept(data_dir / "secret_key", secrets.token_urlsafe(48))


def _kept_token_keys(data_dir: Path) -> str:
    return _kept(data_dir / "token_keys", urlsafe_b64encode(secrets.token_bytes(32)).decode())


def _kept(path: Path, made: str) -> str:
    """Give what was made at the first start."""
    if not path.exists():
        _write_private(path, made)
    return path.read_text().strip()


def _write_private(path: Path, content: dict[str, str] | str) -> None:
    text = content if isinstance(content, str) else json.dumps(content, indent=2) + "\n"
    directory.write_private(path, text, lasting=True)


def _announce(endpoint: dict[str, str], data_dir: Path, *, is_new: bool, port_taken: bool) -> None:
    """Say where it serves; the secret only at the first start, for what is printed often ends up in a log."""
    lines: Sequence[str] = (
        f"lrs-bridge is up: {endpoint['url']}" + (f"  (port {PORT} was taken)" if port_taken else ""),
        f"  xAPI endpoint  {endpoint['xapi']}",
        f"  key            {endpoint['key']}",
        *([f"  secret         {endpoint['secret']}"] if is_new else []),
        f"  kept in        {data_dir / ENDPOINT}",
        "Ctrl-C ends it.",
    )
    print("\n".join(lines), flush=True)  # noqa: T201 - this is the command's output
