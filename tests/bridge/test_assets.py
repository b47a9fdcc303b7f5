"""What pages load beside themselves: found by content, kept by browsers, unchanged from whom it was taken."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse as Response

from bridge.views import assets

STATIC = Path(assets.__file__).with_name("static")
VENDORED = STATIC / "vendor"


def test_vendored_files_are_those_of_the_table_and_carry_their_licences() -> None:
    table = (VENDORED / "README.md").read_text()
    listed = dict(re.findall(r"^\| `([^`]+)` .* ([0-9a-f]{64}) \|$", table, re.MULTILINE))

    assert {path.name for path in VENDORED.glob("*.js")} == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == digest, name
        assert f"{name.partition('-')[0]}-LICENSE.txt" in {path.name for path in VENDORED.iterdir()}


def asked(app: Flask, address: str, **headers: str) -> Response:
    """Give an answer, read and closed."""
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    with app.test_client().get(address, headers=sent) as found:
        assert found.data is not None
        return found


def test_file_asked_for_by_its_hash_is_kept_and_one_without_is_asked_for_again(app: Flask) -> None:
    with app.test_request_context():
        address = assets.address("pages.css")

    assert asked(app, address).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    plain = asked(app, address.partition("?")[0])
    assert plain.headers["Cache-Control"] == "no-cache"
    assert asked(app, "/static/pages.css?v=0123").headers["Cache-Control"] == "no-cache"
    assert asked(app, "/static/pages.css", If_None_Match=plain.headers["ETag"]).status_code == 304


@pytest.mark.parametrize("name", ["vendor/d3-7.9.2.min.js", "charts.js", "icon.svg"])
def test_files_are_shortened_for_who_takes_it(app: Flask, name: str) -> None:
    zipped = asked(app, f"/static/{name}", Accept_Encoding="gzip")
    plain = asked(app, f"/static/{name}")

    assert (zipped.headers["Content-Encoding"], zipped.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(zipped.data) == plain.data == (STATIC / name).read_bytes()
    assert "Content-Encoding" not in plain.headers
    assert len(zipped.data) < len(plain.data)


def test_only_pages_with_charts_load_the_library(app: Flask) -> None:
    page = asked(app, "/login").text

    assert "pages.css?v=" in page
    assert "vendor/" not in page


def test_a_file_that_is_not_there_is_not_found_and_not_kept(app: Flask) -> None:
    for name in ("nothing.js", "../assets.py", "vendor/../../assets.py"):
        answer = asked(app, f"/static/{name}")
        assert answer.status_code == 404
        assert "immutable" not in answer.headers.get("Cache-Control", "")
