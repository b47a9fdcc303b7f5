"""`lrs-bridge learner`: who is who, from the command line."""

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from company import Company, done
from sqlalchemy import text

from bridge import cli, context, decisions, jobs
from bridge.decisions import Author
from bridge.errors import SettingsError
from bridge.mapping import load_folders
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


# --- one-shot import ------------------------------------------------------------------------------------------------

USERS = [
    {"id": 7, "username": "ann", "email": "ann@example.com", "idnumber": "E1"},
    {"id": 8, "username": "cy", "email": "cy@example.com", "idnumber": "E3", "fullname": "Cy Chief", "city": "Oslo"},
]
ROSTER = """\
  - source: moodle-users
    format: moodle
    platform: https://lms.example.com
"""


@pytest.fixture
def users(call: Call, company: Company) -> Callable[..., Any]:
    """Write Moodle's answer to a file and import it, by a roster that stands behind the company's own."""
    people = (company.folder / "people.yaml").read_text()
    company.write("people.yaml", people + ROSTER)

    def take_in(content: object, *more: str) -> Any:
        (company.folder / "users.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return call("import", company.folder / "users.json", "--source", "moodle-users", *more)

    return take_in


def test_an_imported_roster_claims_aliases_and_makes_learners(users: Callable[..., Any], call: Call) -> None:
    told = read(users(USERS, "--json"))

    assert (told["rows"], told["new_or_changed"], told["bad_rows"], told["settled"]) == (2, 2, 0, True)
    ann = read(call("show", "account:https://lms.example.com|7", "--json"))
    assert (ann["key"], ann["name"]) == ("E1", "Ann Archer")  # as the first roster calls her
    assert {one["alias"]: one["rule"] for one in ann["aliases"]}["employee:E1"] == "roster moodle-users"
    assert read(call("show", "E3", "--json"))["attributes"] == {"site": "Oslo"}


def test_the_same_import_again_changes_nothing_and_a_smaller_one_takes_nobody_out(
    users: Callable[..., Any], call: Call
) -> None:
    users(USERS)
    before = read(call("list", "--json"))

    again = read(users({"users": USERS}, "--json"))
    smaller = read(users(USERS[:1], "--json"))

    assert (again["new_or_changed"], again["unchanged"]) == (0, 2)
    assert (smaller["rows"], smaller["new_or_changed"]) == (1, 0)
    assert read(call("list", "--json")) == before


def test_rows_that_cannot_be_used_are_listed_with_the_reason_and_the_others_are_taken(
    users: Callable[..., Any], call: Call
) -> None:
    result = users([*USERS, {"username": "nobody"}, {"id": 9, "email": ["no", "text"]}], "--json")

    told = read(result)
    assert (told["rows"], told["bad_rows"]) == (3, 2)
    assert [(one["row"], one["column"]) for one in told["problems"]] == [(3, "id"), ("9", None)]
    assert "a text is expected" in told["problems"][1]["problem"]
    assert read(call("show", "E3", "--json"))["name"] == "Cy Chief"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ('{"exception": "x", "message": "Invalid token"}', 1, "Invalid token"),
        ('[{"id": 1}', 1, "still being written"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    users: Callable[..., Any], call: Call, content: str, code: int, words: str
) -> None:
    before = read(call("list", "--json"))

    result = users(content)

    assert (result.exit_code, words in result.stderr) == (code, True)
    assert read(call("list", "--json")) == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("moodle-user", "Did you mean 'moodle-users'?"),
        ("staff", "a source with a document"),
        ("crm", "document of its"),
    ],
)
def test_only_a_roster_with_a_format_and_no_source_takes_files(
    users: Callable[..., Any], call: Call, company: Company, name: str, words: str
) -> None:
    users(USERS)

    result = call("import", company.folder / "users.json", "--source", name)

    assert result.exit_code == 2
    assert words in result.stderr


def test_a_csv_file_is_imported_by_the_columns_of_the_roster(call: Call, company: Company) -> None:
    people = (company.folder / "people.yaml").read_text()
    roster = """\
  - source: contractors
    format: csv
    key: [badge]
    learner: row.badge
    name: row.name
    valid_from: row.since
    attributes: {team: row.team}
    aliases: [{mbox: row.email}]
"""
    company.write("people.yaml", people + roster)
    company.write("contractors.csv", "badge,name,email,team,since\nC1,Di,stranger@example.com,East,2026-01-01\n")

    told = read(call("import", company.folder / "contractors.csv", "--source", "contractors", "--json"))

    assert told["new_or_changed"] == 1
    found = read(call("show", "mbox:mailto:stranger@example.com", "--json"))
    assert (found["key"], found["periods"][0]["from"]) == ("C1", "2026-01-01")
    assert "C1" in company.report()


def test_deciding_while_workers_build_records_neither_fails_nor_leaves_anything(call: Call, company: Company) -> None:
    """Two people who merge and undo, a worker that builds, and one that reads what arrives, all at once."""
    before, failed, end = company.report(), [], threading.Event()
    identity = load_folders([company.folder]).identity

    def work(step: Callable[[int], object]) -> None:
        with company.app.app_context():
            number = 0
            while not end.is_set():
                number += 1
                try:
                    step(number)
                except Exception as error:  # noqa: BLE001 - what breaks in a thread is for the test to tell
                    failed.append(error)
                    return

    def decide(_: int) -> None:
        author, today = Author("ada"), datetime.now(UTC).date()
        with suppress(SettingsError):  # the other one has just merged them
            made = decisions.merge(db.session, identity, "E1", "E2", author=author, today=today).id
            db.session.commit()
            decisions.undo(db.session, identity, made, author=author, today=today)
        db.session.commit()

    def arrive(number: int) -> None:
        company.post(done("ann", f"2026-06-02T09:{number // 60 % 60:02}:{number % 60:02}Z"))
        jobs.map_items()

    steps = (decide, decide, lambda _: jobs.build_records(), arrive)
    threads = [threading.Thread(target=work, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    time.sleep(4)
    end.set()
    for thread in threads:
        thread.join()

    assert failed == []
    assert len(read(call("history", "--json"))) > 5
    company.work()
    assert {learner: row["minutes_to_solve_since_count"] for learner, row in company.report().items()} == {
        learner: row["minutes_to_solve_since_count"] for learner, row in before.items()
    }
