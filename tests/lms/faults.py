"""A bad network: a proxy before a web server that loses, breaks and cuts what passes, by dice that fall alike."""

import contextlib
import http.client
import random
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!DOCTYPE html><title>Please wait</title><p>Something is not right.</p>"
FAULTS = (
    "lost before it arrives",
    "500 before it arrives",
    "a page in its place",
    "answer lost",
    "500 in place of the answer",
    "connection cut within the answer",
    "answer shorter than it was",
)
"""The first three: the server is not asked at all; the others: it has done what was asked."""


@dataclass
class Network:
    """How bad it is, and what passed."""

    to: str
    """host:port of the server."""
    share: float = 0.5
    """Of all requests so many fail, 0 to 1."""
    seed: int = 1
    asked: Callable[[int, bytes], None] = lambda _number, _body: None
    """Called when a request has been handed over and is worked on, with its number."""
    passed: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    """What went wrong in here, and not on purpose."""
    url: str = ""

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311  to make trouble, not secrets
        self._lock = threading.Lock()
        self.requests = 0

    def draw(self) -> tuple[int, str]:
        """Give the number of a request and what becomes of it."""
        with self._lock:
            self.requests += 1
            fault = self._dice.choice(FAULTS) if self._dice.random() < self.share else "well"
            self.passed[fault] += 1
            return self.requests, fault

    def cut(self, answer: bytes) -> int:
        """Give where an answer breaks off."""
        with self._lock:
            return self._dice.randrange(len(answer)) if answer else 0


@contextlib.contextmanager
def between(network: Network) -> Iterator[Network]:
    """Let requests pass through it, at `network.url`, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.close_connection = True
            number, fault = network.draw()
            if fault == "lost before it arrives":
                return
            if fault == "500 before it arrives":
                self._answer(500, "text/html", PAGE)
            elif fault == "a page in its place":
                self._answer(200, "text/html", PAGE)
            else:
                self._pass_on(number, fault, body)

        def _pass_on(self, number: int, fault: str, body: bytes) -> None:
            connection = http.client.HTTPConnection(network.to, timeout=120)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                connection.request("POST", self.path, body, {**headers, "Host": network.to})
                network.asked(number, body)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                network.passed["the server was gone"] += 1
                return
            finally:
                connection.close()
            kind = answer.headers.get("Content-Type", "text/plain")
            if fault == "answer lost":
                return
            if fault == "500 in place of the answer":
                self._answer(500, "text/html", PAGE)
            elif fault == "connection cut within the answer":
                self._answer(answer.status, kind, content[: network.cut(content)], length=len(content))
            elif fault == "answer shorter than it was":
                self._answer(answer.status, kind, content[: network.cut(content)])
            else:
                self._answer(answer.status, kind, content)

        def _answer(self, status: int, kind: str, content: bytes, *, length: int | None = None) -> None:
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content) if length is None else length))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            network.errors.append(traceback.format_exc())

    with Server(("127.0.0.1", 0), Handler) as server:
        network.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield network
        finally:
            server.shutdown()
            thread.join()
