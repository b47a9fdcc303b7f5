"""Our pages in Moodle by LTI 1.3: registered by an admin, put into a course by a teacher, seen by teacher and learner.

Moodle is the platform: what is refused here is what it signed itself, used a second time or by somebody else.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from moodle import PASSWORD, Moodle
from pages import Visitor, visitor
from trees import CLEAN, COMMAND, Tree, wait_until

pytestmark = pytest.mark.moodle

DOCUMENTS = """\
kind: learning
name: tests
rules:
  - {{name: done, when: "verb == 'https://example.com/verbs/did'", fact: completed, course: statement.object.id}}
---
kind: program
name: sales-calls
title: Better sales calls
courses: ["{SALES}"]
completion: {{of: ["{SALES}"]}}
skills: [{{name: asking, title: Asking, activities: ["{SALES}"], required: 0.7}}]
---
kind: program
name: faster-support
title: Faster support
courses: ["{SUPPORT}"]
completion: {{of: ["{SUPPORT}"]}}
"""
Visit = Callable[[str], Visitor]


@pytest.fixture
def shots(moodle: Moodle) -> Path:
    folder = Path(os.environ.get("LRS_BRIDGE_SHOTS", moodle.folder / "shots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visit(moodle: Moodle, shots: Path, tmp_path: Path) -> Iterator[Visit]:
    """Let somebody come with a browser of their own."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(visitor(moodle, name, tmp_path / f"profile-{name}", shots))


@pytest.fixture
def bridge(moodle: Moodle, tmp_path: Path) -> Iterator[Tree]:
    """A running `up` where three learners have completed the course SALES, and one SUPPORT."""
    (tmp_path / "company").mkdir()
    courses = {name: address_of(moodle, name) for name in ("SALES", "SUPPORT")}
    (tmp_path / "company" / "company.yaml").write_text(DOCUMENTS.format(**courses))
    data = tmp_path / "data"
    env = CLEAN | {"LRS_BRIDGE_MAPPINGS": str(tmp_path / "company")}
    with (tmp_path / "up.out").open("ab") as out:
        process = subprocess.Popen([*COMMAND, "up", "--data-dir", str(data)], env=env, stdout=out, stderr=out)
    tree = Tree(data, process, env)
    try:
        wait_until(lambda: (data / "endpoint.json").exists() or process.poll() is not None, "it is up")
        statements = [done(moodle, f"learner0{number}", "SALES") for number in (1, 2, 3)]
        post(tree.endpoint, [*statements, done(moodle, "learner08", "SUPPORT")])
        wait_until(lambda: len(records(tree)) == 4, "the records are there")
        yield tree
    finally:
        tree.stop()


def done(moodle: Moodle, username: str, course: str) -> dict[str, Any]:
    return {
        "actor": {
            "name": username.capitalize(),
            "account": {"homePage": moodle.url, "name": str(moodle.site["users"][username])},
        },
        "verb": {"id": "https://example.com/verbs/did"},
        "object": {"id": address_of(moodle, course)},
        "timestamp": "2026-10-14T09:00:00Z",
    }


def address_of(moodle: Moodle, course: str) -> str:
    return f"{moodle.url}/course/view.php?id={moodle.site['courses'][course]['id']}"


def post(endpoint: dict[str, str], statements: list[dict[str, Any]]) -> None:
    address, auth = f"{endpoint['xapi'].rstrip('/')}/statements", (endpoint["key"], endpoint["secret"])
    headers = {"X-Experience-API-Version": "1.0.3"}
    assert requests.post(address, json=statements, auth=auth, headers=headers, timeout=30).ok


def records(tree: Tree) -> list[dict[str, Any]]:
    endpoint = tree.endpoint
    address, auth = f"{endpoint['url'].rstrip('/')}/api/v1/records", (endpoint["key"], endpoint["secret"])
    return list(requests.get(address, auth=auth, timeout=30).json()["items"])


def register(admin: Visitor, tree: Tree, moodle: Moodle) -> int:
    """Register us as an admin does: paste the address, look, switch on; gives the tool's number."""
    moodle.execute("truncate mdl_lti_types, mdl_lti_types_config")  # of an earlier run: Moodle would offer to update it
    invitation = json.loads(tree.run("lti", "invite", moodle.url, "--json").stdout)["address"]
    admin.go("/mod/lti/toolconfigure.php")
    admin.fill("input[name=url]", invitation)
    admin.press("Add LTI Advantage")

    def added() -> set[int]:
        return {number for (number,) in moodle.rows("select id from mdl_lti_types")}

    wait_until(lambda: bool(added()), "Moodle has the tool")
    [number] = added()
    admin.until("document.body.innerText.includes('lrs-bridge')", "the tool is listed")
    admin.shot("lti-1-admin-registered")
    admin.press("Activate")
    wait_until(lambda: moodle.rows("select state from mdl_lti_types where id = %s", number) == [(1,)], "it is on")
    return number


def put_into_course(teacher: Visitor, moodle: Moodle, tool: int, course: str) -> int:
    """Add the tool as an activity, as a teacher does; gives its course module."""
    number = moodle.site["courses"][course]["id"]
    teacher.go(f"/course/modedit.php?add=lti&typeid={tool}&course={number}&section=0&return=0")
    teacher.press("Select content")
    wait_until(lambda: "What should the link show?" in framed(teacher), "our links can be chosen (deep linking)")
    teacher.shot("lti-2-teacher-chooses")
    in_frame(teacher, "document.querySelector('form button').click()")
    teacher.until("document.querySelector('#id_name').value === 'How I am doing'", "Moodle has taken the link")
    known = activities(moodle)
    teacher.press("Save and display")
    wait_until(lambda: len(activities(moodle)) > len(known), "the activity is there")
    [made] = activities(moodle) - known
    teacher.go(f"/mod/lti/view.php?id={made}")
    return made


def activities(moodle: Moodle) -> set[int]:
    """Give the course modules that are external tools."""
    found = moodle.rows(
        "select cm.id from mdl_course_modules cm join mdl_modules m on m.id = cm.module where m.name = 'lti'"
    )
    return {number for (number,) in found}


def framed(one: Visitor) -> str:
    """Give what stands in all frames of the page."""
    one.browser.call("DOM.enable")
    nodes = one.browser.call("DOM.getFlattenedDocument", depth=-1, pierce=True)["nodes"]
    return " ".join(node["nodeValue"] for node in nodes if node["nodeName"] == "#text")


def in_frame(one: Visitor, script: str) -> None:
    """Run a script in the frame that shows our page, as whoever looks at it would click there."""

    def ours(node: dict[str, Any]) -> Iterator[str]:
        if "/lti/s/" in node["frame"]["url"]:
            yield node["frame"]["id"]
        for inner in node.get("childFrames", ()):
            yield from ours(inner)

    frame = next(ours(one.browser.call("Page.getFrameTree")["frameTree"]))
    world = one.browser.call("Page.createIsolatedWorld", frameId=frame)["executionContextId"]
    one.browser.call("Runtime.evaluate", expression=script, contextId=world, userGesture=True)


def form(page: str, address: str) -> tuple[str, dict[str, str]]:
    """Read the form that a page sends by itself: (where to, what)."""
    action = unescape(re.search(r'<form[^>]*action="([^"]*)"', page)[1])
    fields = {}
    for tag in re.findall(r"<input[^>]*>", page):
        name, value = (re.search(rf'{key}="([^"]*)"', tag) for key in ("name", "value"))
        if name:
            fields[unescape(name[1])] = unescape(value[1]) if value else ""
    return urljoin(address, action), fields


def message_of(web: requests.Session, moodle: Moodle, username: str, activity: int) -> tuple[str, dict[str, str]]:
    """Let Moodle sign a launch for somebody, whose browser is `web`; gives what their browser would send us."""
    address = f"{moodle.url}/login/index.php"
    token = web.get(address, timeout=60).text.split('name="logintoken" value="')[1].split('"')[0]
    web.post(address, data={"username": username, "password": PASSWORD, "logintoken": token}, timeout=60)
    launch = f"{moodle.url}/mod/lti/launch.php?id={activity}"
    to_us = form(web.get(launch, timeout=60).text, launch)
    signed = web.post(to_us[0], data=to_us[1], timeout=60)  # our login leads back to Moodle, which signs
    assert signed.url.startswith(f"{moodle.url}/mod/lti/auth.php"), signed.text
    return form(signed.text, signed.url)


def test_registered_put_into_a_course_and_seen_by_each_as_they_may(
    moodle: Moodle, bridge: Tree, visit: Visit, shots: Path
) -> None:
    url = bridge.endpoint["url"].rstrip("/")
    tool = register(visit("admin"), bridge, moodle)
    [platform] = json.loads(bridge.run("lti", "list", "--json").stdout)
    assert (platform["issuer"], platform["deployments"]) == (moodle.url, [str(tool)])
    assert platform["course_url"] == "{home_page}/course/view.php?id={context_id}"

    # --- the teacher of SALES sees its learners, and nobody of SUPPORT
    teacher = visit("teacher1")
    activity = put_into_course(teacher, moodle, tool, "SALES")
    wait_until(lambda: "who needs what" in framed(teacher), "the teacher's page is in the frame")
    teacher.shot("lti-2-teacher-in-course")
    text = framed(teacher)
    assert all(f"Learner0{number}" in text for number in (1, 2, 3))
    assert "Learner08" not in text
    teacher.go(f"/mod/lti/launch.php?id={activity}")
    teacher.until("location.pathname.includes('/programs/sales-calls')", "it is open in a window")
    assert "Better sales calls: who needs what" in teacher.text()
    teacher.shot("lti-3-teacher-window")
    [other] = [row for row in records(bridge) if row["body"]["program"] == "faster-support"]
    page = teacher.browser.run("location.href").partition("/programs/")[0]
    teacher.go(f"{page}/programs/faster-support")
    assert "There is nothing here for you" in teacher.text()
    assert other["user"]["name"] not in teacher.text()

    # --- a learner sees themselves, and not what the teacher sees
    learner = visit("learner01")
    learner.go(f"/mod/lti/view.php?id={activity}")
    wait_until(lambda: "How I am doing" in framed(learner) and "Evidence" in framed(learner), "the learner's page")
    learner.shot("lti-4-learner-in-course")
    assert "Learner02" not in framed(learner)
    learner.go(f"/mod/lti/launch.php?id={activity}")
    learner.until("location.pathname.startsWith('/lti/s/')", "it is open in a window")
    assert "Learner01" in learner.text()
    learner.shot("lti-5-learner-window")
    mine = learner.browser.run("location.href").rstrip("/")
    learner.go(f"{mine}/programs/sales-calls")
    assert "There is nothing here for you" in learner.text()
    learner.go(f"{page}/programs/sales-calls")  # the teacher's address, without the teacher's cookie
    assert "Please open this page again from your course" in learner.text()

    # --- somebody without a record is told so
    newcomer = visit("learner06")
    newcomer.go(f"/mod/lti/launch.php?id={activity}")
    newcomer.until("document.body.innerText.includes('do not know you yet')", "they are told")
    newcomer.shot("lti-6-unknown")

    # --- what Moodle signed is good once, and in the browser that asked for it
    with requests.Session() as web:
        address, signed = message_of(web, moodle, "teacher1", activity)
        assert address == f"{url}/lti/launch"
        with requests.Session() as stranger:
            assert "Open in a new window" in stranger.post(address, data=signed, timeout=30).text
        forged = signed | {"id_token": signed["id_token"][:-4] + "AAAA"}
        first = web.post(address, data=signed, allow_redirects=False, timeout=30)
        assert first.status_code == 303, first.text
        again = web.post(address, data=signed, allow_redirects=False, timeout=30)
        assert (again.status_code, "was used before" in again.text) == (403, True)
        assert web.post(address, data=forged, allow_redirects=False, timeout=30).status_code == 403
    with requests.Session() as web:
        address, signed = message_of(web, moodle, "teacher1", activity)
        head, body, signature = signed["id_token"].split(".")
        broken = signed | {"id_token": f"{head}.{body}.{signature[:-8]}AAAAAAAA"}
        assert web.post(address, data=broken, allow_redirects=False, timeout=30).status_code == 403

    # --- the roster of the course says who is who, without a token of Moodle's web services
    people = json.loads(bridge.run("lti", "roster", moodle.url).stdout)["members"]
    by_id = {one["user_id"]: one for one in people}
    assert str(moodle.site["users"]["learner01"]) in by_id
    assert by_id[str(moodle.site["users"]["learner01"])]["email"]
