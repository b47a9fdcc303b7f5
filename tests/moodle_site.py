"""A Moodle of our own with the plugin's functions: it keeps what it is sent, answers by it, and by the faults given."""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from requests import PreparedRequest

from connectors import Reach
from connectors.destinations.moodle import Moodle, load
from connectors.moodle import SERVER
from connectors.secrets import Secrets

URL = "https://moodle.example.com"
ADDRESS = f"{URL}/{SERVER}"
TOKEN = "t0ken-canary-of-the-tests"
DOCUMENT: dict[str, Any] = {
    "kind": "destination",
    "name": "moodle",
    "type": "moodle",
    "url": URL,
    "token": {"secret": "moodle-token"},
}
SECRETS = Secrets({"LRS_BRIDGE_SOURCE_MOODLE_TOKEN": TOKEN}, Path("/nowhere"))
Reply = tuple[int, dict[str, str], str]
JSON = {"Content-Type": "application/json"}


def error(code: str, message: str = "It says no", exception: str = "moodle_exception") -> Reply:
    """Give an error as Moodle's REST server does: with HTTP 200."""
    return 200, JSON, json.dumps({"exception": exception, "errorcode": code, "message": message})


def destination(clock: Any, **keys: Any) -> Moodle:
    """Give the destination of the usual document, with secrets."""
    return load({**DOCUMENT, **keys}, base=Path("/base")).reaching(Reach(SECRETS, clock=clock))


@dataclass
class MoodleSite:
    """Rows by feed and key. `faults` are given out before anything else, one a request; None: none this time.

    A fault may be a function: it is handed the answer that would be given, and gives another one in its place.
    """

    most_fields: int = 1000
    """PHP's max_input_vars: what is beyond is dropped, and nobody is told."""
    users: set[str] = field(default_factory=set)
    """The names of accounts of people it knows."""
    rows: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    faults: deque[Reply | Callable[[Reply], Reply] | None] = field(default_factory=deque)
    asked: list[dict[str, str]] = field(default_factory=list)
    """The forms of all calls."""
    sizes: list[int] = field(default_factory=list)
    """Their bytes."""
    writes: list[tuple[str, str, int]] = field(default_factory=list)
    """Feed, key and version of all that was changed, in order."""
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    """More functions, by name; called with the form's fields."""

    def __post_init__(self) -> None:
        self.functions |= {"local_lrsbridge_push_rows": self._push, "local_lrsbridge_held": self._held}

    def answer(self, request: PreparedRequest) -> Reply:
        """Answer a call; given to `responses`."""
        body = str(request.body if isinstance(request.body, str) else (request.body or b"").decode())
        self.sizes.append(len(body))
        form = dict(parse_qsl(body, keep_blank_values=True)[: self.most_fields])
        self.asked.append(form)
        fault = self.faults.popleft() if self.faults else None
        if isinstance(fault, tuple):
            return fault
        given = self._call(form)
        return fault(given) if fault else given

    def held(self, feed: str) -> dict[str, tuple[int, str]]:
        """Give version and checksum of what is there, by key; what was deleted is not."""
        found = self.rows.get(feed, {})
        return {key: (row["version"], row["checksum"]) for key, row in sorted(found.items()) if not row["deleted"]}

    def _call(self, form: Mapping[str, str]) -> Reply:
        if form.get("wstoken") != TOKEN:
            return error("invalidtoken", "Invalid token - token not found")
        function = self.functions.get(form.get("wsfunction", ""))
        if function is None:
            message = "Can't find data record in database table external_functions."
            return error("invalidrecord", message, "dml_missing_record_exception")
        given = {name: value for name, value in form.items() if not name.startswith(("ws", "moodlews"))}
        return 200, JSON, json.dumps(function(**given))

    def _push(self, rows: str) -> dict[str, Any]:
        given = json.loads(rows)
        return {"answers": [self._take(row) for row in given], "received": len(given)}

    def _take(self, row: dict[str, Any]) -> dict[str, Any]:
        feed = self.rows.setdefault(row["feed"], {})
        there = feed.get(row["key"])
        if there is not None and there["version"] >= row["version"]:
            outcome = "unchanged"
        else:
            feed[row["key"]] = row
            self.writes.append((row["feed"], row["key"], row["version"]))
            outcome = "deleted" if row["deleted"] else "stored"
        if outcome != "deleted" and row["user"] is not None and not self._knows(row["user"]):
            return {"key": row["key"], "outcome": "unmatched", "message": "Nobody here is like that."}
        return {"key": row["key"], "outcome": outcome, "message": None}

    def _knows(self, user: Mapping[str, Any]) -> bool:
        return any(account["home_page"] == URL and account["name"] in self.users for account in user["accounts"])

    def _held(self, feed: str, after: str, limit: str) -> dict[str, Any]:
        left = [(key, *held) for key, held in self.held(feed).items() if key > after]
        page = left[: int(limit)]
        shown = [{"key": key, "version": version, "checksum": checksum} for key, version, checksum in page]
        return {"rows": shown, "more": len(left) > len(page)}
