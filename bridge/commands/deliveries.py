"""`lrs-bridge deliver`: what is sent to destinations, how that stands, and sending it again."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, console, data_dir_option, json_option, print_json, show


@click.group(invoke_without_command=True)
@data_dir_option
@json_option
@click.pass_context
def deliver(context: click.Context, data_dir: Path, *, as_json: bool) -> None:
    """Deliver all that is due, in this process, and show how each delivery stands."""
    if context.invoked_subcommand is not None:
        return
    from bridge import deliveries
    from lrs import db

    with application(data_dir):
        _attempt(deliveries.undelivered(db.session))
        _show(None, as_json=as_json)


@deliver.command("status")
@click.argument("name", required=False)
@data_dir_option
@json_option
def delivery_status(name: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Show how deliveries stand, all or those of NAME (a report, feed or destination), and rows that need a person."""
    from bridge import status
    from bridge.errors import UnknownName
    from lrs import db

    with application(data_dir):
        table, rows = status.deliveries_table(db.session), status.open_rows(db.session)
        if name is not None:
            known = {one[key] for one in table for key in ("report", "destination")}
            if name not in known:
                raise UnknownName("report, feed or destination", name, known)
            table = [one for one in table if name in (one["report"], one["destination"])]
        if as_json:
            print_json([one | {"open_rows": rows.get(one["id"], [])} for one in table])
            return
        show([_told(one) for one in table], as_json=False)
        for one in table:
            if one["id"] in rows:
                console().print(f"\n{one['report']} to {one['destination']}: rows that need a person", markup=False)
                show(rows[one["id"]], as_json=False)


@deliver.command("retry")
@click.argument("name", required=False)
@data_dir_option
@json_option
def retry_delivery(name: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Deliver NAME again, a report, a feed or a destination, whatever became of it; without NAME all that failed.

    A report is sent even if it has not changed; of a feed what is still to be sent, and what was refused.
    """
    from bridge import deliveries
    from lrs import db

    with application(data_dir):
        asked = deliveries.ask_again(db.session, name)
        db.session.commit()
        _attempt(asked)
        _show(asked, as_json=as_json)


@deliver.command("replay")
@click.argument("name")
@data_dir_option
@json_option
def replay_delivery(name: str, data_dir: Path, *, as_json: bool) -> None:
    """Send everything of NAME anew, a report, a feed or a destination, so that it is taken over what is there."""
    from bridge import deliveries
    from lrs import db

    with application(data_dir):
        asked = deliveries.replay(db.session, name)
        db.session.commit()
        _attempt(asked)
        _show(asked, as_json=as_json)


def _attempt(asked: Sequence[int]) -> None:
    """Attempt deliveries until they are made or have failed; one that others are at is left to them."""
    from bridge import delivering
    from bridge.errors import Busy

    for delivery in asked:
        try:
            while delivering.attempt(delivery):
                pass
        except Busy as reason:
            click.echo(str(reason), err=True)


def _show(asked: Sequence[int] | None, *, as_json: bool) -> None:
    """Show these deliveries, or all; ends with 1 when one of them failed."""
    from bridge import status
    from lrs import db

    table = [one for one in status.deliveries_table(db.session) if asked is None or one["id"] in asked]
    show(table if as_json else [_told(one) for one in table], as_json=as_json)
    if any(one["state"] in {"retry", "failed"} for one in table):
        sys.exit(1)


def _told(one: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is for machines, and what says nothing."""
    return {key: value for key, value in one.items() if key not in ("id", "left_out")}
