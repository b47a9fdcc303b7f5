"""`lrs-bridge impact plan|draw`: how to roll out so that most is learned, and who goes first."""

import math
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import json_option, print_json, show
from bridge.errors import BridgeError

MOST_TEAMS = 1_000
"""Each costs as much as a team of the history; with so many, anything shows."""
MOST_BETWEEN = 520
MOST_SEED = 2**53
"""Whole numbers that JSON carries exactly."""


class Share(click.FloatRange):
    """A number from 0 to a bound; click's own range takes NaN for one."""

    name = "share"

    def __init__(self, most: float = 1) -> None:
        super().__init__(0, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Refuse what is no number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number.", param, ctx)
        return number


_file = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.command()
@_file
@click.option("--person", metavar="C", required=True)
@click.option(
    "--period", metavar="C", required=True, help="Column of periods before the programme, the more the better."
)
@click.option("--outcome", metavar="C", required=True)
@click.option("--team", metavar="C", required=True)
@click.option("--role", metavar="C")
@click.option(
    "--waves", metavar="N", type=click.IntRange(1, 12), multiple=True, default=(1, 2, 3, 4), show_default=True
)
@click.option(
    "--teams",
    metavar="N",
    type=click.IntRange(2, MOST_TEAMS),
    multiple=True,
    help="As many as there are, and these.",
)
@click.option(
    "--between",
    metavar="N",
    type=click.IntRange(1, MOST_BETWEEN),
    default=4,
    show_default=True,
    help="Periods between waves.",
)
@click.option("--untouched", type=Share(0.9), default=0.0, show_default=True, help="Share never trained.")
@click.option("--seed", type=click.IntRange(0, MOST_SEED), default=0, show_default=True)
@json_option
def plan(file: Path, *, waves: tuple[int, ...], teams: tuple[int, ...], as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Show what rollouts in one wave or several would let you see, from the history in FILE (CSV or Parquet).

    One wave leaves nobody to compare with, unless some stay untouched. Each plan is drawn five times on the history.
    """
    from bridge import panel_files, periods
    from bridge.impact import Contract, PanelError, rollouts
    from bridge.impact import panel as make

    table = panel_files.read(file)
    try:
        history = make(
            person=table.column(options["person"]),
            period=periods.periods(table, options["period"])[0],
            outcome=panel_files.numbers(table, options["outcome"]),
            first_treated=[None] * len(table.column(options["person"])),
            team=table.column(options["team"]),
            role=table.column(options["role"]) if options["role"] else None,
            names={name: options[name] for name in ("person", "period", "outcome", "team", "role") if options[name]},
        )
    except PanelError as error:
        raise table.error(error.column, error.row, f": {error.text}") from error
    contract = Contract(randomised=True)
    needed = contract.exclude_before + contract.min_pre + options["between"] * (max(waves) - 1) + contract.interim
    span = int(history.period.max()) - int(history.period.min()) + 1 if len(history.period) else 0
    if span < needed:
        raise BridgeError(f"{file}: {span} periods of history; {max(waves)} waves need at least {needed}")
    plans = rollouts.plans(
        history,
        contract,
        waves=waves,
        teams=sorted({history.teams, *teams}),
        periods_between=options["between"],
        untouched=options["untouched"],
        seed=options["seed"],
    )
    rows = [{name: getattr(one, name) for name in ("teams", "people", "waves", "se", "detectable")} for one in plans]
    if as_json:
        print_json(rows)
        return
    show([row | {name: _shown(row[name]) for name in ("se", "detectable")} for row in rows], as_json=False)


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.4g}"


@click.command()
@_file
@click.option("--person", metavar="C", required=True)
@click.option("--within", metavar="A,B", default="", help="Columns, as team and role: waves are even within them.")
@click.option("--waves", type=click.IntRange(2, 100), required=True)
@click.option(
    "--seed", type=click.IntRange(0, MOST_SEED), required=True, help="Write it into the contract before you draw."
)
@json_option
def draw(file: Path, *, person: str, within: str, waves: int, seed: int, as_json: bool) -> None:
    """Draw by chance in which wave each person of FILE (CSV or Parquet) goes first.

    The same people, columns, waves and seed draw the same again; the digest, kept with the contract, shows that it was
    drawn once.
    """
    from bridge import panel_files
    from bridge.impact import rollouts

    table = panel_files.read(file)
    names = [name.strip() for name in within.split(",") if name.strip()]
    strata: dict[str, str] = {}
    columns = [table.column(name) for name in names]
    for row, one in enumerate(table.column(person), 1):
        if one is None:
            raise BridgeError(f"{file}: column {person!r}, {table.place(row)} is empty")
        stratum = ", ".join(str(column[row - 1] or "") for column in columns)
        if strata.setdefault(str(one), stratum) != stratum:
            raise BridgeError(f"{file}: column {person!r}, {table.place(row)}: {one!r} is in two groups of {within}")
    drawn = rollouts.draw(strata, waves=waves, seed=seed)
    people = [{"person": one, "within": strata[one], "wave": drawn.wave[one]} for one in sorted(strata)]
    if as_json:
        print_json({"seed": seed, "waves": waves, "digest": drawn.digest, "people": people})
        return
    show(people, as_json=False)
    click.echo(f"Seed {seed}, digest {drawn.digest}")
