"""Quarantine: nothing that a known client sent is gone (issue 3, point 4); beyond the specification."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session
from xapi_samples import ID, statement

import lrs
from lrs import refused
from lrs.database import driver
from lrs.errors import Invalid, NotFound
from lrs.intake import Sent
from lrs.models import Credential, RefusedRequest, Statement
from lrs.xapi.versions import Version

BAD = statement(result={"response": None})
WORSE = statement(actor={})


def waiting(client: Any, **query: Any) -> list[dict[str, Any]]:
    answer = client.http.get("/xapi/refused", query_string=query, headers=client.headers)
    assert answer.status_code == 200, answer.text
    return list(answer.json["refused"])


def replay(client: Any, number: int) -> Any:
    return client.http.post(f"/xapi/refused/{number}", headers=client.headers)


def make_lenient(app: Flask, client: Any) -> None:
    with app.app_context():
        lrs.credentials.change(lrs.db.session, client.key, lenient=True)
        lrs.db.session.commit()


def count(session: Session, table: type = Statement) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def keep(session: Session, body: bytes, **bounds: int) -> int:
    """Keep a request as if the only credential there is had sent it."""
    credential_id = session.scalars(select(Credential.id)).first()
    assert credential_id is not None
    sent = Sent("POST", "", "application/json", Version.ONE, body)
    number = refused.keep(driver(session), sent, credential_id=credential_id, err=Invalid("wrong"), **bounds)
    session.commit()
    return number


# --- what is kept --------------------------------------------------------------------------------------------------


def test_a_refused_batch_is_kept_as_it_was_sent_with_its_reasons(client: Any) -> None:
    body = b'[ {"actor":{}} , ' + json.dumps(BAD).encode() + b" ]"
    answer = client.post(body)

    (row,) = waiting(client)

    assert (row["method"], row["status"], row["statements"], row["size"]) == ("POST", 400, 2, len(body))
    assert (row["key"], row["times"], row["replayed_at"]) == (client.key, 1, None)
    assert row["reasons"] == answer.json["errors"]
    assert answer.headers["X-LRS-Bridge-Refused"] == f"/xapi/refused/{row['id']}"
    assert client.follow(f"/xapi/refused/{row['id']}").json["body"].encode() == body


@pytest.mark.parametrize(
    "body", [b"no JSON", b'{"actor":', b"\xff\xfe", b"{}", b'["\\u0000"]', b'[{"\\u0000\\ud800":1}]']
)
def test_what_is_no_statement_is_kept_too(client: Any, body: bytes) -> None:
    assert client.post(body).status_code == 400

    assert [row["size"] for row in waiting(client)] == [len(body)]


def test_a_conflict_is_kept(client: Any) -> None:
    client.store(statement(id=ID))

    assert client.post(statement(id=ID, verb={"id": "http://a/other"})).status_code == 409

    assert [row["status"] for row in waiting(client)] == [409]


def test_a_put_is_kept_with_its_query(client: Any, session: Session) -> None:
    client.put(BAD, ID)

    assert session.scalars(select(RefusedRequest.query)).all() == [f"statementId={ID}"]


def test_what_was_refused_for_who_sent_it_or_how_much_is_not_kept(
    make_client: Callable[..., Any], client: Any, session: Session
) -> None:
    stranger = make_client("statements/read")
    client.http.post("/xapi/statements", data=b"{}", headers={"X-Experience-API-Version": "1.0.3"})
    stranger.post(BAD)
    client.post(b" " * 200_001)
    client.post(b"")

    assert count(session, RefusedRequest) == 0


@pytest.mark.parametrize("version", ["0.95", "1.1.0", None])
def test_a_request_in_a_version_that_is_not_spoken_is_kept(
    make_client: Callable[..., Any], session: Session, version: str | None
) -> None:
    client, lenient = make_client("all"), make_client("all", lenient=True)
    headers = {name: value for name, value in client.headers.items() if name != "X-Experience-API-Version"}
    headers |= {"X-Experience-API-Version": version} if version else {}

    assert client.post(statement(), headers=headers).status_code == 400

    (row,) = waiting(client)
    assert row["reasons"][0]["section"] == "Communication 3.3"
    assert replay(client, row["id"]).status_code == 200
    headers |= {"Authorization": lenient.headers["Authorization"]}
    assert lenient.post(statement(), headers=headers).status_code == 200
    assert count(session) == 2


def test_the_same_refused_again_is_counted(client: Any) -> None:
    for _ in range(3):
        client.post([BAD])
    client.post([BAD, BAD])

    assert [row["times"] for row in waiting(client)] == [3, 1]


def test_nothing_of_the_refused_request_is_stored(client: Any, session: Session) -> None:
    client.post([statement(), BAD])

    assert count(session) == 0


def test_the_answer_is_the_same_when_the_request_cannot_be_kept(client: Any, app: Flask) -> None:
    with app.app_context():
        lrs.db.session.execute(text("alter table refused_request rename to elsewhere"))
        lrs.db.session.commit()
        try:
            answer = client.post([BAD])
        finally:
            lrs.db.session.execute(text("alter table elsewhere rename to refused_request"))
            lrs.db.session.commit()

    assert answer.status_code == 400
    assert answer.json["pointer"] == "/result/response"
    assert "X-LRS-Bridge-Refused" not in answer.headers


# --- bounds --------------------------------------------------------------------------------------------------------


def test_the_oldest_go_when_there_are_too_many_bytes(client: Any, session: Session) -> None:
    first, second, third = (keep(session, b"%d" % n * 40, max_bytes=100) for n in range(3))

    assert session.scalars(select(RefusedRequest.id).order_by(RefusedRequest.id)).all() == [second, third]
    assert first < second


def test_what_the_bounds_drop_is_logged(client: Any, session: Session, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(3):
        keep(session, b"%d" % n * 40)
    assert caplog.messages == []

    keep(session, b"3" * 40, max_bytes=80)

    credential_id = session.scalars(select(Credential.id)).one()
    assert caplog.messages == [
        f"2 refused requests of credential {credential_id} were dropped for the quarantine's bounds"
    ]


def test_what_was_replayed_is_dropped_in_silence(
    client: Any, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    keep(session, b"1" * 40)
    session.execute(update(RefusedRequest).values(replayed_at=func.now()))

    keep(session, b"2" * 40, max_bytes=40)

    assert count(session, RefusedRequest) == 1
    assert caplog.messages == []


def test_what_was_replayed_goes_first(client: Any, session: Session) -> None:
    first, second = keep(session, b"1" * 40), keep(session, b"2" * 40)
    session.execute(update(RefusedRequest).where(RefusedRequest.id == second).values(replayed_at=func.now()))

    third = keep(session, b"3" * 40, max_bytes=100)

    assert session.scalars(select(RefusedRequest.id).order_by(RefusedRequest.id)).all() == [first, third]


def test_the_new_one_stays_even_when_it_is_too_large_alone(client: Any, session: Session) -> None:
    number = keep(session, b"1" * 40, max_bytes=10)

    assert session.scalars(select(RefusedRequest.id)).all() == [number]


def test_what_is_too_old_goes(client: Any, session: Session) -> None:
    old = keep(session, b"1")
    long_ago = datetime.now(UTC) - timedelta(days=91)
    session.execute(update(RefusedRequest).where(RefusedRequest.id == old).values(last_received_at=long_ago))

    new = keep(session, b"2")

    assert session.scalars(select(RefusedRequest.id)).all() == [new]


def test_what_is_too_old_can_be_dropped_though_nothing_new_comes(client: Any, session: Session) -> None:
    old, new = keep(session, b"old"), keep(session, b"new")
    long_ago = datetime.now(UTC) - timedelta(days=8)
    session.execute(update(RefusedRequest).where(RefusedRequest.id == old).values(last_received_at=long_ago))

    assert refused.drop_old(session, days=7) == 1
    assert session.scalars(select(RefusedRequest.id)).all() == [new]


def test_bounds_are_of_one_credential(make_client: Callable[..., Any], client: Any, session: Session) -> None:
    make_client("all").post([BAD])

    keep(session, b"1" * 40, max_bytes=10)

    assert count(session, RefusedRequest) == 2


# --- looking -------------------------------------------------------------------------------------------------------


def test_a_sender_sees_its_own_and_all_sees_everybodys(make_client: Callable[..., Any], client: Any) -> None:
    one, other = make_client("statements/write"), make_client("statements/write")
    one.post([BAD])
    other.post([WORSE])
    (theirs,) = waiting(other)

    assert [row["key"] for row in waiting(one)] == [one.key]
    assert [row["key"] for row in waiting(client)] == [one.key, other.key]
    assert one.follow(f"/xapi/refused/{theirs['id']}").status_code == 404
    assert replay(one, theirs["id"]).status_code == 404
    assert one.http.delete(f"/xapi/refused/{theirs['id']}", headers=one.headers).status_code == 404


def test_the_list_comes_in_pages(client: Any, session: Session) -> None:
    client.post([BAD])
    for n in range(refused.PAGE):
        keep(session, b"%d" % n)

    first = client.follow("/xapi/refused?waiting=true").json
    second = client.follow(first["more"]).json

    assert (len(first["refused"]), len(second["refused"]), second["more"]) == (refused.PAGE, 1, "")


@pytest.mark.parametrize(
    "query", [{"after": "x"}, {"after": "-1"}, {"waiting": "yes"}, {"limit": "1"}, {"after": "9" * 30}]
)
def test_a_wrong_parameter_is_a_400(client: Any, query: dict[str, str]) -> None:
    assert client.http.get("/xapi/refused", query_string=query, headers=client.headers).status_code == 400


def test_dropped_is_gone(client: Any) -> None:
    client.post([BAD])
    (row,) = waiting(client)
    path = f"/xapi/refused/{row['id']}"

    answers = [client.http.delete(path, headers=client.headers).status_code for _ in range(2)]

    assert answers == [204, 404]
    assert waiting(client) == []


@pytest.mark.parametrize("number", ["0", "99", "9" * 30])
def test_what_is_not_there_is_a_404(client: Any, number: str) -> None:
    assert client.follow(f"/xapi/refused/{number}").status_code == 404
    assert replay(client, int(number)).status_code == 404


# --- replaying -----------------------------------------------------------------------------------------------------


def test_a_replay_goes_by_the_credential_as_it_now_stands(app: Flask, client: Any, session: Session) -> None:
    client.post([statement(), BAD])
    (row,) = waiting(client)

    assert replay(client, row["id"]).status_code == 400
    make_lenient(app, client)
    answer = replay(client, row["id"])

    assert (answer.status_code, len(answer.json)) == (200, 2)
    assert [client.get(statementId=one).status_code for one in answer.json] == [200, 200]
    assert client.get(statementId=answer.json[0]).json["authority"]["account"]["name"] == client.key
    assert waiting(client, waiting="true") == []
    assert waiting(client)[0]["replayed_at"]
    assert replay(client, row["id"]).status_code == 409
    (after,) = waiting(client)
    assert (after["status"], after["reasons"]) == (row["status"], row["reasons"])
    session.rollback()
    assert count(session) == 2


def test_a_replay_tells_what_is_still_wrong(app: Flask, client: Any) -> None:
    client.post([BAD, WORSE])
    (row,) = waiting(client)
    make_lenient(app, client)

    answer = replay(client, row["id"])

    assert [one["index"] for one in answer.json["errors"]] == [1]
    assert waiting(client)[0]["reasons"] == answer.json["errors"]


def test_a_replay_is_stored_once_though_many_ask_at_once(app: Flask, client: Any, session: Session) -> None:
    client.post([BAD] * 3)
    (row,) = waiting(client)
    make_lenient(app, client)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: replay(client, row["id"]).status_code, range(8)))

    assert sorted(answers) == [200] + [409] * 7
    assert count(session) == 3


def test_what_is_refused_again_after_a_replay_is_kept_anew(app: Flask, client: Any) -> None:
    client.post([BAD])
    make_lenient(app, client)
    assert replay(client, waiting(client)[0]["id"]).status_code == 200
    with app.app_context():
        lrs.credentials.change(lrs.db.session, client.key, lenient=False)
        lrs.db.session.commit()
    app.extensions.pop("lrs-grants", None)

    client.post([BAD])

    assert [bool(row["replayed_at"]) for row in waiting(client)] == [True, False]


def test_a_replay_changes_no_time(app: Flask, client: Any, session: Session) -> None:
    """Data 2.4.7: a statement without a timestamp gets the time at which it came, not that of the replay."""
    client.post([BAD, statement(timestamp="2026-01-01T00:00:00Z")])
    received = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
    session.execute(update(RefusedRequest).values(received_at=received))
    session.commit()
    make_lenient(app, client)

    ids = replay(client, waiting(client)[0]["id"]).json

    assert [client.get(statementId=one).json["timestamp"] for one in ids] == [
        "2026-02-03T04:05:06.000000Z",
        "2026-01-01T00:00:00Z",
    ]


def test_a_put_is_replayed_under_its_id(app: Flask, client: Any) -> None:
    client.put(BAD, ID)
    make_lenient(app, client)

    assert replay(client, waiting(client)[0]["id"]).json == [ID]
    assert client.get(statementId=ID).status_code == 200


def test_what_is_replayed_is_told_to_who_listens(app: Flask, client: Any) -> None:
    client.post([BAD])
    make_lenient(app, client)
    heard: list[int] = []

    def hear(_app: Flask, count: int) -> None:
        heard.append(count)

    with lrs.statements_stored.connected_to(hear, app):
        replay(client, waiting(client)[0]["id"])

    assert heard == [1]


# --- repairs -------------------------------------------------------------------------------------------------------


def test_repairs_are_kept_beside_the_statement_with_the_original(
    app: Flask, make_client: Callable[..., Any], session: Session
) -> None:
    client, other = make_client("statements/write"), make_client("statements/write")
    make_lenient(app, client)
    mended, plain = client.post([BAD, statement()]).json

    repair = client.follow(f"/xapi/repaired/{mended}").json

    assert repair["repairs"] == [{"fault": "null", "pointer": "/result/response"}]
    assert json.loads(repair["original"]) == BAD
    assert client.follow(f"/xapi/repaired/{plain}").status_code == 404
    assert other.follow(f"/xapi/repaired/{mended}").status_code == 404
    with pytest.raises(NotFound):
        lrs.repaired.find(session, ID)
