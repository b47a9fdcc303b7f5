"""Where attachments too large for the database lie: in a directory, or in a store such as S3; one interface for both.

What `put` has given back from is there for good. Names are hashes of the contents, so a file is never changed.
"""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from lrs.errors import Unavailable

log = logging.getLogger(__name__)


class Files(Protocol):
    """A place for files. Its methods raise Unavailable when it cannot be reached, or is full."""

    def put(self, name: str, data: memoryview) -> None:
        """Write a file so that it outlives a crash, in place of one of this name."""

    def read(self, name: str, start: int, length: int) -> bytes:
        """Give a piece of a file, not empty and not beyond its end."""

    def before(self, instant: datetime) -> Iterator[str]:
        """Give the names of what was put before an instant."""

    def remove(self, name: str) -> None:
        """Remove a file."""


def at(place: str) -> Files:
    """Give the files at a path, or at a URL such as s3://bucket/folder; nothing is opened yet.

    Raises ImportError for a URL without the extra `s3`.
    """
    if "://" not in place:
        return Directory(Path(place))
    from lrs.buckets import Bucket

    return Bucket(place)


class Directory:
    """Files in a directory, which all hosts of one database must share."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, name: str, data: memoryview) -> None:
        """Write and sync under another name, then rename: a file of the right name is whole."""
        path = self._path(name)
        unfinished = path.with_name(f"{name}.{secrets.token_hex(8)}")
        with reached(OSError):
            self._make(path.parent)
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            _sync(path.parent)

    def read(self, name: str, start: int, length: int) -> bytes:
        """Give a piece of a file."""
        with reached(OSError), self._path(name).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def before(self, instant: datetime) -> Iterator[str]:
        """Give names, also of what a crash left unfinished."""
        for path in self._root.glob("??/*"):
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) < instant:
                yield path.name

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone is no error."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._root / name[:2] / name

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync(self._root)
            _sync(self._root.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def reached(*failures: type[Exception]) -> Iterator[None]:
    """Make Unavailable of what the place fails with."""
    try:
        yield
    except failures as err:
        log.error("the place for large attachments fails: %s", err)
        raise Unavailable("The place for large attachments does not answer. Nothing was stored; try later.") from err
