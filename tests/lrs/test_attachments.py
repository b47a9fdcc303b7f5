"""Attachments in and out: xAPI 1.0.3, Data 2.4.11 and 2.6, Communication 1.5.2 and 2.1.3."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse
from xapi_samples import DID, ID, OTHER_ID, attachment, mixed, nested, part, sha256, statement, voiding
from xapi_signing import sign, signature

from lrs import attachments, database, settings
from lrs.files import Directory
from lrs.models import Attachment, Statement, StatementAttachment
from lrs.xapi import multipart

TYPE = "multipart/mixed; boundary=b"
DATA = b"here is a simple attachment"
LARGE = os.urandom(attachments.IN_DATABASE_BYTES + 1)
WITH = {"attachments": [attachment(DATA)]}


def send(client: Any, data: object, *attached: bytes) -> TestResponse:
    return client.post(mixed(data, *attached), content_type=TYPE)


def ask(client: Any, **query: Any) -> dict[str, bytes]:
    """Give the attachments of what a query finds, by hash."""
    response = client.get(attachments="true", **query)
    assert response.status_code == 200, response.text
    return {one.sha2: bytes(one.data) for one in read(response).parts.values()}


def read(response: TestResponse) -> multipart.Received:
    assert int(response.headers["Content-Length"]) == len(response.data)
    return multipart.receive(response.data, response.content_type)


def count(session: Session, table: Any) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def directory(app: Flask, tmp_path: Path) -> Iterator[Path]:
    """A directory for large attachments, and bodies large enough to bring them."""
    with app.app_context():
        before = settings.current()
    changed = replace(before, files=Directory(tmp_path / "attachments"), max_body_bytes=40 * len(LARGE))
    settings.keep(app, changed)
    yield tmp_path / "attachments"
    settings.keep(app, before)


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


# --- in --------------------------------------------------------------------------------------------------------------


def test_attachment_that_was_sent_along_comes_back_with_its_headers(client: Any) -> None:
    assert send(client, statement(id=ID, **WITH), DATA).json == [ID]

    received = read(client.get(statementId=ID, attachments="true"))

    assert [one.sha2 for one in received.parts.values()] == [sha256(DATA)]
    assert bytes(received.parts[sha256(DATA)].data) == DATA
    assert received.parts[sha256(DATA)].content_type == "text/plain"


def test_put_takes_multipart_too(client: Any) -> None:
    response = client.http.put(
        f"/xapi/statements?statementId={ID}",
        data=mixed(statement(**WITH), DATA),
        content_type=TYPE,
        headers=client.headers,
    )

    assert response.status_code == 204
    assert ask(client, statementId=ID) == {sha256(DATA): DATA}


@pytest.mark.parametrize(
    ("sent", "attached"),
    [
        (statement(), []),
        ([], []),
        (statement(attachments=[attachment(DATA, fileUrl="http://files.example.com/1")]), []),
        (statement(attachments=[attachment(DATA, fileUrl="http://files.example.com/1")]), [DATA]),
        (statement(attachments=[attachment(DATA), attachment(DATA, display={"en": "Again"})]), [DATA]),
        ([statement(**WITH), statement(**WITH), statement()], [DATA, DATA]),
        (statement(object=nested(**WITH)), [DATA]),
        (statement(attachments=[attachment(b"")]), [b""]),
        (statement(attachments=[attachment(DATA, sha2=sha256(DATA).upper())]), [DATA]),
        # The length is what the sender says; only the hash decides what belongs together.
        (statement(attachments=[attachment(DATA, length=1)]), [DATA]),
    ],
)
def test_what_the_transmission_format_allows_is_stored(client: Any, sent: object, attached: list[bytes]) -> None:
    response = send(client, sent, *attached)

    assert response.status_code == 200, response.text
    assert set(ask(client).values()) == set(attached)


@pytest.mark.parametrize(
    ("sent", "attached"),
    [
        (statement(**WITH), []),
        (statement(**WITH), [b"other"]),
        (statement(**WITH), [DATA, b"other"]),  # a part that no statement names
        (statement(), [DATA]),
        ([statement(**WITH), statement(attachments=[attachment(b"other")])], [DATA]),
        (statement(object=nested(**WITH)), []),
    ],
)
def test_attachments_and_parts_that_do_not_match_are_refused(
    client: Any, session: Session, sent: object, attached: list[bytes]
) -> None:
    response = send(client, sent, *attached)

    assert response.status_code == 400
    assert response.json["rule"]
    assert (count(session, Statement), count(session, Attachment)) == (0, 0)


def test_refusal_names_the_statement_and_the_attachment(client: Any) -> None:
    response = send(
        client, [statement(), statement(attachments=[attachment(DATA, contentType="a/b"), attachment(b"2")])]
    )

    assert (response.json["index"], response.json["pointer"]) == (1, "/attachments/0")
    assert response.json["section"] == "2.4.11"


def test_header_that_differs_from_the_property_is_refused(client: Any) -> None:
    hashed = f"X-Experience-API-Hash: {sha256(DATA)}"
    other = part(DATA, hashed, "Content-Transfer-Encoding: binary", "Content-Type: text/html")
    body = mixed(statement(**WITH)).replace(b"--b--", b"--b\r\n" + other + b"\r\n--b--")

    response = client.post(body, content_type=TYPE)

    assert (response.status_code, response.json["pointer"]) == (400, "/attachments/0/contentType")


@pytest.mark.parametrize("length", range(0, 600, 40))
def test_body_that_is_cut_off_is_refused_and_nothing_stored(client: Any, session: Session, length: int) -> None:
    response = client.post(mixed(statement(**WITH), DATA)[:length], content_type=TYPE)

    assert response.status_code == 400
    assert (count(session, Statement), count(session, Attachment)) == (0, 0)


def test_same_attachment_is_stored_once(client: Any, session: Session) -> None:
    send(client, [statement(**WITH), statement(**WITH)], DATA)
    send(client, statement(**WITH), DATA)

    assert count(session, Attachment) == 1
    assert count(session, StatementAttachment) == 3


def test_same_statement_sent_again_with_its_attachment_is_success(client: Any, session: Session) -> None:
    sent = statement(id=ID, **WITH)

    answers = [send(client, sent, DATA).status_code for _ in range(2)]

    assert answers == [200, 200]
    assert (count(session, Statement), count(session, StatementAttachment)) == (1, 1)


def test_equal_statement_brings_the_bytes_that_the_first_left_out(client: Any) -> None:
    """2.3.1: an attachment's bytes are no part of the statement; what was acknowledged must not be lost."""
    sent = statement(id=ID, attachments=[attachment(DATA, fileUrl="http://files.example.com/1")])
    client.store(sent)

    assert send(client, sent, DATA).status_code == 200
    assert ask(client, statementId=ID) == {sha256(DATA): DATA}


def test_conflict_stores_no_attachment(client: Any, session: Session) -> None:
    client.store(statement(id=ID))

    assert send(client, statement(id=ID, **WITH), DATA).status_code == 409
    assert count(session, Attachment) == 0


def test_same_attachments_from_many_clients_at_once_are_stored_once(make_client: Any, session: Session) -> None:
    clients = [make_client("all") for _ in range(8)]
    pair = statement(attachments=[attachment(DATA), attachment(b"2")])

    def work(number: int) -> list[int]:
        swapped = (DATA, b"2") if number % 2 else (b"2", DATA)
        return [send(clients[number], pair, *swapped).status_code for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        answers = [status for statuses in pool.map(work, range(8)) for status in statuses]

    assert answers == [200] * 40
    assert (count(session, Attachment), count(session, StatementAttachment)) == (2, 80)


def test_attachments_are_stored_in_one_order_for_all(client: Any, session: Session) -> None:
    """Else two writers of the same ones could wait for each other in a circle."""
    several = sorted((str(number).encode() for number in range(20)), key=sha256, reverse=True)

    send(client, statement(attachments=[attachment(one) for one in several]), *several)

    hashes = session.scalars(select(Attachment.sha2).order_by(text("ctid"))).all()
    assert hashes == sorted(hashes)


def test_attachment_that_another_transaction_is_storing_is_waited_for(client: Any, app: Flask) -> None:
    with app.app_context(), database.lease() as connection, ThreadPoolExecutor(1) as pool:
        connection.execute(
            "insert into attachment (sha2, length, data) values (%s, %s, %s)",
            [bytes.fromhex(sha256(DATA)), len(DATA), DATA],
        )
        waiting = pool.submit(send, client, statement(id=ID, **WITH), DATA)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.5)
        connection.commit()
        assert waiting.result(timeout=20).status_code == 200

    assert ask(client, statementId=ID) == {sha256(DATA): DATA}


# --- out -------------------------------------------------------------------------------------------------------------


def test_without_attachments_true_the_answer_is_json(client: Any) -> None:
    send(client, statement(id=ID, **WITH), DATA)

    for query in ({}, {"attachments": "false"}, {"statementId": ID}):
        assert client.get(**query).content_type == "application/json"


def test_with_attachments_true_the_answer_is_multipart_also_without_any(client: Any) -> None:
    response = client.get(attachments="true")

    assert response.content_type.startswith("multipart/mixed; boundary=")
    assert bytes(read(response).texts[0]) == b'{"statements":[],"more":""}'


def test_each_attachment_of_a_page_comes_once(client: Any) -> None:
    send(client, [statement(**WITH), statement(**WITH), statement(attachments=[attachment(b"2")])], DATA, b"2")

    response = client.get(attachments="true")

    assert response.data.count(b"X-Experience-API-Hash") == 2
    assert ask(client) == {sha256(DATA): DATA, sha256(b"2"): b"2"}


def test_pages_bring_their_own_attachments(client: Any) -> None:
    send(client, statement(attachments=[attachment(b"1")]), b"1")
    send(client, statement(attachments=[attachment(b"2")]), b"2")

    first = read(client.get(attachments="true", limit="1"))
    path = client.get(attachments="true", limit="1").data.split(b'"more":"')[1].split(b'"')[0].decode()
    second = read(client.follow(path))

    assert (list(first.parts), list(second.parts)) == ([sha256(b"2")], [sha256(b"1")])


def test_page_leaves_out_what_was_never_sent_along(client: Any) -> None:
    named = attachment(b"elsewhere", fileUrl="http://files.example.com/1")
    send(client, [statement(attachments=[named, attachment(DATA)]), statement(attachments=[named])], DATA)

    assert ask(client) == {sha256(DATA): DATA}


def test_voided_statement_keeps_its_attachment(client: Any) -> None:
    send(client, statement(id=ID, **WITH), DATA)
    client.store(voiding(ID))

    assert ask(client, voidedStatementId=ID) == {sha256(DATA): DATA}


def test_form_ids_comes_with_attachments_too(client: Any) -> None:
    send(client, statement(id=ID, **WITH), DATA)

    assert ask(client, format="ids") == {sha256(DATA): DATA}


def test_head_is_get_without_the_body(client: Any) -> None:
    send(client, statement(id=ID, **WITH), DATA)

    head = client.http.head(f"/xapi/statements?attachments=true&statementId={ID}", headers=client.headers)

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == client.get(attachments="true", statementId=ID).headers["Content-Length"]


def test_who_only_names_a_hash_gets_no_bytes(make_client: Callable[..., Any]) -> None:
    """Else whoever knows a hash could read what others sent."""
    owner, other = make_client("all"), make_client("statements/write", "statements/read/mine")
    send(owner, statement(id=ID, **WITH), DATA)

    other.store(statement(id=OTHER_ID, attachments=[attachment(DATA, fileUrl="http://files.example.com/1")]))

    assert ask(other) == {}
    assert ask(owner, statementId=OTHER_ID) == {}
    assert ask(owner, statementId=ID) == {sha256(DATA): DATA}


# --- large ones ------------------------------------------------------------------------------------------------------


def test_large_attachments_lie_in_the_directory_and_come_back(client: Any, session: Session, directory: Path) -> None:
    response = send(client, statement(id=ID, attachments=[attachment(LARGE), attachment(DATA)]), LARGE, DATA)

    assert response.status_code == 200
    assert [path.read_bytes() for path in files(directory)] == [LARGE]
    assert session.scalars(select(Attachment.data).where(Attachment.length == len(LARGE))).one() is None
    assert ask(client, statementId=ID) == {sha256(LARGE): LARGE, sha256(DATA): DATA}


def test_directory_is_private(client: Any, directory: Path) -> None:
    send(client, statement(attachments=[attachment(LARGE)]), LARGE)

    (path,) = files(directory)

    assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0


def test_known_large_attachment_is_not_written_again(client: Any, directory: Path) -> None:
    send(client, statement(attachments=[attachment(LARGE)]), LARGE)
    (path,) = files(directory)
    before = path.stat().st_ino

    send(client, statement(attachments=[attachment(LARGE)]), LARGE)

    assert [one.stat().st_ino for one in files(directory)] == [before]


def test_without_a_place_for_files_large_attachments_lie_in_the_database(
    client: Any, app: Flask, session: Session, directory: Path
) -> None:
    settings.keep(app, replace(app.extensions["lrs"], files=None))

    send(client, statement(attachments=[attachment(LARGE)]), LARGE)

    assert files(directory) == []
    assert ask(client) == {sha256(LARGE): LARGE}


def test_what_is_refused_leaves_no_file(client: Any, directory: Path) -> None:
    broken = statement(attachments=[attachment(LARGE)], result={"success": "yes"})

    assert send(client, broken, LARGE).status_code == 400
    assert files(directory) == []


def test_full_or_missing_place_is_a_503_and_nothing_is_stored(client: Any, session: Session, directory: Path) -> None:
    directory.write_text("in the way")

    assert send(client, statement(attachments=[attachment(LARGE)]), LARGE).status_code == 503
    assert count(session, Statement) == 0


def test_memory_stays_bounded_while_large_attachments_go_out(client: Any, directory: Path) -> None:
    several = [os.urandom(len(LARGE)) for _ in range(30)]
    send(client, statement(id=ID, attachments=[attachment(one) for one in several]), *several)
    process = psutil.Process()
    path = f"/xapi/statements?attachments=true&statementId={ID}"
    before = process.memory_info().rss

    response = client.http.get(path, headers=client.headers, buffered=False)
    most = max(process.memory_info().rss for _ in response.iter_encoded())

    assert int(response.headers["Content-Length"]) > 30 * len(LARGE)
    assert most - before < 10 * len(LARGE)


def test_large_attachment_in_the_database_goes_out_in_pieces(client: Any, app: Flask, directory: Path) -> None:
    settings.keep(app, replace(app.extensions["lrs"], files=None))
    huge = os.urandom(5 * len(LARGE))
    send(client, statement(id=ID, attachments=[attachment(huge)]), huge)

    response = client.http.get(
        f"/xapi/statements?attachments=true&statementId={ID}", headers=client.headers, buffered=False
    )
    pieces = list(response.iter_encoded())

    assert max(map(len, pieces)) <= 1 << 20
    assert huge in b"".join(pieces)


# --- sweeping --------------------------------------------------------------------------------------------------------


def test_sweep_removes_what_no_row_names_when_it_is_old(client: Any, session: Session, directory: Path) -> None:
    send(client, statement(id=ID, attachments=[attachment(LARGE)]), LARGE)
    place = Directory(directory)
    place.put(sha256(b"left"), memoryview(b"by a crash"))
    (directory / "ab").mkdir()
    (directory / "ab" / f"ab{sha256(b'')[2:]}.0123").write_bytes(b"unfinished")
    (directory / "ab" / "notes.txt").write_bytes(b"not ours")
    now = datetime.now(UTC)

    assert attachments.sweep(session, place, before=now - timedelta(days=1)) == 0
    assert attachments.sweep(session, place, before=now + timedelta(seconds=1)) == 2
    assert {path.name for path in files(directory)} == {sha256(LARGE), "notes.txt"}
    assert ask(client, statementId=ID) == {sha256(LARGE): LARGE}


# --- signed statements: Data 2.6 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0.3", "2.0.0"])
def test_signed_statement_is_stored_and_its_signature_comes_back(make_client: Any, version: str) -> None:
    client = make_client("all", version=version)
    token = sign(statement(id=ID))

    assert send(client, statement(id=ID, attachments=[signature(token)]), token).status_code == 200
    assert ask(client, statementId=ID) == {sha256(token): token}


def test_signature_of_another_statement_is_refused_with_its_place(client: Any, session: Session) -> None:
    token = sign(statement(verb={"id": DID + "x"}))

    response = send(client, [statement(), statement(attachments=[signature(token)])], token)

    assert (response.status_code, response.json["section"]) == (400, "2.6")
    assert (response.json["index"], response.json["pointer"]) == (1, "/attachments/0")
    assert count(session, Statement) == 0


def test_json_cannot_bring_a_signature(client: Any) -> None:
    token = sign(statement())

    response = client.post(statement(attachments=[signature(token, fileUrl="http://files.example.com/1")]))

    assert (response.status_code, response.json["section"]) == (400, "2.6")


def test_signature_of_another_id_than_that_of_the_put_is_refused(client: Any) -> None:
    token = sign(statement(id=OTHER_ID))

    response = client.http.put(
        "/xapi/statements",
        query_string={"statementId": ID},
        data=mixed(statement(attachments=[signature(token)]), token),
        content_type=TYPE,
        headers=client.headers,
    )

    assert (response.status_code, response.json["section"]) == (400, "2.6")
