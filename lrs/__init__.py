"""A complete xAPI LRS; knows nothing of CRM, mappings or reports.

This is its public face: other packages import nothing from further inside.
"""

from flask import Flask

from lrs import activities, attachments, credentials, erased, files, refused, removal, repaired, samples, settings
from lrs.database import POOL_EVENTS, Base, Instant, TransactionId, db
from lrs.errors import LrsError, NotFound
from lrs.events import statements_stored
from lrs.horizon import StoredStatement, consistent_through, read_after
from lrs.models import Credential, Reference, Statement
from lrs.settings import Limit
from lrs.tokens import Provider, Verifier
from lrs.views import PREFIX, blueprint
from lrs.xapi import erasing
from lrs.xapi.equality import equal
from lrs.xapi.scopes import SCOPES
from lrs.xapi.structs import VOIDED

__all__ = [
    "POOL_EVENTS",
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
    "Reference",
    "Statement",
    "StoredStatement",
    "TransactionId",
    "activities",
    "attachments",
    "consistent_through",
    "credentials",
    "db",
    "equal",
    "erased",
    "erasing",
    "files",
    "init_app",
    "read_after",
    "refused",
    "removal",
    "repaired",
    "samples",
    "statements_stored",
]


def init_app(
    app: Flask,
    *,
    base_url: str,
    secret_key: str,
    max_body_bytes: int,
    refused_max_bytes: int = refused.MAX_BYTES,
    refused_max_days: int = refused.MAX_DAYS,
    provider: Provider | None = None,
    limit: Limit | None = None,
    attachments: str | None = None,
) -> None:
    """Serve the LRS under `/xapi` of an app that `lrs.db` has been bound to; `lrs.settings` says what the rest is.

    `attachments`: a path or URL for the large ones (`lrs.files.at`).
    """
    verifier = Verifier(provider) if provider else None
    settings.keep(
        app,
        settings.Settings(
            base_url=base_url,
            secret_key=secret_key,
            max_body_bytes=max_body_bytes,
            refused_max_bytes=refused_max_bytes,
            refused_max_days=refused_max_days,
            verifier=verifier,
            limit=limit,
            files=files.at(attachments) if attachments else None,
        ),
    )
    app.register_blueprint(blueprint())
