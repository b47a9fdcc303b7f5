"""Who may look at reports: credentials with the scope `reports/read`, which no LMS needs and so none should have."""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

import lrs
from bridge.context import secret_key
from bridge.errors import SettingsError, UnknownName
from bridge.times import utc_text
from lrs import Credential

REPORTS = "reports/read"
SCOPES = (*lrs.SCOPES, REPORTS)
FIRST_SCOPES = ("all", REPORTS)
"""What the first credential of an installation may do; make narrower ones for each client."""


def kept_credential(session: Session, kept: Path) -> dict[str, str] | None:
    """Give the key and secret that a file holds, while they are valid."""
    try:
        known = json.loads(kept.read_text())
        pair = {"key": str(known["key"]), "secret": str(known["secret"])}
    except (OSError, ValueError, KeyError):
        return None
    return pair if lrs.credentials.verify(session, **pair, secret_key=secret_key()) else None


def first_credential(session: Session) -> dict[str, str]:
    """Make the credential that `up` prints at the first start."""
    issued = lrs.credentials.create(session, name="first start", scopes=FIRST_SCOPES, secret_key=secret_key())
    return {"key": issued.key, "secret": issued.secret}


def may_read_reports(session: Session, key: str, secret: str) -> bool:
    """Tell whether this key and secret open the report pages."""
    grant = lrs.credentials.verify(session, key, secret, secret_key=secret_key())
    return grant is not None and grant.allows(REPORTS)


def still_may_read_reports(session: Session, key: str) -> bool:
    """Tell whether the key that somebody signed in with is still in force and still has the scope."""
    found = select(Credential.scopes).where(Credential.key == key, Credential.revoked_at.is_(None))
    return REPORTS in (session.scalar(found) or [])


def create(session: Session, name: str, scopes: Sequence[str]) -> dict[str, str]:
    """Make a credential; raises SettingsError for a scope that neither xAPI nor we know."""
    for scope in scopes:
        if scope not in SCOPES:
            near = difflib.get_close_matches(scope, SCOPES, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(SCOPES)}."
            raise SettingsError(f"There is no scope {scope!r}. {hint}")
    issued = lrs.credentials.create(session, name=name, scopes=scopes, secret_key=secret_key())
    return {"name": name, "key": issued.key, "secret": issued.secret}


def everyone(session: Session) -> list[dict[str, str | None]]:
    """List the credentials, the newest first, without their secrets."""
    rows = session.scalars(select(Credential).order_by(Credential.id.desc()))
    return [
        {
            "name": row.name,
            "key": row.key,
            "scopes": " ".join(row.scopes),
            "created_at": utc_text(row.created_at),
            "revoked_at": utc_text(row.revoked_at),
        }
        for row in rows
    ]


def revoke(session: Session, key: str) -> None:
    """End a credential; raises UnknownName."""
    try:
        lrs.credentials.revoke(session, key)
    except lrs.NotFound as error:
        raise UnknownName("credential", key, session.scalars(select(Credential.key))) from error
