"""An S3 server on loopback, in this process: lists, gives and takes objects; lets nobody in whose signature is wrong.

The signature is computed anew from what came over the wire, by the steps of
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape


class S3Server:
    """The server: `objects` by "bucket/key"; `asked` is every request's path and headers, `put` the keys written."""

    def __init__(self, access: str, secret: str) -> None:
        self.access, self.secret = access, secret
        self.objects: dict[str, bytes] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.put: list[str] = []
        self.before_put: Callable[[str], None] | None = None
        """Called with the key when half of a body has come."""
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.page = 1000
        self.faults: list[tuple[int, dict[str, str], bytes]] = []
        """Answers to give before all others."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler below
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                server.asked.append((self.path, dict(self.headers)))
                self._answer(*server.answer("GET", self.path, self._told()))

            def do_HEAD(self) -> None:
                server.asked.append((self.path, dict(self.headers)))
                status, headers, body = server.answer("HEAD", self.path, self._told())
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_PUT(self) -> None:
                server.asked.append((self.path, dict(self.headers)))
                size = int(self.headers["Content-Length"])
                body = self.rfile.read(size // 2)
                key = unquote(urlsplit(self.path).path)[1:]
                if server.before_put:
                    server.before_put(key)
                body += self.rfile.read(size - len(body))
                if len(body) == size:  # else the client is gone, and nothing becomes of it
                    self._answer(*server.take(self.path, self._told(), body))

            def _told(self) -> dict[str, str]:
                return {name.lower(): value for name, value in self.headers.items()}

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler

    def take(self, target: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.faults:
            return self.faults.pop(0)
        if not self._is_signed("PUT", target, headers):
            return 403, {}, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        if hashlib.sha256(body).hexdigest() != headers["x-amz-content-sha256"]:
            return 400, {}, b"<Error><Code>XAmzContentSHA256Mismatch</Code></Error>"
        key = unquote(urlsplit(target).path)[1:]
        self.objects[key] = body
        self.metadata[key] = {name: value for name, value in headers.items() if name.startswith("x-amz-meta-")}
        self.put.append(key)
        return 200, {"ETag": etag(body)}, b""

    def answer(self, method: str, target: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if self.faults:
            return self.faults.pop(0)
        if not self._is_signed(method, target, headers):
            words = f"<Error><Code>SignatureDoesNotMatch</Code><Signed>{self.secret}</Signed></Error>"
            return 403, {}, words.encode()
        parts = urlsplit(target)
        asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if "list-type" in asked:
            return 200, {}, self._list(parts.path.strip("/"), asked)
        found = self.objects.get(unquote(parts.path)[1:])
        if found is None:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        if headers.get("if-none-match") == etag(found):
            return 304, {"ETag": etag(found)}, b""
        return 200, {"ETag": etag(found), **self.metadata.get(unquote(parts.path)[1:], {})}, found

    def _list(self, bucket: str, asked: dict[str, str]) -> bytes:
        assert asked["delimiter"] == "/"
        start = f"{bucket}/{asked['prefix']}"
        keys = [name for name in sorted(self.objects) if name.startswith(start) and "/" not in name[len(start) :]]
        keys = keys[int(asked.get("continuation-token", "0") or 0) :]
        size = min(self.page, int(asked["max-keys"]))
        more = len(keys) > size
        after = int(asked.get("continuation-token", "0") or 0) + size
        entries = "".join(
            f"<Contents><Key>{escape(name.partition('/')[2])}</Key><Size>{len(self.objects[name])}</Size>"
            f"<ETag>{escape(etag(self.objects[name]))}</ETag></Contents>"
            for name in keys[:size]
        )
        token = f"<NextContinuationToken>{after}</NextContinuationToken>" if more else ""
        folders = "<CommonPrefixes><Prefix>other/</Prefix></CommonPrefixes>"
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        listed = f'<ListBucketResult xmlns="{space}">{entries}{folders}{token}</ListBucketResult>'
        return f'<?xml version="1.0"?>{listed}'.encode()

    def _is_signed(self, method: str, target: str, headers: dict[str, str]) -> bool:
        said = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
            headers.get("authorization", ""),
        )
        if not said or said[1] != self.access:
            return False
        path, _, query = target.partition("?")
        pairs = sorted(pair.partition("=")[::2] for pair in query.split("&")) if query else []
        canonical = "&".join(
            f"{quote(unquote(name), safe='-_.~')}={quote(unquote(value), safe='-_.~')}" for name, value in pairs
        )
        lines = [f"{name}:{headers[name]}" for name in said[3].split(";")]
        request = "\n".join(
            [
                method,
                quote(unquote(path), safe="/-_.~"),
                canonical,
                *lines,
                "",
                said[3],
                headers["x-amz-content-sha256"],
            ]
        )
        text = "\n".join(
            ["AWS4-HMAC-SHA256", headers["x-amz-date"], said[2], hashlib.sha256(request.encode()).hexdigest()]
        )
        key = f"AWS4{self.secret}".encode()
        for part in said[2].split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), said[4])


def etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
