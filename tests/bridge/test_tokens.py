"""Kept tokens: encrypted, committed at once, one writer at a time."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge import tokens as kept
from bridge import up
from bridge.errors import SettingsError
from bridge.models import SourceToken
from bridge.settings import NEW_TOKEN_KEY, Settings
from bridge.tokens import TokenStore
from connectors import SourceRefused, SourceUnavailable
from lrs import db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
CANARY = "canary-3c1f"
TOKENS = {"refresh_token": CANARY, "access_token": "a", "expires_at": "2026-11-20T12:00:00Z", "scope": "x"}


@pytest.fixture
def store(app: Flask) -> TokenStore:
    return TokenStore(db.engine, [OLD])


def ciphertext(session: Session) -> bytes:
    session.rollback()
    return session.scalars(select(SourceToken.ciphertext)).one()


def test_what_is_written_is_read_and_the_last_word_counts(store):
    assert store.read("crm") is None

    store.write("crm", TOKENS)
    store.write("crm", {**TOKENS, "access_token": "b"})

    assert store.read("crm") == {**TOKENS, "access_token": "b"}
    assert store.read("other") is None


def test_the_database_holds_no_token(store, session):
    store.write("crm", TOKENS)

    assert CANARY not in session.scalar(text("select string_agg(t::text, ' ') from source_token t"))
    assert CANARY.encode() not in ciphertext(session)
    assert CANARY in Fernet(OLD).decrypt(ciphertext(session)).decode()


def test_a_token_stays_though_the_pull_that_wrote_it_is_undone(store, session):
    session.execute(text("select 1"))

    store.write("crm", TOKENS)
    session.rollback()

    assert store.read("crm") == TOKENS


def test_the_first_key_encrypts_and_all_decrypt(store, session):
    store.write("crm", TOKENS)
    both = TokenStore(db.engine, [NEW, OLD])

    assert both.read("crm") == TOKENS
    both.write("crm", TOKENS)

    with pytest.raises(InvalidToken):
        Fernet(OLD).decrypt(ciphertext(session))


def test_rotation_encrypts_all_with_the_first_key(store, session):
    store.write("crm", TOKENS)
    store.write("desk", TOKENS)

    assert TokenStore(db.engine, [NEW, OLD]).rotate(session) == 2
    session.commit()

    assert TokenStore(db.engine, [NEW]).read("desk") == TOKENS
    with pytest.raises(SourceRefused):
        store.read("crm")


def test_a_key_that_is_gone_is_told_with_what_to_do_and_rotation_changes_nothing(store, session):
    store.write("crm", TOKENS)
    before = ciphertext(session)
    other = TokenStore(db.engine, [NEW])

    with pytest.raises(SourceRefused, match=r"tokens kept for crm cannot be read.*log in again") as told:
        other.read("crm")
    with pytest.raises(SourceRefused, match="crm"):
        other.rotate(session)

    session.rollback()
    assert ciphertext(session) == before
    assert NEW not in str(told.value)


def test_without_a_key_it_is_said_how_to_make_one(app):
    store = TokenStore(db.engine, ())

    assert store.read("crm") is None  # nothing kept, so no key is needed
    with pytest.raises(SourceRefused, match=r"openssl rand -base64 32.*set LRS_BRIDGE_TOKEN_KEYS"):
        store.write("crm", TOKENS)


def test_the_command_that_is_named_makes_a_key():
    made = subprocess.run(NEW_TOKEN_KEY.split(), capture_output=True, text=True, check=True, timeout=10).stdout
    env = {"DATABASE_URL": "postgresql://x", "REDIS_URL": "redis://x"}

    for written in (made, "+/" * 21 + "A="):
        [key] = Settings.from_mapping({**env, "LRS_BRIDGE_TOKEN_KEYS": written}).token_keys
        Fernet(key)


@pytest.mark.parametrize(
    "text", [f"{OLD},{CANARY}", f"{OLD}, {OLD[:-4]}", f"{OLD};{NEW}"], ids=["word", "half", "semicolon"]
)
def test_a_wrong_key_is_refused_by_its_place_and_not_repeated(text):
    env = {"DATABASE_URL": "postgresql://x", "REDIS_URL": "redis://x", "LRS_BRIDGE_TOKEN_KEYS": text}

    with pytest.raises(SettingsError, match=r"Key [12] in LRS_BRIDGE_TOKEN_KEYS is none") as told:
        Settings.from_mapping(env)

    assert CANARY not in str(told.value)
    assert OLD[:8] not in str(told.value)


def test_keys_reach_child_processes_and_are_not_shown():
    env = {"DATABASE_URL": "postgresql://x", "REDIS_URL": "redis://x", "LRS_BRIDGE_TOKEN_KEYS": f"{NEW}, {OLD}"}

    settings = Settings.from_mapping(env)

    assert settings.token_keys == (NEW, OLD)
    assert Settings.from_mapping(settings.to_mapping()) == settings
    assert NEW not in repr(settings)


def test_up_keeps_a_key_of_its_own_that_only_its_user_can_read(tmp_path: Path):
    first = up._kept_token_keys(tmp_path)

    assert up._kept_token_keys(tmp_path) == first
    Fernet(first)
    assert (tmp_path / "token_keys").stat().st_mode & 0o777 == 0o600


def test_one_at_a_time_is_inside(store):
    inside, most = [0], [0]

    def get_one() -> None:
        with TokenStore(db_engine, [OLD]).locked("crm"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.03)
            inside[0] -= 1

    db_engine = db.engine
    threads = [threading.Thread(target=get_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    with store.locked("desk"):  # another login does not wait
        pass
    for thread in threads:
        thread.join()

    assert most == [1]


def test_who_waits_too_long_is_told_to_try_later(store, monkeypatch):
    monkeypatch.setattr(kept, "LOCK_SECONDS", 0.2)
    other = TokenStore(db.engine, [OLD]).locked("crm")
    with store.locked("crm"), pytest.raises(SourceUnavailable, match="getting a new token for crm"), other:
        pass

    with store.locked("crm"):  # and the lock is free again
        pass


def test_the_lock_ends_with_its_process(store):
    code = (
        "import sys, time\nfrom sqlalchemy import create_engine\nfrom bridge.tokens import TokenStore\n"
        "with TokenStore(create_engine(sys.argv[1]), []).locked('crm'):\n"
        "    print('inside', flush=True)\n    time.sleep(60)\n"
    )
    url = db.engine.url.render_as_string(hide_password=False)
    with subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, env=os.environ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"inside\n"
        holder.kill()

    began = time.monotonic()
    with store.locked("crm"):
        assert time.monotonic() - began < 5


def test_tokens_are_json(store):
    store.write("crm", {"refresh_token": "ü\n"})

    assert json.dumps(store.read("crm")) == '{"refresh_token": "\\u00fc\\n"}'
