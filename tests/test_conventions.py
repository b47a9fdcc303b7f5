"""What everybody agreed on and nobody would notice broken: conventions, kept by tests (style.md, section 5)."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from bridge import bells, documents, schedule
from bridge.app import create_app
from bridge.embedded import Servers
from bridge.settings import Settings, shipped
from connectors.destinations import DESTINATIONS
from connectors.sources import SOURCES
from lrs import db

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lrs", "connectors", "bridge")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
EVERYTHING = [
    *MODULES,
    ROOT / "wsgi.py",
    *(path for folder in ("tests", "bench", "migrations") for path in sorted((ROOT / folder).rglob("*.py"))),
]

OPEN = {
    "api.openapi.show": "describes the resources, as that of xapi does; no data",
    "health.healthz": "whoever watches the process has no credential, and it says nothing but that it lives",
    "health.readyz": "as above",
    "lti.configuration": "how Canvas sets us up: our own addresses; no data",
    "lti.configure": "a platform registers itself, by an invitation that is good once",
    "lti.jwks": "the public halves of our keys",
    "lti.launch": "the way in from an LMS: its signed message is what opens a session",
    "lti.login": "where an LMS sends browsers on their way in; it shows nothing",
    "signing_in.show": "the way in",
    "signing_in.sign_in": "the way in",
    "signing_in.sign_out": "forgets who is signed in, and shows nothing",
    "signing_in.static": "the style sheet and script of the way in; no data",
    "xapi.about.read": "xAPI 1.0.3, Communication 2.8: about needs no credential",
    "xapi.openapi.read": "describes the resources, as about does; no data",
}
"""Endpoints that answer without a credential, and why."""


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def imports(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Give every dotted name that a module imports, wherever the import stands."""
    for node in ast.walk(tree(path)):
        match node:
            case ast.Import(names=names):
                yield from ((node, one.name) for one in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from ((node, f"{module}.{one.name}") for one in names)


# --- who may see what ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    made = create_app(
        Settings(
            database_url=servers.database_url.replace("postgresql://", "postgresql+psycopg://", 1),
            redis_url=servers.redis_url,
            data_dir=tmp_path_factory.mktemp("data"),
        )
    )
    yield made
    with made.app_context():
        db.engine.dispose()


def answers_to_strangers(app: Flask, rule: Rule, method: str) -> bool:
    """Tell whether an endpoint answers otherwise than with 401 or the way to the login."""
    # A place that takes certain words alone gets one of them.
    values = {name: min(getattr(rule._converters.get(name), "items", ["1"])) for name in rule.arguments}
    with app.test_request_context():
        path = rule.build(values, append_unknown=False)
    assert path is not None
    headers = {"X-Experience-API-Version": "1.0.3", "Content-Type": "application/json"}
    answer = app.test_client().open(path[1], method=method, headers=headers)
    sent_away = answer.status_code == 401 or answer.headers.get("Location", "").startswith("/login")
    return not sent_away


def test_every_route_needs_authentication_or_stands_on_the_list_with_a_reason(app: Flask) -> None:
    answering = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if answers_to_strangers(app, rule, method)
    }

    # `sign_out` sends to the login as well, so it need not be among those that answer.
    assert answering | {"signing_in.sign_out"} == set(OPEN)
    assert all(OPEN.values())


# --- the doorbells -------------------------------------------------------------------------------------------------


def _called(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", getattr(node.func, "id", "")))


def rung_queues() -> Iterator[tuple[str, str]]:
    """Give (place, queue) of every `ring(...)` and `ring_soon(...)` in the packages, but in the bells themselves."""
    for path in (one for one in MODULES if one.name != "bells.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and _called(node) in {"ring", "ring_soon"}:
                queue = node.args[0]
                assert isinstance(queue, ast.Constant), (
                    f"{place(path, node)}: name the queue, so that this test sees it"
                )
                yield place(path, node), str(queue.value)


def test_every_queue_that_is_named_is_one_that_a_worker_watches() -> None:
    rung = dict(rung_queues())
    scheduled = {job.__name__: queue for job, queue, _ in schedule.PERIODIC}

    assert len(rung) > 5
    assert {where: queue for where, queue in (rung | scheduled).items() if queue not in bells.QUEUES} == {}
    assert set(bells.QUEUES) == {*rung.values(), *scheduled.values()}  # and none is watched for nothing


def test_what_is_rung_for_by_the_clock_is_a_job_without_arguments() -> None:
    for job, _, seconds in schedule.PERIODIC:
        assert job.__module__ == "bridge.jobs"
        assert job.__code__.co_argcount == 0
        assert seconds >= 10


# --- who may reach what --------------------------------------------------------------------------------------------


def environment_reads(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv" | "getenvb" | "putenv"):
                yield place(path, node)
            case ast.ImportFrom(module="os", names=names) if {one.name for one in names} & {"environ", "getenv"}:
                yield place(path, node)
            case ast.Call(func=ast.Attribute(attr="from_prefixed_env" | "from_envvar")):
                yield place(path, node)


def test_only_the_settings_read_the_environment() -> None:
    readers = [found for path in [*MODULES, ROOT / "wsgi.py"] for found in environment_reads(path)]

    assert readers
    assert {found.partition(":")[0] for found in readers} == {"bridge/settings.py"}


def test_only_connectors_call_others() -> None:
    callers = {
        path.relative_to(ROOT).parts[0]
        for path in MODULES
        for _, name in imports(path)
        if name.split(".")[0] in {"requests", "httpx", "urllib3", "aiohttp"}
        or name.startswith(("urllib.request", "http.client"))
    }

    assert callers == {"connectors"}


def test_the_bridge_uses_the_other_packages_by_their_public_face() -> None:
    inside = [
        f"{place(path, node)}: {name}"
        for path in [*(ROOT / "bridge").rglob("*.py"), ROOT / "wsgi.py"]
        for node, name in imports(path)
        if name.split(".")[0] in {"lrs", "connectors"} and name.count(".") > 1
    ]

    assert inside == []


SQL = {"text", "select", "insert", "update", "delete", "func"}


def test_views_jobs_and_commands_hold_no_sql() -> None:
    """Only nouns do (design, section 3, rule 2)."""
    edges = [*(ROOT / "bridge" / "views").glob("*.py"), *(ROOT / "lrs" / "views").glob("*.py")]
    edges += [ROOT / "bridge" / f"{name}.py" for name in ("jobs", "cli", "schedule", "worker", "bells")]

    found = [
        f"{place(path, node)}: {name}"
        for path in edges
        for node, name in imports(path)
        if name.split(".")[0] == "sqlalchemy" and name.rpartition(".")[2] in SQL
    ]

    assert found == []


def test_nouns_leave_the_commit_to_views_jobs_and_commands() -> None:
    """A caller who cannot undo what a noun has begun cannot put two of them into one transaction."""
    edges = {"views", "jobs.py", "cli.py", "commands", "up.py", "app.py", "rebuilding.py", "demo", "schema.py"}
    bodies_of_jobs = {"posting.py", "delivering.py", "sending.py", "reconcile/running.py"}  # too long for `jobs`
    found = [
        place(path, node)
        for package in ("lrs", "bridge")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.relative_to(ROOT).parts[1] not in edges
        and path.relative_to(ROOT / package).as_posix() not in bodies_of_jobs
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit"
    ]

    assert found == []


def test_nothing_happens_at_import() -> None:
    """No connection, no process and no environment: importing every module works without any of them."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if path.name not in {"__main__.py", "launch.py"}
    ]
    script = f"""
import importlib, os, socket, subprocess, sys
def refuse(*_, **__):
    raise AssertionError("something happens at import")
class NoEnvironment(dict):
    __getitem__ = get = __contains__ = refuse
names = {names!r}
import alembic.command, flask, flask_sqlalchemy_lite, redis, requests, rich.console, rq, rq.cron, sqlalchemy, tincan
socket.socket.connect = socket.create_connection = subprocess.Popen.__init__ = refuse
import bridge.settings
bridge.settings.environment = bridge.settings.Settings.from_env = refuse
for name in names:
    importlib.import_module(name)
print(len(names))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(names)


# --- what is shipped, and how it is written ------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [(), ("demo",)], ids=["shipped", "with the demo"])
def test_every_shipped_mapping_validates_without_a_notice(extra: tuple[str, ...]) -> None:
    mappings = shipped("mappings")

    found = documents.check((mappings, *(mappings / name for name in extra)))

    assert {document.file for document in found.written} <= {str(path) for path in mappings.rglob("*.yaml")}
    assert [notice for notice in found.notices if "replaces the one" not in notice] == []


def test_every_type_of_source_and_destination_has_tests_of_its_own() -> None:
    for folder, types in (("sources", SOURCES), ("destinations", DESTINATIONS)):
        places = (ROOT / "tests" / "connectors" / folder, ROOT / "tests" / "systems")  # fakes, and real systems
        tested = {path.stem.removeprefix("test_") for place in places for path in place.glob("test_*.py")}
        assert set(types) <= tested, folder


@pytest.mark.parametrize("path", EVERYTHING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(tree(path))

    assert docstring, "it has no docstring"
    assert len(docstring.splitlines()[0]) <= 120


def test_nothing_is_left_to_be_done_later() -> None:
    """What is not there yet is an issue, not a mark in the code."""
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    kinds = {".py", ".yaml", ".yml", ".md", ".html", ".css", ".js", ".toml", ".mako"}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split(
        "\n"
    )
    files = [ROOT / name for name in listed if Path(name).suffix in kinds] or EVERYTHING

    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        if path.exists()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if mark.search(line)
    ]

    assert found == []


def test_every_package_says_what_belongs_in_it() -> None:
    for package in (*PACKAGES, "mappings"):
        readme = ROOT / package / "README.md"
        assert readme.exists(), f"{package} has no README"
        assert re.search(r"belong", readme.read_text(), re.IGNORECASE)
