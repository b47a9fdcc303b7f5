"""`lrs-bridge statement refused`: seen, replayed and dropped from the command line."""

import json
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import func, select
from xapi_samples import statement

import lrs
from bridge import cli, context, status
from lrs import db
from lrs.models import RefusedRequest, Statement

Call = Callable[..., Result]

BAD = statement(result={"response": None})
WORSE = statement(actor={})


class _Door(click.Command):
    """The command as a person enters it: with what `main` makes of errors."""

    def main(self, *_: Any, **__: Any) -> None:
        cli.main()


@pytest.fixture
def call(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run `lrs-bridge statement refused ...` in this process, on the test's servers."""
    for variable, value in context.settings().to_mapping().items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("bridge.app.create_app", lambda _: app)

    def run(*arguments: object) -> Result:
        db.session.rollback()
        monkeypatch.setattr(sys, "argv", ["lrs-bridge", "statement", "refused", *map(str, arguments)])
        return CliRunner().invoke(_Door("lrs-bridge"))

    return run


@pytest.fixture
def sender(app: Flask) -> lrs.credentials.Issued:
    """A credential whose three requests have just been refused."""
    issued = lrs.credentials.create(db.session, name="Moodle", scopes=["all"], secret_key=context.secret_key())
    db.session.commit()
    for body in ([statement(), BAD], [BAD], [WORSE]):
        answer = app.test_client().post(
            "/xapi/statements",
            json=body,
            auth=(issued.key, issued.secret),
            headers={"X-Experience-API-Version": "1.0.3"},
        )
        assert answer.status_code == 400
    return issued


def make_lenient(key: str) -> None:
    lrs.credentials.change(db.session, key, lenient=True)
    db.session.commit()


def numbers() -> list[int]:
    return list(db.session.scalars(select(RefusedRequest.id).order_by(RefusedRequest.id)))


def stored() -> int:
    db.session.rollback()
    return db.session.scalar(select(func.count()).select_from(Statement)) or 0


def test_list_says_who_sent_what_and_why_it_was_refused(call: Call, sender: lrs.credentials.Issued) -> None:
    rows = json.loads(call("list", "--json").stdout)

    assert [(row["credential"], row["key"], row["statements"], row["faults"]) for row in rows] == [
        ("Moodle", sender.key, 2, 1),
        ("Moodle", sender.key, 1, 1),
        ("Moodle", sender.key, 1, 1),
    ]
    assert rows[0]["first"] == "statement 1 /result/response: Expected `str`, got `null`."
    other = lrs.credentials.create(db.session, name="Other", scopes=["all"], secret_key=context.secret_key())
    db.session.commit()
    assert json.loads(call("list", "--credential", other.key, "--json").stdout) == []


def test_show_gives_reasons_and_body(call: Call, sender: lrs.credentials.Issued) -> None:
    first = numbers()[0]

    assert "Leave the property out." in call("show", first).stdout
    assert json.loads(json.loads(call("show", first, "--json").stdout)["body"]) == [statement(), BAD]
    assert json.loads(call("show", first, "--body").stdout) == [statement(), BAD]


def test_replay_stores_what_can_be_and_tells_what_cannot(call: Call, sender: lrs.credentials.Issued) -> None:
    make_lenient(sender.key)

    result = call("replay", "--all", "--json")

    outcomes = json.loads(result.stdout)
    assert [(one["stored"], one["pointer"]) for one in outcomes] == [(2, None), (1, None), (0, "/actor")]
    assert result.exit_code == 1  # not all of it was done
    assert stored() == 3
    assert [row["id"] for row in json.loads(call("list", "--json").stdout)] == [outcomes[2]["id"]]
    assert len(json.loads(call("list", "--replayed", "--json").stdout)) == 3


def test_replay_of_some_by_number(call: Call, sender: lrs.credentials.Issued) -> None:
    make_lenient(sender.key)

    assert call("replay", numbers()[1]).exit_code == 0
    assert stored() == 1
    assert call("replay", numbers()[1]).exit_code == 1
    assert stored() == 1
    [row] = [one for one in json.loads(call("list", "--replayed", "--json").stdout) if one["id"] == numbers()[1]]
    assert (row["status"], row["first"]) == (400, "statement 0 /result/response: Expected `str`, got `null`.")


def test_drop_forgets(call: Call, sender: lrs.credentials.Issued) -> None:
    first, *rest = numbers()

    assert call("drop", first).exit_code == 0
    db.session.rollback()
    assert numbers() == rest
    assert call("drop", "--credential", sender.key).exit_code == 0
    db.session.rollback()
    assert numbers() == []


@pytest.mark.parametrize("arguments", [["replay"], ["drop"], ["drop", "1", "--all"], ["show", "99"], ["drop", "99"]])
def test_a_wrong_call_exits_with_2(call: Call, arguments: list[str]) -> None:
    assert call(*arguments).exit_code == 2


@pytest.mark.parametrize("command", ["list", "replay", "drop"])
def test_an_unknown_credential_is_a_wrong_call(call: Call, sender: lrs.credentials.Issued, command: str) -> None:
    result = call(command, "--credential", "nokey")

    assert result.exit_code == 2
    assert "There is no credential called 'nokey'." in result.stderr
    assert len(numbers()) == 3


def test_what_waits_of_a_revoked_credential_is_found(call: Call, sender: lrs.credentials.Issued) -> None:
    lrs.credentials.revoke(db.session, sender.key)
    db.session.commit()

    assert len(json.loads(call("list", "--credential", sender.key, "--json").stdout)) == 3


def test_status_counts_what_waits_and_not_what_was_replayed(call: Call, sender: lrs.credentials.Issued) -> None:
    assert status.overview(db.session)["refused_requests_waiting"] == 3
    make_lenient(sender.key)
    call("replay", "--all")
    db.session.rollback()

    assert status.overview(db.session)["refused_requests_waiting"] == 1
    assert status.overview(db.session)["quarantined"] == 0


def test_replaying_what_is_not_there_is_told(call: Call) -> None:
    result = call("replay", "99", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["error"] == "There is no refused request 99."
