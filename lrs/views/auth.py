"""Who calls, and whether they may: HTTP Basic (xAPI 1.0.3, Communication 4.0) or a bearer token, then scopes (4.2).

Verified grants are remembered for a second in each process, so that a busy client costs no SQL.
"""

import hashlib
import math
import time
from dataclasses import dataclass, field

from flask import current_app, g, request

from lrs import authors, credentials, settings
from lrs.credentials import Grant
from lrs.database import db
from lrs.errors import Forbidden, Rule, TooManyRequests, Unauthenticated
from lrs.store import Author
from lrs.xapi import scopes

_REMEMBERED = 1000
"""Credentials remembered at most, so that memory stays flat."""
_UNKNOWN = "xapi.unknown"
"""Where every path leads that is no resource; it answers 404, whatever the scopes."""

_WHO = Rule(
    "every request but about carries a credential",
    "Communication 4.0",
    "Send HTTP Basic with a key and secret that `lrs-bridge credential create` printed and nobody revoked.",
)
_PACE = Rule("a credential has its number of requests a minute", None, "Wait as long as Retry-After says.")


@dataclass
class _Grants:
    """What this process has lately verified, by hash of the header: no secret stays in memory."""

    known: dict[bytes, tuple[float, Grant]] = field(default_factory=dict)

    def get(self, header: bytes) -> Grant | None:
        until, grant = self.known.get(header, (0.0, None))
        return grant if until > time.monotonic() else None

    def put(self, header: bytes, grant: Grant, seconds: float) -> None:
        if len(self.known) >= _REMEMBERED:
            self.known.clear()
        self.known[header] = (time.monotonic() + seconds, grant)


def authenticate() -> None:
    """Find out who calls, as `g.grant`; raises Unauthenticated, Forbidden and TooManyRequests."""
    grants: _Grants = current_app.extensions.setdefault("lrs-grants", _Grants())
    header = hashlib.sha256(request.headers.get("Authorization", "").encode()).digest()
    grant = grants.get(header)
    if grant is None:
        grant, seconds = _verify()
        grants.put(header, grant, seconds)
    g.grant = grant
    _slow_down(grant)
    _authorize(grant)


def author() -> Author:
    """Give the caller as the author of statements."""
    grant: Grant = g.grant
    return authors.author(grant.id, grant.key, grant.name, grant.scopes, base_url=settings.current().base_url)


def reads_only_by() -> int | None:
    """Give the credential whose statements alone the caller may read (scope statements/read/mine); None for all."""
    grant: Grant = g.grant
    return None if grant.allows(*scopes.READ) else grant.id


def _verify() -> tuple[Grant, float]:
    """Give what the request's credential grants, and for how many seconds that may be remembered."""
    seconds = credentials.REMEMBERED_SECONDS
    sent = request.authorization
    verifier = settings.current().verifier
    if sent is not None and sent.type == "basic" and sent.username is not None and sent.password is not None:
        secret_key = settings.current().secret_key
        grant = credentials.verify(db.session, sent.username, sent.password, secret_key=secret_key)
    elif sent is not None and sent.type == "bearer" and sent.token and verifier:
        bearer = verifier.read(sent.token)
        grant = credentials.vouched_for(db.session, bearer)
        seconds = min(seconds, bearer.expires_at - time.time())
    else:
        raise Unauthenticated("No credential was sent.", _WHO)
    if grant is None:
        raise Unauthenticated("This credential is not known, or revoked.", _WHO)
    credentials.note_use(db.session, grant)
    # The connection goes back now: what comes next may be a body from a slow client.
    db.session.commit()
    return grant, seconds


def _authorize(grant: Grant) -> None:
    """Ask the table of scopes; what it has no word of is refused, whatever the scopes."""
    if request.endpoint == _UNKNOWN:
        return
    resource = (request.blueprint or "").rpartition(".")[2]
    enough = scopes.allowing(resource, request.method)
    if grant.allows(*enough):
        return
    rule = Rule(
        "a credential does what its scopes say",
        "Communication 4.2",
        f"Use a credential with one of the scopes {', '.join(enough)}." if enough else "No scope allows it.",
    )
    raise Forbidden(f"The credential {grant.name!r} may not {request.method} {request.path}.", rule, scopes=enough)


def _slow_down(grant: Grant) -> None:
    limit = settings.current().limit
    if grant.requests_per_minute is None or limit is None:
        return
    seconds = limit(grant.id, grant.requests_per_minute)
    if seconds > 0:
        error = f"The credential {grant.name!r} has used up its {grant.requests_per_minute} requests a minute."
        raise TooManyRequests(error, _PACE, retry_after_seconds=math.ceil(seconds))
