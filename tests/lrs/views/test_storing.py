"""Partial success, and leniency over HTTP: beyond the specification, by credential."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from xapi_samples import ID, OTHER_ID, about, statement, voiding

import lrs
from lrs.models import Statement

BAD = statement(result={"response": None})
WORSE = statement(actor={})
OTHER = statement(id=ID, verb={"id": "http://a/other"})


@pytest.fixture
def with_options(app: Flask, make_client: Callable[..., Any]) -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        client = make_client("all")
        if options:
            with app.app_context():
                lrs.credentials.change(lrs.db.session, client.key, **options)
                lrs.db.session.commit()
        return client

    return make


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Statement)) or 0


def reasons(client: Any, answer: Any) -> Any:
    return client.follow(answer.headers["X-LRS-Bridge-Refused"]).json


@pytest.mark.parametrize("options", [{}, {"lenient": True}, {"partial": True}, {"deduplicate_seconds": 60}])
def test_a_post_answers_200_and_ids_and_none_for_none(with_options: Callable[..., Any], options: Any) -> None:
    client = with_options(**options)

    assert (client.post([]).status_code, client.post([]).json) == (200, [])
    assert len(client.post([statement(), statement()]).json) == 2


def test_partial_stores_the_good_and_keeps_the_bad(with_options: Callable[..., Any], session: Session) -> None:
    client = with_options(partial=True)

    answer = client.post([BAD, statement(id=ID), WORSE, statement(id=OTHER_ID)])

    assert answer.status_code == 200
    assert answer.json == [None, ID, None, OTHER_ID]
    assert count(session) == 2
    kept = reasons(client, answer)
    assert json.loads(kept["body"]) == [BAD, WORSE]
    assert [(one["index"], one["pointer"]) for one in kept["reasons"]] == [(0, "/result/response"), (1, "/actor")]


def test_partial_leaves_out_what_is_stored_otherwise_already(
    with_options: Callable[..., Any], session: Session
) -> None:
    client = with_options(partial=True)
    client.store(statement(id=ID))

    answer = client.post([statement(), OTHER, statement(id=OTHER_ID), statement(id=OTHER_ID)])

    assert [one is None for one in answer.json] == [False, True, False, True]
    assert count(session) == 3
    assert json.loads(reasons(client, answer)["body"]) == [OTHER, statement(id=OTHER_ID)]


def test_partial_leaves_out_the_voiding_of_a_voiding_statement(
    with_options: Callable[..., Any], session: Session
) -> None:
    client = with_options(partial=True)
    client.store(voiding(OTHER_ID, id=ID))

    answer = client.post([about(OTHER_ID), voiding(ID)])

    assert [one is None for one in answer.json] == [False, True]
    assert count(session) == 2


def test_partial_is_no_success_when_nothing_is_good(with_options: Callable[..., Any]) -> None:
    client = with_options(partial=True)
    client.store(statement(id=ID))

    assert client.post([BAD, WORSE]).status_code == 400
    assert client.post([OTHER]).status_code == 409
    assert client.post(BAD).status_code == 400


def test_partial_and_lenient_go_together(with_options: Callable[..., Any], session: Session) -> None:
    client = with_options(partial=True, lenient=True)

    answer = client.post([BAD, WORSE, statement()])

    assert [one is None for one in answer.json] == [False, True, False]
    assert json.loads(reasons(client, answer)["body"]) == [WORSE]


def test_whole_batch_or_nothing_is_the_default(client: Any, session: Session) -> None:
    client.store(statement(id=ID))

    assert client.post([statement(), BAD]).status_code == 400
    assert client.post([statement(), OTHER]).status_code == 409
    assert count(session) == 1


def test_a_lenient_put_is_repaired(with_options: Callable[..., Any]) -> None:
    client = with_options(lenient=True)

    assert client.put(BAD | {"id": f"{{{ID}}}"}, ID).status_code == 204
    assert client.get(statementId=ID).json["result"] == {}


def test_a_repaired_statement_sent_again_is_equal(with_options: Callable[..., Any], session: Session) -> None:
    client = with_options(lenient=True)

    assert [client.post(BAD | {"id": ID}).status_code for _ in range(2)] == [200, 200]
    assert count(session) == 1


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=6)
    | st.sampled_from([ID, "http://a/b", "mailto:a@b", "PT5S", "en_US", "group", "2026-01-01 10:00", "\x00", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "ID", "objectType", "mbox", "name", "member", "definition", "choices", "extensions", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["actor", "verb", "object", "result", "context", "attachments", "timestamp", "id", "x"]),
        _VALUES,
    )
)
def test_whatever_comes_is_stored_or_refused(with_options: Callable[..., Any], changes: dict[str, Any]) -> None:
    client = with_options(lenient=True, partial=True, deduplicate_seconds=60)

    answer = client.post([statement() | changes, statement()])

    assert answer.status_code in {200, 400, 409}, answer.text
    if answer.status_code == 400 or None in answer.json:
        assert reasons(client, answer)["reasons"]
