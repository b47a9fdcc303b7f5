"""`lrs-bridge checksum`: shows that a rebuild gives the same bytes."""

from dataclasses import asdict
from pathlib import Path

import click

from bridge.commands.shared import application, data_dir_option, json_option, print_json, show


@click.command()
@data_dir_option
@json_option
def checksum(data_dir: Path, *, as_json: bool) -> None:
    """Print a checksum of each derived table; `rebuild` gives the same ones again.

    No number that a table gave is in them, so two installations with the same statements, source records and documents
    have the same checksums, in whatever order things arrived.
    """
    from rich.console import Console
    from rich.progress import track

    from bridge import checksums, snapshots, status
    from lrs import db

    with application(data_dir):
        snapshots.freeze(db.session)
        told = Console(stderr=True)
        tables = track(
            checksums.TABLES, "Reading", console=told, transient=True, disable=not told.is_terminal or as_json
        )
        found = [checksums.of_table(db.session, table) for table in tables]
        settled = status.settled(db.session)
    if as_json:
        print_json(
            {
                "settled": settled,
                "sha256": checksums.total(found),
                "tables": {one.table: {"rows": one.rows, "sha256": one.sha256} for one in found},
            }
        )
        return
    show([*map(asdict, found), {"table": "all", "rows": None, "sha256": checksums.total(found)}], as_json=False)
    if not settled:
        click.echo("Not everything that is stored has been read and built yet: these will change.", err=True)
