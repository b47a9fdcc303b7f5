"""People whose training worked, and how much: a simulated company whose learners have accounts in the tests' Moodle.

Two metrics of `bridge.simulation` are read, which are quick to take in. The first has an effect; of the second the seed
is one where nothing may be said. A second program is for one team alone, so few that its figures are hidden.
"""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from moodle import Moodle

from bridge.simulation import writing
from bridge.simulation.company import Plan, draw

PLAN = Plan(seed=4, teams=16, size=8, weeks=46, effect=1.5)
PROGRAMS = ("objections", "objections-in-one-team")
ACCOUNT = """
    insert into mdl_user
        (id, username, idnumber, auth, confirmed, mnethostid, password, suspended, firstname, lastname, email)
    values (%s, %s, %s, 'manual', 1, 1, 'x', 1, %s, %s, %s) on conflict do nothing
"""
"""Suspended, so that schedules do not mail to all of them."""
FIRST_ACCOUNT = 50_000
"""Number of the first one's account in Moodle."""
SOURCES = """\
kind: source
name: trained-people
type: csv
path: data/people.csv
nulls: [""]
key: [employee_number]
---
kind: source
name: answers
type: csv
path: data/answers.csv
key: [answer_id]
columns:
  answered_at: {type: datetime}
  score: {type: integer}
---
kind: source
name: activity
type: csv
path: data/activity.csv
key: [employee_number, week]
columns:
  week: {type: date, format: "%Y-%m-%d"}
  follow_ups: {type: integer}
---
kind: performance
name: answers
source: answers
metrics:
  - name: satisfaction
    title: Satisfaction
    unit: points
    family: rating
    direction: up
    owner: {is: row.agent, as: email}
    occurred_at: row.answered_at
    value: row.score
---
kind: performance
name: activity
source: activity
metrics:
  - name: follow_ups
    title: Follow-ups
    unit: a week
    family: count
    direction: up
    owner: {is: row.employee_number, as: employee}
    occurred_at: row.week
    value: row.follow_ups
"""
ROSTER = """\
  - source: trained-people
    learner: row.employee_number
    name: row.name
    attributes: {{role: row.role, team: row.team}}
    aliases:
      - account: {{home_page: "'{moodle}'", name: row.moodle}}
      - mbox: row.email
      - employee: row.employee_number
"""
LEARNING = """\
---
kind: learning
name: trained-people
match: {activity: {prefix: "https://lms.example.com/"}}
rules:
  - name: enrolled
    match: {verb: "http://adlnet.gov/expapi/verbs/registered"}
    fact: enrolled
    course: object.id
  - name: assessed
    match: {verb: ["http://adlnet.gov/expapi/verbs/passed", "http://adlnet.gov/expapi/verbs/failed"]}
    fact: assessed
    course: "'https://lms.example.com/course/view.php?id=7'"
    attempt: statement.id
    score: result.score.scaled
    success: result.success
  - name: completed
    match: {verb: "http://adlnet.gov/expapi/verbs/completed"}
    fact: completed
    course: object.id
  - name: practised
    match: {verb: "http://adlnet.gov/expapi/verbs/attempted"}
    fact: practised
    course: "'https://lms.example.com/course/view.php?id=7'"
    score: result.score.scaled
"""
PROGRAM = """\
---
kind: program
name: {name}
title: "{title}"
problem: Every third customer leaves with the question unanswered.
causes: [capability]
stakes: About 400 deals a year, and customers' patience.
sponsor: Dana Cole, Sales and Service
owner: Ines Prat, Learning
population: {population}
metrics:
  - {{metric: satisfaction, primary: true, target: 0.1}}
  - {{metric: follow_ups, target: 0.3}}
behaviours:
  - name: asks-back
    does: asks what lies behind an objection before answering it
    evidence: {{fact: applied, what: asked-back}}
    within_days: 30
skills:
  - name: objections
    title: Handling objections
    moments: [a customer says no, a customer asks for a discount]
    activities: ["https://lms.example.com/mod/scenario/view.php?id=52", "https://lms.example.com/mod/quiz/view.php?id=41"]
    required: 0.7
reinforcement: [14, 28, 91]
courses: ["https://lms.example.com/course/view.php?id=7", "{course}"]
assessments: ["https://lms.example.com/mod/quiz/view.php?id=41"]
completion: {{of: ["https://lms.example.com/course/view.php?id=7"]}}
"""


@dataclass(frozen=True)
class Trained:
    """What was written, to be posted."""

    statements: list[dict[str, Any]]
    accounts: dict[int, tuple[str, str]]
    """Employee number and name, by the number of the account in Moodle."""


def roster(moodle: Moodle) -> str:
    """Give the roster that says who is who, for the identity document."""
    return ROSTER.format(moodle=moodle.url)


def write(folder: Path, moodle: Moodle) -> Trained:
    """Write documents and exports into a folder of documents, and make the people's accounts in the course."""
    today = datetime.now(UTC).date()
    # Up to last Sunday: readiness is of today, and fades with what it rests on.
    with patch.object(writing, "START", today - timedelta(days=today.weekday(), weeks=PLAN.weeks)):
        return _write(folder, moodle)


def _write(folder: Path, moodle: Moodle) -> Trained:
    company = draw(PLAN)
    moments = writing._Moments(company)
    (folder / "data").mkdir(parents=True)
    people = [one | {"moodle": FIRST_ACCOUNT + number} for number, one in enumerate(writing._people(company))]
    tables: dict[str, list[dict[str, Any]]] = {
        "people": people,
        "answers": list(writing._answers(company, moments)),
        "activity": list(writing._activity(company)),
    }
    for name, rows in tables.items():
        with (folder / "data" / f"{name}.csv").open("w", newline="") as file:
            out = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            out.writeheader()
            out.writerows(rows)
    roles = "{role: [support, inside-sales, field-sales, renewals]}"
    course = f"{moodle.url}/course/view.php?id={moodle.site['courses']['OBJECTIONS']['id']}"
    given = zip(
        PROGRAMS,
        ("Handling objections", "Objections in one team's calls"),
        (roles, "{team: [Team 01]}"),
        strict=True,
    )
    documents = [PROGRAM.format(name=name, title=title, population=who, course=course) for name, title, who in given]
    (folder / "trained.yaml").write_text("".join([SOURCES, LEARNING, *documents]))
    accounts = {one["moodle"]: (one["employee_number"], one["name"]) for one in people}
    enrol(moodle, accounts)
    return Trained(_statements(company, moodle.url), accounts)


def _statements(company: Any, home_page: str) -> list[dict[str, Any]]:
    made = list(writing.statements(company))
    for one in made:
        number = FIRST_ACCOUNT + int(one["actor"]["account"]["name"]) - 1000
        one["actor"] = {"account": {"homePage": home_page, "name": str(number)}}
    return made


def enrol(moodle: Moodle, accounts: dict[int, tuple[str, str]]) -> None:
    """Make accounts behind Moodle's back, a hundred and more at once, and enrol them in the course OBJECTIONS."""
    course = moodle.site["courses"]["OBJECTIONS"]["id"]
    [(method,)] = moodle.rows("select id from mdl_enrol where enrol = 'manual' and courseid = %s", course)
    for number, (employee, name) in accounts.items():
        first, last = name.split(" ")
        moodle.execute(
            ACCOUNT,
            number,
            f"trained-{employee.lower()}",
            employee,
            first,
            f"{last} {employee}",
            f"{employee.lower()}@example.com",
        )
        moodle.execute(
            "insert into mdl_user_enrolments (status, enrolid, userid) values (0, %s, %s) on conflict do nothing",
            method,
            number,
        )
