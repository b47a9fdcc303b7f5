"""While the database does not answer, a client is told so, and that nothing was stored."""

import base64

import pytest
from flask import Flask

import lrs

HEADERS = {
    "X-Experience-API-Version": "1.0.3",
    "Authorization": "Basic " + base64.b64encode(b"key:secret").decode(),
}


@pytest.fixture
def client():
    app = Flask("away")
    # Nothing listens on port 1.
    app.config["SQLALCHEMY_ENGINES"] = {"default": "postgresql+psycopg://nobody@127.0.0.1:1/nothing"}
    lrs.db.init_app(app)
    lrs.init_app(app, base_url="http://lrs.example.com", secret_key="only for tests", max_body_bytes=1000)
    return app.test_client()


@pytest.mark.parametrize("method", ["get", "post", "put"])
def test_a_database_that_is_away_is_503_with_a_time_to_try_again(client, method: str) -> None:
    answer = getattr(client, method)("/xapi/statements", json=[], headers=HEADERS)

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "Nothing was stored" in answer.json["error"]
    assert answer.headers["X-Experience-API-Version"] == "1.0.3"
