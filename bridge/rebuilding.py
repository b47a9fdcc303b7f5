"""Rebuild: derive everything anew from statements, source records and documents, beside what is shown meanwhile."""

from rich.console import Console
from rich.progress import Progress
from sqlalchemy import delete
from sqlalchemy.orm import Session

from bridge import documents, jobs, readings
from bridge.errors import NotReady
from bridge.models import Built, ReadingState


def rebuild(session: Session, *, console: Console) -> None:
    """Read all history again in this process (workers help), then resolve learners and build all records.

    Until the new reading has caught up, reports show the old one. The result equals the old one as long as the
    documents are the same.
    """
    current = documents.current(session)
    if current is None:
        raise NotReady("No documents are in force yet.")
    readings.begin_again(session, current.rules_hash)
    session.commit()
    with Progress(console=console) as progress:
        task = progress.add_task("Reading", total=readings.behind(session, ReadingState.PENDING))
        while readings.pending(session) is not None:
            progress.advance(task, jobs.read_once(session))
        progress.update(task, completed=progress.tasks[0].total)
    session.execute(delete(Built))
    session.commit()
    jobs.build_records()
