"""A real Chromium, driven over its DevTools pipe: nothing but the standard library stands between.

https://chromedevtools.github.io/devtools-protocol/ - JSON messages, each ended by a NUL, on file descriptors 3 and 4.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECONDS = 30
"""How long the browser may take for anything."""
FLAGS = (
    "--headless",
    "--no-sandbox",  # it runs as root in containers, and sees only our own pages
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
"""Puts the ends of the pipes where Chromium looks for them."""
AXE = Path(__file__).with_name("axe") / "axe-4.14.1.min.js"
LEVELS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa")
KEYS = {"Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), "End": ("End", 35, ""), "Right": ("ArrowRight", 39, "")}


def chromium() -> str:
    """Give where Chromium is; a machine without one fails the test rather than passing it by."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    pytest.fail("There is no Chromium here. Install it: apt-get install chromium (Debian), or any Chrome on PATH.")


class Browser:
    """One tab. What it asked for and complained about is kept in `requests` and `complaints`."""

    def __init__(self, profile: Path) -> None:
        ours_in, theirs_out = (_high(fd) for fd in os.pipe())
        theirs_in, ours_out = (_high(fd) for fd in os.pipe())
        launch = [sys.executable, "-c", LAUNCH, str(theirs_in), str(theirs_out)]
        self.process = subprocess.Popen(
            [*launch, chromium(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out, self._buffer = ours_in, ours_out, b""
        self._number, self._session = 0, ""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._loaded = 0
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        session, self._session = self._session, ""
        try:
            self.call("Browser.close")
        except OSError:
            pass
        finally:
            self._session = session
            os.close(self._in)
            os.close(self._out)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Ask the browser for something and wait for its answer."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def run(self, script: str) -> Any:
        """Give the value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def go(self, url: str) -> None:
        self.loading(lambda: self.call("Page.navigate", url=url))

    def loading(self, action: Callable[[], object]) -> None:
        """Do what loads a page, and wait for it."""
        before = self._loaded
        action()
        while self._loaded == before:
            self._receive()

    def press(self, name: str, *, shift: bool = False) -> None:
        code, number, text = KEYS[name]
        key = {"key": code, "code": code, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **key, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def size(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def violations(self) -> list[str]:
        """Give what axe-core finds on the page against WCAG 2.2 AA, each with its first place."""
        if not self.run("'axe' in window"):
            self.call("Runtime.evaluate", expression=AXE.read_text())
        found = self.run(
            f"axe.run(document, {{runOnly: {json.dumps(LEVELS)}, "
            "rules: {'target-size': {enabled: true}}, resultTypes: ['violations']})"
        )
        assert found["passes"], "axe has looked at nothing"
        return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]

    def shot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _receive(self) -> dict[str, Any]:
        give_up = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            readable, _, _ = select.select([self._in], [], [], max(0, give_up - time.monotonic()))
            assert readable, f"Chromium has said nothing for {SECONDS} s"
            piece = os.read(self._in, 1 << 20)
            assert piece, f"Chromium has ended with {self.process.poll()}"
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, said: dict[str, Any]) -> None:
        match event:
            case "Page.loadEventFired":
                self._loaded += 1
            case "Network.requestWillBeSent":
                self.requests.append(said["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(said["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if said["type"] in {"error", "warning", "assert"}:
                self.complaints.append(str(said["args"]))
            case "Log.entryAdded" if said["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")


def _high(fd: int) -> int:
    """Move a descriptor out of the way of 3 and 4."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return moved
