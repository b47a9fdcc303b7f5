"""From a course in Moodle to a custom report in Moodle, as people go about it: each in a Chromium of their own.

A learner does a course; cron runs; the record is in our store within a minute; the next delivery, or the next pull of
the plugin, brings it back; an admin finds it under Custom reports, filters it, shares it and schedules it; a teacher
sees the learners of the own course and nobody else's.

Pictures of what they saw are kept in LRS_BRIDGE_SHOTS, else beside the Moodle in `shots`.
"""

import csv
import email
import io
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
import staff
from installed import free_port
from moodle import PASSWORD, Moodle
from pages import Visitor, visitor
from trees import CLEAN, COMMAND, Tree, wait_until

pytestmark = pytest.mark.moodle

IN_STORE_SECONDS = 60
"""After cron."""


@pytest.fixture
def shots(moodle: Moodle) -> Path:
    folder = Path(os.environ.get("LRS_BRIDGE_SHOTS", moodle.folder / "shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visit(moodle: Moodle, shots: Path, tmp_path: Path) -> Iterator[Callable[[str], Visitor]]:
    """Let somebody come with a browser of their own."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(visitor(moodle, name, tmp_path / f"profile-{name}", shots))


def do_the_course(learner: Visitor, course: dict[str, int]) -> None:
    """Read a page, practise, and pass the quiz."""
    learner.go(f"/course/view.php?id={course['id']}")
    learner.shot("1-learner-course")
    learner.press("Listen first")
    learner.go(f"/mod/page/view.php?id={course['practise']}")
    learner.press("Mark as done")
    learner.until("document.body.innerText.includes('Done')", "it is marked as done")
    learner.go(f"/mod/quiz/view.php?id={course['quiz']}")
    learner.press("Attempt quiz")
    learner.until("document.querySelectorAll('.que').length === 2", "there are two questions")
    learner.browser.run("document.querySelectorAll('.que input[type=radio][value=\"1\"]').forEach(one => one.click())")
    learner.shot("2-learner-quiz")
    learner.press("Finish attempt ...")
    learner.press("Submit all and finish")
    learner.press("Submit all and finish", ".modal button")
    learner.until("document.body.innerText.includes('100.00')", "the quiz is graded")
    learner.shot("3-learner-passed")


def look_at(moodle: Moodle, username: str, *paths: str) -> None:
    """Let somebody open pages without a browser, quicker."""
    with requests.Session() as web:
        page = web.get(f"{moodle.url}/login/index.php", timeout=60).text
        token = page.split('name="logintoken" value="')[1].split('"')[0]
        form = {"username": username, "password": PASSWORD, "logintoken": token}
        assert "/login/" not in web.post(f"{moodle.url}/login/index.php", data=form, timeout=60).url
        for path in paths:
            assert web.get(f"{moodle.url}{path}", timeout=60).ok


class Company:
    """Our `up`, and the Moodle that sends to it."""

    def __init__(self, tree: Tree, moodle: Moodle) -> None:
        self.tree, self.moodle = tree, moodle
        self.reader = json.loads(
            tree.run("credential", "create", "--name", "tests", "--scope", "reports/read", "--json").stdout
        )

    def get(self, path: str, **query: Any) -> Any:
        """Ask our interface."""
        address, auth = f"{self.tree.endpoint['url'].rstrip('/')}{path}", (self.reader["key"], self.reader["secret"])
        answer = requests.get(address, params=query, auth=auth, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def send_statements(self) -> None:
        """Point logstore_xapi at us, as its settings page does."""
        made = self.tree.run(
            "credential", "create", "--name", "Moodle", "--scope", "statements/write", "--lenient", "--json"
        )
        credential = json.loads(made.stdout)
        for name, value in {
            "endpoint": self.tree.endpoint["xapi"],
            "username": credential["key"],
            "password": credential["secret"],
            "backgroundmode": "1",
        }.items():
            self.moodle.configure(name, value, "logstore_xapi")

    def record(self, username: str) -> dict[str, Any] | None:
        """Give the record of a learner in our store, in the program for sales; None: there is none."""
        rows = self.get("/api/v1/reports/sales-calls", limit=100)["items"]
        return next((row for row in rows if row["learner"] == staff.employee(username)), None)

    def completed(self, username: str) -> bool:
        found = self.record(username)
        return bool(found and found["completed_at"])


def held(moodle: Moodle) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Give what the plugin's table has, by username and program."""
    rows = moodle.rows(
        "select u.username, r.program, r.team, r.completedat, r.bestscore from mdl_local_lrsbridge_record r"
        " left join mdl_user u on u.id = r.userid where r.deleted = 0"
    )
    return {(name, program): tuple(more) for name, program, *more in rows}


@pytest.fixture
def up(moodle: Moodle, tmp_path: Path) -> Iterator[Callable[..., Company]]:
    """Start our `up` with the company's documents."""
    moodle.forget()
    trees: list[Tree] = []

    def start(*, push: bool) -> Company:
        staff.write(tmp_path / "company", moodle, push=push)
        env = CLEAN | {
            "LRS_BRIDGE_MAPPINGS": str(tmp_path / "company"),
            "LRS_BRIDGE_SOURCE_MOODLE_TOKEN": moodle.site["token"],
        }
        where = tmp_path / "bridge"
        with (tmp_path / "up.out").open("ab") as out:
            command = [*COMMAND, "up", "--data-dir", str(where), "--port", str(free_port())]
            process = subprocess.Popen(command, env=env, stdout=out, stderr=out, cwd=tmp_path)
        tree = Tree(where, process, env)
        trees.append(tree)
        wait_until((where / "endpoint.json").exists, "our server answers", seconds=180)
        return Company(tree, moodle)

    yield start
    for tree in trees:
        tree.stop()


def everybody_learns(moodle: Moodle, visit: Callable[[str], Visitor], company: Company, learner: str) -> None:
    """Let one learner do the course in Chromium and two look around; cron then brings it to our store in a minute."""
    company.send_statements()
    do_the_course(visit(learner), moodle.site["courses"]["SALES"])
    for name, course in (("learner06", "SALES"), ("learner06", "SUPPORT"), ("learner08", "SUPPORT")):
        look_at(moodle, name, f"/mod/page/view.php?id={moodle.site['courses'][course]['listen']}")
    moodle.cron()
    while moodle.rows("select count(*) from mdl_logstore_xapi_log") != [(0,)]:
        moodle.task(r"\logstore_xapi\task\emit_task")  # cron's again and again: it sends 30 events each time
    after_cron = time.monotonic()
    wait_until(lambda: company.completed(learner), "the record is in our store", seconds=IN_STORE_SECONDS)
    report(f"in our store {time.monotonic() - after_cron:.0f} s after cron")


def assert_brought_back(moodle: Moodle, company: Company, learner: str, *, pull: bool = False) -> None:
    """Wait until Moodle's table has what is published, and the learner's completion and score with it."""
    names = {str(number): name for name, number in moodle.site["users"].items()}

    def same() -> bool:
        if pull:
            moodle.task(r"\local_lrsbridge\task\pull_rows")  # cron's, again and again
        rows = company.get("/api/v1/records", site=moodle.url, limit=100)["items"]
        ours = {(names[row["user"]["accounts"][0]["name"]], row["body"]["program"]): shown(row["body"]) for row in rows}
        _, done, best = ours.get((learner, "sales-calls"), (None, None, None))
        return done is not None and best == 1 and held(moodle) == ours

    wait_until(same, "Moodle has what we publish", seconds=240)
    record = company.record(learner)
    assert record is not None
    assert held(moodle)[learner, "sales-calls"] == shown({"team": "North", **record})


def shown(body: dict[str, Any]) -> tuple[Any, ...]:
    """Give of a record what `held` gives, as Moodle keeps it."""
    done, best = body["completed_at"], body["best_score"]
    at = None if done is None else int(datetime.fromisoformat(done).timestamp())
    return body["team"], at, None if best is None else round(Decimal(str(best)), 6)


def report_id(moodle: Moodle) -> int:
    """Give the report about people that was there from the start."""
    source = r"local_lrsbridge\reportbuilder\datasource\records"
    return int(moodle.rows("select min(id) from mdl_reportbuilder_report where source = %s", source)[0][0])


def names_and_programs(one: Visitor) -> set[tuple[str, str]]:
    """Read a report as it is shown: who, and in which program."""
    return {(row[0], row[1]) for row in one.table()[1:] if len(row) > 1 and row[0]}


def filtered(admin: Visitor, number: int, **by: str) -> set[tuple[str, str]]:
    """Show a report and set filters, by their names in the form."""
    admin.go(f"/reportbuilder/view.php?id={number}")
    admin.press("Filters")
    for name, value in by.items():
        admin.choose(f"select[name='record:{name}_operator']", "Is equal to")
        admin.choose(f"select[name='record:{name}_value']", value)
    admin.press("Apply", "[data-region=report-filters] input[type=submit]")
    return names_and_programs(admin)


def test_what_a_learner_did_comes_back_as_a_custom_report(moodle, up, visit, shots):
    company = up(push=True)
    everybody_learns(moodle, visit, company, "learner01")
    assert_brought_back(moodle, company, "learner01")
    everybody = {("Ada Learner", "Better sales calls"), ("Finn Learner", "Better sales calls")}
    everybody |= {("Finn Learner", "Faster support"), ("Hugo Learner", "Faster support")}

    # The admin finds it, and filters by program and team.
    admin = visit("admin")
    admin.go("/reportbuilder/index.php")
    assert "On-the-job performance" in admin.text()
    admin.shot("4-admin-custom-reports")
    admin.go(f"/reportbuilder/view.php?id={report_id(moodle)}")
    seen = names_and_programs(admin)
    admin.shot("5-admin-report")
    assert everybody <= seen
    by_program = filtered(admin, report_id(moodle), programtitle="Faster support")
    admin.shot("6-admin-filtered-by-program")
    assert by_program == {one for one in seen if one[1] == "Faster support"}
    both = filtered(admin, report_id(moodle), programtitle="Faster support", team="North")
    admin.shot("7-admin-filtered-by-program-and-team")
    assert both == {("Finn Learner", "Faster support")}

    # She gives it to everybody, each of whom will see their own, and schedules it.
    give_to_everybody(admin, report_id(moodle))
    schedule(admin, moodle, report_id(moodle))

    # Each teacher sees the learners of the own course, and nobody else's.
    for teacher, program in (("teacher1", "Better sales calls"), ("teacher2", "Faster support")):
        one = visit(teacher)
        one.go(f"/reportbuilder/view.php?id={report_id(moodle)}")
        one.shot(f"10-{teacher}")
        assert names_and_programs(one) == {row for row in seen if row[1] == program}
    learner = visit("learner08")
    learner.go(f"/reportbuilder/view.php?id={report_id(moodle)}")
    learner.shot("11-learner08")
    assert names_and_programs(learner) == {("Hugo Learner", "Faster support")}

    # The mail of the schedule tells nobody more than the page does.
    mails = sent(moodle)
    assert mails["teacher2@example.com"] == {row for row in seen if row[1] == "Faster support"}
    assert mails["teacher1@example.com"] == {row for row in seen if row[1] == "Better sales calls"}
    assert mails["learner08@example.com"] == {("Hugo Learner", "Faster support")}
    assert mails["learner11@example.com"] <= {("Kim Learner", "Faster support")}


def give_to_everybody(admin: Visitor, number: int) -> None:
    """Add the audience `All users` on the report's page."""
    admin.go(f"/reportbuilder/edit.php?id={number}")
    admin.press("Audience")
    if "There are no audiences for this report" in admin.text():
        admin.press("All users")
        admin.press("Save changes")
    admin.until("!document.body.innerText.includes('There are no audiences')", "there is an audience")
    admin.shot("8-admin-audience")


def schedule(admin: Visitor, moodle: Moodle, number: int) -> None:
    """Schedule the report as its recipients see it, and have it sent at once."""
    admin.go(f"/reportbuilder/edit.php?id={number}")
    admin.press("Schedules")
    admin.press("New schedule")
    admin.fill(".modal input[name=name]", "Every Monday")
    admin.choose(".modal select[name=recurrence]", "Weekly")
    admin.choose(".modal select[name=userviewas]", "Schedule recipient")
    admin.fill(".modal input[type=checkbox][name^='audiences[']", "yes")
    admin.fill(".modal input[name=subject]", "On-the-job performance")
    admin.fill(".modal textarea[name='message[text]']", "As it stands today.")
    admin.shot("9-admin-schedule")
    admin.press("Save", ".modal button")
    admin.until("document.body.innerText.includes('Every Monday')", "the schedule is listed")
    admin.shot("9b-admin-schedules")
    moodle.execute("update mdl_reportbuilder_schedule set timenextsend = 1 where reportid = %s", number)
    moodle.task(r"\core_reportbuilder\task\send_schedules")
    moodle.cron()


def sent(moodle: Moodle) -> dict[str, set[tuple[str, str]]]:
    """Give what was mailed as the report, by who got it: who stands in it, and in which program."""
    found: dict[str, set[tuple[str, str]]] = {}
    for text in moodle.mails():
        mail = email.message_from_string(text)
        if mail["Subject"] != "On-the-job performance":
            continue
        for part in mail.walk():
            if part.get_filename():
                content = part.get_payload(decode=True)
                assert isinstance(content, bytes)
                rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
                found[mail["To"].rpartition("<")[2].strip("> ")] = {(row[0], row[1]) for row in rows[1:]}
    return found


def test_what_a_learner_did_comes_back_when_moodle_asks_for_it(moodle, up, visit, shots):
    company = up(push=False)
    made = company.tree.run("credential", "create", "--name", "plugin", "--scope", "reports/read", "--json")
    credential = json.loads(made.stdout)
    admin = visit("admin")
    for name, value in {
        "mode": "pull",
        "url": company.tree.endpoint["url"].rstrip("/"),
        "key": credential["key"],
        "secret": credential["secret"],
    }.items():
        moodle.configure(name, value, "local_lrsbridge")
    try:
        admin.go("/local/lrsbridge/testconnection.php")
        admin.shot("20-admin-connection-works")
        everybody_learns(moodle, visit, company, "learner02")
        assert_brought_back(moodle, company, "learner02", pull=True)

        admin.go(f"/reportbuilder/view.php?id={report_id(moodle)}")
        admin.press("Filters")
        admin.press("Reset all", "[data-region=report-filters] input[type=submit]")  # Moodle keeps those of last time
        admin.go(f"/reportbuilder/view.php?id={report_id(moodle)}")
        admin.shot("21-admin-report-pulled")
        assert ("Ben Learner", "Better sales calls") in names_and_programs(admin)
    finally:
        moodle.configure("mode", "push", "local_lrsbridge")


def report(text: str) -> None:
    """Say what was measured; shown by `pytest -rP`."""
    print(text)  # noqa: T201
