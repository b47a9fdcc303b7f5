"""Who may see people's records and who may change who is who: scopes that no LMS needs and so none should have.

Which records a credential sees of all, `bridge.narrowing` says.
"""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

import lrs
from bridge import documents, narrowing
from bridge.context import secret_key
from bridge.errors import SettingsError, UnknownName
from bridge.narrowing import EVERYTHING, Limits, Narrowing
from bridge.times import utc_text
from lrs import Credential

REPORTS = "reports/read"
"""See reports, records and where each figure comes from."""
PEOPLE = "people/write"
"""Change who is who."""
PROGRAMS = "programs/write"
"""Change what a program is to change, and launch it."""
SCOPES = (*lrs.SCOPES, REPORTS, PEOPLE, PROGRAMS)
FIRST_SCOPES = ("all", REPORTS, PEOPLE, PROGRAMS)
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


def granted(session: Session, key: str, secret: str) -> lrs.credentials.Grant | None:
    """Give what this key and secret grant, and note that they are used; None when they do not hold."""
    grant = lrs.credentials.verify(session, key, secret, secret_key=secret_key())
    if grant is not None:
        lrs.credentials.note_use(session, grant)
    return grant


def may_read_reports(session: Session, key: str, secret: str) -> bool:
    """Tell whether this key and secret open the report pages."""
    grant = lrs.credentials.verify(session, key, secret, secret_key=secret_key())
    return grant is not None and grant.allows(REPORTS)


def still_may_read_reports(session: Session, key: str) -> bool:
    """Tell whether the key that somebody signed in with is still in force and still has the scope."""
    found = select(Credential.scopes).where(Credential.key == key, Credential.revoked_at.is_(None))
    return REPORTS in (session.scalar(found) or [])


def create(
    session: Session,
    name: str,
    scopes: Sequence[str],
    limits: Limits | None = None,
    **options: Unpack[lrs.credentials.Options],
) -> dict[str, object]:
    """Make a credential, narrowed to these limits; raises SettingsError for a scope that neither xAPI nor we know.

    Raises SettingsError and UnknownName also for limits that it cannot have.
    """
    _check(scopes)
    issued = lrs.credentials.create(session, name=name, scopes=scopes, secret_key=secret_key(), **options)
    made: dict[str, object] = {"name": name, "key": issued.key, "secret": issued.secret}
    return made | _narrow(session, issued.key, scopes, limits or {})


def everyone(session: Session) -> list[dict[str, object]]:
    """List the credentials, the newest first, without their secrets."""
    rows = session.scalars(select(Credential).order_by(Credential.id.desc())).all()
    seen = narrowing.of_all(session, [row.key for row in rows])
    return [_described(row, seen.get(row.key, EVERYTHING)) for row in rows]


def rotate(session: Session, key: str, grace_seconds: int) -> dict[str, str]:
    """Give a credential a new secret; raises UnknownName, and SettingsError for one that has no secret of ours."""
    row = _in_force(session, key)
    if row.secret_hash is None:
        raise SettingsError(f"{key!r} has no secret here: {row.issuer} vouches for it. Rotate its secret there.")
    issued = lrs.credentials.rotate(session, key, grace_seconds=grace_seconds, secret_key=secret_key())
    return {"name": row.name, "key": issued.key, "secret": issued.secret}


def change(
    session: Session,
    key: str,
    scopes: Sequence[str],
    limits: Limits | None = None,
    **options: Unpack[lrs.credentials.Options],
) -> dict[str, object]:
    """Change scopes, limits and options of a credential and describe it; raises UnknownName and SettingsError.

    Limits of a kind that is not given stay as they are; of one that is given without values, they go.
    """
    row = _in_force(session, key)
    if (scopes or limits) and row.issuer is not None:
        raise SettingsError(f"{key!r} has the scopes of its tokens, given by {row.issuer}. Change them there.")
    if not scopes and not options and not limits:
        raise SettingsError("Say what to change; `lrs-bridge credential change --help` lists what can be.")
    _check(scopes)
    if scopes or options:
        lrs.credentials.change(session, key, scopes=scopes, **options)
        session.refresh(row)
    told = _narrow(session, key, row.scopes, limits or {})
    return _described(row, narrowing.of(session, key)) | told


def revoke(session: Session, key: str) -> dict[str, object]:
    """End a credential and describe it; raises UnknownName."""
    row = _in_force(session, key)
    lrs.credentials.revoke(session, key)
    session.refresh(row)
    return _described(row, narrowing.of(session, key))


def _narrow(session: Session, key: str, scopes: Sequence[str], limits: Limits) -> dict[str, object]:
    """Narrow a credential; gives what it sees and what to know of that, nothing for one that sees everything."""
    narrowing.check(documents.current(session) if any(limits.values()) else None, limits)
    narrowing.narrow(session, key, limits)
    seen = narrowing.of(session, key)
    if not seen:
        return {}
    if set(scopes) != {REPORTS}:
        raise SettingsError(
            f"A credential that sees some programs, teams or courses alone has the scope {REPORTS} and no other: what "
            "other scopes open is not narrowed. Make one more credential for each other purpose."
        )
    notes = narrowing.notes(session, seen)
    return seen.told() | ({"notes": notes} if notes else {})


def _in_force(session: Session, key: str) -> Credential:
    found = session.scalar(select(Credential).where(Credential.key == key, Credential.revoked_at.is_(None)))
    if found is None:
        known = session.scalars(select(Credential.key).where(Credential.revoked_at.is_(None)))
        raise UnknownName("credential", key, known)
    return found


def _check(scopes: Sequence[str]) -> None:
    for scope in scopes:
        if scope not in SCOPES:
            near = difflib.get_close_matches(scope, SCOPES, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(SCOPES)}."
            raise SettingsError(f"There is no scope {scope!r}. {hint}")


def _described(row: Credential, seen: Narrowing) -> dict[str, object]:
    return {
        "name": row.name,
        "key": row.key,
        "scopes": " ".join(row.scopes) if row.issuer is None else "those of its tokens",
        **seen.told(),
        "issuer": row.issuer,
        "subject": row.subject,
        "lenient": row.lenient,
        "partial": row.partial,
        "deduplicate_seconds": row.deduplicate_seconds,
        "requests_per_minute": row.requests_per_minute,
        "created_at": utc_text(row.created_at),
        "last_used_at": utc_text(row.last_used_at),
        "former_secret_until": utc_text(row.former_until),
        "revoked_at": utc_text(row.revoked_at),
    }
