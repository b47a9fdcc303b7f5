"""The demo's steps, as any client would take them: post statements, wait for the workers, read the report."""

import gzip
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sqlalchemy.exc import OperationalError

from bridge import documents, printing, reports, status
from bridge.errors import NotReady, Standstill
from bridge.jobs import load_documents
from bridge.settings import shipped
from connectors import http_session, lrs
from lrs import db

DATA = shipped("mappings").parent / "bridge" / "demo" / "data"
REPORT = "learner-performance"
NAMESPACE = uuid.UUID("5d0f7c1e-2f0b-4bb4-9a53-5f1f6a3c7b11")
"""Of the ids that the demo makes; any fixed value would do."""
STANDSTILL_SECONDS = 180
"""More than any one step takes on a machine that is busy with other things; the whole may take what it takes."""
LOOK_SECONDS = 0.2
WARNING = (
    "These data sets come from different organisations and different years, and who is whom is invented: "
    "no effect may be read from them."
)


def run(data_dir: Path) -> None:
    """Take all steps against the `up` that runs on `data_dir`; raises NotReady and Standstill."""
    console = Console(highlight=False, soft_wrap=True)
    endpoint = json.loads((data_dir / "endpoint.json").read_text())
    console.print(f"\nThe main job on real data. {WARNING}\n")
    load_documents()
    with progress_on(console) as progress:
        post(endpoint, list(statements()), progress)
        wait(progress, data_dir)
    current = documents.current(db.session)
    if current is None:
        raise NotReady("The demo's documents were refused; see `lrs-bridge mapping validate`.")
    printing.write(reports.build(db.session, current, REPORT), "table", sys.stdout)
    _say_where(endpoint, data_dir, console)


def statements() -> Iterator[dict[str, Any]]:
    """Give the shipped statements, each with an id made from its content, since Moodle's plugin sends none.

    Four pairs are equal to the last byte and so are one statement each: the second is left out.
    """
    seen: set[uuid.UUID] = set()
    with gzip.open(DATA / "moodle-statements.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            statement = json.loads(line)
            content = json.dumps(statement, sort_keys=True, separators=(",", ":"))
            made = uuid.uuid5(NAMESPACE, content)
            if made not in seen:
                seen.add(made)
                yield {"id": str(made)} | statement


def progress_on(console: Console) -> Progress:
    """Make the bars that a demo shows."""
    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def post(endpoint: dict[str, str], everything: Sequence[dict[str, Any]], progress: Progress) -> None:
    """Post statements as the LMS does, with the first credential."""
    task = progress.add_task("Posting statements over HTTP", total=len(everything))
    with http_session() as http:
        for acknowledged in lrs.post_statements(
            http, endpoint["xapi"], endpoint["key"], endpoint["secret"], everything
        ):
            progress.update(task, completed=acknowledged)


def wait(progress: Progress, data_dir: Path) -> None:
    """Show how much the workers have still to read until nothing is left to do; raises Standstill."""
    task = progress.add_task("Workers reading what is stored", total=None)
    try:
        until_nothing_is_left(lambda: _look(progress, task))
    except Standstill as error:
        raise Standstill(f"{error} The logs in {data_dir / 'logs'} may say why.") from error


def until_nothing_is_left(
    look: Callable[[], Sequence[str]],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Look again and again at what is left, until that is nothing; raises Standstill when it gets no further.

    It gets further when it looks as it has never looked before: what only comes and goes does not count.
    """
    seen: set[tuple[str, ...]] = set()
    moved_at = clock()
    while left := tuple(look()):
        now = clock()
        if left not in seen:
            seen.add(left)
            moved_at = now
        elif now - moved_at > STANDSTILL_SECONDS:
            raise Standstill(f"Nothing has moved for {STANDSTILL_SECONDS} s. Still left: {'; '.join(left)}.")
        sleep(LOOK_SECONDS)


def _look(progress: Progress, task: TaskID) -> tuple[str, ...]:
    """Show how far the workers are; gives what is left. A database that restarts is sat out."""
    try:
        counts = status.progress(db.session)
        progress.update(task, total=counts.stored, completed=counts.read)
        left = tuple(status.remaining(db.session))
    except OperationalError:
        return ("the database does not answer",)
    else:
        return (*left, f"of {counts.stored:,} stored rows") if left else ()
    finally:
        db.session.rollback()  # the next look must see what others have committed


def _say_where(endpoint: dict[str, str], data_dir: Path, console: Console) -> None:
    console.print(f"\n{WARNING}")
    console.print(f"The page:   {endpoint['url']}/reports/{REPORT}  (sign in with the key and secret)")
    console.print(f"            To look at it later: lrs-bridge up --data-dir '{data_dir}'")
    for delivery in status.deliveries_table(db.session):
        console.print(f"Delivered:  {delivery['location']}")
