"""A company with two teams, two programs and two courses, and whoever may call or look: keys of every kind."""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from company import COURSE, LESSON, LMS, Company
from flask.testing import FlaskClient
from sqlalchemy import text

from bridge import access, documents, jobs, people, programs
from lrs import db

NORTH = ("alder", "birch", "cedar", "dogwood", "hawthorn", "hornbeam")
SOUTH = ("juniper", "larch", "magnolia", "rowan", "sycamore")
EAST = ("willow", "poplar")
"""Logins, which stand in key, name and mail address alike: nothing else has these words."""
EVERYBODY = (*NORTH, *SOUTH, *EAST)
SAFETY, DRILL = f"{LMS}/course/8", f"{LMS}/lesson/88"

CALM, SAFE = "calm-calls", "safe-start"
_CONTRACT = f"""\
metrics: [{{metric: minutes_to_solve, primary: true, target: 5%}}, deal_won]
problem: Calls take too long.
causes: [capability]
stakes: Customers' patience.
sponsor: Dana Cole
owner: Ines Prat
population: {{team: [North, South]}}
behaviours:
  - {{name: listens, does: lets the customer finish, evidence: {{fact: observed}}}}
skills:
  - name: listening
    title: Listening
    moments: [an angry customer]
    activities: ["{LESSON}"]
    required: 0.7
"""
_SECOND = f"""\
---
kind: program
name: {SAFE}
title: Safe start
courses: ["{SAFETY}"]
completion: {{of: ["{DRILL}"]}}
metrics: [minutes_to_solve]
---
kind: report
name: safe
title: Safety
program: {SAFE}
"""
_RULES = """\
  - name: practised
    when: verb.endsWith('/attempted')
    fact: practised
    course: parent('/course/')
    score: fraction(result.score)
  - name: hindered
    when: verb.endsWith('/hindered')
    fact: obstacle
    course: parent('/course/')
    category: text(result.response)
---
kind: performance
name: helpdesk
"""


def write(company: Company) -> None:
    """Write the documents and the roster."""
    company.change("program.yaml", "metrics: [minutes_to_solve, deal_won]\n", _CONTRACT)
    company.write("second.yaml", _SECOND.removeprefix("---\n"))
    company.change("rules.yaml", "---\nkind: performance\nname: helpdesk\n", _RULES)
    company.change("people.yaml", "attributes: {team: row.team}", "attributes: {team: row.team, manager: row.manager}")
    teams = {one: team for team, them in (("North", NORTH), ("South", SOUTH), ("East", EAST)) for one in them}
    staff = [
        (f"emp-{one}", f"{one.capitalize()} Tester", team, f"{one}@example.com", one, f"emp-{EAST[0]}")
        for one, team in teams.items()
    ]
    rows = "\n".join(",".join(row) for row in [("number", "name", "team", "email", "login", "manager"), *staff])
    company.write("staff.csv", rows + "\n")


def fill(company: Company) -> None:
    """North and South take the course of calm calls, two of the north and the east that of safety."""
    write(company)
    company.tickets(
        [(f"T{n}-{days}", ago(days), one, ago(days), "30") for n, one in enumerate(EVERYBODY) for days in (60, 3)]
    )
    for one in (*NORTH, *SOUTH):
        company.post(said(one, "completed", LESSON, COURSE, 20), said(one, "attempted", LESSON, COURSE, 9, raw=9))
        company.post(*(said(one, "attempted", LESSON, COURSE, day, raw=9) for day in range(2, 8)))
        company.post(said(one, "hindered", COURSE, COURSE, 5, response="Tools"))
    for one in (*NORTH[:2], *EAST):
        company.post(said(one, "completed", DRILL, SAFETY, 10))
    company.post(said("stranger", "completed", LESSON, COURSE, 4))
    company.run()
    current = documents.current(db.session)
    assert current is not None, documents.problems(db.session)
    programs.launch(db.session, current, CALM, by="Ines")
    db.session.commit()
    jobs.estimate_impacts()
    jobs.publish()
    jobs.publish_health()


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def said(who: str, verb: str, activity: str, course: str, days: int, **result: Any) -> dict[str, Any]:
    """Give the statement that somebody did this so many days ago."""
    if "raw" in result:
        result = {"score": {"raw": result["raw"], "max": 10}}
    return {
        "id": str(uuid5(NAMESPACE_URL, f"{who} {verb} {activity} {days}")),
        "actor": {"mbox": f"mailto:{who}@example.com", "name": f"{who.capitalize()} Tester"},
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": {"id": activity},
        "context": {"contextActivities": {"parent": [{"id": course}]}},
        "timestamp": ago(days),
        "result": result,
    }


def move(company: Company, team: str, *them: str) -> None:
    """Let some be in another team from now on."""
    found = (company.folder / "staff.csv").read_text()
    for who in them:
        moved = re.sub(rf"(?m)^(emp-{who},[^,]*),[^,]*,", rf"\1,{team},", found)
        assert moved != found
        found = moved
    company.write("staff.csv", found)
    company.run()
    jobs.publish()
    jobs.publish_health()


def public_id(who: str) -> str:
    """Give what the feeds call somebody."""
    found = people.find(db.session, f"emp-{who}")
    key = db.session.scalar(
        text("select min(key) from published_row where feed = 'records' and learner_id = :id"), {"id": found.id}
    )
    assert key is not None
    return str(key).partition("/")[0]


@dataclass(frozen=True)
class Viewer:
    """A key, and how it is used."""

    key: str
    secret: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": "Basic " + b64encode(f"{self.key}:{self.secret}".encode()).decode()}

    def sign_in(self, client: FlaskClient) -> int:
        """Sign in with a browser; gives the status."""
        token = re.search(r'name="token" value="([^"]+)"', client.get("/login").text)
        assert token
        form = {"token": token[1], "key": self.key, "secret": self.secret}
        return client.post("/login", data=form).status_code


def issue(*scopes: str, **limits: str) -> Viewer:
    """Issue a key, narrowed by `program`, `team` or `course`."""
    given: Mapping[str, list[str]] = {kind: [value] for kind, value in limits.items()}
    made = access.create(db.session, "viewer", scopes or (access.REPORTS,), given)
    db.session.commit()
    return Viewer(str(made["key"]), str(made["secret"]))
