"""The connection pool: one that the server has closed is not handed out."""

import psycopg
import pytest
from sqlalchemy import create_engine, text

from bridge.app import engine_options
from lrs import database


@pytest.fixture
def engine(database_url):
    options = engine_options(database_url)
    made = create_engine(options.pop("url"), **options)
    yield made
    made.dispose()


def test_connections_that_the_server_closed_are_replaced_before_anybody_uses_them(engine, session, monkeypatch):
    held = [engine.raw_connection() for _ in range(3)]
    pids = [one.driver_connection.info.backend_pid for one in held]
    for one in held:
        one.close()
    monkeypatch.setattr(database, "_FRESH_SECONDS", 0)
    session.execute(text("select pg_terminate_backend(pid, 5000) from unnest(:pids) as all_of (pid)"), {"pids": pids})

    with engine.connect() as connection:
        assert connection.scalar(text("select pg_backend_pid()")) not in pids


def test_a_connection_that_is_alive_is_used_again(engine):
    with engine.connect() as connection:
        pid = connection.scalar(text("select pg_backend_pid()"))

    with engine.connect() as connection:
        assert connection.scalar(text("select pg_backend_pid()")) == pid


def test_a_leased_connection_gives_back_what_was_not_committed(app):
    with app.app_context():
        with database.lease() as connection:
            connection.execute("create table left_behind ()")

        with database.lease() as connection:
            assert connection.execute("select to_regclass('left_behind')").fetchone() == (None,)


def test_a_pooled_connection_gives_back_what_was_not_committed(engine):
    connection = engine.raw_connection()
    connection.cursor().execute("create table left_behind ()")
    connection.close()

    with engine.connect() as another:
        assert another.scalar(text("select to_regclass('left_behind')")) is None


def test_a_connection_in_a_failed_transaction_is_used_again(engine):
    connection = engine.raw_connection()
    with pytest.raises(psycopg.errors.SyntaxError):
        connection.cursor().execute("no SQL")
    connection.close()

    with engine.connect() as another:
        assert another.scalar(text("select 1")) == 1
