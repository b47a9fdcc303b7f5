"""Launches from an LMS in a real browser: in a frame and in a window, and how the pages look there."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

import pytest
from browser import Browser
from company import LMS, done, scored, write_folder
from lti_platform import FakePlatform, fake_platform
from test_page_in_browser import assert_sound, post, shot
from trees import Start, Tree, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PEOPLE = ("ann", "bo", "cy", "di", "ed", "flo")
NAMES = ("Ann Archer", "Bo Berg", "Cy Clark", "Di Dunn", "Ed Eaton", "Florence Fitzgerald-Featherstonehaugh")
PROGRAM = """\
population: {team: [North, South]}
skills:
  - {name: calm, title: Calm calls, moments: [an angry customer], activities: ["%s/quiz/43"], required: 0.6}
  - {name: close, title: Closing, moments: [a hesitant buyer], activities: ["%s/quiz/99"], required: 0.6}
""".replace("%s", LMS)


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def attempts(who: str, score: float, number: int) -> list[dict[str, Any]]:
    """Tests days apart, so that they count as remembered."""
    return [
        scored(who, score, ago(4 * day + 1)) | {"id": str(uuid5(NAMESPACE_URL, f"{who} {day}"))}
        for day in range(number)
    ]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "profile")
    yield made
    made.close()


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    with fake_platform() as made:
        made.courses = {"7": "Calm calls"}
        made.add_user("T", "Tea Cher", "tea@example.com", c7="Instructor")
        for number, name in enumerate(NAMES, 1):
            made.add_user(f"E{number}", name, f"{PEOPLE[number - 1]}@example.com", c7="Learner")
        yield made


@pytest.fixture
def tree(start: Start, tmp_path: Path, platform: FakePlatform) -> Tree:
    """A running `up` with six people in a program, and the platform registered by its own registration."""
    folder = tmp_path / "company"
    write_folder(folder)
    program = (folder / "program.yaml").read_text()
    (folder / "program.yaml").write_text(program.replace("metrics: [", f"{PROGRAM}metrics: ["))
    people = (folder / "people.yaml").read_text()
    account = f"      - account: {{home_page: \"'{LMS}'\", name: row.number}}\n"
    (folder / "people.yaml").write_text(
        people.replace("      - mbox: row.email\n", f"      - mbox: row.email\n{account}")
    )
    with (folder / "staff.csv").open("a") as file:
        for number, who in list(enumerate(PEOPLE, 1))[2:]:
            file.write(f"E{number},{NAMES[number - 1]},{'North' if number % 2 else 'South'},{who}@example.com,{who}\n")
    with (folder / "tickets.csv").open("a") as file:
        for number, days in enumerate((40, 35, 20, 8)):
            file.write(f"N{number},{ago(days)},ann,{ago(days)},{60 - 10 * number}\n")
    running = start(LRS_BRIDGE_MAPPINGS=str(folder))
    post(running.endpoint, [done(who, ago(30)) for who in PEOPLE[:5]])
    post(running.endpoint, [*attempts("ann", 9, 12), *attempts("bo", 1, 12), *attempts("flo", 5, 1)])
    told = running.run(
        "lti", "invite", platform.url, "--home-page", LMS, "--course-url", "{home_page}/course/{context_id}", "--json"
    )
    running.invitation = json.loads(told.stdout)["address"]
    return running


def course_page(platform: FakePlatform, user: str, target: str) -> str:
    [client] = platform.clients
    return f"{platform.url}/course?{urlencode({'user': user, 'course': '7', 'client': client, 'target': target})}"


def test_learner_and_teacher_come_from_their_course(browser: Browser, tree: Tree, platform: FakePlatform) -> None:
    url = tree.endpoint["url"]
    platform.registration_tokens.add("once")
    platform.tool_keys = lambda: json.loads(fetched(f"{url}/lti/jwks"))

    # --- the platform registers itself, as its administrator opens the address
    query = {"openid_configuration": f"{platform.url}/openid-configuration", "registration_token": "once"}
    browser.go(f"{tree.invitation}?{urlencode(query)}")
    assert "Registered" in browser.run("document.querySelector('h1').textContent")
    assert_sound(browser)
    wait_until(lambda: published(tree), "rows are published")

    # --- a learner, in a window
    browser.size(1280, 900)
    browser.go(course_page(platform, "E1", "_self"))
    wait_until(lambda: at(browser, "/lti/s/"), "the learner is in")
    assert browser.run("document.querySelector('h1').textContent") == "How I am doing"
    assert_sound(browser)
    assert_tables(browser)
    assert "Ann Archer" in browser.run("document.body.innerText")
    shot(browser, "lti-learner")
    browser.size(360, 740)
    assert_sound(browser)
    shot(browser, "lti-learner-narrow")
    whole(browser, "lti-learner-narrow-whole")
    for picture in browser.run("[...document.querySelectorAll('svg[role=img]')].map((one) => one.ariaLabel)"):
        assert "Before: " in picture
        assert "Since: " in picture

    # --- their teacher, in a frame: the platform may show it there
    browser.size(1280, 900)
    browser.go(course_page(platform, "T", "tool"))
    wait_until(lambda: "who needs what" in framed(browser), "the teacher's page is in the frame")

    # --- and in a window
    browser.go(course_page(platform, "T", "_self"))
    wait_until(lambda: at(browser, "/programs/calm-calls"), "the teacher is in")
    assert_sound(browser)
    assert_tables(browser)
    shot(browser, "lti-course")
    browser.size(360, 740)
    assert_sound(browser)
    shot(browser, "lti-course-narrow")
    whole(browser, "lti-course-narrow-whole")
    browser.size(1280, 900)
    whole(browser, "lti-course-whole")
    browser.loading(lambda: browser.run("document.querySelector('tbody a').click()"))
    assert at(browser, "/learners/")
    assert_sound(browser)
    whole(browser, "lti-person")

    # --- the address alone opens nothing
    page = browser.run("location.href")
    browser.call("Network.clearBrowserCookies")
    browser.complaints.clear()
    browser.go(page)
    assert "from your course" in browser.run("document.body.innerText")
    assert_sound(browser)
    shot(browser, "lti-ended")

    assert [asked for asked in browser.requests if not asked.startswith((url, platform.url, "about:", "data:"))] == []


@pytest.mark.parametrize("storage", ["yes", ""])
def test_browser_that_keeps_cookies_out_of_frames_comes_in_by_a_window(
    browser: Browser, start: Start, tmp_path: Path, storage: str
) -> None:
    """Another site's frame gets no cookie of ours over HTTP, as no frame does where browsers are strict."""
    write_folder(tmp_path / "company")
    tree = start(LRS_BRIDGE_MAPPINGS=str(tmp_path / "company"))
    with fake_platform("localhost") as platform:
        platform.courses = {"7": "Calm calls"}
        platform.add_user("E1", "Ann Archer", "ann@example.com", c7="Learner")
        platform.add_client(redirect_uri=f"{tree.endpoint['url'].rstrip('/')}/lti/launch")
        addresses = {name: f"{platform.url}/{name.partition('-')[0]}" for name in ("auth-url", "token-url", "jwks-url")}
        options = [word for name, address in addresses.items() for word in (f"--{name}", address)]
        tree.run("lti", "register", "--issuer", platform.url, "--client-id", "tool", "--deployment", "1", *options)

        browser.size(1280, 900)
        browser.go(f"{course_page(platform, 'E1', 'tool')}&storage={storage}")
        frame = Frame(browser)
        wait_until(lambda: "Open in a new window" in frame.run("document.body?.innerText ?? ''"), "the button is there")
        if not storage:
            wait_until(lambda: not frame.run("document.querySelector('script')?.src"), "nothing more is tried")
        text = frame.run("document.body.innerText")
        shot(browser, f"lti-frame-without-cookies-{storage or 'no'}-storage")
        if storage:
            wait_until(
                lambda: "You are signed in from" in frame.run("document.body.innerText"), "the storage proves it"
            )
        else:
            assert "keeps pages within other pages from remembering" in text
        assert "do not know you yet" not in text

        before = windows_of(browser)
        frame.run("document.querySelector('form:not([hidden]) button').click()", gesture=True)
        wait_until(lambda: len(windows_of(browser) - before) == 1, "a window opens")
        [window] = windows_of(browser) - before
        other = Frame(browser, window)
        wait_until(lambda: "we do not know you yet" in other.run("document.body?.innerText ?? ''"), "they are in there")
        assert "/lti/s/" in other.run("location.pathname")


class Frame:
    """A frame of another site, or another window: targets of their own to the browser."""

    def __init__(self, browser: Browser, target: str | None = None) -> None:
        self.browser, self.target = browser, target

    def run(self, script: str, *, gesture: bool = False) -> Any:
        target = self.target or self._frame()
        if target is None:
            return ""
        before = self.browser._session
        try:
            self.browser._session = ""
            attached = self.browser.call("Target.attachToTarget", targetId=target, flatten=True)
            self.browser._session = attached["sessionId"]
            asked = {"expression": script, "returnByValue": True, "userGesture": gesture}
            return self.browser.call("Runtime.evaluate", **asked)["result"].get("value") or ""
        except AssertionError:
            return ""  # it is just going elsewhere
        finally:
            self.browser._session = before

    def _frame(self) -> str | None:
        return next((one["targetId"] for one in targets(self.browser) if one["type"] == "iframe"), None)


def at(browser: Browser, path: str) -> bool:
    return path in browser.run("location.pathname") and browser.run("document.readyState") == "complete"


def targets(browser: Browser) -> list[dict[str, Any]]:
    return browser.call("Target.getTargets")["targetInfos"]


def windows_of(browser: Browser) -> set[str]:
    return {one["targetId"] for one in targets(browser) if one["type"] == "page"}


def framed(browser: Browser) -> str:
    """Give what stands in all frames, those of other origins too."""
    browser.call("DOM.enable")
    tree = browser.call("DOM.getFlattenedDocument", depth=-1, pierce=True)["nodes"]
    return " ".join(node["nodeValue"] for node in tree if node["nodeName"] == "#text")


def published(tree: Tree) -> bool:
    return '"learner": "E6"' in tree.run("report", "calm", "--json").stdout


def fetched(address: str) -> str:
    from urllib.request import urlopen

    with urlopen(address) as answer:
        return answer.read().decode()


def whole(browser: Browser, name: str) -> None:
    """Take a picture of all of the page."""
    width = browser.run("innerWidth")
    browser.size(width, browser.run("document.documentElement.scrollHeight"))
    shot(browser, name)


def assert_tables(browser: Browser) -> None:
    for table in browser.run("""[...document.querySelectorAll("table")].map((table) => ({
        unscoped: table.querySelectorAll("th:not([scope])").length,
        widths: [...table.querySelectorAll("tbody tr")].map((row) => row.cells.length),
        heads: [...table.querySelectorAll("thead tr:first-child > *")].reduce((sum, one) => sum + one.colSpan, 0),
        region: table.parentElement.getAttribute("role"),
    }))"""):
        assert table["unscoped"] == 0
        assert set(table["widths"]) == {table["heads"]}
        assert table["region"] == "region"
