"""A company at the Moodle of the tests: who is in which team, what they do at work, and our documents about it."""

import csv
import io
from pathlib import Path

from moodle import Moodle

ROLES = {"North": "sales", "South": "support"}
DOCUMENTS = """\
kind: source
name: hr
type: csv
every: 10s
path: people.csv
key: [employee]
---
kind: source
name: cases
type: csv
every: 10s
path: cases.csv
key: [case]
columns:
  closed_at: {{type: datetime}}
  hours: {{type: number}}
---
kind: performance
name: cases
source: cases
metrics:
  - name: hours_to_close
    title: Hours to close
    unit: h
    family: duration
    direction: down
    owner: {{is: row.employee, as: employee}}
    occurred_at: row.closed_at
    value: row.hours
---
kind: identity
name: people
unclaimed: wait
rosters:
  - source: hr
    learner: row.employee
    name: row.name
    attributes:
      team: row.team
      role: row.role
    aliases:
      - account: {{home_page: "'{moodle}'", name: row.moodle}}
      - employee: row.employee
{rosters}---
kind: program
name: sales-calls
title: Better sales calls
metrics: [hours_to_close]
courses: ["{moodle}/course/view.php?id={sales}"]
assessments: ["{moodle}/mod/quiz/view.php?id={sales_quiz}"]
completion: {{of: ["{moodle}/course/view.php?id={sales}"]}}
skills:
  - name: asking
    moments: [a first call]
    activities: ["{moodle}/mod/quiz/view.php?id={sales_quiz}"]
    required: 0.7
---
kind: report
name: sales-calls
program: sales-calls
---
kind: program
name: faster-support
title: Faster support
courses: ["{moodle}/course/view.php?id={support}"]
assessments: ["{moodle}/mod/quiz/view.php?id={support_quiz}"]
completion: {{of: ["{moodle}/course/view.php?id={support}"]}}
"""
DESTINATION = """\
---
kind: destination
name: moodle
type: moodle
url: {moodle}
token: {{secret: moodle-token}}
allow_private: [127.0.0.1]
"""


def write(folder: Path, moodle: Moodle, *, push: bool, rosters: str = "") -> None:
    """Write the documents, and the exports that they read; with `push` Moodle is a destination.

    `rosters`: those of others beside these people, as there can be one identity document alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    courses = moodle.site["courses"]
    text = (DOCUMENTS + (DESTINATION if push else "")).format(
        moodle=moodle.url,
        rosters=rosters,
        sales=courses["SALES"]["id"],
        sales_quiz=courses["SALES"]["quiz"],
        support=courses["SUPPORT"]["id"],
        support_quiz=courses["SUPPORT"]["quiz"],
    )
    (folder / "company.yaml").write_text(text)
    learners = sorted(name for name in moodle.site["users"] if name.startswith("learner"))
    people = [(employee(name), name, team(number)) for number, name in enumerate(learners, 1)]
    _table(
        folder / "people.csv",
        "employee,name,moodle,team,role",
        [(one, name.capitalize(), moodle.site["users"][name], group, ROLES[group]) for one, name, group in people],
    )
    _table(
        folder / "cases.csv",
        "case,employee,closed_at,hours",
        [
            (f"{one}-{day}", one, f"2026-10-{day:02d}T10:00:00Z", 4 + day % 5)
            for one, _, _ in people
            for day in (5, 12, 20)
        ],
    )


def employee(username: str) -> str:
    """Give the number that HR knows somebody by."""
    return f"E{int(username[-2:]):03d}"


def team(number: int) -> str:
    """Give the team of a learner by number: the first six sell in the North."""
    return "North" if number <= 6 else "South"


def _table(path: Path, header: str, rows: list[tuple[object, ...]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header.split(","), *rows])
    path.write_text(out.getvalue())
