"""Provenance: the facts listed for a figure make the figure, and each leads to a statement or a version."""

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

import pytest
from click.testing import Result
from company import COURSE, LESSON, LMS, QUIZ, TICKETS, Company, done, scored
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from bridge import access, documents, provenance, records, reports
from bridge.mapping import Documents, FactKind, LearningFact, Program
from lrs import db

Call = Callable[..., Result]
Get = Callable[..., TestResponse]

MORE_RULES = """  - name: undone
    when: verb.endsWith('/reset')
    fact: uncompleted
  - name: enrolled
    when: verb.endsWith('/registered')
    fact: enrolled
  - name: looked
    when: verb.endsWith('/viewed')
    fact: progressed
    course: parent('/course/')
  - name: applied
    when: verb.endsWith('/applied')
    fact: applied
    course: parent('/course/')
"""
BEHAVIOURS = """behaviours:
  - {name: asks-back, does: asks back, evidence: {fact: applied}}
  - {name: elsewhere, does: asks back after the lesson, evidence: {fact: applied, activities: [ACTIVITY]}}
  - {name: wins, does: wins deals, evidence: {metric: deal_won}}
  - {name: solves, does: solves tickets, evidence: {metric: minutes_to_solve}}
  - {name: unseen, does: something that nothing shows}
metrics: [minutes_to_solve, deal_won]
""".replace("ACTIVITY", QUIZ)


def said(who: str, verb: str, activity: str, at: str) -> dict[str, Any]:
    base = done(who, at=at)
    verb_id = f"http://adlnet.gov/expapi/verbs/{verb}"
    made = {"id": str(uuid5(NAMESPACE_URL, f"{who} {verb} {activity} {at}")), "verb": {"id": verb_id}}
    return base | made | {"object": {"id": activity}}


def in_force() -> Documents:
    current = documents.current(db.session)
    assert current is not None
    return current


@pytest.fixture
def finished(company: Company) -> Company:
    """A company whose records have every kind of figure, some of them undone, voided, corrected or shared."""
    company.change(
        "rules.yaml", "---\nkind: performance\nname: helpdesk", f"{MORE_RULES}---\nkind: performance\nname: helpdesk"
    )
    company.change("rules.yaml", "    owner: row.agent\n    occurred_at: row.solved_at", SHARED)
    company.change("program.yaml", "metrics: [minutes_to_solve, deal_won]\n", BEHAVIOURS)
    voided = scored("ann", 10, at="2026-05-29T09:00:00Z")
    company.post(
        said("ann", "registered", COURSE, "2026-05-01T08:00:00Z"),
        said("ann", "registered", COURSE, "2026-05-03T08:00:00.250Z"),
        scored("ann", 7),
        scored("ann", 9, at="2026-05-31T09:00:00Z"),
        scored("ann", 6, at="2026-06-04T09:00:00Z"),
        voided,
        done("ann", at="2026-05-20T09:00:00Z"),
        said("ann", "reset", LESSON, "2026-05-21T09:00:00Z"),
        done("ann"),
        said("ann", "viewed", LESSON, "2026-06-02T09:00:00.5Z"),
        said("ann", "viewed", QUIZ, "2026-06-02T09:00:00.5Z"),
        said("ann", "voided", LESSON, "2026-06-03T09:00:00Z")
        | {"object": {"objectType": "StatementRef", "id": voided["id"]}},
        said("ann", "applied", LESSON, "2026-05-25T09:00:00Z"),
        said("ann", "applied", QUIZ, "2026-06-05T21:00:00.5Z"),
        said("ann", "applied", QUIZ, "2026-06-06T09:00:00Z"),
        said("ann", "applied", QUIZ, "2027-06-06T09:00:00Z"),
        scored("bo", 4),
    )
    company.run()
    company.tickets([*TICKETS[:1], ("T2", "2026-06-30T08:00:00Z", "ann", "2026-06-20T08:00:00Z", "21.5"), *TICKETS[2:]])
    company.run()
    return company


SHARED = """    owner:
      split:
        list: "[{'user': row.agent, 'percent': 3}, {'user': 'bo', 'percent': 1}]"
        owner: item.user
        share: item.percent
    occurred_at: row.solved_at"""


def recomputed(figure: dict[str, Any], program: Program, found: dict[str, dict[str, Any]]) -> object:
    """Work a figure out again from its facts, by the words of `bridge.records` and nothing else.

    `found`: the learner's figures by name.
    """
    facts, name = figure["facts"], figure["figure"]
    times = [fact["occurred_at"] for fact in facts]
    behaviour, _, part = name.partition("_")
    if behaviour in {one.name for one in program.behaviours}:
        return of_behaviour(behaviour, part, facts, found)
    match name:
        case "enrolled_at":
            return min(times, default=None)
        case "last_activity_at":
            return max(times, default=None)
        case "attempts":
            return len({fact["attempt"] for fact in facts})
        case "best_score" | "remembered_score":
            return max((fact["value"] for fact in facts), default=None)
        case "completed_at":
            return completed(facts, program)
        case "tiers":
            return {str(tier): number for tier, number in Counter(records.TIERS[f["what"]] for f in facts).items()}
        case "highest_tier":
            return max((records.TIERS[fact["what"]] for fact in facts), default=None)
        case "match":
            return max((fact["known_by"] for fact in facts), key=records.MATCHES.index, default=None)
        case _ if name.endswith("_count"):
            return len(facts)
        case _:
            weight = sum(fact["weight"] for fact in facts)
            return pytest.approx(sum(fact["value"] * fact["weight"] for fact in facts) / weight) if facts else None


def of_behaviour(name: str, part: str, facts: list[dict[str, Any]], found: dict[str, dict[str, Any]]) -> object:
    done_at = found["completed_at"]["value"]
    if done_at is None or name == "unseen":
        assert facts == []
        return None
    weighed = sum(fact.get("value", 0) * fact["weight"] for fact in facts)
    uses = weighed if name == "wins" else len(facts)
    opportunities = sum(fact["weight"] for fact in facts) if name == "wins" and facts else None
    if part.startswith("uses"):
        return pytest.approx(uses)
    if part.startswith("opportunities"):
        return opportunities and pytest.approx(opportunities)
    if part.startswith("rate"):
        return pytest.approx(uses / opportunities) if opportunities else None
    first = min((datetime.fromisoformat(fact["occurred_at"]) for fact in facts), default=None)
    return first and pytest.approx((first - datetime.fromisoformat(done_at)) / timedelta(days=1), abs=1e-9)


def completed(facts: list[dict[str, Any]], program: Program) -> object:
    done_at = []
    for activity in program.completion.of:
        here = [fact for fact in facts if fact["activity"] == activity]
        undone = max((fact["occurred_at"] for fact in here if fact["what"] == "uncompleted"), default="")
        done_here = [f["occurred_at"] for f in here if f["what"] == "completed" and f["occurred_at"] >= undone]
        done_at += [min(done_here)] if done_here else []
    return min(done_at, default=None)


def everyone() -> dict[str, dict[str, Any]]:
    current = in_force()
    learners = db.session.scalars(text("select key from learner join record on record.learner_id = learner.id")).all()
    return {key: provenance.of_record(db.session, current, "calm-calls", key).told() for key in learners}


def test_the_facts_listed_make_each_figure_of_each_record(finished: Company) -> None:
    program, found = in_force().programs["calm-calls"], everyone()

    assert sorted(found) == ["E1", "E2"]
    for told in found.values():
        for figure in told["figures"]:
            value = recomputed(figure, program, {one["figure"]: one for one in told["figures"]})
            assert figure["value"] == value, (told["learner"], figure["figure"])
    with_facts = {figure["figure"] for told in found.values() for figure in told["figures"] if figure["facts"]}
    empty = {figure["figure"] for figure in found["E1"]["figures"]} - with_facts  # of what nobody did then
    assert {name.removesuffix("_before") for name in empty if not name.startswith("unseen_")} <= {
        "elsewhere_uses",
        "elsewhere_rate",
        "elsewhere_opportunities",
    }


def test_the_figures_are_those_of_the_report(finished: Company) -> None:
    rows, found = finished.report(), everyone()

    for key, told in found.items():
        figures = {figure["figure"]: figure["value"] for figure in told["figures"]}
        more = {"tiers"} | {name for name in figures if "_opportunities_" in name}
        others = {"learner", "name", "team", "highest_tier_name"}
        assert others | (figures.keys() - more) == rows[key].keys()
        for name in figures.keys() - more:
            value, shown = figures[name], rows[key][name]
            assert value == shown or (name.endswith("_at") and value[:19] == shown[:19])


def test_what_a_fact_is_said_to_bring_is_what_the_record_takes_of_it(finished: Company) -> None:
    """`records.contributions`, by which a dry run tells what may move, and `records.evidence` agree."""
    current = in_force()
    program = current.programs["calm-calls"]
    learners = db.session.scalars(text("select learner_id from record")).all()
    rows = [row for learner in learners for row in records.evidence(db.session, program, current.metrics, learner)]
    taken: dict[tuple[int, int, int], set[str]] = {}
    for row in rows:
        taken.setdefault((row.rule_id, row.origin, row.alias_id), set()).add(row.figure)
    compared = {"enrolled_at", "attempts", "completed_at", "best_score"}
    seen: set[str] = set()

    for row in db.session.execute(text("select * from counted_fact where kind is not null")):
        said = (row.rule, FactKind(row.kind), "alias", None, row.occurred_at, row.activity, row.course, row.attempt)
        brought = records.contributions(program, LearningFact(*said, value=row.value)).keys()
        of_record = taken.get((row.rule_id, row.origin, row.alias_id), set())
        assert brought & compared == of_record & compared
        assert "last_activity_at" in brought or "last_activity_at" not in of_record
        seen |= brought

    assert compared | {"last_activity_at", "deal_won_before", "deal_won_since"} <= seen


def test_what_does_not_count_is_not_listed(finished: Company) -> None:
    [best] = provenance.of_record(db.session, in_force(), "calm-calls", "E1", "best_score").figures

    assert [fact.value for fact in best.facts] == [0.7, 0.9, 0.6]  # without the voided ten of ten


def test_each_fact_leads_to_its_statement_or_its_version_and_to_its_rule(finished: Company) -> None:
    hashes = {f"{key.document}/{key.name}": key.content_hash for key in in_force().rules}
    facts = [fact for told in everyone().values() for figure in told["figures"] for fact in figure["facts"]]
    assert {"statement" in fact for fact in facts} == {True, False}

    for fact in facts:
        assert fact["content_hash"] == hashes[fact["rule"]]
        if "statement" in fact:
            found = db.session.execute(text("select payload from statement where id = :id"), {"id": fact["statement"]})
            assert json.loads(found.scalar_one())["object"]["id"] == fact["activity"]
        else:
            found = db.session.execute(
                text("""
                    select data from source_record record join source_record_version version on record_id = record.id
                    where source = :source and key = :key and version.id = :version
                """),
                fact,
            )
            assert float(found.scalar_one().get("minutes") or fact["value"]) == fact["value"]
            assert fact["pulled_at"]


def test_a_corrected_record_is_named_by_the_version_that_counts(finished: Company) -> None:
    [figure] = provenance.of_record(db.session, in_force(), "calm-calls", "E1", "minutes_to_solve_since_mean").figures

    [corrected] = [fact for fact in figure.facts if fact.key == "T2"]
    versions = db.session.scalars(
        text("select id from source_record_version where data ->> 'ticket' = 'T2' order by id")
    ).all()
    assert (corrected.value, corrected.version, corrected.weight) == (21.5, versions[1], 0.75)


# --- by command, API and page --------------------------------------------------------------------------------------


def test_the_command_shows_all_figures_or_one(finished: Company, lrs_bridge: Call) -> None:
    everything = json.loads(lrs_bridge("provenance", "calm-calls", "E1", "--json").stdout)
    one = json.loads(lrs_bridge("provenance", "calm-calls", "E1", "best_score", "--json").stdout)
    told = lrs_bridge("provenance", "calm-calls", "E1").stdout

    assert everything == everyone()["E1"]
    assert one["figures"] == [figure for figure in everything["figures"] if figure["figure"] == "best_score"]
    assert "Best score: 0.9" in told
    assert "Facts by tier: tier 1: 4, tier 2: 2, tier 4: 3, tier 7: 4" in told
    assert "Made of what wins_uses_since is made of." in told
    assert "record helpdesk/T2, version" in told
    assert f"statement {scored('ann', 7)['id']}" in told


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("calm-call", "E1"), 2, "Did you mean 'calm-calls'?"),
        (("calm-calls", "E9"), 1, "There is no learner 'E9'"),
        (("calm-calls", "E1", "best_scores"), 2, "Did you mean 'best_score'?"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(
    finished: Company, lrs_bridge: Call, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = lrs_bridge("provenance", *arguments)

    assert (result.exit_code, words in result.stderr) == (code, True)


def test_a_learner_without_a_record_in_the_program_is_told_apart(company: Company, lrs_bridge: Call) -> None:
    company.run()

    assert "'E1' has no record in the program" in lrs_bridge("provenance", "calm-calls", "E1").stderr


def test_the_api_answers_the_same_to_those_who_may_read_reports(finished: Company, api_get: Get) -> None:
    path = "/programs/calm-calls/learners/E1/provenance"

    assert json.loads(api_get(path).text) == everyone()["E1"]
    assert len(json.loads(api_get(path, figure="attempts").text)["figures"]) == 1
    assert api_get(path, "all", access.PEOPLE).status_code == 403
    assert api_get("/programs/calm-calls/learners/E9/provenance").status_code == 404
    assert api_get("/programs/nobody/learners/E1/provenance").status_code == 404
    assert api_get(path, figure="x").status_code == 404


def test_a_learner_whose_key_is_an_address_has_addresses_too(
    company: Company, api_get: Get, signed: FlaskClient
) -> None:
    company.change("people.yaml", "unclaimed: wait", "unclaimed: learner")
    actor = {"account": {"homePage": f"{LMS}/a?b=1&c=é#d", "name": "7 %2F"}, "name": "Zoë"}
    company.post(done("zoe") | {"actor": actor})
    company.run()
    [key] = company.report()

    told = json.loads(api_get(f"/programs/calm-calls/learners/{quote(key, safe='')}/provenance").text)
    [link] = re.findall(r'href="(/reports/calm/learners/[^"]+)"', signed.get("/reports/calm").text)

    assert told["learner"] == key
    assert "<h1>Zoë</h1>" in signed.get(unescape(link)).text


@pytest.fixture
def signed(company: Company) -> FlaskClient:
    """Somebody who is signed in to the pages."""
    pair = access.create(db.session, "reader", [access.REPORTS])
    db.session.commit()
    client = company.app.test_client()
    with client.session_transaction() as cookie:
        cookie["key"] = pair["key"]
    return client


def test_the_report_leads_to_a_page_with_each_figure_and_its_facts(finished: Company, signed: FlaskClient) -> None:
    links = re.findall(r'href="(/reports/calm/learners/[^"]+)"', signed.get("/reports/calm").text)
    page = unescape(signed.get(links[0]).text)

    assert links == ["/reports/calm/learners/E1", "/reports/calm/learners/E2"]
    assert "<h1>Ann Archer</h1>" in page
    assert re.search(r"<h2[^>]*>Best score:\s+90%\s*</h2>", page)
    assert scored("ann", 7)["id"] in page
    assert re.search(r"helpdesk <code>T2</code>, version \d+", page)
    program = in_force().programs["calm-calls"]
    assert page.count("<h2") == 9 + 2 * len(program.metrics) + 3 * len(program.behaviours)
    assert re.search(r"<h2[^>]*>Highest tier: 7 \(transfer\)</h2>", page)
    assert re.search(r"<h2[^>]*>Facts by tier: tier 1: 4, tier 2: 2, tier 4: 3, tier 7: 4</h2>", page)
    assert re.search(r"<h2[^>]*>Known by: roster</h2>", page)
    assert "Who was trained wins deals, 90 days since completion: uses per opportunity: <strong>1.00</strong>" in page


def test_the_page_is_for_those_who_are_signed_in(finished: Company) -> None:
    answer = finished.app.test_client().get("/reports/calm/learners/E1")

    assert answer.status_code == 302
    assert "Ann" not in answer.text


@pytest.mark.parametrize(
    "path", ["/reports/calm/learners/E9", "/reports/clam/learners/E1", "/reports/calm/learners/%00"]
)
def test_a_page_of_nobody_says_so(finished: Company, signed: FlaskClient, path: str) -> None:
    answer = signed.get(path)

    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text


def test_a_page_shows_no_more_facts_than_a_person_reads(
    finished: Company, signed: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.views.pages.FACTS", 1)

    page = signed.get("/reports/calm/learners/E1").text

    assert "lrs-bridge provenance calm-calls\n    E1 best_score" in page
    assert page.count("<tr>") == 2 * page.count("<table ") > 0


def test_what_a_page_shows_is_escaped(finished: Company, signed: FlaskClient) -> None:
    finished.tickets([("<b>T9", "2026-06-30T08:00:00Z", "ann", "2026-06-20T08:00:00Z", "5")])
    finished.run()

    page = signed.get("/reports/calm/learners/E1").text

    assert "&lt;b&gt;T9" in page
    assert "<b>T9" not in page


def test_reports_and_provenance_agree_on_the_names_of_figures(finished: Company) -> None:
    current = in_force()
    program = current.programs["calm-calls"]
    metrics = [current.metrics[name] for name in program.metrics]
    columns = [column.name for column in reports.columns(metrics, program.behaviours, days=90)]
    evidence = columns.index("remembered_score")

    named = [figure["figure"] for figure in everyone()["E1"]["figures"]]
    assert [name for name in named if "_opportunities_" not in name] == [
        *("enrolled_at", "attempts", "completed_at", "best_score", "remembered_score", "last_activity_at"),
        *("match", "tiers", "highest_tier"),
        *columns[columns.index("last_activity_at") + 1 : evidence],
        *columns[columns.index("match") + 1 :],
    ]


def test_what_is_listed_for_tiers_match_and_uses(finished: Company) -> None:
    figures = {figure["figure"]: figure for figure in everyone()["E1"]["figures"]}

    assert figures["tiers"]["value"] == {"1": 4, "2": 2, "4": 3, "7": 4}
    assert {fact["what"] for fact in figures["highest_tier"]["facts"]} == {"applied"}
    assert {fact["known_by"] for fact in figures["match"]["facts"]} == {figures["match"]["value"]} == {"roster"}
    assert [figures[f"asks-back_uses_{window}"]["value"] for window in ("before", "since")] == [1, 2]
    assert [fact["activity"] for fact in figures["elsewhere_uses_since"]["facts"]] == [QUIZ, QUIZ]
    assert figures["wins_rate_since"]["value"] == 1
    assert [fact["value"] for fact in figures["wins_days_to_first"]["facts"]] == [1]
    assert "how many" in figures["solves_uses_since"]["how"]
