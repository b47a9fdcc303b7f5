"""`lrs-bridge lti`: learning platforms that may launch our pages by LTI 1.3."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, data_dir_option, in_force, json_option, print_json, show

_GIVEN = (
    click.option("--title", help="What it is called here."),
    click.option(
        "--home-page",
        metavar="URL",
        help="Home page of its people's accounts in statements; of Canvas your own address.  [default: the issuer]",
    ),
    click.option(
        "--account-name",
        metavar="PATTERN",
        help="How these accounts are named, such as {custom.canvas_user_id}.  [default: {sub}]",
    ),
    click.option(
        "--course-url",
        metavar="PATTERN",
        help="How programs name its courses, such as {home_page}/course/view.php?id={context_id} (usual for Moodle).",
    ),
    click.option(
        "--match",
        "match_by",
        type=click.Choice(["account", "employee", "email"]),
        multiple=True,
        default=("account",),
        show_default=True,
        help="By what its people are found, the first that leads to a learner counts. Employee numbers and mail "
        "addresses only where nobody can write their own there.",
    ),
    click.option(
        "--admins-see-all/--admins-see-themselves",
        default=False,
        help="Whether its administrators see every learner, when they open the page outside of a course.",
    ),
)


def _given(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_GIVEN):
        command = option(command)
    return command


@click.group()
def lti() -> None:
    """Learning platforms that may launch our pages (LTI 1.3)."""


@lti.command("invite")
@click.argument("issuer")
@click.option("--grades", is_flag=True, help="Also ask to write scores into gradebooks (`lti grades`).")
@_given
@data_dir_option
@json_option
def invite(issuer: str, data_dir: Path, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click gives what _GIVEN say
    """Print an address by which the platform ISSUER registers itself, once, within a day.

    In Moodle (ISSUER is its own address): Site administration > Plugins > Activity modules > External tool > Manage
    tools, Tool URL.
    """
    from datetime import UTC, datetime

    from bridge import context
    from bridge.lti import platforms
    from lrs import db

    with application(data_dir):
        now = datetime.now(UTC)
        token = platforms.invite(db.session, issuer, platforms.Given(**given), now=now)
        db.session.commit()
        address = f"{context.settings().public_url}/lti/configure/{token}"
        until = (now + platforms.INVITATION).strftime("%Y-%m-%dT%H:%M:%SZ")
        show({"issuer": issuer, "address": address, "until": until}, as_json=as_json)


@lti.command("register")
@click.option("--issuer", required=True, metavar="URL", help="As in its messages; https://canvas.instructure.com.")
@click.option("--client-id", required=True, help="What the platform calls us.")
@click.option("--auth-url", required=True, metavar="URL", help="Where logins are sent.")
@click.option("--token-url", required=True, metavar="URL", help="Where access tokens are had.")
@click.option("--jwks-url", required=True, metavar="URL", help="Where its public keys are.")
@click.option("--token-audience", metavar="TEXT", help="What requests for tokens name.  [default: the token URL]")
@click.option("--deployment", "deployments", multiple=True, required=True, help="A deployment id; once for each.")
@_given
@data_dir_option
@json_option
def register(data_dir: Path, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - as above
    """Write a platform down, or change the one with this issuer and client id; deployments are added."""
    from bridge.lti import platforms
    from connectors import lti as wire
    from lrs import db

    names = ("issuer", "client_id", "auth_url", "token_url", "jwks_url", "token_audience")
    platform = {name: options.pop(name) for name in names}
    deployments = frozenset(options.pop("deployments"))
    with application(data_dir):
        row = platforms.register(
            db.session, wire.Platform(**platform, deployments=deployments), platforms.Given(**options)
        )
        told = platforms.told(db.session, row)
        db.session.commit()
        show(told, as_json=as_json)


@lti.command("list")
@data_dir_option
@json_option
def list_platforms(data_dir: Path, *, as_json: bool) -> None:
    """List the platforms."""
    from bridge.lti import platforms
    from lrs import db

    with application(data_dir):
        found = platforms.everyone(db.session)
        short = ("issuer", "client_id", "title", "deployments", "match_by", "admins_see_all")
        rows = found if as_json else [{name: _written(one[name]) for name in short} for one in found]
        show(rows, as_json=as_json)


@lti.command("show")
@click.argument("issuer")
@click.option("--client-id", help="Where several have this issuer.")
@data_dir_option
@json_option
def show_platform(issuer: str, client_id: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Show all of a platform, the courses that it launched us from, and what it must know of us."""
    from bridge import context
    from bridge.lti import platforms, rosters
    from connectors import lti as wire
    from lrs import db

    with application(data_dir):
        row = platforms.named(db.session, issuer, client_id)
        tool = wire.Tool(context.settings().public_url)
        ours = {"login_url": tool.login, "launch_url": tool.launch, "our_jwks_url": tool.jwks}
        told = platforms.told(db.session, row) | ours | {"courses": rosters.courses(db.session, row)}
        show(told if as_json else {name: _written(value) for name, value in told.items()}, as_json=as_json)


@lti.command("remove")
@click.argument("issuer")
@click.option("--client-id", help="Where several have this issuer.")
@data_dir_option
@json_option
def remove(issuer: str, client_id: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Take a platform away; whoever was launched by it sees nothing more."""
    from bridge.lti import platforms
    from lrs import db

    with application(data_dir):
        gone = platforms.remove(db.session, platforms.named(db.session, issuer, client_id))
        db.session.commit()
        show(gone if as_json else {name: _written(value) for name, value in gone.items()}, as_json=as_json)


@lti.command("rotate")
@data_dir_option
@json_option
def rotate(data_dir: Path, *, as_json: bool) -> None:
    """Sign with a new key; the former one is published for another day."""
    from datetime import UTC, datetime

    from bridge import context
    from bridge.lti import keys
    from lrs import db

    with application(data_dir):
        made = keys.rotate(db.session, context.tokens(), now=datetime.now(UTC))
        db.session.commit()
        show({"kid": made.kid}, as_json=as_json)


@lti.command("roster")
@click.argument("issuer")
@click.option("--client-id", help="Where several have this issuer.")
@click.option("--source", metavar="NAME", help="Take them in, as `learner import` does: a roster of `format: lti`.")
@data_dir_option
@json_option
def roster(issuer: str, client_id: str | None, source: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Ask who is in the courses that a teacher has launched us from, and print it or take it in.

    Without --source: as a membership container, which `lrs-bridge learner import` reads.
    """
    from bridge import context
    from bridge.lti import platforms, rosters
    from lrs import db

    with application(data_dir):
        row = platforms.named(db.session, issuer, client_id)
        people = rosters.people(db.session, row, context.tokens())
        db.session.commit()
        if source is None:
            print_json({"members": people})
            return
        show(_take_in(source, people), as_json=as_json)


@lti.command("grades")
@click.argument("issuer")
@click.option("--client-id", help="Where several have this issuer.")
@click.option("--program", "name", required=True, metavar="NAME", help="Whose best scores are sent.")
@data_dir_option
@json_option
def send_grades(issuer: str, client_id: str | None, name: str, data_dir: Path, *, as_json: bool) -> None:
    """Put the best test scores of a program into the gradebooks of its courses, in a column of 100 points.

    Of the courses that a teacher has launched us from. Readiness and effects are no grades and are never sent.
    """
    from dataclasses import asdict
    from datetime import UTC, datetime

    from bridge import context, documents, programs
    from bridge.lti import grades, platforms
    from lrs import db

    with application(data_dir):
        program = programs.find(in_force(documents.current(db.session)), name)
        row = platforms.named(db.session, issuer, client_id)
        found = [asdict(one) for one in grades.send(db.session, row, program, context.tokens(), now=datetime.now(UTC))]
        db.session.commit()
        show(found if as_json else [one | {"refused": len(one["refused"])} for one in found], as_json=as_json)


def _take_in(source: str, people: list[Any]) -> dict[str, Any]:
    from bridge import documents, jobs, learners
    from bridge import rosters as who_is_who
    from bridge.commands.learners import store
    from lrs import db

    jobs.load_documents()
    current = in_force(documents.current(db.session))
    with tempfile.TemporaryDirectory() as folder:  # mode 0700: it holds names and addresses
        file = Path(folder) / "members.json"
        file.write_text(json.dumps({"members": people}))
        counts = store(who_is_who.of_file(current, source, file))
    jobs.build_records()
    return {"source": source, **counts, "settled": learners.is_settled(db.session)}


def _written(value: object) -> object:
    if isinstance(value, list):
        listed = (one.get("course") or one.get("title") if isinstance(one, dict) else one for one in value)
        return ", ".join(map(str, listed))
    return value
