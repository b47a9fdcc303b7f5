"""The migrations: one chain of numbered deeds, up and down, that ends at what the models say."""

import re
from collections.abc import Iterator

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text

import bridge.models  # noqa: F401  the metadata knows only what has been imported
from bridge import schema
from bridge.app import engine_options
from bridge.embedded import Servers
from bridge.errors import NotReady
from bridge.settings import shipped
from lrs import Base

SCRIPTS = ScriptDirectory(str(shipped("migrations")))
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()][::-1]


@pytest.fixture
def engine(servers: Servers) -> Iterator[Engine]:
    """An empty database of the test's own."""
    server = create_engine(servers.database_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("drop database if exists migrations with (force)"))
        connection.execute(text("create database migrations"))
    url = server.url.set(database="migrations").render_as_string(hide_password=False)
    options = engine_options(url)
    made = create_engine(options.pop("url"), **options)
    yield made
    made.dispose()
    server.dispose()


def described(connection: Connection) -> dict[str, list[str]]:
    """Give all that the public schema holds, in words that can be compared."""
    queries = {
        "columns": """
            select concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default, is_identity)
            from information_schema.columns join information_schema.tables using (table_schema, table_name)
            where table_schema = 'public' and table_type = 'BASE TABLE'""",
        "views": "select concat_ws(' ', viewname, definition) from pg_views where schemaname = 'public'",
        "constraints": """
            select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
            from pg_constraint where connamespace = 'public'::regnamespace""",
        "indexes": "select indexdef from pg_indexes where schemaname = 'public'",
        "sequences": "select sequencename::text from pg_sequences where schemaname = 'public'",
        "functions": "select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace",
    }
    return {what: sorted(connection.scalars(text(query))) for what, query in queries.items()}


def without_alembic(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {what: [line for line in lines if "alembic_version" not in line] for what, lines in found.items()}


def test_files_are_numbered_in_one_chain() -> None:
    files = sorted(path.name for path in (shipped("migrations") / "versions").glob("*.py"))

    assert len(SCRIPTS.get_heads()) == 1
    assert [f"{number:04}" for number in range(1, len(REVISIONS) + 1)] == REVISIONS
    assert [name[:4] for name in files] == REVISIONS
    assert all(re.fullmatch(r"\d{4}_[a-z][a-z0-9_]+\.py", name) for name in files)


def test_up_down_and_up_again_gives_the_same_schema(engine: Engine) -> None:
    stages: list[dict[str, list[str]]] = []
    with engine.begin() as connection:
        stages.append(without_alembic(described(connection)))
        for revision in REVISIONS:
            command.upgrade(schema.config(connection), revision)
            stages.append(without_alembic(described(connection)))
        top = stages[-1]

        for expected in reversed(stages[:-1]):
            command.downgrade(schema.config(connection), "-1")
            assert without_alembic(described(connection)) == expected
        command.upgrade(schema.config(connection), "head")

        assert without_alembic(described(connection)) == top
        assert top["columns"]


def test_keys_whose_limits_go_are_ended(engine: Engine) -> None:
    """Without its limits a narrowed key would see everything."""
    with engine.begin() as connection:
        command.upgrade(schema.config(connection), "0023")
        for key in ("narrowed", "whole"):
            connection.execute(
                text("insert into credential (name, key, secret_hash, scopes) values (:key, :key, 'x', '{}')"),
                {"key": key},
            )
        connection.execute(text("insert into credential_limit values ('narrowed', 'team', 'North')"))
        command.downgrade(schema.config(connection), "0022")

        ended = connection.scalars(text("select key from credential where revoked_at is not null")).all()

    assert ended == ["narrowed"]


def test_models_and_migrations_do_not_drift(engine: Engine) -> None:
    schema.upgrade(engine)

    with engine.connect() as connection:
        command.check(schema.config(connection))
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_tables_that_the_models_make_are_those_of_the_migrations(engine: Engine) -> None:
    """Alembic compares neither the names of keys nor check constraints, nor what an index is made of."""
    schema.upgrade(engine)
    with engine.connect() as connection:
        migrated = described(connection)
    with engine.begin() as connection:
        connection.execute(text("drop schema public cascade"))
        connection.execute(text("create schema public"))
        Base.metadata.create_all(connection)
        modelled = described(connection)

    for what in ("columns", "constraints", "indexes"):
        assert [line for line in migrated[what] if "alembic_version" not in line] == modelled[what], what


def test_every_key_and_index_is_named_by_the_convention(engine: Engine) -> None:
    schema.upgrade(engine)

    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select conrelid::regclass::text, conname, contype from pg_constraint"
                " where connamespace = 'public'::regnamespace and contype in ('p', 'u', 'f', 'c')"
            )
        ).all()
        indexes = connection.execute(
            text("select tablename, indexname from pg_indexes where schemaname = 'public'")
        ).all()

    prefixes = {"p": "pk", "u": "uq", "f": "fk", "c": "ck"}
    named = [(table, name, prefixes[kind]) for table, name, kind in rows if table != "alembic_version"]
    assert [name for table, name, prefix in named if not name.startswith(f"{prefix}_{table}")] == []
    assert [
        name
        for table, name in indexes
        if table != "alembic_version" and not re.match(rf"(pk|uq|ix)_{table}(_|$)", name)
    ] == []


def test_an_upgrade_of_what_is_up_to_date_does_nothing(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("insert into setting (name, value) values ('kept', 'yes')"))

    schema.upgrade(engine)

    with engine.connect() as connection:
        assert connection.scalar(text("select value from setting where name = 'kept'")) == "yes"


def test_a_schema_from_a_newer_version_is_left_alone_with_a_word(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))

    with pytest.raises(NotReady, match=r"revision 9999.*Install the version that upgraded it"):
        schema.upgrade(engine)


def test_a_failed_upgrade_leaves_nothing_behind(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table record (id int)"))  # in the way of 0002

    with pytest.raises(Exception, match='relation "record" already exists'):
        schema.upgrade(engine)

    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["record"]
