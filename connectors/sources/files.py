"""A file to be read as a whole, from wherever it lies, and the proof that it was read as a whole.

Whoever writes the file may do so while we read. Three things guard against taking half of it for all of it:

- before each page is given out, and at the end, the file must have the size and the time of change that it had when
  it was opened (a file that is replaced by a rename is no concern: what we have open stays what it was);
- a file that lacks what ends it, be it gzip's trailer, the second half of a character, or the line end of its last row
  while it was changed less than SETTLE_SECONDS ago, is taken for one that is still being written;
- a fingerprint is given only when the last byte has been read, and only with it does the source's state move.

So a half-read file is read again from the start. Rows that were given out until then stand: they are upserted.

What lies elsewhere is copied into a file without a name first: `sftp` and `buckets` are stores like the two here.
"""

import errno
import hashlib
import io
import os
import stat
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import requests

from connectors import http
from connectors.errors import SourceRefused, SourceUnavailable

SETTLE_SECONDS = 30
"""How long a last row without a line end must have lain still before it is believed to be whole."""
CHUNK_BYTES = 1 << 16

Fingerprint = dict[str, Any]
"""JSON: size and sha256 of the bytes, with etag and last_modified where a web server gave them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a store, as the store lists it."""

    path: str
    """As the store knows it."""
    size: int
    version: str
    """Another when the file is written anew."""
    changed_at: float | None
    """Seconds since 1970 by the store's clock; None where files are there whole or not at all."""


class Store(Protocol):
    """Where files lie, while it is open. Its methods raise SourceError."""

    def look(self, path: str) -> Entry | None:
        """Give what is known of one file; None when there is none."""

    def entries(self, folder: str) -> Iterator[Entry]:
        """Give the files right in a folder, in any order; of folders in it nothing is said."""

    def read(self, path: str, known: Fingerprint | None) -> "AbstractContextManager[Reading | None]":
        """Give the file, open; None when it has not changed since `known`."""

    def shown(self, path: str) -> str:
        """Give how a file is called in messages."""


class Reading:
    """An open file: `stream` gives its bytes, from the first, and takes their hash.

    `headers` are a web server's; `changed_at` is when the file was last written, by default what its own machine says.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        headers: Mapping[str, str] | None = None,
        changed_at: float | None = None,
        version: str | None = None,
    ) -> None:
        self.name = name
        self._file, self._headers, self._version = file, headers, version
        self._stat = os.fstat(file.fileno())
        self._changed_at = self._stat.st_mtime if headers is None and changed_at is None else changed_at
        self._sha256 = hashlib.sha256()
        self.stream = io.BufferedReader(_Hashed(file, self._sha256), CHUNK_BYTES)

    @property
    def packed(self) -> bool:
        """Whether a web server packed the file for the way, or says so of a .gz file."""
        return (self._headers or {}).get("Content-Encoding") == "gzip"

    def equals(self, known: Fingerprint | None) -> bool:
        """Tell whether the file is byte for byte the one of the fingerprint; reads it once where the size is equal."""
        if known is None or known.get("size") != self._stat.st_size:
            return False
        digest = hashlib.sha256()
        while chunk := self._file.read(CHUNK_BYTES):
            digest.update(chunk)
        self._file.seek(0)
        return digest.hexdigest() == known.get("sha256")

    def check_unchanged(self) -> None:
        """Raise SourceUnavailable when somebody has written to the file since it was opened."""
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._stat.st_size, self._stat.st_mtime_ns):
            raise still_written(self.name, "it changed while it was read", retry_after=SETTLE_SECONDS)

    def check_settled(self) -> None:
        """Raise SourceUnavailable when the file, found to lack its end, was changed a moment ago."""
        check_settled(self.name, self._changed_at, "its last row has no line end, and it was changed {age:.0f} s ago")

    def check_still(self) -> None:
        """Raise SourceUnavailable when the file was changed a moment ago, whatever it ends in."""
        check_settled(self.name, self._changed_at, "it was changed {age:.0f} s ago")

    def finish(self) -> Fingerprint:
        """Give the fingerprint of what was read to its end; raises SourceUnavailable when it has changed meanwhile."""
        self.check_unchanged()
        told = {
            "etag": (self._headers or {}).get("ETag"),
            "last_modified": (self._headers or {}).get("Last-Modified"),
            "version": self._version,
        }
        found = {"size": self._stat.st_size, "sha256": self._sha256.hexdigest()}
        return found | {name: value for name, value in told.items() if value}


def check_settled(name: str, changed_at: float | None, reason: str) -> None:
    """Raise SourceUnavailable for a file that was changed less than SETTLE_SECONDS ago; `reason` may say its {age}."""
    age = time.time() - (changed_at or 0)
    if abs(age) < SETTLE_SECONDS:
        raise still_written(name, reason.format(age=age), retry_after=SETTLE_SECONDS - age)


def still_written(name: str, reason: str, *, retry_after: float | None = None) -> SourceUnavailable:
    """Make the error for a file that does not seem to be whole yet."""
    return SourceUnavailable(
        f"{name} is still being written: {reason}. It will be read again later. If this goes on, let the export write "
        "to another name and rename the file when it is done.",
        retry_after=retry_after,
    )


class LocalStore:
    """The files of this machine."""

    def look(self, path: str) -> Entry | None:
        """Look at it."""
        with _told_of(path):
            try:
                found = Path(path).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return Entry(path, found.st_size, str(found.st_mtime_ns), found.st_mtime)

    def entries(self, folder: str) -> Iterator[Entry]:
        """Look into a folder. Links out of it are left alone: whoever puts files there may not read others."""
        with _told_of(folder), os.scandir(folder) as listed:
            inside = Path(folder).resolve()
            for one in listed:
                if not one.is_file() or (one.is_symlink() and not Path(one).resolve().is_relative_to(inside)):
                    continue
                if found := self.look(str(Path(folder) / one.name)):
                    yield found

    @contextmanager
    def read(self, path: str, known: Fingerprint | None) -> Iterator[Reading | None]:
        """Open it. Looked at before: to open a pipe that nobody writes to would wait for ever."""
        with _told_of(path):
            if not stat.S_ISREG(Path(path).stat().st_mode):
                raise SourceRefused(f"{path} is not a file. Name the file itself in `path`.")
            with Path(path).open("rb", buffering=0) as file:
                version = str(os.fstat(file.fileno()).st_mtime_ns)
                reading = Reading(file, path, version=version)
                yield None if reading.equals(known) else reading

    def shown(self, path: str) -> str:
        """Give the path."""
        return path


class WebStore:
    """Files on the web, each by its address. Nothing is known of one before it is fetched."""

    def __init__(self, allow_private: Collection[str]) -> None:
        self._allow_private = allow_private

    def look(self, path: str) -> Entry | None:
        """Refuse: the document's schema does not let it come to this."""
        raise NotImplementedError(path)

    def entries(self, folder: str) -> Iterator[Entry]:
        """Refuse likewise."""
        raise NotImplementedError(folder)

    @contextmanager
    def read(self, path: str, known: Fingerprint | None) -> Iterator[Reading | None]:
        """Fetch it."""
        with http.guarded_session(self._allow_private) as web, fetched(web, path, known, {}) as reading:
            yield reading

    def shown(self, path: str) -> str:
        """Give the address without what may be a secret in it."""
        return http.shown(path)


@contextmanager
def fetched(
    web: requests.Session,
    url: str,
    known: Fingerprint | None,
    headers: Mapping[str, str],
    hide: Any = str,  # noqa: ANN401
) -> Iterator[Reading | None]:
    """Fetch into a file without a name, which is gone when it is closed, even by a crash."""
    asked = {**_conditions(known or {}), **headers}
    with _told_of(http.shown(url)), tempfile.TemporaryFile() as file:
        with http.call(web, http.SOURCE, "GET", url, headers=asked, hide=hide) as response:
            if response.status_code == requests.codes.not_modified:
                yield None
                return
            if response.headers.get("Content-Encoding", "gzip") != "gzip":
                raise SourceRefused(
                    f"{http.shown(url)} sends {response.headers['Content-Encoding']!r}. Have it sent plain or as gzip."
                )
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(chunk)
            answered = response.headers
        file.seek(0)
        reading = Reading(file, http.shown(url), headers=answered, version=answered.get("ETag"))
        yield None if reading.equals(known) else reading


def _conditions(known: Fingerprint) -> dict[str, str]:
    """Ask for the bytes as they are, and only if they have changed (RFC 9110 section 13.1)."""
    asked = {"If-None-Match": known.get("etag"), "If-Modified-Since": known.get("last_modified")}
    return {"Accept-Encoding": "identity"} | {name: value for name, value in asked.items() if value}


@contextmanager
def _told_of(place: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise _told(err, place) from err


def _told(err: OSError, place: str) -> SourceUnavailable | SourceRefused:
    match err:
        case FileNotFoundError() | NotADirectoryError():
            remedy = "Wait for the export, or correct `path`, which starts at the YAML file's folder."
            return SourceUnavailable(f"There is no file {place}. {remedy}")
        case PermissionError():
            return SourceRefused(f"{place} may not be read by this user. Give it permission to read the file.")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return SourceUnavailable(
                f"There is no room for {place} in {tempfile.gettempdir()}. Free some, or set TMPDIR."
            )
        case _:
            return SourceUnavailable(f"{place} cannot be read: {err.strerror or err}.")


class _Hashed(io.RawIOBase):
    """A file that takes the hash of what is read from it."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._digest.update(data)
        return len(data)
