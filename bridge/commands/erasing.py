"""`lrs-bridge erase`: a person's right to erasure (GDPR, article 17)."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, data_dir_option, json_option, print_json, show

WAIT_SECONDS = 0.5


@click.command()
@click.argument("word", metavar="[LEARNER]", required=False)
@click.option("--dry-run", is_flag=True, help="Say how many rows of each table it would touch, and touch none.")
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal nobody can be asked, so it must be given.")
@click.option("--forget-only", is_flag=True, help="Take in again what comes of the person later.")
@click.option("--list", "listing", is_flag=True, help="List erasures, and where something is still to be done.")
@click.option("--lift", metavar="ID", type=int, help="Take in again what comes of the person of this erasure.")
@data_dir_option
@json_option
def erase(
    word: str | None,
    data_dir: Path,
    lift: int | None,
    *,
    dry_run: bool,
    yes: bool,
    forget_only: bool,
    listing: bool,
    as_json: bool,
) -> None:
    """Erase the person LEARNER: all that is theirs, and what names them in what is others'.

    LEARNER is anything that one person alone is known by: a key or alias (`lrs-bridge learner show`), a mail address,
    an account's name, a public id, a name. What is sent or pulled of the person later is not taken in.

    It cannot be undone. What was begun is ended by a worker, or by the same command, whatever happens in between.
    """
    if sum((word is not None, listing, lift is not None)) != 1:
        raise click.UsageError("Name a learner, or give --list, or --lift with the id of an erasure.")
    with application(data_dir):
        if listing:
            _list(as_json=as_json)
        elif lift is not None:
            _lift(lift, as_json=as_json)
        else:
            _erase(str(word), dry_run=dry_run, yes=yes, keep_out=not forget_only, as_json=as_json)


def _list(*, as_json: bool) -> None:
    from bridge import erasures
    from lrs import db

    rows = [erasures.told(db.session, one) for one in erasures.all_of(db.session)]
    if as_json:
        print_json(rows)
        return
    show([_line(one) for one in rows], as_json=False)


def _line(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "erasure": one["id"],
        "at": one["requested_at"],
        "by": one["requested_by"],
        "state": one["state"],
        "rows": sum(one["rows"].values()),
        "refused since": one["refused_since"] if one["kept_out"] else "not refused",
        "open": "\n".join(one["open"]),
    }


def _lift(number: int, *, as_json: bool) -> None:
    from bridge import erasures
    from bridge.commands.learners import user
    from lrs import db

    told = erasures.told(db.session, erasures.lift(db.session, number, by=user()))
    db.session.commit()
    _tell(told, as_json=as_json)


def _erase(word: str, *, dry_run: bool, yes: bool, keep_out: bool, as_json: bool) -> None:
    from bridge import erasures
    from bridge.commands.learners import user
    from lrs import db

    session = db.session
    try:
        traces = erasures.find(session, word)
    except erasures.Ambiguous as error:
        raise click.UsageError(str(error)) from None
    except erasures.Erased as error:
        _finish(error.number)
        _tell(erasures.told(session, erasures.get(session, error.number)), as_json=as_json)
        return
    shown = next(iter((*traces.keys, *traces.aliases)), word)
    if dry_run:
        _try(traces, shown, keep_out=keep_out, as_json=as_json)
        return
    if not yes:
        _ask(shown, traces)
    number = erasures.begin(session, traces, by=user(), keep_out=keep_out).id
    session.commit()
    _finish(number)
    _tell(erasures.told(session, erasures.get(session, number)), as_json=as_json)


def _ask(shown: str, traces: Any) -> None:  # noqa: ANN401 - Traces, which is not imported at start
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked here: give --yes, or --dry-run to see what would go.")
    click.echo(f"{shown} is known by: {', '.join((*traces.names, *traces.aliases)) or shown}", err=True)
    if click.prompt("All of it goes and cannot be brought back. Type the learner's key to go on", err=True) != shown:
        raise click.UsageError(f"That is not {shown!r}; nothing was erased.")


def _try(traces: Any, shown: str, *, keep_out: bool, as_json: bool) -> None:  # noqa: ANN401 - as above
    """Do all of it in one transaction that is rolled back: what it tells is what would happen."""
    from bridge import erasures
    from lrs import db

    erasure = erasures.begin(db.session, traces, by="", keep_out=keep_out)
    for _ in erasures.pieces(db.session, erasure.id, dry=True):
        pass
    rows, left_over = dict(sorted(erasure.counts.items())), list(erasure.left_over)
    db.session.rollback()
    told = {"learner": shown, "names": traces.names, "aliases": traces.aliases, "rows": rows, "left_over": left_over}
    if as_json:
        print_json(told)
        return
    show([{"table": table, "rows": number} for table, number in rows.items()], as_json=False)
    for place in left_over:
        click.echo(f"By hand: {place}", err=True)
    click.echo(
        f"Nothing was erased. Of {shown}, these rows would be deleted, or cleaned where they are others'.", err=True
    )


def _finish(number: int) -> None:
    """Bring it to its end, or wait until the worker has that is at it."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from bridge import erasures, jobs
    from bridge.errors import Busy
    from lrs import db

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("Erasing"), TextColumn("{task.completed:,} rows"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("", total=None)
        while erasures.get(db.session, number).ended_at is None:
            try:
                jobs.erase_now(number, lambda rows: progress.update(task, completed=rows))
            except Busy:
                db.session.rollback()
                time.sleep(WAIT_SECONDS)
    db.session.rollback()
    jobs.build_records()  # so that reports show it when the command ends, unless another process is at it


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    show(_line(told), as_json=False)
