"""Forwarding, to a second lrs-bridge over loopback: each matching statement once, whatever fails on the way."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from company import Company, done, scored
from sqlalchemy import text
from sqlalchemy.orm import Session
from target_lrs import TargetLrs

import lrs
from bridge import context, documents, forwarding, jobs
from bridge.errors import UnknownName
from bridge.mapping import MappingError
from bridge.models import DeadLetter, Forward
from lrs import credentials, db

VOIDED = "http://adlnet.gov/expapi/verbs/voided"
BUSY = ("503 Service Unavailable", [], b"")


@pytest.fixture
def forward(company: Company, target: TargetLrs) -> Callable[..., bool]:
    """Bring a forward document into force, and hand on what there is."""

    def run(filters: str = "", *, again: bool = False) -> bool:
        if not again:
            company.write("forward.yaml", written(target, filters))
            jobs.load_documents()
        return jobs.forward_now("corporate")

    return run


def written(target: TargetLrs, filters: str = "", version: str = "1.0.3") -> str:
    return f"""\
kind: destination
name: corporate-lrs
type: lrs
endpoint: {target.endpoint}
allow_private: ["127.0.0.1"]
version: {version}
auth: {{type: basic, username: {{secret: corp-key}}, password: {{secret: corp-secret}}}}
---
kind: forward
name: corporate
to: corporate-lrs
{filters}
"""


def many(count: int) -> list[dict[str, Any]]:
    return [done(f"learner-{number}") for number in range(count)]


def voiding(statement: str) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "actor": {"mbox": "mailto:admin@example.com"},
        "verb": {"id": VOIDED},
        "object": {"objectType": "StatementRef", "id": statement},
    }


def standing(session: Session) -> Forward:
    return session.get_one(Forward, "corporate", populate_existing=True)


def ids(*statements: dict[str, Any]) -> set[str]:
    return {one["id"] for one in statements}


# --- what goes there -------------------------------------------------------------------------------------------------


def test_every_statement_goes_there_once_under_its_id(company, target, forward, session):
    company.post(*many(120))
    forward()

    assert target.statements().keys() == ids(*many(120))
    assert (standing(session).taken, standing(session).attempts) == (120, 0)

    before = len(target.asked)
    forward(again=True)
    assert len(target.asked) == before


def test_stored_json_goes_as_it_is_without_what_the_target_sets(company, target, forward):
    odd = (
        '{"id":"%s","actor":{"mbox":"mailto:ann@example.com"},"verb":{"id":"http://x.example/v"},'
        '"object":{"id":"http://x.example/a"},"result":{"duration":"PT16559.1400S","score":{"raw":1.10}},'
        '"timestamp":"2026-06-01T09:00:00.123456789Z",'
        '"context":{"extensions":{"http://x.example/e":[1.0,1e2,null,12345678901234567890]}}}'
    ).replace("%s", str(uuid4()))
    company.post_text(odd)
    forward()

    [(_, _, body)] = target.asked
    for piece in (
        '"PT16559.1400S"',
        '"raw":1.10',
        '"2026-06-01T09:00:00.123456789Z"',
        "[1.0,1e2,null,12345678901234567",
    ):
        assert piece in body.decode()
    assert '"stored"' not in body.decode()
    assert '"authority"' not in body.decode()
    [held] = target.statements().values()
    assert held["authority"]["account"]["homePage"] == "https://target.example.com"


@pytest.mark.parametrize(
    ("filters", "going"),
    [
        ("match: {verb: http://adlnet.gov/expapi/verbs/scored}", {"scored"}),
        ("match: {activity: {prefix: https://lms.example.com/lesson/}}", {"done", "account"}),
        ("match: {platform: Moodle}", {"account"}),
        ("match: {registration: present}", {"account"}),
        ("home_page: https://lms.example.com", {"account"}),
        ("when: has(result.score) && result.score.raw > 5", {"scored"}),
        ("not_from: [LMS]", set()),
        ("since: '2999-01-01T00:00:00Z'", set()),
        ("since: '2001-01-01T00:00:00+02:00'", {"scored", "done", "account"}),
        ("", {"scored", "done", "account"}),
    ],
)
def test_only_what_the_document_chooses_goes(company, target, forward, filters, going):
    account = done("bo") | {
        "actor": {"account": {"homePage": "https://lms.example.com", "name": "7"}},
        "context": {"registration": str(uuid4()), "platform": "Moodle"},
    }
    named = {"scored": scored("ann", 9), "done": done("ann"), "account": account}
    company.post(*named.values())

    forward(filters)

    assert target.statements().keys() == {named[name]["id"] for name in going}


def test_statement_of_which_it_cannot_be_told_becomes_a_dead_letter_and_holds_up_no_other(
    company, target, forward, session
):
    company.post(done("ann"), done("7"))

    forward("when: int(actor.name) > 5")

    assert target.statements().keys() == ids(done("7"))
    [letter] = forwarding.dead_letters(session, "corporate")
    assert str(letter.statement) == done("ann")["id"]
    assert "Whether it is to go cannot be told: int(actor.name) > 5" in letter.error


def test_attachments_go_along(company, target, forward):
    content = b"certificate\r\n--b\r\n" * 10
    sha2 = hashlib.sha256(content).hexdigest()
    attachment = {
        "usageType": "http://x.example/certificate",
        "display": {"en": "Certificate"},
        "contentType": "text/plain",
        "length": len(content),
        "sha2": sha2,
    }
    statement = done("ann") | {"attachments": [attachment]}
    pair = (company.credential["key"], company.credential["secret"])
    parts = [
        b"--b0\r\nContent-Type: application/json\r\n\r\n" + json.dumps([statement, done("bo")]).encode(),
        b"--b0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n"
        b"X-Experience-API-Hash: " + sha2.encode() + b"\r\n\r\n" + content,
        b"--b0--\r\n",
    ]
    answer = company.app.test_client().post(
        "/xapi/statements",
        data=b"\r\n".join(parts),
        content_type="multipart/mixed; boundary=b0",
        headers={"X-Experience-API-Version": "1.0.3"},
        auth=pair,
    )
    assert answer.status_code == 200, answer.text

    forward()

    assert target.statements().keys() == ids(statement, done("bo"))
    assert target.attachments() == [content]


# --- voiding ---------------------------------------------------------------------------------------------------------


def test_voiding_statements_go_where_those_go_that_they_void(company, target, forward):
    company.post(done("ann"), scored("ann", 5))
    voids = [voiding(done("ann")["id"]), voiding(scored("ann", 5)["id"])]
    company.post(*voids)

    forward("match: {verb: http://adlnet.gov/expapi/verbs/completed}")

    assert target.statements().keys() == ids(done("ann"), voids[0])
    assert target.voided() == ids(done("ann"))


def test_voiding_statement_that_was_first_goes_when_the_other_comes(company, target, forward):
    void = voiding(done("ann")["id"])
    company.post(void)
    forward("match: {verb: http://adlnet.gov/expapi/verbs/completed}")
    assert target.statements() == {}

    company.post(done("ann"))
    forward(again=True)

    assert target.statements().keys() == ids(done("ann"), void)


def test_voiding_statement_goes_when_the_other_is_there_already(company, target, forward):
    company.post(done("ann"))
    forward("match: {verb: http://adlnet.gov/expapi/verbs/completed}")
    void = voiding(done("ann")["id"])
    company.post(void)
    forward(again=True)

    assert target.statements().keys() == ids(done("ann"), void)
    assert target.voided() == ids(done("ann"))


def test_voiding_statement_goes_after_what_it_voids(company, target, forward):
    for number in range(20):
        company.post(done(f"learner-{number}"))
        company.post(voiding(done(f"learner-{number}")["id"]))
    order: list[str] = []
    target.fault = lambda _method, _path, body: order.extend(one["id"] for one in json.loads(body))

    forward()

    for number in range(20):
        voided = done(f"learner-{number}")["id"]
        [void] = [id_ for id_, one in target.statements().items() if one["object"].get("id") == voided]
        assert order.index(voided) < order.index(void)


# --- what fails ------------------------------------------------------------------------------------------------------


def test_half_of_all_requests_failing_changes_nothing_in_the_end(company, target, forward, session):
    company.post(*many(300))
    chance = random.Random(7)  # noqa: S311 - a test's dice
    lost = threading.local()

    def fail(method: str, path: str, body: bytes) -> Any:
        roll = chance.random()
        if roll < 0.25:
            return BUSY
        lost.answer = roll < 0.5
        return None

    target.fault = fail
    target.after = lambda *_: getattr(lost, "answer", False)

    forward()
    for _ in range(50):
        row = standing(session)
        if row.next_try_at is None and not forwarding.standings(session)[0].behind:
            break
        forwarding.ask_again(session, "corporate")
        session.commit()
        forward(again=True)

    assert target.statements().keys() == ids(*many(300))
    assert forwarding.dead_letters(session, "corporate") == []
    assert standing(session).last_error is None


def test_busy_target_is_asked_again_when_it_says_so(company, target, forward, session):
    company.post(done("ann"))
    target.fault = lambda *_: ("429 Too Many Requests", [("Retry-After", "3600")], b"")
    began = datetime.now(UTC)

    forward()

    row = standing(session)
    assert row.state == "active"
    assert "429" in row.last_error
    assert row.next_try_at >= began + timedelta(seconds=3600)
    assert forwarding.due(session, now=began + timedelta(seconds=3500)) == []
    assert forwarding.due(session, now=began + timedelta(seconds=3700)) == ["corporate"]
    assert len(target.asked) == 1


def test_target_that_stays_away_waits_for_a_person_in_the_end(company, target, forward, session):
    company.post(done("ann"))
    target.fault = lambda *_: BUSY

    forward()
    for _ in range(5):
        assert standing(session).state == "active"
        forward(again=True)

    assert standing(session).state == "failed"
    assert forwarding.due(session, now=datetime.now(UTC) + timedelta(days=99)) == []
    asked = len(target.asked)
    forward(again=True)
    assert len(target.asked) == asked

    target.fault = None
    jobs.forward_now("corporate", dead=True)
    assert target.statements().keys() == ids(done("ann"))
    assert (standing(session).state, standing(session).last_error) == ("active", None)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (("401 Unauthorized", [], b"who?"), "Check the key and secret"),
        (("404 Not Found", [], b""), "Check the address"),
        (("200 OK", [("Content-Type", "text/html")], b"<html>Welcome</html>"), "does not answer as an LRS does"),
    ],
)
def test_target_that_says_no_to_all_waits_for_a_person_and_nothing_counts_as_sent(
    company, target, forward, session, answer, told
):
    company.post(done("ann"))
    target.fault = lambda *_: answer

    forward()

    row = standing(session)
    assert (row.state, row.taken) == ("failed", 0)
    assert told in row.last_error
    assert os.environ["LRS_BRIDGE_SOURCE_CORP_SECRET"] not in row.last_error
    assert forwarding.dead_letters(session, "corporate") == []


def refusing(*bad: str, status: str = "400 Bad Request") -> Callable[[str, str, bytes], Any]:
    return lambda _method, _path, body: (status, [], b"bad actor") if any(one.encode() in body for one in bad) else None


@pytest.mark.parametrize("status", ["400 Bad Request", "409 Conflict", "413 Too Large", "422 Unprocessable"])
def test_refused_statements_stand_alone_in_the_end_and_hold_up_no_other(company, target, forward, session, status):
    statements = many(200)
    bad = {statements[number]["id"] for number in (3, 77, 78, 199)}
    company.post(*statements)
    target.fault = refusing(*bad, status=status)

    forward()

    assert target.statements().keys() == ids(*statements) - bad
    letters = forwarding.dead_letters(session, "corporate")
    assert {str(one.statement) for one in letters} == bad
    assert all(one.status == int(status[:3]) and "bad actor" in one.error for one in letters)
    assert standing(session).taken == 196
    assert len(target.asked) < 8 + 4 * 2 * 7 * 2


def test_dead_letters_are_sent_again_when_somebody_asks(company, target, forward, session):
    company.post(done("ann"), done("bo"))
    target.fault = refusing(done("ann")["id"], done("bo")["id"])
    forward()
    target.fault = refusing(done("bo")["id"])

    jobs.forward_now("corporate", dead=True)

    assert target.statements().keys() == ids(done("ann"))
    [letter] = forwarding.dead_letters(session, "corporate")
    assert (str(letter.statement), letter.tries) == (done("bo")["id"], 2)


def test_too_many_refusals_stop_the_forward(company, target, forward, session, monkeypatch):
    monkeypatch.setattr(forwarding, "MOST_DEAD", 5)
    monkeypatch.setattr(forwarding, "READ", 1)
    company.post(*many(80))
    target.fault = refusing("verb")

    forward()

    assert standing(session).state == "failed"
    assert "5 statements were refused" in standing(session).last_error
    assert len(forwarding.dead_letters(session, "corporate")) == 5


def test_another_statement_of_the_same_id_there_is_a_dead_letter(company, target, forward, session):
    theirs = done("ann") | {"timestamp": "2020-01-01T00:00:00Z"}
    answer = target.app.test_client().post(
        "/xapi/statements",
        json=[theirs],
        auth=(os.environ["LRS_BRIDGE_SOURCE_CORP_KEY"], os.environ["LRS_BRIDGE_SOURCE_CORP_SECRET"]),
        headers={"X-Experience-API-Version": "1.0.3"},
    )
    assert answer.status_code == 200
    company.post(done("ann"), done("bo"))

    forward()

    [letter] = forwarding.dead_letters(session, "corporate")
    assert (str(letter.statement), letter.status) == (done("ann")["id"], 409)
    assert target.statements()[done("bo")["id"]]


def test_target_that_answers_with_ids_of_its_own_has_nothing(company, target, forward, session):
    company.post(*many(3))
    wrong = json.dumps([str(uuid4()) for _ in range(3)]).encode()
    target.fault = lambda method, *_: (
        ("200 OK", [("Content-Type", "application/json")], wrong) if method == "POST" else None
    )

    forward()

    assert standing(session).state == "failed"
    assert "answered with ids that were not sent (3 of 3)" in standing(session).last_error
    assert session.query(DeadLetter).count() == 0
    target.fault = None
    jobs.forward_now("corporate", dead=True)
    assert target.statements().keys() == ids(*many(3))


def test_target_that_names_too_few_is_asked_for_the_others(company, target, forward, session):
    company.post(*many(3))
    none = ("200 OK", [("Content-Type", "application/json")], b"[]")
    target.fault = lambda method, *_: none if method == "POST" else None

    forward()

    assert standing(session).state == "active"
    assert "answered 200 and does not hold" in standing(session).last_error
    target.fault = None
    forward(again=True)
    assert target.statements().keys() == ids(*many(3))


def test_target_that_names_only_what_is_new_to_it_has_the_others(company, target, forward, session):
    """As Ralph does."""
    company.post(*many(3))
    forward()
    forwarding.begin_again(session, "corporate")
    session.commit()
    none = ("200 OK", [("Content-Type", "application/json")], b"[]")
    target.fault = lambda method, *_: none if method == "POST" else None

    forward(again=True)

    assert (standing(session).state, standing(session).last_error) == ("active", None)


def test_lrs_that_answers_409_for_what_it_holds_has_it(company, target, forward, session):
    company.post(done("ann"))
    forward()
    target.fault = lambda method, *_: ("409 Conflict", [], b"") if method == "POST" else None

    forwarding.begin_again(session, "corporate")
    session.commit()
    forward(again=True)

    assert forwarding.dead_letters(session, "corporate") == []
    assert standing(session).taken == 1


def test_statement_of_another_version_than_the_target_speaks_is_a_dead_letter(company, target, forward, session):
    newer = done("ann") | {
        "context": {"contextAgents": [{"objectType": "contextAgent", "agent": {"mbox": "mailto:x@y.z"}}]}
    }
    pair = (company.credential["key"], company.credential["secret"])
    answer = company.app.test_client().post(
        "/xapi/statements", json=[newer], auth=pair, headers={"X-Experience-API-Version": "2.0.0"}
    )
    assert answer.status_code == 200, answer.text

    forward()
    [letter] = forwarding.dead_letters(session, "corporate")
    assert letter.status == 400

    company.write("forward.yaml", written(target, version="2.0.0"))
    jobs.load_documents()
    jobs.forward_now("corporate", dead=True)
    assert target.statements().keys() == ids(newer)


# --- nothing skipped, nothing twice ----------------------------------------------------------------------------------


def test_statement_that_is_committed_late_is_not_skipped(company, target, forward, app, session):
    company.post(done("ann"))
    [row] = session.execute(text("select id, stored, credential_id, payload from statement")).all()
    session.rollback()
    late = {**json.loads(row.payload), "id": done("late")["id"]}
    with db.engine.connect() as slow:
        # Begun before the others, and committed after they have been forwarded.
        slow.execute(text("select pg_current_xact_id()"))
        slow.execute(
            text("insert into statement (seq, id, stored, credential_id, payload) values (1, :id, :at, :by, :payload)"),
            {"id": UUID(late["id"]), "at": row.stored, "by": row.credential_id, "payload": json.dumps(late)},
        )
        company.post(*many(20))
        forward()
        assert late["id"] not in target.statements()
        slow.commit()

    forward(again=True)

    assert target.statements().keys() == ids(done("ann"), late, *many(20))


def test_worker_that_is_killed_again_and_again_leaves_nothing_out_and_nothing_twice(
    company, target, forward, session, tmp_path
):
    company.write("forward.yaml", written(target))
    jobs.load_documents()
    company.post(*many(400))
    env = {**os.environ, **context.settings().to_mapping()}
    running: list[subprocess.Popen[bytes]] = []
    after = (1, 2, 1, 3)

    for count in after:
        left = [count]

        def kill(*_: object, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(running[-1].pid, signal.SIGKILL)  # it has been taken, and the answer is on its way

        target.after = kill
        running.append(
            subprocess.Popen([sys.executable, "-m", "bridge", "forward"], env=env, cwd=Path(__file__).parents[2])
        )
        assert running[-1].wait(120) in (-signal.SIGKILL, 0)
    target.after = None
    forward(again=True)

    assert [one.returncode for one in running].count(-signal.SIGKILL) >= 3
    assert target.statements().keys() == ids(*many(400))
    assert forwarding.standings(session)[0].behind == 0


def test_two_bridges_that_forward_to_each_other_come_to_rest(company, target, forward, session):
    """What comes back is known by its id, and stored no second time; so nothing goes round."""
    company.post(*many(30))
    forward()

    back = [
        {name: part for name, part in one.items() if name not in ("stored", "authority")}
        for one in target.statements().values()
    ]
    company.post(*back)
    before = len(target.asked)
    forward(again=True)

    assert len(target.asked) == before
    assert session.scalar(text("select count(*) from statement")) == 30


def test_nothing_goes_to_ourselves(company, target, forward, session, app, monkeypatch):
    company.post(done("ann"))
    monkeypatch.setattr(lrs, "PREFIX", "/xapi")
    own = context.settings().public_url
    company.write("forward.yaml", written(target).replace(target.endpoint, f"{own}/xapi"))
    jobs.load_documents()
    jobs.forward_now("corporate")

    assert "is this very LRS" in standing(session).last_error
    assert standing(session).state == "failed"


# --- documents -------------------------------------------------------------------------------------------------------


def test_changed_filter_begins_again(company, target, forward):
    company.post(done("ann"), scored("bo", 5))
    forward("match: {verb: http://adlnet.gov/expapi/verbs/scored}")

    forward("match: {verb: http://adlnet.gov/expapi/verbs/completed}")

    assert target.statements().keys() == ids(done("ann"), scored("bo", 5))


def test_changed_title_does_not_begin_again(company, target, forward):
    company.post(done("ann"))
    forward()
    before = len(target.asked)

    forward("title: To headquarters")

    assert len(target.asked) == before


def test_forward_that_no_document_names_is_forgotten(company, target, forward, session):
    company.post(done("ann"))
    forward()
    (company.folder / "forward.yaml").unlink()
    jobs.load_documents()

    assert session.query(Forward).count() == session.query(DeadLetter).count() == 0
    with pytest.raises(UnknownName):
        forwarding.begin_again(session, "corporate")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("to: corporate-lrs", "to: corporate-lr", "Did you mean 'corporate-lrs'"),
        ("to: corporate-lrs", "to: folder", "is no LRS, but of type 'directory'"),
        ("to: corporate-lrs", "to: corporate-lrs\nmatch: {}", "it would match everything"),
        ("to: corporate-lrs", "to: corporate-lrs\nwhen: '1'", "true or false"),
        ("to: corporate-lrs", "to: corporate-lrs\nsince: yesterday", "is no time"),
        ("to: corporate-lrs", "to: corporate-lrs\nverbs: x", "not known here"),
        ("to: corporate-lrs", "to: corporate-lrs\nmatch: {profile: 'http://x.example/p'}", "There is no profile"),
        ("version: 1.0.3", "version: 0.95", "Put it in quotes"),
        ("version: 1.0.3", "version: 1.0.9", "There is no xAPI '1.0.9' here"),
        ("endpoint: http://127.0.0.1", "endpoint: http://lrs.example.com", "in the clear"),
        ("{secret: corp-secret}", "hunter2", "does not stand in a document"),
    ],
)
def test_fault_in_a_document_is_told(company, target, old, new, told):
    text_ = written(target)
    assert old in text_
    company.write("forward.yaml", text_.replace(old, new))

    with pytest.raises(MappingError) as caught:
        documents.check(context.settings().folders)

    assert told in "\n".join(f"{one.text} {one.remedy}" for one in caught.value.problems)
    assert "hunter2" not in str(caught.value)


# --- commands --------------------------------------------------------------------------------------------------------


def test_commands_show_retry_and_replay(company, target, forward, lrs_bridge):
    company.post(done("ann"), done("bo"))
    target.fault = refusing(done("bo")["id"])
    company.write("forward.yaml", written(target))
    jobs.load_documents()

    ran = lrs_bridge("forward", "--json")
    assert ran.exit_code == 1
    [row] = json.loads(ran.output)
    assert (row["forward"], row["state"], row["taken"], row["behind"], row["dead"]) == ("corporate", "active", 1, 0, 1)
    [letter] = json.loads(lrs_bridge("forward", "status", "corporate", "--json").output)
    assert (letter["statement"], letter["status"]) == (done("bo")["id"], 400)

    target.fault = None
    assert lrs_bridge("forward", "retry", "corporate").exit_code == 0
    assert target.statements().keys() == ids(done("ann"), done("bo"))

    before = len(target.asked)
    assert lrs_bridge("forward", "replay", "corporate").exit_code == 0
    assert len(target.asked) > before
    assert json.loads(lrs_bridge("forward", "status", "--json").output)[0]["taken"] == 2
    assert lrs_bridge("forward", "retry", "corporat").exit_code == 2


def test_schedule_rings_for_what_is_due(company, target, forward, session):
    company.post(done("ann"))
    company.write("forward.yaml", written(target))
    jobs.load_documents()

    assert forwarding.due(session, now=datetime.now(UTC)) == ["corporate"]
    jobs.forward_due()
    jobs.forward("corporate")

    assert target.statements().keys() == ids(done("ann"))


def test_credential_names_who_stored_it(company, target, forward, session):
    issued = credentials.create(
        session, name="from headquarters", scopes=["statements/write"], secret_key=context.secret_key()
    )
    session.commit()
    company.credential = {"key": issued.key, "secret": issued.secret}
    company.post(done("ann"))

    forward("not_from: from headquarters")

    assert target.statements() == {}
