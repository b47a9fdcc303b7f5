"""Bodies in chunks (RFC 9112, 7.1) that are none: a 400 whatever the web server makes of them."""

import io
from typing import Any


def guard(environ: dict[str, Any]) -> None:
    """Let a chunked body that breaks off, or is not chunked as it says, be what werkzeug takes for a lost client."""
    if environ.get("HTTP_TRANSFER_ENCODING"):
        environ["wsgi.input"] = _Guarded(environ["wsgi.input"])


class _Guarded(io.RawIOBase):
    def __init__(self, stream: Any) -> None:  # noqa: ANN401  what WSGI servers give
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        try:
            read: bytes = self._stream.read(size)
        except OSError:
            raise
        except Exception as err:  # each server has errors of its own: gunicorn ParseException
            raise OSError("the body is not chunked as it says") from err
        return read

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any buffer
        read = self.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)
