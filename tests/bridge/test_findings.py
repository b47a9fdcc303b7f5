"""Findings as statements in another lrs-bridge: by the profile, each version once, no former one left behind."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from target_lrs import TargetLrs

from bridge import documents, jobs, mapping
from bridge.mapping import StatementReader
from bridge.mapping.seen import _FINDINGS, Seen
from bridge.mapping.templates import refusal
from bridge.settings import shipped
from connectors import DestinationUnavailable, Secrets, load_destination
from connectors.destinations import findings
from connectors.destinations import lrs as module
from connectors.destinations.rows import Outcome, Row, RowDestination
from connectors.reach import Reach

SYSTEM, LMS = "https://bridge.example.com", "https://lms.example.com"
PROFILE = Path(findings.__file__).with_name("findings.jsonld")
USER = {
    "accounts": [{"home_page": "https://other.example.com", "name": "x"}, {"home_page": LMS, "name": "7"}],
    "emails": ["ann@example.com"],
    "idnumber": None,
    "username": None,
    "name": "Ann Müller",
}
READINESS = Row(
    feed="readiness",
    key="l1/basics/calm",
    version=5,
    checksum="a" * 64,
    deleted=False,
    user=USER,
    body={
        "skill": "calm",
        "skill_title": "Staying calm",
        "program": "basics",
        "level": 0.82,
        "state": "ready",
        "evidence": 4.5,
        "last_evidence_at": "2026-06-01T09:00:00.123456Z",
        "next_practice": None,
    },
)
RECORD = replace(
    READINESS,
    feed="records",
    key="l1/basics",
    body={
        "program": "basics",
        "program_title": "Basics",
        "completed_at": "2026-05-01T08:00:00Z",
        "best_score": 0.9,
        "last_activity_at": "2026-05-01T08:00:00Z",
        "courses": [f"{LMS}/course/7"],
        "url": f"{SYSTEM}/reports/basics",
    },
)
IMPACT = replace(
    READINESS,
    feed="impacts",
    key="basics/minutes/weeks-1-12",
    user=None,
    body={
        "program": "basics",
        "program_title": "Basics",
        "metric": "minutes",
        "metric_title": "Minutes to solve",
        "verdict": "improved",
        "sentence": "Trained people solved tickets 3 minutes faster.",
        "estimate": -3.25,
        "low": -5.0,
        "high": -1.5,
        "people": 120,
        "computed_at": "2026-07-01T00:00:00Z",
    },
)
GONE = {"deleted": True, "user": None, "body": {}}


@pytest.fixture
def destination(target: TargetLrs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RowDestination:
    return load(target, tmp_path, site=LMS)


def load(target: TargetLrs, folder: Path, **keys: Any) -> RowDestination:
    document = {
        "kind": "destination",
        "name": "dashboards",
        "type": "lrs",
        "endpoint": target.endpoint,
        "allow_private": ["127.0.0.1"],
        "auth": {"type": "basic", "username": {"secret": "corp-key"}, "password": {"secret": "corp-secret"}},
        "feeds": ["readiness", "records", "impacts"],
        "system": SYSTEM,
    } | keys
    found: Any = load_destination(document, base=folder, reach=Reach(Secrets(os.environ)))
    return found


def outcomes(answers: Any) -> list[Outcome]:
    return [one.outcome for one in answers]


def standing(target: TargetLrs) -> dict[str, dict[str, Any]]:
    """Give the statements that are neither voided nor void others."""
    everything, voided = target.statements(), target.voided()
    return {id_: one for id_, one in everything.items() if id_ not in voided and one["verb"]["id"] != findings.VOIDED}


def test_destination_takes_rows(destination):
    assert isinstance(destination, RowDestination)
    assert (destination.feeds, destination.site, destination.programs) == (
        ("readiness", "records", "impacts"),
        LMS,
        None,
    )


@pytest.mark.parametrize("row", [READINESS, RECORD, IMPACT], ids=lambda row: row.feed)
def test_statement_follows_the_template_of_its_feed_and_no_other(destination, target, row):
    assert outcomes(destination.send([row])) == [Outcome.STORED]

    profile = mapping.load_profile(PROFILE)
    [statement] = standing(target).values()
    wanted = {"readiness": "readiness", "records": "record", "impacts": "impact"}[row.feed]
    followed = [one.id for one in profile.templates if refusal(one, Seen(statement)) is None]
    assert followed == [f"{findings.PROFILE}/templates/{wanted}"]
    assert statement["verb"]["id"] in profile.concepts["Verb"]
    assert statement["object"]["definition"]["type"] in profile.concepts["ActivityType"]
    assert set(statement["result"]["extensions"]) <= set(profile.concepts["ResultExtension"])
    assert set(statement["context"]["extensions"]) <= set(profile.concepts["ContextExtension"])
    assert profile.versions == (findings.VERSION,)
    assert statement["result"]["extensions"][findings.EVIDENCE] == row.body


def test_learner_stands_at_what_is_known_of_them(destination, target):
    destination.send([READINESS])

    [statement] = standing(target).values()
    assert statement["actor"]["account"] == {"homePage": LMS, "name": "7"}
    assert statement["result"]["score"] == {"scaled": 0.82}
    assert statement["result"]["success"] is True
    assert statement["timestamp"] == "2026-06-01T09:00:00.123456Z"
    [parent] = statement["context"]["contextActivities"]["parent"]
    assert parent["id"] == f"{SYSTEM}/programs/basics"


def test_what_is_not_known_is_not_said(destination, target):
    unknown = {**READINESS.body, "level": None, "state": "unknown", "last_evidence_at": None}

    destination.send([replace(READINESS, body=unknown)])

    [statement] = standing(target).values()
    assert statement["result"].keys() == {"extensions"}


def test_no_person_is_ever_the_actor_of_an_effect(destination, target):
    destination.send([replace(IMPACT, user=USER)])

    [statement] = standing(target).values()
    assert statement["actor"]["account"] == {"homePage": SYSTEM, "name": "lrs-bridge"}
    assert "Ann" not in json.dumps(statement)
    assert "score" not in statement["result"]
    assert statement["result"]["response"] == "Trained people solved tickets 3 minutes faster."


@pytest.mark.parametrize("feed", ["measures", "health"])
def test_what_is_no_statement_is_refused_in_the_document(target, tmp_path, feed):
    with pytest.raises(Exception, match=f"Rows of {feed} are no statements"):
        load(target, tmp_path, feeds=[feed])


def test_document_must_say_who_estimates(target, tmp_path):
    with pytest.raises(Exception, match="system"):
        load(target, tmp_path, system=None)


def test_learner_without_an_account_there_is_known_by_address_or_left_out(destination, target):
    elsewhere = USER | {"accounts": []}

    destination.send([replace(READINESS, user=elsewhere)])
    answers = list(destination.send([replace(RECORD, user=elsewhere | {"emails": []})]))

    [statement] = standing(target).values()
    assert statement["actor"]["mbox"] == "mailto:ann@example.com"
    assert outcomes(answers) == [Outcome.LEFT_OUT]


def test_row_that_is_sent_twice_stands_once(destination, target):
    destination.send([READINESS, replace(READINESS, key="l2/basics/calm")])

    assert outcomes(destination.send([READINESS])) == [Outcome.UNCHANGED]
    assert len(target.statements()) == 2


def test_new_version_takes_the_place_of_the_former(destination, target):
    destination.send([IMPACT])
    withdrawn = replace(IMPACT, version=9, checksum="b" * 64, body=IMPACT.body | {"verdict": "no verdict"})

    assert outcomes(destination.send([withdrawn])) == [Outcome.STORED]

    [statement] = standing(target).values()
    assert statement["result"]["extensions"][findings.EVIDENCE]["verdict"] == "no verdict"
    assert outcomes(destination.send([IMPACT])) == [Outcome.UNCHANGED]  # an older one, late
    assert len(standing(target)) == 1


def test_deleted_row_is_voided_and_may_come_back(destination, target):
    destination.send([READINESS])

    assert outcomes(destination.send([replace(READINESS, version=6, **GONE)])) == [Outcome.DELETED]
    assert standing(target) == {}
    assert outcomes(destination.send([replace(READINESS, version=6, **GONE)])) == [Outcome.DELETED]

    destination.send([replace(READINESS, version=7)])
    assert len(standing(target)) == 1


def test_answer_that_was_lost_leaves_no_former_version_behind(destination, target):
    destination.send([READINESS])
    calls = []
    target.after = lambda method, _: method == "POST" and calls.append(1) is None
    with pytest.raises(DestinationUnavailable):
        destination.send([replace(READINESS, version=6, checksum="b" * 64)])
    target.after = None
    assert len(calls) == 5

    destination.send([replace(READINESS, version=7, checksum="c" * 64)])

    [statement] = standing(target).values()
    assert statement["context"]["extensions"][findings.ROW]["version"] == 7


def test_version_that_a_restored_database_gives_again_takes_the_place_of_the_other(destination, target):
    destination.send([READINESS])

    assert outcomes(destination.send([replace(READINESS, checksum="d" * 64)])) == [Outcome.STORED]

    [held] = destination.held("readiness")
    assert (held.version, held.checksum) == (5, "d" * 64)


def many(count: int, **keys: Any) -> list[Row]:
    return [replace(READINESS, key=f"l{number}/basics/calm", **keys) for number in range(count)]


def questions(target: TargetLrs) -> int:
    return [method for method, _, _ in target.asked].count("GET")


def test_where_much_is_sent_it_is_not_asked_of_each_row(destination, target):
    full = destination.batch
    destination.send(many(full))
    destination.send(many(2 * full)[full:])
    assert questions(target) == 1  # nothing stands there, and what has since is ours

    assert outcomes(destination.send(many(full))) == [Outcome.UNCHANGED] * full
    newer = many(full, version=6, checksum="b" * 64)
    assert outcomes(destination.send(newer)) == [Outcome.STORED] * full
    assert outcomes(destination.send(many(3, version=7, **GONE))) == [Outcome.DELETED] * 3
    assert outcomes(destination.send(many(3, version=8))) == [Outcome.STORED] * 3

    assert questions(target) == 1
    assert len(standing(target)) == 2 * full
    versions = {one.key: one.version for one in destination.held("readiness")}
    assert sorted(versions.values()) == sorted([8] * 3 + [6] * (full - 3) + [5] * full)


def test_of_few_rows_each_is_asked_for(destination, target):
    destination.send(many(3))

    assert questions(target) == 3


def test_who_begins_again_reads_what_stands_there(destination, target, tmp_path):
    full = destination.batch
    destination.send(many(full))
    another = load(target, tmp_path, site=LMS)

    assert outcomes(another.send(many(full, version=6, checksum="b" * 64))) == [Outcome.STORED] * full
    assert len(standing(target)) == full


def test_where_more_stands_there_than_is_kept_in_mind_each_row_is_asked_for(destination, target, monkeypatch):
    full = destination.batch
    destination.send(many(full))
    monkeypatch.setattr(module, "MOST_KNOWN", full - 1)
    before, another = questions(target), destination.reaching(destination.reach)

    assert outcomes(another.send(many(full))) == [Outcome.UNCHANGED] * full
    assert questions(target) - before == 1 + full


def test_after_a_failure_nothing_is_taken_for_known(destination, target):
    full = destination.batch
    destination.send(many(full))
    target.after = lambda method, _: method == "POST"  # stored, and not answered
    with pytest.raises(DestinationUnavailable):
        destination.send(many(full, version=6, checksum="b" * 64))
    target.after = None

    assert outcomes(destination.send(many(full, version=7, checksum="c" * 64))) == [Outcome.STORED] * full
    assert len(standing(target)) == full


def test_held_is_what_stands_there_by_key(destination, target, tmp_path):
    rows = [replace(READINESS, key=f"l{number}/basics/calm", version=number) for number in (3, 1, 2)]
    destination.send(rows)
    destination.send([RECORD, replace(RECORD, key="l2/basics")])
    destination.send([replace(rows[0], version=9, **GONE)])
    load(target, tmp_path, system="https://elsewhere.example.com").send([READINESS])

    assert [(one.key, one.version, one.checksum) for one in destination.held("readiness")] == [
        ("l1/basics/calm", 1, "a" * 64),
        ("l2/basics/calm", 2, "a" * 64),
    ]
    assert [one.key for one in destination.held("records")] == ["l1/basics", "l2/basics"]
    assert list(destination.held("impacts")) == []


def test_held_tells_of_two_versions_that_stand_side_by_side(destination, target):
    destination.send([READINESS])
    with destination.writer() as writer:
        writer.post([findings.statement(replace(READINESS, version=4, checksum="e" * 64), SYSTEM, LMS)])

    [held] = destination.held("readiness")
    assert (held.version, held.checksum) == (5, "several versions")

    destination.send([READINESS])
    [held] = destination.held("readiness")
    assert (held.version, held.checksum) == (5, "a" * 64)


def test_refused_row_holds_up_no_other(destination, target):
    bad = replace(READINESS, key="l2/basics/calm", body=READINESS.body | {"level": 7})

    answers = {one.key: one for one in destination.send([READINESS, bad, replace(READINESS, key="l3/basics/calm")])}

    assert answers[bad.key].outcome == Outcome.REFUSED
    assert answers[bad.key].message
    assert [one.outcome for key, one in answers.items() if key != bad.key] == [Outcome.STORED] * 2
    assert len(standing(target)) == 2


def test_what_we_found_out_is_no_evidence(company, session, destination, target):
    """Our own LRS may be the destination; a rule that reads any statement must not read ours."""
    company.write(
        "anything.yaml",
        "kind: learning\nname: anything\nrules:\n  - {name: all, when: 'true', fact: completed}\n",
    )
    jobs.load_documents()
    destination.send([READINESS, replace(RECORD, feed="readiness", key="l9/basics/x", body=READINESS.body)])
    ours = [
        {name: part for name, part in one.items() if name not in ("stored", "authority")}
        for one in target.statements().values()
    ]
    assert ours
    company.post(*ours)
    jobs.map_items()

    assert session.scalar(text("select count(*) from statement")) == len(ours)
    assert session.scalar(text("select count(*) from fact")) == 0


def test_reader_and_its_explanation_agree_that_findings_are_no_evidence():
    assert f"{findings.PROFILE}/verbs/" == _FINDINGS
    reader = StatementReader(documents.check([shipped("mappings")]).learning)
    for row in (READINESS, RECORD, IMPACT):
        made = findings.statement(row, SYSTEM, LMS)
        assert made is not None
        statement = json.loads(made)
        assert reader.read(statement).facts == []
        assert {one.because for one in reader.explain(statement)} == {
            "it is a finding of ours, and what was found out is no evidence"
        }
