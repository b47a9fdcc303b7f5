"""A small company in a folder: two sources, a roster, rules, a program, a report, and its LMS's statements."""

import csv
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

import lrs
from bridge import context, deliveries, documents, jobs, reports
from lrs import db

LMS = "https://lms.example.com"
COURSE, LESSON, QUIZ = f"{LMS}/course/7", f"{LMS}/lesson/41", f"{LMS}/quiz/43"

DOCUMENTS = {
    "sources.yaml": """\
kind: source
name: helpdesk
type: csv
every: 1h
path: tickets.csv
key: [ticket]
cursor: [changed_at]
columns:
  changed_at: {type: datetime}
  solved_at: {type: datetime}
  minutes: {type: number}
---
kind: source
name: crm
type: csv
every: 1d
path: deals.csv
key: [deal]
columns:
  closed_at: {type: datetime}
---
kind: source
name: staff
type: csv
path: staff.csv
key: [number]
""",
    "rules.yaml": """\
kind: learning
name: lms
rules:
  - name: done
    when: verb.endsWith('/completed')
    fact: completed
    course: parent('/course/')
  - name: quiz
    when: verb.endsWith('/scored')
    fact: assessed
    course: parent('/course/')
    attempt: statement.id
    score: fraction(result.score)
---
kind: performance
name: helpdesk
source: helpdesk
metrics:
  - name: minutes_to_solve
    title: Minutes to solve
    unit: min
    family: duration
    direction: down
    when: row.solved_at != null
    owner: row.agent
    occurred_at: row.solved_at
    value: row.minutes
---
kind: performance
name: crm
source: crm
metrics:
  - name: deal_won
    title: Deals won
    family: binary
    direction: up
    owner: row.agent
    occurred_at: row.closed_at
    value: row.stage == 'won'
""",
    "people.yaml": """\
kind: identity
name: people
unclaimed: wait
rosters:
  - source: staff
    learner: row.number
    name: row.name
    attributes: {team: row.team}
    aliases:
      - mbox: row.email
      - user: {source: helpdesk, id: row.login}
      - user: {source: crm, id: row.login}
""",
    "program.yaml": f"""\
kind: program
name: calm-calls
title: Calm calls
courses: ["{COURSE}"]
completion: {{of: ["{LESSON}"]}}
assessments: ["{QUIZ}"]
metrics: [minutes_to_solve, deal_won]
---
kind: destination
name: folder
type: directory
path: reports
---
kind: report
name: calm
title: Calm calls and time to solve
program: calm-calls
destinations: [folder]
""",
}

HEADERS = {
    "staff.csv": ("number", "name", "team", "email", "login"),
    "tickets.csv": ("ticket", "changed_at", "agent", "solved_at", "minutes"),
    "deals.csv": ("deal", "agent", "stage", "closed_at"),
}
STAFF = (("E1", "Ann Archer", "North", "ann@example.com", "ann"), ("E2", "Bo Berg", "South", "bo@example.com", "bo"))
TICKETS = (
    ("T1", "2026-05-01T08:00:00Z", "ann", "2026-05-01T08:00:00Z", "40"),
    ("T2", "2026-06-20T08:00:00Z", "ann", "2026-06-20T08:00:00Z", "20"),
    ("T3", "2026-06-21T08:00:00Z", "ann", "2026-06-21T08:00:00Z", "25"),
    ("T4", "2026-06-22T08:00:00Z", "bo", "2026-06-22T08:00:00Z", "60"),
    ("T5", "2026-06-23T08:00:00Z", "bo", "", ""),
)
DEALS = (
    ("D1", "ann", "lost", "2026-05-02T08:00:00Z"),
    ("D2", "ann", "won", "2026-06-25T08:00:00Z"),
)

Cells = Iterable[Sequence[str]]


@dataclass
class Company:
    """The folder, and what a test does with it; every step goes the way that production goes."""

    folder: Path
    app: Flask
    credential: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        write_folder(self.folder)
        issued = lrs.credentials.create(
            db.session, name="LMS", scopes=["statements/write"], secret_key=context.secret_key()
        )
        db.session.commit()
        self.credential = {"key": issued.key, "secret": issued.secret}

    def write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content)

    def change(self, name: str, old: str, new: str) -> None:
        """Edit a file in place; the old words must stand in it."""
        content = (self.folder / name).read_text()
        assert old in content
        self.write(name, content.replace(old, new))

    def staff(self, rows: Cells) -> None:
        _write_csv(self.folder / "staff.csv", rows)

    def tickets(self, rows: Cells) -> None:
        _write_csv(self.folder / "tickets.csv", rows)

    def deals(self, rows: Cells) -> None:
        _write_csv(self.folder / "deals.csv", rows)

    def post(self, *statements: dict[str, Any]) -> None:
        """Store statements over HTTP, as the LMS does."""
        self.post_text(json.dumps(statements))

    def post_text(self, body: str) -> None:
        """Store what Python's own numbers cannot say."""
        pair = f"{self.credential['key']}:{self.credential['secret']}"
        answer = self.app.test_client().post(
            "/xapi/statements",
            data=body,
            content_type="application/json",
            headers={
                "Authorization": f"Basic {b64encode(pair.encode()).decode()}",
                "X-Experience-API-Version": "1.0.3",
            },
        )
        assert answer.status_code == 200, answer.text

    def pull(self) -> None:
        for name in ("helpdesk", "crm", "staff"):
            jobs.pull(name)

    def work(self) -> None:
        """Do what the workers do when the bells have rung."""
        jobs.map_items()
        jobs.build_records()
        for delivery in deliveries.due(db.session, now=datetime.now(UTC)):
            jobs.deliver(delivery)

    def run(self) -> None:
        """Load, pull, map, build, deliver."""
        jobs.load_documents()
        self.pull()
        self.work()

    def report(self) -> dict[str, dict[str, Any]]:
        """Give the report's rows by learner."""
        current = documents.current(db.session)
        assert current is not None
        return {row["learner"]: row for row in reports.build(db.session, current, "calm").rows}

    def delivered(self) -> dict[str, Any]:
        return json.loads((context.settings().data_dir / "reports" / "calm.json").read_text())


def write_folder(folder: Path) -> None:
    """Write the company's documents and files into a new folder."""
    folder.mkdir()
    for name, content in DOCUMENTS.items():
        (folder / name).write_text(content)
    for name, rows in {"staff.csv": STAFF, "tickets.csv": TICKETS, "deals.csv": DEALS}.items():
        _write_csv(folder / name, rows)


def _write_csv(path: Path, rows: Cells) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADERS[path.name], *rows])


def done(who: str = "ann", at: str = "2026-06-01T09:00:00Z") -> dict[str, Any]:
    """Give the statement that somebody completed the lesson; the same words give the same id."""
    return _statement(who, "completed", LESSON, at)


def scored(who: str, score: float, at: str = "2026-05-30T09:00:00Z") -> dict[str, Any]:
    """Give the statement of an attempt at the quiz."""
    return _statement(who, "scored", QUIZ, at) | {"result": {"score": {"raw": score, "max": 10}}}


def _statement(who: str, verb: str, activity: str, at: str) -> dict[str, Any]:
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{who} {verb} {activity} {at}")),
        "actor": {"mbox": f"mailto:{who}@example.com", "name": who.capitalize()},
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": {"id": activity},
        "context": {"contextActivities": {"parent": [{"id": COURSE}]}},
        "timestamp": at,
    }


def counts() -> dict[str, int]:
    """Count the rows of every table that work leaves something in."""
    tables = ("statement", "source_record", "source_record_version", "fact", "alias", "learner", "record")
    return {table: db.session.scalar(text(f"select count(*) from {table}")) or 0 for table in tables}  # noqa: S608


def empty(session: Session) -> None:
    """Delete, not truncate: truncating empty tables makes new files for each of them and their indexes."""
    named = (
        "select quote_ident(tablename) from pg_tables where schemaname = 'public' and tablename <> 'alembic_version'"
    )
    tables = session.scalars(text(named)).all()
    session.execute(text("set local session_replication_role = replica"))  # in any order, whatever refers to what
    session.execute(text("; ".join(f"delete from {table}" for table in tables)))  # noqa: S608 - the catalogue's own names
    session.commit()
