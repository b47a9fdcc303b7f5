"""A destination that is a folder on an SFTP server: the extra `sftp`; `sources.sftp` speaks with it.

Files are written under a hidden name, looked at, and renamed in place of the old ones.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema

from connectors.destinations.files import FILE_MODE, Draft, Files, FilesSchema, Store, leftovers, unnamed
from connectors.documents import Document, Text, say, validate
from connectors.reach import Reach
from connectors.sources import places
from connectors.sources.sftp import SftpStore


class SftpSchema(FilesSchema):
    """The keys of a `type: sftp` document."""

    path = Text(required=True)
    access = fields.Raw(load_default=None)

    @validates_schema(skip_on_field_errors=False)
    def check_place(self, data: dict[str, Any], **_: object) -> None:
        """Refuse where nothing can be written, also where something else is wrong."""
        if {"path", "access"} <= data.keys():
            _server(data)

    @post_load
    def add_place(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Read where to, which several keys say together."""
        return {**data, "place": Server(_server(data))}


def _server(data: Mapping[str, Any]) -> places.Sftp:
    if not data["path"].startswith("sftp://"):
        what, remedy = "This is no sftp:// address.", "Write it like sftp://user@host/folder."
        raise ValidationError(say(what, remedy), "path")
    found = places.place(data["path"], data["access"], Path(), (), example="folder")
    if not isinstance(found, places.Sftp):
        raise TypeError(found)
    return found


@dataclass(frozen=True, slots=True)
class Server:
    """The server, and the folder there."""

    server: places.Sftp

    @property
    def shown(self) -> str:
        """Give its address, without the user."""
        return f"sftp://{self.server.host}/{self.server.path.strip('/')}"

    @contextmanager
    def store(self, reach: Reach) -> Iterator[Store]:
        """Log in, and make the folder, if need be."""
        folder = self.server.path.rstrip("/")  # after /~/ nothing is left: the user's home
        with self.server.store(reach) as store:
            store.make(folder)
            yield _Folder(store, folder)


def load(document: Document, *, base: Path) -> Files:  # noqa: ARG001 - it has no paths of this machine
    """Give the destination that a document declares. Raises ConfigError."""
    data = validate(SftpSchema(), document)
    return Files(name=data["name"], title=data["title"], formats=tuple(data["formats"]), place=data["place"])


class _Folder:
    """The folder, open."""

    draft = staticmethod(unnamed)

    def __init__(self, store: SftpStore, folder: str) -> None:
        self._store, self._folder = store, folder
        self._hidden: dict[str, str] = {}

    def sweep(self, names: Collection[str]) -> None:
        left = leftovers(names)
        for name in self._store.names(self._folder):
            if left.fullmatch(name):
                self._store.remove(self._path(name))

    def holds(self, draft: Draft) -> bool:
        return self._store.holds(self._path(draft.name), size=draft.size, sha256=draft.sha256)

    def stage(self, draft: Draft) -> None:
        self._hidden[draft.name] = hidden = self._path(f".{draft.name}.{secrets.token_hex(8)}.tmp")
        self._store.write(hidden, draft.file, size=draft.size, mode=FILE_MODE)

    def put(self, draft: Draft) -> None:
        self._store.rename(self._hidden[draft.name], self._path(draft.name))

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name
