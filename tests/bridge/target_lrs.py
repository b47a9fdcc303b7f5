"""Another lrs-bridge, as the LRS that statements go to: real HTTP on loopback, a database of its own, and faults."""

import io
import json
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from company import empty
from flask import Flask
from sqlalchemy import text
from werkzeug.serving import make_server

from bridge import context
from lrs import credentials, db

Answer = tuple[str, list[tuple[str, str]], bytes]


class TargetLrs:
    """The server. `fault` may answer in its place: it gets (method, path, body) and gives an answer, or None.

    `after` is called when a request has been worked off, before it is answered; if it gives True, the line is cut.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.fault: Callable[[str, str, bytes], Answer | None] | None = None
        self.after: Callable[[str, bytes], bool | None] | None = None
        self.asked: list[tuple[str, str, bytes]] = []
        self._lock = threading.Lock()
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/xapi/"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def reset(self) -> dict[str, str]:
        """Forget everything; gives a new key and secret."""
        self.fault, self.after = None, None
        self.asked.clear()
        with self.app.app_context():
            empty(db.session)
            made = credentials.create(db.session, name="bridge", scopes=["all"], secret_key=context.secret_key())
            db.session.commit()
        return {"key": made.key, "secret": made.secret}

    def statements(self) -> dict[str, dict[str, Any]]:
        """Give all that it holds, by id."""
        with self.app.app_context():
            rows = db.session.execute(text("select id, payload from statement order by seq")).all()
        assert len({str(id_) for id_, _ in rows}) == len(rows)
        return {str(id_): json.loads(payload) for id_, payload in rows}

    def voided(self) -> set[str]:
        with self.app.app_context():
            return {str(one) for one in db.session.scalars(text("select target from reference where voids"))}

    def attachments(self) -> list[bytes]:
        with self.app.app_context():
            return [bytes(one) for one in db.session.scalars(text("select data from attachment order by length"))]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with self.app.app_context():
            db.engine.dispose()

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._lock:
            self.asked.append((method, path, body))
            answer = self.fault(method, path, body) if self.fault else None
        if answer is not None:
            status, headers, content = answer
            start_response(status, [*headers, ("Content-Length", str(len(content)))])
            return [content]
        environ["wsgi.input"] = io.BytesIO(body)
        given = list(self.app(environ, start_response))
        if self.after and self.after(method, body):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return given
