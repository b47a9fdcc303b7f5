"""A destination that is a bucket: Amazon's, MinIO, Ceph and others; `sources.buckets` speaks with it.

An object is there whole or not at all, so nothing is ever left over. Each carries its SHA-256 beside it.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema

from connectors.destinations.files import Draft, Files, FilesSchema, Store, unnamed
from connectors.documents import Document, Text, TextList, say, validate
from connectors.errors import DestinationRefused
from connectors.reach import Reach
from connectors.sources import buckets, places


class S3Schema(FilesSchema):
    """The keys of a `type: s3` document."""

    path = Text(required=True)
    access = fields.Raw(load_default=None)
    allow_private = TextList(load_default=[])

    @validates_schema(skip_on_field_errors=False)
    def check_place(self, data: dict[str, Any], **_: object) -> None:
        """Refuse where nothing can be written, also where something else is wrong."""
        if {"path", "access", "allow_private"} <= data.keys():
            _bucket(data)

    @post_load
    def add_place(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Read where to, which several keys say together."""
        return {**data, "place": Bucket(_bucket(data))}


def _bucket(data: Mapping[str, Any]) -> places.Bucket:
    if not data["path"].startswith("s3://"):
        raise ValidationError(say("This is no s3:// address.", "Write it like s3://bucket/folder/."), "path")
    found = places.place(data["path"], data["access"], Path(), data["allow_private"], example="folder/")
    if not isinstance(found, places.Bucket):
        raise TypeError(found)
    if found.access_key_id is None:
        what, remedy = "Nobody may write without a login.", "Add `access_key_id` and `secret_access_key`."
        raise ValidationError(say(what, remedy), "access")
    return found


@dataclass(frozen=True, slots=True)
class Bucket:
    """The bucket, and the folder in it."""

    bucket: places.Bucket

    @property
    def shown(self) -> str:
        """Give its address."""
        return f"s3://{self.bucket.bucket}/{_folder(self.bucket.path)}"

    @contextmanager
    def store(self, reach: Reach) -> Iterator[Store]:
        """Get ready to ask."""
        with self.bucket.store(reach) as store:
            yield _Objects(store, _folder(self.bucket.path))


def load(document: Document, *, base: Path) -> Files:  # noqa: ARG001 - it has no paths of this machine
    """Give the destination that a document declares. Raises ConfigError."""
    data = validate(S3Schema(), document)
    return Files(name=data["name"], title=data["title"], formats=tuple(data["formats"]), place=data["place"])


def _folder(path: str) -> str:
    return f"{path.strip('/')}/" if path.strip("/") else ""


class _Objects:
    """The folder of the bucket, open."""

    draft = staticmethod(unnamed)

    def __init__(self, store: buckets.BucketStore, folder: str) -> None:
        self._store, self._folder = store, folder

    def sweep(self, names: Collection[str]) -> None:
        """Do nothing: there is nothing left over."""

    def holds(self, draft: Draft) -> bool:
        return self._store.holds(self._folder + draft.name, size=draft.size, sha256=draft.sha256)

    def stage(self, draft: Draft) -> None:
        """See to it that S3 takes it at once; there is no place beside it."""
        if draft.size > buckets.MAX_OBJECT:
            what = f"{draft.name} would have {draft.size} bytes, and S3 takes {buckets.MAX_OBJECT} at once."
            raise DestinationRefused(f"{what} Write it as parquet, or split the report.")

    def put(self, draft: Draft) -> None:
        self._store.put(
            self._folder + draft.name,
            draft.file,
            sha256=draft.sha256,
            content_type=draft.content_type,
        )
