"""Models and migrations agree on the LRS's tables."""

from alembic import command
from sqlalchemy import create_engine, inspect, text

import lrs
from bridge import schema


def test_migrations_go_down_and_up_again_and_leave_no_difference(database_url: str) -> None:
    url = create_engine(database_url).url
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("create database lrs_migrations"))
    server.dispose()
    engine = create_engine(url.set(database="lrs_migrations"))
    with engine.begin() as connection:
        config = schema.config(connection)

        command.upgrade(config, "0001")
        assert set(inspect(connection).get_table_names()) - {"alembic_version"} == {
            table
            for table in lrs.Base.metadata.tables
            if table in {"credential", "statement", "term", "mention", "reference"}
        }
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, "head")
        command.check(config)
    engine.dispose()
