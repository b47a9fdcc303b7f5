"""No secret of a source is found where it does not belong, whatever the system does with it.

Secrets are planted that stand nowhere else, in every way that they can be given and used. Systems of our own then
answer well and in all the ways that go wrong, repeating what they were sent. A whole `up` pulls from them, commands are
run, and then everything that it wrote is searched: output, logs, every row of every table, the broker, all files of the
data directory, and the command lines of its processes.
"""

import base64
import html
import json
import os
import re
import secrets
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from redis import Redis
from sqlalchemy import create_engine, text
from trees import COMMAND, Start, Tree, commands_below, wait_until

pytestmark = pytest.mark.slow

SITE = """\
import os, pathlib
import connectors.http, connectors.secrets, connectors.sources.calls
from connectors.sources import items

connectors.http.TIMEOUT_SECONDS = (0.5, 0.5)
connectors.sources.calls.FIRST_WAIT_SECONDS = 0.01
connectors.secrets.Secrets.__init__.__defaults__ = (pathlib.Path(os.environ["CANARY_FOLDER"]),)
read = items.read


def with_a_fault(stream, item, number):
    if isinstance(item, dict) and item.get("boom"):
        raise RuntimeError("a fault of ours")
    return read(stream, item, number)


items.read = with_a_fault
"""
"""What every process of the tree imports at start: shorter waits, secrets in a folder, and a fault of our own."""

FAULTS = (
    *("ok", "401", "403", "500", "429", "redirect", "redirect-path", "redirect-here", "next", "elsewhere", "timeout"),
    *("cut", "broken", "html", "nolist", "reason", "bug"),
)
TOKEN_FAULTS = ("token-401", "token-500", "token-broken", "token-odd", "token-html")
HEADER_AUTHS = ("basic", "bearer", "api-key")
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMrP3bV6K3Yv1kB1yq9Qw3cWm0oXb1cJbJv7K2g7YxQ4"
TOKEN_AUTHS = ("client-credentials", "password", "jwt-bearer", "refresh-token")
COMMANDED = (
    *(
        ("pull", name)
        for name in ("bearer-bug", "password-token-401", "refresh-token-ok", "bearer-next", "sql-refused")
    ),
    *(("check", name) for name in ("bearer-403", "bearer-nolist", "jwt-bearer-token-401", "xapi-403", "s3-403")),
    *(("preview", name) for name in ("bearer-reason", "basic-ok")),
    *(("list",), ("status", "bearer-403"), ("problems", "bearer-ok")),
)
"""What is run of `lrs-bridge source`."""


@dataclass
class Canaries:
    """Secrets by what they are, and everything that they may look like."""

    by_kind: dict[str, str] = field(default_factory=dict)
    pem: str = ""

    def plant(self, kind: str, *, odd: bool = True) -> str:
        """Make one; odd ones look otherwise in addresses, in JSON and in HTML than they do by themselves."""
        core = "".join(secrets.choice("abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ") for _ in range(24))
        self.by_kind[f"{kind} {len(self.by_kind)}"] = core
        return f'/{core}+&"%' if odd else core

    def plant_key(self) -> str:
        """Make a private key, of which a line here and there is looked for."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.pem = key.private_bytes(*form).decode()
        for number, line in enumerate(self.pem.splitlines()[1:-1:8]):
            self.by_kind[f"line {number} of the key"] = line
        return self.pem

    def found_in(self, content: bytes) -> list[str]:
        """Name what was found, with what stands around it."""
        found = []
        for kind, core in list(self.by_kind.items()):
            for shape in shapes(core):
                at = content.find(shape)
                if at >= 0:
                    around = content[max(0, at - 200) : at + len(shape) + 100].replace(shape, b"<CANARY>")
                    found.append(f"{kind}: {around!r}")
                    break
        return found


def shapes(core: str) -> Iterator[bytes]:
    """Give what shows that a text holds the canary: itself, in hexadecimal, or in base64 wherever it begins."""
    yield core.encode()
    yield core.encode().hex().encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + core.encode())
        inner = encoded[4 : len(encoded) - 4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


class System(ThreadingHTTPServer):
    """Answers by the first step of the path, repeating the secrets it was sent in every way it can."""

    daemon_threads = True

    def __init__(self, canaries: Canaries) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.canaries = canaries
        self.asked: set[str] = set()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: System

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    @property
    def fault(self) -> str:
        return urlsplit(self.path).path.split("/")[1]

    def echo(self, *sent: str) -> str:
        """Repeat what was sent, as it is and as systems write it into addresses, pages and logs."""
        headers = [self.headers.get(name, "") for name in ("Authorization", "X-Api-Key")]
        said = [one for one in (*headers, *sent) if one]
        tokens = [one.split(" ")[-1] for one in said]
        return " | ".join(
            shape
            for one in (*said, *tokens)
            for shape in (one, quote(one, safe=""), html.escape(one), base64.b64encode(one.encode()).decode())
        )

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked.add(self.fault)
        token = (self.headers.get("Authorization") or self.headers.get("X-Api-Key") or "").split(" ")[-1]
        match self.fault:
            case "401" | "403" | "500" | "429" as status:
                self.reply({"error": self.echo(), "headers": dict(self.headers)}, int(status))
            case "reason":
                self.reply({}, 403, reason=f"Forbidden {self.echo()}")
            case "redirect":
                self.reply({}, 302, Location=f"https://evil.example.com/?token={quote(token, safe='')}")
            case "redirect-path":
                self.reply({}, 302, Location=f"https://evil.example.com/{quote(token, safe='')}/x")
            case "redirect-here" if "token=" not in self.path:
                self.reply({}, 302, Location=f"{self.path}?token={quote(token, safe='')}")
            case "next" if "token=" not in self.path:
                self.reply({"tickets": [ticket(1)], "next": f"{self.path}?token={quote(token, safe='')}"})
            case "next":
                self.cut()  # the position stays in the state
            case "elsewhere":
                self.reply({"tickets": [ticket(1)], "next": f"https://evil.example.com/?token={quote(token, safe='')}"})
            case "timeout":
                time.sleep(1)
                self.cut()
            case "cut":
                self.cut()
            case "broken":
                self.send(f'{{"tickets": [{{"id": 1, "by": "{self.echo()}'.encode())
            case "html":
                self.send(f"<html>{self.echo()}".encode(), **{"Content-Type": "text/html"})
            case "nolist":
                self.reply({self.echo(): 1, "error": self.echo()})
            case "bug":
                self.reply({"tickets": [{"boom": True}]})
            case _:
                self.reply({"tickets": [ticket(1), {"id": None}]})

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(sent).items()}
        with self.server.lock:
            self.server.asked.add(self.fault)
            tokens = {"access_token": self.server.canaries.plant("access token", odd=False)}
            if form["grant_type"] in ("refresh_token", "authorization_code"):
                tokens["refresh_token"] = self.server.canaries.plant("refresh token")
        match self.fault:
            case "token-401" | "token-500" as status:
                self.reply({"error": self.echo(sent, *form.values())}, int(status[-3:]))
            case "token-broken":
                self.send(f'{{"access_token": "{self.echo(sent, *form.values())}'.encode())
            case "token-odd":
                self.reply({"access_token": [tokens], "you": form})
            case "token-html":
                self.send(f"<html>{self.echo(sent)}".encode(), **{"Content-Type": "text/html"})
            case _:
                self.reply(tokens | {"expires_in": 3600})

    def cut(self) -> None:
        with suppress(OSError):  # whoever asked may have given up
            self.send_response_only(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"tickets": [')
        self.close_connection = True

    def reply(self, body: object, status: int = 200, *, reason: str | None = None, **headers: str) -> None:
        content = json.dumps(body).encode()
        self.send(content, status, reason=reason, **{"Content-Type": "application/json", **headers})

    def send(self, content: bytes, status: int = 200, *, reason: str | None = None, **headers: str) -> None:
        self.send_response_only(status, reason)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True


def ticket(number: int) -> dict[str, Any]:
    return {"id": number, "updated_at": "2026-01-01T00:00:00Z"}


@dataclass
class Scene:
    """The documents and the environment of a tree whose every secret is a canary."""

    canaries: Canaries
    system: System
    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    def secret(self, name: str, value: str, how: str = "env") -> dict[str, str]:
        """Give a secret by its variable, by a file that a variable names, or by a file in the folder of secrets."""
        variable = "LRS_BRIDGE_SOURCE_" + name.upper().replace("-", "_")
        match how:
            case "env":
                self.env[variable] = value
            case "file":
                (self.folder / f"file of {name}").write_text(value)
                self.env[f"{variable}_FILE"] = str(self.folder / f"file of {name}")
            case "folder":
                (self.folder / name).write_text(value)
        return {"secret": name}

    def auths(self) -> dict[str, dict[str, Any]]:
        plant, secret = self.canaries.plant, self.secret
        client = {
            "token_url": "{url}/token",
            "client_id": "me",
            "client_secret": secret("client", plant("client secret"), "file"),
        }
        return {
            "basic": {"type": "basic", "user": "bot", "password": secret("basic", plant("password"))},
            "bearer": {"type": "bearer", "token": secret("bearer", plant("bearer token"), "folder")},
            "api-key": {"type": "api_key", "header": "X-Api-Key", "value": secret("key", plant("key"), "file")},
            "client-credentials": {"type": "client_credentials", "client": "header", **client},
            "password": {
                "type": "password",
                "user": secret("user", plant("user")),
                "password": secret("password", plant("password"), "folder"),
                **client,
            },
            "jwt-bearer": {
                "type": "jwt_bearer",
                "subject": "bot",
                "audience": "there",
                "private_key": secret("pem", self.canaries.plant_key(), "file"),
                **client,
            },
            "refresh-token": {
                "type": "refresh_token",
                "refresh_token": secret("refresh", plant("first refresh token")),
                **client,
            },
            "login": {"type": "authorization_code", "authorize_url": "{url}/authorize", **client},
        }

    def write(self, documents: Path) -> None:
        auths = self.auths()
        for auth in HEADER_AUTHS:
            for fault in FAULTS if auth == "bearer" else ("ok", "403"):
                self._write(documents, auth, fault, auths[auth])
        for auth in TOKEN_AUTHS:
            for fault in ("ok", "403", "token-401", *(TOKEN_FAULTS if auth == "password" else ())):
                if f"{auth}-{fault}" not in self.names:
                    self._write(documents, auth, fault, auths[auth])
        self._write(documents, "login", "ok", auths["login"])
        for name, keys in self.others().items():
            self._write_document(documents, name, keys)

    def others(self) -> dict[str, dict[str, Any]]:
        """Give sources of other types, whose secrets go other ways."""
        plant, secret, url = self.canaries.plant, self.secret, self.system.url
        sql = {
            "type": "sql",
            "password": secret("database", plant("database password")),
            "allow_local": True,
            "query": "select id from tickets",
            "key": "id",
        }
        xapi = {
            "type": "xapi",
            "auth": {"type": "basic", "username": "reader", "password": secret("lrs", plant("password"), "folder")},
            "allow_private": ["127.0.0.1"],
        }
        s3 = {
            "type": "csv",
            "access": {
                "access_key_id": secret("s3-id", plant("access key", odd=False)),
                "secret_access_key": secret("s3-key", plant("secret access key"), "file"),
            },
            "allow_private": ["127.0.0.1"],
            "key": ["id"],
        }
        sftp = {
            "type": "csv",
            "path": "sftp://exports@127.0.0.1:1/out.csv",
            "access": {"host_key": HOST_KEY, "password": secret("sftp", plant("password"))},
            "allow_private": ["127.0.0.1"],
            "key": ["id"],
        }
        hook = {
            "type": "webhook",
            "verify": {"type": "header", "header": "X-Hook-Secret", "secret": secret("hook", plant("webhook secret"))},
            "key": "id",
            "cursor": {"field": "updated_at"},
        }
        return {
            "sql-nowhere": sql | {"url": "postgresql://reader@nobody-here:5432/crm"},
            "sql-refused": sql | {"url": "postgresql://reader@127.0.0.1:1/crm"},
            **{f"xapi-{fault}": xapi | {"endpoint": f"{url}/{fault}/xapi/"} for fault in ("403", "broken", "nolist")},
            **{
                f"s3-{fault}": s3
                | {"path": "s3://exports/tickets/", "access": s3["access"] | {"endpoint": f"{url}/{fault}"}}
                for fault in ("403", "html")
            },
            "sftp-refused": sftp,
            "hook": hook,
        }

    def _write(self, documents: Path, auth: str, fault: str, signing: dict[str, Any]) -> None:
        url = f"{self.system.url}/{fault}"
        signing = {
            key: value.replace("{url}", url) if isinstance(value, str) else value for key, value in signing.items()
        }
        if auth == "refresh-token":  # one token, one login: each needs its own
            name = f"refresh-{fault}"
            signing["refresh_token"] = self.secret(name, self.canaries.plant("first refresh token"))
        if auth == "login":
            signing["redirect"] = "https://bridge.example.com/callback"
        self._write_document(
            documents,
            f"{auth}-{fault}",
            {
                "type": "rest",
                "base_url": f"{url}/api",
                "allow_private": ["127.0.0.1"],
                "auth": signing,
                "request": {"path": "/tickets"},
                "page": {"type": "next_url", "path": "next"},
                "records": "tickets",
                "key": "id",
            },
        )

    def _write_document(self, documents: Path, name: str, keys: dict[str, Any]) -> None:
        self.names.append(name)
        document = {"kind": "source", "name": name, "every": "1h", **keys}
        (documents / f"{name}.yaml").write_text(json.dumps(document))  # JSON is YAML


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    canaries = Canaries()
    folder, site = tmp_path / "secrets", tmp_path / "site"
    folder.mkdir()
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    with System(canaries) as system:
        threading.Thread(target=system.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        made = Scene(canaries, system, folder)
        made.env |= {
            "PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parents[2])]),
            "CANARY_FOLDER": str(folder),
            "LRS_BRIDGE_LOG_LEVEL": "DEBUG",
        }
        yield made
        system.shutdown()


class Watch(threading.Thread):
    """Looks at the command lines of all our processes while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            self.seen |= set(commands_below(os.getpid()).values())


def test_no_secret_is_found_anywhere(start: Start, scene: Scene, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    scene.write(documents)
    watch = Watch()
    watch.start()
    tree = start(data_dir=tmp_path / "data", LRS_BRIDGE_MAPPINGS=str(documents), **scene.env)
    running = json.loads((tree.data_dir / "running.json").read_text())

    wait_until(lambda: pulled(running) >= {*scene.names} - {"hook"}, "every source was pulled")
    rest(running)
    call_hook(tree, scene)
    told = run_commands(tree)
    database, broker = rows(running), values(running)
    watch.over.set()
    watch.join()
    tree.stop()

    found = {
        "commands": scene.canaries.found_in(told.encode()),
        "output of up": scene.canaries.found_in(tree.output().encode()),
        "database": scene.canaries.found_in(database),
        "broker": scene.canaries.found_in(broker),
        "command lines": scene.canaries.found_in("\n".join(watch.seen).encode()),
        **files(tree.data_dir, scene.canaries),
    }
    leaks = [f"{place}: {one}" for place, kinds in found.items() for one in kinds]
    assert not leaks, "\n".join(leaks)
    # What was searched is what it should be: else nothing found says nothing.
    assert {*FAULTS, *TOKEN_FAULTS} <= scene.system.asked
    assert b"redirect-path" in database
    assert database.count(b"***") > 20  # systems had repeated them, and it was seen
    assert b"rq:" in broker
    assert "a fault of ours" in told
    assert any("bridge worker" in line for line in watch.seen)


def rest(running: dict[str, str]) -> None:
    """Let no source be tried again: what fails would keep the machine busy while commands run."""
    engine = create_engine(running["DATABASE_URL"])
    with engine.begin() as connection:
        connection.execute(text("update source_state set next_pull_at = now() + interval '1 day'"))
    engine.dispose()


def call_hook(tree: Tree, scene: Scene) -> None:
    """Send what is verified, and what is not but holds the secret all the same."""
    address = f"{tree.endpoint['url']}/webhooks/hook"
    secret = scene.env["LRS_BRIDGE_SOURCE_HOOK"]
    for headers, body, status in (
        ({"X-Hook-Secret": secret}, {"id": 1, "updated_at": "2026-01-01T00:00:00Z"}, 202),
        ({"X-Hook-Secret": secret[:-1]}, {"id": secret}, 401),
        ({"Authorization": f"Bearer {secret}"}, {"id": 1, "you": secret}, 401),
    ):
        answer = requests.post(address, json=body, headers=headers, timeout=30)
        assert answer.status_code == status
        assert not scene.canaries.found_in(answer.content)


def pulled(running: dict[str, str]) -> set[str]:
    engine = create_engine(running["DATABASE_URL"])
    try:
        with engine.connect() as connection:
            done = "select source from source_state where coalesce(succeeded_at, failed_at) is not null"
            return set(connection.scalars(text(done)))
    finally:
        engine.dispose()


def run_commands(tree: Tree) -> str:
    """Run commands about sources that fail in many ways; gives all that they say."""
    told = [tree_run(tree, "source", *words) for words in COMMANDED]
    told.append(tree_run(tree, "status"))
    wrong = f"https://bridge.example.com/callback?{urlencode({'code': 'x', 'state': 'wrong'})}"
    told += [log_in(tree, wrong), log_in(tree, None)]
    return "\n".join(told)


def tree_run(tree: Tree, *words: str) -> str:
    command = [*COMMAND, *words, "--data-dir", str(tree.data_dir)]
    done = subprocess.run(command, env=tree.env, capture_output=True, text=True, check=False, timeout=120)
    assert "No such command" not in done.stderr
    return done.stdout + done.stderr


def log_in(tree: Tree, answer: str | None) -> str:
    """Log in by pasting an address: one of another login, or the right one."""
    command = [*COMMAND, "source", "login", "login-ok", "--paste", "--data-dir", str(tree.data_dir)]
    pipe = subprocess.PIPE
    env = tree.env | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as running:
        assert running.stdin
        assert running.stdout
        said = ""
        while "state=" not in said:
            line = running.stdout.readline()
            assert line, said
            said += line
        state = parse_qs(urlsplit(re.search(r"http\S+state=\S+", said)[0]).query)["state"][0]
        running.stdin.write((answer or f"https://bridge.example.com/callback?code=c&state={quote(state)}") + "\n")
        running.stdin.flush()
        said += running.stdout.read()
    assert ("another" in said) == (answer is not None), said
    assert (running.returncode == 0) == (answer is None), said
    return said


def rows(running: dict[str, str]) -> bytes:
    """Give all that stands in every column of every table, as it is after decoding."""
    engine = create_engine(running["DATABASE_URL"])
    parts: list[bytes] = []
    with engine.connect() as connection:
        named = "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables"
        tables = connection.scalars(text(f"{named} where schemaname not in ('pg_catalog', 'information_schema')")).all()
        assert len(tables) > 20
        for table in tables:
            for row in connection.execute(text(f"select * from {table}")):  # noqa: S608 - the catalogue's own names
                parts += [plain(value) for value in row]
    engine.dispose()
    return b"\n".join(parts)


def plain(value: Any) -> bytes:
    match value:
        case bytes() | memoryview():
            return unpacked(bytes(value))
        case dict() | list():
            return json.dumps(value, ensure_ascii=False).encode()
    return str(value).encode("utf-8", "surrogateescape")


def values(running: dict[str, str]) -> bytes:
    """Give every key and value of the broker; RQ packs jobs and tracebacks."""
    parts: list[bytes] = []
    with Redis.from_url(running["REDIS_URL"]) as broker:
        readers = {
            b"string": broker.get,
            b"hash": broker.hgetall,
            b"list": lambda key: broker.lrange(key, 0, -1),
            b"set": broker.smembers,
            b"zset": lambda key: broker.zrange(key, 0, -1),
            b"stream": broker.xrange,
        }
        for key in broker.scan_iter():
            kind = broker.type(key)
            parts.append(key)
            if kind in readers:
                parts += [unpacked(one) for one in leaves(readers[kind](key))]
    return b"\n".join(parts)


def leaves(value: Any) -> Iterator[bytes]:
    match value:
        case bytes():
            yield value
        case dict():
            yield from leaves([*value, *value.values()])
        case list() | tuple() | set():
            for one in value:
                yield from leaves(one)


def unpacked(content: bytes) -> bytes:
    """Give bytes with what they are when they are packed."""
    parts = [content]
    for packed in (content, base64_decoded(content)):
        with suppress(zlib.error):
            parts.append(zlib.decompress(packed))
    return b"\n".join(parts)


def base64_decoded(content: bytes) -> bytes:
    with suppress(ValueError):
        return base64.b64decode(content, validate=True)
    return b""


def files(data_dir: Path, canaries: Canaries) -> dict[str, list[str]]:
    """Search every file below the data directory: logs, the servers' own, and what commands left there."""
    found = {}
    for path in data_dir.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found[str(path.relative_to(data_dir))] = canaries.found_in(path.read_bytes())
    assert len(found) > 50
    assert any("worker" in name and name.endswith(".log") for name in found)
    return found
