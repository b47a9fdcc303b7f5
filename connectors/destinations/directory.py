"""A destination that is a folder of this machine, for people with spreadsheets and for programs.

A file is replaced as a whole, by a rename, and only when its bytes change: nothing in it tells when it was written.
"""

import errno
import filecmp
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO

from marshmallow import ValidationError, validates

from connectors.destinations.files import FILE_MODE, Draft, Files, FilesSchema, Store, leftovers
from connectors.documents import Document, Text, say, validate
from connectors.errors import DestinationRefused, DestinationUnavailable
from connectors.reach import Reach


class DirectorySchema(FilesSchema):
    """The keys of a `type: directory` document."""

    path = Text(required=True)

    @validates("path")
    def check_path(self, value: str, **_: object) -> None:
        """Refuse a relative path that leads out of the folder that it starts at."""
        if not Path(value).is_absolute() and ".." in Path(value).parts:
            raise ValidationError(
                [
                    say(
                        f"{value!r} leads out of the data directory.",
                        "Name a folder in it, or write the whole path from / on.",
                    )
                ]
            )


@dataclass(frozen=True, slots=True)
class Directory:
    """The folder."""

    path: Path
    within: Path | None
    """Where the path must still be when links have been followed; None: anywhere."""

    @property
    def shown(self) -> str:
        """Give the path."""
        return str(self.path)

    @contextmanager
    def store(self, reach: Reach) -> Iterator[Store]:  # noqa: ARG002 - needs nothing of it
        """Make the folder, if need be."""
        if self.within is not None and not self.path.resolve().is_relative_to(self.within.resolve()):
            raise DestinationRefused(
                f"{self.path} is a link that leads out of {self.within}. If so meant, write the whole path from / on."
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            yield _Folder(self.path)
        except OSError as err:
            raise _told(err, self.path) from err


def load(document: Document, *, base: Path) -> Files:
    """Give the destination that a document declares; its relative path starts at `base`. Raises ConfigError."""
    data = validate(DirectorySchema(), document)
    path = Path(data["path"])
    return Files(
        name=data["name"],
        title=data["title"],
        formats=tuple(data["formats"]),
        place=Directory(path=base / path, within=None if path.is_absolute() else base),
    )


class _Folder:
    """The folder, open."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def sweep(self, names: Collection[str]) -> None:
        left = leftovers(names)
        for one in self._path.iterdir():
            if left.fullmatch(one.name):
                one.unlink(missing_ok=True)

    @contextmanager
    def draft(self, name: str) -> Iterator[BinaryIO]:
        with NamedTemporaryFile("w+b", dir=self._path, prefix=f".{name}.", suffix=".tmp", delete=False) as file:
            try:
                yield file  # type: ignore[misc]  # a wrapper that is a BinaryIO in all but name
            finally:
                Path(file.name).unlink(missing_ok=True)

    def holds(self, draft: Draft) -> bool:
        target = self._path / draft.name
        return target.exists() and filecmp.cmp(draft.file.name, target, shallow=False)

    def stage(self, draft: Draft) -> None:
        """See to it that a crash from here on leaves the old file or the new one, never an empty one."""
        os.fchmod(draft.file.fileno(), FILE_MODE)
        os.fsync(draft.file.fileno())

    def put(self, draft: Draft) -> None:
        Path(draft.file.name).replace(self._path / draft.name)
        folder = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _told(err: OSError, path: Path) -> DestinationRefused | DestinationUnavailable:
    match err:
        case PermissionError() | OSError(errno=errno.EROFS):
            return DestinationRefused(
                f"{path} may not be written to by this user. Give it permission, or name another."
            )
        case NotADirectoryError() | FileExistsError():
            return DestinationRefused(f"{path} is not a folder. Name one in `path`.")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return DestinationUnavailable(f"There is no room for the reports in {path}. Free some.")
        case _:
            return DestinationUnavailable(f"{path} cannot be written to: {err.strerror or err}.")
