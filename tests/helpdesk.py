"""A helpdesk of our own that changes while it is read: it answers by its records, its clock and the faults given."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from requests import PreparedRequest

from connectors import Reach, Row, RowProblem, load_source
from connectors.secrets import Secrets
from connectors.sources import rest

BASE_URL = "https://desk.example.com/api"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
Reply = tuple[int, dict[str, str], str]


@dataclass
class FakeClock:
    """A clock that only the test moves; a sleep moves it."""

    at: datetime = NOON
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)

    def move(self, **length: float) -> None:
        self.at += timedelta(**length)


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def place(row: dict[str, Any]) -> tuple[datetime, int]:
    """Where a ticket stands in the list."""
    return datetime.fromisoformat(row["updated_at"]), row["id"] or 0


@dataclass
class Desk:
    """Tickets by id, listed by time of change; `faults` are given out before anything else, one a request."""

    clock: FakeClock
    size: int = 3
    tickets: dict[int, dict[str, Any]] = field(default_factory=dict)
    deletions: list[dict[str, Any]] = field(default_factory=list)
    faults: deque[Reply | None] = field(default_factory=deque)
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    skew: timedelta = timedelta(0)
    before: Callable[["Desk", int], None] = lambda _desk, _number: None
    """Called with the number of each request before it is answered: the world goes on meanwhile."""

    def put(self, number: int, *, at: datetime | None = None, **values: Any) -> None:
        stamp = iso(at or self.clock.at + self.skew)
        self.tickets[number] = {"id": number, "updated_at": stamp, **self.tickets.get(number, {}), **values}
        self.tickets[number]["updated_at"] = stamp

    def answer(self, request: PreparedRequest) -> Reply:
        parts = urlsplit(request.url or "")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if request.body:
            query |= json.loads(request.body)
        self.asked.append(query)
        self.headers.append(dict(request.headers))
        self.before(self, len(self.asked))
        if self.faults and (fault := self.faults.popleft()):
            return fault
        if parts.path.endswith("/ids"):
            return self._ids(query)
        if "/tickets/" in parts.path:
            return self._one(unquote(parts.path.rpartition("/")[2]))
        return self._page(query, deletions=parts.path.endswith("/deleted"))

    def reply(self, body: object, status: int = 200, **headers: str) -> Reply:
        date = format_datetime(self.clock.at + self.skew, usegmt=True)
        return status, {"Date": date, "Content-Type": "application/json", **headers}, json.dumps(body)

    def _ids(self, query: dict[str, str]) -> Reply:
        """List the ids of all tickets, by id: after one, or a page by its number."""
        ids = sorted(number for number in self.tickets if number > int(query.get("after_id", 0)))
        begin = (int(query.get("page", 1)) - 1) * self.size
        return self.reply({"ids": [{"id": number} for number in ids[begin : begin + self.size]]})

    def _one(self, named: str) -> Reply:
        number = int(named) if named.isdigit() else 0
        if number not in self.tickets:
            return self.reply({"error": f"no ticket {named}"}, 404)
        return self.reply({"ticket": self.tickets[number]})

    def _page(self, query: dict[str, str], *, deletions: bool) -> Reply:
        rows = self.deletions if deletions else list(self.tickets.values())
        rows = sorted(rows, key=place)
        since = query.get("since", "2000-01-01T00:00:00Z")
        if "after_id" in query:
            rows = [row for row in rows if place(row) > place({"updated_at": since, "id": int(query["after_id"])})]
        else:
            rows = [row for row in rows if place(row) >= place({"updated_at": since, "id": -1})]
        if until := query.get("until"):
            rows = [row for row in rows if place(row) < place({"updated_at": until, "id": -1})]
        token = int(query.get("token", 0))
        begin = token or (int(query["page"]) - 1) * self.size if "page" in query else int(query.get("offset", token))
        page, end = rows[begin : begin + self.size], begin + self.size
        later = f"{BASE_URL}/tickets?since={since}&offset={end}"
        more = {"next": str(end), "link": later} if end < len(rows) else {"next": None, "link": None}
        headers = {"Link": f'<{later}>; rel="next"'} if end < len(rows) else {}
        return self.reply({"tickets": page, "count": len(rows), "end": end >= len(rows), **more}, **headers)


DOCUMENT: dict[str, Any] = {
    "kind": "source",
    "name": "tickets",
    "type": "rest",
    "base_url": BASE_URL,
    "auth": {"type": "none"},
    "request": {"path": "/tickets", "params": {"since": "{low}"}},
    "page": {"type": "token", "path": "next", "param": "token"},
    "records": "tickets",
    "key": "id",
    "cursor": {"field": "updated_at", "lookback": "0s", "settle": "0s", "ordered": True},
}
KEYSET = {
    "request": {"path": "/tickets", "params": {"since": "{low}", "after_id": "{low_id}"}},
    "page": {"type": "keyset", "first_id": -1},
}


@dataclass
class Pulled:
    """What pulls gave, and what a bridge would have stored of it: each version of a record once."""

    rows: list[Row] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    states: list[Any] = field(default_factory=list)
    versions: set[tuple[str, Any, bytes]] = field(default_factory=set)

    @property
    def state(self) -> Any:
        return self.states[-1] if self.states else None

    @property
    def keys(self) -> list[str]:
        """Each once: a window that begins anew at a row gives that row again."""
        return list(dict.fromkeys(row.key for row in self.rows))

    def latest(self) -> dict[str, dict[str, Any]]:
        """The newest version of each record, by its cursor."""
        return {row.key: row.data for row in sorted(self.rows, key=lambda row: row.cursor or ())}

    def take(self, page: Any) -> None:
        self.rows += page.rows
        self.problems += page.problems
        self.versions |= {(row.key, row.cursor, row.content_hash) for row in page.rows}
        if page.state is not None:
            self.states.append(json.loads(json.dumps(page.state)))


@dataclass
class Puller:
    """Pulls a document's source against the desk, as a bridge would: it stores page by page."""

    clock: FakeClock
    secrets: Secrets = field(default_factory=lambda: Secrets({}, Path("/nowhere")))

    def source(self, **keys: Any) -> rest.RestSource:
        document = {key: value for key, value in (DOCUMENT | keys).items() if value is not ...}
        made = load_source(document, base=Path("/base"))
        assert isinstance(made, rest.RestSource)
        return made.reaching(Reach(self.secrets, self.clock))

    def pages(self, state: Any = None, **keys: Any) -> Iterator[Any]:
        return self.source(**keys).pull(state)

    def __call__(self, state: Any = None, **keys: Any) -> Pulled:
        pulled = Pulled()
        for page in self.pages(state, **keys):
            pulled.take(page)
        return pulled
