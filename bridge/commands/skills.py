"""`lrs-bridge program skills`: how ready each team is in each skill."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.commands.shared import application, console, data_dir_option, in_force, json_option, print_json

if TYPE_CHECKING:
    from bridge import readiness


@click.command()
@click.argument("name")
@data_dir_option
@json_option
def skills(name: str, data_dir: Path, *, as_json: bool) -> None:
    """Show how ready each team is in each skill of the program NAME, and what is missing.

    By what was seen of people; completed courses never count. Cells of fewer than 5 people are hidden.
    """
    from bridge import documents, printing, programs, readiness
    from lrs import db

    with application(data_dir):
        current = in_force(documents.current(db.session))
        program = programs.find(current, name)
        found = readiness.matrix(db.session, program, current.metrics, now=datetime.now(UTC))
        if as_json:
            print_json(found.told())
            return
        for skill in program.skills:
            required = "" if skill.required is None else f", required {skill.required:.0%}"
            click.secho(f"{skill.title}{required}", bold=True)
            printing.show([_row(cell) for cell in found.of(skill)], console())
            click.echo()
        if program.skills:
            click.echo("Band: of the mean, 80 %. Age: of people's newest evidence, in days, the median.")
        if not program.skills:
            click.echo(f"The program {name!r} names no skills.")
        if found.left_out:
            click.echo(
                f"{found.left_out} pieces of evidence are left out: their rule gives levels that are not from 0 to 1. "
                "level: fraction(result.score) in the rule makes them so."
            )


def _row(cell: "readiness.Cell") -> dict[str, object]:
    def shown(value: float | None, form: str) -> str:
        return "hidden" if cell.hidden else "-" if value is None else format(value, form)

    return {
        "team": "all teams" if cell.everyone else cell.team or "no team",
        "people": "hidden" if cell.people is None else cell.people,
        "ready": shown(cell.ready, "d"),
        "not_ready": shown(cell.not_ready, "d"),
        "unknown": shown(cell.unknown, "d"),
        "mean": shown(cell.evidenced, ".0%"),
        "band": "-" if cell.low is None or cell.high is None else f"{cell.low:.0%}-{cell.high:.0%}",
        "missing": "nothing" if cell.gap is not None and cell.gap <= 0 else shown(cell.gap, ".0%"),
        "age": shown(cell.age_days, "d"),
    }
