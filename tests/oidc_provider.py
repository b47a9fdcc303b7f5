"""An OpenID provider for tests: keys of its own, published over HTTP on this machine."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "https://lrs.example.com/xapi"


def rsa_key(number: int = 0) -> Any:
    return _rsa_key(number)


@cache
def _rsa_key(number: int) -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


class FakeProvider:
    """Publishes `keys`, names `jwks_url` in its configuration, and answers only while `answers`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.keys: list[dict[str, Any]] = [rsa_jwk("first")]
        self.configuration: dict[str, Any] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.answers = True
        self.asked: list[str] = []

    def token(self, *, key: Any = None, algorithm: str = "RS256", kid: str | None = "first", **claims: Any) -> str:
        """Sign a token; a claim that is None is left out."""
        usual = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "service-7",
            "client_id": "Quiz engine",
            "exp": int(time.time()) + 300,
            "scope": "openid statements/write statements/read/mine",
        }
        content = {name: value for name, value in (usual | claims).items() if value is not None}
        headers = {} if kid is None else {"kid": kid}
        return jwt.encode(content, key or rsa_key(), algorithm=algorithm, headers=headers)


@contextmanager
def fake_provider() -> Iterator[FakeProvider]:
    """Run a provider in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            answers = {"/keys": {"keys": provider.keys}, "/.well-known/openid-configuration": provider.configuration}
            body = json.dumps(answers.get(self.path, {})).encode()
            self.send_response(200 if provider.answers else 502)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider = FakeProvider(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield provider
    server.shutdown()
    thread.join()
    server.server_close()


def rsa_jwk(kid: str, number: int = 0, **more: Any) -> dict[str, Any]:
    return RSAAlgorithm.to_jwk(rsa_key(number).public_key(), as_dict=True) | {"kid": kid, "use": "sig"} | more


def ec_jwk(kid: str) -> dict[str, Any]:
    return ECAlgorithm.to_jwk(ec_key().public_key(), as_dict=True) | {"kid": kid, "use": "sig"}
