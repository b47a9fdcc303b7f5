"""`lrs-bridge forward`: statements on their way to other LRSs."""

import sys
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, data_dir_option, json_option, show


@click.group(invoke_without_command=True)
@data_dir_option
@json_option
@click.pass_context
def forward(context: click.Context, data_dir: Path, *, as_json: bool) -> None:
    """Forward what is due, in this process, and show how each forward stands."""
    if context.invoked_subcommand is not None:
        return
    from bridge import forwarding, jobs
    from lrs import db

    with application(data_dir):
        for name in [one.row.name for one in forwarding.standings(db.session)]:
            jobs.forward_now(name)
        _show(None, as_json=as_json)


@forward.command()
@click.argument("name", required=False)
@data_dir_option
@json_option
def status(name: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Show how each forward stands; of NAME, what its target refused."""
    from bridge import forwarding
    from lrs import db

    with application(data_dir):
        if name is None:
            show(_table(None), as_json=as_json)
            return
        letters = [
            {
                "statement": str(one.statement),
                "status": one.status,
                "tries": one.tries,
                "last_at": one.last_at.isoformat(),
                "error": one.error,
            }
            for one in forwarding.dead_letters(db.session, name)
        ]
        show(letters, as_json=as_json)


@forward.command()
@click.argument("name")
@data_dir_option
@json_option
def retry(name: str, data_dir: Path, *, as_json: bool) -> None:
    """Let NAME go on: what its target refused is sent again, then what is left."""
    from bridge import jobs

    with application(data_dir):
        jobs.forward_now(name, dead=True)
        _show(name, as_json=as_json)


@forward.command()
@click.argument("name")
@data_dir_option
@json_option
def replay(name: str, data_dir: Path, *, as_json: bool) -> None:
    """Send everything of NAME again, from the first statement on; what its target has stays as it is."""
    from bridge import forwarding, jobs
    from lrs import db

    with application(data_dir):
        forwarding.begin_again(db.session, name)
        db.session.commit()
        jobs.forward_now(name)
        _show(name, as_json=as_json)


def _show(name: str | None, *, as_json: bool) -> None:
    table = _table(name)
    show(table, as_json=as_json)
    if any(row["error"] or row["dead"] for row in table):
        sys.exit(1)


def _table(name: str | None) -> list[dict[str, Any]]:
    from bridge import forwarding
    from lrs import db

    return [
        {
            "forward": one.row.name,
            "state": one.row.state if one.row.attempts == 0 or one.row.state == "failed" else "retry",
            "taken": one.row.taken,
            "behind": one.behind,
            "dead": one.dead,
            "last_success": one.row.succeeded_at and one.row.succeeded_at.isoformat(),
            "next_try": one.row.next_try_at and one.row.next_try_at.isoformat(),
            "error": one.row.last_error,
        }
        for one in forwarding.standings(db.session)
        if name in (None, one.row.name)
    ]
