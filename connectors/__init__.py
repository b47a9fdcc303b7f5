"""Every word exchanged with someone else's API: where records are pulled from, where reports go, other LRSs."""

from collections.abc import Mapping

from marshmallow import Schema

from connectors import destinations, health, lrs, sources
from connectors.destinations import Column, ColumnType, Destination, Receipt, Report
from connectors.destinations import load as load_destination
from connectors.destinations.forms import lines as report_lines
from connectors.destinations.lrs import Lrs as LrsDestination
from connectors.destinations.rows import FEEDS, Answer, Held, Outcome, RowDestination
from connectors.destinations.rows import Row as OutgoingRow
from connectors.errors import (
    ConfigError,
    ConnectorError,
    DestinationError,
    DestinationRefused,
    DestinationUnavailable,
    Fault,
    LoginRefused,
    SourceBroken,
    SourceError,
    SourceRefused,
    SourceUnavailable,
)
from connectors.http import session as http_session
from connectors.keys import KeySets
from connectors.lms import Completion, Completions, Person, Resends
from connectors.logins import LoggedIn, Login
from connectors.logins import begin as begin_login
from connectors.reach import Buckets, Reach, Tokens, TokenStore
from connectors.secrets import Secrets
from connectors.sources import (
    Backfillable,
    Delivery,
    Fetchable,
    Finding,
    LiveEvent,
    LiveEventsSource,
    Page,
    Row,
    RowProblem,
    Source,
    State,
    Sweep,
    Unverified,
    WebhookSource,
)
from connectors.sources import load as load_source
from connectors.sources import starter as source_starter

__all__ = [
    "FEEDS",
    "Answer",
    "Backfillable",
    "Buckets",
    "Column",
    "ColumnType",
    "Completion",
    "Completions",
    "ConfigError",
    "ConnectorError",
    "Delivery",
    "Destination",
    "DestinationError",
    "DestinationRefused",
    "DestinationUnavailable",
    "Fault",
    "Fetchable",
    "Finding",
    "Held",
    "KeySets",
    "LiveEvent",
    "LiveEventsSource",
    "LoggedIn",
    "Login",
    "LoginRefused",
    "LrsDestination",
    "Outcome",
    "OutgoingRow",
    "Page",
    "Person",
    "Reach",
    "Receipt",
    "Report",
    "Resends",
    "Row",
    "RowDestination",
    "RowProblem",
    "Secrets",
    "Source",
    "SourceBroken",
    "SourceError",
    "SourceRefused",
    "SourceUnavailable",
    "State",
    "Sweep",
    "TokenStore",
    "Tokens",
    "Unverified",
    "WebhookSource",
    "begin_login",
    "forms",
    "health",
    "http_session",
    "load_destination",
    "load_source",
    "lrs",
    "report_lines",
    "source_starter",
]


def forms() -> Mapping[str, Mapping[str, type[Schema]]]:
    """Give the schemas of documents by their kind and type, for editors."""
    return {"source": sources.FORMS, "destination": destinations.FORMS}
