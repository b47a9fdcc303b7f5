"""Clients that stop half-way, against a real gunicorn: they store nothing and keep nobody out."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from trees import COMMAND, on_own_database, wait_until
from xapi_samples import statement

from bridge.embedded import Servers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
THREADS = 2
HASTY = """
from bridge.web import Worker

class Hasty(Worker):
    head_seconds = 2.0
    body_seconds = 3.0
    idle_seconds = 1
    unknown_length = 0
"""
SLOWEST_SECONDS = 3.0 + 1.0 + 2.0
"""Until a thread is free again: the longest wait, the clock's second, and a busy machine."""


class Web:
    """A gunicorn with few threads, and how to speak to it in raw bytes."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self.port = port
        self.headers = headers
        self.connections: list[socket.socket] = []

    def send(self, *parts: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=SLOWEST_SECONDS + 5)
        self.connections.append(connection)
        for part in parts:
            connection.sendall(part)
        return connection

    def head(self, path: str = "statements", method: str = "POST", **more: object) -> bytes:
        headers = self.headers | {name.replace("_", "-"): str(value) for name, value in more.items()}
        lines = [f"{method} /xapi/{path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode()

    def stored(self) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/xapi/statements", headers=self.headers)
        with urllib.request.urlopen(request, timeout=SLOWEST_SECONDS + 5) as response:
            return len(json.load(response)["statements"])


def everything(connection: socket.socket) -> bytes:
    """Give all that comes until the other side closes."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


@pytest.fixture
def web(server: Web) -> Iterator[Web]:
    yield server
    for connection in server.connections:
        connection.close()
    server.connections.clear()


@pytest.fixture(scope="module")
def server(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("slow")
    (folder / "hasty.py").write_text(HASTY)
    env = on_own_database(servers, "slow", folder) | {"PYTHONPATH": str(folder)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gunicorn = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--no-control-socket", "wsgi:app"]
    gunicorn += ["--worker-class", "hasty.Hasty", "--threads", str(THREADS)]
    create = [*COMMAND, "credential", "create", "--name", "x", "--scope", "all", "--json"]
    with (folder / "gunicorn.out").open("ab") as out:
        process = subprocess.Popen(gunicorn, env=env, cwd=ROOT, stdout=out, stderr=out)
        try:
            wait_until(lambda: answers(port), "the web answers")
            made = json.loads(subprocess.run(create, env=env, capture_output=True, check=True, timeout=60).stdout)
            basic = b64encode(f"{made['key']}:{made['secret']}".encode()).decode()
            yield Web(port, {"Authorization": f"Basic {basic}", "X-Experience-API-Version": "1.0.3"})
        finally:
            process.terminate()
            process.wait(30)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/xapi/about", timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


BODY = json.dumps(statement()).encode()
JSON = {"Content_Type": "application/json"}


def test_headers_that_never_end_keep_nobody_out(web: Web) -> None:
    stuck = [web.send(web.head()[:-40]) for _ in range(THREADS * 2)]
    started = time.monotonic()

    assert web.stored() == 0
    assert time.monotonic() - started < 2 * SLOWEST_SECONDS  # two rounds of as many as there are threads
    for connection in stuck:
        assert everything(connection) == b""


STATE = "activities/state?activityId=http://a.b/c&stateId=x&agent=%7B%22mbox%22%3A%22mailto%3Aa%40b.c%22%7D"


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        (STATE, "PUT", b"half of a document"),
        ("statements", "POST", BODY),  # whole JSON, but not all that was announced
        ("activities/state?method=PUT", "POST", b"activityId=http://a.b/c&stateId=x&content=half"),
    ],
)
def test_what_is_shorter_than_its_content_length_is_refused(web: Web, path: str, method: str, body: bytes) -> None:
    connection = web.send(web.head(path, method, Content_Length=len(body) + 50, **JSON), body)
    connection.shutdown(socket.SHUT_WR)

    assert everything(connection).startswith(b"HTTP/1.1 400 ")
    assert web.stored() == 0
    again = web.send(web.head(STATE, "GET", Connection="close"))
    assert everything(again).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("end", [0, 1, len(BODY) // 2, len(BODY) - 1])
def test_body_that_stops_half_way_is_refused_and_stores_nothing(web: Web, end: int) -> None:
    connection = web.send(web.head(Content_Length=len(BODY), **JSON), BODY[:end])

    assert everything(connection).startswith(b"HTTP/1.1 400 ")
    assert web.stored() == 0


def test_body_that_drips_is_cut_off_too(web: Web) -> None:
    connection = web.send(web.head(Content_Length=len(BODY), **JSON))
    started = time.monotonic()
    try:
        for byte in BODY:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)
    except OSError:
        pass  # told to stop

    assert time.monotonic() - started < SLOWEST_SECONDS + 1
    assert web.stored() == 0


def test_client_that_goes_away_stores_nothing(web: Web) -> None:
    chunk = b"%x\r\n%s\r\n" % (len(BODY), BODY)
    for head, body in (
        (web.head(Content_Length=len(BODY), **JSON), BODY[:-1]),
        (web.head(Transfer_Encoding="chunked", **JSON), chunk),  # whole JSON, but nobody said that it is all
        (web.head(Transfer_Encoding="chunked", **JSON), chunk[:20]),
    ):
        connection = web.send(head, body)
        connection.shutdown(socket.SHUT_WR)
        assert b" 200 " not in everything(connection)[:20]

    assert web.stored() == 0


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content_Length": len(BODY) - 1}, BODY),  # too short: what is left is no request either
        ({"Content_Length": "x"}, BODY),
        ({"Content_Length": "-1"}, BODY),
        ({"Content_Length": "9" * 30}, BODY),
        ({"Content_Length": len(BODY), "Transfer_Encoding": "chunked"}, BODY),
        ({"Transfer_Encoding": "chunked"}, b"zz\r\n" + BODY),
        ({"Content_Length": len(BODY), "X_Long": "x" * 20_000}, BODY),
        ({"Content_Length": len(BODY), "Bad Name": "x"}, BODY),
        ({"Content_Length": len(BODY), "X_Bare": "a\rb"}, BODY),
        ({"Content_Length": len(BODY), "X_Nul": "a\x00b"}, BODY),
        ({"Content_Length": len(BODY)} | {f"X_{number}": "x" for number in range(200)}, BODY),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[:50],
)
def test_what_is_no_http_is_a_4xx(web: Web, headers: dict[str, object], body: bytes) -> None:
    connection = web.send(web.head(**(JSON | headers)), body)
    connection.shutdown(socket.SHUT_WR)

    assert everything(connection).startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert web.stored() == 0


def test_head_answers_at_once_and_the_connection_goes_on(web: Web) -> None:
    started = time.monotonic()
    with closing(HTTPConnection("127.0.0.1", web.port, timeout=5)) as http:
        for path in ("about", "statements", "statements?format=ids", "statements?attachments=true", "nothing"):
            lengths = []
            for method in ("HEAD", "GET"):
                http.request(method, f"/xapi/{path}", headers=web.headers)
                response = http.getresponse()
                body = response.read()
                lengths.append(response.headers["Content-Length"])
                assert method == "GET" or body == b""
            assert lengths[0] == lengths[1] or path.endswith("attachments=true")  # its boundary may differ

    assert time.monotonic() - started < 5


def test_client_that_waits_to_be_told_to_go_on_is_told(web: Web) -> None:
    """Moodle's curl, with bodies of more than a megabyte."""
    connection = web.send(web.head(Content_Length=2, Expect="100-continue", Connection="close", **JSON))

    assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sendall(b"[]")
    assert everything(connection).startswith(b"HTTP/1.1 200 ")
