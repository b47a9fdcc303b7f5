"""Every word exchanged with someone else's API: where records are pulled from, where reports go, other LRSs."""

from collections.abc import Mapping

from marshmallow import Schema

from connectors import destinations, health, lrs, sources
from connectors.destinations import Column, Destination, Receipt, Report
from connectors.destinations import load as load_destination
from connectors.destinations.forms import lines as report_lines
from connectors.errors import (
    ConfigError,
    ConnectorError,
    DestinationError,
    DestinationRefused,
    DestinationUnavailable,
    Fault,
    SourceBroken,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from connectors.http import session as http_session
from connectors.secrets import Secrets
from connectors.sources import Page, Row, RowProblem, Source, State
from connectors.sources import load as load_source

__all__ = [
    "Column",
    "ConfigError",
    "ConnectorError",
    "Destination",
    "DestinationError",
    "DestinationRefused",
    "DestinationUnavailable",
    "Fault",
    "Page",
    "Receipt",
    "Report",
    "Row",
    "RowProblem",
    "Secrets",
    "Source",
    "SourceBroken",
    "SourceError",
    "SourceRefused",
    "SourceUnavailable",
    "State",
    "forms",
    "health",
    "http_session",
    "load_destination",
    "load_source",
    "lrs",
    "report_lines",
]


def forms() -> Mapping[str, Mapping[str, type[Schema]]]:
    """Give the schemas of documents by their kind and type, for editors."""
    return {"source": sources.FORMS, "destination": destinations.FORMS}
