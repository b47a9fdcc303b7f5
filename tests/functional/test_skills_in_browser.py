"""The pages of skills and of what stands in the way, in a real browser, wide and narrow."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from company import done, scored, write_folder
from test_page_in_browser import assert_sound, post, shot
from trees import Start, Tree, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.browser]

SKILLS = """\
population: {team: [North, South]}
skills: [{name: calm, title: Calm calls, moments: [an angry customer], activities: ["https://lms.example.com/quiz/43"]}]
"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "profile")
    yield made
    made.close()


@pytest.fixture
def tree(start: Start, tmp_path: Path) -> Tree:
    """A running `up` on the company's folder, whose program names a skill."""
    folder = tmp_path / "company"
    write_folder(folder)
    program = (folder / "program.yaml").read_text()
    (folder / "program.yaml").write_text(program.replace("metrics: [", f"{SKILLS}metrics: ["))
    running = start(LRS_BRIDGE_MAPPINGS=str(folder))
    post(running.endpoint, [done("ann"), done("bo"), scored("ann", 9)])
    wait_until(lambda: '"learner": "E2"' in running.run("report", "calm", "--json").stdout, "both have records")
    return running


def test_the_pages_of_teams_are_sound_and_lead_to_each_other(browser: Browser, tree: Tree) -> None:
    url = tree.endpoint["url"]
    browser.size(1280, 800)
    browser.go(f"{url}/programs/calm-calls/skills")
    browser.run(f"document.getElementById('key').value = {tree.endpoint['key']!r}")
    browser.run(f"document.getElementById('secret').value = {tree.endpoint['secret']!r}")
    browser.loading(lambda: browser.run("document.querySelector('main form button').click()"))
    assert browser.run("location.pathname") == "/programs/calm-calls/skills"

    for page in ("skills", "obstacles"):
        browser.size(1280, 800)
        browser.go(f"{url}/programs/calm-calls")
        browser.loading(lambda page=page: browser.run(f"document.querySelector('main a[href$=\"/{page}\"]').click()"))
        assert browser.run("location.pathname") == f"/programs/calm-calls/{page}"
        assert_sound(browser)
        shot(browser, page)
        for table in browser.run("""[...document.querySelectorAll("table")].map((table) => ({
            unscoped: table.querySelectorAll("th:not([scope])").length,
            widths: [...table.querySelectorAll("tbody tr")].map((row) => row.cells.length),
            heads: [...table.querySelectorAll("thead tr:first-child > *")].reduce((sum, one) => sum + one.colSpan, 0),
            region: table.parentElement.getAttribute("role"),
        }))"""):
            assert table["unscoped"] == 0
            assert set(table["widths"]) == {table["heads"]}
            assert table["region"] == "region"
        assert "hidden" in browser.run("[...document.querySelectorAll('tbody')].map((one) => one.textContent).join()")
        browser.size(360, 740)
        assert_sound(browser)
        shot(browser, f"{page}-narrow")
        browser.loading(lambda: browser.run("document.querySelector('main a').click()"))
        assert browser.run("location.pathname") == "/programs/calm-calls"

    assert browser.complaints == []
