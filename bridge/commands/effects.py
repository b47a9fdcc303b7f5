"""`lrs-bridge impact PROGRAM`: what a launched program changed, by the data that are stored."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, console, data_dir_option, in_force, json_option, print_json


class ProgramOrCommand(click.Group):
    """A group whose first word may be the name of a program instead of a command's."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take a first word that is no command for the name of a program."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            return "PROGRAM", effect, args
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Tell of the program beside the commands."""
        with formatter.section("Of a program"):
            formatter.write_dl([("PROGRAM", "Estimate what the launched program PROGRAM changed.")])
        super().format_commands(ctx, formatter)


@click.command("PROGRAM")
@click.argument("name", metavar="PROGRAM")
@data_dir_option
@json_option
def effect(name: str, data_dir: Path, *, as_json: bool) -> None:
    """Estimate what the launched program PROGRAM changed, or say why that cannot be told.

    The same data and contract give the same answer, which is kept. Exit code 0 also for "not enough evidence": that is
    an answer; 1 where the program was not launched.
    """
    from bridge import documents, impacts
    from bridge.errors import NotReady
    from lrs import db

    try:
        from bridge import estimating
    except ModuleNotFoundError as error:
        raise NotReady(f"{error.name} is not installed: pip install 'lrs-bridge[impact]'.") from error
    with application(data_dir):
        current = in_force(documents.current(db.session))
        estimated = estimating.estimate(db.session, current, name, today=datetime.now(UTC).date())
        db.session.commit()
        told = impacts.told(estimated)
        if as_json:
            print_json(told)
            return
        _print(told, current.programs[name].title)


def _print(told: dict[str, Any], title: str) -> None:
    from bridge import impacts, printing

    primary = told["metrics"][told["primary"]]
    click.secho(f"{title}: {primary['verdict']['grade']}", bold=True)
    for sentence in primary["verdict"]["sentences"]:
        click.echo(sentence)
    if told.get("order"):
        click.echo(told["order"]["text"])
    for words in (impacts.lasting(primary), impacts.mismatch(told)):
        if words:
            click.echo(words)
    click.echo()
    printing.show([_row(name, found) for name, found in impacts.in_order(told)], console())
    click.echo(
        f"\n{impacts.people(told)} Contract {told['contract']}, engine {told['engine']}, data {told['data_hash'][:12]}."
    )


def _row(name: str, found: dict[str, Any]) -> dict[str, Any]:
    from bridge import impacts

    written, unit = impacts.writer(found["metric"])
    reasons = dict.fromkeys(reason["code"] for reason in found["verdict"]["reasons"])
    return {
        "metric": name,
        "verdict": found["verdict"]["grade"],
        "effect": written(found["att"]["estimate"]),
        "from": written(found["att"]["low"]),
        "to": written(found["att"]["high"]),
        "unit": unit,
        "reasons": " ".join(reasons),
    }
