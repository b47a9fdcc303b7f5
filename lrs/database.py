"""The database, as every package of ours sees it: one metadata, one session per app context, two column types."""

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import iscoroutinefunction
from typing import Any

import psycopg
from flask.sansio.app import App
from flask_sqlalchemy_lite import SQLAlchemy
from psycopg import pq
from sqlalchemy import MetaData
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import UserDefinedType

# Named constraints, so that a migration can say which one it changes.
NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


class Base(DeclarativeBase):
    """Root of all tables, those of the bridge included: one Alembic chain describes them."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


def _forgiving(close: Callable[..., object]) -> Callable[..., None]:
    """Close sessions also where the database has gone: the answer is made, and there is nothing left to undo."""

    def run(error: BaseException | None) -> None:
        with suppress(OperationalError):
            close(error)

    return run


class _SyncSQLAlchemy(SQLAlchemy):
    """Flask-SQLAlchemy-Lite without its sessions for async views, which nobody here has."""

    def init_app(self, app: App) -> None:
        super().init_app(app)
        # Closing them would start an event loop in a new thread at the end of each request: a third of a small POST.
        app.teardown_appcontext_funcs[:] = [
            _forgiving(close) for close in app.teardown_appcontext_funcs if not iscoroutinefunction(close)
        ]


db = _SyncSQLAlchemy()
"""`db.session` lives on the app context; `db.init_app(app)` binds it to the engines that the app configures."""


def driver(session: Session) -> psycopg.Connection[Any]:
    """Give the psycopg connection that a session's transaction runs on, for what SQLAlchemy would slow down."""
    connection: psycopg.Connection[Any] = session.connection().connection.driver_connection  # type: ignore[assignment]
    return connection


@contextmanager
def lease() -> Iterator[psycopg.Connection[Any]]:
    """Lend a psycopg connection of the engine, without a session; what is not committed at the end is undone."""
    leased = db.engine.raw_connection()
    try:
        connection: psycopg.Connection[Any] = leased.driver_connection  # type: ignore[assignment]
        yield connection
    except psycopg.OperationalError:
        leased.invalidate()  # the server has gone, most likely: there is nothing to undo
        raise
    finally:
        leased.close()


_FRESH_SECONDS = 1.0


def note_use(_: object, record: ConnectionPoolEntry) -> None:
    """Note when a connection went back to the pool; for the event `checkin`."""
    record.info["used"] = time.monotonic()


def refuse_closed(connection: psycopg.Connection[Any], record: ConnectionPoolEntry, _: object) -> None:
    """Notice that the server has closed a pooled connection, without asking it: what it said last lies in the socket.

    For the pool's event `checkout`; in place of `pool_pre_ping`, which costs a round trip each time. A connection that
    was in use a moment ago is not looked at.
    """
    if not connection.closed:
        if record.info.get("used", 0) > time.monotonic() - _FRESH_SECONDS:
            return
        socket = select.poll()
        socket.register(connection.fileno(), select.POLLIN)
        if not socket.poll(0):
            return
    raise InvalidatePoolError("The server has closed this connection, so the others as well.")


def undo(connection: psycopg.Connection[Any], *_: object) -> None:
    """Undo what was not committed, where anything was begun: a needless rollback costs as much as a checkout."""
    if connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
        connection.rollback()


POOL_EVENTS = [(refuse_closed, "checkout"), (note_use, "checkin"), (undo, "reset")]
"""For the engine's option `pool_events`; goes with `pool_reset_on_return` None."""

Instant = TIMESTAMP(timezone=True)
"""A point in time; Python sees an aware datetime."""


class TransactionId(UserDefinedType[int]):
    """PostgreSQL's xid8: which transaction wrote a row (`lrs.store.read_after` says what it is good for)."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"
