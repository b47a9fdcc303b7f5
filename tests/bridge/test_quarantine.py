"""Quarantine: what could not be evaluated is listed with the reason and its raw JSON, and leaves when it can be."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from company import Company, scored
from sqlalchemy import text

import lrs
from bridge import jobs, quarantine, status
from bridge.models import Quarantine, Rule
from lrs import db

Call = Callable[..., Result]


@pytest.fixture
def failing(company: Company) -> Company:
    """A learning rule that fails on three statements, a metric that fails on one ticket."""
    company.change("rules.yaml", "    score: fraction(result.score)\n", "    score: result.score.raw\n")
    company.change("rules.yaml", "    value: row.minutes\n", "    value: hours(row.agent, row.solved_at)\n")
    company.change("rules.yaml", "    when: row.solved_at != null\n", "    when: row.ticket == 'T4'\n")
    company.post(scored("ann", 9), scored("bo", 9, at="2026-05-28T09:00:00Z"), scored("bo", 4))
    company.run()
    return company


def listed(lrs_bridge: Call, *arguments: str) -> list[dict[str, object]]:
    result = lrs_bridge("mapping", "quarantine", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_each_reason_is_listed_with_its_items_the_most_frequent_first(failing: Company, lrs_bridge: Call) -> None:
    [nine, ticket, four] = listed(lrs_bridge)

    assert (nine["rule"], nine["expression"], nine["count"]) == ("lms/quiz", "result.score.raw", 2)
    assert "9" in str(nine["reason"])
    assert "4" in str(four["reason"])
    assert nine["items"] == [
        {"statement": scored("ann", 9)["id"]},
        {"statement": scored("bo", 9, at="2026-05-28T09:00:00Z")["id"]},
    ]
    [item] = ticket["items"]
    assert (ticket["rule"], item["source"], item["key"]) == ("helpdesk/minutes_to_solve", "helpdesk", "T4")
    version = db.session.scalar(text("select id from source_record_version where data ->> 'ticket' = 'T4'"))
    assert (item["version"], "raw" in item) == (version, False)


def test_the_raw_json_comes_when_it_is_asked_for(failing: Company, lrs_bridge: Call) -> None:
    [nine, ticket, _] = listed(lrs_bridge, "--raw")

    assert [item["raw"]["result"] for item in nine["items"]] == [{"score": {"raw": 9, "max": 10}}] * 2
    assert ticket["items"][0]["raw"]["agent"] == "bo"
    assert '"agent": "bo"' in lrs_bridge("mapping", "quarantine", "--raw").stdout


def test_one_rule_and_so_many_items(failing: Company, lrs_bridge: Call) -> None:
    [nine, four] = listed(lrs_bridge, "--rule", "lms/quiz", "--limit", "1")

    assert ([len(nine["items"]), len(four["items"])], nine["count"]) == ([1, 1], 2)
    unknown = lrs_bridge("mapping", "quarantine", "--rule", "lms/quizz")
    assert (unknown.exit_code, "Did you mean 'lms/quiz'?" in unknown.stderr) == (2, True)


def test_for_people_each_item_comes_with_the_command_that_explains_it(failing: Company, lrs_bridge: Call) -> None:
    words = lrs_bridge("mapping", "quarantine", "--limit", "1").stdout

    assert f"lrs-bridge mapping explain --statement {scored('ann', 9)['id']}" in words
    assert "lrs-bridge mapping explain --record helpdesk/T4" in words
    assert "and 1 more; --limit N lists more of them." in words


def test_what_can_be_read_again_leaves(failing: Company, lrs_bridge: Call) -> None:
    failing.change("rules.yaml", "    score: result.score.raw\n", "    score: fraction(result.score)\n")
    failing.change("rules.yaml", "hours(row.agent, row.solved_at)", "row.minutes")
    for _ in range(3):
        jobs.load_documents()
        jobs.map_items()

    assert listed(lrs_bridge) == []
    assert "Nothing" in lrs_bridge("mapping", "quarantine").stdout


@pytest.mark.parametrize("state", ["pending", "dropped"])
def test_what_rules_fail_on_that_do_not_count_is_not_listed(failing: Company, lrs_bridge: Call, state: str) -> None:
    before = listed(lrs_bridge)
    rule = Rule(kind="learning", document="lms", name="quiz", content_hash="other", fact="assessed", state=state)
    db.session.add(rule)
    db.session.flush()
    db.session.add(Quarantine(rule_id=rule.id, origin=1, expression="x", reason="y"))
    db.session.commit()

    assert listed(lrs_bridge) == before
    assert listed(lrs_bridge, "--rule", "lms/quiz") == [group for group in before if group["rule"] == "lms/quiz"]


def test_the_overview_counts_it(failing: Company) -> None:
    told = status.overview(db.session)

    assert told["quarantined"] == sum(group.items for group in quarantine.groups(db.session)) == 4
    assert any("lms/quiz" in line and "(2 items)" in line for line in told["failing_rules"])


def test_a_number_that_no_float_can_hold_is_shown_as_it_was_sent(company: Company, lrs_bridge: Call) -> None:
    company.change("rules.yaml", "    score: fraction(result.score)\n", "    score: result.score.max\n")
    body = json.dumps([scored("ann", 7)]).replace('"raw": 7', '"raw": 7, "min": -1e999')
    company.post_text(body)
    company.run()

    [held] = listed(lrs_bridge, "--raw")

    assert held["items"][0]["raw"]["result"]["score"] == {"raw": 7, "min": "-1e999", "max": 10}


def test_a_voided_statement_waits_for_nobody(failing: Company, lrs_bridge: Call) -> None:
    wrong = scored("bo", 4)
    failing.post(
        {
            "actor": {"mbox": "mailto:admin@example.com"},
            "verb": {"id": lrs.VOIDED},
            "object": {"objectType": "StatementRef", "id": wrong["id"]},
        }
    )
    failing.run()

    assert [group["count"] for group in listed(lrs_bridge)] == [2, 1]
    told = status.overview(db.session)
    assert (told["quarantined"], len(told["failing_rules"])) == (3, 2)
    assert any("(1 item)" in line for line in told["failing_rules"])
    explained = json.loads(lrs_bridge("mapping", "explain", "--statement", str(wrong["id"]), "--json").stdout)
    assert (explained["statement"]["voided"], explained["quarantine"]) == (True, [])
