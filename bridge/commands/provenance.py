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

    LEARNER is the key in the report, FIGURE a column of it such as `best_score`, `highest_tier`, `<metric>_since_mean`
    or `<behaviour>_uses_since`; `tiers` are all facts by tier.
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
            # A count is made of what its mean is made of, which is listed once, unless it is asked for.
            _print(one.told(), same_as=None if figure else one.same_as)


def _print(figure: dict[str, Any], *, same_as: str | None) -> None:
    from bridge import printing

    value = "-" if figure["value"] is None else figure["value"]
    if isinstance(value, dict):
        value = ", ".join(f"tier {tier}: {number}" for tier, number in sorted(value.items())) or "-"
    click.secho(f"{figure['title']}: {value}{' ' + figure['unit'] if figure['unit'] else ''}", bold=True)
    click.echo(f"{figure['figure']}: {figure['how']}")
    if same_as:
        click.echo(f"Made of what {same_as} is made of.")
    else:
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
        "known_by": fact.get("known_by"),
        "rule": fact["rule"],
        "from": f"statement {origin}" if fact.get("statement") else f"record {origin}, version {fact.get('version')}",
    }
