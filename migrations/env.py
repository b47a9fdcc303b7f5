"""Run the migrations on the connection that the caller hands over (`config.attributes["connection"]`)."""

from alembic import context
from sqlalchemy.dialects.postgresql.base import ischema_names

import bridge.models  # noqa: F401  the metadata knows only what has been imported
import lrs.models  # noqa: F401
from lrs.database import Base, TransactionId

# Comparing models and tables reads the tables back; SQLAlchemy does not know this type by itself.
ischema_names["xid8"] = TransactionId

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
