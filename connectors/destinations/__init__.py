"""The systems that reports are handed to: one module a type, all registered here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from marshmallow import Schema

from connectors.destinations import directory
from connectors.destinations.reports import Column, Destination, Receipt, Report
from connectors.documents import Document, check_kind

__all__ = ["DESTINATIONS", "FORMS", "Column", "Destination", "DestinationType", "Receipt", "Report", "load"]


class DestinationType(Protocol):
    """What a type of destination registers: its `load`."""

    def __call__(self, document: Document, *, base: Path) -> Destination:
        """Give the destination that the document declares; raises ConfigError. Nothing is opened yet."""


DESTINATIONS: Mapping[str, DestinationType] = {"directory": directory.load}
"""The types, by the `type` of their documents."""

FORMS: Mapping[str, type[Schema]] = {"directory": directory.DirectorySchema}
"""The keys of these documents, by the same names."""


def load(document: Document, *, base: Path) -> Destination:
    """Give the destination that a `kind: destination` document declares, ready to take reports.

    `base` is the folder that relative paths start at. Raises ConfigError.
    """
    return DESTINATIONS[check_kind(document, "destination", DESTINATIONS)](document, base=base)
