"""The about resource: xAPI 1.0.3, Communication 2.8."""

from typing import Any


def test_about_says_the_versions_to_everybody(client: Any) -> None:
    response = client.http.get("/xapi/about")

    assert response.status_code == 200
    assert {"1.0.0", "1.0.3", "2.0.0"} <= set(response.json["version"])
    assert response.headers["X-Experience-API-Version"]
