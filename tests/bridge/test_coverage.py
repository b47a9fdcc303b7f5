"""Coverage: what is mapped, left out on purpose, or missing, by command and API."""

import json
from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from click.testing import Result
from company import COURSE, LESSON, Company, done, scored
from sqlalchemy import text
from werkzeug.test import TestResponse

from bridge import access, coverage, documents, jobs
from bridge.coverage import State
from lrs import db, samples

Call = Callable[..., Result]
Get = Callable[..., TestResponse]

LESSON_TYPE = "http://adlnet.gov/expapi/activities/lesson"
MORE_RULES = """
  - name: opened
    match: {verb: http://adlnet.gov/expapi/verbs/opened}
    fact: nothing
    because: everybody opens everything
  - name: rated
    match: {verb: http://adlnet.gov/expapi/verbs/rated}
    fact: assessed
    score: "result.score.raw / 0.0 > 1.0 ? 2.0 : 2.0"
"""


def said(verb: str, number: int = 0, **changes: Any) -> dict[str, Any]:
    """Give a statement of Ann's about the lesson, with another verb."""
    made = {
        "id": str(uuid5(NAMESPACE_URL, f"{verb} {number}")),
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
    }
    return done("ann") | made | changes


@pytest.fixture
def surveyed(company: Company) -> Company:
    """Two statements that are mapped, one left out, one that fails, three that nobody reads."""
    company.change(
        "rules.yaml", "    score: fraction(result.score)\n", f"    score: fraction(result.score){MORE_RULES}"
    )
    rated = said("rated", result={"score": {"raw": 3}})
    company.post(done("ann"), scored("bo", 7), said("opened"), rated)
    company.post(*(said("liked", number) for number in range(2)), said("moved"))
    jobs.load_documents()
    jobs.map_items()
    return company


def states(found: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(row["verb"].rpartition("/")[2], row["state"]): row["count"] for row in found["statements"]}


EXPECTED = {
    ("liked", State.UNMAPPED): 2,
    ("moved", State.UNMAPPED): 1,
    ("rated", State.FAILED): 1,
    ("opened", State.LEFT_OUT): 1,
    ("completed", State.MAPPED): 1,
    ("scored", State.MAPPED): 1,
}


def test_each_kind_is_counted_with_its_state_the_missing_ones_first(surveyed: Company, lrs_bridge: Call) -> None:
    found = json.loads(lrs_bridge("mapping", "coverage", "--json").stdout)

    assert states(found) == EXPECTED
    assert list(states(found)) == list(EXPECTED)  # in this order
    assert (found["stored"], found["looked_at"]) == (7, 7)
    assert found["covered_percent"] == pytest.approx(300 / 7, abs=1e-3)
    assert found["not_mapped_percent"] == pytest.approx(300 / 7, abs=1e-3)
    left_out = next(row for row in found["statements"] if row["state"] == State.LEFT_OUT)
    assert (left_out["because"], left_out["rules"]) == ("everybody opens everything", ["lms/opened"])
    mapped = {row["verb"].rpartition("/")[2]: row["rules"] for row in found["statements"] if row["state"] == "mapped"}
    assert mapped == {"completed": ["lms/done"], "scored": ["lms/quiz"]}


def test_the_example_is_a_statement_of_its_kind(surveyed: Company, lrs_bridge: Call) -> None:
    for row in json.loads(lrs_bridge("mapping", "coverage", "--json").stdout)["statements"]:
        payload = db.session.scalar(text("select payload from statement where id = :id"), {"id": row["example"]})
        assert json.loads(payload)["verb"]["id"] == row["verb"]


def test_stored_facts_and_reading_anew_say_the_same(surveyed: Company) -> None:
    current = documents.current(db.session)
    assert current is not None
    by_facts = coverage.of_statements(db.session, current).told()

    db.session.execute(text("delete from fact"))
    db.session.execute(text("delete from rule"))

    assert coverage.of_statements(db.session, current).told() == by_facts


def test_facts_of_a_rule_that_was_changed_since_are_not_believed(surveyed: Company, lrs_bridge: Call) -> None:
    surveyed.change("rules.yaml", "    when: verb.endsWith('/scored')\n", "    when: verb.endsWith('/marked')\n")
    jobs.load_documents()  # and no worker has read by it yet

    found = states(json.loads(lrs_bridge("mapping", "coverage", "--json").stdout))

    assert ("scored", State.UNMAPPED) in found
    assert ("completed", State.MAPPED) in found


def test_the_type_is_what_the_statement_says_or_else_what_the_lrs_knows(company: Company, lrs_bridge: Call) -> None:
    db.session.execute(text("update credential set scopes = '{statements/write,define}'"))
    db.session.commit()
    typed = {"id": LESSON, "definition": {"type": LESSON_TYPE}}
    company.post(said("liked", 0), said("liked", 1, object=typed), said("liked", 2, object={"id": COURSE}))
    company.post(said("liked", 3, object={"objectType": "Agent", "mbox": "mailto:bo@example.com"}))
    jobs.load_documents()

    found = json.loads(lrs_bridge("mapping", "coverage", "--json").stdout)

    kinds = {(row["object_type"], row["activity_type"]): row["count"] for row in found["statements"]}
    assert kinds == {("Activity", LESSON_TYPE): 2, ("Activity", None): 1, ("Agent", None): 1}


def test_a_voiding_statement_is_left_out_and_a_voided_one_stays_mapped(company: Company, lrs_bridge: Call) -> None:
    wrong = done("ann")
    voiding = said("voided", object={"objectType": "StatementRef", "id": wrong["id"]})
    company.post(wrong, voiding)
    jobs.load_documents()
    jobs.map_items()

    found = json.loads(lrs_bridge("mapping", "coverage", "--json").stdout)

    assert states(found) == {("voided", State.LEFT_OUT): 1, ("completed", State.MAPPED): 1}
    assert found["covered_percent"] == 100


def test_statements_that_no_worker_has_read_yet_count_as_what_they_will_be(company: Company, lrs_bridge: Call) -> None:
    company.post(done("ann"))
    jobs.load_documents()

    assert states(json.loads(lrs_bridge("mapping", "coverage", "--json").stdout)) == {("completed", State.MAPPED): 1}


def test_a_sample_looks_at_so_many_and_says_so(surveyed: Company, lrs_bridge: Call, api_get: Get) -> None:
    by_command = json.loads(lrs_bridge("mapping", "coverage", "--sample", "4", "--json").stdout)
    by_api = json.loads(api_get("/mapping/coverage", sample=4).text)

    assert (by_command["stored"], by_command["looked_at"]) == (7, 4)
    assert by_api == by_command


def test_only_what_was_stored_since(surveyed: Company, lrs_bridge: Call, api_get: Get) -> None:
    later = json.loads(lrs_bridge("mapping", "coverage", "--since", "2999-01-01", "--json").stdout)
    wrong = lrs_bridge("mapping", "coverage", "--since", "yesterday")

    assert (later["stored"], later["covered_percent"], later["statements"]) == (0, None, [])
    assert (wrong.exit_code, "'yesterday' is no time" in wrong.stderr) == (2, True)
    assert json.loads(api_get("/mapping/coverage", since="2999-01-01T00:00:00Z").text)["stored"] == 0
    told = json.loads(api_get("/mapping/coverage", since="yesterday").text)
    assert (told["status"], told["errors"][0]["parameter"]) == (400, "since")


def test_sources_say_who_reads_them_and_what_nobody_does(surveyed: Company, lrs_bridge: Call) -> None:
    surveyed.write("more.yaml", "kind: source\nname: spare\ntype: csv\npath: deals.csv\nkey: [deal]\n")
    surveyed.run()
    jobs.pull("spare")
    surveyed.work()

    rows = json.loads(lrs_bridge("mapping", "coverage", "--json").stdout)["sources"]

    told = {row["source"]: (row["state"], row["records"], row["records_with_facts"], row["metrics"]) for row in rows}
    assert told == {
        "spare": (State.UNMAPPED, 2, 0, []),
        "crm": (State.MAPPED, 2, 2, ["deal_won"]),
        "helpdesk": (State.MAPPED, 5, 4, ["minutes_to_solve"]),
        "staff": (State.MAPPED, 2, 0, []),
    }
    assert rows[0]["source"] == "spare"
    assert [row["source"] for row in rows if row["roster"]] == ["staff"]


def test_a_sender_who_makes_up_verbs_fills_one_row(
    company: Company, lrs_bridge: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "MOST_KINDS", 3)
    monkeypatch.setattr(samples, "BATCH", 2)
    company.post(*(said("x" * number) for number in range(1, 8)))
    jobs.load_documents()

    found = json.loads(lrs_bridge("mapping", "coverage", "--json").stdout)

    assert len(found["statements"]) == 4
    assert sum(row["count"] for row in found["statements"]) == 7
    assert {row["verb"]: row["count"] for row in found["statements"]}["(others)"] == 4


def test_what_has_been_missing_lately_is_told_in_lines(surveyed: Company) -> None:
    current = documents.current(db.session)
    assert current is not None

    lines = coverage.missing_lately(db.session, current)

    liked = str(uuid5(NAMESPACE_URL, "liked 0"))
    assert lines[0] == f"http://adlnet.gov/expapi/verbs/liked on Activity: 2 of the last 7 statements, such as {liked}"
    assert len(lines) == 2
    assert coverage.missing_lately(db.session, current, newest=2)[0].startswith(
        "http://adlnet.gov/expapi/verbs/liked on "
    )
    assert "1 of the last 2 statements" in coverage.missing_lately(db.session, current, newest=2)[0]


def test_for_people_it_says_the_share_and_what_is_missing(surveyed: Company, lrs_bridge: Call) -> None:
    result = lrs_bridge("mapping", "coverage")

    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert "42.86 % of the 7 statements looked at (of 7) are covered" in words
    assert "http://adlnet.gov/expapi/verbs/liked" in words
    assert "everybody opens everything" in words


def test_before_there_is_anything_it_says_so(company: Company, lrs_bridge: Call, api_get: Get) -> None:
    nothing_in_force = lrs_bridge("mapping", "coverage")
    jobs.load_documents()
    empty = lrs_bridge("mapping", "coverage")

    assert (nothing_in_force.exit_code, "No documents are in force" in nothing_in_force.stderr) == (1, True)
    assert (empty.exit_code, "There are no statements" in empty.stdout) == (0, True)


def test_the_api_shows_it_to_those_who_may_read_reports_alone(surveyed: Company, api_get: Get) -> None:
    assert api_get("/mapping/coverage", "all", access.PEOPLE).status_code == 403
    assert api_get("/mapping/coverage", sample=0).status_code == 400
