"""Connections to the databases of others: which we know how to only read, and what they say when they refuse.

A connection cannot write, sees one state of the database where the database can do that, and gets no password but the
one that the document names. Which machines it may lead to stands in README.md.
"""

import socket
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import sqlalchemy as sa
from marshmallow import ValidationError
from sqlalchemy import exc

from connectors import http
from connectors.documents import Key, nearest, say
from connectors.errors import SourceBroken, SourceError, SourceRefused, SourceUnavailable
from connectors.secrets import Hidden, SecretName, Secrets

CONNECT_SECONDS = 10
LOCAL = (
    "This is a database of this machine, where the servers of lrs-bridge itself may be.",
    "If that is right, write `allow_local: true`.",
)
"""What is wrong with a database of this machine that is not said to be meant, and what to do."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What we know of one make of database."""

    package: str
    """What its driver is called on PyPI, where the URL names none."""
    module: str
    clock: str
    """Gives its time, in UTC."""
    opening: tuple[str, ...]
    """Makes a connection unable to write and to take too long; {ms} and {s} are the time that a statement may take."""
    isolation: str | None = None
    guarded: bool = True
    """It has transactions that cannot write. Else only the form of our query keeps it from writing."""


DIALECTS: Mapping[str, Dialect] = {
    # https://www.postgresql.org/docs/current/runtime-config-client.html
    "postgresql": Dialect(
        "psycopg[binary]",
        "psycopg",
        "select now()",
        ("select set_config('statement_timeout', '{ms}', false), set_config('TimeZone', 'UTC', false)",),
        "REPEATABLE READ",
    ),
    # https://dev.mysql.com/doc/refman/8.4/en/set-transaction.html
    "mysql": Dialect(
        "pymysql",
        "pymysql",
        "select utc_timestamp(6)",
        ("set session transaction read only", "set session max_execution_time = {ms}", "set time_zone = '+00:00'"),
        "REPEATABLE READ",
    ),
    # https://mariadb.com/docs/server/reference/sql-statements/transactions/set-transaction
    "mariadb": Dialect(
        "pymysql",
        "pymysql",
        "select utc_timestamp(6)",
        ("set session transaction read only", "set session max_statement_time = {s}", "set time_zone = '+00:00'"),
        "REPEATABLE READ",
    ),
    # It has no transaction that cannot write, but a query within a query cannot write either.
    "mssql": Dialect(
        "pyodbc", "pyodbc", "select sysutcdatetime()", ("set lock_timeout {ms}",), "READ COMMITTED", guarded=False
    ),
    # https://docs.oracle.com/en/database/oracle/oracle-database/23/sqlrf/SET-TRANSACTION.html
    "oracle": Dialect(
        "oracledb",
        "oracledb",
        "select sys_extract_utc(systimestamp) from dual",
        ("alter session set time_zone = 'UTC'", "set transaction read only"),
    ),
    "sqlite": Dialect("", "sqlite3", "select strftime('%Y-%m-%d %H:%M:%f', 'now')", ("pragma query_only = on",)),
}
"""The databases that we know how to keep from being written to, by the first part of a URL's scheme."""

OPTIONS = frozenset(
    {
        *("sslmode", "sslrootcert", "channel_binding", "gssencmode", "target_session_attrs", "application_name"),
        *("charset", "ssl_ca", "ssl_verify_cert", "ssl_verify_identity"),
        *("driver", "encrypt", "trustservercertificate", "applicationintent", "multisubnetfailover"),
        "service_name",
        *("host", "port"),  # of a socket on this machine
    }
)
"""What may stand behind the question mark of a URL: nothing that leads elsewhere, or that names a file with secrets."""


class Address(Key):
    """A database's URL as SQLAlchemy writes it, without a password."""

    json_schema: ClassVar[Mapping[str, Any]] = {"type": "string", "pattern": "^[a-z0-9+]+://"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> sa.URL:  # noqa: ANN401
        example = "Write it like postgresql://reader@db.example.com:5432/crm."
        try:
            url = sa.make_url(value)
        except (exc.ArgumentError, ValueError, TypeError) as err:
            # Not repeated: it may hold a password.
            raise ValidationError(say("This is no address of a database.", example)) from err
        if url.password is not None:
            what = "The address carries a password."
            raise ValidationError(say(what, "Take it out, and write `password: {secret: some-name}`."))
        if url.get_backend_name() not in DIALECTS:
            what = f"There is no way here to keep {url.get_backend_name()!r} from being written to."
            raise ValidationError(say(what, nearest(url.get_backend_name(), DIALECTS)))
        for name, given in url.query.items():
            if name.lower() not in OPTIONS:
                what = f"The option {name!r} may not stand in the address."
                raise ValidationError(say(what, nearest(name, OPTIONS)))
            if not isinstance(given, str) or set(given) & set(";{}=") or (name == "driver" and "/" in given):
                raise ValidationError(say(f"The option {name!r} has no such value.", "Write one plain word or name."))
        return url


@dataclass(frozen=True, slots=True)
class Database:
    """Where it is, and how it is spoken to."""

    source: str
    """Name of the source, for messages."""
    url: sa.URL
    password: SecretName | None
    allow_local: bool
    """Whether it may be on this machine."""
    timeout: timedelta
    """How long a statement may take."""


@contextmanager
def connected(database: Database, secrets: Secrets) -> Iterator[sa.Connection]:
    """Give a connection that cannot write, in one transaction; raises SourceError, also for what is done on it."""
    hidden = Hidden()
    known = DIALECTS[database.url.get_backend_name()]
    _check_host(database)
    password = "" if database.password is None else secrets.value(database.password)
    hidden.add(password, quote(password))
    try:
        engine = _engine(database, password)
    except (ImportError, exc.NoSuchModuleError) as err:
        what = f"The driver for {database.url.drivername} is not installed ({err})."
        package = known.package if "+" not in database.url.drivername else database.url.get_driver_name()
        raise SourceRefused(f"{what} Install it beside lrs-bridge: pip install '{package}'.") from err
    try:
        with engine.connect() as connection:
            for statement in known.opening:
                limits = {
                    "ms": int(database.timeout.total_seconds() * 1000),
                    "s": int(database.timeout.total_seconds()),
                }
                connection.exec_driver_sql(statement.format(**limits))
            yield connection
    except exc.SQLAlchemyError as err:
        raise _told(database, err, hidden) from err
    finally:
        engine.dispose()


def _engine(database: Database, password: str) -> sa.Engine:
    url, backend = database.url, database.url.get_backend_name()
    options: dict[str, Any] = {"poolclass": sa.NullPool, "hide_parameters": True}
    if backend == "sqlite":
        # Read-only already when it is opened, so that a file that is not there is not made.
        name = f"file:{quote(str(Path(str(url.database)).absolute()))}?mode=ro"
        options["creator"] = lambda: sqlite3.connect(name, uri=True, timeout=CONNECT_SECONDS)
        return sa.create_engine("sqlite://", **options)
    if DIALECTS[backend].isolation:
        options["isolation_level"] = DIALECTS[backend].isolation
    if backend == "postgresql":
        options["execution_options"] = {"postgresql_readonly": True}
        options["connect_args"] = _libpq(url, password)
    elif password:
        url = url.set(password=password)
    return sa.create_engine(url, **options)


def _libpq(url: sa.URL, password: str) -> dict[str, Any]:
    """Give what PostgreSQL's own library must be told, or it would look for passwords of this machine's user."""
    told: dict[str, Any] = {"password": password, "passfile": "/nonexistent", "connect_timeout": CONNECT_SECONDS}
    local = not url.host or http.is_loopback(url.host)
    if not local and "sslmode" not in url.query:
        told["sslmode"] = "require"  # by default it would speak in the clear where the server asks for it
    return told


def _check_host(database: Database) -> None:
    """Refuse a name that leads to this machine, as the address itself was refused when the document was read."""
    if database.allow_local or not database.url.host:
        return
    try:
        found = socket.getaddrinfo(database.url.host, database.url.port, type=socket.SOCK_STREAM)
    except OSError:
        return  # the driver says better what is wrong with the name
    if any(http.is_loopback(str(address[0])) for *_, address in found):
        raise SourceRefused(" ".join(LOCAL))


_REFUSALS = (
    *("password authentication failed", "no pg_hba", "access denied", "login failed", "invalid username/password"),
    *("does not exist", "unknown database", "permission denied", "not permitted", "no such table", "no such column"),
    *("syntax error", "could not decode"),
)
"""Words of databases for what trying again does not mend, where they have no number for it."""


def _told(database: Database, err: exc.SQLAlchemyError, hidden: Hidden) -> SourceError:
    """Say what happened, with the first line of the database's own words; further lines may hold rows."""
    cause = err.orig if isinstance(err, exc.DBAPIError) and err.orig else err
    words = hidden.hide(" ".join((str(cause).strip().splitlines() or [type(cause).__name__])[0].split()))[:300]
    said = f"The database of {database.source} says: {words}."
    state = getattr(cause, "sqlstate", None) or ""
    if state == "25006" or "readonly database" in words or "read only transaction" in words.lower():
        return SourceRefused(f"{said} The query writes, and a source only reads. Take out what writes.")
    if state == "57014":
        what = f"Within {database.timeout} the query was not done."
        return SourceUnavailable(f"{said} {what} Put an index on its cursor, ask for less, or raise `timeout`.")
    if isinstance(err, exc.ProgrammingError | exc.NotSupportedError):
        return SourceRefused(f"{said} Correct `query`, or ask there for the permission to read.")
    if isinstance(err, exc.DataError | exc.IntegrityError):
        return SourceBroken(f"{said} Leave such values out in the query, as with nullif().")
    if any(word in words.lower() for word in _REFUSALS):
        return SourceRefused(f"{said} Correct the address, the user, the secret or `query`.")
    return SourceUnavailable(f"{said} It is tried again later.")


def clock(connection: sa.Connection) -> datetime:
    """Give the database's clock, in UTC."""
    found = connection.exec_driver_sql(DIALECTS[connection.dialect.name].clock).scalar_one()
    at = datetime.fromisoformat(found) if isinstance(found, str) else found
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
