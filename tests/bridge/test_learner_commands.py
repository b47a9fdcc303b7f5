"""`lrs-bridge learner`: who is who, from the command line."""

import json
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from company import Company, done
from sqlalchemy import text

from bridge import cli, context
from lrs import db

Call = Callable[..., Result]
BO = "mbox:mailto:bo@example.com"


class _Door(click.Command):
    """The command as a person enters it: with what `main` makes of errors."""

    def main(self, *_: Any, **__: Any) -> None:
        cli.main()


@pytest.fixture
def call(company: Company, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run `lrs-bridge learner ...` in this process, on a company whose Ann and Bo, and a stranger, have learned."""
    company.post(done("ann"), done("bo"), done("stranger"))
    company.run()
    for variable, value in context.settings().to_mapping().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("bridge.app.create_app", lambda _: company.app)
    monkeypatch.setattr("getpass.getuser", lambda: "ada")

    def run(*arguments: object) -> Result:
        db.session.rollback()
        monkeypatch.setattr(sys, "argv", ["lrs-bridge", "learner", *map(str, arguments)])
        return CliRunner().invoke(_Door("lrs-bridge"))

    return run


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_learners_are_listed_and_shown_for_people_and_for_machines(call: Call) -> None:
    assert [one["key"] for one in read(call("list", "--json"))] == ["E1", "E2"]
    assert [one["key"] for one in read(call("list", "--after", "E1", "--json"))] == ["E2"]
    shown = call("show", BO)
    assert shown.exit_code == 0
    for words in ("E2", "Bo Berg", "team: South", f"{BO}  (roster staff)"):
        assert words in shown.stdout
    assert read(call("show", "E2", "--json"))["attributes"] == {"team": "South"}


def test_a_merge_is_seen_in_the_report_when_the_command_ends_and_its_undo_too(call: Call, company: Company) -> None:
    made = read(call("merge", "E1", BO, "--because", "one person", "--json"))
    assert set(company.report()) == {"E1"}

    undone = read(call("undo", made["id"], "--because", "two after all", "--json"))
    assert set(company.report()) == {"E1", "E2"}
    assert (made["made_by"], made["because"], undone["undone_because"]) == ("ada", "one person", "two after all")
    [listed] = read(call("history", "E2", "--json"))
    assert listed == undone
    assert "E2 is E1: one person (undone by ada" in call("show", "E1").stdout


def test_a_split_takes_the_facts_to_another_record(call: Call, company: Company) -> None:
    assert company.report()["E1"]["minutes_to_solve_since_count"] == 2

    read(call("split", "user:helpdesk|ann", "--to", "E2", "--json"))

    assert company.report()["E1"]["minutes_to_solve_since_count"] == 0
    assert company.report()["E2"]["minutes_to_solve_since_count"] == 3


def test_who_waits_is_listed_and_suggested_by_name_alone_to_a_person(call: Call, company: Company) -> None:
    db.session.execute(text("update alias set name = 'berg BO' where key like '%stranger%'"))
    db.session.commit()

    [waiting] = read(call("unmatched", "--json"))
    [suggested] = read(call("suggest", "--json"))

    assert (waiting["alias"], waiting["facts"] > 0) == ("mbox:mailto:stranger@example.com", True)
    assert (suggested["learner"], suggested["facts"]) == ("E2", waiting["facts"])
    assert suggested["to_accept"] == "lrs-bridge learner split mbox:mailto:stranger@example.com --to E2"
    assert set(company.report()) == {"E1", "E2"}


def test_what_is_wrong_with_rosters_is_listed(call: Call, company: Company) -> None:
    company.staff((("E1", "Ann", "North", "ann@example.com", "ann"), ("E2", "Bo", "South", "ann@example.com", "bo")))
    company.pull()
    company.work()

    [found] = read(call("problems", "--json"))

    assert found["about"] == "mbox:mailto:ann@example.com"
    assert "E1 and E2" in found["problem"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "E9"), 1, "There is no learner 'E9'"),
        (("merge", "E1", "E9"), 1, "There is no learner 'E9'"),
        (("merge", "E1", "user:crm|ann"), 2, "one learner already"),
        (("merge", "E1"), 2, "Missing argument"),
        (("split",), 2, "Missing argument"),
        (("split", "user:crm|nobody"), 1, "There is no alias"),
        (("undo", "5"), 1, "There is no decision 5"),
        (("undo", "x"), 2, "not a valid integer"),
        (("history", "E9"), 1, "There is no learner 'E9'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(call: Call, arguments: tuple[str, ...], code: int, words: str) -> None:
    result = call(*arguments)

    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output
