"""The pages as people meet them: in a real browser, by keyboard, on a narrow screen, in another time zone."""

import base64
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from company import done, scored, write_folder
from trees import Start, Tree, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SHOTS = os.environ.get("LRS_BRIDGE_SHOTS")
"""A folder to keep pictures in, for whoever changes the pages and wants to look at them."""


def post(endpoint: dict[str, str], statements: list[dict[str, Any]]) -> None:
    pair = base64.b64encode(f"{endpoint['key']}:{endpoint['secret']}".encode()).decode()
    headers = {
        "Authorization": f"Basic {pair}",
        "Content-Type": "application/json",
        "X-Experience-API-Version": "1.0.3",
    }
    body = json.dumps(statements).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint['xapi']}statements", body, headers), timeout=10):
        pass


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "profile")
    yield made
    made.close()


@pytest.fixture
def tree(start: Start, tmp_path: Path) -> Tree:
    """A running `up` on the company's folder, with a report of two learners."""
    write_folder(tmp_path / "company")
    running = start(LRS_BRIDGE_MAPPINGS=str(tmp_path / "company"))
    post(running.endpoint, [done("ann"), done("bo"), scored("ann", 9)])
    wait_until(
        lambda: len(json.loads(running.run("report", "calm", "--json").stdout)["rows"]) == 2, "both have records"
    )
    return running


def focused(browser: Browser) -> str:
    """Name what has the focus, as a person would."""
    return browser.run("document.activeElement.id || document.activeElement.textContent.trim()")


def focus_is_visible(browser: Browser) -> bool:
    return browser.run("""(() => {
        const style = getComputedStyle(document.activeElement), box = document.activeElement.getBoundingClientRect();
        return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
            && box.left >= 0 && box.top >= 0 && box.width > 0;
    })()""")


def shot(browser: Browser, name: str) -> None:
    if SHOTS:
        browser.shot(Path(SHOTS) / f"{name}.png")


def assert_sound(browser: Browser) -> None:
    """What must hold on every page (WCAG 2.2 AA, the rules that a program can check: some of ours, then axe-core's)."""
    faults = browser.run("""(() => {
        const all = (selector) => [...document.querySelectorAll(selector)], faults = [];
        const check = (holds, words) => { if (!holds) faults.push(words); };
        check(document.documentElement.lang, "3.1.1 the page names no language");
        check(document.title.includes("lrs-bridge"), "2.4.2 the title does not say where one is");
        check(all("h1").length === 1, "1.3.1 there is not one h1");
        check(all("main").length === 1 && all("header").length === 1, "1.3.1 landmarks");
        const levels = all("h1, h2, h3").map((one) => +one.tagName[1]);
        check(levels.every((level, i) => i === 0 || level <= levels[i - 1] + 1), "1.3.1 a heading is skipped");
        const ids = all("[id]").map((one) => one.id);
        check(new Set(ids).size === ids.length, "4.1.1 an id stands twice");
        for (const one of all("input:not([type=hidden])"))
            check(one.labels.length === 1, `1.3.1 ${one.name} has no label`);
        for (const one of all("[aria-describedby], [aria-labelledby]"))
            for (const id of (one.getAttribute("aria-describedby") || one.getAttribute("aria-labelledby")).split(" "))
                check(document.getElementById(id), `4.1.2 nothing is called ${id}`);
        for (const one of all("a, button")) {
            const box = one.getBoundingClientRect();
            check(one.textContent.trim(), "4.1.2 a link or button without words");
            const excepted = one.className === "skip" || getComputedStyle(one).display === "inline";
            check(excepted || (box.width >= 24 && box.height >= 24), `2.5.8 ${one.textContent} is small`);
        }
        const parts = (colour) => colour.match(/[0-9.]+/g).map(Number);
        const light = (colour) => {
            const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const [r, g, b] = parts(colour).map((v) => linear(v / 255));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = (one) => {
            for (; one; one = one.parentElement) {
                const colour = getComputedStyle(one).backgroundColor;
                if (parts(colour)[3] !== 0) return colour;
            }
            return "rgb(255, 255, 255)";
        };
        for (const one of all("body *")) {
            if (![...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
            const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
            check((a + 0.05) / (b + 0.05) >= 4.5, `1.4.3 contrast of ${one.textContent.trim().slice(0, 30)}`);
        }
        check(document.documentElement.scrollWidth <= innerWidth, "1.4.10 the page scrolls sideways");
        return faults;
    })()""")
    assert faults == []
    assert browser.violations() == []


def test_a_person_reads_a_report_by_keyboard_alone(browser: Browser, tree: Tree) -> None:
    url = tree.endpoint["url"]
    browser.size(1280, 800)
    browser.call("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    browser.call("Emulation.setLocaleOverride", locale="en-GB")
    browser.go(f"{url}/reports/calm")

    # --- the login, in the order of reading
    assert browser.run("location.pathname") == "/login"
    assert_sound(browser)
    stops = []
    for _ in range(5):
        browser.press("Tab")
        stops.append(focused(browser))
        assert focus_is_visible(browser), stops
    assert stops == ["Skip to the content", "lrs-bridge", "key", "secret", "Sign in"]
    shot(browser, "login")

    # --- a wrong secret is told, and what was typed right is kept
    browser.press("Tab", shift=True)
    browser.type("wrong")
    browser.press("Tab", shift=True)
    browser.type(tree.endpoint["key"])
    browser.loading(lambda: browser.press("Enter"))
    assert "do not open the reports" in browser.run("document.querySelector('[role=alert]').textContent")
    assert browser.run("document.getElementById('key').value") == tree.endpoint["key"]
    assert browser.run("document.getElementById('secret').value") == ""
    assert_sound(browser)
    shot(browser, "refused")
    assert [words for words in browser.complaints if "401" not in words] == []  # the refusal itself
    browser.complaints.clear()

    # --- the right one leads to where one wanted to go
    while focused(browser) != "secret":
        browser.press("Tab")
    browser.type(tree.endpoint["secret"])
    browser.loading(lambda: browser.press("Enter"))
    assert browser.run("location.pathname") == "/reports/calm"
    assert_sound(browser)
    shot(browser, "report")

    # --- a table that a screen reader can find its way in
    table = browser.run("""(() => {
        const table = document.querySelector("table"), all = (selector) => [...table.querySelectorAll(selector)];
        return {
            caption: table.caption.textContent,
            unscoped: all("th:not([scope])").length,
            rows: all("tbody tr > th[scope=row]").map((one) => one.textContent.trim()),
            width: all("tbody tr").map((row) => row.cells.length),
            heads: all("thead tr:first-child > *").reduce((sum, one) => sum + one.colSpan, 0),
            region: document.querySelector("[role=region]").getAttribute("aria-labelledby"),
        };
    })()""")
    assert "mean" in table["caption"]
    assert table["unscoped"] == 0
    assert table["rows"] == ["E1", "E2"]
    assert set(table["width"]) == {table["heads"]}
    assert table["region"]

    # --- times as the clock on this person's wall has them: 09:00 UTC is 18:00 there
    assert browser.run("document.querySelector('time').textContent") == "1 Jun 2026, 18:00"
    assert "Asia/Tokyo" in browser.run("document.querySelector('#zone').textContent")
    assert browser.run("document.querySelector('time').dateTime") == "2026-06-01T09:00:00Z"
    assert browser.run("document.querySelector('time').title") == "2026-06-01T09:00:00Z"

    # --- 360 pixels: the page stays, the table moves inside its region, by keyboard too
    browser.size(360, 740)
    assert_sound(browser)
    region = "document.querySelector('[role=region]')"
    assert browser.run(f"{region}.scrollWidth > {region}.clientWidth")
    browser.run(f"{region}.focus()")
    for _ in range(3):
        browser.press("Right")
    wait_until(lambda: browser.run(f"{region}.scrollLeft") > 0, "the table has moved", seconds=5)
    for kept in ("caption > span", "tbody th"):  # what a cell is about, and whose it is, stays in sight
        box = browser.run(
            f"(({{left, right}}) => [left, right])(document.querySelector('{kept}').getBoundingClientRect())"
        )
        assert 0 <= box[0] < box[1] <= 360, kept
    shot(browser, "report-narrow")

    # --- the other pages
    browser.go(f"{url}/")
    assert_sound(browser)
    shot(browser, "home-narrow")
    browser.size(1280, 800)
    assert_sound(browser)
    shot(browser, "home")
    browser.go(f"{url}/reports/clam")
    assert "Did you mean 'calm'?" in browser.run("document.querySelector('main').textContent")
    assert_sound(browser)
    shot(browser, "missing")

    # --- signed out, by keyboard; the way back is closed
    while focused(browser) != "Sign out":
        browser.press("Tab")
    browser.loading(lambda: browser.press("Enter"))
    assert browser.run("location.pathname") == "/login"
    browser.go(f"{url}/reports/calm")
    assert browser.run("location.pathname") == "/login"

    assert [words for words in browser.complaints if "/reports/clam" not in words] == []
    assert [asked for asked in browser.requests if not asked.startswith((url, "about:", "data:"))] == []
