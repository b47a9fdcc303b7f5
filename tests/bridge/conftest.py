"""Fixtures of the bridge's tests: the application on the real servers, with every table emptied before each test."""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from company import Company, empty
from flask import Flask
from redis import Redis
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from target_lrs import TargetLrs
from werkzeug.test import TestResponse

from bridge import access, cli, context
from bridge.app import create_app
from bridge.embedded import Servers
from bridge.settings import Settings
from connectors import lrs as client
from lrs import credentials, db

FOLDER = Path(__file__).parent


@pytest.fixture(scope="session")
def database_url(servers: Servers) -> str:
    """A database of the bridge's tests' own; its schema is built by the migrations when the first app is made."""
    engine = create_engine(servers.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("create database bridge_tests"))
    engine.dispose()
    return create_engine(servers.database_url).url.set(database="bridge_tests").render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def _app(database_url: str, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    app = create_app(
        Settings(
            database_url=database_url,
            redis_url=servers.redis_url,
            secret_key="only for tests",
            data_dir=tmp_path_factory.mktemp("data"),
        )
    )
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def app(_app: Flask, servers: Servers) -> Iterator[Flask]:
    """The application inside its context, on empty tables and an empty broker."""
    with _app.app_context():
        empty(db.session)
        with Redis.from_url(servers.redis_url) as broker:
            broker.flushall()
        yield _app
        db.session.rollback()


@pytest.fixture
def session(app: Flask) -> Session:
    return db.session


@pytest.fixture
def company(app: Flask, tmp_path: Path) -> Iterator[Company]:
    """The application on a small company's folder of documents and CSV files, with nothing loaded or pulled yet."""
    usual = context.settings()
    context.keep(app, dataclasses.replace(usual, mappings=(tmp_path / "company",), data_dir=tmp_path / "data"))
    yield Company(tmp_path / "company", app)
    context.keep(app, usual)


class _Door(click.Command):
    """The command as a person enters it: with what `main` makes of errors."""

    def main(self, *_: Any, **__: Any) -> None:
        cli.main()


@pytest.fixture
def lrs_bridge(company: Company, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `lrs-bridge ...` in this process, on the company's application."""
    for variable, value in context.settings().to_mapping().items():
        monkeypatch.setenv(variable, value)
    # The same application instead of one more for each call, whose connections nobody would close.
    monkeypatch.setattr("bridge.app.create_app", lambda _: company.app)

    def run(*arguments: object) -> Result:
        db.session.rollback()
        monkeypatch.setattr(sys, "argv", ["lrs-bridge", *map(str, arguments)])
        return CliRunner().invoke(_Door("lrs-bridge"))

    return run


@pytest.fixture
def api_get(app: Flask) -> Callable[..., TestResponse]:
    """GET a path under `/api/v1` as somebody who may read reports, or with other scopes."""

    def get(path: str, *scopes: str, **query: object) -> TestResponse:
        made = credentials.create(
            db.session, name="BI", scopes=scopes or (access.REPORTS,), secret_key=context.secret_key()
        )
        db.session.commit()
        return app.test_client().get(f"/api/v1{path}", query_string=query, auth=(made.key, made.secret))

    return get


@pytest.fixture(scope="session")
def _target(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TargetLrs]:
    """Another lrs-bridge on a database of its own."""
    engine = create_engine(servers.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("create database target_tests"))
    engine.dispose()
    url = create_engine(servers.database_url).url.set(database="target_tests")
    app = create_app(
        Settings(
            database_url=url.render_as_string(hide_password=False),
            redis_url=servers.redis_url,
            secret_key="of the target",
            data_dir=tmp_path_factory.mktemp("target"),
            public_url="https://target.example.com",
        )
    )
    made = TargetLrs(app)
    yield made
    made.close()


@pytest.fixture
def target(_target: TargetLrs, app: Flask, monkeypatch: pytest.MonkeyPatch) -> TargetLrs:
    """The other one, empty, with a login of ours in the secrets `corp-key` and `corp-secret`."""
    login = _target.reset()
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_CORP_KEY", login["key"])
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_CORP_SECRET", login["secret"])
    monkeypatch.setattr(client, "FIRST_WAIT_SECONDS", 0.0)
    return _target
