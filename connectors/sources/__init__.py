"""The systems that performance records are pulled from: one module a type, all registered here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from marshmallow import Schema

from connectors.documents import Document, check_kind
from connectors.reach import Reach
from connectors.sources import csv, json, live_events, rest, sql, starters, vendors, webhooks, xapi
from connectors.sources.live_events import Event as LiveEvent
from connectors.sources.live_events import LiveEventsSource
from connectors.sources.rows import (
    PAGE_SIZE,
    Backfillable,
    Fetchable,
    Finding,
    Page,
    Reaching,
    Row,
    RowProblem,
    Source,
    State,
    Sweep,
)
from connectors.sources.signatures import Delivery, Unverified
from connectors.sources.webhooks import WebhookSource

__all__ = [
    "FORMS",
    "PAGE_SIZE",
    "SOURCES",
    "Backfillable",
    "Delivery",
    "Fetchable",
    "Finding",
    "LiveEvent",
    "LiveEventsSource",
    "Page",
    "Reaching",
    "Row",
    "RowProblem",
    "Source",
    "SourceType",
    "State",
    "Sweep",
    "Unverified",
    "WebhookSource",
    "load",
    "starter",
]


class SourceType(Protocol):
    """What a type of source registers: its `load`."""

    def __call__(self, document: Document, *, base: Path) -> Source:
        """Give the source that the document declares; raises ConfigError. Nothing is opened yet."""


SOURCES: Mapping[str, SourceType] = {
    "csv": csv.load,
    "json": json.load,
    "live_events": live_events.load,
    "rest": rest.load,
    "sql": sql.load,
    "webhook": webhooks.load,
    "xapi": xapi.load,
    **dict.fromkeys(vendors.VENDORS, vendors.load),
}
"""The types, by the `type` of their documents."""

FORMS: Mapping[str, type[Schema]] = {
    "csv": csv.CsvSchema,
    "json": json.JsonSchema,
    "live_events": live_events.LiveEventsSchema,
    "rest": rest.RestSchema,
    "sql": sql.SqlSchema,
    "webhook": webhooks.WebhookSchema,
    "xapi": xapi.XapiSchema,
    **dict.fromkeys(vendors.VENDORS, vendors.VendorSchema),
}
"""The keys of these documents, by the same names."""


def load(document: Document, *, base: Path, reach: Reach | None = None) -> Source:
    """Give the source that a `kind: source` document declares, ready to be pulled.

    `base` is the folder that relative paths start at: the one of the YAML file. `reach` is used when a pull
    needs it, not before; without it only sources that need no secret can be pulled. Raises ConfigError.
    """
    source = SOURCES[check_kind(document, "source", SOURCES)](document, base=base)
    return source.reaching(reach) if reach is not None and isinstance(source, Reaching) else source


def starter(type_: str, *, name: str | None = None, stream: str | None = None) -> str:
    """Give a document of a type to begin with, as YAML with comments; of a vendor, for one of its streams.

    Raises ConfigError for a type, name or stream that there is not.
    """
    return starters.write(type_, SOURCES, name=name, stream=stream)
