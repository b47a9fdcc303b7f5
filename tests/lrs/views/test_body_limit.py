"""Bodies above the limit, sent to a real gunicorn: refused with 413 while they come, whatever carries them."""

import contextlib
import http.client
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

import pytest

LIMIT = 100_000
# With the worker of `lrs-bridge web` and the smallest app that there is.
APP = """
import os
from flask import Flask
import lrs

def make():
    app = Flask("limited")
    app.config["SQLALCHEMY_ENGINES"] = {"default": {"url": os.environ["DATABASE"]}}
    lrs.db.init_app(app)
    lrs.init_app(app, base_url="http://x", secret_key=os.environ["SECRET_KEY"], max_body_bytes=int(os.environ["LIMIT"]))
    return app
"""


@pytest.fixture(scope="module")
def port(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("gunicorn")
    (folder / "limited.py").write_text(APP)
    env = os.environ | {"DATABASE": database_url, "SECRET_KEY": "only for tests", "LIMIT": str(LIMIT)}
    env["PYTHONPATH"] = f"{folder}{os.pathsep}{Path(__file__).parents[3]}"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listening.fileno()}", "--threads", "4"]
        command += ["--worker-class", "bridge.web.Worker", "--no-control-socket", "limited:make()"]
        process = subprocess.Popen(command, env=env, pass_fds=[listening.fileno()], stderr=subprocess.DEVNULL)
        yield listening.getsockname()[1]
        process.terminate()
        process.wait(30)


class Answer(NamedTuple):
    status: int
    text: str
    took: int
    """Bytes of the body that the server, or the sockets on the way, took before it answered."""


Send = Callable[..., Answer]


@pytest.fixture
def send(port: int, client: Any) -> Send:
    """Send a head, and then a body for as long as there is no answer."""

    def send_one(target: str, body: Iterable[bytes], headers: dict[str, str]) -> Answer:
        lines = {"Host": "x", "Content-Type": "application/json", **client.headers, **headers}
        head = [f"{target} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode())
            took = 0
            for piece in body:
                if select.select([connection], [], [], 0)[0]:
                    break
                try:
                    connection.sendall(piece)
                except ConnectionError:  # answered and closed since we looked
                    break
                took += len(piece)
            with HTTPResponse(connection) as response:
                response.begin()
                return Answer(response.status, response.read().decode(), took)

    return send_one


def endless(size: int = 10 * 2**30) -> Iterator[bytes]:
    yield from (b" " * 65_536 for _ in range(size // 65_536))


def endless_chunks() -> Iterator[bytes]:
    yield from (b"10000\r\n%b\r\n" % piece for piece in endless())


CHUNKS = {"Transfer-Encoding": "chunked"}
LENGTH = {"Content-Length": str(10 * 2**30)}
TARGETS = {
    "statements": ("POST /xapi/statements", {}),
    "one statement": ("PUT /xapi/statements?statementId=5c1b7f0e-8f2a-4d0b-9a57-1a2b3c4d5e6f", {}),
    "attachments": ("POST /xapi/statements", {"Content-Type": "multipart/mixed; boundary=b"}),
    "alternate syntax": ("POST /xapi/statements?method=PUT", {"Content-Type": "application/x-www-form-urlencoded"}),
    "a document": (
        "PUT /xapi/activities/profile?activityId=http://x/a&profileId=p",
        {"Content-Type": "application/octet-stream", "If-None-Match": "*"},
    ),
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_length_above_the_limit_is_refused_before_the_body_comes(send: Send, target: str) -> None:
    line, headers = TARGETS[target]

    answer = send(line, [], headers | LENGTH)

    assert answer.status == 413
    assert json.loads(answer.text)["error"] == f"The body has more than {LIMIT} bytes."


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("framing", ["chunks", "length"])
def test_a_body_is_read_no_further_than_the_limit(send: Send, target: str, framing: str) -> None:
    line, headers = TARGETS[target]
    body, more = (endless_chunks(), CHUNKS) if framing == "chunks" else (endless(), LENGTH)

    answer = send(line, body, headers | more)

    assert answer.status == 413
    assert answer.took < 50 * 2**20  # what lay in the sockets' buffers, not 10 GB


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
@pytest.mark.parametrize("framing", ["chunks", "length"])
def test_the_limit_is_exact(send: Send, size: int, status: int, framing: str) -> None:
    body = b"[" + b" " * (size - 2) + b"]"
    if framing == "chunks":
        pieces, more = [b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)], CHUNKS
    else:
        pieces, more = [body], {"Content-Length": str(size)}

    assert send("POST /xapi/statements", pieces, more).status == status


@pytest.mark.parametrize("authorization", ["", "Basic eDp5"])
def test_a_stranger_is_refused_before_the_body_is_read(send: Send, authorization: str) -> None:
    answer = send("POST /xapi/statements", endless_chunks(), CHUNKS | {"Authorization": authorization})

    assert answer.status == 401
    assert answer.took < 50 * 2**20


def test_the_rest_of_a_refused_body_is_not_waited_for(port: int, client: Any) -> None:
    """The connection is closed, soon: what comes on it next would be read as another request."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("POST", "/xapi/statements", headers=client.headers | LENGTH)
        assert connection.getresponse().read()

        assert connection.sock is None or connection.sock.recv(1) == b""
