"""`lrs-bridge statement refused`: what clients sent and was refused, seen, replayed and dropped."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, data_dir_option, json_option, print_json, show
from bridge.errors import UnknownName

_numbers = click.argument("numbers", metavar="[NUMBER]...", type=int, nargs=-1)
_all_option = click.option("--all", "everything", is_flag=True, help="All that wait.")
_credential_option = click.option("--credential", "key", metavar="KEY", help="Only what came with this credential.")


@click.group()
def refused() -> None:
    """What clients sent and was refused: whole requests, with the reasons."""


@refused.command("list")
@click.option("--replayed", is_flag=True, help="Also what was stored by a replay.")
@_credential_option
@data_dir_option
@json_option
def list_refused(key: str | None, data_dir: Path, *, replayed: bool, as_json: bool) -> None:
    """List the refused requests that wait to be replayed, oldest first."""
    with application(data_dir):
        show([_row(one) for one in _found(key, waiting=not replayed)], as_json=as_json)


@refused.command("show")
@click.argument("number", type=int)
@click.option("--body", "body_only", is_flag=True, help="Write the body alone, byte for byte.")
@data_dir_option
@json_option
def show_refused(number: int, data_dir: Path, *, body_only: bool, as_json: bool) -> None:
    """Show the refused request NUMBER: the reasons, and what was sent."""
    from lrs import db
    from lrs import refused as quarantine

    with application(data_dir):
        with _known():
            row, body = quarantine.get(db.session, number)
        if body_only:
            sys.stdout.buffer.write(body)
            return
        if as_json:
            print_json(row._asdict() | {"body": body.decode(errors="replace")})
            return
        show(_row(row), as_json=False)
        for reason in row.reasons:
            click.echo(f"\n{_place(reason)}: {reason['error']} ({reason['rule']}; {reason['section']})")
            click.echo(f"  {reason['remedy']}")


@refused.command("replay")
@_numbers
@_all_option
@_credential_option
@data_dir_option
@json_option
def replay_refused(
    numbers: tuple[int, ...], key: str | None, data_dir: Path, *, everything: bool, as_json: bool
) -> None:
    """Store refused requests as their credentials now stand; what is still refused goes on waiting.

    Make a credential lenient first (`lrs-bridge credential change KEY --lenient`) to have known faults repaired.
    """
    with application(data_dir):
        outcomes = [_replay(number) for number in _chosen(numbers, key, everything=everything)]
        show(outcomes, as_json=as_json)
    if any(one["error"] for one in outcomes):
        sys.exit(1)


@refused.command("drop")
@_numbers
@_all_option
@_credential_option
@data_dir_option
def drop_refused(numbers: tuple[int, ...], key: str | None, data_dir: Path, *, everything: bool) -> None:
    """Forget refused requests."""
    from lrs import db
    from lrs import refused as quarantine

    with application(data_dir):
        chosen = _chosen(numbers, key, everything=everything)
        for number in chosen:
            with _known():
                quarantine.drop(db.session, number)
        db.session.commit()
        click.echo(f"Dropped {len(chosen)}.")


def _replay(number: int) -> dict[str, Any]:
    from flask import current_app

    import lrs
    from lrs import LrsError, db, settings
    from lrs import refused as quarantine

    known = settings.current()
    try:
        ids = quarantine.replay(db.session, number, base_url=known.base_url, files=known.files)
    except LrsError as error:
        db.session.rollback()
        quarantine.note(db.session, number, error)
        db.session.commit()
        return {"id": number, "stored": 0, "error": error.error, "index": error.index, "pointer": error.pointer}
    db.session.commit()
    # The app itself: receivers are registered for it, not for the proxy.
    lrs.statements_stored.send(current_app._get_current_object(), count=len(ids))  # type: ignore[attr-defined]  # noqa: SLF001
    return {"id": number, "stored": len(ids), "error": None, "index": None, "pointer": None}


def _chosen(numbers: Iterable[int], key: str | None, *, everything: bool) -> list[int]:
    """Give the requests that were meant; they are named, or all are asked for, or all of a credential."""
    named = list(numbers)
    if bool(named) == (everything or key is not None):
        raise click.UsageError("Name requests by their numbers, or say --all or --credential KEY.")
    return named or [one.id for one in _found(key, waiting=True)]


def _found(key: str | None, *, waiting: bool) -> Iterator[Any]:
    from bridge import access
    from lrs import db
    from lrs import refused as quarantine

    known = [str(one["key"]) for one in access.everyone(db.session)]  # also revoked ones, whose requests still wait
    if key is not None and key not in known:
        raise UnknownName("credential", key, known)
    after = 0
    while page := quarantine.find(db.session, after=after, waiting=waiting):
        yield from (one for one in page if key in {None, one.key})
        after = page[-1].id


@contextmanager
def _known() -> Iterator[None]:
    """Say that there is no such request as the wrong call that it is."""
    from lrs import NotFound

    try:
        yield
    except NotFound as error:
        raise click.UsageError(error.error) from None


def _row(one: Any) -> dict[str, Any]:  # noqa: ANN401 - lrs.refused.Summary, which is not imported at start
    """Give what fits on a line; the first reason stands for all."""
    first = one.reasons[0]
    row: dict[str, Any] = one._asdict() | {"faults": len(one.reasons), "first": f"{_place(first)}: {first['error']}"}
    del row["reasons"]
    return row


def _place(reason: dict[str, Any]) -> str:
    index = "" if reason["index"] is None else f"statement {reason['index']} "
    return f"{index}{reason['pointer'] or ''}".strip() or "request"
