"""A ServiceNow of our own that goes through a year of a real one: the incident log of `tests/replay`, hour by hour.

It answers as the Table API does, by what is there at the time of the call, and fails by a plan.
"""

import bisect
import csv
import hashlib
import io
import itertools
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

LOG = Path(__file__).parents[1] / "replay" / "incidents.csv.xz"
TABLE = "/api/now/table/incident"
CAP = 100
"""What the instance gives at most, whatever a request asks for: properties of an instance cap it like this."""
LATE_SHARE, LATEST = 0.01, timedelta(minutes=8)
"""Changes that are committed later than they say, and by how much at most: less than `lookback`."""
QUERY = re.compile(
    r"sys_updated_on>=(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\^ORDERBYsys_updated_on\^ORDERBYsys_id"
)  # as the shipped manifest asks
Reply = tuple[int, dict[str, str], str | Exception]


@dataclass(frozen=True, slots=True)
class Change:
    """A version of an incident: its place in the order of changes, and the record as the API gives it."""

    stamp: str
    sys_id: str
    record: str
    """JSON."""


@cache
def log() -> tuple[Change, ...]:
    """Every change of the log, oldest first; those of one incident in one minute by `sys_mod_count`."""
    rows = csv.DictReader(io.StringIO(lzma.decompress(LOG.read_bytes()).decode()))
    changes = [_change(row) for row in rows]
    return tuple(change for *_, change in sorted(changes, key=lambda one: one[:2]))


def _change(row: dict[str, str]) -> tuple[str, int, Change]:
    stamp = _utc(row.pop("sys_updated_at"))
    sys_id = hashlib.md5(row["number"].encode(), usedforsecurity=False).hexdigest()
    record = {"sys_id": sys_id, **{name: "" if value == "?" else value for name, value in row.items()}}
    return stamp, int(row["sys_mod_count"]), Change(stamp, sys_id, text({**record, "sys_updated_on": stamp}))


def text(record: dict[str, Any]) -> str:
    """Write a record in the one way in which versions are compared here."""
    return json.dumps(record, sort_keys=True)


def last_states() -> dict[str, str]:
    """Give what each incident is at the end of the log."""
    return {change.sys_id: change.record for change in log()}


@cache
def _utc(text: str) -> str:
    """Write a minute of the log, day/month/year, as the API does."""
    return f"{datetime.strptime(text, '%d/%m/%Y %H:%M').replace(tzinfo=UTC):%Y-%m-%d %H:%M:%S}"


def time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp).replace(tzinfo=UTC)


class Clock:
    """The time of the world, and ours, which may be wrong."""

    def __init__(self, at: datetime) -> None:
        self.at, self.wrong_by = at, timedelta(0)

    def now(self) -> datetime:
        return self.at + self.wrong_by

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Incidents:
    """The table as it is at a time."""

    def __init__(self, changes: Iterable[Change], dice: random.Random | None = None) -> None:
        """With dice, some changes are committed late."""
        self._coming = sorted(_committed(changes, dice), key=lambda one: one[0])
        self._come = 0
        self.current: dict[str, Change] = {}
        self._order: list[tuple[str, str]] = []
        self.unread: set[str] = set()
        """Incidents whose present version is on no stored page."""

    @property
    def is_over(self) -> bool:
        return self._come == len(self._coming)

    def go_on(self, until: datetime) -> None:
        """Let everything happen that happens until then."""
        while not self.is_over and self._coming[self._come][0] <= until:
            change = self._coming[self._come][1]
            if old := self.current.get(change.sys_id):
                del self._order[bisect.bisect_left(self._order, (old.stamp, old.sys_id))]
            self.current[change.sys_id] = change
            bisect.insort(self._order, (change.stamp, change.sys_id))
            self.unread.add(change.sys_id)
            self._come += 1

    def since(self, stamp: str, begin: int, size: int) -> tuple[list[Change], bool]:
        """Give a page of what changed since, oldest first, and whether there is more."""
        start = bisect.bisect_left(self._order, (stamp,)) + begin
        return [self.current[name] for _, name in self._order[start : start + size]], start + size < len(self._order)

    def read(self, versions: Iterable[str]) -> None:
        """Note what is stored for good."""
        stored = set(versions)
        self.unread -= {name for name in self.unread if self.current[name].record in stored}


def _committed(changes: Iterable[Change], dice: random.Random | None) -> Iterator[tuple[datetime, Change]]:
    """Give when each change is there to be seen: one after the other within its minute, and never before the last."""
    latest: dict[str, datetime] = {}
    for stamp, in_minute in itertools.groupby(changes, key=lambda one: one.stamp):
        together = list(in_minute)
        for number, change in enumerate(together):
            at = time(stamp) + timedelta(seconds=60 * number / len(together))
            if dice and dice.random() < LATE_SHARE:
                at += LATEST * dice.random()
            at = max(at, latest.get(change.sys_id, at))
            latest[change.sys_id] = at
            yield at, change


class Killed(BaseException):
    """The process is no more; nothing of ours may catch it."""


@dataclass
class Faults:
    """A plan of what goes wrong; the same dice, the same plan."""

    dice: random.Random
    calls: float
    """Share of calls that go wrong."""
    deaths: float
    """Share of steps between two calls at which the process is killed."""
    seen: Counter[str] = field(default_factory=Counter)
    last: Reply | None = None

    KINDS = ("busy", "busy for long", "broken", "silent", "cut", "half", "killed", "repeated", "doubled", "reordered")

    def step(self, name: str) -> None:
        """Kill the process here, now and then."""
        if self.dice.random() < self.deaths:
            self.seen[f"killed {name}"] += 1
            raise Killed(name)

    def draw(self) -> str | None:
        """Give what goes wrong with a call."""
        if self.dice.random() >= self.calls:
            return None
        kind = self.dice.choice(self.KINDS)
        self.seen[kind] += 1
        return kind

    def meddle(self, kind: str, page: list[Change], reply: Callable[[list[Change]], Reply]) -> Reply:
        """Give an answer that is none, or a wrong one."""
        status, headers, body = reply(page)
        match kind:
            case "busy":
                return 429, {"Retry-After": str(self.dice.randint(1, 50))}, ""
            case "busy for long":
                return 429, {"Retry-After": str(self.dice.randint(120, 5000))}, ""
            case "broken":
                return self.dice.choice((500, 502, 503)), {}, "<html>"
            case "silent":
                return 0, {}, requests.ReadTimeout()
            case "cut":  # the connection ends before as much has come as was announced
                text = str(body)
                return status, {**headers, "Content-Length": str(len(text))}, text[: len(text) // 2]
            case "half":  # the same where no length was announced
                return status, headers, str(body)[: len(str(body)) // 2]
            case "killed":
                raise Killed("on the way")
            case "repeated":
                return self.last or (status, headers, body)
            case "doubled":
                return reply([change for change in page for _ in range(2)])
            case "reordered":
                self.dice.shuffle(page)
                return reply(sorted(page, key=lambda one: one.stamp))
        raise AssertionError(kind)

    @staticmethod
    def made_fail(kind: str | None) -> bool:
        return kind not in (None, "doubled", "reordered")


@dataclass
class Instance:
    """What answers the calls."""

    incidents: Incidents
    clock: Clock
    dice: random.Random
    faults: Faults | None = None
    call_seconds: tuple[float, float] = (0.1, 3.0)
    """How long an answer takes, between these two."""
    calls: int = 0
    failed: int = 0
    """Calls that were made to fail."""
    served: set[str] = field(default_factory=set)
    """Every version that was in any answer, as JSON."""

    def answer(self, url: str) -> Reply:
        """Take a while, in which the world goes on, and give a page of what is there then."""
        self.clock.sleep(self.dice.uniform(*self.call_seconds))
        self.incidents.go_on(self.clock.at)
        self.calls += 1
        kind = self.faults.draw() if self.faults else None
        self.failed += Faults.made_fail(kind)
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        asked = QUERY.fullmatch(query["sysparm_query"])
        assert asked, query
        begin, size = int(query.get("sysparm_offset", 0)), min(CAP, int(query["sysparm_limit"]))
        page, more = self.incidents.since(asked[1], begin, size)
        self.served.update(change.record for change in page)
        link = f"{url.partition('?')[0]}?{urlencode(query | {'sysparm_offset': begin + size})}" if more else None

        def reply(changes: list[Change]) -> Reply:
            return self._reply(changes, link)

        if self.faults is None:
            return reply(page)
        answer = self.faults.meddle(kind, page, reply) if kind else reply(page)
        if not kind:
            self.faults.last = answer
        return answer

    def _reply(self, changes: list[Change], link: str | None) -> Reply:
        headers = {"Content-Type": "application/json", "Date": format_datetime(self.clock.at, usegmt=True)}
        if link:
            headers["Link"] = f'<{link}>;rel="next"'
        return 200, headers, f'{{"result":[{",".join(change.record for change in changes)}]}}'
