"""`lrs-bridge attachment`: looking after the place where large attachments lie."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from bridge.commands.shared import application, data_dir_option, json_option, print_json
from bridge.errors import NotReady


@click.group()
def attachment() -> None:
    """Attachments too large for the database."""


@attachment.command()
@click.option(
    "--days", type=click.IntRange(min=1), default=1, show_default=True, help="How long a file must have lain there."
)
@data_dir_option
@json_option
def sweep(days: int, data_dir: Path, *, as_json: bool) -> None:
    """Remove files that no statement has: what a crash between writing a file and storing its statement leaves."""
    import lrs
    from bridge import context

    with application(data_dir):
        place = context.settings().attachments
        if place is None:
            raise NotReady("All attachments lie in the database: LRS_BRIDGE_ATTACHMENTS names no other place.")
        before = datetime.now(UTC) - timedelta(days=days)
        removed = lrs.attachments.sweep(lrs.db.session, lrs.files.at(place), before=before)
    if as_json:
        print_json({"removed": removed})
    else:
        click.echo(f"Removed {removed} files that no statement has.")
