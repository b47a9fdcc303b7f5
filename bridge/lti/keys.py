"""Our key pairs for LTI: the newest signs, and those before it are published until nobody holds what they signed.

The private halves lie encrypted among the tokens of sources (`bridge.tokens`). Launches need none of them: they are for
asking a platform for its rosters and for answering with links.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.orm import Session

from bridge.models import LtiKey
from bridge.tokens import TokenStore
from connectors import lti

PUBLISHED = timedelta(days=1)
"""So long after a rotation; what we sign is good for minutes, and platforms keep keys for hours."""


def signing(session: Session, tokens: TokenStore) -> lti.ToolKey:
    """Give the key that signs, made now if there is none; raises SourceRefused where keys cannot be kept."""
    newest = session.scalar(select(LtiKey).filter_by(retired_at=None).order_by(LtiKey.made_at.desc()).limit(1))
    if newest is None:
        return _made(session, tokens)
    kept = tokens.read(_token(newest.kid))
    if kept is None:  # the tokens were lost, or restored from before it was made
        return _made(session, tokens)
    return lti.ToolKey(newest.public_key, str(kept["private_key"]))


def rotate(session: Session, tokens: TokenStore, *, now: datetime) -> lti.ToolKey:
    """Make a new key that signs from now on; raises SourceRefused as `signing`."""
    session.execute(update(LtiKey).where(LtiKey.retired_at.is_(None)).values(retired_at=now))
    session.execute(delete(LtiKey).where(LtiKey.retired_at < now - PUBLISHED))
    return _made(session, tokens)


def published(session: Session, *, now: datetime) -> dict[str, Any]:
    """Give the public keys as platforms read them (RFC 7517)."""
    held = or_(LtiKey.retired_at.is_(None), LtiKey.retired_at >= now - PUBLISHED)
    return {"keys": [lti.jwk(row.public_key) for row in session.scalars(select(LtiKey).where(held))]}


def _made(session: Session, tokens: TokenStore) -> lti.ToolKey:
    """Make a key in a transaction of its own: a platform looks for it as soon as it sees what it signed."""
    key = lti.make_key()
    tokens.write(_token(key.kid), {"private_key": key.private})
    with session.get_bind().engine.begin() as connection:
        connection.execute(insert(LtiKey).values(kid=key.kid, public_key=key.public))
    return key


def _token(kid: str) -> str:
    return f"lti key {kid}"
