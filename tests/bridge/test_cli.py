"""The command: exit codes, words for people, JSON for machines, and no stack where one line does."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from company import TICKETS, Company, done, scored
from sqlalchemy import select

from bridge import access, cli, context, deliveries, jobs
from bridge.models import Delivery
from bridge.settings import Settings
from lrs import Credential, db

Call = Callable[..., Result]


@pytest.fixture
def call(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Call]:
    """Run a command in this process, against the test's servers, as `main` runs it."""
    for variable, value in context.settings().to_mapping().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("lrs.credentials.REMEMBERED_SECONDS", 0)  # or each change would wait for that
    # The same application instead of one more for each call, whose connections nobody would close.
    monkeypatch.setattr("bridge.app.create_app", lambda _: company.app)

    def run(*arguments: str) -> Result:
        db.session.rollback()
        monkeypatch.setattr(sys, "argv", ["lrs-bridge", *arguments])
        return CliRunner().invoke(main)

    return run


class _Door(click.Command):
    """The command as a person enters it: with what `main` makes of errors."""

    def main(self, *_: Any, **__: Any) -> None:
        cli.main()


main = _Door("lrs-bridge")


@pytest.fixture
def finished(company: Company) -> Company:
    company.post(done("ann"), done("bo"), scored("ann", 9))
    company.run()
    return company


def error(result: Result, code: int) -> str:
    """Give the one line that a failed command says."""
    assert result.exit_code == code, (result.stdout, result.stderr)
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("lrs-bridge: ")
    return line


def key_of(result: Result) -> str:
    return json.loads(result.stdout)["key"]


# --- mapping validate ----------------------------------------------------------------------------------------------


def test_a_good_folder_validates_and_is_counted(call: Call, company: Company) -> None:
    result = call("mapping", "validate", str(company.folder))

    assert result.exit_code == 0
    assert re.search(r"Valid: .*1 program, 1 report, 3 source\.", result.stdout)


def test_a_bad_folder_is_refused_with_a_line_for_each_fault(call: Call, company: Company) -> None:
    company.change("program.yaml", "deal_won]", "deal_wom]")
    company.change("rules.yaml", "direction: up", "direction: north")

    result = call("mapping", "validate", str(company.folder))

    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first.startswith(f"{company.folder}/program.yaml:7:29: There is no metric called 'deal_wom'. Did you mean")
    assert second.startswith(f"{company.folder}/rules.yaml:36:16: ")
    assert result.stdout == ""


def test_a_folder_without_documents_does_not_pass_for_a_valid_one(call: Call, tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text("{}")

    result = call("mapping", "validate", str(tmp_path))

    assert result.exit_code == 1
    assert "There is no document in" in result.output


def test_validation_for_machines(call: Call, company: Company) -> None:
    good = json.loads(call("mapping", "validate", str(company.folder), "--json").stdout)
    company.change("program.yaml", "deal_won]", "deal_wom]")
    bad = call("mapping", "validate", str(company.folder), "--json")

    assert (good["valid"], good["documents"]["source"]) == (True, 3)
    assert bad.exit_code == 1
    [problem] = json.loads(bad.stdout)["problems"]
    assert (problem["line"], problem["column"]) == (7, 29)
    assert problem.keys() == {"file", "line", "column", "text", "remedy"}


def test_validation_goes_by_the_environment_when_no_folder_is_given(call: Call, company: Company) -> None:
    company.change("program.yaml", "deal_won]", "deal_wom]")

    assert call("mapping", "validate").exit_code == 1


def test_validation_needs_no_server(company: Company) -> None:
    clean = {
        name: value for name, value in os.environ.items() if "LRS_BRIDGE" not in name and not name.endswith("_URL")
    }
    command = [sys.executable, "-m", "bridge", "mapping", "validate", str(company.folder)]

    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_that_is_not_there_is_a_wrong_call(call: Call, tmp_path: Path) -> None:
    result = call("mapping", "validate", str(tmp_path / "nowhere"))

    assert result.exit_code == 2
    assert "does not exist" in result.stderr


# --- report --------------------------------------------------------------------------------------------------------


def test_a_report_is_printed_as_table_json_and_csv(call: Call, finished: Company) -> None:
    table, as_json, as_csv = (call("report", "calm", "--format", form) for form in ("table", "json", "csv"))

    assert (table.exit_code, as_json.exit_code, as_csv.exit_code) == (0, 0, 0)
    assert "Ann Archer" in table.stdout
    assert "They are not an effect of the programme" in " ".join(table.stdout.split())
    rows = json.loads(as_json.stdout)["rows"]
    assert [row["learner"] for row in rows] == ["E1", "E2"]
    assert rows == list(finished.report().values())
    assert [row["learner"] for row in csv.DictReader(io.StringIO(as_csv.stdout))] == ["E1", "E2"]
    assert call("report", "calm", "--json").stdout == as_json.stdout


def test_an_unknown_report_names_the_nearest(call: Call, finished: Company) -> None:
    assert "Did you mean 'calm'?" in error(call("report", "clam"), 2)


def test_a_format_that_is_not_there_is_a_wrong_call(call: Call, finished: Company) -> None:
    assert call("report", "calm", "--format", "xml").exit_code == 2


def test_before_any_document_is_in_force_a_report_says_so(call: Call) -> None:
    assert "No documents are in force yet" in error(call("report", "calm"), 1)


# --- sources -------------------------------------------------------------------------------------------------------


def test_a_pull_says_what_it_found_and_bad_rows_are_listed(call: Call, company: Company) -> None:
    jobs.load_documents()
    company.tickets([*TICKETS, ("T6", "2026-06-24T08:00:00Z", "bo", "24 June", "90")])

    pulled = call("source", "pull", "helpdesk", "--json")
    listed = call("source", "problems", "helpdesk")
    as_json = json.loads(call("source", "problems", "helpdesk", "--json").stdout)

    assert pulled.exit_code == 0
    assert (json.loads(pulled.stdout)["records"], json.loads(pulled.stdout)["bad_rows"]) == (5, 1)
    assert "24 June" in listed.stdout
    assert [(row["row"], row["column"]) for row in as_json] == [(7, "solved_at")]


def test_a_pull_that_fails_ends_with_one_and_says_why(call: Call, company: Company) -> None:
    jobs.load_documents()
    (company.folder / "tickets.csv").unlink()

    result = call("source", "pull", "helpdesk", "--json")

    assert result.exit_code == 1
    assert "tickets.csv" in json.loads(result.stdout)["last_error"]
    assert "Traceback" not in result.stderr


def test_all_sources_are_listed_with_how_their_last_pull_went(call: Call, company: Company) -> None:
    jobs.load_documents()
    jobs.pull("crm")

    rows = json.loads(call("source", "list", "--json").stdout)

    assert [(row["source"], row["records"], row["last_error"]) for row in rows] == [
        ("crm", 2, None),
        ("helpdesk", 0, None),
        ("staff", 0, None),
    ]


@pytest.mark.parametrize("command", ["pull", "problems"])
def test_an_unknown_source_names_the_nearest(call: Call, company: Company, command: str) -> None:
    jobs.load_documents()

    assert "Did you mean 'helpdesk'?" in error(call("source", command, "helpdesc"), 2)


# --- credentials ---------------------------------------------------------------------------------------------------


def test_a_credential_is_shown_once_and_opens_what_it_is_for(call: Call, company: Company) -> None:
    made = call("credential", "create", "--name", "Our LMS", "--scope", "statements/write", "--json")
    issued = json.loads(made.stdout)
    listed, plain = call("credential", "list", "--json"), call("credential", "list")

    assert made.exit_code == 0
    assert issued.keys() == {"name", "key", "secret"}
    assert issued["key"] in listed.stdout
    for output in (listed.output, plain.output, call("status").output):
        assert issued["secret"] not in output
    company.credential = issued
    company.post(done("ann"))


def made(call: Call, *options: str) -> dict[str, Any]:
    return json.loads(call("credential", "create", "--name", "LMS", "--scope", "all", *options, "--json").stdout)


def listed(call: Call, key: str) -> dict[str, Any]:
    [row] = [row for row in json.loads(call("credential", "list", "--json").stdout) if row["key"] == key]
    return row


def test_a_revoked_credential_says_when(call: Call) -> None:
    key = made(call)["key"]

    revoked = call("credential", "revoke", key, "--json")

    assert revoked.exit_code == 0
    assert json.loads(revoked.stdout)["revoked_at"]
    assert listed(call, key)["revoked_at"]
    assert "There is no credential" in error(call("credential", "revoke", key), 2)


def test_a_credential_is_made_and_shown_with_its_options(call: Call) -> None:
    plain = listed(call, made(call)["key"])
    special = listed(call, made(call, "--lenient", "--partial", "--deduplicate", "30", "--rate", "600")["key"])

    names = ("lenient", "partial", "deduplicate_seconds", "requests_per_minute")
    assert [plain[name] for name in names] == [False, False, None, None]
    assert [special[name] for name in names] == [True, True, 30, 600]
    assert "secret" not in plain


def test_a_change_changes_what_it_names_and_says_what_holds_then(call: Call) -> None:
    key = made(call, "--rate", "600", "--deduplicate", "30")["key"]

    lenient = json.loads(call("credential", "change", key, "--lenient", "--rate", "0", "--json").stdout)
    strict = json.loads(call("credential", "change", key, "--strict", "--scope", "state", "--json").stdout)

    assert (lenient["lenient"], lenient["requests_per_minute"], lenient["deduplicate_seconds"]) == (True, None, 30)
    assert (strict["lenient"], strict["scopes"], strict["deduplicate_seconds"]) == (False, "state", 30)
    assert strict == listed(call, key)


def test_a_new_secret_is_shown_once_and_the_old_one_taken_as_long_as_said(call: Call, company: Company) -> None:
    old = made(call)

    new = json.loads(call("credential", "rotate", old["key"], "--grace", "60", "--json").stdout)

    assert new.keys() == {"name", "key", "secret"}
    assert (new["key"], new["name"]) == (old["key"], "LMS")
    assert new["secret"] != old["secret"]
    assert listed(call, old["key"])["former_secret_until"]
    for one in (old, new):
        company.credential = one
        company.post(done("ann"))
    again = json.loads(call("credential", "rotate", old["key"], "--json").stdout)
    assert listed(call, old["key"])["former_secret_until"] is None
    assert access.kept_credential(db.session, written(company, new)) is None
    assert access.kept_credential(db.session, written(company, again))


def written(company: Company, credential: dict[str, Any]) -> Path:
    path = company.folder / "credential.json"
    path.write_text(json.dumps(credential))
    return path


def test_when_the_command_ends_no_process_goes_by_what_was_before(
    call: Call, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lrs.credentials.REMEMBERED_SECONDS", 0.2)
    company.credential = made(call)
    company.post(done("ann"))

    call("credential", "change", company.credential["key"], "--scope", "statements/read")

    with pytest.raises(AssertionError):
        company.post(done("bo"))


def test_who_comes_with_tokens_is_listed_and_has_neither_secret_nor_scopes_here(call: Call, company: Company) -> None:
    issuer = "https://login.example.com"
    db.session.add(Credential(name="Quiz", key="oidc", issuer=issuer, subject="7", scopes=[]))
    db.session.commit()

    row = listed(call, "oidc")

    assert (row["issuer"], row["subject"], row["scopes"]) == (issuer, "7", "those of its tokens")
    assert f"{issuer} vouches for it" in error(call("credential", "rotate", "oidc"), 2)
    assert f"given by {issuer}" in error(call("credential", "change", "oidc", "--scope", "all"), 2)
    assert call("credential", "change", "oidc", "--lenient").exit_code == 0
    assert call("credential", "revoke", "oidc").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("change", "{key}"),  # nothing to change
        ("change", "unknown", "--lenient"),
        ("rotate", "unknown"),
        ("change", "{key}", "--scope", "al"),
    ],
)
def test_a_wrong_call_about_a_credential_says_what_is_wrong(call: Call, arguments: tuple[str, ...]) -> None:
    key = made(call)["key"]

    error(call("credential", *(argument.format(key=key) for argument in arguments)), 2)


@pytest.mark.parametrize(
    "option", [("--rate", "-1"), ("--rate", "often"), ("--deduplicate", "0.5"), ("--rate", "1e10")]
)
def test_a_number_that_is_none_is_a_wrong_call(call: Call, option: tuple[str, str]) -> None:
    assert call("credential", "create", "--name", "X", "--scope", "all", *option).exit_code == 2


@pytest.mark.parametrize("scope", ["statement/write", "report/read", "everything"])
def test_a_scope_that_is_not_there_is_refused_by_name(call: Call, scope: str) -> None:
    line = error(call("credential", "create", "--name", "X", "--scope", scope), 2)

    assert f"There is no scope {scope!r}." in line
    assert "Did you mean" in line or "There are: " in line


# --- deliveries ----------------------------------------------------------------------------------------------------


def test_what_is_due_is_delivered_and_shown(call: Call, finished: Company) -> None:
    deliveries.mark_all_due(db.session)
    db.session.commit()

    result = call("deliver", "--json")

    assert result.exit_code == 0
    assert [(row["report"], row["state"]) for row in json.loads(result.stdout)] == [("calm", "done")]


def test_a_failed_delivery_ends_with_one_and_a_retry_sends_it(call: Call, company: Company) -> None:
    company.post(done("ann"))
    blocked = context.settings().data_dir / "reports"
    blocked.parent.mkdir()
    blocked.write_text("a file where a folder should be")
    company.run()

    failed = call("deliver", "--json")
    still = call("deliver", "retry", "calm")
    blocked.unlink()
    sent = call("deliver", "retry", "calm", "--json")

    assert failed.exit_code == 1
    assert "is not a folder" in json.loads(failed.stdout)[0]["last_error"]
    assert still.exit_code == 1
    assert "failed" in still.stdout
    assert sent.exit_code == 0
    assert json.loads(sent.stdout)[0]["state"] == "done"
    assert len(company.delivered()["rows"]) == 1
    db.session.rollback()
    assert db.session.scalars(select(Delivery.state)).all() == ["done"]


def test_a_retry_of_an_unknown_report_names_the_nearest(call: Call, finished: Company) -> None:
    assert "Did you mean 'calm'?" in error(call("deliver", "retry", "clam"), 2)


# --- status, rebuild -----------------------------------------------------------------------------------------------


def test_status_counts_and_says_what_needs_a_person(call: Call, finished: Company) -> None:
    status = json.loads(call("status", "--json").stdout)

    assert (status["statements"], status["records"], status["settled"]) == (3, 2, True)
    assert "statements" in call("status").stdout


def test_a_rebuild_gives_the_same_report(call: Call, finished: Company) -> None:
    before = call("report", "calm", "--json").stdout

    result = call("rebuild")

    assert result.exit_code == 0
    assert "Rebuilt." in result.stdout
    assert call("report", "calm", "--json").stdout == before


# --- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run the command in an environment that names nothing but what a test says."""
    for variable in Settings.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments: str, **variables: str) -> Result:
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setattr(sys, "argv", ["lrs-bridge", *arguments])
        return CliRunner().invoke(main)

    return run


NOBODY = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({}, 1, "Start `lrs-bridge up --data-dir"),
        (NOBODY, 1, "The database does not answer"),
        # one of the two alone is a mistake
        ({"DATABASE_URL": NOBODY["DATABASE_URL"]}, 2, "Set both DATABASE_URL and REDIS_URL, or neither"),
        (NOBODY | {"DATABASE_URL": "mysql://x"}, 2, "DATABASE_URL must be a postgresql:// URL"),
        (NOBODY | {"REDIS_URL": "http://x"}, 2, "REDIS_URL"),
        (NOBODY | {"LRS_BRIDGE_LOG_LEVEL": "LOUD"}, 2, "LRS_BRIDGE_LOG_LEVEL must be one of DEBUG"),
    ],
    ids=["no up", "nobody answers", "one alone", "another database", "another broker", "log level"],
)
def test_an_error_is_one_line_with_a_remedy_and_an_exit_code(
    plain: Call, tmp_path: Path, variables: dict[str, str], code: int, words: str
) -> None:
    result = plain("status", "--data-dir", str(tmp_path), **variables)

    assert words in error(result, code)
    assert result.stdout == ""


def test_a_marker_that_no_up_has_written_is_told_in_one_line(plain: Call, tmp_path: Path) -> None:
    (tmp_path / "running.json").write_text("{not json")

    result = plain("status", "--data-dir", str(tmp_path))

    assert "running.json" in error(result, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("report",),
        ("credential", "create"),
        ("up", "--exit"),
        ("up", "--port", "0"),
        ("web", "--port", "x"),
    ],
    ids=" ".join,
)
def test_a_wrong_call_ends_with_two_and_the_usage(plain: Call, arguments: tuple[str, ...]) -> None:
    result = plain(*arguments)

    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_the_command_itself_ends_so_too(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in Settings.VARIABLES.values()}
    command = [sys.executable, "-m", "bridge", "status", "--data-dir", str(tmp_path)]

    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"lrs-bridge: No lrs-bridge runs on {tmp_path}.")
    assert done.stderr.count("\n") == 1


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))


@pytest.mark.parametrize(
    ("path", "command"),
    list(_commands(cli.commands)),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_every_command_and_option_says_what_it_does(path: tuple[str, ...], command: Any) -> None:
    result = CliRunner().invoke(cli.commands, [*path, "--help"])

    assert result.exit_code == 0
    assert command.help
    assert len(command.help.splitlines()[0]) <= 120
