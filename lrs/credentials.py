"""Credentials: who may call, and with which scopes (xAPI 1.0.3, Communication 4.2).

A secret has 256 random bits, so there is nothing to guess and no need for a slow hash: its HMAC is stored, keyed with
the app's secret key, so that a copy of the database alone lets nobody in.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from lrs.errors import NotFound
from lrs.models import Credential

SCOPES = (
    "statements/write",
    "statements/read/mine",
    "statements/read",
    "state",
    "define",
    "profile",
    "all/read",
    "all",
)
"""The scopes of xAPI. A credential may hold others too, which mean something to whoever asks for them."""

_SECRET_BYTES = 32
_KEY_BYTES = 12


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential; the secret is shown this once and cannot be read again."""

    key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """A credential that has proved itself."""

    id: int
    key: str
    name: str
    scopes: frozenset[str]
    lenient: bool = False
    partial: bool = False
    deduplicate_seconds: int | None = None
    requests_per_minute: int | None = None

    def allows(self, *scopes: str) -> bool:
        """Tell whether one of these scopes is held."""
        return not self.scopes.isdisjoint(scopes)


def create(session: Session, *, name: str, scopes: Iterable[str], secret_key: str) -> Issued:
    """Issue a credential; scopes are not checked against `SCOPES`."""
    issued = Issued(key=secrets.token_urlsafe(_KEY_BYTES), secret=secrets.token_urlsafe(_SECRET_BYTES))
    session.add(
        Credential(name=name, key=issued.key, secret_hash=_hash(issued.secret, secret_key), scopes=sorted(set(scopes)))
    )
    session.flush()
    return issued


def verify(session: Session, key: str, secret: str, *, secret_key: str) -> Grant | None:
    """Give what a key and secret grant; None when they do not match or are revoked."""
    in_force = select(Credential).where(Credential.key == key, Credential.revoked_at.is_(None))
    # Our keys are plain ASCII; PostgreSQL could not even be asked for one with a NUL in it.
    credential = session.scalar(in_force) if key.isascii() and key.isprintable() else None
    # Hashed also for an unknown key, so that the time taken does not tell which keys exist.
    known = (credential.secret_hash if credential else None) or b""
    if not hmac.compare_digest(_hash(secret, secret_key), known) or credential is None:
        return None
    return Grant(
        credential.id,
        credential.key,
        credential.name,
        frozenset(credential.scopes),
        lenient=credential.lenient,
        partial=credential.partial,
        deduplicate_seconds=credential.deduplicate_seconds,
        requests_per_minute=credential.requests_per_minute,
    )


def revoke(session: Session, key: str) -> None:
    """End a credential; processes that have just seen it may take it for some seconds more (`lrs.views.auth`)."""
    revoked = session.scalar(
        update(Credential)
        .where(Credential.key == key, Credential.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(Credential.id)
    )
    if revoked is None:
        raise NotFound(f"There is no credential with the key {key!r} in force.")


def _hash(secret: str, secret_key: str) -> bytes:
    return hmac.digest(secret_key.encode(), secret.encode(), hashlib.sha256)
