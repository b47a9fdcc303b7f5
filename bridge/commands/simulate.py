"""`lrs-bridge simulate`: a made-up company whose truth is known."""

from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import json_option, show, stop

NOMINATIONS = ("weak", "improving", "random")
"""Those of `bridge.simulation.company.Nomination`, which costs numpy to import; a test compares the two."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", type=click.IntRange(min=0), required=True, help="Equal seeds give equal companies.")
@click.option("--teams", type=click.IntRange(4, 10_000), default=40, show_default=True)
@click.option("--size", type=click.IntRange(2, 1_000), default=10, show_default=True, help="People in a team.")
@click.option("--weeks", type=click.IntRange(40, 520), default=52, show_default=True)
@click.option(
    "--effect", type=click.FloatRange(0, 10), default=1.0, show_default=True, help="0: training does nothing."
)
@click.option("--nomination", type=click.Choice(NOMINATIONS), default="weak", show_default=True, help="Who is sent.")
@click.option("--ability", type=click.FloatRange(0, 10), default=1.0, show_default=True, help="Spread between people.")
@click.option("--shock", type=click.FloatRange(0, 10), default=0.6, show_default=True, help="Spread of weak spells.")
@click.option("--drift", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Spread of own trends.")
@json_option
def simulate(folder: Path, *, as_json: bool, **plan: Any) -> None:  # noqa: ANN401 - the options above
    """Write a simulated company into FOLDER: statements, exports, documents, and the truth apart.

    Nobody in it is real. It goes through lrs-bridge like anyone's data, and what is estimated can be held against the
    effect that was planted.
    """
    try:
        from bridge.simulation import company, writing
    except ModuleNotFoundError as error:
        stop(f"{error.name} is not installed; the simulator needs the extra: pip install 'lrs-bridge[impact]'", 1)
    drawn = company.draw(company.Plan(**plan | {"nomination": company.Nomination(plan["nomination"])}))
    try:
        writing.write(drawn, folder)
    except FileExistsError as error:
        stop(str(error), 2)
    told = {"folder": str(folder.resolve()), **writing.counts(drawn)}
    truth = writing.truth(drawn)
    effects = {f"true effect on {name}": round(effect, 4) for name, effect in truth["att_weeks_1_to_12"].items()}
    show(told | (truth if as_json else effects), as_json=as_json)
