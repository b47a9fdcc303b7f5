"""The systems that reports are handed to: one module a type, all registered here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from marshmallow import Schema

from connectors.destinations import canvas, directory, lrs, moodle, s3, sftp
from connectors.destinations.reports import Column, ColumnType, Destination, Receipt, Report
from connectors.destinations.rows import RowDestination
from connectors.documents import Document, check_kind
from connectors.reach import Reach

__all__ = [
    "DESTINATIONS",
    "FORMS",
    "Column",
    "ColumnType",
    "Destination",
    "DestinationType",
    "Reaching",
    "Receipt",
    "Report",
    "load",
]


class DestinationType(Protocol):
    """What a type of destination registers: its `load`."""

    def __call__(self, document: Document, *, base: Path) -> Destination | RowDestination:
        """Give the destination that the document declares; raises ConfigError. Nothing is opened yet."""


@runtime_checkable
class Reaching(Protocol):
    """A destination that needs something of the world that only its caller has: secrets, a clock."""

    def reaching(self, reach: Reach) -> Self:
        """Give it with that."""


DESTINATIONS: Mapping[str, DestinationType] = {
    "canvas": canvas.load,
    "directory": directory.load,
    "lrs": lrs.load,
    "moodle": moodle.load,
    "s3": s3.load,
    "sftp": sftp.load,
}
"""The types, by the `type` of their documents."""

FORMS: Mapping[str, type[Schema]] = {
    "canvas": canvas.CanvasSchema,
    "directory": directory.DirectorySchema,
    "lrs": lrs.LrsSchema,
    "moodle": moodle.MoodleSchema,
    "s3": s3.S3Schema,
    "sftp": sftp.SftpSchema,
}
"""The keys of these documents, by the same names."""


def load(document: Document, *, base: Path, reach: Reach | None = None) -> Destination | RowDestination:
    """Give the destination that a `kind: destination` document declares, ready to take reports, or rows.

    `base` is the folder that relative paths start at. `reach` is used when something is sent, not before; without it
    only destinations that need no secret can be sent to. Raises ConfigError.
    """
    destination = DESTINATIONS[check_kind(document, "destination", DESTINATIONS)](document, base=base)
    return destination.reaching(reach) if reach is not None and isinstance(destination, Reaching) else destination
