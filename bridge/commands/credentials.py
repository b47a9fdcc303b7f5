"""`lrs-bridge credential`: keys and secrets of those who send statements or read reports."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, data_dir_option, json_option, show

_OPTIONS = (
    click.option(
        "--lenient/--strict",
        default=None,
        help="Repair a documented list of faults in what it sends, or refuse them as xAPI demands (the default).",
    ),
    click.option(
        "--partial/--whole",
        default=None,
        help="Store the good statements of a batch with bad ones, or none of it, as xAPI demands (the default).",
    ),
    click.option(
        "--deduplicate",
        "deduplicate_seconds",
        type=click.IntRange(0, 2**31 - 1),
        metavar="SECONDS",
        help="Take a statement without id for the same as an equal one not older than this. 0: do not (the default).",
    ),
    click.option(
        "--rate",
        "requests_per_minute",
        type=click.IntRange(0, 2**31 - 1),
        metavar="N",
        help="Requests a minute that it may make; more are answered with 429. 0: no limit (the default).",
    ),
)


_LIMITS = (
    click.option("--program", "programs", multiple=True, metavar="NAME", help="See this program alone, or these."),
    click.option("--team", "teams", multiple=True, metavar="NAME", help="See the people of this team alone, or these."),
    click.option(
        "--course",
        "courses",
        multiple=True,
        metavar="IRI",
        help="See the people and programs of this course alone, or these, as `courses` of a program has it.",
    ),
)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed((*_LIMITS, *_OPTIONS)):
        command = option(command)
    return command


@click.group()
def credential() -> None:
    """Keys and secrets of those who send statements or read reports."""


@credential.command("create")
@click.option("--name", required=True, help="Whose it is, as it will be shown.")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; give it once for each scope.")
@_options
@data_dir_option
@json_option
def create_credential(name: str, scopes: tuple[str, ...], data_dir: Path, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - click gives what _OPTIONS say
    """Make a credential; its secret is shown this once.

    With --program, --team or --course it is narrowed: with the scope reports/read alone, for a plugin or a manager.
    """
    from bridge import access
    from lrs import db

    with application(data_dir):
        issued = access.create(db.session, name, scopes, _limits(options), **_given(options))
        db.session.commit()
        show(issued, as_json=as_json)


@credential.command("list")
@data_dir_option
@json_option
def list_credentials(data_dir: Path, *, as_json: bool) -> None:
    """List the credentials, without their secrets."""
    from bridge import access
    from lrs import db

    with application(data_dir):
        show(access.everyone(db.session), as_json=as_json)


@credential.command("change")
@click.argument("key")
@click.option("--scope", "scopes", multiple=True, help="What it may do from now on; give it once for each scope.")
@click.option("--see-all", is_flag=True, help="See all programs, teams and courses again, but those named here.")
@_options
@data_dir_option
@json_option
def change_credential(
    key: str,
    scopes: tuple[str, ...],
    data_dir: Path,
    *,
    see_all: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - as above
) -> None:
    """Change what the credential KEY may do and how it is treated; what is not named stays as it is."""
    from bridge import access

    limits = _limits(options, every_kind=see_all)
    _alter(data_dir, lambda session: access.change(session, key, scopes, limits, **_given(options)), as_json=as_json)


@credential.command("rotate")
@click.argument("key")
@click.option(
    "--grace",
    "grace_seconds",
    type=click.IntRange(0, 10 * 365 * 86_400),
    default=0,
    metavar="SECONDS",
    help="So long the old secret is taken too, that the client can be told in peace.  [default: 0]",
)
@data_dir_option
@json_option
def rotate_credential(key: str, grace_seconds: int, data_dir: Path, *, as_json: bool) -> None:
    """Give the credential KEY a new secret, which is shown this once."""
    from bridge import access

    _alter(data_dir, lambda session: access.rotate(session, key, grace_seconds), as_json=as_json)


@credential.command("revoke")
@click.argument("key")
@data_dir_option
@json_option
def revoke_credential(key: str, data_dir: Path, *, as_json: bool) -> None:
    """End the credential KEY; it is refused from then on."""
    from bridge import access

    _alter(data_dir, lambda session: access.revoke(session, key), as_json=as_json)


def _alter(data_dir: Path, alter: Callable[[Any], Any], *, as_json: bool) -> None:
    """Alter a credential; when the command ends, no process goes by what was before."""
    from lrs import credentials, db

    with application(data_dir):
        altered = alter(db.session)
        db.session.commit()
        show(altered, as_json=as_json)
        time.sleep(credentials.REMEMBERED_SECONDS)


def _limits(options: dict[str, Any], *, every_kind: bool = False) -> dict[str, tuple[str, ...]]:
    """Take the limits out of the options; by kind, those that are given."""
    named = {"program": options.pop("programs"), "team": options.pop("teams"), "course": options.pop("courses")}
    return {kind: values for kind, values in named.items() if values or every_kind}


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Give the options that were given; 0 is how a number is taken away."""
    return {
        name: None if value == 0 and not isinstance(value, bool) else value
        for name, value in options.items()
        if value is not None
    }
