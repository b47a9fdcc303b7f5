"""`lrs-bridge program`: success contracts, what of them is open, and launching them."""

import csv
import getpass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from bridge.commands.shared import application, console, data_dir_option, in_force, json_option, print_json, show
from bridge.commands.skills import skills
from bridge.errors import NotReady


@click.group()
def program() -> None:
    """Programs as contracts: what should change, by how much, and what was agreed."""


program.add_command(skills)


@program.command("list")
@data_dir_option
@json_option
def list_programs(data_dir: Path, *, as_json: bool) -> None:
    """List the programs with how far they are."""
    from bridge import documents, programs
    from lrs import db

    with application(data_dir):
        current = in_force(documents.current(db.session))
        found = [programs.told(db.session, current, name) for name in current.programs]
        if as_json:
            print_json(found)
            return
        show(
            [
                {
                    "program": one["name"],
                    "title": one["title"],
                    "state": one["state"],
                    "open": len(one["gaps"]),
                    "launched_at": one["launched_at"],
                }
                for one in found
            ],
            as_json=False,
        )


@program.command("show")
@click.argument("name")
@data_dir_option
@json_option
def show_program(name: str, data_dir: Path, *, as_json: bool) -> None:
    """Show what of the program NAME is open, what was agreed, and what became of it."""
    from bridge import documents, programs
    from lrs import db

    with application(data_dir):
        found = programs.told(db.session, in_force(documents.current(db.session)), name)
        history = programs.history(db.session, name)
        if as_json:
            print_json(found | {"history": history})
            return
        click.secho(f"{found['title']} ({name}): {found['state']}", bold=True)
        for gap in found["gaps"]:
            click.echo(f"  open: {gap['text']} {gap['remedy']}")
        for warning in found["warnings"]:
            click.echo(f"  warning: {warning}")
        if found["changed_since_launch"]:
            click.echo(f"  changed since the launch, without effect on it: {', '.join(found['changed_since_launch'])}")
        shown = ("what", "at", "by", "because")
        from bridge import printing

        printing.show([{key: event[key] for key in shown} for event in history], console())


@program.command()
@click.argument("name")
@click.option("--by", default=getpass.getuser, show_default="the user of this machine", help="Who launches it.")
@click.option("--because", help="Why it is launched anew with another contract.")
@data_dir_option
@json_option
def launch(name: str, by: str, because: str | None, data_dir: Path, *, as_json: bool) -> None:
    """Freeze the contract of the program NAME: its effect is estimated by what it says now, and by nothing else.

    A program with open points is not launched; they are listed, and the attempt is kept with them.
    """
    from bridge import documents, jobs, programs
    from lrs import db

    with application(data_dir):
        jobs.load_documents()  # the files as they are now, not as the schedule last saw them
        current = in_force(documents.current(db.session))
        try:
            launched = programs.launch(db.session, current, name, by=by, because=because)
        finally:
            db.session.commit()
        told = {
            "program": name,
            "contract": launched.number,
            "contract_hash": launched.event.contract_hash,
            "launched_by": by,
            "warnings": launched.event.details.get("warnings", []),
        }
        show(told, as_json=as_json)


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers from 1 on, with commas between."""

    name = "numbers"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as click has it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, ...]:
        """Read them; a default comes as numbers already."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdecimal() and 0 < int(part) <= MOST for part in parts):
            self.fail(f"{value!r} is no list of whole numbers from 1 to {MOST}, like 1,2,4.", param, ctx)
        return tuple(int(part) for part in parts)


class Size(click.ParamType[tuple[float, bool]]):
    """The size of an effect: 0.03 in the metric's unit, or 5% of what is usual."""

    name = "size"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as click has it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[float, bool]:
        """Read it, with whether it is a share."""
        if isinstance(value, tuple):
            return value
        written = str(value).strip()
        try:
            size = float(written.removesuffix("%"))
        except ValueError:
            size = 0
        if not 0 < size < float("inf"):
            self.fail(f"{value!r} is no size of an effect, like 0.03 or 5%.", param, ctx)
        return (size / 100, True) if written.endswith("%") else (size, False)


MOST = 1_000
"""Teams or waves in a plan."""


@program.command()
@click.argument("name")
@click.option("--waves", type=Numbers(), default=(1, 2, 4), show_default="1,2,4", help="Numbers of waves to compare.")
@click.option("--teams", type=Numbers(), default=(), help="Numbers of teams to compare; the company's own otherwise.")
@click.option("--every", type=click.IntRange(1, 52), default=4, show_default=True, help="Weeks between two waves.")
@click.option("--effect", type=Size(), help="Effect that is hoped for, like 0.03 or 5%; the target otherwise.")
@data_dir_option
@json_option
def plan(
    name: str,
    waves: tuple[int, ...],
    teams: tuple[int, ...],
    every: int,
    effect: tuple[float, bool] | None,
    data_dir: Path,
    *,
    as_json: bool,
) -> None:
    """Compare rollouts of the program NAME: what one wave or several would show, measured on its own history."""
    from bridge import documents, printing
    from lrs import db

    planning = _planning()
    with application(data_dir):
        current = in_force(documents.current(db.session))
        advice = planning.plan(db.session, current, name, waves=waves, teams=teams, every=every, effect=effect)
    if as_json:
        print_json(advice.told())
        return
    click.echo(f"Hoped for on {advice.metric}: {advice.effect:.3g} {advice.unit}. Seen with 80 % power, by plan:\n")
    printing.show([_plan_row(row, advice.unit) for row in advice.rows], console())
    click.echo(f"\n{advice.text}")


@program.command()
@click.argument("name")
@click.option("--waves", type=click.IntRange(2, MOST), required=True, help="Number of waves.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), required=True, help="Equal seeds draw the same of the same.")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="Day on which the first wave begins.")
@click.option("--every", type=click.IntRange(1, 52), default=4, show_default=True, help="Weeks between two waves.")
@click.option("--csv", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write the order into this file.")
@click.option("--by", default=getpass.getuser, show_default="the user of this machine", help="Who draws.")
@click.option("--because", help="Why it is drawn again.")
@data_dir_option
@json_option
def draw(
    name: str,
    waves: int,
    seed: int,
    start: datetime | None,
    every: int,
    file: Path | None,
    by: str,
    because: str | None,
    data_dir: Path,
    *,
    as_json: bool,
) -> None:
    """Leave to chance who goes first in the program NAME, evenly within team and role, and keep the order.

    People who are then sent in that order are the best comparison that there is; the estimate says whether they were.
    """
    from bridge import documents, jobs, printing
    from lrs import db

    planning = _planning()
    first = start.date() if start else None
    with application(data_dir):
        jobs.load_documents()  # the files as they are now, not as the schedule last saw them
        event = planning.draw(
            db.session,
            in_force(documents.current(db.session)),
            name,
            number=waves,
            seed=seed,
            by=by,
            today=datetime.now(UTC).date(),
            start=first,
            every=every,
            because=because,
        )
        details = event.details
        db.session.commit()
    rows = [_drawn_row(learner, one, first, every) for learner, one in details["people"].items()]
    rows.sort(key=lambda row: (row["wave"], row["learner"]))
    if file is not None:
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    if as_json:
        print_json({key: details[key] for key in ("seed", "waves", "digest")} | {"people": rows})
        return
    printing.show(rows, console())
    click.echo(
        f"\n{len(rows)} people in {waves} waves, seed {seed}, kept with the program as {details['digest'][:12]}."
    )


def _planning() -> Any:  # noqa: ANN401 - a module that costs numpy to import
    try:
        from bridge import planning
    except ModuleNotFoundError as error:
        raise NotReady(f"{error.name} is not installed: pip install 'lrs-bridge[impact]'.") from error
    return planning


def _plan_row(row: dict[str, Any], unit: str) -> dict[str, Any]:
    seen, power = row["detectable"], row["power"]
    return {
        **{key: row[key] for key in ("teams", "people", "waves", "weeks_between")},
        "seen_from": "cannot be told" if seen is None else f"{seen:.2g} {unit}",
        "power": "-" if power is None else f"{power:.0%}",
    }


def _drawn_row(learner: str, drawn: dict[str, Any], start: date | None, every: int) -> dict[str, Any]:
    from bridge import waves

    begins = waves.due(start, every, drawn["wave"])
    return {
        "learner": learner,
        "team": drawn["team"],
        "role": drawn["role"],
        "wave": drawn["wave"],
        "begins": begins.isoformat() if begins else None,
    }
