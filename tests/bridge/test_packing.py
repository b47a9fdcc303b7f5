"""How /api/v1 sends what it answers: tags, 304 and gzip."""

import gzip
import json

import pytest
from company import Company
from flask import Flask, Response
from flask.testing import FlaskClient
from viewers import Viewer, issue
from werkzeug.test import TestResponse

from bridge import access, jobs
from bridge.models import Learner
from bridge.views import packing
from lrs import db

PATH = "/api/v1/learners"


@pytest.fixture
def viewer(app: Flask) -> Viewer:
    db.session.add_all(Learner(key=f"E{number}", name=f"Person {number}") for number in range(30))
    return issue()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def get(client: FlaskClient, viewer: Viewer, path: str = PATH, method: str = "GET", **headers: str) -> TestResponse:
    sent = viewer.headers | {name.replace("_", "-"): value for name, value in headers.items()}
    return client.open(path, method=method, headers=sent)


def test_an_answer_carries_a_strong_tag_that_saves_sending_it_again(client: FlaskClient, viewer: Viewer) -> None:
    first = get(client, viewer)
    tag = first.headers["ETag"]

    again = get(client, viewer, If_None_Match=f'"other", {tag}')

    assert tag.startswith('"')
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "private, no-store"
    assert get(client, viewer, If_None_Match='"other"').data == first.data


def test_the_tag_is_another_one_when_anything_is_other(client: FlaskClient, viewer: Viewer) -> None:
    tag = get(client, viewer).headers["ETag"]
    db.session.add(Learner(key="E99", name="New"))
    db.session.commit()

    changed = get(client, viewer, If_None_Match=tag)

    assert (changed.status_code, changed.headers["ETag"] == tag) == (200, False)
    assert get(client, viewer, f"{PATH}?limit=2", If_None_Match=tag).status_code == 200


def test_what_one_key_sees_is_no_tag_of_another_ones(company: Company, client: FlaskClient, viewer: Viewer) -> None:
    jobs.load_documents()
    tag = get(client, viewer).headers["ETag"]

    assert get(client, issue(team="North"), If_None_Match=tag).status_code == 200
    assert get(client, Viewer(viewer.key, "wrong"), If_None_Match=tag).status_code == 401
    assert get(client, issue(access.PEOPLE), If_None_Match=tag).status_code == 403


def test_who_takes_gzip_gets_it_with_a_tag_of_its_own(client: FlaskClient, viewer: Viewer) -> None:
    plain, zipped = get(client, viewer), get(client, viewer, Accept_Encoding="br;q=1.0, gzip;q=0.5")

    assert "Content-Encoding" not in plain.headers
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert int(zipped.headers["Content-Length"]) == len(zipped.data) < len(plain.data) / 3
    assert gzip.decompress(zipped.data) == plain.data
    assert zipped.headers["ETag"] != plain.headers["ETag"]
    assert plain.headers["Vary"] == zipped.headers["Vary"] == "Accept-Encoding"
    same = get(client, viewer, Accept_Encoding="gzip", If_None_Match=zipped.headers["ETag"])
    assert (same.status_code, same.data, same.headers["Vary"]) == (304, b"", "Accept-Encoding")
    assert get(client, viewer, Accept_Encoding="gzip", If_None_Match=plain.headers["ETag"]).status_code == 200


@pytest.mark.parametrize("takes", ["identity", "gzip;q=0", "br", "*;q=0", ""])
def test_who_does_not_take_gzip_gets_none(client: FlaskClient, viewer: Viewer, takes: str) -> None:
    answer = get(client, viewer, Accept_Encoding=takes)

    assert "Content-Encoding" not in answer.headers
    assert len(json.loads(answer.data)["items"]) == 30


def test_head_tells_the_same_without_a_body(client: FlaskClient, viewer: Viewer) -> None:
    whole, head = (get(client, viewer, method=method, Accept_Encoding="gzip") for method in ("GET", "HEAD"))

    for name in ("ETag", "Content-Length", "Content-Encoding", "Vary"):
        assert head.headers[name] == whole.headers[name]
    assert (head.status_code, head.data) == (200, b"")


def test_short_answers_problems_and_changes_are_sent_as_they_are(client: FlaskClient, viewer: Viewer) -> None:
    short = get(client, viewer, f"{PATH}?limit=1", Accept_Encoding="gzip")
    problem = get(client, viewer, f"{PATH}?limit=0", Accept_Encoding="gzip")

    assert "Content-Encoding" not in short.headers
    assert "ETag" in short.headers
    assert problem.status_code == 400
    assert not {"ETag", "Content-Encoding"} & set(problem.headers.keys())


def test_what_is_answered_by_the_piece_is_not_gathered(app: Flask) -> None:
    taken = []

    def pieces():
        for number in range(3):
            taken.append(number)
            yield b"x" * 5_000

    with app.test_request_context(headers={"Accept-Encoding": "gzip"}):
        answer = packing.pack(Response(pieces()))

    assert taken == []
    assert "ETag" not in answer.headers
    assert answer.get_data() == b"x" * 15_000


def test_pages_which_hold_tokens_of_forms_are_not_compressed(client: FlaskClient, viewer: Viewer) -> None:
    page = client.get("/login", headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in page.headers
    assert 'name="token"' in page.text
