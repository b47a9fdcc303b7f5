"""The `lrs-bridge` command. Exit code 0: done; 1: the work failed; 2: the call was wrong."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from bridge.commands.attachments import attachment
from bridge.commands.checksums import checksum
from bridge.commands.credentials import credential
from bridge.commands.deliveries import deliver
from bridge.commands.erasing import erase
from bridge.commands.forwarding import forward
from bridge.commands.impact import impact
from bridge.commands.learners import learner
from bridge.commands.lti import lti
from bridge.commands.mappings import mapping
from bridge.commands.programs import program
from bridge.commands.provenance import provenance
from bridge.commands.reconcile import reconcile
from bridge.commands.shared import (
    application,
    console,
    data_dir_option,
    first_line,
    in_force,
    json_option,
    log_to_stderr,
    show,
    stop,
)
from bridge.commands.simulate import simulate
from bridge.commands.sources import source
from bridge.commands.statements import statement
from bridge.errors import BridgeError, NotReady, SettingsError, UnknownName
from bridge.settings import Settings, environment
from connectors import ConnectorError

WORKER = "bridge.web.Worker"
DEMOS = ("real", "simulated")
"""Those of `bridge.up`; a test compares the two."""
DEMO_ATTEMPTS, DEMO_PAUSE_SECONDS = 5, 3
"""All its steps can be taken again; a database that restarts needs some seconds."""


def main() -> None:
    """Run the command line; errors of ours become one line and an exit code."""
    try:
        commands(prog_name="lrs-bridge")
    except (SettingsError, UnknownName) as error:
        stop(str(error), 2)
    except (BridgeError, ConnectorError) as error:
        stop(str(error), 1)
    except Exception as error:  # SQLAlchemy is too large to import before it is known that a command needs it
        from sqlalchemy.exc import OperationalError

        if not isinstance(error, OperationalError):
            raise
        stop(f"The database does not answer. ({first_line(error)})", 1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lrs-bridge")
def commands() -> None:
    """Join what people learned with how they perform."""


# --- Processes --------------------------------------------------------------------------------------------------


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; 8080, or a free one if that is taken.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Number of worker processes.")
@click.option(
    "--demo",
    type=click.Choice(DEMOS),
    is_flag=False,
    flag_value="real",
    help="Load the shipped real data and print its report; or a simulated company, and print what its program changed.",
)
@click.option("--exit", "end_after_demo", is_flag=True, help="With --demo: end when all is printed.")
@data_dir_option
def up(**options: Any) -> None:  # noqa: ANN401 - click gives what the options above say
    """Run everything here: PostgreSQL, Valkey, web, workers, scheduler."""
    from bridge.up import Options, check_demo, run

    if options["end_after_demo"] and not options["demo"]:
        raise click.UsageError("--exit goes with --demo.")
    log_to_stderr("WARNING")
    chosen = Options(**options)
    check_demo(chosen)
    if chosen.demo == "simulated":
        _prepare_company(chosen.data_dir)
    sys.exit(run(chosen))


def _prepare_company(data_dir: Path) -> None:
    try:
        from bridge.demo.simulated import prepare
    except ModuleNotFoundError as error:
        raise NotReady(f"{error.name} is not installed: pip install 'lrs-bridge[impact]'.") from error
    prepare(data_dir.absolute())


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), default=16, show_default=True, help="Threads a process.")
@click.option("--fd", type=int, hidden=True, help="A listening socket that `up` hands over.")
def web(host: str, port: int, processes: int, threads: int, fd: int | None) -> None:
    """Serve HTTP with gunicorn, against the servers in DATABASE_URL and REDIS_URL."""
    Settings.from_env()
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if fd is not None:
        bind = f"fd://{fd}"
    arguments = ["--bind", bind, "--workers", str(processes), "--threads", str(threads), "--worker-class", WORKER]
    arguments += ["--limit-request-line", "8190"]  # the most there is; 4094 is little for a path of `more`
    arguments += ["--graceful-timeout", "15", "--no-control-socket"]
    scratch = environment().get("TMPDIR")
    arguments += ["--worker-tmp-dir", scratch] if scratch else []
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *arguments, "bridge.app:from_env()"])  # noqa: S606 - no shell


@commands.command()
def worker() -> None:
    """Work for the queues, against the servers in DATABASE_URL and REDIS_URL."""
    from bridge import worker as workers
    from bridge.app import create_app

    settings = Settings.from_env()
    log_to_stderr(settings.log_level)
    workers.run(create_app(settings), settings)


@commands.command()
def scheduler() -> None:
    """Ring the bells of everything that runs by the clock."""
    from bridge import schedule

    settings = Settings.from_env()
    log_to_stderr(settings.log_level)
    schedule.run(settings)


@commands.command("demo-steps", hidden=True)
@click.argument("demo", type=click.Choice(DEMOS))
@data_dir_option
def demo_steps(demo: str, data_dir: Path) -> None:
    """Send a demo's data to a running `up` and print what comes of it."""
    if demo == "simulated":
        from bridge.demo.simulated import run
    else:
        from bridge.demo.run import run

    for attempt in range(DEMO_ATTEMPTS):
        try:
            with application(data_dir):
                run(data_dir)
            break
        except NotReady as error:
            if attempt + 1 == DEMO_ATTEMPTS:
                raise
            click.echo(f"{error} Trying again.", err=True)
            time.sleep(DEMO_PAUSE_SECONDS)


@commands.group()
def database() -> None:
    """The database's schema."""


@database.command()
@data_dir_option
def upgrade(data_dir: Path) -> None:
    """Bring the schema up to date (web, worker and `up` do so by themselves when they start)."""
    with application(data_dir):
        click.echo("The schema is up to date.")


# --- Looking and asking -----------------------------------------------------------------------------------------


@commands.command()
@data_dir_option
@json_option
def status(data_dir: Path, *, as_json: bool) -> None:
    """Show what is stored, what is still to be read, and what needs a person."""
    from bridge import status as overview
    from lrs import db

    with application(data_dir):
        show(overview.overview(db.session), as_json=as_json)


@commands.command()
@click.argument("name")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@data_dir_option
def report(name: str, form: str, data_dir: Path, *, as_json: bool) -> None:
    """Print the report NAME."""
    from bridge import documents, printing, reports
    from lrs import db

    with application(data_dir):
        current = in_force(documents.current(db.session))
        printing.write(reports.build(db.session, current, name), "json" if as_json else form, sys.stdout)


@commands.command()
@data_dir_option
def rebuild(data_dir: Path) -> None:
    """Read all statements and source records again, and build every record anew."""
    from bridge import documents, rebuilding
    from lrs import db

    with application(data_dir):
        in_force(documents.current(db.session))
        rebuilding.rebuild(db.session, console=console())
        click.echo("Rebuilt.")


commands.add_command(attachment)
commands.add_command(checksum)
commands.add_command(credential)
commands.add_command(deliver)
commands.add_command(erase)
commands.add_command(forward)
commands.add_command(impact)
commands.add_command(learner)
commands.add_command(lti)
commands.add_command(mapping)
commands.add_command(program)
commands.add_command(provenance)
commands.add_command(reconcile)
commands.add_command(simulate)
commands.add_command(source)
commands.add_command(statement)
