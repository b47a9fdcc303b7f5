"""The web server's worker: gunicorn's threads, of which no client holds one for longer than its request deserves.

gunicorn waits for ever for the rest of a request that has begun: a client that stops half-way, or sends a byte a
minute, would keep a thread, and as many of them as there are threads would keep everybody out. (Workers without threads
are ended by gunicorn's own timeout.)
"""

import select
import socket
import struct
import time
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A gthread worker that stops listening to a client who is too slow; what was read till then is not a request.

    The client then gets a 400 when it has sent all headers, and else nothing. Nothing is stored: the views read the
    whole body before they begin.
    """

    head_seconds = 10.0
    """For the request line and headers, from the first byte, or since the connection was taken up."""
    body_seconds = 30.0
    """For the body, and more for a long one: as long as it takes at `body_bytes_per_second`."""
    body_bytes_per_second = 16_000
    """A slow mobile connection."""
    unknown_length = 1_000_000
    """Bytes that a body without a length (chunked) is taken for."""
    stay_milliseconds = 5
    """A client that sends its requests one after the other has sent the next by then."""
    idle_seconds = 30
    """Without a byte of what is being read."""

    def init_process(self) -> None:
        """Run the worker."""
        self._until: dict[TConn, float] = {}
        self._idle = struct.pack("@ll", self.idle_seconds, 0)
        super().init_process()

    def handle(self, conn: TConn) -> Any:  # noqa: ANN401  gunicorn's own
        """Take up a connection, in a thread, and stay with it while its requests follow each other closely.

        To give it back to the poller between two of them costs a third of what a small request costs.
        """
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, self._idle)
        while True:
            self._until[conn] = time.monotonic() + self.head_seconds
            try:
                kept = super().handle(conn)
            finally:
                self._until.pop(conn, None)
            if kept is not True or not self._goes_on(conn):
                return kept

    def _goes_on(self, conn: TConn) -> bool:
        """Tell whether the next request is coming, and nobody waits for this thread."""
        if not self.alive or self.tpool._work_queue.qsize():  # noqa: SLF001  the pool has no word for it
            return False
        if conn.parser.unreader.buf.getvalue():
            return True
        client = select.poll()
        client.register(conn.sock, select.POLLIN)
        return bool(client.poll(self.stay_milliseconds))

    def handle_request(self, req: Any, conn: TConn) -> Any:  # noqa: ANN401  gunicorn's own
        """Answer a request whose headers have come, in the same thread."""
        given = dict(req.headers)
        length = self.unknown_length if "TRANSFER-ENCODING" in given else int(given.get("CONTENT-LENGTH", 0))
        self._until[conn] = time.monotonic() + self.body_seconds + length / self.body_bytes_per_second
        return super().handle_request(req, conn)

    def notify(self) -> None:
        """Say that this worker lives, each second; also look at the clock."""
        super().notify()
        now = time.monotonic()
        for conn, until in list(self._until.items()):
            if until < now and self._until.pop(conn, 0.0):
                _stop_listening(conn.sock)


def _stop_listening(sock: socket.socket) -> None:
    """End the wait of whoever reads; answers can still be sent."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RD)  # not that of an SSLSocket, which would drop the encryption
    except OSError:
        return  # gone meanwhile
