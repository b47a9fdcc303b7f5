"""People at a Moodle, each in a Chromium of their own: they log in, click and type, and what they see is kept."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import Browser
from moodle import PASSWORD, Moodle

SECONDS = 60
"""How long a page may take: Moodle builds its themes at the first look."""
IDLE = "document.readyState === 'complete' && (!window.M || !M.util || (M.util.pending_js || []).length === 0)"
"""Moodle counts what its scripts still do; its own browser tests wait for the same."""
FIND = """
(function (selector, text) {
    const shown = element => element.getClientRects().length > 0;
    const words = element => (element.innerText || element.value || '').trim() + '|' + (element.title || '')
        + '|' + (element.getAttribute('aria-label') || '') + '|' + (element.getAttribute('data-original-title') || '');
    const found = [...document.querySelectorAll(selector)].filter(shown);
    return found.find(element => words(element).split('|').includes(text))
        || found.find(element => words(element).includes(text));
})(%s, %s)
"""


@dataclass
class Visitor:
    """Somebody who is logged in."""

    browser: Browser
    moodle: Moodle
    shots: Path

    def go(self, path: str) -> None:
        """Open a page of the site by its path, or any page by its address."""
        self.browser.go(path if path.startswith("http") else f"{self.moodle.url}{path}")
        self.settle()

    def settle(self) -> None:
        """Wait until the page's scripts have nothing left to do."""
        self.until(IDLE, "the page is at rest")

    def until(self, script: str, what: str) -> Any:
        """Wait until a JavaScript expression gives something true, and give it."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                if found := self.browser.run(script):
                    return found
            except AssertionError:
                pass  # the page is just being left
            time.sleep(0.1)
        self.shot("gave-up")
        raise AssertionError(f"after {SECONDS} s it is still not so that {what}; the page says: {self.text()[:2000]}")

    def press(self, text: str, selector: str = "a, button, input[type=submit], [role=button], [role=menuitem]") -> None:
        """Click what is shown with these words, or is called so; the whole of its words goes before a part."""
        find = FIND % (json.dumps(selector), json.dumps(text))
        self.until(f"!!{find}", f"{text!r} can be pressed")
        self.browser.run(f"{find}.scrollIntoView({{block: 'center'}})")
        self.browser.run(f"setTimeout(() => {find}.click(), 0)")
        time.sleep(0.3)
        self.settle()

    def fill(self, selector: str, value: str) -> None:
        """Write into a field, choose in a list, or tick a box (`yes`)."""
        field = f"document.querySelector({json.dumps(selector)})"
        self.until(f"!!{field}", f"there is a field {selector}")
        self.browser.run(
            f"(element => {{ if (element.type === 'checkbox' || element.type === 'radio') element.checked = true;"
            f" else element.value = {json.dumps(value)};"
            " for (const name of ['input', 'change', 'blur'])"
            f" element.dispatchEvent(new Event(name, {{bubbles: true}})); }})({field})"
        )

    def choose(self, selector: str, text: str) -> None:
        """Choose in a list by the words that are shown."""
        found = f"[...document.querySelectorAll({json.dumps(selector + ' option')})]"
        match = f"{found}.find(option => option.text.trim() === {json.dumps(text)})"
        self.until(f"!!{match}", f"{selector} has {text!r}")
        self.fill(selector, self.browser.run(f"{match}.value"))

    def text(self) -> str:
        """Give what is to be read on the page."""
        return str(self.browser.run("document.body.innerText"))

    def table(self, selector: str = "table.generaltable, table.reportbuilder-table") -> list[list[str]]:
        """Give the rows of the first table, its header among them."""
        script = (
            f"[...document.querySelector({json.dumps(selector)}).querySelectorAll('tr')]"
            ".filter(row => row.innerText.trim())"
            ".map(row => [...row.querySelectorAll('th, td')].map(cell => cell.innerText.trim()))"
        )
        self.until(f"!!document.querySelector({json.dumps(selector)})", "there is a table")
        return list(self.browser.run(script))

    def shot(self, name: str) -> None:
        """Keep a picture of what is shown."""
        self.browser.shot(self.shots / f"{name}.png")


@contextmanager
def visitor(moodle: Moodle, username: str, profile: Path, shots: Path) -> Iterator[Visitor]:
    """Start a browser, log in, and end both."""
    browser = Browser(profile)
    try:
        browser.size(1400, 1000)
        one = Visitor(browser, moodle, shots)
        one.go("/login/index.php")
        one.fill("#username", username)
        one.fill("#password", PASSWORD)
        browser.loading(lambda: browser.run("document.querySelector('#loginbtn').click()"))
        one.settle()
        assert "/login/" not in browser.run("location.pathname"), one.text()[:500]
        yield one
    finally:
        browser.close()


Visit = Callable[[str], Visitor]
