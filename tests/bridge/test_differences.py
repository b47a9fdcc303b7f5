"""Differences: what other documents would make of what is stored, before they are in force."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from company import Company, counts, done, scored
from sqlalchemy import text

from bridge import checksums, differences, documents, facts, jobs
from lrs import db, samples

Call = Callable[..., Result]
QUIZ_SCORE = "    score: fraction(result.score)\n"


@pytest.fixture
def finished(company: Company) -> Company:
    company.post(done("ann"), done("bo"), scored("ann", 9), scored("bo", 4), scored("nobody", 2))
    company.run()
    return company


@pytest.fixture
def new(finished: Company, tmp_path: Path) -> Company:
    """A copy of the company's folder, to be changed; it is not in force."""
    copied = Company.__new__(Company)
    copied.folder = tmp_path / "new"
    shutil.copytree(finished.folder, copied.folder)
    return copied


def diff(lrs_bridge: Call, new: Company, *arguments: str) -> dict[str, Any]:
    result = lrs_bridge("mapping", "diff", new.folder, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def by_rule(told: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    return {row["rule"]: (row["appear"], row["vanish"], row["change"]) for row in told["by_rule"]}


def figures(told: dict[str, Any]) -> dict[str, int]:
    assert {row["program"] for row in told["figures"]} <= {"calm-calls"}
    return {row["figure"]: row["learners"] for row in told["figures"]}


def test_the_same_documents_differ_in_nothing_and_nothing_is_read(new: Company, lrs_bridge: Call) -> None:
    told = diff(lrs_bridge, new)

    assert told["looked_at"] == told["there_are"] == {"statements": 0, "records": 0}
    assert (told["facts"], told["by_rule"]) == ({"appear": 0, "vanish": 0, "change": 0}, [])
    assert told["rules"] == told["documents"] == {"added": [], "removed": [], "changed": []}
    assert (told["learners"], told["figures"], told["programs_changed"]) == (0, [], [])


def test_a_changed_value_changes_facts_and_touches_the_figures_made_of_them(new: Company, lrs_bridge: Call) -> None:
    new.change("rules.yaml", QUIZ_SCORE, "    score: fraction(result.score) / 2.0\n")

    told = diff(lrs_bridge, new)

    assert by_rule(told) == {"lms/quiz": (0, 0, 3)}
    assert told["rules"] == {"added": [], "removed": [], "changed": ["lms/quiz"]}
    assert told["documents"]["changed"] == ["learning 'lms'"]
    [row] = told["by_rule"]
    assert {example["statement"]: (example["before"], example["after"]) for example in row["examples"]} == {
        scored(who, score)["id"]: ({"value": score / 10}, {"value": score / 20})
        for who, score in (("ann", 9), ("bo", 4), ("nobody", 2))
    }
    assert (told["learners"], told["unmatched_people"]) == (2, 1)
    assert figures(told) == {"best_score": 2}  # neither how many attempts there are, nor when


def test_a_rule_that_goes_takes_its_facts_and_a_new_one_brings_its_own(new: Company, lrs_bridge: Call) -> None:
    new.change(
        "rules.yaml",
        "    when: verb.endsWith('/completed')\n    fact: completed",
        "    when: verb == 'x'\n    fact: enrolled",
    )
    new.change(
        "rules.yaml",
        "  - name: quiz\n",
        "  - name: finished\n    when: verb.endsWith('/completed')\n    fact: completed\n  - name: quiz\n",
    )
    new.change("rules.yaml", "  - name: done\n", "  - name: seen\n")

    told = diff(lrs_bridge, new)

    assert told["rules"] == {"added": ["lms/finished", "lms/seen"], "removed": ["lms/done"], "changed": []}
    # The new one has no course: another fact than before, under another name.
    assert by_rule(told) == {"lms/finished": (2, 0, 0), "lms/done": (0, 2, 0)}
    metrics = ("minutes_to_solve", "deal_won")
    windows = {f"{metric}_{window}": 2 for metric in metrics for window in ("before", "since")}
    assert figures(told) == {"completed_at": 2, "last_activity_at": 2} | windows


def test_a_rule_that_is_only_called_otherwise_changes_nothing(new: Company, lrs_bridge: Call) -> None:
    new.change("rules.yaml", "  - name: quiz\n", "  - name: test\n")

    told = diff(lrs_bridge, new)

    assert told["rules"] == {"added": ["lms/test"], "removed": ["lms/quiz"], "changed": []}
    assert (told["by_rule"], told["learners"]) == ([], 0)
    assert told["looked_at"]["statements"] > 0


def test_changed_metrics_are_compared_over_the_records_of_their_source_alone(new: Company, lrs_bridge: Call) -> None:
    new.change(
        "rules.yaml",
        "    value: row.minutes\n",
        "    value: 'row.ticket == \"T2\" ? double(row.minutes) : double(row.minutes) + 1.0'\n",
    )

    told = diff(lrs_bridge, new)

    assert told["looked_at"] == {"statements": 0, "records": 5}
    assert by_rule(told) == {"helpdesk/minutes_to_solve": (0, 0, 3)}
    assert told["by_rule"][0]["examples"][0]["record"] == "helpdesk/T1"
    # T1 is before Ann's completion, T3 since it; T4 since Bo's.
    assert figures(told) == {"minutes_to_solve_before": 1, "minutes_to_solve_since": 2}


def test_a_fact_out_of_every_window_moves_no_figure(finished: Company, new: Company, lrs_bridge: Call) -> None:
    finished.tickets([("T9", "2029-01-01T08:00:00Z", "ann", "2029-01-01T08:00:00Z", "7")])
    finished.run()
    new.change("rules.yaml", "    value: row.minutes\n", "    value: 'row.ticket == \"T9\" ? 8.0 : row.minutes'\n")

    told = diff(lrs_bridge, new)

    assert (by_rule(told), figures(told), told["learners"]) == ({"helpdesk/minutes_to_solve": (0, 0, 1)}, {}, 1)


def test_another_owner_takes_the_fact_from_one_and_gives_it_to_another(new: Company, lrs_bridge: Call) -> None:
    new.change(
        "rules.yaml",
        "    owner: row.agent\n    occurred_at: row.solved_at",
        "    owner: \"'bo'\"\n    occurred_at: row.solved_at",
    )

    told = diff(lrs_bridge, new)

    assert by_rule(told) == {"helpdesk/minutes_to_solve": (3, 3, 0)}
    assert told["learners"] == 2


def test_only_what_the_changed_rules_can_touch_is_read(finished: Company, new: Company, lrs_bridge: Call) -> None:
    for folder in (finished, new):
        folder.change(
            "rules.yaml",
            "    when: verb.endsWith('/scored')\n",
            "    match: {verb: http://adlnet.gov/expapi/verbs/scored}\n",
        )
    for _ in range(3):
        jobs.load_documents()
        jobs.map_items()
    new.change("rules.yaml", QUIZ_SCORE, "")

    told = diff(lrs_bridge, new)

    assert told["there_are"]["statements"] == 3  # of five
    assert by_rule(told) == {"lms/quiz": (0, 0, 3)}


def test_failures_that_come_and_go_are_counted(new: Company, lrs_bridge: Call) -> None:
    new.change("rules.yaml", QUIZ_SCORE, "    score: result.score.raw\n")

    [row] = (told := diff(lrs_bridge, new))["failures"]

    assert (row["rule"], row["before"], row["after"]) == ("lms/quiz", 0, 3)
    assert "0 to 1 is expected" in row["reason"]
    assert by_rule(told) == {"lms/quiz": (0, 3, 0)}


def test_voided_statements_change_nothing(finished: Company, new: Company, lrs_bridge: Call) -> None:
    target = {"objectType": "StatementRef", "id": scored("ann", 9)["id"]}
    voiding = {"id": "0b1d5f3e-0000-4000-8000-000000000002", "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"}}
    finished.post(done("bo") | voiding | {"object": target})
    new.change("rules.yaml", QUIZ_SCORE, "")

    assert by_rule(diff(lrs_bridge, new)) == {"lms/quiz": (0, 0, 2)}


def test_changed_programs_and_people_are_named(new: Company, lrs_bridge: Call) -> None:
    new.change("program.yaml", "metrics: [minutes_to_solve, deal_won]", "metrics: [deal_won]")
    new.change("people.yaml", "unclaimed: wait", "unclaimed: learner")

    told = diff(lrs_bridge, new)

    assert told["programs_changed"] == [{"program": "calm-calls", "records": 2}]
    assert told["identity_changed"] is True
    assert told["documents"]["changed"] == ["identity 'people'", "program 'calm-calls'"]


def test_a_sample_looks_at_so_many(new: Company, lrs_bridge: Call) -> None:
    new.change("rules.yaml", QUIZ_SCORE, "")
    new.change("rules.yaml", "    value: row.minutes\n", "    value: double(row.minutes) + 1.0\n")

    told = diff(lrs_bridge, new, "--sample", "2")

    assert told["looked_at"] == {"statements": 2, "records": 2}
    assert told["there_are"] == {"statements": 5, "records": 5}


def test_what_it_foretells_is_what_happens(finished: Company, new: Company, lrs_bridge: Call) -> None:
    """The facts of the new documents are those in force, less what vanishes, with what appears and changes."""

    def stored() -> dict[tuple[str, int, str], Any]:
        rows = db.session.execute(
            text("select rule, origin, alias_id, value, occurred_at, activity, weight, kind, metric from counted_fact")
        )
        return {(row.rule, row.origin, row.alias_id): tuple(row)[3:] for row in rows}

    new.change("rules.yaml", QUIZ_SCORE, "    score: fraction(result.score) / 2.0\n")
    new.change(
        "rules.yaml", "    when: row.solved_at != null\n", "    when: row.solved_at != null && row.ticket != 'T3'\n"
    )
    new.change("rules.yaml", "    value: row.stage == 'won'\n", "    value: row.deal == 'D2' || row.stage == 'won'\n")
    told, before = diff(lrs_bridge, new), stored()

    shutil.copy(new.folder / "rules.yaml", finished.folder / "rules.yaml")
    for _ in range(4):
        jobs.load_documents()
        jobs.map_items()

    after = stored()
    changed = sum(before[key] != after[key] for key in before.keys() & after.keys())
    happened = {"appear": len(after.keys() - before.keys()), "vanish": len(before.keys() - after.keys())}
    assert told["facts"] == happened | {"change": changed} == {"appear": 0, "vanish": 1, "change": 3}


def test_nothing_is_written(new: Company, lrs_bridge: Call) -> None:
    def all_sums() -> list[str]:
        db.session.rollback()
        return [checksums.of_table(db.session, table).sha256 for table in checksums.TABLES]

    new.change("rules.yaml", QUIZ_SCORE, "")
    rows, sums = counts(), all_sums()

    diff(lrs_bridge, new)

    assert (counts(), all_sums()) == (rows, sums)
    assert documents.current(db.session) is not None
    assert db.session.scalar(text("select count(*) from reading")) == 1


def test_batches_do_not_matter(new: Company, lrs_bridge: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    new.change("rules.yaml", QUIZ_SCORE, "")
    new.change("rules.yaml", "    value: row.minutes\n", "    value: double(row.minutes) + 1.0\n")
    at_once = diff(lrs_bridge, new)
    monkeypatch.setattr(samples, "BATCH", 1)
    monkeypatch.setattr(facts, "RECORDS_AT_ONCE", 2)

    assert diff(lrs_bridge, new) == at_once


def test_a_broken_folder_is_refused_as_validate_refuses_it(new: Company, lrs_bridge: Call) -> None:
    new.change("program.yaml", "deal_won]", "deal_wom]")

    differing, valid = (lrs_bridge("mapping", word, new.folder) for word in ("diff", "validate"))

    assert (differing.exit_code, differing.stderr) == (1, valid.stderr)
    as_json = [lrs_bridge("mapping", word, new.folder, "--json").stdout for word in ("diff", "validate")]
    assert as_json[0] == as_json[1]
    assert lrs_bridge("mapping", "diff").exit_code == 2


def test_for_people_it_reads_from_the_documents_to_the_figures(new: Company, lrs_bridge: Call) -> None:
    new.change("rules.yaml", QUIZ_SCORE, "    score: fraction(result.score) / 2.0\n")

    words = lrs_bridge("mapping", "diff", new.folder).stdout

    assert "Rules changed: lms/quiz." in words
    assert "0 facts would appear, 0 vanish, 3 change." in words
    assert f"change: statement {scored('ann', 9)['id']}, mbox:mailto:ann@example.com" in words
    assert "before: value 0.9" in words
    assert "Learners touched: 2; people whom nobody knows yet: 1" in words
    assert words.index("documents" if "documents" in words else "Documents") < words.index("Learners touched")


def test_a_set_of_numbers_counts_each_once() -> None:
    dice = random.Random(1)  # noqa: S311 - no secrets
    numbers = [dice.randrange(5_000) for _ in range(3_000)]
    found = differences._Numbers()

    for number in [*numbers, *numbers]:
        found.add(number)

    assert len(found) == len(set(numbers))
