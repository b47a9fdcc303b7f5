"""Files of statements: read whatever they are packed in, written so that nobody takes half of one for the whole."""

import gzip
import io
import json
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, Self

from bridge.errors import BridgeError, SettingsError

CHUNK_BYTES = 256 * 1024
_GZIP = b"\x1f\x8b"
_PRIVATE = 0o600
"""Statements say who learned what: files of them are for their owner alone."""


class Unreadable(BridgeError):
    """A file that cannot be read, or not to its end."""


class Source:
    """A file, or standard input for `-`, read in chunks; unpacked when its content is gzip."""

    def __init__(self, path: Path) -> None:
        self.is_stdin = str(path) == "-"
        self.name = "standard input" if self.is_stdin else str(path)
        raw = sys.stdin.buffer if self.is_stdin else path.open("rb")
        self.size = None if self.is_stdin else os.fstat(raw.fileno()).st_size
        """Bytes as they lie there; None where nobody knows."""
        self._counted = _Counted(raw)

    @property
    def read_bytes(self) -> int:
        """How many of these have been read."""
        return self._counted.count

    def chunks(self) -> Iterator[bytes]:
        """Give the content, unpacked; raises Unreadable."""
        buffered = io.BufferedReader(self._counted, CHUNK_BYTES)
        try:
            packed = buffered.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
            content = gzip.GzipFile(fileobj=buffered) if packed else buffered
            while chunk := content.read(CHUNK_BYTES):
                yield chunk
        except (EOFError, zlib.error, OSError) as err:
            raise Unreadable(f"{self.name} cannot be read any further: {err}.") from err

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.is_stdin:
            self._counted.raw.close()


class _Counted(io.RawIOBase):
    """Counts what is read, so that progress goes by the file's size also when it is packed."""

    def __init__(self, raw: Any) -> None:  # noqa: ANN401 - any binary file
        self.raw = raw
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        read = int(self.raw.readinto(buffer))
        self.count += read
        return read


class Rejects:
    """What was refused, a JSON object a line; the file is made when there is a first one."""

    def __init__(self, path: Path, *, size: int) -> None:
        self.path = path
        # What is behind these bytes was written after the position was kept, and will come again.
        self._resumed_at = size
        self._file: IO[bytes] | None = None

    def add(self, index: int, text: bytes, reason: dict[str, object]) -> None:
        """Add the statement of this number, from 0; as text where it is not JSON."""
        said = text.decode("utf-8", "replace")
        try:
            json.loads(said)
        except (ValueError, RecursionError):
            said = json.dumps(said, ensure_ascii=False)
        else:
            said = said.replace("\n", " ").replace("\r", " ")  # white space: texts hold no plain line breaks
        reasons = json.dumps([reason], ensure_ascii=False)
        line = f'{{"index": {index}, "statement": {said}, "reasons": {reasons}}}\n'
        self._open().write(line.encode("utf-8", "surrogatepass"))

    def size(self) -> int:
        """Give the bytes that are in the file for good."""
        if self._file is None:
            return self._resumed_at
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self) -> IO[bytes]:
        if self._file is None:
            try:
                handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, _PRIVATE)
            except OSError as err:
                raise Unreadable(
                    f"{err.filename} cannot be written: {err.strerror}. Name another by --rejects."
                ) from err
            self._file = os.fdopen(handle, "wb")
            self._file.truncate(self._resumed_at)
            self._file.seek(0, os.SEEK_END)
        return self._file


def check_writable(path: Path, option: str) -> None:
    """Tell before the work begins that a file cannot be written; raises SettingsError."""
    if not path.parent.is_dir():
        raise SettingsError(f"{path} cannot be written: there is no folder {path.parent}. Name another by {option}.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise SettingsError(f"{path} cannot be written: Permission denied. Name another by {option}.")


@contextmanager
def written(path: Path, *, packed: bool) -> Iterator[IO[bytes]]:
    """Give a file to write, or standard output for `-`; a file gets its name when it is whole.

    Raises SettingsError when it cannot be made.
    """
    if str(path) == "-":
        with _packed(sys.stdout.buffer, packed=packed) as out:
            yield out
        sys.stdout.buffer.flush()
        return
    draft = path.with_name(f"{path.name}.part")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    except OSError as err:
        raise SettingsError(f"{path} cannot be written: {err.strerror}. Name another by --out.") from err
    with os.fdopen(handle, "wb") as file:
        with _packed(file, packed=packed) as out:
            yield out
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def _packed(file: IO[bytes], *, packed: bool) -> Any:  # noqa: ANN401 - a context manager of a binary file
    # Level 6 is what gzip does by itself; Python's 9 takes three times as long for two per cent.
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6) if packed else nullcontext(file)
