"""Canvas as it sends Live Events: signs by keys that change, publishes them, and sends again what was not taken."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ROOT_ACCOUNT = "Qm9ndXNVdWlk"
"""As in the golden cases."""
HOST = "acme.instructure.com"


@cache
def key(number: int) -> rsa.RSAPrivateKey:
    """Give one of a few keys; they take long to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Sender(ThreadingHTTPServer):
    """`current` is the number of the key that signs; those before and after it are published too, as Canvas does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.current = 1
        self.fetches = 0
        self.faults: deque[tuple[int, bytes]] = deque()
        """What the next fetches of the keys are answered with."""

    @property
    def keys_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/main/jwks"

    def rotate(self, by: int = 1) -> None:
        """Sign by the next key from now on."""
        self.current += by

    def jwks(self) -> dict[str, Any]:
        numbers = (self.current - 1, self.current, self.current + 1)
        return {"keys": [json.loads(RSAAlgorithm.to_jwk(key(one).public_key())) | _about(one) for one in numbers]}

    def sign(self, message: dict[str, Any], *, by: int | None = None, kid: str | None = None, **claims: Any) -> bytes:
        """Give the body of a post: the message as the claims of a JWT; `by` another key, under another name."""
        number = self.current if by is None else by
        headers = {"kid": kid or _about(number)["kid"]}
        return jwt.encode(message | claims, key(number), algorithm="RS256", headers=headers).encode()


def _about(number: int) -> dict[str, str]:
    return {"kid": f"2026-{number:02}", "use": "sig", "alg": "RS256"}


class _Handler(BaseHTTPRequestHandler):
    server: Sender

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self.server.fetches += 1
        status, content = 200, json.dumps(self.server.jwks()).encode()
        if self.server.faults:
            status, content = self.server.faults.popleft()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def sending() -> Iterator[Sender]:
    """Let it run."""
    with Sender() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Seconds:
    """A clock for `KeySets` that a test moves."""

    def __init__(self) -> None:
        self.at = time.monotonic()

    def __call__(self) -> float:
        return self.at
