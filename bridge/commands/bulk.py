"""What importing and pulling share: batches stored with their position, progress on a terminal, and the summary."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import click
import psycopg
import sqlalchemy.exc
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

import lrs
from bridge import context, jobs
from bridge.bells import ring
from bridge.commands.files import Rejects
from bridge.commands.shared import first_line, show
from bridge.errors import BridgeError, UnknownName
from connectors import ConnectorError
from lrs import bulk, db


class Unfinished(BridgeError):
    """Ended before its end; what is stored stays, and the same command goes on from there."""


@dataclass
class Done:
    """What has come of it so far, an interrupted beginning included."""

    stored: int = 0
    already_stored: int = 0
    repaired: int = 0
    rejected: int = 0
    not_converted: int = 0
    """Events of another format that are no statements."""
    rejects_bytes: int = 0
    """Of the file of rejects, that belong to these."""

    @property
    def seen(self) -> int:
        """How many statements have been read, and events that are none."""
        return self.stored + self.already_stored + self.rejected + self.not_converted


@dataclass(frozen=True)
class Storing:
    """Stores batches, each in one transaction with how far that is."""

    work: str
    author: Any
    done: Done
    rejects: Rejects
    lenient: bool

    def store(
        self, batch: Sequence[bulk.Sent], position: Mapping[str, Any], not_converted: Sequence[tuple[bytes, str]] = ()
    ) -> None:
        """Store a batch; `position` is kept with it, and what was refused is on the disk before that.

        `not_converted` are the texts of events that are no statements, and why; they are written down too.
        """
        taken = bulk.take(
            db.session, batch, author=self.author, lenient=self.lenient, files=lrs.settings.current().files
        )
        before = self.done.seen
        for place, error in taken.refused:
            self.rejects.add(before + place, batch[place].text, error.to_dict() | {"index": before + place})
        for place, (text, reason) in enumerate(not_converted, before + len(batch)):
            self.rejects.add(place, text, {"error": reason, "index": place})
        self.done.stored += taken.stored
        self.done.already_stored += taken.known
        self.done.repaired += taken.repaired
        self.done.rejected += len(taken.refused)
        self.done.not_converted += len(not_converted)
        self.done.rejects_bytes = self.rejects.size()
        bulk.keep(db.session, self.work, {**position, "done": asdict(self.done)})
        db.session.commit()
        if taken.stored:
            # At once, not by the signal, whose bell may not be rung before this process ends.
            ring("facts", jobs.map_items)

    def forget(self) -> None:
        """Drop the position: there is nothing to go on from."""
        bulk.forget(db.session, self.work)
        db.session.commit()


@contextmanager
def summing_up(storing: Storing, *, as_json: bool) -> Iterator[None]:
    """Say at the end what has come of it, also when it ends early; exit with 1 when something was not stored."""
    began, seen_before = time.monotonic(), storing.done.seen
    problem = ""
    try:
        yield
    except lrs.LrsError as error:
        problem = words(error)
    except (BridgeError, ConnectorError) as error:
        problem = str(error)
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        problem = f"The database does not answer any more ({first_line(error)}). The same command goes on from here."
    except KeyboardInterrupt:
        problem = "Interrupted. The same command goes on from here."
    db.session.rollback()
    storing.rejects.close()
    summary = asdict(storing.done) | {
        "resumed_at": seen_before,
        "rejects": str(storing.rejects.path) if storing.done.rejected or storing.done.not_converted else None,
        "seconds": round(time.monotonic() - began, 1),
        "problem": problem or None,
    }
    del summary["rejects_bytes"]
    show(summary, as_json=as_json)
    if problem:
        raise Unfinished(problem)
    if storing.done.rejected:
        sys.exit(1)


def author(key: str | None) -> Any:  # noqa: ANN401 - what `bulk.take` wants
    """Give whom statements are by; raises UnknownName."""
    try:
        found = bulk.author(db.session, key, base_url=context.settings().public_url, secret_key=context.secret_key())
    except lrs.NotFound as error:
        raise UnknownName("credential", str(key), bulk.keys(db.session)) from error
    db.session.commit()
    return found


@contextmanager
def readable() -> Iterator[None]:
    """Turn a file in which no statement can be told from the next into an end with a word."""
    try:
        yield
    except lrs.LrsError as error:
        raise Unfinished(words(error)) from error


def words(error: lrs.LrsError) -> str:
    """Give what went wrong in the LRS, and the remedy, for a person."""
    return f"{error.error} {(error.rule and error.rule.remedy) or ''}".strip()


class Telling:
    """A bar on standard error when that is a terminal; else nothing."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total, statements=0, speed="")
        self._began: tuple[float, int] | None = None

    def update(self, statements: int, read_bytes: int | None = None) -> None:
        """Show how far it is."""
        now = time.monotonic()
        self._began = self._began or (now, statements)
        seconds = now - self._began[0]
        speed = f"{(statements - self._began[1]) / seconds:,.0f}/s" if seconds > 1 else ""
        self._progress.update(self._task, completed=read_bytes, statements=statements, speed=speed)


@contextmanager
def telling(total: int | None = None) -> Iterator[Telling]:
    """Show progress; `total` in bytes, where it is known."""
    console = Console(stderr=True)
    columns = [TextColumn("{task.fields[statements]:,} statements {task.fields[speed]}")]
    if total is not None:
        columns += [BarColumn(), DownloadColumn(), TimeRemainingColumn()]  # type: ignore[list-item]  # all are columns
    with Progress(
        *columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        yield Telling(bar, total)


def say(words: str) -> None:
    """Tell a person something while it goes on."""
    click.echo(words, err=True)
