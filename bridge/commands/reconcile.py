"""`lrs-bridge reconcile`: compare with sources, LMSs and destinations, repair what can be, tell what needs a person."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, console, data_dir_option, in_force, json_option, print_json, show

SHOWN = 50
"""Differences of one comparison that people are shown."""
_STATES = {"repaired": "repaired", "open": "for you"}
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

    AREA is one of sources, lms, deliveries, identities, or all of them; NAME one source, destination or forward of
    it. Exits with 0 when all was compared, whatever differed; with 1 when something could not be compared; with 2 when
    there is no such NAME.
    """
    from bridge import documents, jobs
    from bridge.errors import UnknownName
    from bridge.reconcile import kept, running
    from lrs import db

    areas = [kept.Area(one) for one in (AREAS if area == ALL else (area,))]
    with application(data_dir):
        in_force(documents.current(db.session))
        if last:
            made = [row for row in kept.newest(db.session) if row.area in areas]
            for name in names:
                if name not in (known := {row.name for row in made}):
                    raise UnknownName("comparison so far", name, known)
            rows = [row for row in made if not names or row.name in names]
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
    columns = ("area", "name", "note", "agreed", "repaired", "needs a person", "on their way", "error")
    show([{column: result[column] for column in columns} for result in results], as_json=False)
    for result in results:
        told, differed = result["differences"], result["differed"]
        if told:
            kinds = ", ".join(f"{number:,} {kind}" for kind, number in result["kinds"].items())
            console().print(f"\n[bold]{result['area']} {result['name']}[/bold]: {differed:,} differed ({kinds})")
            shown = [{"": _STATES[one["state"]], "what": one["subject"], "found": one["text"]} for one in told[:SHOWN]]
            show(shown, as_json=False)
        if len(told) > SHOWN:
            click.echo(f"... and {len(told) - SHOWN:,} more: `--last --json` gives them.")
        if differed > len(told):
            click.echo(f"... and {differed - len(told):,} that are counted, not listed.")
    click.echo(f"\n{_summed_up(results)}")


def _summed_up(results: list[dict[str, Any]]) -> str:
    """Say what whoever reads it has to do."""
    failed = [f"{one['area']} {one['name']}" for one in results if one["error"]]
    open_ = [f"{one['area']} {one['name']} ({one['needs a person']:,})" for one in results if one["needs a person"]]
    told = [f"Could not be compared: {', '.join(failed)}."] if failed else []
    told += [f"For you: {', '.join(open_)}."] if open_ else []
    return " ".join(told) or "Nothing is left for you."
