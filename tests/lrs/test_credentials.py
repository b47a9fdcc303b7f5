"""Credentials: xAPI 1.0.3, Communication 4."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from lrs import credentials
from lrs.errors import NotFound
from lrs.models import Credential

SECRET_KEY = "of the app"


def test_secret_is_verified_and_never_stored(session: Session) -> None:
    issued = credentials.create(session, name="Moodle", scopes=["all", "reports/read"], secret_key=SECRET_KEY)

    grant = credentials.verify(session, issued.key, issued.secret, secret_key=SECRET_KEY)
    row = session.scalars(select(Credential)).one()

    assert grant
    assert grant.name == "Moodle"
    assert grant.allows("reports/read")
    assert not grant.allows("statements/read")
    assert issued.secret.encode() not in row.secret_hash
    assert issued.secret not in repr(issued)


@pytest.mark.parametrize(
    ("key", "secret", "secret_key"),
    [
        ("{key}", "wrong", SECRET_KEY),
        ("{key}", "", SECRET_KEY),
        ("wrong", "{secret}", SECRET_KEY),
        ("{key}\0", "{secret}", SECRET_KEY),
        ("Ä", "Ö", SECRET_KEY),
        ("{key}", "{secret}", "of another app"),
    ],
)
def test_anything_else_is_not(session: Session, key: str, secret: str, secret_key: str) -> None:
    issued = credentials.create(session, name="Moodle", scopes=["all"], secret_key=SECRET_KEY)
    key, secret = (text.format(key=issued.key, secret=issued.secret) for text in (key, secret))

    assert credentials.verify(session, key, secret, secret_key=secret_key) is None


def test_revoked_credential_grants_nothing(session: Session) -> None:
    issued = credentials.create(session, name="Moodle", scopes=["all"], secret_key=SECRET_KEY)

    credentials.revoke(session, issued.key)

    assert credentials.verify(session, issued.key, issued.secret, secret_key=SECRET_KEY) is None
    with pytest.raises(NotFound):
        credentials.revoke(session, issued.key)
