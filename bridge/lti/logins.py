"""Logins that are under way: from the moment when a platform sends a browser until it launches us.

The rules guarded here:

- A state is good for one launch, by the browser that began the login, within its time: whoever takes its row away is
  the one, however many processes are asked at once.
- The nonce is that of this one login; a message with another one is of another login, or made up.
- Secrets are kept as hashes.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from bridge.models import LtiLogin, LtiPlatform
from connectors import lti

LASTS = timedelta(minutes=5)
"""A browser is through in seconds, but for who has to sign in to the platform first."""


@dataclass(frozen=True, slots=True)
class Login:
    """A login as it is begun."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    browser: str = field(repr=False)
    """What the browser keeps, and shows when it comes back."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A login whose launch is being looked at."""

    platform: LtiPlatform
    nonce: str = field(repr=False)


def begin(session: Session, platform: LtiPlatform, sent: Mapping[str, str], *, now: datetime) -> Login:
    """Write down that a login has begun; `sent` is what would begin it once more."""
    session.execute(delete(LtiLogin).where(LtiLogin.expires_at <= now))
    made = Login(f"state-{_random()}", _random(), _random())
    session.add(
        LtiLogin(
            state_hash=digest(made.state),
            browser_hash=digest(made.browser),
            nonce=made.nonce,
            platform_id=platform.id,
            sent=dict(sent),
            expires_at=now + LASTS,
        )
    )
    return made


def sent(session: Session, state: str, *, now: datetime) -> tuple[LtiPlatform, dict[str, str]]:
    """Give (platform, what began it) of a login that waits; it goes on waiting. Raises lti.LaunchRefused."""
    waiting = select(LtiLogin).where(LtiLogin.state_hash == digest(state), LtiLogin.expires_at > now)
    row = session.scalar(waiting)
    if row is None:
        raise _unknown()
    platform = session.get_one(LtiPlatform, row.platform_id)
    return platform, row.sent


def take(session: Session, state: str, browser: str, *, now: datetime) -> Taken:
    """Take a login away and give what its message must hold; raises lti.LaunchRefused."""
    mine = (LtiLogin.state_hash == digest(state)) & (LtiLogin.browser_hash == digest(browser))
    taken = delete(LtiLogin).where(mine, LtiLogin.expires_at > now).returning(LtiLogin.platform_id, LtiLogin.nonce)
    row = session.execute(taken).one_or_none()
    if row is None:
        raise _unknown()
    return Taken(session.get_one(LtiPlatform, row.platform_id), row.nonce)


def digest(secret: str) -> bytes:
    """Give what of a secret is kept; it has 256 random bits, so that nothing slower is needed."""
    return hashlib.sha256(secret.encode()).digest()


def _random() -> str:
    return secrets.token_urlsafe(32)


def _unknown() -> lti.LaunchRefused:
    return lti.LaunchRefused(
        "This launch was not begun in this browser, was used before, or took too long. Open the page again from your "
        "course."
    )
