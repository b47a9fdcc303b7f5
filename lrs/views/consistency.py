"""The header X-Experience-API-Consistent-Through (xAPI 1.0.3, Communication 2.1.3), on all that statements answers."""

import time
from contextlib import suppress
from datetime import datetime

import sqlalchemy.exc
from flask import Response, current_app, g
from psycopg import OperationalError

from lrs.database import db
from lrs.errors import Unavailable
from lrs.horizon import consistent_through
from lrs.xapi import times

HEADER = "X-Experience-API-Consistent-Through"

_REMEMBERED_SECONDS = 0.2
"""What was true stays true; so a busy writer need not ask for every answer."""


def look() -> None:
    """Find out up to when all can be read, before reading: asked later, it could promise what the answer lacks."""
    g.through = consistent_through(db.session)


def tell(response: Response) -> Response:
    """Add the header: what `look` found, or what somebody found a moment ago."""
    if response.status_code == Unavailable.status:
        return response  # the database that would know is away
    with suppress(OperationalError, sqlalchemy.exc.OperationalError):  # it went away meanwhile
        response.headers[HEADER] = times.to_text(g.get("through") or _lately())
    return response


def _lately() -> datetime:
    found: tuple[float, datetime] | None = current_app.extensions.get("lrs-consistent-through")
    if found is None or found[0] < time.monotonic():
        found = (time.monotonic() + _REMEMBERED_SECONDS, consistent_through(db.session))
        current_app.extensions["lrs-consistent-through"] = found
    return found[1]
