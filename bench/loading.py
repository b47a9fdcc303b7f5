"""Filling the LRS for those parts that read it: the real tables, by the real `lrs.store`, in two processes."""

from collections.abc import Iterator
from itertools import islice

from msgspec import Raw
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from bench import crew
from bench.stage import Stage
from bench.statements import Population
from bridge.app import engine_options
from lrs import store
from lrs.database import driver
from lrs.store import Author, Incoming
from lrs.xapi import validation
from lrs.xapi.terms import Term
from lrs.xapi.versions import Version

LOADERS = 2
_BATCH = 200
_AUTHOR = Author(
    credential_id=1,
    authority='{"objectType":"Agent","name":"bench","account":{"homePage":"http://127.0.0.1:8080","name":"bench"}}',
    term=Term("agent", "account:http://127.0.0.1:8080|bench"),
)


def load(stage: Stage, name: str, *, count: int, population: Population, seed: int) -> None:
    """Store so many statements, and then do what autovacuum would do in time."""
    url = stage.settings(name).database_url
    crew.run(_load, url, count // LOADERS, population, seed, count=LOADERS)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("vacuum (analyze)"))
    engine.dispose()
    stage.settle()


def _load(number: int, url: str, count: int, population: Population, seed: int) -> None:
    engine = create_engine(**engine_options(url))  # type: ignore[arg-type]
    crew.ready()
    with Session(engine) as session:
        session.execute(text("set synchronous_commit = off"))
        for batch in _batches(population.statements(count, seed=seed * LOADERS + number)):
            store.store(driver(session), batch, author=_AUTHOR, version=Version.ONE)
            session.commit()
    engine.dispose()


def _batches(texts: Iterator[bytes]) -> Iterator[list[Incoming]]:
    while batch := [Incoming(Raw(one), validation.validate(one, Version.ONE)) for one in islice(texts, _BATCH)]:
        yield batch
