"""A complete xAPI LRS; knows nothing of CRM, mappings or reports.

This is its public face: other packages import nothing from further inside.
"""

from flask import Flask

from lrs import credentials, settings
from lrs.database import Base, Instant, TransactionId, db
from lrs.errors import LrsError, NotFound
from lrs.events import statements_stored
from lrs.horizon import StoredStatement, consistent_through, read_after
from lrs.models import Credential, Statement
from lrs.settings import Limit
from lrs.tokens import Provider, Verifier
from lrs.views import PREFIX, blueprint
from lrs.xapi.scopes import SCOPES
from lrs.xapi.structs import VOIDED

__all__ = [
    "PREFIX",
    "SCOPES",
    "VOIDED",
    "Base",
    "Credential",
    "Instant",
    "Limit",
    "LrsError",
    "NotFound",
    "Provider",
    "Statement",
    "StoredStatement",
    "TransactionId",
    "consistent_through",
    "credentials",
    "db",
    "init_app",
    "read_after",
    "statements_stored",
]


def init_app(
    app: Flask,
    *,
    base_url: str,
    secret_key: str,
    max_body_bytes: int,
    provider: Provider | None = None,
    limit: Limit | None = None,
) -> None:
    """Serve the LRS under `/xapi` of an app that `lrs.db` has been bound to; `lrs.settings` says what the rest is."""
    verifier = Verifier(provider) if provider else None
    settings.keep(
        app,
        settings.Settings(
            base_url=base_url, secret_key=secret_key, max_body_bytes=max_body_bytes, verifier=verifier, limit=limit
        ),
    )
    app.register_blueprint(blueprint())
