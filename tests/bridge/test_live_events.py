"""Canvas Live Events from the post to facts: stored before they are answered, one statement each, whatever comes."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from canvas_sender import HOST, ROOT_ACCOUNT, Sender, sending
from company import Company
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

import lrs
from bridge import context, documents, jobs, live_events, sources, status
from bridge.models import Fact, LiveEvent, Rule
from bridge.settings import shipped
from bridge.views.webhooks import MAX_BYTES
from connectors import caliper
from lrs import db

GOLDEN = Path(__file__).parents[1] / "golden" / "canvas"
CASES = [case for path in sorted(GOLDEN.glob("*.json")) for case in json.loads(path.read_text())["cases"]]
GRADED = json.loads((GOLDEN / "graded.json").read_text())["cases"][0]["event"]
SECRET_WORDS = ("Ana Alvarez", "ana@example.com", "31470000000000048")
DOCUMENT = """\
kind: source
name: canvas-events
type: live_events
root_account: {account}
hosts: [{host}]
keys: {keys}
allow_private: [127.0.0.1]
---
kind: source
name: other-events
type: live_events
root_account: another
hosts: [other.instructure.com]
keys: {keys}
allow_private: [127.0.0.1]
"""

Post = Callable[..., TestResponse]


@pytest.fixture
def canvas(company: Company) -> Iterator[Sender]:
    with sending() as running:
        document = DOCUMENT.format(account=ROOT_ACCOUNT, host=HOST, keys=running.keys_url)
        company.write("events.yaml", document)
        jobs.load_documents()
        yield running


@pytest.fixture
def post(app: Flask, canvas: Sender) -> Post:
    """POST as Canvas would; a message is signed, bytes are sent as they are."""

    def send(message: dict[str, Any] | bytes, *, name: str = "canvas-events") -> TestResponse:
        body = message if isinstance(message, bytes) else canvas.sign(message)
        return app.test_client().post(f"/live-events/{name}", data=body, content_type="application/jwt")

    return send


def events() -> list[LiveEvent]:
    db.session.rollback()
    return list(db.session.scalars(select(LiveEvent).order_by(LiveEvent.id)))


def statements() -> list[dict[str, Any]]:
    db.session.rollback()
    return [json.loads(one) for one in db.session.scalars(select(lrs.Statement.payload).order_by(lrs.Statement.seq))]


def let_pass(monkeypatch: pytest.MonkeyPatch, **length: float) -> None:
    later = datetime.now(UTC) + timedelta(**length)
    monkeypatch.setattr(jobs, "_now", lambda: later)


def unfit(number: int = 0) -> dict[str, Any]:
    """Give an event that says nothing of a learner."""
    message = deepcopy(GRADED)
    message["data"][0] |= {"id": f"urn:uuid:{number}", "type": "Event", "action": "Created"}
    return message


# --- the door --------------------------------------------------------------------------------------------------------


def test_events_are_stored_before_they_are_answered(post):
    answer = post(GRADED)

    assert (answer.status_code, answer.data) == (200, b"")
    db.session.rollback()  # what was not committed would be gone
    (event,) = events()
    assert (event.source, event.state) == ("canvas-events", "waiting")
    assert json.loads(event.body) == GRADED["data"][0]


def test_strangers_are_told_nothing_whatever_the_name(canvas, post):
    forged = canvas.sign(GRADED, by=77, kid="2026-01")
    refused = [
        post(forged),
        post(json.dumps(GRADED).encode()),
        post(canvas.sign(GRADED, exp=1_700_000_000)),
        post(GRADED, name="nobody"),
        post(GRADED, name="helpdesk"),  # a source of another type
        post(GRADED, name="other-events"),  # well signed, and of another site
    ]

    assert [(one.status_code, one.data) for one in refused] == [(401, b"")] * 6
    assert len({tuple(sorted(one.headers)) for one in refused}) == 1
    assert events() == []


def test_post_that_comes_again_is_stored_once_also_signed_anew(canvas, post):
    token = canvas.sign(GRADED)

    answers = [post(token), post(token), post(canvas.sign(GRADED, iat=1_700_000_000))]

    assert [one.status_code for one in answers] == [200] * 3
    assert len(events()) == 1


@pytest.mark.parametrize(("size", "status"), [(MAX_BYTES + 1, 413), (MAX_BYTES, 401)])
def test_body_that_is_too_large_is_refused(canvas, post, size, status):
    assert post(b"x" * size).status_code == status
    assert events() == []


def test_body_that_was_cut_off_is_refused(canvas, app):
    answer = app.test_client().post(
        "/live-events/canvas-events",
        input_stream=io.BytesIO(b"eyJ"),
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": "13"},
    )

    assert answer.status_code == 400


def test_while_the_keys_cannot_be_had_canvas_is_to_try_again(canvas, app, post, caplog):
    app.extensions.pop("lrs-bridge-live-events", None)
    canvas.faults.append((500, b""))
    app_keys = post(GRADED)

    assert (app_keys.status_code, app_keys.headers["Retry-After"]) == (503, "60")
    assert "cannot be had" in caplog.text
    assert events() == []


def test_only_posts_are_answered(canvas, app):
    assert app.test_client().get("/live-events/canvas-events").status_code == 405


def test_no_word_of_events_is_logged(canvas, post, caplog):
    caplog.set_level(logging.DEBUG)

    post(canvas.sign(GRADED, by=77, kid="2026-01"))
    for case in CASES:
        post(case["event"])
    jobs.convert_live_events()

    assert "refused" in caplog.text
    assert not any(word in caplog.text for word in SECRET_WORDS)


# --- statements ------------------------------------------------------------------------------------------------------


def test_every_golden_event_becomes_its_statement_and_its_fact(company, canvas, post):
    company.write("canvas.yaml", (shipped("mappings") / "canvas.yaml").read_text())
    jobs.load_documents()
    for case in CASES:
        assert post(case["event"]).status_code == 200

    jobs.convert_live_events()
    jobs.map_items()

    ours = {"authority", "stored", "version"}
    found = {one["id"]: {key: value for key, value in one.items() if key not in ours} for one in statements()}
    assert found == {case["item"]["id"]: case["item"] for case in CASES}
    kinds = select(Rule.document + "/" + Rule.name).join(Fact, Fact.rule_id == Rule.id)
    assert Counter(db.session.scalars(kinds.where(Rule.document == "canvas"))) == Counter(
        fact["rule"] for case in CASES for fact in case["facts"]
    )
    assert {(one.state, one.body) for one in events()} == {("stored", None)}
    assert {str(one.statement) for one in events()} == set(found)


def test_authority_is_the_agent_of_a_credential_of_the_sources_own(post):
    post(GRADED)

    jobs.convert_live_events()
    jobs.convert_live_events()

    (made,) = statements()
    (credential,) = db.session.scalars(select(lrs.Credential).filter_by(name="live events canvas-events"))
    assert made["authority"]["account"]["name"] == credential.key
    assert set(credential.scopes) == {"statements/write", "define"}


def test_event_that_comes_again_after_it_was_forgotten_is_still_one_statement(post):
    for _ in range(2):
        post(GRADED)
        jobs.convert_live_events()
        live_events.forget_old(db.session, now=datetime.now(UTC) + timedelta(days=40))
        db.session.commit()
        assert events() == []

    assert len(statements()) == 1


def test_an_event_that_claims_a_known_id_changes_nothing(post):
    changed = deepcopy(GRADED)
    changed["data"][0]["generated"]["scoreGiven"] = 1
    post(GRADED)
    jobs.convert_live_events()
    live_events.forget_old(db.session, now=datetime.now(UTC) + timedelta(days=8))
    db.session.commit()
    post(changed)
    jobs.convert_live_events()

    (made,) = statements()
    assert made["result"]["score"]["raw"] == 17
    (event,) = events()
    assert (event.state, "Another statement is stored" in event.reason) == ("none", True)


def test_what_is_no_statement_is_kept_and_counted_by_its_reason(post):
    for number in range(3):
        post(unfit(number))
    without_user = deepcopy(GRADED)
    without_user["data"][0] |= {"id": "urn:uuid:x", "object": {}}
    post(without_user)
    post(GRADED)

    jobs.convert_live_events()

    assert len(statements()) == 1
    others = live_events.others(db.session, "canvas-events")
    assert [(reason, many) for reason, many, _ in others] == [
        ("Event Created says nothing of a learner, or is not known here.", 3),
        ("Its assignee is no user of Canvas.", 1),
    ]
    assert json.loads(events()[0].body)["id"] == "urn:uuid:0"
    told = [row["problem"] for row in status.problems_table(db.session, "canvas-events")]
    assert told[0].startswith("3 events, last 20")
    assert status.overview(db.session)["failing_sources"] == []  # these are no failures


def test_what_was_no_statement_is_looked_at_again_when_its_own_document_or_our_table_changes(
    company, post, monkeypatch
):
    post(unfit())
    jobs.convert_live_events()

    company.change("rules.yaml", "name: lms", "name: another")
    jobs.load_documents()
    assert [one.state for one in events()] == ["none"]

    company.change("events.yaml", "type: live_events", "title: Canvas\ntype: live_events")
    jobs.load_documents()
    assert [one.state for one in events()] == ["waiting"]

    jobs.convert_live_events()
    monkeypatch.setattr(caliper, "TABLE", caliper.TABLE + 1)
    company.change("rules.yaml", "name: another", "name: lms")
    jobs.load_documents()
    assert [one.state for one in events()] == ["waiting"]


@pytest.mark.parametrize("word", ["NUL \0 here", "\ud800", "x" * 5000])
def test_reason_may_repeat_any_words_of_an_event(post, word):
    message = unfit()
    message["data"][0]["type"] = word
    post(message)

    jobs.convert_live_events()

    assert [one.state for one in events()] == ["none"]


def test_figure_that_json_has_no_word_for_is_no_score(canvas, post):
    message = deepcopy(GRADED)
    message["data"][0]["generated"]["scoreGiven"] = float("nan")
    assert post(message).status_code == 200

    jobs.convert_live_events()

    (made,) = statements()
    assert "result" not in made


def test_paused_source_waits(post):
    post(GRADED)
    sources.pause(db.session, "canvas-events", now=datetime.now(UTC))
    db.session.commit()
    jobs.convert_live_events()
    assert statements() == []

    sources.resume(db.session, "canvas-events")
    db.session.commit()
    jobs.convert_live_events()
    assert len(statements()) == 1


def test_fault_of_ours_is_tried_again_alone_and_in_the_end_told(post, monkeypatch):
    poisoned, real = unfit(), caliper.convert
    post(poisoned)
    post(GRADED)

    def convert(message: dict[str, Any], **settings: Any) -> Any:
        if message["data"][0]["id"] == "urn:uuid:0":
            raise ZeroDivisionError
        return real(message, **settings)

    monkeypatch.setattr(caliper, "convert", convert)
    with pytest.raises(ZeroDivisionError):
        jobs.convert_live_events()
    assert statements() == []
    assert any("2 events wait" in line for line in status.overview(db.session)["failing_sources"])

    for number in range(live_events.TRIES + 2):
        let_pass(monkeypatch, hours=3 * (number + 1))
        try:
            jobs.convert_live_events()
        except ZeroDivisionError:
            continue

    assert len(statements()) == 1
    assert [(one.state, one.tries) for one in events()] == [("failed", live_events.TRIES), ("stored", 1)]
    assert any("1 failed: A fault" in line for line in status.overview(db.session)["failing_sources"])


def test_many_events_are_worked_off_in_batches(post, monkeypatch):
    monkeypatch.setattr(live_events, "BATCH", 4)
    for case in CASES:
        post(case["event"])

    jobs.convert_live_events()

    assert len(statements()) == len(CASES)


WORKER = """
import os, signal, sys
from bridge import jobs, live_events
from bridge.app import create_app
from bridge.settings import Settings

place = sys.argv[1]
real = getattr(live_events, place)
def killed(*args, **kwargs):
    if place == "end":
        real(*args, **kwargs)  # everything is done but the commit
    os.kill(os.getpid(), signal.SIGKILL)
setattr(live_events, place, killed)
live_events.BATCH = 3
with create_app(Settings.from_env()).app_context():
    jobs.convert_live_events()
"""


@pytest.mark.parametrize("place", ["convert", "end"])
def test_worker_that_is_killed_leaves_the_rest_to_another(post, place):
    for case in CASES:
        post(case["event"])
    env = {**os.environ, **context.settings().to_mapping()}
    worker = subprocess.run([sys.executable, "-c", WORKER, place], env=env, check=False, timeout=120)
    assert worker.returncode == -signal.SIGKILL
    assert {one.state for one in events()} == {"waiting"}

    for _ in range(200):  # its lock ends when the server notices that it is gone
        jobs.convert_live_events()
        if len(statements()) == len(CASES):
            break
        time.sleep(0.05)

    assert sorted(one["id"] for one in statements()) == sorted(case["item"]["id"] for case in CASES)
    assert {one.state for one in events()} == {"stored"}


def test_old_events_are_forgotten_and_waiting_ones_never(post):
    post(GRADED)
    jobs.convert_live_events()
    post(unfit())
    jobs.convert_live_events()
    post(unfit(1))

    for days, left in ((6, 3), (8, 2), (31, 1)):
        live_events.forget_old(db.session, now=datetime.now(UTC) + timedelta(days=days))
        db.session.commit()
        assert len(events()) == left

    assert [one.state for one in events()] == ["waiting"]


def test_source_of_another_type_is_none(canvas):
    current = documents.current(db.session)

    assert current is not None
    assert live_events.source(current, "helpdesk") is None
    assert live_events.source(current, "nobody") is None
