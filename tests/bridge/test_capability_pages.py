"""The pages and files of skills and of what stands in the way, and the command: what they show and what they hide."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from click.testing import Result
from company import COURSE, Company, done
from flask.testing import FlaskClient

import lrs
from bridge import access, context
from lrs import db

SCENARIO = "https://lms.example.com/scenario/9"
SKILLS = f"""\
population: {{team: [North, South]}}
skills:
  - name: listening
    title: Listening <first>
    moments: [an angry customer]
    activities: ["{SCENARIO}"]
    required: 0.7
"""
RULES = """\
  - name: practised
    when: verb.endsWith('/attempted')
    fact: practised
    score: fraction(result.score)
  - name: hindered
    when: verb.endsWith('/hindered')
    fact: obstacle
    category: text(result.response)
---
kind: performance
name: helpdesk
"""
PEOPLE = [(f"E{number}", f"P {number}", "North" if number < 6 else "South") for number in range(9)]


def ago(days: int) -> str:
    """Evidence gets old, so it is dated from today on."""
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def said(who: str, verb: str, activity: str, at: str, **result: Any) -> dict[str, Any]:
    return done(who, at) | {
        "id": str(uuid5(NAMESPACE_URL, f"{who} {verb} {at}")),
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": {"id": activity},
        "result": result,
    }


@pytest.fixture
def trained(company: Company) -> Company:
    """Six people in the north who practise and are held up by their tools, three in the south who do not."""
    company.change("program.yaml", "assessments:", f"{SKILLS}assessments:")
    company.change("rules.yaml", "---\nkind: performance\nname: helpdesk\n", RULES)
    company.staff([(*one, f"p{number}@example.com", f"p{number}") for number, one in enumerate(PEOPLE)])
    for number, (_, _, team) in enumerate(PEOPLE):
        who = f"p{number}"
        company.post(done(who, ago(20)))
        for day in range(8) if team == "North" else ():
            company.post(said(who, "attempted", SCENARIO, ago(10 - day), score={"raw": 9, "max": 10}))
        if team == "North":
            company.post(said(who, "hindered", COURSE, ago(9), response="Tools"))
    company.run()
    return company


@pytest.fixture
def reader(trained: Company) -> FlaskClient:
    issued = lrs.credentials.create(db.session, name="reader", scopes=[access.REPORTS], secret_key=context.secret_key())
    db.session.commit()
    client = trained.app.test_client()
    token = re.search(r'name="token" value="([^"]+)"', client.get("/login").text)
    assert token
    form = {"token": token[1], "key": issued.key, "secret": issued.secret}
    assert client.post("/login", data=form).status_code == 302
    return client


def rows(page: str) -> dict[str, list[str]]:
    """Give the cells of all tables by the head of their row, as text."""
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", page.partition("<tbody>")[2], re.DOTALL):
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        words = [" ".join(unescape(re.sub(r"<[^>]+>", "", cell)).split()) for cell in cells]
        found.setdefault(words[0], words[1:])
    return found


def test_the_skills_page_shows_teams_and_hides_few_people(reader: FlaskClient) -> None:
    page = reader.get("/programs/calm-calls/skills").text

    assert "Listening &lt;first&gt;" in page
    assert "For: an angry customer. Required: 70 %." in page
    found = rows(page)
    assert found["South"] == ["hidden"] * 9
    assert found["North"] == ["hidden"] * 9, "South could be worked out from it"
    everyone = found["All teams"]
    assert everyone[:4] == ["9", "67 %", "0 %", "33 %"]
    assert everyone[6].startswith("▲")
    assert everyone[8] == "practised or simulated (100 %)"


def test_the_obstacles_page_counts_people_and_steps(reader: FlaskClient) -> None:
    page = reader.get("/programs/calm-calls/obstacles").text
    board, _, funnel = page.partition('id="funnel"')

    assert rows(board)["All teams"] == ["0", "6", "0", "0", "0", "0", "0"]
    assert rows(funnel)["All teams"][:3] == ["9", "100 % (9 of 9)", "0 % (0 of 9)"]
    assert rows(funnel)["South"] == ["hidden"] * 6


@pytest.mark.parametrize("page", ["skills", "obstacles"])
def test_files_are_the_page_s(reader: FlaskClient, page: str) -> None:
    told = reader.get(f"/programs/calm-calls/{page}.json")
    table = reader.get(f"/programs/calm-calls/{page}.csv")

    assert told.headers["Content-Disposition"] == f'attachment; filename="calm-calls-{page}.json"'
    assert table.headers["Content-Disposition"] == f'attachment; filename="calm-calls-{page}.csv"'
    listed = told.get_json()["cells" if page == "skills" else "counts"]
    parsed = list(csv.DictReader(io.StringIO(table.text)))
    assert len(listed) == len(parsed) > 2
    for row, line in zip(listed, parsed, strict=True):  # asked for one after the other: evidence is a bit older by then
        for key, value in row.items():
            number = isinstance(value, float)
            assert (float(line[key]) if number else line[key]) == (
                pytest.approx(value, abs=1e-4) if number else "" if value is None else str(value)
            )


@pytest.mark.parametrize("page", ["skills", "obstacles", "skills.json", "obstacles.csv"])
def test_pages_are_for_people_who_are_signed_in_and_name_the_nearest(reader: FlaskClient, page: str) -> None:
    assert "Did you mean 'calm-calls'?" in unescape(reader.get(f"/programs/calm-call/{page}").text)
    anybody = reader.application.test_client().get(f"/programs/calm-calls/{page}")
    assert (anybody.status_code, anybody.headers["Location"].startswith("/login")) == (302, True)
    policy = reader.get(f"/programs/calm-calls/{page}").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("page", ["skills", "obstacles"])
def test_pages_name_nobody_and_are_linked(reader: FlaskClient, page: str) -> None:
    shown = reader.get(f"/programs/calm-calls/{page}").text
    assert not any(key in shown or name in shown for key, name, _ in PEOPLE)
    assert f'href="/programs/calm-calls/{page}"' in reader.get("/programs/calm-calls").text


def test_a_program_without_skills_or_facts_has_pages_all_the_same(company: Company, reader: FlaskClient) -> None:
    company.change("program.yaml", SKILLS, "")
    company.run()
    assert "names no skills" in reader.get("/programs/calm-calls/skills").text
    assert reader.get("/programs/calm-calls/skills.csv").status_code == 200


def test_the_command_tells_the_same(trained: Company, lrs_bridge: Callable[..., Result]) -> None:
    shown = lrs_bridge("program", "skills", "calm-calls")
    told = lrs_bridge("program", "skills", "calm-calls", "--json")
    unknown = lrs_bridge("program", "skills", "calm-call")

    assert (shown.exit_code, told.exit_code) == (0, 0)
    assert "Listening <first>, required 70%" in shown.output
    assert re.search(r"all teams +9 +6 +0 +3 +\d\d% +\d\d%-\d\d% +nothing +3", shown.output)
    assert "hidden" in shown.output
    assert [cell["hidden"] for cell in json.loads(told.output)["cells"]] == [True, True, False]
    assert unknown.exit_code == 2
    assert "Did you mean 'calm-calls'" in unknown.output
