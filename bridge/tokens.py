"""Tokens of sources that outlive a pull, encrypted in the database.

The rules guarded here:

- What is written is committed when `write` returns, in a transaction of its own: of a token that was rotated, the new
  one is the only one that works, whatever becomes of the pull.
- The database holds nothing that can be read without a key, and no message holds a token.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from bridge.models import SourceToken
from bridge.settings import NEW_TOKEN_KEY
from connectors import SourceRefused, SourceUnavailable, Tokens

LOCK_SECONDS = 60
"""Whoever holds the lock makes one request; that of a hung one ends with its timeout."""

_READ = select(SourceToken.ciphertext)


class TokenStore:
    """`connectors.reach.TokenStore` on PostgreSQL; without keys it refuses when it is first needed."""

    def __init__(self, engine: Engine, keys: Sequence[str]) -> None:
        """Take Fernet keys: the first encrypts, all decrypt."""
        self._engine, self._keys = engine, keys

    def read(self, name: str) -> Tokens | None:
        """Give what was kept, None when there is nothing; raises SourceRefused when no key fits."""
        with self._engine.begin() as connection:
            ciphertext = connection.scalar(_READ.where(SourceToken.name == name))
        return None if ciphertext is None else self._decrypted(name, ciphertext)

    def write(self, name: str, tokens: Tokens) -> None:
        """Keep them at once and for good."""
        ciphertext = self._cipher().encrypt(json.dumps(dict(tokens)).encode())
        kept = insert(SourceToken).values(name=name, ciphertext=ciphertext)
        kept = kept.on_conflict_do_update(
            index_elements=[SourceToken.name], set_={"ciphertext": ciphertext, "updated_at": func.now()}
        )
        with self._engine.begin() as connection:
            connection.execute(kept)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Let nobody else be inside; raises SourceUnavailable after `LOCK_SECONDS`."""
        work = {"work": f"token {name}"}
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"set lock_timeout = '{LOCK_SECONDS}s'"))
            try:
                connection.execute(text("select pg_advisory_lock(hashtextextended(:work, 0))"), work)
            except OperationalError as err:
                if getattr(err.orig, "sqlstate", None) != "55P03":  # lock_not_available
                    raise
                raise SourceUnavailable(
                    f"Another process has been getting a new token for {name} for {LOCK_SECONDS} s. Try again later."
                ) from err
            finally:
                connection.execute(text("reset lock_timeout"))
            try:
                yield
            finally:
                with suppress(OperationalError):  # the connection was killed, and the lock went with it
                    connection.execute(text("select pg_advisory_unlock(hashtextextended(:work, 0))"), work)

    def rotate(self, session: Session) -> int:
        """Encrypt all that is kept with the first key; gives of how many logins. Raises SourceRefused."""
        cipher = self._cipher()
        rows = session.scalars(select(SourceToken).order_by(SourceToken.name).with_for_update()).all()
        for row in rows:
            try:
                row.ciphertext = cipher.rotate(row.ciphertext)
            except InvalidToken as err:
                raise SourceRefused(_no_key_fits(row.name)) from err
        return len(rows)

    def _decrypted(self, name: str, ciphertext: bytes) -> Tokens:
        try:
            kept: Tokens = json.loads(self._cipher().decrypt(ciphertext))
        except InvalidToken as err:
            raise SourceRefused(_no_key_fits(name)) from err
        return kept

    def _cipher(self) -> MultiFernet:
        if not self._keys:
            raise SourceRefused(
                "This source's tokens are kept encrypted, and there is no key for that. Make one with "
                f"`{NEW_TOKEN_KEY}`, and set LRS_BRIDGE_TOKEN_KEYS to it for all processes."
            )
        return MultiFernet([Fernet(key) for key in self._keys])


def _no_key_fits(name: str) -> str:
    return (
        f"The tokens kept for {name} cannot be read with the keys in LRS_BRIDGE_TOKEN_KEYS. Add the key that they were "
        "kept with behind the others, or log in again."
    )
