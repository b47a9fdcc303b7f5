"""Rebuild: derive everything anew from statements, source records and documents, beside what is shown meanwhile."""

import time

from rich.console import Console
from rich.progress import Progress
from sqlalchemy import delete
from sqlalchemy.orm import Session

from bridge import documents, jobs, readings, rosters
from bridge.errors import NotReady
from bridge.models import Built, ReadingState

PAUSE_SECONDS = 0.1
"""Between looks when other workers hold the lanes, or an open transaction holds back the horizon."""


def rebuild(session: Session, *, console: Console) -> None:
    """Read all history again in this process (workers help), then resolve learners and build all records.

    Until the new reading has caught up, reports show the old one. The result equals the old one as long as the
    documents are the same.
    """
    current = documents.current(session)
    if current is None:
        raise NotReady("No documents are in force yet.")
    readings.begin_again(session, current.rules, current.rules_hash)
    session.commit()
    with Progress(console=console) as progress:
        task = progress.add_task("Reading", total=readings.behind(session, ReadingState.PENDING))
        while readings.pending(session) is not None:
            count = jobs.read_once(session)
            progress.advance(task, count)
            if not count:
                time.sleep(PAUSE_SECONDS)
        progress.update(task, completed=progress.tasks[0].total)
    session.execute(delete(Built))
    rosters.forget(session)
    session.commit()
    jobs.build_records()
