"""A look at everything as it is at one moment, and at nothing else: for commands that only tell."""

from sqlalchemy.orm import Session


def freeze(session: Session) -> None:
    """Let the next transaction see what is stored now until it ends, and write nothing; ends the one that is open.

    It holds nobody up: without writing it gets no transaction id, which is what readers of new rows wait for.
    """
    session.rollback()
    session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
