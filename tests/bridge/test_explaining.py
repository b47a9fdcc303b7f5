"""Explaining: what the rules make of one item and why, and what is stored of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from company import TICKETS, Company, done, scored
from sqlalchemy import text
from werkzeug.test import TestResponse

from bridge import access, documents, explaining, jobs
from bridge.mapping import Documents
from lrs import db

Call = Callable[..., Result]
Get = Callable[..., TestResponse]

FAILING = """  - name: broken
    when: verb.endsWith('/scored') && result.score.raw > 5.0
    fact: practised
    score: result.score.raw / 2.0
"""


@pytest.fixture
def finished(company: Company) -> Company:
    """Two people's statements and tickets, one ticket corrected, and a rule that fails on one statement."""
    company.change(
        "rules.yaml", "---\nkind: performance\nname: helpdesk", f"{FAILING}---\nkind: performance\nname: helpdesk"
    )
    company.post(done("ann"), scored("ann", 9), scored("bo", 4), done("nobody"))
    company.run()
    company.tickets([("T2", "2026-06-30T08:00:00Z", "bo", "2026-06-20T08:00:00Z", "21.5"), *TICKETS[2:]])
    company.run()
    return company


def in_force() -> Documents:
    current = documents.current(db.session)
    assert current is not None
    return current


def of(statement: dict[str, Any]) -> dict[str, Any]:
    return explaining.statement(db.session, in_force(), statement["id"])


def rule(told: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in told["rules"] if one["rule"] == name]
    return found


def test_every_rule_is_told_with_why_it_matched_or_not(finished: Company) -> None:
    told = of(scored("bo", 4))

    names = {f"{document.name}/{one.name}" for document in in_force().learning for one in document.rules}
    assert {one["rule"] for one in told["rules"]} == names
    quiz, broken, done_rule = (rule(told, f"lms/{name}") for name in ("quiz", "broken", "done"))
    assert (quiz["tried"], quiz["matched"], quiz["facts"]) == (True, True, 1)
    assert {"key": "score", "expression": "fraction(result.score)", "value": 0.4} in quiz["values"]
    assert (broken["tried"], broken["matched"], broken["because"]) == (True, False, "when is false")
    assert done_rule["matched"] is False
    assert (
        quiz["content_hash"] == {f"{one.document}/{one.name}": one.content_hash for one in in_force().rules}["lms/quiz"]
    )


def test_the_facts_that_would_be_are_the_stored_ones(finished: Company) -> None:
    for statement in (done("ann"), scored("ann", 9), scored("bo", 4), done("nobody")):
        told = of(statement)["facts"]
        assert told["same"] is True
        assert [{**fact, "state": "active"} for fact in told["would_be"]] == told["stored"]
        assert told["stored"]


def test_changed_rules_show_beside_what_is_stored(finished: Company) -> None:
    finished.change("rules.yaml", "    score: fraction(result.score)\n", "    score: fraction(result.score) / 2.0\n")
    jobs.load_documents()

    told = of(scored("bo", 4))["facts"]

    assert told["same"] is False
    assert ([one["value"] for one in told["would_be"]], [one["value"] for one in told["stored"]]) == ([0.2], [0.4])


def test_a_stored_fact_that_no_rule_gives_any_more_is_a_difference(finished: Company) -> None:
    finished.change("rules.yaml", "    when: verb.endsWith('/completed')\n", "    when: verb.endsWith('/ended')\n")
    jobs.load_documents()

    told = of(done("ann"))["facts"]

    assert (told["would_be"], len(told["stored"]), told["same"]) == ([], 1, False)


def test_the_learner_is_told_with_the_alias_and_the_rule_that_leads_to_them(finished: Company) -> None:
    [ann] = of(done("ann"))["learners"]
    [nobody] = of(done("nobody"))["learners"]

    rule_of_ann = db.session.scalar(text("select rule from alias where key = :alias"), ann)
    assert rule_of_ann
    assert ann == {
        "alias": "mbox:mailto:ann@example.com",
        "learner": "E1",
        "name": "Ann Archer",
        "rule": rule_of_ann,
        "known": True,
    }
    assert (nobody["alias"], nobody["learner"], nobody["known"]) == ("mbox:mailto:nobody@example.com", None, True)


def test_a_statement_that_no_rule_matches_still_says_who_it_is_about(finished: Company) -> None:
    liked = done("ann") | {"id": "0b1d5f3e-0000-4000-8000-000000000001", "verb": {"id": "http://example.com/liked"}}
    finished.post(liked)

    told = of(liked)

    assert [one["learner"] for one in told["learners"]] == ["E1"]
    assert told["facts"] == {"would_be": [], "stored": [], "same": True}
    assert told["statement"]["read"] is False
    finished.work()
    assert of(liked)["statement"]["read"] is True


def test_a_voided_statement_says_by_which(finished: Company) -> None:
    voiding = done("bo") | {
        "id": "0b1d5f3e-0000-4000-8000-000000000002",
        "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"},
        "object": {"objectType": "StatementRef", "id": done("ann")["id"]},
    }
    assert of(done("ann"))["statement"]["voided"] is False

    finished.post(voiding)

    told = of(done("ann"))["statement"]
    assert (told["voided"], told["voided_by"]) == (True, [voiding["id"]])
    assert told["raw"]["verb"]["id"].endswith("/completed")


def test_what_failed_is_told_with_its_reason_and_in_quarantine(finished: Company) -> None:
    told = of(scored("ann", 9))

    failure, [held] = rule(told, "lms/broken")["failure"], told["quarantine"]
    assert failure["expression"] == held["expression"] == "result.score.raw / 2.0"
    assert failure["reason"] == held["reason"]
    assert (held["rule"], held["state"]) == ("lms/broken", "active")
    assert len(told["facts"]["stored"]) == 1  # the other rule went on


def test_a_record_is_told_with_its_versions_and_what_it_gave_before(finished: Company) -> None:
    told = explaining.record(db.session, in_force(), "helpdesk/T2")

    first, second = told["record"]["versions"]
    assert (first["raw"]["minutes"], second["raw"]["minutes"], second["deleted"]) == (20, 21.5, False)
    assert first["id"] < second["id"]
    [fact], [past] = told["facts"]["stored"], told["history"]
    assert told["facts"]["same"] is True
    assert (fact["value"], fact["alias"], fact["version"]) == (21.5, "user:helpdesk|bo", second["id"])
    assert (past["value"], past["alias"]) == (20.0, "user:helpdesk|ann")
    assert (past["version"], past["until_version"]) == (first["id"], second["id"])
    assert [one["learner"] for one in told["learners"]] == ["E2"]
    assert explaining.record(db.session, in_force(), str(told["record"]["id"])) == told


def test_a_record_that_gives_nothing_says_why(finished: Company) -> None:
    told = explaining.record(db.session, in_force(), "helpdesk/T5")

    minutes = rule(told, "helpdesk/minutes_to_solve")
    assert (minutes["matched"], "when is" in minutes["because"]) == (False, True)
    assert minutes["values"][0] == {"key": "when", "expression": "row.solved_at != null", "value": False}
    assert explaining.record(db.session, in_force(), "staff/E1")["record"]["is_roster"] is True


def test_keys_with_slashes_are_found(finished: Company) -> None:
    finished.tickets([("a/b//c", "2026-06-30T08:00:00Z", "bo", "2026-06-20T08:00:00Z", "5")])
    finished.run()

    assert explaining.record(db.session, in_force(), "helpdesk/a/b//c")["record"]["key"] == "a/b//c"


# --- by command and API --------------------------------------------------------------------------------------------


def test_the_command_and_the_api_tell_the_same(finished: Company, lrs_bridge: Call, api_get: Get) -> None:
    statement, record = scored("ann", 9)["id"], "helpdesk/T2"

    by_command = json.loads(lrs_bridge("mapping", "explain", "--statement", statement, "--json").stdout)
    of_record = json.loads(lrs_bridge("mapping", "explain", "--record", record, "--json").stdout)

    assert by_command == of(scored("ann", 9)) == json.loads(api_get("/explain", statement=statement).text)
    assert of_record == json.loads(api_get("/explain", record=record).text)


def test_for_people_it_reads_from_the_item_to_the_quarantine(finished: Company, lrs_bridge: Call) -> None:
    of_statement = lrs_bridge("mapping", "explain", "--statement", scored("ann", 9)["id"]).stdout
    of_record = lrs_bridge("mapping", "explain", "--record", "helpdesk/T2").stdout

    assert "mbox:mailto:ann@example.com: learner E1 (Ann Archer), by rule" in of_statement
    assert "score: fraction(result.score)  ->  0.9" in of_statement
    assert "The same are stored." in of_statement
    assert of_statement.index("Who it is about") < of_statement.index("Rules") < of_statement.index("In quarantine")
    assert "others were not tried" in of_statement
    assert "What it gave before it changed" in of_record


def test_for_people_a_document_that_does_not_hold_takes_one_line(finished: Company, lrs_bridge: Call) -> None:
    finished.change(
        "rules.yaml", "kind: learning\nname: lms\n", "kind: learning\nname: lms\nwhen: actor.name == 'Ann'\n"
    )
    jobs.load_documents()

    words = lrs_bridge("mapping", "explain", "--statement", scored("bo", 4)["id"]).stdout

    [line] = [line for line in words.splitlines() if line.startswith("lms")]
    assert line == "lms (3 rules tried) did not match: document.when is false."


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--statement", "0b1d5f3e-0000-4000-8000-00000000ffff"), 1, "There is no statement with the id"),
        (("--statement", "7"), 1, "There is no statement with the id '7'"),  # not even a UUID
        (("--record", "helpdesk/T99"), 1, "There is no source record 'helpdesk/T99'"),
        (("--record", "T2"), 1, "Name it SOURCE/KEY"),
        (("--record", "9" * 40), 1, "There is no source record"),  # more than a number in the database
        ((), 2, "Name one of --statement ID and --record"),
        (("--statement", "7", "--record", "x/y"), 2, "Name one of"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(
    finished: Company, lrs_bridge: Call, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = lrs_bridge("mapping", "explain", *arguments)

    assert (result.exit_code, words in result.stderr) == (code, True)
    assert "Traceback" not in result.stderr


def test_the_api_is_for_those_who_may_read_reports(finished: Company, api_get: Get) -> None:
    statement = done("ann")["id"]

    assert api_get("/explain", "all", access.PEOPLE, statement=statement).status_code == 403
    assert api_get("/explain", statement="7").status_code == 404
    assert api_get("/explain").status_code == 400
    assert api_get("/explain", statement=statement, record="helpdesk/T2").status_code == 400
