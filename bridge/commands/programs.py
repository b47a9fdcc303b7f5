"""`lrs-bridge program`: success contracts, what of them is open, and launching them."""

import getpass
from pathlib import Path

import click

from bridge.commands.shared import application, console, data_dir_option, in_force, json_option, print_json, show
from bridge.commands.skills import skills


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
