"""Credentials: xAPI 1.0.3, Communication 4."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

import lrs
from lrs import credentials
from lrs.errors import NotFound
from lrs.models import Credential
from lrs.tokens import Bearer

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


def test_a_key_never_looks_like_an_option(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    given = iter(["-starts-so", "good", "secret"])
    monkeypatch.setattr(credentials.secrets, "token_urlsafe", lambda _: next(given))

    assert credentials.create(session, name="Moodle", scopes=["all"], secret_key=SECRET_KEY).key == "good"


# --- rotation ------------------------------------------------------------------------------------------------------


def verified(session: Session, issued: credentials.Issued) -> bool:
    return credentials.verify(session, issued.key, issued.secret, secret_key=SECRET_KEY) is not None


@pytest.fixture
def issued(session: Session) -> credentials.Issued:
    return credentials.create(session, name="Moodle", scopes=["all"], secret_key=SECRET_KEY)


def test_a_new_secret_ends_the_old_one_under_the_same_key(session: Session, issued: credentials.Issued) -> None:
    rotated = credentials.rotate(session, issued.key, secret_key=SECRET_KEY)

    assert rotated.key == issued.key
    assert verified(session, rotated)
    assert not verified(session, issued)


def test_in_grace_both_are_taken_and_then_the_new_one_alone(session: Session, issued: credentials.Issued) -> None:
    rotated = credentials.rotate(session, issued.key, grace_seconds=60, secret_key=SECRET_KEY)
    assert verified(session, rotated)
    assert verified(session, issued)

    session.execute(update(Credential).values(former_until=func.now() - timedelta(seconds=1)))

    assert verified(session, rotated)
    assert not verified(session, issued)


def test_a_second_rotation_ends_the_first_secret_at_once(session: Session, issued: credentials.Issued) -> None:
    second = credentials.rotate(session, issued.key, grace_seconds=60, secret_key=SECRET_KEY)
    third = credentials.rotate(session, issued.key, grace_seconds=60, secret_key=SECRET_KEY)

    assert [verified(session, one) for one in (issued, second, third)] == [False, True, True]

    leaked = credentials.rotate(session, issued.key, secret_key=SECRET_KEY)
    assert [verified(session, one) for one in (second, third, leaked)] == [False, False, True]


def test_in_grace_a_revoked_credential_is_revoked(session: Session, issued: credentials.Issued) -> None:
    rotated = credentials.rotate(session, issued.key, grace_seconds=60, secret_key=SECRET_KEY)

    credentials.revoke(session, issued.key)

    assert not verified(session, rotated)
    assert not verified(session, issued)
    with pytest.raises(NotFound):
        credentials.rotate(session, issued.key, secret_key=SECRET_KEY)


def test_an_empty_hash_is_no_secret(session: Session, issued: credentials.Issued) -> None:
    """A credential without a former secret must not take whatever hashes to nothing."""
    assert credentials.verify(session, issued.key, "", secret_key=SECRET_KEY) is None


# --- options -------------------------------------------------------------------------------------------------------


def test_a_new_credential_is_strict_and_without_limits(session: Session, issued: credentials.Issued) -> None:
    grant = credentials.verify(session, issued.key, issued.secret, secret_key=SECRET_KEY)

    assert grant
    assert (grant.lenient, grant.partial, grant.deduplicate_seconds, grant.requests_per_minute) == (
        False,
        False,
        None,
        None,
    )


def test_a_change_changes_what_it_names_and_nothing_else(session: Session, issued: credentials.Issued) -> None:
    credentials.change(session, issued.key, lenient=True, requests_per_minute=60)
    credentials.change(session, issued.key, scopes=["state", "profile"], deduplicate_seconds=30)

    grant = credentials.verify(session, issued.key, issued.secret, secret_key=SECRET_KEY)

    assert grant
    assert (grant.lenient, grant.requests_per_minute, grant.deduplicate_seconds) == (True, 60, 30)
    assert grant.scopes == {"state", "profile"}


def test_only_a_credential_in_force_can_be_changed(session: Session, issued: credentials.Issued) -> None:
    credentials.revoke(session, issued.key)

    for key in (issued.key, "unknown"):
        with pytest.raises(NotFound):
            credentials.change(session, key, lenient=True)


# --- callers with tokens -------------------------------------------------------------------------------------------

BEARER = Bearer("https://login.example.com", "7", "Quiz", frozenset({"state"}), 2e9)


def test_who_is_vouched_for_is_one_credential_for_ever(session: Session) -> None:
    first = credentials.vouched_for(session, BEARER)
    again = credentials.vouched_for(session, dataclasses.replace(BEARER, scopes=frozenset({"all"}), name="Renamed"))
    other = credentials.vouched_for(session, dataclasses.replace(BEARER, issuer="https://other.example.com"))

    assert first
    assert again
    assert other
    assert (first.id, first.key, first.name) == (again.id, again.key, again.name)
    assert (first.scopes, again.scopes) == ({"state"}, {"all"})
    assert other.id != first.id


def test_nobody_signs_in_as_a_caller_with_tokens(session: Session) -> None:
    grant = credentials.vouched_for(session, BEARER)

    assert grant
    for secret in ("", "None", "7"):
        assert credentials.verify(session, grant.key, secret, secret_key=SECRET_KEY) is None
    with pytest.raises(NotFound):
        credentials.rotate(session, grant.key, secret_key=SECRET_KEY)


def test_options_and_revocation_hold_for_a_caller_with_tokens(session: Session) -> None:
    grant = credentials.vouched_for(session, BEARER)
    assert grant
    credentials.change(session, grant.key, lenient=True)
    changed = credentials.vouched_for(session, BEARER)
    credentials.revoke(session, grant.key)

    assert changed
    assert changed.lenient
    assert credentials.vouched_for(session, BEARER) is None


def test_two_first_requests_at_once_make_one_credential(app: Flask, session: Session) -> None:
    def come() -> str:
        with app.app_context():
            grant = credentials.vouched_for(lrs.db.session, BEARER)
            assert grant
            return grant.key

    first = credentials.vouched_for(session, BEARER)
    assert first
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(come)
        while not session.scalar(text("select count(*) from pg_locks where not granted")):
            time.sleep(0.01)  # the second is about to write what the first has written and not committed
        session.commit()

        assert second.result(10) == first.key
