"""`lrs-bridge reconcile`: compare with sources, LMSs and destinations, repair what can be, tell what needs a person."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, console, data_dir_option, in_force, json_option, print_json, show

ALL = "all"
AREAS = ("sources", "lms", "deliveries", "identities")


@click.command()
@click.argument("area", type=click.Choice([*AREAS, ALL]), default=ALL)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--days", type=click.IntRange(1, 3660), default=7, show_default=True, help="How far back sources go.")
@click.option("--last", is_flag=True, help="Compare nothing; show what the last comparisons found.")
@data_dir_option
@json_option
def reconcile(area: str, names: tuple[str, ...], days: int, data_dir: Path, *, last: bool, as_json: bool) -> None:
    """Compare what we hold with what others hold, and repair what differs.

    AREA is one of sources, lms, deliveries, identities, or all of them; NAME one source or destination of it. Exits
    with 1 when something could not be compared.
    """
    from bridge import documents, jobs
    from bridge.reconcile import kept, running
    from lrs import db

    areas = [kept.Area(one) for one in (AREAS if area == ALL else (area,))]
    with application(data_dir):
        in_force(documents.current(db.session))
        if last:
            rows = [row for row in kept.newest(db.session) if row.area in areas and (not names or row.name in names)]
        else:
            with _telling() as told:
                rows = running.run(areas, names=names, days=days, told=told)
            jobs.after_reconciling()
        results = [kept.told(db.session, row) for row in rows]
    if as_json:
        print_json(results)
    else:
        _show(results)
    if any(result["error"] for result in results):
        sys.exit(1)


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Say on a terminal what is looked at."""
    from rich.console import Console

    with Console(stderr=True).status("Comparing ...") as status:
        yield lambda what: status.update(f"Comparing {what} ...")


def _show(results: list[dict[str, Any]]) -> None:
    if not results:
        click.echo("There is nothing to compare.")
        return
    columns = ("area", "name", "note", "agreed", "repaired", "needs a person", "error")
    show([{column: result[column] for column in columns} for result in results], as_json=False)
    for result in results:
        told, differed = result["differences"], result["differed"]
        if told:
            console().print(f"\n[bold]{result['area']} {result['name']}[/bold]: {differed} differed")
            show([{"": one["state"], "what": one["subject"], "found": one["text"]} for one in told], as_json=False)
        if differed > len(told):
            click.echo(f"... and {differed - len(told)} more; these are counted, not listed.")
