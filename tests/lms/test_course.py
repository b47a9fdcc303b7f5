"""What came back into Moodle, as people there see it: each in a Chromium of their own, and from the wrong side.

A learner did a course; the next delivery brought it back; an admin finds it under Custom reports, filters it, shares it
and schedules it; what programs changed, who is ready and how the data are doing stand there in the words and figures of
our interface; a teacher sees the learners of the own course and nobody else's, by whatever way they ask.
"""

import csv
import email
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest
import requests
import trained
from moodle import Moodle
from pages import Visit, Visitor, visitor
from round_trip import (
    PATIENCE_SECONDS,
    Company,
    assert_brought_back,
    company_up,
    everybody_learns,
    names_and_programs,
    report_id,
    signed_in,
)
from trees import wait_until

pytestmark = pytest.mark.moodle

HIDDEN = "objections-in-one-team"
"""The program of a team so small that its figures are hidden."""


@pytest.fixture(scope="module")
def company(moodle: Moodle, shots: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """A company where learner01 did the course in a browser, two programs are estimated, and Moodle was told all."""
    folder = tmp_path_factory.mktemp("company")
    with company_up(moodle, folder, push=True, with_trained=True) as made, ExitStack() as browsers:

        def visit(name: str) -> Visitor:
            return browsers.enter_context(visitor(moodle, name, folder / f"profile-{name}", shots))

        everybody_learns(moodle, visit, made, "learner01")
        assert_brought_back(moodle, made, "learner01")
        yield made


# --- what a learner did -----------------------------------------------------------------------------------------------


def filtered(admin: Visitor, number: int, **by: str) -> set[tuple[str, str]]:
    """Show a report and set filters, by their names in the form."""
    admin.go(f"/reportbuilder/view.php?id={number}")
    admin.press("Filters")
    for name, value in by.items():
        admin.choose(f"select[name='record:{name}_operator']", "Is equal to")
        admin.choose(f"select[name='record:{name}_value']", value)
    admin.press("Apply", "[data-region=report-filters] input[type=submit]")
    return names_and_programs(admin)


def test_what_a_learner_did_comes_back_as_a_custom_report(moodle: Moodle, company: Company, visit: Visit) -> None:
    learned = {("Ada Learner", "Better sales calls"), ("Finn Learner", "Better sales calls")}
    learned |= {("Finn Learner", "Faster support"), ("Hugo Learner", "Faster support")}
    number = report_id(moodle, "records")

    # The admin finds it, and filters by program and team.
    admin = visit("admin")
    admin.go("/reportbuilder/index.php")
    assert "On-the-job performance" in admin.text()
    admin.shot("4-admin-custom-reports")
    admin.go(f"/reportbuilder/view.php?id={number}")
    admin.shot("5-admin-report")
    everything = rows_of(moodle, "admin", number)
    seen = {(row[0], row[1]) for row in everything}
    assert learned <= seen
    by_program = filtered(admin, number, programtitle="Faster support")
    admin.shot("6-admin-filtered-by-program")
    assert by_program == {one for one in seen if one[1] == "Faster support"}
    both = filtered(admin, number, programtitle="Faster support", team="North")
    admin.shot("7-admin-filtered-by-program-and-team")
    assert both == {("Finn Learner", "Faster support")}
    show_all(admin, number)

    # She gives it to everybody, each of whom will see their own, and schedules it.
    give_to_everybody(admin, number)
    schedule(admin, moodle, number)

    # Each teacher sees the learners of the own course, and nobody else's.
    for teacher, program in (("teacher1", "Better sales calls"), ("teacher2", "Faster support")):
        one = visit(teacher)
        one.go(f"/reportbuilder/view.php?id={number}")
        one.shot(f"10-{teacher}")
        assert names_and_programs(one) == {row for row in seen if row[1] == program}
    learner = visit("learner08")
    learner.go(f"/reportbuilder/view.php?id={number}")
    learner.shot("11-learner08")
    assert names_and_programs(learner) == {("Hugo Learner", "Faster support")}

    # The mail of the schedule tells nobody more than the page does.
    mails = sent(moodle)
    assert mails["teacher2@example.com"] == {row for row in seen if row[1] == "Faster support"}
    assert mails["teacher1@example.com"] == {row for row in seen if row[1] == "Better sales calls"}
    assert mails["learner08@example.com"] == {("Hugo Learner", "Faster support")}
    assert mails["learner11@example.com"] <= {("Kim Learner", "Faster support")}
    assert mails["admin@example.com"] == seen


def show_all(admin: Visitor, number: int) -> None:
    """Take filters off: Moodle keeps them for her, on the page, in downloads and in mails to her."""
    admin.go(f"/reportbuilder/view.php?id={number}")
    admin.press("Filters")
    admin.press("Reset all", "[data-region=report-filters] input[type=submit]")


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


# --- what programs changed --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def estimated(moodle: Moodle, company: Company) -> dict[str, dict[str, Any]]:
    """What both programs changed, as our interface says, when Moodle was told the same; by key."""
    for name in trained.PROGRAMS:
        company.tree.run("program", "launch", name, "--by", "the tests", timeout=PATIENCE_SECONDS)
        company.tree.run("impact", name, "--json", timeout=PATIENCE_SECONDS)

    def published() -> dict[str, dict[str, Any]]:
        return {row["key"]: row for row in company.everything("/api/v1/impacts")}

    def told() -> dict[str, str]:
        return dict(moodle.rows("select rowkey, checksum from mdl_local_lrsbridge_impact where deleted = 0"))

    wait_until(lambda: len(published()) == 4, "four effects are published", seconds=PATIENCE_SECONDS)
    wait_until(
        lambda: told() == {key: row["checksum"] for key, row in published().items()},
        "Moodle knows them",
        seconds=PATIENCE_SECONDS,
    )
    return published()


def test_what_programs_changed_stands_in_moodle_as_our_interface_says_it(
    moodle: Moodle, company: Company, estimated: Mapping[str, dict[str, Any]], visit: Visit
) -> None:
    bodies = [row["body"] for row in estimated.values()]
    assert {(one["program"], one["metric"]): one["verdict"] for one in bodies} == {
        ("objections", "satisfaction"): "better",
        ("objections", "follow_ups"): "not enough evidence",
        (HIDDEN, "satisfaction"): "not enough evidence",
        (HIDDEN, "follow_ups"): "not enough evidence",
    }
    assert all(one["estimate"] is None and one["people"] is None for one in bodies if one["program"] == HIDDEN)

    number = report_id(moodle, "impacts")
    expected = {
        (
            one["program_title"],
            one["metric_title"],
            one["horizon"],
            one["verdict"],
            one["sentence"],
            *(decimal(one[key]) for key in ("estimate", "low", "high")),
            one["grade"],
            "" if one["people"] is None else str(one["people"]),
            "" if one["next_look"] is None else f"{datetime.fromisoformat(one['next_look']):%-d %B %Y}",
        )
        for one in bodies
    }
    admin = visit("admin")
    admin.go(f"/reportbuilder/view.php?id={number}")
    admin.shot("12-admin-what-training-changed")
    shown = {tuple(" ".join(cell.split()) for cell in row[:11]) for row in admin.table()[1:] if row[0]}
    assert shown == expected
    assert {tuple(row) for row in rows_of(moodle, "admin", number)} == expected

    # The page of the course says the same to its teacher; who teaches another course is told nothing of it.
    give_to_everybody(admin, number)
    teacher = visit("teacher3")
    teacher.go(f"/local/lrsbridge/course.php?id={moodle.site['courses']['OBJECTIONS']['id']}")
    teacher.shot("13-teacher3-course")
    text = " ".join(teacher.text().split())
    assert all((one["sentence"] in text) == one["primary"] for one in bodies), "of each program the one that counts"
    assert {tuple(row) for row in rows_of(moodle, "teacher3", number)} == expected
    for other in ("teacher1", "teacher2", "learner01", "leader1"):
        assert rows_of(moodle, other, number) == []


def decimal(value: float | None) -> str:
    """Write a number as Moodle does, with two decimals at most."""
    return "" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


# --- from the wrong side ----------------------------------------------------------------------------------------------

EVERYBODY = (
    "admin",
    "manager1",
    "teacher1",
    "teacher2",
    "teacher3",
    "leader1",
    "learner01",
    "learner02",
    "learner08",
    "lrsbridge",
    "guest",
    "nobody",
)
"""learner01 is Ada, whose record is asked for; leader1 leads her; nobody has not signed in."""
OF_ADA = {"admin", "manager1", "teacher1", "leader1", "learner01"}
PAGES: dict[str, tuple[str, str, set[str]]] = {
    "/local/lrsbridge/user.php?id={learner01}": ("-the-job record", "Better sales calls", OF_ADA),
    "/local/lrsbridge/course.php?id={SALES}": ("Ada Learner", "Better sales calls", {"admin", "manager1", "teacher1"}),
    "/local/lrsbridge/team.php": ("Ada Learner", "Better sales calls", {"leader1"}),
    "/local/lrsbridge/health.php": ("Exchange with lrs-bridge", "Forget all rows", {"admin"}),
    "/local/lrsbridge/testconnection.php": ("Test connection", "Settings", {"admin"}),
    "/user/profile.php?id={learner01}": ("local/lrsbridge/user.php", "", OF_ADA - {"leader1"}),
    "/reportbuilder/view.php?id={records}": ("Ada Learner", "Better sales calls", OF_ADA),
    "/reportbuilder/download.php?id={records}&download=csv": ("Ada Learner", "Better sales calls", OF_ADA),
    "/reportbuilder/edit.php?id={records}": ("Audience", "Schedules", {"admin"}),
    "/reportbuilder/view.php?id={impacts}": ("Handling objections", "Satisfaction", {"admin", "manager1", "teacher3"}),
    "/reportbuilder/download.php?id={impacts}&download=csv": (
        "Handling objections",
        "Satisfaction",
        {"admin", "manager1", "teacher3"},
    ),
}
"""A page, two things that it says to those who may see it, and who they are. The profile as such Moodle shows to who
shares a course with her alone; leader1 finds her on the page of the team."""


def test_a_record_is_seen_by_those_who_may_and_by_nobody_else_whatever_address_they_type(
    moodle: Moodle, company: Company, estimated: Mapping[str, dict[str, Any]], visit: Visit
) -> None:
    reports = {name: report_id(moodle, name) for name in ("records", "impacts")}
    admin = visit("admin")
    for number in reports.values():
        give_to_everybody(admin, number)  # so that it is the plugin that decides, not the report's audience
    courses = {name: course["id"] for name, course in moodle.site["courses"].items()}
    found: dict[tuple[str, str], bool] = {}
    for who in EVERYBODY:
        with requests.Session() if who == "nobody" else signed_in(moodle, who) as web:
            for page, (first, second, _) in PAGES.items():
                address = page.format(**moodle.site["users"], **courses, **reports)
                text = content(web.get(f"{moodle.url}{address}", timeout=120).text)
                found[who, page] = first in text and second in text
    assert found == {(who, page): who in allowed for who in EVERYBODY for page, (*_, allowed) in PAGES.items()}


def content(page: str) -> str:
    """Give what is on a page, without what Moodle says of whoever looks at it (menu, footer)."""
    main = re.search(r'<div role="main">.*?(?=<footer|$)', page, re.DOTALL)
    heading = " ".join(re.findall(r"<h1.*?</h1>", page, re.DOTALL))
    return f"{heading} {main[0]}" if main else "" if "<html" in page else page


def test_a_token_of_a_web_service_shows_nobody_more_than_their_pages_do(
    moodle: Moodle, company: Company, estimated: Mapping[str, dict[str, Any]]
) -> None:
    number = report_id(moodle, "records")
    whole = rows_of(moodle, "admin", number)
    for who, token in moodle.site["readers"].items():
        answer = moodle.call("core_reportbuilder_retrieve_report", token, reportid=number, page=0, perpage=1000)
        seen = [[strip(cell) for cell in row["columns"]] for row in answer["data"]["rows"]]
        names = {row[0] for row in seen}
        match who:
            case "manager1":
                assert len(seen) == len(whole)
            case "teacher1" | "leader1" | "learner01":
                assert "Ada Learner" in names
                assert who != "leader1" or names == {"Ada Learner"}
            case _:
                assert "Ada Learner" not in names
        # Functions of ours ask for their own capability, whatever service an admin put them into.
        for function, more in (
            ("local_lrsbridge_status", {}),
            ("local_lrsbridge_held", {"feed": "records"}),
            ("local_lrsbridge_push_rows", {"rows": "[]"}),
            ("local_lrsbridge_resend_failed", {"courseid": moodle.site["courses"]["SALES"]["id"]}),
        ):
            refused = moodle.call(function, token, **more)
            assert refused.get("errorcode") == "nopermissions", (who, function, refused)


def strip(cell: Any) -> str:
    return re.sub(r"<[^>]*>", "", str(cell or "")).strip()


def rows_of(moodle: Moodle, who: str, number: int) -> list[list[str]]:
    """Give a report's rows as somebody downloads them."""
    with signed_in(moodle, who) as web:
        answer = web.get(f"{moodle.url}/reportbuilder/download.php?id={number}&download=csv", timeout=120)
    assert answer.headers["Content-Type"].startswith("text/csv"), answer.text[:500]
    return list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))[1:]


# --- who is ready, how the data are doing: last, for it takes a while to be told --------------------------------------


def test_readiness_and_health_become_custom_reports_without_code(
    moodle: Moodle, company: Company, estimated: Mapping[str, dict[str, Any]], visit: Visit
) -> None:
    admin = visit("admin")
    ready = make_report(admin, moodle, "Who is ready", "Readiness (lrs-bridge)", "readiness")
    admin.shot("14-admin-readiness-made")
    admin.go(f"/reportbuilder/view.php?id={ready}")
    admin.shot("15-admin-readiness")
    names = {
        number: f"{first} {last}" for number, first, last in moodle.rows("select id, firstname, lastname from mdl_user")
    }

    def published() -> list[tuple[str, ...]]:
        rows = company.everything("/api/v1/readiness", site=moodle.url)
        return sorted(
            (
                names[int(row["user"]["accounts"][0]["name"])] if row["user"]["accounts"] else "",
                row["body"]["skill_title"],
                row["body"]["state"] or "",
                decimal(None if row["body"]["level"] is None else 100 * row["body"]["level"]),
                row["body"]["next_practice"] or "",
            )
            for row in rows
        )

    def held() -> list[tuple[str, ...]]:
        return sorted((row[0], row[1], row[2], row[3], row[5]) for row in rows_of(moodle, "admin", ready))

    wait_until(lambda: held() == published(), "readiness is the same on both sides", seconds=PATIENCE_SECONDS)
    assert {row[2] for row in held()} >= {"unknown", "ready"}, "some are ready, of some nobody can say"

    give_to_everybody(admin, ready)
    one = visit("teacher1")
    one.go(f"/reportbuilder/view.php?id={ready}")
    one.shot("16-teacher1-readiness")
    of_sales = {row[0] for row in rows_of(moodle, "teacher1", ready)}
    assert "Ada Learner" in of_sales
    assert of_sales <= {names[moodle.site["users"][f"learner{number:02d}"]] for number in range(1, 7)}
    assert {row[0] for row in rows_of(moodle, "learner01", ready)} == {"Ada Learner"}

    health = make_report(admin, moodle, "Are the data in order", "Data health (lrs-bridge)", "health")

    def ours() -> list[tuple[str, ...]]:
        bodies = [row["body"] for row in company.everything("/api/v1/health")]
        return sorted((one["kind"], one["title"], one["state"], one["message"] or "") for one in bodies)

    def theirs() -> list[tuple[str, ...]]:
        return sorted((row[0], row[1], row[2], row[3]) for row in rows_of(moodle, "admin", health))

    fine = {("stream", "ok"), ("source", "ok"), ("destination", "ok"), ("estimate", "ok")}

    def up_to_date() -> bool:
        return {(row[0], row[2]) for row in ours()} == fine and theirs() == ours()  # it is told every five minutes

    wait_until(up_to_date, "health is the same on both sides", seconds=PATIENCE_SECONDS)
    admin.go(f"/reportbuilder/view.php?id={health}")
    admin.shot("17-admin-data-health")
    give_to_everybody(admin, health)
    for other in ("teacher1", "teacher3", "learner01", "leader1"):
        assert rows_of(moodle, other, health) == []


def make_report(admin: Visitor, moodle: Moodle, name: str, source: str, short: str) -> int:
    """Make a custom report as an admin does, with what its source proposes; gives its id."""
    admin.go("/reportbuilder/index.php")
    admin.press("New report")
    admin.fill(".modal input[name=name]", name)
    admin.choose(".modal select[name=source]", source)
    admin.press("Save", ".modal button")
    admin.until("location.pathname.endsWith('/reportbuilder/edit.php')", "the report can be edited")
    admin.settle()
    return report_id(moodle, short)
