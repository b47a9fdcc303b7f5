"""Production: gunicorn, worker and scheduler against a PostgreSQL and a Redis of one's own do the same as `up`."""

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hand_calculation import calculate
from test_demo import REPORT, assert_by_hand
from tincan import Activity, Agent, RemoteLRS, Statement, Verb
from trees import COMMAND, on_own_database, wait_until

from bridge.demo.run import statements
from bridge.embedded import Servers
from bridge.settings import shipped
from connectors import http_session, lrs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def env(servers: Servers, tmp_path: Path) -> dict[str, str]:
    """A database of this test's own; nothing is set but what one must set."""
    return on_own_database(servers, "production", tmp_path / "data") | {
        "LRS_BRIDGE_MAPPINGS": str(shipped("mappings") / "demo")
    }


@pytest.fixture
def url(env: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Web, worker and scheduler, each started by itself and all at once, as an orchestrator would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    commands = [
        [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--no-control-socket", "wsgi:app"],
        [*COMMAND, "worker"],
        [*COMMAND, "scheduler"],
    ]
    with ExitStack() as stack:
        out = stack.enter_context((tmp_path / "processes.out").open("ab"))
        for command in commands:
            process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=out, stderr=out)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        wait_until(lambda: ready(f"http://127.0.0.1:{port}/readyz"), "the web answers")
        yield f"http://127.0.0.1:{port}"


def ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


def command(env: dict[str, str], *arguments: str) -> str:
    result = subprocess.run([*COMMAND, *arguments], env=env, capture_output=True, text=True, check=True, timeout=60)
    return result.stdout


def test_the_same_records_come_out(env: dict[str, str], url: str) -> None:
    credential = json.loads(
        command(env, "credential", "create", "--name", "Moodle", "--scope", "statements/write", "--json")
    )
    with http_session() as http:
        list(lrs.post_statements(http, f"{url}/xapi/", credential["key"], credential["secret"], statements()))

    wait_until(lambda: json.loads(command(env, "status", "--json"))["settled"], "all is settled")

    assert_by_hand(json.loads(command(env, "report", REPORT, "--json"))["rows"], calculate())
    assert (Path(env["LRS_BRIDGE_DATA_DIR"]) / "reports" / f"{REPORT}.csv").exists()


def test_a_client_that_nobody_here_wrote_can_send_and_read(env: dict[str, str], url: str) -> None:
    scopes = ("--scope", "statements/write", "--scope", "statements/read")
    made = json.loads(command(env, "credential", "create", "--name", "TinCan", *scopes, "--json"))
    client = RemoteLRS(endpoint=f"{url}/xapi/", version="1.0.3", username=made["key"], password=made["secret"])
    statement = Statement(
        actor=Agent(mbox="mailto:ann@example.com"),
        verb=Verb(id="http://adlnet.gov/expapi/verbs/completed"),
        object=Activity(id="http://example.com/course"),
    )

    saved = client.save_statement(statement)
    found = client.retrieve_statement(saved.content.id)

    assert saved.success, saved.data
    assert found.success, found.data
    assert found.content.actor.mbox == "mailto:ann@example.com"
    assert found.content.authority.name == "TinCan"
