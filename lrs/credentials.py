"""Credentials: who may call, and with which scopes (xAPI 1.0.3, Communication 4.0 and 4.2).

A secret has 256 random bits, so there is nothing to guess and no need for a slow hash: its HMAC is stored, keyed with
the app's secret key, so that a copy of the database alone lets nobody in.

Whoever comes with a token of an OpenID provider (`lrs.tokens`) gets a credential too, without a secret, so that
authority, statements/read/mine, revocation, limits and options are the same for both.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

from sqlalchemy import Update, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from lrs.errors import NotFound
from lrs.models import Credential
from lrs.tokens import Bearer

REMEMBERED_SECONDS = 1.0
"""So long a process takes a grant for granted: a change or revocation holds everywhere after this.

Next to nothing for a person; a busy client costs one look-up a second.
"""
USE_NOTED_SECONDS = 60
"""`last_used_at` is no more exact than this, so that reading costs no write."""

_SECRET_BYTES = 32
_KEY_BYTES = 12


class Options(TypedDict, total=False):
    """How the LRS treats a client; `lrs.models.Credential` says what each does."""

    lenient: bool
    partial: bool
    deduplicate_seconds: int | None
    requests_per_minute: int | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A key and its new secret, which is shown this once and cannot be read again."""

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
    last_used_at: datetime | None = field(default=None, compare=False)

    def allows(self, *scopes: str) -> bool:
        """Tell whether one of these scopes is held."""
        return not self.scopes.isdisjoint(scopes)


def create(
    session: Session, *, name: str, scopes: Iterable[str], secret_key: str, **options: Unpack[Options]
) -> Issued:
    """Issue a credential; scopes are not checked: some mean something only to whoever asks for them."""
    issued = Issued(key=_new_key(), secret=_new_secret())
    session.add(
        Credential(
            name=name,
            key=issued.key,
            secret_hash=_hash(issued.secret, secret_key),
            scopes=sorted(set(scopes)),
            **options,
        )
    )
    session.flush()
    return issued


def verify(session: Session, key: str, secret: str, *, secret_key: str) -> Grant | None:
    """Give what a key and secret grant; None when they do not match or are revoked."""
    in_force = select(Credential).where(Credential.key == key, Credential.revoked_at.is_(None))
    # Our keys are plain ASCII; PostgreSQL could not even be asked for one with a NUL in it.
    credential = session.scalar(in_force) if key.isascii() and key.isprintable() else None
    # Hashed and compared also for an unknown key, so that the time taken does not tell which keys exist.
    sent = _hash(secret, secret_key)
    matches = [hmac.compare_digest(sent, known) for known in _known_hashes(credential)]
    return _grant(credential, credential.scopes) if credential and any(matches) else None


def vouched_for(session: Session, bearer: Bearer) -> Grant | None:
    """Give what a verified token grants, and a credential to whoever comes with one for the first time.

    None when that credential is revoked. The scopes are the token's. Who has none of them is granted nothing, so gets
    no credential either.
    """
    if not bearer.scopes:
        return Grant(0, "", bearer.name, frozenset())
    known = select(Credential).where(Credential.issuer == bearer.issuer, Credential.subject == bearer.subject)
    credential = session.scalar(known)
    if credential is None:
        values = {"issuer": bearer.issuer, "subject": bearer.subject, "name": bearer.name, "key": _new_key()}
        # Nothing is done when another process has been first.
        session.execute(insert(Credential).values(**values, scopes=[]).on_conflict_do_nothing())
        credential = session.scalars(known).one()
    return None if credential.revoked_at else _grant(credential, bearer.scopes)


def note_use(session: Session, grant: Grant) -> bool:
    """Note that a credential is used, unless that has been noted lately; tells whether there is something to commit."""
    noted_since = datetime.now(UTC) - timedelta(seconds=USE_NOTED_SECONDS)
    if grant.id == 0 or (grant.last_used_at is not None and grant.last_used_at > noted_since):
        return False
    # Losing this one in a crash is no loss, and so nobody waits for the disk.
    session.execute(text("set local synchronous_commit = off"))
    session.execute(
        update(Credential).where(Credential.id == grant.id).values(last_used_at=func.now()),
        execution_options={"synchronize_session": False},
    )
    return True


def change(session: Session, key: str, *, scopes: Iterable[str] = (), **options: Unpack[Options]) -> None:
    """Change a credential in force: options that are given, scopes if there are any; raises NotFound."""
    values = {**options, "scopes": sorted(set(scopes))} if scopes else options
    if session.scalar(_in_force(key).values(**values).returning(Credential.id)) is None:
        raise _unknown(key)


def rotate(session: Session, key: str, *, grace_seconds: int = 0, secret_key: str) -> Issued:
    """Give a credential in force a new secret; the former is taken for so many seconds more. Raises NotFound.

    A secret that the former one replaced before is no longer taken.
    """
    issued = Issued(key=key, secret=_new_secret())
    rotated = session.scalar(
        _in_force(key)
        .where(Credential.secret_hash.is_not(None))
        .values(
            secret_hash=_hash(issued.secret, secret_key),
            former_secret_hash=Credential.secret_hash if grace_seconds else None,
            former_until=func.now() + timedelta(seconds=grace_seconds) if grace_seconds else None,
        )
        .returning(Credential.id)
    )
    if rotated is None:
        raise _unknown(key)
    return issued


def revoke(session: Session, key: str) -> None:
    """End a credential; for `REMEMBERED_SECONDS` more it may still be taken. Raises NotFound."""
    if session.scalar(_in_force(key).values(revoked_at=func.now()).returning(Credential.id)) is None:
        raise _unknown(key)


def _in_force(key: str) -> Update:
    return update(Credential).where(Credential.key == key, Credential.revoked_at.is_(None))


def _unknown(key: str) -> NotFound:
    return NotFound(f"There is no credential with the key {key!r} in force.")


def _known_hashes(credential: Credential | None) -> tuple[bytes, bytes]:
    """Give the hashes of the secrets that are taken, always two, so that comparing takes as long for everybody."""
    if credential is None or credential.secret_hash is None:
        return b"", b""
    former = credential.former_secret_hash or b""
    in_grace = credential.former_until is not None and credential.former_until > datetime.now(UTC)
    return credential.secret_hash, former if in_grace else b""


def _grant(credential: Credential, scopes: Iterable[str]) -> Grant:
    return Grant(
        credential.id,
        credential.key,
        credential.name,
        frozenset(scopes),
        lenient=credential.lenient,
        partial=credential.partial,
        deduplicate_seconds=credential.deduplicate_seconds,
        requests_per_minute=credential.requests_per_minute,
        last_used_at=credential.last_used_at,
    )


def _new_key() -> str:
    # A key never begins with a dash, which commands would take for an option.
    while (key := secrets.token_urlsafe(_KEY_BYTES)).startswith("-"):
        pass
    return key


def _new_secret() -> str:
    return secrets.token_urlsafe(_SECRET_BYTES)


def _hash(secret: str, secret_key: str) -> bytes:
    return hmac.digest(secret_key.encode(), secret.encode(), hashlib.sha256)
