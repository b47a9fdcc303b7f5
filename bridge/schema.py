"""The database's schema: brought up to date by whichever process starts first."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from bridge.errors import NotReady
from bridge.settings import shipped


def upgrade(engine: Engine) -> None:
    """Run the migrations that the database has not seen; many processes may call it at once.

    Raises NotReady when the database was upgraded by a newer lrs-bridge than this one.
    """
    with engine.connect() as connection:
        if _is_current(connection):
            return
        connection.rollback()
        # Held for the transaction, so that one process migrates and the others wait and then find nothing to do.
        connection.execute(text("select pg_advisory_xact_lock(hashtextextended('lrs-bridge schema', 0))"))
        if not _is_current(connection):
            command.upgrade(config(connection), "head")
        connection.commit()


def config(connection: Connection) -> Config:
    """Give Alembic's configuration, bound to a connection whose transaction the caller ends."""
    made = Config()
    made.set_main_option("script_location", str(shipped("migrations")).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def _is_current(connection: Connection) -> bool:
    scripts = ScriptDirectory(str(shipped("migrations")))
    seen = MigrationContext.configure(connection).get_current_revision()
    if seen is not None and seen not in {script.revision for script in scripts.walk_revisions()}:
        raise NotReady(
            f"The database's schema is at revision {seen}, which this version of lrs-bridge does not know. "
            "Install the version that upgraded it, or a newer one."
        )
    return seen == scripts.get_current_head()
