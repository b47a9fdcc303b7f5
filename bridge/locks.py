"""Single flight: at most one process, on any host, does a named piece of work."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from bridge.errors import Busy


@contextmanager
def single_flight(engine: Engine, work: str) -> Iterator[None]:
    """Hold the lock for `work` over many transactions; raises Busy at once when another process has it.

    The lock lives in a database connection of its own, so a killed holder frees it. A connection may be killed and its
    holder live on: what must not be done twice needs more than a lock (`sources` has fences).
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(text("select pg_try_advisory_lock(hashtextextended(:work, 0))"), {"work": work}):
            raise Busy(f"Another process is at work on {work}; it is left to finish.")
        try:
            yield
        finally:
            with suppress(OperationalError):  # the connection was killed, and the lock went with it
                connection.execute(text("select pg_advisory_unlock(hashtextextended(:work, 0))"), {"work": work})
