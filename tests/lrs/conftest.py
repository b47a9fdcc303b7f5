"""Fixtures of the LRS's tests: an app with nothing but the LRS, with every table emptied before each test.

Emptied, not rolled back: what readers may see depends on transactions that have really ended.
"""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

import lrs
from bridge import schema
from bridge.embedded import Servers

BASE_URL = "http://lrs.example.com"
SECRET_KEY = "only for tests"
MAX_BODY_BYTES = 200_000


@pytest.fixture(scope="session")
def database_url(servers: Servers) -> str:
    """A database of these tests' own, its schema built by the migrations."""
    server = create_engine(servers.database_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("create database lrs_tests"))
    server.dispose()
    url = server.url.set(database="lrs_tests")
    engine = create_engine(url)
    schema.upgrade(engine)
    engine.dispose()
    return url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def _app(database_url: str) -> Iterator[Flask]:
    app = Flask("lrs_tests")
    # Enough connections for the tests with threads.
    app.config["SQLALCHEMY_ENGINES"] = {"default": {"url": database_url, "pool_size": 20}}
    lrs.db.init_app(app)
    lrs.init_app(app, base_url=BASE_URL, secret_key=SECRET_KEY, max_body_bytes=MAX_BODY_BYTES)
    yield app
    with app.app_context():
        lrs.db.engine.dispose()


@pytest.fixture
def app(_app: Flask) -> Flask:
    """The app, on empty tables."""
    with _app.app_context():
        lrs.db.session.execute(
            text(
                "truncate credential, statement, term, mention, reference, activity_definition, bulk_position,"
                " document, repair, sent_content, attachment, statement_attachment"
                " restart identity cascade"
            )
        )
        lrs.db.session.commit()
    return _app


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:
    with app.app_context():
        yield lrs.db.session
        lrs.db.session.rollback()


@dataclass(frozen=True)
class Client:
    """A client of the LRS as one is over HTTP: with a credential and a version."""

    http: FlaskClient
    key: str
    secret: str
    version: str = "1.0.3"

    @property
    def headers(self) -> dict[str, str]:
        basic = base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()
        return {"Authorization": f"Basic {basic}", "X-Experience-API-Version": self.version}

    def post(self, data: object, **options: Any) -> TestResponse:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        options = {"content_type": "application/json", "headers": self.headers} | options
        return self.http.post("/xapi/statements", data=body, **options)

    def put(self, data: object, statement_id: str) -> TestResponse:
        return self.http.put(
            "/xapi/statements",
            query_string={"statementId": statement_id},
            data=json.dumps(data).encode(),
            content_type="application/json",
            headers=self.headers,
        )

    def get(self, **query: Any) -> TestResponse:
        texts = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in query.items()}
        return self.http.get("/xapi/statements", query_string=texts, headers=self.headers)

    def follow(self, path: str) -> TestResponse:
        return self.http.get(path, headers=self.headers)

    def store(self, *statements: dict[str, Any]) -> list[str]:
        """Post statements one by one, so that they are stored in this order; gives their ids."""
        ids = []
        for one in statements:
            response = self.post(one)
            assert response.status_code == 200, response.text
            ids += response.json
        return ids

    def found(self, **query: Any) -> list[str]:
        """Give the ids of what a query finds on its first page."""
        response = self.get(**query)
        assert response.status_code == 200, response.text
        return [one["id"] for one in response.json["statements"]]


@pytest.fixture
def make_client(app: Flask) -> Callable[..., Client]:
    """Make clients with scopes and options of their own."""

    def make(*scopes: str, version: str = "1.0.3", name: str = "Moodle", **options: Any) -> Client:
        with app.app_context():
            issued = lrs.credentials.create(lrs.db.session, name=name, scopes=scopes, secret_key=SECRET_KEY, **options)
            lrs.db.session.commit()
        return Client(app.test_client(), issued.key, issued.secret, version)

    return make


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client("all")
