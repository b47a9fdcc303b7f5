"""From a course in Moodle into our store and back into Moodle's table: our `up`, a company's documents, a learner."""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import requests
import staff
import trained
from installed import free_port
from moodle import PASSWORD, Moodle
from pages import Visit, Visitor
from trees import CLEAN, COMMAND, Tree, wait_until

IN_STORE_SECONDS = 60
"""After cron."""
PATIENCE_SECONDS = 600
"""For what says nothing of us but how busy the machine is."""


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


def signed_in(moodle: Moodle, username: str) -> requests.Session:
    """Let somebody in without a browser, quicker; `guest` too."""
    web = requests.Session()
    page = web.get(f"{moodle.url}/login/index.php", timeout=60).text
    token = page.split('name="logintoken" value="')[1].split('"')[0]
    password = "guest" if username == "guest" else PASSWORD
    form = {"username": username, "password": password, "logintoken": token}
    assert "/login/" not in web.post(f"{moodle.url}/login/index.php", data=form, timeout=60).url, username
    return web


def look_at(moodle: Moodle, username: str, *paths: str) -> None:
    """Let somebody open pages."""
    with signed_in(moodle, username) as web:
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

    def everything(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Ask for a list, page by page."""
        found, following = list[dict[str, Any]](), f"{path}?{urlencode({'limit': 100, **query})}"
        while following:
            page = self.get(following)
            found += page["items"]
            following = page["next"]
        return found

    def post(self, statements: Sequence[dict[str, Any]]) -> None:
        """Store statements as an LMS does."""
        endpoint = self.tree.endpoint
        address, auth = f"{endpoint['xapi'].rstrip('/')}/statements", (endpoint["key"], endpoint["secret"])
        headers = {"X-Experience-API-Version": "1.0.3"}
        for start in range(0, len(statements), 100):
            batch = statements[start : start + 100]
            answer = requests.post(address, json=batch, auth=auth, headers=headers, timeout=60)
            assert answer.ok, answer.text

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
            "maxbatchsize": "250",  # of events in one run of cron; it begins with 30
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


@contextmanager
def company_up(moodle: Moodle, folder: Path, *, push: bool, with_trained: bool = False) -> Iterator[Company]:
    """Start our `up` with the company's documents, on a Moodle that holds nothing of ours."""
    moodle.forget()
    staff.write(folder / "company", moodle, push=push, rosters=trained.roster(moodle) if with_trained else "")
    made = trained.write(folder / "company", moodle) if with_trained else None
    env = CLEAN | {
        "LRS_BRIDGE_MAPPINGS": str(folder / "company"),
        "LRS_BRIDGE_SOURCE_MOODLE_TOKEN": moodle.site["token"],
    }
    where = folder / "bridge"
    with (folder / "bridge.out").open("ab") as out:
        command = [*COMMAND, "up", "--data-dir", str(where), "--port", str(free_port())]
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, cwd=folder)
    tree = Tree(where, process, env)
    try:
        answers = (where / "endpoint.json").exists
        wait_until(lambda: answers() or process.poll() is not None, "our server answers", seconds=PATIENCE_SECONDS)
        assert answers(), (folder / "bridge.out").read_text()
        company = Company(tree, moodle)
        if made is not None:
            company.post(made.statements)
        yield company
    finally:
        tree.stop()


def everybody_learns(moodle: Moodle, visit: Visit, company: Company, learner: str) -> None:
    """Let one learner do the course in Chromium and two look around; cron then brings it to our store in a minute."""
    company.send_statements()
    do_the_course(visit(learner), moodle.site["courses"]["SALES"])
    for name, course in (("learner06", "SALES"), ("learner06", "SUPPORT"), ("learner08", "SUPPORT")):
        look_at(moodle, name, f"/mod/page/view.php?id={moodle.site['courses'][course]['listen']}")
    moodle.cron()
    after_cron = time.monotonic()
    assert moodle.rows("select count(*) from mdl_logstore_xapi_log") == [(0,)], "one run of cron has sent everything"
    wait_until(lambda: company.completed(learner), "the record is in our store", seconds=IN_STORE_SECONDS)
    report(f"in our store {time.monotonic() - after_cron:.0f} s after cron")


def assert_brought_back(moodle: Moodle, company: Company, learner: str, *, pull: bool = False) -> None:
    """Wait until Moodle's table has what is published, and the learner's completion and score with it."""
    names = {str(number): name for number, name in moodle.rows("select id, username from mdl_user")}

    def same() -> bool:
        if pull:
            moodle.task(r"\local_lrsbridge\task\pull_rows")  # cron's, again and again
        rows = company.everything("/api/v1/records", site=moodle.url)
        ours = {(names[row["user"]["accounts"][0]["name"]], row["body"]["program"]): shown(row["body"]) for row in rows}
        _, done, best = ours.get((learner, "sales-calls"), (None, None, None))
        return done is not None and best == 1 and held(moodle) == ours

    wait_until(same, "Moodle has what we publish", seconds=PATIENCE_SECONDS)
    record = company.record(learner)
    assert record is not None
    assert held(moodle)[learner, "sales-calls"] == shown({"team": "North", **record})


def shown(body: dict[str, Any]) -> tuple[Any, ...]:
    """Give of a record what `held` gives, as Moodle keeps it."""
    done, best = body["completed_at"], body["best_score"]
    at = None if done is None else int(datetime.fromisoformat(done).timestamp())
    return body["team"], at, None if best is None else round(Decimal(str(best)), 6)


def report_id(moodle: Moodle, source: str) -> int:
    """Give the first custom report of a source of ours: `records`, `impacts`, `readiness` or `health`."""
    name = rf"local_lrsbridge\reportbuilder\datasource\{source}"
    return int(moodle.rows("select min(id) from mdl_reportbuilder_report where source = %s", name)[0][0])


def names_and_programs(one: Visitor) -> set[tuple[str, str]]:
    """Read a report as it is shown: who, and in which program."""
    return {(row[0], row[1]) for row in one.table()[1:] if len(row) > 1 and row[0]}


def report(text: str) -> None:
    """Say what was measured; shown by `pytest -rP`."""
    print(text)  # noqa: T201
