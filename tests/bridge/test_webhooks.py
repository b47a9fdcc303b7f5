"""Webhooks from the request to the table of versions: stored before they are answered, hints and never the truth."""

import base64
import hmac
import io
import json
import logging
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from company import Company
from sqlalchemy import select
from werkzeug.test import TestResponse

from bridge import context, documents, jobs, sources, status, webhooks
from bridge.mapping import MappingError
from bridge.models import SourceRecord, SourceRecordVersion, WebhookEvent
from bridge.views.webhooks import MAX_BYTES
from lrs import db

SECRET = "canary-77aa"
DOCUMENTS = """\
kind: source
name: desk
type: rest
every: 15m
base_url: {url}/api
allow_private: [127.0.0.1]
auth: {{type: none}}
request: {{path: /tickets, params: {{since: "{{low}}"}}}}
page: {{type: single}}
records: tickets
key: id
cursor: {{field: updated_at, lookback: 10m, settle: 0s, ordered: true}}
one: {{path: "/tickets/{{id}}", record: ticket, gone: [410]}}
---
kind: source
name: desk-hook
type: webhook
verify: {{type: zendesk, secret: {{secret: desk-hook}}}}
completes: desk
key: ticket.id
only: {{field: type, is: [changed, deleted]}}
---
kind: source
name: crm-hook
type: webhook
verify: {{type: header, header: X-Hook-Secret, secret: {{secret: desk-hook}}, delivery: X-Delivery}}
records: deals
key: id
cursor: {{field: changed_at}}
"""


class Desk(ThreadingHTTPServer):
    """Tickets, listed by time of change or asked for one by one; `faults` are statuses of the next single answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tickets: dict[str, dict] = {}
        self.faults: deque[int] = deque()
        self.asked: list[str] = []
        self.in_single: dict = {}
        self.hang = threading.Event()
        self.hang.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, number: str, *, ago: timedelta = timedelta(seconds=1), **values) -> None:
        at = (datetime.now(UTC) - ago).isoformat()
        self.tickets[number] = {**self.tickets.get(number, {}), "id": number, "updated_at": at, **values}


class Handler(BaseHTTPRequestHandler):
    server: Desk

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/api/tickets":
            since = datetime.fromisoformat(parse_qs(parts.query)["since"][0])
            rows = [row for row in self.server.tickets.values() if datetime.fromisoformat(row["updated_at"]) >= since]
            return self.reply({"tickets": sorted(rows, key=lambda row: row["updated_at"])})
        number = parts.path.rpartition("/")[2]
        self.server.asked.append(number)
        self.server.hang.wait(20)
        if self.server.faults:
            return self.reply({}, self.server.faults.popleft(), **{"Retry-After": "7200"})
        if number not in self.server.tickets:
            return self.reply({}, 410 if number.startswith("gone") else 404)
        return self.reply({"ticket": self.server.tickets[number] | self.server.in_single})

    def reply(self, body: dict, status: int = 200, **headers: str) -> None:
        content = json.dumps(body).encode()
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def desk(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_DESK_HOOK", SECRET)
    with Desk() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        company.write("desk.yaml", DOCUMENTS.format(url=running.url))
        jobs.load_documents()
        yield running
        running.hang.set()
        running.shutdown()


@pytest.fixture
def send(app):
    """POST as the system would, signed."""

    def post(
        body: object, *, name: str = "desk-hook", secret: str = SECRET, at: datetime | None = None, **headers: str
    ) -> TestResponse:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        stamp = f"{at or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        made = hmac.new(secret.encode(), stamp.encode() + content, "sha256").digest()
        signed = {
            "X-Zendesk-Webhook-Signature": base64.b64encode(made).decode(),
            "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        }
        if name == "crm-hook":
            signed = {"X-Hook-Secret": secret}
        return app.test_client().post(f"/webhooks/{name}", data=content, headers={**signed, **headers})

    return post


def changed(number: object, type_: str = "changed") -> dict:
    return {"type": type_, "ticket": {"id": number, "subject": "what was sent is not what is kept"}}


def versions(source: str = "desk") -> list[tuple[str, dict]]:
    rows = db.session.execute(
        select(SourceRecord.key, SourceRecordVersion.data)
        .join(SourceRecord, SourceRecord.id == SourceRecordVersion.record_id)
        .where(SourceRecord.source == source)
        .order_by(SourceRecordVersion.id)
    )
    return [(key, data) for key, data in rows]


def events() -> list[WebhookEvent]:
    db.session.rollback()
    return list(db.session.scalars(select(WebhookEvent).order_by(WebhookEvent.id)))


def let_pass(monkeypatch: pytest.MonkeyPatch, **length: float) -> None:
    later = datetime.now(UTC) + timedelta(**length)
    monkeypatch.setattr(jobs, "_now", lambda: later)


# --- the door --------------------------------------------------------------------------------------------------------


def test_delivery_is_stored_before_it_is_answered(desk, send):
    answer = send(changed("1"))

    assert (answer.status_code, answer.data) == (202, b"")
    db.session.rollback()  # what was not committed would be gone
    (event,) = events()
    assert (event.source, event.state, json.loads(event.body)["type"]) == ("desk-hook", "waiting", "changed")


def test_strangers_are_told_nothing_whatever_the_name(desk, send):
    answers = [send(changed("1"), secret="wrong"), send(changed("1"), name="nobody"), send(changed("1"), name="desk")]

    assert [(one.status_code, one.data) for one in answers] == [(401, b"")] * 3
    assert len({tuple(sorted(one.headers)) for one in answers}) == 1
    assert events() == []


def test_old_delivery_is_refused(desk, send):
    assert send(changed("1"), at=datetime.now(UTC) - timedelta(minutes=6)).status_code == 401
    assert events() == []


def test_delivery_that_comes_again_is_stored_once(desk, send):
    at = datetime.now(UTC)

    assert [send(changed("1"), at=at).status_code for _ in range(3)] == [202] * 3

    assert len(events()) == 1


def test_deliveries_that_nothing_names_are_all_stored(desk, send):
    deal = {"deals": [{"id": 1, "changed_at": "2026-01-01T00:00:00Z"}]}

    send(deal, name="crm-hook")
    send(deal, name="crm-hook")
    send(deal, name="crm-hook", **{"X-Delivery": "a"})
    send(deal, name="crm-hook", **{"X-Delivery": "a"})

    assert len(events()) == 3


def test_body_that_is_too_large_is_refused(desk, send):
    assert send(b"x" * (MAX_BYTES + 1)).status_code == 413
    assert send(b"x" * MAX_BYTES).status_code == 202


@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES + 1, 413), (MAX_BYTES, 202)])
def test_body_of_unknown_length_is_held_to_the_same_limit(desk, app, size, status):
    answer = app.test_client().post(
        "/webhooks/crm-hook",
        input_stream=io.BytesIO(b"x" * size),
        headers={"X-Hook-Secret": SECRET, "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},  # as gunicorn says
    )

    assert answer.status_code == status
    assert len(events()) == (status == 202)


def test_body_that_was_cut_off_is_refused(desk, app):
    answer = app.test_client().post(
        "/webhooks/crm-hook",
        input_stream=io.BytesIO(b'{"deals": []'),
        headers={"X-Hook-Secret": SECRET},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": "13"},
    )

    assert answer.status_code == 400
    assert events() == []


def test_missing_secret_is_ours_to_mend_and_the_sender_tries_again(desk, send, monkeypatch, caplog):
    monkeypatch.delenv("LRS_BRIDGE_SOURCE_DESK_HOOK")

    assert send(changed("1")).status_code == 503
    assert "Set LRS_BRIDGE_SOURCE_DESK_HOOK" in caplog.text


def test_address_can_be_looked_at(desk, app):
    assert app.test_client().head("/webhooks/desk-hook").status_code == 200


def test_no_word_of_what_was_sent_is_logged(desk, send, caplog):
    caplog.set_level(logging.DEBUG)

    send(changed("1"), secret="wrong")
    send(b"{ no json", name="crm-hook")
    jobs.complete_webhooks()

    assert "refused" in caplog.text
    assert not any(word in caplog.text for word in ("what was sent", "no json", SECRET))


# --- hints -----------------------------------------------------------------------------------------------------------


def test_record_that_is_named_is_fetched_as_it_is_now(desk, send):
    desk.put("1", status="solved")
    send(changed("1"))

    jobs.complete_webhooks()

    assert versions() == [("1", desk.tickets["1"])]
    (event,) = events()
    assert (event.state, event.body) == ("done", None)


def test_poll_stays_the_truth(desk, send):
    desk.put("1", ago=timedelta(hours=2))
    jobs.pull("desk")
    before = sources.state(db.session, "desk").state
    desk.put("2", ago=timedelta(hours=1))  # no webhook tells of it
    desk.put("1", status="solved")
    send(changed("1"))

    jobs.complete_webhooks()
    db.session.rollback()
    assert sources.state(db.session, "desk").state == before

    jobs.pull("desk")
    assert [key for key, _ in versions()] == ["1", "1", "2"]  # what the hint brought is not stored again


@pytest.mark.parametrize("order", ["webhook first", "poll first"])
def test_newest_version_is_the_same_in_any_order(desk, send, order):
    steps = [jobs.complete_webhooks, lambda: jobs.pull("desk")]
    first, then = steps if order == "webhook first" else reversed(steps)
    desk.put("1", status="open", ago=timedelta(minutes=5))
    send(changed("1"))

    first()
    desk.put("1", status="solved", ago=timedelta(minutes=1))
    send(changed("1"), at=datetime.now(UTC) - timedelta(seconds=9))
    then()
    jobs.complete_webhooks()
    jobs.pull("desk")

    assert [data["status"] for _, data in versions()] == ["open", "solved"]


@pytest.mark.parametrize("order", ["webhook first", "poll first"])
def test_of_one_version_what_a_poll_gave_counts(desk, send, order):
    steps = [jobs.complete_webhooks, lambda: jobs.pull("desk")]
    desk.put("1", status="open")
    desk.in_single = {"metrics": None}  # other fields than in the list
    send(changed("1"))

    for step in steps if order == "webhook first" else reversed(steps):
        step()

    assert versions()[-1] == ("1", desk.tickets["1"])
    assert len(versions()) == (2 if order == "webhook first" else 1)


def test_many_hints_of_one_record_are_one_question(desk, send):
    desk.put("1")
    desk.put("2")
    for number in ("1", "2", "1", "1"):
        send(changed(number), at=datetime.now(UTC) - timedelta(seconds=len(events())))

    jobs.complete_webhooks()

    assert sorted(desk.asked) == ["1", "2"]
    assert {event.state for event in events()} == {"done"}


def test_what_is_not_meant_is_passed_over(desk, send):
    send({"type": "ping"})

    jobs.complete_webhooks()

    assert [event.state for event in events()] == ["done"]
    assert desk.asked == []


def test_record_that_is_gone_is_a_deletion_where_the_document_says_so(desk, send):
    send(changed("gone-1", "deleted"))

    jobs.complete_webhooks()

    assert db.session.scalar(select(SourceRecordVersion.deleted)) is True


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{ no json", "no JSON"),
        ({"type": "changed"}, "There is no id at 'ticket.id'"),
        (changed("404"), "The record 404 is not there"),
        (changed("../users/1"), "The record ../users/1 is not there"),
    ],
)
def test_delivery_that_cannot_be_used_is_told_and_holds_up_no_other(desk, send, body, told):
    desk.put("1")
    send(body)
    send(changed("1"))
    if isinstance(body, bytes):
        assert [key for key, _ in versions()] == []

    jobs.complete_webhooks()

    assert [key for key, _ in versions()] == ["1"]
    (problem,) = status.problems_table(db.session, "desk-hook")
    assert told in problem["problem"]
    assert any("1 failed" in line for line in status.overview(db.session)["failing_sources"])
    assert all("/" not in number for number in desk.asked)


def test_system_that_is_away_is_waited_for_as_long_as_it_asks(desk, send, monkeypatch):
    desk.put("1")
    desk.faults.append(503)
    send(changed("1"))
    jobs.complete_webhooks()
    assert [event.state for event in events()] == ["waiting"]
    assert "1 deliveries wait" in status.overview(db.session)["failing_sources"][-1]

    let_pass(monkeypatch, hours=1)
    jobs.complete_webhooks()
    assert desk.asked == ["1"]

    let_pass(monkeypatch, hours=3)
    jobs.complete_webhooks()
    assert [key for key, _ in versions()] == ["1"]


def test_all_wait_while_a_system_is_away(desk, send, monkeypatch):
    monkeypatch.setattr(webhooks, "BATCH", 1)
    for number in range(5):
        desk.put(str(number))
        send(changed(str(number)))
    desk.faults.append(503)

    jobs.complete_webhooks()
    jobs.complete_webhooks()
    assert desk.asked == ["0"]

    let_pass(monkeypatch, hours=3)
    jobs.complete_webhooks()
    assert [key for key, _ in versions()] == ["0", "1", "2", "3", "4"]


def test_tries_end_and_what_is_left_is_told(desk, send, monkeypatch):
    send(changed("1"))
    for number in range(webhooks.TRIES + 3):
        desk.faults.append(403)
        let_pass(monkeypatch, hours=2 * number)
        jobs.complete_webhooks()

    assert len(desk.asked) == webhooks.TRIES
    (event,) = events()
    assert (event.state, event.tries) == ("failed", webhooks.TRIES)
    assert "permission" in status.problems_table(db.session, "desk-hook")[0]["problem"]


def test_one_that_is_refused_takes_others_with_it_only_once(desk, send, monkeypatch):
    desk.put("1")
    desk.put("2")
    desk.faults.append(403)
    send(changed("1"))
    send(changed("2"))
    jobs.complete_webhooks()
    assert versions() == []

    desk.faults.append(403)
    let_pass(monkeypatch, minutes=1)
    jobs.complete_webhooks()

    assert [key for key, _ in versions()] == ["2"]


def test_mended_document_tries_again_what_failed(desk, send, company):
    desk.put("1")
    send({"type": "changed", "id": "1"})
    jobs.complete_webhooks()
    assert [event.state for event in events()] == ["failed"]

    company.change("desk.yaml", "key: ticket.id", "key: id")
    jobs.load_documents()
    jobs.complete_webhooks()

    assert [key for key, _ in versions()] == ["1"]


def test_paused_source_is_not_asked(desk, send):
    desk.put("1")
    send(changed("1"))
    sources.pause(db.session, "desk", now=datetime.now(UTC))
    db.session.commit()

    jobs.complete_webhooks()
    assert desk.asked == []

    sources.resume(db.session, "desk")
    db.session.commit()
    jobs.complete_webhooks()
    assert [key for key, _ in versions()] == ["1"]


WORKER = """
from bridge import jobs
from bridge.app import create_app
from bridge.settings import Settings

with create_app(Settings.from_env()).app_context():
    jobs.complete_webhooks()
"""


def test_worker_that_is_killed_leaves_the_rest_to_another(desk, send):
    desk.put("1", status="solved")
    send(changed("1"))
    desk.hang.clear()
    env = {**context.environment(), **context.settings().to_mapping()}
    worker = subprocess.Popen([sys.executable, "-c", WORKER], env=env)
    try:
        for _ in range(400):
            if desk.asked:
                break
            threading.Event().wait(0.05)
        assert desk.asked == ["1"]
    finally:
        worker.kill()
        worker.wait(10)
    desk.hang.set()
    assert versions() == []

    for _ in range(100):  # its lock ends when the server notices that it is gone
        jobs.complete_webhooks()
        if versions():
            break
        threading.Event().wait(0.05)

    assert versions() == [("1", desk.tickets["1"])]
    assert [event.state for event in events()] == ["done"]


# --- records ---------------------------------------------------------------------------------------------------------


def test_what_is_sent_is_the_record_where_nothing_is_completed(desk, send):
    new = {"id": 1, "changed_at": "2026-01-02T00:00:00Z", "stage": "won"}
    old = {"id": 1, "changed_at": "2026-01-01T00:00:00Z", "stage": "open"}
    send({"deals": [new, {"id": 2}]}, name="crm-hook")
    send({"deals": [old]}, name="crm-hook")

    jobs.complete_webhooks()

    assert versions("crm-hook") == [("1", new), ("1", old)]
    newest = select(SourceRecordVersion.data).order_by(SourceRecordVersion.cursor.desc()).limit(1)
    assert db.session.scalar(newest)["stage"] == "won"
    assert [event.state for event in events()] == ["failed", "done"]  # deal 2 says no time


def test_what_is_sent_again_after_it_changed_back_is_not_the_present(desk, send):
    told = [{"id": 1, "changed_at": "2026-01-02T00:00:00Z", "stage": stage} for stage in ("open", "won", "open")]
    for one in told:
        send({"deals": [one]}, name="crm-hook")
        jobs.complete_webhooks()

    assert versions("crm-hook") == [("1", told[0]), ("1", told[1])]


def test_webhooks_are_pulled_for_nothing_and_count_as_well(desk):
    jobs.pull("crm-hook")

    state = sources.state(db.session, "crm-hook")
    assert (state.last_error, state.succeeded_at is not None) == (None, True)


def test_what_is_worked_off_is_dropped_in_time(desk, send, monkeypatch):
    send({"type": "ping"})
    jobs.complete_webhooks()
    send({"type": "changed"})
    jobs.complete_webhooks()

    let_pass(monkeypatch, days=8)
    jobs.tidy()
    assert [event.state for event in events()] == ["failed"]

    let_pass(monkeypatch, days=31)
    jobs.tidy()
    assert events() == []


@pytest.mark.parametrize(
    ("completes", "told"),
    [
        ("dask", "There is no source called 'dask'"),
        ("crm", "crm cannot be asked for single records"),
    ],
)
def test_webhook_must_complete_a_source_that_can_be_asked(desk, company, completes, told):
    company.change("desk.yaml", "completes: desk", f"completes: {completes}")

    with pytest.raises(MappingError) as caught:
        documents.check(context.settings().folders)

    (problem,) = caught.value.problems
    assert told in problem.text
    assert problem.line == 19
