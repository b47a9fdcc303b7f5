"""What all commands share: finding the servers, and showing what was found."""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from bridge import times
from bridge.errors import NotReady
from bridge.settings import Settings, environment, has_servers

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: environment().get("LRS_BRIDGE_DATA_DIR") or "lrs-bridge-data",
    show_default="lrs-bridge-data",
    help="Where `up` keeps, or kept, its data.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def moment(_context: click.Context, _parameter: click.Parameter, written: str | None) -> datetime | None:
    """Read the time that an option gives."""
    if written is None:
        return None
    try:
        return times.instant(written)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@contextmanager
def telling(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error while that is a terminal; gives what to call with (done, all)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, everything: bar.update(task, completed=done, total=everything)


@contextmanager
def application(data_dir: Path) -> Iterator[None]:
    """Enter the application's context, on the servers named by the environment or those of a running `up`."""
    from sqlalchemy.exc import OperationalError

    from bridge.app import create_app

    log_to_stderr("WARNING")
    try:
        with create_app(_settings(data_dir)).app_context():
            yield
    except OperationalError as error:
        raise NotReady(f"The database does not answer. Is `lrs-bridge up` running? ({first_line(error)})") from error


def _settings(data_dir: Path) -> Settings:
    from bridge.up import RUNNING

    if has_servers(environment()):
        return Settings.from_env()
    try:
        running = json.loads((data_dir / RUNNING).read_text())
    except FileNotFoundError:
        raise NotReady(
            f"No lrs-bridge runs on {data_dir}. Start `lrs-bridge up --data-dir {data_dir}`, or set DATABASE_URL and "
            "REDIS_URL to servers of your own."
        ) from None
    except ValueError as error:
        raise NotReady(f"{data_dir / RUNNING} is not what `lrs-bridge up` wrote. Start it again.") from error
    except PermissionError as error:
        raise NotReady(f"{error.filename} may only be read by the user who runs `lrs-bridge up`.") from error
    return Settings.from_mapping(environment() | running)


def tell_mapping_problems(problems: Iterable[Any]) -> None:
    for one in problems:
        click.echo(
            f"{one.file}:{one.line}:{one.column}: {one.text}. {one.remedy} (The last good set is used.)", err=True
        )


def in_force(documents: Any) -> Any:  # noqa: ANN401 - Documents, which is not imported at start
    if documents is None:
        raise NotReady("No documents are in force yet. `lrs-bridge mapping validate` says whether they can be.")
    return documents


def show(content: Any, *, as_json: bool) -> None:  # noqa: ANN401 - a row or a list of rows of simple values
    if as_json:
        print_json(content)
        return
    from bridge import printing

    printing.show(content, console())


def print_json(content: object) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=False, default=str))


def console() -> Any:  # noqa: ANN401 - rich is not imported at start
    from rich.console import Console

    return Console(highlight=False)


def log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # It writes whole addresses, and some systems put our token into one.
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    if level != "DEBUG":
        logging.getLogger("rq").setLevel(logging.WARNING)


def first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]


def stop(message: str, code: int) -> None:
    click.echo(f"lrs-bridge: {message}", err=True)
    sys.exit(code)
