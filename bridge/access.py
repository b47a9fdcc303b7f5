"""Who may look at reports: credentials with the scope `reports/read`, which no LMS needs and so none should have."""

import json
from pathlib import Path

import lrs
from bridge.app import secret_key
from lrs import db

REPORTS = "reports/read"
FIRST_SCOPES = ("all", REPORTS)
"""What the first credential of an installation may do; make narrower ones for each client."""


def first_credential(kept: Path) -> dict[str, str]:
    """Give the key and secret that `up` prints: those kept in the file while they are valid, else new ones."""
    try:
        known = json.loads(kept.read_text())
        pair = {"key": str(known["key"]), "secret": str(known["secret"])}
    except (OSError, ValueError, KeyError):
        pair = {}
    if pair and lrs.credentials.verify(db.session, **pair, secret_key=secret_key()):
        return pair
    issued = lrs.credentials.create(db.session, name="first start", scopes=FIRST_SCOPES, secret_key=secret_key())
    db.session.commit()
    return {"key": issued.key, "secret": issued.secret}


def may_read_reports(key: str, secret: str) -> bool:
    """Tell whether this key and secret open the report pages."""
    credential = lrs.credentials.verify(db.session, key=key, secret=secret, secret_key=secret_key())
    return credential is not None and REPORTS in credential.scopes
