"""Who calls: HTTP Basic (xAPI 1.0.3, Communication 4.0), remembered for some seconds in each process."""

import hashlib
import json
import time
from dataclasses import dataclass, field

from flask import current_app, g, request

from lrs import credentials, settings
from lrs.credentials import Grant
from lrs.database import db
from lrs.errors import Forbidden, Rule, Unauthenticated
from lrs.store import Author
from lrs.xapi.terms import Term

REMEMBERED_SECONDS = 10.0
"""So long a revoked credential may still be taken: short for a person, long next to the requests of a busy client."""
_REMEMBERED = 1000
"""Credentials remembered at most, so that memory stays flat."""

WRITE = ("statements/write", "all")
READ = ("statements/read", "all/read", "all")
READ_MINE = "statements/read/mine"

_WHO = Rule(
    "every request but about carries a credential",
    "Communication 4.0",
    "Send HTTP Basic with a key and secret that `lrs-bridge credential create` printed and nobody revoked.",
)


@dataclass
class _Grants:
    """What this process has lately verified, by hash of the header: no secret stays in memory."""

    known: dict[bytes, tuple[float, Grant]] = field(default_factory=dict)

    def get(self, header: bytes) -> Grant | None:
        until, grant = self.known.get(header, (0.0, None))
        return grant if until > time.monotonic() else None

    def put(self, header: bytes, grant: Grant) -> None:
        if len(self.known) >= _REMEMBERED:
            self.known.clear()
        self.known[header] = (time.monotonic() + REMEMBERED_SECONDS, grant)


def authenticate() -> None:
    """Find out who calls, as `g.grant`; raises Unauthenticated."""
    grants: _Grants = current_app.extensions.setdefault("lrs-grants", _Grants())
    header = hashlib.sha256(request.headers.get("Authorization", "").encode()).digest()
    grant = grants.get(header)
    if grant is None:
        grant = _verify()
        grants.put(header, grant)
    g.grant = grant


def _verify() -> Grant:
    basic = request.authorization
    if basic is None or basic.type != "basic" or basic.username is None or basic.password is None:
        raise Unauthenticated("No credential was sent.", _WHO)
    secret_key = settings.current().secret_key
    grant = credentials.verify(db.session, basic.username, basic.password, secret_key=secret_key)
    # The connection goes back now: what comes next may be a body from a slow client.
    db.session.rollback()
    if grant is None:
        raise Unauthenticated("This credential is not known.", _WHO)
    return grant


def author() -> Author:
    """Give the caller as the author of statements; raises Forbidden when it may store none."""
    grant: Grant = g.grant
    _require(grant, *WRITE)
    account = {"homePage": settings.current().base_url, "name": grant.key}
    authority = {"objectType": "Agent", "name": grant.name, "account": account}
    term = Term("agent", f"account:{account['homePage']}|{account['name']}")
    return Author(grant.id, json.dumps(authority, ensure_ascii=False, separators=(",", ":")), term)


def reads_only_by() -> int | None:
    """Give the credential whose statements alone the caller may read; None for all. Raises Forbidden."""
    grant: Grant = g.grant
    _require(grant, *READ, READ_MINE)
    return None if grant.allows(*READ) else grant.id


def _require(grant: Grant, *scopes: str) -> None:
    if not grant.allows(*scopes):
        rule = Rule(
            "a credential does what its scopes say",
            "Communication 4.2",
            f"Use a credential with one of the scopes {', '.join(scopes)}.",
        )
        raise Forbidden(f"The credential {grant.name!r} may not do this.", rule)
