"""`lrs-bridge provenance`: what a figure of a report is made of."""

from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, console, data_dir_option, in_force, json_option, print_json


@click.command()
@click.argument("program")
@click.argument("learner")
@click.argument("figure", required=False)
@data_dir_option
@json_option
def provenance(program: str, learner: str, figure: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Show what each figure of LEARNER in PROGRAM is made of: facts, rules, statements, versions of source records.

    LEARNER is the key in the report, FIGURE a column of it such as `best_score` or `<metric>_since_mean`.
    """
    from bridge import documents
    from bridge import provenance as found
    from lrs import db

    with application(data_dir):
        current = in_force(documents.current(db.session))
        made = found.of_record(db.session, current, program, learner, figure)
        if as_json:
            print_json(made.told())
            return
        for one in made.figures:
            # A count is made of what its mean is made of: said once, unless it is asked for.
            if figure or not one.name.endswith("_count"):
                _print(one.told())


def _print(figure: dict[str, Any]) -> None:
    from bridge import printing

    value = "-" if figure["value"] is None else figure["value"]
    click.secho(f"{figure['title']}: {value}{' ' + figure['unit'] if figure['unit'] else ''}", bold=True)
    click.echo(f"{figure['figure']}: {figure['how']}")
    printing.show([_row(fact) for fact in figure["facts"]], console())
    click.echo()


def _row(fact: dict[str, Any]) -> dict[str, Any]:
    origin = fact.get("statement") or f"{fact.get('source')}/{fact.get('key')}"
    return {
        "occurred_at": fact["occurred_at"],
        "what": fact["what"],
        "value": fact.get("value"),
        "weight": fact["weight"],
        "activity": fact.get("activity"),
        "rule": fact["rule"],
        "from": f"statement {origin}" if fact.get("statement") else f"record {origin}, version {fact.get('version')}",
    }
